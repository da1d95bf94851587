"""The network: the wide residual net of the origin, as a Keras model.

Importing this module does not load Keras; building a model does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import keras

FIRST_FILTERS = 16
L2 = 1e-4


class NetworkSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Form of a wide residual net.

    Attributes
    ----------
    width : int > 0
        Factor on the filters of the three blocks, which are 16, 32 and 64 at width 1.
    units : int > 0
        Residual units in each block.
    """

    width: int
    units: int


PRESETS = {
    "tiny": NetworkSettings(width=1, units=1),
    "small": NetworkSettings(width=2, units=1),
    "medium": NetworkSettings(width=2, units=2),
    "large": NetworkSettings(width=4, units=2),
    "origin": NetworkSettings(width=10, units=4),
}


def build_wrn(
    settings: NetworkSettings, *, n_coefficients: int, n_frames: int, n_classes: int
) -> keras.Model:
    """Build the network with fresh weights.

    Parameters
    ----------
    settings : NetworkSettings
        Width and units; see `PRESETS`.
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
    Pre-activation units BN-conv-BN-ReLU-conv-BN around an identity [1]_, channels widened by zero
    padding [2]_, average pooling between the blocks, as in tail-island/devil-ear ``train.py``.

    References
    ----------
    .. [1] Zagoruyko, Komodakis, "Wide Residual Networks", BMVC 2016.
    .. [2] Han, Kim, Kim, "Deep Pyramidal Residual Networks", CVPR 2017.
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

    inputs = keras.Input((n_coefficients, n_frames, 1), name="mfcc")
    x = conv(inputs, FIRST_FILTERS)
    for block in range(3):
        if block:
            x = layers.AveragePooling2D(2)(x)
        filters = FIRST_FILTERS * settings.width * 2**block
        x = widen(x, filters)
        for _ in range(settings.units):
            x = unit(x, filters)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(256, kernel_regularizer=regularizers.L2(L2))(x)
    # float32 whatever the compute precision: a loss on bfloat16 logits does not converge well.
    logits = layers.Dense(
        n_classes, kernel_regularizer=regularizers.L2(L2), dtype="float32", name="logits"
    )(x)
    return keras.Model(inputs, logits, name=f"wrn_{settings.width}_{settings.units}")
