"""From a trained network to the int8 network of a cast. Needs the extra ``train``."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..models.runner import load_interpreter

if TYPE_CHECKING:
    import keras

REPRESENTATIVE = 500


def to_int8(model: keras.Model, representative: NDArray[np.float32]) -> bytes:
    """Quantize a network fully to int8: weights, activations, input and output.

    Parameters
    ----------
    model : keras.Model
        In float32.
    representative : ndarray of float32, shape (n, n_mfcc, patch_frames, 1)
        Standardised patches from *training* data; the ranges of the activations are read off
        them.

    Returns
    -------
    bytes
        The ``.tflite`` model.

    Raises
    ------
    ValueError
        If an operation or tensor could not be brought to int8.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    import tensorflow as tf

    def samples() -> Iterator[list[NDArray[np.float32]]]:
        for patch in representative[:REPRESENTATIVE]:
            yield [patch[None]]

    # By way of a saved model: from_keras_model looks for the Keras 2 that TensorFlow once held.
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda patch: model(patch, training=False),
        [keras.InputSpec(shape=(1, *model.input_shape[1:]), dtype="float32")],
    )
    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        network = _convert(tf, converter, samples)
    foreign = sorted(non_int8_tensors(network))
    if foreign:
        raise ValueError(f"not fully int8: {', '.join(foreign[:5])}")
    return network


def _convert(tf: Any, converter: Any, samples: Callable[[], Iterator[object]]) -> bytes:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    network: bytes = converter.convert()
    return network


def non_int8_tensors(network: bytes) -> list[str]:
    """Names of the tensors that are neither int8 nor, as biases and shapes are, int32."""
    interpreter = load_interpreter(network)
    return [
        f"{tensor['name']} ({np.dtype(tensor['dtype']).name})"
        for tensor in interpreter.get_tensor_details()
        if tensor["dtype"] not in (np.int8, np.int32) and tensor["name"]
    ]


def operations(network: bytes) -> dict[str, int]:
    """Count the operations of a ``.tflite`` model by name."""
    interpreter: Any = load_interpreter(network)
    counts: dict[str, int] = {}
    for operation in interpreter._get_ops_details():
        counts[operation["op_name"]] = counts.get(operation["op_name"], 0) + 1
    return counts


def best_temperature(logits: NDArray[np.float32], label: NDArray[np.int64]) -> float:
    """Temperature that makes the softmax of held-out logits most likely.

    Parameters
    ----------
    logits : ndarray of float32, shape (n, n_classes)
        Of patches that training has not seen.
    label : ndarray of int64, shape (n,)
        Their classes.

    Returns
    -------
    float
        0.2 to 5.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_temperature: float) -> float:
        scores = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(scores[np.arange(len(label)), label].mean())

    found = minimize_scalar(loss, bounds=(np.log(0.2), np.log(5)), method="bounded")
    return float(np.exp(found.x))
