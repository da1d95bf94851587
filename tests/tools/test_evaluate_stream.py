"""`kikiwake evaluate --stream`: its figures against their definitions, and the report."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import sys

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikiwake.engine.result import Candidate, Result
from kikiwake.errors import KikiwakeError
from kikiwake.models.cast import Character, load_cast
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools import stream_cli
from kikiwake.tools.report import DARK, LIGHT, ReportError
from kikiwake.tools.score import Segment, TruthError, read_rttm, read_truth, score
from kikiwake.tools.stream import (
    UNKNOWN,
    Heard,
    Label,
    Spans,
    StreamFigures,
    Timeline,
    describe,
    equal_error_rate,
    false_names_at,
    measure,
    turns,
)
from kikiwake.tools.stream_cli import evaluate_stream
from kikiwake.tools.stream_report import (
    PICTURE_ROWS,
    colours_of,
    draw,
    names_in_picture,
    write_stream_report,
)

ACTORS = {"Ada": "Xu", "Ben": "Xu", "Cy": "Yi"}
CAST = [Character(name, actor) for name, actor in ACTORS.items()]
SECOND = 10**6


def shows(time: float, what: str = "", top: tuple[Candidate, ...] = ()) -> Result:
    """A result that shows a character, "Xu" or "Yi" alone, "?", nothing; "Ada+Ben": two."""
    first, _, second = what.partition("+")
    return Result(
        time=time,
        speech=bool(what),
        character=first if first in ACTORS else None,
        actor=ACTORS.get(first, None if first in ("", "?") else first),
        confidence=0.9,
        top=top,
        level_db=-20.0,
        unknown=first == "?",
        second=Candidate(second, ACTORS[second], 0.4) if second else None,
    )


def figures(shown: dict[float, str], *truth: tuple[float, float, str]) -> StreamFigures:
    """Figures of what is shown from each time on, nothing from the last time on."""
    results = [shows(time, what) for time, what in shown.items()]
    return measure([Heard("one", results, [Segment(*each) for each in truth])], CAST)


class TestSpans:
    SETS = st.lists(
        st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda pair: tuple(sorted(pair))),
        max_size=6,
    )

    @settings(deadline=None)
    @given(SETS, SETS)
    def test_are_sets_of_instants(self, one, other) -> None:
        def instants(pairs) -> set[int]:
            return {time for start, end in pairs for time in range(start, end)}

        a, b = Spans(one), Spans(other)
        for made, expected in (
            (a, instants(one)),
            (a | b, instants(one) | instants(other)),
            (a & b, instants(one) & instants(other)),
            (a - b, instants(one) - instants(other)),
        ):
            assert instants(made.pairs) == expected
            assert made.length == len(expected)
            assert all(made.holds(time) == (time in expected) for time in range(-1, 32))
            assert all(0 < end < start for (_, end), (start, _) in itertools.pairwise(made.pairs))
        for start, end in other:
            if start < end:
                assert a.meets(start, end) == bool(instants(one) & instants([(start, end)]))


class TestSpeechOfTheCast:
    def test_is_parted_by_what_is_shown(self) -> None:
        of = figures(
            {1: "Ada", 4: "Xu", 5: "Ben", 6: "?", 7: "Ben+Ada", 8: "Yi", 9: "", 10: ""},
            (0, 10, "Ada"),
        )
        assert of.speech_s == 10
        assert of.right_s == 3 + 1  # also as the second
        assert of.actor_s == 1
        assert of.wrong_s == 1 + 1  # another character, and another actor alone
        assert of.unknown_s == 1
        assert of.nobody_s == 1 + 1

    def test_counts_once_where_two_speak(self) -> None:
        of = figures({0: "Ben", 6: "Ada", 9: ""}, (0, 5, "Ada"), (4, 7, "Ben"))
        assert (of.speech_s, of.right_s, of.wrong_s) == (7, 1 + 1, 4 + 1)
        of = figures({0: "Ben", 4: "Ada+Ben", 9: ""}, (0, 5, "Ada"), (4, 7, "Ben"))
        assert (of.speech_s, of.right_s, of.wrong_s) == (7, 3, 4)

    def test_an_actor_is_right_for_every_character(self) -> None:
        of = figures({0: "Xu", 3: ""}, (0, 1, "Ada"), (1, 2, "Ben"), (2, 3, "Cy"))
        assert (of.actor_s, of.wrong_s) == (2, 1)

    def test_names_are_the_same_however_written(self) -> None:
        cast = [Character("ガウル_1", "Xu")]
        result = msgspec.structs.replace(shows(0, "Ada"), character="ガウル_1")
        heard = Heard("one", [result, shows(2)], [Segment(0, 2, "ガウル 1")])
        assert measure([heard], cast).right_s == 2


class TestTurns:
    def of(self, *truth: tuple[float, float, str]) -> list[tuple[float, float, str]]:
        heard = Heard("one", [], [Segment(*each) for each in truth])
        return [
            (run.start / SECOND, run.end / SECOND, run.label.name)
            for run in turns(Timeline(heard, CAST).spoken)
        ]

    def test_go_over_half_a_second(self) -> None:
        assert self.of((0, 2, "Ada"), (2.5, 4, "Ada")) == [(0, 4, "Ada")]
        assert self.of((0, 2, "Ada"), (2.51, 4, "Ada")) == [(0, 2, "Ada"), (2.51, 4, "Ada")]

    def test_do_not_go_over_somebody_else(self) -> None:
        said = (0, 2, "Ada"), (2.1, 2.3, "Dee"), (2.4, 4, "Ada")
        assert self.of(*said) == list(said)
        # Who speaks at the same time interrupts nobody.
        assert self.of((0, 2, "Ada"), (1, 1.5, "Ben"), (2.2, 4, "Ada")) == [
            (0, 4, "Ada"),
            (1, 1.5, "Ben"),
        ]
        assert len(self.of((0, 2, "Ada"), (1, 2.1, "Ben"), (2.2, 4, "Ada"))) == 3


class TestOnset:
    def of(self, shown: dict[float, str]) -> float | None:
        return figures(shown, (1, 5, "Ada")).onset_median_s

    def test_is_when_the_name_stays(self) -> None:
        assert self.of({1.25: "Ada", 9: ""}) == 0.25
        assert self.of({1.25: "Ada", 1.74: "", 2: "Ada", 9: ""}) == 1.0
        assert self.of({1.25: "Ada", 1.75: "", 2: "Ada", 9: ""}) == 0.25
        assert self.of({1.25: "Cy+Ada", 1.5: "Ada", 1.75: "", 9: ""}) == 0.25

    def test_is_nothing_for_a_name_that_is_there_before(self) -> None:
        assert self.of({0.5: "Ada", 1.5: "", 9: ""}) == 0.0
        assert self.of({0.5: "Ada", 1.49: "", 3: "Ada", 9: ""}) == 2.0

    def test_at_the_end_needs_less(self) -> None:
        assert self.of({4.75: "Ada", 5: ""}) == 3.75
        assert self.of({4.75: "Ada", 4.9: ""}) is None
        assert self.of({5: "Ada", 9: ""}) is None

    def test_quantiles_are_of_the_nearest_rank(self) -> None:
        starts = [10.0 * number for number in range(20)]
        truth = [(start, start + 5, "Ada") for start in starts]
        truth += [(205, 205.49, "Ada"), (210, 215, "Dee")]  # too short, and a stranger
        shown: dict[float, str] = {}
        for number, start in enumerate(starts[:-1]):
            shown |= {start + 0.1 * number: "Ada", start + 5: ""}
        of = figures(shown, *truth)
        assert (of.turns, of.short_turns, of.never_named) == (20, 1, 1)
        assert of.onset_median_s == pytest.approx(0.9)
        assert of.onset_p95_s == pytest.approx(1.8)
        del shown[170 + 0.1 * 17]
        of = figures(shown, *truth)
        assert (of.never_named, of.onset_p95_s) == (2, None)
        assert any("95 % within never" in line for line in describe(of))


class TestRelease:
    def test_is_until_no_name_is_shown(self) -> None:
        of = figures(
            # gone already; 0.4 s later, by way of another name; not before the next speech
            {0: "Ada", 1.9: "", 5: "Ada", 6.1: "Ben", 6.4: "", 7.1: "Ben", 20: "Ada", 24: ""},
            (0, 2, "Ada"),
            (5, 6, "Ada"),
            (20, 21, "Ada"),
            (23, 24, "Dee"),
            (24.9, 25, "Ada"),  # too soon after the one before, too near to the end
        )
        assert of.ends == 3
        assert (of.release_median_s, of.release_p95_s, of.release_longest_s) == (0.4, 2.0, 2.0)

    def test_counts_a_name_that_comes_late(self) -> None:
        of = figures({0: "", 1.6: "Ada", 4.5: ""}, (1, 1.5, "Ada"))
        assert of.release_longest_s == 3

    def test_unknown_is_no_name(self) -> None:
        of = figures({0: "Ada", 2.25: "?", 5: ""}, (0, 2, "Ada"))
        assert of.release_longest_s == 0.25

    def test_ends_with_the_sound(self) -> None:
        of = figures({0: "Ada", 5: "Ada"}, (0, 2, "Ada"))
        assert of.release_longest_s == 3
        assert figures({0: "Ada", 2.9: ""}, (0, 2, "Ada")).ends == 0


class TestChanges:
    def test_are_runs_of_labels(self) -> None:
        of = figures(
            {0: "Ada", 1: "", 1.5: "Ada", 2: "Ben", 2.25: "Ada", 3: "?", 4: "Ada", 5: "", 60: ""},
            (0, 5, "Ada"),
        )
        # Ada over the pause, Ben, Ada, unknown, Ada.
        assert (of.true_turns, of.shown_turns, of.turns_ratio) == (1, 5, 5)
        assert of.extra_changes_per_minute == 4
        assert (of.appearances, of.flicker_per_minute) == (6, 5)
        assert of.silent_changes == 0

    def test_a_second_voice_is_a_label_and_a_swap_is_none(self) -> None:
        of = figures({0: "Ada", 2: "Ada+Ben", 3: "Ben+Ada", 4: "Ben", 6: ""}, (0, 4, "Ada"))
        assert (of.shown_turns, of.appearances) == (2, 2)

    def test_while_nobody_speaks(self) -> None:
        shown = {1: "Ada", 2: "Ben", 3: "Ada", 4: "", 5: "?", 6: ""}
        of = figures(shown, (1, 2, "Ada"), (3, 4, "Ada"))
        assert of.silent_changes == 2

    def test_missed_turns_are_below_nothing(self) -> None:
        of = figures({60: ""}, (0, 5, "Ada"))
        assert of.extra_changes_per_minute == of.flicker_per_minute == -1


class TestSoundWithoutSpeech:
    def test_begins_a_second_after_speech(self) -> None:
        of = figures(
            # before any speech; left over; too early; false; unknown; in the next pause
            {1: "Ben", 2: "", 10: "Ada", 21: "", 21.5: "Cy", 25: "", 26: "Cy", 30: "?", 31: "",
             45: "Ada+Ben", 46: "", 50: ""},
            (10, 20, "Ada"),
            (40, 42, "Dee"),
        )  # fmt: skip
        assert of.free_s == 10 + (40 - 21) + (50 - 43)
        assert of.false_names == 1 + 2 + 2
        assert of.false_names_per_hour == pytest.approx(5 * 3600 / 36)
        assert of.free_named_s == 1 + 3.5 + 4 + 1
        assert of.free_unknown_s == 1

    def test_a_recording_may_be_of_nothing_else(self) -> None:
        of = figures({0: "", 60: ""})
        assert (of.free_s, of.false_names, of.false_names_per_hour) == (60, 0, 0)
        assert of.turns_ratio is None

    def test_or_have_none(self) -> None:
        of = figures({0: "Ada", 60: ""}, (0, 60, "Ada"))
        assert (of.free_s, of.false_names_per_hour) == (0, None)


class TestStrangers:
    def test_are_named_unknown_or_passed_over(self) -> None:
        of = figures(
            {0: "Ada", 1: "Yi", 1.5: "?", 4: "", 5: "Ben", 6: "?", 8: ""},
            (0, 5, "Dee"),
            (5, 8, "Eve"),
            (5, 7, "Ben"),  # whose name is right
        )
        assert of.strangers_s == 5 + 1
        assert of.strangers_named_s == 1.5
        assert of.strangers_unknown_s == 2.5 + 1
        assert of.strangers_nobody_s == 1
        assert (of.stranger_turns, of.falsely_named_turns) == (2, 1)

    def test_a_short_name_is_passed_over(self) -> None:
        shown = {0: "Ada", 0.29: "", 5: "Ada", 5.15: "Ben", 5.3: "", 10: "Ada", 11: ""}
        of = figures(shown, (0, 1, "Dee"), (5, 6, "Dee"), (10, 10.99, "Dee"))
        assert (of.stranger_turns, of.falsely_named_turns) == (2, 1)


GRID = 8  # instants a second; a power of two, so that sums of spans are exact

results_of = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.sampled_from(["", "?", "Xu", "Ada", "Ben", "Cy", "Ada+Ben", "Ben+Ada", "?+Cy"]),
    ),
    unique_by=lambda item: item[0],
    max_size=30,
).map(lambda items: [shows(tick / GRID, what) for tick, what in sorted(items)])

truth_of = st.lists(
    st.builds(
        lambda start, length, name: Segment(start / GRID, (start + length) / GRID, name),
        st.integers(0, 50),
        st.integers(0, 20),
        st.sampled_from(["Ada", "Ben", "Cy", "Dee", "Eve"]),
    ),
    max_size=6,
)


@settings(deadline=None)
@given(results_of, truth_of, st.integers(2, 5))
def test_a_finer_hop_changes_nothing(results, truth, parts) -> None:
    finer = []
    for result, after in itertools.zip_longest(results, results[1:]):
        step = 0.0 if after is None else (after.time - result.time) / parts
        finer += [
            msgspec.structs.replace(result, time=result.time + part * step)
            for part in range(1 if after is None else parts)
        ]
    assert measure([Heard("one", finer, truth)], CAST) == measure(
        [Heard("one", results, truth)], CAST
    )


@settings(deadline=None)
@given(results_of, truth_of)
def test_agrees_with_score(results, truth) -> None:
    """Where only characters are shown, one at a time, and only the cast speaks."""
    results = [
        msgspec.structs.replace(result, unknown=False, second=None)
        for result in results
        if result.character is not None or result.actor is None
    ]
    truth = [segment for segment in truth if segment.name in ACTORS]
    found, expected = measure([Heard("one", results, truth)], CAST), score(results, truth)
    assert (found.speech_s, found.right_s, found.wrong_s, found.nobody_s) == (
        expected.speech_s,
        expected.right_s,
        expected.wrong_s,
        expected.missed_s,
    )


@settings(deadline=None)
@given(results_of, truth_of)
def test_agrees_with_pyannote(results, truth) -> None:
    """Where one speaks at a time, and one is shown."""
    pytest.importorskip("pyannote.metrics")
    results = [msgspec.structs.replace(result, second=None) for result in results]
    alone, until = [], 0.0
    for segment in sorted(truth, key=lambda segment: segment.start):
        if segment.start >= until:
            alone.append(segment)
            until = segment.end
    of = measure([Heard("one", results, alone)], CAST)
    rate = of.error_rates[0]
    assert (rate.measure, rate.collar_s) == ("identification", 0)
    assert rate.total_s == pytest.approx(of.speech_s + of.strangers_s)
    assert rate.missed_s == pytest.approx(of.nobody_s + of.strangers_nobody_s)
    assert rate.confusion_s == pytest.approx(
        of.actor_s + of.wrong_s + of.unknown_s + of.strangers_named_s
    )
    time = Timeline(Heard("one", results, alone), CAST)
    spoken, shown = (
        sum((spans.length for spans in of.values()), start=0) / SECOND
        for of in (time.spoken, time.shown)
    )
    assert rate.false_alarm_s == pytest.approx(shown - (spoken - rate.missed_s))
    assert all(other.rate is None or other.rate >= 0 for other in of.error_rates)
    if rate.rate is not None:
        assert of.error_rates[2].rate <= rate.rate + 1e-9  # names that fit best are no worse


def test_error_rates_of_names_and_of_whoever() -> None:
    pytest.importorskip("pyannote.metrics")
    of = figures({1: "Ben", 11: ""}, (0, 10, "Ada"))
    rates = {(rate.measure, rate.collar_s): rate for rate in of.error_rates}
    names = rates["identification", 0]
    assert (names.total_s, names.missed_s, names.false_alarm_s, names.confusion_s) == (10, 1, 1, 9)
    assert names.rate == pytest.approx(1.1)
    assert rates["diarization", 0].rate == pytest.approx(0.2)
    # A quarter of a second on either side of 0 and 10.
    assert rates["diarization", 0.25].rate == pytest.approx((0.75 + 0.75) / 9.5)


def test_all_together() -> None:
    one = Heard("one", [shows(0, "Ada"), shows(4)], [Segment(0, 2, "Ada")])
    two = Heard("two", [shows(1, "Ben"), shows(6)], [Segment(0, 6, "Ben"), Segment(7, 8, "Dee")])
    both = measure([one, two], CAST)
    assert both.name == "2 recordings"
    assert both.recordings == tuple(measure([each], CAST).recordings[0] for each in (one, two))
    assert (both.seconds, both.speech_s, both.right_s) == (12, 8, 7)
    assert (both.onset_median_s, both.onset_p95_s) == (0, 1)
    of_each = [of.error_rates for of in both.recordings]
    for whole, *parts in zip(both.error_rates, *of_each, strict=True):
        assert whole.total_s == sum(part.total_s for part in parts)
        assert whole.confusion_s == sum(part.confusion_s for part in parts)
    assert msgspec.json.decode(msgspec.json.encode(both), type=StreamFigures) == both


@pytest.mark.parametrize("truth", [[], [Segment(0, 5, "Ada")], [Segment(1, 1, "Ada")]])
@pytest.mark.parametrize("results", [[], [shows(1)], [shows(1, "Ada"), shows(2)]])
def test_of_next_to_nothing(results, truth) -> None:
    lines = "\n".join(describe(measure([Heard("one", results, truth)], CAST)))
    assert not re.search(r"\b(nan|inf|None)\b", lines)


def test_says_what_is_not_installed(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyannote", None)
    of = figures({0: "Ada", 2: ""}, (0, 2, "Ada"))
    assert of.error_rates == ()
    assert any("pip install '.[train]'" in line for line in describe(of))


class TestScoresOfStrangers:
    @pytest.mark.parametrize("seed", range(5))
    def test_equal_error_rate_is_where_the_curve_of_sklearn_crosses(self, seed) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        rng = np.random.default_rng(seed)
        known = rng.normal(1.5, 1, 300).round(1)  # with ties
        strangers = rng.normal(0, 1, 200).round(1)
        accepted, found, thresholds = metrics.roc_curve(
            np.repeat([1, 0], [300, 200]), np.concatenate([known, strangers]),
            drop_intermediate=False,
        )  # fmt: skip
        dense = np.linspace(0, 1, 100_001)
        crossing = np.interp(dense, accepted, found)  # of 1 - x
        expected = dense[np.argmin(np.abs(1 - crossing - dense))]
        rate, threshold = equal_error_rate(known, strangers)
        assert rate == pytest.approx(expected, abs=2e-5)
        at = np.flatnonzero(1 - found - accepted >= 0).max()
        assert threshold == thresholds[at]

    def test_of_no_and_of_nothing_but_errors(self) -> None:
        high, low = np.array([0.8, 0.9]), np.array([0.1, 0.2])
        assert equal_error_rate(high, low) == (0, 0.8)
        assert equal_error_rate(low, high)[0] == 1
        assert equal_error_rate(low, low)[0] == 0.5
        assert equal_error_rate(np.ones(3), np.ones(3)) == (0.5, math.inf)

    def test_false_names(self) -> None:
        known = np.arange(100) / 100
        assert false_names_at(known, known) == 0.95
        assert false_names_at(known, known, 0.29) == 0.71
        assert false_names_at(known, known, 0) == 1
        assert false_names_at(np.ones(10), np.array([0.5, 1.0])) == 0.5
        with pytest.raises(ValueError, match="rejected=1"):
            false_names_at(known, known, 1)


class TestTruth:
    def test_of_a_label_track(self, tmp_path) -> None:
        path = tmp_path / "one.txt"
        text = "\ufeff2.5\t3\tバク ちゃん\r\n\r\n0.000000\t1.250000\tAda\r\n\\\t100.0\t200.0\r\n"
        path.write_bytes(text.encode())
        assert read_truth(path) == [Segment(0, 1.25, "Ada"), Segment(2.5, 3, "バク ちゃん")]

    def test_of_rttm(self) -> None:
        assert read_truth(DEMO_TRUTH) == read_rttm(DEMO_TRUTH)

    @pytest.mark.parametrize(
        ("line", "said"),
        [
            ("0.0 1.0 Ada", "line 2: need start, end and name"),
            ("0.0\t1.0", "line 2: need start, end and name"),
            ("0.0\t1.0\t ", "line 2: need start, end and name"),
            ("0.0\tone\tAda", "line 2: end is 'one'"),
            ("-1\t1.0\tAda", "line 2: start is '-1'"),
            ("2.0\t1.0\tAda", "line 2: ends at 1 s, before it starts"),
        ],
    )
    def test_of_a_broken_line(self, tmp_path, line, said) -> None:
        path = tmp_path / "one.txt"
        path.write_text(f"0\t1\tAda\n{line}\n", "utf-8")
        with pytest.raises(TruthError, match=said):
            read_truth(path)

    def test_of_no_file(self, tmp_path) -> None:
        with pytest.raises(TruthError, match="cannot be read"):
            read_truth(tmp_path / "none.txt")


class TestReport:
    def heard(self, name: str = "話<1>.flac", minutes: float = 1) -> Heard:
        rng = np.random.default_rng(1)
        top = (Candidate("Ada", "Xu", 0.7), Candidate("Cy", "Yi", 0.2))
        results = [
            shows(time, what, top if what else ())
            for time, what in zip(
                np.arange(0, 60 * minutes, 0.5).tolist(),
                rng.choice(["", "Ada", "Ada+Ben", "Yi", "?"], size=int(120 * minutes)).tolist(),
                strict=True,
            )
        ]
        truth = [Segment(2, 9, "Ada"), Segment(8, 9.5, "Ben"), Segment(20, 30, "戦場ヶ原さん")]
        return Heard(name, results, truth)

    @pytest.fixture(autouse=True)
    def drawing(self) -> None:
        pytest.importorskip("matplotlib")

    def test_a_picture_has_so_many_minutes(self) -> None:
        for look, minutes in ((DARK, 1), (LIGHT, PICTURE_ROWS + 0.5)):
            heard = self.heard(minutes=minutes)
            pictures = draw(heard, CAST, colours_of([Timeline(heard, CAST)]), look)
            assert len(pictures) == math.ceil(minutes / PICTURE_ROWS)
            assert all(picture.startswith(b"\x89PNG") for picture in pictures)

    def test_of_nothing(self) -> None:
        (picture,) = draw(Heard("one", [], []), CAST, {}, LIGHT)
        assert picture.startswith(b"\x89PNG")

    def test_colours_are_of_names(self) -> None:
        colours = colours_of([Timeline(self.heard(), CAST), Timeline(self.heard(), CAST)])
        assert list(colours)[:2] == [Label("character", "Ada"), Label("character", "Ben")]
        named = [colour for label, colour in colours.items() if colour is not None]
        assert len(set(named)) == 3
        assert {label for label, colour in colours.items() if colour is None} == {
            UNKNOWN,
            Label("stranger", "戦場ヶ原さん"),
        }

    def test_numbers_stand_for_what_no_font_has(self) -> None:
        labels = [Label("character", "Ada"), Label("stranger", "عدنان")]
        texts, fonts = names_in_picture(labels)
        assert (list(texts.values()), fonts) == (["1", "2"], None)

    def test_is_one_page_and_figures(self, tmp_path) -> None:
        recordings = [self.heard(), self.heard("two.flac")]
        of = measure(recordings, CAST)
        card = msgspec.structs.replace(load_cast().card, characters=tuple(CAST), name="a & b")
        write_stream_report(of, recordings, card, tmp_path / "r")
        page = (tmp_path / "r" / "report.html").read_text("utf-8")
        assert "話&lt;1&gt;.flac" in page
        assert "a &amp; b" in page
        assert not re.search(r"\b(nan|inf|None)\b", re.sub(r"<[^>]*>", "", page))
        assert page.count("data:image/png;base64,") == 4
        assert not re.search(r'(src|href)="(?!data:)', page)
        found = json.loads((tmp_path / "r" / "figures.json").read_bytes())
        assert found["format"] == "kikiwake-figures"
        assert msgspec.convert(found, StreamFigures) == of
        write_stream_report(of, recordings, card, tmp_path / "r")  # an earlier one is replaced

    def test_takes_no_place_of_something_else(self, tmp_path) -> None:
        (tmp_path / "report.html").write_text("mine")
        heard = self.heard()
        with pytest.raises(ReportError, match="no report of ours"):
            write_stream_report(measure([heard], CAST), [heard], load_cast().card, tmp_path)


class TestCommand:
    @pytest.fixture(autouse=True)
    def no_config(self, monkeypatch, tmp_path) -> None:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
        monkeypatch.delenv("KIKIWAKE_CONFIG", raising=False)

    def test_names_recordings_with_either_truth(self, tmp_path, capsys) -> None:
        one, two = tmp_path / "one.ogg", tmp_path / "two.ogg"
        for path in (one, two):
            shutil.copy(DEMO, path)
        truth = read_rttm(DEMO_TRUTH)
        shutil.copy(DEMO_TRUTH, one.with_suffix(".rttm"))
        two.with_suffix(".txt").write_text(
            "".join(f"{each.start}\t{each.end}\t{each.name}\n" for each in truth), "utf-8"
        )
        evaluate_stream("starter", [one, two])
        lines = capsys.readouterr().out.splitlines()
        first, second = (line.partition(": ") for line in lines[:2])
        assert (first[0], second[0]) == ("one.ogg", "two.ogg")
        assert first[2] == second[2]
        assert lines[2].startswith("2 recordings, 02:")

    def test_says_what_may_be_wrong_with_a_truth(self, tmp_path, capsys, monkeypatch) -> None:
        monkeypatch.setattr(stream_cli, "recognize_file", lambda *_: [shows(0.5), shows(60)])
        for name, truth in (("one", "1\t2\tbrown\n3\t900\tGensai Kurodate\n"), ("two", "")):
            shutil.copy(DEMO, tmp_path / f"{name}.ogg")
            (tmp_path / f"{name}.txt").write_text(truth)
        evaluate_stream("starter", [tmp_path / "one.ogg", tmp_path / "two.ogg"])
        lines = capsys.readouterr().out.splitlines()
        assert lines[:3] == [
            "beware: not of the cast, so strangers: brown",
            "beware: one.ogg: its truth goes on for 840.0 s after its end",
            "beware: two.ogg: nobody speaks in its truth",
        ]

    def test_says_which_settings_are_not_the_default(self, tmp_path, capsys, monkeypatch) -> None:
        config = tmp_path / "mine.toml"
        config.write_text('input = "default"\n[gate]\nthreshold = 0.9\n')
        monkeypatch.setenv("KIKIWAKE_CONFIG", str(config))
        monkeypatch.setattr(stream_cli, "recognize_file", lambda *_: [shows(0.5), shows(64)])
        shutil.copy(DEMO, tmp_path / "one.ogg")
        shutil.copy(DEMO_TRUTH, tmp_path / "one.rttm")
        evaluate_stream("starter", [tmp_path / "one.ogg"])
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == "settings not at their default: gate.threshold = 0.9"

    def test_writes_a_report(self, tmp_path, capsys, monkeypatch) -> None:
        pytest.importorskip("matplotlib")
        results = [shows(0.5, "Ada", (Candidate("Ada", "Xu", 0.9),)), shows(64)]
        monkeypatch.setattr(stream_cli, "recognize_file", lambda *_: results)
        shutil.copy(DEMO, tmp_path / "one.ogg")
        shutil.copy(DEMO_TRUTH, tmp_path / "one.rttm")
        evaluate_stream("starter", [tmp_path / "one.ogg"], tmp_path / "r")
        assert capsys.readouterr().out.endswith("report.html: written\n")
        assert (tmp_path / "r" / "report.html").exists()

    def test_says_before_the_work_that_a_report_needs_matplotlib(
        self, tmp_path, monkeypatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(KikiwakeError, match="a report needs matplotlib"):
            evaluate_stream("starter", [tmp_path / "one.flac"], tmp_path / "r")

    def test_says_which_truth_is_missing(self, tmp_path) -> None:
        (tmp_path / "one.flac").touch()
        with pytest.raises(KikiwakeError, match="is a folder; name recordings"):
            evaluate_stream("starter", [tmp_path])
        with pytest.raises(KikiwakeError, match="no such file"):
            evaluate_stream("starter", [tmp_path / "none.flac"])
        with pytest.raises(KikiwakeError, match=r"one\.flac: .* need one\.rttm .* or one\.txt"):
            evaluate_stream("starter", [tmp_path / "one.flac"])
