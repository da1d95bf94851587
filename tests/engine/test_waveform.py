"""The newest sound, for those who draw it."""

from __future__ import annotations

import sys
import threading
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kikiwake import Recognizer, load_cast
from kikiwake.engine.config import Settings
from kikiwake.engine.pipeline import Pipeline
from kikiwake.engine.waveform import KEPT_S, Waveform
from kikiwake.models.starter import DEMO

RATE, FRAME = 16_000, 160


def extremes(samples: np.ndarray, frame: int = FRAME) -> np.ndarray:
    frames = samples.reshape(-1, frame)
    return np.stack((frames.min(1), frames.max(1)), axis=1)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=12), st.integers(1, 150))
def test_the_newest_frames_however_they_came(hops: list[int], n: int):
    samples = np.random.default_rng(0).standard_normal(sum(hops) * FRAME).astype(np.float32)
    waveform, at = Waveform(frame_length=FRAME, sample_rate=RATE), 0
    for hop in hops:
        waveform.push(samples[at : at + hop * FRAME].reshape(hop, FRAME))
        at += hop * FRAME
    count, found = waveform.newest(n)
    assert count == sum(hops)
    expected = np.concatenate([np.zeros((n, 2), np.float32), extremes(samples)])[-n:]
    np.testing.assert_array_equal(found, expected)
    waveform.reset()
    assert waveform.newest(n)[0] == 0
    assert not waveform.newest(n)[1].any()


@pytest.mark.parametrize("n", [0, -1, 151])
def test_no_more_than_there_is(n: int):
    with pytest.raises(ValueError, match=f"n={n} must be 1 to 150"):
        Waveform(frame_length=FRAME, sample_rate=RATE).newest(n)


def test_a_pipeline_keeps_what_its_results_are_of():
    cast = load_cast()
    rate, frame = cast.card.features.sample_rate, cast.card.features.hop_length
    samples = (0.3 * np.sin(np.arange(2 * rate) ** 1.3 / 400)).astype(np.float32)
    seen = []
    for block in (77, 1600, len(samples)):
        pipeline = Pipeline(cast, Settings(), sample_rate=rate, channels=1)
        results = []
        for at in range(0, len(samples), block):
            results += pipeline.process(samples[at : at + block])
        count, found = pipeline.waveform.newest(100)
        assert count * pipeline.waveform.frame_s == pytest.approx(results[-1].time)
        np.testing.assert_array_equal(found, extremes(samples[: count * frame], frame)[-100:])
        seen.append(found)
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])


def test_taking_sound_allocates_nothing_that_stays():
    waveform = Waveform(frame_length=FRAME, sample_rate=RATE)
    hop = np.ones((2, FRAME), np.float32)
    for _ in range(300):
        waveform.push(hop)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for _ in range(300):
        waveform.push(hop)
    now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert now - before < 500
    # NumPy's own, for the while: a kilobyte more in 2.0.
    assert peak - before < (3000 if np.__version__.startswith("2.0.") else 2000)


def test_another_thread_may_look_at_any_time():
    waveform = Waveform(frame_length=1, sample_rate=20_000)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    stop = threading.Event()

    def push() -> None:
        for number in range(20_000):
            waveform.push(np.full((3, 1), number, np.float32))
        stop.set()

    thread = threading.Thread(target=push)
    thread.start()
    try:
        looked = 0
        while not stop.is_set():
            count, found = waveform.newest(90)
            expected = np.maximum(np.arange(count - 90, count) // 3, 0)
            np.testing.assert_array_equal(found, np.stack((expected, expected), axis=1))
            looked += 1
    finally:
        thread.join()
        sys.setswitchinterval(before)
    assert looked > 10


def test_a_recognizer_lends_it():
    recognizer = Recognizer(cast="starter", source=DEMO, settings=Settings())
    assert recognizer.waveform is None
    with recognizer:
        for result in recognizer:
            if result.time > 1 + KEPT_S:
                break
        assert recognizer.waveform is not None
        count, found = recognizer.waveform.newest(100)
        assert count > 100
        assert found.shape == (100, 2)
        assert (found[:, 0] <= found[:, 1]).all()
        assert np.ptp(found) > 0.01
