"""The voice encoder, beside Resemblyzer's own vectors of the same sounds."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
from threadpoolctl import ThreadpoolController

from kikiwake.tools.likeness import clip_vector, unit_vectors
from kikiwake.tools.voice_encoder import LENGTH, voice_encoder

# Made by `make_golden_voices.py`, with Resemblyzer 0.1.4 and torch 2.13.
GOLDEN = Path(__file__).parent / "golden_voices.npz"
DEMO = Path(__file__).parents[2] / "models" / "starter" / "demo.ogg"
RATE = 48_000  # of the demo


@pytest.fixture(scope="module")
def sounds():
    """Parts of the demo, and what Resemblyzer makes of them."""
    demo, _ = soundfile.read(DEMO, dtype="float32")
    with np.load(GOLDEN) as found:
        parts = [
            demo[round(begin * RATE) : round((begin + length) * RATE)] * np.float32(gain)
            for begin, length, gain in found["parts"]
        ]
        return parts, [found[str(number)] for number in range(len(parts))]


def test_as_resemblyzer(sounds):
    parts, wanted = sounds
    for found, its in zip(voice_encoder().listen(parts, RATE), wanted, strict=True):
        assert found.shape == its.shape
        assert np.sum(found * its, axis=1) == pytest.approx(1, abs=2e-4)


def test_alone_as_in_company(sounds):
    parts, _ = sounds
    together = voice_encoder().listen(parts, RATE)
    for part, found in zip(parts, together, strict=True):
        np.testing.assert_allclose(voice_encoder().listen([part], RATE)[0], found, atol=1e-5)


def test_one_thread_can_be_asked_for():
    """Versions of threadpoolctl before 3.5 do not know NumPy's BLAS, and say nothing."""
    assert "blas" in [its["user_api"] for its in ThreadpoolController().info()]


def test_what_is_short_is_heard_over_and_over(sounds):
    word = sounds[0][0][: RATE // 2]
    (short,), (repeated,) = voice_encoder().listen([word, np.tile(word, 4)[: RATE * 8 // 5]], RATE)
    assert short @ repeated > 0.9


@pytest.mark.parametrize("y", [np.zeros(0), np.zeros(7), np.zeros(RATE), np.full(3, 0.1)])
def test_anything_gets_a_vector(y):
    (found,) = voice_encoder().listen([y.astype(np.float32)], RATE)
    assert found.shape == (1, LENGTH)
    assert np.isfinite(found).all()


def test_likeness_is_the_voice_not_the_words():
    demo, _ = soundfile.read(DEMO, dtype="float32")
    clips, whose = [], []
    for line in DEMO.with_suffix(".rttm").read_text(encoding="utf-8").splitlines():
        _, _, _, begin, length, _, _, who, *_ = line.split()
        turn = demo[round(float(begin) * RATE) : round((float(begin) + float(length)) * RATE)]
        clips += np.array_split(turn, 2)
        whose += [who, who]
    vectors = np.array([clip_vector(clip, RATE) for clip in clips] + [np.full(LENGTH, np.nan)])
    units = unit_vectors(vectors)
    assert not units[-1].any()  # nobody has listened to it
    likeness = units[:-1] @ units[:-1].T
    same = np.equal.outer(whose, whose)
    halves = [likeness[at, at + 1] for at in range(0, len(clips), 2)]
    assert min(halves) > np.quantile(likeness[~same], 0.9)
    np.fill_diagonal(likeness, -2)
    assert (
        np.mean(
            [whose[likest] == who for likest, who in zip(likeness.argmax(1), whose, strict=True)]
        )
        > 0.9
    )


def test_clips_that_are_all_the_same_are_no_error():
    assert np.isfinite(unit_vectors(np.ones((3, LENGTH), np.float32))).all()
    assert not unit_vectors(np.full((3, LENGTH), np.nan, np.float32)).any()
