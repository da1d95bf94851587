"""The data set of the origin, tail-island/devil-ear, made into one of ours.

A clone of it holds ``data/train/<actor>/<character>/0000.pickle`` and the same under
``data/validate``: each file one window of half a second as 44 x 44 MFCC, its number the window's
place in the character's recording. Unpickling can run whatever a file says; `_Arrays` knows what an
array is made of and nothing else.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..features.settings import ORIGIN
from ..models.cast import Character
from .dataset import PARTS, ROW, SHARD, DatasetCard, DatasetError, DatasetWriter

CONVERTED = "mfcc.npz"
Split = Literal["origin", "block"]

# Where NumPy 1 and 2 say that the makings of an array are.
_KNOWN = {
    (module, name)
    for module in ("numpy.core.multiarray", "numpy._core.multiarray")
    for name in ("_reconstruct", "scalar")
} | {("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")}


class _Arrays(pickle.Unpickler):
    """Unpickles arrays of numbers; anything else is refused before it is made."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _KNOWN:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no array needs")
        return super().find_class(module, name)


def import_devil_ear(folder: Path, to: Path, split: Split) -> DatasetCard:
    """Write the origin's windows as a data set.

    Parameters
    ----------
    folder : Path
        A clone of its repository, or a folder with the converted `CONVERTED`.
    to : Path
        Folder of the new data set.
    split : {"origin", "block"}
        The origin's own, by chance, in which the neighbours of each validation window are in
        training; or the last fifth of each character's windows.

    Returns
    -------
    DatasetCard

    Raises
    ------
    DatasetError
        There is no such data, it is damaged, or `to` cannot be written.
    """
    voices, windows = _converted(folder) if (folder / CONVERTED).exists() else _clone(folder)
    labels, places, validates, mfcc = windows
    order = np.lexsort([places, labels])
    labels, places, validates, mfcc = labels[order], places[order], validates[order], mfcc[order]
    if split == "block":
        sizes = np.bincount(labels, minlength=len(voices))
        rank = np.arange(len(labels)) - (np.cumsum(sizes) - sizes)[labels]
        validates = rank >= (sizes * 4 // 5)[labels]
    rows = np.empty(len(labels), ROW)
    rows["label"], rows["recording"] = labels, labels
    rows["clip"] = -1
    rows["time_s"] = places * ORIGIN.patch_s
    rows["part"] = np.where(validates, PARTS.index("validation"), PARTS.index("train"))
    card = DatasetCard(
        characters=tuple(Character(name, actor) for actor, name in voices),
        background=False,
        features=ORIGIN,
        recordings=tuple(f"{actor}/{name}" for actor, name in voices),
        made_of=hashlib.blake2b(mfcc.tobytes() + rows.tobytes(), digest_size=16).hexdigest(),
    )
    writer = DatasetWriter(to, card)
    if writer.finished:
        return card
    shards = -(-len(rows) // SHARD)
    for shard in range(shards):
        of_shard = slice(shard * SHARD, (shard + 1) * SHARD)
        writer.write(shard, mfcc[of_shard], rows[of_shard])
    writer.finish(shards)
    return card


_Windows = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_], NDArray[np.float32]]


def _converted(folder: Path) -> tuple[list[tuple[str, str]], _Windows]:
    path = folder / CONVERTED
    try:
        with np.load(path, allow_pickle=False) as arrays:
            voices = zip(arrays["actors"].tolist(), arrays["characters"].tolist(), strict=True)
            return list(voices), (
                arrays["label"].astype(np.int64),
                arrays["index"].astype(np.int64),
                arrays["validate"].astype(bool),
                arrays["mfcc_x32"].astype(np.float32) / 32,
            )
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(f"{path}: is not the converted data set: {error}") from None


def _clone(folder: Path) -> tuple[list[tuple[str, str]], _Windows]:
    files = sorted((folder / "data").glob("*/*/*/*.pickle"))
    parts = {"train": False, "validate": True}
    files = [file for file in files if file.parts[-4] in parts and file.stem.isdecimal()]
    if not files:
        raise DatasetError(
            f"{folder}: holds neither data/train/ACTOR/CHARACTER/0000.pickle, as a clone of "
            f"devil-ear does, nor {CONVERTED}"
        )
    voices = sorted({(file.parts[-3], file.parts[-2]) for file in files})
    label = {voice: number for number, voice in enumerate(voices)}
    return voices, (
        np.array([label[file.parts[-3], file.parts[-2]] for file in files]),
        np.array([int(file.stem) for file in files]),
        np.array([parts[file.parts[-4]] for file in files]),
        np.stack([_read_window(file) for file in files]),
    )


def _read_window(path: Path) -> NDArray[np.float32]:
    shape = (ORIGIN.n_mfcc, ORIGIN.patch_frames)
    try:
        with path.open("rb") as file:
            window = _Arrays(file, encoding="latin1").load()
        if not isinstance(window, np.ndarray) or window.shape != shape or window.dtype.kind != "f":
            raise ValueError(f"it holds no array of {shape} numbers")
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    # Damaged bytes make the unpickler fail in many ways.
    except Exception as error:
        raise DatasetError(f"{path}: is not a window of devil-ear: {error}") from None
    return window.astype(np.float32)
