"""Training patches: shapes, labels and their share, and that a seed decides everything."""

import numpy as np
import pytest

from kikiwake.features.settings import FeatureSettings
from kikiwake.tools import patches
from kikiwake.tools.clips import resample
from kikiwake.tools.patches import BACKGROUND_SHARE, MIN_SPEECH_S, PatchComposer, PatchSet

SETTINGS = FeatureSettings()
RATE = SETTINGS.sample_rate
# Voices are tones: inside every channel that an augmentation draws, and easy to find again.
VOICES_HZ = (700.0, 1100.0, 1700.0)
N_CLASSES = len(VOICES_HZ) + 1


def tone(hz, seconds):
    return (0.2 * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE)) / RATE)).astype("f4")


def make_clips():
    return [[tone(hz, seconds) for seconds in (0.3, 1.0, 2.0)] for hz in VOICES_HZ]


def make_background():
    rng = np.random.default_rng(0)
    return [0.02 * rng.standard_normal(2 * RATE, np.float32) for _ in range(3)]


@pytest.fixture(scope="module")
def composed() -> PatchSet:
    composer = PatchComposer(make_clips(), make_background(), SETTINGS)
    assert composer.n_classes == N_CLASSES
    return composer.compose(600, np.random.default_rng(3))


def voice_levels(y):
    """Level of each voice's tone in a sound, 1 for the clips' own."""
    t = np.arange(len(y)) / RATE
    window = np.hanning(len(y))
    return [
        float(np.abs(np.sum(y * window * np.exp(-2j * np.pi * hz * t))) / window.sum() / 0.1)
        for hz in VOICES_HZ
    ]


def test_shapes_and_values(composed):
    assert len(composed) == 600
    assert composed.mfcc.shape == (600, SETTINGS.n_mfcc, SETTINGS.patch_frames)
    assert composed.mfcc.dtype == np.float32
    assert composed.label.shape == (600,)
    assert composed.label.dtype == np.int64
    assert np.all(np.isfinite(composed.mfcc))


def test_shares(composed):
    share = np.bincount(composed.label, minlength=N_CLASSES) / len(composed)
    assert len(share) == N_CLASSES
    each = (1 - BACKGROUND_SHARE) / len(VOICES_HZ)
    assert share == pytest.approx([each] * len(VOICES_HZ) + [BACKGROUND_SHARE], abs=0.06)


def test_the_seed_decides():
    composer = PatchComposer(make_clips(), make_background(), SETTINGS)
    first, again, other = (composer.compose(20, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first.mfcc, again.mfcc)
    assert np.array_equal(first.label, again.label)
    assert not np.array_equal(first.mfcc, other.mfcc)


def test_voices_that_are_others():
    """Four patches of each stretch; the vectors are of many voices, though there are three."""
    composer = PatchComposer(make_clips(), make_background(), SETTINGS)
    made = composer.compose_perturbed(42, np.random.default_rng(1))
    assert made.mfcc.shape == (42, SETTINGS.n_mfcc, SETTINGS.patch_frames)
    assert np.all(np.isfinite(made.mfcc))
    assert np.linalg.norm(made.vector, axis=1) == pytest.approx(1, abs=1e-3)
    _, first, counts = np.unique(made.vector, axis=0, return_index=True, return_counts=True)
    assert sorted(first) == list(range(0, 42, 4))
    assert sorted(counts) == [2, *[4] * 10]
    again = composer.compose_perturbed(42, np.random.default_rng(1))
    assert np.array_equal(made.mfcc, again.mfcc)
    assert np.array_equal(made.vector, again.vector)


def test_clips_and_background_stay_as_they_were():
    clips, background = make_clips(), make_background()
    composer = PatchComposer(clips, background, SETTINGS)
    composer.compose(100, np.random.default_rng(0))
    composer.compose_perturbed(20, np.random.default_rng(0))
    for before, after in zip(make_clips(), clips, strict=True):
        assert all(map(np.array_equal, before, after))
    assert all(map(np.array_equal, make_background(), background))


def test_the_label_is_whoever_speaks_at_the_end(monkeypatch):
    sounds = []

    def listen(y, settings):
        sounds.append(y)
        return np.zeros((settings.n_mfcc, settings.patch_frames), np.float32)

    monkeypatch.setattr(patches, "mfcc", listen)
    composer = PatchComposer(make_clips(), make_background(), SETTINGS)
    labels = composer.compose(400, np.random.default_rng(0)).label
    assert all(y.shape == (SETTINGS.patch_samples,) for y in sounds)
    assert all(np.abs(y).max() <= 1 for y in sounds)
    end = int(MIN_SPEECH_S * RATE)
    right = speaking = nobody = 0
    for y, label in zip(sounds, labels, strict=True):
        levels = voice_levels(y[-end:] / (np.sqrt(np.mean(y**2)) + 1e-9) * 0.1)
        if label == len(VOICES_HZ):
            nobody += max(levels) < 0.2
        elif max(levels) > 0.2:  # otherwise a pause at the end
            speaking += 1
            right += int(np.argmax(levels)) == label
    n_background = int((labels == len(VOICES_HZ)).sum())
    assert nobody > 0.97 * n_background
    assert speaking > 0.8 * (len(labels) - n_background)
    assert right > 0.97 * speaking


@pytest.mark.parametrize(
    "settings",
    [
        FeatureSettings(patch_samples=int(0.1 * RATE)),
        FeatureSettings(patch_samples=int(0.3 * RATE)),
        FeatureSettings(patch_samples=int(1.2 * RATE)),
        FeatureSettings(sample_rate=16000, n_fft=512, hop_length=160, n_mfcc=20, n_mels=40),
    ],
)
def test_other_patches_than_half_a_second(settings):
    """Longer, shorter, another rate: 22,050 samples are 1.4 s at 16 kHz."""
    composer = PatchComposer(make_clips(), make_background(), settings)
    composed = composer.compose(40, np.random.default_rng(0))
    assert composed.mfcc.shape == (40, settings.n_mfcc, settings.patch_frames)
    assert np.all(np.isfinite(composed.mfcc))


def test_what_is_missing_is_named():
    clips, background = make_clips(), make_background()
    with pytest.raises(ValueError, match="background must hold sounds of at least a second"):
        PatchComposer(clips, [], SETTINGS)
    with pytest.raises(ValueError, match="background must hold sounds of at least a second"):
        PatchComposer(clips, [b[: RATE // 2] for b in background], SETTINGS)
    with pytest.raises(ValueError, match=r"clips\[1\] must hold at least one clip"):
        PatchComposer([clips[0], []], background, SETTINGS)
    with pytest.raises(ValueError, match=r"clips\[3\] must hold at least one clip"):
        PatchComposer([*clips, [tone(300, 0.1)]], background, SETTINGS)


def test_resample():
    y = tone(440, 1.0)
    assert resample(y, RATE, RATE) is y
    lower = resample(y, RATE, 16000)
    assert lower.dtype == np.float32
    assert abs(len(lower) - 16000) <= 1
    assert np.std(lower) == pytest.approx(np.std(y), rel=0.02)
