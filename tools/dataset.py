"""Patches with labels on disk: what `kikiwake build` writes, and what training reads.

A data set is a folder:

``patches.json``
    Who is in it and how the patches were made: a `DatasetCard`. It is written last, so that a
    folder without one is a data set that is not finished.
``mfcc-0000.npy``, ...
    Shards of patches, float16, shape (n, n_mfcc, patch_frames). They are mapped, and read only as
    far as they are asked for.
``rows-0000.npy``, ...
    For each patch of the shard a row of `ROW`.
``voice-mfcc-0000.npy``, ``voice-vector-0000.npy``, ...
    Shards of a `VoiceSet`, float16; may be none.
``portraits/...``
    Pictures, as named by the characters; may be none.

Nothing in it is executed on reading: there is no pickle.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import KikiwakeError
from ..features.settings import FeatureSettings
from ..files import is_empty, write_file
from ..models.cast import Character
from .voice_encoder import LENGTH

FORMAT = "kikiwake-patches"
VERSION = 1
CARD_NAME = "patches.json"
BEGUN = "begun"  # while it is built
SHARD = 1024
Part = Literal["train", "validation"]
PARTS: tuple[Part, ...] = ("train", "validation")
_AGAIN = "remove {} and build the data set again"

ROW = np.dtype(
    [
        ("label", "<i2"),  # index of the character; the background is the number after the last
        ("recording", "<i4"),  # index of the recording, -1 where it was synthesized
        ("clip", "<i4"),  # index of the clip, -1 where there are none
        ("time_s", "<f4"),  # where in the recording the patch begins
        ("part", "u1"),  # index into `PARTS`
    ]
)


@dataclass(frozen=True)
class PatchSet:
    """Patches with labels.

    Attributes
    ----------
    mfcc : ndarray of float32 or float16, shape (n, n_mfcc, patch_frames)
        Features, not standardised.
    label : ndarray of int64, shape (n,)
        Index of the character; background is the last class.
    """

    mfcc: NDArray[np.floating[Any]]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True)
class VoiceSet:
    """Patches of other voices, with what a voice encoder makes of each.

    They are the clips, most of them played faster or slower, which makes other voices of them, and
    some as they are.

    Attributes
    ----------
    mfcc : ndarray of float32 or float16, shape (n, n_mfcc, patch_frames)
        Features, not standardised.
    vector : ndarray of float32 or float16, shape (n, length)
        Of `.voice_encoder`.
    """

    mfcc: NDArray[np.floating[Any]]
    vector: NDArray[np.floating[Any]]

    def __len__(self) -> int:
        return len(self.mfcc)


class DatasetError(KikiwakeError):
    """A data set cannot be read or written: missing, not finished, damaged."""


class DatasetCard(msgspec.Struct, frozen=True, kw_only=True):
    """The text part of a data set.

    Attributes
    ----------
    format, version
        What this folder is; a reader refuses what it does not know.
    characters : tuple of Character
        In the order of the labels.
    background : bool
        Some patches hold nobody; their label is the number of characters.
    features : FeatureSettings
        How the patches were made.
    recordings : tuple of str
        Where they come from.
    clips : tuple of str
        The sound files they come from, where there are any: paths below the folder of clips.
    copies : int
        Patches to train on for each half second of a voice.
    made_of : str
        Whatever tells one data set from another: a digest of all that decides what it holds.
    shards : tuple of int
        Patches in each shard.
    voice_shards : tuple of int
        Patches in each shard of other voices.
    warnings : tuple of str
        What was wrong with what it was made of, for people.
    """

    format: Literal["kikiwake-patches"] = "kikiwake-patches"
    version: int = VERSION
    characters: tuple[Character, ...]
    background: bool
    features: FeatureSettings
    recordings: tuple[str, ...]
    clips: tuple[str, ...] = ()
    copies: int = 1
    made_of: str = ""
    shards: tuple[int, ...] = ()
    voice_shards: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def n_classes(self) -> int:
        """Labels there can be."""
        return len(self.characters) + self.background


class DatasetWriter:
    """Writes a data set, shard by shard; what is there already is kept.

    Parameters
    ----------
    folder : Path
        Of the data set. It is made where it is not there.
    card : DatasetCard
        Without its `shards`, `voice_shards` and `warnings`.

    Attributes
    ----------
    finished : bool
        This data set is there already.
    warnings : tuple of str
        Of the one that is.
    voices : bool
        It has other voices.

    Raises
    ------
    DatasetError
        The folder holds a finished data set of something else, or what is no data set, or cannot
        be written to.
    """

    def __init__(self, folder: Path, card: DatasetCard) -> None:
        self.folder = folder
        self.finished = False
        self.warnings: tuple[str, ...] = ()
        self.voices = False
        self._card = card
        self._begun = folder / BEGUN
        if (folder / CARD_NAME).exists():
            found = _read_card(folder)
            if card.made_of and found.made_of == card.made_of:
                self.finished, self.warnings = True, found.warnings
                self.voices = bool(found.voice_shards)
                return
            raise DatasetError(
                f"{folder}: holds a data set; remove it, or choose another folder with --to"
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            begun = self._begun.read_text() if self._begun.exists() else None
            if begun is None and not is_empty(folder):
                raise DatasetError(
                    f"{folder}: is not empty, and no data set; choose another folder with --to"
                )
            if begun != card.made_of:
                kinds = ("rows-*", "mfcc-*", "voice-*")
                for kind in (*kinds, *(f".{kind}" for kind in kinds), "portraits/*"):
                    for old in folder.glob(kind):
                        old.unlink()
                self._begun.write_text(card.made_of)
        except OSError as error:
            raise DatasetError(f"{folder}: cannot be made: {error.strerror}") from None

    def has(self, shard: int) -> bool:
        """Tell whether a shard is there, whole, by this or an earlier writer."""
        try:
            rows = _load(_rows_file(self.folder, shard))
            mfcc = _load(_mfcc_file(self.folder, shard), mapped=True)
        except DatasetError:
            return False
        return (
            rows.dtype == ROW and rows.ndim == 1 and mfcc.shape == (len(rows), *self._patch_shape)
        )

    @property
    def _patch_shape(self) -> tuple[int, int]:
        return self._card.features.n_mfcc, self._card.features.patch_frames

    def write(self, shard: int, mfcc: NDArray[np.floating[Any]], rows: NDArray[np.void]) -> None:
        """Write a shard.

        Parameters
        ----------
        shard : int >= 0
            Its number.
        mfcc : ndarray, shape (n, n_mfcc, patch_frames)
            Rounded to float16: to 1/8 at most at the levels that MFCCs have.
        rows : ndarray of `ROW`, shape (n,)
            What the patches are.

        Raises
        ------
        ValueError
            The shapes do not fit each other or the card.
        DatasetError
            It cannot be written.
        """
        shape = (len(rows), *self._patch_shape)
        if mfcc.shape != shape or rows.dtype != ROW:
            raise ValueError(f"mfcc has shape {mfcc.shape}, rows {rows.dtype}; need {shape}, {ROW}")
        # The rows last: where they are, the patches are.
        _save(_mfcc_file(self.folder, shard), mfcc.astype(np.float16))
        _save(_rows_file(self.folder, shard), rows)

    def has_voices(self, shard: int) -> bool:
        """Tell whether a shard of other voices is there, whole."""
        try:
            mfcc, vector = (_load(file, mapped=True) for file in _voice_files(self.folder, shard))
        except DatasetError:
            return False
        return vector.shape[1:] == (LENGTH,) and mfcc.shape == (len(vector), *self._patch_shape)

    def write_voices(self, shard: int, voices: VoiceSet) -> None:
        """Write a shard of other voices.

        Raises
        ------
        DatasetError
            It cannot be written.
        """
        arrays = voices.mfcc, voices.vector
        for file, array in zip(_voice_files(self.folder, shard), arrays, strict=True):
            _save(file, array.astype(np.float16))

    def add_portrait(self, member: str, picture: Path) -> None:
        """Keep a picture of a character, under the name that the card has for it."""
        target = self.folder / member
        try:
            write_file(target, picture.read_bytes())
        except OSError as error:
            raise DatasetError(f"{picture}: cannot be copied: {error.strerror}") from None

    def finish(self, shards: int, voice_shards: int = 0, warnings: Sequence[str] = ()) -> None:
        """Close the data set, which holds so many shards of each kind."""
        card = msgspec.structs.replace(
            self._card,
            shards=tuple(len(_load(_rows_file(self.folder, n))) for n in range(shards)),
            voice_shards=tuple(
                len(_load(_voice_files(self.folder, n)[1])) for n in range(voice_shards)
            ),
            warnings=tuple(warnings),
        )
        text = msgspec.json.format(msgspec.json.encode(card), indent=2)
        target = self.folder / CARD_NAME
        try:
            write_file(target, text + b"\n")
            self._begun.unlink(missing_ok=True)
        except OSError as error:
            raise DatasetError(f"{target}: cannot be written: {error.strerror}") from None


class Dataset:
    """A data set, opened.

    Parameters
    ----------
    folder : Path
        Of the data set.

    Attributes
    ----------
    card : DatasetCard
        Who is in it.
    rows : ndarray of `ROW`, shape (n,)
        What the patches are, of all shards in order.

    Raises
    ------
    DatasetError
        There is none, it is not finished, or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.card = _read_card(folder)
        self._shards = []
        rows = []
        patch = self.card.features.n_mfcc, self.card.features.patch_frames
        for shard, count in enumerate(self.card.shards):
            mfcc, its_rows = _mfcc_file(folder, shard), _rows_file(folder, shard)
            self._shards.append(_load_as(mfcc, (count, *patch), np.dtype(np.float16)))
            rows.append(_load_as(its_rows, (count,), ROW))
        self._voices = [
            [
                _load_as(file, (count, *shape), np.dtype(np.float16))
                for file, shape in zip(_voice_files(folder, shard), (patch, (LENGTH,)), strict=True)
            ]
            for shard, count in enumerate(self.card.voice_shards)
        ]
        self.rows: NDArray[np.void] = np.concatenate([np.empty(0, ROW), *rows])
        self._begin = np.concatenate([[0], np.cumsum(self.card.shards, dtype=np.int64)])
        if len(self.rows) and not 0 <= self.rows["label"].min() <= self.rows["label"].max() < (
            self.card.n_classes
        ):
            raise DatasetError(f"{folder}: is damaged: a label is none of its characters'")

    def __len__(self) -> int:
        return len(self.rows)

    def part(self, name: Part) -> NDArray[np.int64]:
        """Give the numbers of the patches of a part, in order."""
        return np.flatnonzero(self.rows["part"] == PARTS.index(name))

    def patches(self, numbers: NDArray[np.int64]) -> PatchSet:
        """Read patches.

        Parameters
        ----------
        numbers : ndarray of int64, shape (n,)
            Which, in any order.

        Returns
        -------
        PatchSet
            In that order, in float16 as they are kept.
        """
        features = self.card.features
        out = np.empty((len(numbers), features.n_mfcc, features.patch_frames), np.float16)
        shard_of = np.searchsorted(self._begin, numbers, side="right") - 1
        for shard in np.unique(shard_of):
            these = shard_of == shard
            out[these] = self._shards[shard][numbers[these] - self._begin[shard]]
        return PatchSet(out, self.rows["label"][numbers].astype(np.int64))

    def voices(self) -> VoiceSet | None:
        """Read the patches of other voices; None where there are none."""
        if not self._voices:
            return None
        mfcc, vector = map(np.concatenate, zip(*self._voices, strict=True))
        return VoiceSet(mfcc, vector)


