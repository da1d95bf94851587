"""A real device, the monitor of a null sink: what it gives, and every way to lose it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from listener import Listener, listening, waiting
from numpy.typing import NDArray

from kikiwake.engine import device, devices
from kikiwake.engine.ring import SpscRing
from kikiwake.errors import SourceError
from kikiwake.models.starter import DEMO

if TYPE_CHECKING:
    from conftest import PulseServer

RNG = np.random.default_rng(3)


def noise(frames: int, channels: int) -> NDArray[np.float32]:
    """Values that 16 bits hold exactly; the first is not zero."""
    values = RNG.integers(-8000, 8000, (frames, channels))
    values[0] = 1
    return (values / 2**15).astype(np.float32)


def test_callback_is_compiled_whole_and_cannot_fail(tmp_path: Path) -> None:
    # What comes from a cache cannot be inspected.
    program = "import kikiwake.engine.callback as c; print(c.audio_callback().inspect_llvm())"
    code = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert re.search(r"load atomic i64, .* acquire, align 8", code)
    assert re.search(r"store atomic i64 .* release, align 8", code)
    bodies = [part[: part.index("\n}")] for part in code.split("\ndefine ")[1:]]
    # The wrapper takes the GIL when the callback returns anything but 0: it has the answer of
    # `take`, the only one it calls, and that is always 0.
    body = {re.search(r"@(\S+?)\(", b.splitlines()[0])[1]: b for b in bodies}  # type: ignore[index]
    (callback,) = (b for name, b in body.items() if re.match(r"_ZN\w+_on_block", name))
    ((name, take),) = ((name, b) for name, b in body.items() if re.match(r"_ZN\w+\dtake_", name))
    assert re.findall(r"\bcall\b.*?@(\w+)", callback) == [name]
    assert set(re.findall(r"\bret i32 (\S+)", take)) == {"0"}
    calls = [line for line in take.splitlines() if re.search(r"\bcall\b", line)]
    named = {match[1] for line in calls if (match := re.search(r"@([\w.]+)\(", line))}
    assert {re.sub(r"\.(p|i)\d.*", "", name) for name in named} <= {
        "llvm.memcpy",
        "llvm.smin",
        "llvm.smax",
        "llvm.abs",
        "kikiwake_clock",
    }
    assert all("@" in line for line in calls)
    assert sum("@kikiwake_clock(" in line for line in calls) == 2  # before and after


LISTEN = """
import logging, subprocess, sys, time
import msgspec, numpy as np
from kikiwake.engine.capture import DeviceSource

wav, out, options = sys.argv[1:]
logging.basicConfig(format="%(levelname)s %(message)s")
with DeviceSource("loopback", **msgspec.json.decode(options)) as source:
    blocks = []
    while not sum(map(len, blocks)):
        blocks.append(source.read(5))
    player = subprocess.Popen(["paplay", "--latency-msec=1000", wav])
    until = None
    while until is None or time.monotonic() < until:
        blocks.append(source.read(0.1, 2000))
        if until is None and player.poll() is not None:
            until = time.monotonic() + 0.5
np.save(out, np.concatenate(blocks))
counts = source.counters()
print(source.sample_rate, source.channels, counts.dropped_samples, counts.overflows, source.live)
assert counts.callbacks > 10, counts
assert 0 < counts.callback_us <= counts.longest_callback_us < 1e5, counts
assert counts.longest_gap_ms > 0 < counts.jitter_ms, counts
"""

SAY = """
import sys
from kikiwake.engine.capture import DeviceSource
from kikiwake.errors import SourceError
for spec in sys.argv[1:]:
    try:
        DeviceSource(spec).__enter__()
    except SourceError as error:
        print(error)
"""


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"native": False},
        {"sample_format": "int16", "block_frames": 32},
        {"block_frames": 8192},
    ],
    ids=str,
)
def test_what_is_played_comes_back_sample_by_sample(
    pulse: PulseServer, tmp_path: Path, options: dict[str, object]
) -> None:
    sound = noise(2 * 44100, 2)
    # The null sink itself swallows some milliseconds when a stream begins.
    played = np.concatenate([np.zeros((8820, 2), np.float32), sound])
    soundfile.write(tmp_path / "played.wav", played, 44100, "PCM_16")
    done = pulse.python(
        LISTEN,
        str(tmp_path / "played.wav"),
        str(tmp_path / "heard.npy"),
        json.dumps(options),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "44100 2 0 0 True\n"
    warning = (
        "WARNING compiled audio callback refused, using a Python one, which can lose sound when "
        "the computer is busy: native=False\n"
    )
    assert done.stderr == ("" if options.get("native", True) else warning)
    heard = np.load(tmp_path / "heard.npy")
    first = int(np.flatnonzero(heard.any(axis=1))[0])
    assert np.array_equal(heard[first : first + len(sound)], sound)


def test_devices_are_listed_loopback_first(pulse: PulseServer) -> None:
    code = """
