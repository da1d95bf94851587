"""From a trained network to the int8 network of a cast. Needs the extra ``train``."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..models.cast import VERSION, Calibration, Cast, CastCard, network_digest
from ..models.runner import CastRunner, load_interpreter
from ..quiet import quiet_stderr
from .dataset import Dataset, DatasetError, PatchSet
from .train import digest_of, names_of
from .training import Trained, TrainingError, load_tensorflow, read_training

if TYPE_CHECKING:
    import keras

REPRESENTATIVE = 500
# More than this lost by quantizing, in points, is trained back.
MOST_LOST = 0.5
_FINE_TUNE_STEPS = 300
# Of the patches that are validated on, so many may be taken for none of the cast.
_REJECTED = 0.05

Progress = Callable[[str, int, int], None]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What quantizing has done to a network, on the patches that are validated on.

    Attributes
    ----------
    patches : int
        How many there are.
    float_top1, int8_top1 : float
        Share of them named right, 0 to 1.
    agreement : float
        Share of them that both name alike.
    largest_logit_gap : float
        Between the two, of any logit.
    fine_tuned : bool
        It was trained on with its rounding, because too much was lost.
    temperature : float
    sureness : (float, float)
        The least and the most of a character. See `Calibration`.
    network_bytes : int
        Size of the int8 network.
    operations : dict of str to int
        How many of each it has; all of them int8.
    """

    patches: int
    float_top1: float
    int8_top1: float
    agreement: float
    largest_logit_gap: float
    fine_tuned: bool
    temperature: float
    sureness: tuple[float, float]
    network_bytes: int
    operations: dict[str, int]


