"""The ring against a model, at its edges, between two threads, and as the machine sees it."""

from __future__ import annotations

import re
import threading
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numba import int64, njit
from numpy.typing import NDArray

from kikiwake.engine import ring as ring_module
from kikiwake.engine.capture import _compiled_callback
from kikiwake.engine.ring import READ, WRITE, SpscRing, count_overflow, pull, push

# Where the indices begin: at zero, just below the largest int64, just below zero.
STARTS = (0, 2**63 - 5, -3)


def ring_at(start: int, capacity: int, channels: int) -> SpscRing:
    ring = SpscRing(capacity, channels)
    ring._header[[WRITE // 8, READ // 8]] = start
    return ring


class AgainstDeque(RuleBasedStateMachine):
    @initialize(
        capacity=st.sampled_from((1, 2, 3, 7, 16)),
        channels=st.sampled_from((1, 2, 3)),
        start=st.sampled_from(STARTS),
    )
    def make(self, capacity: int, channels: int, start: int) -> None:
        self.ring = ring_at(start, capacity, channels)
        self.model: deque[float] = deque()
        self.dropped = self.overflows = self.next = 0

    def block(self, n: int) -> NDArray[np.float32]:
        first = np.arange(self.next, self.next + n, dtype=np.float32)
        self.next += n
        return np.stack([first + 0.25 * k for k in range(self.ring.channels)], axis=1)

    def expect(self, block: NDArray[np.float32], n: int) -> None:
        first = [self.model.popleft() for _ in range(n)]
        for k in range(self.ring.channels):
            assert block[:, k].tolist() == [x + 0.25 * k for x in first]

    @rule(n=st.integers(0, 40))
    def write(self, n: int) -> None:
        block = self.block(n)
        kept = block.copy()
        room = self.ring.capacity - len(self.model)
        assert self.ring.write(block) == min(n, room)
        assert np.array_equal(block, kept)
        self.model.extend(block[:room, 0].tolist())
        self.dropped += max(0, n - room)

    @rule(n=st.none() | st.integers(0, 40))
    def read(self, n: int | None) -> None:
        count = len(self.model) if n is None else min(n, len(self.model))
        block = self.ring.read(n)
        assert block.shape == (count, self.ring.channels)
        self.expect(block, count)

    @rule(n=st.integers(0, 40))
    def read_into(self, n: int) -> None:
        out = np.full((n, self.ring.channels), -1, np.float32)
        count = self.ring.read_into(out)
        assert count == min(n, len(self.model))
        self.expect(out[:count], count)
        assert (out[count:] == -1).all()

    @rule(n=st.integers(0, 40))
    def skip(self, n: int) -> None:
        count = self.ring.skip(n)
        assert count == min(n, len(self.model))
        for _ in range(count):
            self.model.popleft()

    @rule()
    def overflow(self) -> None:
        count_overflow(self.ring.address)
        self.overflows += 1

    @invariant()
    def counts(self) -> None:
        if hasattr(self, "ring"):
            assert self.ring.available() == len(self.model)
            assert self.ring.dropped == self.dropped
            assert self.ring.overflows == self.overflows


TestAgainstDeque: Any = AgainstDeque.TestCase
TestAgainstDeque.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(("asked", "held"), [(1, 1), (2, 2), (3, 4), (1024, 1024), (1025, 2048)])
def test_capacity_is_the_next_power_of_two_and_all_of_it_can_be_used(asked: int, held: int) -> None:
    ring = SpscRing(asked, 1)
    assert ring.capacity == held
    assert ring.write(np.zeros((held + 1, 1), np.float32)) == held
    assert ring.available() == held
    assert ring.dropped == 1


def test_indices_wrap_at_the_end_of_int64() -> None:
    ring = ring_at(2**63 - 2, 8, 1)
    sound = np.arange(30, dtype=np.float32).reshape(-1, 1)
    heard = []
    for k in range(0, 30, 3):
        assert ring.write(sound[k : k + 3]) == 3
        heard.append(ring.read())
    assert np.array_equal(np.concatenate(heard), sound)
    assert ring._header[WRITE // 8] == -(2**63) + 28


def test_memory_begins_on_cache_lines() -> None:
    for _ in range(20):
        ring = SpscRing(5, 3)
        assert ring.address % 64 == 0
        assert ring._data.ctypes.data % 64 == 0
    offsets = [ring_module.WRITE, ring_module.READ, ring_module.DROPPED, ring_module.MASK]
    assert len({offset // 64 for offset in offsets}) == 4


@pytest.mark.parametrize(
    ("capacity", "channels", "named"), [(0, 1, "capacity_frames=0"), (1, 0, "channels=0")]
)
def test_sizes_must_be_positive(capacity: int, channels: int, named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named} must be at least 1$"):
        SpscRing(capacity, channels)


def test_wrong_arrays_are_refused_by_name() -> None:
    ring = SpscRing(8, 2)
    with pytest.raises(ValueError, match=r"^block has shape \(4,\), must be \(n, 2\)$"):
        ring.write(np.zeros(4, np.float32))
    with pytest.raises(ValueError, match=r"^out has shape \(4, 1\), must be \(n, 2\)$"):
        ring.read_into(np.zeros((4, 1), np.float32))
    with pytest.raises(ValueError, match=r"^block must be C-contiguous float32, is float64$"):
        ring.write(np.zeros((4, 2)))  # type: ignore[arg-type, unused-ignore]
    with pytest.raises(ValueError, match=r"^block must be C-contiguous float32"):
        ring.write(np.zeros((2, 4), np.float32).T)
    out = np.zeros((4, 2), np.float32)
    out.flags.writeable = False
    with pytest.raises(ValueError, match=r"^out must be writeable$"):
        ring.read_into(out)


LOAD = re.compile(r"load atomic i64, .* acquire, align 8")
STORE = re.compile(r"store atomic i64 .* release, align 8")


@pytest.mark.parametrize("kernel", [push, pull, ring_module._discard])
def test_machine_code_acquires_and_releases(kernel: Any) -> None:
    compiled = njit(int64(*kernel.signatures[0]), nogil=True)(kernel.py_func)
    (code,) = compiled.inspect_llvm().values()
    assert LOAD.search(code)
    assert STORE.search(code)
    # Nothing is published before it is copied.
    body = code[code.index("\ndefine") : code.index("\n}\n")]
    copies = [match.start() for match in re.finditer(r"call void @llvm\.memcpy", body)]
    assert len(copies) == (0 if kernel is ring_module._discard else 2)
    published = STORE.search(body)
    assert published is not None
    assert max(copies, default=0) < published.start()


def test_callback_is_compiled_whole_and_cannot_fail() -> None:
    code = _compiled_callback().inspect_llvm()
    assert LOAD.search(code)
    assert STORE.search(code)
    body = next(b for b in code.split("\ndefine ")[1:] if not b.split("(")[0].count("cfunc."))
    body = body[: body.index("\n}")]
    # The wrapper takes the GIL when the body returns anything but 0.
    assert set(re.findall(r"\bret i32 (\S+)", body)) == {"0"}
    assert set(re.findall(r"call [^@]*@([\w.]+)", body)) <= {
        "llvm.memcpy.p0.p0.i64",
        "llvm.memcpy.p0i8.p0i8.i64",
        "llvm.smin.i64",
    }


def _produce(header: int, address: int, block: Any, total: int, seed: int) -> int:
    sent = rejected = 0
    while sent < total:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        n = min(1 + (seed >> 8) % (block.size // 2), total - sent)
        for i in range(n):
            block[2 * i] = (sent + i) & 0xFFFFFF  # float32 holds 24 bits exactly
            block[2 * i + 1] = -block[2 * i]
        written = push(header, address, n)
        sent += written
        rejected += n - written
    return rejected


def _consume(header: int, address: int, block: Any, total: int, seed: int) -> int:
    got = wrong = 0
    while got < total:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        n = pull(header, address, 1 + (seed >> 8) % (block.size // 2))
        for i in range(n):
            value = (got + i) & 0xFFFFFF
            wrong += block[2 * i] != value or block[2 * i + 1] != -value
        got += n
    return wrong


def test_two_threads_without_the_gil_lose_and_mix_nothing() -> None:
    frames = 5_000_000
    ring = ring_at(2**63 - frames // 2, 1 << 14, 2)  # the indices wrap on the way
    results: dict[str, int] = {}

    def run(name: str, function: Any, block: NDArray[np.float32], seed: int) -> None:
        results[name] = function(ring.address, block.ctypes.data, block, frames, seed)

    blocks = [np.zeros(2 * n, np.float32) for n in (700, 1100)]
    parts = [("rejected", _produce, blocks[0], 1), ("wrong", _consume, blocks[1], 2)]
    threads = []
    for name, function, block, seed in parts:
        compiled = njit("i8(i8, i8, f4[::1], i8, i8)", nogil=True)(function)
        threads.append(
            threading.Thread(target=run, args=(name, compiled, block, seed), daemon=True)
        )
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results.keys() == {"rejected", "wrong"}, "a thread hangs"
    assert results["wrong"] == 0
    assert ring.available() == 0
    assert ring.dropped == results["rejected"]
