"""Where sound comes from: devices, files and pipes, each a `Source`."""

from __future__ import annotations

import functools
import os
import queue
import re
import stat
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, SourceError, one_line
from ..files import need_text
from .device import DeviceSource
from .devices import DeviceInfo, find_device, list_devices
from .result import Counters
from .source import Source, check_form, need_open

__all__ = [
    "DeviceInfo",
    "DeviceSource",
    "FileSource",
    "PipeSource",
    "Source",
    "find_device",
    "list_devices",
    "open_source",
]

# Raw little-endian PCM: bytes a sample, and what full scale is.
_FORMATS: Final = {"s16": (2, 2.0**15), "s24": (3, 2.0**31), "s32": (4, 2.0**31), "f32": (4, 1.0)}
_PIPE_BYTES: Final = 1 << 16
_PIPE_BLOCKS: Final = 16

_FILE_NAME = re.compile(
    r"[/\\]|\.(aac|aiff?|au|caf|flac|m4a|mka|mkv|mp[34]|oga|ogg|opus|w64|wave?|webm|wma)$",
    re.IGNORECASE,
)


class FileSource:
    """A sound file, in blocks: WAV, FLAC, OGG (Vorbis, Opus), MP3, and what libsndfile reads.

    Parameters
    ----------
    path : path-like
        A regular file.
    realtime : bool
        Deliver at the speed of the sound: a block whose last sample is at time t comes no earlier
        than t after the first `read`, whatever the delays in between. Otherwise as fast as it is
        read.
    block_frames : int > 0
        Sample frames in a block; the last one is shorter.

    Raises
    ------
    SourceError
        On entering: no such file, a directory, no sound file, no sound in it. From `read`: damaged
        on the way.
    ValueError
        *block_frames* is not positive.
    """

    live: Final = False
    state: Final = "listening"
    notice: Final = None

    def __init__(
        self, path: str | os.PathLike[str], *, realtime: bool = False, block_frames: int = 1024
    ) -> None:
        if block_frames < 1:
            raise ValueError(f"block_frames={block_frames} must be at least 1")
        self.path = Path(path)
        self.name = self.path.name
        self.realtime = realtime
        self.block_frames = block_frames
        self.sample_rate = 0
        self.channels = 0
        self._file: Any = None
        self._next: NDArray[np.float32] = np.empty((0, 0), np.float32)
        self._broken: Exception | None = None
        self._delivered = 0
        self._begun_at: float | None = None

    def __enter__(self) -> Self:
        """Open the file and read its first block, so that what is wrong is said at once."""
        import soundfile

        self._refuse_what_is_no_file()
        try:
            self._file = soundfile.SoundFile(self.path)
        except (soundfile.SoundFileError, OSError) as error:
            why = _reason(error)
            if "does not exist" in why:  # libsndfile says so of what only looks like an MP3
                why = "it is damaged, or something else"
            raise SourceError(
                f"{self.path} is not a sound file that can be read (WAV, FLAC, OGG, MP3): {why}"
            ) from error
        # After each block soundfile seeks to where the file already stands, wherever it can. In MP3
        # that tears the decoder from its past, and most of the sound comes out as silence.
        self._file.seekable = lambda: False
        self.sample_rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self._delivered = 0
        self._broken = None
        try:
            check_form(self.sample_rate, self.channels, self.name, SourceError)
            self._next = self._decode()
            if not len(self._next):
                self._raise_if_broken()
                raise SourceError(f"{self.path} holds no sound: its length is zero")
        except SourceError:
            self.__exit__(None, None, None)
            raise
        self._begun_at = None
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def counters(self) -> Counters:
        """Nothing is lost: the sound waits for its reader."""
        return Counters()

    def read(self, timeout_s: float, min_frames: int = 1) -> NDArray[np.float32] | None:
        """Take the next block, as `Source.read` has it."""
        need_open(self._file, self.name)
        block = self._next
        if not len(block):
            self._raise_if_broken()
            return None
        if self.realtime:
            # From the start of the file each time, so that no delay adds to the next.
            # Not from the opening: what is set up in between would have to be caught up with.
            if self._begun_at is None:
                self._begun_at = time.monotonic()
            due = self._begun_at + (self._delivered + len(block)) / self.sample_rate
            wait = due - time.monotonic()
            time.sleep(max(0.0, min(wait, timeout_s)))
            if wait > timeout_s:
                return np.empty((0, self.channels), np.float32)
        self._delivered += len(block)
        self._next = self._decode()
        return block

    def _decode(self) -> NDArray[np.float32]:
        import soundfile

        try:
            block: NDArray[np.float32] = self._file.read(
                self.block_frames, dtype="float32", always_2d=True
            )
        except soundfile.SoundFileError as error:
            # Told only when all that could be read has been delivered.
            self._broken = error
            return np.empty((0, self.channels), np.float32)
        return block

    def _raise_if_broken(self) -> None:
        if self._broken is not None:
            raise SourceError(f"{self.path} is damaged: {_reason(self._broken)}") from self._broken

    def _refuse_what_is_no_file(self) -> None:
        need_text(self.path, SourceError)
        try:
            status = self.path.stat()
        except FileNotFoundError:
            raise SourceError(f"no such file: {self.path}") from None
        except (OSError, ValueError) as error:
            raise SourceError(f"{self.path} cannot be opened: {_reason(error)}") from error
        if stat.S_ISDIR(status.st_mode):
            raise SourceError(f"{self.path} is a directory, not a sound file")
        if not stat.S_ISREG(status.st_mode):
            raise SourceError(f"{self.path} is not a regular file: pipe raw sound into '-' instead")
        if not os.access(self.path, os.R_OK):
            raise SourceError(f"{self.path} cannot be opened: Permission denied")
        if not status.st_size:
            raise SourceError(f"{self.path} holds no sound: the file is empty")


