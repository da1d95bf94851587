"""The slot between whoever reads the results and the window."""

from __future__ import annotations

from collections.abc import Callable

from ..engine.result import Candidate, Result, Turn, TurnTracker
from ..engine.waveform import Waveform
from .shown import NOBODY, Who, notice_of, who_speaks

Sound = Callable[[], Waveform | None]
"""Gives the newest sound, None where there is none yet."""

KEPT_TURNS = 256
RANKED = 8
AUDIBLE_DB = -66.0
_NOTICEABLE = 0.02  # of a ring, three pixels


class Feed:
    """Takes results in one thread, lends the newest in another, and wakes who sleeps.

    Parameters
    ----------
    wake : callable
        Called from the thread of the results, about once for each `sleep`.

    Attributes
    ----------
    newest : Result or None
        The one that counts.

    Notes
    -----
    `take` costs some microseconds and never waits: ten thousand results a second are taken, and
    the window still draws thirty times a second.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self.newest: Result | None = None
        self._tracker = TurnTracker()
        self._wake = wake
        # What is on the screen while the window sleeps; None while it looks by itself.
        self._seen: _Seen | None = None

    @property
    def turns(self) -> list[Turn]:
        """The last turns, oldest first."""
        return self._tracker.turns[-KEPT_TURNS:]

    def take(self, result: Result) -> None:
        """Take the next result."""
        self.newest = result
        self._tracker.add(result)
        if len(self._tracker.turns) > 2 * KEPT_TURNS:
            del self._tracker.turns[:KEPT_TURNS]
        seen = self._seen
        if seen is not None and seen.differs(result):
            self._seen = None
            self._wake()

    def sleep(self, drawn: Result | None, *, shares: bool = True, sound: bool = False) -> bool:
        """Be woken by the next result that looks different.

        Parameters
        ----------
        drawn : Result or None
            What is on the screen.
        shares : bool
            How sure it is can be seen, and nobody looks by themselves soon.
        sound : bool
            Sound and the ranking can be seen, too.

        Returns
        -------
        bool
            False where another has come in the meantime: then nobody is woken.
        """
        seen = _Seen(drawn, shares, sound)
        self._seen = seen
        newest = self.newest
        if newest is None or newest is drawn or not seen.differs(newest):
            return True
        self._seen = None
        return False

    def stay_awake(self) -> None:
        """Wake nobody from now on."""
        self._seen = None


class _Seen:
    """What was on the screen when the window went to sleep."""

    def __init__(self, result: Result | None, shares: bool, sound: bool) -> None:
        self._who: Who = NOBODY if result is None else who_speaks(result)
        self._confidence = 0.0 if result is None else result.confidence
        self._noticeable = _NOTICEABLE if shares else 1.0
        self._notice = notice_of(result)
        self._top: tuple[Candidate, ...] = () if result is None else result.top
        self._sound = sound

    def differs(self, result: Result) -> bool:
        if (
            abs(result.confidence - self._confidence) > self._noticeable
            or who_speaks(result) != self._who
            or notice_of(result) != self._notice
        ):
            return True
        return self._sound and (result.level_db > AUDIBLE_DB or bool(result.top) != bool(self._top))
