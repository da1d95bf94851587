"""Sound without speech, synthesized: music, noise and effects, and two augmentations.

A network that names characters must also know what is nobody. `make_background` makes it such
sound from nothing but a random generator: each call is another piece of music (style, key, scale,
tempo, instruments, room), another noise, or another row of effects. The same generator state gives
the same sound.

`reverberate` and `band_limit` put any sound into another room or behind another channel; they
serve here and as augmentations of speech.

Everything is mono float32 at `SAMPLE_RATE`.

References
----------
.. [1] K. Karplus, A. Strong, "Digital synthesis of plucked-string and drum timbres", Computer
   Music Journal 7(2), 1983.
.. [2] J. Chowning, "The synthesis of complex audio spectra by means of frequency modulation",
   Journal of the AES 21(7), 1973.
.. [3] R. Bristow-Johnson, "Cookbook formulae for audio EQ biquad filter coefficients".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

# No part of scipy is typed in every version we allow.
from scipy import fft as _fft  # type: ignore[import-untyped, unused-ignore]
from scipy import signal as _signal  # type: ignore[import-untyped, unused-ignore]

Audio = npt.NDArray[np.float32]
Kind = Literal["music", "noise", "effects"]

SAMPLE_RATE = 44100
"""Sampling rate of everything here, in Hz."""

KINDS: tuple[Kind, ...] = ("music", "noise", "effects")
"""What `make_background` can make."""

_ACTIVE_RMS_DBFS = -20.0
_ACTIVE_DB = -30.0  # below the loudest frame: not counted as active
_FRAME = SAMPLE_RATE // 50
_TABLE = 4096  # wavetable length; read without interpolation its error is below -60 dB
_TWO_PI = 2.0 * np.pi

_Rng = np.random.Generator
_Instrument = Callable[[float, float, float], Audio]  # frequency in Hz, seconds, loudness 0 to 1


# --- building blocks ---------------------------------------------------------------------------


def _f32(y: Any) -> Audio:
    return np.asarray(y, dtype=np.float32)


def _n(seconds: float) -> int:
    return max(1, round(seconds * SAMPLE_RATE))


def _t(n: int) -> Audio:
    return np.arange(n, dtype=np.float32) / np.float32(SAMPLE_RATE)


def _between(rng: _Rng, low: float, high: float) -> float:
    """Draw log-uniformly, as fits times, rates and frequencies."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _pick(rng: _Rng, options: Sequence[Any]) -> Any:
    return options[int(rng.integers(len(options)))]


def _mix_in(out: Audio, at: int, y: Audio, gain: float = 1.0) -> None:
    """Add *y* to *out* from sample *at*, dropping what lies outside."""
    start, stop = max(0, at), min(len(out), at + len(y))
    if start < stop:
        out[start:stop] += np.float32(gain) * y[start - at : stop - at]


def _decay(n: int, seconds: float) -> Audio:
    """Fall by 60 dB in *seconds*."""
    return _f32(np.exp(np.float32(-6.9 / max(seconds, 1e-3)) * _t(n)))


