"""What Windows plays: its WASAPI loopback, which the PortAudio of sounddevice cannot record.

Through SoundCard: pure Python over cffi, which sounddevice brings along, for any version of Python,
where PyAudioWPatch would be a second PortAudio, and nothing that a Linux machine could test. The
same code records the monitor of the default sink there.
"""

from __future__ import annotations

import ctypes
import logging
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import numpy as np

from ..errors import SourceError, one_line
from .callback import prepare, take
from .devices import DeviceInfo
from .ring import SpscRing, count_overflow

_log = logging.getLogger(__name__)

_OPEN_S: Final = 5.0
_CLOSE_S: Final = 2.0
_LOOK_S: Final = 1.0

_REASONS: Final = {
    "Error 0x88890004": "the output was unplugged, or set up anew",  # AUDCLNT_E_DEVICE_INVALIDATED
    "Error 0x80070490": "there is no output",  # ERROR_NOT_FOUND
}


class LoopbackStream:
    """What the default output plays, through SoundCard, written to a ring by a thread of its own.

    A silent output delivers zeros: SoundCard makes them up where WASAPI delivers nothing.

    Parameters
    ----------
    ring : SpscRing
        Of float32 and *channels*; this object keeps it alive and is its writer.
    sample_rate : int
        In Hz; the system converts.
    channels : int
        The system mixes.

    Raises
    ------
    SourceError
        There is no output, or its loopback cannot be opened so.

    Notes
    -----
    On Linux, where this is for tests only, SoundCard does not outlive its sound server: one that
    is made after the server went aborts the process, from within libpulse.
    """

    def __init__(self, ring: SpscRing, *, sample_rate: int, channels: int) -> None:
        compiling = SpscRing(1, 1)
        prepare(compiling, sample_rate)
        take(compiling.address, 0, 0, 0)  # before the first block is there
        self._ring = ring
        self._form = sample_rate, channels
        self._opened = threading.Event()
        self._stop = threading.Event()
        self._changed = False
        self._refusal: str | None = None
        self._error: str | None = None
        self._thread = threading.Thread(target=self._run, name="kikiwake-loopback", daemon=True)
        self._thread.start()
        if not self._opened.wait(_OPEN_S):
            self._stop.set()
            self._refusal = "the sound system does not answer"
        if self._refusal is not None:
            raise SourceError(f"what the computer plays cannot be recorded: {self._refusal}")

    @property
    def active(self) -> bool:
        """Whether it records: not once it is closed, the device is gone, or an error came."""
        return self._thread.is_alive() and self._error is None and not self._stop.is_set()

    @property
    def error(self) -> str | None:
        """Why it ended by itself, in one line."""
        return self._error

    def changed(self) -> bool:
        """Whether the default output is another one than the one that is recorded."""
        return self._changed

    def close(self) -> None:
        """Stop. The ring has been written to for the last time when this returns."""
        self._stop.set()
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():  # it does not write any more, if it ever wakes up
            _log.warning("the sound driver hangs: the recording of what is played did not stop")

    def _run(self) -> None:
        error = _with_soundcard(self._record)
        if not self._opened.is_set():
            self._refusal = error
        self._error = error
        self._opened.set()

    def _record(self, soundcard: Any) -> None:
        sample_rate, channels = self._form
        ring = self._ring
        speaker = soundcard.default_speaker()
        # A loopback has the name of its speaker, or is a source by itself.
        windows = sys.platform == "win32"
        name = speaker.id if windows else f"{speaker.id}.monitor"
        loopback = soundcard.get_microphone(name, include_loopback=True)
        # SoundCard warns of each loss. To catch that with `warnings` would mean to change what the
        # whole process does with them, so its module gets something else by that name.
        sys.modules[type(loopback).__module__].__dict__["warnings"] = SimpleNamespace(
            warn=lambda *_, **__: count_overflow(ring.address)
        )
        # For WASAPI the size of its buffer: it hands over what a period of the device brings, 10 ms
        # as a rule, and keeps so much while this thread is held up. For PulseAudio the blocks.
        frames = sample_rate // (2 if windows else 100)
        with loopback.recorder(sample_rate, channels, frames) as recorder:
            self._opened.set()
            look_at = time.monotonic() + _LOOK_S
            while not self._stop.is_set():
                block = recorder.record(None)
                if self._stop.is_set():
                    break
                # On Windows it comes column by column.
                block = np.ascontiguousarray(block, np.float32)
                take(ring.address, block.ctypes.data, len(block), 0)
                # Here, and not in `changed`: this thread alone may use COM.
                if time.monotonic() >= look_at:
                    self._changed = soundcard.default_speaker().id != speaker.id
                    look_at = time.monotonic() + _LOOK_S


def default_output() -> DeviceInfo | None:
    """Describe the loopback of the default output, as an input to choose.

    Returns
    -------
    DeviceInfo or None
        None where there is no output, or no way to record it.
    """
    found = []

    def look(soundcard: Any) -> None:
        speaker = soundcard.default_speaker()
        try:
            channels = int(speaker.channels)
        except (AssertionError, RuntimeError):  # described in a way that SoundCard does not know
            channels = 2
        found.append(
            DeviceInfo(
                index=-1,
                name=f"what {speaker.name} plays",
                host_api="WASAPI loopback",
                channels=channels,
                sample_rate=48_000,
                is_loopback=True,
                is_default=False,
                spec="loopback",
            )
        )

    def run() -> None:
        if error := _with_soundcard(look):
            _log.debug("no loopback: %s", error)

    thread = threading.Thread(target=run, name="kikiwake-output", daemon=True)
    thread.start()
    thread.join(_OPEN_S)
    return found[0] if found else None


def _with_soundcard(work: Callable[[Any], None]) -> str | None:
    """Do *work* with SoundCard, in a thread made for it; returns what went wrong, in one line.

    Importing SoundCard decides how its thread uses COM. A thread that has decided before may
    refuse, and the main thread is none to decide for: windows want it otherwise.
    """
    try:
        import soundcard
    except Exception as error:  # missing, or the sound system is: an assertion on Linux
        return f"SoundCard does not start: {one_line(error)}"
    # That was for the thread of the first import: every other must join by itself. A thread may
    # join twice.
    joined = False
    if sys.platform == "win32":
        joined = ctypes.windll.ole32.CoInitializeEx(None, 0) >= 0  # COINIT_MULTITHREADED
    try:
        work(soundcard)
    except Exception as error:
        # The exception, which holds on to COM objects, is gone before COM is left.
        said = one_line(error)
        return _REASONS.get(said, said)
    finally:
        if sys.platform == "win32" and joined:
            ctypes.windll.ole32.CoUninitialize()
    return None
