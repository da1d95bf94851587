"""The window of `kikiwake sort`, by its keys, on a screen that nobody sees."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip(
    "PySide6.QtWidgets", reason="the extra sort is not installed", exc_type=ImportError
)

import shiboken6
from PySide6.QtCore import QEvent, QEventLoop, Qt, QTimer, Signal
from PySide6.QtGui import QImage, QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog, QLabel, QLineEdit

from kikiwake.errors import SourceError
from kikiwake.tools import sort_window
from kikiwake.tools.cli import main
from kikiwake.tools.sort import BACKGROUND, Label, Session
from kikiwake.tools.sort_window import SortWindow, Speaker

RATE = 16_000
ASUKA = Label("宮村 優子", "アスカ")
ARIEL = Label("Cohen &amp; son", "אריאל 😀")
Key = Qt.Key


class Silent(Speaker):
    """Notes what would be heard."""

    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.played: list[float] = []

    def play(self, y: np.ndarray, sample_rate: int) -> None:
        self.played.append(len(y) / sample_rate)

    def stop(self) -> None:
        pass


def wait(until: Callable[[], object], seconds: float = 20.0) -> None:
    """Let Qt work, and other threads, until something is the case."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "in vain"
        loop = QEventLoop()
        QTimer.singleShot(5, loop.quit)
        loop.exec()


@pytest.fixture(scope="module")
def application() -> QApplication:
    return QApplication.instance() or QApplication(["kikiwake"])


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    for i in range(24):
        path = folder / "第1話" / f"{i:04}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        t = np.arange(RATE // 4) / RATE
        rng = np.random.default_rng(i)
        hz = (120, 260)[i % 2] * (1 + 0.03 * rng.standard_normal())
        y = sum(np.sin(2 * np.pi * hz * k * t) / k for k in range(1, 12))
        noise = 1e-3 * rng.standard_normal(len(t))
        soundfile.write(path, 0.1 * y * rng.uniform(0.5, 1) + noise, RATE)
    return folder


@pytest.fixture
def window(application: QApplication, clips: Path) -> Iterator[SortWindow]:
    with Session(clips) as session:
        session.listen()
        window = SortWindow(session, Silent())
        window.show()
        wait(lambda: rows(window) > 0 and not window._listening.is_alive())
        yield window
        window.close()
        shiboken6.delete(window)


def rows(window: SortWindow) -> int:
    return window._rows.count()


def count(session: Session, label: Label) -> int:
    return sum(clip.label == label for clip in session.clips)


def press(
    window: SortWindow, *keys: Qt.Key, modifier: object = Qt.KeyboardModifier.NoModifier
) -> None:
    for key in keys:
        QTest.keyClick(window, key, modifier)


def undo(window: SortWindow) -> None:
    press(window, Key.Key_Z, modifier=Qt.KeyboardModifier.ControlModifier)


def texts(window: SortWindow) -> str:
    return "\n".join(label.text() for label in window.findChildren(QLabel))


def type_in(window: SortWindow, character: str, actor: str, picture: str = "") -> list[str]:
    """Press N and fill in what it asks for; gives what it complains of, if it does."""
    wrong: list[str] = []

    def fill() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, QDialog)
        for field, text in zip(
            (dialog.character, dialog.actor, dialog.portrait),
            (character, actor, picture),
            strict=True,
        ):
            assert isinstance(field, QLineEdit)
            field.setText(text)
        dialog.accept()
        if dialog.isVisible():
            wrong.append(dialog.wrong.text())
            dialog.reject()

    QTimer.singleShot(0, fill)
    press(window, Key.Key_N)
    return wrong


