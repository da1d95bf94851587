"""A panel: large portrait, waveform of the last second, the eight likeliest."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPen, QPixmap

from ..engine.result import Candidate, Result
from .feed import AUDIBLE_DB, LEVELS, RANKED, Feed, Samples
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

_SLIDE_S = 0.09
_WAVE_S = 1 / 20
_RERANK_S = 0.3


class _Ranked:
    """A candidate on its way to its place."""

    def __init__(self, candidate: Candidate, place: int) -> None:
        self.candidate = candidate
        self.place = place
        self.x = float(place)
        self.opacity = 0.0
        self.leaving = False


class Full(View):
    """A panel: large portrait, waveform of the last second, the eight likeliest."""

    width = 372.0
    height = 226.0
    radius = 20.0
    sound = True
    _BARS = 85
    _WAVE = QRectF(18, 124, 336, 40)
    _RANKING = QRectF(14, 174, 344, 42)

    def __init__(self, look: Look, feed: Feed, samples: Samples | None = None) -> None:
        super().__init__(look, feed)
        self._samples = samples
        self._line = Headline(look)
        self._gone_at: float | None = None
        self._layers: dict[Who, QPixmap] = {}
        self._ranked: dict[Key, _Ranked] = {}
        self._ranked_at = -math.inf
        self._reranked = False
        self._bars = np.zeros(self._BARS, np.float32)

    def restyle(self) -> None:
        """Draw all anew."""
        self._line.look = self.look
        self._layers.clear()

    def take(self, result: Result | None, now: float) -> None:
        """Look at the newest result."""
        who = who_speaks(result)
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
        mix = self._line.mix
        if self._fade(True, dt):
            dirty += ALL
            waits.append(0.0)
        if self._line.step(dt):
            # While it is mixed, also the waveform has another colour.
            wide, high = (self.width, self._WAVE.bottom() + 4) if mix < 1 else (240.0, 116.0)
            dirty += [QRectF(0, 0, wide, high)]
            waits.append(self._line.pace_s)
        slid = self._slide(dt)
        if slid or self._reranked:
            dirty += [QRectF(0, self._RANKING.top(), self.width, self.height)]
            waits.append(0.0 if slid else _WAVE_S)
        self._reranked = False
        bars = self._measure()
        if np.abs(bars - self._bars).max() > 0.01:
            self._bars = bars
            dirty += [self._WAVE.adjusted(-4, -4, 4, 4)]
            waits.append(_WAVE_S)
        if dirty:
            return Step(tuple(dirty), min(waits))
        gone = self._gone_at is not None and self._line.who != NOBODY
        unranked = self.feed.newest is not None and bool(self.feed.newest.top)
        if gone or unranked or any(not one.leaving for one in self._ranked.values()):
            return Step((), _RERANK_S / 2)
        return Step((), None)

    def _slide(self, dt: float) -> bool:
        """Move faces towards their places; returns whether one has moved."""
        moved = False
        pace = 1 - math.exp(-dt / _SLIDE_S) if self.look.moving else 1.0
        for key, one in list(self._ranked.items()):
            aim = 0.0 if one.leaving else 1.0
            if abs(one.x - one.place) > 0.01:
                one.x += (one.place - one.x) * pace
                moved = True
            if abs(one.opacity - aim) > 0.02:
                one.opacity += (aim - one.opacity) * pace
                moved = True
            elif one.leaving:
                del self._ranked[key]
                moved = True
        return moved

    def _measure(self) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        """Loudness along the last second, 0 to 1, the newest last."""
        y = None if self._samples is None else self._samples()
        if y is None or len(y) < self._BARS:
            levels = np.asarray(list(self.feed.levels), np.float32)
            at = np.linspace(0, LEVELS - 1, self._BARS)
            db = np.interp(at, np.arange(LEVELS), levels[-LEVELS:])
            return np.clip(1 + db / -AUDIBLE_DB, 0, 1).astype(np.float32) ** 1.6
        starts = np.linspace(0, len(y), self._BARS + 1)[:-1].astype(int)
        peaks = np.maximum.reduceat(np.abs(y), starts)
        return np.asarray(np.minimum(peaks, 1.0) ** 0.6, np.float32)

    def paint(self, painter: QPainter, dirty: QRectF) -> None:
        """Draw portraits, names and what moves."""
        whole = painter.opacity()
        if dirty.top() < self._WAVE.top() - 4:
            self._paint_headline(painter, whole)
        painter.setOpacity(whole)
        self._paint_wave(painter, self._WAVE)
        if dirty.bottom() > self._RANKING.top():
            self._paint_ranking(painter, self._RANKING)
        painter.setOpacity(whole)

    def _paint_headline(self, painter: QPainter, whole: float) -> None:
        line = self._line
        shown = [(line.who, line.mix, line.share)]
        if line.mix < 1:
            shown.insert(0, (line.before, 1 - line.mix, line.share_before))
        for who, share, ring in shown:
            painter.setOpacity(whole * share)
            painter.drawPixmap(QPointF(0, 0), self._layer(who))
            circle = QRectF(16, 16, 96, 96)
            mark = mark_of(who, self.look)
            draw_ring(painter, circle, ring, mark, self.look.theme, width=3.6)
            if who.second is not None:
                draw_second(painter, who.second, QRectF(76, 76, 36, 36), self.look)
            if who.kind in ("character", "actor"):
                sure = QRectF(128, 83, 100, 18)
                theme = self.look.theme
                self.look.text(
                    painter, sure, f"{100 * ring:.0f} %", self.look.font(13), theme.faint
                )

    def _layer(self, who: Who) -> QPixmap:
        known = self._layers.get(who)
        if known is not None:
            return known
        if len(self._layers) > 4:
            self._layers.clear()
        look, theme = self.look, self.look.theme
        layer = look.layer(self.width, 120)
        painter = QPainter(layer)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if who == NOBODY:
            painter.setOpacity(0.45)
        painter.drawPixmap(QPointF(22, 22), portrait_of(who, look, 84))
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

    def _paint_wave(self, painter: QPainter, place: QRectF) -> None:
        who, look = self._line.who, self.look
        ink = look.theme.ink(mark_of(who, look).colour)
        if who == NOBODY:
            ink = QColor(look.theme.faint)
            ink.setAlphaF(0.6)
        pitch = place.width() / (self._BARS - 1)
        middle, left = place.center().y(), place.left()
        heights = np.maximum(self._bars * (place.height() / 2), 0.75).tolist()
        # Upright lines need no smoothing, which takes five times as long.
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        painter.setPen(QPen(ink, 2.0, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap))
        painter.drawLines(
            [
                QLineF(
                    left + number * pitch, middle - height, left + number * pitch, middle + height
                )
                for number, height in enumerate(heights)
            ]
        )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def _paint_ranking(self, painter: QPainter, place: QRectF) -> None:
        look, theme = self.look, self.look.theme
        pitch = place.width() / RANKED
        whole = painter.opacity()
        size = 32.0
        # Whoever comes forward passes in front.
        for one in sorted(self._ranked.values(), key=lambda one: -one.place):
            person = look.person(one.candidate.character, one.candidate.actor)
            left = place.left() + pitch * one.x + (pitch - size) / 2
            strength = 1.0 if one.candidate.share >= 0.05 else 0.55
            painter.setOpacity(whole * one.opacity * strength)
            painter.drawPixmap(QPointF(left, place.top()), look.avatar(person, size))
            bar = QRectF(left, place.top() + size + 5, size, 3.4)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(theme.track)
            painter.drawRoundedRect(bar, 1.7, 1.7)
            bar.setWidth(max(3.4, size * one.candidate.share))
            painter.setBrush(look.ink(person))
            painter.drawRoundedRect(bar, 1.7, 1.7)
