"""What ``kikiwake run --background`` needs: one instance per input, and a log file to talk to."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

import platformdirs
from filelock import BaseFileLock, FileLock, Timeout

from .. import __version__
from ..engine.result import BRIDGED_S, Counters, Result, Turn, TurnTracker
from ..errors import KikiwakeError
from ..files import write_file
from .view import clock, describe_counters

LOG_BYTES = 1_000_000
LOG_FILES = 3
HOUR_S = 3600

# Longer than `running` holds the lock to see whether it is free, and than a holder takes from the
# lock to its process number.
_PATIENCE_S = 0.2

_log = logging.getLogger(__name__)


class BackgroundError(KikiwakeError):
    """There is an instance already, or no place for the lock or the log."""


@contextlib.contextmanager
def single_instance(input: str) -> Iterator[None]:
    """Be the one background instance of this user that listens to *input*.

    The system lets go of the lock when the process ends, however it ends.

    Parameters
    ----------
    input : str
        As the setting has it: two spellings of one device are two inputs.

    Raises
    ------
    BackgroundError
        Another process is it, or the lock cannot be written.
    """
    lock = _acquire(input)
    if lock is None:
        raise BackgroundError(
            f"input {input!r}: a background instance listens to it already, process "
            f"{_holder(input)}; end that one first, or choose another --input"
        )
    # On Windows nobody else can read a locked file: the process number stands in one beside it.
    path = _file(input, ".pid")
    try:
        try:
            write_file(path, f"{os.getpid()}\n{input}".encode(errors="surrogatepass"))
        except OSError as error:
            raise BackgroundError(f"{path}: cannot be written: {error.strerror}") from None
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        lock.release()


def running(input: str) -> int | None:
    """Say which process is the background instance that listens to *input*.

    Parameters
    ----------
    input : str
        As the setting has it.

    Returns
    -------
    int or None
        Its number; 0 where it does not say; None where there is no instance.

    Raises
    ------
    BackgroundError
        The lock cannot be looked at.
    """
    if not _file(input, ".lock").exists():
        return None
    lock = _acquire(input)
    if lock is None:
        return _holder(input)
    lock.release()
    return None


def instances() -> dict[str, int]:
    """List the background instances of this user: input and process number.

    Raises
    ------
    BackgroundError
        A lock cannot be looked at.
    """
    found = {}
    for path in sorted(_folder().glob("kikiwake-*.pid")):
        with contextlib.suppress(OSError):
            text = path.read_bytes().decode(errors="surrogatepass")
            _, _, input = text.partition("\n")
            if (pid := running(input)) is not None:
                found[input] = pid
    return found


def log_path(input: str) -> Path:
    """Where the background instance that listens to *input* logs to.

    Each has a file of its own: two processes cannot rotate one.
    """
    folder = platformdirs.user_log_path("kikiwake", appauthor=False)
    return folder / f"{_name(input)}.log"


@contextlib.contextmanager
def log_to_file(
    path: Path, *, max_bytes: int = LOG_BYTES, files: int = LOG_FILES
) -> Iterator[None]:
    """Send to a file what this package logs, warnings of all others, and how it all ended.

    A later fault of the file neither ends nor disturbs the program: what was lost is counted, and
    said in the file once it can be written again.

    Parameters
    ----------
    path : Path
        Its folder is made where it is missing.
    max_bytes : int
        Size in bytes at which the next file is begun; the old ones are numbered.
    files : int
        Files kept, that one included.

    Raises
    ------
    BackgroundError
        The file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = _FileHandler(path, maxBytes=max_bytes, backupCount=files - 1, encoding="utf-8")
    except OSError as error:
        raise BackgroundError(f"log {path}: cannot be written: {error.strerror}") from None
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S%z")
    )
    # On the root: a library's warning without a handler would go to standard error.
    root, package = logging.getLogger(), logging.getLogger("kikiwake")
    level = package.level
    root.addHandler(handler)
    package.setLevel(logging.INFO)
    logging.captureWarnings(True)
    try:
        _log.info("kikiwake %s begins, process %d", __version__, os.getpid())
        if handler.lost:
            raise BackgroundError(f"log {path}: cannot be written: {handler.reason}")
        yield
    except KikiwakeError as error:
        _log.error("%s", error)
        raise
    except Exception:
        _log.exception("a fault of the program")
        raise
    finally:
        _log.info("ends")
        logging.captureWarnings(False)
        package.setLevel(level)
        root.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()


