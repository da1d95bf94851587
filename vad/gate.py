"""The speech gate: single decisions of a detector made into stretches of speech."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .webrtc import VoiceActivityDetector


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
    history_ms : float > 0
        How far back `open_at` and `speech_share` can look, in ms, rounded up to whole frames.

    Attributes
    ----------
    vad : VoiceActivityDetector
        As given.
    sample_rate : int
        Of the stream, in Hz: the detector's.
    samples_seen : int
        Samples of the stream taken so far.

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
    >>> gate.open, gate.open_at(8000), gate.speech_share(0.5)
    (False, False, 0.0)
    """

    def __init__(
        self,
        vad: VoiceActivityDetector,
        onset_ms: float,
        hangover_ms: float,
        *,
        history_ms: float = 10_000.0,
    ) -> None:
        # Asked for positively, so that NaN fails too.
        if not 0 <= onset_ms < math.inf:
            raise ValueError(f"onset_ms={onset_ms!r} must be 0 or more")
        if not 0 <= hangover_ms < math.inf:
            raise ValueError(f"hangover_ms={hangover_ms!r} must be 0 or more")
        if not 0 < history_ms < math.inf:
            raise ValueError(f"history_ms={history_ms!r} must be positive")
        self.vad = vad
        self.sample_rate = vad.sample_rate
        self._onset = max(1, self._frames(onset_ms))
        self._hangover = self._frames(hangover_ms)
        self._frame = np.zeros(vad.frame_samples, np.float32)
        # Rings, one slot for each number of frames heard: whether the gate was open then, and how
        # many of those frames were speech. As lists they neither box nor unbox.
        self._opens = [False] * (1 + self._frames(history_ms))
        self._totals = [0] * len(self._opens)
        self._clear()

    def _frames(self, ms: float) -> int:
        # The rounding keeps 60 ms of 20 ms frames from becoming 4 by an error in the last place.
        return math.ceil(round(ms * self.vad.sample_rate / 1000 / self.vad.frame_samples, 6))

    def _clear(self) -> None:
        self.samples_seen = 0
        self._frames_seen = 0
        self._open = False
        self._run = 0  # frames of speech up to now, unbroken
        self._quiet = 0  # frames without speech up to now
        self._total = 0  # frames of speech in all
        self._opens[0] = False
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
            Mono samples at `sample_rate`, in [-1, 1]; any number, also none. Neither written to
            nor kept.

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
            pending = self.samples_seen % size
            count = min(size - pending, block.size - at)
            self._frame[pending : pending + count] = block[at : at + count]
            at += count
            self.samples_seen += count
            if pending + count == size:
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
        slot = self._frames_seen % len(self._opens)
        self._opens[slot] = self._open
        self._totals[slot] = self._total

    @property
    def open(self) -> bool:
        """Whether somebody speaks, after the last whole frame."""
        return self._open

    def open_at(self, sample: int) -> bool:
        """Whether somebody spoke at a moment of the stream.

        Parameters
        ----------
        sample : int
            In samples from the beginning of the stream, at `sample_rate`; at most `samples_seen`,
            and at most `history_ms` before it.

        Returns
        -------
        bool
            Whether the gate was open after the last frame that ends at `sample` or before.

        Raises
        ------
        ValueError
            `sample` has not been heard yet, or is forgotten.
        """
        return self._opens[self._slot(self._frame_at(sample))]

    def speech_share(self, window_s: float, sample: int | None = None) -> float:
        """Share of speech in a window of the stream, as the detector decided frame by frame.

        Parameters
        ----------
        window_s : float > 0
            Length of the window in seconds, rounded up to whole frames.
        sample : int, optional
            Where the window ends, as for `open_at`; without it, at the last whole frame.

        Returns
        -------
        float in [0, 1]
            What lies before the stream counts as no speech.

        Raises
        ------
        ValueError
            `window_s` is not positive, or part of the window has not been heard or is forgotten.
        """
        if not 0 < window_s < math.inf:
            raise ValueError(f"window_s={window_s!r} must be positive")
        window = max(1, self._frames(window_s * 1000))
        end = self._frames_seen if sample is None else self._frame_at(sample)
        speech = self._totals[self._slot(end)]
        if end > window:
            speech -= self._totals[self._slot(end - window)]
        return speech / window

    def _frame_at(self, sample: int) -> int:
        """Whole frames up to a sample."""
        if not 0 <= sample <= self.samples_seen:
            raise ValueError(f"sample={sample} must be in [0, samples_seen={self.samples_seen}]")
        return sample // self._frame.size

    def _slot(self, frames: int) -> int:
        """Place in the rings of what was known after so many frames."""
        oldest = self._frames_seen - len(self._opens) + 1
        if frames < oldest:
            size = self._frame.size
            raise ValueError(
                f"sample {frames * size} of the stream is forgotten, "
                f"what is remembered begins at {oldest * size}"
            )
        return frames % len(self._opens)
