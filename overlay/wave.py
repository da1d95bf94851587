"""The waveform of the last second."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QImage, QPainter

from ..engine.waveform import KEPT_S, Waveform
from .look import Look

_FRAME_S = 0.01  # while there is no sound to go by
_LOUDNESS = 0.6  # power: quiet sound is seen, too
_DOT = 0.04  # what silence is drawn as, of the half height
_THICK = 0.55  # of a bar with the gap beside it


class Wave:
    """Upright bars, one for each frame, in a picture that is pushed along: only what is new is drawn.

    Parameters
    ----------
    width, height : float
        In units.

    Attributes
    ----------
    still : bool
        Nothing but silence is seen.

    Notes
    -----
    Bars and steps are of whole pixels, so that bars keep their shape as they move; which is why it
    is 0.84 to 1.16 s that are seen, with frames of 10 ms. Of frames much shorter than a pixel it
    is far less: a pixel is the least that one is pushed along by.
    """  # noqa: E501

    def __init__(self, width: float, height: float) -> None:
        self.still = True
        self._size = width, height
        self._drawn_as: tuple[object, ...] = ()
        self._count = self._silent_at = 0
        self._pixels = np.zeros((1, 1), np.uint32)
        self._image = QImage()

    def follow(self, waveform: Waveform | None, look: Look, ink: QColor) -> bool:
        """Draw what has come.

        Parameters
        ----------
        waveform : Waveform or None
            The sound; None for silence.
        look : Look
            How large a unit is.
        ink : QColor
            Colour of all bars.

        Returns
        -------
        bool
            Whether it looks different.
        """
        frame_s = _FRAME_S if waveform is None else waveform.frame_s
        wide, high = (round(edge * look.ratio) for edge in self._size)
        pitch = min(max(1, round(wide * frame_s)), wide)
        bars = max(1, min(wide // pitch, int(KEPT_S / frame_s)))
        if waveform is None:
            count, extremes = self._count, np.zeros((bars, 2), np.float32)
        else:
            count, extremes = waveform.newest(bars)
        came = count - self._count
        drawn_as = (waveform, wide, look.dpr, ink.rgba())
        if anew := drawn_as != self._drawn_as or not 0 <= came < bars:
            self._drawn_as = drawn_as
            self._begin(wide, high, look.dpr)
            self._silent_at, came = count, bars
        self._count = count
        if not came:
            return False
        # They are few, mostly: quicker so than with NumPy.
        heights = [[abs(y) ** _LOUDNESS for y in frame] for frame in extremes[-came:].tolist()]
        for number, (low, top) in enumerate(reversed(heights)):
            if max(low, top) > _DOT:
                self._silent_at = self._count - number + bars
                break
        was_still, self.still = self.still, self._count >= self._silent_at
        if anew or not (was_still and self.still):
            self._draw(heights, pitch, ink)
            return True
        return False

    def paint(self, painter: QPainter, look: Look, corner: QPointF) -> None:
        """Put it where it belongs."""
        if not self._image.isNull():
            look.put(painter, corner, self._image)

    def _begin(self, wide: int, high: int, dpr: float) -> None:
        """Make another picture; it is drawn on by NumPy, which is quick with a few rectangles."""
        self._pixels = np.zeros((high, wide), np.uint32)
        kind = QImage.Format.Format_ARGB32_Premultiplied
        self._image = QImage(self._pixels.data, wide, high, 4 * wide, kind)
        self._image.setDevicePixelRatio(dpr)

    def _draw(self, heights: list[list[float]], pitch: int, ink: QColor) -> None:
        """Push it along, and draw bars at the right end."""
        pixels, came = self._pixels, len(heights) * pitch
        high, wide = pixels.shape
        if came < wide:
            pixels[:, :-came] = pixels[:, came:]
        pixels[:, wide - came :] = 0
        colour = _premultiplied(ink)
        middle, thick = high / 2, max(1, round(_THICK * pitch))
        x = wide - came
        for low, top in heights:
            first = round(middle * (1 - min(max(top, _DOT), 1.0)))
            last = round(middle * (1 + min(max(low, _DOT), 1.0)))
            pixels[first:last, x : x + thick] = colour
            x += pitch


def _premultiplied(ink: QColor) -> int:
    alpha = ink.alpha()
    red, green, blue = (part * alpha // 255 for part in (ink.red(), ink.green(), ink.blue()))
    return alpha << 24 | red << 16 | green << 8 | blue
