"""Shows in the overlay what comes on standard input: a result in each line.

With the argument ``loopback`` it listens to what the computer plays instead.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import msgspec
from played import WAVE, make_cast, set_font
from PySide6.QtWidgets import QApplication

from kikiwake import Recognizer
from kikiwake.engine.result import Result
from kikiwake.overlay.app import show


class Told:
    """As much of a recognizer as the window knows."""

    cast = make_cast()
    waveform = WAVE
    config = None

    def __iter__(self) -> Iterator[Result]:
        for line in open(0, "rb", buffering=0):  # noqa: SIM115, without a lock
            yield msgspec.json.decode(line, type=Result)


def main() -> None:
    application = QApplication(["kikiwake"])
    set_font()
    assert application.platformName() == "xcb"
    if sys.argv[1:] == ["loopback"]:
        with Recognizer(source="loopback") as recognizer:
            show(recognizer, lambda result: print(result.character, flush=True))
    else:
        show(Told(), lambda result: print(result.time, flush=True))


if __name__ == "__main__":
    main()
