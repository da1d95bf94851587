"""What everything is drawn with: themes, the card, rings, patterns."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen


class Theme(NamedTuple):
    """Colours of the card."""

    card: QColor
    border: QColor
    text: QColor
    faint: QColor
    track: QColor
    shadow: int
    dark: bool

    def ink(self, colour: str) -> QColor:
        """Bring a character's colour so far from the card that a thin line of it is seen."""
        ink = QColor(colour)
        lightness = luminance(ink)
        if self.dark and lightness < 0.3:
            return mixed(ink, QColor("white"), 0.34)
        if not self.dark and lightness > 0.34:
            return mixed(ink, QColor("black"), 0.30)
        return ink


DARK = Theme(
    QColor(21, 23, 28, 232),
    QColor(255, 255, 255, 34),
    QColor(246, 247, 249),
    QColor(182, 188, 198),
    QColor(255, 255, 255, 44),
    60,
    True,
)
LIGHT = Theme(
    QColor(252, 252, 253, 236),
    QColor(0, 0, 0, 30),
    QColor(24, 26, 31),
    QColor(88, 94, 104),
    QColor(0, 0, 0, 34),
    46,
    False,
)


def draw_card(painter: QPainter, card: QRectF, theme: Theme, radius: float, shadow: float) -> None:
    """Draw the ground that everything stands on, with a soft shadow around it.

    Parameters
    ----------
    painter : QPainter
        Where.
    card : QRectF
        Of what size.
    theme : Theme
        Colours.
    radius : float
        Of its corners.
    shadow : float
        Width of the shadow; 0 for none.
    """
    painter.setPen(Qt.PenStyle.NoPen)
    shape = QPainterPath()
    shape.addRoundedRect(card, radius, radius)
    if shadow:
        # Not under the card itself, which lets things through.
        outside = QPainterPath()
        outside.addRect(card.adjusted(-2 * shadow, -2 * shadow, 2 * shadow, 2 * shadow))
        painter.save()
        painter.setClipPath(outside.subtracted(shape))
        steps = int(shadow)
        for step in range(steps):
            grown = shadow * (1 - step / steps)
            share = theme.shadow / 255 * 2.2 * (step + 1) / (steps * (steps + 1))
            painter.setBrush(QColor.fromRgbF(0, 0, 0, share))
            soft = card.adjusted(-grown, -grown + 2.5, grown, grown)
            painter.drawRoundedRect(soft, radius + grown, radius + grown)
        painter.restore()
    painter.setBrush(theme.card)
    painter.drawPath(shape)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(theme.border, 1))
    painter.drawRoundedRect(card.adjusted(0.5, 0.5, -0.5, -0.5), radius - 0.5, radius - 0.5)


def draw_track(painter: QPainter, circle: QRectF, theme: Theme, width: float = 2.6) -> None:
    """Draw where the ring runs."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(theme.track, width * 0.6))
    painter.drawEllipse(circle)


def draw_ring(
    painter: QPainter,
    circle: QRectF,
    share: float,
    pattern: int,
    ink: QColor,
    width: float = 2.6,
) -> None:
    """Draw how sure it is: an arc from the top, clockwise, in somebody's colour and pattern."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    span = -round(360 * 16 * max(0.0, min(share, 1.0)))
    if not span:
        return
    if pattern == 3:
        for grown in (width * 0.42, -width * 0.42):
            painter.setPen(_line(ink, width * 0.46))
            painter.drawArc(circle.adjusted(-grown, -grown, grown, grown), 90 * 16, span)
        return
    pen = _line(ink, width)
    if pattern == 1:
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        pen.setDashPattern([3.4, 1.3])
    elif pattern == 2:
        pen.setDashPattern([0.01, 1.75])
    painter.setPen(pen)
    painter.drawArc(circle, 90 * 16, span)


def _line(colour: QColor, width: float) -> QPen:
    line = QPen(colour, width)
    line.setCapStyle(Qt.PenCapStyle.RoundCap)
    return line


def hatch(
    painter: QPainter, place: QRectF, pattern: int, colour: QColor, *, round_: bool = False
) -> None:
    """Lay somebody's pattern over a disk or a bar, so softly that letters on it are read."""
    if not pattern:
        return
    painter.save()
    shape = QPainterPath()
    if round_:
        shape.addEllipse(place)
    else:
        radius = min(4.0, place.width() / 2, place.height() / 2)
        shape.addRoundedRect(place, radius, radius)
    painter.setClipPath(shape, Qt.ClipOperation.IntersectClip)
    soft = QColor(colour)
    soft.setAlphaF(0.17)
    unit = max(2.2, min(place.height(), 64) / 12)
    height = place.height()
    # Fixed to the place, not to the screen: a bar that grows does not shimmer.
    if pattern == 2:
        painter.setPen(_line(soft, unit * 1.1))
        points = []
        rows = int(height / (2.4 * unit)) + 2
        for row in range(rows):
            shift = 1.2 * unit if row % 2 else 0.0
            columns = int(place.width() / (2.4 * unit)) + 2
            points += [
                QPointF(place.left() + shift + 2.4 * unit * column, place.top() + 2.1 * unit * row)
                for column in range(columns)
            ]
        painter.drawPoints(points)
    else:
        painter.setPen(QPen(soft, unit * 0.85))
        step = 2.6 * unit
        x = place.left() - height
        while x < place.right() + height:
            painter.drawLine(QPointF(x, place.bottom()), QPointF(x + height, place.top()))
            if pattern == 3:
                painter.drawLine(QPointF(x, place.top()), QPointF(x + height, place.bottom()))
            x += step * (1.0 if pattern == 1 else 1.5)
    painter.restore()


def mixed(one: QColor, other: QColor, share: float) -> QColor:
    """Mix two colours."""
    return QColor.fromRgbF(
        one.redF() * (1 - share) + other.redF() * share,
        one.greenF() * (1 - share) + other.greenF() * share,
        one.blueF() * (1 - share) + other.blueF() * share,
    )


def luminance(colour: QColor) -> float:
    """Relative luminance, as WCAG 2 has it."""
    parts = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
