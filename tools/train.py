"""Training a network on patches. Needs the extra ``train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..models.wrn import NetworkSettings, build_wrn
from .patches import PatchSet

if TYPE_CHECKING:
    import keras

BATCH = 64
LEARNING_RATE = 2e-3
LABEL_SMOOTHING = 0.05
MIXUP_ALPHA = 0.2
MIXUP_SHARE = 0.3


def normalisation(patches: PatchSet) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each coefficient, shapes (n_mfcc,)."""
    mean = patches.mfcc.mean(axis=(0, 2), dtype=np.float64)
    std = patches.mfcc.std(axis=(0, 2), dtype=np.float64)
    return mean, np.maximum(std, 1e-3)


def standardise(
    mfcc: NDArray[np.float32], mean: NDArray[np.float64], std: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Patches as the network sees them: (n, n_mfcc, frames) to (n, n_mfcc, frames, 1)."""
    scaled = (mfcc - mean[:, None]) / std[:, None]
    return scaled.astype(np.float32)[..., None]


def train(
    training: PatchSet,
    validation: PatchSet,
    *,
    settings: NetworkSettings,
    n_classes: int,
    epochs: int,
    folder: Path,
    seed: int = 0,
) -> keras.Model:
    """Train a network; stopped at any moment, it goes on from the last whole epoch.

    Parameters
    ----------
    training, validation : PatchSet
        From different recordings or sentences.
    settings : NetworkSettings
        Form of the network.
    n_classes : int > 0
        Characters and background.
    epochs : int > 0
        Passes over the training patches.
    folder : Path
        Where the state of each epoch is kept.
    seed : int
        Of the weights and the augmentations.

    Returns
    -------
    keras.Model
        With the exponential average of its weights over the steps, in float32. The figures printed
        on the way are those of the weights themselves.

    Notes
    -----
    Adam with a cosine schedule, label smoothing, SpecAugment [1]_ and mixup [2]_, in bfloat16.

    References
    ----------
    .. [1] Park et al., "SpecAugment", Interspeech 2019.
    .. [2] Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras

    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(seed)
    mean, std = normalisation(training)
    batches = _batches(standardise(training.mfcc, mean, std), training.label, n_classes, seed)
    held_out = (
        standardise(validation.mfcc, mean, std),
        keras.utils.to_categorical(validation.label, n_classes),
    )
    shape = {
        "n_coefficients": training.mfcc.shape[1],
        "n_frames": training.mfcc.shape[2],
        "n_classes": n_classes,
    }
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = build_wrn(settings, **shape)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    steps = epochs * len(batches)
    warmup_steps = min(200, steps // 2)
    model.compile(
        optimizer=keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(
                1e-5,
                max(1, steps - warmup_steps),
                warmup_target=LEARNING_RATE,
                warmup_steps=warmup_steps,
            ),
            use_ema=True,
            ema_momentum=min(0.998, 1 - 10 / max(steps, 20)),
        ),
        loss=keras.losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=LABEL_SMOOTHING
        ),
        metrics=["accuracy"],
    )
    model.fit(
        batches,
        epochs=epochs,
        validation_data=held_out,
        validation_batch_size=256,
        verbose=2,
        callbacks=[
            # Keeps weights, optimizer and epoch, and goes on from there when run again.
            keras.callbacks.BackupAndRestore(folder / "state", delete_checkpoint=False),
            # Order and masks go by the epoch, so that a resumed training sees what it would have.
            keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, _: batches.begin(epoch)),
        ],
    )
    result = build_wrn(settings, **shape)
    result.set_weights(model.get_weights())
    return result


def _batches(
    x: NDArray[np.float32], label: NDArray[np.int64], n_classes: int, seed: int
) -> keras.utils.PyDataset:
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.begin(0)

        def begin(self, epoch: int) -> None:
            self._epoch = epoch
            self._order = np.random.default_rng((seed, epoch)).permutation(len(label))

        def __len__(self) -> int:
            return len(label) // BATCH

        def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            rng = np.random.default_rng((seed, self._epoch, index))
            chosen = self._order[index * BATCH : (index + 1) * BATCH]
            patches = x[chosen].copy()
            target = np.eye(n_classes, dtype=np.float32)[label[chosen]]
            _mask(patches, rng)
            if rng.random() < MIXUP_SHARE:
                other = rng.permutation(BATCH)
                mine = rng.beta(MIXUP_ALPHA, MIXUP_ALPHA, BATCH).astype(np.float32)
                patches = _blend(patches, patches[other], mine[:, None, None, None])
                target = _blend(target, target[other], mine[:, None])
            return patches, target

    return Batches()


def _mask(patches: NDArray[np.float32], rng: np.random.Generator) -> None:
    """SpecAugment on cepstra: a band of coefficients and a stretch of frames set to the mean."""
    _, n_coefficients, n_frames, _ = patches.shape
    for patch in patches:
        width = int(rng.integers(0, 7))
        first = int(rng.integers(0, n_coefficients - width + 1))
        patch[first : first + width] = 0
        width = int(rng.integers(0, 9))
        first = int(rng.integers(0, n_frames - width + 1))
        patch[:, first : first + width] = 0


def _blend(
    a: NDArray[np.float32], b: NDArray[np.float32], share: NDArray[np.float32]
) -> NDArray[np.float32]:
    return share * a + (1 - share) * b
