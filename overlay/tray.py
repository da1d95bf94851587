"""The tray icon and the menu; the menu is also had by the right button, on the card or its grip."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QPoint, QPointF, QRectF, Qt, QUrl
from PySide6.QtGui import (
    QAction,
    QActionGroup,
    QColor,
    QDesktopServices,
    QIcon,
    QPainter,
    QPen,
    QPixmap,
)
from PySide6.QtWidgets import QFileDialog, QMenu, QSystemTrayIcon

from ..engine.config import config_path, default_toml
from ..files import write_file
from .place import MODES, Mode
from .window import OverlayWindow
from .words import Words

_log = logging.getLogger(__name__)


class Tray:
    """Menu and icon of a window.

    Parameters
    ----------
    window : OverlayWindow
        What they are for.
    words : Words
        Language.
    quit_ : callable
        Ends the program.
    use_cast : callable
        Has the cast of a file used from now on.
    config : Path, optional
        The config file to be opened; by default the user's own.
    """

    def __init__(
        self,
        window: OverlayWindow,
        words: Words,
        quit_: Callable[[], None],
        use_cast: Callable[[str], None],
        config: Path | None = None,
    ) -> None:
        self._window, self._words, self._use_cast = window, words, use_cast
        self._dialog: QFileDialog | None = None
        self.menu = QMenu()
        self.cast = QAction("", self.menu)
        self.cast.triggered.connect(self._ask_for_cast)
        self.menu.addAction(self.cast)
        self.menu.addSeparator()
        self.modes: dict[Mode, QAction] = {}
        group = QActionGroup(self.menu)
        names = {"compact": words.compact, "full": words.full, "timeline": words.timeline}
        for mode in MODES:
            self.modes[mode] = action = QAction(names[mode], group, checkable=True)
            action.triggered.connect(lambda _=False, mode=mode: self._choose(mode))
            self.menu.addAction(action)
        self.menu.addSeparator()
        self.click_through = QAction(words.click_through, self.menu, checkable=True)
        self.click_through.triggered.connect(self._let_through)
        self.pause = QAction(words.pause, self.menu, checkable=True)
        self.pause.triggered.connect(self._pause)
        self.config = QAction(words.config, self.menu)
        self.config.triggered.connect(lambda: open_config(config or config_path()))
        self.quit = QAction(words.quit, self.menu)
        self.quit.triggered.connect(quit_)
        self.menu.addActions([self.click_through, self.pause])
        self.menu.addSeparator()
        self.menu.addActions([self.config, self.quit])
        # Where there is no tray yet, as when the desktop is just starting, it comes with that.
        self.icon = QSystemTrayIcon(draw_icon())
        self.icon.setContextMenu(self.menu)
        self.icon.activated.connect(self._activated)
        self.icon.show()
        self.menu.aboutToShow.connect(self._offer_pause)
        window.changed.connect(self._show_state)
        window.menu_wanted.connect(self._pop_up)
        self._show_state()

    def name_cast(self, name: str) -> None:
        """Say which cast is in use."""
        self.cast.setText(self._words.cast.format(name).replace("&", "&&"))
        self.icon.setToolTip(f"Kikiwake · {name}")

    def close(self) -> None:
        """Take the icon away, and let both go."""
        self._window.changed.disconnect(self._show_state)
        self.icon.hide()
        self.icon.deleteLater()
        if self._dialog is not None:
            self._dialog.deleteLater()
        self.menu.close()
        self.menu.deleteLater()

    def _offer_pause(self) -> None:
        """Without an icon in a tray, nothing would end it."""
        self.pause.setVisible(QSystemTrayIcon.isSystemTrayAvailable())

    def _ask_for_cast(self) -> None:
        if self._dialog is not None:
            self._dialog.deleteLater()
        kinds = f"{self._words.cast_files} (*.cast)"
        self._dialog = QFileDialog(None, "Kikiwake", "", kinds)
        self._dialog.setFileMode(QFileDialog.FileMode.ExistingFile)
        self._dialog.fileSelected.connect(self._use_cast)
        self._dialog.open()

    def _choose(self, mode: Mode) -> None:
        self._window.mode = mode

    def _let_through(self, wanted: bool) -> None:
        self._window.click_through = wanted

    def _pause(self, wanted: bool) -> None:
        self._window.paused = wanted

    def _activated(self, reason: QSystemTrayIcon.ActivationReason) -> None:
        if reason == QSystemTrayIcon.ActivationReason.Trigger:
            self._window.paused = not self._window.paused

    def _show_state(self) -> None:
        self.modes[self._window.mode].setChecked(True)
        self.click_through.setChecked(self._window.click_through)
        self.pause.setChecked(self._window.paused)
        self.icon.setIcon(draw_icon(self._window.paused))

    def _pop_up(self, where: QPoint) -> None:
        self.menu.popup(where)


def open_config(path: Path) -> None:
    """Open a config file in the user's editor; the default one is written where there is none."""
    try:
        if not path.exists():
            write_file(path, default_toml().encode())
    except OSError as error:
        _log.warning("config %s: cannot be written: %s", path, error.strerror)
        return
    if not QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))):
        _log.warning("config %s: there is nothing to open it with", path)


def draw_icon(paused: bool = False) -> QIcon:
    """Draw the icon: a voice in a ring."""
    icon = QIcon()
    for size in (16, 22, 32, 48, 64, 128):
        pixmap = QPixmap(size, size)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.scale(size / 32, size / 32)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(28, 31, 38))
        painter.drawEllipse(QRectF(0.5, 0.5, 31, 31))
        pen = QPen(QColor("#8b93a1" if paused else "#52b7b8"), 2.6)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawArc(QRectF(3, 3, 26, 26), 90 * 16, -(360 if paused else 285) * 16)
        pen.setColor(QColor("#f6f7f9"))
        pen.setWidthF(2.6)
        painter.setPen(pen)
        bars = ((12.5, 5), (19.5, 5)) if paused else ((10.5, 2.5), (16, 6), (21.5, 3.5))
        for x, half in bars:
            painter.drawLine(QPointF(x, 16 - half), QPointF(x, 16 + half))
        painter.end()
        icon.addPixmap(pixmap)
    return icon
