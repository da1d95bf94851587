"""Qt that draws into memory; a test of the overlay skips by itself where there is no Qt."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from played import Played
    from PySide6.QtWidgets import QApplication
    from screen import Screen

    from kikiwake.models.cast import Cast

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session")
def application() -> QApplication:
    from played import set_font
    from PySide6.QtWidgets import QApplication

    found = QApplication.instance() or QApplication(["kikiwake"])
    set_font()
    return found


@pytest.fixture(scope="session")
def dejavu(application: QApplication) -> None:
    """Skip where the font that the stored screens were drawn with is missing."""
    from PySide6.QtGui import QFontDatabase

    if "DejaVu Sans" not in QFontDatabase.families():
        pytest.skip("the font DejaVu Sans is not installed (Debian: fonts-dejavu-core)")


@pytest.fixture(scope="session")
def cast(application: QApplication) -> Cast:
    from played import make_cast

    return make_cast()


@pytest.fixture
def play(application: QApplication, cast: Cast) -> Iterator[Callable[..., Played]]:
    """Make windows whose time passes when they are told to."""
    from played import Played
    from PySide6.QtCore import QEvent
    from PySide6.QtWidgets import QApplication

    made: list[Played] = []

    def make(memory: Any = None, **options: Any) -> Played:
        made.append(Played(options.pop("cast", cast), memory, **options))
        return made[-1]

    yield make
    for one in made:
        one.window.end()
    # Now, and in this thread: the collector might come to it in another.
    QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture(scope="module")
def screen() -> Iterator[Screen]:
    """Lend an X server."""
    if shutil.which("Xvfb") is None:
        pytest.skip("Xvfb is not installed (Debian: xvfb)")
    pytest.importorskip("Xlib", reason="python-xlib is not installed")
    from screen import Screen

    server = Screen()
    yield server
    server.close()
