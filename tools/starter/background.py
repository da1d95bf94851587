"""Sound without speech, synthesized: music, noise and effects.

A network that names characters must also know what is nobody. `make_background` makes it such
sound from nothing but a random generator: each call is another piece of music (style, key, scale,
tempo, instruments, room), another noise, or another row of effects. The same generator state gives
the same sound.

Everything is mono float32 at `SAMPLE_RATE`.

References
----------
.. [1] R. Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients".
"""

from __future__ import annotations

from typing import Literal

import numpy as np

# No part of scipy is typed in every version we allow.
from scipy import signal as _signal  # type: ignore[import-untyped, unused-ignore]

from ..augment import band_limit, between
from .effects import make_effects
from .music import make_music
from .noise import make_noise, room
from .synthesis import SAMPLE_RATE, TWO_PI, Audio, Rng, n_samples

__all__ = ["KINDS", "SAMPLE_RATE", "Kind", "make_background", "room_tone"]

Kind = Literal["music", "noise", "effects"]

KINDS: tuple[Kind, ...] = ("music", "noise", "effects")
"""What `make_background` can make."""

_ACTIVE_RMS_DBFS = -20.0
_ACTIVE_DB = -30.0  # below the loudest frame: not counted as active
_FRAME = SAMPLE_RATE // 50


def make_background(kind: Kind, seconds: float, rng: np.random.Generator) -> Audio:
    """Synthesize sound in which nobody speaks.

    Parameters
    ----------
    kind : {"music", "noise", "effects"}
        Music of nine styles; rain, wind, hum, engines and other steady noise; or slams, steps,
        birds, alarms and other effects in a row.
    seconds : float >= 0.1
    rng : np.random.Generator
        Draws everything; the same state gives the same sound.

    Returns
    -------
    np.ndarray, shape=(round(seconds * SAMPLE_RATE),), dtype=float32
        RMS of the active parts (within 30 dB of the loudest 20 ms) about -20 dBFS; peaks below 1.

    Raises
    ------
    ValueError
        If *kind* is not known or *seconds* too short.
    """
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} must be one of {KINDS}")
    if not seconds >= 0.1:
        raise ValueError(f"seconds={seconds} must be at least 0.1")
    n = n_samples(seconds)
    y = {"music": make_music, "noise": make_noise, "effects": make_effects}[kind](n, rng)
    if rng.random() < 0.6:
        y = _equalize(y, rng)
    if rng.random() < 0.35:
        y = band_limit(y, rng, sample_rate=SAMPLE_RATE)
    return _level(y)


def room_tone(seconds: float, rng: np.random.Generator) -> Audio:
    """Synthesize the sound of a quiet room: low rumble, a little hum, a little hiss.

    Parameters
    ----------
    seconds : float >= 0.1
    rng : np.random.Generator

    Returns
    -------
    np.ndarray, shape=(round(seconds * SAMPLE_RATE),), dtype=float32
        Steady, at -20 dBFS RMS; scale it to the level wanted.

    Raises
    ------
    ValueError
        If *seconds* is too short.
    """
    if not seconds >= 0.1:
        raise ValueError(f"seconds={seconds} must be at least 0.1")
    return _level(room(n_samples(seconds), rng))


def _level(y: Audio) -> Audio:
    """Bring the RMS of the active parts to -20 dBFS and round off peaks above 0.7."""
    n_frames = max(1, len(y) // _FRAME)
    power = np.array([np.mean(part**2) for part in np.array_split(y, n_frames)])
    loudest = float(power.max())
    if loudest <= 1e-16:
        return y
    active = power[power > loudest * 10.0 ** (_ACTIVE_DB / 10.0)]
    y = y * np.float32(10.0 ** (_ACTIVE_RMS_DBFS / 20.0) / np.sqrt(active.mean()))
    size = np.abs(y)
    rounded = 0.7 + 0.28 * np.tanh((size - 0.7) / 0.28)
    return np.where(size > 0.7, np.sign(y) * rounded, y).astype(np.float32)


def _equalize(y: Audio, rng: Rng) -> Audio:
    for _ in range(int(rng.integers(1, 4))):
        y = _peaking(y, between(rng, 80.0, 9000.0), rng.uniform(-7.0, 7.0), rng.uniform(0.4, 1.5))
    return y


def _peaking(y: Audio, hz: float, gain_db: float, q: float) -> Audio:
    """One bell of an equalizer [1]_."""
    amp = 10.0 ** (gain_db / 40.0)
    w = TWO_PI * hz / SAMPLE_RATE
    alpha = np.sin(w) / (2.0 * q)
    b = np.array([1 + alpha * amp, -2 * np.cos(w), 1 - alpha * amp])
    a = np.array([1 + alpha / amp, -2 * np.cos(w), 1 - alpha / amp])
    sos = np.concatenate([b, a]) / a[0]
    return np.asarray(_signal.sosfilt(sos[None].astype(np.float32), y), dtype=np.float32)
