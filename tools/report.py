"""Figures as pictures and a page: what ``kikiwake evaluate --to`` writes.

The page is one file that needs no network and no scripts: pictures are in it, each for a light and
a dark screen. Names may hold anything; a browser can show all of them, and Matplotlib those that a
font is installed for. Where one is missing, the classes have numbers in the pictures, and the page
lists whose they are.
"""

from __future__ import annotations

import base64
import contextlib
import html
import io
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ..errors import KikiwakeError
from ..files import write_file
from .cast_files import shown
from .evaluate import HEARD_LINES, ClassFigures, Figures, Level, headline, notes, percent
from .terminal import extra
from .view import clock

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAGE = "report.html"
FIGURES = "figures.json"
PICTURES = "heard.png", "characters.png", "actors.png", "reliability.png"

_DPI = 160
_MAX_NAME = 24
_NUMBERED_CELLS = 40  # with more classes their cells are too small for a number
_RIGHT_TO_LEFT = "R", "AL", "AN"
_EMOJI = range(0x1F000, 0x20000)
# Where several fonts have the characters: the usual ones of each system first, regular before bold.
_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "Source Han Sans",
    "Hiragino Sans",
    "Yu Gothic",
    "Meiryo",
    "IPAexGothic",
    "IPAPGothic",
    "IPAGothic",
    "TakaoPGothic",
    "VL PGothic",
    "MS Gothic",
)


class ReportError(KikiwakeError):
    """A report cannot be written."""


@dataclass(frozen=True)
class Look:
    """Colours of a picture: those of the page around it."""

    ground: str
    ink: str
    faint: str
    lines: tuple[str, str, str]
    full: tuple[str, ...]  # of the confusion matrix, from none to all


# Blue, orange and green that are told apart without seeing red and green (Okabe and Ito).
LIGHT = Look(
    "#ffffff",
    "#1d2330",
    "#d4d9e2",
    ("#0072b2", "#d55e00", "#009e73"),
    ("#ffffff", "#b8d4ea", "#4b93c8", "#0b4a86", "#06264a"),
)
DARK = Look(
    "#171b24",
    "#e4e8f0",
    "#3b4352",
    ("#56b4e9", "#f0a25a", "#3cc79a"),
    ("#171b24", "#1d3f66", "#2c78b5", "#7cc3f0", "#f2faff"),
)


def check_folder(folder: Path) -> None:
    """Refuse a folder in which a report would take the place of something else.

    Parameters
    ----------
    folder : Path
        For the report. It need not be there; an earlier report in it is replaced.

    Raises
    ------
    ReportError
        It is a file, or holds files of these names that are no report.
    """
    try:
        if folder.exists() and not folder.is_dir():
            raise ReportError(f"{folder}: is a file; choose a folder with --to")
        taken = [name for name in (PAGE, FIGURES, *PICTURES) if (folder / name).exists()]
        if taken and not _is_ours(folder / FIGURES):
            raise ReportError(
                f"{folder}: holds {', '.join(taken)} and no report of ours; choose another folder "
                "with --to"
            )
    except OSError as error:
        raise ReportError(f"{folder}: cannot be written to: {error.strerror}") from None


def write_report(figures: Figures, folder: Path) -> None:
    """Write figures as a page, pictures, and JSON. Needs Matplotlib.

    Parameters
    ----------
    figures : Figures
        Of `kikiwake.tools.evaluate.measure`.
    folder : Path
        Gets `PAGE`, `FIGURES` and `PICTURES`, for light screens; of these pictures that of the
        seconds heard is missing where nobody speaks.

    Raises
    ------
    ReportError
        The folder cannot be written to, or holds something else.
    KikiwakeError
        Matplotlib is not installed.
    """
    check_folder(folder)
    light, dark = draw(figures, LIGHT), draw(figures, DARK)
    title = f"{shown(figures.cast)}: how well it names"
    body = _body(figures, {name: (light[name], dark[name]) for name in light})
    write_files(folder, msgspec.json.encode(figures), light, page(title, body))


