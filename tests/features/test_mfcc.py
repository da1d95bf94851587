import itertools

import msgspec
import numpy as np
import pytest
from make_golden import CASES, GOLDEN
from material import SIGNALS, SMALL, noise

from kikiwake.features._kernels import _to_db
from kikiwake.features.mel import (
    dct_matrix,
    hann,
    hz_to_mel,
    lifter_weights,
    mel_filters,
    mel_to_hz,
)
from kikiwake.features.mfcc import melspectrogram, mfcc
from kikiwake.features.settings import ORIGIN, FeatureSettings

OTHERS = [
    FeatureSettings(pad_mode="constant"),
    FeatureSettings(
        sample_rate=16000,
        n_fft=512,
        hop_length=160,
        n_mels=64,
        n_mfcc=20,
        fmin=60.0,
        fmax=7600.0,
        patch_samples=8000,
    ),
    FeatureSettings(sample_rate=22050, n_fft=1024, hop_length=1024, n_mels=40, n_mfcc=40),
    FeatureSettings(sample_rate=48000, n_fft=1200, hop_length=300, top_db=40.0),
    FeatureSettings(sample_rate=96000, n_fft=4096, hop_length=960, top_db=None, mel_norm=None),
    FeatureSettings(sample_rate=8000, n_fft=254, hop_length=80, n_mels=40, n_mfcc=40, htk=True),
    FeatureSettings(dct_type=1, lifter=44.0),
    FeatureSettings(dct_type=3, norm=None, n_mels=40, n_mfcc=20),
    SMALL,
]


def librosa_mel(y, features):
    librosa = pytest.importorskip("librosa")
    return librosa.feature.melspectrogram(
        y=y,
        sr=features.sample_rate,
        n_fft=features.n_fft,
        hop_length=features.hop_length,
        n_mels=features.n_mels,
        fmin=features.fmin,
        fmax=features.fmax,
        htk=features.htk,
        norm=features.mel_norm,
        pad_mode=features.pad_mode,
    )


def librosa_mfcc(y, features):
    import librosa

    return librosa.feature.mfcc(
        S=librosa.power_to_db(librosa_mel(y, features), top_db=features.top_db),
        n_mfcc=features.n_mfcc,
        dct_type=features.dct_type,
        norm=features.norm,
        lifter=features.lifter,
    )


class TestParity:
    @pytest.mark.parametrize("case", CASES)
    def test_golden(self, case):
        with np.load(GOLDEN) as golden:
            assert str(golden["librosa"]) == "0.11.0"
            expected = golden[case]
        name, others = CASES[case]
        features = FeatureSettings(**others)
        got = mfcc(SIGNALS[name], features)
        assert got.dtype == np.float32
        assert got.shape == (features.n_mfcc, 44)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)

    @pytest.mark.parametrize("features", [ORIGIN, *OTHERS])
    @pytest.mark.parametrize("name", SIGNALS)
    def test_librosa(self, name, features):
        if features.top_db is None and name not in ("noise", "silence", "impulse", "denormal"):
            pytest.skip("without a floor both show the rounding errors of an FFT in float32")
        y = SIGNALS[name]
        # The tolerance is of the usual transform; these make all of its output larger.
        scale = (1 + features.lifter / 2) * (1 if features.norm else (2 * features.n_mels) ** 0.5)
        expected = librosa_mfcc(y, features)
        np.testing.assert_allclose(mfcc(y, features), expected, rtol=0, atol=1e-3 * scale)

    @pytest.mark.parametrize("features", [ORIGIN, *OTHERS])
    @pytest.mark.parametrize("name", SIGNALS)
    def test_librosa_mel(self, name, features):
        y = SIGNALS[name]
        expected = librosa_mel(y, features)
        got = melspectrogram(y, features)
        assert got.dtype == np.float32
        # Beside the loudest, both are the rounding errors of an FFT in float32.
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-6 * max(expected.max(), 1e-6))

    @pytest.mark.parametrize("n", [129, 130, 255, 256, 257, 1500, 9999])
    def test_lengths(self, n):
        y = noise(n)
        np.testing.assert_allclose(mfcc(y, SMALL), librosa_mfcc(y, SMALL), rtol=0, atol=1e-3)

    def test_constant_padding_takes_any_length(self):
        features = msgspec.structs.replace(SMALL, pad_mode="constant")
        for n in (1, 2, 100):
            y = noise(n)
            expected = librosa_mfcc(y, features)
            np.testing.assert_allclose(mfcc(y, features), expected, rtol=0, atol=1e-3)

    def test_tables(self):
        filters = pytest.importorskip("librosa").filters
        expected = filters.mel(sr=44100, n_fft=2048, n_mels=128, dtype=np.float64)
        got = mel_filters(sample_rate=44100, n_fft=2048, n_mels=128, fmin=0.0, fmax=22050.0)
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-15)
        np.testing.assert_allclose(hann(8), filters.get_window("hann", 8), atol=1e-15)

    def test_dct(self):
        dct = pytest.importorskip("scipy.fft").dct
        for dct_type, ortho in itertools.product((1, 2, 3), (True, False)):
            got = dct_matrix(7, 24, dct_type=dct_type, ortho=ortho)
            expected = dct(np.eye(24), dct_type, norm="ortho" if ortho else None, axis=0)[:7]
            np.testing.assert_allclose(got, expected, atol=1e-12)


