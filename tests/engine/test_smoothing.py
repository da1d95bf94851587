"""The smoother: properties of the mean, and of what is shown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given as given_any
from hypothesis import settings
from hypothesis import strategies as st

from kikiwake.engine.config import SmoothingSettings
from kikiwake.engine.smoothing import NOBODY, UNKNOWN, PosteriorSmoother, Shown

ALICE, BOB, MUSIC = np.eye(3, dtype=np.float32)
SHOWN_ALICE, SHOWN_BOB = Shown(0, 0), Shown(1, 1)
HOP_MS = 25.0


def given(*strategies, examples: int = 100):
    """Hypothesis' own, without a deadline: other work may hold the cores."""
    return lambda test: settings(deadline=None, max_examples=examples)(given_any(*strategies)(test))


# Each guess on its own: what is left is how it is shown.
AT_ONCE = {"time_constant_ms": 0.0, "change_ms": 0.0, "change_share": 1.0}
ALONE = {"together_share": 0.5}


def smoother(n_characters: int = 2, *, actors=None, sureness=(), **settings) -> PosteriorSmoother:
    return PosteriorSmoother(
        n_characters,
        n_characters + 1,
        SmoothingSettings(**settings),
        actors=actors,
        sureness=sureness,
    )


def hear(s: PosteriorSmoother, *posterior: float, ms: float = HOP_MS) -> list[Shown]:
    """Let the smoother hear the same for a time, hop by hop."""
    p = np.array(posterior, np.float32)
    return [s.update(p, elapsed_ms=HOP_MS) for _ in range(round(ms / HOP_MS))]


def ms_until(s: PosteriorSmoother, posterior, wanted: Callable[[Shown], bool]) -> int:
    """Let the smoother hear the same until it shows what is wanted; give the time."""
    before = s.shown
    for elapsed_ms in range(1, 10_000):
        shown = s.update(posterior, elapsed_ms=1)
        if wanted(shown):
            return elapsed_ms
        assert shown[:3] == before[:3], "no gap between two names"
    raise AssertionError(f"{posterior} never showed it")


def a_posterior_of(n: int) -> st.SearchStrategy[np.ndarray]:
    return st.lists(st.floats(0.01, 1), min_size=n, max_size=n).map(
        lambda p: (np.array(p) / sum(p)).astype(np.float32)
    )


posteriors = a_posterior_of(3)
steps = st.lists(st.tuples(posteriors, st.floats(1, 500), st.floats(0, 1)), max_size=20)


def after(past, **settings) -> PosteriorSmoother:
    s = smoother(**settings)
    for p, elapsed_ms, weight in past:
        s.update(p, elapsed_ms=elapsed_ms, weight=weight)
    return s


# The mean.


@given(steps, posteriors, st.floats(1, 300), st.integers(1, 20))
def test_n_steps_equal_one_step_of_n_times_the_length(past, posterior, hop_ms, n):
    once, often = after(past, change_share=1), after(past, change_share=1)
    once.update(posterior, elapsed_ms=n * hop_ms)
    for _ in range(n):
        often.update(posterior, elapsed_ms=hop_ms)
    np.testing.assert_allclose(once.shares, often.shares, atol=1e-6)  # posteriors are float32


@given(steps)
def test_shares_are_a_posterior(past):
    s = smoother()
    for p, elapsed_ms, weight in past:
        s.update(p, elapsed_ms=elapsed_ms, weight=weight)
        if s.shares.any():
            assert s.shares.sum() == pytest.approx(1, abs=1e-5)
            assert (s.shares >= 0).all()


@given(posteriors, st.floats(1, 1000))
def test_first_posterior_counts_fully(posterior, elapsed_ms):
    s = smoother()
    s.update(posterior, elapsed_ms=elapsed_ms)
    np.testing.assert_allclose(s.shares, posterior, atol=1e-6)