def quantize(
    folder: Path,
    data: Dataset,
    *,
    name: str,
    licence: str,
    others: Sequence[Path] = (),
    tell: Progress | None = None,
) -> tuple[Cast, Report]:
    """Make a cast of a training, or of several.

    Parameters
    ----------
    folder : Path
        Of the training.
    data : Dataset
        It was trained on: the ranges of the activations are read off its training part, the
        calibration off its validation part.
    name, licence : str
        Of the cast.
    others : sequence of Path, optional
        Folders of other trainings on the same data set, of any form, whose networks are asked, too:
        the cast's is all of them side by side, and answers with the mean of their logits [1]_. To
        train on from, it keeps the weights of the first.
    tell : callable, optional
        Called with what is being done, how much of it is done, and of how much.

    Returns
    -------
    cast : Cast
    report : Report

    Raises
    ------
    TrainingError
        There is no training, or not one of this data set; one is named twice, or was standardised
        otherwise than the first.
    DatasetError
        The data set is damaged, or has nothing to validate on.

    References
    ----------
    .. [1] Hansen, Salamon, "Neural Network Ensembles", IEEE PAMI 12(10), 1990.
    """
    tell = tell or (lambda what, done, of: None)
    if len({one.resolve() for one in (folder, *others)}) <= len(others):
        raise TrainingError(f"{folder}: a training is named twice; name each once")
    members = [read_training(one) for one in (folder, *others)]
    trained = members[0]
    card = trained.card
    training = data.part("train")
    patches, validation = data.patches(training), data.patches(data.part("validation"))
    digest = digest_of(names_of(data), patches, validation)
    for one, member in zip((folder, *others), members, strict=True):
        if member.card.patches != digest:
            raise TrainingError(
                f"{one}: was not trained on {data.folder}; name the data set that it was trained on"
            )
        if (member.card.mean, member.card.std) != (card.mean, card.std):
            raise TrainingError(f"{one}: sees patches otherwise than {folder} does; leave it out")
    voices = validation.label < len(data.card.characters)
    if not voices.any():
        raise DatasetError(f"{data.folder}: has no voice to validate on; build it of more clips")
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(patches))[:REPRESENTATIVE]
    model, x = side_by_side([m.model() for m in members]), trained.standardised(validation.mfcc)
    exact = np.concatenate(
        [np.asarray(model(x[at : at + 256], training=False)) for at in range(0, len(x), 256)]
    )
    portraits = {
        who.portrait: _read_portrait(data.folder / who.portrait)
        for who in data.card.characters
        if who.portrait is not None
    }

    def cast_of(network: bytes, calibration: Calibration) -> Cast:
        return Cast(
            CastCard(
                format="kikiwake-cast",
                version=VERSION,
                name=name,
                characters=data.card.characters,
                background=data.card.background,
                features=data.card.features,
                mean=card.mean,
                std=card.std,
                calibration=calibration,
                network_sha256=network_digest(network),
                trained_on=f"{len(training)} patches of {len(data.card.recordings)} recordings",
                licence=licence,
            ),
            network,
            portraits,
            half_weights(trained),
        )

    def logits_of(network: bytes) -> NDArray[np.float32]:
        runner = CastRunner(cast_of(network, Calibration()))
        out = np.empty_like(exact)
        for number, patch in enumerate(validation.mfcc.astype(np.float32)):
            if number % 50 == 0:
                tell("running the int8 network", number, len(out))
            out[number] = runner.logits(patch)
        return out

    def top1(logits: NDArray[np.float32]) -> float:
        return float(np.mean(logits.argmax(axis=1) == validation.label))

    representative = trained.standardised(patches.mfcc[np.sort(chosen)])
    network = to_int8(model, representative)
    logits = logits_of(network)
    fine_tuned = False
    if top1(exact) - top1(logits) > MOST_LOST / 100:
        each = [fine_tune(member, patches, representative, tell) for member in members]
        tuned = to_int8(side_by_side(each), representative)
        tuned_logits = logits_of(tuned)
        if top1(tuned_logits) > top1(logits):
            network, logits, fine_tuned = tuned, tuned_logits, True
    calibration = calibrate(logits, validation.label, len(data.card.characters))
    report = Report(
        patches=len(validation),
        float_top1=round(top1(exact), 4),
        int8_top1=round(top1(logits), 4),
        agreement=round(float(np.mean(logits.argmax(axis=1) == exact.argmax(axis=1))), 4),
        largest_logit_gap=round(float(np.abs(logits - exact).max()), 3),
        fine_tuned=fine_tuned,
        temperature=calibration.temperature,
        sureness=(min(calibration.sureness), max(calibration.sureness)),
        network_bytes=len(network),
        operations=operations(network),
    )
    return cast_of(network, calibration), report


def side_by_side(models: Sequence[keras.Model]) -> keras.Model:
    """Join networks into one that answers with the mean of their logits."""
    if len(models) == 1:
        return models[0]
    keras, _ = load_tensorflow()
    for number, model in enumerate(models):
        model.name = f"{model.name}_{number}"  # two of the same form have the same name
    inputs = keras.Input(models[0].input_shape[1:], name="mfcc")
    return keras.Model(inputs, keras.layers.Average()([model(inputs) for model in models]))


def describe(report: Report) -> Iterator[str]:
    """Say what quantizing has done, in lines."""
    yield f"{report.patches} windows validated on, right: {100 * report.float_top1:.1f} % in float"
    yield (
        f"{100 * report.int8_top1:.1f} % in int8"
        + (", after training on with its rounding" if report.fine_tuned else "")
        + f"; both name {100 * report.agreement:.1f} % alike, logits differ by "
        f"{report.largest_logit_gap:g} at most"
    )
    listed = ", ".join(f"{count} {name}" for name, count in sorted(report.operations.items()))
    yield f"{report.network_bytes / 1000:.0f} kB, all int8: {listed}"
    yield (
        f"calibrated: temperature {report.temperature:g}; voices of the cast are named with a "
        f"confidence of {100 * report.sureness[0]:.0f} to {100 * report.sureness[1]:.0f} %"
    )


