"""`kikiwake evaluate`: its figures against their definitions, and the report."""

from __future__ import annotations

import json
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
import soxr

from kikiwake.features.mfcc import mfcc
from kikiwake.features.settings import FeatureSettings
from kikiwake.models.cast import CastCard, Character, load_cast
from kikiwake.models.runner import CastRunner
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools import evaluate, report
from kikiwake.tools.cli import main
from kikiwake.tools.dataset import PARTS, ROW, Dataset, DatasetCard, DatasetWriter
from kikiwake.tools.evaluate import Answers, EvaluateError, Figures, describe, measure, notes
from kikiwake.tools.report import ReportError, check_folder, draw, fonts_for, write_report
from kikiwake.tools.score import read_rttm

STARTER = load_cast()
ACTORS = "xyyxz"
PEOPLE = tuple(Character(name, actor) for name, actor in zip("abcde", ACTORS, strict=True))


def cast_of(characters: tuple[Character, ...], background: bool = True) -> CastCard:
    return msgspec.structs.replace(STARTER.card, characters=characters, background=background)


def data_of(characters: tuple[Character, ...], **more) -> DatasetCard:
    more = {"background": True, "recordings": ("one", "two"), "features": FeatureSettings()} | more
    return DatasetCard(characters=characters, **more)


def answers(n: int = 300, seed: int = 1, **more) -> Answers:
    """Random answers, of which about half are right; time is out of order."""
    rng = np.random.default_rng(seed)
    rows = np.zeros(n, ROW)
    rows["label"] = rng.choice(6, size=n, p=[0.4, 0.3, 0.2, 0.02, 0.03, 0.05])
    rows["recording"] = rng.integers(2, size=n)
    rows["clip"] = -1
    rows["time_s"] = rng.permutation(n) / 2
    logits = rng.standard_normal((n, 6)) + 2 * np.eye(6)[rows["label"]]
    log_posterior = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return Answers(cast_of(PEOPLE), data_of(PEOPLE, **more), rows, log_posterior)


def figures_of(found: Answers) -> Figures:
    return measure(found, STARTER.network, "data", "validation")


def without_nan(lines: str) -> bool:
    return not re.search(r"\b(nan|inf|None)\b", lines)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main(["evaluate", *map(str, arguments)])
    return done.value.code or 0


