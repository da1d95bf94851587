"""Augmentations: sound put into another room or behind another channel.

For training patches, and for synthesized sound. The same generator state gives the same sound.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

# No part of scipy is typed in every version we allow.
from scipy import signal as _signal  # type: ignore[import-untyped, unused-ignore]

Audio = npt.NDArray[np.float32]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw log-uniformly, as fits times, rates and frequencies."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def decay(n: int, seconds: float, *, sample_rate: int) -> Audio:
    """Fall by 60 dB in *seconds*; *n* samples."""
    t = np.arange(n, dtype=np.float32) / np.float32(sample_rate)
    return np.asarray(np.exp(np.float32(-6.9 / max(seconds, 1e-3)) * t), dtype=np.float32)


def butterworth(
    y: Audio,
    kind: str,
    hz: float | tuple[float, float],
    order: int = 2,
    *,
    sample_rate: int,
) -> Audio:
    """Filter; frequencies are kept inside the audible band."""
    edges = np.clip(np.atleast_1d(hz), 15.0, 0.48 * sample_rate)
    sos = _signal.butter(
        order, edges if kind == "bandpass" else edges[0], kind, fs=sample_rate, output="sos"
    )
    return np.asarray(_signal.sosfilt(sos.astype(np.float32), y), dtype=np.float32)


def impulse_response(rng: np.random.Generator, rt60: float, *, sample_rate: int) -> Audio:
    """Room tail: noise that decays by 60 dB in *rt60* seconds, its highs faster."""
    n = max(1, round(min(rt60, 3.0) * sample_rate))
    tail = rng.standard_normal(n, np.float32) * decay(n, rt60, sample_rate=sample_rate)
    dark = butterworth(tail, "lowpass", between(rng, 1500.0, 8000.0), 1, sample_rate=sample_rate)
    blend = decay(n, rt60 * 0.6, sample_rate=sample_rate)
    tail = tail * blend + dark * (1.0 - blend)
    predelay = np.zeros(max(1, round(rng.uniform(0.0, 0.03) * sample_rate)), np.float32)
    tail = np.concatenate([predelay, tail])
    return tail / np.float32(np.sqrt(np.sum(tail**2)) + 1e-12)


def convolve(y: Audio, response: Audio) -> Audio:
    """Sound of a room alone, as long as *y*."""
    return np.asarray(_signal.fftconvolve(y, response)[: len(y)], dtype=np.float32)


def from_db(db: float) -> np.float32:
    """Factor of a level in dB."""
    return np.float32(10.0 ** (db / 20.0))


def reverberate(y: npt.NDArray[np.float32], rng: np.random.Generator, *, sample_rate: int) -> Audio:
    """Put a sound into a random room.

    The room is exponentially decaying noise: reverberation time 0.12 to 1.2 s, 3 to 20 dB below
    the direct sound. Early reflections of a real room are not modelled.

    Parameters
    ----------
    y : np.ndarray, shape=(n,)
        Unchanged.
    rng : np.random.Generator
    sample_rate : int > 0
        In Hz.

    Returns
    -------
    np.ndarray, shape=(n,), dtype=float32
        Not delayed, of the same RMS; the tail after the last sample is cut.

    Raises
    ------
    ValueError
        If *y* is empty, not one-dimensional, or not finite.
    """
    y = _checked(y)
    response = impulse_response(rng, between(rng, 0.12, 1.2), sample_rate=sample_rate)
    out = y + convolve(y, response) * from_db(-rng.uniform(3.0, 20.0))
    before, after = float(np.mean(y**2)), float(np.mean(out**2))
    return out * np.float32(np.sqrt(before / after)) if after > 0 else out


def band_limit(y: npt.NDArray[np.float32], rng: np.random.Generator, *, sample_rate: int) -> Audio:
    """Pass a sound through a random channel.

    Low-pass, edge 3.5 to 20 kHz, gentle or steep; in three of ten cases also a high-pass, edge
    40 to 350 Hz. Edges above the band that *sample_rate* leaves are lowered into it.

    Parameters
    ----------
    y : np.ndarray, shape=(n,)
        Unchanged.
    rng : np.random.Generator
    sample_rate : int > 0
        In Hz.

    Returns
    -------
    np.ndarray, shape=(n,), dtype=float32

    Raises
    ------
    ValueError
        If *y* is empty, not one-dimensional, or not finite.
    """
    y = _checked(y)
    edge = between(rng, 3500.0, 20000.0)
    order = (2, 4, 8)[int(rng.integers(3))]
    out = butterworth(y, "lowpass", edge, order, sample_rate=sample_rate)
    if rng.random() < 0.3:
        edge = between(rng, 40.0, 350.0)
        order = (1, 2, 4)[int(rng.integers(3))]
        out = butterworth(out, "highpass", edge, order, sample_rate=sample_rate)
    return out


def _checked(y: npt.NDArray[Any]) -> Audio:
    if y.ndim != 1 or len(y) == 0:
        raise ValueError(f"y of shape {y.shape} must be one-dimensional and not empty")
    if not np.all(np.isfinite(y)):
        raise ValueError("y must be finite")
    return np.asarray(y, dtype=np.float32)
