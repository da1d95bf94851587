import gc
import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from make_golden import CASES, GOLDEN, signals

from kikiwake.features.mel import dct_matrix, hann, hz_to_mel, mel_filters, mel_to_hz
from kikiwake.features.mfcc import PatchStream, mfcc
from kikiwake.features.settings import ORIGIN, FeatureSettings

SIGNALS = signals()
# Quick to compute, and odd on purpose: a patch that is no whole number of hops.
SMALL = FeatureSettings(
    sample_rate=16000, n_fft=256, hop_length=96, n_mels=24, n_mfcc=13, patch_samples=1500
)
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
    SMALL,
]


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32) / 8


def patches_of(stream, y, cuts):
    """Every patch of y, fed in blocks that end at the cuts."""
    blocks = np.split(y, sorted(cuts))
    return [patch.copy() for block in blocks for patch in stream.process(block)]


def patches_by_definition(y, features, hop):
    """What the patches of a stream must be: mfcc of the samples, silence before the first."""
    whole = np.concatenate([np.zeros(features.patch_samples, np.float32), y])
    ends = range(hop, y.size + 1, hop)
    return [mfcc(whole[end : end + features.patch_samples], features) for end in ends]


def librosa_mfcc(y, features):
    librosa = pytest.importorskip("librosa")
    mel = librosa.feature.melspectrogram(
        y=y,
        sr=features.sample_rate,
        n_fft=features.n_fft,
        hop_length=features.hop_length,
        n_mels=features.n_mels,
        fmin=features.fmin,
        fmax=features.fmax,
        pad_mode=features.pad_mode,
    )
    return librosa.feature.mfcc(
        S=librosa.power_to_db(mel, top_db=features.top_db), n_mfcc=features.n_mfcc
    )


class TestParity:
    @pytest.mark.parametrize(("name", "pad_mode"), CASES)
    def test_golden(self, name, pad_mode):
        with np.load(GOLDEN) as golden:
            assert str(golden["librosa"]) == "0.11.0"
            expected = golden[f"{name}_{pad_mode}"]
        got = mfcc(SIGNALS[name], FeatureSettings(pad_mode=pad_mode))
        assert got.dtype == np.float32
        assert got.shape == (44, 44)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)

    @pytest.mark.parametrize("features", [ORIGIN, *OTHERS])
    @pytest.mark.parametrize("name", SIGNALS)
    def test_librosa(self, name, features):
        y = SIGNALS[name]
        expected = librosa_mfcc(y, features)
        np.testing.assert_allclose(mfcc(y, features), expected, rtol=0, atol=1e-3)

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


class TestTables:
    def test_mel_scale_turns_back(self):
        hz = np.array([0.0, 20.0, 999.0, 1000.0, 1001.0, 22050.0])
        np.testing.assert_allclose(mel_to_hz(hz_to_mel(hz)), hz, rtol=1e-12)

    def test_filters_have_unit_area(self):
        filters = mel_filters(sample_rate=16000, n_fft=8192, n_mels=20, fmin=100.0, fmax=8000.0)
        np.testing.assert_allclose(filters.sum(axis=1) * 16000 / 8192, 1, rtol=1e-2)

    def test_dct_is_orthonormal(self):
        matrix = dct_matrix(24, 24)
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(24), atol=1e-12)


