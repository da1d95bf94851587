from __future__ import annotations

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from kikiwake.engine.result import Candidate, Counters, Result
from kikiwake.tools.score import Segment
from kikiwake.tools.view import LiveView, screenshot_svg

CAST = {"Hinano Sakura": "Aoi Mori", "猫屋敷シズネ": "水島はるか", "Gensai": "Kenji Oto"}
TRUTH = [Segment(1 + 5 * i, 4.5 + 5 * i, list(CAST)[i % 3]) for i in range(8)]


HEALTHY = Counters()


def filled(*, truth: bool = True, counters: Counters = HEALTHY, seconds: float = 32) -> LiveView:
    view = LiveView("starter · demo.ogg", list(CAST), TRUTH if truth else ())
    for hop in range(1, round(seconds * 10) + 1):
        time = hop / 10
        name = next((s.name for s in TRUTH if s.start + 0.3 <= time < s.end + 0.2), None)
        top = tuple(Candidate(c, a, 0.93 if c == name else 0.02) for c, a in CAST.items())
        shown = (True, name, CAST[name], 0.93, top) if name else (False, None, None, 0.0, ())
        view.add(Result(time, *shown, level_db=-18.0, counters=counters))
    return view


def drawn(view: LiveView, width: int = 80, height: int = 24, **options) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, **options)
    console.print(view)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [30, 40, 63, 64, 80, 200])
@pytest.mark.parametrize("height", [18, 24, 50])
@pytest.mark.parametrize("truth", [False, True])
def test_it_fits_the_terminal(width, height, truth) -> None:
    for view in (filled(truth=truth, counters=Counters(overflows=2)), LiveView("nothing yet")):
        lines = drawn(view, width, height)
        assert len(lines) <= height
        assert max(map(cell_len, lines)) <= width


def test_it_shows_who_speaks_and_how_sure() -> None:
    text = "\n".join(drawn(filled(seconds=22)))
    for part in ("猫屋敷シズネ", "水島はるか", "93 %", "-18 dB", "00:22.0", "heard", "truth", "✓"):
        assert part in text


def test_nobody_is_a_quiet_sign() -> None:
    text = "\n".join(drawn(filled(seconds=30.5)))
    assert "…" in text
    assert "93 %" not in text


def viewing(**changes) -> LiveView:
    """Make a view of one result; of nobody, without changes."""
    view = LiveView("x", list(CAST))
    nobody = {"character": None, "actor": None, "confidence": 0.0, "top": (), "level_db": -18.0}
    view.add(Result(time=1.0, speech=True, **nobody | changes))
    return view


def showing(**changes) -> str:
    return "\n".join(drawn(viewing(**changes)))


def test_a_voice_that_nobody_of_the_cast_has_is_a_question_mark() -> None:
    text = showing(unknown=True)
    for part in ("?", "a voice nobody here has"):
        assert part in text
        assert part not in showing()
    assert "…" not in text


def test_an_actor_alone_is_named_and_that_the_character_is_not_sure() -> None:
    text = showing(actor="Kenji Oto", confidence=0.81)
    for part in ("Kenji Oto", "as whom is not sure", "81 %"):
        assert part in text
    assert "Gensai" not in text
    assert "as whom" not in showing(character="Gensai", actor="Kenji Oto", confidence=0.81)


def test_of_two_who_speak_at_once_both_are_named() -> None:
    gensai = {"character": "Gensai", "actor": "Kenji Oto", "confidence": 0.53}
    second = Candidate("猫屋敷シズネ", "水島はるか", 0.41)
    text = showing(**gensai, second=second)
    for part in ("Gensai", "猫屋敷シズネ", "53 %"):
        assert part in text
    assert "猫屋敷シズネ" not in showing(**gensai)


@pytest.mark.parametrize("width", [30, 80])
@pytest.mark.parametrize(
    "shown",
    [
        {"unknown": True},
        {"actor": "Kenji Oto " * 9, "confidence": 0.8},
        {
            "character": "Gensai " * 9,
            "actor": "Kenji Oto",
            "confidence": 0.53,
            "second": Candidate("猫屋敷シズネ" * 9, "水島はるか", 0.41),
        },
    ],
)
def test_whatever_is_shown_takes_the_room_of_a_name(width, shown) -> None:
    lines, nobody = drawn(viewing(**shown), width), drawn(viewing(), width)
    assert max(map(cell_len, lines)) <= width
    below = [[line[:5] for line in text].index("level") for text in (lines, nobody)]
    assert below[0] == below[1]


def test_counters_show_only_when_something_is_wrong() -> None:
    assert "overflow" not in "\n".join(drawn(filled()))
    assert "input overflows 3" in "\n".join(drawn(filled(counters=Counters(overflows=3))))


def test_a_wrong_turn_is_named_beside_the_truth() -> None:
    view = LiveView("x", list(CAST), [Segment(0, 2, "Gensai")])
    for time, name in ((0.5, "Hinano Sakura"), (1.5, None)):
        view.add(Result(time, True, name, name and CAST[name], 0.9, (), -20.0))
    assert "✗ Gensai" in "\n".join(drawn(view))


def test_without_colours_the_turns_still_stand_out() -> None:
    text = "\n".join(drawn(filled(), force_terminal=True, color_system="truecolor", no_color=True))
    assert "\x1b[7mGensai " in text  # reversed, in the timeline
    assert "38;2" not in text
    assert "38;5" not in text


def test_the_picture_holds_the_view() -> None:
    svg = screenshot_svg(filled(), title="kikiwake demo")
    assert svg.startswith("<svg")
    assert "猫屋敷シズネ" in svg
    assert "kikiwake" in svg