from kikiwake.engine.capture import list_devices
for d in list_devices():
    print(d.spec, d.name, d.host_api, d.is_loopback, d.is_default, sep="|")
"""
    done = pulse.python(code)
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[0] == "loopback|monitor of the default output|ALSA|True|False"
    assert re.fullmatch(r"\d+\|default\|ALSA\|False\|True", lines[1])
    assert any(re.fullmatch(r"\d+\|pulse\|ALSA\|False\|False", line) for line in lines)


def test_unknown_devices_are_refused_with_what_there_is(pulse: PulseServer) -> None:
    done = pulse.python(SAY, "nobody", "99", "u", "PULSE")
    assert done.stderr == ""
    named, numbered, several = done.stdout.splitlines()
    there = r"loopback \(monitor of the default output\), \d+ \(default\), \d+ \(pulse\)"
    assert re.fullmatch(
        rf"no input is called 'nobody'; there are: {there}.*; see `kikiwake devices`", named
    )
    assert re.fullmatch(
        rf"no input has number 99; there are: {there}.*; see `kikiwake devices`", numbered
    )
    assert re.fullmatch(rf"'u' fits several inputs: {there}.*; say which by its number", several)


def test_no_sound_server(pulse: PulseServer) -> None:
    env = pulse.env | {"PULSE_SERVER": "unix:/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", SAY, "loopback", "nobody"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    loopback, nobody = done.stdout.splitlines()
    assert loopback == (
        "no loopback to listen to: start PulseAudio or PipeWire (pipewire-pulse) and install "
        "libasound2-plugins; `kikiwake devices` lists the inputs"
    )
    # A computer with a sound card of its own has inputs all the same.
    assert re.match(r"no sound input here: PortAudio sees no sound card|no input is called", nobody)


@pytest.mark.skipif(sys.platform != "linux", reason="sounddevice brings PortAudio along here")
def test_no_portaudio_library() -> None:
    hide = "import ctypes.util; ctypes.util.find_library = lambda name: None\n"
    done = subprocess.run(
        [sys.executable, "-c", hide + SAY, "default"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "the PortAudio library is missing, without it only files and '-' can be heard: install "
        "libportaudio2 (Debian, Ubuntu: apt install libportaudio2), on macOS and Windows reinstall "
        "the Python package sounddevice\n"
    )


# --- a device that is lost


@pytest.fixture
def listen(pulse_to_break: PulseServer) -> Iterator[Callable[..., Listener]]:
    started: list[Listener] = []

    def start(*options: str) -> Listener:
        started.append(Listener(pulse_to_break, *options))
        return started[-1]

    yield start
    for listener in started:
        listener.process.kill()
        listener.process.communicate()


@pytest.fixture(scope="module")
def short_wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first speaker of the demo sound."""
    sound, rate = soundfile.read(DEMO, dtype="float32", stop=4 * 48_000)
    path = tmp_path_factory.mktemp("sound") / "short.wav"
    soundfile.write(path, sound, rate)
    return path


def test_sound_server_is_killed_ten_times(
    pulse_to_break: PulseServer, listen: Callable[..., Listener], short_wav: Path
) -> None:
    listener = listen()
    listener.wait_for(listening)
    for _ in range(10):
        pulse_to_break.kill()
        lost = listener.wait_for(waiting)
        assert lost.notice is not None
        assert lost.notice.startswith("waiting for the device: monitor of the default output is ")
        assert (lost.speech, lost.character) == (False, None)
        pulse_to_break.start()
        found = listener.wait_for(listening)
        assert found.notice is None
        assert found.time >= lost.time
    pulse_to_break.play(short_wav)
    listener.wait_for(lambda result: result.character == "Hinano Tamagaki")
    counters = listener.latest.counters if listener.latest else None
    assert counters is not None
    assert counters.reopened == 10
    assert counters.missing_ms > 0
    said = listener.stop()
    assert sum("waiting for the device" in line for line in said) >= 10
    assert not [line for line in said if "Expression" in line], "PortAudio prints in between"


