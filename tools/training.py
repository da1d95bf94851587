"""What a training is, and its files.

A training is a folder: ``training.json`` says what it is and how far it got, ``weights.npz`` holds
the weights of its best epoch, ``state.npz`` what is needed to go on, ``curve.png`` its course.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import KikiwakeError
from ..files import write_file
from ..models.cast import load_cast
from ..models.wrn import NetworkSettings, build_wrn
from ..quiet import quiet_stderr
from .dataset import PatchSet

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
    taught : float, 0 to 1
        Share of the target that the teachers' mean posterior is, where there are teachers [4]_.
    perturbed : float >= 0
        Weight of what is learnt of other voices, where the data set has some: to give
        what `.voice_encoder` makes of them, from their patches alone. 0 leaves them out.

    References
    ----------
    .. [1] Loshchilov, Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    .. [2] Park et al., "SpecAugment", Interspeech 2019.
    .. [3] Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    .. [4] Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015.
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
    taught: float = 0.7
    perturbed: float = 1.0


# Of Adam with a constant rate, nothing augmented, nothing balanced: train.py of devil-ear.
ORIGIN = Recipe(
    epochs=400,
    batch=100,
    learning_rate=5e-4,
    schedule="plateau",
    weight_decay=0.0,
    label_smoothing=0.0,
    balance=0.0,
    shift=0.0,
    beds=0.0,
    masks=0,
    mixup=0.0,
    average=0.0,
    per_coefficient=False,
    perturbed=0.0,
)

# After so many patches, of the 8,000 of a show over and over, more brings next to nothing; of more
# patches than that each should still be seen some times.
_SEEN = 480_000
_FEWEST_EPOCHS = 10


def recipe_for(preset: str, patches: int) -> Recipe:
    """Give the recipe of a preset for so many patches to train on."""
    if preset == "origin":
        return ORIGIN
    return Recipe(epochs=max(_FEWEST_EPOCHS, round(_SEEN / max(patches, 1))))


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
    patches : str
        Digest of the patches and of whose they are: it can only be gone on with on the same.
    start : str
        Digest of the weights it starts from; empty where there are none.
    teachers : tuple of str
        Digests of the weights of those it learns from.
    voices : str
        Digest of the other voices; empty where there are none.
    epochs : tuple of Epoch
        Those done.
    finished : bool
        There will be no more.
    """

    format: Literal["kikiwake-training"] = "kikiwake-training"
    version: Literal[2] = 2  # 1 was of networks that aggregate nothing
    network: NetworkSettings
    recipe: Recipe
    seed: int
    n_coefficients: int
    n_frames: int
    n_classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    patches: str
    start: str
    teachers: tuple[str, ...] = ()
    voices: str = ""
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
    n, n_coefficients, _ = patches.mfcc.shape
    total, squares = np.zeros(n_coefficients), np.zeros(n_coefficients)
    for begin in range(0, n, 4096):  # not all in float64 at once
        part = patches.mfcc[begin : begin + 4096].astype(np.float64)
        total += part.mean(axis=2).sum(axis=0) / n
        squares += np.square(part).mean(axis=2).sum(axis=0) / n
    if not per_coefficient:
        total[:], squares[:] = total.mean(), squares.mean()
    return total, np.sqrt(np.maximum(squares - total**2, 1e-6))


def standardise(
    mfcc: NDArray[np.floating[Any]], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> _Float:
    """Patches as the network sees them: (n, n_mfcc, frames) to (n, n_mfcc, frames, 1)."""
    scaled = (mfcc - mean[:, None].astype(np.float32)) / std[:, None].astype(np.float32)
    return scaled.astype(np.float32, copy=False)[..., None]


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
        return card_of(path.read_bytes(), path)
    except (FileNotFoundError, NotADirectoryError):
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
        write_file(path, data.getvalue())
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
            weights = [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
    except FileNotFoundError:
        raise TrainingError(f"{path}: is missing; remove {path.parent} and train again") from None
    except OSError as error:
        raise TrainingError(f"{path}: cannot be read: {error.strerror or error}") from None
    # A damaged archive makes the reader fail in many ways.
    except Exception as error:
        raise TrainingError(
            f"{path}: is damaged ({error}); remove {path.parent} and train again"
        ) from None
    if not weights:
        raise TrainingError(f"{path}: is damaged; remove {path.parent} and train again")
    return weights


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


def draw_curve(card: TrainingCard, path: Path) -> None:
    """Draw the course of a training as a PNG."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    epochs = np.arange(1, len(card.epochs) + 1)
    figure = Figure((8, 4.5), layout="constrained")
    losses = figure.subplots()
    losses.plot(epochs, [e.loss for e in card.epochs], label="loss, training")
    losses.plot(epochs, [e.validation_loss for e in card.epochs], label="loss, validation")
    losses.set_xlabel("epoch")
    losses.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    losses.set_ylabel("loss")
    right = losses.twinx()
    right.plot(epochs, [100 * e.validation_top1 for e in card.epochs], "C2", label="right")
    right.axvline(card.best + 1, color="0.7", linestyle=":")
    right.set_ylabel("validation patches right, %")
    figure.legend(loc="outside upper center", ncols=3)
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    write_file(path, data.getvalue())


def card_of(text: bytes, path: Path) -> TrainingCard:
    """Read a card from its text; `path` is where it stands, for errors as of `read_training`."""
    try:
        return msgspec.json.decode(text, type=TrainingCard)
    except (ValueError, RecursionError) as error:
        raise TrainingError(
            f"{path}: is damaged, or of another version of kikiwake ({error}); remove "
            f"{path.parent} and train again"
        ) from None


def text_of(card: TrainingCard) -> bytes:
    """Write a card as text."""
    return msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n"


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
