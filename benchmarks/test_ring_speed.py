"""What the ring costs: beside a plain copy, beside PortAudio's ring in C, and over a long run."""

import ctypes
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from numba import njit

from kikiwake.engine.ring import SpscRing, pull, push

sys.path.append(str(Path(__file__).parents[1] / "tests" / "engine"))
from ring_threads import exchange

CHANNELS = 2
FRAME_BYTES = 4 * CHANNELS
CAPACITY = 1 << 14
BLOCKS = 64, 256, 1024, 4096
REPEATS = 15
LONG_SAMPLES = 1_000_000_000
LONG_CAPACITY = 1 << 18  # as live: four seconds at 48 kHz


@njit(nogil=True)
def through_ours(header, block, out, frames, rounds):
    for _ in range(rounds):
        push(header, block, frames)
        pull(header, out, frames)


@njit(nogil=True)
def through_theirs(write, read, ring, block, out, frames, rounds):
    for _ in range(rounds):
        write(ring, block, frames)
        read(ring, out, frames)


@njit(nogil=True)
def through_copies(memcpy, memory, mask, block, out, size, rounds):
    # In and out at the places a ring would use. The C library's own function: LLVM would see that
    # the second copy can be made from the first one's source.
    for k in range(rounds):
        place = memory + (k * size & mask)
        memcpy(place, block, size)
        memcpy(out, place, size)


def c_function(address, result, *arguments):
    # Its pointers declared as integers: the same registers, and Numba hands addresses over as such.
    return ctypes.CFUNCTYPE(result, *arguments)(address)


def seconds_a_round(ways, rounds):
    """Time ways of doing the same, in turns so that all meet the same disturbances; the best."""
    best = [float("inf")] * len(ways)
    for repeat in range(REPEATS + 1):
        for k, way in enumerate(ways):
            began = time.perf_counter()
            way(rounds)
            if repeat:  # the first warms up
                best[k] = min(best[k], (time.perf_counter() - began) / rounds)
    return best


def compare(frames, ffi, lib, ring_class):
    """Seconds to write and read a block: copies, ours, theirs in C; ours, theirs from Python."""
    word, long = ctypes.c_ssize_t, ctypes.c_long
    write, read = (
        c_function(int(ffi.cast("intptr_t", ffi.addressof(lib, name))), long, word, word, long)
        for name in ("PaUtil_WriteRingBuffer", "PaUtil_ReadRingBuffer")
    )
    found = ctypes.cast(ctypes.CDLL(None).memcpy, ctypes.c_void_p).value
    memcpy = c_function(found, word, word, word, word)

    ours = SpscRing(CAPACITY, CHANNELS)
    theirs = ring_class(FRAME_BYTES, CAPACITY)
    their_address = int(ffi.cast("intptr_t", theirs._ptr))
    memory = SpscRing(CAPACITY, CHANNELS)._data  # aligned and touched as ours is
    at, mask, size = memory.ctypes.data, memory.nbytes - 1, frames * FRAME_BYTES
    block = np.random.default_rng(frames).standard_normal((frames, CHANNELS), np.float32)
    out = np.zeros_like(block)
    source, target = block.ctypes.data, out.ctypes.data

    def ours_from_python(rounds):
        for _ in range(rounds):
            ours.write(block)
            ours.read_into(out)

    def theirs_from_python(rounds):
        for _ in range(rounds):
            theirs.write(block)
            theirs.readinto(out)

    compiled = [
        lambda n: through_copies(memcpy, at, mask, source, target, size, n),
        lambda n: through_ours(ours.address, source, target, frames, n),
        lambda n: through_theirs(write, read, their_address, source, target, frames, n),
    ]
    python = [ours_from_python, theirs_from_python]
    for way in compiled + python:
        out[:] = 0
        way(3)
        assert np.array_equal(out, block)
    return *seconds_a_round(compiled, (1 << 21) // frames), *seconds_a_round(python, 1000)


def test_ring_beside_copies_and_portaudio(report):
    pa_ringbuffer = pytest.importorskip("pa_ringbuffer")
    rtmixer = pytest.importorskip("_rtmixer")  # it holds the C that pa_ringbuffer wraps
    ring_class = pa_ringbuffer.init(rtmixer.ffi, rtmixer.lib)
    table = [
        "write and read of a block, stereo float32, one thread; in brackets the speed as a share",
        "of that of two plain copies of the same bytes; compiled, and called from Python",
        "frames  two copies          our ring     pa_ringbuffer   our ring, Python  pa_ringbuffer",
    ]
    for frames in BLOCKS:
        copies, *rest = (s * 1e9 for s in compare(frames, rtmixer.ffi, rtmixer.lib, ring_class))
        ours, theirs, ours_python, theirs_python = rest
        table.append(
            f"{frames:6d}  {copies:7.1f} ns  {ours:7.1f} ns ({copies / ours:4.0%})"
            f"  {theirs:6.1f} ns ({copies / theirs:4.0%})"
            f"  {ours_python:13.0f} ns  {theirs_python:10.0f} ns"
        )
    report("\n".join(table))


def test_long_run_between_two_threads(report):
    exchange(SpscRing(LONG_CAPACITY, CHANNELS), 1, timeout_s=60)  # compiled
    ring = SpscRing(LONG_CAPACITY, CHANNELS)
    began = time.perf_counter()
    result = exchange(ring, LONG_SAMPLES // CHANNELS, timeout_s=900)
    took = time.perf_counter() - began
    assert result.received == result.sent
    assert ring.available() == 0
    assert ring.dropped == result.rejected
    report(
        f"{LONG_SAMPLES:,} samples of noise from thread to thread in blocks of random length, made "
        f"and checked: {took:.1f} s, {LONG_SAMPLES / took / 1e6:.0f} million a second; the "
        "checksums agree"
    )
