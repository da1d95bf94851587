"""A panel: large portrait, waveform of the last second, the eight likeliest."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen, QPixmap, QStaticText

from ..engine.result import Candidate, Result
from .feed import AUDIBLE_DB, RANKED, Feed, Sound
from .ink import draw_ring, draw_track
from .look import Look, width_of
from .shown import NOBODY, Who, who_speaks
from .view import (
    ALL,
    LINGER_S,
    STILL,
    Headline,
    Key,
    Step,
    View,
    draw_second,
    lines_of,
    mark_of,
    portrait_of,
)
from .wave import Wave

# Pictures of the waveform: while somebody is shown, and else.
_WAVE_S = 1 / 12
_QUIET_WAVE_S = 1 / 2
_SLIDE_S = 0.3
_RERANK_S = 0.3


class _Ranked:
    """A candidate on its way to its place.

    Attributes
    ----------
    place : int
        Where it belongs, from 0.
    x, opacity : float
        Where it is, in places, and how much of it is there.
    leaving : bool
        It is not among the likeliest any more, and fades where it is.
    """

    def __init__(self, candidate: Candidate, place: int) -> None:
        self.candidate = candidate
        self.place = place
        self.x = float(place)
        self.opacity = 0.0
        self.leaving = False
        self._way = self.x, self.opacity, self.x, 1.0
        self._gone_s = 0.0

    def slide(self, dt: float) -> bool:
        """Go on, fast at first; returns whether it has moved."""
        goal = float(self.place), 0.0 if self.leaving else 1.0
        if self._way[2:] != goal:
            self._way = self.x, self.opacity, *goal
            self._gone_s = 0.0
        if (self.x, self.opacity) == goal:
            return False
        self._gone_s += dt
        left = max(0.0, 1 - self._gone_s / _SLIDE_S) ** 3
        self.x, self.opacity = (
            aim + (begin - aim) * left for begin, aim in zip(self._way[:2], goal, strict=True)
        )
        return True


class Full(View):
    """A panel: large portrait, waveform of the last second, the eight likeliest."""

    width = 372.0
    height = 226.0
    radius = 20.0
    _HEAD = QRectF(12, 12, 236, 104)
    _WAVE = QRectF(18, 124, 336, 40)
    _RANKING = QRectF(14, 174, 344, 42)

    def __init__(self, look: Look, feed: Feed, sound: Sound | None = None) -> None:
        super().__init__(look, feed)
        self.sound = True
        self._sound = sound
        self._line = Headline(look)
        self._gone_at: float | None = None
        self._layers: dict[Who, QPixmap] = {}
        self._percents: dict[int, QStaticText] = {}
        self._ranked: dict[Key, _Ranked] = {}
        self._ranked_at = -math.inf
        self._reranked = self._sliding = False
        self._wave = Wave(self._WAVE.width(), self._WAVE.height())
        self._waved_at = -math.inf
        self._audible = False

    def restyle(self) -> None:
        """Draw all anew."""
        self._line.look = self.look
        self._layers.clear()
        self._percents.clear()

    def take(self, result: Result | None, now: float) -> None:
        """Look at the newest result."""
        who = who_speaks(result)
        self._audible = result is not None and result.level_db > AUDIBLE_DB
        if who == NOBODY or result is None:
            if self._gone_at is None:
                self._gone_at = now
            if now - self._gone_at >= LINGER_S:
                self._line.set(NOBODY, 0.0)
        else:
            self._gone_at = None
            self._line.set(who, result.confidence)
        if now - self._ranked_at >= 0.9 * _RERANK_S:
            self._ranked_at = now
            self._rank(() if result is None else result.top[:RANKED])

    def _rank(self, top: tuple[Candidate, ...]) -> None:
        """Give everybody a place; who is hardly less likely keeps it."""
        order = sorted(
            top,
            key=lambda one: (
                -one.share - (0.02 if self._place(one) < RANKED else 0) / (1 + self._place(one))
            ),
        )
        self._sliding = True
        # Those that go fade where they are.
        for one in self._ranked.values():
            one.leaving = True
        for place, candidate in enumerate(order):
            key = (candidate.character, candidate.actor)
            known = self._ranked.get(key)
            if known is None or abs(known.candidate.share - candidate.share) > STILL:
                self._reranked = True
            if known is None:
                known = self._ranked[key] = _Ranked(candidate, place)
            known.candidate, known.place, known.leaving = candidate, place, False

    def _place(self, one: Candidate) -> int:
        known = self._ranked.get((one.character, one.actor))
        return RANKED if known is None or known.leaving else known.place

    def step(self, now: float, dt: float) -> Step:
        """Let faces slide, the ring and the waveform follow."""
        dirty: list[QRectF] = []
        waits: list[float] = []
        changing = self._line.changing
        if self._fade(True, dt):
            dirty += ALL
            waits.append(0.0)
        sounds = self._audible or not self._wave.still
        if self._line.step(dt):
            dirty += [QRectF(0, 0, self.width, self._HEAD.bottom()) if changing else self._HEAD]
        creeps_along = sounds and self._line.creeps  # it goes with the waveform
        if self._line.moving and not creeps_along:
            waits.append(self._line.pace_s)
        slid = self._sliding = self._sliding and self._slide(dt)
        if slid or self._reranked:
            dirty += [QRectF(0, self._RANKING.top(), self.width, self.height)]
            waits.append(0.0 if slid else _RERANK_S / 2)
        self._reranked = False
        wave_s = _QUIET_WAVE_S if self._line.who == NOBODY else _WAVE_S
        if now - self._waved_at >= 0.9 * wave_s:
            self._waved_at = now
            if self._follow():
                dirty += [self._WAVE]
        self.sound = not sounds and self._wave.still
        if not self.sound:
            waits.append(max(0.0, self._waved_at + wave_s - now))
        gone = self._gone_at is not None and self._line.who != NOBODY
        unranked = self.feed.newest is not None and bool(self.feed.newest.top)
        ranked = any(not one.leaving for one in self._ranked.values())
        if not waits and (gone or unranked or ranked):
            waits.append(_RERANK_S / 2)
        return Step(tuple(dirty), min(waits, default=None))

    def _follow(self) -> bool:
        """Push the waveform along, in the colour of who is shown; returns whether it has moved."""
        who, look = self._line.who, self.look
        ink = look.ink(mark_of(who, look))
        if who == NOBODY:
            ink = QColor(look.theme.faint)
            ink.setAlphaF(0.6)
        newest = self.feed.newest
        heard = newest is not None and newest.state == "listening" and self._sound is not None
        waveform = self._sound() if heard and self._sound is not None else None
        return self._wave.follow(waveform, look, ink)

    def _slide(self, dt: float) -> bool:
        """Move faces towards their places; returns whether one has moved."""
        dt = dt if self.look.moving else math.inf
        moved = [one.slide(dt) for one in self._ranked.values()]
        for key, one in list(self._ranked.items()):
            if one.leaving and not one.opacity:
                del self._ranked[key]
        return any(moved)

    def paint(self, painter: QPainter, dirty: QRectF) -> None:
        """Draw portraits, names and what moves."""
        whole = painter.opacity()
        if dirty.top() < self._HEAD.bottom():
            self._paint_headline(painter, whole)
        painter.setOpacity(whole)
        if dirty.top() < self._WAVE.bottom() and dirty.bottom() > self._WAVE.top():
            self._wave.paint(painter, self.look, self._WAVE.topLeft())
        if dirty.bottom() > self._RANKING.top():
            self._paint_ranking(painter, self._RANKING)
        painter.setOpacity(whole)

    def _paint_headline(self, painter: QPainter, whole: float) -> None:
        line, look = self._line, self.look
        shown = [(line.who, line.mix, line.share)]
        if line.mix < 1:
            shown.insert(0, (line.before, 1 - line.mix, line.share_before))
        for who, share, ring in shown:
            painter.setOpacity(whole * share)
            look.put(painter, QPointF(0, 0), self._layer(who))
            circle = QRectF(16, 16, 96, 96)
            mark = mark_of(who, look)
            draw_ring(painter, circle, ring, mark.pattern, look.ink(mark), width=3.6)
            if who.second is not None:
                draw_second(painter, who.second, QRectF(76, 76, 36, 36), look)
            if who.kind in ("character", "actor"):
                painter.setFont(look.font(13))
                painter.setPen(look.theme.faint)
                painter.drawStaticText(QPointF(128, 84), self._percent(round(100 * ring)))

    def _percent(self, percent: int) -> QStaticText:
        """Lay out how sure it is, once."""
        known = self._percents.get(percent)
        if known is None:
            known = self._percents[percent] = QStaticText(f"{percent} %")
            known.setTextFormat(Qt.TextFormat.PlainText)
        return known

    def _layer(self, who: Who) -> QPixmap:
        known = self._layers.get(who)
        if known is not None:
            return known
        if len(self._layers) > 4:
            self._layers.clear()
        look, theme = self.look, self.look.theme
        layer = look.layer(self.width, 120)
        painter = look.painter(layer)
        if who == NOBODY:
            painter.setOpacity(0.45)
        look.put(painter, QPointF(22, 22), portrait_of(who, look, 84))
        draw_track(painter, QRectF(16, 16, 96, 96), theme, width=3.6)
        name, below = lines_of(who, look)
        width = self.width - 128 - 34
        ink = theme.faint if who == NOBODY else theme.text
        font = look.font(17 if who == NOBODY else 22, QFont.Weight.DemiBold)
        if width_of(name, font) > width:
            font = look.font(17, QFont.Weight.DemiBold)
        top = 48 if who == NOBODY else 28
        painter.setOpacity(1.0)
        look.text(painter, QRectF(128, top, width, 30), name, font, ink)
        look.text(painter, QRectF(128, 59, width, 22), below, look.font(14), theme.faint)
        painter.end()
        self._layers[who] = layer
        return layer

    def _paint_ranking(self, painter: QPainter, place: QRectF) -> None:
        look, theme = self.look, self.look.theme
        pitch = place.width() / RANKED
        whole = painter.opacity()
        size = 32.0
        painter.setPen(QPen(theme.track, 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for number in range(len(self._ranked), RANKED):
            left = place.left() + pitch * number + (pitch - size) / 2
            painter.drawEllipse(QRectF(left + 0.5, place.top() + 0.5, size - 1, size - 1))
        # Whoever comes forward passes in front.
        for one in sorted(self._ranked.values(), key=lambda one: -one.place):
            person = look.person(one.candidate.character, one.candidate.actor)
            left = place.left() + pitch * one.x + (pitch - size) / 2
            strength = 1.0 if one.candidate.share >= 0.05 else 0.55
            painter.setOpacity(whole * one.opacity * strength)
            look.put(painter, QPointF(left, place.top()), look.avatar(person, size))
            bar = QRectF(left, place.top() + size + 5, size, 3.4)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.track)
            painter.drawRoundedRect(bar, 1.7, 1.7)
            bar.setWidth(max(3.4, size * one.candidate.share))
            painter.setBrush(look.ink(person.mark))
            painter.drawRoundedRect(bar, 1.7, 1.7)