def test_from_the_first_key_to_the_last(window, clips) -> None:
    session = window._session
    first = session.offer()
    assert rows(window) == len(first.clips) > 4
    assert "Who is this?" in texts(window)
    assert type_in(window, ASUKA.character, ASUKA.actor) == []
    assert count(session, ASUKA) == len(first.clips)
    assert len(list((clips / "第1話" / ASUKA.actor / ASUKA.character).iterdir())) == len(
        first.clips
    )
    assert type_in(window, ARIEL.character, ARIEL.actor) == []
    while session.offer() is not None:
        suggested = session.offer().suggestion
        press(window, Key.Key_Return if suggested else Key.Key_2)
    assert session.progress.sorted == 24
    assert "All is sorted" in texts(window)
    assert "24 of 24 clips are sorted" in texts(window)
    press(window, Key.Key_Return, Key.Key_X, Key.Key_Up, Key.Key_Space, Key.Key_M, Key.Key_1)
    assert session.progress.sorted == 24
    for _ in range(30):
        undo(window)
    assert "there is nothing left to undo" in texts(window)
    assert session.progress.sorted == 0
    assert session.offer() == first
    assert sorted(p.name for p in (clips / "第1話").iterdir()) == [
        f"{i:04}.flac" for i in range(24)
    ]


def test_taking_out_and_marking(window) -> None:
    session = window._session
    clips = session.offer().clips
    press(window, Key.Key_Space, Key.Key_Down)  # it goes no further by itself
    row = window._rows.currentRow()
    press(window, Key.Key_X)
    assert session.offer().clips == (*clips[:row], *clips[row + 1 :])
    assert window._rows.currentRow() == row
    undo(window)
    assert session.offer().clips == clips
    press(window, Key.Key_Space)
    for _ in clips:
        if window._rows.currentRow() > 0:
            press(window, Key.Key_Up)
    press(window, Key.Key_Up)  # from the first to the last
    last = window._rows.currentRow()
    assert last == len(clips) - 1
    press(window, Key.Key_M, Key.Key_Up, Key.Key_M, Key.Key_B)
    assert count(session, BACKGROUND) == 2
    assert session.offer().clips == tuple(
        c for i, c in enumerate(clips) if i not in (last, last - 1)
    )
    press(window, Key.Key_X, Key.Key_S)
    assert session.progress.skipped == len(clips) - 3


def test_a_new_character_with_a_portrait(window, clips, tmp_path) -> None:
    session = window._session
    picture = tmp_path / "アスカ.png"
    image = QImage(64, 64, QImage.Format.Format_RGB32)
    image.fill(Qt.GlobalColor.red)
    image.save(str(picture))
    offer = session.offer()
    assert "allowed" in type_in(window, "a/b", "c")[0]
    assert "no such file" in type_in(window, "a", "b", str(tmp_path / "none.png"))[0]
    assert (session.offer(), session.characters) == (offer, [])
    assert type_in(window, ASUKA.character, ASUKA.actor, str(picture)) == []
    assert session.portrait(ASUKA).parent == clips / "第1話" / ASUKA.actor / ASUKA.character
    assert type_in(window, "レイ", ASUKA.actor) == []  # of the same actor
    assert not window._pixmap(ASUKA, 40).isNull()


def test_clips_are_heard_one_after_the_other(window) -> None:
    played = window._speaker.played
    wait(lambda: len(played) >= 3)
    assert played[:3] == [0.25] * 3
    wait(lambda: window._rows.currentRow() >= 2)
    row = window._rows.currentRow()
    press(window, Key.Key_Up)  # no further by itself from now on
    assert window._rows.currentRow() == row - 1
    heard = len(played)
    press(window, Key.Key_Space)
    assert len(played) == heard + 1


def test_a_key_that_is_held_down_files_one_group(window) -> None:
    session = window._session
    first = len(session.offer().clips)
    press(window, Key.Key_B)
    for key in (Key.Key_B, Key.Key_Return, Key.Key_S, Key.Key_X):
        none = Qt.KeyboardModifier.NoModifier
        event = QKeyEvent(QEvent.Type.KeyPress, key, none, "", True)
        QApplication.sendEvent(window, event)
    assert count(session, BACKGROUND) == first == session.progress.sorted
    assert session.progress.skipped == 0


