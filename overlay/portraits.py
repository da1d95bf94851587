"""Portraits, decoded."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping

from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QObject, QRect, QSize, Qt, Signal
from PySide6.QtGui import QImage, QImageReader

DECODED = 384
"""Pixels that a portrait is kept in: the largest that is shown, twice."""
_MAX_PIXELS = 100_000_000
_FACES = 0.22  # of a picture that is higher than wide, the face is in the upper part


class Portraits(QObject):
    """Decodes portraits in a thread of its own; until one is there, and where it cannot be read, there is none."""  # noqa: E501

    ready = Signal()

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__()
        self._images: dict[str, QImage] = {}
        self._thread = threading.Thread(
            target=self._decode, args=(dict(files),), name="kikiwake-portraits", daemon=True
        )

    def start(self) -> None:
        """Begin; `ready` says when all have been read, if there are any."""
        self._thread.start()

    def wait(self) -> None:
        """Wait until all have been read."""
        self._thread.join()

    def get(self, name: str) -> QImage | None:
        """Give a picture, square."""
        return self._images.get(name)

    def _decode(self, files: dict[str, bytes]) -> None:
        found = False
        for name, data in files.items():
            image = decode_portrait(data)
            if image is not None:
                self._images[name] = image
                found = True
        if found:
            with contextlib.suppress(RuntimeError):  # the window has gone in the meantime
                self.ready.emit()


def decode_portrait(data: bytes, size: int = DECODED) -> QImage | None:
    """Read a picture of any format that Qt reads.

    Parameters
    ----------
    data : bytes
        Of the file.
    size : int > 0
        Of the square that is cut out, in pixels.

    Returns
    -------
    QImage or None
        None where it is no picture.
    """
    buffer = QBuffer()
    buffer.setData(QByteArray(data))
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer)
    reader.setAutoTransform(True)
    reader.setDecideFormatFromContent(True)
    whole = reader.size()
    if whole.isValid():
        if whole.width() * whole.height() > _MAX_PIXELS:
            return None
        covering = whole.scaled(size, size, Qt.AspectRatioMode.KeepAspectRatioByExpanding)
        # Twice as large, to be scaled down smoothly; a photo of 20 megapixels is not decoded whole.
        if 2 * covering.width() < whole.width():
            reader.setScaledSize(covering * 2)
    image = reader.read()
    if image.isNull():
        return None
    side = min(image.width(), image.height())
    top = round((image.height() - side) * _FACES)
    image = image.copy(QRect((image.width() - side) // 2, top, side, side))
    return image.scaled(
        QSize(size, size),
        Qt.AspectRatioMode.IgnoreAspectRatio,
        Qt.TransformationMode.SmoothTransformation,
    ).convertToFormat(QImage.Format.Format_ARGB32_Premultiplied)
