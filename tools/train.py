"""Training a network on patches. Needs the extra ``train``."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..files import is_empty, write_file
from ..models.wrn import NETWORKS, NetworkSettings, build_wrn
from .batches import Batch, Batches, following_patches
from .cepstra import Beds, make_beds
from .dataset import PARTS, Dataset, PatchSet, VoiceSet
from .training import (
    CARD,
    CURVE,
    STATE,
    WEIGHTS,
    Epoch,
    Recipe,
    Tell,
    Trained,
    TrainingCard,
    TrainingError,
    card_of,
    draw_curve,
    load_tensorflow,
    normalisation,
    read_card,
    read_training,
    read_weights,
    standardise,
    text_of,
    write_weights,
)
from .voice_encoder import LENGTH

if TYPE_CHECKING:
    import keras

_Float = NDArray[np.float32]


def train(
    training: PatchSet,
    validation: PatchSet,
    *,
    network: NetworkSettings,
    recipe: Recipe,
    n_classes: int,
    folder: Path,
    names: Sequence[str] = (),
    following: NDArray[np.int64] | None = None,
    beds: Callable[[], Beds] | None = None,
    voices: VoiceSet | None = None,
    start: Sequence[NDArray[Any]] | None = None,
    teachers: Sequence[Trained] = (),
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
    names : sequence of str, optional
        Of the classes.
    following : ndarray of int64, shape (n,), optional
        For each training patch the number of the one that follows it in the same sound, or -1.
    beds : callable, optional
        Makes backgrounds to lay under patches; they are made when there is something to train.
    voices : VoiceSet, optional
        Other voices, from which the network also learns what voices differ in.
    start : sequence of ndarray, optional
        Weights of a network of the same form to start from; those of the last layer are taken only
        if it has as many classes.
    teachers : sequence of Trained, optional
        Trainings on the same patches, of any form, whose mean posterior this one learns too.
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
        The folder holds another training, cannot be written, `start` is of another form, or a
        teacher was trained on other patches.
    ValueError
        There is nothing to train or to validate on.
    """
    if not len(training) or not len(validation):
        raise ValueError("there must be patches to train on and patches to validate on")
    if not recipe.perturbed:
        voices = None
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
        patches=digest_of(names, training, validation),
        voices="" if voices is None else _digest([voices.mfcc, voices.vector]),
        start="" if start is None else _digest(start),
        teachers=tuple(_digest(teacher.weights) for teacher in teachers),
    )
    # As it is read again: a recipe may have been given 0 for 0.0.
    card = msgspec.convert(msgspec.to_builtins(card), TrainingCard)
    for teacher in teachers:
        if (teacher.card.patches, teacher.card.mean) != (card.patches, card.mean):
            raise TrainingError("a teacher was trained on other patches; train it on these")
    finite = [mean, std, validation.mfcc, *((voices.mfcc, voices.vector) if voices else ())]
    if not all(np.isfinite(array).all() for array in finite):
        raise TrainingError("the patches hold what is no number; build the data set again")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be made: {error.strerror}") from None
    state: list[NDArray[Any]] = []
    before = None
    if (folder / STATE).exists():
        *state, text = read_weights(folder / STATE)
        before = card_of(text.tobytes(), folder / STATE)
    elif (folder / CARD).exists():
        before = read_card(folder)
    elif not is_empty(folder):
        raise TrainingError(
            f"{folder}: is not empty, and no training; choose another folder with --to"
        )
    if before is not None and before.epochs:
        if msgspec.structs.replace(before, epochs=(), finished=False) != card:
            raise TrainingError(
                f"{folder}: holds a training with other patches or settings; go on with those, "
                "remove it, or choose another folder with --to"
            )
        if before.finished:
            return read_training(folder)
        if not state:
            raise TrainingError(f"{folder}: its {STATE} is missing; remove it and train again")
        card = before
    else:
        # From now on, what is in there is a training's, however far its first epoch gets.
        _write_card(folder, card)
    run = _Run(
        card,
        Batches(card, training, following, beds() if beds else None, voices),
        validation,
        start,
        teachers,
        folder,
        state,
    )
    while not card.finished:
        card = run.epoch(card, tell or (lambda card, done: None))
    return read_training(folder)


