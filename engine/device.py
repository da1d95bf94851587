"""A sound device as a source: opened, watched, and opened again when it was lost."""

from __future__ import annotations

import atexit
import functools
import logging
import threading
import time
import uuid
from types import TracebackType
from typing import Any, Final, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, SourceError, one_line
from .callback import INPUT_OVERFLOW, audio_callback, measures, prepare, take
from .devices import DeviceInfo, find_device, list_devices, opening, portaudio, refresh
from .pulse import MonitorFollower, stream_properties
from .result import Counters, State
from .ring import SpscRing
from .source import check_form, need_open
from .wasapi import LoopbackStream

_log = logging.getLogger(__name__)

# Those that PortAudio still knows: it looks for devices anew only after it has closed them all, and
# must not be made to close one that is in use elsewhere, or that it cannot close.
_open_streams: set[PortAudioStream] = set()

_RING_S: Final = 4.0
_CHANNELS: Final = 2

# The reader looks for sound when enough of it may have come, but never more often than this.
_POLL_S: Final = 0.004
_LONG_S: Final = 0.05
# How often it looks whether the device is still there.
_WATCH_S: Final = 0.1
# An open device that delivers nothing for so long is taken for lost. The first samples of a sound
# server can come two seconds after opening, or after the stream was moved to another sink.
_PATIENCE_S: Final = 4.0
_AWAY_S: Final = 0.5
# Tries to open a lost device again: each after twice the time, up to the longest.
_FIRST_RETRY_S: Final = 0.1
_LONGEST_RETRY_S: Final = 2.0
_CLOSE_S: Final = 3.0


class _Stream(Protocol):
    """A running stream that writes to a ring."""

    @property
    def active(self) -> bool: ...
    @property
    def error(self) -> str | None: ...
    def changed(self) -> bool: ...
    def close(self) -> None: ...


class PortAudioStream:
    """An open input of PortAudio, whose audio thread writes to a ring.

    Parameters
    ----------
    device : DeviceInfo
        What to open.
    ring : SpscRing
        Of the channels and the type of sample to ask for. This object keeps it alive.
    sample_rate : int
        In Hz.
    block_frames : int
        Sample frames in a block; 0 leaves it to PortAudio.
    latency_ms : float >= 0
        Asked for, where the device does not propose more by itself.
    native : bool
        Use the compiled callback.

    Raises
    ------
    SourceError
        The device cannot be opened so.

    Attributes
    ----------
    error : None
        PortAudio does not say why a stream ends.
    """

    error: Final = None

    def __init__(
        self,
        device: DeviceInfo,
        ring: SpscRing,
        *,
        sample_rate: int,
        block_frames: int,
        latency_ms: float,
        native: bool,
    ) -> None:
        sd = portaudio()
        self._ring = ring
        self._stream: Any = None
        self._follower: MonitorFollower | None = None
        _open_streams.add(self)
        tag = uuid.uuid4().hex
        try:
            with opening(device, stream_properties(tag)):
                # The host's own idea of a safe buffer is "high": 35 ms for PulseAudio, and with
                # fewer wake-ups than "low". Who has the time gets still fewer.
                proposed_s = sd.query_devices(device.index)["default_high_input_latency"]
                latency_s = max(proposed_s, latency_ms / 1e3)
                refusal = self._open(sd, device, sample_rate, block_frames, latency_s, native)
        except (sd.PortAudioError, ValueError) as error:
            self.close()
            raise SourceError(
                f"{device.name} cannot be opened at {sample_rate} Hz with {ring.channels} "
                f"channel(s): {one_line(error)}"
            ) from error
        except BaseException:
            self.close()
            raise
        if refusal is not None:  # said here: while a device is being opened, stderr is shut
            _log.warning(
                "compiled audio callback refused, using a Python one, which can lose sound when "
                "the computer is busy: %s",
                refusal,
            )
        if device.is_monitor:
            self._follower = MonitorFollower(tag)

    @property
    def active(self) -> bool:
        """Whether it runs: it ends when the device or its sound server does."""
        try:
            return bool(self._stream is not None and self._stream.active)
        except portaudio().PortAudioError:  # somebody else has started PortAudio anew
            return False

    def changed(self) -> bool:
        """Whether the stream may be on another device than the one meant."""
        # A monitor that nobody keeps us on any more: the server may move us to a microphone.
        return self._follower is not None and not self._follower.active

    def close(self) -> None:
        """Stop. The audio thread has run for the last time, but for one that hangs."""
        if self._follower is not None:
            self._follower.close()
            self._follower = None
        stream, self._stream = self._stream, None
        if stream is None:
            _open_streams.discard(self)
            return

        def end() -> None:
            try:
                stream.abort()
                stream.close()
            finally:
                _open_streams.discard(self)

        # In a thread: a PulseAudio that dies while it moves a stream can leave its client waiting
        # for ever. What is left of the stream is never touched again; its ring stays for it.
        thread = threading.Thread(target=end, name="kikiwake-close", daemon=True)
        thread.start()
        thread.join(_CLOSE_S)
        if thread.is_alive():
            _log.warning("PortAudio does not let go of the device; it is left as it is")
            # On exit sounddevice would wait for it.
            atexit.unregister(portaudio()._exit_handler)

    def _open(
        self,
        sd: Any,
        device: DeviceInfo,
        sample_rate: int,
        block_frames: int,
        latency_s: float,
        native: bool,
    ) -> str | None:
        """Open and start the stream; returns why the compiled callback was refused."""
        ring = self._ring
        stream = functools.partial(
            sd._StreamBase,
            kind="input",
            device=device.index,
            samplerate=sample_rate,
            channels=ring.channels,
            dtype=ring.dtype.name,
            latency=latency_s,
            blocksize=block_frames,
        )
        refusal = "native=False"
        if native:
            try:
                # sounddevice keeps the bare pointers only: `audio_callback` keeps the code,
                # this object the ring, until the stream is closed.
                callback = sd._ffi.cast("PaStreamCallback *", audio_callback().address)
                userdata = sd._ffi.cast("void *", ring.address)
                self._stream = stream(callback=callback, wrap_callback=None, userdata=userdata)
                self._stream.start()
            except sd.PortAudioError:
                raise
            except Exception as error:  # a sounddevice or a system that does not take it
                refusal = one_line(error)
            else:
                return None

        def on_block(samples: NDArray[Any], frames: int, _time: Any, status: Any) -> None:
            flags = INPUT_OVERFLOW if status.input_overflow else 0
            take(ring.address, samples.ctypes.data, frames, flags)

        self._stream = stream(callback=on_block, wrap_callback="array")
        self._stream.start()
        return refusal


