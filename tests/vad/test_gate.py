import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kikiwake.vad.gate import LONGEST_WINDOW_S, SpeechGate, speech_segments, stream_segments
from kikiwake.vad.webrtc import WebRtcVad

FRAME_MS = 20


class LoudnessVad:
    """A detector of 20 ms frames at 1 kHz to which the loudest sample is the probability."""

    sample_rate = 1000
    frame_samples = FRAME_MS
    latency = 0

    def process(self, frame):
        return float(frame.max())

    def reset(self):
        pass


class Watched:
    """A gate and what it says after each frame, also within a block: asked at the next frame."""

    def __init__(self, vad, onset_ms=60, hangover_ms=200):
        self.sample_rate = vad.sample_rate
        self.frame_samples = vad.frame_samples
        self.latency = vad.latency
        self._vad = vad
        self._said = []
        self.gate = SpeechGate(self, onset_ms=onset_ms, hangover_ms=hangover_ms)

    def process(self, frame):
        self._said.append(self._now())
        return self._vad.process(frame)

    def reset(self):
        self._vad.reset()
        self._said.clear()

    def _now(self):
        return self.gate.open, self.gate.speech_share(0.5)

    @property
    def said(self):
        """Pairs of (open, speech_share): before the first frame, and after each."""
        return [*self._said, self._now()]


def sound(*stretches):
    """Speech and silence in turn, in ms, beginning with silence; a sample is a millisecond."""
    return np.concatenate([np.full(ms, i % 2, np.float32) for i, ms in enumerate(stretches)])


def changes(y, **gate):
    """Milliseconds at which the gate opens and closes."""
    gate = SpeechGate(LoudnessVad(), **gate)
    states = [gate.open]
    for sample in np.split(y, y.size):
        gate.process(sample)
        states.append(gate.open)
    return [t for t in range(1, len(states)) if states[t] != states[t - 1]]


def vowels(seconds, seed=0):
    """Something that WebRTC takes for a voice: pulses at 120 Hz, formants, syllables."""
    n = int(16000 * seconds)
    t = np.arange(n) / 16000
    y = sum(
        g / (1 + ((120 * k - f) / w) ** 2) * np.sin(2 * np.pi * 120 * k * t)
        for k in range(1, 30)
        for f, w, g in ((700, 90, 1.0), (1200, 120, 0.6), (2600, 200, 0.3))
    )
    y = y / np.abs(y).max() * (0.6 - 0.4 * np.cos(2 * np.pi * 4 * t))
    y += 0.002 * np.random.default_rng(seed).standard_normal(n)
    return (0.4 * y).astype(np.float32)


class TestTiming:
    def test_onset_and_hangover(self):
        y = sound(100, 400, 500)
        assert changes(y, onset_ms=60, hangover_ms=200) == [160, 720]

    @pytest.mark.parametrize(
        ("onset_ms", "opens"), [(0, 120), (1, 120), (20, 120), (21, 140), (60, 160), (60.5, 180)]
    )
    def test_onset_is_rounded_up(self, onset_ms, opens):
        assert changes(sound(100, 400), onset_ms=onset_ms, hangover_ms=0) == [opens]

    @pytest.mark.parametrize(
        ("hangover_ms", "closes"), [(0, 520), (1, 540), (20, 540), (100, 620), (110, 640)]
    )
    def test_hangover_is_rounded_up(self, hangover_ms, closes):
        y = sound(100, 400, 500)
        assert changes(y, onset_ms=20, hangover_ms=hangover_ms) == [120, closes]

    def test_short_speech_does_not_open(self):
        assert changes(sound(100, 40, 100, 40, 100), onset_ms=60, hangover_ms=200) == []

    def test_onset_wants_an_unbroken_run(self):
        y = sound(0, 40, 20, 40, 20, 60, 100)
        assert changes(y, onset_ms=60, hangover_ms=0) == [180, 200]

    def test_any_speech_extends_the_hangover(self):
        y = sound(0, 100, 180, 20, 500)
        assert changes(y, onset_ms=60, hangover_ms=200) == [60, 520]

    def test_it_opens_again_by_onset_only(self):
        y = sound(0, 100, 300, 40, 300)
        assert changes(y, onset_ms=60, hangover_ms=200) == [60, 320]


