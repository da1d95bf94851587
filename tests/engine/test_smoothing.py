"""The smoother: properties of the mean, and of the name shown."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kikiwake.engine.config import SmoothingSettings
from kikiwake.engine.smoothing import PosteriorSmoother

ALICE, BOB, NOBODY = np.eye(3, dtype=np.float32)


def smoother(**settings: float) -> PosteriorSmoother:
    return PosteriorSmoother(2, 3, SmoothingSettings(**settings))


posteriors = st.lists(st.floats(0.01, 1), min_size=3, max_size=3).map(
    lambda p: (np.array(p) / sum(p)).astype(np.float32)
)
steps = st.lists(st.tuples(posteriors, st.floats(1, 500), st.floats(0, 1)), max_size=20)


@given(steps, posteriors, st.floats(1, 300), st.integers(1, 20))
def test_n_steps_equal_one_step_of_n_times_the_length(past, posterior, hop_ms, n):
    once, often = smoother(), smoother()
    for p, elapsed_ms, weight in past:
        once.update(p, elapsed_ms=elapsed_ms, weight=weight)
        often.update(p, elapsed_ms=elapsed_ms, weight=weight)
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


@given(steps)
def test_nobody_is_shown_in_silence_and_reset_is_as_new(past):
    s = smoother()
    for p, elapsed_ms, weight in past:
        s.update(p, elapsed_ms=elapsed_ms, weight=weight)
    s.silence(1.0)
    assert s.shown is None
    s.reset()
    assert s.shown is None
    assert not s.shares.any()


def test_time_that_nothing_is_known_of_keeps_the_name_and_weakens_the_past():
    a, b = smoother(), smoother()
    for s in (a, b):
        for _ in range(10):
            s.update(np.array([0.9, 0.05, 0.05]), elapsed_ms=25.0)
    a.pass_time(300.0)
    assert a.shown == b.shown == 0
    for s in (a, b):
        s.update(np.array([0.05, 0.9, 0.05]), elapsed_ms=25.0)
    assert a.shares[1] > 0.8
    assert b.shares[1] < 0.5


def test_a_switch_takes_the_time_the_constant_says():
    # From all Alice to all Bob: Bob leads by the margin m when 1 - 2 exp(-t / tau) > m.
    s = smoother(time_constant_ms=200, switching_margin=0.2, showing_share=0.5)
    s.update(ALICE, elapsed_ms=10_000)
    elapsed_ms = 0
    while s.update(BOB, elapsed_ms=1) != 1:
        elapsed_ms += 1
        assert s.shown == 0, "no gap between two names"
    assert elapsed_ms == pytest.approx(200 * np.log(2 / 0.8), abs=1.5)


def test_a_single_odd_hop_does_not_flip_the_name():
    s = smoother(time_constant_ms=200)
    for _ in range(10):
        s.update(ALICE, elapsed_ms=100)
    assert s.update(BOB, elapsed_ms=100) == 0
    assert s.update(ALICE, elapsed_ms=100) == 0


def test_hop_without_speech_changes_nothing():
    s = smoother()
    s.update(ALICE, elapsed_ms=100)
    before = s.shares
    assert s.update(BOB, elapsed_ms=100, weight=0.0) == 0
    np.testing.assert_array_equal(s.shares, before)


def test_background_is_never_named():
    s = smoother()
    for _ in range(20):
        assert s.update(NOBODY, elapsed_ms=100) is None


def test_after_a_pause_the_old_name_weighs_less():
    after_pause, at_once = smoother(), smoother()
    for s in (after_pause, at_once):
        s.update(ALICE, elapsed_ms=1000)
    after_pause.silence(400)
    for s in (after_pause, at_once):
        s.update(BOB, elapsed_ms=100)
    assert after_pause.shares[1] > at_once.shares[1]


def test_zero_time_constant_takes_every_guess_as_it_comes():
    s = smoother(time_constant_ms=0, switching_margin=0)
    assert s.update(ALICE, elapsed_ms=100) == 0
    assert s.update(BOB, elapsed_ms=100) == 1


def test_unsure_is_not_shown():
    s = smoother(showing_share=0.6)
    assert s.update(np.array([0.5, 0.3, 0.2], np.float32), elapsed_ms=100) is None
