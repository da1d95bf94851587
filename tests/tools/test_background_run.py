from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from kikiwake.engine.result import Counters, Result
from kikiwake.models.starter import DEMO
from kikiwake.tools.background import (
    BackgroundError,
    TurnLog,
    instances,
    log_path,
    log_to_file,
    running,
    single_instance,
)
from kikiwake.tools.cli import main
from kikiwake.tools.view import describe_counters

HOLD = """
import sys
from kikiwake.tools.background import single_instance
with single_instance(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""
RECORD = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ([A-Z]+) (.*)")
NOBODY = Result(0.0, False, None, None, 0.0, (), -120.0)


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path) -> None:
    """Keep locks and logs of whoever runs the tests out of them; child processes inherit it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(tmp_path / "state"))


@pytest.fixture
def hold() -> Iterator:
    """Start a process that holds the lock of an input until it is told to end."""
    children = []

    def start(input: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", HOLD, input],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        assert child.stdout.readline() == "held\n"
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def records(path: Path) -> list[tuple[str, str]]:
    """Level and message of each line; of one that carries on a record "", and the line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [m.groups() if (m := RECORD.fullmatch(line)) else ("", line) for line in lines]


# One instance per input


def test_a_second_instance_is_told_who_is_the_first(hold) -> None:
    child = hold("loopback")
    said = rf"^input 'loopback': .* process {child.pid}; end that one first, or choose another"
    with pytest.raises(BackgroundError, match=said), single_instance("loopback"):
        pass
    assert running("loopback") == child.pid


def test_another_input_is_another_instance(hold) -> None:
    child = hold("loopback")
    with single_instance("Loopback"), single_instance("マイク 2"):
        mine = os.getpid()
        assert instances() == {"loopback": child.pid, "Loopback": mine, "マイク 2": mine}


def test_a_killed_instance_is_none(hold) -> None:
    child = hold("default")
    child.kill()
    child.wait()
    assert running("default") is None
    assert instances() == {}
    with single_instance("default"):
        assert running("default") == os.getpid()


def test_an_instance_that_ends_leaves_the_place_to_the_next(hold) -> None:
    hold("default").communicate("")
    assert running("default") is None
    with pytest.raises(ZeroDivisionError), single_instance("default"):
        _ = 1 / 0
    hold("default")


def test_there_is_none_where_there_never_was_one(tmp_path) -> None:
    assert running("default") is None
    assert instances() == {}
    assert list(tmp_path.iterdir()) == []


def test_an_instance_without_its_number_is_still_one(hold, tmp_path) -> None:
    hold("default")
    for path in tmp_path.rglob("*.pid"):
        path.unlink()
    assert running("default") == 0


def test_nowhere_to_put_the_lock(monkeypatch, tmp_path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    monkeypatch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(tmp_path / "file"))
    if sys.platform == "darwin":
        monkeypatch.setenv("HOME", str(tmp_path / "file"))
    with pytest.raises(BackgroundError, match=r"\.lock: cannot be locked: "), single_instance("a"):
        pass


@pytest.mark.parametrize("input", ["loopback", "../../etc/passwd", "C:\\a.ogg", "音" * 300, "con"])
def test_whatever_the_input_the_log_is_a_file_of_its_folder(input) -> None:
    path = log_path(input)
    assert path.parent == log_path("loopback").parent
    assert re.fullmatch(r"kikiwake-[a-z0-9-]{1,60}\.log", path.name)


# The log file


def test_what_is_logged(tmp_path, capfd) -> None:
    path = tmp_path / "made" / "own.log"
    package = logging.getLogger("kikiwake")
    before = package.level, list(logging.getLogger().handlers)
    with log_to_file(path):
        logging.getLogger("kikiwake.engine.capture").info("声")
        logging.getLogger("kikiwake").debug("too much")
        logging.getLogger("library").info("too much of another")
        logging.getLogger("library").warning("of another")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (begins, *said, (_, warned), ends) = [r for r in records(path) if r[0]]
    assert re.fullmatch(rf"kikiwake \S+ begins, process {os.getpid()}", begins[1])
    assert said == [("INFO", "声"), ("WARNING", "of another")]
    assert "DeprecationWarning: old" in warned
    assert ends == ("INFO", "ends")
    assert (package.level, logging.getLogger().handlers) == before
    assert capfd.readouterr() == ("", "")


def test_how_it_ended_is_logged(tmp_path) -> None:
    path = tmp_path / "own.log"
    with pytest.raises(BackgroundError), log_to_file(path):
        raise BackgroundError("no sound system")
    assert records(path)[1:] == [("ERROR", "no sound system"), ("INFO", "ends")]
    with pytest.raises(ZeroDivisionError), log_to_file(path):
        _ = 1 / 0
    *_, last, ends = records(path)
    assert last == ("", "ZeroDivisionError: division by zero")
    assert ends == ("INFO", "ends")


def test_old_files_are_numbered_and_the_oldest_goes(tmp_path) -> None:
    path = tmp_path / "own.log"
    with log_to_file(path, max_bytes=2000, files=3):
        for number in range(200):
            logging.getLogger("kikiwake").info("record %d", number)
    files = [tmp_path / "own.log.2", tmp_path / "own.log.1", path]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    assert all(file.stat().st_size <= 2000 for file in files)
    said = [message for file in files for _, message in records(file)]
    first = int(said[0].removeprefix("record "))
    assert said == [f"record {number}" for number in range(first, 200)] + ["ends"]


def test_nowhere_to_log_to(tmp_path) -> None:
    (tmp_path / "file").touch()
    before = list(logging.getLogger().handlers)
    for path in (tmp_path, tmp_path / "file" / "own.log"):
        with (
            pytest.raises(BackgroundError, match=r"^log .*: cannot be written: "),
            log_to_file(path),
        ):
            pytest.fail("there is no log")
    assert logging.getLogger().handlers == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk(tmp_path, capfd) -> None:
    full, said = Path("/dev/full"), r"cannot be written: No space left on device$"
    with pytest.raises(BackgroundError, match=said), log_to_file(full):
        pytest.fail("there is no log")
    path = tmp_path / "own.log"
    log = logging.getLogger("kikiwake")
    with log_to_file(path):
        # What fails is the stream: swap it below the handler, as a disk would.
        (handler,) = [h for h in logging.getLogger().handlers if getattr(h, "lost", None) == 0]
        handler.stream.close()
        handler.stream, handler.baseFilename = None, "/dev/full"
        for number in range(3):
            log.info("lost %d", number)
        handler.baseFilename = str(path)
        log.info("there is room again")
        log.info("and more")
    reason = "3 records before this one could not be written: No space left on device"
    assert records(path)[1:-1] == [
        ("WARNING", reason),
        ("INFO", "there is room again"),
        ("INFO", "and more"),
    ]
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform == "win32", reason="SIGTERM kills there")
def test_a_log_of_a_run_that_was_ended(tmp_path) -> None:
    code = """
import signal, sys
from pathlib import Path
from kikiwake.tools.background import log_to_file
signal.signal(signal.SIGTERM, signal.default_int_handler)
with log_to_file(Path(sys.argv[1])):
    print("ready", flush=True)
    sys.stdin.read()
"""
    path = tmp_path / "own.log"
    command = [sys.executable, "-c", code, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signal.SIGTERM)
        child.wait(10)
    assert records(path)[-1] == ("INFO", "ends")


# The command


def test_a_run_prints_nothing_and_logs_turns(capfd) -> None:
    arguments = ["run", "--background", "--input", str(DEMO)]
    arguments += ["--showing-share", "0", "--switching-margin", "0"]  # whoever leads is shown
    main_exits(arguments)
    assert capfd.readouterr() == ("", "")
    (begins, *turns, (_, heard), ends) = records(log_path(str(DEMO)))
    assert (begins[0], ends) == ("INFO", ("INFO", "ends"))
    n_turns = int(re.fullmatch(r"\d\d:\d\d\.\d heard, turns: (\d+)", heard)[1])
    assert n_turns >= 4
    assert len([text for _, text in turns if text.endswith(" s")]) == n_turns == len(turns) / 2


def test_a_run_beside_another_is_refused(hold, capfd) -> None:
    child = hold("default")
    assert main_exits(["run", "--background", "--input", "default"]) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(rf"kikiwake: input 'default': .* process {child.pid}; .*\n", err)


def main_exits(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    return ended.value.code or 0


# What is logged of a stream


@pytest.fixture
def stream(caplog):
    """Feed a `TurnLog` and return what it logs: (level, message) of each record."""
    caplog.set_level(logging.INFO, logger="kikiwake")
    log = TurnLog()

    def feed(*results: Result, close: bool = False) -> list[tuple[str, str]]:
        caplog.clear()
        for result in results:
            log.add(result)
        if close:
            log.close()
        return [(record.levelname, record.getMessage()) for record in caplog.records]

    return feed


def at(time: float, name: str | None = None, **changes: object) -> Result:
    actor = None if name is None else f"{name}'s actor"
    return msgspec.structs.replace(NOBODY, time=time, character=name, actor=actor, **changes)


def test_turns_are_logged_as_they_begin_and_end(stream) -> None:
    assert stream(at(0.5)) == []
    assert stream(at(723.4, "A")) == [("INFO", "12:03.4 A (A's actor)")]
    assert stream(at(724.0, "A"), at(725.0)) == []
    # A short pause is part of the turn.
    assert stream(at(725.4, "A"), at(726.4)) == []
    assert stream(at(727.0)) == [("INFO", "12:06.4 A (A's actor) ended, 3.0 s")]
    assert stream(at(727.1, "A")) == [("INFO", "12:07.1 A (A's actor)")]
    assert stream(at(728.1, "B")) == [
        ("INFO", "12:08.1 A (A's actor) ended, 1.0 s"),
        ("INFO", "12:08.1 B (B's actor)"),
    ]
    # Another speaks within the pause.
    assert stream(at(728.6), at(728.8, "A")) == [
        ("INFO", "12:08.6 B (B's actor) ended, 0.5 s"),
        ("INFO", "12:08.8 A (A's actor)"),
    ]
    assert stream(at(729.8, "A"), close=True) == [
        ("INFO", "12:09.8 A (A's actor) ended, 1.0 s"),
        ("INFO", "12:09.8 heard, turns: 4"),
    ]


def test_a_stream_without_sound(stream) -> None:
    assert stream(close=True) == [("INFO", "00:00.0 heard, turns: 0")]


def test_a_notice_is_logged_once(stream) -> None:
    gone = "the device is gone"
    assert stream(at(1.0, notice=gone), at(1.1, notice=gone), at(1.2)) == [
        ("WARNING", f"00:01.0 {gone}"),
        ("INFO", f"00:01.2 over: {gone}"),
    ]
    assert stream(at(2.0, notice=gone), at(2.1, notice="bad config")) == [
        ("WARNING", f"00:02.0 {gone}"),
        ("WARNING", "00:02.1 bad config"),
    ]


def test_each_hour_what_was_heard_and_what_was_lost(stream) -> None:
    lost = Counters(dropped_samples=3)
    assert stream(at(1.0), at(3599.9)) == []
    assert stream(at(3600.1), at(3600.2)) == [("INFO", "60:00.1 heard, turns: 0")]
    # As after a sleep of the computer: once, not for each hour slept.
    said = f"240:00.0 heard, turns: 0; {describe_counters(lost)}"
    assert stream(at(4 * 3600.0, counters=lost), at(4 * 3600.1, counters=lost)) == [("INFO", said)]