def calibrate(
    logits: NDArray[np.float32], label: NDArray[np.int64], n_characters: int
) -> Calibration:
    """Find what makes probabilities of logits that mean what they say, live.

    Parameters
    ----------
    logits : ndarray of float32, shape (n, n_classes)
        Of patches that training has not seen; characters come first.
    label : ndarray of int64, shape (n,)
        Their classes.
    n_characters : int > 0
        Of the cast. One without patches is taken to be as the mean of the others.

    Returns
    -------
    Calibration

    Notes
    -----
    The temperature is not below 1. A network trained with label smoothing is too modest on a
    single clean patch, and a sharper one is likelier there; but neighbouring patches err together,
    and what is heard live is less clean, so that a smoother fed with it flips more.
    """
    from scipy.special import softmax

    temperature = round(max(1.0, best_temperature(logits, label)), 4)
    best = softmax(logits / temperature, axis=1)[:, :n_characters].max(axis=1)
    usual = float(best[label < n_characters].mean())
    return Calibration(
        temperature,
        tuple(
            round(float(best[label == number].mean()) if (label == number).any() else usual, 4)
            for number in range(n_characters)
        ),
    )


def half_weights(trained: Trained) -> bytes:
    """Give the weights in half precision, as a cast keeps them for those who train on."""
    data = io.BytesIO()
    halves = [w.astype(np.float16) if w.dtype == np.float32 else w for w in trained.weights]
    np.savez_compressed(data, *halves)
    return data.getvalue()


def _read_portrait(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None


def fine_tune(
    trained: Trained, patches: PatchSet, representative: NDArray[np.float32], tell: Progress
) -> keras.Model:
    """Train a network on while its weights and activations are rounded as int8 will round them.

    What it learns is to answer as it did in float. The gradient passes the rounding as if it were
    not there [1]_. Normalisations stay as they are, so that a weight's step, which goes by the
    largest of its filter, is the one it has once they are folded into it.

    Parameters
    ----------
    trained : Trained
        The network.
    patches : PatchSet
        It was trained on.
    representative : ndarray of float32, shape (n, n_mfcc, patch_frames, 1)
        Standardised; the ranges of the activations are read off them.
    tell : callable
        See `quantize`.

    Returns
    -------
    keras.Model
        Still in float, with rounded weights.

    References
    ----------
    .. [1] Jacob et al., "Quantization and Training of Neural Networks for Efficient
       Integer-Arithmetic-Only Inference", CVPR 2018.
    """
    keras, tf = load_tensorflow()

    layer_type: Any = keras.layers.Layer

    class Rounded(layer_type):  # type: ignore[misc]
        def __init__(self, low: float, high: float) -> None:
            super().__init__()
            self._range = min(low, 0.0), max(high, 1e-3)

        def call(self, x: Any) -> Any:
            return tf.quantization.fake_quant_with_min_max_args(x, *self._range)

    exact = trained.model()
    kinds = ("ReLU", "Add", "AveragePooling2D", "GlobalAveragePooling2D", "Dense")
    watched = [layer for layer in exact.layers if type(layer).__name__ in kinds]
    probe = keras.Model(exact.input, [exact.input, *(layer.output for layer in watched)])
    seen = [np.asarray(y) for y in probe(representative, training=False)]
    names = [exact.layers[0].name, *(layer.name for layer in watched)]
    ranges = {name: (float(y.min()), float(y.max())) for name, y in zip(names, seen, strict=True)}

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        y = layer(*args, **kwargs)
        return Rounded(*ranges[layer.name])(y) if layer.name in ranges else y

    model = keras.models.clone_model(
        exact,
        clone_function=lambda layer: type(layer).from_config(layer.get_config()),
        call_function=call,
    )
    model.set_weights(exact.get_weights())
    weights = model.trainable_variables
    masters = [tf.Variable(w) for w in weights]
    optimizer = keras.optimizers.Adam(
        keras.optimizers.schedules.CosineDecay(1e-4, _FINE_TUNE_STEPS)
    )

    def rounded(weight: Any) -> Any:
        if len(weight.shape) < 2:
            return weight
        step = tf.reduce_max(tf.abs(weight), axis=list(range(len(weight.shape) - 1))) / 127
        return tf.round(weight / (step + 1e-12)) * step

    @tf.function  # type: ignore[untyped-decorator, unused-ignore]
    def learn(x: Any) -> None:
        wanted = tf.nn.softmax(exact(x, training=False))
        for weight, master in zip(weights, masters, strict=True):
            weight.assign(rounded(master))
        with tf.GradientTape() as tape:
            logits = model(x, training=False)
            loss = tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(wanted, logits))
        optimizer.apply(tape.gradient(loss, [w.value for w in weights]), masters)

    rng = np.random.default_rng(0)
    for step in range(_FINE_TUNE_STEPS):
        tell("training on with rounding", step, _FINE_TUNE_STEPS)
        chosen = np.sort(rng.integers(len(patches), size=128))
        learn(tf.constant(trained.standardised(patches.mfcc[chosen])))
    for weight, master in zip(weights, masters, strict=True):
        weight.assign(rounded(master))
    exact.set_weights(model.get_weights())
    return exact