class _FileHandler(RotatingFileHandler):
    """Counts what it cannot write, and says so before the next record that it can.

    Attributes
    ----------
    lost : int
        Records not written since one was.
    reason : str
        Why.
    """

    lost = 0
    reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        if self.lost:
            lost, self.lost = self.lost, 0
            text = f"{lost} records before this one could not be written: {self.reason}"
            note = logging.LogRecord(record.name, logging.WARNING, "", 0, text, None, None)
            super().emit(note)
            if self.lost:
                self.lost += lost  # one now stands for the record that the note was to precede
                return
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        error = sys.exception()
        self.lost += 1
        self.reason = (isinstance(error, OSError) and error.strerror) or repr(error)
        # A stream keeps what it could not write and would try again: begin with a new one.
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.close()


class TurnLog:
    """Logs turns as they begin and end, notices, and each hour what was heard and what was lost."""

    def __init__(self) -> None:
        self._tracker = TurnTracker()
        self._open = False
        self._n_turns = 0
        self._notice: str | None = None
        self._hours = 0
        self._time = 0.0
        self._counters = Counters()

    def add(self, result: Result) -> None:
        """Take the next result."""
        self._time, self._counters = result.time, result.counters
        # The last turn, which a short pause may not end, and for a moment the one after it.
        turns = self._tracker.turns
        self._tracker.add(result)
        if self._open and (len(turns) == 2 or result.time - turns[0].end > BRIDGED_S):
            self._end(turns[0])
        if not self._open and result.character is not None:
            self._open = True
            self._n_turns += 1
            _log.info("%s %s (%s)", clock(result.time), result.character, result.actor)
        del turns[:-1]  # it may run for weeks
        if result.notice != self._notice:
            if result.notice is None:
                _log.info("%s over: %s", clock(result.time), self._notice)
            else:
                _log.warning("%s %s", clock(result.time), result.notice)
            self._notice = result.notice
        if (hours := int(result.time // HOUR_S)) > self._hours:
            self._hours = hours
            self._sum_up()

    def close(self) -> None:
        """End the turn there is, and sum up."""
        if self._open:
            self._end(self._tracker.turns[0])
        self._sum_up()

    def _end(self, turn: Turn) -> None:
        self._open = False
        who = f"{turn.character} ({turn.actor})"
        _log.info("%s %s ended, %.1f s", clock(turn.end), who, turn.end - turn.start)

    def _sum_up(self) -> None:
        heard = f"{clock(self._time)} heard, turns: {self._n_turns}"
        counted = describe_counters(self._counters)
        _log.info("%s", f"{heard}; {counted}" if counted else heard)


def _acquire(input: str) -> BaseFileLock | None:
    """Take the lock of *input*; None where another process has it."""
    path = _file(input, ".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(timeout=_PATIENCE_S)
    except Timeout:
        return None
    except OSError as error:
        raise BackgroundError(f"{path}: cannot be locked: {error.strerror}") from None
    return lock


def _holder(input: str) -> int:
    try:
        return int(_file(input, ".pid").read_bytes().partition(b"\n")[0])
    except (OSError, ValueError):
        return 0


def _folder() -> Path:
    # Not the runtime folder, which a service and a terminal of one user may have two of.
    return platformdirs.user_state_path("kikiwake", appauthor=False)


def _file(input: str, suffix: str) -> Path:
    return _folder() / (_name(input) + suffix)


def _name(input: str) -> str:
    """Make a file name of an input that is its own on every file system."""
    name = re.sub(r"[^a-z0-9]+", "-", input.lower())[:40]
    if name != input:
        name += "-" + hashlib.sha256(input.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"kikiwake-{name}"
