"""Backgrounds under patches of MFCC: as if they had been under the sound."""

import numpy as np
import pytest

pytest.importorskip("scipy", reason="synthesizing backgrounds needs kikiwake[train]")

from kikiwake.features.mfcc import mfcc
from kikiwake.features.settings import ORIGIN, FeatureSettings
from kikiwake.tools import cepstra
from kikiwake.tools.cepstra import Beds, make_beds

SMALL = FeatureSettings(
    sample_rate=16_000, n_fft=512, hop_length=256, n_mels=40, n_mfcc=40, patch_samples=8_000
)


def sounds(settings, n, seed):
    """Noises of different colour, a second voice's worth apart in level."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        y = rng.standard_normal(settings.patch_samples)
        for _ in range(3):
            y += rng.uniform(-0.7, 0.7) * np.roll(y, int(rng.integers(1, 6)))
        out.append((0.1 * y / y.std()).astype(np.float32))
    return out


class Drawn:
    """Draws what it is told to, where a generator is asked."""

    def __init__(self, below_db):
        self._below = below_db

    def random(self, n):
        return np.zeros(n)

    def integers(self, n, size):
        return np.arange(size) % n

    def uniform(self, low, high, shape):
        assert low <= self._below <= high
        return np.full(shape, self._below)


@pytest.mark.parametrize("below_db", [0.0, 10.0, 20.0])
def test_as_if_mixed_in_sound(below_db):
    """With as many coefficients as bands nothing is lost by undoing the transform."""
    voices, beds = sounds(SMALL, 6, 1), sounds(SMALL, 6, 2)
    patches = np.stack([mfcc(y, SMALL) for y in voices])
    Beds(np.stack([mfcc(y, SMALL) for y in beds]), SMALL).under(patches, 1.0, Drawn(below_db))
    factor = np.float32(10 ** (-below_db / 20))
    for patch, voice, bed in zip(patches, voices, beds, strict=True):
        # Level by the mean over bands, not over samples: a colour makes some difference.
        wanted = [mfcc(voice + gain * factor * bed, SMALL) for gain in (0.5, 1.0, 2.0)]
        error = min(np.abs(patch - w).mean() for w in wanted)
        alone = np.abs(mfcc(voice, SMALL) - wanted[1]).mean()
        assert error < max(0.6 * alone, 3.0)


def test_far_below_nothing_changes():
    patches = np.stack([mfcc(y, ORIGIN) for y in sounds(ORIGIN, 4, 1)])
    before = patches.copy()
    beds = Beds(patches[::-1], ORIGIN)
    beds.under(patches, 0.0, np.random.default_rng(0))
    assert np.array_equal(patches, before)
    beds.under(patches, 1.0, Drawn(25.0))
    assert 0 < np.abs(patches - before).mean() < 1.0


def test_some_of_the_patches_and_the_seed_decides(monkeypatch):
    monkeypatch.setattr(cepstra, "_SOUNDS", 8)
    beds = make_beds(SMALL, 0)
    patches = np.stack([mfcc(y, SMALL) for y in sounds(SMALL, 60, 3)])

    def mixed(seed):
        out = patches.copy()
        beds.under(out, 0.5, np.random.default_rng(seed))
        return out

    changed = (mixed(1) != patches).any(axis=(1, 2))
    assert 15 < changed.sum() < 45
    assert np.array_equal(mixed(1), mixed(1))
    assert not np.array_equal(mixed(1), mixed(2))
    assert np.all(np.isfinite(mixed(1)))
