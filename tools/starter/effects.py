"""Sound effects: slams, steps, birds, alarms and others, in a row."""

from __future__ import annotations

import numpy as np

from ..augment import between, convolve, from_db
from .instruments import fm, instrument
from .noise import make_noise
from .synthesis import (
    SAMPLE_RATE,
    TWO_PI,
    Audio,
    Rng,
    butterworth,
    coloured,
    decay,
    envelope,
    f32,
    impulse_response,
    mix_in,
    n_samples,
    pick,
    read_table,
    sine,
    times,
    wavetable,
)


def _burst(rng: Rng, seconds: float, low: float, high: float) -> Audio:
    """Noise in a band that dies away."""
    n = n_samples(seconds)
    return butterworth(rng.standard_normal(n, np.float32), "bandpass", (low, high)) * decay(
        n, seconds
    )


def _slam(rng: Rng) -> Audio:
    y = _burst(rng, between(rng, 0.2, 0.6), 40.0, between(rng, 400.0, 2500.0))
    n = len(y)
    y += 0.8 * np.sin(TWO_PI * between(rng, 50.0, 110.0) * times(n)) * decay(n, 0.25)
    return y


def _footsteps(rng: Rng) -> Audio:
    step = rng.uniform(0.28, 0.65)
    count = int(rng.integers(3, 9))
    out = np.zeros(n_samples(step * count + 0.3), np.float32)
    low = between(rng, 80.0, 900.0)
    for k in range(count):
        heel = _burst(rng, rng.uniform(0.05, 0.15), low, low * rng.uniform(3.0, 8.0))
        mix_in(out, n_samples(k * step + rng.normal(0.0, 0.01) + 0.03), heel, rng.uniform(0.6, 1.0))
    return out


def _whoosh(rng: Rng) -> Audio:
    n = n_samples(rng.uniform(0.2, 1.2))
    x = np.linspace(0.0, 1.0, n, dtype=np.float32)
    swell = np.sin(np.pi * x ** np.float32(rng.uniform(0.5, 2.0))) ** 2
    source = rng.standard_normal(n, np.float32)
    low = between(rng, 150.0, 800.0)
    dark = butterworth(source, "bandpass", (low, 2.0 * low))
    bright = butterworth(source, "bandpass", (3.0 * low, 8.0 * low))
    return f32((dark * (1 - swell) + bright * swell) * swell)


def _explosion(rng: Rng) -> Audio:
    n = n_samples(rng.uniform(1.0, 3.0))
    y = coloured(n, rng, -6.0) * decay(n, rng.uniform(0.8, 2.5))
    crack = _burst(rng, 0.3, 300.0, 6000.0)
    mix_in(y, 0, crack, 0.7)
    return f32(np.tanh(y * np.float32(rng.uniform(1.0, 4.0))))


def _birds(rng: Rng) -> Audio:
    out = np.zeros(n_samples(rng.uniform(0.8, 2.5)), np.float32)
    base = between(rng, 1800.0, 5000.0)
    chirp_s, bend = rng.uniform(0.04, 0.25), rng.uniform(-0.4, 0.6)
    trill, rate = rng.uniform(0.0, 0.15), rng.uniform(15.0, 45.0)
    at = 0.0
    while n_samples(at) < len(out):
        n = n_samples(chirp_s * rng.uniform(0.7, 1.3))
        x = np.linspace(0.0, 1.0, n)
        hz = base * (1.0 + bend * x + trill * np.sin(TWO_PI * rate * times(n)))
        mix_in(out, n_samples(at), f32(sine(hz) * np.sin(np.pi * x)), rng.uniform(0.4, 1.0))
        at += chirp_s * rng.uniform(1.1, 3.0)
    return out


def _phone(rng: Rng) -> Audio:
    n = n_samples(rng.uniform(0.8, 2.0))
    t = times(n)
    if rng.random() < 0.5:  # an old bell
        hz = between(rng, 900.0, 2200.0)
        y = np.sin(TWO_PI * hz * t) + 0.6 * np.sin(TWO_PI * hz * 2.71 * t)
        y = y * (0.4 + 0.6 * np.abs(np.sin(TWO_PI * rng.uniform(8.0, 13.0) * t)))
    else:  # two tones in turn
        a, b = rng.uniform(400.0, 1300.0, 2)
        turn = np.sin(TWO_PI * rng.uniform(5.0, 14.0) * t) > 0
        y = np.where(turn, np.sin(TWO_PI * a * t), np.sin(TWO_PI * b * t))
    return f32(y * envelope(n, 0.005, 0.1))


def _beeps(rng: Rng) -> Audio:
    step = between(rng, 0.07, 0.5)
    count = int(rng.integers(2, 12))
    out = np.zeros(n_samples(step * count), np.float32)
    play = instrument(rng, pick(rng, ("square", "triangle", "fm", "organ")))
    hz = between(rng, 300.0, 2500.0)
    tune = rng.random() < 0.5
    for k in range(count):
        mix_in(out, n_samples(k * step), play(hz, step * 0.6, 1.0))
        if tune:
            hz = float(np.clip(hz * 2.0 ** (rng.integers(-5, 6) / 12.0), 200.0, 4000.0))
    return out


