import gc
import tracemalloc

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from material import SIGNALS, SMALL, noise

from kikiwake.features.mfcc import melspectrogram, mfcc
from kikiwake.features.settings import ORIGIN, FeatureSettings
from kikiwake.features.stream import MelStream, MfccStream, PatchStream

NO_FLOOR = msgspec.structs.replace(SMALL, top_db=None)
# Stream, settings, and what makes the same of the whole.
FRAMES = [(MelStream, SMALL, melspectrogram), (MfccStream, NO_FLOOR, mfcc)]


def patches_of(stream, y, cuts):
    """Every patch of y, fed in blocks that end at the cuts."""
    blocks = np.split(y, sorted(cuts))
    return [patch.copy() for block in blocks for patch in stream.process(block)]


def patches_by_definition(y, features, hop):
    """What the patches of a stream must be: mfcc of the samples, silence before the first."""
    whole = np.concatenate([np.zeros(features.patch_samples, np.float32), y])
    ends = range(hop, y.size + 1, hop)
    return [mfcc(whole[end : end + features.patch_samples], features) for end in ends]


def frames_of(stream, y, cuts):
    """All frames of the signal y, fed in blocks that end at the cuts."""
    blocks = np.split(y, sorted(cuts))
    parts = [part.copy() for block in blocks for part in stream.process(block)]
    return np.concatenate([*parts, *(part.copy() for part in stream.finish())], axis=1)


@pytest.mark.parametrize(("stream", "features", "whole"), FRAMES)
class TestFrames:
    @settings(deadline=None, max_examples=60)
    @given(
        n=st.integers(129, 5000),
        cuts=st.lists(st.integers(0, 5000), max_size=12),
        pad_mode=st.sampled_from(["reflect", "constant"]),
        hop_length=st.sampled_from([7, 96, 128, 256]),
    )
    def test_any_chunking_is_the_whole(
        self, stream, features, whole, n, cuts, pad_mode, hop_length
    ):
        features = msgspec.structs.replace(features, pad_mode=pad_mode, hop_length=hop_length)
        y = noise(n, seed=n)
        assert np.array_equal(frames_of(stream(features), y, cuts), whole(y, features))

    def test_short_signals(self, stream, features, whole):
        short = msgspec.structs.replace(features, pad_mode="constant")
        for n in (1, 2, 127, 128, 129, 256):
            y = noise(n)
            assert np.array_equal(frames_of(stream(short), y, [1]), whole(y, short))
        with pytest.raises(ValueError, match="the signal had 128 samples, must have at least 129"):
            frames_of(stream(features), noise(128), [])

    def test_a_frame_comes_after_its_latency(self, stream, features, whole):
        frames = stream(features)
        y = noise(1000)
        came = []
        for at in range(y.size):
            came += [at + 1] * sum(part.shape[1] for part in frames.process(y[at : at + 1]))
        lags = np.array(came) - np.arange(len(came)) * features.hop_length
        assert frames.latency == 128
        assert set(lags[:1]) <= {128, 129}
        assert set(lags[1:]) == {128}

    def test_finish_and_reset_equal_new(self, stream, features, whole):
        frames = stream(features)
        y = noise(3000)
        expected = whole(y, features)
        assert np.array_equal(frames_of(frames, y, [999]), expected)
        list(frames.process(noise(777, seed=1)))
        frames.reset()
        assert np.array_equal(frames_of(frames, y, []), expected)

    def test_no_allocation_once_warm(self, stream, features, whole):
        frames = stream(msgspec.structs.replace(ORIGIN, top_db=None))
        block = noise(5000)
        before, after, peak = memory(lambda: [None for _ in frames.process(block)])
        # A generator, some views, some numbers; eight frames of levels alone are 4,096 bytes.
        assert after - before < 500
        assert peak - before < 3000


def test_frames_at_the_origin_preset():
    y = np.concatenate([SIGNALS["vowel"], SIGNALS["noise"], SIGNALS["sweep"]])
    expected = melspectrogram(y, ORIGIN)
    assert np.array_equal(frames_of(MelStream(ORIGIN), y, [1, 513, 30_000, 30_001]), expected)


def test_a_stream_of_mfcc_has_no_floor():
    with pytest.raises(ValueError, match=r"top_db=80\.0 must be None for a stream of MFCCs"):
        MfccStream(FeatureSettings())


def memory(step, times=200):
    """Bytes before and after `times` steps, and the most in between; once warm."""
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(times):  # the interpreter's own free lists fill up
            step()
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in range(times):
            step()
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return before, after, peak


class TestPatches:
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
        hops = []
        for hop in y.reshape(20, 192):
            stream.push(hop)
            hops.append(stream.patch().copy())
        assert np.array_equal(hops, patches_of(PatchStream(SMALL, 2), y, [100]))

    @settings(deadline=None)
    @given(
        hop_frames=st.sampled_from([1, 2, 5, 13, 16]),
        asked=st.lists(st.booleans(), min_size=1, max_size=60),
        pad_mode=st.sampled_from(["reflect", "constant"]),
    )
    def test_a_patch_asked_for_late_is_the_same(self, hop_frames, asked, pad_mode):
        features = msgspec.structs.replace(SMALL, pad_mode=pad_mode)
        stream = PatchStream(features, hop_frames)
        y = noise(len(asked) * stream.hop_samples, seed=len(asked))
        expected = patches_by_definition(y, features, stream.hop_samples)
        for ask, hop, patch in zip(asked, np.split(y, len(asked)), expected, strict=True):
            stream.push(hop)
            if ask:
                assert np.array_equal(stream.patch(), patch)
                assert np.array_equal(stream.patch(), patch)

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
        stream = PatchStream(ORIGIN, 9)
        block = noise(5000)
        before, after, peak = memory(lambda: [None for _ in stream.process(block)])
        # A generator, some views, some numbers; the levels alone are 22,528 bytes.
        assert after - before < 500
        assert peak - before < 3000

    def test_refused(self):
        with pytest.raises(ValueError, match="hop_frames=0 must be positive"):
            PatchStream(SMALL, 0)
        stream = PatchStream(SMALL, 2)
        # At the call, not at the first step of the iterator.
        with pytest.raises(ValueError, match=r"block has shape \(10, 2\)"):
            stream.process(np.zeros((10, 2), np.float32))
        with pytest.raises(ValueError, match="block has dtype int16"):
            stream.process(np.zeros(10, np.int16))
        with pytest.raises(ValueError, match="hop has 191 samples after 0 of an unfinished hop"):
            stream.push(np.zeros(191, np.float32))
        assert list(stream.process(np.zeros(1, np.float32))) == []
        with pytest.raises(ValueError, match="hop has 192 samples after 1 of an unfinished hop"):
            stream.push(np.zeros(192, np.float32))
        assert stream.samples_seen == 1
