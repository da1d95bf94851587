"""Where on which screen the window belongs."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect
from PySide6.QtGui import QGuiApplication, QScreen

from .place import Area, Memory, place_of, snapped


class Spot:
    """The place that is remembered, on the screens that there are.

    Parameters
    ----------
    memory : Memory
        What is remembered; it is kept up.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.find()

    @property
    def right(self) -> bool:
        """It is at the right of the screen."""
        return self._place.right

    @property
    def bottom(self) -> bool:
        """It is in the lower half."""
        return self._place.bottom

    def find(self) -> None:
        """Look at the screens; not at each frame, since Qt is slow to tell."""
        screen = self._screen()
        self._place, self._area = (
            self._memory.place(screen_key(screen)),
            _area(screen.availableGeometry()),
        )

    def rect(self, width: int, height: int) -> QRect:
        """Give the place of a window of that size."""
        area = self._place.area(width, height, self._area)
        return QRect(round(area.x), round(area.y), width, height)

    def snapped(self, rect: QRect) -> QPoint:
        """Give where the corner of a window goes that is pulled: to the edges, when it is near."""
        area = snapped(_area(rect), _area(self._screen(rect).availableGeometry()))
        return QPoint(round(area.x), round(area.y))

    def keep(self, rect: QRect) -> None:
        """Remember that the window is here."""
        screen = self._screen(rect)
        key = self._memory.screen = screen_key(screen)
        place = place_of(_area(rect), _area(screen.availableGeometry()))
        # A new one: nobody else's dictionary is changed.
        self._memory.places = {**self._memory.places, key: place}
        self.find()

    def _screen(self, rect: QRect | None = None) -> QScreen:
        """Give the screen under a window, or the one it was put on, or else the main one."""
        under = None if rect is None else QGuiApplication.screenAt(rect.center())
        if under is not None:
            return under
        for screen in QGuiApplication.screens():
            if screen_key(screen) == self._memory.screen:
                return screen
        return QGuiApplication.primaryScreen()


def _area(rect: QRect) -> Area:
    return Area(rect.x(), rect.y(), rect.width(), rect.height())


def screen_key(screen: QScreen) -> str:
    """Tell a screen from others, wherever it is plugged in."""
    parts = (screen.manufacturer(), screen.model(), screen.serialNumber())
    return " ".join(filter(None, parts)) or screen.name()
