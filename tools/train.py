"""Training a network on patches. Needs the extra ``train``.

A training is a folder: ``training.json`` says what it is and how far it got, ``weights.npz`` holds
the weights of its best epoch, ``state.npz`` what is needed to go on, ``curve.png`` its course.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import KikiwakeError
from ..models.cast import load_cast
from ..models.wrn import NETWORKS, NetworkSettings, build_wrn
from ..quiet import quiet_stderr
from .cepstra import Beds, make_beds
from .dataset import PARTS, Dataset, PatchSet

if TYPE_CHECKING:
    import keras

CARD = "training.json"
WEIGHTS = "weights.npz"
STATE = "state.npz"
CURVE = "curve.png"

_Float = NDArray[np.float32]


class TrainingError(KikiwakeError):
    """A training cannot be begun, gone on with, or read."""


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a network is trained.

    Attributes
    ----------
    epochs : int > 0
        Passes over the training patches.
    batch : int > 0
        Patches in a step.
    learning_rate : float > 0
        The highest.
    schedule : {"cosine", "plateau"}
        Up within the first steps and down along a cosine; or halved when the validation loss has
        not become less for 20 epochs, as the origin's.
    weight_decay : float >= 0
        Of AdamW [1]_. The convolutions of a network over patches have an L2 penalty instead.
    label_smoothing : float >= 0, < 1
        Share of the target given to all classes.
    balance : float, 0 to 1
        Patches of a class of n are drawn as often as ``n ** -balance`` says: 0 as often as any,
        1 all classes alike.
    shift : float, 0 to 1
        Share of the patches that begin later, and end in the one that follows, where one follows.
    beds : float, 0 to 1
        Share of the patches that a background is laid under, where the data set has none of its
        own: see `.cepstra`.
    masks : int >= 0
        Of SpecAugment [2]_: bands of coefficients and stretches of frames that are taken out.
    mixup : float, 0 to 1
        Share of the batches that are blended [3]_.
    average : float >= 0, < 1
        Momentum of the exponential average of the weights, which is what is kept.
    patience : int >= 0
        Epochs without a better validation after which to stop; the best one's weights are kept.
        0 goes on to the end and keeps the last.
    per_coefficient : bool
        Coefficients are standardised each by itself, or all by one mean and deviation.

    References
    ----------
    .. [1] Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    .. [2] Park et al., "SpecAugment", Interspeech 2019.
    .. [3] Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """

    epochs: int = 30
    batch: int = 128
    learning_rate: float = 2e-3
    schedule: Literal["cosine", "plateau"] = "cosine"
    weight_decay: float = 0.02
    label_smoothing: float = 0.1
    balance: float = 0.5
    shift: float = 0.5
    beds: float = 0.5
    masks: int = 2
    mixup: float = 0.3
    average: float = 0.995
    patience: int = 0
    per_coefficient: bool = True


# Of Adam with a constant rate, nothing augmented, nothing balanced: train.py of devil-ear.
ORIGIN = Recipe(
    epochs=400,
    batch=100,
    learning_rate=5e-4,
    schedule="plateau",
    weight_decay=0,
    label_smoothing=0,
    balance=0,
    shift=0,
    beds=0,
    masks=0,
    mixup=0,
    average=0,
    per_coefficient=False,
)
RECIPES = {name: ORIGIN if name == "origin" else Recipe() for name in NETWORKS}
PRESETS = tuple(NETWORKS)


class Epoch(msgspec.Struct, frozen=True):
    """The figures of an epoch; those of the validation are the averaged weights'."""

    loss: float
    validation_loss: float
    validation_top1: float


class TrainingCard(msgspec.Struct, frozen=True, kw_only=True):
    """The text part of a training.

    Attributes
    ----------
    format, version
        What this folder is.
    network : NetworkSettings
        Form of the network.
    recipe : Recipe
        How it is trained.
    seed : int
        Of the weights and of all that is drawn.
    n_coefficients, n_frames, n_classes : int
        Shape of a patch, and classes.
    mean, std : tuple of float
        Of each coefficient over the training patches.
    begun_with : str
        Digest of the patches and of the weights it starts from: it can only be gone on with on
        the same.
    epochs : tuple of Epoch
        Those done.
    finished : bool
        There will be no more.
    """

    format: Literal["kikiwake-training"] = "kikiwake-training"
    version: Literal[1] = 1
    network: NetworkSettings
    recipe: Recipe
    seed: int
    n_coefficients: int
    n_frames: int
    n_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    begun_with: str
    epochs: tuple[Epoch, ...] = ()
    finished: bool = False

    @property
    def best(self) -> int:
        """The epoch whose weights are kept, counted from 0."""
        if self.recipe.patience == 0:
            return len(self.epochs) - 1
        return max(range(len(self.epochs)), key=lambda n: self.epochs[n].validation_top1)


