"""Recording for hours, such that nothing which ends the program takes away what was recorded.

A recording is one FLAC file, written under a hidden name beside its own, which it gets when it is
finished. FLAC reaches the disk in frames of 1152 samples, 24 ms at 48 kHz, and of a file that
breaks off only the header is wrong: it does not say yet how much there is, which libsndfile takes
badly. `mend` puts that right in place, whatever the length, and needs no room on the disk to do so.

16 bits, as what a computer plays has seldom more, and the rest would be noise that no FLAC makes
smaller; rate and channels as they come, since what is thrown away now is never had again.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import msgspec
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from ..engine.mix import to_mono
from ..engine.result import Counters, State
from ..engine.source import Source
from ..errors import KikiwakeError, one_line
from ..files import BusyError, locked

# For whoever opens the device: long blocks save waking up, and a reader that was held up wants all
# there is, for as long as the ring holds it.
BLOCK_MS: Final = 100.0
LONGEST_LAG_MS: Final = 60_000.0

_READ_S: Final = 0.15
# A live source that delivered nothing for so long delivers nothing late: that time is silence.
_LOST_S: Final = 1.0
# And after a device was gone, all but this.
_PUNCTUAL_S: Final = 0.05
# How much a computer that loses power takes with it.
_SYNC_S: Final = 10.0
_FLOOR_DB: Final = -120.0
_FULL_SCALE: Final = 2**15
# Frames of 1152 samples instead of 4096, for files that are 5 % larger.
_COMPRESSION: Final = 0.25
_MOST_CHANNELS: Final = 8

_PART: Final = ".part"
_FLAC: Final = ".flac"
# Of the format: how a file begins, the bits of its length, the bytes of a frame's header at most.
_MAGIC: Final = b"fLaC"
_TOTAL: Final = 2**36 - 1
_LONGEST_HEADER: Final = 16
# How much is searched at a time.
_WINDOW: Final = 1 << 18
_METER_CELLS: Final = 24
_METER_DB: Final = 60.0


class RecordError(KikiwakeError):
    """A recording cannot be written, or would have to take the place of another file."""


class Progress(msgspec.Struct, frozen=True):
    """How a recording goes.

    Attributes
    ----------
    seconds : float
        Its length.
    peak_db, rms_db : float
        Of the newest sound, over all channels, in dB of full scale; -120 at the least.
    loudest_db : float
        The highest peak so far.
    clipped : int
        Samples at full scale or beyond it, so far.
    marks : int
        How many were set.
    state : {"listening", "waiting"}
        Whether a device is waited for.
    notice : str or None
        Why.
    counters : Counters
        What was lost so far. `missing_ms` is how much silence stands for it in the recording.
    """

    seconds: float = 0.0
    peak_db: float = _FLOOR_DB
    rms_db: float = _FLOOR_DB
    loudest_db: float = _FLOOR_DB
    clipped: int = 0
    marks: int = 0
    state: State = "listening"
    notice: str | None = None
    counters: Counters = Counters()


class Recorder:
    """Records a source: a context manager, and an iterator of how it goes.

    Whatever ends it, what was recorded by then is kept: entering writes to ``.<name>.part`` beside
    the file, leaving gives that its name. After ``kill -9`` `unfinished` finds it.

    Parameters
    ----------
    source : Source
        Not open yet. A device that is lost is waited for, and silence stands for the sound that
        did not come.
    path : Path
        The file, ending in ``.flac``, which must not be there.
    seconds : float, optional
        How long to record; without it until `stop`, or the end of the sound.

    Attributes
    ----------
    progress : Progress
        The newest.

    Raises
    ------
    RecordError
        On entering: the file is there already, or cannot be written. From the iterator, or on
        leaving: the disk is full, or failed.
    SourceError
        On entering, or from the iterator; see `Source`.
    """

    def __init__(self, source: Source, path: Path, *, seconds: float | None = None) -> None:
        if seconds is not None and not 0 < seconds < math.inf:
            raise RecordError(f"cannot record for {seconds:g} seconds: it must be more than 0")
        self.source = source
        self.progress = Progress()
        self._seconds = seconds
        self._stopped = False
        self._leave: contextlib.ExitStack | None = None
        self._file = _Flac(path)
        self._rate = self._channels = 0
        self._most_frames: int | None = None
        self._resampler: Any = None
        self._resampler_rate = 0
        # None before the first sound: some devices take a second or two to begin.
        self._heard_at: float | None = None
        self._gone = False
        self._lost_frames = 0
        self._missing_s = 0.0
        self._bad_samples = 0
        self._clipped = 0
        self._loudest = 0.0
        self._marks = 0

    def __enter__(self) -> Self:
        """Open the file and the source."""
        for path in (self.path, marks_path(self.path)):
            with _telling(path):
                there = path.exists()
            if there:
                raise RecordError(
                    f"{path}: is there already, and is never written over; name another file"
                )
        with contextlib.ExitStack() as stack:
            # What is wrong with the name is said before a device is opened.
            stack.enter_context(self._file)
            stack.enter_context(self.source)
            self._rate, self._channels = self.source.sample_rate, self.source.channels
            if self._channels > _MOST_CHANNELS:
                raise RecordError(
                    f"{self.source.name}: {self._channels} channels are more than FLAC holds, "
                    f"{_MOST_CHANNELS}; ask for fewer with --channels, or mix them before"
                )
            if self._seconds is not None:
                self._most_frames = max(1, round(self._seconds * self._rate))
            self._file.begin(self._rate, self._channels)
            self._leave = stack.pop_all()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close both, and give the file its name."""
        assert self._leave is not None
        try:
            self._leave.__exit__(exc_type, exc, traceback)
        finally:
            kept_s = self._file.frames / self._rate
            self.progress = msgspec.structs.replace(self.progress, seconds=kept_s)

    def __iter__(self) -> Iterator[Progress]:
        """Record; yields several times a second, where the source is live."""
        if self._leave is None:
            raise RuntimeError("enter the Recorder first: with Recorder(...) as recorder")
        while not self._stopped and not self._complete:
            wanted = max(1, round(BLOCK_MS / 1e3 * self.source.sample_rate))
            block = self.source.read(_READ_S, min_frames=wanted)
            if block is None:
                break
            if len(block):
                self._hear(block)
            if self.source.state == "waiting":
                self._gone = True
                self._heard_at = self._heard_at or time.monotonic()
            yield self._tell(block)
        self._pass_time(self._silent_s(time.monotonic()))
        self._heard_at = None
        yield self._tell(np.empty((0, 1), np.float32))

    @property
    def path(self) -> Path:
        """The file; in the unlikely case that its name was taken meanwhile, a numbered one."""
        return self._file.path

    @property
    def seconds(self) -> float:
        """How much has been recorded, with the time for which a device is gone."""
        if not self._rate:
            return 0.0
        return self._file.frames / self._rate + self._silent_s(time.monotonic())

    @property
    def _complete(self) -> bool:
        if self._most_frames is None:
            return False
        silent_frames = round(self._silent_s(time.monotonic()) * self._rate)
        return self._file.frames + silent_frames >= self._most_frames

    def stop(self) -> None:
        """Have the iterator end within a moment; from a signal handler or another thread."""
        self._stopped = True

    def mark(self) -> None:
        """Note the time that has been recorded, as a label track of Audacity has it.

        Raises
        ------
        RecordError
            It cannot be written. The recording may go on.
        """
        at, path = self.seconds, marks_path(self.path)
        with _telling(path), open(path, "a", encoding="utf-8", newline="\n") as file:
            file.write(f"{at:.6f}\t{at:.6f}\tmark {self._marks + 1}\n")
        self._marks += 1

    def _tell(self, block: NDArray[np.float32]) -> Progress:
        peak = rms = 0.0
        if block.size:
            peak = float(np.abs(block).max())
            rms = math.sqrt(float(np.mean(np.square(block, dtype=np.float64))))
            self._loudest = max(self._loudest, peak)
        counters = msgspec.structs.replace(
            self.source.counters(),
            bad_samples=self._bad_samples,
            missing_ms=round(self._missing_s * 1e3),
        )
        self.progress = Progress(
            seconds=self.seconds,
            peak_db=_db(peak),
            rms_db=_db(rms),
            loudest_db=_db(self._loudest),
            clipped=self._clipped,
            marks=self._marks,
            state=self.source.state,
            notice=self.source.notice,
            counters=counters,
        )
        return self.progress

    def _hear(self, block: NDArray[np.float32]) -> None:
        now = time.monotonic()
        rate = self.source.sample_rate
        counts = self.source.counters()
        lost_frames = counts.skipped_samples + counts.dropped_samples
        lost_s = (lost_frames - self._lost_frames) / rate
        self._lost_frames = lost_frames
        # When the first sample of the block was heard; what the ring had no room for came after it.
        begun_at = now - len(block) / rate - lost_s
        self._pass_time(self._silent_s(begun_at))
        bad = ~np.isfinite(block)
        if bad.any():
            block[bad] = 0.0
            self._bad_samples += int(bad.sum())
        self._write(self._fitted(block, rate))
        self._pass_time(lost_s)
        self._heard_at, self._gone = now, False

    def _silent_s(self, now: float) -> float:
        """How long nothing has come; 0 where it may still come late."""
        if self._heard_at is None or not self.source.live:
            return 0.0
        silent_s = now - self._heard_at
        return silent_s if silent_s >= (_PUNCTUAL_S if self._gone else _LOST_S) else 0.0

    def _pass_time(self, seconds: float) -> None:
        """Write silence for time without sound: what comes after it stays where it was."""
        before, frames = self._file.frames, round(seconds * self._rate)
        while frames:
            some = min(frames, self._rate)
            self._write(np.zeros((some, self._channels), np.float32))
            frames -= some
        self._missing_s += (self._file.frames - before) / self._rate

    def _fitted(self, block: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
        """Bring what a device delivers that came back as another one to the form of the file."""
        if block.shape[1] != self._channels:
            block = np.repeat(to_mono(block)[0][:, None], self._channels, axis=1)
        if rate == self._rate:
            self._resampler = None
            return block
        if self._resampler is None or self._resampler_rate != rate:
            self._resampler_rate = rate
            self._resampler = soxr.ResampleStream(rate, self._rate, self._channels, "float32")
        fitted: NDArray[np.float32] = self._resampler.resample_chunk(block)
        return fitted

    def _write(self, block: NDArray[np.float32]) -> None:
        if self._most_frames is not None:
            block = block[: max(0, self._most_frames - self._file.frames)]
        scaled = np.rint(block * np.float32(_FULL_SCALE))
        self._clipped += int(((scaled >= _FULL_SCALE - 1) | (scaled <= -_FULL_SCALE)).sum())
        self._file.write(np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int16))


