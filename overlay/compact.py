"""A pill: portrait in its ring, character, actor."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QFont, QPainter, QPixmap

from ..engine.result import Result
from .feed import Feed
from .ink import draw_ring, draw_track
from .look import Look, width_of
from .shown import NOBODY, Who, who_speaks
from .view import ALL, LINGER_S, Headline, Step, View, draw_second, lines_of, mark_of, portrait_of


class Compact(View):
    """A pill: portrait in its ring, character, actor. Nothing while nobody speaks."""

    height = 60.0
    radius = 30.0
    _LONGEST = 250.0
    _TEXT_X = 67.0
    _GRIP = 26.0

    def __init__(self, look: Look, feed: Feed) -> None:
        super().__init__(look, feed)
        self._line = Headline(look)
        self._gone_at: float | None = 0.0
        self._layers: dict[Who, tuple[QPixmap, float]] = {}
        self.width = self.height

    @property
    def grip_left(self) -> bool:
        """Away from the portrait."""
        return self.mirrored

    def restyle(self) -> None:
        """Draw all anew."""
        self._line.look = self.look
        self._layers.clear()
        self.width = self._current_width()

    def take(self, result: Result | None, now: float) -> None:
        """Look at the newest result."""
        who = who_speaks(result)
        if who == NOBODY or result is None:
            if self._gone_at is None:
                self._gone_at = now
            return
        self._gone_at = None
        if self._line.set(who, result.confidence, at_once=not self.opacity):
            self._layers = {
                one: layer
                for one, layer in self._layers.items()
                if one in (self._line.who, self._line.before)
            }

    def step(self, now: float, dt: float) -> Step:
        """Fade in, out, and from one to the other."""
        left_s = 0.0 if self._gone_at is None else self._gone_at + LINGER_S - now
        there = self._gone_at is None or left_s > 0
        changing, before = self.opacity > 0 and self._line.changing, self.width
        faded = self._fade(there, dt)
        moved = self._line.step(dt) if self.opacity else False
        if faded and not self.opacity:
            self._line.set(NOBODY, 0.0, at_once=True)
        if self._line.who != NOBODY:
            self.width = self._current_width()
        if faded or changing or self.width != before:
            return Step(ALL, 0.0)
        waits = [left_s] if there and self._gone_at is not None else []
        if self.opacity and self._line.moving:
            waits.append(self._line.pace_s)
        x = self.width - self.height if self.mirrored else 0.0
        ring = (QRectF(x, 0, self.height, self.height),)
        return Step(ring if moved else (), min(waits, default=None))

    def paint(self, painter: QPainter, dirty: QRectF) -> None:
        """Draw portraits, names and what moves."""
        line, look = self._line, self.look
        whole = painter.opacity()
        shown = [(line.who, line.mix, line.share)]
        if line.mix < 1 and line.before != NOBODY:
            shown.insert(0, (line.before, 1 - line.mix, line.share_before))
        for who, share, ring in shown:
            painter.setOpacity(whole * share)
            layer, width = self._layer(who)
            x = self.width - width if self.mirrored else 0.0
            look.put(painter, QPointF(x, 0), layer)
            centre = self.width - 30.0 if self.mirrored else 30.0
            if who.kind in ("character", "actor"):
                circle = QRectF(centre - 25, 5, 50, 50)
                mark = mark_of(who, look)
                draw_ring(painter, circle, ring, mark.pattern, look.ink(mark))
            if who.second is not None:
                x = centre + (-25.0 if self.mirrored else 25.0 - 22)
                draw_second(painter, who.second, QRectF(x, 33, 22, 22), look)
        painter.setOpacity(whole)

    def _current_width(self) -> float:
        line = self._line
        if line.who == NOBODY:
            return self.height
        _, width = self._layer(line.who)
        if line.mix < 1 and line.before != NOBODY:
            _, before = self._layer(line.before)
            eased = line.mix * line.mix * (3 - 2 * line.mix)
            return before + (width - before) * eased
        return width

    def _layer(self, who: Who) -> tuple[QPixmap, float]:
        """Draw portrait and names; they stay the same while somebody speaks."""
        known = self._layers.get(who)
        if known is not None:
            return known
        look, theme = self.look, self.look.theme
        name, below = lines_of(who, look)
        fonts = look.font(16, QFont.Weight.DemiBold), look.font(12.5)
        wide = max(width_of(name, fonts[0]), width_of(below, fonts[1]))
        text_width = min(self._LONGEST, math.ceil(wide) + 1)
        width = self._TEXT_X + text_width + self._GRIP
        layer = look.layer(width, self.height)
        painter = look.painter(layer)
        x = width - 52.0 if self.mirrored else 8.0
        look.put(painter, QPointF(x, 8), portrait_of(who, look, 44))
        if who.kind != "unknown":
            draw_track(painter, QRectF(x - 3, 5, 50, 50), theme)
        left = self._GRIP if self.mirrored else self._TEXT_X
        place = QRectF(left, 10, text_width, 22)
        look.text(painter, place, name, fonts[0], theme.text, right=self.mirrored)
        place = QRectF(left, 32, text_width, 18)
        look.text(painter, place, below, fonts[1], theme.faint, right=self.mirrored)
        painter.end()
        self._layers[who] = layer, width
        return layer, width