class TestTables:
    def test_mel_scale_turns_back(self):
        hz = np.array([0.0, 20.0, 999.0, 1000.0, 1001.0, 22050.0])
        for htk in (False, True):
            turned = mel_to_hz(hz_to_mel(hz, htk=htk), htk=htk)
            np.testing.assert_allclose(turned, hz, rtol=1e-12)

    def test_filters_have_unit_area(self):
        filters = mel_filters(sample_rate=16000, n_fft=8192, n_mels=20, fmin=100.0, fmax=8000.0)
        np.testing.assert_allclose(filters.sum(axis=1) * 16000 / 8192, 1, rtol=1e-2)

    @pytest.mark.parametrize("dct_type", [1, 2, 3])
    def test_dct_is_orthonormal(self, dct_type):
        matrix = dct_matrix(24, 24, dct_type=dct_type)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(24), atol=1e-12)

    def test_lifter(self):
        assert lifter_weights(3, 0).tolist() == [1, 1, 1]
        np.testing.assert_allclose(lifter_weights(2, 4), [1 + 2 * 0.5**0.5, 3])


class TestLevels:
    """Powers to decibels: our own logarithm, against NumPy's in float64."""

    def test_exact(self):
        power = np.concatenate(
            [np.geomspace(1e-10, 3e38, 100_001), [0.0, 1e-45, 1e-11, 1.0, 2.0, 0.5, 0.70710677]]
        ).astype(np.float32)
        got = power.copy()
        _to_db(got)
        expected = 10 * np.log10(np.maximum(power.astype(np.float64), 1e-10))
        np.testing.assert_allclose(got, expected, rtol=0, atol=4e-5)

    def test_not_finite_stays(self):
        got = np.array([np.nan, np.inf, 1.0], np.float32)
        _to_db(got)
        np.testing.assert_array_equal(got, np.array([np.nan, np.inf, 0.0], np.float32))

    @pytest.mark.parametrize(
        ("bad", "top_db"), [(np.nan, None), (np.nan, 80.0), (np.inf, None), (-np.inf, None)]
    )
    def test_spoils_no_other_frame(self, bad, top_db):
        features = FeatureSettings(top_db=top_db)
        y = noise(22050)
        expected = mfcc(y, features)
        y[10_000] = bad
        got = mfcc(y, features)
        touched = np.abs(np.arange(44) * 512 - 10_000) <= 1024
        assert not np.isfinite(got[:, touched]).any()
        np.testing.assert_array_equal(got[:, ~touched], expected[:, ~touched])


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"sample_rate": 0}, r"sample_rate=0 must be in \[1, 768000\]"),
            ({"sample_rate": 768_001}, "sample_rate=768001 must be in"),
            ({"n_fft": 0}, r"n_fft=0 must be in \[2, 65536\] and even"),
            ({"n_fft": 2047}, "n_fft=2047 must be in .* and even"),
            ({"n_fft": 65_538}, "n_fft=65538 must be in"),
            ({"hop_length": 0}, r"hop_length=0 must be in \[1, n_fft=2048\]"),
            ({"hop_length": 2049}, "hop_length=2049 must be in"),
            ({"n_mels": 0}, r"n_mels=0 must be in \[1, 1024\]"),
            ({"n_mels": 1025}, "n_mels=1025 must be in"),
            ({"n_mfcc": 0}, r"n_mfcc=0 must be in \[1, n_mels=128\]"),
            ({"n_mfcc": 129}, "n_mfcc=129 must be in"),
            ({"fmin": -1.0}, r"fmin=-1.0 must be in \[0, fmax=22050\)"),
            ({"fmin": float("nan")}, "fmin=nan must be in"),
            ({"fmin": 500.0, "fmax": 400.0}, "fmin=500.0 must be in"),
            ({"fmax": 22051.0}, "fmax=22051.0 must be at most sample_rate / 2 = 22050"),
            ({"pad_mode": "wrap"}, "pad_mode='wrap' must be 'reflect' or 'constant'"),
            ({"mel_norm": "l1"}, "mel_norm='l1' must be 'slaney' or None"),
            ({"top_db": 0.0}, "top_db=0.0 must be positive and finite, or None"),
            ({"dct_type": 4}, "dct_type=4 must be 1, 2 or 3"),
            ({"dct_type": 1, "n_mels": 1, "n_mfcc": 1}, "dct_type=1 must be 2 or 3"),
            ({"norm": "slaney"}, "norm='slaney' must be 'ortho' or None"),
            ({"lifter": -1.0}, "lifter=-1.0 must be 0 or more and finite"),
            ({"patch_samples": 1024}, "patch_samples=1024 must be more than n_fft / 2 = 1024"),
            ({"patch_samples": 2**20 + 1}, "patch_samples=1048577 must be at most 1048576"),
            (
                {"sample_rate": 8000, "patch_samples": 480_001},
                "patch_samples=480001 must be at most 60 s of sound",
            ),
            (
                {"hop_length": 1, "n_mels": 1024},
                "hop_length=1 must be longer: 1024 bands of 22051 frames are more than",
            ),
        ],
    )
    def test_settings(self, changes, message):
        with pytest.raises(ValueError, match=message):
            FeatureSettings(**changes)

    def test_settings_at_their_bounds(self):
        FeatureSettings(sample_rate=768_000, n_fft=65_536, n_mels=1024, patch_samples=2**20)
        FeatureSettings(sample_rate=8000, patch_samples=480_000)
        FeatureSettings(sample_rate=1, n_fft=2, hop_length=1, patch_samples=2)

    def test_settings_from_json(self):
        assert msgspec.json.decode(msgspec.json.encode(SMALL), type=FeatureSettings) == SMALL
        with pytest.raises(msgspec.ValidationError, match="hop_length=0 must be in"):
            msgspec.json.decode(b'{"hop_length": 0}', type=FeatureSettings)
        with pytest.raises(msgspec.ValidationError, match="unknown field `window`"):
            msgspec.json.decode(b'{"window": 22}', type=FeatureSettings)

    def test_signals(self):
        with pytest.raises(ValueError, match=r"y has shape \(2, 3000\), must be one-dim"):
            mfcc(np.zeros((2, 3000), np.float32), ORIGIN)
        with pytest.raises(ValueError, match="y has dtype float64, must be float32"):
            mfcc(np.zeros(3000), ORIGIN)
        with pytest.raises(ValueError, match="y has 1024 samples, must have at least 1025"):
            mfcc(np.zeros(1024, np.float32), ORIGIN)
        with pytest.raises(ValueError, match="y has 0 samples, must have at least 1 "):
            mfcc(np.zeros(0, np.float32), FeatureSettings(pad_mode="constant"))
