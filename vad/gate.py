"""The speech gate: single decisions of a detector made into stretches of speech."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .webrtc import VoiceActivityDetector

LONGEST_WINDOW_S = 60
"""How far back `SpeechGate.speech_share` can look, in seconds."""


class SpeechGate:
    """Speech or not as a function of time, for a live stream in blocks of any length.

    The gate opens with the frame that completes an unbroken run of `onset_ms` of speech. It stays
    open for `hangover_ms` after the end of the last frame of speech, and every frame of speech
    until then extends it.

    Parameters
    ----------
    vad : VoiceActivityDetector
        Decides on single frames. Belongs to the gate from now on.
    onset_ms : float >= 0
        Speech before the gate opens, in ms, rounded up to whole frames; at least one frame.
    hangover_ms : float >= 0
        How long the gate stays open after speech, in ms, rounded up to whole frames.

    Attributes
    ----------
    vad : VoiceActivityDetector
        As given.

    Raises
    ------
    ValueError
        An argument out of range.

    Notes
    -----
    Allocates in ``__init__`` only, but for the detector's own needs. No lock, no I/O, one thread.
    What it says of a moment depends on the samples before it alone, not on how they were cut into
    blocks.

    Examples
    --------
    >>> from kikiwake.vad.webrtc import WebRtcVad
    >>> gate = SpeechGate(WebRtcVad(aggressiveness=2), onset_ms=60, hangover_ms=300)
    >>> gate.process(np.zeros(16000, np.float32))
    >>> gate.open, gate.speech_share(0.5)
    (False, 0.0)
    """

    def __init__(
        self,
        vad: VoiceActivityDetector,
        onset_ms: float,
        hangover_ms: float,
    ) -> None:
        # Asked for positively, so that NaN fails too.
        if not 0 <= onset_ms < math.inf:
            raise ValueError(f"onset_ms={onset_ms!r} must be 0 or more")
        if not 0 <= hangover_ms < math.inf:
            raise ValueError(f"hangover_ms={hangover_ms!r} must be 0 or more")
        self.vad = vad
        self._onset = max(1, self._frames(onset_ms))
        self._hangover = self._frames(hangover_ms)
        self._frame = np.zeros(vad.frame_samples, np.float32)
        # A ring, one slot for each number of frames heard: how many of them were speech. As a list
        # it neither boxes nor unboxes.
        self._totals = [0] * (1 + self._frames(LONGEST_WINDOW_S * 1000))
        self._clear()

    def _frames(self, ms: float) -> int:
        # The rounding keeps 60 ms of 20 ms frames from becoming 4 by an error in the last place.
        return math.ceil(round(ms * self.vad.sample_rate / 1000 / self.vad.frame_samples, 6))

    def _clear(self) -> None:
        self._filled = 0  # samples of a frame that is not whole yet
        self._frames_seen = 0
        self._open = False
        self._run = 0  # frames of speech up to now, unbroken
        self._quiet = 0  # frames without speech up to now
        self._total = 0  # frames of speech in all
        self._totals[0] = 0

    def reset(self) -> None:
        """Forget the stream: as just built. Resets the detector too."""
        self.vad.reset()
        self._clear()

    def process(self, block: NDArray[np.float32]) -> None:
        """Take the next samples of the stream.

        Parameters
        ----------
        block : ndarray of float32, shape (n,)
            Mono samples at the detector's rate, in [-1, 1]; any number, also none. Neither
            written to nor kept.

        Raises
        ------
        ValueError
            `block` is not one-dimensional or not float32.
        """
        if block.ndim != 1:
            raise ValueError(f"block has shape {block.shape}, must be one-dimensional (mono)")
        if block.dtype != np.float32:
            raise ValueError(f"block has dtype {block.dtype}, must be float32")
        size = self._frame.size
        at = 0
        while at < block.size:
            count = min(size - self._filled, block.size - at)
            self._frame[self._filled : self._filled + count] = block[at : at + count]
            at += count
            self._filled += count
            if self._filled == size:
                self._filled = 0
                self._decide(self.vad.is_speech(self._frame))

    def _decide(self, speech: bool) -> None:
        if speech:
            self._run += 1
            self._quiet = 0
        else:
            self._run = 0
            self._quiet += 1
        self._open = self._run >= self._onset or (self._open and self._quiet <= self._hangover)
        self._total += speech
        self._frames_seen += 1
        self._totals[self._frames_seen % len(self._totals)] = self._total

    @property
    def open(self) -> bool:
        """Whether somebody speaks, after the last whole frame."""
        return self._open

    def speech_share(self, window_s: float) -> float:
        """Share of speech in the latest stretch of the stream, as the detector decided by frames.

        Parameters
        ----------
        window_s : float in (0, LONGEST_WINDOW_S]
            Length of the stretch in seconds, rounded up to whole frames; it ends with the last
            whole frame.

        Returns
        -------
        float in [0, 1]
            What lies before the stream counts as no speech.

        Raises
        ------
        ValueError
            `window_s` is out of range.
        """
        if not 0 < window_s <= LONGEST_WINDOW_S:
            raise ValueError(f"window_s={window_s!r} must be in (0, {LONGEST_WINDOW_S}]")
        window = max(1, self._frames(window_s * 1000))
        speech = self._total
        if self._frames_seen > window:
            speech -= self._totals[(self._frames_seen - window) % len(self._totals)]
        return speech / window
