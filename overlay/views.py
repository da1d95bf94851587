"""The three ways to show who is speaking; each draws a card, and says when it must be drawn again.

Lengths are in units, which the window makes as large as the desktop's font asks for.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter, QPainterPath, QPen, QPixmap

from ..engine.result import Candidate, Result, Turn
from .feed import AUDIBLE_DB, LEVELS, RANKED, Feed, Samples
from .look import Look, Person, draw_ring, draw_track, hatch, width_of
from .marks import NO_MARK, Mark
from .shown import NOBODY, Who, who_speaks

# A name stays for a moment after its result has gone, then fades.
LINGER_S = 0.25
FADE_IN_S = 0.13
FADE_OUT_S = 0.35
CHANGE_S = 0.18
_RING_S = 0.11
_SLIDE_S = 0.09
_STILL = 0.004
# A ring that creeps is drawn half as often, a waveform two times out of three: nobody sees it.
_CREEP_S = 1 / 15
_CREEPS = 0.05
_WAVE_S = 1 / 20
_RERANK_S = 0.3
WINDOW_S = 120.0
TICK_S = 0.25

_Key = tuple[str, str]


class Step(NamedTuple):
    """What time has done to a card.

    Attributes
    ----------
    dirty : tuple of QRectF
        What of it looks different now, in units, from the card's upper left corner.
    next_s : float or None
        When to look again, if nothing happens before: 0 for the next frame, None for never.
    """

    dirty: tuple[QRectF, ...]
    next_s: float | None


ALL = (QRectF(-1e3, -1e3, 1e4, 1e4),)


class View:
    """A card.

    Parameters
    ----------
    look : Look
        How things are drawn.
    feed : Feed
        What there is to draw.

    Attributes
    ----------
    width, height : float
        Of the card, in units.
    radius : float
        Of its corners.
    opacity : float
        0 to 1; of all of it.
    mirrored : bool
        The card is at the right edge of the screen: what stays has its place there.
    """

    width = 0.0
    height = 0.0
    radius = 18.0
    sound = False
    """Sound and the ranking can be seen."""

    def __init__(self, look: Look, feed: Feed) -> None:
        self.look, self.feed = look, feed
        self.opacity = 0.0
        self.mirrored = False

    @property
    def grip_left(self) -> bool:
        """Whether there is room for the grip at the left, and not at the right."""
        return False

    def restyle(self) -> None:
        """Draw all anew: theme, screen, side or pictures are others."""

    def take(self, result: Result | None, now: float) -> None:
        """Look at the newest result, once a frame."""

    def step(self, now: float, dt: float) -> Step:
        """Let time pass."""
        raise NotImplementedError

    def paint(self, painter: QPainter, dirty: QRectF) -> None:
        """Draw what stands on the card, whose upper left corner is the origin.

        Parameters
        ----------
        painter : QPainter
            In units.
        dirty : QRectF
            Nothing that is drawn outside of it is seen.
        """
        raise NotImplementedError

    def _fade(self, there: bool, dt: float) -> bool:
        """Move the opacity towards being there, or not; returns whether it has moved."""
        aim = 1.0 if there else 0.0
        if self.opacity == aim:
            return False
        pace = dt / (FADE_IN_S if there else FADE_OUT_S) if self.look.moving else 1.0
        self.opacity = min(aim, self.opacity + pace) if there else max(aim, self.opacity - pace)
        return True


class _Headline:
    """Who speaks, and how sure; a change is a cross-fade."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.who, self.before = NOBODY, NOBODY
        self.mix = 1.0
        self.share = self.share_before = 0.0
        self._aim = 0.0

    def set(self, who: Who, confidence: float, *, at_once: bool = False) -> bool:
        """Take whom to show; returns whether it is somebody else."""
        self._aim = confidence
        if who == self.who:
            return False
        self.before, self.share_before = self.who, self.share
        # Another voice beside the same one is no other name: the ring goes on.
        same = who[:3] == self.who[:3]
        self.who = who
        self.share = self.share if same else 0.0
        self.mix = 1.0 if at_once or not self.look.moving else 0.0
        return True

    @property
    def pace_s(self) -> float:
        """When to draw it again while it moves; 0 for the next frame."""
        return _CREEP_S if self.mix == 1 and abs(self._aim - self.share) < _CREEPS else 0.0

    def step(self, dt: float) -> bool:
        """Let time pass; returns whether it looks different."""
        moved = False
        if self.mix < 1:
            self.mix = min(1.0, self.mix + dt / CHANGE_S)
            moved = True
        gap = self._aim - self.share
        if abs(gap) > _STILL:
            self.share += gap * (1 - math.exp(-dt / _RING_S)) if self.look.moving else gap
            moved = True
        return moved


def _mark_of(who: Who, look: Look) -> Mark:
    return look.person(who.character, who.actor).mark if who.kind == "character" else NO_MARK


def _lines(who: Who, look: Look) -> tuple[str, str]:
    words = look.words
    if who.kind == "unknown":
        return words.unknown, words.of_nobody
    if who.kind == "nobody":
        return words.nobody, ""
    name = who.character or who.actor
    if who.second is not None:
        return name, words.second.format(who.second[0])
    return name, who.actor if who.character else words.as_whom


def _portrait(who: Who, look: Look, size: float) -> QPixmap:
    if who.kind == "character":
        return look.avatar(look.person(who.character, who.actor), size)
    if who.kind == "actor":
        return look.avatar(Person(who.actor, who.actor, NO_MARK), size)
    return look.sign("?" if who.kind == "unknown" else "–", size)


