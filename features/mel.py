"""The constant tables of an MFCC: window, mel filter bank, discrete cosine transform.

All are computed in float64; whoever needs float32 rounds once, at the end.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

# Slaney's scale: linear to 1 kHz, then 27 steps for each factor of 6.4.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: NDArray[np.float64], *, htk: bool = False) -> NDArray[np.float64]:
    """Convert frequencies to a mel scale.

    Parameters
    ----------
    hz : ndarray, non-negative
        Frequencies in Hz.
    htk : bool
        HTK's scale, ``2595 log10(1 + hz / 700)``, instead of Slaney's: linear up to 1 kHz
        (15 mel), logarithmic above.

    Returns
    -------
    ndarray, same shape
        In mel.

    Notes
    -----
    M. Slaney, *Auditory Toolbox*, technical report 1998-010, Interval Research Corporation;
    S. Young et al., *The HTK Book*, 2006. The definitions of ``librosa.hz_to_mel``.

    Examples
    --------
    >>> hz_to_mel(np.array([0.0, 1000.0, 6400.0])).round(6).tolist()
    [0.0, 15.0, 42.0]
    >>> hz_to_mel(np.array([700.0]), htk=True).round(2).tolist()
    [781.17]
    """
    if htk:
        return 2595.0 * np.log10(1.0 + hz / 700.0)
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz >= _BREAK_HZ, above, hz / _HZ_PER_MEL)


def mel_to_hz(mel: NDArray[np.float64], *, htk: bool = False) -> NDArray[np.float64]:
    """Convert a mel scale to frequencies in Hz: the inverse of `hz_to_mel`.

    Parameters
    ----------
    mel : ndarray, non-negative
        In mel.
    htk : bool
        HTK's scale instead of Slaney's.

    Returns
    -------
    ndarray, same shape
        In Hz.
    """
    if htk:
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0), np.float64)
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel >= _BREAK_MEL, above, mel * _HZ_PER_MEL)


def mel_filters(
    *,
    sample_rate: float,
    n_fft: int,
    n_mels: int,
    fmin: float,
    fmax: float,
    htk: bool = False,
    norm: Literal["slaney"] | None = "slaney",
) -> NDArray[np.float64]:
    """Triangular filters that sum a power spectrum into mel bands.

    Parameters
    ----------
    sample_rate : float > 0
        In Hz.
    n_fft : int > 0
        Length of the analysed frame in samples.
    n_mels : int > 0
        Bands.
    fmin, fmax : float
        Lower edge of the lowest and upper edge of the highest band, in Hz.
    htk : bool
        Bands evenly spaced on HTK's scale instead of Slaney's.
    norm : {"slaney", None}
        Every triangle of area 1, weights in 1/Hz; or of height 1.

    Returns
    -------
    ndarray, shape (n_mels, n_fft // 2 + 1)
        A band narrower than the spacing of the spectrum can be all zero.

    Notes
    -----
    The definition of ``librosa.filters.mel``.
    """
    bins = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    low, high = hz_to_mel(np.array([fmin, fmax], np.float64), htk=htk)
    edges = mel_to_hz(np.linspace(low, high, n_mels + 2), htk=htk)
    width = np.diff(edges)[:, None]
    from_edge = bins - edges[:, None]
    rising = from_edge[:-2] / width[:-1]
    falling = -from_edge[2:] / width[1:]
    filters: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling))
    if norm == "slaney":
        filters /= (edges[2:] - edges[:-2])[:, None] / 2
    return filters


def dct_matrix(
    n_out: int, n_in: int, *, dct_type: Literal[1, 2, 3] = 2, ortho: bool = True
) -> NDArray[np.float64]:
    """Discrete cosine transform as a matrix.

    Parameters
    ----------
    n_out : int in [1, n_in]
        Coefficients kept, from the lowest.
    n_in : int > 0
        Values transformed; at least 2 for type 1.
    dct_type : {1, 2, 3}
        Which of the transforms.
    ortho : bool
        Scaled such that the whole matrix is orthonormal; else as the sums are written down in
        ``scipy.fft.dct``.

    Returns
    -------
    ndarray, shape (n_out, n_in)
        ``matrix @ x`` is ``scipy.fft.dct(x, type, norm="ortho" or None)[:n_out]``.
    """
    k = np.arange(n_out)[:, None]
    n = np.arange(n_in)
    matrix: NDArray[np.float64]
    if dct_type == 1:
        last = n_in - 1
        matrix = 2 * np.cos(np.pi / last * n * k)
        matrix[:, [0, last]] /= 2
        if ortho:
            matrix[:, [0, last]] *= np.sqrt(2)
            matrix /= np.sqrt(2 * last)
            matrix[(k == 0)[:, 0] | (k == last)[:, 0]] /= np.sqrt(2)
        return matrix
    if dct_type == 2:
        matrix = 2 * np.cos(np.pi / n_in * (n + 0.5) * k)
        first = matrix[0]
    else:
        matrix = 2 * np.cos(np.pi / n_in * n * (k + 0.5))
        first = matrix[:, 0]
        first /= 2
    if ortho:
        matrix /= np.sqrt(2 * n_in)
        # The one row (type 2) or column (type 3) that belongs to the constant.
        first *= np.sqrt(1 / 2) if dct_type == 2 else np.sqrt(2)
    return matrix


def lifter_weights(n_mfcc: int, lifter: float) -> NDArray[np.float64]:
    """Sinusoidal weights that bring the higher coefficients to the size of the lower ones.

    Parameters
    ----------
    n_mfcc : int > 0
        Coefficients.
    lifter : float >= 0
        Period L in ``1 + L / 2 sin(pi (k + 1) / L)``; 0 for none.

    Returns
    -------
    ndarray, shape (n_mfcc,)

    Notes
    -----
    B.-H. Juang, L. Rabiner, J. Wilpon, "On the use of bandpass liftering in speech recognition",
    IEEE Transactions on Acoustics, Speech, and Signal Processing 35(7), 1987; as in
    ``librosa.feature.mfcc``.
    """
    if lifter == 0:
        return np.ones(n_mfcc)
    weights: NDArray[np.float64] = 1 + lifter / 2 * np.sin(
        np.pi * np.arange(1, n_mfcc + 1) / lifter
    )
    return weights


def hann(n: int) -> NDArray[np.float64]:
    """Periodic Hann window: one period of a raised cosine.

    Parameters
    ----------
    n : int > 0
        Length in samples.

    Returns
    -------
    ndarray, shape (n,)
        ``scipy.signal.get_window("hann", n)``.
    """
    window: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi / n * np.arange(n))
    return window
