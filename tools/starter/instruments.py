"""Instruments and drums, synthesized, for `.music` and `.effects`.

Each maker draws a timbre once and returns a function that plays notes in it.

References
----------
.. [1] K. Karplus, A. Strong, "Digital synthesis of plucked-string and drum timbres", Computer
   Music Journal 7(2), 1983.
.. [2] J. Chowning, "The synthesis of complex audio spectra by means of frequency modulation",
   Journal of the AES 21(7), 1973.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..augment import between
from .synthesis import (
    SAMPLE_RATE,
    TWO_PI,
    Audio,
    Rng,
    butterworth,
    decay,
    envelope,
    f32,
    n_samples,
    pick,
    read_table,
    sine,
    times,
    wander,
    wavetable,
)

Instrument = Callable[[float, float, float], Audio]
"""Plays a note: frequency in Hz, seconds, loudness 0 to 1."""


def _pluck(rng: Rng) -> Instrument:
    """Karplus-Strong string [1]_, one period at a time: guitar, koto, harp."""
    brightness = rng.uniform(0.15, 1.0)
    damping = rng.uniform(0.0, 0.012)
    position = rng.uniform(0.08, 0.5)

    def play(hz: float, seconds: float, loudness: float) -> Audio:
        period = max(8, round(SAMPLE_RATE / hz - 0.5))
        n_rows = n_samples(seconds + 0.4) // period + 2
        rows = np.empty((n_rows, period), np.float32)
        burst = rng.uniform(-1.0, 1.0, period).astype(np.float32)
        dull = np.roll(np.cumsum(burst - burst.mean()), 1)
        burst = f32(brightness * burst + (1.0 - brightness) * dull)
        burst = burst - np.roll(burst, max(1, int(position * period)))  # comb of the plucked place
        rows[0] = burst - burst.mean()
        half = np.float32(0.5 * (1.0 - damping))
        for k in range(1, n_rows):
            last = rows[k - 1]
            rows[k, 1:] = half * (last[1:] + last[:-1])
            # The sample before a row's first is the last one of the row before its predecessor.
            rows[k, 0] = half * (last[0] + (rows[k - 2, -1] if k > 1 else np.float32(0.0)))
        y = rows.ravel()
        # A whole period in samples is out of tune high up; a small change of rate mends it.
        ratio = hz / (SAMPLE_RATE / (period + 0.5))
        y = np.interp(np.arange(0, len(y) - 1, ratio), np.arange(len(y)), y).astype(np.float32)
        y *= envelope(len(y), 0.001, 0.25)
        return f32(y * np.float32(loudness / (np.abs(y).max() + 1e-9)))

    return play


def _struck(rng: Rng) -> Instrument:
    """Piano-like: bright at the stroke, darker as it dies."""
    rolloff = rng.uniform(0.9, 1.8)
    ring = rng.uniform(0.8, 4.0)
    order = np.arange(1, 41, dtype=np.float64)
    phases = rng.uniform(0.0, TWO_PI, 40).astype(np.float32)
    bright = order**-rolloff * rng.uniform(0.4, 1.0, 40)

    def play(hz: float, seconds: float, loudness: float) -> Audio:
        n = n_samples(seconds + 0.3)
        tau = ring * (220.0 / hz) ** 0.4
        attack = read_table(wavetable(bright, hz, phases), hz * 1.0007, n)
        body = read_table(wavetable(bright * order**-1.2, hz, phases), hz, n)
        y = body * decay(n, tau) + 0.7 * attack * decay(n, tau * 0.25)
        y[: n_samples(0.02)] += 0.1 * rng.standard_normal(min(n, n_samples(0.02)), np.float32)
        return y * envelope(n, 0.002, 0.2) * np.float32(0.3 * loudness)

    return play


def fm(rng: Rng) -> Instrument:
    """Frequency modulation [2]_: bells, music boxes, electric pianos, marimbas."""
    ratio = pick(rng, (1.0, 2.0, 3.0, 3.5, 1.41, 2.76, 4.0, 7.0, 14.0))
    index = rng.uniform(0.5, 5.0) / max(1.0, ratio / 3.0)
    ring = between(rng, 0.4, 4.0)
    tremolo = rng.uniform(0.0, 0.35) * (rng.random() < 0.4)
    rate = rng.uniform(3.0, 7.0)

    def play(hz: float, seconds: float, loudness: float) -> Audio:
        n = n_samples(max(seconds, 0.15) + min(ring, 1.5))
        t = times(n)
        turn = np.float32(TWO_PI * hz) * t
        y = np.sin(turn + index * decay(n, ring * 0.5) * np.sin(turn * np.float32(ratio)))
        y = y * decay(n, ring) * (1.0 - tremolo * (0.5 + 0.5 * np.sin(TWO_PI * rate * t)))
        return f32(y * envelope(n, 0.002, 0.1) * np.float32(0.5 * loudness))

    return play


def _vibrato(n: int, rng: Rng, semitones: float, rate: float) -> Audio:
    """Factor on a frequency; comes in after a moment, as a player's does, and is not quite even."""
    t = times(n)
    depth = np.minimum(1.0, t / 0.35) * np.float32(semitones)
    phase = TWO_PI * rate * t + 1.5 * wander(n, rng, 1.5)
    return f32(np.exp2(depth * np.sin(phase) / 12.0))


