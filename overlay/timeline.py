"""A panel: the turns of the last two minutes, a lane for each character."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen, QPixmap

from ..engine.result import Result, Turn
from .feed import Feed
from .ink import hatch
from .look import Look, width_of
from .shown import who_speaks
from .view import ALL, Key, Step, View

WINDOW_S = 120.0
TICK_S = 0.25


class Timeline(View):
    """A panel: the turns of the last two minutes, a lane for each character."""

    width = 500.0
    radius = 18.0
    shares = False
    LANES = 6
    _LANE = 28.0
    _TOP = 12.0
    _AXIS = 24.0
    _LEFT = 176.0
    _RIGHT = 30.0

    def __init__(self, look: Look, feed: Feed) -> None:
        super().__init__(look, feed)
        self._lanes: list[Key] = []
        self._turns: list[Turn] = []
        self._now = 0.0
        self._speaking: Key | None = None
        self._ticked_at = -math.inf
        self._layer: QPixmap | None = None
        self._set_height()

    def restyle(self) -> None:
        """Draw all anew."""
        self._layer = None

    def take(self, result: Result | None, now: float) -> None:
        """Look at the newest result."""
        who = who_speaks(result)
        speaking = (who.character, who.actor) if who.kind == "character" else None
        # A timer may be early by some milliseconds.
        if now - self._ticked_at < 0.9 * TICK_S and speaking == self._speaking:
            return
        self._ticked_at = now
        self._now = 0.0 if result is None else result.time
        begin = self._now - WINDOW_S
        self._turns = [turn for turn in self.feed.turns if turn.end > begin]
        last = {(turn.character, turn.actor): turn.end for turn in self._turns}
        recent = sorted(last, key=last.__getitem__, reverse=True)[: self.LANES]
        # Lanes stay where they are; new ones come below.
        kept = [lane for lane in self._lanes if lane in recent]
        kept += [lane for lane in reversed(recent) if lane not in kept]
        if kept != self._lanes or speaking != self._speaking:
            self._lanes, self._speaking = kept, speaking
            self._layer = None
            self._set_height()

    def _set_height(self) -> None:
        self.height = self._TOP + self._LANE * max(1, len(self._lanes)) + self._AXIS

    def step(self, now: float, dt: float) -> Step:
        """Let time go by, four times a second."""
        if self._fade(True, dt):
            return Step(ALL, 0.0)
        next_s = TICK_S if self._turns else None
        if self._ticked_at != now:
            return Step((), next_s)
        left = self._LEFT - 2
        bars = QRectF(left, 0, self.width - left, self.height - self._AXIS)
        return Step(ALL if self._layer is None else (bars,), next_s)

    def paint(self, painter: QPainter, dirty: QRectF) -> None:
        """Draw lanes and turns."""
        if self._layer is None:
            self._layer = self._names()
        look = self.look
        look.put(painter, QPointF(0, 0), self._layer)
        per_s = (self.width - self._RIGHT - self._LEFT) / WINDOW_S
        right = self.width - self._RIGHT
        for turn in self._turns:
            key = (turn.character, turn.actor)
            if key not in self._lanes:
                continue
            left = max(self._LEFT, right - (self._now - turn.start) * per_s)
            end = right - (self._now - turn.end) * per_s
            y = self._TOP + self._LANE * self._lanes.index(key) + 6
            bar = QRectF(left, y, max(2.5, end - left), self._LANE - 12)
            person = look.person(*key)
            colour = QColor(person.mark.colour)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            radius = min(4.0, bar.width() / 2)
            painter.drawRoundedRect(bar, radius, radius)
            if bar.width() > 6:
                ink = QColor("white") if colour.lightnessF() < 0.55 else QColor("#16181d")
                hatch(painter, bar, person.mark.pattern, ink)

    def _names(self) -> QPixmap:
        """Draw what stands still: names, portraits, axis."""
        look, theme = self.look, self.look.theme
        layer = look.layer(self.width, self.height)
        painter = look.painter(layer)
        right, small = self.width - self._RIGHT, look.font(11)
        bottom = self.height - self._AXIS
        for number, label in enumerate(look.words.ago):
            x = self._LEFT + (right - self._LEFT) * number / 2
            painter.setPen(QPen(theme.track, 1))
            if self._lanes:
                painter.drawLine(QPointF(x, self._TOP), QPointF(x, bottom + 2))
            wide = width_of(label, small) + 2
            at = x - wide * number / 2
            look.text(painter, QRectF(at, bottom + 3, wide, 16), label, small, theme.faint)
        if not self._lanes:
            place = QRectF(16, self._TOP, right - 16, self._LANE)
            look.text(painter, place, look.words.no_turns, look.font(12.5), theme.faint)
        for number, key in enumerate(self._lanes):
            top = self._TOP + self._LANE * number
            person = look.person(*key)
            speaks = key == self._speaking
            look.put(painter, QPointF(14, top + 3), look.avatar(person, 22))
            font = look.font(12.5, QFont.Weight.DemiBold if speaks else QFont.Weight.Normal)
            ink = theme.text if speaks else theme.faint
            place = QRectF(43, top, self._LEFT - 43 - 10, self._LANE)
            look.text(painter, place, person.name, font, ink)
            track = QRectF(self._LEFT, top + self._LANE / 2 - 0.5, right - self._LEFT, 1)
            painter.fillRect(track, theme.track)
        painter.end()
        return layer
