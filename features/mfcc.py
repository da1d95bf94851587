"""Mel-frequency cepstral coefficients of a whole signal and of a live one.

The definition is librosa's: centred frames, periodic Hann window, power spectrum, Slaney mel bands
with area norm, ``10 log10(max(1e-10, S))``, floor `top_db` below the loudest value of the call,
orthonormal DCT-II. "The call" is one patch of half a second here, so floor and padding belong to
the patch, and a live signal cannot simply keep its coefficients from hop to hop: `PatchStream`
keeps the log-mel rows that no edge of the patch touches and redoes the rest.

Whole and live go through the same kernels, and a row comes out the same, bit for bit, whichever
rows are computed beside it: frames are transformed in batches of always `_LANES`, each lane on its
own, so that the vectorised FFT treats all alike. (That is also what makes it fast.)
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rocket_fft import r2c

from ..jit import compiled
from .mel import dct_matrix, hann, mel_filters
from .settings import FeatureSettings

_Float = NDArray[np.float32]
_Double = NDArray[np.float64]
_Int = NDArray[np.int64]
_kernel = compiled()

# Frames per batch: a multiple of the vector widths that the FFT is built for (4 and 8 float32).
_LANES = 8
# Frames per pass of the DCT: a fixed number of vectors, few enough to stay in the nearest cache.
_DCT_FRAMES = 64
_AMIN = np.float32(1e-10)


class _Tables(NamedTuple):
    """What the kernels need to know, from the settings alone. Shared, never written to."""

    hop_length: int
    reflect: bool
    top_db: np.float32
    window: _Float  # (n_fft,)
    weights: _Float  # filters without their zeros, one after the other
    first_bin: _Int  # (n_mels,): the bin that a filter's first weight is for
    first_weight: _Int  # (n_mels + 1,): where a filter's weights begin; the last is their number
    dct: _Double  # (n_mels, n_mfcc)
    axes: _Int  # (1,): the axis of `_Scratch.frames` to transform, as the FFT wants it


class _Scratch(NamedTuple):
    """What the kernels write on the way. One for each thread."""

    frames: _Float  # (_LANES, n_fft)
    spectrum: NDArray[np.complex64]  # (n_fft // 2 + 1, _LANES)
    power: _Float  # (n_fft // 2 + 1, _LANES)
    mel: _Float  # (n_mels, _LANES)
    column: _Double  # (_DCT_FRAMES,)
    cepstrum: _Double  # (n_mfcc, _DCT_FRAMES)


@lru_cache(maxsize=16)
def _tables(settings: FeatureSettings) -> _Tables:
    filters = mel_filters(
        sample_rate=settings.sample_rate,
        n_fft=settings.n_fft,
        n_mels=settings.n_mels,
        fmin=settings.fmin,
        fmax=settings.top_hz,
    ).astype(np.float32)
    spans = [np.flatnonzero(row) for row in filters]
    return _Tables(
        hop_length=settings.hop_length,
        reflect=settings.pad_mode == "reflect",
        top_db=np.float32(settings.top_db),
        window=hann(settings.n_fft).astype(np.float32),
        weights=filters[filters != 0],
        first_bin=np.array([span[0] if span.size else 0 for span in spans], np.int64),
        first_weight=np.cumsum([0, *(span.size for span in spans)], dtype=np.int64),
        dct=np.ascontiguousarray(dct_matrix(settings.n_mfcc, settings.n_mels).T),
        axes=np.array([1], np.int64),
    )


def _scratch(settings: FeatureSettings) -> _Scratch:
    bins = settings.n_fft // 2 + 1
    return _Scratch(
        frames=np.zeros((_LANES, settings.n_fft), np.float32),
        spectrum=np.zeros((bins, _LANES), np.complex64),
        power=np.zeros((bins, _LANES), np.float32),
        mel=np.zeros((settings.n_mels, _LANES), np.float32),
        column=np.zeros(_DCT_FRAMES),
        cepstrum=np.zeros((settings.n_mfcc, _DCT_FRAMES)),
    )


@_kernel
def _window_frame(y: _Float, begin: int, reflect: bool, window: _Float, out: _Float) -> None:
    """Write ``y[begin : begin + n_fft]`` times the window; y continues as the padding says."""
    n = y.size
    if begin >= 0 and begin + window.size <= n:
        for i in range(window.size):
            out[i] = window[i] * y[begin + i]
        return
    for i in range(window.size):
        at = begin + i
        if reflect:
            # Once is enough: y is longer than the half frame that can stand out.
            if at < 0:
                at = -at
            elif at >= n:
                at = 2 * n - 2 - at
            out[i] = window[i] * y[at]
        else:
            out[i] = window[i] * y[at] if 0 <= at < n else np.float32(0)


@_kernel
def _log_mel(y: _Float, rows: _Int, tables: _Tables, scratch: _Scratch, out: _Float) -> None:
    """Fill the columns `rows` of `out`, (n_mels, frames), with the levels of those frames in dB."""
    half = tables.window.size // 2
    frames, spectrum, power, mel = scratch.frames, scratch.spectrum, scratch.power, scratch.mel
    for batch in range(0, rows.size, _LANES):
        for lane in range(_LANES):
            # The last batch is filled up with its last frame, for the FFT to see _LANES always.
            row = rows[min(batch + lane, rows.size - 1)]
            begin = row * tables.hop_length - half
            _window_frame(y, begin, tables.reflect, tables.window, frames[lane])
        r2c(frames, spectrum.T, tables.axes, True, 1.0, 1)
        for k in range(power.shape[0]):
            for lane in range(_LANES):
                value = spectrum[k, lane]
                power[k, lane] = value.real * value.real + value.imag * value.imag
        for m in range(mel.shape[0]):
            first = tables.first_weight[m]
            shift = tables.first_bin[m] - first
            for lane in range(_LANES):
                mel[m, lane] = 0
            for j in range(first, tables.first_weight[m + 1]):
                weight = tables.weights[j]
                for lane in range(_LANES):
                    mel[m, lane] += weight * power[j + shift, lane]
        for m in range(mel.shape[0]):
            for lane in range(min(_LANES, rows.size - batch)):
                out[m, rows[batch + lane]] = np.float32(10) * np.log10(max(_AMIN, mel[m, lane]))


@_kernel
def _cepstrum(levels: _Float, tables: _Tables, scratch: _Scratch, out: _Float) -> None:
    """Raise the levels in dB, (n_mels, frames), to the floor and transform them into `out`."""
    n_mels, frames = levels.shape
    peak = levels[0, 0]
    for m in range(n_mels):
        for t in range(frames):
            peak = max(peak, levels[m, t])
    floor = peak - tables.top_db
    # Summed in float64: where most bands lie at the floor, float32 rounds 128 equal terms all the
    # same way, and the first coefficient comes out wrong by 8e-4.
    column, sums = scratch.column, scratch.cepstrum
    for start in range(0, frames, _DCT_FRAMES):
        count = min(_DCT_FRAMES, frames - start)
        sums[:] = 0
        for m in range(n_mels):
            # Beyond `count` stands what was there before: it only reaches sums that nobody reads.
            for t in range(count):
                column[t] = max(floor, levels[m, start + t])
            for c in range(sums.shape[0]):
                factor = tables.dct[m, c]
                for t in range(_DCT_FRAMES):
                    sums[c, t] += factor * column[t]
        for c in range(sums.shape[0]):
            for t in range(count):
                out[c, start + t] = sums[c, t]


@_kernel
def _slide(samples: _Float, count: int, levels: _Float, first: int, end: int, frames: int) -> None:
    """Drop the oldest `count` samples, and move the rows [first, end) down by `frames`."""
    for i in range(samples.size - count):
        samples[i] = samples[i + count]
    for m in range(levels.shape[0]):
        for t in range(first, end - frames):
            levels[m, t] = levels[m, t + frames]


def _signal(name: str, y: _Float) -> None:
    if y.ndim != 1:
        raise ValueError(f"{name} has shape {y.shape}, must be one-dimensional (mono)")
    if y.dtype != np.float32:
        raise ValueError(f"{name} has dtype {y.dtype}, must be float32")


def mfcc(y: _Float, settings: FeatureSettings) -> _Float:
    """MFCCs of a whole signal.

    Parameters
    ----------
    y : ndarray of float32, shape (n,)
        Mono signal at ``settings.sample_rate``. With `pad_mode` "reflect" longer than half a
        frame, ``n > n_fft / 2``; with "constant" not empty.
    settings : FeatureSettings
        Its `patch_samples` plays no part here.

    Returns
    -------
    ndarray of float32, shape (n_mfcc, 1 + n // hop_length)
        Frame t is centred on sample ``t * hop_length``.

    Raises
    ------
    ValueError
        `y` is not one-dimensional, not float32, or too short.

    Notes
    -----
    Agrees with ``librosa.feature.mfcc`` of the same settings. May be called from several threads
    at once.

    Examples
    --------
    >>> from kikiwake.features.settings import ORIGIN
    >>> mfcc(np.zeros(22050, np.float32), ORIGIN).shape
    (44, 44)
    """
    _signal("y", y)
    least = settings.n_fft // 2 + 1 if settings.pad_mode == "reflect" else 1
    if y.size < least:
        raise ValueError(
            f"y has {y.size} samples, must have at least {least} "
            f"(n_fft={settings.n_fft}, pad_mode={settings.pad_mode!r})"
        )
    # Writeable too: read-only arrays are a type of their own to Numba and would compile again.
    y = np.require(y, requirements=["C", "A", "W"])
    tables, scratch = _tables(settings), _scratch(settings)
    frames = 1 + y.size // settings.hop_length
    levels = np.empty((settings.n_mels, frames), np.float32)
    out = np.empty((settings.n_mfcc, frames), np.float32)
    _log_mel(y, np.arange(frames), tables, scratch, levels)
    _cepstrum(levels, tables, scratch, out)
    return out


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
    samples_seen : int
        Samples of the stream taken so far. While a patch is being handled it is the number of the
        sample that this patch ends with.

    Raises
    ------
    ValueError
        `hop_frames` is not positive.

    Notes
    -----
    Allocates and compiles in ``__init__`` only. ``process``, ``reset``: no lock, no I/O, one
    thread; `block` is not kept. Samples that are not finite spoil the patches that cover them and
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
        self.samples_seen = 0
        self._hop_frames = hop_frames
        self._tables = _tables(settings)
        self._scratch = _scratch(settings)
        # The last patch, then the samples that came after it.
        self._samples = np.zeros(settings.patch_samples + self.hop_samples, np.float32)
        self._last_patch = self._samples[: settings.patch_samples]
        # The rows that no edge of the patch touches are [first, end). From one patch to the next
        # they move down by hop_frames, and all others are to be done.
        half = settings.n_fft // 2
        self._first = -(-half // settings.hop_length)
        self._end = max(self._first, (settings.patch_samples - half) // settings.hop_length + 1)
        rows = np.arange(settings.patch_frames)
        self._all_rows = rows
        self._rows = rows[(rows < self._first) | (rows >= self._end - hop_frames)]
        self._levels = np.empty((settings.n_mels, rows.size), np.float32)
        self._patch = np.empty((settings.n_mfcc, rows.size), np.float32)
        self.reset()
        # Loads, or the first time compiles, what reset has not called: on silence, to no effect.
        _slide(self._samples, self.hop_samples, self._levels, self._first, self._end, hop_frames)
        _cepstrum(self._levels, self._tables, self._scratch, self._patch)

    def reset(self) -> None:
        """Forget the stream: as just built."""
        self.samples_seen = 0
        self._samples[:] = 0
        # The rows of the silence before the stream, of which the first patches keep some.
        _log_mel(self._last_patch, self._all_rows, self._tables, self._scratch, self._levels)

    def process(self, block: _Float) -> Iterator[_Float]:
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
        _signal("block", block)
        return self._patches(block)

    def process_hop(self, hop: _Float) -> _Float:
        """Take exactly the next hop of the stream and give the patch that it completes.

        Parameters
        ----------
        hop : ndarray of float32, shape (hop_samples,)
            Samples from one patch's end to the next one's. Neither written to nor kept.

        Returns
        -------
        ndarray of float32, shape (n_mfcc, patch_frames)
            Always the same array, which holds the patch until the next one.

        Raises
        ------
        ValueError
            `hop` has another shape, is not float32, or begins in the middle of a hop.
        """
        _signal("hop", hop)
        pending = self.samples_seen % self.hop_samples
        if pending or hop.size != self.hop_samples:
            raise ValueError(
                f"hop has {hop.size} samples after {pending} of an unfinished hop, "
                f"must have hop_samples={self.hop_samples} after none"
            )
        self._samples[self._last_patch.size :] = hop
        self.samples_seen += hop.size
        self._advance()
        return self._patch

    def _patches(self, block: _Float) -> Iterator[_Float]:
        at = 0
        while at < block.size:
            pending = self.samples_seen % self.hop_samples
            count = min(self.hop_samples - pending, block.size - at)
            begin = self._last_patch.size + pending
            self._samples[begin : begin + count] = block[at : at + count]
            at += count
            self.samples_seen += count
            if pending + count == self.hop_samples:
                self._advance()
                yield self._patch

    def _advance(self) -> None:
        _slide(
            self._samples, self.hop_samples, self._levels, self._first, self._end, self._hop_frames
        )
        _log_mel(self._last_patch, self._rows, self._tables, self._scratch, self._levels)
        _cepstrum(self._levels, self._tables, self._scratch, self._patch)
