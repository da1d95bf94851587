"""The truth about a sound, and how what was shown compares with it.

A truth is a list of segments: who speaks from when to when, read from RTTM [1]_ or from a label
track of Audacity. What was shown is a list of results: a name holds from the time of the result
that shows it until the next result, as somebody watching live would have seen it. Latency is not
made up for. All figures are sums over exact intervals, not over samples of time.

References
----------
.. [1] NIST, "The Rich Transcription Spring 2009 Evaluation Plan", appendix A.
"""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from ..engine.result import Result, turns
from ..errors import KikiwakeError

_LONGEST_S = 1e6  # eleven days
_OTHER_TYPES = {"SPKR-INFO", "LEXEME", "NON-LEX", "NON-SPEECH", "NOSCORE", "NO_RT_METADATA"}


class TruthError(KikiwakeError):
    """A truth file cannot be used: missing, or a line of it is not what the file should hold."""


class Segment(msgspec.Struct, frozen=True):
    """Somebody speaks.

    Attributes
    ----------
    start, end : float
        Seconds from the start of the sound; the end is no longer part of it.
    name : str
        The character.
    """

    start: float
    end: float
    name: str


class CharacterScore(msgspec.Struct):
    """The figures of one character, in seconds.

    Attributes
    ----------
    speech_s : float
        The character speaks.
    right_s, wrong_s, missed_s : float
        Of these: shown; only another one shown; nobody shown.
    shown_s : float
        The character is shown, rightly or not.
    """

    speech_s: float = 0.0
    right_s: float = 0.0
    wrong_s: float = 0.0
    missed_s: float = 0.0
    shown_s: float = 0.0


class Score(msgspec.Struct, frozen=True):
    """What was shown beside the truth.

    Attributes
    ----------
    speech_s : float
        Seconds in which somebody speaks.
    right_s, wrong_s, missed_s : float
        Of these: one who speaks is shown; only somebody else is shown; nobody is shown.
    unjustified_changes : int
        How often a name appeared, or took another one's place, while nobody spoke. That a name
        went away is not counted.
    longest_overhang_s : float
        The longest time without a break for which names were shown while nobody spoke.
    turns_shown, turns_true : int
        Turns shown, and segments of the truth.
    characters : dict of str to CharacterScore
        Everybody who speaks or is shown. Where two speak at once, each of them has the time as
        speech, so these figures may add up to more than those above.
    """

    speech_s: float
    right_s: float
    wrong_s: float
    missed_s: float
    unjustified_changes: int
    longest_overhang_s: float
    turns_shown: int
    turns_true: int
    characters: dict[str, CharacterScore]

    def share(self, seconds: float) -> float:
        """`seconds` as a share of the speech, 0 to 1; 0 where there is no speech."""
        return seconds / self.speech_s if self.speech_s else 0.0


def read_truth(path: str | os.PathLike[str]) -> list[Segment]:
    """Read a truth file of either kind.

    Parameters
    ----------
    path : path-like
        In UTF-8: RTTM, or, where its name ends in ``.txt``, a label track as Audacity exports it.

    Returns
    -------
    list of Segment
        By start.

    Raises
    ------
    TruthError
        If there is no such file, or a line of it is broken.
    """
    path = Path(path)
    if path.suffix.lower() == ".txt":
        return parse_labels(_text(path), str(path))
    return read_rttm(path)


def read_rttm(path: str | os.PathLike[str]) -> list[Segment]:
    """Read a truth file in RTTM.

    Parameters
    ----------
    path : path-like
        RTTM file in UTF-8.

    Returns
    -------
    list of Segment
        By start.

    Raises
    ------
    TruthError
        If there is no such file, or a line of it is broken.
    """
    path = Path(path)
    return parse_rttm(_text(path), str(path))


def parse_rttm(text: str, where: str = "text") -> list[Segment]:
    """Read the text of a truth file.

    Parameters
    ----------
    text : str
        Lines ``SPEAKER file channel start duration <NA> <NA> name ...``. An underscore in a name
        stands for a space. Empty lines, comments (``;;``) and the other line types of RTTM are
        passed over.
    where : str
        What errors call it.

    Returns
    -------
    list of Segment
        By start.

    Raises
    ------
    TruthError
        If a line is broken.

    Examples
    --------
    >>> parse_rttm("SPEAKER demo 1 0.50 1.25 <NA> <NA> Tanaka_Hana <NA> <NA>")
    [Segment(start=0.5, end=1.75, name='Tanaka Hana')]
    """
    segments = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or line.lstrip().startswith(";") or fields[0] in _OTHER_TYPES:
            continue
        at = f"truth {where}: line {number}"
        if fields[0] != "SPEAKER":
            raise TruthError(f"{at}: starts with {fields[0][:20]!r}, need SPEAKER")
        if len(fields) < 8:
            raise TruthError(
                f"{at}: has {len(fields)} fields, need at least 8: "
                "SPEAKER file channel start duration <NA> <NA> name"
            )
        start = _seconds(fields[3], f"{at}: start")
        duration = _seconds(fields[4], f"{at}: duration")
        segments.append(Segment(start, start + duration, fields[7].replace("_", " ")))
    return sorted(segments, key=lambda segment: segment.start)


