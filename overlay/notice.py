"""The quiet line."""

from __future__ import annotations

from .view import ALL, Step


class Notice:
    """The quiet line."""

    def __init__(self) -> None:
        self.text = ""
        self.until = 0.0
        self.opacity = 0.0
        self._told = ""

    def tell(self, text: str, now: float, seconds: float) -> None:
        if text == self._told:
            return
        self._told = text
        if text:
            self.text, self.until = text, now + seconds
        else:
            self.until = now

    def step(self, now: float, dt: float, moving: bool) -> Step:
        left_s = self.until - now
        aim = 1.0 if self.text and left_s > 0 else 0.0
        if self.opacity != aim:
            pace = dt / 0.3 if moving else 1.0
            self.opacity += max(-pace, min(pace, aim - self.opacity))
            return Step(ALL, 0.0)
        return Step((), left_s if aim else None)