def test_playing_goes_on_when_rows_go(window) -> None:
    clips = window._session.offer().clips
    wait(lambda: window._playing == clips[2])
    window._rows.setCurrentRow(0)
    press(window, Key.Key_M, Key.Key_B)
    assert window._playing == clips[2]
    wait(lambda: window._playing == clips[3])
    window._rows.setCurrentRow(2)
    press(window, Key.Key_M, Key.Key_B)  # what is heard
    assert window._playing == clips[4]
    press(window, Key.Key_B)
    assert window._playing not in clips
    window._take_sound(clips[-1], "late")


def test_it_looks_as_it_should(window, tmp_path) -> None:
    type_in(window, ARIEL.character, ARIEL.actor)
    wait(lambda: len(window._sounds) == rows(window))
    image = window._rows.viewport().grab().toImage()
    row = window._rows.visualItemRect(window._rows.item(0))
    middle = [image.pixel(x, row.center().y()) for x in range(row.left(), row.right())]
    assert len(set(middle)) > 8  # a mark, bars, letters


def test_what_goes_wrong_is_said(window, clips) -> None:
    first = window._session.offer().clips[0]
    window._session.clips[first].path.unlink()
    press(window, Key.Key_B)
    assert "is not there any more" in texts(window)
    press(window, Key.Key_B)
    assert first not in window._session.offer().clips
    assert count(window._session, BACKGROUND) > 0


def test_without_a_sound_output(application, clips, monkeypatch) -> None:
    def none() -> None:
        raise SourceError("the PortAudio library is missing")

    monkeypatch.setattr(sort_window, "portaudio", none)
    with Session(clips) as session:
        session.listen()
        window = SortWindow(session)
        window.show()
        wait(lambda: "the PortAudio library is missing" in texts(window))
        press(window, Key.Key_B)
        assert count(session, BACKGROUND) > 0
        press(window, Key.Key_Q)
        assert not window.isVisible()
        shiboken6.delete(window)


def test_it_works_while_it_listens(application, clips) -> None:
    with Session(clips) as session:
        window = SortWindow(session, Silent())
        window.show()
        wait(lambda: rows(window) > 0)
        press(window, Key.Key_B)
        assert count(session, BACKGROUND) > 0
        window.close()
        assert not window._listening.is_alive()
        shiboken6.delete(window)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there is always a screen")
def test_without_a_screen(clips, capsys, monkeypatch) -> None:
    for name in os.environ:
        if name.startswith(("QT_", "DISPLAY", "WAYL")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("QT_QPA_PLATFORM", "xcb")
    with pytest.raises(SystemExit) as done:
        main(["sort", str(clips)])
    assert done.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("kikiwake: there is no screen for the window (")
    assert said.count("\n") == 1


def test_without_qt(clips, capsys, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "kikiwake.tools.sort_window", None)
    with pytest.raises(SystemExit) as done:
        main(["sort", str(clips)])
    assert done.value.code == 1
    assert 'pip install ".[sort]"' in capsys.readouterr().err


def test_ctrl_c_while_a_name_is_typed(clips) -> None:
    program = (
        "import signal, sys; from PySide6.QtCore import QTimer; from PySide6.QtWidgets import *\n"
        "from kikiwake.tools import sort_window; from kikiwake.tools.cli import main\n"
        "application = QApplication([])\n"
        "def type_in():\n"
        "    window = application.topLevelWidgets()[0]\n"
        "    window._offer = window._session.offer()\n"
        "    QTimer.singleShot(10, lambda: signal.raise_signal(signal.SIGINT))\n"
        "    window._new_character()\n"
        "    print('the dialog has been left')\n"
        "QTimer.singleShot(0, type_in)\n"
        "main(['sort', sys.argv[1]])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(clips)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert done.stdout.startswith("the dialog has been left\n")
    assert "0 of 24 clips are sorted" in done.stdout
    assert "Traceback" not in done.stderr
    assert "QObject" not in done.stderr
