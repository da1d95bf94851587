"""The simplest detector: whatever is loud enough. For recordings with true silence in them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class LevelVad:
    """Takes every frame above a level for speech.

    Parameters
    ----------
    threshold_db : float
        Level in dB of full scale, of a frame's mean square.

    Notes
    -----
    A `VoiceActivityDetector` of frames of 10 ms at 16 kHz. What it passes need not be speech.
    """

    sample_rate = 16000
    frame_samples = 160
    latency = 0

    def __init__(self, threshold_db: float) -> None:
        self.threshold_db = threshold_db
        self._power = 10.0 ** (threshold_db / 10)

    def reset(self) -> None:
        """Forget the stream: there is nothing to forget."""

    def process(self, frame: NDArray[np.float32]) -> float:
        """Take the next frame of the stream.

        Parameters
        ----------
        frame : ndarray of float32, shape (160,)
            Mono samples.

        Returns
        -------
        float
            1 where it is loud enough, else 0.

        Raises
        ------
        ValueError
            `frame` has another shape.
        """
        if frame.shape != (self.frame_samples,):
            raise ValueError(f"frame has shape {frame.shape}, must be ({self.frame_samples},)")
        return 1.0 if float(np.dot(frame, frame)) > self._power * frame.size else 0.0
