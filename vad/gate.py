"""The speech gate: what a detector says of single frames made into stretches of speech."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from .detector import VoiceActivityDetector

LONGEST_WINDOW_S = 60
"""How far back `SpeechGate.speech_share` can look, in seconds."""


class SpeechGate:
    """Speech or not as a function of time, for a live stream in blocks of any length.

    A *stretch* of speech begins with a frame of speech. The gate opens when the stretch has had
    `minimum_speech_ms` of speech in all and an unbroken run of `onset_ms` just now; it closes, and
    the stretch ends, `hangover_ms` after the end of the last frame of speech. As long as the gate
    has not opened, a pause longer than the onset is enough to end it: single frames here and there
    do not add up.

    Parameters
    ----------
    vad : VoiceActivityDetector
        Looks at single frames. Belongs to the gate from now on.
    onset_ms : float >= 0
        Unbroken speech before the gate opens, in ms, rounded up to whole frames; at least one
        frame.
    hangover_ms : float >= 0
        How long the gate stays open after speech, in ms, rounded up to whole frames.
    minimum_speech_ms : float >= 0
        Speech in a stretch before the gate opens, in ms, rounded up to whole frames. More than
        `onset_ms`, it keeps out what is short, however unbroken.
    pre_roll_ms : float >= 0
        How much of the sound before a stretch belongs to it, in ms, in `opened_at` and
        `speech_segments`: detectors miss the beginnings of soft words.
    threshold : float in (0, 1]
        A frame is speech from this probability on.

    Attributes
    ----------
    vad : VoiceActivityDetector
        As given.
    minimum_speech_ms : float
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
    >>> gate = SpeechGate(WebRtcVad(), onset_ms=60, hangover_ms=300)
    >>> gate.process(np.zeros(16000, np.float32))
    >>> gate.open, gate.speech_share(0.5)
    (False, 0.0)
    """

    def __init__(
        self,
        vad: VoiceActivityDetector,
        *,
        onset_ms: float,
        hangover_ms: float,
        minimum_speech_ms: float = 0.0,
        pre_roll_ms: float = 0.0,
        threshold: float = 0.5,
    ) -> None:
        times = {
            "onset_ms": onset_ms,
            "hangover_ms": hangover_ms,
            "minimum_speech_ms": minimum_speech_ms,
            "pre_roll_ms": pre_roll_ms,
        }
        for name, value in times.items():
            # Asked for positively, so that NaN fails too.
            if not 0 <= value < math.inf:
                raise ValueError(f"{name}={value!r} must be 0 or more")
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold={threshold!r} must be in (0, 1]")
        self.vad = vad
        self._onset = max(1, self._frames(onset_ms))
        self._hangover = self._frames(hangover_ms)
        self._minimum = self._frames(minimum_speech_ms)
        self._pre_roll = round(pre_roll_ms * vad.sample_rate / 1000)
        self.minimum_speech_ms = minimum_speech_ms
        self._threshold = threshold
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
        self._speech = 0  # frames of speech in the present stretch; 0 between two
        self._begin = 0  # sample with which the present stretch begins
        self._end = 0  # sample with which the last stretch ended
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
                self._decide(self.vad.process(self._frame) >= self._threshold)

    def _decide(self, speech: bool) -> None:
        if speech:
            if not self._speech:
                self._begin = self._frames_seen * self._frame.size - self.vad.latency
            self._speech += 1
            self._run += 1
            self._quiet = 0
        else:
            self._run = 0
            self._quiet += 1
        self._frames_seen += 1
        longest_pause = self._hangover if self._open else min(self._hangover, self._onset)
        if self._quiet > longest_pause:
            if self._open:
                end = (self._frames_seen - 1) * self._frame.size - self.vad.latency
                self._end = max(0, end)
            self._open = False
            self._speech = 0
        elif self._run >= self._onset and self._speech >= self._minimum:
            self._open = True
        self._total += speech
        self._totals[self._frames_seen % len(self._totals)] = self._total

    @property
    def open(self) -> bool:
        """Whether somebody speaks, after the last whole frame."""
        return self._open

    @property
    def opened_at(self) -> int | None:
        """Sample of the stream that the present stretch of speech begins with; None while closed.

        It lies before the moment at which the gate opened: by the onset, and by the pre-roll as
        far as that does not reach into the stretch before.
        """
        return max(self._end, self._begin - self._pre_roll) if self._open else None

    @property
    def speech_ms(self) -> float:
        """Speech in the present stretch so far, in ms; 0 between two."""
        return self._speech * self._frame.size / self.vad.sample_rate * 1000

    @property
    def closed_at(self) -> int:
        """Sample of the stream that the last whole stretch of speech ended with; 0 before any."""
        return self._end

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


def speech_segments(y: NDArray[np.float32], gate: SpeechGate) -> list[tuple[int, int]]:
    """Find the stretches of speech in a whole signal: what the gate says live, for all of it.

    Parameters
    ----------
    y : ndarray of float32, shape (n,)
        Mono signal at the detector's rate.
    gate : SpeechGate
        How to decide. It is reset first.

    Returns
    -------
    list of (int, int)
        Begin and end of each stretch in samples, in order; they do not overlap. Silence that lasts
        for the hangover is part of a stretch's end, the pre-roll of its beginning.

    Raises
    ------
    ValueError
        `y` is not one-dimensional or not float32.

    Examples
    --------
    >>> from kikiwake.vad.webrtc import WebRtcVad
    >>> speech_segments(
    ...     np.zeros(16000, np.float32), SpeechGate(WebRtcVad(), onset_ms=60, hangover_ms=300)
    ... )
    []
    """
    return list(stream_segments([y], gate))


def stream_segments(
    blocks: Iterable[NDArray[np.float32]], gate: SpeechGate, *, longest_s: float = math.inf
) -> Iterator[tuple[int, int]]:
    """Find the stretches of speech in a signal that comes in blocks.

    Parameters
    ----------
    blocks : iterable of ndarray of float32, shape (n,)
        Mono signal at the detector's rate, in blocks of any length.
    gate : SpeechGate
        How to decide. It is reset first.
    longest_s : float > 0
        A stretch that has lasted for so long, in seconds, is ended with the next whole frame, and
        another begins; it counts if there is the minimum of speech in it. More than the minimum.

    Yields
    ------
    (int, int)
        As from `speech_segments`; each as soon as it has ended.

    Raises
    ------
    ValueError
        A block is not one-dimensional or not float32; `longest_s` is out of range.
    """
    if not longest_s * 1000 > gate.minimum_speech_ms:
        raise ValueError(
            f"longest_s={longest_s!r} must be more than the minimum of speech, "
            f"{gate.minimum_speech_ms:g} ms"
        )
    gate.reset()
    size = gate.vad.frame_samples
    longest = longest_s * gate.vad.sample_rate
    seen = 0
    begin: int | None = None
    spoken_ms = cut_ms = 0.0  # speech in the gate's stretch: until now, until it was cut
    for block in blocks:
        at = 0
        while True:
            # By whole frames of the stream, whatever the blocks.
            piece = block[at : at + size - seen % size]
            gate.process(piece)
            at += len(piece)
            seen += len(piece)
            if gate.open:
                begin = gate.opened_at if begin is None else begin
                assert begin is not None
                spoken_ms = gate.speech_ms
                if seen % size == 0 and seen - begin >= longest:
                    yield begin, seen
                    begin, cut_ms = seen, spoken_ms
            elif begin is not None:
                if begin < gate.closed_at and _enough(spoken_ms - cut_ms, gate):
                    yield begin, gate.closed_at
                begin, cut_ms = None, 0.0
            if at >= len(block):
                break
    if begin is not None and begin < seen and _enough(spoken_ms - cut_ms, gate):
        yield begin, seen


def _enough(speech_ms: float, gate: SpeechGate) -> bool:
    return speech_ms > 0 and speech_ms >= gate.minimum_speech_ms
