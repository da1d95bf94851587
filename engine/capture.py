"""Where sound comes from: devices, files and pipes, each a `Source`."""

from __future__ import annotations

import functools
import logging
import os
import queue
import re
import stat
import sys
import threading
import time
from collections.abc import Callable
from ctypes import c_ulong, sizeof
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Protocol, Self, cast

import numpy as np
from numba import cfunc, types
from numpy.typing import NDArray

from ..errors import ConfigError, KikiwakeError, SourceError
from .devices import DeviceInfo, find_device, list_devices, one_line, opening, portaudio
from .ring import SpscRing, address_of, count_overflow, push

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

_log = logging.getLogger(__name__)

_POLL_S: Final = 0.005
_RING_S: Final = 4.0
_CHANNELS: Final = 2
_RATES: Final = 4_000, 768_000
_MOST_CHANNELS: Final = 64
_INPUT_OVERFLOW: Final = 2  # PortAudio's paInputOverflow

# Raw little-endian PCM: bytes a sample, and what full scale is.
_FORMATS: Final = {"s16": (2, 2.0**15), "s24": (3, 2.0**31), "s32": (4, 2.0**31), "f32": (4, 1.0)}
_PIPE_BYTES: Final = 1 << 16
_PIPE_BLOCKS: Final = 16

_FILE_NAME = re.compile(
    r"[/\\]|\.(aac|aiff?|au|caf|flac|m4a|mka|mkv|mp[34]|oga|ogg|opus|w64|wave?|webm|wma)$",
    re.IGNORECASE,
)


