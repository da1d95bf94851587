"""The cast file: everything that is a property of a model, once, in one file.

A cast is a ZIP archive, stored or deflated, with these members:

``cast.json``
    Labels, feature settings, normalisation, calibration, origin: a `CastCard`.
``network.tflite``
    The network: int8 or float32, one patch in, one row of logits out.
``portraits/...``
    Pictures, as named by the characters; may be none.
``weights.npz``
    The network as it was trained, for those who train on; may be missing.

Nothing in it is executed on reading: there is no pickle and no custom op.
"""

from __future__ import annotations

import hashlib
import io
import os
import unicodedata
import zipfile
from pathlib import Path
from typing import Literal

import msgspec

from ..errors import CastError
from ..features.settings import FeatureSettings
from ..files import write_file
from .starter import STARTER_CAST

FORMAT = "kikiwake-cast"
VERSION = 1
CARD_NAME = "cast.json"
NETWORK_NAME = "network.tflite"
WEIGHTS_NAME = "weights.npz"
PORTRAITS = "portraits"
STARTER = "starter"
MAX_MEMBER_BYTES = 256 * 2**20  # a ZIP bomb must not fill the memory
MAX_BYTES = 512 * 2**20  # nor many small ones; of all members
_CONTROLS = ("Cc", "Cs", "Zl", "Zp")  # controls, bytes that are no text, line breaks
# What turns all that follows around, also beyond the name.
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class Character(msgspec.Struct, frozen=True):
    """One class of the network.

    Attributes
    ----------
    name : str
        The character, as shown.
    actor : str
        The voice actor, as shown. Characters of one actor have the same text here.
    portrait : str or None
        Name of the picture's member in the archive.
    """

    name: str
    actor: str
    portrait: str | None = None


class Calibration(msgspec.Struct, frozen=True):
    """What turns logits into probabilities that mean what they say.

    Attributes
    ----------
    temperature : float > 0
        Logits are divided by it before the softmax [1]_.
    sureness : tuple of float
        Of each character the share that the likeliest one has in the mean, over patches of its
        voice that training has not seen. A voice over which the network is much less sure is none
        of the cast's. Empty where it was not measured: then everybody is taken for one of them.

    References
    ----------
    .. [1] Guo et al., "On Calibration of Modern Neural Networks", ICML 2017.
    """

    temperature: float = 1.0
    sureness: tuple[float, ...] = ()


class CastCard(msgspec.Struct, frozen=True):
    """The text part of a cast.

    Attributes
    ----------
    format, version
        What this file is; a reader refuses what it does not know.
    name : str
        Name of the cast.
    characters : tuple of Character
        In the order of the network's outputs.
    background : bool
        The network has one more output, the last: music, noise and effects without speech.
    features : FeatureSettings
        How a patch is made from sound.
    mean, std : tuple of float
        Of each MFCC coefficient over the training patches; the network sees
        ``(mfcc - mean) / std``.
    calibration : Calibration
        See there.
    network_sha256 : str
        Of ``network.tflite``, in hexadecimal.
    trained_on : str
        What the network has learnt from, for people.
    licence : str
        Under which the cast may be passed on.
    """

    format: Literal["kikiwake-cast"]
    version: int
    name: str
    characters: tuple[Character, ...]
    background: bool
    features: FeatureSettings
    mean: tuple[float, ...]
    std: tuple[float, ...]
    calibration: Calibration
    network_sha256: str
    trained_on: str
    licence: str

    @property
    def n_classes(self) -> int:
        """Outputs of the network."""
        return len(self.characters) + self.background


class _Header(msgspec.Struct):
    format: str = ""
    version: int = 0


