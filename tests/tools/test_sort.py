"""`kikiwake sort`: what becomes of the clips, whoever stops it and whatever they are called."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kikiwake.files import BusyError
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools.cli import main
from kikiwake.tools.clips import OWN_FOLDER
from kikiwake.tools.score import read_rttm
from kikiwake.tools.sort import (
    BACKGROUND,
    GROUP,
    Label,
    Session,
    SortError,
    check_label,
    read_labels,
)
from kikiwake.tools.split import TABLE, read_clips

RATE = 16_000
ASUKA = Label("宮村 優子", "アスカ")
REI = Label("林原 めぐみ", "レイ 😀")
KEEPS_BYTES = sys.platform not in ("win32", "darwin")


def voice(hz: float, seed: int, seconds: float = 1.0) -> np.ndarray:
    """A buzz with a pitch and a formant of its own, and words by chance."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = hz * (1 + 0.1 * np.interp(t, np.linspace(0, seconds, 8), rng.standard_normal(8)))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tilt = 0.5 + hz / 400
    y = sum(np.sin(k * phase) / k**tilt for k in range(1, 20))
    loud = np.interp(t, np.linspace(0, seconds, 12), rng.uniform(0.3, 1, 12))
    return (0.1 * loud * y + 1e-3 * rng.standard_normal(len(t))).astype(np.float32)


def make(folder: Path, *names: str, y: np.ndarray | None = None) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, voice(200, 1, 0.1) if y is None else y, RATE)
    return folder


