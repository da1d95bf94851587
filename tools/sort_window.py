"""The window of `kikiwake sort`: hears, shows, and hands every key to the `Session`.

Nothing here waits: clips are read in one thread, played in another, listened to in a third.
"""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import (
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRectF,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import (
    QCloseEvent,
    QColor,
    QFont,
    QFontMetrics,
    QKeyEvent,
    QKeySequence,
    QPainter,
    QPainterPath,
    QPalette,
    QPixmap,
)
from PySide6.QtWidgets import (
    QApplication,
    QCompleter,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from ..engine.devices import portaudio
from ..errors import CastError, KikiwakeError, one_line
from ..quiet import quiet_stderr
from .cast_files import PICTURES, read_picture
from .sort import BACKGROUND, Label, Offer, Session, SortError, check_label
from .split import SplitError, read_clips
from .view import clock

_Float = NDArray[np.float32]
_Index = QModelIndex | QPersistentModelIndex

# One for each character; the other letters are commands.
CHARACTER_KEYS = "1234567890ACDEFGHIJKLOPRTUVWYZ"
HEARD_S = 1.5
_ALL_S = 1e6
_PAUSE_S = 0.15
_BARS = 240
_REFRESH_MS = 250
_PATIENCE_S = 2.0
_CLOSING_MS = 20
_HINTS = (
    ("Enter", "confirm all"),
    ("1-9, letter", "give to that character"),
    ("N", "new character"),
    ("B", "background"),
    ("X", "not of this group"),
    ("M", "mark"),
    ("Space", "play"),
    ("S", "skip"),
    ("Ctrl+Z", "undo"),
    ("Q", "quit"),
)


class Sound(NamedTuple):
    """A clip to be heard and seen.

    Attributes
    ----------
    y : ndarray of float32, shape (n,)
        Mono.
    sample_rate : int
        In Hz.
    bars : ndarray of float32, shape (bars,)
        Its loudness along the time, up to 1; empty where there is no sound.
    """

    y: _Float
    sample_rate: int
    bars: _Float

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.y) / self.sample_rate


class Row(NamedTuple):
    """What a row of the list shows."""

    text: str
    sound: Sound | str | None  # or why it cannot be read, or not yet
    marked: bool
    playing: bool


class Speaker(QObject):
    """Plays sounds in a thread of its own: to open a device takes as long as it likes."""

    failed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._wanted: queue.SimpleQueue[tuple[_Float, int] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def play(self, y: _Float, sample_rate: int) -> None:
        """Play a sound instead of any that is playing; at once, without waiting for it."""
        self._wanted.put((y, sample_rate))

    def stop(self) -> None:
        """Be silent."""
        self._wanted.put((np.zeros(0, np.float32), 0))

    def close(self) -> None:
        """End the thread; one that hangs in a sound system is left behind."""
        self._wanted.put(None)
        self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            if not self._wanted.empty():
                continue  # something newer is wanted
            y, sample_rate = wanted
            try:
                sounddevice = portaudio()
                with quiet_stderr():
                    sounddevice.stop()
                    if len(y):
                        sounddevice.play(y, sample_rate)
            except KikiwakeError as error:
                self.failed.emit(one_line(error))
            except Exception as error:  # sounddevice's own cannot be named before the import
                self.failed.emit(f"no sound output to play on: {one_line(error)}")


class _Reader(QObject):
    """Reads clips in a thread of its own."""

    read = Signal(int, object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._wanted: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def want(self, clip: int) -> None:
        self._wanted.put(clip)

    def close(self) -> None:
        self._wanted.put(None)
        self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        while (clip := self._wanted.get()) is not None:
            try:
                y, sample_rate = self._session.read(clip)
                sound: Sound | str = Sound(y, sample_rate, _bars(y))
            except Exception as error:  # whatever is wrong with one clip, the others are read
                sound = one_line(error)
            self.read.emit(clip, sound)


def _bars(y: _Float) -> _Float:
    if not len(y):
        return np.zeros(0, np.float32)
    parts = np.array_split(np.square(y), min(_BARS, len(y)))
    # The ear hears less difference than there is.
    level = np.power([part.mean() for part in parts], 0.3)
    return np.asarray(level / max(level.max(), 0.01), np.float32)


class _RowDelegate(QStyledItemDelegate):
    """Paints a clip: mark, waveform, where it is from."""

    def __init__(self, rows: QListWidget) -> None:
        super().__init__(rows)
        self._rows = rows
        self.shown: list[Row] = []

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:  # noqa: N802
        return QSize(200, round(2.5 * option.fontMetrics.height()))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        row = self.shown[index.row()]
        rows = self._rows
        palette, selected = rows.palette(), index.row() == rows.currentRow()
        text = palette.color(QPalette.ColorRole.Text)
        accent = palette.color(QPalette.ColorRole.Highlight)
        unit = option.fontMetrics.height()
        box = QRectF(option.rect).adjusted(2, 2, -2, -2)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if selected:
            painter.setBrush(_mixed(palette.color(QPalette.ColorRole.Base), accent, 0.22))
            painter.drawRoundedRect(box, 6, 6)
            painter.setBrush(accent)
            painter.drawRoundedRect(QRectF(box.left(), box.top(), 4, box.height()), 2, 2)
        mark = QRectF(
            box.left() + 0.7 * unit, box.center().y() - 0.35 * unit, 0.7 * unit, 0.7 * unit
        )
        painter.setPen(_mixed(palette.color(QPalette.ColorRole.Base), text, 0.4))
        painter.setBrush(accent if row.marked else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(mark, 3, 3)
        about = QRectF(box.right() - 15 * unit, box.top(), 14.5 * unit, box.height())
        wave = QRectF(mark.right() + 0.8 * unit, box.top() + 3, 0, box.height() - 6)
        wave.setRight(about.left() - unit)
        painter.setPen(text)
        middle = Qt.AlignmentFlag.AlignVCenter
        line = option.fontMetrics.elidedText(
            row.text, Qt.TextElideMode.ElideMiddle, int(about.width())
        )
        painter.drawText(about, middle | Qt.AlignmentFlag.AlignRight, line)
        if isinstance(row.sound, str):
            painter.drawText(wave, middle, "cannot be read")
        elif row.sound is not None:
            colour = accent if row.playing else _mixed(text, accent, 0.45)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawPath(_wave_path(row.sound, wave))
        painter.restore()


def _wave_path(sound: Sound, wave: QRectF) -> QPainterPath:
    """Draw bars, as long as the clip is: up to 10 s for the whole width."""
    path = QPainterPath()
    if not len(sound.bars):
        return path
    step = 3.0
    count = int(wave.width() / step * min(1.0, max(0.08, sound.seconds / 10.0)))
    edges = np.linspace(0, len(sound.bars), min(max(1, count), len(sound.bars)) + 1).astype(int)
    for number, loudness in enumerate(np.maximum.reduceat(sound.bars, edges[:-1])):
        height = max(1.5, float(loudness) * wave.height())
        left = wave.left() + number * step
        path.addRoundedRect(QRectF(left, wave.center().y() - height / 2, 2.0, height), 1, 1)
    return path


class _Person(NamedTuple):
    """What a row of the list of characters shows."""

    label: Label
    key: str
    clips: int
    picture: QPixmap
    suggested: bool


class _PersonDelegate(QStyledItemDelegate):
    """Paints a character: key, portrait, names, number of clips."""

    def __init__(self, people: QListWidget) -> None:
        super().__init__(people)
        self._people = people
        self.shown: list[_Person] = []

    def sizeHint(self, option: QStyleOptionViewItem, index: _Index) -> QSize:  # noqa: N802
        return QSize(100, round(2.9 * option.fontMetrics.height()))

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: _Index) -> None:
        person = self.shown[index.row()]
        palette = self._people.palette()
        base, text, accent = (
            palette.color(role)
            for role in (
                QPalette.ColorRole.Base,
                QPalette.ColorRole.Text,
                QPalette.ColorRole.Highlight,
            )
        )
        unit = option.fontMetrics.height()
        box = QRectF(option.rect).adjusted(2, 2, -2, -2)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        if person.suggested:
            painter.setBrush(_mixed(base, accent, 0.22))
            painter.drawRoundedRect(box, 6, 6)
        key = QRectF(box.left() + 0.4 * unit, box.center().y() - 0.7 * unit, 1.4 * unit, 1.4 * unit)
        painter.setBrush(_mixed(base, text, 0.12))
        painter.drawRoundedRect(key, 4, 4)
        painter.setPen(text)
        painter.drawText(key, Qt.AlignmentFlag.AlignCenter, person.key)
        left = key.right() + 0.5 * unit
        if not person.picture.isNull():
            size = person.picture.deviceIndependentSize()
            top = box.center().y() - size.height() / 2
            painter.drawPixmap(QPointF(left, top), person.picture)
            left += size.width() + 0.4 * unit
        # To the left whatever the direction of the name is.
        side = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignAbsolute
        count = str(person.clips)
        wide = option.fontMetrics.horizontalAdvance(count)
        names = QRectF(left, box.top(), box.right() - left - wide - unit, box.height() / 2)
        grey = _mixed(base, text, 0.6)
        elided = Qt.TextElideMode.ElideRight
        for name, place, colour, bold in (
            (person.label.character or "background", names, text, True),
            (
                person.label.actor if person.label.character else "nobody",
                names.translated(0, names.height()),
                grey,
                False,
            ),
        ):
            font = QFont(option.font)
            font.setBold(bold)
            painter.setFont(font)
            painter.setPen(colour)
            across = Qt.AlignmentFlag.AlignBottom if bold else Qt.AlignmentFlag.AlignTop
            line = QFontMetrics(font).elidedText(name, elided, int(place.width()))
            painter.drawText(place, side | across, line)
        painter.setFont(option.font)
        painter.setPen(grey)
        right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(box.adjusted(0, 0, -0.4 * unit, 0), right, count)
        painter.restore()


def _mixed(one: QColor, other: QColor, share: float) -> QColor:
    return QColor.fromRgbF(
        *(
            (1 - share) * a + share * b
            for a, b in zip(one.getRgbF()[:3], other.getRgbF()[:3], strict=True)  # type: ignore[index]
        )
    )


class _CharacterDialog(QDialog):
    """Asks for a character."""

    def __init__(self, parent: QWidget, session: Session) -> None:
        super().__init__(parent)
        self._session = session
        self.label: Label | None = None
        self.picture: Path | None = None
        self.setWindowTitle("New character")
        self.character, self.actor, self.portrait = QLineEdit(), QLineEdit(), QLineEdit()
        known = session.characters
        self._complete(self.actor, sorted({label.actor for label in known}))
        self._complete(self.character, sorted({label.character for label in known}))
        self.character.editingFinished.connect(self._fill_actor)
        self.portrait.setPlaceholderText("a picture, if you like")
        browse = QPushButton("Browse...")
        browse.setAutoDefault(False)
        browse.clicked.connect(self._browse)
        line = QHBoxLayout()
        line.addWidget(self.portrait)
        line.addWidget(browse)
        self.wrong = QLabel()
        self.wrong.setWordWrap(True)
        self.wrong.setMinimumWidth(420)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        form = QFormLayout(self)
        form.addRow("Character", self.character)
        form.addRow("Actor", self.actor)
        form.addRow("Portrait", line)
        form.addRow(self.wrong)
        form.addRow(buttons)

    def accept(self) -> None:
        """Close, where all that was typed is allowed; else say what is not."""
        try:
            typed = (field.text().strip() for field in (self.actor, self.character))
            self.label = self._session.find(check_label(*typed))
            if self.portrait.text():
                self.picture = Path(self.portrait.text())
                read_picture(self.picture)
        except (SortError, CastError) as error:
            self.wrong.setText(one_line(error))
            self.adjustSize()
            return
        super().accept()

    def _complete(self, field: QLineEdit, names: list[str]) -> None:
        completer = QCompleter(names, self)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        field.setCompleter(completer)

    def _fill_actor(self) -> None:
        """Of a known character, the actor is known."""
        found = [one for one in self._session.characters if one.character == self.character.text()]
        if len(found) == 1 and not self.actor.text():
            self.actor.setText(found[0].actor)

    def _browse(self) -> None:
        pictures = " ".join(f"*.{ending}" for ending in (*PICTURES, "jpeg"))
        path, _ = QFileDialog.getOpenFileName(self, "Portrait", "", f"Pictures ({pictures})")
        if path:
            self.portrait.setText(path)


class SortWindow(QWidget):
    """The window.

    Parameters
    ----------
    session : Session
        What is sorted. It stays the caller's to close, after the window.
    speaker : Speaker, optional
        Plays the clips; by default on the computer's output.
    """

    _told = Signal(str)  # from the thread that listens

    def __init__(self, session: Session, speaker: Speaker | None = None) -> None:
        super().__init__()
        self._session = session
        self._sounds: dict[int, Sound | str] = {}
        self._marked: set[int] = set()
        self._pictures: dict[tuple[Path | None, float], QPixmap] = {}
        self._offer: Offer | None = None
        self._playing: int | None = None  # clip
        self._heard_s = HEARD_S  # of it
        self._asking: _CharacterDialog | None = None
        self._speaker = Speaker() if speaker is None else speaker
        self._speaker.failed.connect(self._tell)
        self._reader = _Reader(session)
        self._reader.read.connect(self._take_sound)
        self._told.connect(self._tell)
        self._starts = _start_times(session)
        self._build()
        self._next_clip = QTimer(self, singleShot=True)
        self._next_clip.timeout.connect(self._play_next)
        self._refresh = QTimer(self, interval=_REFRESH_MS)
        self._refresh.timeout.connect(self._look)
        self._refresh.start()
        self._stopping = threading.Event()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        self._look()

    # What is seen

    def _build(self) -> None:
        self.setWindowTitle(f"Kikiwake: {self._session.folder}")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._progress = QProgressBar(textVisible=False)
        self._progress.setFixedHeight(8)
        self._progress_text = QLabel()
        self._portrait = QLabel()
        self._title, self._subtitle = QLabel(), QLabel()
        font = QFont(self.font())
        font.setPointSizeF(1.6 * font.pointSizeF())
        font.setBold(True)
        self._title.setFont(font)
        for label in (self._title, self._subtitle):
            label.setTextFormat(Qt.TextFormat.PlainText)  # a name may look like HTML
            label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignAbsolute)
        names = QVBoxLayout()
        names.addWidget(self._title)
        names.addWidget(self._subtitle)
        head = QHBoxLayout()
        head.addWidget(self._portrait)
        head.addLayout(names, 1)
        self._rows = QListWidget()
        self._row_painter = _RowDelegate(self._rows)
        self._rows.setItemDelegate(self._row_painter)
        self._rows.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._rows.itemClicked.connect(lambda item: self._choose(self._rows.row(item)))
        self._rows.itemDoubleClicked.connect(lambda _: self._mark())
        self._characters = QListWidget()
        self._characters.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._person_painter = _PersonDelegate(self._characters)
        self._characters.setItemDelegate(self._person_painter)
        self._unit = unit = self.fontMetrics().height()
        self._characters.setFixedWidth(19 * unit)
        self._characters.itemClicked.connect(self._give_clicked)
        self._message = QLabel()
        self._message.setTextFormat(Qt.TextFormat.PlainText)
        self._message.setWordWrap(True)
        hints = QLabel(" &nbsp; ".join(f"<b>{key}</b>&nbsp;{what}" for key, what in _HINTS))
        hints.setWordWrap(True)
        left = QVBoxLayout()
        left.addLayout(head)
        left.addWidget(self._rows, 1)
        middle = QHBoxLayout()
        middle.addLayout(left, 1)
        middle.addWidget(self._characters)
        whole = QVBoxLayout(self)
        whole.addWidget(self._progress_text)
        whole.addWidget(self._progress)
        whole.addLayout(middle, 1)
        whole.addWidget(self._message)
        whole.addWidget(hints)
        self.resize(66 * unit, 46 * unit)

    def _look(self) -> None:
        """Show how far it is; and the first group, once there is likeness to make one from."""
        progress = self._session.progress
        listening = self._listening.is_alive()
        if self._offer is None and (progress.listened or not listening):
            self._show_offer()
        parts = [f"{progress.sorted} of {progress.total} clips are sorted"]
        if progress.skipped:
            parts.append(f"{progress.skipped} skipped")
        if listening:
            parts.append("listening to the clips, to find out which are alike")
        if self._session.unreadable:
            parts.append(f"{len(self._session.unreadable)} cannot be read")
        self._progress.setMaximum(progress.total)
        self._progress.setValue(progress.sorted)
        self._progress_text.setText("   ·   ".join(parts))

    def _show_offer(self) -> None:
        offer = self._session.offer()
        before, self._offer = self._offer, offer
        clips = () if offer is None else offer.clips
        row = self._rows.currentRow()
        for clip in set(self._sounds) - set(clips):
            del self._sounds[clip]
        self._marked &= set(clips)
        for clip in clips:
            if clip not in self._sounds:
                self._reader.want(clip)
        self._rows.clear()
        for _ in clips:
            self._rows.addItem(QListWidgetItem())
        rest = offer is not None and before is not None and set(clips) < set(before.clips)
        self._rows.setCurrentRow(min(row, len(clips) - 1) if rest else 0)
        self._show_rows()
        self._show_suggestion()
        self._show_characters()
        if clips and not rest:
            self._start(0)
        elif not clips:
            self._hush()
        elif before is not None and self._playing in set(before.clips) - set(clips):
            # What is heard has gone: on with what came after it.
            later = set(before.clips[before.clips.index(self._playing) :])
            rows = [row for row, clip in enumerate(clips) if clip in later]
            if rows and self._heard_s == HEARD_S:
                self._start(rows[0])
            else:
                self._hush()

    def _show_rows(self) -> None:
        shown: list[Row] = []
        for number, clip in enumerate(() if self._offer is None else self._offer.clips):
            about = self._session.clips[clip]
            start = self._starts.get(about.name)
            where = about.name if start is None else f"{about.home.name}  {clock(start)}"
            sound = self._sounds.get(clip)
            if isinstance(sound, Sound):
                where += f"   {sound.seconds:.1f} s"
            shown.append(Row(where, sound, clip in self._marked, clip == self._playing))
            self._rows.item(number).setToolTip(sound if isinstance(sound, str) else about.name)
        self._row_painter.shown = shown
        self._rows.viewport().update()

    def _show_suggestion(self) -> None:
        offer, listening = self._offer, self._listening.is_alive()
        label = None if offer is None else offer.suggestion
        if offer is None:
            waiting = listening and not self._session.progress.listened
            title = "Listening to the first clips" if waiting else "All is sorted"
            text = "" if waiting else "Q ends; Ctrl+Z takes back what was done last"
        elif label is None:
            title = "Who is this?"
            text = "N: a new character; or the key of one on the right"
        else:
            title = label.character or "Background"
            text = f"{label.actor}   ·   " if label.character else ""
            text += f"{offer.chances[0]:.0%}   ·   Enter gives "
            text += f"all {len(offer.clips)}" if len(offer.clips) > 1 else "this one"
        self._title.setText(title)
        self._subtitle.setText(text)
        pixmap = self._pixmap(label, 3.5 * self._unit)
        self._portrait.setPixmap(pixmap)
        self._portrait.setVisible(not pixmap.isNull())

    def _pixmap(self, label: Label | None, height: float) -> QPixmap:
        path = None if label is None else self._session.portrait(label)
        # The same again and again, and large: kept by the file that it is of.
        known = self._pictures.get((path, height))
        if known is None:
            known = QPixmap() if path is None else QPixmap(str(path))
            if not known.isNull():
                ratio = self.devicePixelRatioF()
                smooth = Qt.TransformationMode.SmoothTransformation
                known = known.scaledToHeight(round(height * ratio), smooth)
                known.setDevicePixelRatio(ratio)
            self._pictures[path, height] = known
        return known

    def _show_characters(self) -> None:
        suggestion = None if self._offer is None else self._offer.suggestion
        labels = [BACKGROUND, *self._session.characters]
        while self._characters.count() < len(labels):
            self._characters.addItem(QListWidgetItem())
        while self._characters.count() > len(labels):
            self._characters.takeItem(self._characters.count() - 1)
        keys = f"B{CHARACTER_KEYS}"
        shown: list[_Person] = []
        for number, (label, count) in enumerate(zip(labels, self._session.counts, strict=True)):
            key = keys[number] if number < len(keys) else "N"
            picture = self._pixmap(label, 2.2 * self._unit)
            shown.append(_Person(label, key, count, picture, label == suggestion))
            self._characters.item(number).setToolTip(str(label))
        self._person_painter.shown = shown
        self._characters.viewport().update()

    def _tell(self, text: str) -> None:
        self._message.setText(text)

    # What is heard

    def _listen(self) -> None:
        try:
            self._session.listen(stop=self._stopping.is_set)
        except Exception as error:  # without it, everything else goes on
            self._told.emit(f"clips are not ordered by likeness: {one_line(error)}")

    def _take_sound(self, clip: int, sound: Sound | str) -> None:
        if self._offer is None or clip not in self._offer.clips:
            return
        self._sounds[clip] = sound
        self._show_rows()
        if clip == self._playing:
            self._play()  # was to be played as soon as it was read

    def _start(self, row: int, heard_s: float = HEARD_S) -> None:
        """Play from a row on, a little of each; or only that one, all of it."""
        assert self._offer is not None
        self._next_clip.stop()
        self._playing, self._heard_s = self._offer.clips[row], heard_s
        self._rows.setCurrentRow(row)
        self._show_rows()
        self._play()

    def _play(self) -> None:
        sound = None if self._playing is None else self._sounds.get(self._playing)
        heard_s = 0.0
        if isinstance(sound, Sound):
            y = sound.y[: round(self._heard_s * sound.sample_rate)]
            heard_s = len(y) / sound.sample_rate + _PAUSE_S
            self._speaker.play(y, sound.sample_rate)
        if sound is not None and self._heard_s == HEARD_S:
            self._next_clip.start(round(1000 * heard_s))

    def _play_next(self) -> None:
        clips = () if self._offer is None else self._offer.clips
        row = clips.index(self._playing) + 1 if self._playing in clips else len(clips)
        if row < len(clips):
            self._start(row)
        else:
            self._playing = None
            self._show_rows()

    def _hush(self) -> None:
        self._next_clip.stop()
        self._speaker.stop()
        self._playing = None

    def _choose(self, row: int) -> None:
        """Go to a row and play all of it."""
        self._hush()
        if self._rows.count():
            self._start(row % self._rows.count(), _ALL_S)

    # What is done

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Do what a key is for."""
        key = event.key()
        if event.isAutoRepeat() and key not in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            return  # a key that is held down would file groups that nobody has heard
        undo = event.matches(QKeySequence.StandardKey.Undo)
        plain = event.modifiers() in (
            Qt.KeyboardModifier.NoModifier,
            Qt.KeyboardModifier.KeypadModifier,
        )
        row = self._rows.currentRow()
        actions: dict[int, Callable[[], object]] = {
            Qt.Key.Key_Return: lambda: self._do(self._session.confirm),
            Qt.Key.Key_Enter: lambda: self._do(self._session.confirm),
            Qt.Key.Key_Up: lambda: self._choose(row - 1),
            Qt.Key.Key_Down: lambda: self._choose(row + 1),
            Qt.Key.Key_Space: lambda: self._choose(row),
            Qt.Key.Key_X: self._take_out,
            Qt.Key.Key_M: self._mark,
            Qt.Key.Key_N: self._new_character,
            Qt.Key.Key_B: lambda: self._give(BACKGROUND),
            Qt.Key.Key_S: lambda: self._do(lambda: self._session.skip(self._chosen())),
            Qt.Key.Key_Q: self.close,
            Qt.Key.Key_Escape: self._hush,
        }
        place = CHARACTER_KEYS.find(chr(key)) if key < 128 else -1
        if undo:
            self._undo()
        elif plain and key in actions:
            actions[key]()
        elif plain and 0 <= place < len(self._session.characters):
            self._give(self._session.characters[place])
        else:
            super().keyPressEvent(event)

    def _chosen(self) -> list[int] | None:
        """Give the marked clips; None where none is: all of the group."""
        if self._offer is None:
            return []
        return [clip for clip in self._offer.clips if clip in self._marked] or None

    def _do(self, action: Callable[[], object]) -> None:
        """Do something to the clips, and show what came of it."""
        self._tell("")
        if self._offer is None:
            return
        try:
            action()
        except KikiwakeError as error:
            self._tell(one_line(error))
        self._show_offer()
        self._look()

    def _give(self, label: Label) -> None:
        self._do(lambda: self._session.assign(label, self._chosen()))

    def _give_clicked(self, item: QListWidgetItem) -> None:
        self._give(self._person_painter.shown[self._characters.row(item)].label)

    def _take_out(self) -> None:
        if self._offer is not None:
            clips = self._chosen() or [self._offer.clips[self._rows.currentRow()]]
            self._do(lambda: self._session.take_out(clips))
            if self._rows.count():
                self._choose(self._rows.currentRow())

    def _mark(self) -> None:
        if self._offer is not None:
            self._marked ^= {self._offer.clips[self._rows.currentRow()]}
            self._show_rows()

    def _undo(self) -> None:
        try:
            undone = self._session.undo()
            self._tell("there is nothing left to undo" if undone is None else undone)
        except KikiwakeError as error:
            self._tell(one_line(error))
        self._show_offer()
        self._look()

    def _new_character(self) -> None:
        if self._offer is None:
            return
        self._hush()
        dialog = self._asking = _CharacterDialog(self, self._session)
        accepted = dialog.exec() == QDialog.DialogCode.Accepted
        self._asking = None
        label, picture, clips = dialog.label, dialog.picture, self._chosen()
        dialog.deleteLater()
        if not accepted or label is None:
            return

        def give() -> None:
            self._session.assign(label, clips)
            if picture is not None:
                self._session.set_portrait(label, picture)

        self._do(give)

    def end(self) -> None:
        """Close, and before that the dialog that may be open: it goes with the window."""
        if self._asking is None:
            self.close()
            return
        # Of two, the dialog of files lies on top. Each is left when what called it goes on.
        (QApplication.activeModalWidget() or self._asking).close()
        QTimer.singleShot(_CLOSING_MS, self.end)

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802
        """End the threads; what they have found is kept."""
        self._hush()
        self._refresh.stop()
        self._stopping.set()
        self._listening.join()
        self._reader.close()
        self._speaker.close()
        super().closeEvent(event)


def _start_times(session: Session) -> dict[str, float]:
    """Find when in their recordings the clips begin, where that is known."""
    starts = {}
    for home in {clip.home for clip in session.clips}:
        try:
            table = read_clips(home)
        except SplitError:
            continue  # clips of another program: they are shown by their names
        starts.update({f"{home.name}/{clip.file}": clip.start_s for clip in table.clips})
    return starts


def show(session: Session) -> None:
    """Open the window and return when it has been closed.

    Parameters
    ----------
    session : Session
        What is sorted.

    Raises
    ------
    SortError
        There is no screen, or Qt cannot use it.
    """
    _check_screen()
    application = QApplication.instance() or QApplication(["kikiwake"])
    window = SortWindow(session)
    # Left to Python, it might be taken down after the application, which ends in a crash.
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    # Python's own handler would not run while Qt waits; the window's timer lets this one.
    before = signal.signal(signal.SIGINT, lambda *_: window.end())
    try:
        window.show()
        application.exec()
    finally:
        signal.signal(signal.SIGINT, before)


def _check_screen() -> None:
    """Try whether Qt finds a screen, elsewhere: where it finds none, it ends the process."""
    if sys.platform in ("win32", "darwin"):
        return
    program = "from PySide6.QtWidgets import QApplication; QApplication([])"
    tried = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    if tried.returncode == 0:
        return
    said = tried.stderr.decode(errors="replace").splitlines()
    why = next((line for line in said if line.startswith("qt.qpa")), "").strip()
    packages = (
        "libegl1 libxcb-cursor0 libxkbcommon-x11-0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 "
        "libxcb-render-util0 libxcb-shape0"
    )
    raise SortError(
        f"there is no screen for the window ({why or 'Qt does not start'}); on Debian and Ubuntu "
        f"it needs the packages {packages}; without a screen, sort by a table: --from TABLE"
    )
