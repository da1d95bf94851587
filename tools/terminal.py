"""Lines on standard output, and the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ..errors import KikiwakeError

if TYPE_CHECKING:
    from rich.console import Console


class OutputError(KikiwakeError):
    """Standard output cannot be written to."""


def say(line: str | bytes) -> None:
    """Print a line on standard output, at once; bytes as they are, whatever its encoding."""
    try:
        if isinstance(line, bytes):
            sys.stdout.buffer.write(line + b"\n")
        else:
            print(line)
        sys.stdout.flush()
    except OSError as error:
        raise OutputError(f"standard output was closed: {error.strerror}") from None


def console(stderr: bool = False) -> Console:
    """Make a console for what is more than a line."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)
