"""Steady noise: rain, wind, hum, rooms, engines, the sea, trains."""

from __future__ import annotations

import numpy as np

from ..augment import between
from .synthesis import (
    SAMPLE_RATE,
    TWO_PI,
    Audio,
    Rng,
    butterworth,
    coloured,
    decay,
    f32,
    mix_in,
    n_samples,
    pick,
    read_table,
    sine,
    wander,
    wavetable,
)


def _rain(n: int, rng: Rng) -> Audio:
    y = butterworth(
        coloured(n, rng, rng.uniform(-3.0, 1.0)), "highpass", between(rng, 200.0, 2000.0)
    )
    drops = np.zeros(n, np.float32)
    where = rng.integers(0, n, max(1, int(n / SAMPLE_RATE * between(rng, 10.0, 400.0))))
    drops[where] = rng.exponential(1.0, len(where))
    low = between(rng, 800.0, 4000.0)
    return y + np.float32(rng.uniform(2.0, 12.0)) * butterworth(drops, "bandpass", (low, 3.0 * low))


def _wind(n: int, rng: Rng) -> Audio:
    y = np.zeros(n, np.float32)
    gust = wander(n, rng, 0.5)
    source = coloured(n, rng, -3.0)
    for low in (60.0, 150.0, 350.0, 700.0):
        narrow = rng.uniform(1.2, 2.5)
        part = butterworth(source, "bandpass", (low, low * narrow))
        y += part * wander(n, rng, 0.8) * gust ** np.float32(low / 200.0)
    if rng.random() < 0.4:  # it whistles
        hz = 400.0 + 600.0 * gust + 100.0 * wander(n, rng, 3.0)
        y += 0.15 * f32(sine(hz)) * gust**2 * (0.6 + 0.4 * coloured(n, rng, -6.0))
    return y


def _hum(n: int, rng: Rng) -> Audio:
    hz = pick(rng, (50.0, 60.0, 100.0, 120.0)) * rng.uniform(0.99, 1.01)
    order = np.arange(1, 60, dtype=np.float64)
    tone = order ** -rng.uniform(0.8, 2.0) * rng.uniform(0.0, 1.0, len(order))
    phases = rng.uniform(0.0, TWO_PI, len(order)).astype(np.float32)
    y = read_table(wavetable(tone, hz, phases), hz, n)
    return y + np.float32(rng.uniform(0.02, 0.5)) * coloured(n, rng, rng.uniform(-5.0, 0.0))


def room(n: int, rng: Rng) -> Audio:
    """Make the sound of a quiet room: low rumble, a little hum, a little hiss."""
    y = coloured(n, rng, rng.uniform(-8.0, -4.0))
    y += np.float32(rng.uniform(0.0, 0.3)) * _hum(n, rng)
    return y + np.float32(rng.uniform(0.0, 0.1)) * coloured(n, rng, 0.0)


def _engine(n: int, rng: Rng) -> Audio:
    order = np.arange(1, 80, dtype=np.float64)
    low, span = between(rng, 22.0, 70.0), rng.uniform(0.05, 1.5)
    hz = low * (1.0 + span * wander(n, rng, 0.5) + 0.03 * wander(n, rng, 12.0))
    tone = order ** -rng.uniform(0.6, 1.4) * rng.uniform(0.2, 1.0, len(order))
    phases = rng.uniform(0.0, TWO_PI, len(order)).astype(np.float32)
    y = read_table(wavetable(tone, low * 2.5, phases), hz.astype(np.float32), n)
    flutter = 0.7 + 0.6 * wander(n, rng, low / 2.0)
    y = y * flutter + np.float32(rng.uniform(0.1, 0.8)) * coloured(n, rng, -4.0)
    return butterworth(y, "lowpass", between(rng, 800.0, 6000.0), 1)


def _crackle(n: int, rng: Rng) -> Audio:
    y = np.zeros(n, np.float32)
    where = rng.integers(0, n, max(1, int(n / SAMPLE_RATE * between(rng, 5.0, 150.0))))
    y[where] = rng.normal(0.0, 1.0, len(where)) * rng.exponential(8.0, len(where))
    y = butterworth(y, "lowpass", between(rng, 3000.0, 12000.0), 1)
    return y + np.float32(rng.uniform(0.1, 0.4)) * coloured(n, rng, -3.0)


def _sea(n: int, rng: Rng) -> Audio:
    swell = wander(n, rng, rng.uniform(0.2, 0.5)) ** 2
    far = coloured(n, rng, -5.0) * (0.4 + 0.6 * swell)
    near = (
        butterworth(coloured(n, rng, -1.0), "highpass", 700.0)
        * np.roll(swell, -n_samples(0.3)) ** 2
    )
    return f32(far + np.float32(rng.uniform(0.3, 1.0)) * near)


def _train(n: int, rng: Rng) -> Audio:
    y = coloured(n, rng, -6.0) * (0.7 + 0.3 * wander(n, rng, 2.0))
    period, start = rng.uniform(0.5, 1.2), rng.uniform(0.0, 0.5)
    clack = butterworth(
        rng.standard_normal(n_samples(0.12), np.float32), "bandpass", (150.0, 1800.0)
    )
    clack *= decay(len(clack), 0.1)
    while start * SAMPLE_RATE < n:
        for lag in (0.0, 0.16 * period):
            mix_in(y, n_samples(start + lag), clack, rng.uniform(2.0, 5.0))
        start += period
    return y


def _plain_noise(n: int, rng: Rng) -> Audio:
    return coloured(n, rng, pick(rng, (0.0, -3.0, -6.0, rng.uniform(-9.0, 2.0))))


_NOISES = (
    _plain_noise,
    _plain_noise,
    _rain,
    _wind,
    _hum,
    room,
    _engine,
    _crackle,
    _sea,
    _train,
)


def make_noise(n: int, rng: Rng) -> Audio:
    """Make *n* samples of one steady noise."""
    return f32(pick(rng, _NOISES)(n, rng))
