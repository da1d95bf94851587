"""How steadily a cast is named in sound as it streams: the figures of `kikiwake evaluate --stream`.

A recording is what the recognizer said about a sound, hop by hop, beside the truth about it.
`measure` makes figures of recordings, and `describe` puts them into lines.

Whatever a result shows holds until the next result, as somebody watching live would have seen it,
and nothing is shown after the last; latency is not made up for. Times are compared in whole
microseconds, so figures are sums over exact stretches of time and do not depend on the hop.

Words, as all figures here have them:

label
    What a result shows first: the character; else "unknown" where somebody speaks who is none of
    the cast; else an actor alone; else nothing. `Result.second` is one more label, and as good as
    the first one.
name
    A label that is a character or an actor.
stranger
    Somebody in the truth who is not in the cast.
turn
    The stretches of one speaker, or of one label, put together over pauses of up to
    `BRIDGED_S` (0.5 s) in which nobody else speaks, or no other label is shown.
"""

from __future__ import annotations

import functools
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..engine.result import BRIDGED_S, Result
from ..models.cast import Character
from .cast_files import shown
from .evaluate import percent
from .score import Segment
from .view import clock

STABLE_S = 0.5
"""A name that is shown for so long without a break is stable; a shorter turn is not asked for."""
PAUSE_S = 1.0
"""A pause this long ends speech; what comes later in it is sound without speech."""
STRANGER_TURN_S = 1.0
"""Turns of strangers from this length on are looked at for false names."""
FALSE_NAME_S = 0.3
"""So much of a name in it makes the turn of a stranger falsely named."""
COLLARS_S = 0.0, 0.25
"""What error rates leave out on either side of each boundary of the truth, as in NIST's md-eval."""

_Floats = NDArray[np.float64]
_Measure = Literal["identification", "diarization"]


@dataclass(frozen=True)
class Heard:
    """A recording, with what was said about it.

    Attributes
    ----------
    name : str
        Of the recording, to be shown.
    results : sequence of Result
        In order of time.
    truth : sequence of Segment
        Who speaks; several may at once.
    """

    name: str
    results: Sequence[Result]
    truth: Sequence[Segment]


class ErrorRate(msgspec.Struct, frozen=True, kw_only=True):
    """An error rate as pyannote.metrics has it.

    All strangers are one speaker, to be shown as unknown. An actor alone is a speaker of its own,
    so here it is an error.

    Attributes
    ----------
    measure : {"identification", "diarization"}
        With the names that are shown; or with those that fit best, recording by recording: who
        speaks when, whatever they are called.
    collar_s : float
        Left out on either side of each boundary of the truth, in seconds. (pyannote.metrics takes
        both sides together.)
    total_s : float
        Speech, in seconds; where two speak at once it counts twice.
    missed_s, false_alarm_s, confusion_s : float
        Speech for which nothing is shown, labels for which there is no speech, and speech for
        which another label is shown, in seconds.
    rate : float or None
        The sum of these by `total_s`; None where there is no speech.
    """

    measure: _Measure
    collar_s: float
    total_s: float
    missed_s: float
    false_alarm_s: float
    confusion_s: float
    rate: float | None


class StreamFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How steadily the cast was named.

    Attributes
    ----------
    name : str
        Of the recording.
    seconds : float
        Length of the sound.
    speech_s : float
        Seconds in which at least one member of the cast speaks.
    right_s, actor_s, wrong_s, unknown_s, nobody_s : float
        Parts of it, which add up to it, the first that holds: a character who speaks is shown; the
        actor of one who speaks is shown alone; a name is shown; "unknown" is shown; nothing is.
    error_rates : tuple of ErrorRate
        Each measure, with each of `COLLARS_S`. Empty without pyannote.metrics.
    turns, short_turns : int
        Turns of members of the cast of at least `STABLE_S`, and shorter ones, which do not count.
    never_named : int
        Of `turns`: those without onset.
    onset_median_s, onset_p95_s : float or None
        Seconds from the start of a turn to the first moment from which the right character is
        shown for `STABLE_S` without a break, or until the turn ends. Quantiles are values that
        occur (nearest rank), and turns that are never named count as infinite. None where there
        are no turns, or it is infinite.
    ends : int
        Ends of speech after which nobody speaks for at least `PAUSE_S`.
    release_median_s, release_p95_s, release_longest_s : float or None
        Seconds from these ends until the last name is gone that was shown then, or came within
        `PAUSE_S`; where it does not go away, to the next speech or the end of the sound. None where
        there are no ends.
    true_turns : int
        Turns of the truth, of strangers too.
    shown_turns : int
        Turns of the labels shown: how often a label appeared, or took another one's place. Where
        an actor alone becomes a character, these are two.
    turns_ratio : float or None
        `shown_turns` by `true_turns`; None where nobody speaks.
    extra_changes_per_minute : float or None
        `shown_turns` less `true_turns`, by the length of the sound. Below 0 where turns are missed.
    silent_changes : int
        Of `shown_turns`: those that begin while nobody speaks.
    appearances : int
        As `shown_turns`, but without putting together what is less than `BRIDGED_S` apart.
    flicker_per_minute : float or None
        `appearances` less `true_turns`, by the length of the sound.
    free_s : float
        Seconds without speech: while nobody speaks, from `PAUSE_S` after the last speech on.
    free_named_s, free_unknown_s : float
        Of these: a name is shown; "unknown" is shown, and no name.
    false_names : int
        Turns of names shown that begin there.
    false_names_per_hour : float or None
        By `free_s`.
    strangers_s : float
        Seconds in which strangers speak and no member of the cast.
    strangers_named_s, strangers_unknown_s, strangers_nobody_s : float
        Parts of it, which add up to it, the first that holds: a name is shown, which is wrong;
        "unknown" is shown; nothing is.
    stranger_turns : int
        Turns of strangers of at least `STRANGER_TURN_S`.
    falsely_named_turns : int
        Of these: names are shown for at least `FALSE_NAME_S` in sum, while no member of the cast
        speaks.
    recordings : tuple of StreamFigures
        Of each recording, where these are the figures of all of them together.
    """

    name: str
    seconds: float
    speech_s: float
    right_s: float
    actor_s: float
    wrong_s: float
    unknown_s: float
    nobody_s: float
    error_rates: tuple[ErrorRate, ...]
    turns: int
    short_turns: int
    never_named: int
    onset_median_s: float | None
    onset_p95_s: float | None
    ends: int
    release_median_s: float | None
    release_p95_s: float | None
    release_longest_s: float | None
    true_turns: int
    shown_turns: int
    turns_ratio: float | None
    extra_changes_per_minute: float | None
    silent_changes: int
    appearances: int
    flicker_per_minute: float | None
    free_s: float
    free_named_s: float
    free_unknown_s: float
    false_names: int
    false_names_per_hour: float | None
    strangers_s: float
    strangers_named_s: float
    strangers_unknown_s: float
    strangers_nobody_s: float
    stranger_turns: int
    falsely_named_turns: int
    recordings: tuple[StreamFigures, ...] = ()


# Who speaks and what is shown, as sets of instants


class Label(NamedTuple):
    """Who speaks, or is shown to speak.

    Attributes
    ----------
    kind : {"character", "actor", "unknown", "stranger"}
        An actor alone and unknown are only shown; a stranger is only in the truth.
    name : str
        In the composed form of Unicode, and with spaces for underscores, as in RTTM.
    """

    kind: Literal["character", "actor", "unknown", "stranger"]
    name: str


UNKNOWN = Label("unknown", "unknown")


class Spans:
    """A set of instants: stretches of time in order that do not touch, their ends not part of them.

    Parameters
    ----------
    pairs : iterable of (int, int)
        Starts and ends in microseconds, in any order; they may overlap and be empty.
    """

    def __init__(self, pairs: Iterable[tuple[int, int]] = ()) -> None:
        edges: list[int] = []
        for start, end in sorted(pairs):
            if edges and start <= edges[-1]:
                edges[-1] = max(edges[-1], end)
            elif start < end:
                edges += start, end
        self._edges = np.array(edges, np.int64)

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Starts and ends."""
        return [(start, end) for start, end in self._edges.reshape(-1, 2).tolist()]

    @property
    def length(self) -> int:
        """In microseconds, in sum."""
        return int(self._edges[1::2].sum() - self._edges[::2].sum())

    def __len__(self) -> int:
        return len(self._edges) // 2

    def holds(self, time: int) -> bool:
        """Whether an instant is part of it."""
        return bool(self._holds(time))

    def meets(self, start: int, end: int) -> bool:
        """Whether any instant of a stretch is part of it."""
        after = int(np.searchsorted(self._edges, start, side="right"))
        return after % 2 == 1 or (after < len(self._edges) and bool(self._edges[after] < end))

    def __or__(self, other: Spans) -> Spans:
        return self._combined(other, np.logical_or)

    def __and__(self, other: Spans) -> Spans:
        return self._combined(other, np.logical_and)

    def __sub__(self, other: Spans) -> Spans:
        return self._combined(other, np.greater)

    def _holds(self, times: int | NDArray[np.int64]) -> NDArray[np.bool_]:
        return np.asarray(np.searchsorted(self._edges, times, side="right") % 2 == 1)

    def _combined(self, other: Spans, keep: np.ufunc) -> Spans:
        edges = np.union1d(self._edges, other._edges)
        kept = keep(self._holds(edges), other._holds(edges))
        combined = Spans()
        combined._edges = edges[np.diff(kept, prepend=False)]
        return combined


