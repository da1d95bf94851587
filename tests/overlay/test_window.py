"""The overlay, drawn into memory: what is seen of a result, and when."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip(
    "PySide6.QtWidgets", reason="the extra overlay is not installed", exc_type=ImportError
)

from played import (
    HEBREW,
    JAPANESE,
    LONG,
    MISDRAWN,
    PORTRAYED,
    WAVE,
    Played,
    draw_face,
    likeness,
    nobody,
    pixels,
    scene,
    speaks,
)
from PySide6.QtCore import QEventLoop, QPoint, Qt, QTimer
from PySide6.QtGui import QColor, QFont, QFontInfo, QImage, QRegion
from PySide6.QtWidgets import QApplication, QFileDialog, QMenu

from kikiwake import Recognizer, load_cast
from kikiwake.engine.capture import FileSource
from kikiwake.engine.config import Settings
from kikiwake.engine.result import Candidate, Result
from kikiwake.engine.waveform import Waveform
from kikiwake.models.cast import Cast
from kikiwake.models.starter import DEMO
from kikiwake.overlay import spot as spot_module
from kikiwake.overlay import tray as tray_module
from kikiwake.overlay import window as window_module
from kikiwake.overlay.app import show
from kikiwake.overlay.full import Full
from kikiwake.overlay.ink import LIGHT
from kikiwake.overlay.look import Look
from kikiwake.overlay.place import MODES, Memory, Mode, Place, load_memory, memory_path
from kikiwake.overlay.portraits import decode_portrait
from kikiwake.overlay.tray import Tray
from kikiwake.overlay.wave import Wave
from kikiwake.overlay.window import OverlayWindow
from kikiwake.overlay.words import ENGLISH
from kikiwake.overlay.words import JAPANESE as IN_JAPANESE
from kikiwake.tools.cast_files import rename_cast, write_cast

SCREENS = Path(__file__).with_name("screens")
Play = Callable[..., Played]


# What is seen


def nothing(one: Played) -> bool:
    return not one.window.isVisible()


def test_nothing_while_nobody_speaks(play: Play):
    one = play()
    assert nothing(one)
    one.take(nobody())
    one.run(1)
    assert nothing(one)


def test_who_speaks_fades_in_and_out(play: Play, cast: Cast):
    one = play()
    one.take(speaks(cast, 0))
    one.run(0.05)
    assert one.window.isVisible()
    early = one.window._view.opacity
    one.run(0.5)
    assert 0 < early < one.window._view.opacity == 1
    name = cast.card.characters[0]
    assert one.window.accessibleName() == f"{name.name} · {name.actor}"
    one.take(nobody())
    one.run(0.2)
    assert one.window._view.opacity == 1, "a short pause is none"
    one.run(0.25)
    assert 0 < one.window._view.opacity < 1
    one.run(1)
    assert nothing(one)
    assert one.window.accessibleName() == ""


def test_another_one_is_a_cross_fade(play: Play, cast: Cast):
    one = play()
    one.take(speaks(cast, 0))
    one.run(1)
    before = one.picture()
    one.take(speaks(cast, PORTRAYED))
    one.run(0.08)
    assert one.window._view.opacity == 1
    between = one.picture()
    one.run(1)
    after = one.picture()
    assert before != between != after != before


def test_without_motion_it_is_there_and_gone_at_once(play: Play, cast: Cast):
    one = play(moving=False)
    one.take(speaks(cast, 0, 0.7))
    one.run(0.04)
    now = one.picture()
    one.run(1)
    assert one.picture() == now
    one.take(nobody())
    one.run(0.3)
    assert nothing(one)


@pytest.mark.parametrize("moving", [True, False])
@pytest.mark.parametrize("mode", MODES)
def test_what_looks_different_is_drawn_again(play: Play, cast: Cast, mode: Mode, moving: bool):
    one = play(Memory(mode=mode), moving=moving)
    drawn = QRegion()

    def update(*place: int) -> None:
        nonlocal drawn
        drawn |= QRegion(*(place or (0, 0, 4096, 4096)))

    one.window.update = update
    second = Candidate(*_key(cast, 4), 0.3)
    one.take(speaks(cast, 0))
    one.run(2)
    for result in (
        speaks(cast, PORTRAYED, 0.3),
        speaks(cast, 2, 0.3, top=(), level_db=-90.0),
        speaks(cast, 2, 0.9, top=(), level_db=-90.0),
        speaks(cast, 2, 0.9, second=second),
        nobody(unknown=True, speech=True),
        speaks(cast, 3),
        nobody(),
    ):
        before, drawn = pixels(one.picture()), QRegion()
        one.take(result)
        one.run(2)
        after = pixels(one.picture())
        if nothing(one) or before.shape != after.shape:
            continue  # another size is drawn anew
        rows, columns = np.nonzero((before != after).any(axis=2))
        assert all(
            drawn.contains(QPoint(x, y))
            for x, y in zip(columns.tolist(), rows.tolist(), strict=True)
        )


def test_the_ring_follows_how_sure_it_is(play: Play, cast: Cast):
    one = play()
    one.take(speaks(cast, 5, 0.3))
    one.run(1)
    little = one.picture()
    one.take(speaks(cast, 5, 0.9))
    one.run(1)
    ring = QColor(one.window._look.ink(one.window._look.person(*_key(cast, 5)).mark))
    assert _count(one.picture(), ring) > 1.6 * _count(little, ring)


@pytest.mark.parametrize("mode", ["compact", "full"])
def test_the_ring_follows_small_steps(play: Play, cast: Cast, mode: str):
    one = play(Memory(mode=mode))
    # Nothing else is there that would be looked after.
    plain = {"top": (), "level_db": -90.0}
    one.take(speaks(cast, 0, 0.5, **plain))
    one.run(3)
    before = one.picture()
    one.take(speaks(cast, 0, 0.6, **plain))
    one.run(10)
    assert one.window._view._line.share == pytest.approx(0.6, abs=0.005)
    assert one.picture() != before
    assert not one.window._timer.isActive()


def _key(cast: Cast, who: int) -> tuple[str, str]:
    one = cast.card.characters[who]
    return one.name, one.actor


def _count(image: QImage, colour: QColor) -> int:
    wanted = np.array([colour.red(), colour.green(), colour.blue()])
    return int((np.abs(pixels(image) - wanted).max(-1) < 24).sum())


def test_actor_alone_stranger_and_second_voice(play: Play, cast: Cast):
    one, seen = play(), []
    actor = cast.card.characters[0].actor
    second = Candidate(*_key(cast, 4), 0.3)
    for result in (
        speaks(cast, 0),
        speaks(cast, 0, second=second),
        nobody(actor=actor, confidence=0.8, speech=True),
        nobody(unknown=True, speech=True),
    ):
        one.take(result)
        one.run(1)
        assert one.window.isVisible()
        seen.append(one.picture())
    assert all(a != b for i, a in enumerate(seen) for b in seen[:i])
    assert one.window.accessibleName() == ""


def test_a_lost_device_is_a_quiet_line(play: Play, cast: Cast):
    one = play()
    one.take(nobody(state="waiting"))
    one.run(1)
    assert one.window.isVisible()
    assert one.window._notice.text == ENGLISH.waiting
    assert one.window.height() < 60
    alone = one.window.geometry()
    one.take(speaks(cast, 0, notice="the config file is wrong"))
    one.run(1)
    assert one.window.height() > 100
    assert one.window.geometry().bottom() == alone.bottom(), "it grows away from the edge"
    one.take(nobody(notice="the config file is wrong"))
    one.run(30)
    assert nothing(one), "told long enough"
    one.take(nobody(notice="another mistake"))
    one.run(1)
    assert one.window.isVisible()
    one.take(nobody())
    one.run(1)
    assert nothing(one), "mended"


def test_a_line_of_ones_own_stays_for_a_while(play: Play, cast: Cast):
    one = play()
    one.take(nobody())
    one.window.tell("cast x: no such file")
    one.run(1)
    one.take(nobody(time=2.0))
    one.run(1)
    assert one.window.isVisible()
    assert one.window._notice.text == "cast x: no such file"
    one.take(nobody(state="waiting"))
    one.run(1)
    assert one.window._notice.text == ENGLISH.waiting, "what the engine tells comes first"
    one.take(nobody())
    one.run(30)
    assert nothing(one)


def told(one: Played) -> str:
    """Give the line that is seen."""
    return one.window._notice.text if one.window._notice.opacity else ""


def test_a_line_of_ones_own_is_told_again(play: Play):
    one = play()
    one.take(nobody())
    one.window.tell("cast x: no such file")
    one.run(12)
    one.window.tell("cast x: no such file")
    one.run(14)
    assert told(one), "as long as the first time"
    one.run(30)
    assert nothing(one)
    one.window.tell("cast x: no such file")
    one.run(1)
    assert told(one)
    one.window.tell("")
    one.run(1)
    assert nothing(one), "mended"


def test_a_line_of_ones_own_waits_until_it_is_seen(play: Play):
    one = play()
    one.window.tell("before there is any result")
    one.run(1)
    assert told(one) == "before there is any result"
    one.window.paused = True
    one.window.tell("during a pause")
    one.run(60)
    assert nothing(one)
    one.window.paused = False
    one.run(14)
    assert told(one) == "during a pause"
    one.run(30)
    assert nothing(one)
    # What the engine tells comes first; but it may stand for ever, and is not shown that long.
    one.take(nobody(notice="a mistake in the config file"))
    one.run(1)
    one.window.tell("after that")
    one.run(1)
    assert told(one) == "a mistake in the config file"
    one.run(18)
    assert told(one) == "after that"
    one.run(30)
    assert nothing(one)


def test_at_the_start_it_says_where_it_is(play: Play, cast: Cast):
    one = play()
    one.window.start()
    one.run(1)
    assert one.window.isVisible()
    one.take(nobody())
    one.run(5)
    assert nothing(one)
    other = play()
    other.window.start()
    other.take(speaks(cast, 0))
    other.run(1)
    assert other.window.height() < 100, "a name ends it"


@pytest.mark.parametrize("mode", ["compact", "full", "timeline"])
@pytest.mark.parametrize("who", [JAPANESE, HEBREW, LONG, MISDRAWN])
def test_any_name_and_portrait(play: Play, cast: Cast, mode: str, who: int):
    one = play(Memory(mode=mode), said=IN_JAPANESE)
    one.take(speaks(cast, who), speaks(cast, who, time=4.0))
    one.run(1)
    area = QApplication.primaryScreen().availableGeometry()
    assert area.contains(one.window.geometry())
    assert one.window.width() < 560


def test_at_the_right_edge_the_portrait_stays(play: Play, cast: Cast):
    key = spot_module.screen_key(QApplication.primaryScreen())
    one = play(Memory(places={key: Place(right=True)}))
    rights, disks = [], []
    for who in (0, 3):
        one.take(speaks(cast, who, 1.0))
        one.run(1)
        rights.append(one.window.geometry().right())
        colour = QColor(one.window._look.person(*_key(cast, who)).mark.colour)
        columns = (np.abs(pixels(one.picture()) - _rgb(colour)).max(-1) < 12).any(0).nonzero()[0]
        disks.append(one.window.width() - columns.max())
    assert rights[0] == rights[1] == QApplication.primaryScreen().availableGeometry().right()
    assert abs(disks[0] - disks[1]) <= 5, "but for the ring"
    assert disks[0] < 60


def _rgb(colour: QColor) -> np.ndarray:
    return np.array([colour.red(), colour.green(), colour.blue()])


# Portraits


@pytest.mark.parametrize("kind", ["PNG", "JPG", "BMP", "PPM", "WEBP", "GIF"])
def test_portraits_of_any_format(application: QApplication, kind: str):
    try:
        data = draw_face("PNG" if kind == "GIF" else kind)
    except AssertionError:
        pytest.skip(f"Qt writes no {kind} here")
    image = decode_portrait(data)
    assert image is not None
    assert image.width() == image.height()
    face = QColor(image.pixel(image.width() // 2, image.height() * 2 // 5))
    assert np.abs(_rgb(face) - [255, 227, 207]).max() < 12


def test_a_portrait_in_plain_text_as_the_origin_has(application: QApplication):
    image = decode_portrait(b"P3\n# by hand\n2 2\n255\n" + b"255 0 0 " * 4)
    assert image is not None
    assert QColor(image.pixel(9, 9)) == QColor("red")


def test_a_large_photo_is_not_decoded_whole(application: QApplication):
    data = draw_face("JPG", 3000, 4000)
    began = time.perf_counter()
    image = decode_portrait(data)
    assert image is not None
    assert time.perf_counter() - began < 1
    assert image.width() <= 400


@pytest.mark.parametrize(
    "data", [b"", b"no picture", draw_face("PNG")[:100], b"P6 99999 99999 255 "]
)
def test_what_is_no_picture_is_none(application: QApplication, data: bytes):
    assert decode_portrait(data) is None


def test_without_a_portrait_there_are_initials(play: Play, cast: Cast):
    one = play()
    look: Look = one.window._look
    with_picture, without, broken = (
        pixels(look.avatar(look.person(*_key(cast, who)), 44).toImage())
        for who in (PORTRAYED, 0, MISDRAWN)
    )
    colour = _rgb(QColor(look.person(*_key(cast, 0)).mark.colour))
    assert (np.abs(without - colour).max(-1) < 60).mean() > 0.5
    assert (np.abs(with_picture - [255, 227, 207]).max(-1) < 20).mean() > 0.1
    colour = _rgb(QColor(look.person(*_key(cast, MISDRAWN)).mark.colour))
    assert (np.abs(broken - colour).max(-1) < 60).mean() > 0.4


def test_a_font_that_is_missing(play: Play, cast: Cast):
    font = QApplication.font()
    try:
        QApplication.setFont(QFont("no such font at all", 10))
        one = play()
        one.take(speaks(cast, JAPANESE))
        one.run(1)
        assert one.window.isVisible()
    finally:
        QApplication.setFont(font)


def test_an_alias_of_a_font_is_not_passed_over(play: Play):
    font = QApplication.font()
    try:
        # As Qt has it where no desktop says otherwise; no font is called so.
        QApplication.setFont(QFont("Sans Serif", 10))
        drawn = QFontInfo(play().window._look.font(13)).family()
        assert drawn == QFontInfo(QFont("Sans Serif")).family()
    finally:
        QApplication.setFont(font)


def test_it_follows_light_and_dark(play: Play, cast: Cast, monkeypatch: pytest.MonkeyPatch):
    # Qt that draws into memory cannot be told which it is.
    scheme = Qt.ColorScheme.Dark
    hints = type(QApplication.styleHints())
    monkeypatch.setattr(hints, "colorScheme", lambda _: scheme)
    one = play(theme=None)
    one.take(speaks(cast, 0))
    one.run(1)
    dark = pixels(one.picture()).mean()
    scheme = Qt.ColorScheme.Light
    QApplication.styleHints().colorSchemeChanged.emit(scheme)
    one.run(1)
    assert pixels(one.picture()).mean() > dark + 60


def test_another_cast_while_it_runs(play: Play, cast: Cast):
    one = play()
    one.take(speaks(cast, 0))
    one.run(1)
    before = one.picture()
    turned = msgspec.structs.replace(
        cast, card=msgspec.structs.replace(cast.card, characters=cast.card.characters[::-1])
    )
    one.window.set_cast(turned)
    one.window._portraits.wait()
    one.run(1)
    assert one.picture() != before, "it has another colour"


# When it is drawn


def test_no_wake_ups_when_hidden(play: Play, cast: Cast):
    one = play()
    one.take(nobody(), speaks(cast, 0))
    one.run(2)
    one.take(nobody())
    one.run(3)
    assert nothing(one)
    assert not one.window._timer.isActive()
    woken = []
    one.window._woken.connect(lambda: woken.append(1))
    for level in range(100):
        one.take(nobody(level_db=-90.0 + level / 2, time=2.0 + level))
    QApplication.processEvents()
    assert not woken
    assert one.run(10) == 0
    one.take(speaks(cast, 0))
    QApplication.processEvents()
    assert len(woken) == 1
    one.window.paused = True
    assert nothing(one)
    one.take(speaks(cast, 3), nobody(), speaks(cast, 4))
    assert one.run(10) == 0
    assert len(woken) == 1
    one.window.paused = False
    one.run(1)
    assert one.window.isVisible()


def test_while_nothing_changes_nothing_is_drawn(play: Play, cast: Cast):
    one = play()
    one.take(speaks(cast, 0))
    one.run(2)
    drawn = one.window.frames
    for hop in range(100):
        one.take(speaks(cast, 0, time=2.0 + hop / 40))
        one.run(0.025)
    assert one.window.frames == drawn


@pytest.mark.parametrize("mode", ["compact", "full", "timeline"])
def test_ten_thousand_results_a_second(play: Play, cast: Cast, mode: str):
    one = play(Memory(mode=mode), clock=time.monotonic)
    results = [speaks(cast, n // 2000, 0.6 + n % 30 / 100, time=n / 1e4) for n in range(6_000)]
    last = speaks(cast, 4, 0.9, time=2.0)

    def feed() -> None:
        began = time.monotonic()
        for number, result in enumerate(results):
            while time.monotonic() - began < number / 10_000:
                time.sleep(0.002)
            one.take(result)
        one.take(last)

    thread = threading.Thread(target=feed)
    began, used = time.monotonic(), time.process_time()
    thread.start()
    name = cast.card.characters[4].name
    while not one.window.accessibleName().startswith(name):
        loop = QEventLoop()
        QTimer.singleShot(50, loop.quit)
        loop.exec()
        assert time.monotonic() - began < 8
    thread.join()
    assert one.window.frames <= (time.monotonic() - began) * 30 + 3
    assert time.process_time() - used < 1.5


def test_taking_a_result_costs_next_to_nothing(play: Play, cast: Cast):
    one = play()
    result = speaks(cast, 0)
    one.take(result)
    one.run(1)
    began = time.thread_time()
    for _ in range(10_000):
        one.window.feed.take(result)
    assert time.thread_time() - began < 0.5


# The other modes


def test_full_ranks_and_slides(play: Play, cast: Cast):
    one = play(Memory(mode="full"))
    one.take(speaks(cast, 0))
    one.run(2)
    view = one.window._view
    assert isinstance(view, Full)
    assert len(view._ranked) == 8
    first, second = _key(cast, 0), _key(cast, 1)
    assert (view._ranked[first].place, view._ranked[second].place) == (0, 1)
    one.take(speaks(cast, 1))
    xs = []
    for _ in range(24):
        one.run(0.035)
        xs.append(view._ranked[second].x)
    assert xs == sorted(xs, reverse=True)
    assert xs[-1] == 0
    assert len([x for x in xs if 0 < x < 1]) >= 4
    assert view._ranked[second].place == 0
    one.take(nobody())
    one.run(3)
    assert not view._ranked
    assert one.window.isVisible(), "the panel stays"
    assert not one.window._timer.isActive()


def test_full_draws_the_last_second(play: Play, cast: Cast):
    sound = Waveform(frame_length=160, sample_rate=16_000)
    one = play(Memory(mode="full"), sound=lambda: sound)
    one.take(nobody())
    one.run(1)
    still = one.picture()
    assert not one.window._timer.isActive(), "silence does not move"

    def changed(result: Result) -> np.ndarray:
        one.take(result)
        one.run(0.5)
        return (np.abs(pixels(one.picture()) - pixels(still)).max(-1) > 30).any(0).nonzero()[0]

    sound.push(np.tile(np.float32([-0.9, 0.9]), (40, 80)))
    columns = changed(nobody(level_db=-6.0))
    width = one.window.width()
    assert width * 0.45 < columns.min() < width * 0.75, "the newest is at the right"
    assert columns.max() > width * 0.85
    sound.push(np.tile(np.float32([0.0, 0.9]), (10, 80)))
    assert changed(nobody(level_db=-9.0)).min() < columns.min(), "the older is pushed on"
    # What is not heard is not there, and silence goes on until nothing moves.
    assert not len(changed(nobody(state="quiet"))), "a source that delivers nothing"
    sound.push(np.zeros((150, 160), np.float32))
    assert not len(changed(nobody()))
    one.run(1)
    assert not one.window._timer.isActive()


@pytest.mark.parametrize(("rate", "frame"), [(16_000, 8), (44_100, 512), (8_000, 800), (100, 200)])
def test_frames_of_any_length(play: Play, rate: int, frame: int):
    look, ink = play().window._look, QColor("red")
    sound, wave = Waveform(frame_length=frame, sample_rate=rate), Wave(336, 40)
    assert wave.follow(sound, look, ink)
    assert not wave.follow(sound, look, ink)
    for frames in (1, 3, 500, 2):
        sound.push(np.full((frames, frame), 0.5, np.float32))
        assert wave.follow(sound, look, ink)
    assert not wave.still
    sound.push(np.zeros((700, frame), np.float32))
    assert wave.follow(sound, look, ink)
    assert wave.still


def test_timeline_shows_two_minutes(play: Play, cast: Cast):
    one = play(Memory(mode="timeline"))
    one.take(nobody())
    one.run(1)
    low = one.window.height()
    for second in range(60):
        one.take(speaks(cast, second // 20, time=float(second)))
    one.run(1)
    assert one.window._view._lanes == [_key(cast, who) for who in (0, 1, 2)]
    assert one.window.height() > low
    assert one.run(10) < 60, "it moves slowly"
    one.take(nobody(time=61.0), nobody(time=300.0))
    one.run(1)
    assert not one.window._view._lanes
    assert one.window.height() == low


def test_modes_follow_each_other(play: Play, cast: Cast):
    one = play()
    seen = []
    one.take(speaks(cast, 0))
    for _ in range(4):
        one.run(1)
        seen.append((one.window.mode, one.window.width()))
        one.window.next_mode()
    assert [mode for mode, _ in seen] == ["compact", "full", "timeline", "compact"]
    assert seen[0] == seen[3]
    assert load_memory().mode == "full"


# Where it is


def test_place_is_remembered_for_each_screen(play: Play, cast: Cast):
    one = play()
    one.take(speaks(cast, 0))
    one.run(1)
    area = QApplication.primaryScreen().availableGeometry()
    assert one.window.geometry().bottomLeft() == area.bottomLeft()
    one.window.drag_to(QPoint(area.x() + 200, area.y() + 10))
    assert one.window.pos() == QPoint(area.x() + 200, area.y()), "it sticks to the edge"
    one.run(1)
    assert one.window.pos() == QPoint(area.x() + 200, area.y())
    one.window.drop()
    other = play(load_memory())
    other.take(speaks(cast, 0))
    other.run(1)
    assert other.window.pos() == one.window.pos()
    # A screen that is not there any more: the main one, and nothing is forgotten.
    memory = load_memory()
    memory.places["gone"] = Place(x=5, y=7, right=True)
    memory.screen = "gone"
    third = play(memory)
    third.take(speaks(cast, 0))
    third.run(1)
    assert third.window.pos() == one.window.pos()
    third.window.click_through = True
    assert load_memory().places["gone"] == Place(x=5, y=7, right=True)


def test_a_screen_that_goes(play: Play, cast: Cast, monkeypatch: pytest.MonkeyPatch):
    screen = QApplication.primaryScreen()
    key = spot_module.screen_key(screen)
    memory = Memory(
        screen="second", places={"second": Place(x=40, y=40, bottom=False), key: Place(right=True)}
    )
    monkeypatch.setattr(spot_module, "screen_key", lambda _: "second")
    one = play(memory)
    one.take(speaks(cast, 0))
    one.run(1)
    assert one.window.pos() == screen.availableGeometry().topLeft() + QPoint(40, 40)
    monkeypatch.setattr(spot_module, "screen_key", lambda _: key)
    one.window._screens_changed()
    one.run(1)
    assert one.window.geometry().bottomRight() == screen.availableGeometry().bottomRight()
    assert one.window.memory.screen == "second", "it goes back when that is there again"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"mode": "huge"}', '{"places": {"x": 3}}', "\xff"]
)
def test_a_memory_that_cannot_be_read(play: Play, text: str):
    memory_path().parent.mkdir(parents=True, exist_ok=True)
    memory_path().write_bytes(text.encode("latin-1"))
    assert load_memory() == Memory()


@pytest.mark.parametrize("right", [False, True])
def test_the_grip_stays_with_the_card(
    play: Play, cast: Cast, right: bool, monkeypatch: pytest.MonkeyPatch
):
    key = spot_module.screen_key(QApplication.primaryScreen())
    one = play(Memory(places={key: Place(right=right)}))
    one.take(speaks(cast, 0))
    one.run(1)

    class Pointer:
        pos = staticmethod(lambda: one.window.grip_rect().center())

    monkeypatch.setattr(window_module, "QCursor", Pointer)
    one.window._mind_pointer()
    for mode in ("full", "timeline", "compact"):
        one.window.mode = mode
        one.run(0.1)
        assert one.window._grip.geometry() == one.window.grip_rect()
        assert one.window.geometry().contains(one.window._grip.geometry())
    at = one.window._grip.geometry().center().x() - one.window.geometry().center().x()
    assert (at < 0) == right, "away from the portrait"
    one.window.paused = True
    assert not one.window._grip.isVisible()


# The menu


def test_menu(play: Play, cast: Cast, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    one = play()
    ended, chosen = [], []
    mine = tmp_path / "mine.toml"
    menu = Tray(one.window, IN_JAPANESE, lambda: ended.append(1), chosen.append, mine)
    menu.name_cast("R & D")
    assert menu.cast.text() == "キャスト：R && D…"
    (tmp_path / "show.cast").write_bytes(b"")
    menu.cast.trigger()
    (dialog,) = (w for w in QApplication.topLevelWidgets() if isinstance(w, QFileDialog))
    dialog.setDirectory(str(tmp_path))
    dialog.selectFile("show.cast")
    dialog.accept()
    assert chosen == [str(tmp_path / "show.cast")]
    one.take(speaks(cast, 0))
    one.run(1)
    menu.modes["timeline"].trigger()
    menu.click_through.trigger()
    assert (one.window.mode, one.window.click_through) == ("timeline", True)
    one.window.next_mode()
    assert menu.modes["compact"].isChecked()
    menu.pause.trigger()
    assert nothing(one)
    menu.pause.trigger()
    one.run(1)
    assert one.window.isVisible()
    opened = []
    monkeypatch.setattr(
        tray_module.QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile())
    )
    menu.config.trigger()
    assert opened == [str(mine)]
    assert "[gate]" in mine.read_text(encoding="utf-8")
    menu.quit.trigger()
    assert ended
    menu.close()


def test_another_cast_by_the_menu(
    application: QApplication, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("QT_NO_GUI_THREADPOOL", "1")  # it is set, and would stay so
    (tmp_path / "bad.cast").write_bytes(b"no cast")
    starter = load_cast()
    write_cast(rename_cast(starter, "Another show"), tmp_path / "good.cast")
    outcome: list[BaseException | None] = []

    def found(kind: type) -> list:
        return [one for one in QApplication.topLevelWidgets() if isinstance(one, kind)]

    def use() -> Iterator[None]:
        """Choose one after the other; goes on when it has been given time."""
        (window,), (menu,) = found(OverlayWindow), found(QMenu)
        entry = menu.actions()[0]
        for name in ("bad.cast", "good.cast"):
            entry.trigger()
            dialog = found(QFileDialog)[-1]
            dialog.setDirectory(str(tmp_path))
            dialog.selectFile(name)
            dialog.accept()
            yield
            if name == "bad.cast":
                while "bad.cast" not in window._notice.text:
                    yield
                assert starter.card.name in entry.text()
                assert recognizer.cast is starter
        while "Another show" not in entry.text():
            yield
        assert recognizer.cast.card.name == "Another show"
        while window._notice.opacity:
            yield

    def go_on() -> None:
        try:
            next(steps)
            assert time.monotonic() < end, "in vain"
        except BaseException as error:  # Qt would swallow it
            outcome.append(None if isinstance(error, StopIteration) else error)
            application.quit()

    steps, end = use(), time.monotonic() + 8
    timer = QTimer(interval=10)
    timer.timeout.connect(go_on)
    timer.start()
    with Recognizer(starter, FileSource(DEMO, realtime=True), Settings()) as recognizer:
        show(recognizer)
    timer.stop()
    assert outcome == [None]


# How it looks


def scene_of(name: str, play: Play, cast: Cast) -> Played:
    mode, _, theme = name.partition("_")
    options = {"theme": LIGHT} if theme == "light" else {}
    one = play(Memory(mode=mode), sound=lambda: WAVE, **options)
    one.take(*scene(cast))
    one.run(2)
    return one


SCENES = [
    f"{mode}_{theme}" for mode in ("compact", "full", "timeline") for theme in ("dark", "light")
]


@pytest.mark.parametrize("name", SCENES)
def test_screens_are_like_the_stored_ones(dejavu: None, play: Play, cast: Cast, name: str):
    path = SCREENS / f"{name}.png"
    picture = scene_of(name, play, cast).picture()
    if os.environ.get("KIKIWAKE_STORE_SCREENS"):  # how they were made; look at them
        SCREENS.mkdir(exist_ok=True)
        picture.save(str(path))
    stored = QImage(str(path))
    found = {other: likeness(picture, QImage(str(SCREENS / f"{other}.png"))) for other in SCENES}
    assert not stored.isNull()
    assert found[name] > 0.9
    assert max(found, key=found.__getitem__) == name
