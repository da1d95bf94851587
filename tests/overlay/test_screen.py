"""The overlay in a real X server, with a mouse and other windows."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec
import numpy as np
import pytest
import soundfile

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
pytest.importorskip(
    "PySide6.QtWidgets", reason="the extra overlay is not installed", exc_type=ImportError
)
pytest.importorskip("Xlib", reason="python-xlib is not installed")

from played import GROUND, JAPANESE, Played, likeness, nobody, pixels, scene, speaks
from PySide6.QtGui import QImage
from screen import Screen, wait

from kikiwake.engine.result import Result
from kikiwake.models.cast import Cast
from kikiwake.models.starter import DEMO
from kikiwake.overlay.place import Memory, Place, load_memory, memory_path, save_memory
from kikiwake.overlay.tray import Tray
from kikiwake.overlay.words import ENGLISH

PLAYER = Path(__file__).with_name("player.py")
SCREENS = Path(__file__).with_name("screens")
# Where a window that nobody has moved is: in the lower left corner.
ON_CARD = (100, 560)


class Player:
    """A program that shows in the overlay what it is told."""

    def __init__(self, screen: Screen, *arguments: str, **env: str) -> None:
        self.screen = screen
        command = [sys.executable, str(PLAYER), *arguments]
        config = {"KIKIWAKE_CONFIG": os.environ["KIKIWAKE_CONFIG"]}
        self.program = subprocess.Popen(
            command,
            env=screen.env | config | env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def tell(self, *results: Result) -> None:
        assert self.program.stdin is not None
        for result in results:
            self.program.stdin.write(msgspec.json.encode(result) + b"\n")
        self.program.stdin.flush()

    @property
    def shown(self) -> bool:
        return bool(self.screen.windows())

    @property
    def card(self) -> Any:
        """The window; the grip is the smaller one."""
        return max(self.screen.windows(), key=lambda one: self.screen.rect(one)[2])

    @property
    def height(self) -> int:
        """Of the card; 0 where it is not there."""
        rects = map(self.screen.rect, self.screen.windows())
        return max(rects, key=lambda rect: rect[2], default=(0, 0, 0, 0))[3]

    def settle(self, result: Result) -> None:
        """Have a result shown, and wait until nothing moves."""
        self.tell(result)
        wait(lambda: self.height > 70)
        before = None
        while before is None or (before != self.screen.seen()).any():
            before = self.screen.seen()
            time.sleep(0.1)


@pytest.fixture
def player(screen: Screen) -> Iterator[Callable[..., Player]]:
    started: list[Player] = []

    def start(*arguments: str, **env: str) -> Player:
        screen.point(790, 5)
        started.append(Player(screen, *arguments, **env))
        return started[-1]

    yield start
    for one in started:
        one.program.kill()
        one.program.wait()
        for pipe in (one.program.stdin, one.program.stdout, one.program.stderr):
            pipe.close()


def looks_like(screen: Screen, card: Any, play: Callable[..., Played], cast: Cast) -> list[int]:
    """Say whose card it is, the likeliest first, by drawing all of them."""
    x, y, width, height = screen.rect(card)
    seen = screen.seen()[y : y + height, x : x + width]
    distances = {}
    for who in range(10):
        one = play(theme=None)
        one.take(speaks(cast, who))
        one.run(1)
        if abs(one.window.width() - width) <= 8:
            drawn = pixels(one.picture())
            wide, high = min(width, drawn.shape[1]), min(height, drawn.shape[0])
            distances[who] = float(np.abs(seen[:high, :wide] - drawn[:high, :wide]).mean())
    return sorted(distances, key=distances.__getitem__)


def test_the_right_name_on_top_and_without_the_focus(
    player: Callable[..., Player], screen: Screen, play: Callable[..., Played], cast: Cast
):
    one = player()
    one.settle(speaks(cast, 3))
    assert looks_like(screen, one.card, play, cast)[0] == 3
    one.tell(speaks(cast, 6))
    time.sleep(0.5)
    assert looks_like(screen, one.card, play, cast)[0] == 6
    # No window manager puts anything above it or gives it the focus.
    assert one.card.get_attributes().override_redirect
    assert "_NET_WM_STATE_ABOVE" in screen.property(one.card, "_NET_WM_STATE")
    hints = screen.property(one.card, "WM_HINTS")
    assert hints[0] & 1, "it says something about input"
    assert not hints[1], "and wants none"
    assert not screen.has_focus(one.card)
    # A video that goes full screen.
    video, _ = screen.window(0, 0, *screen.size)
    wait(lambda: screen.top().id == one.card.id, 3)
    one.tell(nobody())
    wait(lambda: not one.shown, 3)
    video.destroy()
    # The sound ends.
    one.program.stdin.close()
    assert one.program.wait(5) == 0
    assert b"Traceback" not in one.program.stderr.read()


def test_ten_thousand_results_a_second(
    player: Callable[..., Player], screen: Screen, play: Callable[..., Played], cast: Cast
):
    """For half a second, after which the last one is on the screen."""
    one = player()
    one.settle(speaks(cast, 3))
    began = time.monotonic()
    for hundred in range(50):
        one.tell(*(speaks(cast, hundred // 10, 0.6 + n % 30 / 100) for n in range(100)))
        time.sleep(max(0.0, began + (hundred + 1) / 100 - time.monotonic()))
    one.tell(speaks(cast, 6))
    wait(lambda: looks_like(screen, one.card, play, cast)[0] == 6, 3)


def test_ctrl_c_ends_it(player: Callable[..., Player], cast: Cast):
    one = player()
    one.settle(speaks(cast, 0))
    one.program.send_signal(signal.SIGINT)
    assert one.program.wait(5) == -signal.SIGINT
    assert b"KeyboardInterrupt" in one.program.stderr.read()


def test_clicks_and_the_grip(player: Callable[..., Player], screen: Screen, cast: Cast):
    below, clicks = screen.window(0, 300, 800, 300)
    one = player()
    one.settle(speaks(cast, 0))
    screen.click(*ON_CARD)
    screen.click(600, 400)
    wait(lambda: clicks() == 1)
    wait(lambda: len(screen.windows()) == 1)  # else the grip may go while it is reached for
    _drag(one, screen, 300, -200)
    x, y, _, height = screen.rect(one.card)
    assert (x, y + height) == (300, screen.size[1] - 200)
    # The next time it is there, and lets clicks through.
    one.program.kill()
    wait(lambda: not one.shown)
    memory = load_memory()
    memory.click_through = True
    save_memory(memory)
    other = player()
    other.settle(speaks(cast, 0))
    assert screen.rect(other.card)[:2] == (x, y)
    before = clicks()
    screen.click(x + 40, y + 40)
    wait(lambda: clicks() == before + 1)
    # By its grip it is dragged all the same, and sticks to the edge.
    _drag(other, screen, 15 - x, 0)
    assert screen.rect(other.card)[:2] == (0, y)
    assert clicks() == before + 1
    place = next(iter(load_memory().places.values()))
    assert (place.x, place.right) == (0, False)
    below.destroy()


def _grip(screen: Screen) -> Any:
    """Wait until it is there, and above the card."""
    wait(lambda: len(screen.windows()) == 2)
    grip = min(screen.windows(), key=lambda window: screen.rect(window)[2])
    wait(lambda: screen.top().id == grip.id)
    return grip


def _drag(one: Player, screen: Screen, dx: int, dy: int) -> None:
    x, y, width, height = screen.rect(one.card)
    screen.point(x + width // 2, y + height // 2)
    held = screen.middle(_grip(screen))
    screen.point(*held)
    screen.press()
    for step in range(1, 6):
        screen.point(held[0] + dx * step // 5, held[1] + dy * step // 5)
        time.sleep(0.02)
    before = memory_path().stat().st_mtime_ns if memory_path().exists() else 0
    screen.release()
    wait(lambda: memory_path().exists() and memory_path().stat().st_mtime_ns != before)
    screen.point(790, 5)
    wait(lambda: len(screen.windows()) == 1)


def test_twice_as_many_pixels(player: Callable[..., Player], screen: Screen, cast: Cast):
    one = player(QT_SCALE_FACTOR="2")
    one.settle(speaks(cast, 0))
    x, y, _, height = screen.rect(one.card)
    assert height == 2 * 84
    assert (x, y + height) == (0, screen.size[1])


@pytest.fixture
def compositor(screen: Screen) -> Iterator[None]:
    """Have translucent windows mixed with what is below."""
    if shutil.which("picom") is None:
        pytest.skip("picom is not installed (Debian: picom)")
    command = ["picom", "--backend", "xrender", "--config", os.devnull]
    program = subprocess.Popen(command, env=screen.env, stderr=subprocess.DEVNULL)
    wait(lambda: screen.has_owner("_NET_WM_CM_S0"))
    yield
    program.terminate()
    program.wait()


def test_every_mode_is_like_the_stored_screens(
    dejavu: None, compositor: None, player: Callable[..., Player], screen: Screen, cast: Cast
):
    below, _ = screen.window(0, 0, *screen.size, colour=int(GROUND[1:], 16))
    one = player()
    one.settle(speaks(cast, 0))
    one.tell(*scene(cast))
    stored = {path.stem: QImage(str(path)) for path in SCREENS.glob("*_dark.png")}
    for mode in ("compact", "full", "timeline"):
        height = stored[f"{mode}_dark"].height()
        wait(lambda height=height: one.height == height, 3)

        def likenesses() -> dict[str, float]:
            found = screen.picture(*screen.rect(one.card))
            return {name: likeness(found, image) for name, image in stored.items()}

        wait(lambda mode=mode: likenesses()[f"{mode}_dark"] > 0.98, 3)  # it fades and slides
        found = likenesses()
        assert max(found, key=found.__getitem__) == f"{mode}_dark"
        # The next one, by the grip.
        x, y, width, _ = screen.rect(one.card)
        screen.point(x + width // 2, y + 60)
        held = screen.middle(_grip(screen))
        screen.double_click(*held)
        screen.point(790, 5)
    below.destroy()


def test_a_screen_is_unplugged(player: Callable[..., Player], screen: Screen, cast: Cast):
    place = {"second": Place(x=20, y=30, bottom=False)}
    save_memory(Memory(screen="second", places=place))
    screen.plug_in("second", 400, 0, 400, 600)
    try:
        one = player()
        one.settle(speaks(cast, 0))
        assert screen.rect(one.card)[:2] == (420, 30)
        screen.unplug("second")
        # On the screen that is left nobody has moved it.
        _, _, _, height = screen.rect(one.card)
        wait(lambda: screen.rect(one.card)[:2] == (0, 600 - height), 3)
        screen.plug_in("second", 400, 0, 400, 600)
        wait(lambda: screen.rect(one.card)[:2] == (420, 30), 3)
    finally:
        screen.unplug("second")


@pytest.fixture
def tray(screen: Screen) -> Iterator[None]:
    """Have a panel with a tray at the upper right."""
    if shutil.which("trayer") is None:
        pytest.skip("trayer is not installed (Debian: trayer)")
    command = ["trayer", "--edge", "top", "--align", "right", "--width", "20", "--height", "28"]
    program = subprocess.Popen(command, env=screen.env, stderr=subprocess.DEVNULL)
    wait(lambda: screen.find("trayer"))
    yield
    program.kill()
    program.wait()


def test_the_icon_in_a_tray_and_its_menu(
    tray: None,
    player: Callable[..., Player],
    screen: Screen,
    play: Callable[..., Played],
    cast: Cast,
    tmp_path: Path,
):
    opener, opened = tmp_path / "xdg-open", tmp_path / "opened"
    opener.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    opener.chmod(0o755)
    one = player(PATH=f"{tmp_path}:{os.environ['PATH']}")
    one.settle(speaks(cast, 0))

    def icons() -> list:
        return [one for one in screen.find("kikiwake") if screen.middle(one)[1] < 28]

    wait(icons)
    icon = screen.middle(icons()[0])
    # The entries are where they are in the same menu here.
    same = Tray(play().window, ENGLISH, lambda: None, lambda _: None)
    same.name_cast(cast.card.name)
    size = same.menu.sizeHint()
    heard = iter(range(2, 99))

    def choose(action: Any) -> None:
        screen.click(*icon, button=3)
        menus: list = []

        def popped_up() -> bool:
            menus[:] = [w for w in screen.windows() if abs(screen.rect(w)[3] - size.height()) < 9]
            return bool(menus)

        wait(popped_up, 3)
        time.sleep(0.1)
        x, y, *_ = screen.rect(menus[0])
        entry = same.menu.actionGeometry(action).center()
        screen.click(x + entry.x(), y + entry.y())
        screen.point(400, 100)
        one.tell(speaks(cast, 0, time=float(next(heard))))

    heights = {"compact": 84, "full": 250}
    choose(same.modes["full"])
    wait(lambda: one.height == heights["full"], 3)
    choose(same.modes["compact"])
    wait(lambda: one.height == heights["compact"], 3)
    choose(same.click_through)
    wait(lambda: load_memory().click_through, 3)
    choose(same.config)
    wait(opened.exists, 3)
    shown = Path(unquote(urlsplit(opened.read_text().strip()).path))
    assert "[gate]" in shown.read_text(encoding="utf-8")
    choose(same.pause)
    wait(lambda: not one.shown, 3)
    one.tell(speaks(cast, 1))
    time.sleep(0.3)
    assert not one.shown
    # A click on the icon itself ends it.
    screen.click(*icon)
    wait(lambda: one.shown, 3)
    choose(same.quit)
    assert one.program.wait(5) == 0
    same.close()


def test_without_any_font(
    player: Callable[..., Player], screen: Screen, cast: Cast, tmp_path: Path
):
    config = tmp_path / "fonts.conf"
    config.write_text("<fontconfig></fontconfig>")
    one = player(FONTCONFIG_FILE=str(config))
    one.tell(speaks(cast, 0), speaks(cast, JAPANESE))
    # A line of no font has no height: the card is as small as it gets.
    wait(lambda: one.height == 84 * 3 // 4)
    assert one.program.poll() is None
    one.tell(nobody())
    wait(lambda: not one.shown, 3)
    one.program.stdin.close()
    assert one.program.wait(5) == 0
    assert b"Traceback" not in one.program.stderr.read()


def test_the_sound_of_the_computer(
    pulse: Any,
    player: Callable[..., Player],
    screen: Screen,
    play: Callable[..., Played],
    cast: Cast,
    tmp_path: Path,
):
    names = [character.name for character in cast.card.characters]
    env = {k: v for k, v in pulse.env.items() if k.startswith(("PULSE", "HOME", "XDG"))}
    one = player("loopback", **env)
    assert one.program.stdout is not None
    assert one.program.stdout.readline() == b"None\n"
    sound, rate = soundfile.read(DEMO, frames=6 * 44_100, dtype="float32")
    soundfile.write(tmp_path / "part.wav", sound, rate)
    playing = pulse.popen(
        "paplay", "--latency-msec=1000", f"--device={pulse.sink}", str(tmp_path / "part.wav")
    )
    told = ""
    while told not in names:
        told = one.program.stdout.readline().decode().strip()
    wait(lambda: one.height > 70, 3)
    time.sleep(0.4)
    assert looks_like(screen, one.card, play, cast)[0] == names.index(told)
    playing.kill()
    playing.communicate()
    reader = one.program.stdout
    while reader.readline() != b"None\n":
        pass
    wait(lambda: not one.shown, 3)
