"""What the synthesized sounds are made of: curves, noise, filters, wavetables.

Everything is mono float32 at `SAMPLE_RATE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

# No part of scipy is typed in every version we allow.
from scipy import fft as _fft  # type: ignore[import-untyped, unused-ignore]

from .. import augment

Audio = npt.NDArray[np.float32]
Rng = np.random.Generator

SAMPLE_RATE = 44100
"""Sampling rate of everything synthesized here, in Hz."""

TWO_PI = 2.0 * np.pi

_TABLE = 4096  # wavetable length; read without interpolation its error is below -60 dB
_Option = TypeVar("_Option")


def f32(y: Any) -> Audio:
    """Make sure of the type that all sound has here."""
    return np.asarray(y, dtype=np.float32)


def n_samples(seconds: float) -> int:
    """Count the samples in *seconds*, at least one."""
    return max(1, round(seconds * SAMPLE_RATE))


def times(n: int) -> Audio:
    """Time of each sample in seconds."""
    return np.arange(n, dtype=np.float32) / np.float32(SAMPLE_RATE)


def pick(rng: Rng, options: Sequence[_Option]) -> _Option:
    """Draw one of *options*, each as likely."""
    return options[int(rng.integers(len(options)))]


def mix_in(out: Audio, at: int, y: Audio, gain: float = 1.0) -> None:
    """Add *y* to *out* from sample *at*, dropping what lies outside."""
    start, stop = max(0, at), min(len(out), at + len(y))
    if start < stop:
        out[start:stop] += np.float32(gain) * y[start - at : stop - at]


def decay(n: int, seconds: float) -> Audio:
    """Fall by 60 dB in *seconds*."""
    return augment.decay(n, seconds, sample_rate=SAMPLE_RATE)


def butterworth(y: Audio, kind: str, hz: float | tuple[float, float], order: int = 2) -> Audio:
    """Filter by ``"lowpass"``, ``"highpass"`` or ``"bandpass"``."""
    return augment.butterworth(y, kind, hz, order, sample_rate=SAMPLE_RATE)


def impulse_response(rng: Rng, rt60: float) -> Audio:
    """Draw a room that rings for *rt60* seconds."""
    return augment.impulse_response(rng, rt60, sample_rate=SAMPLE_RATE)


def envelope(n: int, attack: float, release: float) -> Audio:
    """Rise in *attack* and fall in *release* seconds, both shortened to fit."""
    a = min(n_samples(attack), max(1, n // 2))
    r = min(n_samples(release), max(1, n - a))
    env = np.ones(n, np.float32)
    env[:a] = np.linspace(0.0, 1.0, a, dtype=np.float32)
    env[n - r :] *= np.linspace(1.0, 0.0, r, dtype=np.float32)
    return env


def wander(n: int, rng: Rng, rate: float) -> Audio:
    """Random curve between 0 and 1 with about *rate* turns a second."""
    knots = rng.random(int(n / SAMPLE_RATE * rate) + 4)
    where = np.linspace(0.0, len(knots) - 3.0, n) + rng.random()
    left = where.astype(np.int64)
    x = where - left
    x = x * x * (3.0 - 2.0 * x)  # smoothstep: no corners, which would be heard as clicks
    return (knots[left] * (1.0 - x) + knots[left + 1] * x).astype(np.float32)


def coloured(n: int, rng: Rng, slope: float) -> Audio:
    """Noise of RMS 1 whose level changes by *slope* dB an octave (0 white, -3 pink, -6 brown)."""
    size = int(_fft.next_fast_len(max(n, 256), real=True))
    bins = np.arange(size // 2 + 1, dtype=np.float32)
    bins[0] = 1.0
    gain = bins ** np.float32(slope / 6.02)
    gain[: max(1, int(15.0 * size / SAMPLE_RATE))] = 0.0  # nothing below 15 Hz
    spectrum = gain * (
        rng.standard_normal(len(bins), np.float32) + 1j * rng.standard_normal(len(bins), np.float32)
    )
    y = np.asarray(_fft.irfft(spectrum, size)[:n], dtype=np.float32)
    return y / np.float32(np.sqrt(np.mean(y**2)) + 1e-12)


def wavetable(harmonics: npt.NDArray[np.float64], hz: float, phases: Audio) -> Audio:
    """One period of the sum of *harmonics* that stay below the Nyquist frequency at *hz*."""
    keep = max(1, min(len(harmonics), int(0.45 * SAMPLE_RATE / hz), _TABLE // 2 - 1))
    spectrum = np.zeros(_TABLE // 2 + 1, np.complex64)
    spectrum[1 : keep + 1] = harmonics[:keep] * np.exp(1j * phases[:keep])
    y = np.asarray(_fft.irfft(spectrum), dtype=np.float32)
    return y / np.float32(np.sqrt(np.mean(y**2)) + 1e-12)


def sine(hz: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Sine of a frequency that varies."""
    return np.asarray(np.sin(TWO_PI * np.cumsum(hz, dtype=np.float64) / SAMPLE_RATE))


def read_table(table: Audio, hz: Audio | float, n: int) -> Audio:
    """Play *table* for *n* samples at a frequency that may vary."""
    if isinstance(hz, float):
        where = np.arange(n, dtype=np.float64) * (hz / SAMPLE_RATE * _TABLE)
    else:
        where = np.cumsum(hz, dtype=np.float64) * (_TABLE / SAMPLE_RATE)
    return f32(table[where.astype(np.int64) & (_TABLE - 1)])
