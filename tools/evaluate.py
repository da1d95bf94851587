"""How well a cast names the patches of a data set: the figures of `kikiwake evaluate`.

`ask` runs the network over a part of a data set, `measure` makes figures of its answers, and
`describe` puts them into lines. Patches of characters that the cast does not know, the strangers,
are asked too, but count in no figure except their own.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import KikiwakeError
from ..features.settings import FeatureSettings
from ..models.cast import Cast, CastCard, Character
from ..models.runner import CastRunner
from .cast_files import describe_network, shown
from .dataset import Dataset, DatasetCard, Part

SECONDS = 0.5, 1.0, 2.0, 3.0, 4.0, 6.0
BINS = 15  # of the calibration error, as in Guo et al.
WORST = 20
BACKGROUND = "background"

_CHUNK = 512  # patches in memory at a time

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


class EvaluateError(KikiwakeError):
    """A cast cannot be evaluated on a data set: they do not fit, or there is nothing in it."""


@dataclass(frozen=True)
class Answers:
    """What the network of a cast says to the patches of a part of a data set.

    Attributes
    ----------
    cast : CastCard
        Whose network.
    data : DatasetCard
        Whose patches.
    rows : ndarray of `kikiwake.tools.dataset.ROW`, shape (n,)
        What the patches are, in the order of the data set.
    log_posterior : ndarray of float64, shape (n, n_classes)
        Natural logarithm of the calibrated probability of each of the cast's classes.
    """

    cast: CastCard
    data: DatasetCard
    rows: NDArray[np.void]
    log_posterior: _Floats

    @property
    def truth(self) -> _Ints:
        """For each patch the cast's class that it is of; -1 for a stranger."""
        truth: _Ints = _classes_of_labels(self.cast, self.data)[self.rows["label"]]
        return truth

    @property
    def guess(self) -> _Ints:
        """For each patch the class that is most likely."""
        guess: _Ints = self.log_posterior.argmax(axis=1)
        return guess


class ClassFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How well a class is named: a character, an actor, or the background.

    Attributes
    ----------
    name : str
        Of the character, or of the actor where the classes are actors.
    actor : str or None
        Who speaks the character.
    windows, guessed : int
        Patches that are of this class; patches that are taken for it.
    recall, precision, f1 : float or None
        Shares, 0 to 1. None where nothing is of the class (recall, F1), or taken for it
        (precision).
    taken_for : int or None
        Which other class its patches are most often taken for; None if for none.
    taken_for_share : float
        How many of them.
    """

    name: str
    actor: str | None
    windows: int
    guessed: int
    recall: float | None
    precision: float | None
    f1: float | None
    taken_for: int | None
    taken_for_share: float

    @property
    def label(self) -> str:
        """Its names, to be shown."""
        return _label(self.name, self.actor)


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """How well single patches are named, by character or by actor.

    Attributes
    ----------
    top1 : float
        Share of the patches that are named right.
    macro_f1, macro_recall : float
        Mean over the classes that have patches.
    classes : tuple of ClassFigures
        Those that have patches or are guessed, in the cast's order, background last.
    confusion : tuple of tuple of int
        Patches by class (outer) and guess (inner), in the order of `classes`.
    """

    top1: float
    macro_f1: float
    macro_recall: float
    classes: tuple[ClassFigures, ...]
    confusion: tuple[tuple[int, ...], ...]


class Heard(msgspec.Struct, frozen=True, kw_only=True):
    """How well characters are named after some seconds of their speech.

    Attributes
    ----------
    seconds : float
        How much is heard: `windows` neighbouring patches.
    windows : int
        Of one character and recording, in order of time; their mean log posterior decides.
    runs : int
        How many such rows of patches there are; they overlap.
    top1, macro_recall, actor_top1 : float or None
        Share of the runs that are named right, mean of that over the characters, and share of
        those with the right actor; None where there are no runs.
    left_out : tuple of str
        Characters who have patches, but nowhere so many in a row.
    """

    seconds: float
    windows: int
    runs: int
    top1: float | None
    macro_recall: float | None
    actor_top1: float | None
    left_out: tuple[str, ...]


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Patches that are named with about the same confidence.

    Attributes
    ----------
    low, high : float
        Confidence above `low` and at most `high`.
    windows : int
        How many.
    confidence, accuracy : float or None
        Mean confidence, and share that is named right; None where there are none.
    """

    low: float
    high: float
    windows: int
    confidence: float | None
    accuracy: float | None