def marks_path(path: Path) -> Path:
    """Name the file of the marks of a recording."""
    return path.with_name(f"{path.stem}.marks.txt")


def folder_of(out: Path) -> Path:
    """Say in which folder recordings to *out* are.

    Parameters
    ----------
    out : Path
        A file ending in ``.flac``, or a folder.

    Returns
    -------
    Path

    Raises
    ------
    RecordError
        It ends like another kind of file.
    """
    with _telling(out):
        if out.is_dir() or not out.suffix:
            return out
    if out.suffix.casefold() != _FLAC:
        raise RecordError(
            f"{out}: recordings are FLAC: name a file such as {out.with_suffix(_FLAC)}, or a "
            "folder; one with a dot in its name must be there"
        )
    return out.parent


def name_for(out: Path, finished: Sequence[Path] = ()) -> Path:
    """Name the file of a new recording.

    Parameters
    ----------
    out : Path
        A file, which it is; or a folder: then by date and time.
    finished : sequence of Path
        Recordings that have just been found broken off and got their names. After these, what
        would be the same file is a numbered one: ``episode1-2.flac``.

    Returns
    -------
    Path

    Raises
    ------
    RecordError
        As `folder_of` does.
    """
    folder = folder_of(out)
    if folder == out:
        return _free(folder / time.strftime(f"%Y-%m-%d_%H-%M-%S{_FLAC}"))
    own = re.compile(re.escape(out.stem) + r"(-\d+)?")
    return _free(out) if any(own.fullmatch(path.stem) for path in finished) else out


