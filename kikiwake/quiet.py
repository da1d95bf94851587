"""Keeping C libraries from writing between our lines."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import threading
from collections.abc import Iterator

# File descriptors belong to the whole process: two threads at once would lose standard error.
_lock = threading.RLock()


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send file descriptor 2 to nowhere: ALSA, JACK, PortAudio and LiteRT print there from C."""
    with _lock, contextlib.ExitStack() as stack:
        try:
            kept = os.dup(2)
        except OSError:  # no standard error at all, as in a windowed program
            yield
            return
        stack.callback(os.close, kept)
        if sys.stderr is not None:
            sys.stderr.flush()
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        stack.callback(os.dup2, kept, 2)
        yield


@contextlib.contextmanager
def python_stderr() -> Iterator[None]:
    """Keep standard error to Python, for as long as devices may come and go.

    PortAudio's audio thread prints there from C when a sound server dies, at any moment.
    """
    before = sys.stderr
    try:
        kept = os.dup(2)
    except OSError:
        yield
        return
    with open(kept, "w", buffering=1, encoding=before.encoding, errors="replace") as ours:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        sys.stderr = ours
        told_crashes = faulthandler.is_enabled()
        faulthandler.enable(ours)  # a crash of the process itself is still told
        try:
            yield
        finally:
            sys.stderr = before
            os.dup2(kept, 2)
            if told_crashes:
                faulthandler.enable(2)  # the number: not every sys.stderr has one
            else:
                faulthandler.disable()
