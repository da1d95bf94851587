"""Sound with the truth about when somebody speaks, to measure speech gates on.

Composed from the real voices, which lie beside the checkout, not in it; from the same seeds each
time. Everything is mono at 16 kHz, which is all that the detectors hear; the network of the starter
cast would hear 44.1 kHz.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from kikiwake.tools.score import read_rttm

VOICES = Path("../shared/data/voices")
STARTER = Path("build/starter/speech/validation")  # synthesized, not among the real voices
RATE = 16_000
CELL = 160  # samples to one cell of the truth
CELL_S = CELL / RATE
GROUPS = {
    "read": ("rhasspy", "asterisk"),
    "acted": ("fillets_nl", "nemo"),
    "words": ("tuxpaint",),
    "stylised, high": ("hedgewars",),
    "narrowband": ("drascula",),
}
MUSIC_SNR_DB = (20, 15, 10, 5, 0, -5)
NOISE_SNR_DB = (10, 0)
LEVEL_DB = -23.0  # of speech while it is active, of music and noise alone
FLOOR_DB = -65.0
GROUP_S, MIX_S, EXCERPT_S, LONGEST_S = 180, 120, 20, 60
# Voices among what should have none: counting in a dozen languages, and a song.
VOICED = ("noise/tuxpaint_fx/[0-9]_*", "music/librosa_data/Karissa_Hobbs*")

Audio = NDArray[np.float32]
Mask = NDArray[np.bool_]
Clips = list[list[Path]]  # by speaker


class Sound(NamedTuple):
    """Sound, and for each cell of it whether somebody speaks."""

    name: str
    y: Audio
    truth: Mask


def runs(mask: Mask) -> NDArray[np.int64]:
    """Begin and end of each stretch that is true."""
    return np.flatnonzero(np.diff(mask, prepend=False, append=False)).reshape(-1, 2)


def close_gaps(mask: Mask, cells: int) -> Mask:
    """Fill gaps of less than so many cells between stretches that are true."""
    closed = mask.copy()
    for begin, end in runs(~mask):
        if begin > 0 and end < len(mask) and end - begin < cells:
            closed[begin:end] = True
    return closed


def speech_cells(y: Audio) -> Mask:
    """Tell from the energy of a clean clip where somebody speaks.

    A cell is speech where the 20 ms around it are at most 30 dB below the clip's loud cells (their
    95th percentile); in clips that hum, 6 dB above the quiet cells that are not cut to nothing, as
    far as that leaves 25 dB. Softer still are breath and the room's echo. Stops are silent for up
    to 100 ms within a word; what is shorter than 50 ms all by itself is a click.
    """
    halves = np.pad(np.square(y, dtype=np.float64).reshape(-1, CELL // 2).mean(axis=1), 1, "edge")
    level_db = 10 * np.log10(np.convolve(halves, np.full(4, 0.25), "valid")[::2] + 1e-12)
    loud = np.percentile(level_db, 95)
    quiet = np.percentile(level_db[level_db > loud - 60], 5)
    edge = max(-70, np.clip(quiet + 6, loud - 30, loud - 25))
    speech = close_gaps(level_db > edge, 10)
    for begin, end in runs(speech):
        speech[begin:end] = end - begin >= 5
    return speech


def load(path: Path) -> Audio:
    """Read a file as whole cells."""
    y, rate = soundfile.read(path, dtype="float32", always_2d=True)
    y = soxr.resample(y.mean(axis=1), rate, RATE)
    return np.pad(y, (0, -len(y) % CELL))


def conditions() -> list[Sound]:
    """Compose everything, clean speech first."""
    groups = {name: _speakers(sources) for name, sources in GROUPS.items()}
    music, noise = _without_voices("music"), _without_voices("noise")
    found = [
        _speech(name, [group], GROUP_S, seed) for seed, (name, group) in enumerate(groups.items())
    ]
    mix = _speech("", list(groups.values()), MIX_S, seed=10)
    steady = [path for path in noise if path.parent.name == "ufoai_ambience"]
    for kind, files, snrs_db in (
        ("music", music, MUSIC_SNR_DB),
        ("noise", steady, NOISE_SNR_DB),
    ):
        bed = _bed(files, len(mix.y), seed=11)
        found += [_over(bed, mix, snr_db, f"over {kind}, {snr_db} dB") for snr_db in snrs_db]
    for name, after in (
        ("all", list(groups.values())),
        ("stylised", [groups["stylised, high"]]),
    ):
        found.append(_after(music, after, 10, f"{name} after music, 10 dB"))
    found += [_alone("music alone", music, seed=12), _alone("noise alone", noise, seed=13)]
    found.append(_joined("quiet room", [(_silence(MIX_S), False)], seed=14))
    found += _episodes()
    if STARTER.exists():
        voices = [sorted(folder.glob("*.flac")) for folder in sorted(STARTER.iterdir())]
        found.append(_speech("starter voices", [voices], MIX_S, seed=15))
    return found


def _speakers(sources: Sequence[str]) -> Clips:
    speakers: dict[tuple[str, str], list[Path]] = {}
    with (VOICES / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            if row["source"] in sources:
                speaker = row["source"], row["speaker"]
                speakers.setdefault(speaker, []).append(VOICES / row["path"])
    return list(speakers.values())


def _without_voices(kind: str) -> list[Path]:
    voiced = {path for pattern in VOICED for path in VOICES.glob(pattern)}
    return sorted(path for path in VOICES.glob(f"{kind}/*/*") if path not in voiced)


def _at_level(y: Audio, level_db: float, part: Audio | None = None) -> Audio:
    """Scale so that the sound, or this part of it, has this level."""
    power = np.mean(np.square(y if part is None else part, dtype=np.float64))
    return y * np.float32(10 ** (level_db / 20) / np.sqrt(power))


def _silence(seconds: float) -> Audio:
    return np.zeros(round(seconds / CELL_S) * CELL, np.float32)


def _joined(name: str, parts: list[tuple[Audio, Mask | bool]], seed: int) -> Sound:
    """Row parts and their truths up, with pauses of 0.3 to 2 s, over a faint noise."""
    rng = np.random.default_rng(seed)
    sounds, truths = [], []
    for y, truth in parts:
        pause = _silence(rng.uniform(0.3, 2.0))
        sounds += [pause, y]
        truths += [np.zeros(len(pause) // CELL, bool), np.broadcast_to(truth, len(y) // CELL)]
    y = np.concatenate(sounds)
    y += np.float32(10 ** (FLOOR_DB / 20)) * rng.standard_normal(len(y), np.float32)
    return Sound(name, y, np.concatenate(truths))


def _speech(name: str, groups: list[Clips], seconds: float, seed: int) -> Sound:
    """Clips of speakers by chance, each group and each speaker of a group equally often."""
    rng = np.random.default_rng(seed)
    parts: list[tuple[Audio, Mask | bool]] = []
    heard_s = 0.0
    while heard_s < seconds:
        speakers = groups[rng.integers(len(groups))]
        clips = speakers[rng.integers(len(speakers))]
        y = load(clips[rng.integers(len(clips))])
        truth = speech_cells(y)
        if truth.any():
            parts.append((_at_level(y, LEVEL_DB, y.reshape(-1, CELL)[truth]), truth))
            heard_s += len(y) / RATE + 1.15  # with the pause
    return _joined(name, parts, seed)


def _bed(files: list[Path], samples: int, seed: int) -> Audio:
    """Excerpts of files by chance, each at the same level."""
    rng = np.random.default_rng(seed)
    pieces: list[Audio] = []
    while sum(map(len, pieces)) < samples:
        y = load(files[rng.integers(len(files))])
        begin = rng.integers(max(1, len(y) - EXCERPT_S * RATE))
        pieces.append(_at_level(y[begin : begin + EXCERPT_S * RATE], LEVEL_DB))
    return np.concatenate(pieces)[:samples]


def _over(bed: Audio, speech: Sound, snr_db: float, name: str) -> Sound:
    """Mix speech and a bed, which goes on through the pauses."""
    y = speech.y + bed * np.float32(10 ** (-snr_db / 20))
    return Sound(name, y * np.float32(min(1.0, 0.99 / np.abs(y).max())), speech.truth)


def _after(files: list[Path], groups: list[Clips], snr_db: float, name: str) -> Sound:
    """Let somebody speak over a bed for 20 s of every 80: has the detector grown deaf meanwhile."""
    speech = _speech("", groups, 80, seed=17)
    y, truth = _silence(4 * 80), np.zeros(round(4 * 80 / CELL_S), bool)
    y.reshape(4, -1)[:, -20 * RATE :] = speech.y[: 80 * RATE].reshape(4, -1)
    truth.reshape(4, -1)[:, -round(20 / CELL_S) :] = speech.truth[: round(80 / CELL_S)].reshape(
        4, -1
    )
    return _over(_bed(files, len(y), seed=18), Sound("", y, truth), snr_db, name)


def _alone(name: str, files: list[Path], seed: int) -> Sound:
    """Every file once, its first minute, at the same level."""
    sounds = [y[: LONGEST_S * RATE] for y in map(load, files) if y.any()]  # one is silent
    return _joined(name, [(_at_level(y, LEVEL_DB), False) for y in sounds], seed)


def _episodes() -> list[Sound]:
    """Join the first minutes of episodes: of speech alone, and with music or noise under it.

    Their truth are the turns, pauses for breath included.
    """
    kinds: dict[str, list[tuple[Audio, Mask | bool]]] = {
        "episodes, plain": [],
        "episodes, mixed": [],
    }
    with (VOICES / "episodes" / "episodes.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            y = load(VOICES / "episodes" / f"{row['episode']}.ogg")[: LONGEST_S * RATE]
            truth = np.zeros(len(y) // CELL, bool)
            for turn in read_rttm(VOICES / "episodes" / f"{row['episode']}.rttm"):
                truth[round(turn.start / CELL_S) : round(turn.end / CELL_S)] = True
            mixed = row["music_snr_db"] or row["noise_snr_db"]
            kinds["episodes, mixed" if mixed else "episodes, plain"].append((y, truth))
    return [_joined(name, parts, seed=16) for name, parts in kinds.items()]
