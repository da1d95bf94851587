"""Lines on standard output, and the terminal."""

from __future__ import annotations

import contextlib
import errno
import sys
from collections.abc import Callable, Iterator
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
        raise OutputError(f"{lost_output(error)}: {error.strerror}") from None


def argument(path: object) -> str:
    """Write a path as it is to be typed."""
    return f'"{path}"' if " " in str(path) else str(path)


def lost_output(error: OSError) -> str:
    """Say why standard output cannot be written to."""
    return "a disk is full" if error.errno == errno.ENOSPC else "standard output was closed"


def console(stderr: bool = False) -> Console:
    """Make a console for what is more than a line."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False)


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Show how far something is, where standard error is a terminal.

    Yields
    ------
    callable
        To be told what is being done, how much of it is done, and of how much.
    """
    from rich.progress import Progress
    from rich.text import Text

    screen = console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def tell(what: str, done: int, of: int) -> None:
            bar.update(task, description=Text(what).markup, completed=done, total=of)

        yield tell


@contextlib.contextmanager
def extra(name: str, what: str) -> Iterator[None]:
    """Say which extra to install where a package is missing.

    Parameters
    ----------
    name : str
        The extra, as in ``setup.cfg``.
    what : str
        What needs it, as the error begins.

    Raises
    ------
    KikiwakeError
        A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "kikiwake").partition(".")[0] == "kikiwake":
            raise
        raise KikiwakeError(
            f"{what} needs {error.name}, which is not installed: in the clone of Kikiwake, "
            f"pip install '.[{name}]'"
        ) from None
