"""The newest sound, coarsely, for those who draw it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

KEPT_S = 1.5
_SPARE_S = 1.0


class Waveform:
    """The lowest and the highest sample of each frame of the last second and a half.

    Parameters
    ----------
    frame_length : int > 0
        Samples to a frame.
    sample_rate : int > 0
        In Hz.

    Attributes
    ----------
    frame_s : float
        Length of a frame, in seconds.
    count : int
        Frames so far. The frames are those of the stream, wherever one looks from: a picture of
        them moves along, and what has been drawn of it stays as it is.

    Notes
    -----
    One thread calls `push` and `reset`, which take some microseconds and wait for nobody; any
    thread calls `newest`, at any time. There is no lock: what is lent is not written over for a
    second. Who is held up for longer in the middle of `newest` sees newer sound in an older place.

    Examples
    --------
    >>> waveform = Waveform(frame_length=2, sample_rate=200)
    >>> waveform.push(np.array([[0.5, -0.25], [0.0, 0.125]], np.float32))
    >>> waveform.newest(3)
    (2, array([[ 0.   ,  0.   ],
           [-0.25 ,  0.5  ],
           [ 0.   ,  0.125]], dtype=float32))
    """

    def __init__(self, *, frame_length: int, sample_rate: int) -> None:
        self.frame_s = frame_length / sample_rate
        self.count = 0
        self._kept = math.ceil(KEPT_S / self.frame_s)
        size = self._kept + math.ceil(_SPARE_S / self.frame_s)
        self._extremes = np.zeros((size, 2), np.float32)

    def push(self, frames: NDArray[np.float32]) -> None:
        """Take the next frames.

        Parameters
        ----------
        frames : ndarray of float32, shape (n, frame_length)
            Not kept.
        """
        # Of a hop that is longer than what is kept, the end; else all of it, in one or two parts.
        size = len(self._extremes)
        first = max(0, len(frames) - size)
        while first < len(frames):
            at = (self.count + first) % size
            last = min(len(frames), first + size - at)
            part = frames[first:last]
            part.min(axis=1, out=self._extremes[at : at + last - first, 0])
            part.max(axis=1, out=self._extremes[at : at + last - first, 1])
            first = last
        self.count += len(frames)

    def newest(self, n: int) -> tuple[int, NDArray[np.float32]]:
        """Look at the newest frames; silence stands for those that there are none of yet.

        Parameters
        ----------
        n : int > 0
            How many; at most `KEPT_S` of them.

        Returns
        -------
        count : int
            Frames up to the newest of these.
        extremes : ndarray of float32, shape (n, 2)
            Lowest and highest sample of each, the newest last; a copy.

        Raises
        ------
        ValueError
            If so many are not kept.
        """
        if not 0 < n <= self._kept:
            raise ValueError(f"n={n} must be 1 to {self._kept}")
        count = self.count
        return count, self._extremes[np.arange(count - n, count) % len(self._extremes)]

    def reset(self) -> None:
        """Start a new stream, as just built."""
        self._extremes.fill(0)
        self.count = 0
