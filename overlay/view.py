"""What the three ways to show who is speaking have in common.

Each draws a card, and says when it must be drawn again. Lengths are in units, which the window
makes as large as the desktop's font asks for.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPixmap

from ..engine.result import Result
from .feed import Feed
from .look import Look, Person
from .marks import NO_MARK, Mark
from .shown import NOBODY, Who

# A name stays for a moment after its result has gone, then fades.
LINGER_S = 0.25
FADE_IN_S = 0.13
FADE_OUT_S = 0.35
CHANGE_S = 0.18
# A ring that creeps is drawn less often: nobody sees it.
CREEP_S = 1 / 10
CREEPS = 0.12
STILL = 0.004
_RING_S = 0.11

Key = tuple[str, str]


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
    shares = True
    """How sure a name is can be seen."""
    sound = False
    """It stands still until sound comes, or names to rank."""

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


class Headline:
    """Who speaks, and how sure; a change is a cross-fade."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.who, self.before = NOBODY, NOBODY
        self.mix = 1.0
        self.share = self.share_before = 0.0
        self._aim = 0.0
        self._crept_s = 0.0
        self._leapt = False

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
        self._leapt = at_once or not self.look.moving
        self.mix = 1.0 if self._leapt else 0.0
        return True

    @property
    def changing(self) -> bool:
        """Whether the next step shows another name, or goes on with a cross-fade to it."""
        return self._leapt or self.mix < 1

    @property
    def moving(self) -> bool:
        """Whether it is on its way, also while it creeps and is not drawn at each look."""
        return self.mix < 1 or abs(self._aim - self.share) > STILL

    @property
    def pace_s(self) -> float:
        """When to look at it again while it moves; 0 for the next frame."""
        return CREEP_S if self.creeps else 0.0

    @property
    def creeps(self) -> bool:
        """Whether it moves so slowly that it need not be drawn at each frame."""
        return self.mix == 1 and abs(self._aim - self.share) < CREEPS

    def step(self, dt: float) -> bool:
        """Let time pass; returns whether it looks different."""
        moved, self._leapt = self.changing, False
        self.mix = min(1.0, self.mix + dt / CHANGE_S)
        gap = self._aim - self.share
        if abs(gap) > STILL:
            # However often it is looked at.
            self._crept_s += dt
            if self.creeps and self.look.moving and self._crept_s < 0.9 * CREEP_S:
                return moved
            dt, self._crept_s = self._crept_s, 0.0
            self.share += gap * (1 - math.exp(-dt / _RING_S)) if self.look.moving else gap
            moved = True
        return moved


def mark_of(who: Who, look: Look) -> Mark:
    """Give colour and pattern of whoever speaks."""
    return look.person(who.character, who.actor).mark if who.kind == "character" else NO_MARK


def lines_of(who: Who, look: Look) -> tuple[str, str]:
    """Give the two lines that say who speaks."""
    words = look.words
    if who.kind == "unknown":
        return words.unknown, words.of_nobody
    if who.kind == "nobody":
        return words.nobody, ""
    name = who.character or who.actor
    if who.second is not None:
        return name, words.second.format(who.second[0])
    return name, who.actor if who.character else words.as_whom


def portrait_of(who: Who, look: Look, size: float) -> QPixmap:
    """Draw the portrait of whoever speaks, or what stands for it."""
    if who.kind == "character":
        return look.avatar(look.person(who.character, who.actor), size)
    if who.kind == "actor":
        return look.avatar(Person(who.actor, who.actor, NO_MARK), size)
    return look.sign("?" if who.kind == "unknown" else "–", size)


def draw_second(painter: QPainter, second: Key, place: QRectF, look: Look) -> None:
    """Put a small portrait on the corner of the large one and its ring."""
    edge = place.width() / 11
    ground = QColor(look.theme.card)
    ground.setAlpha(255)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawEllipse(place.adjusted(-edge, -edge, edge, edge))
    look.put(painter, place.topLeft(), look.avatar(look.person(*second), place.width()))
