"""How a cast looks: portraits, colours, fonts, lines of text."""

from __future__ import annotations

from typing import NamedTuple

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontInfo,
    QFontMetricsF,
    QImage,
    QPainter,
    QPixmap,
    QTransform,
)

from ..models.cast import CastCard
from .ink import Theme, hatch, luminance
from .marks import NO_MARK, Mark, initials, marks
from .portraits import Portraits
from .words import Words

_TEXT = ("Noto Sans CJK JP", "Noto Sans JP", "Hiragino Sans", "Yu Gothic UI", "Meiryo", "IPAGothic")


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
    scale : float
        Pixels, as Qt counts them, for each unit that is drawn in.
    dpr : float
        Pixels of the screen for each of those.
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
        self.scale = self.dpr = 1.0
        self._font = QFont(font)
        # Where the desktop's font has no Japanese, one that is made for it: not the first that
        # has the signs, which may draw them the Chinese way.
        # What stands for an alias like "Sans Serif" comes before, for the other letters.
        families = [*font.families(), QFontInfo(font).family(), *_TEXT]
        self._font.setFamilies(list(dict.fromkeys(families)))
        self._portraits = portraits
        given = marks((one.name, one.actor) for one in card.characters)
        self._people = {
            (one.name, one.actor): Person(
                one.name, one.actor, given[one.name, one.actor], one.portrait or ""
            )
            for one in card.characters
        }
        self._inks: dict[str, QColor] = {}
        self._fonts: dict[tuple[float, QFont.Weight], QFont] = {}
        self._avatars: dict[tuple[Person, float, float], QPixmap] = {}

    @property
    def ratio(self) -> float:
        """Pixels of the screen for each unit."""
        return self.scale * self.dpr

    def forget_pictures(self) -> None:
        """Draw all portraits anew: they have come, or the screen is another."""
        self._avatars.clear()

    def person(self, character: str, actor: str) -> Person:
        """Give a member of the cast; a stranger where the cast has changed."""
        known = self._people.get((character, actor))
        return known or Person(character or actor, actor, NO_MARK)

    def font(self, pixels: float, weight: QFont.Weight = QFont.Weight.Normal) -> QFont:
        """Give a font of that height, in units."""
        # Each but once: Qt would look for what to draw it with each time.
        font = self._fonts.get((pixels, weight))
        if font is None:
            font = self._fonts[pixels, weight] = QFont(self._font)
            font.setPixelSize(round(pixels))
            font.setWeight(weight)
        return font

    def ink(self, mark: Mark) -> QColor:
        """Give the colour of somebody's ring or bar."""
        ink = self._inks.get(mark.colour)
        if ink is None:
            ink = self._inks[mark.colour] = self.theme.ink(mark.colour)
        return ink

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
        painter = self.painter(pixmap)
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
        ink = QColor("#ffffff") if luminance(colour) < 0.36 else QColor("#16181d")
        hatch(painter, disk, person.mark.pattern, ink, round_=True)
        share = 0.5 if len(text) == 1 else 0.38
        painter.setFont(self.font(size * share, QFont.Weight.DemiBold))
        painter.setPen(ink)
        painter.drawText(disk, Qt.AlignmentFlag.AlignCenter, text)
        painter.end()
        return pixmap

    def layer(self, width: float, height: float) -> QPixmap:
        """Make a transparent picture, of a size in units."""
        ratio = self.ratio
        pixmap = QPixmap(max(1, round(width * ratio)), max(1, round(height * ratio)))
        pixmap.setDevicePixelRatio(self.dpr)
        pixmap.fill(Qt.GlobalColor.transparent)
        return pixmap

    def painter(self, pixmap: QPixmap) -> QPainter:
        """Begin to draw on a picture, in units."""
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.scale(self.scale, self.scale)
        return painter

    def put(self, painter: QPainter, corner: QPointF, picture: QPixmap | QImage) -> None:
        """Copy a picture to a place in units, pixel for pixel: stretched, it takes ten times as long."""  # noqa: E501
        stretches = self.scale != 1.0
        if stretches:
            corner = painter.worldTransform().map(corner)
            painter.setWorldMatrixEnabled(False)
        dpr = self.dpr
        corner = QPointF(round(corner.x() * dpr) / dpr, round(corner.y() * dpr) / dpr)
        if isinstance(picture, QImage):
            painter.drawImage(corner, picture)
        else:
            painter.drawPixmap(corner, picture)
        if stretches:
            painter.setWorldMatrixEnabled(True)

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
