"""What a network is shown in training: batches of patches, drawn, augmented and blended."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .cepstra import Beds
from .dataset import PatchSet, VoiceSet
from .training import TrainingCard, standardise
from .voice_encoder import LENGTH

_Float = NDArray[np.float32]

# Patches of other voices, for each that has a name to be learnt.
_VOICES_A_PATCH = 0.5


class Batch(NamedTuple):
    """What is learnt from in a step.

    Attributes
    ----------
    x : ndarray of float32, shape (named + voiced, n_coefficients, n_frames, 1)
        Patches as the network sees them: those whose names are learnt, then those of other voices.
    target : ndarray of float32, shape (named, n_classes)
    vector : ndarray of float32, shape (voiced, length)
        Of length 1: in what direction from the mean of all the voice encoder puts the voice.
    """

    x: _Float
    target: _Float
    vector: _Float


class Batches:
    """Draws, augments and blends batches; the same for an epoch whenever it is trained."""

    def __init__(
        self,
        card: TrainingCard,
        training: PatchSet,
        following: NDArray[np.int64] | None,
        beds: Beds | None,
        voices: VoiceSet | None,
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
        self._voices = voices
        if voices is not None:
            vectors = voices.vector.astype(np.float32)
            vectors -= vectors.mean(axis=0)
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            self._vectors = vectors / np.maximum(norms, 1e-9)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Give the batches of an epoch."""
        recipe, n, steps = self._card.recipe, len(self._training), self.steps
        rng = np.random.default_rng((self._card.seed, epoch))
        if recipe.balance:
            order = rng.choice(n, steps * recipe.batch, p=self._share)
        else:
            order = np.resize(rng.permutation(n), steps * recipe.batch)
        # One ahead: a batch is made while the network learns from the one before.
        with ThreadPoolExecutor(1) as maker:
            made = deque[Future[Batch]]()
            for step, numbers in enumerate(np.split(order, steps)):
                made.append(maker.submit(self._batch, numbers, (self._card.seed, epoch, step)))
                if len(made) > 2:
                    yield made.popleft().result()
            while made:
                yield made.popleft().result()

    def _batch(self, numbers: NDArray[np.int64], seed: tuple[int, int, int]) -> Batch:
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
        if self._voices is None:
            return Batch(x, target, np.zeros((0, LENGTH), np.float32))
        chosen = rng.integers(len(self._voices), size=max(1, round(_VOICES_A_PATCH * len(numbers))))
        voiced = standardise(self._voices.mfcc[chosen].astype(np.float32), self._mean, self._std)
        if recipe.masks:
            _mask(voiced, rng)
        return Batch(np.concatenate([x, voiced]), target, self._vectors[chosen])

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
