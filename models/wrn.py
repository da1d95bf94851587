"""The network, as a Keras model: the origin's wide residual net, or one like it over time.

Importing this module does not load Keras; building a model does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    import keras

FIRST_FILTERS = 16
L2 = 1e-4
DROPOUT = 0.2


class NetworkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Form of a wide residual net.

    Attributes
    ----------
    width : int > 0
        Factor on the filters: 16 at width 1; over patches 16, 32 and 64 in the three blocks, over
        time 24 in the last convolution.
    units : int > 0
        Residual units, over patches in each block.
    over : {"time", "patch"}
        What the convolutions go over: time alone, the coefficients being channels, or the patch as
        if it were a picture, as the origin's. Neighbouring coefficients have nothing in common as
        neighbouring pixels have; over time alone a network of the same cost learns more.
    """

    width: int
    units: int
    over: Literal["time", "patch"] = "time"


NETWORKS = {
    "tiny": NetworkSettings(width=4, units=2),
    "small": NetworkSettings(width=8, units=3),
    "medium": NetworkSettings(width=12, units=4),
    "large": NetworkSettings(width=20, units=6),
    "origin": NetworkSettings(width=10, units=4, over="patch"),
}


def build_wrn(
    settings: NetworkSettings, *, n_coefficients: int, n_frames: int, n_classes: int
) -> keras.Model:
    """Build the network with fresh weights.

    Parameters
    ----------
    settings : NetworkSettings
        Its form; see `NETWORKS`.
    n_coefficients, n_frames : int > 0
        Shape of the patch.
    n_classes : int > 0
        Characters, plus one where the cast has a background class.

    Returns
    -------
    keras.Model
        ``(batch, n_coefficients, n_frames, 1)`` standardised MFCC in,
        ``(batch, n_classes)`` logits out. The softmax is left to the runner, which divides by the
        calibrated temperature first; in int8 it would also cost resolution.

    Raises
    ------
    ValueError
        If a number is not positive.

    Notes
    -----
    Over patches: units BN-conv-BN-ReLU-conv-BN around an identity [1]_, channels widened by zero
    padding [2]_, average pooling between the blocks, as in tail-island/devil-ear ``train.py``.

    Over time: a first convolution over all coefficients and 5 frames, then units
    conv-BN-ReLU-conv-BN around an identity, whose normalisations an int8 network has folded into
    the convolutions; half as many frames from the second unit on. What each unit gives from then
    on (of a single unit what that gives) is aggregated by a convolution over all of it at each
    frame [3]_, whose mean and maximum over time are what names a voice.

    References
    ----------
    .. [1] Zagoruyko, Komodakis, "Wide Residual Networks", BMVC 2016.
    .. [2] Han, Kim, Kim, "Deep Pyramidal Residual Networks", CVPR 2017.
    .. [3] Desplanques, Thienpondt, Demuynck, "ECAPA-TDNN: Emphasized Channel Attention,
       Propagation and Aggregation in TDNN Based Speaker Verification", Interspeech 2020, of which
       this is the multi-layer feature aggregation.
    """
    import keras
    from keras import layers, regularizers

    for name, value in (
        ("width", settings.width),
        ("units", settings.units),
        ("n_coefficients", n_coefficients),
        ("n_frames", n_frames),
        ("n_classes", n_classes),
    ):
        if value < 1:
            raise ValueError(f"{name}={value} must be a positive integer")

    inputs = keras.Input((n_coefficients, n_frames, 1), name="mfcc")
    x = _over_time(inputs, settings) if settings.over == "time" else _over_patch(inputs, settings)
    penalty = regularizers.L2(L2) if settings.over == "patch" else None
    # float32 whatever the compute precision: a loss on bfloat16 logits does not converge well.
    logits = layers.Dense(n_classes, kernel_regularizer=penalty, dtype="float32", name="logits")(x)
    return keras.Model(
        inputs, logits, name=f"wrn_{settings.over}_{settings.width}_{settings.units}"
    )


def _over_time(x: keras.KerasTensor, settings: NetworkSettings) -> keras.KerasTensor:
    from keras import layers

    filters = FIRST_FILTERS * settings.width

    def conv(
        x: keras.KerasTensor, outputs: int, size: tuple[int, int], padding: str = "same"
    ) -> keras.KerasTensor:
        x = layers.Conv2D(outputs, size, padding=padding, use_bias=False)(x)
        return layers.BatchNormalization()(x)

    x = layers.ZeroPadding2D(((0, 0), (2, 2)))(x)
    x = layers.ReLU()(conv(x, filters, (x.shape[1], 5), "valid"))
    levels = []
    for unit in range(settings.units):
        if unit == 1:
            x = layers.AveragePooling2D((1, 2))(x)
        y = layers.ReLU()(conv(x, filters, (1, 3)))
        if unit:
            y = layers.SpatialDropout2D(DROPOUT / 2)(y)
        x = layers.Add()([x, conv(y, filters, (1, 3))])
        if unit or settings.units == 1:
            levels.append(layers.ReLU()(x))
    x = layers.Concatenate()(levels) if len(levels) > 1 else levels[0]
    x = layers.ReLU()(conv(x, 3 * filters // 2, (1, 1)))
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    return layers.Dropout(DROPOUT)(x)


def _over_patch(x: keras.KerasTensor, settings: NetworkSettings) -> keras.KerasTensor:
    import keras
    from keras import layers, regularizers

    def conv(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        return layers.Conv2D(
            filters,
            3,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            kernel_regularizer=regularizers.L2(L2),
        )(x)

    def unit(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        y = conv(layers.BatchNormalization()(x), filters)
        y = layers.ReLU()(layers.BatchNormalization()(y))
        y = layers.BatchNormalization()(conv(y, filters))
        return layers.Add()([x, y])

    def widen(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
        extra = filters - x.shape[-1]
        if extra == 0:
            return x
        return keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, extra)))

    x = conv(x, FIRST_FILTERS)
    for block in range(3):
        if block:
            x = layers.AveragePooling2D(2)(x)
        filters = FIRST_FILTERS * settings.width * 2**block
        x = widen(x, filters)
        for _ in range(settings.units):
            x = unit(x, filters)
    x = layers.GlobalAveragePooling2D()(x)
    return layers.Dense(256, kernel_regularizer=regularizers.L2(L2))(x)
