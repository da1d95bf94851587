"""The loopback stream for Windows: over a made-up SoundCard, and the real one on PulseAudio."""

from __future__ import annotations

import importlib.util
import logging
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import soundfile

from kikiwake.engine import wasapi
from kikiwake.engine.ring import SpscRing
from kikiwake.engine.wasapi import LoopbackStream, default_output
from kikiwake.errors import SourceError

if TYPE_CHECKING:
    from conftest import PulseServer

# --- a SoundCard that does as on Windows: columns first, and losses as warnings


class Loopback:
    """A microphone and its recorder."""

    __module__ = "soundcard"

    def __init__(self, record: Callable[[], Any]) -> None:
        self.record = lambda numframes: record()

    def recorder(self, samplerate: int, channels: int, blocksize: int) -> Loopback:
        return self

    def __enter__(self) -> Loopback:
        return self

    def __exit__(self, *_: object) -> None:
        pass


@pytest.fixture
def soundcard(monkeypatch: pytest.MonkeyPatch) -> Any:
    module: Any = ModuleType("soundcard")
    module.default_speaker = lambda: SimpleNamespace(id="one", name="Speakers", channels=6)
    module.warnings = None
    monkeypatch.setitem(sys.modules, "soundcard", module)
    return module


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.002)


def test_blocks_are_turned_and_losses_counted(
    soundcard: Any, recwarn: pytest.WarningsRecorder
) -> None:
    sound = np.random.default_rng(5).random((3000, 2)).astype(np.float32)
    blocks = [sound[k : k + 480] for k in range(0, 3000, 480)]

    def record() -> Any:
        if not blocks:
            raise RuntimeError("Error 0x88890004")
        soundcard.warnings.warn("data discontinuity in recording", RuntimeWarning)
        return blocks.pop(0)[:, [0, 1]]

    soundcard.get_microphone = lambda name, include_loopback: Loopback(record)
    ring = SpscRing(4096, 2)
    stream = LoopbackStream(ring, sample_rate=48000, channels=2)
    wait_for(lambda: not stream.active)
    assert stream.error == "the output was unplugged, or set up anew"
    assert np.array_equal(ring.read(), sound)
    assert ring.overflows == 7
    assert not recwarn.list
    stream.close()