def files(folder: Path) -> list[str]:
    """All sound files, as paths below the folder."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.flac"))


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return make(
        tmp_path / "clips", "ep1/0001.flac", "ep1/0002.flac", "ep1/0003.flac", "第2話/0001.flac"
    )


@pytest.fixture
def session(clips: Path) -> Iterator[Session]:
    with Session(clips) as session:
        yield session


def number(session: Session, name: str) -> int:
    return [clip.name for clip in session.clips].index(name)


def count(session: Session, label: Label) -> int:
    return sum(clip.label == label for clip in session.clips)


def listen(session: Session, most: int = 1000) -> int:
    """Listen to so many clips that have not been yet; gives how many it were."""
    heard: list[int] = []
    read = session.read
    session.read = lambda one: heard.append(one) or read(one)
    session.listen(stop=lambda: len(heard) >= most)
    session.read = read
    return len(heard)


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(map(str, arguments)))
    return done.value.code or 0


class TestFolders:
    def test_a_clip_goes_where_its_label_says_and_back(self, session, clips) -> None:
        before = files(clips)
        session.assign(ASUKA, [number(session, "ep1/0002.flac")])
        session.assign(BACKGROUND, [number(session, "第2話/0001.flac")])
        assert files(clips) == [
            "ep1/0001.flac",
            "ep1/0003.flac",
            "ep1/宮村 優子/アスカ/0002.flac",
            "第2話/background/0001.flac",
        ]
        assert session.progress.sorted == 2
        assert session.characters == [ASUKA]
        assert session.undo() == "1 clip taken back from background"
        assert session.undo() == f"1 clip taken back from {ASUKA}"
        assert session.undo() is None
        assert files(clips) == before
        assert session.characters == []
        assert not (clips / "ep1" / "宮村 優子").exists()

    def test_starting_again_goes_on(self, clips) -> None:
        with Session(clips) as session:
            session.assign(ASUKA, [0, 1])
            session.assign(REI, [2])
        with Session(clips) as session:
            assert session.characters == [ASUKA, REI]
            assert (count(session, ASUKA), count(session, REI)) == (2, 1)
            assert session.progress.sorted == 3
            offer = session.offer()
            assert offer is not None
            assert [session.clips[one].name for one in offer.clips] == ["第2話/0001.flac"]
            session.assign(REI)
            assert session.offer() is None

    def test_what_a_file_manager_did_counts(self, clips) -> None:
        target = clips / "ep1" / REI.actor / REI.character
        target.mkdir(parents=True)
        (clips / "ep1" / "0001.flac").rename(target / "0001.flac")
        (clips / "ep1" / "nobody").mkdir()
        (clips / "ep1" / "0002.flac").rename(clips / "ep1" / "nobody" / "0002.flac")
        (clips / "ep1" / "._0003.flac").write_bytes(b"a shadow of macOS")
        make(clips, ".next.part/0001.flac")
        with Session(clips) as session:
            assert session.characters == [REI]
            assert session.stray == [clips / "ep1" / "nobody" / "0002.flac"]
            assert session.progress.total == 3

    def test_nothing_is_written_over(self, session, clips) -> None:
        make(clips, f"ep1/{ASUKA.actor}/{ASUKA.character}/0001.flac", y=voice(100, 2))
        there = clips / "ep1" / ASUKA.actor / ASUKA.character / "0001.flac"
        before = there.read_bytes(), (clips / "ep1" / "0001.flac").read_bytes()
        with pytest.raises(SortError, match="is there already, and is left as it is"):
            session.assign(ASUKA, [0])
        assert (there.read_bytes(), (clips / "ep1" / "0001.flac").read_bytes()) == before
        assert session.progress.sorted == 0
        session.assign(ASUKA, [1])
        make(clips, "ep1/0002.flac")
        with pytest.raises(SortError, match="is there already"):
            session.undo()
        assert (there.parent / "0002.flac").exists()

    def test_what_another_program_took_away(self, session, clips) -> None:
        (clips / "ep1" / "0002.flac").unlink()
        with pytest.raises(SortError, match="is not there any more"):
            session.assign(ASUKA, [0, 1, 2])
        assert session.progress.total == 3
        session.undo()
        assert files(clips) == ["ep1/0001.flac", "ep1/0003.flac", "第2話/0001.flac"]

    def test_a_group_that_has_been_half_sorted_is_taken_back(self, session, clips) -> None:
        make(clips, f"ep1/{ASUKA.actor}/{ASUKA.character}/0003.flac")
        with pytest.raises(SortError, match="0003"):
            session.assign(ASUKA, [0, 1, 2])
        assert count(session, ASUKA) == 2
        session.undo()
        assert [path for path in files(clips) if path.startswith("ep1/000")] == [
            "ep1/0001.flac",
            "ep1/0002.flac",
            "ep1/0003.flac",
        ]

    def test_one_at_a_time(self, session, clips) -> None:
        with pytest.raises(BusyError, match="is being sorted by another process; end that first"):
            Session(clips)
        session.close()
        Session(clips).close()

    def test_folders_that_are_none(self, tmp_path, clips) -> None:
        with pytest.raises(SortError, match="no such folder"):
            Session(tmp_path / "none")
        (tmp_path / "empty").mkdir()
        for _ in range(2):  # and the lock is let go of
            with pytest.raises(SortError, match="no clips in it"):
                Session(tmp_path / "empty")
        assert list((tmp_path / "empty").iterdir()) == []
        (clips / "ep1" / TABLE).write_text("{}")
        with pytest.raises(SortError, match="of one recording; name the folder"):
            Session(clips / "ep1")

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
    def test_killed_at_any_moment(self, tmp_path) -> None:
        names = [f"ep/{i:04}.flac" for i in range(400)]
        clips = make(tmp_path / "clips", *names)
        contents = {(clips / name).read_bytes() for name in names}
        program = (
            "import sys; from pathlib import Path; from kikiwake.tools.sort import *\n"
            "session = Session(Path(sys.argv[1])); print('ready', flush=True)\n"
            "while (offer := session.offer()) is not None:\n"
            "    session.assign(Label('actor', f'character {offer.clips[0] % 7}'))\n"
        )
        command = [sys.executable, "-c", program, str(clips)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
        assert sorted(path.name for path in clips.rglob("*.flac")) == [n[3:] for n in names]
        assert {path.read_bytes() for path in clips.rglob("*.flac")} == contents
        with Session(clips) as session:
            assert session.progress.total == 400
            assert session.progress.sorted > 0


class TestNames:
    @pytest.mark.parametrize(
        "name",
        [
            "惣流・アスカ・ラングレー",
            "😀👩‍🚀",
            "שלום",
            "O'Neil",
            "x" * 100,
            "-r",
            "~",
            "%s",
        ],
    )
    def test_any_script(self, session, clips, name) -> None:
        session.assign(check_label(name, name), [0])
        assert (clips / "ep1" / name / name / "0001.flac").exists()

    @pytest.mark.parametrize(
        "name",
        [
            *("", " ", ".", "..", "...", "a.", "a ", " a", "a/b", "a\\b", "a:b", "a?", "*", "<a>"),
            *("a\nb", "a\0b", "a\x1bb", "\u200b", "\udcff", "NUL", "con", "Com1.txt", "lpt¹"),
            *("x" * 101, "😀" * 64, '"a"', "a|b", "aux .b", ".hack"),
        ],
    )
    def test_what_no_folder_can_be_called(self, name) -> None:
        for label in ((name, "x"), ("x", name)):
            with pytest.raises(SortError, match="name "):
                check_label(*label)

    def test_background_is_no_actor(self) -> None:
        with pytest.raises(SortError, match="what nobody speaks in"):
            check_label("Background", "x")
        assert check_label("x", "background").character == "background"

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(actor=st.text(max_size=90), character=st.text(max_size=90))
    def test_whatever_is_allowed_can_be_made_and_found(self, tmp_path, actor, character) -> None:
        try:
            label = check_label(actor, character)
        except SortError:
            return
        clips = make(tmp_path / "names", "ep/0001.flac")
        with Session(clips) as session:
            session.assign(label, [0])
        with Session(clips) as session:
            assert session.clips[0].label == label
            (clips / "ep" / "0001.flac").unlink(missing_ok=True)
            session.clips[0].path.rename(clips / "ep" / "0001.flac")
            (clips / "ep" / label.folder).rmdir()

    def test_names_that_some_systems_do_not_tell_apart(self, session) -> None:
        session.assign(Label("Miyamura", "Asuka"), [0])
        for other in (("miyamura", "Rei"), ("Miyamura", "ASUKA")):
            with pytest.raises(SortError, match="take for the same; write it like that"):
                session.assign(Label(*other), [1])
        session.assign(Label("Hayashibara", "ASUKA"), [1])
        # Composed and not: one name.
        session.assign(check_label("Zoé", "Zoé"), [2])
        session.assign(Label("Zoe\u0301", "Zoe\u0301"), [3])
        assert count(session, check_label("Zoé", "Zoé")) == 2


class TestQueue:
    def test_skipped_clips_come_last_and_once_more(self, session) -> None:
        first = session.offer()
        assert first is not None
        session.skip()
        assert session.progress.skipped == len(first.clips) == 1
        seen = []
        while session.progress.sorted < 3:
            offer = session.offer()
            assert offer is not None
            seen += offer.clips
            session.assign(ASUKA)
        assert first.clips[0] not in seen
        assert session.offer() == first._replace(suggestion=None)
        session.skip()
        assert session.offer() == first  # there is nothing else

    def test_any_number_of_steps_back(self, session, clips) -> None:
        before, offers = files(clips), []
        for step in (session.skip, lambda: session.assign(ASUKA), lambda: session.assign(REI)):
            offers.append(session.offer())
            step()
        session.take_out(session.offer().clips)
        session.undo()
        for offer in reversed(offers):
            session.undo()
            assert session.offer() == offer
        assert session.undo() is None
        assert files(clips) == before
        assert session.progress.skipped == 0

    def test_nothing_to_confirm(self, session) -> None:
        with pytest.raises(SortError, match="nobody is suggested"):
            session.confirm()

    def test_a_portrait(self, session, clips, tmp_path) -> None:
        picture = tmp_path / "私.PNG"
        picture.write_bytes(b"\x89PNG\r\n\x1a\n...")
        with pytest.raises(SortError, match="has no clips yet"):
            session.set_portrait(ASUKA, picture)
        session.assign(ASUKA, [0])
        with pytest.raises(SortError, match="is not a picture"):
            session.set_portrait(ASUKA, clips / "ep1" / "0002.flac")
        assert session.portrait(ASUKA) is None
        there = session.set_portrait(ASUKA, picture)
        assert there == clips / "ep1" / ASUKA.actor / ASUKA.character / "portrait.png"
        assert there.read_bytes() == picture.read_bytes()
        with pytest.raises(SortError, match="has a portrait already"):
            session.set_portrait(ASUKA, picture)
        session.close()
        with Session(clips) as again:
            assert again.portrait(ASUKA) == there


@pytest.fixture(scope="module")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three voices, 16 clips each, listened to."""
    folder = tmp_path_factory.mktemp("voices") / "clips"
    for i in range(48):
        hz = (110, 190, 320)[i % 3]
        make(folder, f"ep/{i:04}.flac", y=voice(hz, i))
    with Session(folder) as session:
        session.listen()
    return folder