class Timeline:
    """Who speaks in a recording, and what is shown.

    Parameters
    ----------
    heard : Heard
        The recording.
    cast : iterable of Character
        Who is no stranger.

    Attributes
    ----------
    length : int
        Of the sound in microseconds: to the last result, or to the end of the truth.
    spoken, shown : dict of Label to Spans
        By speaker, and by label.
    actors : dict of Label to set of Label
        For each character of the cast its actor; where several have one name, theirs.
    """

    def __init__(self, heard: Heard, cast: Iterable[Character]) -> None:
        self.actors: dict[Label, set[Label]] = {}
        for who in cast:
            character = Label("character", key(who.name))
            self.actors.setdefault(character, set()).add(Label("actor", key(who.actor)))
        spoken: dict[Label, list[tuple[int, int]]] = {}
        for segment in heard.truth:
            label = Label("character", key(segment.name))
            if label not in self.actors:
                label = Label("stranger", label.name)
            spoken.setdefault(label, []).append((_us(segment.start), _us(segment.end)))
        self.spoken = {label: Spans(pairs) for label, pairs in spoken.items()}
        self.shown = _shown(heard.results)
        self.length = max(
            [_us(result.time) for result in heard.results[-1:]]
            + [_us(segment.end) for segment in heard.truth],
            default=0,
        )


class Run(NamedTuple):
    """A turn: of a speaker, or of a label.

    Attributes
    ----------
    start, end : int
        In microseconds.
    label : Label
        Whose.
    """

    start: int
    end: int
    label: Label


def turns(spoken: Mapping[Label, Spans]) -> list[Run]:
    """Put stretches together to turns.

    Parameters
    ----------
    spoken : mapping of Label to Spans
        Who speaks when; or what is shown when.

    Returns
    -------
    list of Run
        By start.
    """
    everybody = _union(spoken.values())
    found = []
    for label, spans in spoken.items():
        pairs = spans.pairs
        first = 0
        for i, (_, end) in enumerate(pairs):
            after = pairs[i + 1][0] if i + 1 < len(pairs) else None
            if after is None or after - end > _us(BRIDGED_S) or everybody.meets(end, after):
                found.append(Run(pairs[first][0], end, label))
                first = i + 1
    return sorted(found)


def _shown(results: Iterable[Result]) -> dict[Label, Spans]:
    pairs: dict[Label, list[tuple[int, int]]] = {}
    since: dict[Label, int] = {}
    before, now = None, 0
    for result in results:
        now = _us(result.time)
        said = result.character, result.actor, result.unknown, result.second
        if said == before:
            continue
        before = said
        labels = _labels(result)
        for label in since.keys() - labels:
            pairs.setdefault(label, []).append((since.pop(label), now))
        for label in labels - since.keys():
            since[label] = now
    for label, start in since.items():
        pairs.setdefault(label, []).append((start, now))
    return {label: Spans(of) for label, of in pairs.items()}


def _labels(result: Result) -> set[Label]:
    labels = set()
    if result.character is not None:
        labels.add(Label("character", key(result.character)))
    elif result.unknown:
        labels.add(UNKNOWN)
    elif result.actor is not None:
        labels.add(Label("actor", key(result.actor)))
    if result.second is not None:
        labels.add(Label("character", key(result.second.character)))
    return labels


