"""A cast to be shown, results about it, and a window whose time passes when it is told to."""

from __future__ import annotations

import msgspec
import numpy as np
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QImage, QLinearGradient, QPainter
from PySide6.QtWidgets import QApplication

from kikiwake import load_cast
from kikiwake.engine.result import Candidate, Result
from kikiwake.engine.waveform import Waveform
from kikiwake.models.cast import Cast, Character
from kikiwake.overlay.ink import DARK
from kikiwake.overlay.place import Memory
from kikiwake.overlay.window import OverlayWindow
from kikiwake.overlay.words import ENGLISH

GROUND = "#6f9a8c"
PICTURE = "portraits/raiga.ppm"
BROKEN = "portraits/broken.png"
# Of the cast, by number: what is special about them.
PORTRAYED, MISDRAWN, JAPANESE, HEBREW, LONG = 1, 2, 10, 11, 12


def set_font() -> None:
    """Have the same letters everywhere."""
    font = QFont("DejaVu Sans")
    font.setPixelSize(13)
    QApplication.setFont(font)


def draw_face(kind: str = "PPM", width: int = 300, height: int = 420) -> bytes:
    """Draw a portrait, and give the file of it."""
    image = QImage(width, height, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    ground = QLinearGradient(0, 0, width, height)
    ground.setColorAt(0, QColor("#f6d7a8"))
    ground.setColorAt(1, QColor("#a05a7a"))
    painter.fillRect(image.rect(), ground)
    painter.scale(width / 300, height / 420)
    painter.setPen(Qt.PenStyle.NoPen)
    for colour, x, y, wide, high in (
        ("#5a3424", 60, 30, 180, 200),
        ("#ffe3cf", 85, 80, 130, 150),
        ("#2b2b33", 112, 140, 16, 22),
        ("#2b2b33", 172, 140, 16, 22),
        ("#c05060", 138, 190, 26, 12),
        ("#375a8c", 60, 230, 180, 220),
    ):
        painter.setBrush(QColor(colour))
        painter.drawEllipse(QRectF(QPointF(x, y), QPointF(x + wide, y + high)))
    painter.end()
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    assert image.save(buffer, kind)
    return bytes(data.data())


def make_cast() -> Cast:
    """Give the starter cast, with more names and two portraits."""
    starter = load_cast()
    known = list(starter.card.characters)
    known[1] = msgspec.structs.replace(known[1], portrait=PICTURE)
    known[2] = msgspec.structs.replace(known[2], portrait=BROKEN)
    others = (
        Character("綾波 レイ", "林原 めぐみ"),
        Character("אריאל בת הים", "דנה כהן"),
        Character("Wolfeschlegelsteinhausenbergerdorff " * 8, "Hubert Blaine " * 30),
    )
    card = msgspec.structs.replace(starter.card, characters=(*known, *others))
    portraits = {PICTURE: draw_face(), BROKEN: draw_face("PNG")[:200]}
    return msgspec.structs.replace(starter, card=card, portraits=portraits)


def speaks(cast: Cast, who: int, confidence: float = 0.9, **more: object) -> Result:
    """Give a result that names a character of the cast."""
    people = cast.card.characters
    one = people[who]
    rest = [other for other in people if other is not one][:9]
    top = [Candidate(one.name, one.actor, confidence)]
    top += [Candidate(o.name, o.actor, (1 - confidence) / 2 ** (i + 1)) for i, o in enumerate(rest)]
    plain = Result(1.0, True, one.name, one.actor, confidence, tuple(top), -22.0)
    return msgspec.structs.replace(plain, **more)


def nobody(**more: object) -> Result:
    """Give a result that names nobody."""
    return msgspec.structs.replace(Result(1.0, False, None, None, 0.0, (), -90.0), **more)


_n = np.arange(24_000)
WAVE = Waveform(frame_length=160, sample_rate=16_000)
WAVE.push(np.float32(np.sin(_n / 3) * np.sin(_n / 2000) ** 2 / 2).reshape(-1, 160))


def scene(cast: Cast) -> list[Result]:
    """Give what was heard when the stored screens were taken; `WAVE` is the sound of it."""
    results = []
    for second in range(100):
        who, time_s = (0, 1, 4, 0, 6)[second // 20], float(second)
        results += [speaks(cast, who, time=time_s) if second % 20 < 15 else nobody(time=time_s)]
    other = cast.card.characters[4]
    second_voice = Candidate(other.name, other.actor, 0.3)
    last = speaks(cast, PORTRAYED, 0.8, time=100.0, second=second_voice, notice="a notice")
    return [*results, last]


def likeness(one: QImage, other: QImage) -> float:
    """Compare two pictures as one would from afar: 1 is the same."""
    if abs(one.width() - other.width()) > 6 or abs(one.height() - other.height()) > 6:
        return 0.0
    small = [
        pixels(image.scaled(other.size() / 4, mode=Qt.TransformationMode.SmoothTransformation))
        for image in (one, other)
    ]
    return 1 - float(np.abs(small[0] - small[1]).mean()) / 40


def pixels(image: QImage) -> np.ndarray:
    """Give height, width, RGB."""
    image = image.convertToFormat(QImage.Format.Format_RGB32)
    data = np.frombuffer(image.constBits(), np.uint8)
    return data.reshape(image.height(), image.width(), 4)[..., 2::-1].astype(np.int16)


class Played:
    """A window whose time passes when it is told to.

    Attributes
    ----------
    window : OverlayWindow
        The window.
    now : float
        Its time, in seconds.
    """

    def __init__(self, cast: Cast, memory: Memory | None = None, **options: object) -> None:
        self.now = 100.0
        settings = {"said": ENGLISH, "theme": DARK, "clock": lambda: self.now}
        self.window = OverlayWindow(cast, memory, **(settings | options))
        self.window._portraits.wait()
        self.window.start(greeting=False)

    def take(self, *results: Result) -> None:
        for result in results:
            self.window.feed.take(result)

    def run(self, seconds: float) -> int:
        """Let time pass, as the window itself would; returns how often it was looked at."""
        end, frames = self.now + seconds, 0
        while True:
            QApplication.processEvents()  # somebody may be waking it
            timer = self.window._timer
            if not timer.isActive():
                break
            next_at = self.now + timer.interval() / 1e3
            if next_at > end:
                break
            self.now = next_at
            timer.stop()
            self.window._frame()
            frames += 1
        self.now = end
        return frames

    def picture(self) -> QImage:
        """Draw it, as it would be seen over a picture that is neither dark nor light."""
        image = QImage(self.window.size(), QImage.Format.Format_RGB32)
        image.fill(QColor(GROUND))
        self.window.render(image)
        return image