class TestLikeness:
    def copy(self, voices: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(voices, tmp_path / "clips"))

    def test_whole_groups_with_one_key(self, voices, tmp_path) -> None:
        with Session(self.copy(voices, tmp_path)) as session:
            session.listen()
            keys = 0
            while (offer := session.offer()) is not None:
                assert len(offer.clips) <= GROUP
                who = [int(session.clips[one].path.stem) % 3 for one in offer.clips]
                most = max(who, key=who.count)
                assert who.count(most) >= 0.8 * len(who)
                session.take_out([o for o, w in zip(offer.clips, who, strict=True) if w != most])
                session.assign(Label("actor", f"voice {most}"))
                keys += 1
            assert keys <= 16
            assert session.progress.sorted == 48

    def test_what_is_known_is_suggested(self, voices, tmp_path) -> None:
        with Session(self.copy(voices, tmp_path)) as session:
            session.listen()
            for i in range(3):
                session.assign(Label("actor", f"voice {i}"), list(range(i, 24, 3)))
            offer = session.offer()
            assert offer is not None
            assert len(offer.clips) > 4
            assert offer.suggestion == Label("actor", f"voice {offer.clips[0] % 3}")
            assert min(offer.chances) > 0.5
            out = offer.clips[1]
            session.take_out([out])
            assert session.offer() == offer.without([out])
            session.confirm()
            assert count(session, offer.suggestion) == 8 + len(offer.clips) - 1
            # Who has been taken out is not offered as the same again.
            while (more := session.offer()) is not None and more.suggestion == offer.suggestion:
                assert out not in more.clips
                session.confirm()

    def test_nothing_is_heard_twice(self, voices, tmp_path) -> None:
        clips = self.copy(voices, tmp_path)
        with Session(clips) as session:
            session.assign(Label("a", "b"), [0, 1, 2])  # it is the same clip wherever it lies
        with Session(clips) as session:
            assert listen(session) == 0
            assert session.progress.listened == 48

    def test_what_is_kept_may_be_lost(self, voices, tmp_path) -> None:
        clips = self.copy(voices, tmp_path)
        kept = clips / OWN_FOLDER / "likeness.npz"
        whole = kept.read_bytes()
        flipped = bytearray(whole)
        flipped[whole.index(b"PK\1\2") + 10] ^= 1  # a kind of compression that nobody knows
        with np.load(kept) as found:
            narrow = {**found, "vectors": found["vectors"][:, :9]}
        np.savez(kept, **narrow)
        narrow = kept.read_bytes()
        with Session(clips) as session:
            for damaged in (whole[:5000], b"", b"no archive", bytes(flipped), narrow, None):
                kept.unlink() if damaged is None else kept.write_bytes(damaged)
                assert listen(session, 2) == 2
            assert listen(session) == 46  # stopped there, it goes on from there
            assert session.progress.listened == 48

    def test_sorting_goes_on_meanwhile(self, voices, tmp_path) -> None:
        clips = self.copy(voices, tmp_path)
        (clips / OWN_FOLDER / "likeness.npz").unlink()
        with Session(clips) as session:
            thread = threading.Thread(target=session.listen)
            thread.start()
            while session.offer() is not None:
                thread.join(0.005)
                session.assign(Label("a", f"b{session.progress.sorted % 3}"))
                session.undo()
                session.assign(Label("a", f"b{session.progress.sorted % 3}"))
            thread.join()
            assert session.unreadable == {}
            assert session.progress.sorted == 48

    def test_clips_that_cannot_be_read(self, clips) -> None:
        (clips / "ep1" / "0002.flac").write_bytes(b"no sound")
        make(clips, "ep1/0004.flac", y=np.zeros(0, np.float32))
        make(clips, "ep1/0005.flac", y=np.zeros(10, np.float32))
        make(clips, "ep1/0006.wav", y=np.full((900, 2), np.nan, np.float32))
        with Session(clips) as session, warnings.catch_warnings():
            warnings.simplefilter("error")
            session.listen()
            assert sorted(session.unreadable) == [1, 3]  # and the one without any sound
            assert "0002.flac: cannot be read" in session.unreadable[1]
            assert session.progress.listened == 5
            while session.offer() is not None:
                session.assign(BACKGROUND)
            assert session.progress.sorted == 7

    def test_clips_of_nothing_but_silence(self, tmp_path) -> None:
        names = [f"ep/{i:04}.flac" for i in range(3)]
        with (
            Session(make(tmp_path / "clips", *names, y=np.zeros(3 * RATE))) as session,
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("error")
            session.listen()
            assert session.unreadable == {}
            assert session.offer() is not None

    def test_thousands_of_clips_without_delay(self, tmp_path) -> None:
        clips = tmp_path / "clips" / "ep"
        clips.mkdir(parents=True)
        for i in range(2000):
            (clips / f"{i:04}.flac").touch()
        with Session(tmp_path / "clips") as session:
            rng = np.random.default_rng(0)
            centres = rng.standard_normal((30, 256))
            found = centres[np.arange(2000) % 30] + 0.3 * rng.standard_normal((2000, 256))
            session._publish(list(found.astype(np.float32)))
            took = []
            for _ in range(10):
                began = time.perf_counter()
                offer = session.offer()
                session.assign(Label("actor", f"voice {offer.clips[0] % 30}"))
                took.append(time.perf_counter() - began)
            assert np.median(took) < 0.2


class TestTable:
    def table(self, tmp_path: Path, *lines: str) -> Path:
        path = tmp_path / "labels.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def test_clips_go_where_it_says(self, clips, tmp_path, capsys) -> None:
        table = self.table(
            tmp_path,
            "clip,actor,character,note",
            'ep1/0001.flac,宮村 優子,アスカ,"two\nlines"',
            "",
            "ep1/0002.flac, background,",
            "第2話/0001.flac,林原 めぐみ,レイ 😀",
        )
        for _ in range(2):  # again, when all is there already
            assert run("sort", clips, "--from", table) == 0
            said = capsys.readouterr().out
            assert "labels.csv: 3 clips have the character" in said
            assert "clips: 3 of 4 clips are sorted" in said
            assert files(clips) == [
                "ep1/0003.flac",
                "ep1/background/0002.flac",
                "ep1/宮村 優子/アスカ/0001.flac",
                "第2話/林原 めぐみ/レイ 😀/0001.flac",
            ]

    def test_every_bad_row_is_named_and_nothing_moved(self, clips, tmp_path, capsys) -> None:
        before = files(clips)
        table = self.table(
            tmp_path,
            "clip,actor,character",
            "ep1/0001.flac,Miyamura,Asuka",
            "ep1/0009.flac,Miyamura,Asuka",
            "../clips/ep1/0002.flac,Miyamura,Asuka",
            f"{clips}/ep1/0002.flac,Miyamura,Asuka",
            "ep1/0001.flac,Miyamura,Rei",
            "ep1/0002.flac,miyamura,asuka",
            "ep1/0003.flac,a/b,c",
            "ep1/0003.flac,background,Rei",
            "ep1/0003.flac",
            "ep1/0003.flac,Miyamura,",
            "第2話/0001.flac,NUL,x",
            ",Miyamura,Asuka",
        )
        assert run("sort", clips, "--from", table) == 1
        said = capsys.readouterr()
        lines = said.out.splitlines()
        assert [line.split("labels.csv: ")[1].split(":")[0] for line in lines] == [
            f"line {i}" for i in range(3, 14)
        ]
        assert said.err.endswith("labels.csv: 11 of 12 rows are wrong; nothing was moved\n")
        assert files(clips) == before

    def test_names_that_some_systems_take_for_the_same(self, tmp_path) -> None:
        table = self.table(tmp_path, "clip,actor,character", "EP1/1.flac,a,b", "ep1/2.FLAC,a,b")
        clips = make(tmp_path / "clips", "EP1/1.flac", "ep1/1.flac", "ep1/2.flac")
        if len(files(clips)) == 2:
            pytest.skip("this system takes them for the same")
        with Session(clips) as session:
            rows, wrong = read_labels(table, session)
            assert [session.clips[row.clip].name for row in rows] == ["EP1/1.flac", "ep1/2.flac"]
            make(clips, "EP1/2.flac")
        with Session(clips) as session:
            _, wrong = read_labels(table, session)
            assert "line 3: 'ep1/2.FLAC' stands for two clips" in wrong[0]
            session.assign(Label("a", "b"), [number(session, "EP1/1.flac")])
            rows, _ = read_labels(table, session)
            assert session.clips[rows[0].clip].home == clips / "EP1"

    def test_a_path_longer_than_there_can_be(self, tmp_path, capsys) -> None:
        assert run("sort", tmp_path / ("あ" * 300), "--from", tmp_path / "labels.csv") == 1
        said = capsys.readouterr().err
        assert said.startswith("kikiwake: ")
        assert said.count("\n") == 1

    def test_a_file_in_the_way(self, clips, tmp_path) -> None:
        make(clips, "ep1/a/b/0001.flac")
        table = self.table(tmp_path, "clip,actor,character", "ep1/0001.flac,a,b")
        with Session(clips) as session:
            assert read_labels(table, session)[1] == [
                f"line 2: {clips / 'ep1/a/b/0001.flac'} is there already; nothing is written over"
            ]

        (clips / "ep1" / "notes").touch()
        table = self.table(tmp_path, "clip,actor,character", "ep1/0001.flac,notes,b")
        with Session(clips) as session:
            assert read_labels(table, session)[1] == [
                f"line 2: {clips / 'ep1/notes'} is a file; choose another name"
            ]

    def test_new_names_that_some_systems_take_for_the_same(self, clips, tmp_path) -> None:
        rows = ("ep1/0001.flac,Anna,B", "ep1/0002.flac,anna,A", "ep1/0003.flac,Anna,b")
        table = self.table(tmp_path, "clip,actor,character", *rows)
        with Session(clips) as session:
            assert read_labels(table, session)[1] == [
                "line 3: anna is written Anna above; choose one",
                "line 4: Anna/b is written Anna/B above; choose one",
            ]

    def test_folders_that_are_written_otherwise(self, tmp_path) -> None:
        clips = make(tmp_path / "clips", "ep/Background/1.flac", "ep/Zoe\u0301/o\u0308/2.flac")
        before = files(clips)
        table = self.table(
            tmp_path, "clip,actor,character", "ep/1.flac,background,", "ep/2.flac,Zo\u00e9,\u00f6"
        )
        with Session(clips) as session:
            rows, wrong = read_labels(table, session)
            assert wrong == []
            for row in rows:
                session.assign(row.label, [row.clip])
        assert files(clips) == before

    def test_of_other_programs(self, clips, tmp_path) -> None:
        table = tmp_path / "labels.csv"
        for separator in ";\t":
            text = "Character;Clip;Actor\r\nRei;ep1/0001.flac;Hayashibara\r\n"
            table.write_text(text.replace(";", separator), encoding="utf-8-sig", newline="")
            with Session(clips) as session:
                rows, wrong = read_labels(table, session)
            assert wrong == []
            assert [(row.line, row.label) for row in rows] == [(2, Label("Hayashibara", "Rei"))]

    @pytest.mark.parametrize(
        ("data", "complaint"),
        [
            (b"clip,actor\nx,y\n", "must name the columns: clip, actor, character"),
            (b"", "must name the columns"),
            ("clip,actor,character\né,b,c".encode("latin-1"), "is not text in UTF-8"),
            (b"clip,clip,actor,character\n", "must name the columns"),
        ],
    )
    def test_what_is_no_table(self, session, tmp_path, data, complaint) -> None:
        table = tmp_path / "labels.csv"
        table.write_bytes(data)
        with pytest.raises(SortError, match=complaint):
            read_labels(table, session)
        with pytest.raises(SortError, match="cannot be read: No such file"):
            read_labels(tmp_path / "none.csv", session)

    def test_by_the_truth_of_the_demo(self, tmp_path, capsys) -> None:
        assert run("split", DEMO, "--to", tmp_path / "clips") == 0
        turns = read_rttm(DEMO_TRUTH)
        rows = ["clip,actor,character"]
        name = DEMO.stem
        for clip in read_clips(tmp_path / "clips" / name).clips:
            who = max(turns, key=lambda t: min(t.end, clip.end_s) - max(t.start, clip.start_s))
            rows.append(f"{name}/{clip.file},actor of {who.name},{who.name}")
        assert run("sort", tmp_path / "clips", "--from", self.table(tmp_path, *rows)) == 0
        assert f"{len(rows) - 1} of {len(rows) - 1} clips are sorted" in capsys.readouterr().out