class Source(Protocol):
    """A stream of sound that one thread opens, reads and closes.

    ``with source:`` opens and closes it. Everything but `live` is known once it is open; the
    counts stay readable after it is closed.

    Attributes
    ----------
    name : str
        For people.
    sample_rate : int
        In Hz.
    channels : int
        Columns of a block.
    live : bool
        The sound comes at its own pace, whether or not it is read: when none comes for a while,
        that is silence. Otherwise the source waits for its reader and `read` alone sets the pace.
    dropped_samples : int
        Sample frames lost so far because nobody read them in time.
    overflows : int
        Times so far that the sound system reported a loss of its own.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def sample_rate(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def live(self) -> bool: ...  # noqa: D102
    @property
    def dropped_samples(self) -> int: ...  # noqa: D102
    @property
    def overflows(self) -> int: ...  # noqa: D102

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def read(self, timeout_s: float) -> NDArray[np.float32] | None:
        """Take the next block.

        Parameters
        ----------
        timeout_s : float >= 0
            Seconds to wait for it at most.

        Returns
        -------
        ndarray of float32, shape (n, channels), or None
            Full scale is 1. n is 0 when nothing came in time. None at the end of the sound, and
            ever after. The array is the caller's own.

        Raises
        ------
        SourceError
            The sound broke off, or there was none.
        """


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
    dropped_samples: Final = 0
    overflows: Final = 0

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
        self._delivered = 0
        self._begun_at: float | None = None

    def __enter__(self) -> Self:
        """Open the file and read its first block, so that what is wrong is said at once."""
        import soundfile

        self._refuse_what_is_no_file()
        try:
            self._file = soundfile.SoundFile(self.path)
        except (soundfile.SoundFileError, OSError) as error:
            raise SourceError(
                f"{self.path} is not a sound file that can be read (WAV, FLAC, OGG, MP3): "
                f"{_reason(error)}"
            ) from error
        # After each block soundfile seeks to where the file already stands, wherever it can. In MP3
        # that tears the decoder from its past, and most of the sound comes out as silence.
        self._file.seekable = lambda: False
        self.sample_rate = int(self._file.samplerate)
        self.channels = int(self._file.channels)
        self._delivered = 0
        try:
            _check_form(self.sample_rate, self.channels, self.name, SourceError)
            self._next = self._decode()
            if not len(self._next):
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

    def read(self, timeout_s: float) -> NDArray[np.float32] | None:
        """Take the next block, as `Source.read` has it."""
        _need_open(self._file, self.name)
        block = self._next
        if not len(block):
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
            raise SourceError(f"{self.path} is damaged: {_reason(error)}") from error
        return block

    def _refuse_what_is_no_file(self) -> None:
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
    dropped_samples: Final = 0
    overflows: Final = 0

    def __init__(
        self,
        stream: BinaryIO,
        *,
        sample_rate: int,
        channels: int = 1,
        sample_format: str = "s16",
        name: str = "standard input",
    ) -> None:
        _check_form(sample_rate, channels, name, ConfigError)
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

    def read(self, timeout_s: float) -> NDArray[np.float32] | None:
        """Take what came, as `Source.read` has it."""
        _need_open(self._thread, self.name)
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
                values = np.frombuffer(data, "<f4").astype(np.float32)
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


class DeviceSource:
    """An input device of this computer, or what the computer plays, through PortAudio.

    The audio thread runs a compiled callback that takes no GIL and writes to a ring of about four
    seconds; `read` empties it. When nobody reads, the newest sound is dropped and counted.

    Parameters
    ----------
    device : int or str, optional
        As `find_device` takes it.
    sample_rate : int, optional
        In Hz; the device's own without it.
    channels : int, optional
        Two without it, or one where the device has one.
    native : bool
        Use the compiled callback. False, and any system that refuses it, leaves an ordinary
        Python callback, which other threads can hold up.

    Raises
    ------
    SourceError
        On entering: no such device, no sound server, no PortAudio, or it cannot be opened so.
        From `read`: the device is gone.
    """

    live: Final = True

    def __init__(
        self,
        device: int | str | None = None,
        *,
        sample_rate: int | None = None,
        channels: int | None = None,
        native: bool = True,
    ) -> None:
        self.name = "default" if device is None else str(device)
        self.sample_rate = 0
        self.channels = 0
        self.native = native
        self._spec = device
        self._asked = sample_rate, channels
        self._ring = SpscRing(1, 1)
        self._stream: Any = None

    @property
    def dropped_samples(self) -> int:
        """Sample frames that the ring had no room for."""
        return self._ring.dropped

    @property
    def overflows(self) -> int:
        """Blocks that PortAudio marked with an input overflow."""
        return self._ring.overflows

    def __enter__(self) -> Self:
        """Find the device, open it and start it."""
        sd = portaudio()
        device = find_device(self._spec)
        rate, channels = self._asked
        self.name = device.name
        self.sample_rate = rate or device.sample_rate
        self.channels = channels or min(_CHANNELS, device.channels)
        _check_form(self.sample_rate, self.channels, device.name, ConfigError)
        ring = SpscRing(round(_RING_S * self.sample_rate), self.channels)
        try:
            with opening(device):
                refusal = self._open(sd, device, ring)
                self._stream.start()
        except (sd.PortAudioError, ValueError) as error:
            self._close()
            raise SourceError(
                f"{device.name} cannot be opened at {self.sample_rate} Hz with {self.channels} "
                f"channel(s): {_reason(error)}"
            ) from error
        if refusal is not None:  # said here: while a device is being opened, stderr is shut
            _log.warning(
                "compiled audio callback refused, using a Python one, which can lose sound when "
                "the computer is busy: %s",
                refusal,
            )
        self._ring = ring
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop and close the device; the counts stay."""
        self._close()

    def read(self, timeout_s: float) -> NDArray[np.float32] | None:
        """Take what came since the last call, as `Source.read` has it; the sound has no end."""
        _need_open(self._stream, self.name)
        until = time.monotonic() + timeout_s
        # Looking now and then is what lets the audio thread go without a lock to wake us by.
        while not self._ring.available():
            if not self._stream.active:
                raise SourceError(f"{self.name} is gone: the device or its sound server stopped")
            left = until - time.monotonic()
            if left <= 0:
                break
            time.sleep(min(_POLL_S, left))
        return self._ring.read()

    def _open(self, sd: Any, device: DeviceInfo, ring: SpscRing) -> str | None:
        """Open a stream that writes to *ring*; returns why the compiled callback was refused."""
        # "high" is the host's own idea of a safe buffer: 35 ms for PulseAudio, a third of a hop,
        # and with fewer wake-ups than "low".
        stream = functools.partial(
            sd._StreamBase,
            kind="input",
            device=device.index,
            samplerate=self.sample_rate,
            channels=self.channels,
            dtype="float32",
            latency="high",
            blocksize=0,
        )
        refusal = "native=False"
        if self.native:
            try:
                # sounddevice keeps the bare pointers only: `_compiled_callback` keeps the code,
                # this object the ring, until the stream is closed.
                callback = sd._ffi.cast("PaStreamCallback *", _compiled_callback().address)
                userdata = sd._ffi.cast("void *", ring.address)
                self._stream = stream(callback=callback, wrap_callback=None, userdata=userdata)
            except sd.PortAudioError:
                raise
            except Exception as error:  # a sounddevice or a system that does not take it
                refusal = one_line(error)
            else:
                return None

        def on_block(samples: NDArray[np.float32], _frames: int, _time: Any, status: Any) -> None:
            if status.input_overflow:
                count_overflow(ring.address)
            ring.write(samples)

        self._stream = stream(callback=on_block, wrap_callback="array")
        return refusal

    def _close(self) -> None:
        if self._stream is not None:
            # Returns when the callback has run for the last time; only then may the ring go.
            self._stream.abort()
            self._stream.close()
            self._stream = None