@given(a_posterior_of(5))
def test_an_actor_has_the_shares_of_all_its_characters(posterior):
    s = smoother(4, actors=[0, 1, 0, 2])
    s.update(posterior, elapsed_ms=HOP_MS)
    a = posterior
    np.testing.assert_allclose(s.actor_shares, [a[0] + a[2], a[1], a[3]], atol=1e-6)


@given(steps, steps)
def test_nobody_is_shown_in_silence_and_reset_is_as_new(past, future):
    s, new = after(past), smoother()
    s.silence(1.0)
    assert s.shown == NOBODY
    s.reset()
    assert s.shown == NOBODY
    assert not s.shares.any()
    for p, elapsed_ms, weight in future:
        said = s.update(p, elapsed_ms=elapsed_ms, weight=weight)
        assert said == new.update(p, elapsed_ms=elapsed_ms, weight=weight)
        np.testing.assert_array_equal(s.shares, new.shares)


def test_hop_without_speech_changes_nothing():
    s = smoother()
    s.update(ALICE, elapsed_ms=100)
    before = s.shares
    assert s.update(BOB, elapsed_ms=100, weight=0.0) == SHOWN_ALICE
    np.testing.assert_array_equal(s.shares, before)


def test_zero_time_constant_takes_every_guess_as_it_comes():
    s = smoother(time_constant_ms=0, switching_margin=0)
    assert s.update(ALICE, elapsed_ms=100) == SHOWN_ALICE
    assert s.update(BOB, elapsed_ms=100) == SHOWN_BOB
    assert s.update(MUSIC, elapsed_ms=100) == NOBODY


# Time in which nothing is said, or nothing is known.


@given(steps, posteriors, st.lists(st.floats(0, 400), min_size=1, max_size=6))
def test_a_gap_counts_by_its_length_however_it_is_split(past, posterior, gaps):
    whole, split = after(past), after(past)
    whole.pass_time(math.fsum(gaps))
    for gap_ms in gaps:
        split.pass_time(gap_ms)
    for s in (whole, split):
        assert s.shown == after(past).shown, "the name stays for now"
        s.update(posterior, elapsed_ms=HOP_MS)
    np.testing.assert_allclose(whole.shares, split.shares, atol=1e-5)


def test_a_gap_weakens_the_past():
    with_gap, without = (smoother(time_constant_ms=600, change_share=1) for _ in range(2))
    for s in (with_gap, without):
        hear(s, 0.9, 0.05, 0.05, ms=250)
    with_gap.pass_time(3000.0)
    for s in (with_gap, without):
        assert s.shown == SHOWN_ALICE
        hear(s, 0.05, 0.9, 0.05)
    assert with_gap.shares[1] > 0.8
    assert without.shares[1] < 0.5


@given(
    steps,
    st.lists(st.floats(0, 600), max_size=6),
    st.lists(st.tuples(posteriors, st.floats(1, 500), st.floats(0.1, 1)), max_size=20),
    st.floats(0, 1000),
)
def test_after_a_pause_as_long_the_past_says_nothing(past, pauses, future, pause_ms):
    s, new = after(past, pause_ms=pause_ms), smoother(pause_ms=pause_ms)
    for elapsed_ms in (*pauses, max(0.0, pause_ms - sum(pauses)) + 1e-3):
        s.silence(elapsed_ms)
    # What was forgotten half way through the silence is not half there either.
    s.silence(pause_ms)
    for p, elapsed_ms, weight in future:
        said = s.update(p, elapsed_ms=elapsed_ms, weight=weight)
        assert said == new.update(p, elapsed_ms=elapsed_ms, weight=weight)
        np.testing.assert_allclose(s.shares, new.shares)


@pytest.mark.parametrize(("silence_ms", "forgets"), [(399, False), (401, True)])
def test_a_shorter_pause_only_fades(silence_ms, forgets):
    s = smoother(pause_ms=400, change_share=1)
    hear(s, *ALICE, ms=1000)
    s.silence(silence_ms)
    hear(s, *BOB)
    assert (s.shares[0] == 0) == forgets


def test_speech_between_two_pauses_parts_them():
    s = smoother(pause_ms=400, change_share=1)
    hear(s, *ALICE, ms=1000)
    for _ in range(3):
        s.silence(390)
        hear(s, *BOB)
    assert s.shares[0] > 0


