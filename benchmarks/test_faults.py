"""Faults of a live device, injected one after the other: what is shown, until when, what is lost.

On a private PulseAudio without a sound card. A USB device cannot be unplugged here: the removed
sink stands for it, since for the listener both are a stream that ends. An outage lasts from half a
second to eight, as a seed has it, because a lost device is looked for with growing pauses.
"""

import os
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import soundfile

from kikiwake.engine.result import Counters, Result

sys.path.append(str(Path(__file__).parents[1] / "tests" / "engine"))
from listener import Listener, listening, waiting

# By its path: `conftest` means the one of the benchmarks here.
_sound = runpy.run_path(str(Path(__file__).parents[1] / "tests" / "conftest.py"))
PulseServer = _sound["PulseServer"]

RATE = 44_100  # of the sink, and so of what is heard
LIMIT_S = 15.0  # to be shown, and to recover
# A tone that says by its level, in steps of a tenth of a dB, when it was played.
RAMP_S = 20.0
RAMP_DB = -60.0, -10.0
CURRENT_S = 0.1  # no more behind than this, beside before, counts as current again


class Injection(msgspec.Struct):
    """One fault, and its end.

    Attributes
    ----------
    shown_s : float or None
        From the fault to the first result that tells of it; None where there is none to be.
    back_s : float
        From the moment its cause is taken away to the first result that is as ever.
    missing_ms, skipped_ms, dropped_ms, missed_results, reopened : float
        What the counters count of it.
    clock_ms : float or None
        By how much the time of the results lags behind the clock more than before: sound that was
        lost and is in no counter. Less than zero: time that was counted twice.
    note : str
        What else there is to say.
    """

    shown_s: float | None
    back_s: float
    missing_ms: float
    skipped_ms: float
    dropped_ms: float
    missed_results: int
    reopened: int
    clock_ms: float | None
    note: str = ""


class Victim:
    """A listener on a server of its own, to which faults happen."""

    def __init__(self, server: Any, *options: str) -> None:
        self.server = server
        self.listener = Listener(server, *options)
        self.rng = np.random.default_rng(5)
        self.injections: list[Injection] = []
        self.players: list[subprocess.Popen[str]] = []
        self.results: list[tuple[float, Result]] = []  # of the fault at hand

    def until(self, wanted: Callable[[Result], bool], after: float = 0.0) -> float:
        """Take results up to the first that came after this moment and is as wanted; its moment."""

        def look(result: Result) -> bool:
            at = self.listener.latest_at
            self.results.append((at, result))
            return at >= after and wanted(result)

        self.listener.wait_for(look, LIMIT_S)
        return self.listener.latest_at

    def settle(self) -> tuple[Counters, float]:
        """Listen for a second: what is counted by then, and how far results are behind, at least.

        The least of many, for blocks come in bursts.
        """
        from_now = time.monotonic()
        behind = []
        while time.monotonic() < from_now + 1 or not behind:
            at = self.until(listening, from_now)
            assert self.listener.latest is not None
            behind.append(at - self.listener.latest.time)
        return self.listener.latest.counters, min(behind)

    def suffer(
        self,
        fault: Callable[[], object],
        end: Callable[[], object],
        *,
        shown: Callable[[Result], bool] | None = None,
        back: Callable[[Result], bool] = listening,
        lasts_s: float | None = None,
        at_start: bool = False,
    ) -> Injection:
        """Let a fault happen, and end; `lasts_s` is how long, by itself what the seed has."""
        if lasts_s is None:
            lasts_s = float(self.rng.uniform(0.5, 8.0))
        before, behind = (Counters(), None) if at_start else self.settle()
        self.results = []
        began = time.monotonic()
        fault()
        shown_at = None if shown is None else self.until(shown, began)
        time.sleep(max(0.0, began + lasts_s - time.monotonic()))
        ends = time.monotonic()
        end()
        back_at = self.until(back, ends)
        now, behind_now = self.settle()
        injection = Injection(
            shown_s=None if shown_at is None else round(shown_at - began, 3),
            back_s=round(back_at - ends, 3),
            missing_ms=now.missing_ms - before.missing_ms,
            skipped_ms=round((now.skipped_samples - before.skipped_samples) / RATE * 1e3),
            dropped_ms=round((now.dropped_samples - before.dropped_samples) / RATE * 1e3),
            missed_results=now.missed_results - before.missed_results,
            reopened=now.reopened - before.reopened,
            clock_ms=None if behind is None else round(1e3 * (behind_now - behind)),
        )
        self.injections.append(injection)
        return injection

    def pactl(self, *arguments: str) -> None:
        done = self.server.run("pactl", *arguments)
        assert done.returncode == 0, done.stderr

    def add_sink(self, name: str) -> None:
        self.pactl("load-module", "module-null-sink", *self.server.sink_form(name))

    def play(self, path: Path, sink: str) -> None:
        """Play a file for as long as the server lives; returns when it has begun."""
        null = subprocess.DEVNULL
        player = ("paplay", "--latency-msec=200", str(path))
        self.players.append(self.server.popen(*player, stdout=null, stderr=null))
        time.sleep(1)
        # Only a stream moved by hand stays where it is when the default sink changes.
        streams = self.server.run("pactl", "list", "short", "sink-inputs").stdout
        self.pactl("move-sink-input", streams.splitlines()[-1].split()[0], sink)

    def started(self) -> None:
        self.until(listening)


