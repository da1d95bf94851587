"""What a voice sounds like, as a vector: Resemblyzer's speaker encoder, in NumPy.

The encoder has learnt from thousands of people what tells voices apart, by the generalized
end-to-end loss [1]_: vectors of one voice are near to each other, whatever it says. It hears 1.6 s
at a time, takes more than a hundred times as long as naming does, and knows no names, so that it is
of no use live. The workshop asks it which clips are alike, and has the networks that it trains
learn to give its vectors besides the names.

The weights, ``models/voice_encoder.npz``, are those of Resemblyzer [2]_, rounded to float16 by
`kikiwake.tools.starter.encoder`.

References
----------
.. [1] Wan, Wang, Papir, Lopez Moreno, "Generalized End-to-End Loss for Speaker Verification",
   ICASSP 2018.
.. [2] https://github.com/resemble-ai/Resemblyzer, ``voice_encoder.py`` and ``audio.py``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from ..features.mfcc import least_samples, melspectrogram
from ..features.settings import FeatureSettings
from .clips import resample

_Float = NDArray[np.float32]

LENGTH = 256
"""Of a vector."""
WINDOW_S = 1.6
"""What a vector is of, in seconds."""
HOP_S = 0.8
"""From one window to the next, in seconds."""

# The cosine transform and the patch play no part.
_MEL = FeatureSettings(
    sample_rate=16_000,
    n_fft=400,
    hop_length=160,
    n_mels=40,
    n_mfcc=40,
    pad_mode="constant",
    patch_samples=16_000,
)
_FRAMES_A_S = _MEL.sample_rate / _MEL.hop_length
_WINDOW = round(WINDOW_S * _FRAMES_A_S)
_HOP = round(HOP_S * _FRAMES_A_S)
# What is quieter is made as loud as this.
_LEVEL = 10 ** (-30 / 20)
_LAYERS = 3
_BATCH = 64
# The matrices are small: more threads than one wait for each other, and where another program
# computes they wait long. Found here, before there are threads: threadpoolctl opens libraries under
# a lock of the linker's, and waits for ever for a thread that is loading one, such as PortAudio.
_THREADS = ThreadpoolController()


class VoiceEncoder:
    """The encoder, loaded."""

    def __init__(self) -> None:
        source = files("kikiwake.models") / "voice_encoder.npz"
        with source.open("rb") as file, np.load(file, allow_pickle=False) as found:
            weights = {name: found[name].astype(np.float32) for name in found.files}
        self._layers = [
            tuple(_for_tanh(weights[f"{name}_{n}"]) for name in ("input", "hidden", "bias"))
            for n in range(_LAYERS)
        ]
        self._last = weights["projection"], weights["projection_bias"]

    def listen(self, sounds: Sequence[_Float], sample_rate: int) -> list[_Float]:
        """Make vectors of sounds, one for each 0.8 s.

        Parameters
        ----------
        sounds : sequence of ndarray of float32, shape (n,)
            Mono, one voice alone in each. What is shorter than a window is heard over and over.
        sample_rate : int > 0
            In Hz.

        Returns
        -------
        list of ndarray of float32, shape (windows, LENGTH)
            For each sound at least one; of length 1, no number negative.
        """
        windows = [_windows(y, sample_rate) for y in sounds]
        counts = np.cumsum([len(some) for some in windows])
        joined = np.concatenate(windows)
        with _THREADS.limit(limits=1, user_api="blas"):
            vectors = [
                self._encode(joined[at : at + _BATCH].swapaxes(0, 1))
                for at in range(0, len(joined), _BATCH)
            ]
        return np.split(np.concatenate(vectors), counts[:-1])

    def _encode(self, x: _Float) -> _Float:
        """Encode mel windows, shape (frames, windows, bands)."""
        frames, windows, _ = x.shape
        for from_input, from_hidden, bias in self._layers:
            given = x.reshape(frames * windows, -1) @ from_input + bias
            given = given.reshape(frames, windows, -1)
            n = len(from_hidden)
            x = np.empty((frames, windows, n), np.float32)
            gates = np.zeros((windows, 4 * n), np.float32)
            cell, hidden = np.zeros((2, windows, n), np.float32)
            for frame in range(frames):
                np.matmul(hidden, from_hidden, out=gates)
                gates += given[frame]
                np.tanh(gates, out=gates)
                gates[:, : 3 * n] *= 0.5
                gates[:, : 3 * n] += 0.5
                take, keep, give, new = (gates[:, at : at + n] for at in range(0, 4 * n, n))
                cell *= keep
                cell += take * new
                hidden = x[frame]
                np.multiply(give, np.tanh(cell), out=hidden)
        kernel, bias = self._last
        vectors: _Float = np.maximum(x[-1] @ kernel + bias, 0)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        return vectors


def _windows(y: _Float, sample_rate: int) -> _Float:
    """Mel spectra of the windows of a sound, shape (windows, frames, bands)."""
    y = resample(y, sample_rate, _MEL.sample_rate)
    y = np.pad(y, (0, max(0, least_samples(_MEL) - len(y))))
    level = max(float(np.sqrt(np.mean(np.square(y, dtype=np.float64)))), 1e-9)
    mel = melspectrogram(y * np.float32(max(1.0, _LEVEL / level)), _MEL).T
    if len(mel) < _WINDOW:
        mel = np.resize(mel, (_WINDOW, _MEL.n_mels))
    windows: _Float = np.lib.stride_tricks.sliding_window_view(mel, _WINDOW, axis=0)[::_HOP]
    return windows.swapaxes(1, 2)


def _for_tanh(weights: _Float) -> _Float:
    """Prepare a layer's weights for a single function: sigmoid(x) is 0.5 + 0.5 tanh(0.5 x).

    From PyTorch's order of the gates, the new value being third, to one with that last.
    """
    take, keep, new, give = np.split(weights, 4, axis=-1)
    out: _Float = np.concatenate([0.5 * take, 0.5 * keep, 0.5 * give, new], axis=-1)
    return out


@functools.cache
def voice_encoder() -> VoiceEncoder:
    """Load the encoder; once."""
    return VoiceEncoder()
