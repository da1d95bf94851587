"""Following the default sink, on a PulseAudio with several sinks and a microphone."""

from __future__ import annotations

import importlib.util
import logging
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from kikiwake.engine.pulse import MonitorFollower

if TYPE_CHECKING:
    from conftest import PulseServer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="PulseAudio and PipeWire")

# Ends by itself, whatever happens, and then without a word to the sound server, if that is gone.
LISTEN = """
import faulthandler, logging, os, threading, time
import numpy as np
from kikiwake.engine.pulse import MonitorFollower, stream_properties

faulthandler.dump_traceback_later(30, exit=True)
logging.basicConfig(format="%(message)s", level=logging.INFO)
os.environ["PULSE_SOURCE"] = "@DEFAULT_MONITOR@"
os.environ.update(stream_properties("ours"))
import sounddevice

tones = [0, 0, 0]
def note(block, *_):
    power = abs(np.fft.rfft(block[:, 0]))
    tones.append(50 * power.argmax() if power.max() > 10 else 0)
    if tones[-4] != tones[-3] == tones[-2] == tones[-1] != 0:
        print(tones[-1], "Hz", flush=True)

stream = sounddevice.InputStream(
    device="pulse", samplerate=44100, channels=2, blocksize=882, callback=note
)
stream.start()
follower = MonitorFollower("ours")
while any(thread.name == "kikiwake-follow" for thread in threading.enumerate()):
    time.sleep(0.05)
began = time.monotonic()
follower.close()
print(follower.moves, "moves", time.monotonic() - began < 0.1, flush=True)
os._exit(0)
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

    def tone(frequency: int, loud: float, sink: str) -> subprocess.Popen[str]:
        path = tmp_path / f"{frequency}.wav"
        wave = loud * np.sin(2 * np.pi * frequency * np.arange(30 * 44100) / 44100)
        soundfile.write(path, wave, 44100)
        return server.popen("paplay", f"--device={sink}", "--latency-msec=200", str(path))

    second = pactl(
        "load-module",
        "module-null-sink",
        *server.sink_form("second"),
        "sink_properties=device.description=2",
    )
    # With a microphone, or the server itself takes monitors along, as its default sources.
    pactl("load-module", "module-null-source", "source_name=mic")
    pactl("set-default-source", "mic")
    # The server takes the first player along to a new default: the second one is louder.
    players = tone(1000, 0.1, server.sink), tone(2000, 0.8, "second")
    # Somebody else's recording stays where it is.
    other = server.popen("parec", f"--device={server.sink}.monitor", stdout=subprocess.DEVNULL)
    child = server.popen(sys.executable, "-c", LISTEN)
    heard = child.stdout
    assert heard is not None

    def next_tone(before: str) -> str:
        """Read on to another tone: after a moment of silence the same is told again."""
        return next(line for line in heard if line != before)

    try:
        assert heard.readline() == "1000 Hz\n"
        pactl("set-default-sink", "second")
        assert next_tone("1000 Hz\n") == "2000 Hz\n"
        where = [line.split()[1] for line in pactl("list", "short", "source-outputs").splitlines()]
        assert len(set(where)) == 2

        players[1].kill()  # the server would move it to the first sink
        pactl("unload-module", second.strip())
        assert next_tone("2000 Hz\n") == "1000 Hz\n"
        # A server that dies while it moves a stream can hang its client: not what is tested here.
        time.sleep(0.7)

        server.stop()
        said, errors = child.communicate(timeout=10)
        assert said.endswith("2 moves True\n")
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
