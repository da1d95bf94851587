"""A lock-free ring of sample frames between the audio thread and one reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import DTypeLike, NDArray

from ..jit import compiled

_Kernel = TypeVar("_Kernel", bound=Callable[..., int])

_LINE: Final = 64

# The header, as byte offsets: one cache line for each side's index, so that neither side's stores
# take the line away from the other; one for what the writer counts; one for what never changes;
# two for the statistics of whatever compiled code holds the writer's side. The kernels find
# everything there, so that one address is all a C callback has to be given.
WRITE: Final = 0 * _LINE
READ: Final = 1 * _LINE
DROPPED: Final = 2 * _LINE
OVERFLOWS: Final = 2 * _LINE + 8
MASK: Final = 3 * _LINE
FRAME_BYTES: Final = 3 * _LINE + 8
DATA: Final = 3 * _LINE + 16
USER: Final = 4 * _LINE
_HEADER_BYTES: Final = 6 * _LINE
_USER_WORDS: Final = (_HEADER_BYTES - USER) // 8

_I64 = ir.IntType(64)
_memcpy: Any = cgutils.raw_memcpy

# Numba's own annotation counts the typing context among the arguments of a call.
_intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = cast(Any, intrinsic)


@_intrinsic
def load_acquire(_typing: Any, _address: Any) -> Any:
    """Read an int64; nothing that follows is read earlier. Never hoisted out of a loop."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], _I64.as_pointer())
        return builder.load_atomic(pointer, "acquire", 8, typ=_I64)

    return types.int64(types.int64), codegen


@_intrinsic
def store_release(_typing: Any, _address: Any, _value: Any) -> Any:
    """Write an int64; everything before it is seen by whoever acquires the value."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], _I64.as_pointer())
        builder.store_atomic(args[1], pointer, "release", 8)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


@_intrinsic
def load(_typing: Any, _address: Any) -> Any:
    """Read an int64 that no other thread writes."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.load(builder.inttoptr(args[0], _I64.as_pointer()), typ=_I64)

    return types.int64(types.int64), codegen


@_intrinsic
def add(_typing: Any, _a: Any, _b: Any) -> Any:
    """Add int64 modulo 2**64: Numba's own ``+`` promises LLVM that nothing overflows."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.add(args[0], args[1])

    return types.int64(types.int64, types.int64), codegen


@_intrinsic
def subtract(_typing: Any, _a: Any, _b: Any) -> Any:
    """Subtract int64 modulo 2**64: the distance of two indices, also where they wrap."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.sub(args[0], args[1])

    return types.int64(types.int64, types.int64), codegen


