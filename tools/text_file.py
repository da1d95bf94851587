"""Who is speaking, as a small text file for programs that show one, as OBS does."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Self

from ..engine.result import Result
from ..errors import KikiwakeError
from ..files import write_file
from ..overlay.shown import Who, who_speaks

# Whoever shows the file looks at it once a second or so: a name that goes is kept that long, so
# that a pause for breath does not blink.
HOLD_S = 1.0


class TextFile:
    """Keeps a file at who is speaking; it is empty while nobody does, and afterwards.

    Parameters
    ----------
    path : Path
        Where. It is written only when it changes, whole or not at all.

    Raises
    ------
    KikiwakeError
        On entering: it cannot be written. Later that is told once, and tried again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said: str | None = None
        self._named_at = 0.0
        self._failed = False

    def __enter__(self) -> Self:
        try:
            self._write("")
        except OSError as error:
            raise KikiwakeError(f"{self._path}: cannot be written: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        self._try_to_write("")

    def add(self, result: Result) -> None:
        """Take the next result."""
        text = _text_of(who_speaks(result))
        if text:
            self._named_at = result.time
        elif result.time - self._named_at < HOLD_S:
            return
        if text != self._said:
            self._try_to_write(text)

    def _try_to_write(self, text: str) -> None:
        try:
            self._write(text)
        except OSError as error:  # on Windows also while somebody reads it: the next result tries
            if not self._failed:
                said = f"kikiwake: {self._path}: cannot be written: {error.strerror}; trying again"
                print(said, file=sys.stderr, flush=True)
            self._failed = True
        else:
            self._failed = False

    def _write(self, text: str) -> None:
        write_file(self._path, text.encode())
        self._said = text


def _text_of(who: Who) -> str:
    if who.kind == "unknown":
        return "?"
    if who.kind == "actor":
        return who.actor
    text = f"{who.character} ({who.actor})" if who.kind == "character" else ""
    return text if who.second is None else f"{text}, {who.second[0]} ({who.second[1]})"
