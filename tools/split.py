"""Cutting recordings into clips: the first step from a show to a cast.

Each recording becomes a folder of numbered clips, mono at the recording's own rate, and a table
that says where in the recording each of them was. A folder appears under its name when it is whole;
whatever was being written when the program was stopped is done again.
"""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ..engine.capture import FileSource
from ..errors import KikiwakeError
from ..vad.detector import VoiceActivityDetector, load_detector
from ..vad.gate import SpeechGate, stream_segments
from ..vad.level import LevelVad

TABLE = "clips.csv"
COLUMNS = ("clip", "start_s", "end_s")

By = Literal["webrtc", "silero", "silence"]


class SplitError(KikiwakeError):
    """A recording cannot be cut, or its clips cannot be written."""


@dataclass(frozen=True, kw_only=True)
class Cut:
    """Where to cut.

    Attributes
    ----------
    by : {"webrtc", "silero", "silence"}
        Keep what a voice detector takes for speech, or all that is louder than `silence_db`.
    pause_ms : float >= 0
        A pause of this length ends a clip, in ms; shorter ones stay within it.
    minimum_ms : float >= 0
        Speech in a clip at least, in ms.
    pre_roll_ms : float >= 0
        Sound before its first speech that belongs to a clip, in ms.
    longest_s : float > 0
        A clip longer than this is cut in any case, in seconds.
    silence_db : float
        What counts as silence, in dB of full scale; where `by` is "silence".
    """

    by: By = "webrtc"
    pause_ms: float = 200.0
    minimum_ms: float = 200.0
    pre_roll_ms: float = 60.0
    longest_s: float = 20.0
    silence_db: float = -50.0

    def gate(self) -> SpeechGate:
        """Make the gate that cuts so."""
        vad: VoiceActivityDetector
        vad = LevelVad(self.silence_db) if self.by == "silence" else load_detector(self.by)
        return SpeechGate(
            vad,
            onset_ms=0.0 if self.by == "silence" else 60.0,
            hangover_ms=self.pause_ms,
            minimum_speech_ms=self.minimum_ms,
            pre_roll_ms=self.pre_roll_ms,
        )


@dataclass(frozen=True)
class Clips:
    """What became of a recording.

    Attributes
    ----------
    folder : Path
        Where the clips are.
    count : int
        Clips.
    speech_s, recording_s : float
        Length of all clips together, and of the recording, in seconds.
    """

    folder: Path
    count: int
    speech_s: float
    recording_s: float


def clip_folders(recordings: Sequence[Path], to: Path) -> dict[Path, Path]:
    """Name the folder of each recording: its name without the ending, where that tells them apart.

    Parameters
    ----------
    recordings : sequence of Path
        Sound files.
    to : Path
        Folder for all.

    Returns
    -------
    dict of Path to Path
        By recording.

    Raises
    ------
    SplitError
        Two recordings have the same name.
    """
    folders: dict[Path, Path] = {}
    taken: dict[Path, Path] = {}
    for recording in recordings:
        alone = sum(other.stem == recording.stem for other in recordings) == 1
        folder = to / (recording.stem if alone else recording.name)
        if folder in taken:
            raise SplitError(
                f"{recording} and {taken[folder]} have the same name, which their clips would be "
                "known by; rename one of them"
            )
        taken[folder] = recording
        folders[recording] = folder
    return folders


def already_split(folder: Path) -> bool:
    """Tell whether a recording's clips are there, all of them.

    Raises
    ------
    SplitError
        What is there are no clips.
    """
    if not folder.exists():
        return False
    if not (folder / TABLE).exists():
        raise SplitError(
            f"{folder}: is there and holds no clips of ours; choose another folder with --to"
        )
    return True


