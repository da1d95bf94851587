"""The quiet line: what the user should know, for a while."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QPainter

from ..engine.result import Result
from .look import Look, width_of
from .shown import WAITING, notice_of
from .view import ALL, Step
from .words import Words, said_in

HEIGHT = 28.0
NOTICE_S = 15.0
GREETING_S = 4.0
_LONGEST = 500.0
_FADE_S = 0.3
_TEXT_X = 29.0
_RIGHT = 15.0


class Notice:
    """A line that comes, stays for a while, and goes.

    Parameters
    ----------
    words : Words
        In which language it is told.

    Attributes
    ----------
    text : str
        What it says, or has said last.
    opacity : float
        0 to 1.
    """

    def __init__(self, words: Words) -> None:
        self.text = ""
        self.opacity = 0.0
        self._words = words
        self._until = 0.0
        # What there is to say, and until when; to the end of time, until it is first seen.
        self._heard = self._translated = self._own = ""
        self._heard_until = self._own_until = self._greeting_until = -math.inf

    def greet(self, now: float) -> None:
        """Say that somebody is listening, until there is a name."""
        self._greeting_until = now + GREETING_S

    def tell(self, text: str) -> None:
        """Say something of one's own, as soon as it can be seen, or nothing any more."""
        self._own, self._own_until = text, math.inf

    def hear(self, result: Result | None, now: float) -> None:
        """Take what the engine has to tell, which comes before what is one's own."""
        heard = notice_of(result)
        if heard != self._heard:
            self._heard, self._heard_until = heard, now + NOTICE_S
            waiting = heard == WAITING
            self._translated = self._words.waiting if waiting else said_in(self._words, heard)
        if result is not None and result.actor is not None:
            self._greeting_until = now
        if self._translated and now < self._heard_until:
            self.text, self._until = self._translated, self._heard_until
        elif self._own and now < self._own_until:
            self._own_until = min(self._own_until, now + NOTICE_S)
            self.text, self._until = self._own, self._own_until
        elif now < self._greeting_until:
            self.text, self._until = self._words.listening, self._greeting_until
        else:
            self._until = now  # what was said last, fades

    def step(self, now: float, dt: float, moving: bool) -> Step:
        """Let time pass."""
        left_s = self._until - now
        aim = 1.0 if self.text and left_s > 0 else 0.0
        if self.opacity != aim:
            pace = dt / _FADE_S if moving else 1.0
            self.opacity += max(-pace, min(pace, aim - self.opacity))
            return Step(ALL, 0.0)
        return Step((), left_s if aim else None)

    def width(self, look: Look) -> float:
        """Measure it, in units."""
        return min(_LONGEST, width_of(self.text, _font(look)) + _TEXT_X + _RIGHT)

    def paint(self, painter: QPainter, look: Look, width: float) -> None:
        """Draw a light and the text."""
        painter.setPen(Qt.PenStyle.NoPen)
        greeting = self.text == self._words.listening
        painter.setBrush(QColor("#4fb477" if greeting else "#e0a03a"))
        painter.drawEllipse(QPointF(17, HEIGHT / 2), 3.6, 3.6)
        place = QRectF(_TEXT_X, 0, width - _TEXT_X - _RIGHT, HEIGHT)
        look.text(painter, place, self.text, _font(look), look.theme.text)


def _font(look: Look) -> QFont:
    return look.font(12.5)
