"""How alike the voices of clips are, without knowing whose they are.

A clip becomes a vector by what the voice encoder makes of it, averaged over the clip. What all
clips of a collection have in common (a show's music, a codec) is taken from it, and of what is left
the directions are kept in which the clips differ most: those between the voices.

Vectors are kept in a file in the folder of the clips, so that each clip is listened to once.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..files import write_file
from .clips import ClipError
from .voice_encoder import LENGTH, voice_encoder

_Float = NDArray[np.float32]

_DIMENSIONS = 16  # kept
LONGEST_S = 20.0
"""No more than this of a clip is listened to, in seconds."""
KEY = "2 voice_encoder"
"""Of vectors that can be compared to these."""


def clip_vector(y: _Float, sample_rate: int) -> _Float:
    """Listen to a clip.

    Parameters
    ----------
    y : ndarray of float32, shape (n,)
        Mono.
    sample_rate : int > 0
        In Hz.

    Returns
    -------
    ndarray of float32, shape (LENGTH,)
        For `unit_vectors`.
    """
    y = y[: round(LONGEST_S * sample_rate)]
    vector: _Float = voice_encoder().listen([y], sample_rate)[0].mean(axis=0)
    return vector


class VectorFile:
    """Vectors of clips on disk. It may be removed at any time: they are made again.

    Parameters
    ----------
    path : Path
        Of the file; need not exist. One with another key, or a damaged one, is begun anew.
    names : iterable of str
        Of the clips there are. Vectors of others are forgotten.
    """

    def __init__(self, path: Path, names: Iterable[str]) -> None:
        self._path = path
        self._vectors: dict[str, _Float] = {}
        self._saved = 0
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                if str(found["key"]) == KEY:
                    known = zip(found["names"].tolist(), found["vectors"], strict=True)
                    wanted = set(names)
                    self._vectors = {
                        name: vector.reshape(LENGTH) for name, vector in known if name in wanted
                    }
                    self._saved = len(self._vectors)
        except FileNotFoundError:
            pass
        except Exception:  # a damaged archive may raise anything
            self._vectors = {}  # it is made again

    def get(self, name: str) -> _Float | None:
        """Give the vector of a clip, if it is known."""
        return self._vectors.get(name)

    def put(self, name: str, vector: _Float) -> None:
        """Take the vector of a clip."""
        self._vectors[name] = vector

    def save(self) -> None:
        """Write all that there is, if any of it is new.

        Raises
        ------
        ClipError
            It cannot be written.
        """
        if len(self._vectors) == self._saved:
            return
        data = io.BytesIO()
        np.savez(
            data,
            key=np.array(KEY),
            names=np.array(list(self._vectors)),
            vectors=np.array(list(self._vectors.values())),
        )
        try:
            write_file(self._path, data.getvalue())
        except OSError as error:
            raise ClipError(f"{self._path}: cannot be written: {error.strerror}") from None
        self._saved = len(self._vectors)


def unit_vectors(vectors: NDArray[np.float32]) -> _Float:
    """Turn what a collection's clips sound like into vectors whose product is their likeness.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n, LENGTH)
        Of `clip_vector`, of a whole collection; NaN for a clip that has none.

    Returns
    -------
    ndarray of float32, shape (n, dimensions)
        Of length 1; of length 0 for a clip that has none.
    """
    known = np.isfinite(vectors[:, 0])
    out = np.zeros((len(vectors), _DIMENSIONS), np.float32)
    if known.any():
        own = vectors[known].astype(np.float64)
        own -= own.mean(axis=0)
        _, directions = np.linalg.eigh(own.T @ own)
        turned = own @ directions[:, ::-1][:, :_DIMENSIONS]
        # Of clips that are all the same nothing is left.
        out[known] = turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-9)
    return out


def nearest(units: _Float, count: int) -> tuple[NDArray[np.int32], _Float]:
    """Find the clips that are most like each clip.

    Parameters
    ----------
    units : ndarray of float32, shape (n, dimensions)
        Of `unit_vectors`.
    count : int > 0
        How many, at most.

    Returns
    -------
    numbers : ndarray of int32, shape (n, min(count, n - 1))
        Of those clips, the likest first.
    likeness : ndarray of float32, shape (n, min(count, n - 1))
        To them.
    """
    count = min(count, len(units) - 1)
    numbers = np.empty((len(units), max(0, count)), np.int32)
    likeness = np.empty(numbers.shape, np.float32)
    if count <= 0:
        return numbers, likeness
    for begin in range(0, len(units), 256):
        some = units[begin : begin + 256] @ units.T
        some[np.arange(len(some)), begin + np.arange(len(some))] = -2.0  # not itself
        best = np.argpartition(-some, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(some, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        numbers[begin : begin + 256] = best
        likeness[begin : begin + 256] = np.take_along_axis(some, best, axis=1)
    return numbers, likeness
