"""From any number of channels to one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..jit import compiled

# 18 dB over full scale. What is louder is no sound, and would overflow further on.
LOUDEST = np.float32(8.0)
_kernel = compiled()


@_kernel
def _mix(block: NDArray[np.float32], mono: NDArray[np.float32]) -> int:
    channels = block.shape[1]
    share = np.float32(1.0 / channels)
    bad = 0
    for i in range(block.shape[0]):
        # One channel after the other: the mean must not depend on the block's length.
        total = np.float32(0)
        for channel in range(channels):
            sample = block[i, channel]
            if np.isfinite(sample):
                total += min(max(sample, -LOUDEST), LOUDEST)
            else:
                bad += 1
        mono[i] = total * share
    return bad


def to_mono(block: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Average the channels of a block.

    Parameters
    ----------
    block : ndarray of float32, shape (n, channels)
        Samples, full scale 1.0. NaN and infinity are read as 0; what is more than 18 dB over full
        scale is clipped. Not changed.

    Returns
    -------
    mono : ndarray of float32, shape (n,)
        The mean of the channels.
    bad : int
        How many samples were not finite.
    """
    # Writeable too: read-only arrays are a type of their own to Numba and would compile again.
    block = np.require(block, np.float32, ["C", "A", "W"])
    mono = np.empty(len(block), np.float32)
    return mono, int(_mix(block, mono))
