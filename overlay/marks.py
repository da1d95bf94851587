"""What tells characters apart where there is no portrait: colour, pattern, initials.

The colours were searched for: no two are nearer than 0.09 in OKLab, seen with full colour vision
(there 0.12), or without the long, the middle or the short wavelengths, as simulated by Machado et
al., "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009. Of those that
come nearest no two have the same pattern.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable, Iterable
from typing import NamedTuple, TypeVar

PALETTE = (
    ("#379798", 3), ("#af7c54", 1), ("#7663bc", 0), ("#bca538", 3), ("#7badde", 2), ("#841f0a", 0),
    ("#f2a5a2", 0), ("#306862", 2), ("#d7d35f", 2), ("#5c377c", 1), ("#63e0fb", 1), ("#7d6305", 3),
)  # fmt: skip
"""Colours, each with the number of its pattern."""
PATTERNS = ("plain", "dashes", "dots", "double")
"""How a ring is drawn; a disk or a bar is hatched to match."""
GREY = "#7b818c"


_Name = TypeVar("_Name", bound=Hashable)


class Mark(NamedTuple):
    """Colour and pattern of a character.

    Attributes
    ----------
    colour : str
        As ``#rrggbb``.
    pattern : int
        Index into `PATTERNS`.
    """

    colour: str
    pattern: int


NO_MARK = Mark(GREY, 0)


def marks(names: Iterable[_Name]) -> dict[_Name, Mark]:
    """Give every name a mark of its own; by its place, so that a cast looks the same every time.

    Examples
    --------
    >>> marks(["Aki", "Ren"])
    {'Aki': Mark(colour='#379798', pattern=3), 'Ren': Mark(colour='#af7c54', pattern=1)}
    """
    given = {}
    for number, name in enumerate(dict.fromkeys(names)):
        turn, place = divmod(number, len(PALETTE))
        colour, pattern = PALETTE[place]
        given[name] = Mark(colour, (pattern + turn) % len(PATTERNS))
    return given


def initials(name: str) -> str:
    """Shorten a name to what fits into a disk.

    One letter of a script whose letters are wide or joined, two of others.

    Examples
    --------
    >>> [initials(name) for name in ("Hinano Tamagaki", "aki", "綾波 レイ", "")]
    ['HT', 'A', '綾', '?']
    """
    words = [word for word in name.split() if any(map(str.isalnum, word))]
    if not words:
        return _first_letter(name.strip()) or "?"
    first = _first_letter(words[0].lstrip("'\"([「『（"))
    if len(words) == 1 or not _narrow(first):
        return first.upper()
    last = _first_letter(words[-1].lstrip("'\"([「『（"))
    return (first + last).upper() if _narrow(last) else first.upper()


def _narrow(letter: str) -> bool:
    names = ("LATIN", "GREEK", "CYRILLIC")
    return unicodedata.name(letter[:1] or " ", "").startswith(names)


def _first_letter(text: str) -> str:
    """Cut off the first letter, with the accents and joined signs that belong to it."""
    end, joined = 1, False
    while end < len(text):
        sign = text[end]
        belongs = unicodedata.category(sign) in ("Mn", "Me", "Mc") or sign == "\u200d"
        if not (belongs or joined or "\U0001f3fb" <= sign <= "\U0001f3ff"):
            break
        joined = sign == "\u200d"
        end += 1
    return text[:end]
