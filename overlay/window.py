"""The window itself: where it is, when it is drawn, and what the mouse does to it.

It is drawn thirty times a second while something on it moves, when a result looks different, and
otherwise not at all. On X11 the window manager is passed by, as for a menu or a tooltip: that is
what keeps a window above a full-screen video, on every desktop, and out of the focus. Once a
second, while it is seen, it is put on top again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from PySide6.QtCore import (
    QEvent,
    QLocale,
    QPoint,
    QPointF,
    QRect,
    QRectF,
    Qt,
    QTimer,
    Signal,
    Slot,
)
from PySide6.QtGui import (
    QColor,
    QContextMenuEvent,
    QCursor,
    QEnterEvent,
    QFontInfo,
    QGuiApplication,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QRegion,
)
from PySide6.QtWidgets import QApplication, QWidget

from ..models.cast import Cast
from .compact import Compact
from .feed import Feed, Sound
from .full import Full
from .grip import GRIP, Grip, window_flags
from .ground import SHADOW, Ground
from .ink import DARK, LIGHT, Theme, mixed
from .look import Look
from .notice import HEIGHT as NOTICE_HEIGHT
from .notice import Notice
from .place import MODES, Memory, Mode, save_memory
from .portraits import Portraits
from .shown import NOBODY, who_speaks
from .spot import Spot
from .timeline import Timeline
from .view import ALL, CREEP_S, Step, View
from .words import Words, words

FRAME_S = 1 / 30
RAISE_S = 1.0
LOOK_S = 0.2  # how often it is seen to where the pointer is, while clicks pass through
_GAP = 6.0
_SHADOWED = (-SHADOW, -SHADOW, SHADOW, SHADOW)
_LINE_PIXELS = 13.0  # of the desktop's font, at which a unit is a pixel


class _Cards(NamedTuple):
    """Where what is drawn stands within the window, in units."""

    size: QRectF
    card: QRectF
    notice: QRectF


class OverlayWindow(QWidget):
    """The overlay.

    Parameters
    ----------
    cast : Cast
        Whose portraits and names there are.
    memory : Memory
        Where the window was; it is kept up, and written down when it changes.
    sound : callable, optional
        Gives the newest sound, for the waveform.
    said : Words, optional
        By default that of the user.
    moving : bool
        Whether things may slide and fade.
    composited : bool
        Whether the screen mixes translucent windows with what is below. If not, the card is
        opaque, and cut out.
    theme : Theme, optional
        By default it follows the desktop, light or dark.
    clock : callable
        Gives the time, in seconds.

    Attributes
    ----------
    feed : Feed
        Takes the results, in any thread.
    frames : int
        How often it has been drawn.
    """

    changed = Signal()
    """Mode, click-through or pause are others."""
    menu_wanted = Signal(QPoint)

    _woken = Signal()

    def __init__(
        self,
        cast: Cast,
        memory: Memory | None = None,
        *,
        sound: Sound | None = None,
        said: Words | None = None,
        moving: bool = True,
        composited: bool = True,
        theme: Theme | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(None, window_flags())
        for attribute in (
            Qt.WidgetAttribute.WA_TranslucentBackground,
            Qt.WidgetAttribute.WA_NoSystemBackground,
            Qt.WidgetAttribute.WA_ShowWithoutActivating,
            Qt.WidgetAttribute.WA_MacAlwaysShowToolWindow,
        ):
            self.setAttribute(attribute)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWindowTitle("Kikiwake")
        self.memory = memory or Memory()
        self.frames = 0
        self._moving, self._composited, self._clock = moving, composited, clock
        self._sound, self._theme = sound, theme
        self._words = said or language()
        self._paused = False
        self._named = NOBODY
        self._notice = Notice(self._words)
        self._dragged = False
        self._stale = True  # all of it is to be drawn anew
        # Elsewhere the system keeps it on top; some have no way to ask for it.
        self._sinks = QGuiApplication.platformName() == "xcb"
        self._stepped_at = self._raised_at = clock() - 1.0
        # One timer for all that comes with time: the next frame, the end of a notice, ...
        self._timer = QTimer(self, singleShot=True, timerType=Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._frame)
        self._woken.connect(self._wake)
        self.feed = Feed(self._woken.emit)
        self._grip = Grip(self)
        self._portraits: Portraits | None = None
        self._set_cast(cast)
        self._look = self._new_look()
        self._ground = Ground(self._look, shadow=composited)
        self._view = self._new_view(self.memory.mode)
        self._spot = Spot(self.memory)
        self._cards = self._lay_out()
        hints = QGuiApplication.styleHints()
        hints.colorSchemeChanged.connect(self._restyle)
        application = QGuiApplication.instance()
        assert isinstance(application, QGuiApplication)
        application.screenAdded.connect(self._screens_changed)
        application.screenRemoved.connect(self._screens_changed)
        application.primaryScreenChanged.connect(self._screens_changed)
        for screen in application.screens():
            screen.availableGeometryChanged.connect(self._screens_changed)
        self._apply_click_through()
        self.feed.sleep(None, sound=self._view.sound)

    # What there is to choose

    @property
    def mode(self) -> Mode:
        """How much is shown."""
        return self.memory.mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if mode == self.memory.mode:
            return
        self.memory.mode = mode
        opacity = self._view.opacity
        self._view = self._new_view(mode)
        self._view.opacity = opacity
        self._stale = True
        self._remember()
        self._wake()

    @property
    def click_through(self) -> bool:
        """Clicks go to what is below, but for those on the grip."""
        return self.memory.click_through

    @click_through.setter
    def click_through(self, wanted: bool) -> None:
        if wanted == self.memory.click_through:
            return
        self.memory.click_through = wanted
        self._apply_click_through()
        self._stale = True  # so that the screen is told of it now
        self._remember()
        self._wake()

    @property
    def paused(self) -> bool:
        """Nothing is shown, whoever speaks."""
        return self._paused

    @paused.setter
    def paused(self, wanted: bool) -> None:
        if wanted == self._paused:
            return
        self._paused = wanted
        if wanted:
            self._timer.stop()
            self.feed.stay_awake()
            self._conceal()
        else:
            self._wake()
        self.changed.emit()

    def next_mode(self) -> None:
        """Show it the next way."""
        self.mode = MODES[(MODES.index(self.mode) + 1) % len(MODES)]

    @Slot(object)
    def set_cast(self, cast: Cast) -> None:
        """Show another cast from now on."""
        self._set_cast(cast)
        self._restyle()

    def tell(self, text: str) -> None:
        """Show a line of one's own for a while, after what the engine tells and after a pause."""
        self._notice.tell(text)
        self._wake()

    def start(self, *, greeting: bool = True) -> None:
        """Show what comes; at first, where it will be seen, and that somebody is listening."""
        if greeting:
            self._notice.greet(self._clock())
        self._wake()

    def end(self) -> None:
        """Show nothing more, and let the window go: left to Python, it might outlive Qt."""
        self.paused = True
        self._grip.deleteLater()
        self.deleteLater()

    def _remember(self) -> None:
        save_memory(self.memory)
        self.changed.emit()

    # How it looks

    def _set_cast(self, cast: Cast) -> None:
        self._card = cast.card
        if self._portraits is not None:
            self._portraits.deleteLater()
        self._portraits = Portraits(cast.portraits)
        self._portraits.ready.connect(self._restyle)
        self._portraits.start()

    def _new_look(self) -> Look:
        dark = QGuiApplication.styleHints().colorScheme() != Qt.ColorScheme.Light
        theme = self._theme or (DARK if dark else LIGHT)
        if not self._composited:
            card, border = QColor(theme.card), QColor(theme.border)
            card.setAlpha(255)
            theme = theme._replace(card=card, border=mixed(card, border, 0.15))
        moving = self._moving and self._composited
        font = QApplication.font()
        assert self._portraits is not None
        look = Look(self._card, self._portraits, theme, self._words, font, moving)
        look.scale, look.dpr = _scale(), self.devicePixelRatio()
        return look

    def _new_view(self, mode: Mode) -> View:
        if mode == "full":
            return Full(self._look, self.feed, self._sound)
        return {"compact": Compact, "timeline": Timeline}[mode](self._look, self.feed)

    @Slot()
    def _restyle(self) -> None:
        """Draw all anew."""
        self._look = self._new_look()
        self._ground = Ground(self._look, shadow=self._composited)
        self._view.look = self._look
        self._view.restyle()
        self._stale = True
        if not self._paused:
            self._wake()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802
        """Follow the desktop's font."""
        if event.type() == QEvent.Type.ApplicationFontChange:
            self._restyle()
        super().changeEvent(event)

    # When it is drawn

    @Slot()
    def _wake(self) -> None:
        """Draw a frame at once, as long as the last one is not too near."""
        if self._paused:
            return
        self.feed.stay_awake()
        since_s = self._clock() - self._stepped_at
        if since_s >= FRAME_S:
            self._stepped_at = self._clock() - FRAME_S  # it has slept: nothing moves by leaps
            self._frame()
        elif not self._timer.isActive() or self._timer.remainingTime() > 1e3 * FRAME_S:
            self._timer.start(round(1e3 * (FRAME_S - since_s)))

    @Slot()
    def _frame(self) -> None:
        """Look at the newest result, let things move, and say when to do so again."""
        began = self._clock()
        dt = min(began - self._stepped_at, 4 * FRAME_S)
        self._stepped_at = began
        result = self.feed.newest
        self._notice.hear(result, began)
        self._view.take(result, began)
        who = who_speaks(result)
        if who != self._named:
            # For those who have the screen read to them.
            self._named = who
            self.setAccessibleName(" · ".join(filter(None, who[1:3])))
        steps = [
            self._view.step(began, dt),
            self._notice.step(began, dt, self._look.moving),
        ]
        if self._view.opacity or self._notice.opacity:
            dirty = [rect for step in steps for rect in step.dirty]
            if not self.isVisible():
                self._fit()
                self._reveal()
                self.update()
            elif self._stale or ALL[0] in dirty:
                self._fit()
                self.update()
            elif dirty:
                self._spoil(dirty)
            self._stale = False
            steps.append(self._attend(began))
        else:
            self._conceal()
        waits = [step.next_s for step in steps if step.next_s is not None]
        soon = min(waits, default=RAISE_S)
        if soon > 0:
            shares, sound = self._view.shares and soon > CREEP_S, self._view.sound
            if not self.feed.sleep(result, shares=shares, sound=sound):
                waits.append(0.0)
        if waits:
            took = self._clock() - began
            self._timer.start(max(0, round(1e3 * (max(FRAME_S, min(waits)) - took))))
        else:
            self._timer.stop()

    def _spoil(self, dirty: list[QRectF]) -> None:
        """Have parts of the card drawn again; what is beside it, only with all of it."""
        scale, card = self._look.scale, self._cards.card
        for rect in dirty:
            left, top = (card.left() + rect.left()) * scale, (card.top() + rect.top()) * scale
            wide, high = rect.width() * scale, rect.height() * scale
            self.update(math.floor(left) - 1, math.floor(top) - 1, int(wide) + 4, int(high) + 4)

    def _attend(self, now: float) -> Step:
        """Stay on top, and let the grip be there when the pointer is."""
        if not self._sinks:
            self._raised_at = now
        elif now - self._raised_at >= RAISE_S and QApplication.activePopupWidget() is None:
            self._raised_at = now
            self.raise_()
            self.put_above(self._grip)
            # Qt sends it along with the next drawing, which may not come for long. What has an
            # answer is sent at once, and what was waiting before it.
            QCursor.pos()
        if self.click_through or self._grip.isVisible():
            self._mind_pointer()
            return Step((), LOOK_S)
        return Step((), self._raised_at + RAISE_S - now if self._sinks else None)

    def put_above(self, other: QWidget) -> None:
        """Have another window of ours above this one."""
        if self._sinks and other.isVisible():
            other.raise_()

    def _reveal(self) -> None:
        self.show()
        if self._sinks:
            self.raise_()
        self._raised_at = self._clock()

    def _conceal(self) -> None:
        if not self._grip.held:
            self._grip.hide()
        self.hide()

    # Where it is

    def _lay_out(self) -> _Cards:
        """Lay out the card and the notice, the notice on the side of the screen's middle."""
        view, shadow = self._view, SHADOW
        width = height = 0.0
        card = notice = QRectF()
        if view.opacity:
            card = QRectF(shadow, shadow, view.width, view.height)
            width, height = view.width + 2 * shadow, view.height + 2 * shadow
        if self._notice.opacity:
            long = self._notice.width(self._look)
            notice = QRectF(shadow, shadow, long, NOTICE_HEIGHT)
            width = max(width, long + 2 * shadow)
            if height:
                height += NOTICE_HEIGHT + _GAP
                if self._spot.bottom:
                    card.translate(0, NOTICE_HEIGHT + _GAP)
                else:
                    notice.translate(0, view.height + _GAP)
            else:
                height = NOTICE_HEIGHT + 2 * shadow
        if self._spot.right:
            card.moveRight(width - shadow)
            notice.moveRight(width - shadow)
        return _Cards(QRectF(0, 0, width, height), card, notice)

    def _fit(self) -> None:
        """Make the window as large as what is shown, and put it where it belongs."""
        right = self._spot.right
        if self._view.mirrored != right:
            self._view.mirrored = right
            self._view.restyle()
        scale = self._look.scale
        if self.devicePixelRatio() != self._look.dpr:
            self._look.dpr = self.devicePixelRatio()
            self._look.forget_pictures()
            self._view.restyle()
            self._ground = Ground(self._look, shadow=self._composited)
        cards = self._cards = self._lay_out()
        width, height = (
            math.ceil(edge * scale) for edge in (cards.size.width(), cards.size.height())
        )
        if self._dragged:
            corner = self.pos()
            self.resize(width, height)
            self.move(corner)
        else:
            rect = self._spot.rect(width, height)
            if rect != self.geometry():
                self.setGeometry(rect)
        if self._grip.isVisible() and not self._grip.held:
            self._grip.follow()
        if not self._composited:
            self._cut_out(cards, scale)

    def _cut_out(self, cards: _Cards, scale: float) -> None:
        path = QPainterPath()
        for rect, radius in ((cards.card, self._view.radius), (cards.notice, NOTICE_HEIGHT / 2)):
            if not rect.isEmpty():
                path.addRoundedRect(
                    QRectF(rect.topLeft() * scale, rect.size() * scale),
                    radius * scale,
                    radius * scale,
                )
        self.setMask(QRegion(path.toFillPolygon().toPolygon()))

    @Slot()
    def _screens_changed(self) -> None:
        """Go to where the window belongs on the screens that there are now."""
        for screen in QGuiApplication.screens():
            # Twice is no harm: a screen that was there is connected once.
            screen.availableGeometryChanged.connect(
                self._screens_changed, Qt.ConnectionType.UniqueConnection
            )
        self._spot.find()
        if not self._paused:
            self._restyle()

    def drag_to(self, corner: QPoint) -> None:
        """Follow the pointer, and stick to the edges of the screen."""
        self._dragged = True
        self.move(self._spot.snapped(QRect(corner, self.size())))
        self._grip.follow()

    def drop(self) -> None:
        """Stay here, and remember it."""
        if not self._dragged:
            return
        self._dragged = False
        self._spot.keep(self.geometry())
        self._remember()
        self._stale = True
        self._wake()

    # The mouse

    def _apply_click_through(self) -> None:
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents, self.click_through)
        self.winId()
        handle = self.windowHandle()
        # By the window itself: by the widget, it would be hidden and made anew.
        handle.setFlag(Qt.WindowType.WindowTransparentForInput, self.click_through)

    def _mind_pointer(self) -> None:
        """Show the grip while the pointer is on the card."""
        pointer = QCursor.pos()
        if self._grip.held:
            return
        on_it = self._card_rect().contains(pointer) or (
            self._grip.isVisible() and self._grip.geometry().contains(pointer)
        )
        if on_it and not self._grip.isVisible():
            self._grip.appear()
        elif not on_it and self._grip.isVisible() and QApplication.activePopupWidget() is None:
            self._grip.hide()

    def _card_rect(self) -> QRect:
        """Where the card, or else the notice, is on the screen."""
        cards, scale = self._lay_out(), self._look.scale
        rect = cards.card if not cards.card.isEmpty() else cards.notice
        corner = self.pos()
        return QRect(
            corner.x() + round(rect.x() * scale),
            corner.y() + round(rect.y() * scale),
            round(rect.width() * scale),
            round(rect.height() * scale),
        )

    @property
    def grip_colour(self) -> QColor:
        """What the grip is drawn with."""
        return self._look.theme.faint

    @property
    def grip_ground(self) -> QColor:
        """What the grip stands on; with nothing at all it would not take the mouse everywhere."""
        return QColor(128, 128, 128, 1) if self._composited else self._look.theme.card

    def grip_rect(self) -> QRect:
        """Where the grip belongs: at the end of the card that is away from the portrait."""
        card, scale = self._card_rect(), self._look.scale
        width, height = round(GRIP.width() * scale), round(GRIP.height() * scale)
        height = min(height, card.height())
        x = card.left() if self._view.grip_left else card.right() + 1 - width
        y = card.top() + (min(card.height(), round(60 * scale)) - height) // 2
        return QRect(x, y, width, height)

    def enterEvent(self, event: QEnterEvent) -> None:  # noqa: N802
        """Show the grip."""
        self._mind_pointer()
        self._wake()
        super().enterEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:  # noqa: N802
        """Ask for the menu."""
        self.menu_wanted.emit(event.globalPos())

    # Drawing

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the card, and the notice."""
        self.frames += 1
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        # One part after another: Qt is much faster where what it cuts off has straight edges.
        for part in event.region():  # type: ignore[attr-defined]  # PySide does not say so
            painter.setClipRect(part)
            painter.scale(self._look.scale, self._look.scale)
            self._draw(painter, QRectF(part))
            painter.resetTransform()
        painter.end()

    def _whole(self, point: QPointF) -> QPointF:
        """Round to pixels of the screen."""
        ratio = self._look.ratio
        return QPointF(round(point.x() * ratio) / ratio, round(point.y() * ratio) / ratio)

    def _draw(self, painter: QPainter, part: QRectF) -> None:
        """Draw what is seen in a part of the window, which is in pixels."""
        cards, scale = self._cards, self._look.scale
        dirty = QRectF(part.topLeft() / scale, part.size() / scale)
        for rect, opacity, radius in (
            (cards.card, self._view.opacity, self._view.radius),
            (cards.notice, self._notice.opacity, NOTICE_HEIGHT / 2),
        ):
            if rect.isEmpty() or not dirty.intersects(rect.adjusted(*_SHADOWED)):
                continue
            painter.save()
            painter.translate(self._whole(rect.topLeft()))
            painter.setOpacity(opacity)
            self._ground.paint(painter, rect, radius)
            if rect is cards.card:
                self._view.paint(painter, dirty.translated(-rect.topLeft()))
            else:
                self._notice.paint(painter, self._look, rect.width())
            painter.restore()


def _scale() -> float:
    """Pixels that Qt counts for a unit, after the desktop's font."""
    return max(0.75, min(QFontInfo(QApplication.font()).pixelSize() / _LINE_PIXELS, 3.0))


def language() -> Words:
    """Give what is said in the language of the user."""
    return words(QLocale.system().uiLanguages())
