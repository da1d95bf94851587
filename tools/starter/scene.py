"""The demo sound: a conversation with pauses, music and a quiet room, and its truth.

The clips come from `.speech` (set ``demo``), the rest from `.background`; nothing here is recorded.
Because the scene is composed, who speaks when is known exactly. It is written as RTTM [1]_, one
line a stretch of speech.

Notes
-----
Stretches are taken from the clean clips, before anything is mixed in: 10 ms frames within 38 dB of
the turn's loudest frame, pauses up to 0.25 s filled. Longer pauses inside a line are the
synthesizer's and are shortened first (`..clips.shorten_pauses`). Music and room tone are not in the
RTTM: where it names nobody, nobody speaks.

References
----------
.. [1] NIST, "The 2009 (RT-09) Rich Transcription Meeting Recognition Evaluation Plan", appendix A
   (RTTM).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import KikiwakeError
from ..clips import shorten_pauses, speech_stretches
from ..score import Segment, format_rttm
from .background import SAMPLE_RATE as _RATE
from .background import make_background, room_tone
from .sentences import DEMO
from .speech import DEFAULT_OUT, SAMPLE_RATE
from .voices import VOICES_BY_ID

Audio = npt.NDArray[np.float32]

DEMO_RATE = 48000
"""Sampling rate of the demo sound in Hz: the one Opus works at."""

DEMO_SEED = 0
"""The seed of the demo that is shipped."""

MAX_BYTES = 1_000_000
"""What the demo sound may weigh."""

# Mixed into every seed here, so that no background of the demo is one of the training's.
_SEED_BASE = 0x6B696B69

_LEAD_IN_S, _LEAD_OUT_S = 1.0, 1.5
_LINE_GAP_S = (0.05, 0.17)  # the clips bring up to 0.04 s of silence of their own
_TURN_GAP_S = (0.55, 1.3)
_QUICK_GAP_S = 0.25
_QUICK_AFTER = (1, 5)  # turns answered at once
_MUSIC_AFTER = 4  # the turn followed by music alone
_MUSIC_S, _MUSIC_FADE_S = 5.2, 0.7
_MUSIC_DBFS = -25.0
_UNDER_TURNS = (7, 8)  # the turns spoken over music
_UNDER_SNR_DB = 13.5
_UNDER_LEAD_S = 0.35  # how long the music is heard before and after them
_ROOM_DBFS = -65.0
_BACKGROUND_DBFS = -20.0  # the level `make_background` promises
_OPUS_LEVEL = 0.72  # about 76 kbit/s: 1 is 6, 0 is 256


def _db(gain_db: float) -> np.float32:
    return np.float32(10.0 ** (gain_db / 20.0))


def _n(seconds: float) -> int:
    return round(seconds * _RATE)


def _read_clip(path: Path) -> Audio:
    import soundfile  # type: ignore[import-untyped, unused-ignore]
    import soxr  # type: ignore[import-untyped, unused-ignore]

    try:
        y, sr = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, soundfile.LibsndfileError) as error:
        raise KikiwakeError(f"{path}: cannot be read; synthesize the demo speech first") from error
    if sr != SAMPLE_RATE:
        raise KikiwakeError(f"{path}: {sr} Hz, not {SAMPLE_RATE}; synthesize the demo speech again")
    mono = shorten_pauses(np.asarray(y.mean(axis=1), dtype=np.float32), sample_rate=SAMPLE_RATE)
    return np.asarray(soxr.resample(mono, SAMPLE_RATE, _RATE), dtype=np.float32)


def _faded(y: Audio, seconds: float) -> Audio:
    """Fade both ends as a squared sine, which keeps the power of a slow fade even to the ear."""
    n = min(_n(seconds), len(y) // 2)
    ramp = np.sin(np.linspace(0.0, np.pi / 2, n, dtype=np.float32)) ** 2
    y = y.copy()
    y[:n] *= ramp
    y[len(y) - n :] *= ramp[::-1]
    return y


def compose_demo(
    speech_dir: Path = DEFAULT_OUT, seed: int = DEMO_SEED
) -> tuple[Audio, list[Segment]]:
    """Compose the demo sound.

    Parameters
    ----------
    speech_dir : Path
        Folder that `.speech.write_speech` filled; only its set ``demo`` is read.
    seed : int >= 0
        Decides pauses, levels, music and room.

    Returns
    -------
    y : np.ndarray, shape=(n,), dtype=float32
        Mono at `DEMO_RATE`, about a minute, peaks below 1.
    segments : list of Segment
        Who speaks when, in order, not overlapping.

    Raises
    ------
    KikiwakeError
        If a clip is missing or unreadable.
    """
    turns, number = [], 0
    for turn in DEMO:
        clips = range(number, number + len(turn.lines))
        folder = speech_dir / "demo" / turn.voice
        turns.append((turn.voice, [folder / f"{clip:03d}.flac" for clip in clips]))
        number += len(turn.lines)
    return compose_scene(turns, seed)


def compose_scene(
    turns: Sequence[tuple[str, Sequence[Path]]], seed: int
) -> tuple[Audio, list[Segment]]:
    """Compose a conversation of the demo's form from any clips.

    Parameters
    ----------
    turns : sequence of (str, sequence of Path)
        Voice and clips of each turn, nine turns at least.
    seed : int >= 0
        Decides pauses, levels, music and room.

    Returns
    -------
    y, segments
        As of `compose_demo`.

    Raises
    ------
    ValueError
        If there are too few turns.
    KikiwakeError
        If a clip is missing or unreadable.
    """
    import soxr  # type: ignore[import-untyped, unused-ignore]

    if len(turns) <= _UNDER_TURNS[-1]:
        raise ValueError(f"turns has {len(turns)} turns, need more than {_UNDER_TURNS[-1]}")
    rng = np.random.default_rng([_SEED_BASE, seed])
    placed: list[tuple[int, Audio]] = []
    segments: list[Segment] = []
    music_at = under_from = under_to = 0
    at = _n(_LEAD_IN_S)
    for turn_number, (voice, clips) in enumerate(turns):
        parts: list[Audio] = []
        for clip in clips:
            if parts:
                parts.append(np.zeros(_n(rng.uniform(*_LINE_GAP_S)), np.float32))
            parts.append(_read_clip(clip))
        y = np.concatenate(parts) * _db(rng.uniform(-1.5, 1.5))
        placed.append((at, y))
        character = VOICES_BY_ID[voice].character
        segments.extend(
            Segment((at + start) / _RATE, (at + stop) / _RATE, character)
            for start, stop in speech_stretches(y, sample_rate=_RATE)
        )
        if turn_number == _UNDER_TURNS[0]:
            under_from = at - _n(_UNDER_LEAD_S)
        at += len(y)
        if turn_number == _UNDER_TURNS[-1]:
            under_to = at + _n(_UNDER_LEAD_S)
        pause = rng.uniform(*_TURN_GAP_S)
        if turn_number == _MUSIC_AFTER:
            music_at = at + _n(pause)
            at = music_at + _n(_MUSIC_S) + _n(rng.uniform(*_TURN_GAP_S))
        elif turn_number + 1 < len(turns):
            at += _n(_QUICK_GAP_S if turn_number in _QUICK_AFTER else pause)
    out = room_tone((at + _n(_LEAD_OUT_S)) / _RATE, rng) * _db(_ROOM_DBFS - _BACKGROUND_DBFS)
    for where, y in placed:
        out[where : where + len(y)] += y

    music = make_background("music", _MUSIC_S, np.random.default_rng([_SEED_BASE, seed, 1]))
    music = _faded(music, _MUSIC_FADE_S) * _db(_MUSIC_DBFS - _BACKGROUND_DBFS)
    out[music_at : music_at + len(music)] += music

    under_s = (under_to - under_from) / _RATE
    music = make_background("music", under_s, np.random.default_rng([_SEED_BASE, seed, 2]))
    # Both levels as measured, not as promised: the ratio is to hold.
    spoken = np.concatenate([placed[k][1] for k in _UNDER_TURNS])
    ratio = float(np.sqrt(np.mean(spoken**2) / np.mean(music**2)))
    music = _faded(music, _UNDER_LEAD_S) * np.float32(ratio) * _db(-_UNDER_SNR_DB)
    out[under_from : under_from + len(music)] += music

    y = np.asarray(soxr.resample(out, _RATE, DEMO_RATE), dtype=np.float32)
    return y * np.float32(min(1.0, 0.95 / float(np.abs(y).max()))), segments


def write_demo(
    out_dir: Path = Path("build/starter"),
    *,
    speech_dir: Path = DEFAULT_OUT,
    seed: int = DEMO_SEED,
) -> tuple[Path, Path]:
    """Compose the demo sound and write it as OGG/Opus with its RTTM.

    Parameters
    ----------
    out_dir : Path
        Gets ``demo.ogg`` and ``demo.rttm``; made if missing. Each appears under its name only
        when whole.
    speech_dir : Path
        As for `compose_demo`.
    seed : int >= 0

    Returns
    -------
    sound, truth : Path
        The two files.

    Raises
    ------
    KikiwakeError
        If a clip is missing, a file cannot be written, or the sound exceeds `MAX_BYTES`.
    """
    import soundfile  # type: ignore[import-untyped, unused-ignore]

    y, segments = compose_demo(speech_dir, seed)
    sound, truth = out_dir / "demo.ogg", out_dir / "demo.rttm"
    partial = out_dir / ".demo.part"
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        soundfile.write(
            partial, y, DEMO_RATE, format="OGG", subtype="OPUS", compression_level=_OPUS_LEVEL
        )
        size = partial.stat().st_size
        if size > MAX_BYTES:
            partial.unlink()
            raise KikiwakeError(f"{sound}: {size} bytes, more than the {MAX_BYTES} allowed")
        partial.replace(sound)
        partial.write_text(format_rttm(segments), encoding="utf-8")
        partial.replace(truth)
    except (OSError, soundfile.LibsndfileError) as error:
        raise KikiwakeError(f"{out_dir}: the demo cannot be written: {error}") from error
    return sound, truth