def test_after_a_short_pause_the_next_guess_is_not_given_the_old_name():
    s = smoother(4)
    hear(s, 0.9, 0.02, 0.03, 0.03, 0.02, ms=1000)
    s.silence(100)
    # Not clear enough to be noticed as a change.
    shown = hear(s, 0.12, 0.55, 0.13, 0.1, 0.1, ms=3000)
    assert {said[:2] for said in shown} <= {(None, None), (1, 1)}
    assert shown[-1] == SHOWN_BOB


# The gate hears nobody, the network does.


def linger(s: PosteriorSmoother, *posterior: float, ms: float = HOP_MS) -> list[Shown]:
    """Let time pass in which the gate is closed, and the network says the same, hop by hop."""
    p = np.array(posterior, np.float32)
    said = []
    for _ in range(round(ms / HOP_MS)):
        s.silence(HOP_MS, p if s.may_linger(HOP_MS) else None)
        said.append(s.shown)
    return said


@pytest.mark.parametrize("linger_ms", [0, 100, 400])
def test_a_name_lingers_while_its_voice_is_heard_but_not_for_ever(linger_ms):
    s = smoother(linger_ms=linger_ms)
    hear(s, *ALICE, ms=500)
    shown = linger(s, 0.5, 0.2, 0.3, ms=1000)
    assert shown.count(SHOWN_ALICE) * HOP_MS == linger_ms
    assert shown == sorted(shown, key=lambda said: said == NOBODY), "once gone it stays away"


@pytest.mark.parametrize("heard", [(0.3, 0.2, 0.5), (0.1, 0.9, 0), (0, 0, 1)])
def test_a_name_whose_voice_is_not_heard_does_not_linger(heard):
    s = smoother()
    hear(s, *ALICE, ms=500)
    assert linger(s, *ALICE, ms=100) == [SHOWN_ALICE] * 4
    assert linger(s, *heard) == [NOBODY]
    assert not s.may_linger(HOP_MS)
    assert linger(s, *ALICE) == [NOBODY], "who is gone has to come back through the gate"


def test_no_name_no_lingering():
    s = smoother()
    assert not s.may_linger(HOP_MS)
    hear(s, *MUSIC, ms=500)
    assert not s.may_linger(HOP_MS)
    s = smoother(5, **SURE)
    assert hear(s, *VAGUE, ms=3000)[-1] == UNKNOWN
    assert not s.may_linger(HOP_MS)
    assert linger(s, *VAGUE) == [NOBODY]


def test_the_voice_that_comes_back_has_its_whole_time_to_linger_again():
    s = smoother(linger_ms=100)
    hear(s, *ALICE, ms=500)
    for _ in range(3):
        assert linger(s, *ALICE, ms=100) == [SHOWN_ALICE] * 4
        assert hear(s, *ALICE) == [SHOWN_ALICE]


@pytest.mark.parametrize(("hop_ms", "lingers_ms"), [(70, 280), (150, 300), (301, 0)])
def test_a_name_never_lingers_longer_than_it_may(hop_ms, lingers_ms):
    s = smoother(linger_ms=300)
    hear(s, *ALICE, ms=500)
    lingered_ms = 0
    while s.may_linger(hop_ms):
        s.silence(hop_ms, ALICE)
        lingered_ms += hop_ms
        assert s.shown == SHOWN_ALICE
    s.silence(hop_ms, ALICE)
    assert (s.shown, lingered_ms) == (NOBODY, lingers_ms)


def test_what_was_heard_is_not_forgotten_while_its_name_lingers():
    s = smoother(linger_ms=1000, pause_ms=100)
    hear(s, 0.9, 0.1, 0, ms=500)
    before = s.shares.copy()
    linger(s, *ALICE, ms=500)
    np.testing.assert_array_equal(s.shares, before)


