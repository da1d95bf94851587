"""Where the window is: snapping to edges, and the memory of its place on each screen."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import msgspec

from ..engine.config import config_path
from ..files import write_file

_log = logging.getLogger(__name__)

Mode = Literal["compact", "full", "timeline"]
MODES: tuple[Mode, ...] = get_args(Mode)
FILE_NAME = "overlay.json"
SNAP = 28.0


class Area(NamedTuple):
    """A rectangle, in the pixels that Qt counts in."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y + self.height


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A place on a screen, from the edges that are nearest.

    So the window grows away from the edge that it is at, and stays there on a screen that changes
    its size.

    Attributes
    ----------
    x, y : float
        Distance from the side and from the upper or lower edge.
    right, bottom : bool
        Whether the distances are from there.
    """

    x: float = 0.0
    y: float = 0.0
    right: bool = False
    bottom: bool = True

    def area(self, width: float, height: float, screen: Area) -> Area:
        """Give the rectangle of that size, all of it on the screen where it fits."""
        x = screen.right - self.x - width if self.right else screen.x + self.x
        y = screen.bottom - self.y - height if self.bottom else screen.y + self.y
        x = max(screen.x, min(x, screen.right - width))
        y = max(screen.y, min(y, screen.bottom - height))
        return Area(x, y, width, height)


def place_of(window: Area, screen: Area) -> Place:
    """Say where a window is.

    Examples
    --------
    >>> place_of(Area(1600, 20, 300, 80), Area(0, 0, 1920, 1080))
    Place(x=20.0, y=20.0, right=True, bottom=False)
    """
    left, right = window.x - screen.x, screen.right - window.right
    top, bottom = window.y - screen.y, screen.bottom - window.bottom
    return Place(
        x=float(max(0.0, min(left, right))),
        y=float(max(0.0, min(top, bottom))),
        right=right < left,
        bottom=bottom < top,
    )


def snapped(window: Area, screen: Area, reach: float = SNAP) -> Area:
    """Move a window that is near an edge, or in the middle, to where it is meant to be.

    Examples
    --------
    >>> snapped(Area(17, 300, 200, 80), Area(0, 0, 1920, 1080))[:2]
    (0, 300)
    """
    x, y = window.x, window.y
    middle = screen.x + (screen.width - window.width) / 2
    for edge in (middle, screen.right - window.width, screen.x):
        if abs(window.x - edge) <= (reach / 2 if edge == middle else reach):
            x = edge
    for edge in (screen.bottom - window.height, screen.y):
        if abs(window.y - edge) <= reach:
            y = edge
    x = max(screen.x, min(x, screen.right - window.width))
    y = max(screen.y, min(y, screen.bottom - window.height))
    return Area(x, y, window.width, window.height)


class Memory(msgspec.Struct):
    """What the window remembers from one time to the next.

    Attributes
    ----------
    mode : {"compact", "full", "timeline"}
        How much is shown.
    click_through : bool
        Clicks go to what is below.
    screen : str
        Where the window was put last; empty for the main screen.
    places : dict of str to Place
        By screen.
    """

    mode: Mode = "compact"
    click_through: bool = False
    screen: str = ""
    places: dict[str, Place] = {}

    def place(self, screen: str) -> Place:
        """Give the place on a screen; where there is none yet, the lower left corner."""
        return self.places.get(screen, Place())


def memory_path() -> Path:
    """Where it is kept: beside the config file."""
    return config_path().with_name(FILE_NAME)


def load_memory() -> Memory:
    """Read what was remembered; nothing, where that cannot be read."""
    path = memory_path()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Memory)
    except FileNotFoundError:
        pass
    # ValueError: also text that is not UTF-8. RecursionError: brackets within brackets.
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("%s: the place of the window is forgotten: %s", path, error)
    return Memory()


def save_memory(memory: Memory) -> None:
    """Write it down, as well as that goes."""
    try:
        write_file(memory_path(), msgspec.json.format(msgspec.json.encode(memory)) + b"\n")
    except OSError as error:
        _log.warning("%s: cannot be written: %s", memory_path(), error.strerror)
