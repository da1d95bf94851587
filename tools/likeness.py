"""How alike the voices of clips are, without knowing whose they are.

A clip becomes a vector of two parts: statistics of its MFCCs where it is loud, and what the network
of the starter cast makes of it before it names anybody, averaged over the clip. That network has
learnt what tells voices apart. Both parts are then turned by what the collection itself shows:
the pieces of one clip are the same voice, so whatever differs between them (the words) is made to
count little, and what differs between clips all the more.

Vectors are kept in a file in the folder of the clips, so that each clip is listened to once.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soxr
from numpy.typing import NDArray

from ..features.mfcc import least_samples, mfcc
from ..features.settings import FeatureSettings
from ..files import write_file
from ..models.cast import load_cast
from ..quiet import quiet_stderr
from .clips import ClipError

_Float = NDArray[np.float32]

# 20 coefficients, of which the first is the level: its mean says nothing about the voice.
_SPECTRUM = FeatureSettings(
    sample_rate=16_000,
    n_fft=512,
    hop_length=160,
    n_mels=40,
    n_mfcc=20,
    fmin=60.0,
    fmax=7600.0,
    pad_mode="constant",
    patch_samples=8000,
)
_STATISTICS = 3 * _SPECTRUM.n_mfcc - 1
# Below the loud frames (95th percentile) by more than this is no voice, in dB.
_QUIET_DB = 25.0
_PIECES = 4
_PIECE_S = 1.2
_DIMENSIONS = 16  # kept of each part
_SHRINK = 0.1
LONGEST_S = 20.0
"""No more than this of a clip is listened to, in seconds."""
_FORMAT = 1


class Listener:
    """Makes vectors of clips. Not for two threads at once.

    Attributes
    ----------
    key : str
        Vectors with another key cannot be compared to these.
    """

    def __init__(self) -> None:
        # Here, not above: it takes a quarter of a second.
        from ai_edge_litert.interpreter import Interpreter

        cast = load_cast()
        card = cast.card
        self.key = f"{_FORMAT} {card.network_sha256}"
        self._settings = card.features
        with warnings.catch_warnings(), quiet_stderr():
            # That to keep all tensors takes memory: of this network, some megabytes.
            warnings.simplefilter("ignore")
            self._network = Interpreter(
                model_content=cast.network, num_threads=1, experimental_preserve_all_tensors=True
            )
            self._network.allocate_tensors()
        source = self._network.get_input_details()[0]
        scale, zero = source["quantization"]
        self._input = source["index"]
        self._gain = 1.0 / (np.asarray(card.std, np.float32)[:, None] * np.float32(scale))
        self._offset = zero - np.asarray(card.mean, np.float32)[:, None] * self._gain
        # What goes into the layers that name: there is no public way to it.
        operations = self._network._get_ops_details()
        first = next(one for one in operations if one["op_name"] == "FULLY_CONNECTED")
        self._pooled = int(first["inputs"][0])

    def vectors(self, y: _Float, sample_rate: int) -> _Float:
        """Listen to a clip.

        Parameters
        ----------
        y : ndarray of float32, shape (n,)
            Mono.
        sample_rate : int > 0
            In Hz.

        Returns
        -------
        ndarray of float32, shape (1 + pieces, length)
            Of the whole, then of its pieces; NaN where it is too short for so many.
        """
        y = y[: round(LONGEST_S * sample_rate)]
        spectrum = self._spectrum(soxr.resample(y, sample_rate, _SPECTRUM.sample_rate))
        pooled = self._patches(soxr.resample(y, sample_rate, self._settings.sample_rate))
        length = _STATISTICS + pooled.shape[1]
        out = np.full((1 + _PIECES, length), np.nan, np.float32)
        out[0] = np.concatenate([_statistics(spectrum), pooled.mean(axis=0)])
        frames_a_piece = round(_PIECE_S * _SPECTRUM.sample_rate / _SPECTRUM.hop_length)
        pieces = min(_PIECES, len(spectrum) // frames_a_piece, len(pooled) // 2)
        if pieces > 1:
            parts = zip(
                np.array_split(spectrum, pieces), np.array_split(pooled, pieces), strict=True
            )
            for row, (some, others) in enumerate(parts, 1):
                out[row] = np.concatenate([_statistics(some), others.mean(axis=0)])
        return out

    def _spectrum(self, y: _Float) -> _Float:
        """MFCCs and their slopes of the loud frames, a row each."""
        y = np.pad(y, (0, max(0, least_samples(_SPECTRUM) - len(y))))
        rows = mfcc(y, _SPECTRUM).T
        padded = np.pad(rows, ((1, 1), (0, 0)), mode="edge")
        rows = np.concatenate([rows, padded[2:] - padded[:-2]], axis=1)
        # The first coefficient is the mean level times this.
        per_db = np.float32(np.sqrt(_SPECTRUM.n_mels))
        loud = rows[:, 0] > np.percentile(rows[:, 0], 95) - _QUIET_DB * per_db
        voiced: _Float = rows[loud]
        return voiced

    def _patches(self, y: _Float) -> _Float:
        """Give what the network makes of each patch that is not quiet; they overlap by half."""
        samples = self._settings.patch_samples
        y = np.pad(y, (0, max(0, samples - len(y))))
        rows, powers = [], []
        for begin in range(0, len(y) - samples + 1, samples // 2):
            patch = np.ascontiguousarray(y[begin : begin + samples])
            scaled = np.rint(mfcc(patch, self._settings) * self._gain + self._offset)
            tensor = np.clip(scaled, -128, 127).astype(np.int8)
            self._network.set_tensor(self._input, tensor[None, :, :, None])
            self._network.invoke()
            rows.append(self._network.get_tensor(self._pooled)[0])
            powers.append(np.mean(np.square(patch)))
        loud = np.array(powers) >= 0.01 * np.max(powers)
        voiced: _Float = np.array(rows, np.float32)[loud]
        return voiced


def _statistics(rows: _Float) -> _Float:
    """Mean of the coefficients, spread of them and of their slopes."""
    mean = rows[:, 1 : _SPECTRUM.n_mfcc].mean(axis=0)
    return np.concatenate([mean, rows.std(axis=0)])


class VectorFile:
    """Vectors of clips on disk. It may be removed at any time: they are made again.

    Parameters
    ----------
    path : Path
        Of the file; need not exist.
    key : str
        Of the `Listener`. Vectors of another one are forgotten, and so is a file that is damaged.
    names : iterable of str
        Of the clips there are. Vectors of others are forgotten.
    """

    def __init__(self, path: Path, key: str, names: Iterable[str]) -> None:
        self._path = path
        self._key = key
        self._vectors: dict[str, _Float] = {}
        self._saved = 0
        try:
            with np.load(path, allow_pickle=False) as found:
                if str(found["key"]) == key:
                    known = zip(found["names"].tolist(), found["vectors"], strict=True)
                    wanted = set(names)
                    self._vectors = {name: rows for name, rows in known if name in wanted}
                    self._saved = len(self._vectors)
        except FileNotFoundError:
            pass
        except Exception:  # a damaged archive may raise anything
            self._vectors = {}  # it is made again

    def get(self, name: str) -> _Float | None:
        """Give the vectors of a clip, if they are known."""
        return self._vectors.get(name)

    def put(self, name: str, vectors: _Float) -> None:
        """Take the vectors of a clip."""
        self._vectors[name] = vectors

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
            key=np.array(self._key),
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
    vectors : ndarray of float32, shape (n, 1 + pieces, length)
        Of `Listener`, of a whole collection; NaN for a clip that has none.

    Returns
    -------
    ndarray of float32, shape (n, dimensions)
        Of length 1; of length 0 for a clip that has none.
    """
    known = np.isfinite(vectors[:, 0, 0])
    parts = [
        _turned(vectors[known][:, :, part])
        for part in (slice(0, _STATISTICS), slice(_STATISTICS, None))
    ]
    joined = np.concatenate(parts, axis=1)
    norms = np.linalg.norm(joined, axis=1, keepdims=True)
    out = np.zeros((len(vectors), joined.shape[1]), np.float32)
    out[known] = joined / np.maximum(norms, 1e-9)
    return out


