"""The compiled part of the features: tables and scratch memory in, arrays filled.

A frame comes out the same, bit for bit, whichever frames are computed beside it: frames are
transformed in batches of always `LANES`, each lane on its own, so that the vectorised FFT treats
all alike. (That is also what makes it fast.) Whole signals, streams and patches all go through
these kernels, which is why they agree.

All kernels stand in this one file, since Numba's cache notices changes of a kernel's own file only.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import rocket_fft
from numpy.typing import NDArray
from rocket_fft import r2c

from ..jit import compiled
from .mel import dct_matrix, hann, lifter_weights, mel_filters
from .settings import FeatureSettings

Float = NDArray[np.float32]
Int = NDArray[np.int64]
_Double = NDArray[np.float64]
_kernel = compiled(uses=[rocket_fft])

# Frames per batch: a multiple of the vector widths that the FFT is built for (4 and 8 float32).
LANES = 8
# Frames per pass of the DCT, and bands that it sums in float32 before going on in float64.
_DCT_FRAMES = 64
_DCT_BANDS = 32
_AMIN = np.float32(1e-10)
# No level is lower: 10 log10(_AMIN).
_LOWEST_DB = np.float32(-100.0)
_INF = np.float32(np.inf)
_DB_PER_NEPER = np.float32(10 / np.log(10))
_DB_PER_OCTAVE = np.float32(10 * np.log10(2))
# Bits of the float32 sqrt(1/2), from where the logarithm's polynomial is good for an octave.
_SQRT_HALF = np.int32(0x3F3504F3)
_MANTISSA_BITS = np.int32(23)


class Tables(NamedTuple):
    """What the kernels need to know, from the settings alone. Shared, never written to."""

    hop_length: int
    reflect: bool
    top_db: np.float32  # infinite for none
    window: Float  # (n_fft,)
    weights: Float  # filters without their zeros, one after the other
    first_bin: Int  # (n_mels,): the bin that a filter's first weight is for
    first_weight: Int  # (n_mels + 1,): where a filter's weights begin; the last is their number
    dct: Float  # (n_mels, n_mfcc), lifter included
    dct_of_one: _Double  # (n_mfcc,): what a level of 1 dB in every band comes to
    axes: Int  # (1,): the axis of `Scratch.frames` to transform, as the FFT wants it


class Scratch(NamedTuple):
    """What the kernels write on the way. One for each thread."""

    frames: Float  # (LANES, n_fft)
    spectrum: NDArray[np.complex64]  # (n_fft // 2 + 1, LANES)
    parts: Float  # the same memory: real, imaginary, real, ...
    power: Float  # (n_fft // 2 + 1, LANES)
    mel: Float  # (n_mels, LANES)
    mean: Float  # (_DCT_FRAMES,)
    level: Float  # (_DCT_FRAMES,): of one band, above the mean
    partial: Float  # (n_mfcc, _DCT_FRAMES)
    cepstrum: _Double  # (n_mfcc, _DCT_FRAMES)


@lru_cache(maxsize=16)
def tables(settings: FeatureSettings) -> Tables:
    """Make the tables of some settings, or give those made before."""
    filters = mel_filters(
        sample_rate=settings.sample_rate,
        n_fft=settings.n_fft,
        n_mels=settings.n_mels,
        fmin=settings.fmin,
        fmax=settings.top_hz,
        htk=settings.htk,
        norm=settings.mel_norm,
    ).astype(np.float32)
    spans = [np.flatnonzero(row) for row in filters]
    dct = dct_matrix(
        settings.n_mfcc,
        settings.n_mels,
        dct_type=settings.dct_type,
        ortho=settings.norm == "ortho",
    )
    dct *= lifter_weights(settings.n_mfcc, settings.lifter)[:, None]
    return Tables(
        hop_length=settings.hop_length,
        reflect=settings.pad_mode == "reflect",
        top_db=_INF if settings.top_db is None else np.float32(settings.top_db),
        window=hann(settings.n_fft).astype(np.float32),
        weights=filters[filters != 0],
        first_bin=np.array([span[0] if span.size else 0 for span in spans], np.int64),
        first_weight=np.cumsum([0, *(span.size for span in spans)], dtype=np.int64),
        dct=np.ascontiguousarray(dct.T, np.float32),
        dct_of_one=dct.sum(axis=1),
        axes=np.array([1], np.int64),
    )


def scratch(settings: FeatureSettings) -> Scratch:
    """Make scratch memory for some settings."""
    bins = settings.n_fft // 2 + 1
    spectrum = np.zeros((bins, LANES), np.complex64)
    return Scratch(
        frames=np.zeros((LANES, settings.n_fft), np.float32),
        spectrum=spectrum,
        parts=spectrum.view(np.float32).reshape(-1),
        power=np.zeros((bins, LANES), np.float32),
        mel=np.zeros((settings.n_mels, LANES), np.float32),
        mean=np.zeros(_DCT_FRAMES, np.float32),
        level=np.zeros(_DCT_FRAMES, np.float32),
        partial=np.zeros((settings.n_mfcc, _DCT_FRAMES), np.float32),
        cepstrum=np.zeros((settings.n_mfcc, _DCT_FRAMES)),
    )


@_kernel
def _window_frame(
    y: Float, start: int, size: int, begin: int, reflect: bool, window: Float, out: Float
) -> None:
    """Write a frame times the window; beyond the signal's ends it goes on as the padding says."""
    if begin >= 0 and begin + window.size <= size:
        frame = y[begin - start : begin - start + window.size]
        for i in range(window.size):
            out[i] = window[i] * frame[i]
        return
    for i in range(window.size):
        at = begin + i
        if reflect:
            # Once is enough: the signal is longer than the half frame that can stand out.
            if at < 0:
                at = -at
            elif at >= size:
                at = 2 * size - 2 - at
            out[i] = window[i] * y[at - start]
        else:
            out[i] = window[i] * y[at - start] if 0 <= at < size else np.float32(0)