class DeviceSource:
    """An input device of this computer, or what the computer plays.

    The audio thread of PortAudio runs a compiled callback that takes no GIL and writes to a ring of
    about four seconds; `read` empties it. A reader that is far behind is moved to the newest sound.

    A device that is lost (unplugged, its sound server killed, or delivering nothing any more) is no
    error: `state` is ``"waiting"``, `notice` says why, and `read` returns nothing until it is back.
    It is looked for with growing pauses of up to 2 seconds. `sample_rate` and `channels` may be
    others then.

    Parameters
    ----------
    device : int or str, optional
        As `find_device` takes it.
    sample_rate : int, optional
        In Hz; the device's own without it.
    channels : int, optional
        Two without it, or one where the device has one.
    sample_format : {"float32", "int16"}
        What to ask the device for, and to keep in the ring. `read` gives float32.
    block_frames : int >= 0
        Sample frames that the audio thread is handed at a time; 0 leaves it to the device.
    latency_ms : float >= 0
        The latency asked for; the device may have more. A reader that takes long hops lets the
        audio thread wake up less often so.
    max_lag_ms : float > 0
        A reader that is further behind than this, and than twice what it waits for, loses all but
        the newest of it.
    wait : bool
        Wait for a device that is not there on entering, too, instead of raising.
    native : bool
        Use the compiled callback. False, and any system that refuses it, leaves an ordinary
        Python callback, which other threads can hold up.

    Raises
    ------
    ConfigError
        On entering: a rate or number of channels that no sound has.
    SourceError
        On entering, without *wait*: no such device, no sound server, no PortAudio, or it cannot be
        opened so.

    Notes
    -----
    Looking for a lost device starts PortAudio anew, which ends whatever else this process plays or
    records through sounddevice, other sources of this class excepted: then it is looked for among
    the devices that PortAudio knew. Another default input is followed by the sound server on
    Linux; elsewhere the source stays with the one it has until that is lost.
    """

    live: Final = True

    def __init__(
        self,
        device: int | str | None = None,
        *,
        sample_rate: int | None = None,
        channels: int | None = None,
        sample_format: Literal["float32", "int16"] = "float32",
        block_frames: int = 0,
        latency_ms: float = 0.0,
        max_lag_ms: float = 1000.0,
        wait: bool = False,
        native: bool = True,
    ) -> None:
        self.name = "default" if device is None else str(device)
        # What an opened device replaces; a recognizer that waits for one needs something.
        self.sample_rate = sample_rate or 48_000
        self.channels = channels or _CHANNELS
        self.max_lag_ms = max_lag_ms
        self.native = native
        self._spec = device
        self._asked = sample_rate, channels
        self._dtype = np.dtype(sample_format)
        self._block_frames = block_frames
        self._latency_ms = latency_ms
        self._wait = wait
        self._ring = SpscRing(1, 1)
        self._stream: _Stream | None = None
        self._device: DeviceInfo | None = None
        self._lost: str | None = None
        self._lock = threading.Lock()  # of these two, when it is left while it is being opened
        self._entered = False
        self._begun = False
        self._past = Counters()
        self._skipped = 0
        self._reopened = 0
        self._seen = 0
        self._heard_at = 0.0
        self._watch_at = 0.0
        self._retry_s = _FIRST_RETRY_S
        self._retry_at = 0.0

    @property
    def state(self) -> State:
        """``"listening"``, or ``"waiting"`` while the device is gone."""
        return "listening" if self._lost is None else "waiting"

    @property
    def notice(self) -> str | None:
        """Why the device is waited for."""
        return None if self._lost is None else f"waiting for the device: {self._lost}"

    def __enter__(self) -> Self:
        """Find the device, open it and start it."""
        self._entered, self._begun, self._lost = True, False, None
        try:
            self._open()
        except (SourceError, ConfigError) as error:
            if not self._wait:
                self._entered = False
                raise
            self._lose(str(error))
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop and close the device; the counts stay."""
        with self._lock:
            self._entered = False
        self._close()

    def read(self, timeout_s: float, min_frames: int = 1) -> NDArray[np.float32] | None:
        """Take what came since the last call, as `Source.read` has it; the sound has no end."""
        need_open(self._entered, self.name)
        until = time.monotonic() + timeout_s
        while True:
            available = self._ring.available()
            if available >= min_frames:
                return self._taken(available, min_frames)
            now = time.monotonic()
            if available != self._seen:
                self._seen = available
                self._heard_at = now
            before = self._lost
            if self._lost is not None or now >= self._watch_at:
                self._watch(now)
                self._watch_at = now + _WATCH_S
            left = until - time.monotonic()
            if left <= 0 or self._lost != before:  # a loss is told at once
                return self._taken(self._ring.available(), min_frames)
            # Looking when it should be there is what lets the audio thread go without a lock to
            # wake us by. Where hops are long there is time for the block to come that it is in.
            wanted_s = min_frames / self.sample_rate
            due_s = (min_frames - available) / self.sample_rate
            pause_s = due_s + wanted_s / 4 if wanted_s >= _LONG_S else max(due_s, _POLL_S)
            pause_s = min(pause_s, left)
            time.sleep(pause_s)
            if time.monotonic() > now + pause_s + _AWAY_S:
                # This process was stopped, and its audio thread with it.
                self._heard_at = time.monotonic()

    def counters(self) -> Counters:
        """Count what was lost, and how the audio thread does, since the source was made."""
        past, ring = self._past, self._ring
        now = measures(ring)
        calls = past.callbacks + now.calls
        busy_us = past.callback_us * past.callbacks + now.busy_ns / 1e3
        waiting_s = ring.available() / self.sample_rate
        return Counters(
            dropped_samples=past.dropped_samples + ring.dropped,
            overflows=past.overflows + ring.overflows,
            skipped_samples=self._skipped,
            reopened=self._reopened,
            callbacks=calls,
            callback_us=round(busy_us / calls, 3) if calls else 0.0,
            longest_callback_us=max(past.longest_callback_us, round(now.longest_ns / 1e3, 2)),
            jitter_ms=round(now.jitter_ns / 1e6, 2) if now.calls else past.jitter_ms,
            longest_gap_ms=max(past.longest_gap_ms, round(now.longest_gap_ns / 1e6, 1)),
            age_ms=round(now.age_ns / 1e6 + waiting_s * 1e3, 1) if now.calls else 0.0,
        )

    def _taken(self, available: int, min_frames: int) -> NDArray[np.float32]:
        if not available:
            return np.empty((0, self.channels), np.float32)
        self._seen = 0
        self._heard_at = time.monotonic()
        # Not by what was on its way when the stream ended.
        if self._lost is not None and self._stream is not None and self._stream.active:
            _log.debug("%s is back", self.name)
            self._reopened += self._begun
            self._lost = None
            self._retry_s = _FIRST_RETRY_S
        limit = max(self.max_lag_ms / 1e3 * self.sample_rate, 2 * min_frames)
        if not self._begun:
            # What came while the rest of the program was still getting ready is not missed.
            self._begun = True
            self._ring.skip(available - min_frames)
        elif available > limit:
            self._skipped += self._ring.skip(available - min_frames)
        if self._ring.dtype == np.float32:
            return self._ring.read()
        spans = self._ring.spans()
        block = np.concatenate(spans).astype(np.float32)
        block *= np.float32(1 / 2**15)
        self._ring.skip(len(block))
        return block

    def _watch(self, now: float) -> None:
        """Notice that the device is gone, and open it again when it is time to."""
        stream = self._stream
        alive = stream is not None and stream.active
        hopeful = alive and now - self._heard_at <= _PATIENCE_S
        if self._lost is not None:
            # What was opened again gets the time to give its first sample.
            if now >= self._retry_at and not hopeful:
                self._reopen()
        elif stream is None or not alive:
            why = (stream and stream.error) or "the device or its sound server stopped"
            self._lose(f"{self.name} is gone: {why}")
        elif not hopeful:
            self._lose(f"{self.name} delivers no sound")
        elif stream.changed():
            self._close()
            self._lose("the default output has changed")

    def _lose(self, why: str) -> None:
        _log.debug("%s; waiting for it", why)  # for users it is in `notice`
        self._lost = why
        self._retry_s = _FIRST_RETRY_S
        self._retry_at = time.monotonic() + self._retry_s

    def _reopen(self) -> None:
        """Try once. Not before its turn is the old stream closed: it may come to life by itself."""
        self._close()
        try:
            if not _open_streams:
                refresh()
            self._open()
        except (SourceError, ConfigError) as error:
            self._lost = str(error)
        except Exception as error:  # of a driver or a library: no reason to stop looking
            _log.exception("while the device was looked for")
            self._lost = one_line(error)
        self._retry_s = min(2 * self._retry_s, _LONGEST_RETRY_S)
        self._retry_at = time.monotonic() + self._retry_s

    def _open(self) -> None:
        device = self._find()
        rate, channels = self._asked
        sample_rate = rate or device.sample_rate
        channels = channels or min(_CHANNELS, device.channels)
        check_form(sample_rate, channels, device.name, ConfigError)
        stream: _Stream
        by_portaudio = device.index >= 0
        dtype = self._dtype if by_portaudio else np.float32
        ring = SpscRing(round(_RING_S * sample_rate), channels, dtype)
        prepare(ring, sample_rate)
        if by_portaudio:
            stream = PortAudioStream(
                device,
                ring,
                sample_rate=sample_rate,
                block_frames=self._block_frames,
                latency_ms=self._latency_ms,
                native=self.native,
            )
        else:
            stream = LoopbackStream(ring, sample_rate=sample_rate, channels=channels)
        with self._lock:
            if self._entered:
                self._stream = stream
        if self._stream is not stream:  # left in the meantime, by another thread
            stream.close()
            return
        self.name, self.sample_rate, self.channels = device.name, sample_rate, channels
        self._device = device
        self._ring = ring
        self._seen = 0
        self._heard_at = time.monotonic()

    def _find(self) -> DeviceInfo:
        if self._device is None or not str(self._spec).strip().isdecimal():
            return find_device(self._spec)
        # PortAudio numbers anew each time it looks: what was asked for is a device, not a number.
        for device in list_devices():
            if (device.name, device.host_api) == (self._device.name, self._device.host_api):
                return device
        raise SourceError(f"{self._device.name} is not there")

    def _close(self) -> None:
        with self._lock:
            stream, self._stream = self._stream, None
        if stream is not None:
            stream.close()
        # What was counted so far becomes past; a fresh ring does not count it twice.
        self._past = self.counters()
        self._ring = SpscRing(1, self.channels)
