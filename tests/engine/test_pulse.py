"""Following the default sink, on a PulseAudio with several sinks and a microphone."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from kikiwake.engine.pulse import MonitorFollower

if TYPE_CHECKING:
    from conftest import PulseServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PulseAudio and PipeWire")

LISTEN = """
import logging, os, sys, threading, time
import numpy as np
from kikiwake.engine.pulse import MonitorFollower, stream_properties

logging.basicConfig(format="%(message)s", level=logging.INFO)
os.environ["PULSE_SOURCE"] = "@DEFAULT_MONITOR@"
os.environ.update(stream_properties("ours"))
import sounddevice

heard = None
def note(block, *_):
    global heard
    tones = abs(np.fft.rfft(block[:, 0]))
    if tones.max() > 10 and tones.argmax() != heard:
        heard = tones.argmax()
        print(f"{50 * heard} Hz", flush=True)

ended = threading.Event()
stream = sounddevice.InputStream(
    device="pulse", samplerate=44100, channels=2, blocksize=882, callback=note,
    finished_callback=ended.set
)
stream.start()
follower = MonitorFollower("ours")
ended.wait()
time.sleep(0.5)
print(follower.moves, [t.name for t in threading.enumerate() if "kikiwake" in t.name], flush=True)
began = time.monotonic()
follower.close()
print(time.monotonic() - began < 0.1)
"""


def following() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kikiwake-follow"]


@pytest.mark.skipif(importlib.util.find_spec("pulsectl") is None, reason="needs pulsectl")
def test_stream_goes_where_the_default_goes(pulse_to_break: PulseServer, tmp_path: Path) -> None:
    server = pulse_to_break

    def pactl(*command: str) -> str:
        done = server.run("pactl", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def tone(frequency: int, sink: str) -> subprocess.Popen[str]:
        path = tmp_path / f"{frequency}.wav"
        wave = 0.5 * np.sin(2 * np.pi * frequency * np.arange(30 * 44100) / 44100)
        soundfile.write(path, wave, 44100)
        return server.popen("paplay", f"--device={sink}", "--latency-msec=200", str(path))

    second = pactl(
        "load-module",
        "module-null-sink",
        "sink_name=second",
        "sink_properties=device.description=2",
    )
    # With a microphone, or the server itself takes monitors along, as its default sources.
    pactl("load-module", "module-null-source", "source_name=mic")
    pactl("set-default-source", "mic")
    players = tone(1000, server.sink), tone(2000, "second")
    # Somebody else's recording stays where it is.
    other = server.popen("parec", f"--device={server.sink}.monitor", stdout=subprocess.DEVNULL)
    child = server.popen(sys.executable, "-c", LISTEN)
    assert child.stdout is not None
    try:
        assert child.stdout.readline() == "1000 Hz\n"
        pactl("set-default-sink", "second")
        assert child.stdout.readline() == "2000 Hz\n"
        where = [line.split()[1] for line in pactl("list", "short", "source-outputs").splitlines()]
        assert len(set(where)) == 2

        players[1].kill()  # the server would move it to the first sink
        pactl("unload-module", second.strip())
        assert child.stdout.readline() == "1000 Hz\n"

        server.stop()
        # The thread has ended with the server.
        said, errors = child.communicate(timeout=10)
        assert said == "2 []\nTrue\n"
        assert errors.splitlines()[:2] == [
            "following the default output to 2",
            "following the default output to Null Output",
        ]
    finally:
        for process in (*players, other, child):
            process.kill()
            process.communicate()


def test_without_pulsectl(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pulsectl", None)
    with caplog.at_level(logging.INFO):
        follower = MonitorFollower("ours")
        for thread in following():
            thread.join(5)
    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.getMessage().startswith("changes of the default output are not followed: ")
    follower.close()
    assert follower.moves == 0


@pytest.mark.skipif(importlib.util.find_spec("pulsectl") is None, reason="needs pulsectl")
def test_without_a_server(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent")
    with caplog.at_level(logging.INFO):
        follower = MonitorFollower("ours")
        for thread in following():
            thread.join(5)
    assert not following()
    assert not caplog.records
    follower.close()