def test_of_two_who_spoke_at_once_the_first_lingers_alone():
    s = smoother(together_share=0.25)
    both = hear(s, 0.55, 0.45, 0, ms=1000)[-1]
    assert both == Shown(0, 0, second=1)
    assert linger(s, *ALICE) == [SHOWN_ALICE]
    assert linger(s, *BOB) == [NOBODY]


# Somebody else begins.


def beginning(share: float, tau_ms: float) -> float:
    """Time after which a new voice holds a share of a smoothing that was full of another."""
    return tau_ms * math.log(1 / (1 - share))


@pytest.mark.parametrize(("change_ms", "share"), [(40, 0.6), (100, 0.6), (40, 0.9)])
@pytest.mark.parametrize("other", [BOB, MUSIC])
def test_a_change_is_shown_as_soon_as_the_short_memory_holds_it(change_ms, share, other):
    s = smoother(time_constant_ms=2000, change_ms=change_ms, change_share=share, pause_ms=400)
    s.update(ALICE, elapsed_ms=1e6)
    wanted = SHOWN_BOB if other is BOB else NOBODY
    took_ms = ms_until(s, other, lambda shown: shown[:3] == wanted[:3])
    assert took_ms == pytest.approx(beginning(share, change_ms), abs=1.5)


def test_without_change_detection_a_switch_takes_the_time_the_long_memory_says():
    # From all Alice to all Bob: Bob leads by the margin m when 1 - 2 exp(-t / tau) > m.
    s = smoother(time_constant_ms=2000, change_share=1, switching_margin=0.2)
    s.update(ALICE, elapsed_ms=1e6)
    took_ms = ms_until(s, BOB, lambda shown: shown.character == 1)
    assert took_ms == pytest.approx(beginning(0.6, 2000), abs=1.5)


def test_without_change_detection_a_name_goes_in_music_as_late_as_the_long_memory_says():
    s = smoother(time_constant_ms=2000, change_share=1, background_share=0.4)
    s.update(ALICE, elapsed_ms=1e6)
    took_ms = ms_until(s, MUSIC, lambda shown: shown == NOBODY)
    assert took_ms == pytest.approx(beginning(0.4, 2000), abs=1.5)


@pytest.mark.parametrize("odd", [BOB, MUSIC])
@pytest.mark.parametrize("time_constant_ms", [200, 600, 2000])
def test_a_single_odd_hop_does_not_flip_the_name(odd, time_constant_ms):
    s = smoother(time_constant_ms=time_constant_ms, change_ms=40, change_share=0.6)
    hear(s, *ALICE, ms=500)
    for _ in range(5):
        (said,) = hear(s, *odd)
        assert said[:2] == (0, 0)
        assert {said[:2] for said in hear(s, *ALICE, ms=200)} == {(0, 0)}


def test_what_was_heard_before_a_change_is_let_go():
    s = smoother(time_constant_ms=10_000)
    hear(s, *ALICE, ms=10_000)
    hear(s, *BOB, ms=200)
    assert s.shares[1] > 0.6
    # And back, as fast.
    assert hear(s, *ALICE, ms=100)[-1][:2] == (0, 0)


def test_who_went_is_not_said_to_speak_at_the_same_time():
    s = smoother()
    hear(s, *ALICE, ms=10_000)
    shown = hear(s, *BOB, ms=500)
    assert [said for said in shown if said.second is not None] == []


# What is shown.


def test_a_first_name_comes_at_once_and_another_after_the_time_it_must_be_wanted():
    s = smoother(**AT_ONCE, switching_ms=200)
    assert hear(s, *ALICE) == [SHOWN_ALICE]
    assert hear(s, *BOB, ms=225) == [SHOWN_ALICE] * 8 + [SHOWN_BOB]
    s.silence(HOP_MS)
    assert hear(s, *ALICE) == [SHOWN_ALICE]


def test_what_is_wanted_in_between_starts_the_time_anew():
    s = smoother(**AT_ONCE, switching_ms=200)
    hear(s, *ALICE)
    for other in (BOB, MUSIC, BOB, ALICE, BOB):
        assert set(hear(s, *other, ms=200)) == {SHOWN_ALICE}
    assert hear(s, *BOB) == [SHOWN_BOB]


