"""Listens to a monitor in a process of its own and notes when what came: for `test_live`.

    python live_peer.py ours|ordinary|noted FOLDER HOP_MS SPINNERS

says "ready" on the first result, goes on until a line comes on standard input, and leaves in FOLDER
what it heard and when. "noted" is ours with a callback that keeps the time of each block.
"""

import ctypes
import json
import queue
import sys
import threading
import time
from pathlib import Path

import numpy as np
from numba import cfunc, types
from numpy.typing import NDArray

from kikiwake.engine import callback, device, ring
from kikiwake.engine.config import Settings
from kikiwake.engine.devices import find_device, opening, portaudio
from kikiwake.engine.recognizer import Recognizer
from kikiwake.engine.result import Counters

PYTHONS_OWN_S = sys.getswitchinterval()
GRACE_S = 1.5

# Two int64 a block: when it came, in ns of `time.perf_counter_ns`, and the ring's index after it.
# In front of them, in a line of its own, their number.
NOTES = np.zeros(8 + 2 * 200_000, np.int64)
_NOTES = NOTES.ctypes.data
_LAST = ring.USER + 8 * callback._LAST


def _on_block(samples, _output, frames, _time, flags, header):
    """As the program's own, and a note."""
    address = ring.address_of(header)
    callback.take(address, ring.address_of(samples), frames, flags)
    number = ring.load(_NOTES)
    room = _NOTES + 64 + 16 * (number % 200_000)
    ring.store_release(room, ring.load(address + _LAST))
    ring.store_release(room + 8, ring.load(address + ring.WRITE))
    ring.store_release(_NOTES, number + 1)
    return 0


def noted_callback():
    pointer = types.voidptr
    signature = types.intc(pointer, pointer, types.uint64, pointer, types.uint64, pointer)
    return cfunc(signature)(_on_block)


class Ours(device.DeviceSource):
    """The program's source, which keeps what it hands out and when."""

    def __init__(self) -> None:
        super().__init__("loopback")
        self.blocks: list[NDArray[np.float32]] = []
        self.reads: list[tuple[int, int, int]] = []  # called, returned (ns), ring's index after

    def read(self, timeout_s: float, min_frames: int = 1) -> NDArray[np.float32]:
        called = time.perf_counter_ns()
        block = super().read(timeout_s, min_frames)
        index = ctypes.c_int64.from_address(self._ring.address + ring.READ).value
        self.reads.append((called, time.perf_counter_ns(), index))
        self.blocks.append(block)
        return block


class Ordinary:
    """What one would write with sounddevice: a Python callback, a queue, and a reader.

    The same device in the same way as `device.PortAudioStream` opens it.
    """

    live, state, notice = True, "listening", None
    name, sample_rate, channels = "ordinary callback", 44_100, 2

    def __init__(self) -> None:
        self.blocks: list[NDArray[np.float32]] = []
        self.reads: list[tuple[int, int, int]] = []
        self.called: list[int] = []
        self.overflows = 0
        self._queue: queue.SimpleQueue[NDArray[np.float32]] = queue.SimpleQueue()
        self._frames = 0

    def __enter__(self):
        monitor = find_device("loopback")
        with opening(monitor, {}):
            self._stream = portaudio().InputStream(
                device=monitor.index,
                samplerate=self.sample_rate,
                channels=self.channels,
                dtype="float32",
                latency="high",
                callback=self._on_block,
            )
            self._stream.start()
        return self

    def __exit__(self, *_):
        self._stream.close()

    def _on_block(self, indata, _frames, _time, status) -> None:
        self.called.append(time.perf_counter_ns())
        self.overflows += status.input_overflow
        self._queue.put(indata.copy())

    def counters(self) -> Counters:
        return Counters(overflows=self.overflows)

    def read(self, timeout_s: float, min_frames: int = 1) -> NDArray[np.float32]:
        called = time.perf_counter_ns()
        found = []
        try:
            found.append(self._queue.get(timeout=timeout_s))
            while True:
                found.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        block = np.concatenate([*found, np.empty((0, self.channels), np.float32)])
        self._frames += len(block)
        self.reads.append((called, time.perf_counter_ns(), self._frames))
        self.blocks.append(block)
        return block


class Noting(Recognizer):
    """Notes when a result is published, by the number of reads until then."""

    def __init__(self, source, hop_ms: float) -> None:
        super().__init__("starter", source, Settings(hop_ms=hop_ms))
        self.published: list[tuple[int, int]] = []

    def _put(self, result) -> None:
        if result.state == "listening":
            self.published.append((len(self.source.reads), time.perf_counter_ns()))
        super()._put(result)


def main(kind: str, folder: Path, hop_ms: float, spinners: int) -> None:
    if kind == "noted":
        noted = noted_callback()
        device.audio_callback = lambda: noted
    source = Ordinary() if kind == "ordinary" else Ours()
    spinning, stop = threading.Event(), threading.Event()
    spinning.set()

    def spin() -> None:
        while spinning.is_set():
            pass

    def wait() -> None:
        sys.stdin.readline()
        # What is still on its way shall come: too late, but not lost.
        spinning.clear()
        time.sleep(GRACE_S)
        stop.set()

    with Noting(source, hop_ms) as recognizer:
        results = iter(recognizer)
        next(results)
        if kind == "ordinary":
            sys.setswitchinterval(PYTHONS_OWN_S)  # which our recognizer has shortened
        for _ in range(spinners):
            threading.Thread(target=spin, daemon=True).start()
        threading.Thread(target=wait).start()
        print("ready", flush=True)
        while not stop.is_set():
            result = next(results)
        counts = source.counters()
        pipeline = recognizer._pipeline
    np.savez(
        folder / f"{kind}.npz",
        heard=np.concatenate(source.blocks),
        frames=[len(block) for block in source.blocks],
        reads=source.reads,
        published=recognizer.published,
        called=getattr(source, "called", ()),
        notes=NOTES[8 : 8 + 2 * int(NOTES[0])].reshape(-1, 2),
    )
    told = {name: getattr(counts, name) for name in counts.__struct_fields__}
    told |= {"missed_results": result.counters.missed_results, "hop_s": pipeline.hop_s}
    (folder / f"{kind}.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