def write_files(folder: Path, figures: bytes, pictures: dict[str, bytes], page: str) -> None:
    """Write what a report consists of, in the place of an earlier one.

    Parameters
    ----------
    folder : Path
        As for `check_folder`.
    figures : bytes
        JSON, with the format that tells reports of ours.
    pictures : dict of str to bytes
        PNG files by name; those of `PICTURES` that are not among them are removed.
    page : str
        HTML.

    Raises
    ------
    ReportError
        The folder cannot be written to.
    """
    files = {FIGURES: msgspec.json.format(figures, indent=2) + b"\n"}
    # The figures first: by them a folder whose report was not finished is known as ours.
    files |= pictures | {PAGE: page.encode()}
    try:
        for name, content in files.items():
            write_file(folder / name, content)
        for name in set(PICTURES) - set(pictures):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ReportError(f"{folder}: cannot be written to: {error.strerror}") from None


def draw(figures: Figures, look: Look = LIGHT) -> dict[str, bytes]:
    """Draw the pictures. Needs Matplotlib.

    Parameters
    ----------
    figures : Figures
        Of `kikiwake.tools.evaluate.measure`.
    look : colours, optional
        Those for light screens.

    Returns
    -------
    dict of str to bytes
        PNG files by name.

    Raises
    ------
    KikiwakeError
        Matplotlib is not installed.
    """
    pictures = {}
    with drawing(look):
        if figures.heard:
            pictures["heard.png"] = png(_draw_heard(figures, look))
        pictures["characters.png"] = png(_draw_confusion(figures.characters, look))
        pictures["actors.png"] = png(_draw_confusion(figures.actors, look))
        pictures["reliability.png"] = png(_draw_reliability(figures, look))
    return pictures


@contextlib.contextmanager
def drawing(look: Look) -> Iterator[None]:
    """Have Matplotlib draw in these colours, whatever the user's own settings of it are.

    Raises
    ------
    KikiwakeError
        Matplotlib is not installed.
    """
    with extra("train", "a report"):
        from matplotlib import style
    plain = {
        # A name may hold two dollars.
        "text.parse_math": False,
        "text.color": look.ink,
        "axes.labelcolor": look.ink,
        "axes.edgecolor": look.faint,
        "axes.facecolor": look.ground,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.facecolor": look.ground,
        "grid.color": look.faint,
        "legend.frameon": False,
        "xtick.color": look.ink,
        "ytick.color": look.ink,
        "font.size": 10,
    }
    with style.context(["default", plain]):
        yield


def fonts_for(text: str) -> list[str] | None:
    """Find fonts that have all characters of a text. Needs Matplotlib.

    Parameters
    ----------
    text : str
        To be drawn.

    Returns
    -------
    list of str or None
        Names of font families; None where Matplotlib could not draw the text.
    """
    from matplotlib import font_manager

    usual = "DejaVu Sans"  # comes with Matplotlib
    has = font_manager.get_font(font_manager.findfont(usual))
    missing = {ord(c) for c in text if not c.isspace() and not has.get_char_index(ord(c))}
    # It draws one character after the other, from the left, and each in one colour.
    if any(unicodedata.bidirectional(c) in _RIGHT_TO_LEFT for c in text) or any(
        code in _EMOJI for code in missing
    ):
        return None
    if not missing:
        return [usual]
    rank = {name: number for number, name in enumerate(_FONTS)}
    for entry in sorted(
        font_manager.fontManager.ttflist,
        key=lambda entry: (rank.get(entry.name, len(rank)), entry.name, str(entry.weight) == "700"),
    ):
        if "lastresort" in entry.name.casefold().replace(" ", ""):
            continue  # has a box for everything; comes with Matplotlib and with macOS
        try:
            font = font_manager.get_font(entry.fname)
        except (OSError, RuntimeError):
            continue  # removed since Matplotlib looked, or nothing that FreeType reads
        if font.scalable and all(font.get_char_index(code) for code in missing):
            return [usual, entry.name]
    return None