def test_driver_that_hangs(
    soundcard: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    awake = threading.Event()

    def record() -> Any:
        awake.wait(10)
        return np.ones((480, 2), np.float32)

    monkeypatch.setattr(wasapi, "_CLOSE_S", 0.05)
    soundcard.get_microphone = lambda name, include_loopback: Loopback(record)
    ring = SpscRing(4096, 2)
    stream = LoopbackStream(ring, sample_rate=48000, channels=2)
    assert stream.active
    with caplog.at_level(logging.WARNING):
        stream.close()
    assert "hangs" in caplog.text
    assert not stream.active
    awake.set()
    wait_for(lambda: not stream._thread.is_alive())
    assert ring.available() == 0, "nothing is written after close"


def test_no_output(soundcard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Any:
        raise RuntimeError("Error 0x80070490")

    soundcard.default_speaker = none
    said = "^what the computer plays cannot be recorded: there is no output$"
    with pytest.raises(SourceError, match=said):
        LoopbackStream(SpscRing(1, 2), sample_rate=48000, channels=2)
    assert default_output() is None

    awake = threading.Event()
    monkeypatch.setattr(wasapi, "_OPEN_S", 0.05)
    soundcard.default_speaker = lambda: awake.wait(10)
    with pytest.raises(SourceError, match=r"recorded: the sound system does not answer$"):
        LoopbackStream(SpscRing(1, 2), sample_rate=48000, channels=2)
    assert default_output() is None
    awake.set()

    monkeypatch.setitem(sys.modules, "soundcard", None)
    with pytest.raises(SourceError, match=r"recorded: SoundCard does not start: import of .*"):
        LoopbackStream(SpscRing(1, 2), sample_rate=48000, channels=2)
    assert default_output() is None


def test_output_is_described(soundcard: Any) -> None:
    output = default_output()
    assert output is not None
    assert (output.name, output.channels, output.spec) == ("what Speakers plays", 6, "loopback")


# --- the real one, as it is on Linux

real = pytest.mark.skipif(
    sys.platform != "linux" or importlib.util.find_spec("soundcard") is None,
    reason="needs SoundCard and PulseAudio",
)

# SoundCard takes its name from the arguments: after -c there must be another one.
OPEN = """
import subprocess, sys, time
import numpy as np
from kikiwake.engine.ring import SpscRing
from kikiwake.engine.wasapi import LoopbackStream, default_output

def opened():
    ring = SpscRing(200_000, 2)
    stream = LoopbackStream(ring, sample_rate=44100, channels=2)
    until = time.monotonic() + 5
    while not ring.available() and time.monotonic() < until:
        time.sleep(0.01)
    print("ready", flush=True)
    return ring, stream
"""


@real
def test_what_is_played_comes_back_sample_by_sample(pulse: PulseServer, tmp_path: Path) -> None:
    sound = (np.random.default_rng(5).integers(-8000, 8000, (44100, 2)) / 2**15).astype(np.float32)
    played = np.concatenate([np.zeros((8820, 2), np.float32), sound])
    soundfile.write(tmp_path / "played.wav", played, 44100, "PCM_16")
    code = """
print(default_output().name)
ring, stream = opened()
blocks = []
player = subprocess.Popen(["paplay", "--latency-msec=1000", sys.argv[1]])
until = None
while until is None or time.monotonic() < until:
    blocks.append(ring.read())
    time.sleep(0.05)
    if until is None and player.poll() is not None:
        until = time.monotonic() + 0.5
began = time.monotonic()
stream.close()
print(time.monotonic() - began < 0.5, stream.active, stream.error, stream.changed())
print(ring.dropped, ring.overflows)
np.save(sys.argv[2], np.concatenate(blocks))
"""
    done = pulse.python(OPEN + code, str(tmp_path / "played.wav"), str(tmp_path / "heard.npy"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "what Null Output plays\nready\nTrue False None False\n0 0\n"
    heard = np.load(tmp_path / "heard.npy")
    first = int(np.flatnonzero(heard.any(axis=1))[0])
    assert np.array_equal(heard[first : first + len(sound)], sound)


@real
def test_another_default_and_the_end_of_the_server(pulse_to_break: PulseServer) -> None:
    code = """
ring, stream = opened()
while not stream.changed():
    time.sleep(0.02)
print("changed", stream.active, flush=True)
while stream.active:
    time.sleep(0.02)
print(stream.error)
stream.close()
"""
    child = pulse_to_break.popen(sys.executable, "-c", OPEN + code, "x")
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    pulse_to_break.run("pactl", "load-module", "module-null-sink", "sink_name=second")
    pulse_to_break.run("pactl", "set-default-sink", "second")
    assert child.stdout.readline() == "changed True\n"
    pulse_to_break.stop()
    said, errors = child.communicate(timeout=5)
    assert (child.returncode, errors) == (0, "")
    assert said.strip()


@real
def test_source_that_follows_the_default(pulse_to_break: PulseServer) -> None:
    """As `DeviceSource` uses it on Windows, where `find_device` finds this stream."""
    code = """
from kikiwake.engine import device
from kikiwake.engine.wasapi import default_output

device.find_device = lambda spec: default_output()
with device.DeviceSource("loopback", sample_format="int16") as source:
    reopened, heard = -1, 0.0
    while heard == 0.0 or reopened < 1:
        block = source.read(0.1, 4800)
        counts = source.counters()
        if len(block) and counts.reopened != reopened:
            reopened = counts.reopened
            print(source.state, source.name, block.dtype, reopened, flush=True)
        heard = max(heard, float(abs(block).max(initial=0)))
    print(counts.callbacks > 10, counts.longest_callback_us > 0, counts.dropped_samples)
"""
    child = pulse_to_break.popen(sys.executable, "-c", code, "x")
    assert child.stdout is not None
    assert child.stdout.readline() == "listening what Null Output plays float32 0\n"
    form = pulse_to_break.sink_form("second")
    described = "sink_properties=device.description=Second"
    pulse_to_break.run("pactl", "load-module", "module-null-sink", *form, described)
    pulse_to_break.run("pactl", "set-default-sink", "second")
    assert child.stdout.readline() == "listening what Second plays float32 1\n"
    noise = pulse_to_break.popen("paplay", "--raw", "--device=second", "/dev/urandom")
    said, errors = child.communicate(timeout=15)
    noise.kill()
    noise.communicate()
    assert (child.returncode, errors) == (0, "")
    assert said == "True True 0\n"
