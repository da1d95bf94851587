from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kikiwake.engine.result import Result
from kikiwake.errors import KikiwakeError
from kikiwake.tools.score import Score, Segment, TruthError, parse_rttm, read_rttm, score

GRID = 8  # instants a second; a power of two, so that sums of spans are exact
NAMES = ("Ada", "Ben", "Cy")


def shows(time: float, name: str | None) -> Result:
    return Result(time, name is not None, name, name and f"actor of {name}", 1.0, (), -20.0)


results_of = st.lists(
    st.tuples(st.integers(1, 60), st.sampled_from([None, *NAMES])),
    unique_by=lambda item: item[0],
    max_size=30,
).map(lambda items: [shows(tick / GRID, name) for tick, name in sorted(items, key=lambda i: i[0])])

truth_of = st.lists(
    st.builds(
        lambda start, length, name: Segment(start / GRID, (start + length) / GRID, name),
        st.integers(0, 50),
        st.integers(0, 20),
        st.sampled_from(NAMES),
    ),
    max_size=6,
)


def sampled(results: list[Result], truth: list[Segment]) -> dict[str, float]:
    """Compute the same figures by looking at the middle of every cell of the grid."""

    def speakers(time: float) -> set[str]:
        return {s.name for s in truth if s.start <= time < s.end}

    def shown(time: float) -> str | None:
        if not results or time >= results[-1].time:
            return None
        return next((r.character for r in reversed(results) if r.time <= time), None)

    cells = dict.fromkeys(("speech", "right", "wrong", "missed", "longest"), 0)
    run = 0
    for tick in range(100):
        time = (tick + 0.5) / GRID
        active, name = speakers(time), shown(time)
        if active:
            cells["speech"] += 1
            cells["right" if name in active else "missed" if name is None else "wrong"] += 1
        run = run + 1 if name is not None and not active else 0
        cells["longest"] = max(cells["longest"], run)
    before = [None, *(r.character for r in results)]
    changes = sum(
        r.character is not None and r.character != old and not speakers(r.time)
        for r, old in zip(results, before, strict=False)
    )
    return {key: n / GRID for key, n in cells.items()} | {"changes": changes}


def figures(found: Score) -> dict[str, float]:
    return {
        "speech": found.speech_s,
        "right": found.right_s,
        "wrong": found.wrong_s,
        "missed": found.missed_s,
        "longest": found.longest_overhang_s,
        "changes": found.unjustified_changes,
    }


@given(results_of, truth_of)
def test_intervals_agree_with_sampling(results: list[Result], truth: list[Segment]) -> None:
    assert figures(score(results, truth)) == sampled(results, truth)


@given(results_of, truth_of)
def test_parts_add_up(results: list[Result], truth: list[Segment]) -> None:
    found = score(results, truth)
    assert found.right_s + found.wrong_s + found.missed_s == found.speech_s
    for name, of in found.characters.items():
        assert of.right_s + of.wrong_s + of.missed_s == of.speech_s
        assert of.right_s <= of.shown_s
        assert name in NAMES
    assert sum(of.right_s for of in found.characters.values()) == found.right_s


@given(truth_of)
def test_nothing_shown_is_all_missed(truth: list[Segment]) -> None:
    found = score([], truth)
    assert found.missed_s == found.speech_s
    assert found.turns_shown == found.unjustified_changes == found.longest_overhang_s == 0


def test_a_name_that_stays_is_overhang_but_no_change() -> None:
    truth = [Segment(1, 3, "Ada"), Segment(5, 6, "Ben")]
    results = [shows(1, "Ada"), shows(3.5, None), shows(5, "Ben"), shows(6.25, None)]
    found = score(results, truth)
    assert found.right_s == found.speech_s == 3
    assert found.longest_overhang_s == 0.5
    assert found.unjustified_changes == 0
    assert (found.turns_shown, found.turns_true) == (2, 2)


def test_a_name_that_appears_or_switches_in_silence_is_a_change() -> None:
    results = [shows(1, "Ada"), shows(2, "Ben"), shows(3, None)]
    found = score(results, [])
    assert found.unjustified_changes == 2
    assert found.longest_overhang_s == 2
    assert found.share(found.right_s) == 0


def test_the_instant_of_the_end_is_no_longer_speech() -> None:
    truth = [Segment(0, 1, "Ada")]
    assert score([shows(1, "Ada"), shows(2, None)], truth).unjustified_changes == 1
    assert score([shows(0, "Ada"), shows(2, None)], truth).unjustified_changes == 0


def test_whoever_of_two_speakers_is_shown_is_right() -> None:
    truth = [Segment(0, 2, "Ada"), Segment(1, 3, "Ben")]
    found = score([shows(0, "Ada"), shows(3, None)], truth)
    assert (found.right_s, found.wrong_s) == (2, 1)
    assert found.characters["Ben"].wrong_s == 2


def test_rttm_is_read(tmp_path) -> None:
    text = (
        ";; made by hand\n\n"
        "SPKR-INFO demo 1 <NA> <NA> <NA> unknown Ada <NA> <NA>\n"
        "SPEAKER demo 1 2.5 0.5 <NA> <NA> 猫屋敷_シズネ <NA> <NA>\n"
        "SPEAKER demo 1 0 1.25 <NA> <NA> Ada\n"
    )
    path = tmp_path / "truth.rttm"
    path.write_text(text, encoding="utf-8")
    wanted = [Segment(0, 1.25, "Ada"), Segment(2.5, 3, "猫屋敷 シズネ")]
    assert read_rttm(path) == parse_rttm(text) == wanted


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("SPEAKER demo 1 0.5", "line 2: has 4 fields, need at least 8"),
        ("SPEAKER demo 1 soon 1 <NA> <NA> Ada", "line 2: start is 'soon', need seconds, 0 to"),
        ("SPEAKER demo 1 1 -1 <NA> <NA> Ada", "line 2: duration is '-1', need seconds"),
        ("SPEAKER demo 1 1e300 1 <NA> <NA> Ada", "line 2: start is '1e300', need seconds"),
        ("SPEAKER demo 1 nan 1 <NA> <NA> Ada", "line 2: start is 'nan'"),
        ("SPEAKER demo 1 1 inf <NA> <NA> Ada", "line 2: duration is 'inf'"),
        ("RIFF....WAVE", "line 2: starts with 'RIFF....WAVE', need SPEAKER"),
    ],
)
def test_a_broken_line_is_named(line: str, says: str) -> None:
    with pytest.raises(TruthError) as caught:
        parse_rttm(f"SPEAKER demo 1 0 1 <NA> <NA> Ada\n{line}\n")
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_or_binary_file_is_named(tmp_path) -> None:
    with pytest.raises(KikiwakeError, match=r"no\.rttm: cannot be read: No such file"):
        read_rttm(tmp_path / "no.rttm")
    (tmp_path / "binary.rttm").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(KikiwakeError, match="not UTF-8"):
        read_rttm(tmp_path / "binary.rttm")
