"""What is published each hop, and the turns that results add up to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec


class Candidate(msgspec.Struct, frozen=True):
    """One member of the cast and its share of the smoothed posterior.

    Attributes
    ----------
    character, actor : str
        Names, as the cast has them.
    share : float
        0 to 1; the shares of all characters and of the background class add up to 1.
    """

    character: str
    actor: str
    share: float


class Counters(msgspec.Struct, frozen=True):
    """What went wrong so far, counted from the start of the stream, and how the audio thread does.

    Attributes
    ----------
    dropped_samples : int
        Sample frames the ring had no room for.
    overflows : int
        Blocks for which the host reported an input overflow of its own.
    skipped_samples : int
        Sample frames stepped over because recognition was behind by more than `max_lag_ms`.
    missed_results : int
        Results that a slow reader of the iterator did not take in time.
    bad_samples : int
        Samples that were NaN or infinite and were read as zero.
    missing_ms : int
        Milliseconds of the stream for which there is no sound: the device was gone, or delivered
        nothing.
    reopened : int
        Times the device was lost and found again.
    callbacks : int
        Blocks that the audio thread delivered. This and what follows are measures, not faults:
        zero only where there is no audio thread, as for a file.
    callback_us, longest_callback_us : float
        Time in microseconds that the audio thread spent on a block: mean, and longest.
    jitter_ms : float
        How unevenly blocks come: mean difference of the time between two from the length of the
        sound in them, smoothed over 16 blocks as in RFC 3550, section 6.4.1. Sound servers often
        hand over several blocks at once.
    longest_gap_ms : float
        Longest time between two blocks.
    age_ms : float
        Age of the newest sample that was heard for this result, since the audio thread got it.
    """

    dropped_samples: int = 0
    overflows: int = 0
    skipped_samples: int = 0
    missed_results: int = 0
    bad_samples: int = 0
    missing_ms: int = 0
    reopened: int = 0
    callbacks: int = 0
    callback_us: float = 0.0
    longest_callback_us: float = 0.0
    jitter_ms: float = 0.0
    longest_gap_ms: float = 0.0
    age_ms: float = 0.0


State = Literal["listening", "quiet", "waiting"]


class Result(msgspec.Struct, frozen=True):
    """Who is speaking, as known at one hop.

    Attributes
    ----------
    time : float
        Seconds from the start of the stream to the end of the newest sound heard.
    speech : bool
        Somebody is heard: the speech gate is open, or the network still hears the voice named.
    character, actor : str or None
        The name shown; None where nobody of the cast is heard to speak. An actor alone: who speaks
        is sure, as which of the actor's characters is not.
    confidence : float
        Share of the smoothed posterior that the shown character, or the actor shown alone, holds;
        0 where none is shown.
    unknown : bool
        Somebody speaks, and sounds like nobody of the cast.
    second : Candidate or None
        Who else speaks at the same time.
    top : tuple of Candidate
        The likeliest characters, best first. Empty where `speech` is false.
    level_db : float
        RMS level of the hop in dB of full scale, -120 at the least.
    state : {"listening", "quiet", "waiting"}
        Of the source: sound comes in; it is open and delivers nothing, which says that nothing is
        played or that the computer stumbles; it is gone, and opened again as soon as it is back.
    notice : str or None
        What the user should know, in one line: why the device is waited for, or what is wrong with
        the config file. It stays until that is mended.
    counters : Counters
        What went wrong so far.
    """

    time: float
    speech: bool
    character: str | None
    actor: str | None
    confidence: float
    top: tuple[Candidate, ...]
    level_db: float
    unknown: bool = False
    second: Candidate | None = None
    state: State = "listening"
    notice: str | None = None
    counters: Counters = Counters()


class Turn(msgspec.Struct, frozen=True):
    """A stretch of time for which one name was shown, short pauses included: see `TurnTracker`.

    Attributes
    ----------
    start, end : float
        Seconds from the start of the stream.
    character, actor : str
        The name shown.
    """

    start: float
    end: float
    character: str
    actor: str


BRIDGED_S = 0.5


class TurnTracker:
    """Adds up results to turns, as they come.

    A pause of up to half a second after which the same character goes on is part of the turn, as
    people take it.

    Attributes
    ----------
    turns : list of Turn
        Oldest first; the last one grows while its name is shown.
    """

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._shown: str | None = None

    def add(self, result: Result) -> None:
        """Take the next result.

        A name holds from the result that shows it until the one that does not.
        """
        if self._shown is not None:
            self.turns[-1] = msgspec.structs.replace(self.turns[-1], end=result.time)
        if result.character != self._shown and result.character is not None:
            assert result.actor is not None
            turn = Turn(result.time, result.time, result.character, result.actor)
            last = self.turns[-1] if self.turns else None
            if (
                last is not None
                and last.character == turn.character
                and turn.start - last.end <= BRIDGED_S
            ):
                self.turns[-1] = msgspec.structs.replace(last, end=turn.end)
            else:
                self.turns.append(turn)
        self._shown = result.character


def turns(results: Iterable[Result]) -> list[Turn]:
    """Add up results to turns: who was shown, from when to when.

    Parameters
    ----------
    results : iterable of Result
        Of one stream, in order.

    Returns
    -------
    list of Turn
    """
    tracker = TurnTracker()
    for result in results:
        tracker.add(result)
    return tracker.turns