def _draw_second(painter: QPainter, second: _Key, place: QRectF, look: Look) -> None:
    """Put a small portrait on the corner of the large one and its ring."""
    edge = place.width() / 11
    ground = QColor(look.theme.card)
    ground.setAlpha(255)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawEllipse(place.adjusted(-edge, -edge, edge, edge))
    painter.drawPixmap(place.topLeft(), look.avatar(look.person(*second), place.width()))


class Compact(View):
    """A pill: portrait in its ring, character, actor. Nothing while nobody speaks."""

    height = 60.0
    radius = 30.0
    _LONGEST = 250.0
    _TEXT_X = 67.0
    _GRIP = 26.0

    def __init__(self, look: Look, feed: Feed) -> None:
        super().__init__(look, feed)
        self._line = _Headline(look)
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
        before = self._line.mix, self.width
        faded = self._fade(there, dt)
        moved = self._line.step(dt) if self.opacity else False
        if faded and not self.opacity:
            self._line.set(NOBODY, 0.0, at_once=True)
        if self._line.who != NOBODY:
            self.width = self._current_width()
        if faded or before != (self._line.mix, self.width):
            return Step(ALL, 0.0)
        if moved:
            x = self.width - self.height if self.mirrored else 0.0
            return Step((QRectF(x, 0, self.height, self.height),), self._line.pace_s)
        return Step((), left_s if there and self._gone_at is not None else None)

    def paint(self, painter: QPainter, dirty: QRectF) -> None:
        """Draw portraits, names and what moves."""
        line = self._line
        whole = painter.opacity()
        shown = [(line.who, line.mix, line.share)]
        if line.mix < 1 and line.before != NOBODY:
            shown.insert(0, (line.before, 1 - line.mix, line.share_before))
        for who, share, ring in shown:
            painter.setOpacity(whole * share)
            layer, width = self._layer(who)
            x = self.width - width if self.mirrored else 0.0
            painter.drawPixmap(QPointF(self._whole(x), 0), layer)
            centre = self.width - 30.0 if self.mirrored else 30.0
            if who.kind in ("character", "actor"):
                circle = QRectF(centre - 25, 5, 50, 50)
                draw_ring(painter, circle, ring, _mark_of(who, self.look), self.look.theme)
            if who.second is not None:
                x = centre + (-25.0 if self.mirrored else 25.0 - 22)
                _draw_second(painter, who.second, QRectF(x, 33, 22, 22), self.look)
        painter.setOpacity(whole)

    def _whole(self, x: float) -> float:
        """Round to pixels of the screen, lest the letters blur."""
        return round(x * self.look.ratio) / self.look.ratio

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
        name, below = _lines(who, look)
        fonts = look.font(16, QFont.Weight.DemiBold), look.font(12.5)
        wide = max(width_of(name, fonts[0]), width_of(below, fonts[1]))
        text_width = min(self._LONGEST, math.ceil(wide) + 1)
        width = self._TEXT_X + text_width + self._GRIP
        layer = look.layer(width, self.height)
        painter = QPainter(layer)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        x = width - 52.0 if self.mirrored else 8.0
        painter.drawPixmap(QPointF(x, 8), _portrait(who, look, 44))
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
        self._line = _Headline(look)
        self._gone_at: float | None = None
        self._layers: dict[Who, QPixmap] = {}
        self._ranked: dict[_Key, _Ranked] = {}
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
            if known is None or abs(known.candidate.share - candidate.share) > _STILL:
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
            mark = _mark_of(who, self.look)
            draw_ring(painter, circle, ring, mark, self.look.theme, width=3.6)
            if who.second is not None:
                _draw_second(painter, who.second, QRectF(76, 76, 36, 36), self.look)
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
        painter.drawPixmap(QPointF(22, 22), _portrait(who, look, 84))
        draw_track(painter, QRectF(16, 16, 96, 96), theme, width=3.6)
        name, below = _lines(who, look)
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
        ink = look.theme.ink(_mark_of(who, look).colour)
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


class Timeline(View):
    """A panel: the turns of the last two minutes, a lane for each character."""

    width = 500.0
    radius = 18.0
    LANES = 6
    _LANE = 28.0
    _TOP = 12.0
    _AXIS = 24.0
    _LEFT = 176.0
    _RIGHT = 30.0

    def __init__(self, look: Look, feed: Feed) -> None:
        super().__init__(look, feed)
        self._lanes: list[_Key] = []
        self._turns: list[Turn] = []
        self._now = 0.0
        self._speaking: _Key | None = None
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
        painter.drawPixmap(QPointF(0, 0), self._layer)
        look = self.look
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
        painter = QPainter(layer)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
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
            painter.drawPixmap(QPointF(14, top + 3), look.avatar(person, 22))
            font = look.font(12.5, QFont.Weight.DemiBold if speaks else QFont.Weight.Normal)
            ink = theme.text if speaks else theme.faint
            place = QRectF(43, top, self._LEFT - 43 - 10, self._LANE)
            look.text(painter, place, person.name, font, ink)
            track = QRectF(self._LEFT, top + self._LANE / 2 - 0.5, right - self._LEFT, 1)
            painter.fillRect(track, theme.track)
        painter.end()
        return layer


def grip_dots(painter: QPainter, place: QRectF, colour: QColor) -> None:
    """Draw what a card is dragged by."""
    path = QPainterPath()
    centre = place.center()
    for row in (-1, 0, 1):
        for column in (-1, 1):
            path.addEllipse(QPointF(centre.x() + 2.6 * column, centre.y() + 5.6 * row), 1.5, 1.5)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.fillPath(path, colour)
