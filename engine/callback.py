"""What runs in the audio thread: compiled, without Python, and what it notes for the reader."""

from __future__ import annotations

import ctypes
import functools
import sys
import time
from ctypes import c_int64, c_ulong, sizeof
from typing import Any, Final, NamedTuple

from llvmlite import binding
from numba import types

from ..jit import compiled, compiled_callback
from . import ring as ring_module
from .ring import USER, SpscRing, address_of, count_overflow, load, push, store_release

INPUT_OVERFLOW: Final = 2  # PortAudio's paInputOverflow

# What the audio thread notes for the reader: words of the ring's `USER` lines, times in ns.
_CALLS: Final = 0
_BUSY: Final = 1
_LONGEST: Final = 2
_LAST: Final = 3
_LONGEST_GAP: Final = 4
_JITTER: Final = 5
_FRAME_NS: Final = 6  # length of a sample frame, times 2**16; set before the start
_CLOCK: Final = 7  # two words for the system to write the time to
_CLOCK_DETAIL: Final = 9  # see `_clock`; set before the start
_WINDOWS: Final = sys.platform == "win32"


def _clock() -> tuple[str, Any, int]:
    """Find the C function behind `time.perf_counter_ns`; Python's own needs the GIL.

    Returns
    -------
    name : str
        What compiled code calls it by. Its address is another one in every process, its name is
        not, which is what lets the machine code be kept.
    signature
        Its types.
    detail : int
        On Windows the answer is in ticks, so many a second; elsewhere the question is which of
        the system's clocks.
    """
    name = "kikiwake_clock"
    if sys.platform == "win32":
        kernel32 = ctypes.WinDLL("kernel32")
        frequency = c_int64()
        kernel32.QueryPerformanceFrequency(ctypes.byref(frequency))
        function, detail = kernel32.QueryPerformanceCounter, frequency.value
        signature = types.int32(types.intp)
    else:
        function = ctypes.CDLL(None).clock_gettime
        detail = getattr(time, "CLOCK_UPTIME_RAW", time.CLOCK_MONOTONIC)  # the first on macOS
        signature = types.int32(types.int32, types.intp)
    binding.add_symbol(name, ctypes.cast(function, ctypes.c_void_p).value)
    return name, signature, detail


_clock_name, _clock_signature, _clock_detail = _clock()
_ask_clock: Any = types.ExternalFunction(_clock_name, _clock_signature)
_kernel = compiled(uses=[ring_module])


@_kernel
def _now_ns(room: int, detail: int) -> int:
    """Read the clock; *room* is the address of two int64 to write to."""
    now: int
    if _WINDOWS:
        _ask_clock(room)
        ticks = load(room)
        second = ticks // detail
        part = ticks - second * detail
        now = second * 1_000_000_000 + part * 1_000_000_000 // detail
    else:
        _ask_clock(detail, room)
        now = load(room) * 1_000_000_000 + load(room + 8)
    return now


@_kernel
def take(ring: int, samples: int, frames: int, flags: int) -> None:
    """Write one block of PortAudio's to the ring, and note when that was and how long it took.

    In the audio thread, without Python: nothing here can raise, wait or take memory.
    """
    user = ring + USER
    detail = max(load(user + 8 * _CLOCK_DETAIL), 1)  # a division by zero could raise
    began = _now_ns(user + 8 * _CLOCK, detail)
    if flags & INPUT_OVERFLOW:
        count_overflow(ring)
    push(ring, samples, frames)
    calls = load(user + 8 * _CALLS)
    if calls > 0:
        gap = began - load(user + 8 * _LAST)
        store_release(user + 8 * _LONGEST_GAP, max(gap, load(user + 8 * _LONGEST_GAP)))
        uneven = abs(gap - ((frames * load(user + 8 * _FRAME_NS)) >> 16))
        jitter = load(user + 8 * _JITTER)
        store_release(user + 8 * _JITTER, jitter + ((uneven - jitter) >> 4))
    store_release(user + 8 * _LAST, began)
    busy = _now_ns(user + 8 * _CLOCK, detail) - began
    store_release(user + 8 * _BUSY, load(user + 8 * _BUSY) + busy)
    store_release(user + 8 * _LONGEST, max(busy, load(user + 8 * _LONGEST)))
    store_release(user + 8 * _CALLS, calls + 1)


def _on_block(samples: Any, _output: Any, frames: int, _time: Any, flags: int, header: Any) -> int:
    """`PaStreamCallback`; the user data is the address of a ring's header."""
    take(address_of(header), address_of(samples), frames, flags)
    return 0  # paContinue


@functools.cache
def audio_callback() -> Any:
    """Compile `_on_block`; it lives as long as the program."""
    # By size: Numba's own `ulong` followed NumPy's idea of it for a while, C's is what counts.
    ulong = types.uint64 if sizeof(c_ulong) == 8 else types.uint32
    pointer = types.voidptr
    signature = types.intc(pointer, pointer, ulong, pointer, ulong, pointer)
    return compiled_callback(signature, uses=[ring_module])(_on_block)


class Measures(NamedTuple):
    """What the audio thread has noted of itself since the ring was made.

    Attributes
    ----------
    calls : int
        Blocks written.
    busy_ns, longest_ns : int
        Time it took to write them: all, and the longest.
    longest_gap_ns, jitter_ns : int
        Longest time between two blocks, and how uneven these times are: `Counters.jitter_ms`.
    age_ns : int
        Time since the last block; 0 before the first.
    """

    calls: int
    busy_ns: int
    longest_ns: int
    longest_gap_ns: int
    jitter_ns: int
    age_ns: int


def prepare(ring: SpscRing, sample_rate: int) -> None:
    """Tell the audio thread how long a sample frame is, and how to ask the clock."""
    for number, value in (
        (_FRAME_NS, round(1e9 / sample_rate * 2**16)),
        (_CLOCK_DETAIL, _clock_detail),
    ):
        c_int64.from_address(ring.address + USER + 8 * number).value = value


def measures(ring: SpscRing) -> Measures:
    """Read what the audio thread has noted, from any thread."""
    word = ring.user_word
    calls = word(_CALLS)
    age_ns = time.perf_counter_ns() - word(_LAST) if calls else 0
    return Measures(calls, word(_BUSY), word(_LONGEST), word(_LONGEST_GAP), word(_JITTER), age_ns)
