"""Music, noise and effects under patches of which there is no sound any more, only MFCC.

The cosine transform of a patch is undone as far as its coefficients go, which gives smooth levels
of the mel bands; those of a background are added to them as powers, and transformed again. What
`.patches.PatchComposer` does with sound is better, and is for those who have sound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from ..features._kernels import tables
from ..features.mfcc import mfcc
from ..features.settings import FeatureSettings

_Float = NDArray[np.float32]

_SOUNDS = 80
_SOUND_S = 8.0
_QUIET_RMS = 1e-3
# How far the voice is above the background.
_SNR_DB = (0.0, 25.0)


class Beds:
    """Backgrounds to lay under patches.

    Parameters
    ----------
    patches : ndarray, shape (n, n_mfcc, patch_frames)
        MFCC of sound without speech, at any level.
    settings : FeatureSettings
        Of these patches and those that they come under.
    """

    def __init__(self, patches: NDArray[np.floating[Any]], settings: FeatureSettings) -> None:
        # (n_mfcc, n_mels), and what comes nearest to its inverse.
        self._dct: _Float = tables(settings).dct.T
        self._undo: _Float = np.linalg.pinv(self._dct).astype(np.float32)
        levels = self._undo @ patches.astype(np.float32)
        self._levels = (levels - _loudness(levels)).astype(np.float16)

    def under(self, patches: _Float, share: float, rng: np.random.Generator) -> None:
        """Lay a background under some patches, 0 to 25 dB below the voice.

        Parameters
        ----------
        patches : ndarray of float32, shape (n, n_mfcc, patch_frames)
            MFCC; changed.
        share : float, 0 to 1
            Of the patches.
        rng : numpy.random.Generator
            Draws which, what and how loud.
        """
        chosen = np.flatnonzero(rng.random(len(patches)) < share)
        if not len(chosen):
            return
        levels = self._undo @ patches[chosen]
        beds = self._levels[rng.integers(len(self._levels), size=len(chosen))].astype(np.float32)
        below = rng.uniform(*_SNR_DB, (len(chosen), 1, 1)).astype(np.float32)
        beds += _loudness(levels) - below
        patches[chosen] = self._dct @ (10 * np.log10(10 ** (levels / 10) + 10 ** (beds / 10)))


def make_beds(settings: FeatureSettings, seed: int) -> Beds:
    """Synthesize backgrounds: music, noise and effects.

    Parameters
    ----------
    settings : FeatureSettings
        Of the patches that they come under.
    seed : int
        Another gives others.

    Returns
    -------
    Beds
    """
    from .starter.background import SAMPLE_RATE, Kind, make_background

    kinds: tuple[Kind, ...] = ("music", "music", "noise", "effects")
    length = settings.patch_samples
    patches = []
    for number in range(_SOUNDS):
        rng = np.random.default_rng((seed, number))
        made = make_background(kinds[number % len(kinds)], max(_SOUND_S, 2 * settings.patch_s), rng)
        sound = soxr.resample(made, SAMPLE_RATE, settings.sample_rate)
        for begin in range(0, len(sound) - length + 1, length):
            window = sound[begin : begin + length]
            if np.sqrt(np.mean(np.square(window))) > _QUIET_RMS:
                patches.append(mfcc(window, settings))
    return Beds(np.stack(patches), settings)


def _loudness(levels: _Float) -> _Float:
    """Mean power of each patch in dB, shape (n, 1, 1)."""
    loudest = levels.max(axis=(1, 2), keepdims=True)
    mean = np.mean(10 ** ((levels - loudest) / 10), axis=(1, 2), keepdims=True)
    out: _Float = loudest + 10 * np.log10(mean)
    return out
