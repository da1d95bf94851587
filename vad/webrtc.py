"""Voice activity detectors: the protocol, and WebRTC's behind it."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import webrtcvad
from numpy.typing import NDArray


class VoiceActivityDetector(Protocol):
    """Tells, frame by frame, whether somebody speaks.

    The decision on a frame may depend on the frames before it, never on later ones.
    """

    @property
    def sample_rate(self) -> int:
        """Sampling rate that it takes, in Hz."""
        ...

    @property
    def frame_samples(self) -> int:
        """Length of a frame in samples."""
        ...

    def is_speech(self, frame: NDArray[np.float32]) -> bool:
        """Decide on the next frame of the stream.

        Parameters
        ----------
        frame : ndarray of float32, shape (frame_samples,)
            Mono samples in [-1, 1]. Neither written to nor kept.
        """
        ...

    def reset(self) -> None:
        """Forget the stream: as just built."""
        ...


class WebRtcVad:
    """WebRTC's detector: a Gaussian mixture over six bands, quick and small.

    Parameters
    ----------
    aggressiveness : int in [0, 3]
        How readily a frame is taken for no speech: 3 the most.

    Raises
    ------
    ValueError
        `aggressiveness` out of range.

    Notes
    -----
    A `VoiceActivityDetector` of frames of 20 ms at 16 kHz. It follows changes of level and lets
    music pass.
    """

    sample_rate = 16000
    frame_samples = 320

    def __init__(self, aggressiveness: int = 2) -> None:
        if aggressiveness not in (0, 1, 2, 3):
            raise ValueError(f"aggressiveness={aggressiveness!r} must be 0, 1, 2 or 3")
        self.aggressiveness = aggressiveness
        self._scaled = np.zeros(self.frame_samples, np.float32)
        self._pcm = np.zeros(self.frame_samples, np.int16)
        self.reset()

    def reset(self) -> None:
        """Forget the stream: as just built."""
        # The library has no reset; a new detector is cheap.
        self._vad = webrtcvad.Vad(self.aggressiveness)

    def is_speech(self, frame: NDArray[np.float32]) -> bool:
        """Decide on the next frame of the stream.

        Parameters
        ----------
        frame : ndarray of float32, shape (320,)
            Mono samples in [-1, 1]; what lies beyond is clipped.

        Returns
        -------
        bool
            Whether somebody speaks.

        Raises
        ------
        ValueError
            `frame` has another shape.
        """
        if frame.shape != (self.frame_samples,):
            raise ValueError(f"frame has shape {frame.shape}, must be ({self.frame_samples},)")
        np.multiply(frame, 32768, out=self._scaled)
        # 32767 is exact in float32, so nothing wraps around.
        np.clip(self._scaled, -32768, 32767, out=self._scaled)
        np.rint(self._scaled, out=self._scaled)
        self._pcm[:] = self._scaled
        return bool(self._vad.is_speech(self._pcm.tobytes(), self.sample_rate))
