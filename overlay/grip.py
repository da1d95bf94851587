"""What the window is dragged by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QGuiApplication,
    QMouseEvent,
    QPainter,
    QPainterPath,
    QPaintEvent,
)
from PySide6.QtWidgets import QWidget

if TYPE_CHECKING:
    from .window import OverlayWindow

GRIP = QSize(26, 44)


def window_flags() -> Qt.WindowType:
    """Give what a window above all others is made with, here and on other systems."""
    return (
        Qt.WindowType.Tool
        | Qt.WindowType.FramelessWindowHint
        | Qt.WindowType.WindowStaysOnTopHint
        | Qt.WindowType.WindowDoesNotAcceptFocus
        | Qt.WindowType.NoDropShadowWindowHint
        | Qt.WindowType.X11BypassWindowManagerHint
    )


class Grip(QWidget):
    """A small window of its own on the card: so it takes the mouse also where the card does not."""

    def __init__(self, card: OverlayWindow) -> None:
        super().__init__(None, window_flags())
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        self.setAttribute(Qt.WidgetAttribute.WA_ShowWithoutActivating)
        self.setAttribute(Qt.WidgetAttribute.WA_MacAlwaysShowToolWindow)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWindowTitle("Kikiwake")
        self.setCursor(Qt.CursorShape.OpenHandCursor)
        self._card = card
        self._held_at: QPoint | None = None

    @property
    def held(self) -> bool:
        """It is being dragged."""
        return self._held_at is not None

    def appear(self) -> None:
        """Be where it belongs."""
        self.follow()
        self.show()
        self._card.put_above(self)

    def follow(self) -> None:
        """Go where the card goes."""
        self.setGeometry(self._card.grip_rect())

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Take hold."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        if QGuiApplication.platformName().startswith("wayland"):
            # There a window does not know where it is; the compositor moves it.
            self._card.windowHandle().startSystemMove()
            return
        self._held_at = event.globalPosition().toPoint() - self._card.pos()
        self.setCursor(Qt.CursorShape.ClosedHandCursor)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Pull the card along."""
        if self._held_at is not None:
            self._card.drag_to(event.globalPosition().toPoint() - self._held_at)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Let go."""
        if event.button() == Qt.MouseButton.LeftButton and self._held_at is not None:
            self._held_at = None
            self.setCursor(Qt.CursorShape.OpenHandCursor)
            self._card.drop()
            self.follow()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Show it another way."""
        if event.button() == Qt.MouseButton.LeftButton:
            self._card.next_mode()

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802
        """Ask for the menu."""
        self._card.menu_wanted.emit(event.globalPos())

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw six dots."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), self._card.grip_ground)
        scale = self.height() / GRIP.height()
        painter.scale(scale, scale)
        place = QRectF(0, 0, self.width() / scale, self.height() / scale)
        _draw_dots(painter, place, self._card.grip_colour)
        painter.end()


def _draw_dots(painter: QPainter, place: QRectF, colour: QColor) -> None:
    """Draw what a card is dragged by."""
    path = QPainterPath()
    centre = place.center()
    for row in (-1, 0, 1):
        for column in (-1, 1):
            path.addEllipse(QPointF(centre.x() + 2.6 * column, centre.y() + 5.6 * row), 1.5, 1.5)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.fillPath(path, colour)
