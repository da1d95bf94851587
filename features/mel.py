"""The constant tables of an MFCC: window, mel filter bank, discrete cosine transform.

All are computed in float64; whoever needs float32 rounds once, at the end.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Slaney's scale: linear to 1 kHz, then 27 steps for each factor of 6.4.
_HZ_PER_MEL = 200.0 / 3
_BREAK_HZ = 1000.0
_BREAK_MEL = _BREAK_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert frequencies to Slaney's mel scale.

    Parameters
    ----------
    hz : ndarray, non-negative
        Frequencies in Hz.

    Returns
    -------
    ndarray, same shape
        In mel: linear up to 1 kHz (15 mel), logarithmic above.

    Notes
    -----
    M. Slaney, *Auditory Toolbox*, technical report 1998-010, Interval Research Corporation;
    ``librosa.hz_to_mel(htk=False)``.

    Examples
    --------
    >>> hz_to_mel(np.array([0.0, 1000.0, 6400.0])).round(6).tolist()
    [0.0, 15.0, 42.0]
    """
    above = _BREAK_MEL + np.log(np.maximum(hz, _BREAK_HZ) / _BREAK_HZ) / _LOG_STEP
    return np.where(hz >= _BREAK_HZ, above, hz / _HZ_PER_MEL)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert Slaney's mel scale to frequencies in Hz: the inverse of `hz_to_mel`.

    Parameters
    ----------
    mel : ndarray, non-negative
        In mel.

    Returns
    -------
    ndarray, same shape
        In Hz.
    """
    above = _BREAK_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _BREAK_MEL) - _BREAK_MEL))
    return np.where(mel >= _BREAK_MEL, above, mel * _HZ_PER_MEL)


def mel_filters(
    *, sample_rate: float, n_fft: int, n_mels: int, fmin: float, fmax: float
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

    Returns
    -------
    ndarray, shape (n_mels, n_fft // 2 + 1)
        Weights in 1/Hz: every triangle has an area of 1 (Slaney's norm). A band narrower than
        the spacing of the spectrum can be all zero.

    Notes
    -----
    The definition of ``librosa.filters.mel(htk=False, norm="slaney")``.
    """
    bins = np.arange(n_fft // 2 + 1) * (sample_rate / n_fft)
    low, high = hz_to_mel(np.array([fmin, fmax], np.float64))
    edges = mel_to_hz(np.linspace(low, high, n_mels + 2))
    width = np.diff(edges)[:, None]
    from_edge = bins - edges[:, None]
    rising = from_edge[:-2] / width[:-1]
    falling = -from_edge[2:] / width[1:]
    area = (edges[2:] - edges[:-2])[:, None] / 2
    filters: NDArray[np.float64] = np.maximum(0, np.minimum(rising, falling)) / area
    return filters


def dct_matrix(n_out: int, n_in: int) -> NDArray[np.float64]:
    """Orthonormal discrete cosine transform of type II, as a matrix.

    Parameters
    ----------
    n_out : int in [1, n_in]
        Coefficients kept, from the lowest.
    n_in : int > 0
        Values transformed.

    Returns
    -------
    ndarray, shape (n_out, n_in)
        ``matrix @ x`` is ``scipy.fft.dct(x, type=2, norm="ortho")[:n_out]``.
    """
    k = np.arange(n_out)[:, None]
    n = np.arange(n_in)
    matrix: NDArray[np.float64] = np.cos(np.pi / n_in * (n + 0.5) * k) * np.sqrt(2 / n_in)
    matrix[0] /= np.sqrt(2)
    return matrix


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