@_kernel
def _bits(value: Any) -> Any:
    return np.float32(value).view(np.int32)


@_kernel
def _from_bits(bits: Any) -> Any:
    return np.int32(bits).view(np.float32)


@_kernel
def _to_db(power: Float) -> None:
    """Replace powers by levels in dB, 10 log10 and at least `_LOWEST_DB`; one vector loop.

    The natural logarithm of the mantissa is the polynomial of S. Moshier's Cephes, `logf`; within
    1e-5 dB of the exact level. NaN and infinity stay what they are.
    """
    for i in range(power.size):
        value = power[i]
        x = _AMIN if value < _AMIN else value
        bits = _bits(x)
        octaves = np.int32(bits - _SQRT_HALF) >> _MANTISSA_BITS
        m = _from_bits(bits - np.int32(octaves << _MANTISSA_BITS)) - np.float32(1)
        p = np.float32(7.0376836292e-2)
        p = p * m + np.float32(-1.1514610310e-1)
        p = p * m + np.float32(1.1676998740e-1)
        p = p * m + np.float32(-1.2420140846e-1)
        p = p * m + np.float32(1.4249322787e-1)
        p = p * m + np.float32(-1.6668057665e-1)
        p = p * m + np.float32(2.0000714765e-1)
        p = p * m + np.float32(-2.4999993993e-1)
        p = p * m + np.float32(3.3333331174e-1)
        nepers = m + (m * (m * m) * p - np.float32(0.5) * (m * m))
        level = nepers * _DB_PER_NEPER + np.float32(octaves) * _DB_PER_OCTAVE
        power[i] = level if x < _INF else x