class Doubtful(msgspec.Struct, frozen=True, kw_only=True):
    """A clip, or where there are no clips a patch, whose truth was thought unlikely.

    Attributes
    ----------
    clip : str or None
        Path below the folder of clips.
    recording : str
        Where it is from.
    time_s : float
        Where in it the first of its patches begins.
    windows : int
        How many patches it has.
    truth, guess : str
        Who speaks, and who is most likely by the mean log posterior.
    confidence : float
        How likely that is.
    log_posterior : float
        Mean of the truth.
    """

    clip: str | None
    recording: str
    time_s: float
    windows: int
    truth: str
    guess: str
    confidence: float
    log_posterior: float


class Stranger(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody in the data set whom the cast does not know.

    Attributes
    ----------
    label : str
        Character and actor, or the background.
    windows : int
        Patches.
    """

    label: str
    windows: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """All figures.

    Attributes
    ----------
    format, version
        What this is.
    cast : str
        Name of the cast.
    network : str
        Of what kind and size, in words.
    network_bytes : int
        Its size.
    data : str
        Name of the data set's folder.
    part : {"train", "validation"}
        Which part of it.
    windows : int
        Patches that the figures are of: without those of strangers.
    window_s : float
        Length of a patch in seconds.
    step_s : float or None
        From the beginning of a patch to that of the next one, in the median, in seconds.
    cast_characters, heard_characters : int
        How many the cast has, and how many of these have patches.
    background : bool
        Some patches are of nobody.
    strangers : tuple of Stranger
        Who is left out.
    strangers_confidence : float or None
        Mean confidence with which strangers are taken for somebody.
    characters, actors : Level
        By class of the network, and with the posterior summed over each actor's characters.
    heard : tuple of Heard
        By seconds heard; of characters only.
    confidence : float
        Mean posterior of the guess.
    calibration_error : float
        Expected calibration error [1]_ over `bins`.
    negative_log_likelihood : float
        Mean, in nats.
    bins : tuple of Bin
        By confidence.
    worst : tuple of Doubtful
        With the least likely truth, worst first.

    References
    ----------
    .. [1] Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """

    format: Literal["kikiwake-figures"] = "kikiwake-figures"
    version: Literal[1] = 1
    cast: str
    network: str
    network_bytes: int
    data: str
    part: Part
    windows: int
    window_s: float
    step_s: float | None
    cast_characters: int
    heard_characters: int
    background: bool
    strangers: tuple[Stranger, ...]
    strangers_confidence: float | None
    characters: Level
    actors: Level
    heard: tuple[Heard, ...]
    confidence: float
    calibration_error: float
    negative_log_likelihood: float
    bins: tuple[Bin, ...]
    worst: tuple[Doubtful, ...]


def check_fit(cast: CastCard, data: DatasetCard, folder: str) -> None:
    """Refuse a cast that cannot name the patches of a data set.

    Parameters
    ----------
    cast : CastCard
        Of the cast.
    data : DatasetCard
        Of the data set.
    folder : str
        What errors call the data set.

    Raises
    ------
    EvaluateError
        Their feature settings differ, or the cast knows none of the characters.
    """
    where = f"cast {shown(cast.name)} and data set {folder}"
    differing = [
        f"{name} is {getattr(cast.features, name)} in the cast and "
        f"{getattr(data.features, name)} in the data set"
        for name in FeatureSettings.__struct_fields__
        if getattr(cast.features, name) != getattr(data.features, name)
    ]
    if differing:
        raise EvaluateError(
            f"{where}: the features differ: {'; '.join(differing)}; build the data set with the "
            "settings of the cast"
        )
    if not (_classes_of_labels(cast, data)[: len(data.characters)] >= 0).any():
        raise EvaluateError(
            f"{where}: no character of the data set is in the cast; both name and actor must be "
            f"the same; the data set has {listed(map(_label_of, data.characters), 3)}; "
            f"the cast has {listed(map(_label_of, cast.characters), 3)}"
        )


def ask(
    cast: Cast, data: Dataset, part: Part, progress: Callable[[int, int], None] | None = None
) -> Answers:
    """Run the network of a cast over a part of a data set.

    Parameters
    ----------
    cast : Cast
        See `kikiwake.models.cast.load_cast`.
    data : Dataset
        Opened.
    part : {"train", "validation"}
        Which part.
    progress : callable, optional
        Called now and then with how many patches are done, and of how many.

    Returns
    -------
    Answers

    Raises
    ------
    EvaluateError
        They do not fit, the part is empty, or the network gives what is no number.
    CastError
        The network does not run.
    """
    check_fit(cast.card, data.card, str(data.folder))
    numbers = data.part(part)
    if not len(numbers):
        raise EvaluateError(f"data set {data.folder}: its {part} part is empty; --part names one")
    rows = data.rows[numbers]
    for field, count in (("recording", len(data.card.recordings)), ("clip", len(data.card.clips))):
        if rows[field].max() >= count:
            raise EvaluateError(
                f"data set {data.folder}: is damaged: it has {count} {field}s, and a patch of "
                f"number {rows[field].max()}; build it again"
            )
    runner = CastRunner(cast)
    logits = np.empty((len(numbers), cast.card.n_classes))
    for begin in range(0, len(numbers), _CHUNK):
        patches = data.patches(numbers[begin : begin + _CHUNK]).mfcc.astype(np.float32)
        for i, patch in enumerate(patches, begin):
            logits[i] = runner.logits(patch)
        if progress is not None:
            progress(min(begin + _CHUNK, len(numbers)), len(numbers))
    bad = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(bad):
        row = rows[bad[0]]
        raise EvaluateError(
            f"cast {shown(cast.card.name)}: its network gives what is no number for {len(bad)} "
            f"patches, the first at {row['time_s']:.1f} s of "
            f"{shown(data.card.recordings[row['recording']])}"
        )
    logits /= cast.card.calibration.temperature
    logits -= logits.max(axis=1, keepdims=True)
    log_posterior = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return Answers(cast.card, data.card, rows, log_posterior)


def origin_lines(answers: Answers) -> Iterator[str]:
    """Write the answers as devil-ear's ``check.py`` does.

    Parameters
    ----------
    answers : Answers
        Of any part.

    Yields
    ------
    str
        For each patch ``actor:character``, a tab, ``actor:character``: truth and guess.
    """
    truths = [f"{shown(who.actor)}:{shown(who.name)}" for who in answers.data.characters]
    guesses = [f"{shown(who.actor)}:{shown(who.name)}" for who in answers.cast.characters]
    for label, guess in zip(answers.rows["label"], answers.guess, strict=True):
        yield f"{[*truths, BACKGROUND][label]}\t{[*guesses, BACKGROUND][guess]}"


def measure(answers: Answers, network: bytes, data: str, part: Part) -> Figures:
    """Make all figures of what a network answered.

    Parameters
    ----------
    answers : Answers
        Of a part of a data set.
    network : bytes
        Of the cast.
    data : str
        Name of the data set.
    part : {"train", "validation"}
        The part.

    Returns
    -------
    Figures

    Raises
    ------
    EvaluateError
        All patches are of strangers.
    """
    card, rows, truth = answers.cast, answers.rows, answers.truth
    known = truth >= 0
    strangers = [
        Stranger(label=label, windows=int(count))
        for label, count in zip(
            [*map(_label_of, answers.data.characters), BACKGROUND],
            np.bincount(rows["label"][~known], minlength=len(answers.data.characters) + 1),
            strict=True,
        )
        if count
    ]
    if not known.any():
        raise EvaluateError(
            f"data set {data}: all patches of its {part} part are of strangers to the cast: "
            f"{listed(who.label for who in strangers)}"
        )
    log_stranger = answers.log_posterior[~known].max(axis=1)
    rows, truth, by_character = rows[known], truth[known], answers.log_posterior[known]
    people: list[tuple[str, str | None]] = [(who.name, who.actor) for who in card.characters]
    actors = list(dict.fromkeys(who.actor for who in card.characters))
    actor_of = np.array([actors.index(who.actor) for who in card.characters])
    actor_names: list[tuple[str, str | None]] = [(actor, None) for actor in actors]
    if card.background:
        actor_of = np.append(actor_of, len(actors))
        people.append((BACKGROUND, None))
        actor_names.append((BACKGROUND, None))
    by_actor = np.stack(
        [
            np.logaddexp.reduce(by_character[:, actor_of == number], axis=1)
            for number in range(len(actor_names))
        ],
        axis=1,
    )
    guess = by_character.argmax(axis=1)
    confidence = np.exp(by_character.max(axis=1))
    bins = _bins(confidence, guess == truth)
    spoken = truth < len(card.characters)
    return Figures(
        cast=card.name,
        network=describe_network(network),
        network_bytes=len(network),
        data=data,
        part=part,
        windows=len(truth),
        window_s=card.features.patch_s,
        step_s=_step(rows[spoken]),
        cast_characters=len(card.characters),
        heard_characters=len(np.unique(truth[spoken])),
        background=not spoken.all(),
        strangers=tuple(strangers),
        strangers_confidence=float(np.exp(log_stranger).mean()) if strangers else None,
        characters=_level(truth, guess, people),
        actors=_level(actor_of[truth], by_actor.argmax(axis=1), actor_names),
        heard=_heard(
            rows[spoken],
            (truth[spoken], by_character[spoken]),
            (actor_of[truth[spoken]], by_actor[spoken]),
            card,
        ),
        confidence=float(confidence.mean()),
        calibration_error=sum(
            each.windows / len(truth) * abs(each.accuracy - each.confidence)
            for each in bins
            if each.accuracy is not None and each.confidence is not None
        ),
        negative_log_likelihood=-float(by_character[np.arange(len(truth)), truth].mean()),
        bins=bins,
        worst=_worst(answers.data, rows, truth, by_character, [_label(*who) for who in people]),
    )


def describe(figures: Figures) -> Iterator[str]:
    """Put figures into lines.

    Parameters
    ----------
    figures : Figures
        Of `measure`.

    Yields
    ------
    str
        A line for the terminal.
    """
    yield headline(figures)
    yield f"network: {figures.network}"
    yield ""
    yield f"{'':16}{'top-1':>8}{'macro-F1':>14}{'macro recall':>14}"
    for name, level in (("by character", figures.characters), ("by actor", figures.actors)):
        yield (
            f"{name:16}{percent(level.top1):>8}{percent(level.macro_f1):>14}"
            f"{percent(level.macro_recall):>14}"
        )
    if figures.heard:
        yield ""
        yield f"{'seconds heard':16}" + "".join(f"{of.seconds:8g}" for of in figures.heard)
        for name, field in HEARD_LINES.items():
            shares = (percent(getattr(of, field)) for of in figures.heard)
            yield f"{name:16}" + "".join(f"{share:>8}" for share in shares)
    yield ""
    yield (
        f"mean confidence {percent(figures.confidence)}, expected calibration error "
        f"{percent(figures.calibration_error)}, negative log likelihood "
        f"{figures.negative_log_likelihood:.3f}"
    )
    yield from notes(figures)


HEARD_LINES = {
    "top-1": "top1",
    "macro recall": "macro_recall",
    "top-1 by actor": "actor_top1",
}
"""The fields of `Heard` that are shown, by what they are called."""


def headline(figures: Figures, write: Callable[[str], str] = shown) -> str:
    """Say what the figures are of, in a line.

    Parameters
    ----------
    figures : Figures
        Of `measure`.
    write : callable, optional
        Makes of a name what stands in the line. The rest of the line is the same in HTML.

    Returns
    -------
    str
    """
    return (
        f"{write(figures.cast)} on {write(figures.data)}, {figures.part}: {figures.windows} windows"
        f" of {figures.window_s:g} s, of {figures.heard_characters} of its "
        f"{figures.cast_characters} characters" + (" and background" if figures.background else "")
    )


def notes(figures: Figures, write: Callable[[str], str] = shown) -> Iterator[str]:
    """Say what is to be known about the figures, a line each; as `headline` does."""
    if figures.strangers:
        names = listed(f"{write(who.label)}: {who.windows}" for who in figures.strangers)
        count = sum(who.windows for who in figures.strangers)
        yield (
            f"strangers to the cast are left out: {count} windows ({names}); on them its "
            f"confidence is {percent(figures.strangers_confidence)} on average"
        )
    if not figures.heard:
        yield "no characters, so there are no figures by seconds heard"
    elif figures.background:
        yield "the figures by seconds heard are of the characters only, without the background"
    if figures.heard:
        yield "seconds heard are a character's in a recording, whatever lies between them"
    left_out: dict[tuple[str, ...], list[str]] = {}
    for of in figures.heard:
        if of.left_out:
            left_out.setdefault(of.left_out, []).append(f"{of.seconds:g}")
    for who, seconds in left_out.items():
        names = listed(map(write, who))
        yield f"without enough windows in a row for {', '.join(seconds)} s: {names}"
    # Rounding of times is no overlap.
    if figures.step_s is not None and figures.step_s < 0.9 * figures.window_s:
        yield (
            f"the windows overlap (one each {figures.step_s:.2g} s): what is called a second heard "
            "is less"
        )


def percent(share: float | None) -> str:
    """Write a share in percent, or a dash where there is none.

    Examples
    --------
    >>> percent(0.9741), percent(None)
    ('97.4 %', '–')
    """
    return "–" if share is None else f"{100 * share:.1f} %"


def listed(names: Iterable[str], at_most: int = 10) -> str:
    """Write names in a row, and how many more there are."""
    names = list(names)
    more = [f"and {len(names) - at_most} more"] if len(names) > at_most else []
    return ", ".join(names[:at_most] + more)


def _label(name: str, actor: str | None) -> str:
    return shown(name if actor is None else f"{name} ({actor})")


def _label_of(who: Character) -> str:
    return _label(who.name, who.actor)


def _classes_of_labels(cast: CastCard, data: DatasetCard) -> _Ints:
    """For each label of the data set the class of the cast; -1 where there is none."""
    # A name from a folder's name may be decomposed: on macOS.
    key = {
        (unicodedata.normalize("NFC", who.actor), unicodedata.normalize("NFC", who.name)): number
        for number, who in enumerate(cast.characters)
    }
    classes = [
        key.get(
            (unicodedata.normalize("NFC", who.actor), unicodedata.normalize("NFC", who.name)), -1
        )
        for who in data.characters
    ]
    return np.array([*classes, len(cast.characters) if cast.background else -1])


def _level(truth: _Ints, guess: _Ints, names: Sequence[tuple[str, str | None]]) -> Level:
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (truth, guess), 1)
    seen = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    counts = counts[np.ix_(seen, seen)]
    classes = []
    for number, (row, column) in enumerate(zip(counts, counts.T, strict=True)):
        name, actor = names[seen[number]]
        right, windows, guessed = int(row[number]), int(row.sum()), int(column.sum())
        wrong = row.copy()
        wrong[number] = 0
        classes.append(
            ClassFigures(
                name=name,
                actor=actor,
                windows=windows,
                guessed=guessed,
                recall=right / windows if windows else None,
                precision=right / guessed if guessed else None,
                f1=2 * right / (windows + guessed) if windows else None,
                taken_for=int(wrong.argmax()) if wrong.any() else None,
                taken_for_share=int(wrong.max()) / windows if windows else 0.0,
            )
        )
    return Level(
        top1=float((guess == truth).mean()),
        macro_f1=_mean([of.f1 for of in classes]),
        macro_recall=_mean([of.recall for of in classes]),
        classes=tuple(classes),
        confusion=tuple(map(tuple, counts.tolist())),
    )


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([value for value in values if value is not None]))


def _series(rows: NDArray[np.void]) -> list[_Ints]:
    """Give the patches of each character in each recording, in order of time."""
    if not len(rows):
        return []
    order = np.lexsort([rows["time_s"], rows["label"], rows["recording"]])
    keys = rows[order][["recording", "label"]]
    return np.split(order, np.flatnonzero(keys[1:] != keys[:-1]) + 1)


def _step(rows: NDArray[np.void]) -> float | None:
    steps = [np.diff(rows["time_s"][one]) for one in _series(rows)]
    together = np.concatenate([np.empty(0), *steps])
    return float(np.median(together)) if len(together) else None


def _heard(
    rows: NDArray[np.void],
    characters: tuple[_Ints, _Floats],
    actors: tuple[_Ints, _Floats],
    card: CastCard,
) -> tuple[Heard, ...]:
    """Figures by seconds heard, of the truth and log posterior by character and by actor."""
    if not len(rows):
        return ()
    series = _series(rows)
    truth = characters[0]
    patch_s = card.features.patch_s
    found = []
    for windows in sorted({max(1, round(seconds / patch_s)) for seconds in SECONDS}):
        enough = [one for one in series if len(one) >= windows]
        of_whom = np.concatenate(
            [np.empty(0, np.int64), *(_starts(truth, s, windows) for s in enough)]
        )
        right, right_actor = (
            np.concatenate([np.empty(0, bool), *(_right(*level, s, windows) for s in enough)])
            for level in (characters, actors)
        )
        present = np.unique(of_whom)
        found.append(
            Heard(
                seconds=windows * patch_s,
                windows=windows,
                runs=len(right),
                top1=float(right.mean()) if enough else None,
                macro_recall=_mean([right[of_whom == who].mean() for who in present])
                if enough
                else None,
                actor_top1=float(right_actor.mean()) if enough else None,
                left_out=tuple(
                    _label_of(card.characters[who]) for who in np.setdiff1d(truth, present)
                ),
            )
        )
    return tuple(found)


def _starts(truth: _Ints, series: _Ints, windows: int) -> _Ints:
    return truth[series[: len(series) - windows + 1]]


def _right(truth: _Ints, log_posterior: _Floats, series: _Ints, windows: int) -> NDArray[np.bool_]:
    """For each run of so many neighbours tell whether its mean log posterior names it right."""
    # Not by way of running sums: their rounding would decide between classes that are even.
    means = np.lib.stride_tricks.sliding_window_view(log_posterior[series], windows, 0).mean(-1)
    right: NDArray[np.bool_] = means.argmax(axis=1) == _starts(truth, series, windows)
    return right


def _bins(confidence: _Floats, right: NDArray[np.bool_]) -> tuple[Bin, ...]:
    edges = np.linspace(0, 1, BINS + 1)
    # A certainty is, rounded, a little more than 1.
    of = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, BINS - 1)
    found = []
    for number in range(BINS):
        these = of == number
        found.append(
            Bin(
                low=float(edges[number]),
                high=float(edges[number + 1]),
                windows=int(these.sum()),
                confidence=float(confidence[these].mean()) if these.any() else None,
                accuracy=float(right[these].mean()) if these.any() else None,
            )
        )
    return tuple(found)


def _worst(
    card: DatasetCard,
    rows: NDArray[np.void],
    truth: _Ints,
    log_posterior: _Floats,
    names: Sequence[str],
) -> tuple[Doubtful, ...]:
    # Patches of no clip stand for themselves: with negative numbers, which no clip has.
    alone = -1 - np.arange(len(rows))
    item = np.where(rows["clip"] >= 0, rows["clip"], alone)
    # A clip holds one character; should it hold more, each of them counts.
    _, of, counts = np.unique(
        np.stack([item, truth], axis=1), axis=0, return_inverse=True, return_counts=True
    )
    of = of.ravel()  # NumPy 2.0 gives it a second axis
    mean = np.zeros((len(counts), log_posterior.shape[1]))
    np.add.at(mean, of, log_posterior)
    mean /= counts[:, None]
    # Its first patch in time: sorted backwards, the last one to be written stays.
    first = np.empty(len(counts), np.int64)
    backwards = np.argsort(rows["time_s"], kind="stable")[::-1]
    first[of[backwards]] = backwards
    of_truth = mean[np.arange(len(counts)), truth[first]]
    found = []
    for number in np.argsort(of_truth, kind="stable")[:WORST]:
        row = rows[first[number]]
        guess = mean[number].argmax()
        found.append(
            Doubtful(
                clip=card.clips[row["clip"]] if row["clip"] >= 0 else None,
                recording=card.recordings[row["recording"]]
                if row["recording"] >= 0
                else BACKGROUND,
                time_s=float(row["time_s"]),
                windows=int(counts[number]),
                truth=names[truth[first[number]]],
                guess=names[guess],
                confidence=float(np.exp(mean[number, guess] - np.logaddexp.reduce(mean[number]))),
                log_posterior=float(of_truth[number]),
            )
        )
    return tuple(found)
