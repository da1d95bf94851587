"""Cutting recordings into clips: the first step from a show to a cast.

Each recording becomes a folder of numbered clips, mono at the recording's own rate (48 kHz at
most), and a table that says which recording it was and where in it each of them. A folder appears
under its name when it is whole; whatever was being written when the program was stopped is done
again.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ..engine.capture import FileSource
from ..engine.mix import to_mono
from ..errors import KikiwakeError, SourceError
from ..files import locked, need_text
from ..vad.detector import DetectorName, VoiceActivityDetector, load_detector
from ..vad.gate import SpeechGate, stream_segments
from ..vad.level import LevelVad
from .clips import encode, sorting

TABLE = "clips.json"
HIGHEST_RATE = 48_000

By = Literal[DetectorName, "silence"]


class SplitError(KikiwakeError):
    """A recording cannot be cut, or its clips cannot be read or written."""


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """Where to cut.

    Attributes
    ----------
    by : {"both", "webrtc", "silero", "silence"}
        Keep what a voice detector takes for speech, or all that is louder than `silence_db`.
    pause_ms : float >= 0
        A pause of this length ends a clip, in ms; shorter ones stay within it.
    minimum_ms : float >= 0
        Speech in a clip at least, in ms.
    pre_roll_ms : float >= 0
        Sound before its first speech that belongs to a clip, in ms.
    longest_s : float > 0
        A clip longer than this is cut in any case, in seconds; more than the minimum.
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
        """Make the gate that cuts so.

        Raises
        ------
        KikiwakeError
            The detector is not installed.
        SplitError
            No clip could hold the minimum.
        """
        if self.minimum_ms >= 1000 * self.longest_s:
            raise SplitError(
                f"minimum_ms={self.minimum_ms:g} must be less than the longest clip, "
                f"{1000 * self.longest_s:g} ms"
            )
        vad: VoiceActivityDetector
        vad = LevelVad(self.silence_db) if self.by == "silence" else load_detector(self.by)
        return SpeechGate(
            vad,
            onset_ms=0.0 if self.by == "silence" else 60.0,
            hangover_ms=self.pause_ms,
            minimum_speech_ms=self.minimum_ms,
            pre_roll_ms=self.pre_roll_ms,
        )


class Clip(msgspec.Struct, frozen=True):
    """A clip, and where in its recording it was.

    Attributes
    ----------
    file : str
        Name of its file.
    start_s, end_s : float
        In seconds.
    """

    file: str
    start_s: float
    end_s: float


class Clips(msgspec.Struct, frozen=True, kw_only=True):
    """What a recording was cut into.

    Attributes
    ----------
    format, version
        What this table is.
    recording : str
        Name of the recording's file.
    recording_bytes : int
        Its size: with the name it tells one recording from another.
    recording_s : float
        Its length in seconds.
    bad_samples : int
        How many of its samples were NaN or infinite, and were read as silence.
    broken : str
        Why it ends at `recording_s`, where it is damaged there: as a file is that was cut off.
    cut : Cut
        Where it was cut.
    clips : tuple of Clip
        In order.
    """

    format: Literal["kikiwake-clips"] = "kikiwake-clips"
    version: Literal[1] = 1
    recording: str
    recording_bytes: int
    recording_s: float
    bad_samples: int
    broken: str = ""
    cut: Cut
    clips: tuple[Clip, ...]

    @property
    def clips_s(self) -> float:
        """Length of all clips together, in seconds."""
        return sum(clip.end_s - clip.start_s for clip in self.clips)


def clip_folders(recordings: Sequence[Path], to: Path) -> dict[Path, Path]:
    """Name the folder of each recording: its name without the ending, where that tells them apart.

    A recording that was split before keeps its folder. Dots at the beginning are left out: such a
    folder would be hidden.

    Parameters
    ----------
    recordings : sequence of Path
        Sound files; one that is named twice counts once.
    to : Path
        Folder for all.

    Returns
    -------
    dict of Path to Path
        By recording.

    Raises
    ------
    SplitError
        Two recordings have the same name; that of the folder for all is no text.
    """
    need_text(to, SplitError)
    recordings = list(dict.fromkeys(recordings))
    stems = [recording.stem.lstrip(".") for recording in recordings]
    # Some systems take a name in large letters for the same.
    keys = [stem.casefold() for stem in stems]
    folders: dict[Path, Path] = {}
    taken: dict[str, Path] = {}
    for recording, stem in zip(recordings, stems, strict=True):
        usable = stem and (keys.count(stem.casefold()) == 1 or _holds(to / stem, recording))
        name = stem if usable else recording.name.lstrip(".")
        if name.casefold() in taken:
            raise SplitError(
                f"{recording} and {taken[name.casefold()]} have the same name, which their clips "
                "would be known by; rename one of them"
            )
        taken[name.casefold()] = recording
        folders[recording] = to / name
    return folders