def to_int8(model: keras.Model, representative: NDArray[np.float32]) -> bytes:
    """Quantize a network fully to int8: weights, activations, input and output.

    Parameters
    ----------
    model : keras.Model
        In float32.
    representative : ndarray of float32, shape (n, n_mfcc, patch_frames, 1)
        Standardised patches from *training* data; the ranges of the activations are read off
        them.

    Returns
    -------
    bytes
        The ``.tflite`` model.

    Raises
    ------
    ValueError
        If an operation or tensor could not be brought to int8.
    """
    keras, tf = load_tensorflow()

    def samples() -> Iterator[list[NDArray[np.float32]]]:
        for patch in representative[:REPRESENTATIVE]:
            yield [patch[None]]

    # By way of a saved model: from_keras_model looks for the Keras 2 that TensorFlow once held.
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda patch: model(patch, training=False),
        [keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32")],
    )
    with tempfile.TemporaryDirectory() as folder:
        try:
            archive.write_out(folder, verbose=False)
        except tf.errors.OpError as error:
            why = error.message.rpartition("; ")[2].partition(" [Op:")[0]  # after whose it is
            raise TrainingError(
                f"{tempfile.gettempdir()}: cannot be written: {why}; make room, or name another "
                "folder for temporary files by TMPDIR"
            ) from None
        with quiet_stderr():
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            network = _convert(tf, converter, samples)
    foreign = sorted(non_int8_tensors(network))
    if foreign:
        raise ValueError(f"not fully int8: {', '.join(foreign[:5])}")
    return network


def _convert(tf: Any, converter: Any, samples: Callable[[], Iterator[object]]) -> bytes:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    network: bytes = converter.convert()
    return network


def non_int8_tensors(network: bytes) -> list[str]:
    """Names of the tensors that are neither int8 nor, as biases and shapes are, int32."""
    interpreter = load_interpreter(network)
    return [
        f"{tensor['name']} ({np.dtype(tensor['dtype']).name})"
        for tensor in interpreter.get_tensor_details()
        if tensor["dtype"] not in (np.int8, np.int32) and tensor["name"]
    ]


def operations(network: bytes) -> dict[str, int]:
    """Count the operations of a ``.tflite`` model by name."""
    interpreter: Any = load_interpreter(network)
    counts: dict[str, int] = {}
    for operation in interpreter._get_ops_details():
        counts[operation["op_name"]] = counts.get(operation["op_name"], 0) + 1
    counts.pop("DELEGATE", None)  # how the runtime runs them here, not part of the file
    return counts


def best_temperature(logits: NDArray[np.float32], label: NDArray[np.int64]) -> float:
    """Temperature that makes the softmax of held-out logits most likely.

    Parameters
    ----------
    logits : ndarray of float32, shape (n, n_classes)
        Of patches that training has not seen.
    label : ndarray of int64, shape (n,)
        Their classes.

    Returns
    -------
    float
        0.2 to 5.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scores[np.arange(len(label)), label].mean())

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5)), method="bounded")
    return float(np.exp(found.x))