def parse_labels(text: str, where: str = "text") -> list[Segment]:
    r"""Read the text of a label track.

    Parameters
    ----------
    text : str
        Lines ``start<TAB>end<TAB>name``, in seconds. Empty lines, and the ranges of frequency that
        Audacity writes after a label (``\<TAB>low<TAB>high``), are passed over.
    where : str
        What errors call it.

    Returns
    -------
    list of Segment
        By start.

    Raises
    ------
    TruthError
        If a line is broken.

    Examples
    --------
    >>> parse_labels("0.500000\t1.750000\tTanaka Hana")
    [Segment(start=0.5, end=1.75, name='Tanaka Hana')]
    """
    segments = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("\\"):
            continue
        at = f"truth {where}: line {number}"
        fields = line.split("\t", 2)
        if len(fields) < 3 or not fields[2].strip():
            raise TruthError(f"{at}: need start, end and name, with a tab between")
        start, end = _seconds(fields[0], f"{at}: start"), _seconds(fields[1], f"{at}: end")
        if end < start:
            raise TruthError(f"{at}: ends at {end:g} s, before it starts")
        segments.append(Segment(start, end, fields[2].strip()))
    return sorted(segments, key=lambda segment: segment.start)


def format_rttm(segments: Sequence[Segment], recording: str = "demo") -> str:
    r"""Write segments as RTTM [1]_, spaces of a name as underscores.

    Parameters
    ----------
    segments : sequence of Segment
    recording : str
        Name of the recording, without spaces.

    Returns
    -------
    str
        One line a segment, times in seconds with three decimals.

    Examples
    --------
    >>> format_rttm([Segment(1.5, 1.75, "Queen Oboro")])
    'SPEAKER demo 1 1.500 0.250 <NA> <NA> Queen_Oboro <NA> <NA>\n'
    """
    return "".join(
        f"SPEAKER {recording} 1 {s.start:.3f} {s.end - s.start:.3f} <NA> <NA> "
        f"{'_'.join(s.name.split())} <NA> <NA>\n"
        for s in segments
    )


def score(results: Iterable[Result], truth: Sequence[Segment]) -> Score:
    """Compare what was shown with the truth.

    Parameters
    ----------
    results : iterable of Result
        Of one stream, in order. Nothing is shown before the first or after the last.
    truth : sequence of Segment
        Of the same sound. Where several speak at once, each of them is right.

    Returns
    -------
    Score

    Examples
    --------
    >>> from kikiwake.engine.result import Result
    >>> def shows(time, name):
    ...     return Result(time, True, name, "actor", 1.0, (), -20.0)
    >>> results = [shows(1.25, "Hana"), shows(2.0, "Ken"), shows(3.25, None)]
    >>> found = score(results, [Segment(1.0, 3.0, "Hana")])
    >>> found.right_s, found.wrong_s, found.missed_s, found.longest_overhang_s
    (0.75, 1.0, 0.25, 0.25)
    """
    results = list(results)
    # Truth goes before results of the same time: a name shown as somebody starts is justified,
    # one shown as the last one ends is not.
    events: list[tuple[float, int, str | None, int]] = []
    for segment in truth:
        events += [(segment.start, 0, segment.name, 1), (segment.end, 0, segment.name, -1)]
    events += [(result.time, 1, result.character, 0) for result in results]
    if results:
        events.append((results[-1].time, 1, None, 0))
    events.sort(key=lambda event: event[:2])

    speaking: Counter[str] = Counter()
    shown: str | None = None
    now = 0.0
    speech = right = wrong = missed = overhang = longest_overhang = 0.0
    unjustified = 0
    characters: defaultdict[str, CharacterScore] = defaultdict(CharacterScore)
    for time, kind, name, step in events:
        span, now = time - now, time
        if span > 0:
            if shown is not None:
                characters[shown].shown_s += span
            for speaker in speaking:
                figures = characters[speaker]
                figures.speech_s += span
                figures.right_s += span * (shown == speaker)
                figures.wrong_s += span * (shown is not None and shown != speaker)
                figures.missed_s += span * (shown is None)
            if speaking:
                speech += span
                right += span * (shown in speaking)
                wrong += span * (shown is not None and shown not in speaking)
                missed += span * (shown is None)
            overhang = overhang + span if shown is not None and not speaking else 0.0
            longest_overhang = max(longest_overhang, overhang)
        if kind:
            unjustified += name is not None and name != shown and not speaking
            shown = name
        elif name is not None:
            speaking[name] += step
            if not speaking[name]:
                del speaking[name]
    return Score(
        speech_s=speech,
        right_s=right,
        wrong_s=wrong,
        missed_s=missed,
        unjustified_changes=unjustified,
        longest_overhang_s=longest_overhang,
        turns_shown=len(turns(results)),
        turns_true=len(truth),
        characters=dict(characters),
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise TruthError(f"truth {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise TruthError(f"truth {path}: is not UTF-8 text") from None


def _seconds(text: str, what: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _LONGEST_S:
        raise TruthError(f"{what} is {text[:20]!r}, need seconds, 0 to {_LONGEST_S:.0f}")
    return seconds