def _turned(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Weigh directions by how much they tell clips apart and pieces of a clip not [1]_.

    .. [1] Hatch, Kajarekar, Stolcke, "Within-class covariance normalization for SVM-based speaker
       recognition", Interspeech 2006.
    """
    if not len(vectors):
        return np.zeros((0, _DIMENSIONS))
    whole = vectors[:, 0].astype(np.float64)
    mean, std = whole.mean(axis=0), whole.std(axis=0) + 1e-6
    whole = (whole - mean) / std
    pieces = (vectors[:, 1:].astype(np.float64) - mean) / std
    there = np.isfinite(pieces[:, :, 0])
    several = there.any(axis=1)
    pieces, there = pieces[several], there[several]
    # Where no clip is long enough for pieces, all directions count alike.
    within = np.eye(whole.shape[1])
    if len(pieces):
        own = np.nanmean(pieces, axis=1, keepdims=True)
        rest = (pieces - own)[there]
        within = rest.T @ rest / (there.sum() - len(pieces))
    # Of clips of digital silence there is nothing to weigh.
    average = max(np.trace(within) / len(within), 1e-9)
    within = (1 - _SHRINK) * within + _SHRINK * average * np.eye(len(within))
    values, directions = np.linalg.eigh(within)
    white = whole @ (directions / np.sqrt(values))
    _, directions = np.linalg.eigh(np.cov(white.T, bias=True))
    turned: NDArray[np.float64] = white @ directions[:, ::-1][:, :_DIMENSIONS]
    return turned


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