def _mfcc_file(folder: Path, shard: int) -> Path:
    return folder / f"mfcc-{shard:04}.npy"


def _rows_file(folder: Path, shard: int) -> Path:
    return folder / f"rows-{shard:04}.npy"


def _voice_files(folder: Path, shard: int) -> tuple[Path, Path]:
    # The vectors last: where they are, the patches are.
    return folder / f"voice-mfcc-{shard:04}.npy", folder / f"voice-vector-{shard:04}.npy"


def _save(path: Path, array: NDArray[Any]) -> None:
    data = io.BytesIO()
    np.save(data, array, allow_pickle=False)
    try:
        write_file(path, data.getvalue())
    except OSError as error:
        raise DatasetError(f"{path}: cannot be written: {error.strerror}") from None


def _load(path: Path, mapped: bool = False) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mapped else None, allow_pickle=False)
    except FileNotFoundError:
        raise DatasetError(f"{path}: is missing; {_AGAIN.format(path.parent)}") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror or error}") from None
    # A damaged head of a file makes the reader fail in many ways.
    except Exception as error:
        raise DatasetError(f"{path}: is damaged ({error}); {_AGAIN.format(path.parent)}") from None
    return array


def _load_as(path: Path, shape: tuple[int, ...], kind: np.dtype[Any]) -> NDArray[Any]:
    """Load what must be of this shape and kind; patches and vectors are mapped, rows are not."""
    found = _load(path, mapped=kind != ROW)
    if found.shape != shape or found.dtype != kind:
        raise DatasetError(
            f"{path}: is damaged: holds {found.dtype} of shape {found.shape}, need {kind} of shape "
            f"{shape}; {_AGAIN.format(path.parent)}"
        )
    return found


class _Header(msgspec.Struct):
    format: str = ""
    version: int = 0


def _read_card(folder: Path) -> DatasetCard:
    path = folder / CARD_NAME
    try:
        text = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        why = "is no data set; kikiwake build makes one"
        if (folder / BEGUN).exists():
            why = "its building is not finished; start it again"
        raise DatasetError(f"{folder}: {why}") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        header = msgspec.json.decode(text, type=_Header)
        if header.format == FORMAT and header.version > VERSION:
            raise DatasetError(
                f"{path}: has version {header.version}, this program reads up to {VERSION}; "
                "update kikiwake"
            )
        return msgspec.json.decode(text, type=DatasetCard)
    except (msgspec.DecodeError, ValueError) as error:
        raise DatasetError(f"{path}: is damaged: {error}") from None