def split(
    recording: Path, folder: Path, cut: Cut, progress: Callable[[float], None] | None = None
) -> Clips:
    """Cut a recording into clips.

    Memory holds some seconds of it, however long it is, and nothing is decoded twice.

    Parameters
    ----------
    recording : Path
        Sound file, as `FileSource` takes it.
    folder : Path
        Gets the clips, as 16 bit FLAC ``0001.flac``, ``0002.flac``, ..., and `TABLE`.
    cut : Cut
        Where to cut.
    progress : callable, optional
        Called now and then with the seconds of the recording that are done.

    Returns
    -------
    Clips

    Raises
    ------
    SourceError
        The recording cannot be read.
    SplitError
        The clips cannot be written.
    """
    partial = folder.with_name(f".{folder.name}.part")
    try:
        with FileSource(recording, block_frames=16_384) as source:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            sound = _Sound(source, progress)
            rows: list[tuple[str, str, str]] = []
            for begin_s, end_s in sound.segments(cut):
                name = f"{len(rows) + 1:04}.flac"
                clip = sound.between(begin_s, end_s)
                soundfile.write(partial / name, clip, source.sample_rate, subtype="PCM_16")
                rows.append((name, f"{begin_s:.3f}", f"{end_s:.3f}"))
        with (partial / TABLE).open("w", encoding="utf-8", newline="") as lines:
            csv.writer(lines).writerows([COLUMNS, *rows])
        if already_split(folder):
            shutil.rmtree(folder)
        partial.replace(folder)
    except (OSError, soundfile.SoundFileError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SplitError(f"clips of {recording}: cannot be written to {folder}: {reason}") from None
    return Clips(folder, len(rows), _length(rows), sound.seconds)


def read_clips(folder: Path) -> list[tuple[Path, float, float]]:
    """Read what `split` wrote.

    Parameters
    ----------
    folder : Path
        Of a recording.

    Returns
    -------
    list of (Path, float, float)
        Each clip, and from when to when in the recording it was, in seconds.

    Raises
    ------
    SplitError
        There is no table, or it is damaged.
    """
    table = folder / TABLE
    try:
        with table.open(encoding="utf-8", newline="") as lines:
            return [
                (folder / row["clip"], float(row["start_s"]), float(row["end_s"]))
                for row in csv.DictReader(lines)
            ]
    except OSError as error:
        raise SplitError(f"{table}: cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError, csv.Error):
        raise SplitError(f"{table}: is damaged; remove {folder} and split again") from None


def _length(rows: Sequence[tuple[str, str, str]]) -> float:
    return sum(float(end_s) - float(start_s) for _, start_s, end_s in rows)


class _Sound:
    """A recording as it is read, with its last seconds."""

    def __init__(self, source: FileSource, progress: Callable[[float], None] | None) -> None:
        self._source = source
        self._progress = progress
        self._held = np.empty(0, np.float32)
        self._held_from = 0  # frame of the recording that this begins with
        self._read = 0  # frames

    @property
    def seconds(self) -> float:
        """How much has been read."""
        return self._read / self._source.sample_rate

    def segments(self, cut: Cut) -> Iterator[tuple[float, float]]:
        """Find the clips, as times in seconds; see to each before the next."""
        gate = cut.gate()
        rate = gate.vad.sample_rate
        # A clip may begin before it was found to, and what is found lags by the resampler. Twice
        # that, for what is held to be moved only now and then.
        longest = round((cut.longest_s + 5.0) * self._source.sample_rate)
        self._held = np.empty(2 * longest, np.float32)
        for begin, end in stream_segments(self._at(rate), gate, longest_s=cut.longest_s):
            first_s = self._held_from / self._source.sample_rate
            yield max(begin / rate, first_s), min(end / rate, self.seconds)

    def between(self, begin_s: float, end_s: float) -> NDArray[np.float32]:
        """Give the sound between two times, as far as it is still held."""
        rate, last = self._source.sample_rate, self._read - self._held_from
        begin, end = (
            min(max(0, round(seconds * rate) - self._held_from), last)
            for seconds in (begin_s, end_s)
        )
        return np.clip(self._held[begin:end], -1.0, 1.0)

    def _at(self, rate: int) -> Iterator[NDArray[np.float32]]:
        source = self._source
        resampler = soxr.ResampleStream(source.sample_rate, rate, 1, "float32", "LQ")
        while (block := source.read(1.0)) is not None:
            mono = np.nan_to_num(block.mean(axis=1, dtype=np.float32))
            if self._read + len(mono) - self._held_from > len(self._held):
                kept = len(self._held) // 2
                end = self._read - self._held_from
                self._held[:kept] = self._held[end - kept : end]
                self._held_from = self._read - kept
            begin = self._read - self._held_from
            self._held[begin : begin + len(mono)] = mono
            self._read += len(mono)
            if self._progress is not None:
                self._progress(self.seconds)
            yield resampler.resample_chunk(mono)
        yield resampler.resample_chunk(np.empty(0, np.float32), last=True)
