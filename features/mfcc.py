"""Mel spectrogram and mel-frequency cepstral coefficients of a whole signal.

The definitions are librosa's: centred frames, periodic Hann window, power spectrum, mel bands,
``10 log10(max(1e-10, S))``, floor `top_db` below the loudest value of the call, DCT. For signals
that are not whole yet see `kikiwake.features.stream`, which goes through the same kernels.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray

from ._kernels import Float, Scratch, cepstrum, mel_frames, scratch, tables
from .settings import FeatureSettings

_of_thread = threading.local()


def check_signal(name: str, y: NDArray[np.float32]) -> None:
    """Refuse what is not a mono signal in float32.

    Parameters
    ----------
    name : str
        What the error calls it.
    y : ndarray
        To be checked.

    Raises
    ------
    ValueError
        `y` is not one-dimensional or not float32.
    """
    if y.ndim != 1:
        raise ValueError(f"{name} has shape {y.shape}, must be one-dimensional (mono)")
    if y.dtype != np.float32:
        raise ValueError(f"{name} has dtype {y.dtype}, must be float32")


def least_samples(settings: FeatureSettings) -> int:
    """Return how many samples a signal must have at least, for the padding to be made from."""
    return settings.n_fft // 2 + 1 if settings.pad_mode == "reflect" else 1


def melspectrogram(y: Float, settings: FeatureSettings) -> Float:
    """Mel spectrogram of a whole signal.

    Parameters
    ----------
    y : ndarray of float32, shape (n,)
        Mono signal at ``settings.sample_rate``. With `pad_mode` "reflect" longer than half a
        frame, ``n > n_fft / 2``; with "constant" not empty.
    settings : FeatureSettings
        Of which those of the cosine transform and of the patch play no part here.

    Returns
    -------
    ndarray of float32, shape (n_mels, 1 + n // hop_length)
        Power. Frame t is centred on sample ``t * hop_length``.

    Raises
    ------
    ValueError
        `y` is not one-dimensional, not float32, or too short.

    Notes
    -----
    Agrees with ``librosa.feature.melspectrogram`` of the same settings. May be called from
    several threads at once.

    Examples
    --------
    >>> from kikiwake.features.settings import ORIGIN
    >>> melspectrogram(np.zeros(22050, np.float32), ORIGIN).shape
    (128, 44)
    """
    return _mel(y, settings, _scratch(settings), in_db=False)


def mfcc(y: Float, settings: FeatureSettings) -> Float:
    """MFCCs of a whole signal.

    Parameters
    ----------
    y : ndarray of float32, shape (n,)
        As for `melspectrogram`.
    settings : FeatureSettings
        Its `patch_samples` plays no part here.

    Returns
    -------
    ndarray of float32, shape (n_mfcc, 1 + n // hop_length)
        Frame t is centred on sample ``t * hop_length``.

    Raises
    ------
    ValueError
        `y` is not one-dimensional, not float32, or too short.

    Notes
    -----
    Agrees with ``librosa.feature.mfcc`` of the same settings. May be called from several threads
    at once.

    Examples
    --------
    >>> from kikiwake.features.settings import ORIGIN
    >>> mfcc(np.zeros(22050, np.float32), ORIGIN).shape
    (44, 44)
    """
    memory = _scratch(settings)
    levels = _mel(y, settings, memory, in_db=True)
    out = np.empty((settings.n_mfcc, levels.shape[1]), np.float32)
    cepstrum(levels, tables(settings), memory, out)
    return out


def _scratch(settings: FeatureSettings) -> Scratch:
    """Give this thread's scratch memory: to make it anew takes a tenth of a patch's time."""
    if getattr(_of_thread, "settings", None) != settings:
        _of_thread.settings, _of_thread.scratch = settings, scratch(settings)
    memory: Scratch = _of_thread.scratch
    return memory


def _mel(y: Float, settings: FeatureSettings, memory: Scratch, *, in_db: bool) -> Float:
    check_signal("y", y)
    least = least_samples(settings)
    if y.size < least:
        raise ValueError(
            f"y has {y.size} samples, must have at least {least} "
            f"(n_fft={settings.n_fft}, pad_mode={settings.pad_mode!r})"
        )
    # Writeable too: read-only arrays are a type of their own to Numba and would compile again.
    y = np.require(y, requirements=["C", "A", "W"])
    frames = np.arange(1 + y.size // settings.hop_length)
    out = np.empty((settings.n_mels, frames.size), np.float32)
    mel_frames(y, 0, y.size, frames, 0, in_db, tables(settings), memory, out)
    return out