def unfinished(folder: Path) -> list[Path]:
    """List what killed recordings left in a folder, and what is being recorded there."""
    with _telling(folder, "looked into"):
        return sorted(
            part
            for part in folder.glob(f".*{_PART}")
            if part.with_suffix("").suffix.casefold() == _FLAC and part.is_file()
        )


def finish(part: Path) -> tuple[Path, float] | None:
    """Give an unfinished recording its name.

    Parameters
    ----------
    part : Path
        One of `unfinished`.

    Returns
    -------
    path : Path
        Its name, or where that is taken, a numbered one.
    seconds : float
        Its length.
    None
        There was no sound in it, and it is gone; or it is being recorded right now.

    Raises
    ------
    RecordError
        It cannot be written, or holds something else.
    """
    path = part.with_name(part.name.removeprefix(".").removesuffix(_PART))
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(_locked(path))
        except BusyError:
            return None
        return _named(part, path) if part.exists() else None


def mend(path: Path) -> float:
    """Make a FLAC file whole that broke off: no frame is torn, the header says how much there is.

    Parameters
    ----------
    path : Path
        As libsndfile writes it. One that is whole is left as it is.

    Returns
    -------
    float
        Its length in seconds; 0 where it broke off before there was any sound.

    Raises
    ------
    RecordError
        It is no FLAC file.
    OSError

    Notes
    -----
    The format: RFC 9639. The checksum of all samples stays at zero, which means that there is none.
    """
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(1 << 16)
        if head[: len(_MAGIC)] != _MAGIC[: len(head)]:
            raise RecordError(f"{path}: is no FLAC file; move it elsewhere")
        first = _first_frame(head)
        if first is None:
            return 0.0
        form = int.from_bytes(head[18:26], "big")
        rate, total = form >> 44, form & _TOTAL
        if not total:
            end, blocks = _last_frame(file, head[first : first + 4], first, size)
            total = blocks * int.from_bytes(head[8:10], "big")
            # In this order: until the length is written, all this can be done again.
            file.truncate(end)
            file.flush()
            file.seek(18)
            file.write((form | total).to_bytes(8, "big"))
            file.flush()
        os.fsync(file.fileno())
    return total / rate


