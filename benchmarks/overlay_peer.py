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
TURN_S = 4.0  # those of the demo are of 4.8 s in the mean
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
    """As the recognizer gives them: one speaks, never equally sure, then another; or nobody."""
    for hop in itertools.count():
        time_s = hop * HOP_S
        if state == "nobody":
            yield Result(time_s, False, None, None, 0.0, (), -70.0)
        elif state == "music":
            yield Result(time_s, False, None, None, 0.0, (), -20.0)
        else:
            sure = 0.75 + 0.2 * math.sin(2.1 * time_s)
            yield speaks(cast, int(time_s / TURN_S), time_s, sure)


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
    """Let results go on coming, one each hop; at times they name somebody else, or nobody."""
    stop, lock = threading.Event(), threading.Lock()
    who, began = None, {}  # when the first result that names somebody was handed over
    painted = {}
    paint = window.paintEvent

    def feed():
        for hop in itertools.count():
            with lock:
                if who is None:
                    result = Result(hop * HOP_S, False, None, None, 0.0, (), -70.0)
                else:
                    result = speaks(cast, who, hop * HOP_S, 0.8 + 0.1 * math.sin(hop / 5))
                    began.setdefault(who, time.perf_counter())
                window.feed.take(result)
            if stop.wait(HOP_S):
                return

    def timed(event):
        paint(event)
        # When the event loop goes on, the drawing has been sent to the X server.
        name = window.accessibleName().partition(" · ")[0]
        QTimer.singleShot(0, lambda: painted.setdefault(name, time.perf_counter()))

    window.paintEvent = timed
    thread = threading.Thread(target=feed)
    thread.start()
    found = {"first": [], "other": []}
    ends = time.monotonic() + seconds
    for number in itertools.count():
        if time.monotonic() > ends:
            break
        for kind in ("first", "other"):
            with lock:
                began.clear()
                painted.clear()
                who = (2 * number + (kind == "other")) % len(cast.card.characters)
            # Until somewhere between two frames.
            spin(0.8 + 0.0137 * (number % 7))
            name = cast.card.characters[who].name
            found[kind].append(1e3 * (painted[name] - began[who]))
        with lock:
            who = None
        spin(1.2)
    stop.set()
    thread.join()
    return {
        f"{kind}_ms": [statistics.median(delays), max(delays)] for kind, delays in found.items()
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
