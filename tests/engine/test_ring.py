"""The ring against a model, at its edges, between two threads, and as the machine sees it."""

from __future__ import annotations

import re
from collections import deque
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from llvmlite import binding as llvm
from numba import njit, types
from numpy.typing import DTypeLike, NDArray
from ring_threads import by_copies, by_spans, exchange

from kikiwake.engine import ring as ring_module
from kikiwake.engine.ring import READ, USER, WRITE, SpscRing, count_overflow, pull, push

# Where the indices begin: at zero, just below the largest int64, just below zero.
STARTS = (0, 2**63 - 5, -3)


def ring_at(start: int, capacity: int, channels: int, dtype: DTypeLike = np.float32) -> SpscRing:
    ring = SpscRing(capacity, channels, dtype)
    ring._header[[WRITE // 8, READ // 8]] = start
    return ring


class AgainstDeque(RuleBasedStateMachine):
    """The model holds the number of each frame; channel k of frame i is the sample 4 i + k."""

    @initialize(
        capacity=st.sampled_from((1, 2, 3, 7, 16)),
        channels=st.sampled_from((1, 2, 3)),
        dtype=st.sampled_from((np.float32, np.int16)),
        start=st.sampled_from(STARTS),
    )
    def make(self, capacity: int, channels: int, dtype: DTypeLike, start: int) -> None:
        self.ring = ring_at(start, capacity, channels, dtype)
        self.model: deque[int] = deque()
        self.held: tuple[NDArray[Any], ...] = ()
        self.dropped = self.overflows = self.next = 0

    def block(self, frames: list[int]) -> NDArray[Any]:
        columns = np.arange(self.ring.channels)
        return (np.array(frames, int).reshape(-1, 1) * 4 + columns).astype(self.ring.dtype)

    def expect(self, block: NDArray[Any], n: int) -> None:
        self.held = ()
        assert block.dtype == self.ring.dtype
        assert np.array_equal(block, self.block([self.model.popleft() for _ in range(n)]))

    @rule(n=st.integers(0, 40))
    def write(self, n: int) -> None:
        frames = list(range(self.next, self.next + n))
        self.next += n
        block = self.block(frames)
        room = self.ring.capacity - len(self.model)
        assert self.ring.write(block) == min(n, room)
        assert np.array_equal(block, self.block(frames))
        self.model.extend(frames[:room])
        self.dropped += max(0, n - room)

    @rule(n=st.none() | st.integers(-1, 40))
    def read(self, n: int | None) -> None:
        count = len(self.model) if n is None else min(max(n, 0), len(self.model))
        block = self.ring.read(n)
        assert block.shape == (count, self.ring.channels)
        self.expect(block, count)

    @rule(n=st.integers(0, 40))
    def read_into(self, n: int) -> None:
        out = np.full((n, self.ring.channels), -1, self.ring.dtype)
        count = self.ring.read_into(out)
        assert count == min(n, len(self.model))
        self.expect(out[:count], count)
        assert (out[count:] == -1).all()

    @rule(n=st.none() | st.integers(-1, 40))
    def spans(self, n: int | None) -> None:
        count = len(self.model) if n is None else min(max(n, 0), len(self.model))
        self.held = self.ring.spans(n)
        assert sum(map(len, self.held)) == count

    @rule(n=st.integers(-1, 40))
    def skip(self, n: int) -> None:
        count = self.ring.skip(n)
        assert count == min(max(n, 0), len(self.model))
        self.held = ()
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

    @invariant()
    def held_frames_stay_as_they_were(self) -> None:
        if hasattr(self, "ring") and self.held:
            block = np.concatenate(self.held)
            assert np.array_equal(block, self.block(list(self.model)[: len(block)]))


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


def test_spans_are_the_memory_itself_and_cannot_be_written() -> None:
    ring = SpscRing(4, 2)
    ring.write(np.zeros((3, 2), np.float32))
    ring.skip(3)
    ring.write(np.arange(8, dtype=np.float32).reshape(4, 2))
    older, newer = ring.spans()
    assert older.tolist() == [[0, 1]]
    assert newer.tolist() == [[2, 3], [4, 5], [6, 7]]
    for span in older, newer:
        assert np.shares_memory(span, ring._data)
        with pytest.raises(ValueError, match="read-only"):
            span[0] = 0
    # What is skipped is the writer's again, and nothing else is.
    assert ring.skip(2) == 2
    assert ring.write(np.full((4, 2), 9, np.float32)) == 2
    assert older.tolist() == [[9, 9]]
    assert newer.tolist() == [[9, 9], [4, 5], [6, 7]]
    del ring
    assert newer.tolist() == [[9, 9], [4, 5], [6, 7]]


def test_user_words_are_read_one_by_one() -> None:
    ring = SpscRing(8, 1)
    assert [ring.user_word(k) for k in range(16)] == [0] * 16
    ring._header[USER // 8 :] = -np.arange(16)
    assert [ring.user_word(k) for k in range(16)] == [-k for k in range(16)]
    for index in (-1, 16):
        with pytest.raises(ValueError, match=rf"^index={index} must be 0 to 15$"):
            ring.user_word(index)


def test_memory_begins_on_cache_lines() -> None:
    for _ in range(20):
        ring = SpscRing(5, 3)
        assert ring.address % 64 == 0
        assert ring._data.ctypes.data % 64 == 0
    offsets = [ring_module.WRITE, ring_module.READ, ring_module.DROPPED, ring_module.MASK, USER]
    assert len({offset // 64 for offset in offsets}) == 5


@pytest.mark.parametrize(
    ("capacity", "channels", "named"), [(0, 1, "capacity_frames=0"), (1, 0, "channels=0")]
)
def test_sizes_must_be_positive(capacity: int, channels: int, named: str) -> None:
    with pytest.raises(ValueError, match=rf"^{named} must be at least 1$"):
        SpscRing(capacity, channels)


@pytest.mark.parametrize("dtype", [np.float64, np.uint16, ">i2", None])
def test_samples_are_of_two_types(dtype: Any) -> None:
    named = re.escape(f"dtype={dtype!r}")
    with pytest.raises(ValueError, match=rf"^{named} must be numpy.float32 or numpy.int16$"):
        SpscRing(8, 2, dtype)


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
    with pytest.raises(ValueError, match=r"^block must be C-contiguous int16, is float32$"):
        SpscRing(8, 2, np.int16).write(np.zeros((4, 2), np.float32))


LOAD = re.compile(r"load atomic i64, .* acquire, align 8")
STORE = re.compile(r"store atomic i64 .* release, align 8")


KERNELS = [
    push,
    pull,
    count_overflow,
    ring_module._discard,
    ring_module._filled,
    ring_module._peek,
]
# Those that hand frames over, and how many copies they make.
HANDING_OVER = [(push, 2), (pull, 2), (ring_module._discard, 0)]


def llvm_code(kernel: Any) -> str:
    compiled = njit(types.int64(*kernel.signatures[0]), nogil=True)(kernel.py_func)
    (code,) = compiled.inspect_llvm().values()
    return str(code)


def first_body(code: str) -> str:
    return code[code.index("\ndefine") : code.index("\n}\n")]


@pytest.mark.parametrize(("kernel", "copies"), HANDING_OVER)
def test_machine_code_acquires_and_releases(kernel: Any, copies: int) -> None:
    body = first_body(llvm_code(kernel))
    assert LOAD.search(body)
    copied = [match.start() for match in re.finditer(r"call void @llvm\.memcpy", body)]
    assert len(copied) == copies
    # Nothing is published before it is copied.
    published = STORE.search(body)
    assert published is not None
    assert max(copied, default=0) < published.start()


@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_cannot_fail(kernel: Any) -> None:
    body = first_body(llvm_code(kernel))
    # Anything but 0 would say that there is an exception to raise.
    assert set(re.findall(r"\bret i32 (\S+)", body)) == {"0"}
    called = {name.split(".p0")[0] for name in re.findall(r"call [^@]*@([\w.]+)", body)}
    assert called <= {"llvm.memcpy", "llvm.smin.i64"}


@pytest.mark.parametrize(("kernel", "copies"), HANDING_OVER)
def test_arm_code_acquires_and_releases(kernel: Any, copies: int) -> None:
    # There it shows: on x86 every plain load acquires and every plain store releases.
    triple = "aarch64-unknown-linux-gnu"
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    try:
        machine = llvm.Target.from_triple(triple).create_target_machine(opt=3)
    except RuntimeError as error:
        pytest.skip(f"this LLVM does not compile for ARM: {error}")
    module = llvm.parse_assembly(re.sub(r"(?m)^target .*$", "", llvm_code(kernel)))
    module.triple = triple
    code = machine.emit_assembly(module)
    body = code[: code.index(".Lfunc_end0")]
    steps = re.findall(r"^\t(ldar|ldapr|stlr|bl\tmemcpy)\b", body, re.MULTILINE)
    assert steps[0] in {"ldar", "ldapr"}
    assert steps[1 : 2 + copies] == ["bl\tmemcpy"] * copies + ["stlr"]
    # After the index, `push` publishes its count of dropped frames.
    assert steps[2 + copies :] == ["stlr"] * (kernel is push)


@pytest.mark.parametrize(
    ("dtype", "frames", "consume"),
    [
        (np.float32, 5_000_000, by_copies),
        (np.int16, 5_000_000, by_copies),
        (np.float32, 1_000_000, by_spans),
    ],
)
def test_two_threads_lose_and_mix_nothing(dtype: DTypeLike, frames: int, consume: Any) -> None:
    ring = ring_at(2**63 - frames // 2, 1 << 14, 2, dtype)  # the indices wrap on the way
    result = exchange(ring, frames, timeout_s=60, consume=consume)
    assert result.received == result.sent
    assert ring.available() == 0
    assert ring.dropped == result.rejected