Tell = Callable[[TrainingCard, float], None]


class Trained(msgspec.Struct, frozen=True):
    """A training, read.

    Attributes
    ----------
    card : TrainingCard
        What it is.
    weights : list of ndarray
        Of the best epoch, as `keras.Model.get_weights` gives them.
    """

    card: TrainingCard
    weights: list[NDArray[Any]]

    def model(self) -> keras.Model:
        """Build the network, in float32."""
        card = self.card
        load_tensorflow()
        model = build_wrn(
            card.network,
            n_coefficients=card.n_coefficients,
            n_frames=card.n_frames,
            n_classes=card.n_classes,
        )
        model.set_weights(self.weights)
        return model

    def standardised(self, mfcc: NDArray[np.floating[Any]]) -> _Float:
        """Patches as the network sees them."""
        return standardise(mfcc, np.asarray(self.card.mean), np.asarray(self.card.std))


def normalisation(
    patches: PatchSet, *, per_coefficient: bool = True
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each coefficient, or of all, shapes (n_mfcc,)."""
    axes = (0, 2) if per_coefficient else (0, 1, 2)
    mean = patches.mfcc.mean(axis=axes, dtype=np.float64)
    std = patches.mfcc.std(axis=axes, dtype=np.float64)
    shape = patches.mfcc.shape[1]
    return np.resize(mean, shape), np.resize(np.maximum(std, 1e-3), shape)


def standardise(
    mfcc: NDArray[np.floating[Any]], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> _Float:
    """Patches as the network sees them: (n, n_mfcc, frames) to (n, n_mfcc, frames, 1)."""
    scaled = (mfcc - mean[:, None].astype(np.float32)) / std[:, None].astype(np.float32)
    return scaled.astype(np.float32, copy=False)[..., None]


def train(
    training: PatchSet,
    validation: PatchSet,
    *,
    network: NetworkSettings,
    recipe: Recipe,
    n_classes: int,
    folder: Path,
    following: NDArray[np.int64] | None = None,
    beds: Beds | None = None,
    start: Sequence[NDArray[Any]] | None = None,
    seed: int = 0,
    tell: Tell | None = None,
) -> Trained:
    """Train a network; stopped at any moment, it goes on from the last whole epoch.

    Gone on with, it ends with the same weights as one that was never stopped.

    Parameters
    ----------
    training, validation : PatchSet
        From different recordings or sentences.
    network : NetworkSettings
        Form of the network.
    recipe : Recipe
        How to train it.
    n_classes : int > 0
        Characters and background.
    folder : Path
        Of the training.
    following : ndarray of int64, shape (n,), optional
        For each training patch the number of the one that follows it in the same sound, or -1.
    beds : Beds, optional
        To lay under patches.
    start : sequence of ndarray, optional
        Weights of a network of the same form to start from; those of the last layer are taken only
        if it has as many classes.
    seed : int
        Of the weights and of all that is drawn.
    tell : callable, optional
        Called now and then with the card and how much of the present epoch is done, 0 to 1.

    Returns
    -------
    Trained
        With the exponential average of its weights over the steps.

    Raises
    ------
    TrainingError
        The folder holds another training, cannot be written, or `start` is of another form.
    ValueError
        There is nothing to train or to validate on.
    """
    if not len(training) or not len(validation):
        raise ValueError("there must be patches to train on and patches to validate on")
    mean, std = normalisation(training, per_coefficient=recipe.per_coefficient)
    card = TrainingCard(
        network=network,
        recipe=recipe,
        seed=seed,
        n_coefficients=training.mfcc.shape[1],
        n_frames=training.mfcc.shape[2],
        n_classes=n_classes,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
        begun_with=_digest(training, validation, start),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be made: {error.strerror}") from None
    state: list[NDArray[Any]] = []
    before = None
    if (folder / STATE).exists():
        *state, text = read_weights(folder / STATE)
        before = _card(text.tobytes(), folder / STATE)
    elif (folder / CARD).exists():
        before = read_card(folder)
    if before is not None:
        if msgspec.structs.replace(before, epochs=(), finished=False) != card:
            raise TrainingError(
                f"{folder}: holds a training with other patches or settings; go on with those, "
                "remove it, or choose another folder with --to"
            )
        if before.finished:
            return read_training(folder)
        card = before
    run = _Run(card, _Batches(card, training, following, beds), validation, start, folder, state)
    while not card.finished:
        card = run.epoch(card, tell or (lambda card, done: None))
    return read_training(folder)


def train_on(
    data: Dataset,
    *,
    preset: str,
    recipe: Recipe,
    folder: Path,
    start: Sequence[NDArray[Any]] | None = None,
    seed: int = 0,
    tell: Tell | None = None,
) -> Trained:
    """Train a network of a preset on a data set; see `train`.

    Raises
    ------
    TrainingError
        Also where the data set has nothing to train or to validate on.
    """
    numbers = {part: data.part(part) for part in PARTS}
    for part, its in numbers.items():
        if not len(its):
            raise TrainingError(
                f"{data.folder}: holds no patches for {part}; build it of more clips"
            )
    # Composed patches have their backgrounds already.
    bare = recipe.beds and not data.card.background
    return train(
        *(data.patches(numbers[part]) for part in PARTS),
        network=NETWORKS[preset],
        recipe=recipe,
        n_classes=data.card.n_classes,
        folder=folder,
        following=following_patches(data.rows[numbers["train"]], data.card.features.patch_s),
        beds=make_beds(data.card.features, seed) if bare else None,
        start=start,
        seed=seed,
        tell=tell,
    )


class _Run:
    """A network being trained."""

    def __init__(
        self,
        card: TrainingCard,
        batches: _Batches,
        validation: PatchSet,
        start: Sequence[NDArray[Any]] | None,
        folder: Path,
        state: Sequence[NDArray[Any]],
    ) -> None:
        keras, tf = load_tensorflow()
        # The same steps give the same weights, whether they were stopped in between or not.
        keras.utils.set_random_seed(card.seed)
        tf.config.experimental.enable_op_determinism()
        self._folder = folder
        self._recipe = recipe = card.recipe
        self._batches = batches
        self._steps = batches.steps
        mean, std = np.asarray(card.mean), np.asarray(card.std)
        self._held_out = standardise(validation.mfcc, mean, std), validation.label
        shape = {
            "n_coefficients": card.n_coefficients,
            "n_frames": card.n_frames,
            "n_classes": card.n_classes,
        }
        policy = keras.mixed_precision.global_policy()
        keras.mixed_precision.set_global_policy(
            "mixed_bfloat16" if _likes_bfloat16() else "float32"
        )
        try:
            self._model = build_wrn(card.network, **shape)
        finally:
            keras.mixed_precision.set_global_policy(policy)
        # What is validated and kept: the same network in float32, with the averaged weights.
        self._averaged = build_wrn(card.network, **shape)
        if start is not None:
            _set_weights(self._model, start)
        self._averaged.set_weights(self._model.get_weights())
        if recipe.schedule == "cosine":
            steps = recipe.epochs * self._steps
            warmup = min(200, steps // 5)
            rate = keras.optimizers.schedules.CosineDecay(
                1e-5,
                max(1, steps - warmup),
                warmup_target=recipe.learning_rate,
                warmup_steps=warmup,
            )
        else:
            rate = recipe.learning_rate
        if recipe.weight_decay:
            optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
            optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
        else:
            optimizer = keras.optimizers.Adam(rate)
        optimizer.build(self._model.trainable_variables)
        self._optimizer = optimizer
        self._step = self._make_step(keras, tf)
        if state:
            self._restore(state)

    def epoch(
        self, card: TrainingCard, tell: Callable[[TrainingCard, float], None]
    ) -> TrainingCard:
        """Train for an epoch, keep its state, and tell what the training is now."""
        loss, recipe = 0.0, self._recipe
        for step, (x, target) in enumerate(self._batches.epoch(len(card.epochs))):
            loss += float(self._step(x, target))
            tell(card, (step + 1) / self._steps)
        done = Epoch(loss / self._steps, *self._validate())
        card = msgspec.structs.replace(card, epochs=(*card.epochs, done))
        if recipe.schedule == "plateau":
            self._lower_the_rate(card.epochs)
        late = recipe.patience and len(card.epochs) - 1 - card.best >= recipe.patience
        card = msgspec.structs.replace(
            card, finished=len(card.epochs) >= recipe.epochs or bool(late)
        )
        self._keep(card)
        tell(card, 0.0)
        return card

    def _make_step(self, keras: Any, tf: Any) -> Callable[[_Float, _Float], Any]:
        model, optimizer, recipe = self._model, self._optimizer, self._recipe
        crossentropy = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        )
        pairs = list(zip(self._averaged.weights, model.weights, strict=True))

        @tf.function  # type: ignore[untyped-decorator, unused-ignore]
        def step(x: Any, target: Any, keep: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = crossentropy(target, model(x, training=True))
                whole = tf.add_n([loss, *model.losses])
            optimizer.apply(tape.gradient(whole, model.trainable_variables))
            for average, weight in pairs:
                value = tf.cast(weight, average.dtype)
                if average.dtype.startswith("float"):
                    value += keep * (average - value)
                average.assign(value)
            return loss

        def run(x: _Float, target: _Float) -> Any:
            # Nearer in the first steps: an average of mostly untrained weights is none.
            count = int(optimizer.iterations)
            keep = min(recipe.average, (1 + count) / (10 + count))
            return step(tf.constant(x), tf.constant(target), tf.constant(keep, tf.float32))

        return run

    def _validate(self) -> tuple[float, float]:
        from scipy.special import log_softmax

        x, label = self._held_out
        logits = np.concatenate(
            [
                np.asarray(self._averaged(x[at : at + 256], training=False))
                for at in range(0, len(x), 256)
            ]
        )
        likely = log_softmax(logits.astype(np.float64), axis=1)
        right = float(np.mean(likely.argmax(axis=1) == label))
        return -float(likely[np.arange(len(label)), label].mean()), right

    def _lower_the_rate(self, epochs: tuple[Epoch, ...], patience: int = 20) -> None:
        """Halve the rate after so many epochs without a lower validation loss."""
        best = min(range(len(epochs)), key=lambda n: epochs[n].validation_loss)
        waited = len(epochs) - 1 - best
        if waited and waited % patience == 0:
            self._optimizer.learning_rate = float(self._optimizer.learning_rate) / 2

    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._optimizer.variables, *self._averaged.weights]

    def _keep(self, card: TrainingCard) -> None:
        """Write all that is needed to go on as one file: it is of one epoch, or of another."""
        state = [np.asarray(variable.value) for variable in self._variables()]
        if card.best == len(card.epochs) - 1:
            write_weights(self._folder / WEIGHTS, self._averaged.get_weights())
        if not card.finished:
            write_weights(self._folder / STATE, [*state, np.frombuffer(_text(card), np.uint8)])
        try:
            _replace(self._folder / CARD, _text(card))
            if card.finished:
                _draw_curve(card, self._folder / CURVE)
                (self._folder / STATE).unlink(missing_ok=True)
        except OSError as error:
            raise TrainingError(f"{self._folder}: cannot be written: {error.strerror}") from None

    def _restore(self, state: Sequence[NDArray[Any]]) -> None:
        variables = self._variables()
        if [value.shape for value in state] != [tuple(v.shape) for v in variables]:
            raise TrainingError(f"{self._folder}: its state is damaged; remove the folder")
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)


class _Batches:
    """Draws, augments and blends batches; the same for an epoch whenever it is trained."""

    def __init__(
        self,
        card: TrainingCard,
        training: PatchSet,
        following: NDArray[np.int64] | None,
        beds: Beds | None,
    ) -> None:
        self.steps = max(1, len(training) // card.recipe.batch)  # of an epoch
        self._beds = beds
        self._card = card
        self._training = training
        self._following = following
        self._mean, self._std = np.asarray(card.mean), np.asarray(card.std)
        counts = np.bincount(training.label, minlength=card.n_classes)
        share = counts[training.label] ** -card.recipe.balance
        self._share = share / share.sum()

    def epoch(self, epoch: int) -> Iterator[tuple[_Float, _Float]]:
        """Give the batches of an epoch: patches as the network sees them, and their targets."""
        recipe, n, steps = self._card.recipe, len(self._training), self.steps
        rng = np.random.default_rng((self._card.seed, epoch))
        if recipe.balance:
            order = rng.choice(n, steps * recipe.batch, p=self._share)
        else:
            order = np.resize(rng.permutation(n), steps * recipe.batch)
        # One ahead: a batch is made while the network learns from the one before.
        with ThreadPoolExecutor(1) as maker:
            made = deque[Future[tuple[_Float, _Float]]]()
            for step, numbers in enumerate(np.split(order, steps)):
                made.append(maker.submit(self._batch, numbers, (self._card.seed, epoch, step)))
                if len(made) > 2:
                    yield made.popleft().result()
            while made:
                yield made.popleft().result()

    def _batch(
        self, numbers: NDArray[np.int64], seed: tuple[int, int, int]
    ) -> tuple[_Float, _Float]:
        recipe, rng = self._card.recipe, np.random.default_rng(seed)
        mfcc = self._training.mfcc[numbers].astype(np.float32)
        if self._following is not None:
            self._shift(mfcc, self._following[numbers], rng)
        if self._beds is not None:
            self._beds.under(mfcc, recipe.beds, rng)
        x = standardise(mfcc, self._mean, self._std)
        target = np.eye(self._card.n_classes, dtype=np.float32)[self._training.label[numbers]]
        for _ in range(recipe.masks):
            _mask(x, rng)
        if rng.random() < recipe.mixup:
            other = rng.permutation(len(x))
            mine = rng.beta(0.4, 0.4, len(x)).astype(np.float32)
            x = _blend(x, x[other], mine[:, None, None, None])
            target = _blend(target, target[other], mine[:, None])
        return x, target

    def _shift(self, mfcc: _Float, following: NDArray[np.int64], rng: np.random.Generator) -> None:
        """Let some patches begin later, and end in the one that follows them.

        Frames are centred, so that a patch has one more than it has hops: the last of a patch is
        about the first of the next.
        """
        frames = mfcc.shape[2]
        shifted = (rng.random(len(mfcc)) < self._card.recipe.shift) & (following >= 0)
        for at in np.flatnonzero(shifted):
            by = int(rng.integers(1, frames - 1))
            after = self._training.mfcc[following[at]]
            mfcc[at] = np.concatenate([mfcc[at][:, by:-1], after[:, : by + 1]], axis=1)


def _mask(patches: _Float, rng: np.random.Generator) -> None:
    """SpecAugment on cepstra: a band of coefficients and a stretch of frames set to the mean."""
    _, n_coefficients, n_frames, _ = patches.shape
    for patch in patches:
        width = int(rng.integers(0, 6))
        first = int(rng.integers(0, n_coefficients - width + 1))
        patch[first : first + width] = 0
        width = int(rng.integers(0, 8))
        first = int(rng.integers(0, n_frames - width + 1))
        patch[:, first : first + width] = 0


def _blend(a: _Float, b: _Float, share: _Float) -> _Float:
    return share * a + (1 - share) * b


def following_patches(rows: NDArray[np.void], patch_s: float) -> NDArray[np.int64]:
    """Find for each patch the one that follows it in the same sound.

    Parameters
    ----------
    rows : ndarray of `.dataset.ROW`, shape (n,)
        The patches.
    patch_s : float
        Length of a patch in seconds.

    Returns
    -------
    ndarray of int64, shape (n,)
        Its number, or -1.
    """
    order = np.lexsort([rows["time_s"], rows["clip"], rows["label"], rows["recording"]])
    this, after = rows[order[:-1]], rows[order[1:]]
    same = np.logical_and.reduce([this[k] == after[k] for k in ("clip", "label", "recording")])
    same &= np.abs(after["time_s"].astype(np.float64) - this["time_s"] - patch_s) < 1e-3
    found = np.full(len(rows), -1, np.int64)
    found[order[:-1][same]] = order[1:][same]
    return found


def read_training(folder: Path) -> Trained:
    """Read a training, finished or not.

    Raises
    ------
    TrainingError
        There is none, or it is damaged.
    """
    return Trained(read_card(folder), read_weights(folder / WEIGHTS))


def read_card(folder: Path) -> TrainingCard:
    """Read what a training is and how far it got; errors as `read_training`."""
    path = folder / CARD
    try:
        return _card(path.read_bytes(), path)
    except FileNotFoundError:
        raise TrainingError(f"{folder}: holds no training; kikiwake train makes one") from None
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror}") from None


def write_weights(path: Path, weights: Sequence[NDArray[Any]]) -> None:
    """Write weights, whole or not at all.

    Raises
    ------
    TrainingError
        They cannot be written.
    """
    data = io.BytesIO()
    np.savez(data, *weights)
    try:
        _replace(path, data.getvalue())
    except OSError as error:
        raise TrainingError(f"{path}: cannot be written: {error.strerror}") from None


def read_weights(path: Path, file: BinaryIO | None = None) -> list[NDArray[Any]]:
    """Read weights in the order in which they were written; nothing in them is executed.

    Parameters
    ----------
    path : Path
        Where they are.
    file : file-like, optional
        To be read instead, where they are in another file.

    Raises
    ------
    TrainingError
        They cannot be read.
    """
    try:
        with np.load(file or path, allow_pickle=False) as arrays:
            return [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise TrainingError(f"{path}: is damaged ({error}); train again") from None


def weights_to_start(source: Path) -> list[NDArray[Any]]:
    """Read weights to start from: of a training's folder, or those that a cast keeps.

    Raises
    ------
    TrainingError
        There are none.
    CastError
        It is no cast.
    """
    if source.is_dir():
        return read_training(source).weights
    weights = load_cast(source).weights
    if weights is None:
        raise TrainingError(f"{source}: keeps no weights to start from; name a training's folder")
    return read_weights(source, io.BytesIO(weights))


def _set_weights(model: keras.Model, start: Sequence[NDArray[Any]]) -> None:
    """Start from weights of another training; the last layer's only where they fit."""
    weights = model.get_weights()
    head = len(model.layers[-1].get_weights())
    if [w.shape for w in weights[:-head]] != [w.shape for w in start[:-head]]:
        raise TrainingError("the network to start from is of another form; choose its preset")
    fits = [w.shape for w in weights] == [w.shape for w in start]
    model.set_weights([*start] if fits else [*start[:-head], *weights[-head:]])


def load_tensorflow() -> tuple[Any, Any]:
    """Import Keras and TensorFlow, and find the devices, without their greetings.

    Returns
    -------
    keras, tensorflow : module
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        import keras
        import tensorflow as tf

        tf.config.list_physical_devices()
        tf.zeros(1)  # the first operation greets, too
    return keras, tf


def _likes_bfloat16() -> bool:
    """Tell whether steps are faster in bfloat16: on GPUs, and where AVX-512 is a recent one."""
    import tensorflow as tf

    found = np.show_config(mode="dicts")
    extensions = found["SIMD Extensions"]["found"] if found else []
    return bool(tf.config.list_physical_devices("GPU")) or "AVX512_ICL" in extensions


def _draw_curve(card: TrainingCard, path: Path) -> None:
    from matplotlib.figure import Figure

    epochs = np.arange(1, len(card.epochs) + 1)
    figure = Figure((8, 4.5), layout="constrained")
    losses = figure.subplots()
    losses.plot(epochs, [e.loss for e in card.epochs], label="loss, training")
    losses.plot(epochs, [e.validation_loss for e in card.epochs], label="loss, validation")
    losses.set_xlabel("epoch")
    losses.set_ylabel("loss")
    right = losses.twinx()
    right.plot(epochs, [100 * e.validation_top1 for e in card.epochs], "C2", label="right")
    right.axvline(card.best + 1, color="0.7", linestyle=":")
    right.set_ylabel("validation patches right, %")
    figure.legend(loc="outside upper center", ncols=3)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    _replace(path, data.getvalue())


def _digest(training: PatchSet, validation: PatchSet, start: Sequence[NDArray[Any]] | None) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for patches in (training, validation):
        for array in (patches.mfcc, patches.label):
            digest.update(np.ascontiguousarray(array).data)
    for weight in start or ():
        digest.update(np.ascontiguousarray(weight).data)
    return digest.hexdigest()


def _card(text: bytes, path: Path) -> TrainingCard:
    try:
        return msgspec.json.decode(text, type=TrainingCard)
    except (ValueError, RecursionError) as error:
        raise TrainingError(f"{path}: is damaged: {error}") from None


def _text(card: TrainingCard) -> bytes:
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
