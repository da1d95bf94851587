"""`kikiwake run` listening to a sound server: for the tests and the benchmark of its faults."""

from __future__ import annotations

import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from kikiwake.engine.result import Result

if TYPE_CHECKING:
    from conftest import PulseServer


class Listener:
    """`kikiwake run` on a sound server, and what it says.

    Attributes
    ----------
    latest : Result or None
        The newest result that was taken.
    latest_at : float
        When it came, by `time.monotonic`.
    """

    def __init__(self, server: PulseServer, *options: str) -> None:
        command = (sys.executable, "-m", "kikiwake", "run", "--input", "loopback", "--json")
        self.process = server.popen(*command, *options)
        self._results: queue.Queue[tuple[float, Result]] = queue.Queue()
        self.latest: Result | None = None
        self.latest_at = 0.0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._results.put((time.monotonic(), msgspec.json.decode(line, type=Result)))

    def wait_for(self, wanted: Callable[[Result], bool], timeout_s: float = 20) -> Result:
        """Take results until one is as wanted."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            try:
                self.latest_at, self.latest = self._results.get(timeout=0.1)
            except queue.Empty:
                assert self.process.poll() is None, self.process.communicate()[1]
                continue
            if wanted(self.latest):
                return self.latest
        raise AssertionError(f"not in {timeout_s} s; the latest is {self.latest}")

    def stop(self) -> list[str]:
        """End it by Ctrl-C; what it said on standard error."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.stderr is not None
        said = self.process.stderr.read().splitlines()
        assert self.process.wait(20) == 0, said
        return said


def listening(result: Result) -> bool:
    return result.state == "listening"


def waiting(result: Result) -> bool:
    return result.state == "waiting"
