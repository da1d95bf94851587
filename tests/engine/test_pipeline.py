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
from kikiwake.engine.result import Candidate, Result, turns
from kikiwake.models import starter
from kikiwake.models.cast import Cast, load_cast

CAST = load_cast("starter")
DEMO, RATE = soundfile.read(starter.DEMO, dtype="float32")
EXCERPT = DEMO[: 6 * RATE]


def pipeline(cast=CAST, **changes) -> Pipeline:
    arguments = {"sample_rate": RATE, "channels": 1} | changes
    return Pipeline(cast, arguments.pop("settings", Settings()), **arguments)


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
def demo():
    results = recognize(DEMO)
    assert len({turn.character for turn in turns(results)}) >= 4
    return results


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
def test_names_of_the_demo_in_any_form(demo, rate, channels, block):
    sound = soxr.resample(DEMO, RATE, rate)
    sound = np.repeat(sound[:, None], channels, axis=1)
    sizes = [block] * (len(sound) // block)
    results = recognize(sound, sizes, sample_rate=rate, channels=channels)
    same = [a.character == b.character for a, b in zip(results, demo, strict=True)]
    assert np.mean(same) > (0.99 if rate > 20_000 else 0.97)
    if rate > 8_000:  # Of what tells voices apart a good deal lies above 4 kHz.
        assert [turn.character for turn in turns(results)] == [
            turn.character for turn in turns(demo)
        ]


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


def test_a_name_lingers_after_the_gate_closed_while_its_voice_is_heard():
    def listened(linger_ms: float) -> tuple[list[Result], list[bool]]:
        gate = GateSettings(hangover_ms=0)
        p = pipeline(settings=msgspec.structs.replace(smoothed(linger_ms=linger_ms), gate=gate))
        results, opened = [], []
        for block in np.split(DEMO[: 20 * RATE], 2000):  # shorter than a hop
            results += p.process(block)
            opened += [p._gate.open] * (len(results) - len(opened))
        return results, opened

    short, gate = listened(0)
    assert [result.speech for result in short] == gate
    long, gate = listened(300)
    for result in long:
        check(result, CAST)
    lingers = [r.speech and not opened for r, opened in zip(long, gate, strict=True)]
    assert sum(lingers) > 5
    assert all(r.character is not None for r, at in zip(long, lingers, strict=True) if at)
    assert sum(r.character is not None for r in long) > sum(r.character is not None for r in short)


def smoothed(**changes) -> Settings:
    return Settings(smoothing=SmoothingSettings(**changes))


def check(result: Result, cast: Cast) -> None:
    """Refuse a result that contradicts itself."""
    actor_of = {character.name: character.actor for character in cast.card.characters}
    assert bool(result.top) == result.speech
    if result.character is not None:
        assert result.actor == actor_of[result.character]
        assert Candidate(result.character, result.actor, result.confidence) in result.top
    elif result.actor is not None:
        assert list(actor_of.values()).count(result.actor) > 1
    assert (result.confidence > 0) == (result.actor is not None)
    if result.second is not None:
        assert result.character not in (None, result.second.character)
        assert result.second in result.top
    if result.unknown:
        assert result.speech
        assert result.actor is None


def test_names_of_the_demo_contradict_nothing(demo):
    for result in demo:
        check(result, CAST)


def test_a_cast_of_whom_guesses_would_always_be_sure_hears_strangers_only():
    card = CAST.card
    sureness = (1.0,) * len(card.characters)
    calibration = msgspec.structs.replace(card.calibration, sureness=sureness)
    cast = msgspec.structs.replace(
        CAST, card=msgspec.structs.replace(card, calibration=calibration)
    )
    results = recognize(EXCERPT, cast=cast, settings=smoothed(strangers=1.0))
    for result in results:
        check(result, cast)
    assert {result.actor for result in results} == {None}
    assert sum(result.unknown for result in results) > len(results) / 2
    assert turns(results) == []


def test_where_all_are_one_actors_the_actor_is_named_while_the_character_is_not_sure():
    card = CAST.card
    characters = tuple(msgspec.structs.replace(one, actor="One") for one in card.characters)
    cast = msgspec.structs.replace(CAST, card=msgspec.structs.replace(card, characters=characters))
    settings = smoothed(showing_share=0.9, together_share=0.5)
    results = recognize(DEMO[: 20 * RATE], cast=cast, settings=settings)
    for result in results:
        check(result, cast)
    named = {(result.character is not None, result.actor) for result in results}
    assert named == {(True, "One"), (False, "One"), (False, None)}
    for result in results:
        if result.character is None and result.actor is not None:
            assert result.confidence >= max(candidate.share for candidate in result.top)


def test_of_two_who_speak_at_once_both_are_named():
    n = 9 * RATE // 2
    both = DEMO[RATE : RATE + n] + DEMO[7 * RATE : 7 * RATE + n]  # Hinano and Gensai
    results = recognize(both, settings=smoothed(together_share=0.1))
    for result in results:
        check(result, CAST)
    pairs = {(r.character, r.second.character) for r in results if r.second is not None}
    assert pairs
    assert pairs <= {
        ("Hinano Tamagaki", "Gensai Kurodate"),
        ("Gensai Kurodate", "Hinano Tamagaki"),
    }


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
