"""Runs a cast's network under LiteRT: one patch in, one posterior out."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CastError
from ..jit import compiled
from ..quiet import quiet_stderr
from .cast import Cast

_kernel = compiled()


@_kernel
def _quantize(
    patch: NDArray[np.float32],
    gain: NDArray[np.float32],
    offset: NDArray[np.float32],
    tensor: NDArray[np.int8],
) -> None:
    """Fill a tensor of shape (1, n_mfcc, frames, 1) with the patch, standardised and rounded."""
    for c in range(patch.shape[0]):
        for t in range(patch.shape[1]):
            scaled = np.rint(patch[c, t] * gain[c] + offset[c])
            tensor[0, c, t, 0] = np.int8(min(max(scaled, np.float32(-128)), np.float32(127)))


def load_interpreter(network: bytes, *, threads: int = 1) -> Any:
    """Make a LiteRT interpreter of a ``.tflite`` model.

    Parameters
    ----------
    network : bytes
        The model.
    threads : int > 0
        Threads an operation may use.

    Returns
    -------
    Interpreter
        With its tensors allocated.

    Raises
    ------
    CastError
        If the model cannot be read.
    """
    # Here, not above: it takes a quarter of a second, and training needs none.
    from ai_edge_litert.interpreter import Interpreter

    try:
        with quiet_stderr():  # each interpreter greets on it
            interpreter = Interpreter(model_content=network, num_threads=threads)
            interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise CastError(f"the cast's network cannot be read: {error}") from None
    return interpreter


class CastRunner:
    """The network of a cast, ready to run.

    Parameters
    ----------
    cast : Cast
        See `kikiwake.models.cast.load_cast`.

    Raises
    ------
    CastError
        If the network does not fit the cast's labels or features.

    Notes
    -----
    One thread: at this size a second one costs more than it brings, and the rest of the computer
    belongs to the user. Not for two threads at once.
    """

    def __init__(self, cast: Cast) -> None:
        card = cast.card
        self._interpreter = load_interpreter(cast.network)
        ends = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if any(len(end) != 1 or end[0]["dtype"] not in (np.int8, np.float32) for end in ends):
            raise CastError(
                f"cast {card.name}: its network must have one input and one output, int8 or float32"
            )
        (source,), (sink,) = ends
        shape = (1, card.features.n_mfcc, card.features.patch_frames, 1)
        if tuple(source["shape"]) != shape or tuple(sink["shape"]) != (1, card.n_classes):
            raise CastError(
                f"cast {card.name}: its network takes {tuple(source['shape'])} and gives "
                f"{tuple(sink['shape'])}, need {shape} and {(1, card.n_classes)}"
            )
        self._input: int = source["index"]
        self._output: int = sink["index"]
        self._dtype = source["dtype"]
        in_scale, in_zero = source["quantization"] if self._dtype == np.int8 else (1.0, 0)
        quantized_out = sink["dtype"] == np.int8
        out_scale, out_zero = sink["quantization"] if quantized_out else (1.0, 0)
        self._out_scale = np.float32(out_scale)
        self._out_zero = np.float32(out_zero)
        # (mfcc - mean) / std / in_scale + in_zero, as one multiplication and one addition.
        gain = 1.0 / (np.asarray(card.std) * in_scale)
        self._gain = gain.astype(np.float32)
        self._offset = (in_zero - np.asarray(card.mean) * gain).astype(np.float32)
        self._temperature = card.calibration.temperature
        self._tensor = np.zeros(shape, self._dtype)
        self.posterior(np.zeros(shape[1:3], np.float32))  # compiles, and is slow the first time

    def logits(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network.

        Parameters
        ----------
        patch : ndarray of float32, shape (n_mfcc, patch_frames)
            MFCC of one patch.

        Returns
        -------
        ndarray of float32, shape (n_classes,)

        Raises
        ------
        ValueError
            `patch` has another shape.
        """
        if patch.shape != self._tensor.shape[1:3]:
            raise ValueError(f"patch has shape {patch.shape}, must be {self._tensor.shape[1:3]}")
        if self._dtype == np.int8:
            _quantize(patch, self._gain, self._offset, self._tensor)
        else:
            np.multiply(patch, self._gain[:, None], out=self._tensor[0, :, :, 0])
            self._tensor[0, :, :, 0] += self._offset[:, None]
        self._interpreter.set_tensor(self._input, self._tensor)
        self._interpreter.invoke()
        raw = self._interpreter.get_tensor(self._output)[0].astype(np.float32)
        result: NDArray[np.float32] = (raw - self._out_zero) * self._out_scale
        return result

    def posterior(self, patch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Name the patch.

        Parameters
        ----------
        patch : ndarray of float32, shape (n_mfcc, patch_frames)
            MFCC of one patch.

        Returns
        -------
        ndarray of float32, shape (n_classes,)
            Calibrated probabilities in the order of the cast's characters, background last.

        Raises
        ------
        ValueError
            `patch` has another shape.
        """
        scores = self.logits(patch) / np.float32(self._temperature)
        scores -= scores.max()
        np.exp(scores, out=scores)
        scores /= scores.sum()
        return scores
