"""The live terminal view: who is speaking, how sure, how loud, and the last turns."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..engine.result import Counters, Result, Turn, TurnTracker
from .score import Score, Segment

QUIET = "…"
LANE_S = 30.0
LANE_TURNS = 300
FLOOR_DB = -60.0
_PLAIN = Console(file=io.StringIO())  # to wrap text by; nothing is printed there
WIDE = 64  # columns from which panels stand side by side

# Apart from each other on dark and on light ground; the terminal's own sixteen vary too much.
_COLOURS = (
    "#e8883a", "#3f9be0", "#4cae4f", "#d65db1", "#c9a227",
    "#7d74e0", "#1fa79b", "#e05561", "#8a9a3b", "#b07b56",
)  # fmt: skip


class LiveView:
    """Everything the terminal shows of a running recognizer; `rich` draws it at any size.

    Parameters
    ----------
    title : str
        What is listened to.
    characters : sequence of str
        Names of the cast; their order gives them their colours.
    truth : sequence of Segment
        Who really speaks, where that is known; shown beside.

    Notes
    -----
    `add` only notes the result, so it costs whoever calls it next to nothing. Drawing may happen
    in another thread: it looks at what has been added so far.
    """

    def __init__(
        self, title: str, characters: Sequence[str] = (), truth: Sequence[Segment] = ()
    ) -> None:
        self.title = title
        self._truth = truth
        self._latest: Result | None = None
        self._details = False
        self._tracker = TurnTracker()
        names = dict.fromkeys([*characters, *(segment.name for segment in truth)])
        self._colours = {name: _COLOURS[i % len(_COLOURS)] for i, name in enumerate(names)}

    def add(self, result: Result) -> None:
        """Take the next result."""
        self._tracker.add(result)
        self._latest = result

    def toggle_details(self) -> None:
        """Show how the listening itself goes, or no longer."""
        self._details = not self._details

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width
        height = options.height or console.height
        yield from console.render(self._screen(width, height), options)

    def _screen(self, width: int, height: int) -> RenderableType:
        result = self._latest
        wide = width >= WIDE
        side = width * 2 // 5 if wide else width
        now = Panel(self._now(result, (width - side if wide else width) - 4), box=box.ROUNDED)
        n_ranked = 4 if wide else 3
        ranking = self._ranking(result, side - 4, n_ranked)
        parts: list[RenderableType] = [self._header(result, width)]
        if wide:
            row = Table.grid(expand=True)
            row.add_column(width=width - side)
            row.add_column(width=side)
            row.add_row(now, Panel(ranking, box=box.ROUNDED, border_style="dim"))
            parts.append(row)
            used = 1 + 2 + n_ranked
        else:
            parts += [now, ranking]
            used = 1 + 6 + n_ranked
        parts.append(_level(-120.0 if result is None else result.level_db, width))
        parts.append(Text())
        lanes = list(self._lanes(result, width))
        parts += lanes
        parts.append(Text())
        used += 3 + len(lanes)
        footer = [line for said in self._footer(result) for line in said.wrap(_PLAIN, width)]
        n_turns = height - used - len(footer) - 1
        if n_turns > 0:
            parts.append(self._turns(n_turns, wide))
        return Group(*parts, *footer)

    def _footer(self, result: Result | None) -> Iterator[Text]:
        if result is None:
            return
        lost = (describe_counters(result.counters), "yellow")
        measured = (describe_measures(result.counters) if self._details else "", "dim")
        for said, style in ((result.notice, "bold yellow"), lost, measured):
            if said:
                yield Text(said, style=style)

    def _header(self, result: Result | None, width: int) -> Text:
        time = clock(0.0 if result is None else result.time)
        left = f"Kikiwake  {self.title}"
        text = Text(_fit(left, width - len(time) - 1) + " " + time, no_wrap=True, style="dim")
        text.stylize("bold not dim", 0, len("Kikiwake"))
        text.stylize("not dim", len(text) - len(time))
        return text

    def _now(self, result: Result | None, width: int) -> RenderableType:
        bar_width = max(width - 6, 3)
        if result is None or result.actor is None:
            says, headline = "", QUIET
            if result is not None and result.state == "waiting":
                says = "waiting for the device"
            elif result is not None and result.unknown:
                says, headline = "a voice nobody here has", "?"
            elif result is not None and result.speech:
                says = "somebody, or noise"
            return Group(Text(headline, style="bold"), Text(says, style="dim"), Text(), Text())
        sure = _bar(result.confidence, bar_width, self._colour(result.character or result.actor))
        sure.append(f" {percent(result.confidence)}", style="bold")
        if result.character is None:
            name = Text(_fit(result.actor, width), style="bold")
            return Group(name, Text(" as whom is not sure", style="dim"), Text(), sure)
        name = self._name(result.character, width)
        if result.second is not None:
            return Group(name, self._name(result.second.character, width), Text(), sure)
        actor = Text(f" {result.actor}", no_wrap=True, overflow="ellipsis")
        return Group(name, actor, Text(), sure)

    def _name(self, name: str, width: int) -> Text:
        return Text(f" {_fit(name, width - 2)} ", style=f"bold reverse {self._colour(name)}")

    def _ranking(self, result: Result | None, width: int, n: int) -> RenderableType:
        lines = []
        name_width = min(max((cell_len(name) for name in self._colours), default=8), width // 2)
        for candidate in () if result is None else result.top[:n]:
            colour = self._colour(candidate.character)
            line = Text.assemble((set_cell_size(candidate.character, name_width), colour), " ")
            line.append_text(_bar(candidate.share, max(width - name_width - 7, 3), colour))
            line.append(f" {percent(candidate.share)}")
            lines.append(line)
        return Group(*lines, *[Text()] * (n - len(lines)))

    def _lanes(self, result: Result | None, width: int) -> Iterator[Text]:
        """Draw the last half minute, the newest sound at the right edge."""
        now = 0.0 if result is None else result.time
        recent = self._tracker.turns[-LANE_TURNS:]  # a stream may have run for days
        heard = [Segment(turn.start, turn.end, turn.character) for turn in recent]
        lanes = {"heard": heard, "truth": list(self._truth)} if self._truth else {"": heard}
        margin = max(map(len, lanes)) + 1
        for label, segments in lanes.items():
            line = Text.assemble((label.ljust(margin), "dim"), no_wrap=True)
            line.append_text(self._lane(segments, now, width - margin - 1))
            yield line
        axis = f"-{LANE_S:.0f} s".ljust((width - margin - 1) - len("now")) + "now"
        yield Text(" " * margin + axis, style="dim", no_wrap=True)

    def _lane(self, segments: list[Segment], now: float, width: int) -> Text:
        line = Text(no_wrap=True)

        def at(cell: int) -> Segment | None:
            time = now - LANE_S * (1 - (cell + 0.5) / width)
            return next((s for s in segments if s.start <= time < s.end), None)

        for segment, cells in groupby(range(width), at):
            length = len(list(cells))
            if segment is None:
                line.append("·" * length, style="dim")
            else:
                # Reversed, not coloured ground: it is still there where NO_COLOR is set.
                style = f"reverse {self._colour(segment.name)}"
                line.append(set_cell_size(segment.name, length), style=style)
        return line

    def _turns(self, n: int, wide: bool) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, min_width=len("00:00.0"), style="dim")
        table.add_column(no_wrap=True, min_width=len("00.0 s"), justify="right")
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        for turn in reversed(self._tracker.turns[-n:]):
            name = Text(turn.character, style=self._colour(turn.character), overflow="ellipsis")
            last = [self._check(turn)] if self._truth else [Text(turn.actor, style="dim")] * wide
            table.add_row(clock(turn.start), f"{turn.end - turn.start:.1f} s", name, *last)
        return table

    def _check(self, turn: Turn) -> Text:
        """Say whether it was so: the one who really spoke for most of the turn."""
        spoken: dict[str, float] = {}
        for segment in self._truth:
            overlap = min(segment.end, turn.end) - max(segment.start, turn.start)
            if overlap > 0:
                spoken[segment.name] = spoken.get(segment.name, 0.0) + overlap
        if not spoken:
            return Text("✗ nobody" if turn.end > turn.start else "", style="red")
        name = max(spoken, key=spoken.__getitem__)
        if name == turn.character:
            return Text("✓", style="green")
        return Text(f"✗ {name}", style="red")

    def _colour(self, name: str) -> str:
        return self._colours.get(name, "default")


def clock(seconds: float) -> str:
    """Write a time as minutes and seconds.

    Examples
    --------
    >>> clock(72.34)
    '01:12.3'
    """
    tenths = round(seconds * 10)
    return f"{tenths // 600:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"


def percent(share: float) -> str:
    """Write a share in percent, five characters wide.

    Examples
    --------
    >>> percent(0.974)
    ' 97 %'
    """
    return f"{100 * share:3.0f} %"


def describe_counters(counters: Counters) -> str:
    """Say what went wrong so far; nothing on a healthy stream.

    Examples
    --------
    >>> from kikiwake.engine.result import Counters
    >>> describe_counters(Counters(bad_samples=3, missing_ms=1500))
    'bad samples 3 (NaN or infinite, read as silence), no sound for 1.5 s'
    >>> describe_counters(Counters())
    ''
    """
    parts = (
        (counters.dropped_samples, f"dropped samples {counters.dropped_samples}"),
        (counters.overflows, f"input overflows {counters.overflows}"),
        (counters.skipped_samples, f"skipped samples {counters.skipped_samples} (fell behind)"),
        (counters.missed_results, f"missed results {counters.missed_results}"),
        (
            counters.bad_samples,
            f"bad samples {counters.bad_samples} (NaN or infinite, read as silence)",
        ),
        (counters.reopened, f"device losses {counters.reopened}"),
        (counters.missing_ms, f"no sound for {counters.missing_ms / 1e3:.1f} s"),
    )
    return ", ".join(text for count, text in parts if count)


def describe_measures(counters: Counters) -> str:
    """Say how the audio thread does; nothing where there is none.

    Examples
    --------
    >>> from kikiwake.engine.result import Counters
    >>> describe_measures(Counters(callbacks=90, callback_us=2.1, longest_callback_us=9.5,
    ...                            jitter_ms=0.4, longest_gap_ms=12, age_ms=7.3))
    'audio thread: 90 blocks in 2.1 µs each, longest 9.5 µs, jitter 0.4 ms, longest gap 12.0 ms; newest sample 7.3 ms old'
    """  # noqa: E501
    if not counters.callbacks:
        return ""
    return (
        f"audio thread: {counters.callbacks} blocks in {counters.callback_us:.2g} µs each, "
        f"longest {counters.longest_callback_us} µs, jitter {counters.jitter_ms} ms, "
        f"longest gap {counters.longest_gap_ms:.1f} ms; newest sample {counters.age_ms} ms old"
    )


def summarize(turns: Iterable[Turn], counters: Counters, heard_s: float) -> RenderableType:
    """Sum up a stream whose truth is not known: turns, time of each character, counters."""
    table = _table("character", "actor", "turns", "seconds")
    of: dict[tuple[str, str], list[float]] = {}
    for turn in turns:
        of.setdefault((turn.character, turn.actor), []).append(turn.end - turn.start)
    for (name, actor), spans in sorted(of.items(), key=lambda item: -sum(item[1])):
        table.add_row(name, actor, str(len(spans)), f"{sum(spans):.1f}")
    n_turns = sum(map(len, of.values()))
    lines: list[RenderableType] = [Text(f"{clock(heard_s)} heard, turns: {n_turns}")]
    if of:
        lines.append(table)
    if said := describe_counters(counters):
        lines.append(Text(said, style="yellow"))
    if said := describe_measures(counters):
        lines.append(Text(said, style="dim"))
    return Group(*lines)


def summarize_score(score: Score, counters: Counters) -> RenderableType:
    """Sum up a stream beside its truth."""
    table = _table("character", "speech", "right", "wrong", "missed", "shown")
    for name, of in sorted(score.characters.items(), key=lambda item: -item[1].speech_s):
        seconds = (of.speech_s, of.right_s, of.wrong_s, of.missed_s, of.shown_s)
        table.add_row(name, *(f"{value:.1f} s" for value in seconds))
    shares = [100 * score.share(s) for s in (score.right_s, score.wrong_s, score.missed_s)]
    lines: list[RenderableType] = [
        table,
        Text(
            "of {:.1f} s of speech: right {:.1f} %, wrong {:.1f} %, missed {:.1f} %".format(
                score.speech_s, *shares
            )
        ),
        Text(
            f"label changes while nobody spoke: {score.unjustified_changes}; "
            f"longest name after speech: {score.longest_overhang_s:.2f} s"
        ),
        Text(f"turns: {score.turns_shown} shown, {score.turns_true} true"),
    ]
    if said := describe_counters(counters):
        lines.append(Text(said, style="yellow"))
    return Group(*lines)


def screenshot_svg(
    view: RenderableType, *, title: str = "kikiwake", width: int = 80, height: int = 24
) -> str:
    """Draw a view as a picture of a terminal.

    Parameters
    ----------
    view : renderable
        A `LiveView`, say.
    title : str
        Of the terminal's window.
    width, height : int
        Of the terminal, in characters.

    Returns
    -------
    str
        SVG.
    """
    console = Console(
        record=True,
        file=io.StringIO(),
        width=width,
        height=height,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
    )
    console.print(view)
    # Without the web font that rich refers to: looking at a picture fetches nothing.
    return re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title=title), flags=re.DOTALL)


def _table(*headings: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for i, heading in enumerate(headings):
        text = heading in ("character", "actor")
        table.add_column(heading, justify="left" if text else "right", no_wrap=not text or i == 0)
    return table


def _fit(text: str, width: int) -> str:
    """Cut or pad to exactly `width` cells, with an ellipsis where it is cut."""
    if cell_len(text) <= width:
        return set_cell_size(text, width)
    return set_cell_size(text, max(width - 1, 0)) + QUIET


def _bar(share: float, width: int, colour: str) -> Text:
    eighths = round(min(max(share, 0.0), 1.0) * width * 8)
    full, part = divmod(eighths, 8)
    bar = "█" * full + (" ▏▎▍▌▋▊▉"[part] if part else "")
    text = Text(bar, style=colour, no_wrap=True)
    text.append("─" * (width - len(bar)), style="dim")
    return text


def _level(level_db: float, width: int) -> Text:
    label = "level "
    value = f" {level_db:4.0f} dB" if level_db > FLOOR_DB else f" < {FLOOR_DB:.0f} dB".rjust(8)
    colour = "red" if level_db > -3 else "yellow" if level_db > -12 else "green"
    line = Text.assemble((label, "dim"), no_wrap=True)
    line.append_text(_bar(1 - level_db / FLOOR_DB, max(width - len(label) - 9, 3), colour))
    line.append(value)
    return line