def _first_frame(head: bytes) -> int | None:
    """Find where the metadata of a FLAC file end; None where they do not."""
    at = len(_MAGIC)
    while at + 4 <= len(head):
        last, at = head[at] & 0x80, at + 4 + int.from_bytes(head[at + 1 : at + 4], "big")
        if last:
            return at if at <= len(head) else None
    return None


def _last_frame(file: BinaryIO, first: bytes, begin: int, size: int) -> tuple[int, int]:
    """Find the end of the last whole frame, and how many there are by then."""
    end = size
    while end > begin and len(first) == 4:
        # Windows overlap by what a header may be long; a frame is much shorter than one.
        start = max(begin, end - _WINDOW)
        file.seek(start)
        data = file.read(min(_WINDOW + _LONGEST_HEADER, size - start))
        at = len(data)
        while (at := data.rfind(first[:3], 0, at)) >= 0:
            number = _frame_number(data[at : at + _LONGEST_HEADER], first)
            if number is None:
                continue
            frame = data[at:] if start + len(data) == size else b""
            whole = len(frame) > _LONGEST_HEADER and _crc(frame, 0x8005, 16) == 0
            return (size, number + 1) if whole else (start + at, number)
        end = start
    return begin, 0


def _frame_number(header: bytes, first: bytes) -> int | None:
    """Read the number in the header of a frame; None where it is none of this file."""
    # Blocks are all of one size: but for how the channels are told apart, headers begin alike.
    if len(header) < _LONGEST_HEADER or header[:3] != first[:3] or (header[3] ^ first[3]) & 0x0F:
        return None
    more = max(0, 7 - (header[4] ^ 0xFF).bit_length())  # bytes, as in UTF-8
    number = header[4] & (0x7F >> more)
    for byte in header[5 : 5 + more]:
        number = number << 6 | byte & 0x3F
    size_code, rate_code = first[2] >> 4, first[2] & 0x0F
    length = 5 + more
    length += {6: 1, 7: 2}.get(size_code, 0) + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    return number if _crc(header[: length + 1], 0x07, 8) == 0 else None


