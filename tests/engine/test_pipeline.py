"""The pipeline: one answer for any chunking, and names that are right on the demo sound."""

import msgspec
import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

from kikiwake.engine.config import GateSettings, Settings, SmoothingSettings
from kikiwake.engine.pipeline import Pipeline
from kikiwake.engine.result import turns
from kikiwake.models import starter
from kikiwake.models.cast import load_cast

CAST = load_cast("starter")
DEMO, RATE = soundfile.read(starter.DEMO, dtype="float32")
EXCERPT = DEMO[: 6 * RATE]


def pipeline(**changes) -> Pipeline:
    arguments = {"sample_rate": RATE, "channels": 1} | changes
    return Pipeline(CAST, arguments.pop("settings", Settings()), **arguments)


def recognize(sound, sizes=(), **changes):
    p = pipeline(**changes)
    results, at = [], 0
    for size in sizes:
        results += p.process(sound[at : at + size])
        at += size
    results += p.process(sound[at:])
    return results + p.finish()


WHOLE = recognize(EXCERPT)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 20_000), max_size=40))
def test_any_chunking_gives_the_same_results(sizes):
    assert recognize(EXCERPT, sizes) == WHOLE


def test_tiny_blocks_give_the_same_results():
    assert recognize(EXCERPT[:RATE], [7] * 7_000) == recognize(EXCERPT[:RATE])


def test_reset_equals_new():
    p = pipeline()
    p.process(DEMO[3 * RATE : 4 * RATE + 123])
    p.reset()
    assert p.process(EXCERPT) + p.finish() == WHOLE


def test_input_is_not_changed():
    sound = EXCERPT.copy()
    sound[100] = np.nan
    before = sound.copy()
    recognize(sound)
    np.testing.assert_array_equal(sound, before)


@pytest.fixture(scope="module")
def demo_names():
    names = [turn.character for turn in turns(recognize(DEMO))]
    assert len(set(names)) >= 4
    return names


@pytest.mark.parametrize(
    ("rate", "channels", "block"),
    [
        (8_000, 1, 32),
        (11_025, 1, 64),
        (16_000, 2, 1_000),
        (22_050, 1, 8_192),
        (24_000, 6, 777),
        (32_000, 2, 4_096),
        (44_100, 2, 32),
        (48_000, 32, 512),
        (96_000, 3, 8_192),
        (192_000, 2, 1_024),
    ],
)
def test_names_of_the_demo_in_any_form(demo_names, rate, channels, block):
    sound = soxr.resample(DEMO, RATE, rate)
    sound = np.repeat(sound[:, None], channels, axis=1)
    sizes = [block] * (len(sound) // block)
    results = recognize(sound, sizes, sample_rate=rate, channels=channels)
    assert [turn.character for turn in turns(results)] == demo_names


def test_a_short_gap_is_stepped_over_and_a_long_one_begins_anew():
    p = pipeline()
    before = p.process(EXCERPT[: 3 * RATE])
    shown = before[-1].character
    assert shown is not None
    at = p.time
    p.pass_time(0.3)
    told = p.nobody()
    assert (told.time, told.character, told.speech) == (pytest.approx(at + 0.3), None, False)
    after = p.process(EXCERPT[3 * RATE : 3 * RATE + RATE // 10])
    assert {result.character for result in after} == {shown}
    assert after[0].time == pytest.approx(at + 0.3 + p.hop_s, abs=1e-4)

    heard = p.heard_s
    # Half of what makes a gap a long one, twice: it counts from the last sound.
    p.pass_time(0.3)
    p.pass_time(0.3)
    assert p.time == pytest.approx(heard + 0.6, abs=1e-4)
    fresh = pipeline(start_s=p.time)
    sound = EXCERPT[4 * RATE :]
    assert p.process(sound) == fresh.process(sound)


def test_results_come_each_hop():
    times = np.array([result.time for result in WHOLE])
    np.testing.assert_allclose(np.diff(times), pipeline().hop_s, atol=2e-6)
    assert times[-1] == pytest.approx(6, abs=0.12)


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, np.nan, np.inf, 1e30])
def test_constant_input_names_nobody_and_stays_finite(value):
    p = pipeline()
    results = p.process(np.full(3 * RATE, value, np.float32))
    assert all(result.character is None for result in results)
    assert all(np.isfinite(result.level_db) for result in results)
    assert p.bad_samples == (0 if np.isfinite(value) else 3 * RATE)
    msgspec.json.encode(results)


def test_silence_after_speech_takes_the_name_away():
    p = pipeline()
    p.process(DEMO[: 20 * RATE])
    results = p.process(np.zeros(2 * RATE, np.float32))
    assert all(result.character is None for result in results if result.time > 20.5)


@pytest.mark.parametrize(("hop_ms", "frames"), [(100, 9), (10, 1), (50, 4), (500, 43)])
def test_hop_is_whole_frames(hop_ms, frames):
    p = pipeline(settings=Settings(hop_ms=hop_ms))
    assert p.hop_s == pytest.approx(frames * 512 / 44_100)


def test_a_gate_that_never_opens_names_nobody():
    strict = Settings(gate=GateSettings(onset_ms=1000.0), smoothing=SmoothingSettings())
    assert all(result.top == () for result in recognize(EXCERPT[:RATE], settings=strict))


def test_shapes_are_refused_by_name():
    with pytest.raises(ValueError, match=r"block has shape \(3, 2\), need \(n, 1\) or \(n,\)"):
        pipeline().process(np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="sample_rate=0 must be positive"):
        pipeline(sample_rate=0)
    with pytest.raises(ValueError, match="channels=0 must be positive"):
        pipeline(channels=0)
