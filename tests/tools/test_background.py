"""Synthesized sound and augmentations: what they promise, and that a seed decides everything."""

import numpy as np
import pytest

from kikiwake.tools.augment import band_limit, reverberate
from kikiwake.tools.starter.background import KINDS, SAMPLE_RATE, make_background, room_tone

FRAME = SAMPLE_RATE // 50
AUGMENTATIONS = pytest.mark.parametrize("augment", [reverberate, band_limit])


def active_dbfs(y):
    """RMS over the 20 ms frames within 30 dB of the loudest."""
    n_frames = max(1, len(y) // FRAME)
    power = np.array([np.mean(part.astype(float) ** 2) for part in np.array_split(y, n_frames)])
    return 10 * np.log10(power[power > power.max() / 1000].mean())


def tone(hz, seconds=0.5):
    return np.sin(2 * np.pi * hz * np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE).astype("f4")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(12))
def test_length_level_and_peak(kind, seed):
    seconds = (0.1, 1.0, 2.5)[seed % 3]
    y = make_background(kind, seconds, np.random.default_rng(seed))
    assert y.dtype == np.float32
    assert y.shape == (round(seconds * SAMPLE_RATE),)
    assert np.all(np.isfinite(y))
    assert np.abs(y).max() < 1
    # Peaks are rounded off after the level is set, so sparse sounds end up softer.
    assert -24 < active_dbfs(y) < -19


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides(kind):
    first, again, other = (
        make_background(kind, 1.0, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_one_generator_makes_another_sound_each_time():
    rng = np.random.default_rng(1)
    assert not np.array_equal(*(make_background("music", 1.0, rng) for _ in range(2)))


def test_room_tone_is_steady_and_at_its_level():
    y = room_tone(3.0, np.random.default_rng(0))
    assert y.shape == (3 * SAMPLE_RATE,)
    thirds = [10 * np.log10(np.mean(part**2)) for part in np.split(y, 3)]
    assert thirds == pytest.approx([-20] * 3, abs=1.5)
    assert np.array_equal(y, room_tone(3.0, np.random.default_rng(0)))


@pytest.mark.parametrize("seconds", [0.0, 0.09, -1.0, float("nan")])
def test_too_short_is_named(seconds):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match=rf"seconds={seconds} must be at least 0\.1"):
        make_background("noise", seconds, rng)
    with pytest.raises(ValueError, match=rf"seconds={seconds} must be at least 0\.1"):
        room_tone(seconds, rng)


def test_unknown_kind_is_named():
    with pytest.raises(ValueError, match="kind='speech' must be one of"):
        make_background("speech", 1.0, np.random.default_rng(0))


@AUGMENTATIONS
@pytest.mark.parametrize("n", [1, 7, 441, 22050])
@pytest.mark.parametrize("sample_rate", [16000, SAMPLE_RATE])
def test_augmentations_keep_length_and_input(augment, n, sample_rate):
    y = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    before = y.copy()
    for seed in range(8):
        out = augment(y, np.random.default_rng(seed), sample_rate=sample_rate)
        again = augment(y, np.random.default_rng(seed), sample_rate=sample_rate)
        assert out.shape == y.shape
        assert out.dtype == np.float32
        assert np.all(np.isfinite(out))
        assert np.array_equal(out, again)
    assert np.array_equal(y, before)


@AUGMENTATIONS
def test_silence_stays_silence(augment):
    y = np.zeros(1000, np.float32)
    assert not augment(y, np.random.default_rng(0), sample_rate=SAMPLE_RATE).any()


@AUGMENTATIONS
@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.zeros(0, np.float32), r"y of shape \(0,\) must be one-dimensional and not empty"),
        (np.zeros((2, 3), np.float32), r"y of shape \(2, 3\) must be one-dimensional"),
        (np.array([0, np.nan], np.float32), "y must be finite"),
        (np.array([0, np.inf], np.float32), "y must be finite"),
    ],
)
def test_augmentations_name_bad_input(augment, y, says):
    with pytest.raises(ValueError, match=says):
        augment(y, np.random.default_rng(0), sample_rate=SAMPLE_RATE)


@pytest.mark.parametrize("seed", range(6))
def test_a_room_rings_after_the_sound_but_not_before(seed):
    y = np.zeros(SAMPLE_RATE, np.float32)
    y[10000:12000] = tone(440)[:2000]
    out = reverberate(y, np.random.default_rng(seed), sample_rate=SAMPLE_RATE)
    assert not np.any(np.abs(out[:9000]) > 1e-5)
    assert np.mean(out[12000:14000] ** 2) > 0
    assert np.mean(out**2) == pytest.approx(np.mean(y**2), rel=1e-3)


@pytest.mark.parametrize("seed", range(6))
def test_a_channel_passes_the_middle_and_not_the_top(seed):
    def through(hz):
        out = band_limit(tone(hz), np.random.default_rng(seed), sample_rate=SAMPLE_RATE)
        return float(np.mean(out[5000:] ** 2) / 0.5)

    assert through(1000) == pytest.approx(1, abs=0.1)
    assert through(21500) < 0.5
