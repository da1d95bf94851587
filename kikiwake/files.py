"""Writing files as a whole or not at all, and being the only one that does."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from .errors import KikiwakeError


class BusyError(KikiwakeError):
    """Another process is at work there."""


def need_text(path: Path, error: type[KikiwakeError]) -> None:
    """Refuse a path that is no text, as Linux allows: it could be neither shown nor written down.

    Raises
    ------
    error
        It is none.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        shown = str(path).encode(errors="backslashreplace").decode()
        raise error(f"{shown}: its name is no UTF-8; rename it") from None


def is_empty(folder: Path) -> bool:
    """Tell whether a folder holds nothing but hidden files, as locks and half-written ones are."""
    return all(one.name.startswith(".") for one in folder.iterdir())


@contextlib.contextmanager
def locked(file: Path, busy: str) -> Iterator[None]:
    """Be the only process that has this file locked; the system lets go of it, come what may.

    Parameters
    ----------
    file : Path
        Of the lock. It is made, with the folders above it, and gone afterwards.
    busy : str
        What the error says.

    Raises
    ------
    BusyError
        Another process has it.
    OSError
        It cannot be made.
    """
    # Here, not above: it takes longer than all else that whoever only writes files needs.
    from filelock import FileLock, Timeout

    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
    lock = FileLock(file)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        file.open("ab").close()  # tells where nobody has it, but it cannot even be made
        raise BusyError(busy) from None
    try:
        yield
    finally:
        # Before it is let go: nobody then gets a lock that is about to go. Windows wants the
        # other order, and there FileLock does it.
        with contextlib.suppress(OSError):
            file.unlink()
        lock.release()


def write_file(path: Path, content: bytes) -> None:
    """Write a file as a whole or not at all, with the folders above it.

    Raises
    ------
    OSError
        It cannot be written; what was there before is as it was.
    """
    path = Path(os.path.realpath(path))  # a link stays one
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of this process alone: two may write the same file, and one of them wins.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
