"""Two detectors in a row: WebRTC's is always awake, Silero's confirms what it finds."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from .silero import SileroVad
from .webrtc import WebRtcVad

# Silero's listens on for so long after WebRTC's last speech, in ms: longer than a word's pause, so
# that it is not woken anew within a sentence.
_ATTENTION_MS = 500.0
# In sound that has gone on for so long without a voice, in ms, as music does, one is as likely as
# it was at the least for some time. One that begins out of silence is believed at once: in half an
# hour of music and noise, all that Silero's took for voices, and was none, came out of sound.
_DOUBT_MS = 1000.0
_PROOF_MS = 128.0
# Silence is what WebRTC's takes for it for so long, in ms.
_SILENCE_MS = 96.0
_VOICE = 0.5
# What it is told of the sound before that which woke it, in ms.
_LEAD_IN_MS = 256.0


class ConfirmedVad:
    """WebRTC's detector, confirmed by Silero's.

    WebRTC's costs next to nothing and hardly misses a voice, but takes most music for one; Silero's
    tells them apart. It is asked only while WebRTC's hears something, so that silence stays cheap.
    In sound that goes on and on without a voice, one has to stay for a moment to be believed.

    Parameters
    ----------
    aggressiveness : int in [0, 3]
        Of WebRTC's: how readily a frame is taken for no speech.

    Raises
    ------
    ValueError
        `aggressiveness` out of range.

    Notes
    -----
    A `VoiceActivityDetector` of frames of 32 ms at 16 kHz.
    """

    sample_rate = 16000
    frame_samples = SileroVad.frame_samples
    latency = 0

    def __init__(self, aggressiveness: int = 1) -> None:
        self._webrtc = WebRtcVad(aggressiveness)
        self._silero = SileroVad()
        frame_ms = self.frame_samples / self.sample_rate * 1000
        # All in frames.
        self._attention = round(_ATTENTION_MS / frame_ms)
        self._doubt = round(_DOUBT_MS / frame_ms)
        self._silence = round(_SILENCE_MS / frame_ms)
        # The newest frames, and what Silero's says of them.
        self._kept: deque[NDArray[np.float32]] = deque(maxlen=round(_LEAD_IN_MS / frame_ms))
        self._said: deque[float] = deque(maxlen=round(_PROOF_MS / frame_ms))
        self._piece = np.zeros(self._webrtc.frame_samples, np.float32)
        self._clear()

    def _clear(self) -> None:
        self._filled = 0  # of a piece for WebRTC's that is not whole yet
        self._kept.clear()
        self._said.clear()
        self._quiet = self._attention  # frames since WebRTC's heard speech
        self._voiceless = 0  # frames of sound since the last voice, or since silence

    def reset(self) -> None:
        """Forget the stream: as just built."""
        self._webrtc.reset()
        self._silero.reset()
        self._clear()

    def process(self, frame: NDArray[np.float32]) -> float:
        """Take the next frame of the stream.

        Parameters
        ----------
        frame : ndarray of float32, shape (512,)
            Mono samples in [-1, 1]; what lies beyond is clipped.

        Returns
        -------
        float in [0, 1]
            Probability of speech; 0 where WebRTC's has heard none for half a second. In sound that
            has gone on without a voice, the least of the last moments.

        Raises
        ------
        ValueError
            `frame` has another shape.
        """
        if frame.shape != (self.frame_samples,):
            raise ValueError(f"frame has shape {frame.shape}, must be ({self.frame_samples},)")
        awake = self._quiet < self._attention
        self._quiet = 0 if self._heard(frame) else self._quiet + 1
        if self._quiet >= self._attention:
            self._kept.append(frame.copy())
            return 0.0
        if not awake:
            # Not reset, though time has passed: as new, it takes a while to believe in any voice,
            # and misses a quarter of short, high ones.
            self._said.clear()
            for before in self._kept:
                self._silero.process(before)
        self._kept.append(frame.copy())
        probability = self._silero.process(frame)
        self._said.append(probability)
        if self._voiceless >= self._doubt:
            probability = min(self._said)
        silent = self._quiet >= self._silence
        self._voiceless = 0 if silent or probability >= _VOICE else self._voiceless + 1
        return probability

    def _heard(self, frame: NDArray[np.float32]) -> bool:
        """Tell whether WebRTC's, whose frames are shorter, found speech in those that end here."""
        heard, at = False, 0
        while at < len(frame):
            n = min(len(frame) - at, len(self._piece) - self._filled)
            self._piece[self._filled : self._filled + n] = frame[at : at + n]
            self._filled += n
            at += n
            if self._filled == len(self._piece):
                self._filled = 0
                heard |= self._webrtc.process(self._piece) > 0
        return heard