class Cast(msgspec.Struct, frozen=True):
    """A cast in memory.

    Attributes
    ----------
    card : CastCard
        Labels and settings.
    network : bytes
        The ``.tflite`` model.
    portraits : dict of str to bytes
        Pictures by member name.
    weights : bytes or None
        The network as it was trained.
    """

    card: CastCard
    network: bytes
    portraits: dict[str, bytes] = {}
    weights: bytes | None = None

    def members(self) -> dict[str, bytes]:
        """Give what the archive holds, by name."""
        members = {
            CARD_NAME: msgspec.json.format(msgspec.json.encode(self.card), indent=2),
            NETWORK_NAME: self.network,
            **self.portraits,
        }
        if self.weights is not None:
            members[WEIGHTS_NAME] = self.weights
        return members

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the cast to `path`, whole or not at all.

        The same cast gives the same bytes: members carry no time of day.
        """
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, member in self.members().items():
                archive.writestr(zipfile.ZipInfo(name), member, zipfile.ZIP_DEFLATED)
        write_file(Path(path), data.getvalue())


def network_digest(network: bytes) -> str:
    """SHA-256 of a network, as `CastCard.network_sha256` holds it."""
    return hashlib.sha256(network).hexdigest()


def load_cast(name: str | os.PathLike[str] = STARTER) -> Cast:
    """Read a cast.

    Parameters
    ----------
    name : path-like
        Path of a cast file, or ``starter`` for the one that ships.

    Returns
    -------
    Cast

    Raises
    ------
    CastError
        If there is no such file, or it is not a cast, is damaged, or is of a newer version.
    """
    if os.fspath(name) == STARTER:
        name = STARTER_CAST
    path = Path(name)
    try:
        path = path.expanduser()
        data = path.read_bytes()
    except RuntimeError:  # of expanduser
        raise CastError(
            f"cast {path}: there is no home folder {path.parts[0]}; name a cast file, or {STARTER}"
        ) from None
    except FileNotFoundError:
        raise CastError(f"cast {path}: no such file; name a cast file, or {STARTER}") from None
    except IsADirectoryError:
        raise CastError(f"cast {path}: is a folder; name a cast file, or {STARTER}") from None
    except OSError as error:
        raise CastError(f"cast {path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # a zero byte in the name
        raise CastError(f"cast {str(path)!r}: cannot be read: {error}") from None
    return read_cast(str(path), data)


def check_portrait_name(where: str, name: str) -> None:
    """Refuse a portrait's name that leads anywhere but into the folder of the portraits.

    Not to another member either. On any system: to Windows a backslash or colon means something,
    and dots and spaces at the end of a name nothing.

    Parameters
    ----------
    where : str
        What the error begins with.
    name : str
        Of the member.

    Raises
    ------
    CastError
        It is not ``portraits/NAME``.
    """
    parts = name.split("/")
    inside = len(parts) > 1 and parts[0] == PORTRAITS
    plain = all(part and part[-1] not in ". " for part in parts)
    if not (inside and plain and name.isprintable()) or "\\" in name or ":" in name:
        raise CastError(
            f"{where}: the portrait {name!r} is not safe; allowed: {PORTRAITS}/NAME, "
            "without .. and without \\ or :"
        )


def is_control(character: str) -> bool:
    """Tell whether a character of a name would do something to a terminal but stand there."""
    return character in _TURNING or unicodedata.category(character) in _CONTROLS


def read_cast(where: str, data: bytes) -> Cast:
    """Read a cast from its bytes.

    Parameters
    ----------
    where : str
        What errors call it.
    data : bytes
        Of a cast file.

    Returns
    -------
    Cast

    Raises
    ------
    CastError
        It is not a cast, is damaged, or is of a newer version.
    """
    damaged = f"cast {where}: is damaged"
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile:
        raise CastError(f"cast {where}: is not a Kikiwake cast file, or is cut off") from None
    with archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_BYTES:
            raise CastError(f"{damaged}: unpacked, it is larger than {MAX_BYTES >> 20} MiB")
        names = set(archive.namelist())
        if CARD_NAME not in names:
            raise CastError(f"cast {where}: is not a Kikiwake cast file (no {CARD_NAME} in it)")
        raw_card = _member(archive, CARD_NAME, damaged)
        try:
            header = msgspec.json.decode(raw_card, type=_Header)
        # ValueError: also text that is not UTF-8. RecursionError: brackets within brackets.
        except (ValueError, RecursionError) as error:
            raise CastError(f"{damaged}: {CARD_NAME}: {error}") from None
        if header.format != FORMAT:
            raise CastError(
                f"cast {where}: is not a Kikiwake cast file (format {header.format!r}, "
                f"need {FORMAT!r})"
            )
        if header.version > VERSION:
            raise CastError(
                f"cast {where}: has version {header.version}, this program reads up to {VERSION}; "
                "update kikiwake"
            )
        try:
            card = msgspec.json.decode(raw_card, type=CastCard)
        except (ValueError, RecursionError) as error:
            raise CastError(f"{damaged}: {CARD_NAME}: {error}") from None
        for character in card.characters:
            if character.portrait is not None:
                check_portrait_name(damaged, character.portrait)
        network = _member(archive, NETWORK_NAME, damaged)
        portraits = {
            character.portrait: _member(archive, character.portrait, damaged)
            for character in card.characters
            if character.portrait is not None
        }
        weights = _member(archive, WEIGHTS_NAME, damaged) if WEIGHTS_NAME in names else None
    _check(card, network, damaged)
    return Cast(card, network, portraits, weights)


def _member(archive: zipfile.ZipFile, name: str, damaged: str) -> bytes:
    try:
        info = archive.getinfo(name)
        if info.file_size > MAX_MEMBER_BYTES:
            raise CastError(f"{damaged}: {name} is larger than {MAX_MEMBER_BYTES >> 20} MiB")
        return archive.read(info)
    except KeyError:
        raise CastError(f"{damaged}: {name} is missing from it") from None
    # zlib.error, a wrong CRC, an unknown or encrypted compression: all one thing to the user.
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, EOFError) as error:
        raise CastError(f"{damaged}: {name}: {error}") from None
    except Exception as error:
        if type(error).__module__ == "zlib":
            raise CastError(f"{damaged}: {name}: {error}") from None
        raise


def _check(card: CastCard, network: bytes, damaged: str) -> None:
    if not card.characters:
        raise CastError(f"{damaged}: it has no characters")
    for name in ("mean", "std"):
        length = len(getattr(card, name))
        if length != card.features.n_mfcc:
            raise CastError(
                f"{damaged}: {name} has {length} values, need {card.features.n_mfcc}, "
                "one for each coefficient"
            )
    sureness = card.calibration.sureness
    if sureness and len(sureness) != len(card.characters):
        raise CastError(
            f"{damaged}: sureness has {len(sureness)} values, need {len(card.characters)}, one for "
            "each character, or none"
        )
    # Beyond these, products of float32 are no numbers any more.
    if not all(1e-6 < value < 1e6 for value in card.std):
        raise CastError(f"{damaged}: a value of std is not positive, or none that features have")
    if not all(abs(value) < 1e6 for value in card.mean):
        raise CastError(f"{damaged}: a value of mean is none that features have")
    if not 0.01 <= card.calibration.temperature <= 100:
        raise CastError(f"{damaged}: temperature must be 0.01 to 100")
    for name in (card.name, *(one for who in card.characters for one in (who.name, who.actor))):
        if any(map(is_control, name)):
            raise CastError(
                f"{damaged}: the name {name!r} has a line break or another control character"
            )
    if network_digest(network) != card.network_sha256:
        raise CastError(f"{damaged}: {NETWORK_NAME} is not the network that {CARD_NAME} describes")