def tone(path: Path, seconds: float, first_db: float, last_db: float, times: int = 1) -> Path:
    """Write a tone whose level rises evenly, over and over."""
    t = np.arange(round(seconds * RATE)) / RATE
    level_db = first_db + (last_db - first_db) * t / seconds
    sound = np.sqrt(2) * 10 ** (level_db / 20) * np.sin(2 * np.pi * 1000 * t)
    soundfile.write(path, np.tile(sound, times), RATE, "PCM_24")
    return path


def server_is_killed(victim: Victim, _folder: Path) -> None:
    victim.started()
    for _ in range(10):
        victim.suffer(victim.server.kill, victim.server.start, shown=waiting)


def server_is_missing_at_the_start(victim: Victim, _folder: Path) -> None:
    def fault() -> None:
        victim.server.kill()
        victim.listener.process.kill()
        victim.listener.process.communicate()
        victim.listener = Listener(victim.server, "--wait")

    for _ in range(5):
        victim.suffer(fault, victim.server.start, shown=waiting, at_start=True)


def sink_is_removed(victim: Victim, _folder: Path) -> None:
    victim.started()
    for _ in range(10):
        victim.suffer(
            lambda: victim.pactl("unload-module", "module-null-sink"),
            lambda: victim.add_sink(victim.server.sink),
            shown=waiting,
        )


def default_sink_changes(victim: Victim, folder: Path) -> None:
    sinks = {"second": -40.0, "third": -15.0}
    for sink in sinks:
        victim.add_sink(sink)
    victim.started()
    for sink, level_db in sinks.items():
        victim.play(tone(folder / f"{sink}.wav", 120, level_db, level_db), sink)
    for k in range(10):
        sink = list(sinks)[k % 2]
        injection = victim.suffer(
            lambda: None,
            lambda sink=sink: victim.pactl("set-default-sink", sink),
            back=lambda result, sink=sink: abs(result.level_db - sinks[sink]) < 1,
            lasts_s=0,
        )
        times = [at for at, result in victim.results if result.state == "listening"]
        injection.note = f"without results for {1e3 * max(np.diff(times)):.0f} ms"


def device_delivers_nothing(victim: Victim, _folder: Path) -> None:
    sink = victim.server.sink
    victim.started()
    for _ in range(5):
        victim.suffer(
            lambda: victim.pactl("suspend-sink", sink, "1"),
            lambda: victim.pactl("suspend-sink", sink, "0"),
            shown=lambda result: result.state == "quiet",
            lasts_s=6,
        )


def listener_is_stopped(victim: Victim, folder: Path, lasts_s: float) -> None:
    process = victim.listener.process
    slope = (RAMP_DB[1] - RAMP_DB[0]) / RAMP_S
    victim.started()
    victim.play(tone(folder / "ramp.wav", RAMP_S, *RAMP_DB, times=9), victim.server.sink)

    def behind(result: Result) -> float:
        """By how much what is heard is older than now, but for a constant; by its level."""
        return victim.listener.latest_at - (result.level_db - RAMP_DB[0]) / slope

    def usual() -> float:
        """Take a second of results: their usual `behind`."""
        found: list[float] = []
        from_now = time.monotonic()
        while time.monotonic() < from_now + 1 or not found:
            victim.until(listening, from_now)
            found.append(behind(victim.listener.latest))
        middle = found[0]
        return middle + float(np.median([off(value, middle) for value in found]))

    def off(value: float, usual: float) -> float:
        return (value - usual + RAMP_S / 2) % RAMP_S - RAMP_S / 2

    for _ in range(5):
        before = usual()
        injection = victim.suffer(
            lambda: process.send_signal(signal.SIGSTOP),
            lambda: process.send_signal(signal.SIGCONT),
            back=lambda result, before=before: abs(off(behind(result), before)) < CURRENT_S,
            lasts_s=lasts_s,
        )
        states = {result.state for _, result in victim.results} - {"listening"}
        injection.note = f"sound {1e3 * off(usual(), before):.0f} ms later than before, {states}"


