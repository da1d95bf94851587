"""Shows the overlay, feeds it, and prints what that cost: see ``test_overlay.py``."""

import itertools
import json
import math
import os
import statistics
import sys
import threading
import time
from pathlib import Path

import numpy as np
from PySide6.QtCore import QEventLoop, QTimer
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QApplication

from kikiwake import load_cast
from kikiwake.engine.result import Candidate, Result
from kikiwake.engine.waveform import Waveform
from kikiwake.overlay.app import qt_environment
from kikiwake.overlay.place import Memory
from kikiwake.overlay.window import OverlayWindow

HOP_S = 0.025
RATE = 16_000
FRAME = 200
PIXELS = 13  # of the font; a unit is a pixel then


class Counted(OverlayWindow):
    """Counts how often it is woken, by whomever."""

    wakes = 0

    def _frame(self):
        self.wakes += 1
        super()._frame()


def speaks(cast, who, time_s, confidence):
    people = cast.card.characters
    order = [people[who % len(people)], *(p for p in people if p is not people[who % len(people)])]
    top = tuple(
        Candidate(p.name, p.actor, confidence if i == 0 else (1 - confidence) / 2**i)
        for i, p in enumerate(order[:8])
    )
    level = -25 + 10 * math.sin(9 * time_s)
    return Result(time_s, True, order[0].name, order[0].actor, confidence, top, level)


def results(cast, state):
    """As the recognizer gives them: somebody speaks for two seconds, then another; or nobody."""
    for hop in itertools.count():
        time_s = hop * HOP_S
        if state == "nobody":
            yield Result(time_s, False, None, None, 0.0, (), -70.0)
        elif state == "music":
            yield Result(time_s, False, None, None, 0.0, (), -20.0)
        else:
            sure = 0.75 + 0.2 * math.sin(2.1 * time_s)
            yield speaks(cast, int(time_s / 2), time_s, sure)


def sounds(state):
    """Sound to match, for a second, hop by hop."""
    y = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    y *= 0.1 * np.abs(np.sin(np.arange(RATE) * 9 / RATE)) if state != "nobody" else 1e-4
    return itertools.cycle(y.reshape(-1, round(HOP_S * RATE / FRAME), FRAME))


def spin(seconds):
    loop = QEventLoop()
    QTimer.singleShot(round(1e3 * seconds), loop.quit)
    loop.exec()


def used_s(but):
    """CPU time of all threads of this process but one, where the system tells it for each."""
    try:
        tasks = [task for task in Path("/proc/self/task").iterdir() if task.name != str(but)]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except OSError:
        return time.thread_time()  # of the window's thread alone


def cost(window, cast, waveform, state, seconds):
    stop = threading.Event()
    taking_s = 0.0

    def feed():
        nonlocal taking_s
        began = time.monotonic()
        for number, (result, sound) in enumerate(
            zip(results(cast, state), sounds(state), strict=False)
        ):
            stop.wait(max(0.0, began + number * HOP_S - time.monotonic()))
            if stop.is_set():
                return
            waveform.push(sound)
            before = time.thread_time()
            window.feed.take(result)
            taking_s += time.thread_time() - before

    window.paused = state == "hidden"
    thread = threading.Thread(target=feed)
    thread.start()
    spin(2)
    window.wakes, taking_s = 0, 0.0
    # Making results is the work of another; handing them over is not.
    used, began = used_s(thread.native_id), time.monotonic()
    spin(seconds)
    passed = time.monotonic() - began
    used = used_s(thread.native_id) - used + taking_s
    stop.set()
    thread.join()
    return {"percent": 100 * used / passed, "wakes_per_s": window.wakes / passed}


def delay(window, cast, seconds):
    first, other = [], []
    painted = 0.0
    paint = window.paintEvent

    def timed(event):
        paint(event)
        QTimer.singleShot(0, note)

    def note():
        nonlocal painted
        painted = painted or time.perf_counter()

    window.paintEvent = timed
    who, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        for kind in (first, other):
            who += 1
            # Somewhere between two frames.
            spin(0.8 + 0.0137 * (who % 7))
            painted, began = 0.0, time.perf_counter()
            threading.Thread(target=window.feed.take, args=(speaks(cast, who, 1.0, 0.9),)).start()
            while not painted:
                QApplication.processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)
            kind.append(1e3 * (painted - began))
        window.feed.take(Result(1.0, False, None, None, 0.0, (), -70.0))
        spin(1.2)
        assert not window.isVisible()
    return {
        name: [statistics.median(found), max(found)]
        for name, found in (("first_ms", first), ("other_ms", other))
    }


def main():
    what, mode, state, seconds = *sys.argv[1:4], float(sys.argv[4])
    os.environ.update(qt_environment())
    application = QApplication(["kikiwake"])
    font = application.font()
    font.setPixelSize(PIXELS)
    application.setFont(QFont(font))
    cast = load_cast()
    waveform = Waveform(frame_length=FRAME, sample_rate=RATE)
    window = Counted(cast, Memory(mode=mode), sound=lambda: waveform)
    window.start(greeting=False)
    if what == "cost":
        found = cost(window, cast, waveform, state, seconds)
    else:
        found = delay(window, cast, seconds)
    print(json.dumps(found))
    window.end()
    application.quit()


if __name__ == "__main__":
    main()
