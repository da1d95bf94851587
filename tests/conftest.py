"""A sound system without a sound card, for the tests that listen to one.

PortAudio freezes its device list when it is loaded, and the sound server is chosen by environment
variables, so whatever touches PortAudio runs in a child process that gets `PulseServer.env`::

    def test_live(pulse, tmp_path):
        listener = pulse.popen("kikiwake", "run", "--input", "loopback", "--json")
        pulse.play("demo.wav")            # returns when it has been played
        listener.send_signal(signal.SIGINT)
        lines, errors = listener.communicate(timeout=10)

The sink runs at 44.1 kHz in float32, which is what PortAudio asks of the ``pulse`` device, so a
file of that rate comes back sample by sample. Wait for the listener's first result before playing.
When a stream begins the sink itself swallows some milliseconds: let the file begin with silence.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what listens in real time: whatever has a sound server, and the recognizer's tests."""
    for item in items:
        of_server = "pulse_program" in getattr(item, "fixturenames", ())
        if of_server or item.path.name == "test_recognizer.py":
            item.add_marker("live")


@pytest.fixture(autouse=True)
def own_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Keep the config file of whoever runs the tests out of them; child processes inherit it."""
    path = tmp_path / "own" / "config.toml"
    monkeypatch.setenv("KIKIWAKE_CONFIG", str(path))
    return path


class PulseServer:
    """A private PulseAudio daemon with one null sink, the default; `stop` may come at any time.

    Attributes
    ----------
    env : dict of str
        The whole environment for programs that shall hear and use this daemon and no other.
    sink : str
        Name of the sink; what is played into it comes out of the loopback.
    """

    sink = "kikiwake_test"

    def __init__(self) -> None:
        # Not under pytest's directory: the path of a Unix socket holds a hundred characters.
        self._dir = Path(tempfile.mkdtemp(prefix="kk-"))
        self._socket = self._dir / "native"
        hidden = ("PULSE_", "DBUS_", "DISPLAY", "WAYLAND_", "XDG_")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        self.env |= {
            "HOME": str(self._dir),
            "XDG_RUNTIME_DIR": str(self._dir),
            "PULSE_RUNTIME_PATH": str(self._dir),
        }
        self.start()

    def start(self) -> None:
        """Start the daemon; also again, after `kill`."""
        # A server's address in the environment keeps a daemon from starting.
        env = {k: v for k, v in self.env.items() if k != "PULSE_SERVER"}
        command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no"]
        command += ["--exit-idle-time=-1", "--log-target=stderr"]
        command += ["-L", f"module-native-protocol-unix auth-anonymous=1 socket={self._socket}"]
        command += ["-L", f"module-null-sink {' '.join(self.sink_form(self.sink))}"]
        with open(self._dir / "log", "ab") as log:
            self._daemon = subprocess.Popen(command, env=env, stdout=log, stderr=log)
        # From here on clients are told where it is; this also keeps them from starting their own.
        self.env["PULSE_SERVER"] = f"unix:{self._socket}"
        until = time.monotonic() + 20
        while self.run("pactl", "info").returncode:
            if self._daemon.poll() is not None or time.monotonic() > until:
                log_text = (self._dir / "log").read_text()
                self.stop()
                raise RuntimeError(f"PulseAudio does not start:\n{log_text}")
            time.sleep(0.05)

    @staticmethod
    def sink_form(name: str) -> tuple[str, ...]:
        """Give the arguments of ``module-null-sink`` for a sink of that name.

        Without rewinds it works 50 ms ahead, not two seconds, and is heard as soon as it is there.
        """
        form = ("rate=44100", "channels=2", "format=float32le", "norewinds=1")
        return (*form, f"sink_name={name}")

    def run(self, *command: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a program to its end."""
        return subprocess.run(
            command, env=self.env, capture_output=True, text=True, timeout=timeout_s, check=False
        )

    def python(self, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Python code in a fresh interpreter."""
        return self.run(sys.executable, "-c", code, *arguments)

    def popen(self, *command: str, **options: Any) -> subprocess.Popen[str]:
        """Start a program, with pipes on its outputs."""
        pipe = subprocess.PIPE
        settings: dict[str, Any] = {"env": self.env, "stdout": pipe, "stderr": pipe, "text": True}
        child: subprocess.Popen[str] = subprocess.Popen(command, **(settings | options))
        return child

    def play(self, path: str | os.PathLike[str], timeout_s: float = 120) -> None:
        """Play a sound file into the sink; returns when it has been played."""
        # A second in advance: with less the player falls behind on a busy machine, and the sink
        # fills in silence.
        command = ("paplay", "--latency-msec=1000", f"--device={self.sink}", str(path))
        done = self.run(*command, timeout_s=timeout_s)
        assert done.returncode == 0, done.stderr

    def kill(self) -> None:
        """Kill the daemon, as a crash would."""
        self._daemon.kill()
        self._daemon.wait()

    def stop(self) -> None:
        """Kill the daemon and leave nothing behind."""
        self.kill()
        shutil.rmtree(self._dir, ignore_errors=True)


@pytest.fixture(scope="session")
def pulse_program() -> None:
    """Skip where PulseAudio is not installed; a daemon that does not start is a failure."""
    for program in ("pulseaudio", "pactl", "paplay"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: pulseaudio, pulseaudio-utils)")


@pytest.fixture(scope="session")
def pulse(pulse_program: None) -> Iterator[PulseServer]:
    """Lend the one PulseAudio of this test run."""
    server = PulseServer()
    yield server
    server.stop()


@pytest.fixture
def pulse_to_break(pulse_program: None) -> Iterator[PulseServer]:
    """Lend a PulseAudio that the test may stop."""
    server = PulseServer()
    yield server
    server.stop()