class PipeSource:
    """Raw little-endian PCM from a binary stream, such as standard input.

    Nothing is lost: what is not read yet holds the writing program back. So the time of the sound
    is that of its samples, and a writer that pauses stops it.

    Parameters
    ----------
    stream : binary file
        Read at its file descriptor where it has one: bytes that were buffered before are not
        seen. It is not closed.
    sample_rate : int > 0
        In Hz.
    channels : int > 0
        Interleaved.
    sample_format : {"s16", "s24", "s32", "f32"}
        Signed integers of 16, 24 (three bytes) or 32 bits, or 32-bit floats.
    name : str
        For people.

    Raises
    ------
    ConfigError
        Rate, channels or format are not allowed.
    SourceError
        On entering: a terminal. From `read`: the stream ended before it held one frame, or broke.

    Notes
    -----
    A helper thread waits for the stream: a read of a pipe can neither be timed nor, on Windows,
    interrupted. It is a daemon, so a stream that stays silent keeps no program alive. Bytes at
    the end that make no whole frame are left out. It is opened once.
    """

    live: Final = False
    state: Final = "listening"
    notice: Final = None

    def __init__(
        self,
        stream: BinaryIO,
        *,
        sample_rate: int,
        channels: int = 1,
        sample_format: str = "s16",
        name: str = "standard input",
    ) -> None:
        check_form(sample_rate, channels, name, ConfigError)
        if sample_format not in _FORMATS:
            raise ConfigError(
                f"format {sample_format!r} is not known: it is one of {', '.join(_FORMATS)}"
            )
        self.name = name
        self.sample_rate = sample_rate
        self.channels = channels
        self.sample_format = sample_format
        self._stream = stream
        self._blocks: queue.Queue[bytes | OSError] = queue.Queue(_PIPE_BLOCKS)
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._rest = b""
        self._heard = False
        self._ended = False

    def __enter__(self) -> Self:
        """Begin to read the stream."""
        try:
            terminal = self._stream.isatty()
        except ValueError as error:
            raise SourceError(f"no sound on {self.name}: it is closed") from error
        if terminal:
            raise SourceError(
                f"{self.name} is a terminal: pipe raw PCM into it, "
                "for instance from `ffmpeg -i FILE -f s16le -`"
            )
        self._thread = threading.Thread(target=self._fetch, name="kikiwake-pipe", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop reading; what was read and not taken is lost."""
        self._closed.set()

    def counters(self) -> Counters:
        """Nothing is lost: the sound waits for its reader."""
        return Counters()

    def read(self, timeout_s: float, min_frames: int = 1) -> NDArray[np.float32] | None:
        """Take what came, as `Source.read` has it."""
        need_open(self._thread, self.name)
        if self._ended:
            return None
        try:
            block = self._blocks.get(timeout=max(timeout_s, 1e-6))
        except queue.Empty:
            return np.empty((0, self.channels), np.float32)
        if isinstance(block, OSError):
            raise SourceError(f"{self.name} cannot be read: {_reason(block)}") from block
        if not block:
            self._ended = True
            if not self._heard:
                raise SourceError(f"no sound on {self.name}: it ended before one sample came")
            return None
        data = self._rest + block
        size = _FORMATS[self.sample_format][0] * self.channels
        whole = len(data) // size * size
        self._rest = data[whole:]
        self._heard = self._heard or whole > 0
        return self._samples(data[:whole]).reshape(-1, self.channels)

    def _samples(self, data: bytes) -> NDArray[np.float32]:
        full_scale = np.float32(_FORMATS[self.sample_format][1])
        match self.sample_format:
            case "s16":
                values = np.frombuffer(data, "<i2").astype(np.float32)
            case "s24":
                # The three bytes become the upper ones of a 32-bit integer.
                wide = np.zeros((len(data) // 3, 4), np.uint8)
                wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
                values = wide.view("<i4").astype(np.float32).ravel()
            case "s32":
                values = np.frombuffer(data, "<i4").astype(np.float32)
            case _:
                return np.frombuffer(data, "<f4").astype(np.float32)
        values /= full_scale
        return values

    def _fetch(self) -> None:
        fetch = self._reader()
        while True:
            block: bytes | OSError
            try:
                block = fetch(_PIPE_BYTES)
            except ValueError as error:  # the stream was closed
                block = OSError(str(error))
            except OSError as error:
                block = error
            while not self._closed.is_set():
                try:
                    self._blocks.put(block, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if self._closed.is_set() or not block or isinstance(block, OSError):
                return

    def _reader(self) -> Callable[[int], bytes]:
        # Past the buffer of sys.stdin: a daemon thread that holds the buffer's lock makes the
        # interpreter abort when it ends. It also returns what is there instead of waiting for all.
        try:
            return functools.partial(os.read, self._stream.fileno())
        except (AttributeError, OSError, ValueError):
            return self._stream.read


def open_source(
    spec: str,
    *,
    sample_rate: int | None = None,
    channels: int | None = None,
    sample_format: str | None = None,
    realtime: bool = False,
    latency_ms: float = 0.0,
    max_lag_ms: float = 1000.0,
    wait: bool = False,
) -> Source:
    """Make the source that *spec* means. It is opened by ``with``.

    Parameters
    ----------
    spec : str
        ``default``, ``loopback``, ``-`` (raw PCM on standard input), a file, or a device by number
        or part of its name. A path that exists, has a separator, or ends like a sound file is a
        file.
    sample_rate : int, optional
        Of raw PCM, where it must be given, or asked of a device. A file says its own.
    channels : int, optional
        Of raw PCM (one without it), or asked of a device.
    sample_format : {"s16", "s24", "s32", "f32"}, optional
        Of raw PCM; ``s16`` without it.
    realtime : bool
        Deliver a file at the speed of the sound.
    latency_ms, max_lag_ms, wait
        Of a device, as `DeviceSource` takes them.

    Returns
    -------
    Source
        Not opened yet.

    Raises
    ------
    ConfigError
        Raw PCM of unknown rate, or with a rate, channels or a format that is not allowed; any of
        them where they do not apply.
    SourceError
        There is no standard input. Everything else is found out on entering the source.
    """
    if spec == "-":
        if sample_rate is None:
            raise ConfigError("raw sound on standard input needs its rate: --rate 48000")
        if sys.stdin is None:
            raise SourceError("no sound on standard input: this program was started without one")
        return PipeSource(
            sys.stdin.buffer,
            sample_rate=sample_rate,
            channels=1 if channels is None else channels,
            sample_format=sample_format or "s16",
        )
    if sample_format is not None:
        raise ConfigError("--format is for raw sound: it goes with --input - only")
    is_device = spec in {"default", "loopback"} or spec.isdecimal()
    # os.path, unlike Path, takes any text for a name: one too long is just no file.
    if not is_device and (_FILE_NAME.search(spec) or os.path.exists(spec)):
        if sample_rate is not None or channels is not None:
            raise ConfigError("--rate and --channels do not go with a file, which says its own")
        return FileSource(spec, realtime=realtime)
    return DeviceSource(
        spec,
        sample_rate=sample_rate,
        channels=channels,
        latency_ms=latency_ms,
        max_lag_ms=max_lag_ms,
        wait=wait,
    )


def _reason(error: BaseException) -> str:
    """Say in one line what a library or the system has to say, without the path once more."""
    said = getattr(error, "strerror", None) or getattr(error, "error_string", None) or error
    return one_line(Exception(said))