@functools.lru_cache(maxsize=4096)
def key(name: str) -> str:
    """Write a name as a `Label` has it."""
    # A truth from macOS may have names decomposed, and RTTM has no spaces.
    return unicodedata.normalize("NFC", name).replace("_", " ")


def _us(seconds: float) -> int:
    return round(seconds * 1e6)


def _union(of: Iterable[Spans]) -> Spans:
    return Spans(pair for spans in of for pair in spans.pairs)


# Figures


@dataclass(frozen=True)
class _Counts:
    """What adds up over recordings: see `StreamFigures`, whose fields they become.

    Times are in microseconds.
    """

    length: int
    speech: int
    right: int
    actor: int
    wrong: int
    unknown: int
    short_turns: int
    true_turns: int
    shown_turns: int
    silent_changes: int
    appearances: int
    free: int
    free_named: int
    free_unknown: int
    false_names: int
    strangers: int
    strangers_named: int
    strangers_unknown: int
    stranger_turns: int
    falsely_named_turns: int


@dataclass(frozen=True)
class _Observed:
    name: str
    counts: _Counts
    onsets: list[float]
    releases: list[float]
    error_rates: tuple[ErrorRate, ...]


def measure(recordings: Sequence[Heard], cast: Iterable[Character]) -> StreamFigures:
    """Make figures of recordings.

    Parameters
    ----------
    recordings : sequence of Heard
        At least one.
    cast : iterable of Character
        Everybody who could be named.

    Returns
    -------
    StreamFigures
        Of all recordings together, and in `StreamFigures.recordings` of each.
    """
    cast = list(cast)
    observed = [_observe(heard, cast) for heard in recordings]
    return _figures(
        f"{len(observed)} recordings" if len(observed) > 1 else observed[0].name,
        observed,
        tuple(_figures(one.name, [one]) for one in observed),
    )


def _observe(heard: Heard, cast: Iterable[Character]) -> _Observed:
    time = Timeline(heard, cast)
    spoken, labels = time.spoken, time.shown
    of_cast = {label: spans for label, spans in spoken.items() if label.kind == "character"}
    everybody, members = _union(spoken.values()), _union(of_cast.values())
    names = _union(spans for label, spans in labels.items() if label != UNKNOWN)
    unknown = labels.get(UNKNOWN, Spans())

    none = Spans()
    right = _union(spans & labels.get(label, none) for label, spans in of_cast.items())
    actor = _union(
        spans & labels.get(actor, none)
        for label, spans in of_cast.items()
        for actor in time.actors[label]
    )
    wrong = members & names - right - actor
    silence = Spans([(0, time.length)]) - everybody
    # A pause begins with the end of speech; what is silent from the start has none before it.
    free = Spans((start + (_us(PAUSE_S) if start else 0), end) for start, end in silence.pairs)
    strangers = everybody - members
    true_turns, shown_turns = turns(spoken), turns(labels)
    turns_of_cast = [turn for turn in true_turns if turn.label.kind == "character"]
    long_turns = [turn for turn in turns_of_cast if turn.end - turn.start >= _us(STABLE_S)]
    stranger_turns = [
        turn
        for turn in true_turns
        if turn.label.kind == "stranger" and turn.end - turn.start >= _us(STRANGER_TURN_S)
    ]
    false_names = names - members
    return _Observed(
        heard.name,
        _Counts(
            length=time.length,
            speech=members.length,
            right=right.length,
            actor=(actor - right).length,
            wrong=wrong.length,
            unknown=(members & unknown - names).length,
            short_turns=len(turns_of_cast) - len(long_turns),
            true_turns=len(true_turns),
            shown_turns=len(shown_turns),
            silent_changes=sum(not everybody.holds(turn.start) for turn in shown_turns),
            appearances=sum(map(len, labels.values())),
            free=free.length,
            free_named=(free & names).length,
            free_unknown=(free & unknown - names).length,
            false_names=sum(
                turn.label != UNKNOWN and free.holds(turn.start) for turn in shown_turns
            ),
            strangers=strangers.length,
            strangers_named=(strangers & names).length,
            strangers_unknown=(strangers & unknown - names).length,
            stranger_turns=len(stranger_turns),
            falsely_named_turns=sum(
                (false_names & Spans([(turn.start, turn.end)])).length >= _us(FALSE_NAME_S)
                for turn in stranger_turns
            ),
        ),
        [_onset(turn, labels.get(turn.label, none)) for turn in long_turns],
        [
            _release(start, end, names)
            for start, end in silence.pairs
            if start and end - start >= _us(PAUSE_S)
        ],
        _error_rates(time),
    )