class TestMinimum:
    def test_short_runs_add_up(self):
        y = sound(100, 60, 40, 60, 500)
        assert changes(y, onset_ms=40, hangover_ms=100) == [140, 380]
        assert changes(y, onset_ms=40, hangover_ms=100, minimum_speech_ms=100) == [240, 380]

    def test_only_within_a_stretch(self):
        y = sound(100, 60, 140, 60, 500)
        assert changes(y, onset_ms=40, hangover_ms=100, minimum_speech_ms=100) == []

    def test_less_than_the_onset_is_no_condition(self):
        y = sound(100, 400, 500)
        gate = {"onset_ms": 60, "hangover_ms": 200}
        assert changes(y, **gate, minimum_speech_ms=40) == changes(y, **gate)


class TestThreshold:
    @pytest.mark.parametrize(
        ("threshold", "opens"), [(0.3, [60, 140]), (0.5, [60, 140]), (0.6, [])]
    )
    def test_probabilities(self, threshold, opens):
        y = np.repeat(np.array([0, 0, 0.5, 0.5, 0.5, 0, 0], np.float32), FRAME_MS)
        assert changes(y, onset_ms=20, hangover_ms=20, threshold=threshold) == opens


def segments(y, **gate):
    """Stretches of speech; what the gate says while the sound comes in is the same."""
    gate = SpeechGate(LoudnessVad(), **gate)
    found = speech_segments(y, gate)
    gate.reset()
    live, was_open = [], False
    for sample in np.split(y, y.size):
        gate.process(sample)
        if gate.open and not was_open:
            live.append([gate.opened_at, y.size])
        if was_open and not gate.open:
            assert gate.opened_at is None
            live[-1][1] = gate.closed_at
        was_open = gate.open
    assert [tuple(stretch) for stretch in live] == found
    return found


class TestSegments:
    def test_begin_with_the_speech_and_end_with_the_hangover(self):
        y = sound(100, 400, 500, 100, 40)
        assert segments(y, onset_ms=60, hangover_ms=200) == [(100, 700), (1000, 1140)]

    def test_pre_roll_reaches_back_as_far_as_the_stretch_before(self):
        y = sound(100, 400, 300, 100, 400)
        gate = {"onset_ms": 60, "hangover_ms": 200}
        assert segments(y, **gate, pre_roll_ms=50) == [(50, 700), (750, 1100)]
        assert segments(y, **gate, pre_roll_ms=500) == [(0, 700), (700, 1100)]

    def test_what_is_too_short_is_none(self):
        y = sound(100, 40, 400, 100, 400)
        assert segments(y, onset_ms=60, hangover_ms=200) == [(540, 840)]
        assert segments(y, onset_ms=20, hangover_ms=100, minimum_speech_ms=80) == [(540, 740)]

    def test_single_frames_do_not_add_up(self):
        # Each within the hangover of the one before, for ten seconds; then somebody speaks.
        y = sound(0, *[20, 120] * 70, 200, 400)
        assert segments(y, onset_ms=60, hangover_ms=200, minimum_speech_ms=100) == [(9800, 10200)]

    def test_in_blocks_and_no_longer_than_asked_for(self):
        y = sound(100, 1000, 500)
        gate = SpeechGate(LoudnessVad(), onset_ms=60, hangover_ms=200)
        blocks = np.split(y, [7, 7, 333, 1111])
        assert list(stream_segments(blocks, gate)) == [(100, 1300)]
        for blocks in ([y], np.split(y, 1600), np.split(y, range(7, 1600, 7)), [y[:33], y[33:]]):
            cut = list(stream_segments(blocks, gate, longest_s=0.4))
            assert cut == [(100, 500), (500, 900), (900, 1300)]

    def test_what_a_cut_leaves_counts_only_with_speech_in_it(self):
        gate = SpeechGate(
            LoudnessVad(), onset_ms=60, hangover_ms=200, minimum_speech_ms=200, pre_roll_ms=0
        )
        assert list(stream_segments([sound(100, 1000, 500)], gate, longest_s=1)) == [(100, 1100)]
        assert list(stream_segments([sound(100, 1100, 500)], gate, longest_s=1)) == [(100, 1100)]
        cut = list(stream_segments([sound(100, 1200, 500)], gate, longest_s=1))
        assert cut == [(100, 1100), (1100, 1500)]

    def test_nothing_and_silence(self):
        assert segments(sound(500), onset_ms=20, hangover_ms=20) == []
        gate = SpeechGate(LoudnessVad(), onset_ms=20, hangover_ms=20)
        assert speech_segments(np.zeros(0, np.float32), gate) == []

    def test_latency_is_made_up_for(self):
        class Late(LoudnessVad):
            latency = 15

        y = sound(100, 400, 500)
        gate = SpeechGate(Late(), onset_ms=60, hangover_ms=200)
        assert speech_segments(y, gate) == [(85, 685)]

    @given(
        frames=st.lists(st.integers(0, 15), max_size=12),
        onset_ms=st.integers(0, 100),
        hangover_ms=st.integers(0, 300),
        minimum_speech_ms=st.integers(0, 200),
        pre_roll_ms=st.integers(0, 300),
    )
    def test_in_order_and_around_the_speech(
        self, frames, onset_ms, hangover_ms, minimum_speech_ms, pre_roll_ms
    ):
        y = sound(FRAME_MS, *(count * FRAME_MS for count in frames))
        found = segments(
            y,
            onset_ms=onset_ms,
            hangover_ms=hangover_ms,
            minimum_speech_ms=minimum_speech_ms,
            pre_roll_ms=pre_roll_ms,
        )
        edges = [edge for stretch in found for edge in stretch]
        assert edges == sorted(edges)
        assert all(0 <= edge <= y.size for edge in edges)
        for begin, end in found:
            assert y[begin:end].sum() >= max(minimum_speech_ms, onset_ms, FRAME_MS)


