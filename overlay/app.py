"""Opens the window and keeps it going: what the command line calls.

Qt is imported when the window is shown, not with this module.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engine.result import Result
from ..errors import CastError, KikiwakeError

if TYPE_CHECKING:
    from ..engine.recognizer import Recognizer

PACKAGES = "libegl1 libxkbcommon-x11-0 libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0"
_PATIENCE_S = 0.5
_TRY_S = 30.0


class OverlayError(KikiwakeError):
    """There can be no window here."""


def check_overlay() -> None:
    """Find out whether there can be a window.

    Raises
    ------
    OverlayError
        The extra is not installed, there is no screen, or Qt cannot use it; the text says which,
        and what to do.
    """
    if importlib.util.find_spec("PySide6") is None:
        raise OverlayError(
            "the window needs PySide6, which is not installed: in the clone of Kikiwake, "
            "pip install '.[overlay]'"
        )
    if sys.platform in ("win32", "darwin"):
        return
    if not any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")):
        raise OverlayError("there is no screen for the window: neither DISPLAY nor WAYLAND_DISPLAY")
    # Elsewhere: where Qt finds no screen, it ends the process.
    program = "from PySide6.QtGui import QGuiApplication; QGuiApplication([])"
    command = [sys.executable, "-c", program]
    environment = os.environ | qt_environment()
    try:
        tried = subprocess.run(
            command, capture_output=True, env=environment, timeout=_TRY_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise OverlayError("there is no screen for the window: it does not answer") from None
    if tried.returncode:
        said = tried.stderr.decode(errors="replace").splitlines()
        why = next((line for line in said if line.startswith("qt.qpa")), "").strip()
        needs = f"; on Debian and Ubuntu it needs the packages {PACKAGES}"
        raise OverlayError(
            f"there is no screen for the window ({why or 'Qt does not start'})"
            f"{'' if 'could not connect to display' in why else needs}"
        )


def show(
    recognizer: Recognizer,
    take: Callable[[Result], object] | None = None,
) -> None:
    """Show who is speaking in a window, until it is quit or the sound ends.

    Call it in the main thread, where it stays. The results are read in a thread of their own, so
    nothing in the window holds them up.

    Parameters
    ----------
    recognizer : Recognizer
        Entered.
    take : callable, optional
        Gets each result, in that other thread; never after this function has returned, but for the
        one it may be busy with.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, or SIGTERM.
    KikiwakeError
        As the iterator of the recognizer.
    """
    os.environ.update(qt_environment())
    from PySide6.QtCore import QEvent, QObject, QSocketNotifier, Signal
    from PySide6.QtWidgets import QApplication

    from ..models.cast import load_cast
    from .motion import motion_is_reduced
    from .place import load_memory
    from .tray import Tray
    from .window import OverlayWindow, language
    from .words import said_in
    from .x11 import is_composited

    class Bridge(QObject):
        """Brings what happens in the thread of the results to the window's."""

        cast_changed = Signal(object)
        ended = Signal()

    running = QApplication.instance()
    application = running if isinstance(running, QApplication) else QApplication(["kikiwake"])
    application.setQuitOnLastWindowClosed(False)
    application.setApplicationDisplayName("Kikiwake")
    said = language()
    cast = recognizer.cast
    window = OverlayWindow(
        cast,
        load_memory(),
        sound=lambda: recognizer.waveform,
        said=said,
        moving=not motion_is_reduced(),
        composited=application.platformName() != "xcb" or is_composited(),
    )

    def use_cast(path: str) -> None:
        try:
            recognizer.use_cast(load_cast(path))
        except CastError as error:
            window.tell(said_in(said, str(error)))
        else:
            window.tell("")

    tray = Tray(window, said, application.quit, use_cast, recognizer.config)
    tray.name_cast(cast.card.name)
    bridge = Bridge()
    bridge.cast_changed.connect(window.set_cast)
    bridge.cast_changed.connect(lambda new: tray.name_cast(new.card.name))
    bridge.ended.connect(application.quit)
    stopping = threading.Event()
    errors: list[BaseException] = []

    def read() -> None:
        known = cast
        try:
            for result in recognizer:
                if stopping.is_set():
                    return
                # A last result of the old one may come after this: a stranger, until the next.
                if recognizer.cast is not known:
                    known = recognizer.cast
                    bridge.cast_changed.emit(known)
                window.feed.take(result)
                if take is not None:
                    take(result)
        except BaseException as error:  # raised in the main thread
            errors.append(error)
        finally:
            if not stopping.is_set():
                bridge.ended.emit()

    reader = threading.Thread(target=read, name="kikiwake-results", daemon=True)
    with _Signals() as signals:
        notifier = QSocketNotifier(signals.number, QSocketNotifier.Type.Read)
        notifier.activated.connect(lambda: application.quit() if signals.caught() else None)
        window.start()
        reader.start()
        try:
            application.exec()
        finally:
            stopping.set()
            notifier.setEnabled(False)
            reader.join(_PATIENCE_S)
            tray.close()
            window.end()
            application.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    if errors:
        raise errors[0]
    if signals.was_caught:
        raise KeyboardInterrupt


class _Signals:
    """Ctrl-C and SIGTERM, as something that Qt can wait for: Python's handlers would not run."""

    def __init__(self) -> None:
        self.was_caught = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> _Signals:
        self._reads, self._writes = socket.socketpair()
        for end in (self._reads, self._writes):
            end.setblocking(False)
        self.number = self._reads.fileno()
        self._before_fd = signal.set_wakeup_fd(self._writes.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._catch)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._before_fd)
        self._reads.close()
        self._writes.close()

    def caught(self) -> bool:
        """Read what came, which lets Python's handlers run; say whether it is to end."""
        self._reads.recv(64)
        return self.was_caught

    def _catch(self, *_: object) -> None:
        self.was_caught = True


def qt_environment() -> dict[str, str]:
    """Give what is to be in the environment before Qt is started."""
    environment = os.environ
    wanted = {}
    # Else Qt draws each picture of some size in several threads, which here takes 20 % more.
    if "QT_NO_GUI_THREADPOOL" not in environment:
        wanted["QT_NO_GUI_THREADPOOL"] = "1"
    # XWayland where there is one: on Wayland itself no window can stay on top.
    ours = environment.get("QT_QPA_PLATFORM") or not sys.platform.startswith("linux")
    if not ours and environment.get("WAYLAND_DISPLAY") and environment.get("DISPLAY"):
        wanted["QT_QPA_PLATFORM"] = "xcb;wayland"
    return wanted
