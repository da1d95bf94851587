"""Music, composed and played from nothing but a random generator.

Each piece draws its style, key, scale, tempo, instruments and room.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import signal as _signal  # type: ignore[import-untyped, unused-ignore]

from ..augment import between, convolve, from_db
from .instruments import Instrument, drum_kit, instrument
from .synthesis import (
    SAMPLE_RATE,
    TWO_PI,
    Audio,
    Rng,
    butterworth,
    coloured,
    impulse_response,
    mix_in,
    n_samples,
    pick,
    read_table,
    times,
    wander,
    wavetable,
)

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


def _song(n: int, rng: Rng) -> _Song:
    beat = 60.0 / between(rng, 56.0, 185.0)
    scale = pick(rng, _SCALES)
    chords = tuple(int(c) for c in rng.integers(0, len(scale), int(rng.integers(1, 6))))
    if rng.random() < 0.7:
        chords = (0, *chords[1:])
    root = int(rng.integers(48, 64))
    return _Song(n, beat, root, scale, chords, int(n / SAMPLE_RATE / (4.0 * beat)) + 1)


def _chords(song: _Song, rng: Rng, play: Instrument) -> Audio:
    """Accompany: held, pulsed, strummed or broken chords."""
    out = np.zeros(song.n, np.float32)
    way = pick(rng, ("hold", "hold", "pulse", "broken", "broken", "strum"))
    n_tones = int(rng.integers(2, 5))
    octave = int(rng.integers(-1, 2))
    per_bar = pick(rng, (1, 2, 4, 8) if way in ("pulse", "strum") else (1,))
    order = rng.permutation(n_tones)
    for bar in range(song.n_bars):
        tones = [song.hz(song.chord(bar) + 2 * k, octave) for k in range(n_tones)]
        start = bar * 4.0 * song.beat
        if way == "broken":
            steps = 8
            for k in range(steps):
                hz = tones[int(order[k % n_tones])]
                y = play(hz, song.beat * 0.6, rng.uniform(0.6, 1.0))
                mix_in(out, n_samples(start + k * song.beat / 2), y)
            continue
        length = 4.0 * song.beat / per_bar
        # The same chord sounds the same within its bar: computed once.
        ready = [play(hz, length * 0.95, 0.8) for hz in tones]
        for hit in range(per_bar):
            for k, y in enumerate(ready):
                lag = 0.02 * k if way == "strum" else 0.0
                mix_in(out, n_samples(start + hit * length + lag), y, rng.uniform(0.7, 1.0))
    return out


def _phrase(song: _Song, rng: Rng, sparse: float) -> list[tuple[float, float, int]]:
    """Draw a melody as (start, length, degree), with a rhythm that comes back."""
    motif: list[float] = []
    while sum(motif) < 4.0:
        motif.append(pick(rng, (0.25, 0.5, 0.5, 0.5, 1.0, 1.0, 1.5, 2.0)))
    degree = int(rng.integers(0, len(song.scale)))
    notes = []
    for bar in range(song.n_bars):
        beat = 0.0
        for length in motif:
            degree += pick(rng, (-3, -2, -1, -1, 0, 1, 1, 2, 3))
            degree = int(np.clip(degree, -4, 2 * len(song.scale) - 2))
            if beat == 0.0 and rng.random() < 0.6:  # strong beats like tones of the chord
                degree = song.chord(bar) + 2 * int(rng.integers(0, 3))
            if rng.random() > sparse:
                start = (bar * 4.0 + beat) * song.beat
                notes.append((start, length * song.beat, degree))
            beat += length
    return notes


def _melody(song: _Song, rng: Rng, play: Instrument, sparse: float = 0.15) -> Audio:
    out = np.zeros(song.n, np.float32)
    octave = int(rng.integers(0, 2))
    legato = rng.uniform(0.5, 1.0)
    for start, length, degree in _phrase(song, rng, sparse):
        y = play(song.hz(degree, octave), length * legato, rng.uniform(0.6, 1.0))
        mix_in(out, n_samples(start), y)
    return out


def _gliding_lead(song: _Song, rng: Rng) -> Audio:
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
        a, b = n_samples(start), min(n, n_samples(start + length))
        if a < n:
            target[a:] = song.hz(degree, octave)
            loud[a:b] = rng.uniform(0.6, 1.0)
    # One pole low-passes turn steps into glides and breaths.
    glide = np.exp(-1.0 / (between(rng, 0.01, 0.12) * SAMPLE_RATE))
    swell = np.exp(-1.0 / (0.03 * SAMPLE_RATE))
    start_state = [np.log(target[0]) * glide]
    curve, _ = _signal.lfilter([1 - glide], [1, -glide], np.log(target), zi=start_state)
    loud = np.asarray(_signal.lfilter([1 - swell], [1, -swell], loud), dtype=np.float32)
    depth = rng.uniform(0.2, 0.8)
    wave = np.sin(TWO_PI * rng.uniform(4.5, 7.0) * times(n) + 2.0 * wander(n, rng, 1.0))
    hz = np.exp(curve).astype(np.float32) * np.exp2(depth * wave / 12.0).astype(np.float32)
    order = np.arange(1, 41, dtype=np.float64)
    tone = order ** -rng.uniform(0.8, 2.2)
    phases = rng.uniform(0.0, TWO_PI, 40).astype(np.float32)
    y = read_table(wavetable(tone, float(target.max()) * 1.1, phases), hz, n)
    y = y * loud + np.float32(rng.uniform(0.0, 0.05)) * loud * rng.standard_normal(n, np.float32)
    return y.astype(np.float32) * np.float32(0.3)


def _bass(song: _Song, rng: Rng) -> Audio:
    play = instrument(rng, pick(rng, ("pluck", "saw", "triangle", "square", "struck", "fm")))
    out = np.zeros(song.n, np.float32)
    rhythm = pick(rng, ((0, 4), (0, 2, 4, 6), (0, 3, 6), tuple(range(8)), (0,)))
    walking = rng.random() < 0.3
    for bar in range(song.n_bars):
        for k in rhythm:
            step = pick(rng, (0, 2, 4, -1)) if walking else 0
            y = play(song.hz(song.chord(bar) + step, -2), song.beat * 0.8, 1.0)
            mix_in(out, n_samples((bar * 4.0 + k * 0.5) * song.beat), y)
    return butterworth(out, "lowpass", between(rng, 400.0, 3000.0))


def _drums(song: _Song, rng: Rng, busy: float = 0.5) -> Audio:
    """Play a pattern of sixteen steps, with small changes from bar to bar."""
    kit = drum_kit(rng)
    names = list(kit)
    only_skins = rng.random() < 0.25
    pattern = {name: np.zeros(16) for name in names}
    if only_skins:  # taiko and tribal
        for name in ("kick", "tom", "high tom", "wood"):
            hit = rng.random(16) < busy * rng.uniform(0.2, 0.9)
            pattern[name] = np.where(hit, rng.uniform(0.4, 1.0), 0.0)
        pattern["kick"][0] = 1.0
    else:
        pattern["kick"][pick(rng, ([0, 8], [0, 4, 8, 12], [0, 6, 10], [0, 7, 8], [0]))] = 1.0
        pattern[pick(rng, ("snare", "clap", "snare"))][pick(rng, ([4, 12], [8], [4, 12, 15]))] = 0.9
        pattern["hat"][:: pick(rng, (1, 2, 2, 4))] = rng.uniform(0.3, 0.8)
        pattern["open"][pick(rng, ([], [2, 10], [14]))] = 0.6
        pattern[pick(rng, names)] += (rng.random(16) < 0.15 * busy) * 0.6
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
                mix_in(out, round(when * SAMPLE_RATE), kit[name], hits[k] * rng.uniform(0.8, 1.0))
    return out


def _distort(y: Audio, rng: Rng) -> Audio:
    """Overdrive and a loudspeaker cabinet."""
    drive = between(rng, 4.0, 40.0) / (np.sqrt(np.mean(y**2)) * 10.0 + 1e-6)
    y = np.tanh(y * np.float32(drive))
    return butterworth(butterworth(y, "highpass", 90.0), "lowpass", between(rng, 3000.0, 7000.0), 4)


def _compress(y: Audio, rng: Rng) -> Audio:
    """Even out the loudness a little, as every record does."""
    block = SAMPLE_RATE // 100
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


def make_music(n: int, rng: Rng) -> Audio:
    """Compose and play *n* samples of one piece."""
    song = _song(n, rng)
    style = pick(
        rng,
        ("solo", "orchestra", "chiptune", "rock", "ambient", "percussion", "lead", "pop", "box"),
    )
    parts: list[tuple[float, Audio]] = []
    tail_s, wet_db = between(rng, 0.2, 1.5), rng.uniform(-22.0, -8.0)
    if style == "solo":
        play = instrument(
            rng, pick(rng, ("pluck", "pluck", "struck", "struck", "flute", "strings", "organ"))
        )
        parts.append((1.0, _melody(song, rng, play)))
        if rng.random() < 0.6:
            parts.append((0.6, _chords(song, rng, play)))
    elif style == "orchestra":
        parts.append((1.0, _chords(song, rng, instrument(rng, "strings"))))
        name = pick(rng, ("brass", "flute", "strings", "pluck"))
        parts.append((rng.uniform(0.4, 1.2), _melody(song, rng, instrument(rng, name))))
        if rng.random() < 0.4:
            parts.append((0.5, _drums(song, rng, 0.3)))
        tail_s, wet_db = between(rng, 1.0, 3.0), rng.uniform(-12.0, -4.0)
    elif style == "chiptune":
        parts.append((1.0, _melody(song, rng, instrument(rng, "square"))))
        parts.append((0.6, _chords(song, rng, instrument(rng, pick(rng, ("square", "saw"))))))
        parts.append((0.9, _bass(song, rng)))
        if rng.random() < 0.7:
            parts.append((0.6, _drums(song, rng)))
        wet_db = -40.0
    elif style == "rock":
        guitar = _distort(_chords(song, rng, instrument(rng, pick(rng, ("pluck", "saw")))), rng)
        parts.append((0.35, guitar))
        parts.append((0.8, _bass(song, rng)))
        parts.append((0.9, _drums(song, rng, 0.7)))
        if rng.random() < 0.5:
            parts.append((0.3, _distort(_gliding_lead(song, rng), rng)))
    elif style == "ambient":
        parts.append((1.0, _chords(song, rng, instrument(rng, "strings"))))
        parts.append((0.7, _melody(song, rng, instrument(rng, "fm"), 0.6)))
        sigh = coloured(n, rng, -4.0) * wander(n, rng, 0.4) * np.float32(0.05)
        parts.append((rng.uniform(0.0, 1.0), sigh))
        tail_s, wet_db = between(rng, 1.5, 3.0), rng.uniform(-6.0, 2.0)
    elif style == "percussion":
        parts.append((1.0, _drums(song, rng, 0.9)))
        if rng.random() < 0.4:
            parts.append((0.6, _drums(song, rng, 0.6)))
    elif style == "lead":
        parts.append((1.0, _gliding_lead(song, rng)))
        if rng.random() < 0.7:
            name = pick(rng, ("pluck", "struck", "strings", "organ", "fm"))
            parts.append((rng.uniform(0.2, 0.8), _chords(song, rng, instrument(rng, name))))
    elif style == "pop":
        name = pick(rng, ("saw", "square", "flute", "brass", "struck", "fm", "pluck"))
        parts.append((rng.uniform(0.5, 1.0), _melody(song, rng, instrument(rng, name))))
        name = pick(rng, ("pluck", "struck", "strings", "organ", "fm", "saw"))
        parts.append((rng.uniform(0.4, 0.9), _chords(song, rng, instrument(rng, name))))
        parts.append((0.8, _bass(song, rng)))
        parts.append((rng.uniform(0.3, 0.9), _drums(song, rng)))
        if rng.random() < 0.3:
            parts.append((0.5, _gliding_lead(song, rng)))
    else:  # a music box, a marimba, an electric piano
        play = instrument(rng, "fm")
        parts.append((1.0, _melody(song, rng, play)))
        parts.append((0.5, _chords(song, rng, play)))
    out = np.zeros(n, np.float32)
    for gain, y in parts:
        out += np.float32(gain) * y
    if rng.random() < 0.15:  # begun somewhere in the middle, as cut sound is
        out = np.roll(out, int(rng.integers(n)))
    out = out + convolve(out, impulse_response(rng, tail_s)) * from_db(wet_db)
    if rng.random() < 0.7:
        out = _compress(out, rng)
    return out
