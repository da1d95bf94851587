"""How things look: theme, fonts, portraits, rings, lines of text."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping
from typing import NamedTuple

from PySide6.QtCore import (
    QBuffer,
    QByteArray,
    QIODevice,
    QObject,
    QPointF,
    QRect,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtCore import Signal as QtSignal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontMetricsF,
    QImage,
    QImageReader,
    QPainter,
    QPainterPath,
    QPen,
    QPixmap,
    QTransform,
)

from ..models.cast import CastCard
from .marks import NO_MARK, Mark, initials, marks
from .words import Words

DECODED = 384
"""Pixels that a portrait is kept in: the largest that is shown, twice."""
_MAX_PIXELS = 100_000_000
_FACES = 0.22  # of a picture that is higher than wide, the face is in the upper part
_TEXT = ("Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "Yu Gothic UI", "Meiryo", "IPAGothic")


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
        lightness = _luminance(ink)
        if self.dark and lightness < 0.3:
            return mixed(ink, QColor("white"), 0.34)
        if not self.dark and lightness > 0.34:
            return mixed(ink, QColor("black"), 0.30)
        return ink


DARK = Theme(
    QColor(21, 23, 28, 226),
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


class Person(NamedTuple):
    """Somebody of the cast, as drawn.

    Attributes
    ----------
    name, actor : str
        As the cast has them.
    mark : Mark
        What tells them apart.
    portrait : str
        Name of the picture; empty without one.
    """

    name: str
    actor: str
    mark: Mark
    portrait: str = ""


class Portraits(QObject):
    """Decodes portraits in a thread of its own; until one is there, and where it cannot be read, there is none."""  # noqa: E501

    ready = QtSignal()

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._images: dict[str, QImage] = {}
        self._thread = threading.Thread(
            target=self._decode, args=(dict(files),), name="kikiwake-portraits", daemon=True
        )

    def start(self) -> None:
        """Begin; `ready` says when all have been read, if there are any."""
        self._thread.start()

    def wait(self) -> None:
        """Wait until all have been read."""
        self._thread.join()

    def get(self, name: str) -> QImage | None:
        """Give a picture, square."""
        return self._images.get(name)

    def _decode(self, files: dict[str, bytes]) -> None:
        found = False
        for name, data in files.items():
            image = decode_portrait(data)
            if image is not None:
                self._images[name] = image
                found = True
        if found:
            with contextlib.suppress(RuntimeError):  # the window has gone in the meantime
                self.ready.emit()


def decode_portrait(data: bytes, size: int = DECODED) -> QImage | None:
    """Read a picture of any format that Qt reads.

    Parameters
    ----------
    data : bytes
        Of the file.
    size : int > 0
        Of the square that is cut out, in pixels.

    Returns
    -------
    QImage or None
        None where it is no picture.
    """
    buffer = QBuffer()
    buffer.setData(QByteArray(data))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer)
    reader.setAutoTransform(True)
    reader.setDecideFormatFromContent(True)
    whole = reader.size()
    if whole.isValid():
        if whole.width() * whole.height() > _MAX_PIXELS:
            return None
        covering = whole.scaled(size, size, Qt.AspectRatioMode.KeepAspectRatioByExpanding)
        # Twice as large, to be scaled down smoothly; a photo of 20 megapixels is not decoded whole.
        if 2 * covering.width() < whole.width():
            reader.setScaledSize(covering * 2)
    image = reader.read()
    if image.isNull():
        return None
    side = min(image.width(), image.height())
    top = round((image.height() - side) * _FACES)
    image = image.copy(QRect((image.width() - side) // 2, top, side, side))
    return image.scaled(
        QSize(size, size),
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    ).convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)


class Look:
    """Everything that is drawn more than once, in one theme, for one cast.

    Parameters
    ----------
    card : CastCard
        Of the cast.
    portraits : Portraits
        Its pictures.
    theme : Theme
        Colours.
    words : Words
        Language.
    font : QFont
        Of the desktop; its family is used, its size is up to the cards.
    moving : bool
        Whether things may slide and fade.

    Attributes
    ----------
    ratio : float
        Pixels of the screen for each unit that is drawn in.
    """

    def __init__(
        self,
        card: CastCard,
        portraits: Portraits,
        theme: Theme,
        words: Words,
        font: QFont,
        moving: bool = True,
    ) -> None:
        self.theme, self.words, self.moving = theme, words, moving
        self.ratio = 1.0
        self._font = QFont(font)
        # Where the desktop's font has no Japanese, one that is made for it: not the first that
        # has the signs, which may draw them the Chinese way.
        families = [*font.families(), *_TEXT]
        self._font.setFamilies(list(dict.fromkeys(families)))
        self._portraits = portraits
        given = marks((one.name, one.actor) for one in card.characters)
        self._people = {
            (one.name, one.actor): Person(
                one.name, one.actor, given[one.name, one.actor], one.portrait or ""
            )
            for one in card.characters
        }
        self._avatars: dict[tuple[Person, float, float], QPixmap] = {}

    def forget_pictures(self) -> None:
        """Draw all portraits anew: they have come, or the screen is another."""
        self._avatars.clear()

    def person(self, character: str, actor: str) -> Person:
        """Give a member of the cast; a stranger where the cast has changed."""
        known = self._people.get((character, actor))
        return known or Person(character or actor, actor, NO_MARK)

    def font(self, pixels: float, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
        """Give a font of that height, in units."""
        font = QFont(self._font)
        font.setPixelSize(round(pixels))
        font.setWeight(weight)
        return font

    def ink(self, person: Person) -> QColor:
        """Give the colour of somebody's ring or bar."""
        return self.theme.ink(person.mark.colour)

    # Portraits

    def avatar(self, person: Person, size: float) -> QPixmap:
        """Draw a portrait, round, or initials on a disk."""
        key = (person, size, self.ratio)
        known = self._avatars.get(key)
        if known is None:
            known = self._avatars[key] = self._draw_avatar(person, size)
        return known

    def sign(self, text: str, size: float) -> QPixmap:
        """Draw a sign on a grey disk, for a voice that has no portrait."""
        return self.avatar(Person(text, "", NO_MARK), size)

    def _draw_avatar(self, person: Person, size: float) -> QPixmap:
        pixmap = self.layer(size, size)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        disk = QRectF(0, 0, size, size)
        image = self._portraits.get(person.portrait)
        painter.setPen(Qt.PenStyle.NoPen)
        if image is not None:
            # Scaled by itself, which is smooth also to a tenth; as a brush it has smooth edges.
            pixels = max(1, round(size * self.ratio))
            small = image.scaled(
                pixels,
                pixels,
                Qt.AspectRatioMode.IgnoreAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
            brush = QBrush(small)
            brush.setTransform(QTransform.fromScale(size / pixels, size / pixels))
            # A picture with transparent parts stands on its owner's colour.
            painter.setBrush(QColor(person.mark.colour))
            if image.hasAlphaChannel():
                painter.drawEllipse(disk.adjusted(0.5, 0.5, -0.5, -0.5))
            painter.setBrush(brush)
            painter.drawEllipse(disk)
            painter.end()
            return pixmap
        colour = QColor(person.mark.colour)
        painter.setBrush(colour)
        painter.drawEllipse(disk)
        text = initials(person.name)
        ink = QColor("#ffffff") if _luminance(colour) < 0.36 else QColor("#16181d")
        hatch(painter, disk, person.mark.pattern, ink, round_=True)
        share = 0.5 if len(text) == 1 else 0.38
        painter.setFont(self.font(size * share, QFont.Weight.DemiBold))
        painter.setPen(ink)
        painter.drawText(disk, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()
        return pixmap

    def layer(self, width: float, height: float) -> QPixmap:
        """Make a transparent picture to draw on in units."""
        ratio = self.ratio
        pixmap = QPixmap(max(1, round(width * ratio)), max(1, round(height * ratio)))
        pixmap.setDevicePixelRatio(ratio)
        pixmap.fill(Qt.GlobalColor.transparent)
        return pixmap

    # Lines

    def text(
        self,
        painter: QPainter,
        place: QRectF,
        text: str,
        font: QFont,
        colour: QColor,
        *,
        right: bool = False,
    ) -> None:
        """Write a line, shortened to its place, from one side whatever its direction."""
        painter.setFont(font)
        painter.setPen(colour)
        side = Qt.AlignmentFlag.AlignRight if right else Qt.AlignmentFlag.AlignLeft
        elided = QFontMetricsF(font).elidedText(
            text, Qt.TextElideMode.ElideRight, place.width() + 0.5
        )
        flags = side | Qt.AlignmentFlag.AlignAbsolute | Qt.AlignmentFlag.AlignVCenter
        # Of letters that hang over, nothing is cut off.
        painter.drawText(place, int(flags) | int(Qt.TextFlag.TextDontClip), elided)


def width_of(text: str, font: QFont) -> float:
    """Measure a line."""
    return QFontMetricsF(font).horizontalAdvance(text)


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
    mark: Mark,
    theme: Theme,
    width: float = 2.6,
) -> None:
    """Draw how sure it is: an arc from the top, clockwise, in somebody's colour and pattern."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    span = -round(360 * 16 * max(0.0, min(share, 1.0)))
    if not span:
        return
    colour = theme.ink(mark.colour)
    if mark.pattern == 3:
        for grown in (width * 0.42, -width * 0.42):
            painter.setPen(_line(colour, width * 0.46))
            painter.drawArc(circle.adjusted(-grown, -grown, grown, grown), 90 * 16, span)
        return
    pen = _line(colour, width)
    if mark.pattern == 1:
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        pen.setDashPattern([3.4, 1.3])
    elif mark.pattern == 2:
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


def _luminance(colour: QColor) -> float:
    """Relative luminance, as WCAG 2 has it."""
    parts = (colour.redF(), colour.greenF(), colour.blueF())
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