def _holds(folder: Path, recording: Path) -> bool:
    """Tell whether a folder holds the clips of a recording."""
    try:
        return split_before(recording, folder) is not None
    except SplitError:
        return False


def read_clips(folder: Path) -> Clips:
    """Read the table of what `split` wrote.

    Parameters
    ----------
    folder : Path
        Of a recording.

    Returns
    -------
    Clips

    Raises
    ------
    SplitError
        There is no table, or it is damaged.
    """
    table = folder / TABLE
    try:
        found = msgspec.json.decode(table.read_bytes(), type=Clips)
    except FileNotFoundError:
        raise SplitError(f"{folder}: holds no clips of ours, for there is no {TABLE}") from None
    except OSError as error:
        raise SplitError(f"{table}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise SplitError(f"{table}: is damaged ({error}); split again, elsewhere") from None
    for clip in found.clips:
        if Path(clip.file).name != clip.file or not 0 <= clip.start_s <= clip.end_s:
            raise SplitError(f"{table}: is damaged ({clip}); split again, elsewhere")
    return found


def split_before(recording: Path, folder: Path) -> Clips | None:
    """Read what a recording was cut into before, if it was.

    Parameters
    ----------
    recording : Path
        Sound file.
    folder : Path
        Of its clips.

    Returns
    -------
    Clips or None

    Raises
    ------
    SplitError
        The folder holds something else, or cannot be looked into; the recording is gone.
    """
    try:
        if not folder.exists():
            return None
        size = recording.stat().st_size
    except FileNotFoundError:
        raise SplitError(f"{recording}: no such file") from None
    except OSError as error:
        raise SplitError(f"{folder}: cannot be looked into: {error.strerror}") from None
    found = read_clips(folder)
    # One that was damaged may have been mended since.
    same = found.recording_bytes == size or found.broken
    if found.recording != recording.name or not same:
        raise SplitError(
            f"{folder}: holds the clips of another recording, {found.recording} of "
            f"{found.recording_bytes} bytes; choose another folder with --to, or rename {recording}"
        )
    return found


def split(
    recording: Path, folder: Path, cut: Cut, progress: Callable[[float], None] | None = None
) -> Clips:
    """Cut a recording into clips.

    Nothing is decoded twice, and of the recording not much more than two of the longest clips is
    held in memory, however long it is.

    Parameters
    ----------
    recording : Path
        Sound file, as `FileSource` takes it.
    folder : Path
        Gets the clips, as 16 bit FLAC ``0001.flac``, ``0002.flac``, ..., and the table of them.
        Clips of the same recording are replaced.
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
        Nothing of the recording can be read.
    SplitError
        The folder holds something else, or the clips cannot be written.
    BusyError
        Another process splits this recording, or sorts its clips, which would be replaced.
    """
    gate = cut.gate()
    busy = f"{folder}: is being split by another process; end that first"
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(FileSource(recording, block_frames=16_384))
        try:
            stack.enter_context(locked(folder.with_name(f".{folder.name}.lock"), busy))
            before = split_before(recording, folder)
            if before is not None:
                stack.enter_context(sorting(folder.parent))
                _refuse_others(folder, before)
            made = _write_clips(recording, source, folder, cut, gate, progress)
        except (OSError, soundfile.SoundFileError) as error:
            reason = getattr(error, "strerror", None) or error
            raise SplitError(f"{folder}: the clips cannot be written: {reason}") from None
    return made


def _refuse_others(folder: Path, before: Clips) -> None:
    """Leave a folder alone in which there is more than the clips of before."""
    known = {TABLE, *(clip.file for clip in before.clips)}
    others = sorted({path.name for path in folder.iterdir()} - known)
    if others:
        raise SplitError(
            f"{folder}: holds more than clips ({', '.join(others[:3])}), which would be lost; "
            "move that elsewhere"
        )


def _write_clips(
    recording: Path,
    source: FileSource,
    folder: Path,
    cut: Cut,
    gate: SpeechGate,
    progress: Callable[[float], None] | None,
) -> Clips:
    """Write the folder beside its place, and move it there when it is whole."""
    partial, old = (folder.with_name(f".{folder.name}.{kind}") for kind in ("part", "old"))
    try:
        _remove(partial)
        partial.mkdir()
        sound = _Sound(source, cut.longest_s, progress)
        clips = tuple(
            _write(partial, number, sound, *segment)
            for number, segment in enumerate(sound.segments(gate, cut.longest_s), 1)
        )
        made = Clips(
            recording=recording.name,
            recording_bytes=recording.stat().st_size,
            recording_s=round(sound.seconds, 3),
            bad_samples=sound.bad_samples,
            broken=sound.broken,
            cut=cut,
            clips=clips,
        )
        (partial / TABLE).write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
        if folder.exists():
            _remove(old)
            folder.replace(old)
        partial.replace(folder)
    except BaseException:
        with contextlib.suppress(OSError):
            _remove(partial)
        with contextlib.suppress(OSError):
            if old.exists() and not folder.exists():
                old.replace(folder)
        raise
    with contextlib.suppress(OSError):
        _remove(old)
    return made


def _write(folder: Path, number: int, sound: _Sound, begin_s: float, end_s: float) -> Clip:
    name = f"{number:04}.flac"
    clip, rate = sound.between(begin_s, end_s), sound.sample_rate
    if rate > HIGHEST_RATE:
        clip, rate = soxr.resample(clip, rate, HIGHEST_RATE), HIGHEST_RATE
    (folder / name).write_bytes(encode(np.clip(clip, -1.0, 1.0), rate, "FLAC"))
    return Clip(name, round(begin_s, 3), round(end_s, 3))


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


class _Sound:
    """A recording as it is read, with its last seconds."""

    def __init__(
        self, source: FileSource, longest_s: float, progress: Callable[[float], None] | None
    ) -> None:
        self.sample_rate = source.sample_rate
        self.bad_samples = 0
        self.broken = ""  # why it ends where it does, if not because it is over
        self._source = source
        self._progress = progress
        # A clip may begin before it was found to, and what is found lags by the resampler. Twice
        # that, for what is held to be moved only now and then.
        longest = round((longest_s + 5.0) * source.sample_rate)
        self._held = np.empty(2 * longest, np.float32)
        self._held_from = 0  # frame of the recording that this begins with
        self._read = 0  # frames

    @property
    def seconds(self) -> float:
        """How much has been read."""
        return self._read / self.sample_rate

    def segments(self, gate: SpeechGate, longest_s: float) -> Iterator[tuple[float, float]]:
        """Find the clips, as times in seconds; see to each before the next."""
        rate = gate.vad.sample_rate
        for begin, end in stream_segments(self._at(rate), gate, longest_s=longest_s):
            first_s = self._held_from / self.sample_rate
            yield max(begin / rate, first_s), min(end / rate, self.seconds)

    def between(self, begin_s: float, end_s: float) -> NDArray[np.float32]:
        """Give the sound between two times, as far as it is still held."""
        last = self._read - self._held_from
        begin, end = (
            min(max(0, round(seconds * self.sample_rate) - self._held_from), last)
            for seconds in (begin_s, end_s)
        )
        return self._held[begin:end]

    def _at(self, rate: int) -> Iterator[NDArray[np.float32]]:
        resampler = soxr.ResampleStream(self.sample_rate, rate, 1, "float32", "LQ")
        while (block := self._next()) is not None:
            mono, bad = to_mono(block)
            self.bad_samples += bad
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

    def _next(self) -> NDArray[np.float32] | None:
        try:
            return self._source.read(1.0)
        except SourceError as error:
            if not self._read:
                raise
            self.broken = str(error).rstrip(".")
            return None