def _envelope(n: int, attack: float, release: float) -> Audio:
    """Rise in *attack* and fall in *release* seconds, both shortened to fit."""
    a = min(_n(attack), max(1, n // 2))
    r = min(_n(release), max(1, n - a))
    env = np.ones(n, np.float32)
    env[:a] = np.linspace(0.0, 1.0, a, dtype=np.float32)
    env[n - r :] *= np.linspace(1.0, 0.0, r, dtype=np.float32)
    return env


def _wander(n: int, rng: _Rng, rate: float) -> Audio:
    """Random curve between 0 and 1 with about *rate* turns a second."""
    knots = rng.random(int(n / SAMPLE_RATE * rate) + 4)
    where = np.linspace(0.0, len(knots) - 3.0, n) + rng.random()
    left = where.astype(np.int64)
    x = where - left
    x = x * x * (3.0 - 2.0 * x)  # smoothstep: no corners, which would be heard as clicks
    return (knots[left] * (1.0 - x) + knots[left + 1] * x).astype(np.float32)


def _coloured(n: int, rng: _Rng, slope: float) -> Audio:
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


def _filter(y: Audio, kind: str, hz: float | tuple[float, float], order: int = 2) -> Audio:
    """Butterworth filter; frequencies are kept inside the audible band."""
    edges = np.clip(np.atleast_1d(hz), 15.0, 0.48 * SAMPLE_RATE)
    sos = _signal.butter(
        order, edges if kind == "bandpass" else edges[0], kind, fs=SAMPLE_RATE, output="sos"
    )
    return np.asarray(_signal.sosfilt(sos.astype(np.float32), y), dtype=np.float32)


def _peaking(y: Audio, hz: float, gain_db: float, q: float) -> Audio:
    """One bell of an equalizer [3]_."""
    amp = 10.0 ** (gain_db / 40.0)
    w = _TWO_PI * hz / SAMPLE_RATE
    alpha = np.sin(w) / (2.0 * q)
    b = np.array([1 + alpha * amp, -2 * np.cos(w), 1 - alpha * amp])
    a = np.array([1 + alpha / amp, -2 * np.cos(w), 1 - alpha / amp])
    sos = np.concatenate([b, a]) / a[0]
    return np.asarray(_signal.sosfilt(sos[None].astype(np.float32), y), dtype=np.float32)


def _table(harmonics: npt.NDArray[np.float64], hz: float, phases: Audio) -> Audio:
    """One period of the sum of *harmonics* that stay below the Nyquist frequency at *hz*."""
    keep = max(1, min(len(harmonics), int(0.45 * SAMPLE_RATE / hz), _TABLE // 2 - 1))
    spectrum = np.zeros(_TABLE // 2 + 1, np.complex64)
    spectrum[1 : keep + 1] = harmonics[:keep] * np.exp(1j * phases[:keep])
    y = np.asarray(_fft.irfft(spectrum), dtype=np.float32)
    return y / np.float32(np.sqrt(np.mean(y**2)) + 1e-12)


def _read(table: Audio, hz: Audio | float, n: int) -> Audio:
    """Play *table* for *n* samples at a frequency that may vary."""
    if isinstance(hz, float):
        where = np.arange(n, dtype=np.float64) * (hz / SAMPLE_RATE * _TABLE)
    else:
        where = np.cumsum(hz, dtype=np.float64) * (_TABLE / SAMPLE_RATE)
    return _f32(table[where.astype(np.int64) & (_TABLE - 1)])


def _vibrato(n: int, rng: _Rng, semitones: float, rate: float) -> Audio:
    """Factor on a frequency; comes in after a moment, as a player's does, and is not quite even."""
    t = _t(n)
    depth = np.minimum(1.0, t / 0.35) * np.float32(semitones)
    phase = _TWO_PI * rate * t + 1.5 * _wander(n, rng, 1.5)
    return _f32(np.exp2(depth * np.sin(phase) / 12.0))


def _impulse_response(rng: _Rng, rt60: float) -> Audio:
    """Room tail: noise that decays by 60 dB in *rt60* seconds, its highs faster."""
    n = _n(min(rt60, 3.0))
    tail = rng.standard_normal(n, np.float32) * _decay(n, rt60)
    dark = _filter(tail, "lowpass", _between(rng, 1500.0, 8000.0), 1)
    blend = _decay(n, rt60 * 0.6)
    tail = tail * blend + dark * (1.0 - blend)
    predelay = np.zeros(_n(rng.uniform(0.0, 0.03)), np.float32)
    tail = np.concatenate([predelay, tail])
    return tail / np.float32(np.sqrt(np.sum(tail**2)) + 1e-12)


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


def _compress(y: Audio, rng: _Rng) -> Audio:
    """Even out the loudness a little, as every record does."""
    block = _FRAME // 2
    n_blocks = len(y) // block + 1
    padded = np.zeros(n_blocks * block, np.float32)
    padded[: len(y)] = y
    rms = np.sqrt(np.mean(padded.reshape(n_blocks, block) ** 2, axis=1) + 1e-8)
    smoothed = np.asarray(_signal.lfilter([0.2], [1.0, -0.8], rms), dtype=np.float64)
    threshold = float(np.median(smoothed))
    ratio = rng.uniform(1.5, 5.0)
    gain = np.maximum(smoothed / max(threshold, 1e-6), 1.0) ** (1.0 / ratio - 1.0)
    centres = (np.arange(n_blocks) + 0.5) * block
    return y * np.interp(np.arange(len(y)), centres, gain).astype(np.float32)


def _equalize(y: Audio, rng: _Rng) -> Audio:
    for _ in range(int(rng.integers(1, 4))):
        y = _peaking(y, _between(rng, 80.0, 9000.0), rng.uniform(-7.0, 7.0), rng.uniform(0.4, 1.5))
    return y


# --- augmentations -----------------------------------------------------------------------------


def _checked(y: npt.NDArray[Any]) -> Audio:
    if y.ndim != 1 or len(y) == 0:
        raise ValueError(f"y of shape {y.shape} must be one-dimensional and not empty")
    if not np.all(np.isfinite(y)):
        raise ValueError("y must be finite")
    return np.asarray(y, dtype=np.float32)


def reverberate(y: npt.NDArray[np.float32], rng: np.random.Generator) -> Audio:
    """Put a sound into a random room.

    The room is exponentially decaying noise: reverberation time 0.12 to 1.2 s, 3 to 20 dB below
    the direct sound. Early reflections of a real room are not modelled.

    Parameters
    ----------
    y : np.ndarray, shape=(n,)
        At `SAMPLE_RATE`; unchanged.
    rng : np.random.Generator

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
    response = _impulse_response(rng, _between(rng, 0.12, 1.2))
    wet = np.asarray(_signal.fftconvolve(y, response)[: len(y)], dtype=np.float32)
    out = y + wet * np.float32(10.0 ** (-rng.uniform(3.0, 20.0) / 20.0))
    before, after = float(np.mean(y**2)), float(np.mean(out**2))
    return out * np.float32(np.sqrt(before / after)) if after > 0 else out


def band_limit(y: npt.NDArray[np.float32], rng: np.random.Generator) -> Audio:
    """Pass a sound through a random channel.

    Low-pass, edge 3.5 to 20 kHz, gentle or steep; in three of ten cases also a high-pass, edge
    40 to 350 Hz.

    Parameters
    ----------
    y : np.ndarray, shape=(n,)
        At `SAMPLE_RATE`; unchanged.
    rng : np.random.Generator

    Returns
    -------
    np.ndarray, shape=(n,), dtype=float32

    Raises
    ------
    ValueError
        If *y* is empty, not one-dimensional, or not finite.
    """
    y = _checked(y)
    edge = _between(rng, 3500.0, 20000.0)
    out = _filter(y, "lowpass", edge, int(_pick(rng, (2, 4, 8))))
    if rng.random() < 0.3:
        out = _filter(out, "highpass", _between(rng, 40.0, 350.0), int(_pick(rng, (1, 2, 4))))
    return out


# --- instruments -------------------------------------------------------------------------------
# Each maker draws a timbre once and returns a function that plays notes in it.


def _pluck(rng: _Rng) -> _Instrument:
    """Karplus-Strong string [1]_, one period at a time: guitar, koto, harp."""
    brightness = rng.uniform(0.15, 1.0)
    damping = rng.uniform(0.0, 0.012)
    position = rng.uniform(0.08, 0.5)

    def play(hz: float, seconds: float, loudness: float) -> Audio:
        period = max(8, round(SAMPLE_RATE / hz - 0.5))
        n_rows = _n(seconds + 0.4) // period + 2
        rows = np.empty((n_rows, period), np.float32)
        burst = rng.uniform(-1.0, 1.0, period).astype(np.float32)
        dull = np.roll(np.cumsum(burst - burst.mean()), 1)
        burst = _f32(brightness * burst + (1.0 - brightness) * dull)
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
        y *= _envelope(len(y), 0.001, 0.25)
        return _f32(y * np.float32(loudness / (np.abs(y).max() + 1e-9)))

    return play


def _struck(rng: _Rng) -> _Instrument:
    """Piano-like: bright at the stroke, darker as it dies."""
    rolloff = rng.uniform(0.9, 1.8)
    ring = rng.uniform(0.8, 4.0)
    order = np.arange(1, 41, dtype=np.float64)
    phases = rng.uniform(0.0, _TWO_PI, 40).astype(np.float32)
    bright = order**-rolloff * rng.uniform(0.4, 1.0, 40)

    def play(hz: float, seconds: float, loudness: float) -> Audio:
        n = _n(seconds + 0.3)
        tau = ring * (220.0 / hz) ** 0.4
        attack = _read(_table(bright, hz, phases), hz * 1.0007, n)
        body = _read(_table(bright * order**-1.2, hz, phases), hz, n)
        y = body * _decay(n, tau) + 0.7 * attack * _decay(n, tau * 0.25)
        y[: _n(0.02)] += 0.1 * rng.standard_normal(min(n, _n(0.02)), np.float32)
        return y * _envelope(n, 0.002, 0.2) * np.float32(0.3 * loudness)

    return play


def _fm(rng: _Rng) -> _Instrument:
    """Frequency modulation [2]_: bells, music boxes, electric pianos, marimbas."""
    ratio = float(_pick(rng, (1.0, 2.0, 3.0, 3.5, 1.41, 2.76, 4.0, 7.0, 14.0)))
    index = rng.uniform(0.5, 5.0) / max(1.0, ratio / 3.0)
    ring = _between(rng, 0.4, 4.0)
    tremolo = rng.uniform(0.0, 0.35) * (rng.random() < 0.4)
    rate = rng.uniform(3.0, 7.0)

    def play(hz: float, seconds: float, loudness: float) -> Audio:
        n = _n(max(seconds, 0.15) + min(ring, 1.5))
        t = _t(n)
        turn = np.float32(_TWO_PI * hz) * t
        y = np.sin(turn + index * _decay(n, ring * 0.5) * np.sin(turn * np.float32(ratio)))
        y = y * _decay(n, ring) * (1.0 - tremolo * (0.5 + 0.5 * np.sin(_TWO_PI * rate * t)))
        return _f32(y * _envelope(n, 0.002, 0.1) * np.float32(0.5 * loudness))

    return play


def _sustained(rng: _Rng, family: str) -> _Instrument:
    """Bowed, blown, organ and synthesizer tones."""
    n_harmonics = 60
    order = np.arange(1, n_harmonics + 1, dtype=np.float64)
    phases = rng.uniform(0.0, _TWO_PI, n_harmonics).astype(np.float32)
    voices, detune, vibrato, rate, breath = 1, 0.0, 0.0, rng.uniform(4.0, 7.0), 0.0
    attack, release = rng.uniform(0.005, 0.03), rng.uniform(0.04, 0.2)
    if family == "saw":
        tone = order ** -rng.uniform(0.8, 1.3)
        voices, detune, vibrato = int(rng.integers(1, 4)), rng.uniform(0.03, 0.2), 0.15
    elif family == "square":
        width = float(_pick(rng, (0.5, 0.25, 0.125)))
        tone = np.abs(np.sin(np.pi * order * width)) / order
        phases[:] = -np.pi / 2
        vibrato = float(_pick(rng, (0.0, 0.2)))
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
        vibrato = float(_pick(rng, (0.0, 0.12)))
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
    sweep_s = _between(rng, 0.1, 1.5)

    def play(hz: float, seconds: float, loudness: float) -> Audio:
        n = _n(seconds + release * 0.5)
        bright_table = _table(tone, hz, phases)
        dark_table = _table(darker, hz, phases)
        bright = _decay(n, sweep_s * 2.0) * np.float32(sweep) + np.float32(1.0 - sweep)
        y = np.zeros(n, np.float32)
        for k in range(voices):
            shift = 2.0 ** (detune * (k - (voices - 1) / 2) / 12.0)
            if vibrato:
                curve = _vibrato(n, rng, vibrato, rate) * np.float32(hz * shift)
            else:
                curve = np.full(n, hz * shift, np.float32)
            if voices == 1:
                y += _read(dark_table, curve, n) * (1 - bright)
                y += _read(bright_table, curve, n) * bright
            else:  # the mixture moves by itself; one table is enough
                y += _read(bright_table if k % 2 else dark_table, curve, n) / np.sqrt(voices)
        if breath:
            y += np.float32(breath) * rng.standard_normal(n, np.float32)
        return y * _envelope(n, attack, release) * np.float32(0.3 * loudness)

    return play


def _instrument(rng: _Rng, name: str) -> _Instrument:
    makers: Mapping[str, Callable[[_Rng], _Instrument]] = {
        "pluck": _pluck,
        "struck": _struck,
        "fm": _fm,
    }
    return makers[name](rng) if name in makers else _sustained(rng, name)


# --- drums -------------------------------------------------------------------------------------


def _drum_kit(rng: _Rng) -> dict[str, Audio]:
    """Draw one sound for each drum."""
    noise = rng.standard_normal(SAMPLE_RATE, np.float32)

    def skin(low: float, high: float, drop: float, ring: float) -> Audio:
        n = _n(min(0.9, ring * 1.2))
        hz = _between(rng, low, high) * (1.0 + drop * _decay(n, 0.12))
        return np.sin(_TWO_PI * np.cumsum(hz, dtype=np.float64) / SAMPLE_RATE).astype(
            np.float32
        ) * _decay(n, ring)

    def hiss(low: float, ring: float, gain: float) -> Audio:
        n = _n(min(0.9, ring * 1.2))
        return _filter(noise[:n], "highpass", low) * _decay(n, ring) * np.float32(gain)

    snare = skin(150.0, 260.0, 0.5, 0.18) * 0.6
    rattle = hiss(_between(rng, 800.0, 3000.0), _between(rng, 0.12, 0.4), 0.45)
    size = max(len(snare), len(rattle))
    kit = {
        "kick": skin(42.0, 70.0, rng.uniform(1.0, 5.0), _between(rng, 0.2, 0.7)),
        "snare": np.pad(snare, (0, size - len(snare))) + np.pad(rattle, (0, size - len(rattle))),
        "hat": hiss(_between(rng, 5000.0, 9000.0), _between(rng, 0.03, 0.15), 0.35),
        "open": hiss(_between(rng, 4000.0, 8000.0), _between(rng, 0.3, 0.7), 0.3),
        "tom": skin(75.0, 160.0, 0.6, _between(rng, 0.25, 0.8)),
        "high tom": skin(160.0, 380.0, 0.4, _between(rng, 0.1, 0.4)),
        "clap": _filter(noise[: _n(0.2)], "bandpass", (900.0, 3500.0)) * _decay(_n(0.2), 0.2),
        "wood": skin(700.0, 1800.0, 0.1, 0.06) * 0.6,
        "crash": hiss(3000.0, 0.9, 0.35),
    }
    if rng.random() < 0.25:  # an old sampler: few bits
        kit = {name: np.round(y * 12.0) / np.float32(12.0) for name, y in kit.items()}
    return kit


def _drums(song: _Song, rng: _Rng, busy: float = 0.5) -> Audio:
    """Play a pattern of sixteen steps, with small changes from bar to bar."""
    kit = _drum_kit(rng)
    names = list(kit)
    only_skins = rng.random() < 0.25
    pattern = {name: np.zeros(16) for name in names}
    if only_skins:  # taiko and tribal
        for name in ("kick", "tom", "high tom", "wood"):
            hit = rng.random(16) < busy * rng.uniform(0.2, 0.9)
            pattern[name] = np.where(hit, rng.uniform(0.4, 1.0), 0.0)
        pattern["kick"][0] = 1.0
    else:
        pattern["kick"][_pick(rng, ([0, 8], [0, 4, 8, 12], [0, 6, 10], [0, 7, 8], [0]))] = 1.0
        pattern[_pick(rng, ("snare", "clap", "snare"))][_pick(rng, ([4, 12], [8], [4, 12, 15]))] = (
            0.9
        )
        pattern["hat"][:: int(_pick(rng, (1, 2, 2, 4)))] = rng.uniform(0.3, 0.8)
        pattern["open"][_pick(rng, ([], [2, 10], [14]))] = 0.6
        pattern[_pick(rng, names)] += (rng.random(16) < 0.15 * busy) * 0.6
    out = np.zeros(song.n, np.float32)
    step = song.beat / 4.0
    swing = rng.uniform(0.0, 0.33) * (rng.random() < 0.3)
    for bar in range(song.n_bars):
        fill = rng.random() < 0.2
        for name in names:
            hits = pattern[name] * (rng.random(16) > 0.05)
            if fill and name in ("snare", "tom", "high tom"):
                hits[12:] = np.maximum(hits[12:], (rng.random(4) < 0.6) * 0.8)
            for k in np.flatnonzero(hits):
                when = (bar * 16 + k + swing * (k % 2)) * step + rng.normal(0.0, 0.003)
                _mix_in(out, round(when * SAMPLE_RATE), kit[name], hits[k] * rng.uniform(0.8, 1.0))
    return out


# --- music -------------------------------------------------------------------------------------

_SCALES = (
    (0, 2, 4, 5, 7, 9, 11),  # major
    (0, 2, 4, 5, 7, 9, 11),
    (0, 2, 3, 5, 7, 8, 10),  # minor
    (0, 2, 3, 5, 7, 8, 11),  # harmonic minor
    (0, 2, 3, 5, 7, 9, 10),  # Dorian
    (0, 2, 4, 5, 7, 9, 10),  # Mixolydian
    (0, 2, 4, 6, 7, 9, 11),  # Lydian
    (0, 2, 4, 7, 9),  # pentatonic
    (0, 3, 5, 7, 10),
    (0, 2, 3, 7, 8),  # hirajoshi
    (0, 1, 5, 7, 10),  # insen
    (0, 3, 5, 6, 7, 10),  # blues
    (0, 2, 4, 6, 8, 10),  # whole tone
)


@dataclass(frozen=True)
class _Song:
    """What the parts of one piece share. Times in seconds, *root* a MIDI note."""

    n: int
    beat: float
    root: int
    scale: tuple[int, ...]
    chords: tuple[int, ...]  # scale degree of each bar's chord, repeated
    n_bars: int

    def hz(self, degree: int, octave: int = 0) -> float:
        """Frequency of a scale degree, which may lie below 0 or above the octave."""
        up, k = divmod(degree, len(self.scale))
        note = self.root + self.scale[k] + 12 * (up + octave)
        return float(440.0 * 2.0 ** ((note - 69) / 12.0))

    def chord(self, bar: int) -> int:
        return self.chords[bar % len(self.chords)]


def _song(n: int, rng: _Rng) -> _Song:
    beat = 60.0 / _between(rng, 56.0, 185.0)
    scale = _pick(rng, _SCALES)
    chords = tuple(int(c) for c in rng.integers(0, len(scale), int(rng.integers(1, 6))))
    if rng.random() < 0.7:
        chords = (0, *chords[1:])
    root = int(rng.integers(48, 64))
    return _Song(n, beat, root, scale, chords, int(n / SAMPLE_RATE / (4.0 * beat)) + 1)


def _chords(song: _Song, rng: _Rng, play: _Instrument) -> Audio:
    """Accompany: held, pulsed, strummed or broken chords."""
    out = np.zeros(song.n, np.float32)
    way = _pick(rng, ("hold", "hold", "pulse", "broken", "broken", "strum"))
    n_tones = int(rng.integers(2, 5))
    octave = int(rng.integers(-1, 2))
    per_bar = int(_pick(rng, (1, 2, 4, 8) if way in ("pulse", "strum") else (1,)))
    order = rng.permutation(n_tones)
    for bar in range(song.n_bars):
        tones = [song.hz(song.chord(bar) + 2 * k, octave) for k in range(n_tones)]
        start = bar * 4.0 * song.beat
        if way == "broken":
            steps = 8
            for k in range(steps):
                hz = tones[int(order[k % n_tones])]
                y = play(hz, song.beat * 0.6, rng.uniform(0.6, 1.0))
                _mix_in(out, _n(start + k * song.beat / 2), y)
            continue
        length = 4.0 * song.beat / per_bar
        # The same chord sounds the same within its bar: computed once.
        ready = [play(hz, length * 0.95, 0.8) for hz in tones]
        for hit in range(per_bar):
            for k, y in enumerate(ready):
                lag = 0.02 * k if way == "strum" else 0.0
                _mix_in(out, _n(start + hit * length + lag), y, rng.uniform(0.7, 1.0))
    return out


def _phrase(song: _Song, rng: _Rng, sparse: float) -> list[tuple[float, float, int]]:
    """Draw a melody as (start, length, degree), with a rhythm that comes back."""
    motif: list[float] = []
    while sum(motif) < 4.0:
        motif.append(float(_pick(rng, (0.25, 0.5, 0.5, 0.5, 1.0, 1.0, 1.5, 2.0))))
    degree = int(rng.integers(0, len(song.scale)))
    notes = []
    for bar in range(song.n_bars):
        beat = 0.0
        for length in motif:
            degree += int(_pick(rng, (-3, -2, -1, -1, 0, 1, 1, 2, 3)))
            degree = int(np.clip(degree, -4, 2 * len(song.scale) - 2))
            if beat == 0.0 and rng.random() < 0.6:  # strong beats like tones of the chord
                degree = song.chord(bar) + 2 * int(rng.integers(0, 3))
            if rng.random() > sparse:
                start = (bar * 4.0 + beat) * song.beat
                notes.append((start, length * song.beat, degree))
            beat += length
    return notes


def _melody(song: _Song, rng: _Rng, play: _Instrument, sparse: float = 0.15) -> Audio:
    out = np.zeros(song.n, np.float32)
    octave = int(rng.integers(0, 2))
    legato = rng.uniform(0.5, 1.0)
    for start, length, degree in _phrase(song, rng, sparse):
        y = play(song.hz(degree, octave), length * legato, rng.uniform(0.6, 1.0))
        _mix_in(out, _n(start), y)
    return out


def _gliding_lead(song: _Song, rng: _Rng) -> Audio:
    """One voice that glides and trembles as singing does, but has no formants and no words.

    The likest to a voice that music gets; it teaches that a melody with vibrato is nobody.
    """
    n = song.n
    target = np.zeros(n, np.float32)
    loud = np.zeros(n, np.float32)
    octave = int(rng.integers(-1, 2))
    current = song.hz(0, octave)
    notes = _phrase(song, rng, 0.12)
    target[:] = current
    for start, length, degree in notes:
        a, b = _n(start), min(n, _n(start + length))
        if a < n:
            target[a:] = song.hz(degree, octave)
            loud[a:b] = rng.uniform(0.6, 1.0)
    # One pole low-passes turn steps into glides and breaths.
    glide = np.exp(-1.0 / (_between(rng, 0.01, 0.12) * SAMPLE_RATE))
    swell = np.exp(-1.0 / (0.03 * SAMPLE_RATE))
    start_state = [np.log(target[0]) * glide]
    curve, _ = _signal.lfilter([1 - glide], [1, -glide], np.log(target), zi=start_state)
    loud = np.asarray(_signal.lfilter([1 - swell], [1, -swell], loud), dtype=np.float32)
    depth = rng.uniform(0.2, 0.8)
    wave = np.sin(_TWO_PI * rng.uniform(4.5, 7.0) * _t(n) + 2.0 * _wander(n, rng, 1.0))
    hz = np.exp(curve).astype(np.float32) * np.exp2(depth * wave / 12.0).astype(np.float32)
    order = np.arange(1, 41, dtype=np.float64)
    tone = order ** -rng.uniform(0.8, 2.2)
    phases = rng.uniform(0.0, _TWO_PI, 40).astype(np.float32)
    y = _read(_table(tone, float(target.max()) * 1.1, phases), hz, n)
    y = y * loud + np.float32(rng.uniform(0.0, 0.05)) * loud * rng.standard_normal(n, np.float32)
    return y.astype(np.float32) * np.float32(0.3)


def _bass(song: _Song, rng: _Rng) -> Audio:
    play = _instrument(rng, _pick(rng, ("pluck", "saw", "triangle", "square", "struck", "fm")))
    out = np.zeros(song.n, np.float32)
    rhythm = _pick(rng, ((0, 4), (0, 2, 4, 6), (0, 3, 6), tuple(range(8)), (0,)))
    walking = rng.random() < 0.3
    for bar in range(song.n_bars):
        for k in rhythm:
            step = int(_pick(rng, (0, 2, 4, -1))) if walking else 0
            y = play(song.hz(song.chord(bar) + step, -2), song.beat * 0.8, 1.0)
            _mix_in(out, _n((bar * 4.0 + k * 0.5) * song.beat), y)
    return _filter(out, "lowpass", _between(rng, 400.0, 3000.0))


def _distort(y: Audio, rng: _Rng) -> Audio:
    """Overdrive and a loudspeaker cabinet."""
    drive = _between(rng, 4.0, 40.0) / (np.sqrt(np.mean(y**2)) * 10.0 + 1e-6)
    y = np.tanh(y * np.float32(drive))
    return _filter(_filter(y, "highpass", 90.0), "lowpass", _between(rng, 3000.0, 7000.0), 4)


def _music(n: int, rng: _Rng) -> Audio:
    song = _song(n, rng)
    style = _pick(
        rng,
        ("solo", "orchestra", "chiptune", "rock", "ambient", "percussion", "lead", "pop", "box"),
    )
    parts: list[tuple[float, Audio]] = []
    tail_s, wet_db = _between(rng, 0.2, 1.5), rng.uniform(-22.0, -8.0)
    if style == "solo":
        play = _instrument(
            rng, _pick(rng, ("pluck", "pluck", "struck", "struck", "flute", "strings", "organ"))
        )
        parts.append((1.0, _melody(song, rng, play)))
        if rng.random() < 0.6:
            parts.append((0.6, _chords(song, rng, play)))
    elif style == "orchestra":
        parts.append((1.0, _chords(song, rng, _instrument(rng, "strings"))))
        name = _pick(rng, ("brass", "flute", "strings", "pluck"))
        parts.append((rng.uniform(0.4, 1.2), _melody(song, rng, _instrument(rng, name))))
        if rng.random() < 0.4:
            parts.append((0.5, _drums(song, rng, 0.3)))
        tail_s, wet_db = _between(rng, 1.0, 3.0), rng.uniform(-12.0, -4.0)
    elif style == "chiptune":
        parts.append((1.0, _melody(song, rng, _instrument(rng, "square"))))
        parts.append((0.6, _chords(song, rng, _instrument(rng, _pick(rng, ("square", "saw"))))))
        parts.append((0.9, _bass(song, rng)))
        if rng.random() < 0.7:
            parts.append((0.6, _drums(song, rng)))
        wet_db = -40.0
    elif style == "rock":
        guitar = _distort(_chords(song, rng, _instrument(rng, _pick(rng, ("pluck", "saw")))), rng)
        parts.append((0.35, guitar))
        parts.append((0.8, _bass(song, rng)))
        parts.append((0.9, _drums(song, rng, 0.7)))
        if rng.random() < 0.5:
            parts.append((0.3, _distort(_gliding_lead(song, rng), rng)))
    elif style == "ambient":
        parts.append((1.0, _chords(song, rng, _instrument(rng, "strings"))))
        parts.append((0.7, _melody(song, rng, _instrument(rng, "fm"), 0.6)))
        sigh = _coloured(n, rng, -4.0) * _wander(n, rng, 0.4) * np.float32(0.05)
        parts.append((rng.uniform(0.0, 1.0), sigh))
        tail_s, wet_db = _between(rng, 1.5, 3.0), rng.uniform(-6.0, 2.0)
    elif style == "percussion":
        parts.append((1.0, _drums(song, rng, 0.9)))
        if rng.random() < 0.4:
            parts.append((0.6, _drums(song, rng, 0.6)))
    elif style == "lead":
        parts.append((1.0, _gliding_lead(song, rng)))
        if rng.random() < 0.7:
            name = _pick(rng, ("pluck", "struck", "strings", "organ", "fm"))
            parts.append((rng.uniform(0.2, 0.8), _chords(song, rng, _instrument(rng, name))))
    elif style == "pop":
        name = _pick(rng, ("saw", "square", "flute", "brass", "struck", "fm", "pluck"))
        parts.append((rng.uniform(0.5, 1.0), _melody(song, rng, _instrument(rng, name))))
        name = _pick(rng, ("pluck", "struck", "strings", "organ", "fm", "saw"))
        parts.append((rng.uniform(0.4, 0.9), _chords(song, rng, _instrument(rng, name))))
        parts.append((0.8, _bass(song, rng)))
        parts.append((rng.uniform(0.3, 0.9), _drums(song, rng)))
        if rng.random() < 0.3:
            parts.append((0.5, _gliding_lead(song, rng)))
    else:  # a music box, a marimba, an electric piano
        play = _instrument(rng, "fm")
        parts.append((1.0, _melody(song, rng, play)))
        parts.append((0.5, _chords(song, rng, play)))
    out = np.zeros(n, np.float32)
    for gain, y in parts:
        out += np.float32(gain) * y
    if rng.random() < 0.15:  # begun somewhere in the middle, as cut sound is
        out = np.roll(out, int(rng.integers(n)))
    response = _impulse_response(rng, tail_s)
    wet = np.asarray(_signal.fftconvolve(out, response)[:n], dtype=np.float32)
    out = out + wet * np.float32(10.0 ** (wet_db / 20.0))
    if rng.random() < 0.7:
        out = _compress(out, rng)
    return out


# --- noise -------------------------------------------------------------------------------------


def _rain(n: int, rng: _Rng) -> Audio:
    y = _filter(_coloured(n, rng, rng.uniform(-3.0, 1.0)), "highpass", _between(rng, 200.0, 2000.0))
    drops = np.zeros(n, np.float32)
    where = rng.integers(0, n, max(1, int(n / SAMPLE_RATE * _between(rng, 10.0, 400.0))))
    drops[where] = rng.exponential(1.0, len(where))
    low = _between(rng, 800.0, 4000.0)
    return y + np.float32(rng.uniform(2.0, 12.0)) * _filter(drops, "bandpass", (low, 3.0 * low))


def _wind(n: int, rng: _Rng) -> Audio:
    y = np.zeros(n, np.float32)
    gust = _wander(n, rng, 0.5)
    source = _coloured(n, rng, -3.0)
    for low in (60.0, 150.0, 350.0, 700.0):
        narrow = rng.uniform(1.2, 2.5)
        part = _filter(source, "bandpass", (low, low * narrow))
        y += part * _wander(n, rng, 0.8) * gust ** np.float32(low / 200.0)
    if rng.random() < 0.4:  # it whistles
        hz = 400.0 + 600.0 * gust + 100.0 * _wander(n, rng, 3.0)
        tone = np.sin(_TWO_PI * np.cumsum(hz, dtype=np.float64) / SAMPLE_RATE).astype(np.float32)
        y += 0.15 * tone * gust**2 * (0.6 + 0.4 * _coloured(n, rng, -6.0))
    return y


def _hum(n: int, rng: _Rng) -> Audio:
    hz = float(_pick(rng, (50.0, 60.0, 100.0, 120.0))) * rng.uniform(0.99, 1.01)
    order = np.arange(1, 60, dtype=np.float64)
    tone = order ** -rng.uniform(0.8, 2.0) * rng.uniform(0.0, 1.0, len(order))
    phases = rng.uniform(0.0, _TWO_PI, len(order)).astype(np.float32)
    y = _read(_table(tone, hz, phases), hz, n)
    return y + np.float32(rng.uniform(0.02, 0.5)) * _coloured(n, rng, rng.uniform(-5.0, 0.0))


def _room(n: int, rng: _Rng) -> Audio:
    y = _coloured(n, rng, rng.uniform(-8.0, -4.0))
    y += np.float32(rng.uniform(0.0, 0.3)) * _hum(n, rng)
    return y + np.float32(rng.uniform(0.0, 0.1)) * _coloured(n, rng, 0.0)


def _engine(n: int, rng: _Rng) -> Audio:
    order = np.arange(1, 80, dtype=np.float64)
    low, span = _between(rng, 22.0, 70.0), rng.uniform(0.05, 1.5)
    hz = low * (1.0 + span * _wander(n, rng, 0.5) + 0.03 * _wander(n, rng, 12.0))
    tone = order ** -rng.uniform(0.6, 1.4) * rng.uniform(0.2, 1.0, len(order))
    phases = rng.uniform(0.0, _TWO_PI, len(order)).astype(np.float32)
    y = _read(_table(tone, low * 2.5, phases), hz.astype(np.float32), n)
    flutter = 0.7 + 0.6 * _wander(n, rng, low / 2.0)
    y = y * flutter + np.float32(rng.uniform(0.1, 0.8)) * _coloured(n, rng, -4.0)
    return _filter(y, "lowpass", _between(rng, 800.0, 6000.0), 1)


def _crackle(n: int, rng: _Rng) -> Audio:
    y = np.zeros(n, np.float32)
    where = rng.integers(0, n, max(1, int(n / SAMPLE_RATE * _between(rng, 5.0, 150.0))))
    y[where] = rng.normal(0.0, 1.0, len(where)) * rng.exponential(8.0, len(where))
    y = _filter(y, "lowpass", _between(rng, 3000.0, 12000.0), 1)
    return y + np.float32(rng.uniform(0.1, 0.4)) * _coloured(n, rng, -3.0)


def _sea(n: int, rng: _Rng) -> Audio:
    swell = _wander(n, rng, rng.uniform(0.2, 0.5)) ** 2
    far = _coloured(n, rng, -5.0) * (0.4 + 0.6 * swell)
    near = _filter(_coloured(n, rng, -1.0), "highpass", 700.0) * np.roll(swell, -_n(0.3)) ** 2
    return _f32(far + np.float32(rng.uniform(0.3, 1.0)) * near)


def _train(n: int, rng: _Rng) -> Audio:
    y = _coloured(n, rng, -6.0) * (0.7 + 0.3 * _wander(n, rng, 2.0))
    period, start = rng.uniform(0.5, 1.2), rng.uniform(0.0, 0.5)
    clack = _filter(rng.standard_normal(_n(0.12), np.float32), "bandpass", (150.0, 1800.0))
    clack *= _decay(len(clack), 0.1)
    while start * SAMPLE_RATE < n:
        for lag in (0.0, 0.16 * period):
            _mix_in(y, _n(start + lag), clack, rng.uniform(2.0, 5.0))
        start += period
    return y


def _plain_noise(n: int, rng: _Rng) -> Audio:
    return _coloured(n, rng, float(_pick(rng, (0.0, -3.0, -6.0, rng.uniform(-9.0, 2.0)))))


_NOISES = (
    _plain_noise,
    _plain_noise,
    _rain,
    _wind,
    _hum,
    _room,
    _engine,
    _crackle,
    _sea,
    _train,
)


def _noise(n: int, rng: _Rng) -> Audio:
    return np.asarray(_pick(rng, _NOISES)(n, rng), dtype=np.float32)


# --- effects -----------------------------------------------------------------------------------


def _burst(rng: _Rng, seconds: float, low: float, high: float) -> Audio:
    """Noise in a band that dies away."""
    n = _n(seconds)
    return _filter(rng.standard_normal(n, np.float32), "bandpass", (low, high)) * _decay(n, seconds)


def _slam(rng: _Rng) -> Audio:
    y = _burst(rng, _between(rng, 0.2, 0.6), 40.0, _between(rng, 400.0, 2500.0))
    n = len(y)
    y += 0.8 * np.sin(_TWO_PI * _between(rng, 50.0, 110.0) * _t(n)) * _decay(n, 0.25)
    return y


def _footsteps(rng: _Rng) -> Audio:
    step = rng.uniform(0.28, 0.65)
    count = int(rng.integers(3, 9))
    out = np.zeros(_n(step * count + 0.3), np.float32)
    low = _between(rng, 80.0, 900.0)
    for k in range(count):
        heel = _burst(rng, rng.uniform(0.05, 0.15), low, low * rng.uniform(3.0, 8.0))
        _mix_in(out, _n(k * step + rng.normal(0.0, 0.01) + 0.03), heel, rng.uniform(0.6, 1.0))
    return out


def _whoosh(rng: _Rng) -> Audio:
    n = _n(rng.uniform(0.2, 1.2))
    x = np.linspace(0.0, 1.0, n, dtype=np.float32)
    swell = np.sin(np.pi * x ** np.float32(rng.uniform(0.5, 2.0))) ** 2
    source = rng.standard_normal(n, np.float32)
    low = _between(rng, 150.0, 800.0)
    dark = _filter(source, "bandpass", (low, 2.0 * low))
    bright = _filter(source, "bandpass", (3.0 * low, 8.0 * low))
    return _f32((dark * (1 - swell) + bright * swell) * swell)


def _explosion(rng: _Rng) -> Audio:
    n = _n(rng.uniform(1.0, 3.0))
    y = _coloured(n, rng, -6.0) * _decay(n, rng.uniform(0.8, 2.5))
    crack = _burst(rng, 0.3, 300.0, 6000.0)
    _mix_in(y, 0, crack, 0.7)
    return _f32(np.tanh(y * np.float32(rng.uniform(1.0, 4.0))))


def _birds(rng: _Rng) -> Audio:
    out = np.zeros(_n(rng.uniform(0.8, 2.5)), np.float32)
    base = _between(rng, 1800.0, 5000.0)
    chirp_s, bend = rng.uniform(0.04, 0.25), rng.uniform(-0.4, 0.6)
    trill, rate = rng.uniform(0.0, 0.15), rng.uniform(15.0, 45.0)
    at = 0.0
    while _n(at) < len(out):
        n = _n(chirp_s * rng.uniform(0.7, 1.3))
        x = np.linspace(0.0, 1.0, n)
        hz = base * (1.0 + bend * x + trill * np.sin(_TWO_PI * rate * _t(n)))
        y = np.sin(_TWO_PI * np.cumsum(hz) / SAMPLE_RATE) * np.sin(np.pi * x)
        _mix_in(out, _n(at), y.astype(np.float32), rng.uniform(0.4, 1.0))
        at += chirp_s * rng.uniform(1.1, 3.0)
    return out


def _phone(rng: _Rng) -> Audio:
    n = _n(rng.uniform(0.8, 2.0))
    t = _t(n)
    if rng.random() < 0.5:  # an old bell
        hz = _between(rng, 900.0, 2200.0)
        y = np.sin(_TWO_PI * hz * t) + 0.6 * np.sin(_TWO_PI * hz * 2.71 * t)
        y = y * (0.4 + 0.6 * np.abs(np.sin(_TWO_PI * rng.uniform(8.0, 13.0) * t)))
    else:  # two tones in turn
        a, b = rng.uniform(400.0, 1300.0, 2)
        turn = np.sin(_TWO_PI * rng.uniform(5.0, 14.0) * t) > 0
        y = np.where(turn, np.sin(_TWO_PI * a * t), np.sin(_TWO_PI * b * t))
    return _f32(y * _envelope(n, 0.005, 0.1))


def _beeps(rng: _Rng) -> Audio:
    step = _between(rng, 0.07, 0.5)
    count = int(rng.integers(2, 12))
    out = np.zeros(_n(step * count), np.float32)
    play = _instrument(rng, _pick(rng, ("square", "triangle", "fm", "organ")))
    hz = _between(rng, 300.0, 2500.0)
    tune = rng.random() < 0.5
    for k in range(count):
        _mix_in(out, _n(k * step), play(hz, step * 0.6, 1.0))
        if tune:
            hz = float(np.clip(hz * 2.0 ** (rng.integers(-5, 6) / 12.0), 200.0, 4000.0))
    return out


def _modes(rng: _Rng, low: float, high: float, count: int, ring: float) -> Audio:
    """Ring of a struck body: decaying sines at unrelated frequencies."""
    n = _n(ring)
    t = _t(n)
    y = np.zeros(n, np.float32)
    for hz in np.exp(rng.uniform(np.log(low), np.log(high), count)):
        fade = _decay(n, ring * rng.uniform(0.2, 1.0) * (low / hz) ** 0.3)
        y += np.float32(rng.uniform(0.2, 1.0)) * fade * np.sin(np.float32(_TWO_PI * hz) * t)
    return y


def _clang(rng: _Rng) -> Audio:
    y = _modes(rng, _between(rng, 500.0, 1500.0), 11000.0, 14, _between(rng, 0.3, 1.6))
    _mix_in(y, 0, _burst(rng, 0.05, 2000.0, 12000.0), 3.0)
    return y


def _glass(rng: _Rng) -> Audio:
    out = np.zeros(_n(1.0), np.float32)
    for _ in range(int(rng.integers(6, 25))):
        shard = _modes(rng, 2500.0, 14000.0, 3, rng.uniform(0.05, 0.25))
        _mix_in(out, int(rng.exponential(0.12) * SAMPLE_RATE), shard, rng.uniform(0.2, 1.0))
    _mix_in(out, 0, _burst(rng, 0.15, 1500.0, 15000.0), 2.0)
    return out


def _alarm(rng: _Rng) -> Audio:
    n = _n(rng.uniform(1.0, 3.0))
    t = _t(n)
    low, high = sorted(rng.uniform(350.0, 1800.0, 2))
    x = (t * np.float32(_between(rng, 0.4, 4.0))) % 1.0
    curve = _pick(rng, (x, np.abs(2.0 * x - 1.0), (x > 0.5).astype(np.float32)))
    hz = low + (high - low) * curve
    order = np.arange(1, 20, dtype=np.float64)
    phases = np.zeros(19, np.float32)
    y = _read(_table(order ** -rng.uniform(0.8, 3.0), high, phases), hz.astype(np.float32), n)
    return y * _envelope(n, 0.01, 0.1)


def _drops(rng: _Rng) -> Audio:
    out = np.zeros(_n(rng.uniform(0.5, 2.5)), np.float32)
    for _ in range(int(rng.integers(2, 15))):
        n = _n(rng.uniform(0.03, 0.12))
        hz = _between(rng, 500.0, 2500.0) * np.linspace(1.0, rng.uniform(1.2, 2.0), n)
        y = np.sin(_TWO_PI * np.cumsum(hz) / SAMPLE_RATE).astype(np.float32) * _decay(n, 0.1)
        _mix_in(out, int(rng.integers(len(out))), y, rng.uniform(0.3, 1.0))
    return out


def _chime(rng: _Rng) -> Audio:
    """Ring four notes, as schools and stations do."""
    play = _fm(rng)
    step = rng.uniform(0.25, 0.8)
    notes = rng.choice((0, 2, 4, 5, 7, 9, 12), 4)
    base = _between(rng, 250.0, 900.0)
    out = np.zeros(_n(step * 4 + 1.0), np.float32)
    for k, note in enumerate(notes):
        _mix_in(out, _n(k * step), play(base * 2.0 ** (note / 12.0), step, 1.0))
    return out


def _zap(rng: _Rng) -> Audio:
    n = _n(rng.uniform(0.1, 0.7))
    x = np.linspace(0.0, 1.0, n)
    hz = _between(rng, 1000.0, 6000.0) * np.exp(-x * rng.uniform(1.0, 5.0))
    order = np.arange(1, 12, dtype=np.float64)
    y = _read(_table(1.0 / order, float(hz.max()), np.zeros(11, np.float32)), hz.astype("f4"), n)
    return y * _envelope(n, 0.002, 0.1)


def _ticks(rng: _Rng) -> Audio:
    """Repeat one short sound: a clock, a keyboard, a knock, a heart."""
    period, count = _between(rng, 0.08, 1.0), int(rng.integers(3, 12))
    low = _between(rng, 60.0, 4000.0)
    uneven = rng.uniform(0.0, 0.3)
    out = np.zeros(_n(period * count + 0.2), np.float32)
    for k in range(count):
        tick = _burst(rng, _between(rng, 0.01, 0.12), low, 2.5 * low)
        when = period * (k + uneven * rng.random())
        _mix_in(out, _n(when), tick / np.abs(tick).max(), rng.uniform(0.6, 1.0))
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


def _effects(n: int, rng: _Rng) -> Audio:
    """Row effects up with short gaps, over a faint noise: few windows hold nothing."""
    out = np.zeros(n, np.float32)
    at = -int(rng.integers(0, SAMPLE_RATE))
    while at < n:
        make = _pick(rng, _EFFECTS)
        for _ in range(int(_pick(rng, (1, 1, 2, 3)))):
            y = np.asarray(make(rng), dtype=np.float32)
            y *= np.float32(1.0 / (np.abs(y).max() + 1e-9))
            _mix_in(out, at, y, rng.uniform(0.4, 1.0))
            at += int(len(y) * rng.uniform(0.5, 1.0))
        at += int(rng.uniform(-0.2, 0.4) * SAMPLE_RATE)
    if rng.random() < 0.6:
        wet = np.asarray(
            _signal.fftconvolve(out, _impulse_response(rng, _between(rng, 0.15, 2.0)))[:n],
            dtype=np.float32,
        )
        out += wet * np.float32(10.0 ** (rng.uniform(-20.0, -3.0) / 20.0))
    return out + np.float32(_between(rng, 3e-4, 1e-2)) * _noise(n, rng)


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
    return _level(_room(_n(seconds), rng))


# --- the way in --------------------------------------------------------------------------------


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
    n = _n(seconds)
    y = {"music": _music, "noise": _noise, "effects": _effects}[kind](n, rng)
    if rng.random() < 0.6:
        y = _equalize(y, rng)
    if rng.random() < 0.35:
        y = band_limit(y, rng)
    return _level(y)