def _modes(rng: Rng, low: float, high: float, count: int, ring: float) -> Audio:
    """Ring of a struck body: decaying sines at unrelated frequencies."""
    n = n_samples(ring)
    t = times(n)
    y = np.zeros(n, np.float32)
    for hz in np.exp(rng.uniform(np.log(low), np.log(high), count)):
        fade = decay(n, ring * rng.uniform(0.2, 1.0) * (low / hz) ** 0.3)
        y += np.float32(rng.uniform(0.2, 1.0)) * fade * np.sin(np.float32(TWO_PI * hz) * t)
    return y


def _clang(rng: Rng) -> Audio:
    y = _modes(rng, between(rng, 500.0, 1500.0), 11000.0, 14, between(rng, 0.3, 1.6))
    mix_in(y, 0, _burst(rng, 0.05, 2000.0, 12000.0), 3.0)
    return y


def _glass(rng: Rng) -> Audio:
    out = np.zeros(n_samples(1.0), np.float32)
    for _ in range(int(rng.integers(6, 25))):
        shard = _modes(rng, 2500.0, 14000.0, 3, rng.uniform(0.05, 0.25))
        mix_in(out, int(rng.exponential(0.12) * SAMPLE_RATE), shard, rng.uniform(0.2, 1.0))
    mix_in(out, 0, _burst(rng, 0.15, 1500.0, 15000.0), 2.0)
    return out


def _alarm(rng: Rng) -> Audio:
    n = n_samples(rng.uniform(1.0, 3.0))
    t = times(n)
    low, high = sorted(rng.uniform(350.0, 1800.0, 2))
    x = (t * np.float32(between(rng, 0.4, 4.0))) % 1.0
    curve = pick(rng, (x, np.abs(2.0 * x - 1.0), (x > 0.5).astype(np.float32)))
    hz = low + (high - low) * curve
    order = np.arange(1, 20, dtype=np.float64)
    phases = np.zeros(19, np.float32)
    tone = order ** -rng.uniform(0.8, 3.0)
    y = read_table(wavetable(tone, high, phases), f32(hz), n)
    return y * envelope(n, 0.01, 0.1)


def _drops(rng: Rng) -> Audio:
    out = np.zeros(n_samples(rng.uniform(0.5, 2.5)), np.float32)
    for _ in range(int(rng.integers(2, 15))):
        n = n_samples(rng.uniform(0.03, 0.12))
        hz = between(rng, 500.0, 2500.0) * np.linspace(1.0, rng.uniform(1.2, 2.0), n)
        mix_in(
            out, int(rng.integers(len(out))), f32(sine(hz)) * decay(n, 0.1), rng.uniform(0.3, 1.0)
        )
    return out


def _chime(rng: Rng) -> Audio:
    """Ring four notes, as schools and stations do."""
    play = fm(rng)
    step = rng.uniform(0.25, 0.8)
    notes = rng.choice((0, 2, 4, 5, 7, 9, 12), 4)
    base = between(rng, 250.0, 900.0)
    out = np.zeros(n_samples(step * 4 + 1.0), np.float32)
    for k, note in enumerate(notes):
        mix_in(out, n_samples(k * step), play(base * 2.0 ** (note / 12.0), step, 1.0))
    return out


def _zap(rng: Rng) -> Audio:
    n = n_samples(rng.uniform(0.1, 0.7))
    x = np.linspace(0.0, 1.0, n)
    hz = between(rng, 1000.0, 6000.0) * np.exp(-x * rng.uniform(1.0, 5.0))
    order = np.arange(1, 12, dtype=np.float64)
    y = read_table(wavetable(1.0 / order, float(hz.max()), np.zeros(11, np.float32)), f32(hz), n)
    return y * envelope(n, 0.002, 0.1)


def _ticks(rng: Rng) -> Audio:
    """Repeat one short sound: a clock, a keyboard, a knock, a heart."""
    period, count = between(rng, 0.08, 1.0), int(rng.integers(3, 12))
    low = between(rng, 60.0, 4000.0)
    uneven = rng.uniform(0.0, 0.3)
    out = np.zeros(n_samples(period * count + 0.2), np.float32)
    for k in range(count):
        tick = _burst(rng, between(rng, 0.01, 0.12), low, 2.5 * low)
        when = period * (k + uneven * rng.random())
        mix_in(out, n_samples(when), tick / np.abs(tick).max(), rng.uniform(0.6, 1.0))
    return out


_EFFECTS = (
    _slam,
    _footsteps,
    _whoosh,
    _explosion,
    _birds,
    _phone,
    _beeps,
    _clang,
    _glass,
    _alarm,
    _drops,
    _chime,
    _zap,
    _ticks,
)


def make_effects(n: int, rng: Rng) -> Audio:
    """Row effects up with short gaps, over a faint noise: few windows hold nothing."""
    out = np.zeros(n, np.float32)
    at = -int(rng.integers(0, SAMPLE_RATE))
    while at < n:
        make = pick(rng, _EFFECTS)
        for _ in range(pick(rng, (1, 1, 2, 3))):
            y = f32(make(rng))
            y *= np.float32(1.0 / (np.abs(y).max() + 1e-9))
            mix_in(out, at, y, rng.uniform(0.4, 1.0))
            at += int(len(y) * rng.uniform(0.5, 1.0))
        at += int(rng.uniform(-0.2, 0.4) * SAMPLE_RATE)
    if rng.random() < 0.6:
        wet = convolve(out, impulse_response(rng, between(rng, 0.15, 2.0)))
        out += wet * from_db(rng.uniform(-20.0, -3.0))
    return out + np.float32(between(rng, 3e-4, 1e-2)) * make_noise(n, rng)