def _onset(turn: Run, shown: Spans) -> float:
    for shown_from, shown_until in shown.pairs:
        start = max(shown_from, turn.start)
        if start < turn.end and shown_until >= min(start + _us(STABLE_S), turn.end):
            return (start - turn.start) / 1e6
    return math.inf


def _release(start: int, end: int, shown: Spans) -> float:
    """Tell when the last name was gone that was there, or came, shortly after speech ended."""
    soon = start + _us(PAUSE_S)
    ends = (min(until, end) for begin, until in shown.pairs if begin < soon and until > start)
    return (max(ends, default=start) - start) / 1e6


def _figures(
    name: str, observed: Sequence[_Observed], recordings: tuple[StreamFigures, ...] = ()
) -> StreamFigures:
    counts = _Counts(*map(sum, zip(*(astuple(of.counts) for of in observed), strict=True)))
    onsets = sorted(onset for of in observed for onset in of.onsets)
    releases = sorted(release for of in observed for release in of.releases)
    minutes = counts.length / 60e6
    return StreamFigures(
        name=name,
        seconds=counts.length / 1e6,
        speech_s=counts.speech / 1e6,
        right_s=counts.right / 1e6,
        actor_s=counts.actor / 1e6,
        wrong_s=counts.wrong / 1e6,
        unknown_s=counts.unknown / 1e6,
        nobody_s=(counts.speech - counts.right - counts.actor - counts.wrong - counts.unknown)
        / 1e6,
        error_rates=tuple(map(_together, zip(*(of.error_rates for of in observed), strict=True))),
        turns=len(onsets),
        short_turns=counts.short_turns,
        never_named=sum(map(math.isinf, onsets)),
        onset_median_s=_quantile(onsets, 0.5),
        onset_p95_s=_quantile(onsets, 0.95),
        ends=len(releases),
        release_median_s=_quantile(releases, 0.5),
        release_p95_s=_quantile(releases, 0.95),
        release_longest_s=_quantile(releases, 1.0),
        true_turns=counts.true_turns,
        shown_turns=counts.shown_turns,
        turns_ratio=ratio(counts.shown_turns, counts.true_turns),
        extra_changes_per_minute=ratio(counts.shown_turns - counts.true_turns, minutes),
        silent_changes=counts.silent_changes,
        appearances=counts.appearances,
        flicker_per_minute=ratio(counts.appearances - counts.true_turns, minutes),
        free_s=counts.free / 1e6,
        free_named_s=counts.free_named / 1e6,
        free_unknown_s=counts.free_unknown / 1e6,
        false_names=counts.false_names,
        false_names_per_hour=ratio(counts.false_names, counts.free / 3600e6),
        strangers_s=counts.strangers / 1e6,
        strangers_named_s=counts.strangers_named / 1e6,
        strangers_unknown_s=counts.strangers_unknown / 1e6,
        strangers_nobody_s=(counts.strangers - counts.strangers_named - counts.strangers_unknown)
        / 1e6,
        stranger_turns=counts.stranger_turns,
        falsely_named_turns=counts.falsely_named_turns,
        recordings=recordings,
    )


