"""An X server without a screen, and what a person would do and see there."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PySide6.QtGui import QImage
from Xlib import X, display
from Xlib.error import XError
from Xlib.ext import randr, xtest
from Xlib.protocol import rq


class _SetMonitor(rq.Request):
    """RRSetMonitor, without outputs; python-xlib's own cannot be packed."""

    _request = rq.Struct(
        rq.Card8("opcode"),
        rq.Opcode(43),
        rq.RequestLength(),
        rq.Window("window"),
        rq.Card32("name"),
        rq.Bool("primary", 0),
        rq.Bool("automatic", 0),
        rq.Card16("outputs", 0),
        rq.Int16("x"),
        rq.Int16("y"),
        rq.Card16("width"),
        rq.Card16("height"),
        rq.Card32("width_mm", 200),
        rq.Card32("height_mm", 150),
    )


class Screen:
    """A private Xvfb with a pointer that can be moved, and windows that can be looked at.

    Attributes
    ----------
    env : dict of str
        The environment for programs that shall be shown there.
    """

    def __init__(self, size: tuple[int, int] = (800, 600)) -> None:
        reads, writes = os.pipe()
        command = ["Xvfb", "-displayfd", str(writes), "-screen", "0", f"{size[0]}x{size[1]}x24"]
        self._server = subprocess.Popen(
            [*command, "-nolisten", "tcp", "-noreset"],
            pass_fds=[writes],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(writes)
        with open(reads, encoding="ascii") as told:
            self.name = f":{told.readline().strip()}"
        hidden = ("DISPLAY", "WAYLAND_DISPLAY", "QT_")
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
        self.env |= {"DISPLAY": self.name, "QT_QPA_PLATFORM": "xcb", "LC_ALL": "C.UTF-8"}
        self._display = display.Display(self.name)
        self.root = self._display.screen().root
        self.size = size

    def close(self) -> None:
        """End the server."""
        self._display.close()
        self._server.terminate()
        self._server.wait()

    # What is there

    def windows(self, title: str = "Kikiwake") -> list:
        """Give the mapped windows of that title, the lowest first."""
        found = []
        for window in self.root.query_tree().children:
            try:
                if (
                    window.get_attributes().map_state == X.IsViewable
                    and self.title(window) == title
                ):
                    found.append(window)
            except Exception:  # gone in the meantime
                continue
        return found

    def find(self, wm_class: str) -> list:
        """Give the mapped windows of a program, at any depth, the lowest first."""
        found, left = [], [self.root]
        while left:
            window = left.pop()
            try:
                left += window.query_tree().children
                shown = window.get_attributes().map_state == X.IsViewable
                if shown and wm_class in (window.get_wm_class() or ()):
                    found.append(window)
            except Exception:  # gone in the meantime
                continue
        return found

    def title(self, window: object) -> str:
        """Give a window's title."""
        value = self.property(window, "_NET_WM_NAME")
        return value.decode() if isinstance(value, bytes) else ""

    def property(self, window: object, name: str) -> object:
        """Give a property of a window, None where it has none; atoms by their names."""
        atom = self._display.intern_atom(name)
        found = window.get_full_property(atom, X.AnyPropertyType)
        if found is None:
            return None
        if found.property_type == self._display.intern_atom("ATOM"):
            return [self._display.get_atom_name(value) for value in found.value]
        return found.value

    def top(self) -> object:
        """Give the uppermost mapped window."""
        shown = [
            window
            for window in self.root.query_tree().children
            if window.get_attributes().map_state == X.IsViewable
        ]
        return shown[-1]

    def has_focus(self, window: object) -> bool:
        """Say whether keys go to a window."""
        focus = self._display.get_input_focus().focus
        return getattr(focus, "id", focus) == window.id

    def rect(self, window: object) -> tuple[int, int, int, int]:
        """Say where a window is: left, top, width, height; zeros where it has just gone."""
        try:
            form = window.get_geometry()
        except XError:
            return 0, 0, 0, 0
        return form.x, form.y, form.width, form.height

    def middle(self, window: object) -> tuple[int, int]:
        """Say where on the screen the middle of a window is, also of one within another."""
        form = window.get_geometry()
        corner = self.root.translate_coords(window, form.width // 2, form.height // 2)
        return corner.x, corner.y

    def seen(self) -> NDArray[np.uint8]:
        """Take a picture of the whole screen: height, width, RGB."""
        width, height = self.size
        image = self.root.get_image(0, 0, width, height, X.ZPixmap, 0xFFFFFFFF)
        pixels = np.frombuffer(image.data, np.uint8).reshape(height, width, 4)
        return pixels[..., 2::-1]

    def picture(self, x: int, y: int, width: int, height: int) -> QImage:
        """Take a picture of a part of it."""
        part = self.seen()[y : y + height, x : x + width].copy()
        return QImage(part.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()

    def has_owner(self, selection: str) -> bool:
        """Say whether somebody owns a selection."""
        return bool(self._display.get_selection_owner(self._display.intern_atom(selection)))

    # What is done

    def window(
        self, x: int, y: int, width: int, height: int, colour: int = 0x204060
    ) -> tuple[object, Callable[[], int]]:
        """Open a plain window of another program; also gives what counts the clicks on it."""
        other = display.Display(self.name)
        window = other.screen().root.create_window(
            x, y, width, height, 0, 24, event_mask=X.ButtonPressMask, background_pixel=colour
        )
        window.map()
        other.sync()
        count = 0

        def clicks() -> int:
            nonlocal count
            other.sync()
            while other.pending_events():
                count += other.next_event().type == X.ButtonPress
            return count

        return window, clicks

    def plug_in(self, name: str, x: int, y: int, width: int, height: int) -> None:
        """Have another screen, over a part of this one."""
        _SetMonitor(
            display=self._display.display,
            opcode=self._display.display.get_extension_major(randr.extname),
            window=self.root,
            name=self._display.intern_atom(name),
            x=x,
            y=y,
            width=width,
            height=height,
        )
        self._display.sync()

    def unplug(self, name: str) -> None:
        """Take such a screen away."""
        self.root.xrandr_delete_monitor(self._display.intern_atom(name))
        self._display.sync()

    def point(self, x: int, y: int) -> None:
        """Move the pointer."""
        xtest.fake_input(self._display, X.MotionNotify, x=x, y=y)
        self._display.sync()

    def press(self, button: int = 1) -> None:
        """Press a button of the mouse."""
        xtest.fake_input(self._display, X.ButtonPress, button)
        self._display.sync()

    def release(self, button: int = 1) -> None:
        """Let it go."""
        xtest.fake_input(self._display, X.ButtonRelease, button)
        self._display.sync()

    def click(self, x: int, y: int, button: int = 1) -> None:
        """Click somewhere."""
        self.point(x, y)
        self.press(button)
        self.release(button)

    def double_click(self, x: int, y: int) -> None:
        """Click twice; within the same millisecond, to Qt it would not be that."""
        self.click(x, y)
        time.sleep(0.02)
        self.press()
        self.release()


def wait(until: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for another program."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "in vain"
        time.sleep(0.01)
