"""Record docs/overlay.webp and docs/overlay_modes.webp: the window over a scene, hearing the demo.

python docs/pictures.py

The demo sound goes through the recognizer at real speed, and the window is photographed as it is
drawn; what it lies over, and the portraits, are drawn here. Needs the extra ``overlay``, Pillow,
which comes with the extra ``test``, and the font DejaVu Sans (Debian: fonts-dejavu-core).
"""

import colorsys
import itertools
import json
import os
import random
import tempfile
import time
from pathlib import Path

import msgspec
from PIL import Image

SIZE = (640, 360)
SHOTS_PER_S = 12
# From, to, how; in seconds of the demo.
SCHEDULE = ((3.4, 9.0, "compact"), (11.0, 18.0, "full"), (20.5, 25.0, "timeline"))
STILLS = {"compact": 8.5, "full": 15.2, "timeline": 24.9}
DRAWN = 7  # of the cast; the others have no portrait

# Before Qt is there: a screen of that size, in memory, with twice the pixels.
_screen = {"screens": [{"name": "demo", "x": 0, "y": 0, "width": 1280, "height": 720}]}
_folder = tempfile.TemporaryDirectory()
_config = Path(_folder.name) / "screens.json"
_config.write_text(json.dumps(_screen), encoding="utf-8")
os.environ["QT_QPA_PLATFORM"] = f"offscreen:configfile={_config}"
os.environ["QT_SCALE_FACTOR"] = "2"
os.environ["KIKIWAKE_CONFIG"] = str(Path(_folder.name) / "config.toml")

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QPointF, QRectF, Qt, QTimer  # noqa: E402
from PySide6.QtGui import (  # noqa: E402
    QColor,
    QFont,
    QImage,
    QLinearGradient,
    QPainter,
    QPainterPath,
)
from PySide6.QtWidgets import QApplication  # noqa: E402

from kikiwake import Recognizer, load_cast  # noqa: E402
from kikiwake.engine.capture import FileSource  # noqa: E402
from kikiwake.engine.config import Settings  # noqa: E402
from kikiwake.models.starter import DEMO  # noqa: E402
from kikiwake.overlay.ink import DARK, LIGHT  # noqa: E402
from kikiwake.overlay.place import Memory  # noqa: E402
from kikiwake.overlay.window import OverlayWindow  # noqa: E402
from kikiwake.overlay.words import ENGLISH  # noqa: E402


def draw_scene() -> QImage:
    """Draw an evening over hills, as a show might have it."""
    image = QImage(2 * SIZE[0], 2 * SIZE[1], QImage.Format.Format_RGB32)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.scale(2, 2)
    width, height = SIZE
    sky = QLinearGradient(0, 0, 0, height)
    for at, colour in ((0, "#33518f"), (0.45, "#c98aa6"), (0.7, "#f7c59a"), (1, "#f7e2b6")):
        sky.setColorAt(at, QColor(colour))
    painter.fillRect(QRectF(0, 0, width, height), sky)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor("#ffe9c4"))
    painter.drawEllipse(QPointF(450, 205), 38, 38)
    dice = random.Random(3)
    painter.setBrush(QColor(255, 255, 255, 46))
    for _ in range(26):
        x, y = dice.uniform(-40, width), dice.uniform(20, 150)
        painter.drawRoundedRect(QRectF(x, y, dice.uniform(60, 190), dice.uniform(5, 16)), 8, 8)
    for base, rise, colour in ((235, 46, "#7f7aa5"), (262, 36, "#55618c"), (292, 26, "#34466a")):
        hill = QPainterPath(QPointF(0, height))
        hill.lineTo(0, base)
        x = 0.0
        while x < width:
            wide = dice.uniform(90, 170)
            top = base - dice.uniform(0.2, 1) * rise
            hill.quadTo(x + wide / 2, top - rise / 2, x + wide, base - dice.uniform(0, 0.5) * rise)
            x += wide
        hill.lineTo(x, height)
        painter.setBrush(QColor(colour))
        painter.drawPath(hill)
    painter.setBrush(QColor("#1e2a44"))
    for number in range(46):
        x = number * 15 + dice.uniform(-6, 6)
        high = dice.uniform(18, 60) * (1 if number % 7 else 1.5)
        tree = QPainterPath(QPointF(x, height - 20 - high))
        tree.lineTo(x + 9, height)
        tree.lineTo(x - 9, height)
        painter.drawPath(tree)
    painter.fillRect(QRectF(0, height - 18, width, 18), QColor("#1e2a44"))
    painter.end()
    return image