class Page(HTMLParser):
    """Refuses what is not well formed, or would be fetched from anywhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text = ""
        self.pictures = 0
        self.tags: set[str] = set()
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "img", "source"):
            self.open.append(tag)
        for name, value in attrs:
            assert not name.startswith("on")
            assert name not in ("href", "action", "data", "poster")
            if name in ("src", "srcset"):
                self.pictures += 1
                assert re.fullmatch(r"data:image/png;base64,[A-Za-z0-9+/]+=*", value)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] == "style":
            assert "url(" not in data
            assert "@import" not in data
        self.text += data


class TestFigures:
    @pytest.mark.parametrize("seed", range(5))
    def test_of_single_patches(self, seed) -> None:
        found = answers(seed=seed)
        posterior = np.exp(found.log_posterior)
        of_actor = np.stack(
            [posterior[:, [a == actor for a in ACTORS] + [False]].sum(axis=1) for actor in "xyz"]
            + [posterior[:, 5]],
            axis=1,
        )
        actor_of = np.array([*("xyz".index(actor) for actor in ACTORS), 3])
        truth = found.rows["label"].astype(int)
        figures = figures_of(found)
        for level, true, guess in (
            (figures.characters, truth, posterior.argmax(axis=1)),
            (figures.actors, actor_of[truth], of_actor.argmax(axis=1)),
        ):
            recalls, f1s = [], []
            for number, of in enumerate(level.classes):
                hits = sum(t == g == number for t, g in zip(true, guess, strict=True))
                recall, precision = hits / sum(true == number), hits / sum(guess == number)
                assert (of.windows, of.guessed) == (sum(true == number), sum(guess == number))
                assert of.recall == pytest.approx(recall)
                assert of.precision == pytest.approx(precision)
                assert of.f1 == pytest.approx(
                    2 * precision * recall / (precision + recall) if hits else 0
                )
                counts = [sum((true == number) & (guess == g)) for g in range(len(level.classes))]
                assert list(level.confusion[number]) == counts
                counts[number] = 0
                assert of.taken_for_share == pytest.approx(max(counts) / of.windows)
                assert of.taken_for is None or counts[of.taken_for] == max(counts)
                recalls.append(of.recall)
                f1s.append(of.f1)
            assert level.top1 == pytest.approx(np.mean(true == guess))
            assert level.macro_recall == pytest.approx(np.mean(recalls))
            assert level.macro_f1 == pytest.approx(np.mean(f1s))
        assert [of.name for of in figures.actors.classes] == [*"xyz", "background"]

    @pytest.mark.parametrize("seed", range(5))
    def test_of_confidence(self, seed) -> None:
        found = answers(seed=seed)
        posterior, truth = np.exp(found.log_posterior), found.rows["label"]
        sure, right = posterior.max(axis=1), posterior.argmax(axis=1) == truth
        error = 0.0
        for number in range(15):
            these = (sure > number / 15) & (sure <= (number + 1) / 15)
            if these.any():
                error += these.mean() * abs(right[these].mean() - sure[these].mean())
        figures = figures_of(found)
        assert figures.calibration_error == pytest.approx(error)
        assert figures.confidence == pytest.approx(sure.mean())
        likelihoods = [posterior[i, label] for i, label in enumerate(truth)]
        assert figures.negative_log_likelihood == pytest.approx(-np.mean(np.log(likelihoods)))
        assert sum(of.windows for of in figures.bins) == len(truth)

    @pytest.mark.parametrize("seed", range(5))
    def test_by_seconds_heard(self, seed) -> None:
        found = answers(seed=seed)
        actor_of = np.array([*("xyz".index(actor) for actor in ACTORS), 3])
        heard = {of.windows: of for of in figures_of(found).heard}
        assert list(heard) == [1, 2, 4, 6, 8, 12]
        assert [of.seconds for of in heard.values()] == list(evaluate.SECONDS)
        for windows, of in heard.items():
            right, right_actor = [], []
            by_class: dict[int, list[bool]] = {}
            for recording in range(2):
                for label in range(5):
                    these = np.flatnonzero(
                        (found.rows["recording"] == recording) & (found.rows["label"] == label)
                    )
                    these = sorted(these, key=lambda i: found.rows["time_s"][i])
                    for start in range(len(these) - windows + 1):
                        some = found.log_posterior[these[start : start + windows]]
                        right.append(some.mean(axis=0).argmax() == label)
                        by_class.setdefault(label, []).append(right[-1])
                        logs = [
                            np.log(np.exp(some)[:, actor_of == actor].sum(axis=1)).mean()
                            for actor in range(4)
                        ]
                        right_actor.append(np.argmax(logs) == actor_of[label])
            assert of.runs == len(right)
            assert of.top1 == pytest.approx(np.mean(right))
            assert of.macro_recall == pytest.approx(
                np.mean([np.mean(each) for each in by_class.values()])
            )
            assert of.actor_top1 == pytest.approx(np.mean(right_actor))
            left_out = {f"{who.name} ({who.actor})" for who in PEOPLE} - {
                f"{PEOPLE[label].name} ({PEOPLE[label].actor})" for label in by_class
            }
            assert set(of.left_out) == left_out
        assert heard[12].left_out
        assert "without enough windows in a row for " in "\n".join(describe(figures_of(found)))

    def test_the_worst_clips(self) -> None:
        found = answers(clips=tuple(f"{number}.flac" for number in range(60)))
        # Each clip holds one character, and some patches are of no clip.
        found.rows["clip"] = found.rows["label"] * 10 + np.arange(300) % 10
        found.rows["clip"][:5] = -1
        worst = figures_of(found).worst
        items: dict[object, list[int]] = {}
        for i, row in enumerate(found.rows):
            items.setdefault(int(row["clip"]) if row["clip"] >= 0 else f"alone {i}", []).append(i)
        means = {item: found.log_posterior[these].mean(axis=0) for item, these in items.items()}
        label = {item: int(found.rows["label"][these[0]]) for item, these in items.items()}
        ranked = sorted(items, key=lambda item: means[item][label[item]])[:20]
        assert len(worst) == 20
        names = [*(f"{who.name} ({who.actor})" for who in PEOPLE), "background"]
        for of, item in zip(worst, ranked, strict=True):
            assert of.log_posterior == pytest.approx(means[item][label[item]])
            assert of.clip == (None if isinstance(item, str) else f"{item}.flac")
            assert of.windows == len(items[item])
            first = min(items[item], key=lambda i: found.rows["time_s"][i])
            assert of.time_s == found.rows["time_s"][first]
            assert of.recording == found.data.recordings[found.rows["recording"][first]]
            assert (of.truth, of.guess) == (names[label[item]], names[means[item].argmax()])
            shares = np.exp(means[item]) / np.exp(means[item]).sum()
            assert of.confidence == pytest.approx(shares.max())

    def test_strangers_count_in_none_but_their_own(self) -> None:
        whole = answers()
        known = tuple(who for who in PEOPLE if who.name != "b")
        # To this cast b and the background are strangers.
        log_posterior = whole.log_posterior[:, [0, 2, 3, 4]]
        log_posterior -= np.log(np.exp(log_posterior).sum(axis=1, keepdims=True))
        with_them = Answers(cast_of(known, False), whole.data, whole.rows, log_posterior)
        theirs = np.isin(whole.rows["label"], [1, 5])
        without = Answers(
            with_them.cast, whole.data, whole.rows[~theirs], with_them.log_posterior[~theirs]
        )
        figures = figures_of(with_them)
        assert [(who.label, who.windows) for who in figures.strangers] == [
            ("b (y)", (whole.rows["label"] == 1).sum()),
            ("background", (whole.rows["label"] == 5).sum()),
        ]
        assert figures.strangers_confidence == pytest.approx(
            np.exp(log_posterior[theirs].max(axis=1)).mean()
        )
        assert figures_of(without) == msgspec.structs.replace(
            figures, strangers=(), strangers_confidence=None
        )
        assert f"left out: {theirs.sum()} windows (b (y): " in "\n".join(notes(figures))

    def test_only_strangers(self) -> None:
        found = answers()
        found.rows["label"] = 1
        strangers = Answers(cast_of((PEOPLE[0],)), found.data, found.rows, found.log_posterior)
        with pytest.raises(EvaluateError, match=r"are of strangers to the cast: b \(y\)"):
            figures_of(strangers)

    @pytest.mark.parametrize("label", [0, 5])
    @pytest.mark.parametrize("n", [1, 3, 300])
    def test_of_one_class_only(self, label, n) -> None:
        found = answers(n)
        found.rows["label"] = label
        figures = figures_of(found)
        text = "\n".join(describe(figures))
        assert without_nan(text)
        assert ("no characters, so" in text) == (label == 5)
        assert ("seconds heard   " in text) == (label == 0)

    def test_certainty(self) -> None:
        found = answers()
        certain = np.where(np.eye(6)[found.rows["label"]] > 0, 0.0, -1e4)
        figures = figures_of(Answers(found.cast, found.data, found.rows, certain))
        assert figures.characters.top1 == figures.actors.macro_f1 == figures.confidence == 1
        assert figures.calibration_error == figures.negative_log_likelihood == 0
        assert without_nan("\n".join(describe(figures)))

    def test_windows_that_overlap(self) -> None:
        found = answers()
        assert "overlap" not in "\n".join(notes(figures_of(found)))
        found.rows["time_s"] = np.arange(300) * 0.01
        assert "the windows overlap" in "\n".join(notes(figures_of(found)))


class TestReport:
    def test_any_names(self, tmp_path) -> None:
        names = ["<b>&amp;", "\"'$x$ $", "שלום", "😀", "x" * 100]
        people = tuple(Character(name, f"</td>{name}") for name in names)
        found = answers(recordings=("<script>alert(1)</script>", "two"), clips=("<i>.flac",))
        found.rows["clip"] = 0
        found = Answers(
            cast_of(people),
            msgspec.structs.replace(found.data, characters=people),
            found.rows,
            found.log_posterior,
        )
        write_report(figures_of(found), tmp_path / "r")
        text = (tmp_path / "r" / "report.html").read_text("utf-8")
        page = Page(text)
        for name in names:
            assert f"</td>{name}" in page.text
            assert name in page.text
        assert "<i>.flac" in page.text
        assert not page.tags & {"script", "b&amp;", "i"}
        # A name from the right to the left, or in pictures, is drawn as a number.
        assert '<ol class="names">' in text
        assert fonts_for("".join(names)) is None

    def test_a_font_that_has_the_names(self, monkeypatch) -> None:
        from matplotlib import font_manager

        assert fonts_for("Zoë $x$") == ["DejaVu Sans"]
        own = [
            font
            for font in font_manager.fontManager.ttflist
            if "mpl-data" in Path(font.fname).parts
        ]
        monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
        assert fonts_for("高橋") is None
        figures = figures_of(answers())
        level = figures.characters
        assert report.names_in_picture(level)[0] == [
            *(f"{name}  {number}" for number, name in enumerate("abcde", 1)),
            "background  6",
        ]
        alike = [msgspec.structs.replace(of, name="高橋") for of in level.classes]
        level = msgspec.structs.replace(level, classes=tuple(alike))
        assert report.names_in_picture(level) == (list("123456"), None)

    @pytest.mark.parametrize("n", [1, 2, 60])
    def test_any_number_of_characters(self, n) -> None:
        people = tuple(Character(f"character {i}", f"actor {i // 3}") for i in range(n))
        found = answers(500)
        found.rows["label"] = np.arange(500) % n
        rng = np.random.default_rng(n)
        log_posterior = rng.standard_normal((500, n)) - 5
        figures = figures_of(
            Answers(cast_of(people, False), data_of(people), found.rows, log_posterior)
        )
        pictures = draw(figures)
        assert list(pictures) == list(report.PICTURES)
        for png in pictures.values():
            assert png.startswith(b"\x89PNG")
            assert max(int.from_bytes(png[at : at + 4]) for at in (16, 20)) < 4000

    def test_a_folder_of_somebody_else(self, tmp_path) -> None:
        page = tmp_path / "report.html"
        page.write_text("mine")
        for text in (None, "[]", "{", '{"format": "other"}'):
            if text is not None:
                (tmp_path / "figures.json").write_text(text)
            with pytest.raises(ReportError, match=r"holds report\.html.*; choose another folder"):
                write_report(figures_of(answers()), tmp_path)
        assert page.read_text() == "mine"
        with pytest.raises(ReportError, match="is a file"):
            check_folder(page)

    def test_an_earlier_report_is_replaced(self, tmp_path) -> None:
        (tmp_path / "figures.json").write_text('{"format": "kikiwake-figures"}')
        for name in ("heard.png", "actors.png", "mine.txt"):
            (tmp_path / name).write_text("earlier")
        found = answers(20)
        found.rows["label"] = 5  # nobody speaks, so there is no picture of that
        write_report(figures_of(found), tmp_path)
        assert without_nan(Page((tmp_path / "report.html").read_text("utf-8")).text)
        json.loads((tmp_path / "figures.json").read_text("utf-8"), parse_constant=pytest.fail)
        assert (tmp_path / "actors.png").read_bytes().startswith(b"\x89PNG")
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "actors.png",
            "characters.png",
            "figures.json",
            "mine.txt",
            "reliability.png",
            "report.html",
        ]


def windows_of(y: np.ndarray, start_s: float, end_s: float) -> list[tuple[float, np.ndarray]]:
    features = STARTER.card.features
    n = features.patch_samples
    begins = range(
        int(start_s * features.sample_rate), int(end_s * features.sample_rate) - n + 1, n
    )
    return [(b / features.sample_rate, mfcc(y[b : b + n].copy(), features)) for b in begins]


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> Path:
    """The demo as a data set: second turns to validate on, a clip each; somebody unknown, too."""
    sound, rate = soundfile.read(DEMO, dtype="float32", always_2d=True)
    y = soxr.resample(sound.mean(axis=1), rate, STARTER.card.features.sample_rate)
    truth = read_rttm(DEMO_TRUTH)
    actor = {who.name: who.actor for who in STARTER.card.characters}
    names = sorted({turn.name for turn in truth})
    people = (*(Character(name, actor[name]) for name in names), Character("鬼 <x>", "?"))
    patches, rows, clips = [], [], []
    for number, turn in enumerate(truth):
        part = PARTS.index("train" if number < 5 else "validation")
        label = names.index(turn.name)
        clips.append(f"{label}/{number:04}.flac")
        for time_s, patch in windows_of(y, turn.start, turn.end):
            patches.append(patch)
            rows.append((label, 0, number, time_s, part))
    for time_s, patch in windows_of(y, 31.0, 34.0):  # nobody
        patches.append(patch)
        rows.append((len(people), 0, -1, time_s, PARTS.index("validation")))
    for _ in range(3):
        patches.append(patches[0][::-1].copy())
        rows.append((len(people) - 1, 0, -1, 0.0, PARTS.index("validation")))
    folder = tmp_path_factory.mktemp("evaluate") / "demo"
    card = data_of(people, recordings=(DEMO.name,), clips=tuple(clips))
    writer = DatasetWriter(folder, card)
    writer.write(0, np.stack(patches), np.array(rows, ROW))
    writer.finish(1)
    return folder


class TestCommand:
    def test_table_and_report(self, demo, tmp_path, capsys) -> None:
        to = tmp_path / "第1話" / "report"
        assert run("starter", demo, "--to", to) == 0
        said = capsys.readouterr()
        assert said.err == ""
        assert without_nan(said.out)
        lines = said.out.splitlines()
        assert lines[0].startswith("Starter cast on demo, validation: ")
        assert lines[0].endswith("of 0.5 s, of 5 of its 10 characters and background")
        assert "strangers to the cast are left out: 3 windows (鬼 <x> (?): 3)" in said.out
        figures = msgspec.json.decode((to / "figures.json").read_bytes(), type=Figures)
        # It knows them: this is the sound that ships.
        assert figures.characters.top1 > 0.75
        assert figures.heard[2].top1 > 0.9
        assert f"by character{100 * figures.characters.top1:10.1f} %" in said.out
        assert f"top-1           {100 * figures.heard[0].top1:6.1f} %" in said.out
        assert figures.network_bytes == len(STARTER.network)
        page = Page((to / "report.html").read_text("utf-8"))
        assert page.pictures == 2 * len(report.PICTURES)  # for a light and a dark screen
        assert "Worst clips" in page.text
        assert "鬼 <x>" in page.text
        assert sorted(path.name for path in to.iterdir()) == sorted(
            [*report.PICTURES, "figures.json", "report.html"]
        )

    def test_the_list_is_as_devil_ear_writes_it(self, demo, capfdbinary) -> None:
        assert run("starter", demo, "--list", "--part", "train") == 0
        data, runner = Dataset(demo), CastRunner(STARTER)
        numbers = data.part("train")
        wanted = ""
        patches = data.patches(numbers).mfcc.astype(np.float32)
        for row, patch in zip(data.rows[numbers], patches, strict=True):
            true = data.card.characters[row["label"]]
            best = int(runner.posterior(patch).argmax())
            guess = (
                "background"
                if best == 10
                else f"{STARTER.card.characters[best].actor}:{STARTER.card.characters[best].name}"
            )
            wanted += f"{true.actor}:{true.name}\t{guess}\n"
        said = capfdbinary.readouterr()
        assert said.out.decode().replace("\r", "") == wanted
        assert said.err == b""
        # Strangers, and nobody, have a line each, too.
        assert run("starter", demo, "--list") == 0
        out = capfdbinary.readouterr().out.decode()
        assert out.count("?:鬼 <x>\t") == 3
        assert out.count("\nbackground\t") == 6

    def test_without_matplotlib(self, demo, tmp_path, monkeypatch, capsys) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        assert run("starter", demo, "--to", tmp_path / "r") == 1
        said = capsys.readouterr()
        assert "by character" in said.out
        assert said.err.startswith("kikiwake: a report needs matplotlib, which is not installed")
        assert not (tmp_path / "r").exists()

    def test_list_and_report(self, demo, tmp_path, capsys) -> None:
        assert run("starter", demo, "--list", "--to", tmp_path) == 2
        assert "goes without --to" in capsys.readouterr().err


def write_data(folder: Path, card: DatasetCard, part: str = "train", n: int = 1, **row) -> Path:
    rows = np.zeros(n, ROW)
    rows["clip"] = -1
    rows["part"] = PARTS.index(part)
    for name, value in row.items():
        rows[name] = value
    features = card.features
    writer = DatasetWriter(folder, card)
    writer.write(0, np.zeros((n, features.n_mfcc, features.patch_frames), np.float32), rows)
    writer.finish(1)
    return folder


class TestFit:
    def test_other_features(self, tmp_path, capsys) -> None:
        features = FeatureSettings(n_mfcc=20, pad_mode="constant")
        data = write_data(tmp_path / "d", data_of(STARTER.card.characters, features=features))
        assert run("starter", data, "--to", tmp_path / "r") == 1
        said = capsys.readouterr()
        assert said.out == ""
        assert "n_mfcc is 44 in the cast and 20 in the data set; pad_mode is reflect" in said.err
        assert "hop_length" not in said.err
        assert not (tmp_path / "r").exists()

    def test_nobody_it_knows(self, tmp_path, capsys) -> None:
        first = STARTER.card.characters[0]
        # The name alone is not enough.
        data = write_data(tmp_path / "d", data_of((Character(first.name, "somebody else"),)))
        assert run("starter", data) == 1
        assert "no character of the data set is in the cast" in capsys.readouterr().err

    def test_an_empty_part(self, tmp_path, capsys) -> None:
        data = write_data(tmp_path / "d", data_of(STARTER.card.characters))
        assert run("starter", data) == 1
        assert capsys.readouterr().err.endswith("its validation part is empty; --part names one\n")
        assert run("starter", data, "--part", "train") == 0
        assert without_nan(capsys.readouterr().out)

    @pytest.mark.parametrize("row", [{"recording": 2}, {"clip": 0}])
    def test_damaged(self, tmp_path, capsys, row) -> None:
        data = write_data(tmp_path / "d", data_of(STARTER.card.characters), "validation", **row)
        assert run("starter", data) == 1
        assert "d: is damaged: it has " in capsys.readouterr().err

    def test_a_name_in_two_spellings(self) -> None:
        composed, decomposed = Character("\u30ac", "\xe9"), Character("\u30ab\u3099", "e\u0301")
        assert composed != decomposed
        evaluate.check_fit(cast_of((composed,)), data_of((decomposed,)), "d")

    def test_no_number(self, tmp_path, monkeypatch) -> None:
        data = write_data(tmp_path / "d", data_of(STARTER.card.characters), "validation")
        monkeypatch.setattr(CastRunner, "logits", lambda self, patch: np.full(11, math.nan))
        with pytest.raises(EvaluateError, match=r"no number for 1 patches, the first at 0\.0 s of"):
            evaluate.ask(STARTER, Dataset(data), "validation")