def train_on(
    data: Dataset,
    *,
    network: NetworkSettings,
    recipe: Recipe,
    folder: Path,
    start: Sequence[NDArray[Any]] | None = None,
    teachers: Sequence[Trained] = (),
    seed: int = 0,
    tell: Tell | None = None,
) -> Trained:
    """Train a network on a data set; see `train`.

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
        network=network,
        recipe=recipe,
        n_classes=data.card.n_classes,
        names=names_of(data),
        folder=folder,
        following=following_patches(data.rows[numbers["train"]], data.card.features.patch_s),
        beds=(lambda: make_beds(data.card.features, seed)) if bare else None,
        voices=data.voices() if recipe.perturbed else None,
        start=start,
        teachers=teachers,
        seed=seed,
        tell=tell,
    )


class _Run:
    """A network being trained."""

    def __init__(
        self,
        card: TrainingCard,
        batches: Batches,
        validation: PatchSet,
        start: Sequence[NDArray[Any]] | None,
        teachers: Sequence[Trained],
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
            # The same network, which also says what the voice encoder would.
            self._listening = _listening(self._model) if card.voices else self._model
            self._teachers = [build_wrn(teacher.card.network, **shape) for teacher in teachers]
        finally:
            keras.mixed_precision.set_global_policy(policy)
        for model, teacher in zip(self._teachers, teachers, strict=True):
            model.set_weights(teacher.weights)
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
        optimizer.build(self._listening.trainable_variables)
        self._optimizer = optimizer
        self._step = self._make_step(keras, tf)
        if state:
            self._restore(state)

    def epoch(
        self, card: TrainingCard, tell: Callable[[TrainingCard, float], None]
    ) -> TrainingCard:
        """Train for an epoch, keep its state, and tell what the training is now."""
        sums, recipe = np.zeros(2), self._recipe
        for step, batch in enumerate(self._batches.epoch(len(card.epochs))):
            sums += np.asarray(self._step(batch))
            tell(card, (step + 1) / self._steps)
        if not np.isfinite(sums).all():
            raise TrainingError(
                f"{self._folder}: the loss of epoch {len(card.epochs) + 1} is no number; what was "
                "trained before is kept; train with another seed"
            )
        done = Epoch(float(sums[0]) / self._steps, *self._validate())
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

    def _make_step(self, keras: Any, tf: Any) -> Callable[[Batch], Any]:
        """Make what learns from a batch; it gives the loss of the names, and that of all."""
        model, optimizer, recipe = self._listening, self._optimizer, self._recipe
        crossentropy = keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=recipe.label_smoothing
        )
        teachers, with_voices = self._teachers, self._listening is not self._model
        pairs = list(zip(self._averaged.weights, self._model.weights, strict=True))

        @tf.function  # type: ignore[untyped-decorator, unused-ignore]
        def step(x: Any, target: Any, vector: Any, keep: Any) -> Any:
            named = tf.shape(target)[0]
            if teachers:
                # Of the very patches that are learnt from, augmented and blended as they are.
                said = [tf.nn.softmax(teacher(x[:named], training=False)) for teacher in teachers]
                target += recipe.taught * (tf.add_n(said) / len(said) - target)
            with tf.GradientTape() as tape:
                logits, others = model(x, training=True), [*model.losses]
                if with_voices:
                    logits, heard = logits
                    towards = tf.math.l2_normalize(heard[named:], axis=1)
                    off = 1 - tf.reduce_mean(tf.reduce_sum(towards * vector, axis=1))
                    others.append(recipe.perturbed * off)
                loss = crossentropy(target, logits[:named])
                whole = tf.add_n([loss, *others])
            optimizer.apply(tape.gradient(whole, model.trainable_variables))
            for average, weight in pairs:
                value = tf.cast(weight, average.dtype)
                if average.dtype.startswith("float"):
                    value += keep * (average - value)
                average.assign(value)
            return tf.stack([loss, whole])

        def run(batch: Batch) -> Any:
            # Nearer in the first steps: an average of mostly untrained weights is none.
            count = int(optimizer.iterations)
            keep = min(recipe.average, (1 + count) / (10 + count))
            return step(*map(tf.constant, batch), tf.constant(keep, tf.float32))

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
        return [*self._listening.variables, *self._optimizer.variables, *self._averaged.weights]

    def _keep(self, card: TrainingCard) -> None:
        """Write all that is needed to go on as one file: it is of one epoch, or of another."""
        state = [np.asarray(variable.value) for variable in self._variables()]
        if card.best == len(card.epochs) - 1:
            write_weights(self._folder / WEIGHTS, self._averaged.get_weights())
        if not card.finished:
            write_weights(self._folder / STATE, [*state, np.frombuffer(text_of(card), np.uint8)])
        _write_card(self._folder, card)
        if card.finished:
            try:
                draw_curve(card, self._folder / CURVE)
                (self._folder / STATE).unlink(missing_ok=True)
            except OSError as error:
                raise TrainingError(
                    f"{self._folder}: cannot be written: {error.strerror}"
                ) from None

    def _restore(self, state: Sequence[NDArray[Any]]) -> None:
        variables = self._variables()
        if [value.shape for value in state] != [tuple(v.shape) for v in variables]:
            raise TrainingError(f"{self._folder}: its state is damaged; remove the folder")
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)


def _write_card(folder: Path, card: TrainingCard) -> None:
    try:
        write_file(folder / CARD, text_of(card))
    except OSError as error:
        raise TrainingError(f"{folder}: cannot be written: {error.strerror}") from None


def _listening(model: keras.Model) -> keras.Model:
    """Give the network a second output: what the voice encoder makes of the voice."""
    import keras

    vector = keras.layers.Dense(LENGTH, dtype="float32", name="vector")(model.layers[-1].input)
    return keras.Model(model.inputs, [*model.outputs, vector])


def _set_weights(model: keras.Model, start: Sequence[NDArray[Any]]) -> None:
    """Start from weights of another training; the last layer's only where they fit."""
    weights = model.get_weights()
    head = len(model.layers[-1].get_weights())
    form = [w.shape for w in start[:-head]]
    if [w.shape for w in weights[:-head]] != form:
        _, n_coefficients, n_frames, _ = model.input_shape
        for preset, settings in NETWORKS.items():
            other = build_wrn(
                settings, n_coefficients=n_coefficients, n_frames=n_frames, n_classes=1
            )
            if [w.shape for w in other.get_weights()[:-head]] == form:
                raise TrainingError(
                    f"the network to start from is of another form; --preset {preset} has it"
                )
        raise TrainingError(
            "the network to start from is for other features, or of a form that no preset has, as "
            "those of earlier versions"
        )
    fits = [w.shape for w in weights] == [w.shape for w in start]
    model.set_weights([*start] if fits else [*start[:-head], *weights[-head:]])


def _likes_bfloat16() -> bool:
    """Tell whether steps are faster in bfloat16: on GPUs, and where AVX-512 is a recent one."""
    import tensorflow as tf

    found = np.show_config(mode="dicts")
    extensions = found["SIMD Extensions"]["found"] if found else []
    return bool(tf.config.list_physical_devices("GPU")) or "AVX512_ICL" in extensions


def names_of(data: Dataset) -> list[str]:
    """Names of the classes of a data set, as `digest_of` takes them."""
    return [f"{who.actor}/{who.name}" for who in data.card.characters]


def digest_of(names: Sequence[str], *parts: PatchSet) -> str:
    """Digest of patches and of whose they are."""
    whose = np.frombuffer("\n".join(names).encode(), np.uint8)
    return _digest([whose, *(array for part in parts for array in (part.mfcc, part.label))])


def _digest(arrays: Iterable[NDArray[Any]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