def _crc(data: bytes, polynomial: int, bits: int) -> int:
    """Divide; with its own remainder at the end, what is left of the data is 0."""
    remainder, top, mask = 0, 1 << bits - 1, (1 << bits) - 1
    for byte in data:
        remainder ^= byte << bits - 8
        for _ in range(8):
            remainder = (remainder << 1 ^ (polynomial if remainder & top else 0)) & mask
    return remainder


class _Disk(io.FileIO):
    """A new file that remembers why it could not be written: libsndfile does not say."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "x+")
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all, or what there is room for."""
        done = 0
        try:
            while done < len(data):
                done += os.write(self.fileno(), data[done:])
        except OSError as error:
            self.error = error
        return done


class _Flac:
    """A FLAC file under a hidden name, which gets its own when it is left."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames = 0
        self._part = _part(path)
        self._lock = contextlib.ExitStack()
        self._disk: _Disk | None = None
        self._sound: Any = None
        self._sync_at = 0.0

    def __enter__(self) -> Self:
        with _telling(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock.enter_context(_locked(self.path))
        return self

    def begin(self, rate: int, channels: int) -> None:
        """Open it."""
        with _telling(self._part):
            self._disk = _Disk(self._part)
        try:
            self._sound = soundfile.SoundFile(
                self._disk,
                "w",
                rate,
                channels,
                "PCM_16",
                format="FLAC",
                compression_level=_COMPRESSION,
            )
        except soundfile.LibsndfileError as error:
            raise RecordError(
                f"{self.path}: FLAC cannot hold {rate} Hz and {channels} channels: "
                f"{error.error_string}"
            ) from None
        self._sync_at = time.monotonic() + _SYNC_S

    def write(self, block: NDArray[np.int16]) -> None:
        """Append to it."""
        assert self._disk is not None
        try:
            self._sound.write(block)
            if time.monotonic() > self._sync_at:
                os.fsync(self._disk.fileno())
                self._sync_at = time.monotonic() + _SYNC_S
        # That of soundfile, where libsndfile took less than all.
        except (soundfile.SoundFileError, AssertionError, OSError) as error:
            raise self._failure(self._disk.error or error) from None
        if self._disk.error is not None:
            raise self._failure(self._disk.error)
        self.frames += len(block)

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._lock:
            if self._disk is None:
                return
            # Where the disk is full this fails, too, and leaves something to mend.
            with contextlib.suppress(soundfile.SoundFileError):
                if self._sound is not None:
                    self._sound.close()
            self._disk.close()
            named = _named(self._part, self.path)
            if named is None:
                self.frames = 0
            elif self._sound is not None:
                self.path, self.frames = named[0], round(named[1] * self._sound.samplerate)
            if exc is None and self._disk.error is not None:
                raise self._failure(self._disk.error)

    def _failure(self, error: Exception) -> RecordError:
        reason = getattr(error, "strerror", None) or one_line(error)
        kept = "what was recorded until then is kept" if self.frames else "nothing was recorded"
        return RecordError(f"{self.path}: cannot be written any more: {reason}; {kept}")


def _named(part: Path, path: Path) -> tuple[Path, float] | None:
    """Give a file that nobody writes any more its name; without sound it goes."""
    with _telling(part):
        seconds = mend(part)
        if not seconds:
            part.unlink()
            if not path.exists():  # marks of nothing: they would be in the way of this name
                marks_path(path).unlink(missing_ok=True)
            return None
        target = path if not path.exists() else _free(path)
        part.rename(target)
        if target != path and marks_path(path).exists():
            marks_path(path).rename(marks_path(target))
    return target, seconds


def _part(path: Path) -> Path:
    return path.with_name(f".{path.name}{_PART}")


def _free(path: Path) -> Path:
    """Find a name that no recording has, by a number at its end."""
    numbered = (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in itertools.count(2))
    return next(
        name
        for name in itertools.chain([path], numbered)
        if not (name.exists() or marks_path(name).exists() or _part(name).exists())
    )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Be the only process that writes this recording."""
    file = path.with_name(f".{path.name}.lock")
    with contextlib.ExitStack() as stack:
        with _telling(file):
            stack.enter_context(locked(file, f"{path}: is being recorded by another process"))
        yield