def test_a_name_changes_only_for_one_that_leads_by_the_margin():
    s = smoother(**AT_ONCE, **ALONE, switching_margin=0.2)
    hear(s, *ALICE)
    assert hear(s, 0.41, 0.59, 0) == [SHOWN_ALICE]
    assert hear(s, 0.39, 0.61, 0) == [SHOWN_BOB]
    assert hear(s, 0.59, 0.41, 0) == [SHOWN_BOB]


def test_a_name_goes_later_than_it_came():
    s = smoother(3, **AT_ONCE, **ALONE, showing_share=0.6, switching_margin=0.1, unknown_ms=60_000)
    said = {alice: hear(s, alice, *[(1 - alice) / 2] * 2, 0)[0] for alice in (0.59, 0.61, 0.51)}
    assert said == {0.59: NOBODY, 0.61: SHOWN_ALICE, 0.51: SHOWN_ALICE}
    assert hear(s, 0.49, 0.255, 0.255, 0) == [NOBODY]
    assert hear(s, 0.51, 0.245, 0.245, 0) == [NOBODY]


def test_music_is_never_named():
    assert set(hear(smoother(), *MUSIC, ms=2000)) == {NOBODY}


@given(steps, st.floats(0, 1), st.floats(0, 1))
def test_nobody_is_shown_while_music_holds_its_share(past, music, alice):
    s = after(past, background_share=0.4, switching_margin=0.1, **AT_ONCE)
    music, voices = 0.51 + 0.49 * music, 0.49 * (1 - music)
    assert hear(s, voices * alice, voices * (1 - alice), music) == [NOBODY]


@pytest.mark.parametrize("voice_first", [False, True])
def test_music_under_a_voice_keeps_the_name(voice_first):
    s = smoother(sureness=(0.9, 0.9), strangers=0.75)
    if voice_first:
        hear(s, 0.95, 0.03, 0.02, ms=1000)
    assert set(hear(s, 0.7, 0.05, 0.25, ms=5000)) == {SHOWN_ALICE}


@pytest.mark.filterwarnings("error")  # such as a division by zero
@pytest.mark.parametrize("settings", [{"background_share": 1.0}, {"switching_margin": 0.9}])
def test_in_nothing_but_music_no_name_stays_whatever_the_shares(settings):
    s = smoother(change_ms=0, **settings)
    hear(s, *ALICE, ms=1000)
    assert hear(s, *MUSIC) == [NOBODY]


# Voices that nobody of the cast has.

SURE = {"sureness": (0.9,) * 5, "strangers": 0.75}
CONFIDENT = (0.9, 0.03, 0.02, 0.02, 0.01, 0.02)
VAGUE = (0.4, 0.2, 0.15, 0.15, 0.08, 0.02)


def test_a_voice_that_guesses_are_sure_of_is_named():
    assert set(hear(smoother(5, **SURE), *CONFIDENT, ms=5000)) == {SHOWN_ALICE}


@pytest.mark.parametrize("unknown_ms", [0, 500, 2000])
def test_a_voice_that_guesses_are_not_sure_of_is_unknown_once_it_was_heard_so_long(unknown_ms):
    s = smoother(5, **SURE, unknown_ms=unknown_ms)
    # Of each hop as much counts as is a voice.
    too_early = max(0, math.ceil(unknown_ms / (HOP_MS * sum(VAGUE[:5])) - 1e-3) - 1)
    shown = hear(s, *VAGUE, ms=unknown_ms + 3000)
    assert shown == [NOBODY] * too_early + [UNKNOWN] * (len(shown) - too_early)


def test_a_pause_starts_the_time_until_unknown_anew():
    s = smoother(5, **SURE, unknown_ms=500, pause_ms=400)
    for _ in range(5):
        assert set(hear(s, *VAGUE, ms=450)) == {NOBODY}
        s.silence(400)