@_intrinsic
def _copy(_typing: Any, _to: Any, _from: Any, _size: Any) -> Any:
    """Copy bytes between addresses: llvm.memcpy, which cannot raise as a NumPy slice could."""

    def codegen(context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        pointer = ir.IntType(8).as_pointer()
        to, source = (builder.inttoptr(arg, pointer) for arg in args[:2])
        _memcpy(builder, to, source, args[2], 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@_intrinsic
def address_of(_typing: Any, _pointer: Any) -> Any:
    """Turn a ``void *`` into an int64."""

    def codegen(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.ptrtoint(args[0], _I64)

    return types.int64(types.voidptr), codegen


def _kernel(*arguments: Any) -> Callable[[_Kernel], _Kernel]:
    # Caching is safe here because every function a kernel calls is in this file: Numba recompiles
    # when the file it stands in changes, and only then. Callers elsewhere that inline a kernel
    # and are cached themselves would keep the old one.
    return compiled(types.int64(*arguments))


@_kernel(types.int64, types.int64, types.int64)
def push(header: int, block: int, frames: int) -> int:
    """Append frames to a ring. The writer's side, and usable from compiled code.

    Parameters
    ----------
    header : int
        `SpscRing.address`.
    block : int
        Address of *frames* frames, their samples interleaved and of the ring's type.
    frames : int >= 0
        How many. What does not fit is dropped from the end and counted.

    Returns
    -------
    int
        Frames written. Masks and memcpy only: it cannot raise, allocate or wait.
    """
    mask = load(header + MASK)
    frame_bytes = load(header + FRAME_BYTES)
    data = load(header + DATA)
    write = load(header + WRITE)  # this side's own
    # Acquire: the reader is done with the frames below its index before they are written over.
    read = load_acquire(header + READ)
    written: int = min(frames, mask + 1 - subtract(write, read))
    start = write & mask
    first = min(written, mask + 1 - start)
    _copy(data + start * frame_bytes, block, first * frame_bytes)
    _copy(data, block + first * frame_bytes, (written - first) * frame_bytes)
    store_release(header + WRITE, add(write, written))
    if written < frames:
        store_release(header + DROPPED, load(header + DROPPED) + frames - written)
    return written


@_kernel(types.int64)
def count_overflow(header: int) -> int:
    """Count one overflow that the host reported. The writer's side; returns the new count."""
    count: int = load(header + OVERFLOWS) + 1
    store_release(header + OVERFLOWS, count)
    return count


@_kernel(types.int64, types.int64, types.int64)
def pull(header: int, out: int, frames: int) -> int:
    """Take at most *frames* frames into the memory at address *out*. The reader's side.

    Parameters
    ----------
    header : int
        `SpscRing.address`.
    out : int
        Address with room for *frames* frames.
    frames : int >= 0
        At most so many.

    Returns
    -------
    int
        Frames taken. Cannot raise, allocate or wait.
    """
    mask = load(header + MASK)
    frame_bytes = load(header + FRAME_BYTES)
    data = load(header + DATA)
    read = load(header + READ)  # this side's own
    # Acquire: the frames below the writer's index are seen as the writer left them.
    taken: int = min(frames, subtract(load_acquire(header + WRITE), read))
    start = read & mask
    first = min(taken, mask + 1 - start)
    _copy(out, data + start * frame_bytes, first * frame_bytes)
    _copy(out + first * frame_bytes, data, (taken - first) * frame_bytes)
    # Release: the copies are complete before the writer may use the room again.
    store_release(header + READ, add(read, taken))
    return taken


@_kernel(types.int64, types.int64)
def _discard(header: int, frames: int) -> int:
    """Step over at most *frames* frames. The reader's side; returns how many."""
    read = load(header + READ)
    skipped: int = min(frames, subtract(load_acquire(header + WRITE), read))
    store_release(header + READ, add(read, skipped))
    return skipped


@_kernel(types.int64)
def _filled(header: int) -> int:
    """Count the frames that can be taken now. The reader's side."""
    filled: int = subtract(load_acquire(header + WRITE), load(header + READ))
    return filled


@_kernel(types.int64)
def _peek(address: int) -> int:
    """Read a counter of the other side."""
    value: int = load_acquire(address)
    return value


def _aligned(size: int, dtype: Any) -> NDArray[Any]:
    """Make *size* zeros that begin on a cache line: NumPy promises 16 bytes only."""
    dtype = np.dtype(dtype)
    raw = np.empty(size * dtype.itemsize + _LINE, np.uint8)
    skip = -raw.ctypes.data % _LINE
    array: NDArray[Any] = raw[skip : skip + size * dtype.itemsize].view(dtype)
    # Written, not only mapped: the first lap of the audio thread takes no page faults.
    array.fill(0)
    return array


class SpscRing:
    """Sample frames on their way from one writing thread to one reading thread, without locks.

    One thread at a time may write: `write`, or with `address` the kernels `push` and
    `count_overflow`. One thread at a time may read: `available`, `read`, `read_into`, `spans` and
    `skip`, or the kernel `pull`. `dropped`, `overflows` and `user_word` may be asked from anywhere.
    Full: `write` drops the newest frames, those that do not fit, and counts them; it never moves
    the reader. Empty: reads return nothing, at once. `available` and `spans` are out of date as
    soon as they return, but only towards more: what they counted stays where it is until the
    reader takes it or skips it. The counts are out of date too, and never fall. No call waits. The
    kernels take no lock, no memory and no GIL and cannot raise; the methods, being Python, hold
    the GIL around their kernel, and only `read` allocates room for samples.

    Parameters
    ----------
    capacity_frames : int > 0
        Frames the ring holds at least: rounded up to a power of two. All of them can be used.
    channels : int > 0
        Samples in a frame.
    dtype : numpy.float32 or numpy.int16
        Of a sample.

    Attributes
    ----------
    capacity : int
        Frames the ring holds.
    channels : int
        Samples in a frame.
    dtype : numpy.dtype
        Of a sample.
    address : int
        Of the header, for the kernels. Valid as long as the ring is: keep the ring alive while a
        thread that Python does not know uses it.

    Raises
    ------
    ValueError
        The capacity or the channels are not positive, or the type is another.

    Examples
    --------
    >>> ring = SpscRing(3, channels=1)
    >>> ring.write(np.arange(5, dtype=np.float32).reshape(-1, 1))
    4
    >>> ring.dropped, ring.available()
    (1, 4)
    >>> ring.read(2).ravel().tolist()
    [0.0, 1.0]

    Without a copy, here over the end of the memory:

    >>> ring.write(np.full((1, 1), 9, np.float32))
    1
    >>> older, newer = ring.spans()
    >>> older.ravel().tolist(), newer.ravel().tolist()
    ([2.0, 3.0], [9.0])
    >>> ring.skip(len(older) + len(newer))
    3
    """

    def __init__(self, capacity_frames: int, channels: int, dtype: DTypeLike = np.float32) -> None:
        if capacity_frames < 1:
            raise ValueError(f"capacity_frames={capacity_frames} must be at least 1")
        if channels < 1:
            raise ValueError(f"channels={channels} must be at least 1")
        if dtype not in (np.float32, np.int16):
            raise ValueError(f"dtype={dtype!r} must be numpy.float32 or numpy.int16")
        self.capacity = 1 << (capacity_frames - 1).bit_length()
        self.channels = channels
        self.dtype = np.dtype(dtype)
        self._data = _aligned(self.capacity * channels, self.dtype).reshape(-1, channels)
        # For Python, and so for whoever is handed a part of it. The kernels write by address.
        self._data.flags.writeable = False
        self._header: NDArray[np.int64] = _aligned(_HEADER_BYTES // 8, np.int64)
        self._header[MASK // 8] = self.capacity - 1
        self._header[FRAME_BYTES // 8] = channels * self._data.itemsize
        self._header[DATA // 8] = self._data.ctypes.data
        self.address = int(self._header.ctypes.data)

    def write(self, block: NDArray[Any]) -> int:
        """Append a block; the writer's side.

        Parameters
        ----------
        block : ndarray of the ring's dtype, shape (n, channels)
            C-contiguous; copied.

        Returns
        -------
        int
            Frames written; the rest is dropped and counted.

        Raises
        ------
        ValueError
            The block has another shape, type or layout.
        """
        self._check("block", block)
        return push(self.address, block.ctypes.data, len(block))

    def read_into(self, out: NDArray[Any]) -> int:
        """Move the oldest frames into *out*; the reader's side.

        Parameters
        ----------
        out : ndarray of the ring's dtype, shape (n, channels)
            C-contiguous, writeable; filled from its start.

        Returns
        -------
        int
            Frames moved: at most *n*, 0 when the ring is empty.

        Raises
        ------
        ValueError
            *out* has another shape, type or layout, or cannot be written.
        """
        self._check("out", out)
        if not out.flags.writeable:
            raise ValueError("out must be writeable")
        return pull(self.address, out.ctypes.data, len(out))

    def read(self, max_frames: int | None = None) -> NDArray[Any]:
        """Take the oldest frames; the reader's side.

        Parameters
        ----------
        max_frames : int >= 0, optional
            Take at most so many; without it, all there are.

        Returns
        -------
        ndarray of the ring's dtype, shape (n, channels)
            The caller's own; n is 0 when the ring is empty.
        """
        out = np.empty((self._available(max_frames), self.channels), self.dtype)
        pull(self.address, out.ctypes.data, len(out))
        return out

    def spans(self, max_frames: int | None = None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Look at the oldest frames where they lie, without a copy; the reader's side.

        They stay in the ring, and the views stay good, until `skip`, `read` or `read_into` steps
        over them: that hands their room back to the writer. A view kept longer shows whatever was
        written there since. Views keep the memory alive, also without the ring.

        Parameters
        ----------
        max_frames : int >= 0, optional
            At most so many; without it, all there are.

        Returns
        -------
        older, newer : ndarray of the ring's dtype, shape (n, channels)
            Read-only. *newer* goes on where *older* ends, and is empty unless the frames reach
            over the end of the memory.
        """
        start = int(self._header[READ // 8]) % self.capacity  # the index is the reader's own
        stop = start + self._available(max_frames)
        return self._data[start:stop], self._data[: max(stop - self.capacity, 0)]

    def skip(self, frames: int) -> int:
        """Step over the oldest frames; the reader's side.

        Parameters
        ----------
        frames : int >= 0
            At most so many.

        Returns
        -------
        int
            Frames skipped.
        """
        return _discard(self.address, max(frames, 0))

    def available(self) -> int:
        """Count the frames that can be read now; the reader's side. More may come any time."""
        return _filled(self.address)

    @property
    def dropped(self) -> int:
        """Frames that found the ring full, so far."""
        return _peek(self.address + DROPPED)

    @property
    def overflows(self) -> int:
        """Overflows that the host reported to the writer, so far."""
        return _peek(self.address + OVERFLOWS)

    def user_word(self, index: int) -> int:
        """Read a word that compiled code on the writer's side keeps for itself.

        Parameters
        ----------
        index : int
            0 to 15: the int64 at `address` + `USER` + 8 * *index*. All begin at zero.

        Returns
        -------
        int
            As last published with `store_release`; each word is whole, two need not match.

        Raises
        ------
        ValueError
            There is no such word.
        """
        if not 0 <= index < _USER_WORDS:
            raise ValueError(f"index={index} must be 0 to {_USER_WORDS - 1}")
        return _peek(self.address + USER + 8 * index)

    def _available(self, most: int | None) -> int:
        frames = self.available()
        return frames if most is None else min(frames, max(most, 0))

    def _check(self, name: str, array: NDArray[Any]) -> None:
        if array.ndim != 2 or array.shape[1] != self.channels:
            raise ValueError(f"{name} has shape {array.shape}, must be (n, {self.channels})")
        if array.dtype != self.dtype or not array.flags.c_contiguous:
            raise ValueError(f"{name} must be C-contiguous {self.dtype}, is {array.dtype}")
