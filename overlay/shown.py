"""What of a result can be seen."""

from __future__ import annotations

from typing import Literal, NamedTuple

from ..engine.result import Result

Kind = Literal["nobody", "character", "actor", "unknown"]


class Who(NamedTuple):
    """Whom a result names, without how sure it is: what is equal here looks the same.

    Attributes
    ----------
    kind : {"nobody", "character", "actor", "unknown"}
        What is known: nothing, or nobody speaks; a character; an actor alone; that it is nobody of
        the cast.
    character, actor : str
        Names, empty where there is none.
    second : tuple of (str, str) or None
        Character and actor who speak at the same time.
    """

    kind: Kind
    character: str = ""
    actor: str = ""
    second: tuple[str, str] | None = None


NOBODY = Who("nobody")
WAITING = "waiting"
"""Stands for a notice where a device is waited for and nothing is said about it."""


def who_speaks(result: Result | None) -> Who:
    """Pick out whom a result names.

    Examples
    --------
    >>> from kikiwake.engine.result import Result
    >>> who_speaks(Result(1.0, True, None, "Aki Mori", 0.9, (), -20.0))
    Who(kind='actor', character='', actor='Aki Mori', second=None)
    """
    if result is None:
        return NOBODY
    if result.actor is None:
        return Who("unknown") if result.unknown else NOBODY
    second = result.second
    pair = None if second is None else (second.character, second.actor)
    if result.character is None:
        return Who("actor", "", result.actor, pair)
    return Who("character", result.character, result.actor, pair)


def notice_of(result: Result | None) -> str:
    """Give what the user should know, `WAITING`, or an empty text."""
    if result is None:
        return ""
    return result.notice or (WAITING if result.state == "waiting" else "")