def draw_portrait(number: int) -> bytes:
    """Draw somebody; gives a PNG file."""
    dice = random.Random(number + 11)

    def hue(shift: float, lightness: float, strength: float) -> QColor:
        red, green, blue = colorsys.hls_to_rgb((number * 0.31 + shift) % 1, lightness, strength)
        return QColor.fromRgbF(red, green, blue)

    image = QImage(320, 320, QImage.Format.Format_RGB32)
    painter = QPainter(image)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    ground = QLinearGradient(0, 0, 320, 320)
    ground.setColorAt(0, hue(0.0, 0.82, 0.5))
    ground.setColorAt(1, hue(0.1, 0.58, 0.4))
    painter.fillRect(image.rect(), ground)
    hair, dark = hue(0.5, 0.32, 0.42), hue(0.5, 0.22, 0.42)
    long = number % 2
    painter.setBrush(dark)
    painter.drawRoundedRect(QRectF(62, 52, 196, 250 if long else 170), 96, 96)
    painter.setBrush(hue(0.25, 0.45, 0.45))
    painter.drawRoundedRect(QRectF(52, 248, 216, 130), 60, 60)
    painter.setBrush(QColor("#f2c9ac"))
    painter.drawRoundedRect(QRectF(138, 220, 44, 54), 16, 16)
    painter.setBrush(QColor("#ffe0c8"))
    face = QPainterPath(QPointF(86, 130))
    face.cubicTo(84, 210, 130, 250, 160, 250)
    face.cubicTo(190, 250, 236, 210, 234, 130)
    face.closeSubpath()
    painter.drawPath(face)
    painter.drawEllipse(QRectF(86, 70, 148, 130))
    for side in (-1, 1):
        middle = 160 + side * 38
        painter.setBrush(QColor("white"))
        painter.drawEllipse(QRectF(middle - 17, 140, 34, 42))
        painter.setBrush(hue(0.75, 0.36, 0.6))
        painter.drawEllipse(QRectF(middle - 12, 144, 24, 36))
        painter.setBrush(QColor("#1d1b26"))
        painter.drawEllipse(QRectF(middle - 6, 152, 12, 20))
        painter.setBrush(QColor("white"))
        painter.drawEllipse(QRectF(middle - 8, 148, 9, 10))
        painter.setBrush(dark)
        painter.drawRoundedRect(QRectF(middle - 20, 122 - dice.uniform(0, 6), 40, 6), 3, 3)
    painter.setBrush(QColor("#c8606c"))
    painter.drawChord(QRectF(144, 196, 32, 26), 180 * 16, 180 * 16)
    painter.setBrush(hair)
    fringe = QPainterPath(QPointF(76, 150))
    fringe.cubicTo(70, 30, 250, 30, 244, 150)
    x = 244
    while x > 90:
        step = dice.randint(26, 44)
        fringe.lineTo(x - step / 2, dice.uniform(96, 112))
        x -= step
        fringe.lineTo(x, dice.uniform(120, 142))
    fringe.closeSubpath()
    painter.drawPath(fringe)
    painter.end()
    data = QByteArray()
    buffer = QBuffer(data)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(data.data())


def to_pillow(image: QImage) -> Image.Image:
    image = image.convertToFormat(QImage.Format.Format_RGB888)
    stride = image.bytesPerLine()
    size = (image.width(), image.height())
    return Image.frombytes("RGB", size, bytes(image.constBits()), "raw", "RGB", stride)


def main() -> None:
    application = QApplication(["kikiwake"])
    font = QFont("DejaVu Sans")
    font.setPixelSize(13)
    application.setFont(font)
    scene = draw_scene()
    starter = load_cast()
    people = list(starter.card.characters)
    portraits = {}
    for number in range(DRAWN):
        name = f"portraits/{number}.png"
        portraits[name] = draw_portrait(number)
        people[number] = msgspec.structs.replace(people[number], portrait=name)
    card = msgspec.structs.replace(starter.card, characters=tuple(people))
    cast = msgspec.structs.replace(starter, card=card, portraits=portraits)

    recognizer = Recognizer(cast, FileSource(DEMO, realtime=True), Settings())
    windows = {
        mode: OverlayWindow(
            cast,
            Memory(mode=mode),  # type: ignore[arg-type]
            sound=lambda: recognizer.waveform,
            said=ENGLISH,
            theme=LIGHT if mode == "full" else DARK,
        )
        for mode in STILLS
    }

    def shot(mode: str) -> Image.Image:
        image = scene.copy()
        window = windows[mode]
        if window.isVisible():
            painter = QPainter(image)
            grabbed = window.grab().toImage()
            grabbed.setDevicePixelRatio(1.0)
            painter.drawImage(2 * window.pos(), grabbed)
            painter.end()
        return to_pillow(image)

    frames: list[tuple[float, Image.Image]] = []
    stills: dict[str, Image.Image] = {}
    with recognizer:
        results = iter(recognizer)
        for window in windows.values():
            window.start(greeting=False)
        timer = QTimer(interval=1000 // SHOTS_PER_S)
        heard_s = 0.0

        def look() -> None:
            for begin, end, mode in SCHEDULE:
                if begin <= heard_s < end:
                    frames.append((time.monotonic(), shot(mode)))
            for mode, moment_s in STILLS.items():
                if heard_s >= moment_s and mode not in stills:
                    stills[mode] = shot(mode)
            if heard_s > SCHEDULE[-1][1]:
                application.quit()

        def take() -> None:
            nonlocal heard_s
            while (newest := recognizer.latest) is None or newest.time > heard_s:
                result = next(results)
                heard_s = result.time
                for window in windows.values():
                    window.feed.take(result)

        timer.timeout.connect(look)
        feeder = QTimer(interval=10)
        feeder.timeout.connect(take)
        timer.start()
        feeder.start()
        application.exec()
    for window in windows.values():
        window.end()

    folder = Path(__file__).parent
    moments = [moment for moment, _ in frames]
    lasts = [min(round(1e3 * (b - a)), 200) for a, b in itertools.pairwise(moments)]
    pictures = [frame for _, frame in frames]
    animation = folder / "overlay.webp"
    pictures[0].save(
        animation,
        save_all=True,
        append_images=pictures[1:],
        duration=[*lasts, 800],
        loop=0,
        quality=60,
        method=4,
    )
    tops = {"compact": 510, "full": 190, "timeline": 330}
    crops = [stills[mode].crop((0, top, 1060, 720)) for mode, top in tops.items()]
    modes = Image.new("RGB", (1060, sum(crop.height for crop in crops)))
    top = 0
    for crop in crops:
        modes.paste(crop, (0, top))
        top += crop.height
    modes.save(folder / "overlay_modes.webp", quality=80, method=6)
    for path in (animation, folder / "overlay_modes.webp"):
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB, {len(frames)} pictures taken")


if __name__ == "__main__":
    main()