def _is_ours(path: Path) -> bool:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.get("format") == "kikiwake-figures"


# Pictures


def png(figure: Figure) -> bytes:
    """Write a picture as a PNG file."""
    out = io.BytesIO()
    figure.savefig(
        out,
        format="png",
        dpi=_DPI,
        bbox_inches="tight",  # whatever the lengths of the names
        pad_inches=0.1,
        metadata={"Software": None},
    )
    return out.getvalue()


def new_figure(width: float, height: float, layout: Literal["constrained"] | None) -> Figure:
    """Begin a picture, of a size in inches."""
    # Not by way of pyplot: that wants a screen, and keeps every figure.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout=layout)


def _in_percent(axis: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))


def _draw_heard(figures: Figures, look: Look) -> Figure:
    figure = new_figure(7.0, 3.9, "constrained")
    axes: Axes = figure.subplots()
    markers = "o", "s", "^"
    drawn = [of for of in figures.heard if of.top1 is not None]
    x = [of.seconds for of in drawn]
    for (name, field), colour, marker in zip(HEARD_LINES.items(), look.lines, markers, strict=True):
        y = [getattr(of, field) for of in drawn]
        axes.plot(x, y, marker=marker, color=colour, label=_HEARD_NAMES[name], clip_on=False)
    seconds = [of.seconds for of in figures.heard]
    axes.set_xticks(seconds, [f"{each:g}" for each in seconds])
    axes.set_xlim(0, max(seconds) * 1.03)
    axes.set_ylim(0, 1)
    _in_percent(axes.yaxis)
    axes.set_xlabel("seconds of speech heard")
    axes.set_ylabel("named right")
    axes.grid(visible=True)
    figure.legend(loc="outside upper center", ncols=3)
    return figure


_HEARD_NAMES = {
    "top-1": "character, of all runs",
    "macro recall": "character, mean over characters",
    "top-1 by actor": "actor, of all runs",
}


def names_in_picture(level: Level) -> tuple[list[str], list[str] | None]:
    """Choose what a class is called in a picture: its number, and its name where there is a font.

    Parameters
    ----------
    level : Level
        Classes.

    Returns
    -------
    names : list of str
        For each class.
    fonts : list of str or None
        What they are to be drawn in; None where they are numbers.
    """
    names = [_short(of, level.classes) for of in level.classes]
    fonts = fonts_for("".join(names))
    return [
        str(number) if fonts is None else f"{name}  {number}"
        for number, name in enumerate(names, 1)
    ], fonts


def _short(of: ClassFigures, all_of_them: Sequence[ClassFigures]) -> str:
    alike = sum(other.name == of.name for other in all_of_them) > 1
    name = unicodedata.normalize("NFC", of.label if alike else shown(of.name))
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"