def test_sink_is_removed_ten_times(
    pulse_to_break: PulseServer, listen: Callable[..., Listener], short_wav: Path
) -> None:
    server = pulse_to_break
    listener = listen()
    listener.wait_for(listening)
    form = server.sink_form(server.sink)
    for _ in range(10):
        assert server.run("pactl", "unload-module", "module-null-sink").returncode == 0
        listener.wait_for(waiting)
        assert server.run("pactl", "load-module", "module-null-sink", *form).returncode == 0
        listener.wait_for(listening)
    server.play(short_wav)
    listener.wait_for(lambda result: result.character == "Hinano Tamagaki")
    listener.stop()


def test_what_cannot_be_opened_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "default_monitor", lambda: None)
    info = devices.DeviceInfo(0, "monitor", "ALSA", 2, 48_000, True, False, "loopback", True)
    with pytest.raises(SourceError, match="does not say what its default output is"):
        device.PortAudioStream(
            info, SpscRing(64, 2), sample_rate=48_000, block_frames=0, latency_ms=0.0, native=False
        )
    assert not device._open_streams


def test_device_that_delivers_nothing_is_taken_for_lost(
    pulse_to_break: PulseServer, listen: Callable[..., Listener]
) -> None:
    listener = listen()
    listener.wait_for(listening)
    pulse_to_break.run("pactl", "suspend-sink", pulse_to_break.sink, "1")
    quiet = listener.wait_for(lambda result: result.state == "quiet")
    assert (quiet.speech, quiet.character, quiet.notice) == (False, None, None)
    lost = listener.wait_for(waiting)
    assert lost.notice is not None
    assert lost.notice.endswith("monitor of the default output delivers no sound")
    pulse_to_break.run("pactl", "suspend-sink", pulse_to_break.sink, "0")
    listener.wait_for(listening)
    listener.stop()


def test_device_missing_at_the_start(
    pulse_to_break: PulseServer, listen: Callable[..., Listener]
) -> None:
    pulse_to_break.kill()
    refused = listen()
    assert refused.process.wait(20) == 1
    assert refused.process.stderr is not None
    assert refused.process.stderr.read().startswith("kikiwake: no loopback to listen to: start ")
    listener = listen("--wait")
    lost = listener.wait_for(waiting)
    assert lost.notice is not None
    assert lost.notice.startswith("waiting for the device: no loopback to listen to: start ")
    pulse_to_break.start()
    found = listener.wait_for(listening)
    assert found.counters.reopened == 0
    listener.stop()


def test_another_default_sink_is_followed(
    pulse_to_break: PulseServer, listen: Callable[..., Listener], short_wav: Path
) -> None:
    server = pulse_to_break
    listener = listen()
    listener.wait_for(listening)
    server.run("pactl", "load-module", "module-null-sink", *server.sink_form("second"))
    server.run("pactl", "set-default-sink", "second")
    time.sleep(0.5)
    done = server.run("paplay", "--device=second", str(short_wav))
    assert done.returncode == 0, done.stderr
    listener.wait_for(lambda result: result.character == "Hinano Tamagaki")
    counters = listener.latest.counters if listener.latest else None
    assert counters is not None
    assert counters.reopened == 0, "it was never lost"
    listener.stop()


def test_counters_are_told_on_demand(pulse: PulseServer, listen: Callable[..., Listener]) -> None:
    listener = listen()
    listener.wait_for(listening)
    listener.process.send_signal(signal.SIGQUIT)
    assert listener.process.stderr is not None
    assert re.fullmatch(
        r"kikiwake: nothing lost; audio thread: \d+ blocks in [\d.]+ µs each, longest [\d.]+ µs, "
        r"jitter [\d.]+ ms, longest gap [\d.]+ ms; newest sample [\d.]+ ms old\n",
        listener.process.stderr.readline(),
    )
    listener.stop()


BEHIND = """
import time
from kikiwake.engine.capture import DeviceSource

with DeviceSource("loopback", max_lag_ms=300) as source:
    while not len(source.read(5, 441)):
        pass
    time.sleep(0.2)
    assert len(source.read(1, 441)) > 0.1 * 44100, "so far behind is caught up with"
    assert source.counters().skipped_samples == 0
    time.sleep(1)
    newest = source.read(1, 441)
    assert 441 <= len(newest) < 0.1 * 44100, len(newest)
    skipped = source.counters().skipped_samples
    assert 0.8 * 44100 < skipped < 1.2 * 44100, skipped
    age_ms = source.counters().age_ms
    time.sleep(6)  # longer than the ring
    source.read(1, 441)
    counts = source.counters()
    assert counts.skipped_samples - skipped + counts.dropped_samples > 5.5 * 44100, counts
    assert counts.dropped_samples > 0
"""


def test_reader_that_is_behind_is_moved_to_the_newest_sound(pulse: PulseServer) -> None:
    done = pulse.python(BEHIND)
    assert done.returncode == 0, done.stderr