def open_source(
    spec: str,
    *,
    sample_rate: int | None = None,
    channels: int | None = None,
    sample_format: str | None = None,
    realtime: bool = False,
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
    return DeviceSource(spec, sample_rate=sample_rate, channels=channels)


def _on_block(samples: Any, _output: Any, frames: int, _time: Any, flags: int, header: Any) -> int:
    """Write one block of PortAudio's to the ring whose header is the user data: `PaStreamCallback`.

    Runs in the audio thread, without Python. It has no way to raise, so the error path of the
    wrapper, which takes the GIL, is never entered.
    """
    ring = address_of(header)
    if flags & _INPUT_OVERFLOW:
        count_overflow(ring)
    push(ring, address_of(samples), frames)
    return 0  # paContinue


@functools.cache
def _compiled_callback() -> Any:
    """Compile `_on_block`; it lives as long as the program.

    Not cached on disk: it takes some 30 ms, and Numba would not notice an edit of ``ring.py``.
    """
    # By size: Numba's own `ulong` followed NumPy's idea of it for a while, C's is what counts.
    ulong = types.uint64 if sizeof(c_ulong) == 8 else types.uint32
    pointer = types.voidptr
    signature = types.intc(pointer, pointer, ulong, pointer, ulong, pointer)
    return cast(Any, cfunc(signature))(_on_block)


def _check_form(sample_rate: int, channels: int, name: str, error: type[KikiwakeError]) -> None:
    """Refuse what no sound has, and what resamplers and buffers choke on."""
    low, high = _RATES
    if not low <= sample_rate <= high:
        raise error(f"{name}: rate {sample_rate} is not allowed: {low} to {high} Hz")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise error(f"{name}: {channels} channels are not allowed: 1 to {_MOST_CHANNELS}")


def _need_open(handle: object, name: str) -> None:
    if handle is None:
        raise RuntimeError(f"{name} is not open: use it in a with statement")


def _reason(error: BaseException) -> str:
    """Say in one line what a library or the system has to say, without the path once more."""
    said = getattr(error, "strerror", None) or getattr(error, "error_string", None) or error
    return one_line(Exception(said))