@contextlib.contextmanager
def _telling(path: Path, what: str = "written") -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or one_line(error)
        raise RecordError(f"{path}: cannot be {what}: {reason}") from None


def _db(amplitude: float) -> float:
    return max(_FLOOR_DB, 20 * math.log10(max(amplitude, 1e-9)))


# The terminal


def meter(progress: Progress) -> str:
    """Write how a recording goes as a line.

    Examples
    --------
    >>> meter(Progress(seconds=75.3, peak_db=-15.0, rms_db=-28.2))
    '01:15.3  ██████████████████──────  peak  -15.0 dB  RMS  -28.2 dB  at full scale 0  marks 0'
    """
    from .view import clock

    cells = round(_METER_CELLS * min(max(1 + progress.peak_db / _METER_DB, 0.0), 1.0))
    bar = "█" * cells + "─" * (_METER_CELLS - cells)
    return (
        f"{clock(progress.seconds)}  {bar}  peak {progress.peak_db:6.1f} dB  "
        f"RMS {progress.rms_db:6.1f} dB  at full scale {progress.clipped}  marks {progress.marks}"
    )


@contextlib.contextmanager
def ended_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call *stop* for Ctrl-C, for SIGTERM, and when the terminal is closed."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What whoever started this wants ignored (nohup) stays so.
    before = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number in numbers if before[number] not in (signal.SIG_IGN, None)]
    for number in heeded:
        signal.signal(number, lambda *_: stop())
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])


@contextlib.contextmanager
def keys() -> Iterator[Callable[[], str]]:
    """Read keys as they are pressed; yields what gives those since it was last called.

    Where standard input is no terminal, or belongs to another program at the moment, none are.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        yield lambda: ""
    elif sys.platform == "win32":
        import msvcrt

        def pressed() -> str:
            found = ""
            while msvcrt.kbhit():
                found += msvcrt.getwch()
            return found

        yield pressed
    else:
        import select
        import termios
        import tty

        terminal = sys.stdin.fileno()

        def ours() -> bool:
            # Who touches the terminal from the background is stopped.
            try:
                return os.tcgetpgrp(terminal) == os.getpgrp()
            except OSError:  # it was closed, which is told by a signal
                return False

        def pressed() -> str:
            if not ours() or not select.select([terminal], [], [], 0)[0]:
                return ""
            return os.read(terminal, 100).decode(errors="replace")

        if not ours():
            yield lambda: ""
            return
        before = termios.tcgetattr(terminal)
        tty.setcbreak(terminal, termios.TCSANOW)
        try:
            yield pressed
        finally:
            if ours():
                termios.tcsetattr(terminal, termios.TCSANOW, before)