class TestShare:
    def test_of_the_window(self):
        gate = SpeechGate(LoudnessVad(), onset_ms=60, hangover_ms=200)
        y = sound(500, 100, 500)
        at = 0
        for until, window_s, frames_of_speech, frames in [
            (500, 0.5, 0, 25),
            (540, 0.5, 2, 25),
            (559, 0.5, 2, 25),
            (600, 0.09, 5, 5),
            (1000, 0.5, 5, 25),
            (1040, 0.5, 3, 25),
            (1100, 0.5, 0, 25),
            (1100, 1.1, 5, 55),
        ]:
            gate.process(y[at:until])
            at = until
            assert gate.speech_share(window_s) == pytest.approx(frames_of_speech / frames)

    def test_before_the_stream_is_no_speech(self):
        gate = SpeechGate(LoudnessVad(), onset_ms=60, hangover_ms=200)
        assert gate.speech_share(0.5) == 0
        gate.process(sound(0, 100))
        assert gate.speech_share(0.5) == pytest.approx(5 / 25)


@given(
    stretches=st.lists(st.integers(0, 300), max_size=12),
    cuts=st.lists(st.integers(0, 3000), max_size=20),
    onset_ms=st.integers(0, 100),
    hangover_ms=st.integers(0, 300),
)
def test_any_chunking(stretches, cuts, onset_ms, hangover_ms):
    y = sound(5, *stretches)
    whole = Watched(LoudnessVad(), onset_ms, hangover_ms)
    whole.gate.process(y)
    assert len(whole.said) == 1 + y.size // FRAME_MS
    cut = Watched(LoudnessVad(), onset_ms, hangover_ms)
    heard = 0
    for block in np.split(y, sorted(cuts)):
        cut.gate.process(block)
        heard += block.size
        assert cut.said == whole.said[: 1 + heard // FRAME_MS]
    assert heard == y.size


class TestMemory:
    def test_the_longest_window(self):
        # Long enough for the memory to be written over, more than once.
        rng = np.random.default_rng(5)
        speech = rng.random(7000) < 0.3
        gate = SpeechGate(LoudnessVad(), onset_ms=60, hangover_ms=200)
        longest = LONGEST_WINDOW_S * 1000 // FRAME_MS
        for i, block in enumerate(np.repeat(speech, FRAME_MS).astype(np.float32).reshape(70, -1)):
            gate.process(block)
            past = speech[: (i + 1) * 100]
            assert gate.speech_share(LONGEST_WINDOW_S) == past[-longest:].sum() / longest
            assert gate.speech_share(0.5) == past[-25:].sum() / 25

    def test_reset_equals_new(self):
        y = vowels(1.0)
        new = Watched(WebRtcVad())
        used = Watched(WebRtcVad())
        used.gate.process(vowels(1.51, seed=1)[:-77])
        used.gate.reset()
        assert used.said == [(False, 0)]
        new.gate.process(y)
        used.gate.process(y)
        assert len(new.said) == 51
        assert new.said == used.said


class TestWebRtc:
    @pytest.mark.parametrize("aggressiveness", [0, 1, 2, 3])
    def test_voice_opens_and_silence_closes(self, aggressiveness):
        watched = Watched(WebRtcVad(aggressiveness))
        gate = watched.gate
        silence = np.zeros(16000, np.float32)
        gate.process(silence)
        assert not any(is_open for is_open, _ in watched.said)
        gate.process(vowels(1.0))
        assert gate.open
        assert gate.speech_share(0.5) > 0.9
        gate.process(silence)
        assert not gate.open
        assert gate.speech_share(0.5) == 0

    def test_full_scale_is_clipped_not_wrapped(self):
        # Wrapped around, 1.5 would become -0.5: the same sound as a clipped one only if clipped.
        frame = np.sign(vowels(0.02)) * np.float32(1.5)
        loud, clipped = WebRtcVad(3), WebRtcVad(3)
        for _ in range(20):
            assert loud.process(frame) == clipped.process(np.clip(frame, -1, 1))
        assert np.array_equal(np.unique(loud._pcm), [-32768, 32767])

    def test_input_unchanged(self):
        y = vowels(0.5)
        before = y.copy()
        y.flags.writeable = False
        SpeechGate(WebRtcVad(), onset_ms=60, hangover_ms=200).process(y)
        assert np.array_equal(y, before)


class TestRefused:
    @pytest.mark.parametrize("value", [-1, 4, 1.5, None])
    def test_aggressiveness(self, value):
        with pytest.raises(ValueError, match=f"aggressiveness={value} must be 0, 1, 2 or 3"):
            WebRtcVad(value)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"onset_ms": -1}, "onset_ms=-1 must be 0 or more"),
            ({"hangover_ms": float("nan")}, "hangover_ms=nan must be 0 or more"),
            ({"minimum_speech_ms": -1}, "minimum_speech_ms=-1 must be 0 or more"),
            ({"pre_roll_ms": float("inf")}, "pre_roll_ms=inf must be 0 or more"),
            ({"threshold": 0}, r"threshold=0 must be in \(0, 1\]"),
            ({"threshold": 1.1}, r"threshold=1.1 must be in \(0, 1\]"),
        ],
    )
    def test_gate(self, changes, message):
        with pytest.raises(ValueError, match=message):
            SpeechGate(LoudnessVad(), **{"onset_ms": 60, "hangover_ms": 200, **changes})

    def test_sound(self):
        gate = SpeechGate(LoudnessVad(), onset_ms=60, hangover_ms=200)
        with pytest.raises(ValueError, match=r"block has shape \(3, 2\), must be one-dim"):
            gate.process(np.zeros((3, 2), np.float32))
        with pytest.raises(ValueError, match="block has dtype float64, must be float32"):
            gate.process(np.zeros(3))
        with pytest.raises(ValueError, match=r"frame has shape \(319,\), must be \(320,\)"):
            WebRtcVad().process(np.zeros(319, np.float32))
        with pytest.raises(ValueError, match="longest_s=0 must be more than the minimum of speech"):
            list(stream_segments([], gate, longest_s=0))
        for window_s in (0, -1, 60.01, float("nan")):
            with pytest.raises(ValueError, match=rf"window_s={window_s} must be in \(0, 60\]"):
                gate.speech_share(window_s)