def swaying(ms: float) -> Iterator[tuple[float, ...]]:
    for hop in range(round(ms / HOP_MS)):
        yield (0.55, 0.45, 0.0) if hop % 2 else (0.45, 0.55, 0.0)


@pytest.mark.parametrize("known_first", [False, True])
def test_a_voice_that_sways_between_two_is_unknown_in_the_end(known_first):
    s = smoother(sureness=(0.9, 0.9), strangers=0.75, switching_margin=0.1)
    if known_first:
        hear(s, 0.95, 0.03, 0.02, ms=2000)
    for posterior in swaying(6000):
        hear(s, *posterior)
    for posterior in swaying(2000):
        assert hear(s, *posterior) == [UNKNOWN]


@pytest.mark.parametrize("lenient", [{"sureness": (0.9, 0.9), "strangers": 0.0}, {"sureness": ()}])
def test_without_strangers_or_measures_nobody_is_unknown_for_unsure_guesses(lenient):
    s = smoother(**ALONE, **lenient)
    assert set(hear(s, 0.55, 0.45, 0.0, ms=5000)) == {SHOWN_ALICE}


def test_strangers_are_told_by_what_is_usual_for_the_likeliest_character():
    s = smoother(**ALONE, sureness=(0.9, 0.6), strangers=0.9, switching_margin=0)
    assert hear(s, 0.3, 0.7, 0.0, ms=2000)[-1] == SHOWN_BOB
    s.silence(1000)
    assert hear(s, 0.7, 0.3, 0.0, ms=2000)[-1] == UNKNOWN


def test_music_is_no_stranger_and_makes_none():
    s = smoother(5, **SURE)
    assert set(hear(s, 0.05, 0.02, 0.02, 0.01, 0.0, 0.9, ms=5000)) == {NOBODY}
    assert hear(s, *CONFIDENT, ms=500)[-1] == SHOWN_ALICE
    assert UNKNOWN not in hear(s, 0.6, 0.03, 0.01, 0.01, 0.0, 0.35, ms=5000)


def test_who_comes_after_a_stranger_is_named_and_the_other_way_round():
    s = smoother(5, **SURE)
    for _ in range(2):
        assert hear(s, *VAGUE, ms=5000)[-1] == UNKNOWN
        assert hear(s, *CONFIDENT, ms=3000)[-1] == SHOWN_ALICE


# Whose voice, but as whom?


def test_of_two_characters_of_one_actor_the_actor_is_shown_alone():
    s = smoother(3, actors=[0, 0, 1])
    assert set(hear(s, 0.45, 0.45, 0.05, 0.05, ms=3000)) == {Shown(actor=0)}
    assert hear(s, 0.9, 0.02, 0.03, 0.05, ms=500)[-1] == SHOWN_ALICE


def test_an_actor_with_one_character_is_never_shown_alone():
    s = smoother(4, actors=[0, 0, 1, 2], **ALONE, unknown_ms=60_000, showing_share=0.5)
    assert set(hear(s, 0.1, 0.1, 0.45, 0.35, 0.0, ms=3000)) == {NOBODY}


@given(st.lists(st.tuples(a_posterior_of(4), st.floats(1, 500)), min_size=1, max_size=20))
def test_without_actors_none_is_shown_alone(past):
    s = smoother(3)
    for p, elapsed_ms in past:
        said = s.update(p, elapsed_ms=elapsed_ms)
        assert said.actor == said.character


# Two at once.


def test_two_voices_that_hold_their_share_both_are_shown_both():
    s = smoother()
    hear(s, *ALICE, ms=1000)
    assert hear(s, 0.45, 0.45, 0.1, ms=2000)[-1] == Shown(0, 0, second=1)
    assert hear(s, *ALICE, ms=2000)[-1] == SHOWN_ALICE


def test_a_second_voice_is_not_shown_for_a_single_hop():
    s = smoother()
    hear(s, *ALICE, ms=1000)
    assert hear(s, 0.45, 0.45, 0.1) == [SHOWN_ALICE]
    assert hear(s, *BOB) == [SHOWN_ALICE]
    assert hear(s, *ALICE) == [SHOWN_ALICE]


