"""Noise through a ring between two threads: what the tests and the benchmark of the ring share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import int64, njit, uint64
from numpy.typing import NDArray

from kikiwake.engine.ring import SpscRing, pull, push

# Most frames at a time, each side; every number up to it comes up. Neither divides the other.
WRITTEN_AT_ONCE = 700
READ_AT_ONCE = 1100


class Exchange(NamedTuple):
    """Checksums of what was written and of what was read, and frames that found the ring full."""

    sent: int
    received: int
    rejected: int


# Of samples as integers of their size: all bits count, and no NaN is equal to none.
_BITS = {"float32": np.int32, "int16": np.int16}


@njit(nogil=True)
def _next(state: Any) -> Any:
    return state * uint64(6364136223846793005) + uint64(1442695040888963407)


@njit(nogil=True)
def _digest(frames: Any, checksum: Any) -> Any:
    """Go on with a checksum that depends on the place of every sample: a polynomial mod 2**64."""
    for i in range(frames.shape[0]):
        for k in range(frames.shape[1]):
            checksum = checksum * uint64(0x9E3779B97F4A7C15) + uint64(frames[i, k])
    return checksum


@njit(nogil=True)
def _produce(header: int, block: Any, total: int) -> Any:
    """Write noise in blocks of random length, each again and again until all of it is in."""
    state, checksum = uint64(1), uint64(0)
    frame_bytes = block.shape[1] * block.itemsize
    sent = rejected = 0
    while sent < total:
        state = _next(state)
        n = min(1 + int64(state >> uint64(33)) % block.shape[0], total - sent)
        for i in range(n):
            for k in range(block.shape[1]):
                state = _next(state)
                block[i, k] = state >> uint64(33)
        checksum = _digest(block[:n], checksum)
        written = 0
        while written < n:
            written += push(header, block.ctypes.data + written * frame_bytes, n - written)
            rejected += n - written
        sent += n
    return checksum, rejected


@njit(nogil=True)
def _consume(header: int, block: Any, total: int) -> Any:
    """Read blocks of random length at most."""
    state, checksum = uint64(2), uint64(0)
    received = 0
    while received < total:
        state = _next(state)
        n = pull(header, block.ctypes.data, 1 + int64(state >> uint64(33)) % block.shape[0])
        checksum = _digest(block[:n], checksum)
        received += n
    return checksum


def by_copies(ring: SpscRing, total: int) -> int:
    """Read *total* frames, all of it compiled and without the GIL; returns their checksum."""
    block = np.zeros((READ_AT_ONCE, ring.channels), _BITS[ring.dtype.name])
    checksum: int = _consume(ring.address, block, total)
    return checksum


def by_spans(ring: SpscRing, total: int) -> int:
    """Read *total* frames where they lie; returns their checksum."""
    rng = np.random.default_rng(2)
    checksum = np.uint64(0)
    while total:
        spans = ring.spans(int(rng.integers(1, READ_AT_ONCE + 1)))
        for span in spans:
            checksum = np.uint64(_digest(span.view(_BITS[ring.dtype.name]), checksum))
        total -= ring.skip(sum(map(len, spans)))
    return int(checksum)


def exchange(
    ring: SpscRing,
    frames: int,
    timeout_s: float,
    consume: Callable[[SpscRing, int], int] = by_copies,
) -> Exchange:
    """Send *frames* frames of noise through an empty ring, from a thread that takes no GIL."""
    block: NDArray[Any] = np.zeros((WRITTEN_AT_ONCE, ring.channels), _BITS[ring.dtype.name])
    results: dict[str, Any] = {}
    threads = [
        threading.Thread(target=lambda: results.update(sent=_produce(ring.address, block, frames))),
        threading.Thread(target=lambda: results.update(received=consume(ring, frames))),
    ]
    _produce(ring.address, block, 0)  # compiled before the threads start
    consume(ring, 0)
    for thread in threads:
        thread.daemon = True
        thread.start()
    for thread in threads:
        thread.join(timeout_s)
    assert results.keys() == {"sent", "received"}, "a thread hangs or failed"
    sent, rejected = results["sent"]
    return Exchange(sent, results["received"], rejected)