def ratio(count: float, of: float) -> float | None:
    """Divide; None where there is nothing to divide by."""
    return count / of if of else None


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Value of the nearest rank; None where there is none, or it is infinite."""
    if not ordered:
        return None
    value = ordered[math.ceil(share * len(ordered) - 1e-9) - 1]
    return value if math.isfinite(value) else None


def _error_rates(time: Timeline) -> tuple[ErrorRate, ...]:
    try:
        from pyannote import core
        from pyannote.metrics.diarization import DiarizationErrorRate
        from pyannote.metrics.identification import IdentificationErrorRate
    except ModuleNotFoundError:
        return ()

    def annotation(of: Mapping[Label, Spans]) -> core.Annotation:
        made = core.Annotation()
        for track, (label, spans) in enumerate(of.items()):
            who = UNKNOWN if label.kind == "stranger" else label
            for start, end in spans.pairs:
                made[core.Segment(start / 1e6, end / 1e6), track] = who
        return made

    truth, said = annotation(time.spoken), annotation(time.shown)
    whole = core.Timeline([core.Segment(0, time.length / 1e6)])
    metrics: dict[_Measure, type] = {
        "identification": IdentificationErrorRate,
        "diarization": DiarizationErrorRate,
    }
    found = []
    for measure, metric in metrics.items():
        for collar_s in COLLARS_S:
            parts = metric(collar=2 * collar_s).compute_components(truth, said, uem=whole)
            errors = parts["missed detection"], parts["false alarm"], parts["confusion"]
            found.append(_error_rate(measure, collar_s, parts["total"], *errors))
    return tuple(found)


def _error_rate(
    measure: _Measure,
    collar_s: float,
    total_s: float,
    missed_s: float,
    false_alarm_s: float,
    confusion_s: float,
) -> ErrorRate:
    return ErrorRate(
        measure=measure,
        collar_s=collar_s,
        total_s=total_s,
        missed_s=missed_s,
        false_alarm_s=false_alarm_s,
        confusion_s=confusion_s,
        rate=ratio(missed_s + false_alarm_s + confusion_s, total_s),
    )


def _together(rates: Sequence[ErrorRate]) -> ErrorRate:
    return _error_rate(
        rates[0].measure,
        rates[0].collar_s,
        sum(of.total_s for of in rates),
        sum(of.missed_s for of in rates),
        sum(of.false_alarm_s for of in rates),
        sum(of.confusion_s for of in rates),
    )


# Lines


def headline(figures: StreamFigures) -> str:
    """Say the most important figures of a recording in a line.

    Parameters
    ----------
    figures : StreamFigures
        Of `measure`.

    Returns
    -------
    str
    """
    return (
        f"{shown(figures.name)}: {clock(figures.seconds)}, named right "
        f"{percent(ratio(figures.right_s, figures.speech_s))}, wrong "
        f"{percent(ratio(figures.wrong_s, figures.speech_s))}, onset "
        f"{seconds(figures.onset_median_s)}, release {seconds(figures.release_median_s)}, "
        f"{figures.shown_turns} turns shown for {figures.true_turns}"
    )


def describe(figures: StreamFigures) -> Iterator[str]:
    """Put figures into lines.

    Parameters
    ----------
    figures : StreamFigures
        Of `measure`.

    Yields
    ------
    str
        A line for the terminal.
    """
    of = figures
    yield (
        f"{shown(of.name)}, {clock(of.seconds)}: the cast speaks for {of.speech_s:.1f} s, "
        f"only strangers for {of.strangers_s:.1f} s"
    )
    parts = (
        ("named right", of.right_s),
        ("the actor alone right", of.actor_s),
        ("wrong", of.wrong_s),
        ("unknown", of.unknown_s),
        ("nobody shown", of.nobody_s),
    )
    yield "of the cast's speech: " + ", ".join(
        f"{what} {percent(ratio(part_s, of.speech_s))}" for what, part_s in parts
    )
    for rate in of.error_rates:
        around = f", {rate.collar_s:g} s around boundaries left out" if rate.collar_s else ""
        yield (
            f"{rate.measure} error rate{around}: {percent(rate.rate)} (missed "
            f"{percent(ratio(rate.missed_s, rate.total_s))}, false alarm "
            f"{percent(ratio(rate.false_alarm_s, rate.total_s))}, confusion "
            f"{percent(ratio(rate.confusion_s, rate.total_s))})"
        )
    if not of.error_rates:
        yield (
            "error rates need pyannote.metrics, which is not installed: "
            "in the clone of Kikiwake, pip install '.[train]'"
        )
    yield (
        f"onset of the right name: median {seconds(of.onset_median_s, of.turns)}, 95 % within "
        f"{seconds(of.onset_p95_s, of.turns)}; never named: {of.never_named} of {of.turns} turns "
        f"(left out, as shorter than {STABLE_S:g} s: {of.short_turns})"
    )
    yield (
        f"release after speech: median {seconds(of.release_median_s)}, 95 % within "
        f"{seconds(of.release_p95_s)}, longest {seconds(of.release_longest_s)}; "
        f"{of.ends} ends of speech"
    )
    yield (
        f"turns: {of.shown_turns} shown, {of.true_turns} true, ratio "
        f"{number(of.turns_ratio)}, {number(of.extra_changes_per_minute)} a minute too many; "
        f"begun while nobody speaks: {of.silent_changes}"
    )
    yield f"flicker: {number(of.flicker_per_minute)} appearances of a label a minute too many"
    yield (
        f"without speech, {of.free_s:.1f} s: false names {of.false_names}, "
        f"{number(of.false_names_per_hour)} an hour; a name is shown for "
        f"{percent(ratio(of.free_named_s, of.free_s))} of it, unknown for "
        f"{percent(ratio(of.free_unknown_s, of.free_s))}"
    )
    if of.strangers_s:
        yield (
            f"of strangers' speech: named {percent(ratio(of.strangers_named_s, of.strangers_s))}, "
            f"unknown {percent(ratio(of.strangers_unknown_s, of.strangers_s))}, nobody shown "
            f"{percent(ratio(of.strangers_nobody_s, of.strangers_s))}; falsely named: "
            f"{of.falsely_named_turns} of {of.stranger_turns} turns of {STRANGER_TURN_S:g} s or "
            "more"
        )


def seconds(value: float | None, of: int = 0) -> str:
    """Write seconds, or a dash where there are none; of a count of infinite ones, never.

    Examples
    --------
    >>> seconds(0.625), seconds(None), seconds(None, of=3)
    ('0.62 s', '–', 'never')
    """
    if value is None:
        return "never" if of else "–"
    return f"{value:.2f} s"


def number(value: float | None) -> str:
    """Write a number, or a dash where there is none."""
    return "–" if value is None else f"{value:.2f}"


# Scores of strangers


def equal_error_rate(known: _Floats, strangers: _Floats) -> tuple[float, float]:
    """Find where as many of the known are rejected as strangers are accepted.

    Parameters
    ----------
    known, strangers : array of float, shape (n,) and (m,)
        Scores of members of the cast and of strangers, the higher the more like the cast; at least
        one each. Who has the threshold or more is accepted.

    Returns
    -------
    eer : float
        Share of the known that is rejected, and of strangers that is accepted, 0 to 1. Between two
        thresholds both shares are taken to be on a straight line.
    threshold : float
        The least score at which no fewer of the known are rejected than strangers are accepted;
        infinite if there is none.

    Examples
    --------
    >>> equal_error_rate(np.array([0.4, 0.7, 0.8, 0.9]), np.array([0.1, 0.2, 0.3, 0.75]))
    (0.25, 0.7)
    """
    thresholds = np.append(np.union1d(known, strangers), np.inf)
    rejected = np.searchsorted(np.sort(known), thresholds) / len(known)
    accepted = 1 - np.searchsorted(np.sort(strangers), thresholds) / len(strangers)
    lead = rejected - accepted  # from -1, where everybody is accepted, to 1
    at = int(np.argmax(lead >= 0))
    part = lead[at - 1] / (lead[at - 1] - lead[at])
    rate = rejected[at - 1] + part * (rejected[at] - rejected[at - 1])
    return float(rate), float(thresholds[at])


def false_names_at(known: _Floats, strangers: _Floats, rejected: float = 0.05) -> float:
    """Tell how many strangers are accepted where a few of the known may be rejected.

    Parameters
    ----------
    known, strangers : array of float, shape (n,) and (m,)
        As for `equal_error_rate`.
    rejected : float in [0, 1)
        Share of the known that the threshold may reject; the highest such threshold is taken.

    Returns
    -------
    float
        Share of strangers, 0 to 1.

    Examples
    --------
    >>> false_names_at(np.array([0.4, 0.7, 0.8, 0.9]), np.array([0.1, 0.5, 0.75, 0.1]), 0.25)
    0.25
    """
    if not 0 <= rejected < 1:
        raise ValueError(f"rejected={rejected} must be at least 0 and below 1")
    # A share such as 0.29 of 100 comes out as 28.99...
    threshold = np.sort(known)[math.floor(rejected * len(known) + 1e-9)]
    return float((strangers >= threshold).mean())