def _draw_confusion(level: Level, look: Look) -> Figure:
    import numpy as np
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm
    from matplotlib.patches import Rectangle

    counts = np.array(level.confusion, np.float64)
    n = len(counts)
    sums = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, sums, out=np.full_like(counts, np.nan), where=sums > 0)
    names, fonts = names_in_picture(level)
    side = max(2.4, 0.29 * n)
    figure = new_figure(side, side, None)
    axes: Axes = figure.add_axes((0, 0, 1, 1))
    # What is rare is seen, too.
    colours, norm = LinearSegmentedColormap.from_list("share", look.full), PowerNorm(0.6, 0, 1)
    axes.set_facecolor(look.faint)  # of classes that have no windows
    drawn = axes.pcolormesh(
        np.ma.masked_invalid(shares), cmap=colours, norm=norm, edgecolors=look.faint, linewidth=0.4
    )
    axes.invert_yaxis()
    size = 9 if n <= _NUMBERED_CELLS else 7
    axes.set_yticks(np.arange(n) + 0.5, names, fontsize=9)
    axes.set_xticks(np.arange(n) + 0.5, [str(number + 1) for number in range(n)], fontsize=size)
    if fonts is not None:
        for label in axes.get_yticklabels():
            label.set_fontfamily(fonts)
    axes.tick_params(length=0, labeltop=True)
    axes.set_xlabel("named as")
    axes.set_ylabel("speaks")
    axes.spines[:].set_visible(False)
    if n <= _NUMBERED_CELLS:
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:  # no number where it would be a nought
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    f"{100 * share:.0f}",
                    ha="center",
                    va="center",
                    fontsize=6.5,
                    color=look.ground if norm(share) > 0.5 else look.ink,
                )
    for begin, end in _of_one_actor(level.classes):
        frame = Rectangle((begin, begin), end - begin, end - begin, fill=False, linewidth=1.4)
        frame.set(edgecolor=look.lines[1], clip_on=False)
        axes.add_patch(frame)
    # As high as the matrix, or three inches; always two tenths of an inch wide.
    height = min(1.0, 3.0 / side)
    bar = figure.colorbar(drawn, cax=figure.add_axes((1 + 0.25 / side, 0, 0.18 / side, height)))
    bar.set_ticks([0, 0.05, 0.2, 0.5, 1])
    _in_percent(bar.ax.yaxis)
    bar.outline.set_visible(False)
    return figure


def _of_one_actor(classes: Sequence[ClassFigures]) -> Iterator[tuple[int, int]]:
    """Find neighbours with the same actor: the first, and the one after the last."""
    begin = 0
    for end in range(1, len(classes) + 1):
        actor = classes[begin].actor
        if end == len(classes) or classes[end].actor != actor:
            if actor is not None and end - begin > 1:
                yield begin, end
            begin = end


def _draw_reliability(figures: Figures, look: Look) -> Figure:
    figure = new_figure(5.4, 5.6, "constrained")
    upper, lower = figure.subplots(2, sharex=True, height_ratios=[3, 1])
    used = [of for of in figures.bins if of.windows]
    blue, orange, _ = look.lines
    upper.plot([0, 1], [0, 1], color=look.ink, linewidth=1, linestyle=(0, (4, 4)))
    upper.bar(
        [of.low for of in used],
        [of.accuracy for of in used],
        [of.high - of.low for of in used],
        align="edge",
        color=blue,
        edgecolor=look.ground,
    )
    upper.plot(
        [of.confidence for of in used],
        [of.accuracy for of in used],
        "o",
        color=orange,
        clip_on=False,
    )
    upper.set_ylim(0, 1)
    upper.set_xlim(0, 1)
    upper.set_ylabel("named right")
    _in_percent(upper.yaxis)
    lower.bar(
        [of.low for of in figures.bins],
        [of.windows / figures.windows for of in figures.bins],
        [of.high - of.low for of in figures.bins],
        align="edge",
        color=blue,
        edgecolor=look.ground,
    )
    lower.set_ylabel("of windows")
    lower.set_xlabel("confidence")
    _in_percent(lower.yaxis)
    _in_percent(lower.xaxis)
    upper.grid(visible=True)
    upper.set_axisbelow(True)
    return figure


# The page

_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1d2330; --faint: #d4d9e2;
  --soft: #5b6577; --bar: #cfe4f3; --bad: #b3401f; }
