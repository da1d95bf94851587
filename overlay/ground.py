"""The empty card that everything stands on, with its shadow."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter, QPixmap

from .ink import draw_card
from .look import Look

SHADOW = 12.0
"""How far it reaches around the card, in units."""
_KEPT = 4


class Ground:
    """Draws empty cards of any size, each but once.

    Parameters
    ----------
    look : Look
        Theme, and how large a unit is.
    shadow : bool
        Whether there is one.
    """

    def __init__(self, look: Look, *, shadow: bool) -> None:
        self._look = look
        self._shadow = SHADOW if shadow else 0.0
        self._ends: dict[tuple[float, float], QPixmap] = {}
        self._whole: dict[tuple[int, float, float], QPixmap] = {}

    def paint(self, painter: QPainter, size: QRectF, radius: float) -> None:
        """Draw a card whose upper left corner is the origin."""
        wide = round((size.width() + 2 * SHADOW) * self._look.ratio)
        key = (wide, size.height(), radius)
        known = self._whole.get(key)
        if known is None:
            if len(self._whole) >= _KEPT:
                del self._whole[next(iter(self._whole))]
            known = self._whole[key] = self._stretched(wide, size.height(), radius)
        self._look.put(painter, QPointF(-SHADOW, -SHADOW), known)

    def _stretched(self, wide: int, height: float, radius: float) -> QPixmap:
        """Put two ends together, with as much of the same between them as need be."""
        ends = self._ends.get((height, radius))
        if ends is None:
            ends = self._ends[height, radius] = self._short(height, radius)
        whole = QPixmap(wide, ends.height())
        whole.fill(Qt.GlobalColor.transparent)
        cut, high = ends.width() // 2, ends.height()
        painter = QPainter(whole)
        painter.drawPixmap(0, 0, ends, 0, 0, cut, high)
        painter.drawPixmap(cut, 0, wide - 2 * cut, high, ends, cut - 1, 0, 1, high)
        painter.drawPixmap(wide - cut, 0, ends, ends.width() - cut, 0, cut, high)
        painter.end()
        whole.setDevicePixelRatio(self._look.dpr)
        return whole

    def _short(self, height: float, radius: float) -> QPixmap:
        """Draw the shortest card."""
        width = 2 * radius + 8
        ends = self._look.layer(width + 2 * SHADOW, height + 2 * SHADOW)
        painter = self._look.painter(ends)
        card = QRectF(SHADOW, SHADOW, width, height)
        draw_card(painter, card, self._look.theme, radius, self._shadow)
        painter.end()
        ends.setDevicePixelRatio(1.0)
        return ends