def _sustained(rng: Rng, family: str) -> Instrument:
    """Bowed, blown, organ and synthesizer tones."""
    n_harmonics = 60
    order = np.arange(1, n_harmonics + 1, dtype=np.float64)
    phases = rng.uniform(0.0, TWO_PI, n_harmonics).astype(np.float32)
    voices, detune, vibrato, rate, breath = 1, 0.0, 0.0, rng.uniform(4.0, 7.0), 0.0
    attack, release = rng.uniform(0.005, 0.03), rng.uniform(0.04, 0.2)
    if family == "saw":
        tone = order ** -rng.uniform(0.8, 1.3)
        voices, detune, vibrato = int(rng.integers(1, 4)), rng.uniform(0.03, 0.2), 0.15
    elif family == "square":
        width = pick(rng, (0.5, 0.25, 0.125))
        tone = np.abs(np.sin(np.pi * order * width)) / order
        phases[:] = -np.pi / 2
        vibrato = pick(rng, (0.0, 0.2))
    elif family == "triangle":
        tone = (order % 2) / order**2
    elif family == "strings":
        tone = order ** -rng.uniform(1.0, 1.6) * rng.uniform(0.3, 1.0, n_harmonics)
        voices, detune, vibrato = 4, rng.uniform(0.06, 0.2), 0.2
        attack, release, breath = rng.uniform(0.06, 0.5), rng.uniform(0.2, 0.7), 0.02
    elif family == "organ":
        tone = np.zeros(n_harmonics)
        tone[[0, 1, 2, 3, 5, 7]] = rng.uniform(0.0, 1.0, 6) ** 1.5
        tone[0] = 1.0
        vibrato = pick(rng, (0.0, 0.12))
    elif family == "flute":
        tone = order ** -rng.uniform(2.2, 3.5)
        vibrato, breath, attack = rng.uniform(0.1, 0.4), rng.uniform(0.03, 0.15), 0.06
    elif family == "brass":
        tone = order ** -rng.uniform(0.7, 1.2) * np.exp(-order / rng.uniform(6.0, 20.0))
        voices, detune, vibrato = int(rng.integers(1, 4)), 0.08, 0.15
        attack = rng.uniform(0.03, 0.12)
    else:
        raise ValueError(f"family={family!r} is not known")
    darker = tone * order ** -rng.uniform(0.4, 1.2)
    sweep = rng.uniform(0.0, 1.0)  # how much brighter the start is than the rest
    sweep_s = between(rng, 0.1, 1.5)

    def play(hz: float, seconds: float, loudness: float) -> Audio:
        n = n_samples(seconds + release * 0.5)
        bright_table = wavetable(tone, hz, phases)
        dark_table = wavetable(darker, hz, phases)
        bright = decay(n, sweep_s * 2.0) * np.float32(sweep) + np.float32(1.0 - sweep)
        y = np.zeros(n, np.float32)
        for k in range(voices):
            shift = 2.0 ** (detune * (k - (voices - 1) / 2) / 12.0)
            if vibrato:
                curve = _vibrato(n, rng, vibrato, rate) * np.float32(hz * shift)
            else:
                curve = np.full(n, hz * shift, np.float32)
            if voices == 1:
                y += read_table(dark_table, curve, n) * (1 - bright)
                y += read_table(bright_table, curve, n) * bright
            else:  # the mixture moves by itself; one table is enough
                y += read_table(bright_table if k % 2 else dark_table, curve, n) / np.sqrt(voices)
        if breath:
            y += np.float32(breath) * rng.standard_normal(n, np.float32)
        return y * envelope(n, attack, release) * np.float32(0.3 * loudness)

    return play


def instrument(rng: Rng, name: str) -> Instrument:
    """Draw the timbre of an instrument by its name."""
    makers = {"pluck": _pluck, "struck": _struck, "fm": fm}
    return makers[name](rng) if name in makers else _sustained(rng, name)


def drum_kit(rng: Rng) -> dict[str, Audio]:
    """Draw one sound for each drum."""
    noise = rng.standard_normal(SAMPLE_RATE, np.float32)

    def skin(low: float, high: float, drop: float, ring: float) -> Audio:
        n = n_samples(min(0.9, ring * 1.2))
        hz = between(rng, low, high) * (1.0 + drop * decay(n, 0.12))
        return f32(sine(hz)) * decay(n, ring)

    def hiss(low: float, ring: float, gain: float) -> Audio:
        n = n_samples(min(0.9, ring * 1.2))
        return butterworth(noise[:n], "highpass", low) * decay(n, ring) * np.float32(gain)

    snare = skin(150.0, 260.0, 0.5, 0.18) * 0.6
    rattle = hiss(between(rng, 800.0, 3000.0), between(rng, 0.12, 0.4), 0.45)
    size = max(len(snare), len(rattle))
    kit = {
        "kick": skin(42.0, 70.0, rng.uniform(1.0, 5.0), between(rng, 0.2, 0.7)),
        "snare": np.pad(snare, (0, size - len(snare))) + np.pad(rattle, (0, size - len(rattle))),
        "hat": hiss(between(rng, 5000.0, 9000.0), between(rng, 0.03, 0.15), 0.35),
        "open": hiss(between(rng, 4000.0, 8000.0), between(rng, 0.3, 0.7), 0.3),
        "tom": skin(75.0, 160.0, 0.6, between(rng, 0.25, 0.8)),
        "high tom": skin(160.0, 380.0, 0.4, between(rng, 0.1, 0.4)),
        "clap": butterworth(noise[: n_samples(0.2)], "bandpass", (900.0, 3500.0))
        * decay(n_samples(0.2), 0.2),
        "wood": skin(700.0, 1800.0, 0.1, 0.06) * 0.6,
        "crash": hiss(3000.0, 0.9, 0.35),
    }
    if rng.random() < 0.25:  # an old sampler: few bits
        kit = {name: np.round(y * 12.0) / np.float32(12.0) for name, y in kit.items()}
    return kit