@_kernel
def mel_frames(
    y: Float,
    start: int,
    size: int,
    frames: Int,
    first: int,
    in_db: bool,
    tables: Tables,
    scratch: Scratch,
    out: Float,
) -> None:
    """Fill columns of `out`, shape (n_mels, any), with mel powers or levels.

    `y` holds the samples from number `start` of a signal that has `size` of them; frame t goes to
    column ``t - first``.
    """
    half = tables.window.size // 2
    parts, mel = scratch.parts, scratch.mel
    power = scratch.power
    flat_power, flat_mel = power.reshape(-1), mel.reshape(-1)
    for batch in range(0, frames.size, LANES):
        for lane in range(LANES):
            # The last batch is filled up with its last frame, for the FFT to see LANES always.
            begin = frames[min(batch + lane, frames.size - 1)] * tables.hop_length - half
            _window_frame(
                y, start, size, begin, tables.reflect, tables.window, scratch.frames[lane]
            )
        r2c(scratch.frames, scratch.spectrum.T, tables.axes, True, 1.0, 1)
        for k in range(flat_power.size):
            flat_power[k] = parts[2 * k] * parts[2 * k] + parts[2 * k + 1] * parts[2 * k + 1]
        for m in range(mel.shape[0]):
            begin = tables.first_weight[m]
            shift = tables.first_bin[m] - begin
            for lane in range(LANES):
                mel[m, lane] = 0
            for j in range(begin, tables.first_weight[m + 1]):
                weight = tables.weights[j]
                for lane in range(LANES):
                    mel[m, lane] += weight * power[j + shift, lane]
        if in_db:
            _to_db(flat_mel)
        for m in range(mel.shape[0]):
            for lane in range(min(LANES, frames.size - batch)):
                out[m, frames[batch + lane] - first] = mel[m, lane]


@_kernel
def cepstrum(levels: Float, tables: Tables, scratch: Scratch, out: Float) -> None:
    """Raise the levels in dB, (n_mels, frames), to the floor and transform them into `out`."""
    n_mels, frames = levels.shape
    floor = _LOWEST_DB
    if tables.top_db < _INF:
        peak = floor
        for m in range(n_mels):
            for t in range(frames):
                # In this order a NaN is passed over: it spoils its own frame and no other.
                peak = max(peak, levels[m, t])
        floor = max(floor, peak - tables.top_db)
    # What is transformed is the difference to the frame's mean, which is small and adds little
    # rounding error; float64 takes over before the sums of float32 get long.
    mean, level, partial, sums = scratch.mean, scratch.level, scratch.partial, scratch.cepstrum
    for start in range(0, frames, _DCT_FRAMES):
        # Beyond `count` stands what was there before: only sums that nobody reads get it.
        count = min(_DCT_FRAMES, frames - start)
        mean[:] = 0
        for m in range(n_mels):
            for t in range(count):
                value = levels[m, start + t]
                mean[t] += floor if value < floor else value
        for t in range(count):
            mean[t] /= np.float32(n_mels)
        # Whole vectors, and no more of them than there are frames for.
        width = (count + LANES - 1) // LANES * LANES
        sums[:] = 0
        for first in range(0, n_mels, _DCT_BANDS):
            partial[:] = 0
            for m in range(first, min(first + _DCT_BANDS, n_mels)):
                for t in range(count):
                    value = levels[m, start + t]
                    level[t] = (floor if value < floor else value) - mean[t]
                for c in range(partial.shape[0]):
                    factor = tables.dct[m, c]
                    for t in range(width):
                        partial[c, t] += factor * level[t]
            for c in range(partial.shape[0]):
                for t in range(width):
                    sums[c, t] += partial[c, t]
        for c in range(sums.shape[0]):
            for t in range(count):
                out[c, start + t] = sums[c, t] + mean[t] * tables.dct_of_one[c]


@_kernel
def move_columns(levels: Float, first: int, end: int, frames: int) -> None:
    """Move the columns [first, end) down by `frames`, over the oldest of them."""
    for m in range(levels.shape[0]):
        for t in range(first, end - frames):
            levels[m, t] = levels[m, t + frames]


@_kernel
def move_down(samples: Float, begin: int, end: int) -> None:
    """Move the samples [begin, end) to the front. NumPy would allocate where the two overlap."""
    for i in range(end - begin):
        samples[i] = samples[begin + i]