class TestStream:
    @settings(deadline=None, max_examples=60)
    @given(
        n=st.integers(0, 5000),
        hop_frames=st.sampled_from([1, 2, 5, 11, 13, 14, 40]),
        cuts=st.lists(st.integers(0, 5000), max_size=12),
        pad_mode=st.sampled_from(["reflect", "constant"]),
    )
    def test_any_chunking_is_mfcc_of_the_patch(self, n, hop_frames, cuts, pad_mode):
        features = msgspec.structs.replace(SMALL, pad_mode=pad_mode)
        y = noise(n, seed=n)
        stream = PatchStream(features, hop_frames)
        got = patches_of(stream, y, cuts)
        expected = patches_by_definition(y, features, stream.hop_samples)
        assert stream.samples_seen == n
        assert len(got) == len(expected) == n // stream.hop_samples
        assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))

    @settings(deadline=None, max_examples=15)
    @given(
        hop_frames=st.sampled_from([1, 4, 9, 38, 45]),
        cuts=st.lists(st.integers(0, 66150), max_size=8),
    )
    def test_any_chunking_at_the_origin_preset(self, hop_frames, cuts):
        y = np.concatenate([SIGNALS["vowel"], SIGNALS["noise"], SIGNALS["sweep"]])
        stream = PatchStream(ORIGIN, hop_frames)
        got = patches_of(stream, y, cuts)
        expected = patches_by_definition(y, ORIGIN, stream.hop_samples)
        assert len(got) == len(expected)
        assert all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))

    def test_single_samples(self):
        y = noise(600)
        assert np.array_equal(
            patches_of(PatchStream(SMALL, 2), y, range(600)),
            patches_of(PatchStream(SMALL, 2), y, []),
        )

    def test_hops_are_the_stream(self):
        y = noise(20 * 192)
        stream = PatchStream(SMALL, 2)
        hops = [stream.process_hop(hop).copy() for hop in y.reshape(20, 192)]
        assert np.array_equal(hops, patches_of(PatchStream(SMALL, 2), y, [100]))

    def test_samples_seen_is_where_the_patch_ends(self):
        stream = PatchStream(SMALL, 2)
        assert [stream.samples_seen for _ in stream.process(noise(600))] == [192, 384, 576]
        assert stream.samples_seen == 600

    def test_reset_equals_new(self):
        y = noise(3000)
        stream = PatchStream(SMALL, 3)
        patches_of(stream, noise(2777, seed=1), [13])
        stream.reset()
        assert stream.samples_seen == 0
        assert np.array_equal(patches_of(stream, y, []), patches_of(PatchStream(SMALL, 3), y, []))

    def test_input_is_neither_changed_nor_needed_writeable(self):
        y = noise(4000)
        before = y.copy()
        y.flags.writeable = False
        patches_of(PatchStream(SMALL, 1), y, [7])
        mfcc(y, SMALL)
        assert np.array_equal(y, before)

    def test_strided_input(self):
        y = noise(4000)[::2]
        assert np.array_equal(mfcc(y, SMALL), mfcc(y.copy(), SMALL))
        stream, other = PatchStream(SMALL, 4), PatchStream(SMALL, 4)
        assert np.array_equal(patches_of(stream, y, []), patches_of(other, y.copy(), []))

    @pytest.mark.parametrize("level", [0.0, 1.0, -1.0, 1e-45, 1e6])
    def test_stays_finite(self, level):
        y = np.full(4000, level, np.float32)
        assert np.isfinite(patches_of(PatchStream(SMALL, 2), y, [])).all()

    @pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
    def test_recovers_from_what_is_not_finite(self, bad):
        y = noise(9000)
        expected = patches_of(PatchStream(SMALL, 2), y, [])
        y[1000:1010] = bad
        got = patches_of(PatchStream(SMALL, 2), y, [])
        first_clean = -(-(1010 + SMALL.patch_samples) // 192) - 1
        assert np.array_equal(got[:5], expected[:5])
        assert np.array_equal(got[first_clean:], expected[first_clean:])
        assert first_clean < len(got)

    def test_no_allocation_once_warm(self):
        stream = PatchStream(SMALL, 2)
        block = noise(1000)

        def run(blocks):
            for _ in range(blocks):
                for _ in stream.process(block):
                    pass

        gc.collect()
        tracemalloc.start()
        try:
            run(200)  # the interpreter's own free lists fill up
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            run(200)
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        # A generator, some slices, some numbers; the levels alone are 1,536 bytes, a hop is 768.
        assert after - before < 500
        assert peak - before < 1500


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
            ({"top_db": 0.0}, "top_db=0.0 must be positive and finite"),
            ({"patch_samples": 1024}, "patch_samples=1024 must be more than n_fft / 2 = 1024"),
            ({"patch_samples": 2**20 + 1}, "patch_samples=1048577 must be at most 1048576"),
            (
                {"sample_rate": 8000, "patch_samples": 480_001},
                "patch_samples=480001 must be at most 60 s of sound",
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
        with pytest.raises(msgspec.ValidationError, match="unknown field `lifter`"):
            msgspec.json.decode(b'{"lifter": 22}', type=FeatureSettings)

    def test_signals(self):
        with pytest.raises(ValueError, match=r"y has shape \(2, 3000\), must be one-dim"):
            mfcc(np.zeros((2, 3000), np.float32), ORIGIN)
        with pytest.raises(ValueError, match="y has dtype float64, must be float32"):
            mfcc(np.zeros(3000), ORIGIN)
        with pytest.raises(ValueError, match="y has 1024 samples, must have at least 1025"):
            mfcc(np.zeros(1024, np.float32), ORIGIN)
        with pytest.raises(ValueError, match="y has 0 samples, must have at least 1 "):
            mfcc(np.zeros(0, np.float32), FeatureSettings(pad_mode="constant"))

    def test_stream(self):
        with pytest.raises(ValueError, match="hop_frames=0 must be positive"):
            PatchStream(SMALL, 0)
        stream = PatchStream(SMALL, 2)
        # At the call, not at the first step of the iterator.
        with pytest.raises(ValueError, match=r"block has shape \(10, 2\)"):
            stream.process(np.zeros((10, 2), np.float32))
        with pytest.raises(ValueError, match="block has dtype int16"):
            stream.process(np.zeros(10, np.int16))
        with pytest.raises(ValueError, match="hop has 191 samples after 0 of an unfinished hop"):
            stream.process_hop(np.zeros(191, np.float32))
        assert list(stream.process(np.zeros(1, np.float32))) == []
        with pytest.raises(ValueError, match="hop has 192 samples after 1 of an unfinished hop"):
            stream.process_hop(np.zeros(192, np.float32))
        assert stream.samples_seen == 1