def server_is_stopped(victim: Victim, lasts_s: float) -> None:
    daemon = victim.server._daemon
    victim.started()
    for _ in range(5):
        victim.suffer(
            lambda: daemon.send_signal(signal.SIGSTOP),
            lambda: daemon.send_signal(signal.SIGCONT),
            shown=lambda result: result.state == "quiet",
            lasts_s=lasts_s,
        )


def config_is_spoilt(victim: Victim, folder: Path) -> None:
    config = Path(os.environ["KIKIWAKE_CONFIG"])
    spoilt = "[gate]\nhangover_ms = 9000\n", "[gate\n", "hop = 3\n", 'cast = "none.cast"\n', "\xff"
    victim.started()
    for k, text in enumerate(spoilt):
        injection = victim.suffer(
            lambda text=text: config.write_bytes(text.encode("latin-1")),
            lambda k=k: config.write_text(f"[gate]\nhangover_ms = {200 + 10 * k}\n"),
            shown=lambda result: result.notice is not None,
            back=lambda result: result.notice is None,
            lasts_s=2,
        )
        steps_ms = 1e3 * np.diff([result.time for _, result in victim.results])
        injection.note = f"longest step between results {max(steps_ms):.1f} ms"
        if k == 0:
            assert "hangover_ms" in str([result.notice for _, result in victim.results])


FAULTS: dict[str, Callable[[Victim, Path], None]] = {
    "sound server killed, started again": server_is_killed,
    "sink removed, added again": sink_is_removed,
    "sound server missing at the start": server_is_missing_at_the_start,
    "another default sink": default_sink_changes,
    "device delivers nothing for 6 s": device_delivers_nothing,
    "listener stopped for 0.5 s": lambda v, folder: listener_is_stopped(v, folder, 0.5),
    "listener stopped for 2 s": lambda v, folder: listener_is_stopped(v, folder, 2),
    "listener stopped for 6 s": lambda v, folder: listener_is_stopped(v, folder, 6),
    "sound server stopped for 0.5 s": lambda v, _: server_is_stopped(v, 0.5),
    "sound server stopped for 2 s": lambda v, _: server_is_stopped(v, 2),
    "config spoilt, mended": config_is_spoilt,
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # The server's clients inherit it.
    monkeypatch.setenv("KIKIWAKE_CONFIG", str(tmp_path / "config.toml"))
    return tmp_path


def inject(name: str, folder: Path) -> list[Injection]:
    server = PulseServer()
    victim = Victim(server)
    try:
        FAULTS[name](victim, folder)
        victim.listener.stop()  # which sees to it that it has lived until now
    finally:
        victim.listener.process.kill()
        victim.listener.process.communicate()
        server.stop()
        for player in victim.players:  # which end with the server
            player.wait(LIMIT_S)
    return victim.injections


def spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Find the middle and the worst."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"p50": round(float(np.median(known)), 3), "worst": max(known, key=abs)}


def test_faults(report: Callable[..., None], folder: Path) -> None:
    for program in ("pulseaudio", "pactl", "paplay"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    columns = msgspec.structs.fields(Injection)
    figures: dict[str, dict[str, Any]] = {}
    for name in FAULTS:
        injections = inject(name, folder)
        figures[name] = {
            "times": len(injections),
            **{c.name: spread(getattr(i, c.name) for i in injections) for c in columns[:-1]},
            "injections": msgspec.to_builtins(injections),
        }
    report(table(figures), "faults", figures)
    assert min(found["times"] for found in figures.values()) >= 5
    # What is lost is counted, and counted once.
    assert all(
        abs(found["clock_ms"]["worst"]) < 250 for found in figures.values() if found["clock_ms"]
    )


def table(figures: dict[str, dict[str, Any]]) -> str:
    keys = {
        "shown_s": "shown, s",
        "back_s": "as ever again, s",
        "missing_ms": "missing, ms",
        "skipped_ms": "skipped, ms",
        "dropped_ms": "dropped, ms",
        "clock_ms": "clock off, ms",
        "reopened": "reopened",
    }
    lines = [
        "middle / worst; shown: after the fault; as ever again: after its cause has ended",
        f"{'':34s} times" + "".join(f"{head:>18s}" for head in keys.values()),
    ]
    for name, found in figures.items():
        line = f"{name:34s} {found['times']:5d}"
        for key in keys:
            value, form = found[key], ".2f" if key.endswith("_s") else ".0f"
            text = "-" if value is None else f"{value['p50']:{form}} / {value['worst']:{form}}"
            line += f"{text:>18s}"
        lines.append(line)
    notes = {found["note"] for found in figures["config spoilt, mended"]["injections"]}
    lines += [
        f"config spoilt, mended: {', '.join(sorted(notes))}",
        "the listener went on each time: none was started again",
    ]
    return "\n".join(lines)
