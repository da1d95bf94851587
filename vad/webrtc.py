"""WebRTC's voice activity detector behind our protocol."""

from __future__ import annotations

import numpy as np
import webrtcvad
from numpy.typing import NDArray

from ..jit import compiled

_kernel = compiled()


@_kernel
def _to_pcm(frame: NDArray[np.float32], pcm: NDArray[np.int16]) -> None:
    """Round to 16 bit; what is too loud is clipped."""
    for i in range(pcm.size):
        # 32767 is exact in float32, so nothing wraps around.
        scaled = min(max(frame[i] * np.float32(32768), np.float32(-32768)), np.float32(32767))
        pcm[i] = np.int16(np.rint(scaled))


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
    latency = 0

    def __init__(self, aggressiveness: int = 1) -> None:
        if aggressiveness not in (0, 1, 2, 3):
            raise ValueError(f"aggressiveness={aggressiveness!r} must be 0, 1, 2 or 3")
        self.aggressiveness = aggressiveness
        self._frame = np.zeros(self.frame_samples, np.float32)
        self._pcm = np.zeros(self.frame_samples, np.int16)
        self._bytes = self._pcm.data.cast("B")  # the library counts bytes
        self.reset()
        self.process(self._frame)  # compiles, on silence
        self.reset()

    def reset(self) -> None:
        """Forget the stream: as just built."""
        # The library has no reset; a new detector is cheap.
        self._vad = webrtcvad.Vad(self.aggressiveness)

    def process(self, frame: NDArray[np.float32]) -> float:
        """Take the next frame of the stream.

        Parameters
        ----------
        frame : ndarray of float32, shape (320,)
            Mono samples in [-1, 1]; what lies beyond is clipped.

        Returns
        -------
        float
            1 for speech, else 0.

        Raises
        ------
        ValueError
            `frame` has another shape.
        """
        if frame.shape != (self.frame_samples,):
            raise ValueError(f"frame has shape {frame.shape}, must be ({self.frame_samples},)")
        # By way of an array of one kind: for any other the kernel would be compiled again.
        self._frame[:] = frame
        _to_pcm(self._frame, self._pcm)
        return 1.0 if self._vad.is_speech(self._bytes, self.sample_rate) else 0.0