@media (prefers-color-scheme: dark) { :root { --ground: #171b24; --ink: #e4e8f0;
  --faint: #3b4352; --soft: #a0aabc; --bar: #1f486b; --bad: #ff9b7a; } }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
  max-width: 66rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2.5rem; }
p, figcaption, .soft { color: var(--soft); } figure { margin: 0; } figcaption { font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; }
.cards div { border: 1px solid var(--faint); border-radius: .5rem; padding: .6rem .8rem; }
.cards b { display: block; font-size: 1.35rem; } .cards span { color: var(--soft);
  font-size: .85rem; }
.wide { overflow-x: auto; } img { display: block; max-width: 100%; height: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th { text-align: start; color: var(--soft); font-weight: 600; }
th, td { padding: .25rem .7rem .25rem 0; border-bottom: 1px solid var(--faint);
  vertical-align: top; min-width: 7rem; }
.n.n { text-align: end; font-variant-numeric: tabular-nums; white-space: nowrap;
  min-width: 0; }
.bar { background: linear-gradient(to right, var(--bar) var(--share), transparent 0); }
.wrong { color: var(--bad); }
.names { columns: 14rem; font-size: .9rem; padding-inline-start: 2.2rem; }
""".strip()


def page(title: str, body: Iterable[str]) -> str:
    """Make a page that looks like the others.

    Parameters
    ----------
    title : str
        Plain text.
    body : iterable of str
        Lines of HTML.

    Returns
    -------
    str
    """
    lines = (
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html.escape(title)}</title>",
        f"<style>{_STYLE}</style>",
        "</head>",
        "<body>",
        *body,
        "</body>",
        "</html>",
        "",
    )
    return "\n".join(lines)


def _body(figures: Figures, pictures: dict[str, tuple[bytes, bytes]]) -> Iterator[str]:
    yield f"<h1>How well {name_html(figures.cast)} names</h1>"
    yield f"<p>{headline(figures, name_html)}</p>"
    yield '<div class="cards">'
    for value, what in _cards(figures):
        yield f"<div><b>{value}</b><span>{what}</span></div>"
    yield "</div>"
    for note in notes(figures, name_html):
        yield f"<p>{note}</p>"
    yield f"<p>Network: {html.escape(figures.network)}.</p>"
    if figures.heard:
        yield "<h2>The longer it hears</h2>"
        yield picture_html("accuracy by seconds heard", pictures["heard.png"], wide=False)
        yield from _heard_table(figures)
        yield (
            "<p>Neighbouring windows of one character in one recording, their mean log posterior, "
            "from every window on.</p>"
        )
    yield "<h2>Each character</h2>"
    yield from _class_table(figures.characters)
    yield "<h2>Who is taken for whom</h2>"
    yield from _confusion(figures.characters, pictures["characters.png"], "character")
    yield "<h2>By actor</h2>"
    yield from _class_table(figures.actors)
    yield from _confusion(figures.actors, pictures["actors.png"], "actor")
    yield "<h2>Does it know how sure it is?</h2>"
    yield picture_html(
        "reliability",
        pictures["reliability.png"],
        wide=False,
        caption="Bars on the dashed line mean what they say; below it, it is too sure. Below, how "
        "many windows are named with which confidence.",
    )
    yield from _worst_table(figures)


def _cards(figures: Figures) -> Iterator[tuple[str, str]]:
    for what, level in (("character", figures.characters), ("actor", figures.actors)):
        yield percent(level.top1), f"top-1 by {what}"
        yield percent(level.macro_f1), f"macro-F1 by {what}"
        yield percent(level.macro_recall), f"macro recall by {what}"
    yield percent(figures.confidence), "mean confidence"
    yield percent(figures.calibration_error), "expected calibration error"
    yield f"{figures.negative_log_likelihood:.3f}", "negative log likelihood"
    yield f"{figures.network_bytes / 1000:.0f} kB", "network"


def _heard_table(figures: Figures) -> Iterator[str]:
    heading = "".join(f'<th class="n">{of.seconds:g} s</th>' for of in figures.heard)
    yield f'<div class="wide"><table><tr><th>heard</th>{heading}</tr>'
    for name, field in HEARD_LINES.items():
        cells = "".join(f'<td class="n">{percent(getattr(of, field))}</td>' for of in figures.heard)
        yield f"<tr><td>{_HEARD_NAMES[name]}</td>{cells}</tr>"
    runs = "".join(f'<td class="n">{of.runs}</td>' for of in figures.heard)
    yield f"<tr><td>runs</td>{runs}</tr></table></div>"


def _class_table(level: Level) -> Iterator[str]:
    of_characters = any(of.actor is not None for of in level.classes)
    headings = ['<th class="n">#</th>', "<th>name</th>"]
    headings += ["<th>actor</th>"] if of_characters else []
    headings += [f'<th class="n">{name}</th>' for name in ("n", "recall", "precision", "F1")]
    yield f'<div class="wide"><table><tr>{"".join(headings)}<th>most taken for</th></tr>'
    for number, of in enumerate(level.classes, 1):
        cells = [f'<td class="n">{number}</td>', f"<td>{name_html(of.name)}</td>"]
        cells += [f"<td>{name_html(of.actor or '')}</td>"] if of_characters else []
        cells.append(f'<td class="n">{of.windows}</td>')
        share = f' style="--share: {100 * of.recall:.1f}%"' if of.recall is not None else ""
        cells.append(f'<td class="n bar"{share}>{percent(of.recall)}</td>')
        cells += [f'<td class="n">{percent(value)}</td>' for value in (of.precision, of.f1)]
        other = "–"
        if of.taken_for is not None:
            other = f"{name_html(level.classes[of.taken_for].name)} {percent(of.taken_for_share)}"
        yield f"<tr>{''.join(cells)}<td>{other}</td></tr>"
    yield "</table></div>"


def _confusion(level: Level, picture: tuple[bytes, bytes], what: str) -> Iterator[str]:
    caption = f"Of 100 windows of the {what} at the left, how many are named as the one above."
    if any(_of_one_actor(level.classes)):
        caption += " Framed: characters of one actor."
    if any(of.windows == 0 for of in level.classes):
        caption += " Grey: no windows of it, but it was guessed."
    yield picture_html(f"confusion matrix by {what}", picture, wide=True, caption=caption)
    if names_in_picture(level)[1] is None:
        yield '<ol class="names">'
        for of in level.classes:
            yield f"<li>{name_html(of.name)}{_by(of.actor)}</li>"
        yield "</ol>"


def _worst_table(figures: Figures) -> Iterator[str]:
    clips = any(of.clip is not None for of in figures.worst)
    yield f"<h2>Worst {'clips' if clips else 'windows'}, to be listened to</h2>"
    yield (
        "<p>Those whose truth it thought least likely. A wrong label, two voices at once or a "
        "shout may be the cause.</p>"
    )
    yield (
        '<div class="wide"><table><tr><th>where</th><th class="n">time</th><th>speaks</th>'
        '<th>named as</th><th class="n">confidence</th></tr>'
    )
    for of in figures.worst:
        wrong = "" if of.guess == of.truth else ' class="wrong"'
        yield (
            f"<tr><td>{name_html(of.recording if of.clip is None else of.clip)}</td>"
            f'<td class="n">{clock(of.time_s)}</td><td>{name_html(of.truth)}</td>'
            f'<td{wrong}>{name_html(of.guess)}</td><td class="n">{percent(of.confidence)}</td></tr>'
        )
    yield "</table></div>"


def name_html(text: str) -> str:
    """Escape a name; whatever way it is written, it turns nothing around it."""
    return f"<bdi>{html.escape(shown(text))}</bdi>"


def _by(actor: str | None) -> str:
    return "" if actor is None else f' <span class="soft">{name_html(actor)}</span>'


def picture_html(alt: str, png: tuple[bytes, bytes], *, wide: bool, caption: str = "") -> str:
    """Put a picture into a page: a PNG file for a light screen, and one for a dark one."""
    light, dark = (f"data:image/png;base64,{base64.b64encode(each).decode()}" for each in png)
    width, height = (int.from_bytes(png[0][at : at + 4]) * 96 // _DPI for at in (16, 20))
    # A large one is not made small on a phone, but pushed to and fro.
    least = f' style="min-width: min({width}px, 46rem)"' if wide else ""
    return (
        '<figure><div class="wide"><picture>'
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">'
        f'<img src="{light}" alt="{html.escape(alt)}" width="{width}" height="{height}"{least}>'
        f"</picture></div>{f'<figcaption>{caption}</figcaption>' if caption else ''}</figure>"
    )
