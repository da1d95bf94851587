"""Figures of steadiness as pictures and a page: what ``kikiwake evaluate --stream --to`` writes.

The page is as those of `kikiwake.tools.report`: one file, for a light and a dark screen. For each
recording it has a timeline: who speaks, who was thought likely, and what was shown.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..engine.result import BRIDGED_S
from ..models.cast import CastCard, Character
from .cast_files import shown
from .evaluate import percent
from .report import (
    DARK,
    LIGHT,
    Look,
    check_folder,
    drawing,
    fonts_for,
    name_html,
    new_figure,
    page,
    picture_html,
    png,
    write_files,
)
from .stream import (
    FALSE_NAME_S,
    PAUSE_S,
    STABLE_S,
    STRANGER_TURN_S,
    ErrorRate,
    Heard,
    Label,
    Spans,
    StreamFigures,
    Timeline,
    key,
    number,
    ratio,
    seconds,
)
from .view import clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_S = 60
PICTURE_ROWS = 20
"""Minutes in a picture: of a longer recording there are several."""

_MINUTE_INCHES, _ROW_INCHES = 11.0, 0.85
_TRUTH, _LIKELY, _SHOWN = (0.0, 0.26), (0.29, 0.57), (0.60, 0.86)  # of a row, from above
_FONT_SIZE = 6.5
_MAX_NAME = 24
_COLUMNS, _LINES = 600, 24  # of the picture of who is likely, in a row

_Colour = tuple[float, float, float]
_Colours = Mapping[Label, _Colour | None]
_Pictures = Sequence[tuple[bytes, bytes]]


def write_stream_report(
    figures: StreamFigures, recordings: Sequence[Heard], cast: CastCard, folder: Path
) -> None:
    """Write figures as a page and JSON. Needs Matplotlib.

    Parameters
    ----------
    figures : StreamFigures
        Of `kikiwake.tools.stream.measure`.
    recordings : sequence of Heard
        What they are of.
    cast : CastCard
        Who was to be named.
    folder : Path
        Gets `kikiwake.tools.report.PAGE` and `kikiwake.tools.report.FIGURES`.

    Raises
    ------
    ReportError
        The folder cannot be written to, or holds something else.
    KikiwakeError
        Matplotlib is not installed.
    """
    check_folder(folder)
    with drawing(LIGHT):
        colours = colours_of(Timeline(heard, cast.characters) for heard in recordings)
    pictures = []
    for heard in recordings:
        light, dark = (draw(heard, cast.characters, colours, look) for look in (LIGHT, DARK))
        pictures.append(list(zip(light, dark, strict=True)))
    text = page(
        f"{shown(cast.name)}: how steadily it names", _body(figures, cast, pictures, colours)
    )
    found = {"format": "kikiwake-figures", "cast": cast.name} | msgspec.to_builtins(figures)
    write_files(folder, msgspec.json.encode(found), {}, text)


def colours_of(timelines: Iterable[Timeline]) -> dict[Label, _Colour | None]:
    """Give everybody who speaks or is shown a colour. Needs Matplotlib.

    Parameters
    ----------
    timelines : iterable of Timeline
        In which they are to have the same one.

    Returns
    -------
    dict of Label to (float, float, float) or None
        Red, green and blue, 0 to 1, of characters and actors, the one who speaks most first; the
        first twenty have different ones. Then strangers and unknown, which are grey, with None.
    """
    from matplotlib import colormaps

    lengths: dict[Label, NDArray[np.int64]] = {}
    for time in timelines:
        for column, of in enumerate((time.spoken, time.shown)):
            for label, spans in of.items():
                lengths.setdefault(label, np.zeros(2, np.int64))[column] += spans.length
    order = sorted(lengths, key=lambda label: (*-lengths[label], label))
    named = [label for label in order if label.kind in ("character", "actor")]
    # Its pairs are a strong and a light colour of one kind: all the strong ones come first.
    table = [colormaps["tab20"](at)[:3] for at in (*range(0, 20, 2), *range(1, 20, 2))]
    colours: dict[Label, _Colour | None] = {
        label: table[at % len(table)] for at, label in enumerate(named)
    }
    return colours | {label: None for label in order if label not in colours}


def draw(heard: Heard, cast: Iterable[Character], colours: _Colours, look: Look) -> list[bytes]:
    """Draw the timeline of a recording, a minute in a row. Needs Matplotlib.

    In each row, from above: who speaks; the shares of those who were likely, one upon the other;
    what was shown. Those who speak or are shown at once share the band; an actor who is shown alone
    is hatched.

    Parameters
    ----------
    heard : Heard
        The recording.
    cast : iterable of Character
        Who is no stranger.
    colours : mapping
        Of `colours_of`.
    look : Look
        `kikiwake.tools.report.LIGHT` or `DARK`.

    Returns
    -------
    list of bytes
        PNG files, each of at most `PICTURE_ROWS` minutes.

    Raises
    ------
    KikiwakeError
        Matplotlib is not installed.
    """
    with drawing(look):
        time = Timeline(heard, cast)
        rows = range(max(1, math.ceil(time.length / 1e6 / ROW_S)))
        return [
            _draw(heard, time, rows[first : first + PICTURE_ROWS], colours, look)
            for first in range(0, len(rows), PICTURE_ROWS)
        ]


def _draw(heard: Heard, time: Timeline, rows: range, colours: _Colours, look: Look) -> bytes:
    from matplotlib.collections import PatchCollection
    from matplotlib.patches import Patch, Rectangle

    names, fonts = names_in_picture(colours)
    height = _ROW_INCHES * len(rows)
    figure = new_figure(_MINUTE_INCHES, height, None)
    axes: Axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, ROW_S)
    axes.set_ylim(len(rows), 0)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_xticks(range(0, ROW_S + 1, 10), [f"{at} s" for at in range(0, ROW_S + 1, 10)])
    axes.set_yticks([at + sum(_LIKELY) / 2 for at in range(len(rows))], [f"{at}:00" for at in rows])
    axes.grid(visible=True, axis="x")
    axes.set_axisbelow(True)
    for at, image in enumerate(_images(heard, rows, colours, look)):
        place = (0, ROW_S, at + _LIKELY[1], at + _LIKELY[0])
        axes.imshow(image, extent=place, aspect="auto", interpolation="nearest", zorder=1)
        for band, what in ((_TRUTH, "speaks"), (_LIKELY, "likely"), (_SHOWN, "shown")):
            axes.text(ROW_S + 0.3, at + sum(band) / 2, what, fontsize=_FONT_SIZE, va="center")
    bars = [*_bars(time.spoken, rows, _TRUTH), *_bars(time.shown, rows, _SHOWN)]
    handles = []
    for label, colour in colours.items():
        fill: dict[str, Any] = {"facecolor": look.faint if colour is None else colour}
        if label.kind == "actor":
            fill |= {"hatch": "////", "edgecolor": look.ground}
        of_label = [Rectangle((x, y), w, h) for x, y, w, h, whose in bars if whose == label]
        if of_label:
            axes.add_collection(PatchCollection(of_label, linewidth=0, zorder=2, **fill))
            handles.append(Patch(label=names[label], **fill))
    for x, y, w, h, label in bars:
        if text := _fitting(names[label], w * _MINUTE_INCHES / ROW_S):
            colour = colours[label]
            ink = look.ink if colour is None else _ink_on(colour)
            at_middle: dict[str, Any] = {"color": ink, "va": "center", "zorder": 3}
            if label.kind == "actor":  # to be read on the hatching
                at_middle["bbox"] = {"facecolor": colour, "linewidth": 0, "pad": 0.5}
            axes.text(x + 0.1, y + h / 2, text, fontsize=_FONT_SIZE, family=fonts, **at_middle)
    if handles:
        figure.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.3 / height),
            ncols=6,
            prop={"family": fonts, "size": 8},
        )
    return png(figure)


def names_in_picture(labels: Iterable[Label]) -> tuple[dict[Label, str], list[str] | None]:
    """Say what stands for whom in the pictures: the names, or numbers.

    Parameters
    ----------
    labels : iterable of Label
        Everybody, in the order to be numbered in.

    Returns
    -------
    texts : dict of Label to str
        What stands for each.
    fonts : list of str or None
        To draw it with; None for numbers, where no font has all characters.
    """
    labels = list(labels)
    names = {label: shown(label.name) for label in labels}
    names = {
        label: name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"
        for label, name in names.items()
    }
    fonts = fonts_for("…".join(names.values()))
    if fonts is None:
        names = {label: str(at + 1) for at, label in enumerate(labels)}
    return names, fonts


def _bars(
    of: Mapping[Label, Spans], rows: range, band: tuple[float, float]
) -> Iterator[tuple[float, float, float, float, Label]]:
    """Cut stretches into rows: left, top, width in seconds, height, and whose it is."""
    for label, pieces in _stacked(of).items():
        for (place, places), spans in pieces.items():
            height = (band[1] - band[0]) / places
            for start, end in Spans(spans).pairs:
                for at, row in enumerate(rows):
                    left = max(start / 1e6 - row * ROW_S, 0)
                    right = min(end / 1e6 - row * ROW_S, ROW_S)
                    if left < right:
                        yield left, at + band[0] + place * height, right - left, height, label


def _stacked(
    of: Mapping[Label, Spans],
) -> dict[Label, dict[tuple[int, int], list[tuple[int, int]]]]:
    """For each label and place among those of the same time: when. Who was there first is first."""
    events = [(time, label) for label, spans in of.items() for pair in spans.pairs for time in pair]
    found: dict[Label, dict[tuple[int, int], list[tuple[int, int]]]] = {label: {} for label in of}
    there: list[Label] = []
    before = 0
    for time, label in sorted(events):
        for place, each in enumerate(there):
            found[each].setdefault((place, len(there)), []).append((before, time))
        before = time
        if label in there:
            there.remove(label)
        else:
            there.append(label)
    return found


def _images(
    heard: Heard, rows: range, colours: _Colours, look: Look
) -> Iterator[NDArray[np.float64]]:
    """Make for each row a picture of the shares that were likely, from below the likeliest."""
    from matplotlib.colors import to_rgb

    ground, faint = to_rgb(look.ground), to_rgb(look.faint)
    times = np.array([result.time for result in heard.results])
    for row in rows:
        image = np.full((_LINES, _COLUMNS, 3), ground)
        middles = (row + (np.arange(_COLUMNS) + 0.5) / _COLUMNS) * ROW_S
        for column, at in enumerate(np.searchsorted(times, middles, side="right").tolist()):
            # Nothing holds before the first result, or after the last.
            if not 0 < at < len(times):
                continue
            begin = 0.0
            for candidate in heard.results[at - 1].top:
                end = begin + candidate.share * _LINES
                colour = colours.get(Label("character", key(candidate.character)))
                image[round(begin) : round(end), column] = faint if colour is None else colour
                begin = end
        yield image[::-1]


def _fitting(text: str, inches: float) -> str:
    """Cut a text to what fits; nothing, where that is less than two characters of several."""
    width, fitting = 0.06, ""
    for character in text:
        width += 0.09 if unicodedata.east_asian_width(character) in "WF" else 0.048
        if width > inches:
            break
        fitting += character
    return fitting if len(fitting) >= min(2, len(text)) else ""


def _ink_on(colour: _Colour) -> str:
    red, green, blue = colour
    return "#000000" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "#ffffff"


# The page

_ROWS: tuple[tuple[str, str, Callable[[StreamFigures], str]], ...] = (
    ("length", "minutes and seconds of sound", lambda of: clock(of.seconds)),
    ("speech of the cast", "at least one of them speaks", lambda of: f"{of.speech_s:.1f} s"),
    (
        "named right",
        "of that speech: a character who speaks is shown, as the first or the second",
        lambda of: percent(ratio(of.right_s, of.speech_s)),
    ),
    (
        "actor alone, right",
        "instead: the actor of one who speaks is shown, and no character",
        lambda of: percent(ratio(of.actor_s, of.speech_s)),
    ),
    (
        "wrong",
        "instead: only names of the cast that do not speak",
        lambda of: percent(ratio(of.wrong_s, of.speech_s)),
    ),
    (
        "unknown",
        "instead: somebody who is none of the cast",
        lambda of: percent(ratio(of.unknown_s, of.speech_s)),
    ),
    ("nobody", "instead: nothing is shown", lambda of: percent(ratio(of.nobody_s, of.speech_s))),
    (
        "onset, median",
        "from the start of a turn until the right character is shown, and stays for "
        f"{STABLE_S:g} s or until the turn ends; without turns shorter than {STABLE_S:g} s",
        lambda of: seconds(of.onset_median_s, of.turns),
    ),
    ("onset, 95 % within", "", lambda of: seconds(of.onset_p95_s, of.turns)),
    (
        "turns never named",
        "they count as infinitely late",
        lambda of: f"{of.never_named} of {of.turns}",
    ),
    (
        "release, median",
        f"from an end of speech, with at least {PAUSE_S:g} s of nobody speaking after it, until no "
        "name is shown",
        lambda of: seconds(of.release_median_s),
    ),
    ("release, 95 % within", "", lambda of: seconds(of.release_p95_s)),
    ("release, longest", "", lambda of: seconds(of.release_longest_s)),
    (
        "turns shown",
        f"how often a label appears; within {BRIDGED_S:g} s it is the same turn",
        lambda of: str(of.shown_turns),
    ),
    ("turns true", "in the truth, put together likewise", lambda of: str(of.true_turns)),
    ("ratio of turns", "shown by true", lambda of: number(of.turns_ratio)),
    ("turns too many a minute", "shown less true", lambda of: number(of.extra_changes_per_minute)),
    (
        "begun while nobody speaks",
        "of the turns shown",
        lambda of: str(of.silent_changes),
    ),
    (
        "flicker a minute",
        "appearances of labels, none put together, more than the truth has turns",
        lambda of: number(of.flicker_per_minute),
    ),
    (
        "sound without speech",
        f"from {PAUSE_S:g} s after speech on",
        lambda of: f"{of.free_s:.1f} s",
    ),
    (
        "false names an hour",
        "turns of names that begin in it",
        lambda of: number(of.false_names_per_hour),
    ),
    ("with a name", "of it", lambda of: percent(ratio(of.free_named_s, of.free_s))),
    (
        "speech of strangers",
        "of somebody who is not in the cast, and nobody who is",
        lambda of: f"{of.strangers_s:.1f} s",
    ),
    (
        "strangers named",
        "of it: a name is shown, which is wrong",
        lambda of: percent(ratio(of.strangers_named_s, of.strangers_s)),
    ),
    ("strangers unknown", "", lambda of: percent(ratio(of.strangers_unknown_s, of.strangers_s))),
    ("strangers, nobody", "", lambda of: percent(ratio(of.strangers_nobody_s, of.strangers_s))),
    (
        "turns of strangers named",
        f"of those of {STRANGER_TURN_S:g} s or more: names for {FALSE_NAME_S:g} s or more",
        lambda of: f"{of.falsely_named_turns} of {of.stranger_turns}",
    ),
)


def _body(
    figures: StreamFigures, cast: CastCard, pictures: Iterable[_Pictures], colours: _Colours
) -> Iterator[str]:
    yield f"<h1>How steadily {name_html(cast.name)} names</h1>"
    yield f"<p>{name_html(figures.name)}, as they would have been named live.</p>"
    yield '<div class="cards">'
    for value, what in _cards(figures):
        yield f"<div><b>{value}</b><span>{what}</span></div>"
    yield "</div>"
    yield "<h2>Figures</h2>"
    yield from _table(figures)
    yield "<h2>Timelines</h2>"
    yield (
        "<p>A minute in a row; from above: who speaks, who was thought likely, what was shown. "
        "Grey: strangers, unknown. Hatched: an actor without a character.</p>"
    )
    for of, drawn in zip(figures.recordings, pictures, strict=True):
        yield f"<h3>{name_html(of.name)}</h3>"
        for picture in drawn:
            yield picture_html(f"timeline of {shown(of.name)}", picture, wide=True)
    if names_in_picture(colours)[1] is None:
        yield '<ol class="names">'
        for label in colours:
            yield f"<li>{name_html(label.name)}</li>"
        yield "</ol>"


def _cards(figures: StreamFigures) -> Iterator[tuple[str, str]]:
    yield percent(ratio(figures.right_s, figures.speech_s)), "named right"
    yield percent(ratio(figures.wrong_s, figures.speech_s)), "wrong"
    yield seconds(figures.onset_median_s, figures.turns), "onset, median"
    yield seconds(figures.release_median_s), "release, median"
    yield number(figures.flicker_per_minute), "flicker a minute"
    yield number(figures.false_names_per_hour), "false names an hour"


def _table(figures: StreamFigures) -> Iterator[str]:
    columns = figures.recordings
    if len(columns) > 1:
        columns = (figures, *columns)
    heading = "".join(f'<th class="n">{name_html(of.name)}</th>' for of in columns)
    yield f'<div class="wide"><table><tr><th>figure</th>{heading}</tr>'
    for name, meaning, write in _ROWS:
        yield _row(name, meaning, map(write, columns))
    for rates in zip(*(of.error_rates for of in columns), strict=True):
        collar_s = rates[0].collar_s
        around = f"; without {collar_s:g} s around boundaries" if collar_s else ""
        meaning = f"missed + false alarm + confusion, by speech{around}"
        yield _row(f"{rates[0].measure} error rate", meaning, map(_error_rate, rates))
    yield "</table></div>"


def _row(name: str, meaning: str, values: Iterable[str]) -> str:
    cells = "".join(f'<td class="n">{value}</td>' for value in values)
    more = f'<br><span class="soft">{meaning}</span>' if meaning else ""
    return f"<tr><td>{name}{more}</td>{cells}</tr>"


def _error_rate(of: ErrorRate) -> str:
    parts = (of.missed_s, of.false_alarm_s, of.confusion_s)
    return f"{percent(of.rate)}<br>" + " + ".join(
        percent(ratio(part, of.total_s)) for part in parts
    )
