"""From sound to results: no threads, no clock, no devices."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import soxr
from numpy.typing import NDArray

from ..features.stream import PatchStream
from ..models.cast import Cast
from ..models.runner import CastRunner
from ..vad.detector import load_detector
from ..vad.gate import SpeechGate
from .config import Settings
from .mix import to_mono
from .result import Candidate, Result
from .smoothing import PosteriorSmoother
from .waveform import Waveform

TOP = 8
SILENCE_DB = -120.0


class Pipeline:
    """Recognizes a stream of sound, one result each hop.

    Deterministic: the same samples give the same results, to the bit, whatever the sizes of the
    blocks they come in.

    Parameters
    ----------
    cast : Cast
        Whom to tell apart.
    settings : Settings
        Gate, smoothing and hop.
    sample_rate : int > 0
        Of the sound, in Hz.
    channels : int > 0
        Of the sound; they are averaged.
    start_s : float
        Time of the first sample.

    Attributes
    ----------
    sample_rate, channels : int
        As given.
    hop_s : float
        Time between two results, in seconds: `Settings.hop_ms` rounded to whole frames, so that
        neighbouring patches share their rows.
    bad_samples : int
        Samples so far that were NaN or infinite.
    waveform : Waveform
        The newest sound of the results, for a picture of it.

    Raises
    ------
    ValueError
        If the rate or the number of channels is not positive.
    CastError
        If the network does not fit the cast.

    Notes
    -----
    A result speaks for sound up to its ``time``. It is published when the resamplers have let
    that sound through, which is up to 40 ms of sound later at 44.1 and 48 kHz.
    One thread at a time.
    """

    def __init__(
        self,
        cast: Cast,
        settings: Settings,
        *,
        sample_rate: int,
        channels: int,
        start_s: float = 0.0,
    ) -> None:
        if sample_rate <= 0:
            raise ValueError(f"sample_rate={sample_rate} must be positive")
        if channels <= 0:
            raise ValueError(f"channels={channels} must be positive")
        card = cast.card
        features = card.features
        self.cast = cast
        self.sample_rate = sample_rate
        self.channels = channels
        self._rate = features.sample_rate
        hop_frames = max(1, round(settings.hop_ms / 1e3 * self._rate / features.hop_length))
        self._hop = np.zeros(hop_frames * features.hop_length, np.float32)
        self._hop_frames = self._hop.reshape(hop_frames, features.hop_length)
        self.hop_s = len(self._hop) / self._rate
        self.waveform = Waveform(frame_length=features.hop_length, sample_rate=self._rate)
        self._patch_s = features.patch_s
        self._resampler = _Resampler(sample_rate, self._rate, "HQ")
        self._runner = CastRunner(cast)
        self._patches = PatchStream(features, hop_frames)
        gate = settings.gate
        vad = load_detector(gate.detector, aggressiveness=gate.aggressiveness)
        self._gate = SpeechGate(
            vad,
            onset_ms=gate.onset_ms,
            hangover_ms=gate.hangover_ms,
            minimum_speech_ms=gate.minimum_speech_ms,
            threshold=gate.threshold,
        )
        self._minimum_share = gate.minimum_share
        # Low quality filters 96 dB all the same, and lags by half: what is said is below 6 kHz.
        self._vad_resampler = _Resampler(self._rate, vad.sample_rate, "LQ")
        whose = [character.actor for character in card.characters]
        self._actors = list(dict.fromkeys(whose))
        self._smoother = PosteriorSmoother(
            len(card.characters),
            card.n_classes,
            settings.smoothing,
            actors=[self._actors.index(actor) for actor in whose],
            sureness=card.calibration.sureness,
        )
        self._begin_s = self._start_s = start_s
        self._frames = 0
        self._passed_s = 0.0
        self._filled = 0
        self._hops = 0
        self.bad_samples = 0

    @property
    def time(self) -> float:
        """Time of the last result, in seconds."""
        return self._start_s + self._hops * self.hop_s

    @property
    def heard_s(self) -> float:
        """Time of the newest sample that came in, in seconds: later than that of any result."""
        return self._start_s + self._frames / self.sample_rate

    @property
    def missing_frames(self) -> int:
        """Sample frames that must come in before there can be another result: at least so many."""
        return math.ceil((len(self._hop) - self._filled) * self.sample_rate / self._rate)

    def reset(self) -> None:
        """Start a new stream, as just built."""
        self._restart(self._begin_s)
        self._passed_s = 0.0
        self.bad_samples = 0

    def _restart(self, start_s: float) -> None:
        self._resampler.reset()
        self._vad_resampler.reset()
        self._patches.reset()
        self._gate.reset()
        self._smoother.reset()
        self.waveform.reset()
        self._start_s = start_s
        self._frames = 0
        self._filled = 0
        self._hops = 0

    def pass_time(self, seconds: float) -> None:
        """Let time pass of which there is no sound: skipped, or never delivered.

        Less than a patch at a stretch: what comes next is put to what was heard, and past guesses
        count for less by the time passed. More: all is as new, since nothing heard before says
        who speaks after.

        Parameters
        ----------
        seconds : float >= 0
            How much.
        """
        self._passed_s += seconds
        if self._passed_s < self._patch_s:
            self._smoother.pass_time(seconds * 1e3)
            self._start_s += seconds
        else:
            self._restart(self.heard_s + seconds)

    def nobody(self) -> Result:
        """Make a result for a moment in which no sound comes in; changes nothing."""
        return Result(
            time=round(self.time, 6),
            speech=False,
            character=None,
            actor=None,
            confidence=0.0,
            top=(),
            level_db=SILENCE_DB,
        )

    def process(self, block: NDArray[np.float32]) -> list[Result]:
        """Take a block of any length.

        Parameters
        ----------
        block : ndarray of float32, shape (n,) or (n, channels)
            Samples, full scale 1.0. NaN and infinity are read as 0 and counted in
            `bad_samples`; what is more than 18 dB over full scale is clipped. Not changed, not
            kept.

        Returns
        -------
        list of Result
            The hops that this block completed; `Result.counters` is left to the caller.

        Raises
        ------
        ValueError
            If the block's shape does not fit.
        """
        mono = self._mono(block)
        self._frames += len(mono)
        if len(mono):
            self._passed_s = 0.0
        return list(self._push(self._resampler.push(mono)))

    def finish(self) -> list[Result]:
        """End the stream: what is still on its way through the resampler, whole hops of it."""
        return list(self._push(self._resampler.finish()))

    def _mono(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        if block.ndim == 1 and self.channels == 1:
            block = block[:, None]
        if block.ndim != 2 or block.shape[1] != self.channels:
            raise ValueError(
                f"block has shape {block.shape}, need (n, {self.channels})"
                + (" or (n,)" if self.channels == 1 else "")
            )
        mono, bad = to_mono(block)
        self.bad_samples += bad
        return mono

    def _push(self, samples: NDArray[np.float32]) -> Iterator[Result]:
        # All that follows sees whole hops only, which is why it cannot depend on the blocks.
        taken = 0
        while taken < len(samples):
            n = min(len(samples) - taken, len(self._hop) - self._filled)
            self._hop[self._filled : self._filled + n] = samples[taken : taken + n]
            self._filled += n
            taken += n
            if self._filled == len(self._hop):
                self._filled = 0
                yield self._process_hop()

    def _process_hop(self) -> Result:
        self._hops += 1
        self.waveform.push(self._hop_frames)
        hop_ms = self.hop_s * 1e3
        self._gate.process(self._vad_resampler.push(self._hop))
        self._patches.push(self._hop)
        if not self._gate.open:
            asked = self._smoother.may_linger(hop_ms)
            heard = self._runner.posterior(self._patches.patch()) if asked else None
            self._smoother.silence(hop_ms, heard)
        elif (share := self._gate.speech_share(self._patch_s)) >= self._minimum_share:
            posterior = self._runner.posterior(self._patches.patch())
            self._smoother.update(posterior, elapsed_ms=hop_ms, weight=share)
        else:
            self._smoother.pass_time(hop_ms)
        return self._result(self._gate.open or self._smoother.shown.character is not None)

    def _result(self, speech: bool) -> Result:
        shares = self._smoother.shares[: len(self.cast.card.characters)]
        shown = self._smoother.shown
        top: tuple[Candidate, ...] = ()
        if speech:
            order = np.argsort(-shares, kind="stable")[:TOP]
            top = tuple(self._candidate(int(i), shares) for i in order)
        character = actor = None
        confidence = 0.0
        if shown.character is not None:
            said = self._candidate(shown.character, shares)
            character, actor, confidence = said.character, said.actor, said.share
        elif shown.actor is not None:
            actor = self._actors[shown.actor]
            confidence = round(float(self._smoother.actor_shares[shown.actor]), 4)
        power = float(np.dot(self._hop, self._hop)) / len(self._hop)
        return Result(
            time=round(self.time, 6),
            speech=speech,
            character=character,
            actor=actor,
            confidence=confidence,
            top=top,
            level_db=round(10 * math.log10(power), 1) if power > 1e-12 else SILENCE_DB,
            unknown=shown.unknown,
            second=None if shown.second is None else self._candidate(shown.second, shares),
        )

    def _candidate(self, number: int, shares: NDArray[np.float64]) -> Candidate:
        who = self.cast.card.characters[number]
        return Candidate(who.name, who.actor, round(float(shares[number]), 4))


class _Resampler:
    """A soxr stream that is nothing where the rates are equal."""

    def __init__(self, source_rate: int, target_rate: int, quality: str) -> None:
        self._stream = (
            None
            if source_rate == target_rate
            else soxr.ResampleStream(source_rate, target_rate, 1, "float32", quality)
        )

    def push(self, samples: NDArray[np.float32], last: bool = False) -> NDArray[np.float32]:
        if self._stream is None:
            return samples
        resampled: NDArray[np.float32] = self._stream.resample_chunk(samples, last)
        return resampled

    def finish(self) -> NDArray[np.float32]:
        return self.push(np.empty(0, np.float32), last=True)

    def reset(self) -> None:
        if self._stream is not None:
            self._stream.clear()
