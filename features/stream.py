"""Features of a live signal, in blocks of any length.

`MelStream` and `MfccStream` give the frames of a signal as they become complete: together they are
what `melspectrogram` and `mfcc` make of the whole, bit for bit.

`PatchStream` gives patches, each of which is the `mfcc` of its half second as if there were
nothing else: floor and padding belong to the patch. So a live signal cannot simply keep its
coefficients from hop to hop; what is kept are the log-mel frames that no edge of the patch
touches, and the rest is done anew.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ._kernels import LANES, Float, cepstrum, mel_frames, move_columns, move_down, scratch, tables
from .mfcc import check_signal, least_samples
from .settings import FeatureSettings

# Number of samples of a signal whose end is not known yet.
_FAR = 2**62


class MelStream:
    """Mel spectrogram of a live mono signal, frame by frame.

    Parameters
    ----------
    settings : FeatureSettings
        How to analyse. `patch_samples` plays no part here.

    Attributes
    ----------
    settings : FeatureSettings
        As given.
    latency : int
        In samples: a frame is complete when so many samples after its centre have come in, and is
        given by the call that brings the last of them; the first frame needs one more. The end of
        the signal completes those that are left.

    Notes
    -----
    Allocates and compiles in ``__init__`` only. ``process``, ``finish``, ``reset``: no lock, no
    I/O, one thread; `block` is not kept.

    Examples
    --------
    >>> from kikiwake.features.settings import ORIGIN
    >>> stream = MelStream(ORIGIN)
    >>> [frames.shape for frames in stream.process(np.zeros(10_000, np.float32))]
    [(128, 8), (128, 2), (128, 8)]
    >>> [frames.shape for frames in stream.finish()]
    [(128, 2)]
    """

    _in_db = False

    def __init__(self, settings: FeatureSettings) -> None:
        self.settings = settings
        self.latency = settings.n_fft // 2
        self._tables = tables(settings)
        self._scratch = scratch(settings)
        # A batch of frames, from one sample before, which the padding at the end may ask for.
        self._samples = np.zeros(1 + settings.n_fft + (LANES - 1) * settings.hop_length, np.float32)
        self._numbers = np.zeros(LANES, np.int64)
        self._mel = np.zeros((settings.n_mels, LANES), np.float32)
        self.reset()
        # Loads, or the first time compiles, all of it: on silence.
        for _ in self._frames(LANES, _FAR):
            pass
        move_down(self._samples, 0, 0)
        self.reset()

    def reset(self) -> None:
        """Forget the stream: as just built."""
        self._start = 0  # number of the first sample that is kept
        self._seen = 0
        self._next = 0  # number of the next frame

    def process(self, block: Float) -> Iterator[Float]:
        """Take the next samples of the stream and give the frames that they complete.

        Parameters
        ----------
        block : ndarray of float32, shape (n,)
            Any number of samples, also none. Not written to; leave it as it is until the iterator
            is through.

        Returns
        -------
        iterator of ndarray of float32, shape (n_mels, k)
            To be exhausted. Frames in order, a few at a time; what an array holds is overwritten
            with the next step.

        Raises
        ------
        ValueError
            `block` is not one-dimensional or not float32.
        """
        check_signal("block", block)
        return self._process(block)

    def finish(self) -> Iterator[Float]:
        """End the signal here and give its last frames; then start a new one.

        Returns
        -------
        iterator of ndarray of float32, shape (n_mels, k)
            As from `process`.

        Raises
        ------
        ValueError
            The signal was too short for the padding to be made from.
        """
        least = least_samples(self.settings)
        if self._seen < least:
            seen = self._seen
            self.reset()
            raise ValueError(
                f"the signal had {seen} samples, must have at least {least} "
                f"(n_fft={self.settings.n_fft}, pad_mode={self.settings.pad_mode!r})"
            )
        return self._finish()

    def _process(self, block: Float) -> Iterator[Float]:
        hop, half = self.settings.hop_length, self.settings.n_fft // 2
        at = 0
        while at < block.size:
            kept = self._seen - self._start
            count = min(self._samples.size - kept, block.size - at)
            self._samples[kept : kept + count] = block[at : at + count]
            at += count
            self._seen += count
            # Frames that reach beyond the start also need the sample that is mirrored farthest.
            whole = max(0, (self._seen - half) // hop + 1) if self._seen > half else 0
            yield from self._frames(whole, _FAR)
            begin = max(self._start, self._next * hop - half - 1)
            if begin > self._start:
                move_down(self._samples, begin - self._start, self._seen - self._start)
                self._start = begin

    def _finish(self) -> Iterator[Float]:
        yield from self._frames(1 + self._seen // self.settings.hop_length, self._seen)
        self.reset()

    def _frames(self, end: int, size: int) -> Iterator[Float]:
        while self._next < end:
            count = min(LANES, end - self._next)
            for lane in range(count):
                self._numbers[lane] = self._next + lane
            mel_frames(
                self._samples,
                self._start,
                size,
                self._numbers[:count],
                self._next,
                self._in_db,
                self._tables,
                self._scratch,
                self._mel,
            )
            self._next += count
            yield self._made(count)

    def _made(self, count: int) -> Float:
        return self._mel[:, :count]


class MfccStream(MelStream):
    """MFCCs of a live mono signal, frame by frame.

    Parameters
    ----------
    settings : FeatureSettings
        How to analyse, with `top_db` None: the loudest of a signal is not known before its end.

    Raises
    ------
    ValueError
        `top_db` is not None.

    Notes
    -----
    In all else a `MelStream`, of arrays of shape (n_mfcc, k).

    Examples
    --------
    >>> stream = MfccStream(FeatureSettings(top_db=None))
    >>> [frames.shape for frames in stream.process(np.zeros(5_000, np.float32))]
    [(44, 8)]
    """

    _in_db = True

    def __init__(self, settings: FeatureSettings) -> None:
        if settings.top_db is not None:
            raise ValueError(f"top_db={settings.top_db} must be None for a stream of MFCCs")
        self._mfcc = np.zeros((settings.n_mfcc, LANES), np.float32)
        super().__init__(settings)

    def _made(self, count: int) -> Float:
        # All lanes, also stale ones: the array that the kernel is compiled for is whole.
        cepstrum(self._mel, self._tables, self._scratch, self._mfcc)
        return self._mfcc[:, :count]


class PatchStream:
    """Patches of MFCCs of a live mono signal, one for each hop.

    Patch k covers the `patch_samples` samples that end with sample ``(k + 1) * hop_samples`` of
    the stream, and equals ``mfcc(those samples, settings)`` bit for bit, however the stream is cut
    into blocks. The stream counts as preceded by silence, so the first patch comes after one hop.

    Parameters
    ----------
    settings : FeatureSettings
        How to analyse and how long a patch is.
    hop_frames : int > 0
        Distance of neighbouring patches in frames, that is, in units of ``hop_length`` samples.

    Attributes
    ----------
    settings : FeatureSettings
        As given.
    hop_samples : int
        Distance of neighbouring patches in samples: ``hop_frames * hop_length``.
    latency : int
        In samples: 0, a patch ends with the newest sample.

    Raises
    ------
    ValueError
        `hop_frames` is not positive.

    Notes
    -----
    Allocates and compiles in ``__init__`` only. No lock, no I/O, one thread; what is taken is not
    kept. Samples that are not finite spoil the patches that cover them and
    no others.

    Examples
    --------
    >>> from kikiwake.features.settings import ORIGIN
    >>> stream = PatchStream(ORIGIN, hop_frames=9)
    >>> for patch in stream.process(np.zeros(10_000, np.float32)):
    ...     print(stream.samples_seen, patch.shape)
    4608 (44, 44)
    9216 (44, 44)
    """

    def __init__(self, settings: FeatureSettings, hop_frames: int) -> None:
        if hop_frames < 1:
            raise ValueError(f"hop_frames={hop_frames} must be positive")
        self.settings = settings
        self.hop_samples = hop_frames * settings.hop_length
        self.latency = 0
        self._hop_frames = hop_frames
        self._tables = tables(settings)
        self._scratch = scratch(settings)
        # Room for the last patch to move through, until it is put back to the front.
        self._samples = np.zeros(2 * settings.patch_samples + self.hop_samples, np.float32)
        # The frames that no edge of the patch touches are [first, end). From one patch to the next
        # they move down by hop_frames, and all others are to be done.
        half = settings.n_fft // 2
        self._first = -(-half // settings.hop_length)
        self._end = max(self._first, (settings.patch_samples - half) // settings.hop_length + 1)
        frames = np.arange(settings.patch_frames)
        kept = (frames >= self._first) & (frames < self._end)
        # The kept ones newest first: however many of them are to be done, the first so many are.
        self._frames = np.concatenate([frames[~kept], frames[kept][::-1]])
        self._edge_frames = frames.size - int(kept.sum())
        self._levels = np.empty((settings.n_mels, frames.size), np.float32)
        self._patch = np.empty((settings.n_mfcc, frames.size), np.float32)
        self.reset()
        # Loads, or the first time compiles, all of it: on silence.
        self.patch()
        self.reset()

    @property
    def samples_seen(self) -> int:
        """Samples of the stream taken so far.

        While a patch is being handled it is the number of the sample that this patch ends with.
        """
        return self._hops * self.hop_samples + self._pending

    def reset(self) -> None:
        """Forget the stream: as just built."""
        self._hops = 0
        self._pending = 0  # samples of a hop that is not whole yet
        self._until = self.settings.patch_samples  # where the last patch ends
        self._samples[: self._until] = 0
        self._stale_hops = self.settings.patch_frames  # hops since `_levels` was right

    def process(self, block: Float) -> Iterator[Float]:
        """Take the next samples of the stream and give the patches that they complete.

        Parameters
        ----------
        block : ndarray of float32, shape (n,)
            Any number of samples, also none. Not written to; leave it as it is until the iterator
            is through.

        Returns
        -------
        iterator of ndarray of float32, shape (n_mfcc, patch_frames)
            To be exhausted: the samples are taken as it goes. All are the same array, which holds
            a patch until the next step.

        Raises
        ------
        ValueError
            `block` is not one-dimensional or not float32.
        """
        check_signal("block", block)
        return self._patches(block)

    def push(self, hop: Float) -> None:
        """Take exactly the next hop of the stream, and do nothing else: see `patch`.

        Parameters
        ----------
        hop : ndarray of float32, shape (hop_samples,)
            Samples from one patch's end to the next one's. Neither written to nor kept.

        Raises
        ------
        ValueError
            `hop` has another shape, is not float32, or begins in the middle of a hop.
        """
        check_signal("hop", hop)
        if self._pending or hop.size != self.hop_samples:
            raise ValueError(
                f"hop has {hop.size} samples after {self._pending} of an unfinished hop, "
                f"must have hop_samples={self.hop_samples} after none"
            )
        self._take(hop)

    def patch(self) -> Float:
        """Make the patch that ends with the last whole hop.

        What was pushed since the last call costs nothing until now, and never more than a whole
        patch: while nobody speaks, no feature need be computed.

        Returns
        -------
        ndarray of float32, shape (n_mfcc, patch_frames)
            Always the same array, which holds the patch until the next one.
        """
        if not self._stale_hops:
            return self._patch
        shift = min(self._stale_hops * self._hop_frames, self._end - self._first)
        self._stale_hops = 0
        move_columns(self._levels, self._first, self._end, shift)
        size = self.settings.patch_samples
        mel_frames(
            self._samples[self._until - size : self._until],
            0,
            size,
            self._frames[: self._edge_frames + shift],
            0,
            True,
            self._tables,
            self._scratch,
            self._levels,
        )
        cepstrum(self._levels, self._tables, self._scratch, self._patch)
        return self._patch

    def _patches(self, block: Float) -> Iterator[Float]:
        at = 0
        while at < block.size:
            count = min(self.hop_samples - self._pending, block.size - at)
            self._take(block[at : at + count])
            at += count
            if not self._pending:
                yield self.patch()

    def _take(self, samples: Float) -> None:
        """Take samples that do not reach beyond the present hop."""
        if self._until + self.hop_samples > self._samples.size:
            # Only between hops: within one there is room for the rest of it.
            size = self.settings.patch_samples
            self._samples[:size] = self._samples[self._until - size : self._until]
            self._until = size
        begin = self._until + self._pending
        self._samples[begin : begin + samples.size] = samples
        self._pending += samples.size
        if self._pending == self.hop_samples:
            self._pending = 0
            self._until += self.hop_samples
            self._hops += 1
            self._stale_hops += 1