def test_a_second_voice_is_not_shown_on_a_first_guess():
    assert smoother().update(np.float32([0.5, 0.4, 0.1]), elapsed_ms=HOP_MS).second is None


def test_one_actor_is_not_two_voices_at_once():
    s = smoother(3, actors=[0, 0, 1])
    hear(s, *ALICE, 0, ms=1000)
    assert {said.second for said in hear(s, 0.45, 0.45, 0.05, 0.05, ms=3000)} == {None}


@given(st.lists(st.tuples(posteriors, st.floats(1, 500)), max_size=20))
def test_a_share_of_half_is_never_two_at_once(past):
    s = smoother(together_share=0.5)
    for p, elapsed_ms in past:
        s.update(p, elapsed_ms=elapsed_ms)
        assert s.shown.second is None or set(np.round(s.shares, 6)) == {0.5, 0.0}


# Whatever happens.

N = 4
ACTORS = [0, 1, 0, 2]
one_hot = st.integers(0, N).map(lambda i: np.eye(N + 1, dtype=np.float32)[i])
any_posterior = one_hot | a_posterior_of(N + 1)
tiny_or_huge = [0.0, 1e-9, 1e6]
lengths = st.just(500.0) | st.floats(0, 500) | st.sampled_from(tiny_or_huge)
events = st.lists(
    st.tuples(st.just("update"), any_posterior, lengths, st.sampled_from([0, 1e-12, 0.1, 1]))
    | st.tuples(st.sampled_from(["silence", "pass_time"]), lengths)
    | st.tuples(st.just("linger"), lengths, any_posterior)
    | st.tuples(st.just("reset")),
    max_size=25,
)
any_settings = st.fixed_dictionaries(
    {},
    optional={
        "time_constant_ms": st.sampled_from([0.0, 1e-3, 75.0, 10_000.0]),
        "change_ms": st.sampled_from([0.0, 1.0, 2000.0]),
        "change_share": st.floats(0.3, 1),
        "switching_margin": st.floats(0, 0.9),
        "switching_ms": st.sampled_from([0.0, 100.0]),
        "showing_share": st.floats(0, 1),
        "background_share": st.sampled_from([0.1, 0.9, 1.0]),
        "strangers": st.floats(0, 1),
        "unknown_ms": st.sampled_from([0.0, 100.0]),
        "together_share": st.floats(0.1, 0.5),
        "pause_ms": st.sampled_from([0.0, 100.0]),
        "linger_ms": st.sampled_from([0.0, 100.0]),
    },
)


@pytest.mark.filterwarnings("error")  # such as a division by zero
@given(events, any_settings, st.sampled_from([(), (0.9,) * N]), examples=300)
def test_whatever_happens_what_is_shown_makes_sense(happening, changed, sureness):
    s = smoother(N, actors=ACTORS, sureness=sureness, **changed)
    for what, *arguments in happening:
        if what == "update":
            posterior, elapsed_ms, weight = arguments
            said = s.update(posterior, elapsed_ms=elapsed_ms, weight=weight)
            assert said == s.shown
        elif what == "linger":
            before = s.shown
            s.silence(*arguments)
            # Whoever stays, stays alone.
            assert s.shown in (before._replace(second=None), NOBODY)
        else:
            getattr(s, what)(*arguments)
        if what in ("silence", "reset"):
            assert s.shown == NOBODY
        check(s)


def check(s: PosteriorSmoother) -> None:
    character, actor, unknown, second = s.shown
    if character is None:
        assert second is None
        assert actor is None or ACTORS.count(actor) > 1
    else:
        assert character in range(N)
        assert actor == ACTORS[character]
        assert second is None or second in range(N)
        assert second != character
    assert not (unknown and actor is not None)
    assert np.isfinite(s.shares).all()
    assert (s.shares >= 0).all()
    assert s.shares.sum() == pytest.approx(1, abs=1e-5) or not s.shares.any()
    assert s.actor_shares.sum() == pytest.approx(s.shares[:N].sum())
