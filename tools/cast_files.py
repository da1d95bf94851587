"""Look into a cast file and edit it: what ``kikiwake cast`` does.

An edit makes a new `Cast` and leaves the old one as it is; `write_cast` and `unpack_cast` alone
touch the disk. Both write whole or not at all: what they write comes to be in a temporary folder
beside its place, and is moved there when all of it is known to be good.
"""

from __future__ import annotations

import codecs
import contextlib
import difflib
import io
import os
import re
import shutil
import tempfile
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from ..errors import CastError, one_line
from ..models.cast import (
    CARD_NAME,
    MAX_MEMBER_BYTES,
    NETWORK_NAME,
    PORTRAITS,
    STARTER,
    WEIGHTS_NAME,
    Cast,
    Character,
    check_portrait_name,
    is_control,
    load_cast,
    network_digest,
    read_cast,
)
from ..models.starter import STARTER_CAST

MAX_NAME = 100
"""Length of a name in characters."""
MAX_PICTURE_BYTES = 5 * 2**20
"""Size of a portrait."""
PICTURES = {
    "png": rb"\x89PNG\r\n\x1a\n",
    "jpg": rb"\xff\xd8\xff",
    "webp": rb"RIFF....WEBP",
    "gif": rb"GIF8[79]a",
    "bmp": rb"BM....\0\0\0\0",
    "ppm": rb"P[36]\s",
    "pgm": rb"P[25]\s",
}
"""How a picture of each format begins, by its extension."""

_MAX_SLUG = 40
_NEAREST = 3
_UNSEEN = ("Cf", "Zs")  # joiners, marks of direction, spaces


# What is shown


def describe_cast(cast: Cast) -> dict[str, str]:
    """Say what a cast is, in words.

    Parameters
    ----------
    cast : Cast
        Any; also one whose network does not run.

    Returns
    -------
    dict of str to str
        A line for each property, by its name.
    """
    card, features = cast.card, cast.card.features
    actors = {character.actor for character in card.characters}
    frame_ms, hop_ms = (
        1000 * samples / features.sample_rate for samples in (features.n_fft, features.hop_length)
    )
    lines = {
        "name": card.name,
        "licence": card.licence,
        "trained on": card.trained_on,
        "characters": f"{len(card.characters)}, actors: {len(actors)}",
        "background class": "yes: music, noise and effects without speech"
        if card.background
        else "no",
        "sampling rate": f"{features.sample_rate} Hz",
        "patch": f"{features.patch_s:g} s in {features.patch_frames} frames, "
        f"{features.n_fft} samples ({frame_ms:.1f} ms) long, "
        f"{features.hop_length} ({hop_ms:.1f} ms) apart",
        "coefficients": f"{features.n_mfcc} MFCCs of {features.n_mels} mel bands, "
        f"{features.fmin:g} to {features.top_hz:g} Hz",
        "network": describe_network(cast.network),
        "sha256": card.network_sha256[:12],
        "calibration": f"temperature {card.calibration.temperature:.3g}",
    }
    return {name: shown(line) for name, line in lines.items()}


def describe_network(network: bytes) -> str:
    """Say what a network is made of.

    Parameters
    ----------
    network : bytes
        A ``.tflite`` model.

    Returns
    -------
    str
        Type of its input, number of parameters, size; or why it cannot be read.
    """
    import numpy as np

    from ..models.runner import load_interpreter

    size = f"{len(network) / 1000:.0f} kB"
    try:
        interpreter = load_interpreter(network)
    except CastError as error:
        return f"{one_line(error)}, {size}"
    inputs = interpreter.get_input_details()
    operations = interpreter._get_ops_details()  # there is no public way to them
    read = {index for operation in operations for index in operation["inputs"]}
    made = {index for operation in operations for index in operation["outputs"]}
    constant = read - made - {tensor["index"] for tensor in inputs}
    # Of the constants those count that training has found. The others, shapes and axes, are
    # integers without a scale.
    parameters = sum(
        int(tensor["shape"].prod())
        for tensor in interpreter.get_tensor_details()
        if tensor["index"] in constant
        and (
            np.dtype(tensor["dtype"]).kind == "f"
            or tensor["quantization_parameters"]["scales"].size
        )
    )
    types = ", ".join(tensor["dtype"].__name__ for tensor in inputs)
    return f"{types}, {parameters} parameters, {size}"


def describe_characters(cast: Cast) -> list[tuple[str, str, str]]:
    """List the characters of a cast.

    Returns
    -------
    list of (str, str, str)
        Name, actor, portrait in words, in the order of the network's outputs.
    """
    rows = []
    for character in cast.card.characters:
        portrait = "no"
        if character.portrait is not None:
            data = cast.portraits[character.portrait]
            portrait = f"{picture_format(data) or 'unknown format'}, {len(data) / 1000:.1f} kB"
        rows.append((shown(character.name), shown(character.actor), portrait))
    return rows


def shown(text: str) -> str:
    """Make text one line that does nothing to a terminal: a cast may come from anybody."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if is_control(character) else character
        for character in " ".join(text.split())
    )


# What is edited


def rename_cast(cast: Cast, name: str) -> Cast:
    """Give a cast another name.

    Parameters
    ----------
    cast : Cast
    name : str
        See `check_name`.

    Returns
    -------
    Cast

    Raises
    ------
    CastError
        If `name` is not allowed.
    """
    check_name("cast", name)
    return _replace(cast, name=name)


def rename_character(cast: Cast, who: str, name: str) -> Cast:
    """Give a character another name.

    Parameters
    ----------
    cast : Cast
    who : str
        See `find_character`.
    name : str
        See `check_name`.

    Returns
    -------
    Cast

    Raises
    ------
    CastError
        If there is no such character, `name` is not allowed, or the actor has a character of that
        name already.
    """
    check_name("character", name)
    index = find_character(cast, who)
    characters = list(cast.card.characters)
    characters[index] = msgspec.structs.replace(characters[index], name=name)
    return _with_characters(cast, characters, cast.portraits)


def rename_actor(cast: Cast, who: str, name: str) -> Cast:
    """Give an actor another name, in all of the actor's characters.

    Parameters
    ----------
    cast : Cast
    who : str
        The actor, as `Character.actor` has it.
    name : str
        See `check_name`. Another actor's makes the two one.

    Returns
    -------
    Cast

    Raises
    ------
    CastError
        If there is no such actor, `name` is not allowed, or two characters would have the same
        name and actor.
    """
    check_name("actor", name)
    actors = [character.actor for character in cast.card.characters]
    if _key(who) not in map(_key, actors):
        raise CastError(f"{_where(cast)}: no actor {who!r}; {_nearest(who, actors)}")
    characters = [
        msgspec.structs.replace(character, actor=name)
        if _key(character.actor) == _key(who)
        else character
        for character in cast.card.characters
    ]
    return _with_characters(cast, characters, cast.portraits)


def set_portrait(cast: Cast, who: str, picture: bytes) -> Cast:
    """Give a character a portrait, instead of any that it has.

    Parameters
    ----------
    cast : Cast
    who : str
        See `find_character`.
    picture : bytes
        In one of the formats of `PICTURES`, at most `MAX_PICTURE_BYTES`.

    Returns
    -------
    Cast

    Raises
    ------
    CastError
        If there is no such character, or `picture` is none.
    """
    extension = _check_picture("picture", picture)
    index = find_character(cast, who)
    characters = list(cast.card.characters)
    others = {c.portrait for c in (*characters[:index], *characters[index + 1 :])}
    stem = "-".join(filter(None, (f"{index + 1:02}", _slug(characters[index].name))))
    member, count = f"{PORTRAITS}/{stem}.{extension}", 1
    while member in others:  # in a cast that was packed by hand
        count += 1
        member = f"{PORTRAITS}/{stem}-{count}.{extension}"
    characters[index] = msgspec.structs.replace(characters[index], portrait=member)
    return _with_characters(cast, characters, {**cast.portraits, member: picture})


def remove_portrait(cast: Cast, who: str) -> Cast:
    """Take a character's portrait away.

    Parameters
    ----------
    cast : Cast
    who : str
        See `find_character`.

    Returns
    -------
    Cast

    Raises
    ------
    CastError
        If there is no such character, or it has no portrait.
    """
    index = find_character(cast, who)
    characters = list(cast.card.characters)
    if characters[index].portrait is None:
        raise CastError(f"{_where(cast)}: {who!r} has no portrait to remove")
    characters[index] = msgspec.structs.replace(characters[index], portrait=None)
    return _with_characters(cast, characters, cast.portraits)


def find_character(cast: Cast, who: str) -> int:
    """Find a character.

    Parameters
    ----------
    cast : Cast
    who : str
        Its name, or ``actor/character``, which tells two of the same name apart. However the
        accents are encoded: macOS takes letters and accents apart.

    Returns
    -------
    int
        Place in the cast's characters.

    Raises
    ------
    CastError
        If there is none, or more than one.
    """
    found = {
        index: _full_name(character)
        for index, character in enumerate(cast.card.characters)
        if _key(who) in (_key(character.name), _key(_full_name(character)))
    }
    if len(found) > 1:
        raise CastError(
            f"{_where(cast)}: {len(found)} characters are called {who!r}; "
            f"name one as actor/character: {_listed(found.values())}"
        )
    if not found:
        names = [_full_name(c) if "/" in who else c.name for c in cast.card.characters]
        raise CastError(f"{_where(cast)}: no character {who!r}; {_nearest(who, names)}")
    return next(iter(found))


def check_name(what: str, name: str) -> None:
    """Refuse a name that cannot be shown; any script, emoji and direction can.

    Parameters
    ----------
    what : str
        Whose name, for the error.
    name : str
        The name.

    Raises
    ------
    CastError
        If it is empty or invisible, longer than `MAX_NAME`, has control characters, line breaks or
        overrides of the direction, or begins or ends with a space.
    """
    categories = {unicodedata.category(character) for character in name}
    for holds, wrong in (
        (categories <= set(_UNSEEN), "is empty"),
        (any(map(is_control, name)), "has a line break or another control character"),
        (name != name.strip(), "begins or ends with a space"),
        (len(name) > MAX_NAME, f"has {len(name)} characters"),
    ):
        if holds:
            raise CastError(
                f"{what} name {name!r}: {wrong}; allowed: 1 to {MAX_NAME} characters of any script "
                "on one line"
            )


def picture_format(data: bytes) -> str | None:
    """Tell a picture's format from its first bytes.

    Returns
    -------
    str or None
        A key of `PICTURES`; None where the format is none of them.
    """
    for extension, beginning in PICTURES.items():
        if re.match(beginning, data, re.DOTALL):
            return extension
    return None


def read_picture(path: str | os.PathLike[str]) -> bytes:
    """Read a picture that may be a portrait.

    Parameters
    ----------
    path : path-like
        A file in one of the formats of `PICTURES`, at most `MAX_PICTURE_BYTES`.

    Returns
    -------
    bytes

    Raises
    ------
    CastError
        If it cannot be read, is too large, or is no such picture.
    """
    where = f"picture {path}"
    data = _read_file(_expanded(path, where), where, MAX_PICTURE_BYTES)
    _check_picture(where, data)
    return data


# What is read and written


def write_cast(cast: Cast, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a cast file, whole or not at all.

    Parameters
    ----------
    cast : Cast
    path : path-like
        The file. Its folder must exist; where it is a link, what it leads to is written.
    force : bool
        Write over a file that is there.

    Raises
    ------
    CastError
        If it cannot be written, is there already, or is the cast that ships; or a portrait's name
        leads out of the cast. What was there before is then as it was.
    """
    where = f"cast {path}"
    if is_starter(path):
        raise CastError(f"{where}: ships with Kikiwake and is never written over; name another")
    _check_members(cast)
    with _telling(f"{where}: cannot be written"):
        target = Path(os.path.realpath(_expanded(path, where)))
        if target.is_dir():
            raise CastError(f"{where}: is a folder; name a file")
        if target.exists() and not target.is_file():  # a device would be taken away
            raise CastError(f"{where}: is not a file; name another")
        if target.exists() and not force:
            raise CastError(f"{where}: is there already; --force writes over it")
        with _staging(target.parent, where) as staging:
            part = staging / target.name
            cast.save(part)
            if load_cast(part) != cast:
                raise CastError(f"{where}: did not come out as it should; the disk may be failing")
            if target.exists():
                shutil.copymode(target, part)
            part.replace(target)


def unpack_cast(cast: Cast, folder: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write the members of a cast into a folder, all or none.

    Parameters
    ----------
    cast : Cast
    folder : path-like
        A new folder, or an empty one. The folder it is in must exist.
    force : bool
        The folder may have something in it: files of the members' names are written over, others
        stay.

    Raises
    ------
    CastError
        If it cannot be written, or is not empty; or a portrait's name leads out of the folder. What
        was there before is then as it was.
    """
    where = f"folder {folder}"
    _check_members(cast)
    # The card last: a folder that has one is whole.
    members = cast.members()
    members[CARD_NAME] = members.pop(CARD_NAME) + b"\n"
    with _telling(f"{where}: cannot be written"):
        target = Path(os.path.realpath(_expanded(folder, where)))
        there = target.is_dir()
        if target.exists() and not there:
            raise CastError(f"{where}: is a file; name a new folder")
        if there and not force and any(target.iterdir()):
            raise CastError(
                f"{where}: is not empty; name a new one, or write over files of the same names "
                "with --force"
            )
        with _staging(target if there else target.parent, where) as staging:
            new = staging / "new"
            for name, data in members.items():
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                # Refused where two names are the same to this file system.
                with open(new / name, "xb") as file:
                    file.write(data)
            if there:
                # Not the folder itself: somebody may stand in it, or a disk be mounted there.
                _move_in(members, new, target, staging / "old")
            else:
                new.rename(target)


def read_folder(
    folder: str | os.PathLike[str], *, new_network: bool = False
) -> tuple[Cast, list[str]]:
    """Read an unpacked cast, and check everything about it.

    Parameters
    ----------
    folder : path-like
        As `unpack_cast` writes it.
    new_network : bool
        The network is not the one that the card describes by its ``network_sha256``, on purpose.

    Returns
    -------
    cast : Cast
        It runs.
    notes : list of str
        What the user should know, a line each.

    Raises
    ------
    CastError
        If something is missing or does not fit; see `check_cast`.
    """
    where = f"cast {folder}"
    root = _expanded(folder, where)
    with _telling(f"{where}: cannot be read"):
        if not root.is_dir():
            raise CastError(
                f"{where}: no such folder; name one that `kikiwake cast unpack` has made"
            )

    def member(name: str, limit: int = MAX_MEMBER_BYTES) -> bytes:
        return _read_file(root / name, f"{where}: {name}", limit)

    notes = []
    network = member(NETWORK_NAME)
    digest = network_digest(network)
    raw = member(CARD_NAME).removeprefix(codecs.BOM_UTF8)  # as some editors write it
    try:
        card = msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CastError(f"{where}: {CARD_NAME}: {one_line(error)}") from None
    described = card.get("network_sha256") if isinstance(card, dict) else None
    if isinstance(described, str) and described != digest:
        if not new_network:
            raise CastError(
                f"{where}: {NETWORK_NAME} is not the one that {CARD_NAME} describes "
                "(network_sha256); if you have exchanged it, say so with --new-network"
            )
        card["network_sha256"] = digest
        notes.append(
            f"new network {digest[:12]}: mean, std and calibration stay as {CARD_NAME} has them, "
            f"and {WEIGHTS_NAME} stays where there is one; all must be this network's"
        )
    portraits = {}
    for name in _portrait_names(card):
        check_portrait_name(where, name)
        portraits[name] = member(name, MAX_PICTURE_BYTES)
        _check_picture(f"{where}: {name}", portraits[name])
    # By way of an archive: whatever is wrong with a cast file is then wrong here, too.
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        parts = {CARD_NAME: msgspec.json.encode(card), NETWORK_NAME: network, **portraits}
        if (root / WEIGHTS_NAME).exists():
            parts[WEIGHTS_NAME] = member(WEIGHTS_NAME)
        for name, data in parts.items():
            file.writestr(name, data)
    cast = read_cast(str(folder), archive.getvalue())
    check_cast(cast)
    pictures = (path for path in (root / PORTRAITS).rglob("*") if path.is_file())
    unnamed = sorted({path.relative_to(root).as_posix() for path in pictures} - portraits.keys())
    notes += [f"{name}: left out, no character in {CARD_NAME} names it" for name in unnamed]
    return cast, notes


def check_cast(cast: Cast) -> None:
    """Refuse a cast that could be loaded, but not be shown or run.

    Parameters
    ----------
    cast : Cast

    Raises
    ------
    CastError
        If a name is not allowed, two characters have the same name and actor, a portrait is no
        picture or leads out of the cast, or the network does not fit or run.
    """
    check_name("cast", cast.card.name)
    for character in cast.card.characters:
        check_name("character", character.name)
        check_name("actor", character.actor)
    _check_distinct(cast)
    _check_members(cast)
    for name, data in cast.portraits.items():
        _check_picture(f"{_where(cast)}: {name}", data)

    import numpy as np

    from ..models.runner import CastRunner

    features = cast.card.features
    silence = np.zeros((features.n_mfcc, features.patch_frames), np.float32)
    try:
        with np.errstate(all="ignore"):
            posterior = CastRunner(cast).posterior(silence)
    except (RuntimeError, ValueError) as error:
        raise CastError(f"{_where(cast)}: its network does not run: {one_line(error)}") from None
    if not np.isfinite(posterior).all():
        raise CastError(f"{_where(cast)}: its network gives no probabilities, but NaN or infinity")


def is_starter(path: str | os.PathLike[str]) -> bool:
    """Say whether a path, or the name ``starter``, is the cast that ships."""
    if os.fspath(path) == STARTER:
        return True
    try:
        return os.path.samefile(os.path.expanduser(path), STARTER_CAST)
    except (OSError, ValueError):  # there is none
        return False


# Details


def _replace(cast: Cast, **changes: object) -> Cast:
    return msgspec.structs.replace(cast, card=msgspec.structs.replace(cast.card, **changes))


def _with_characters(
    cast: Cast, characters: Iterable[Character], portraits: dict[str, bytes]
) -> Cast:
    """Exchange the characters, with those of the portraits that they name."""
    cast = _replace(cast, characters=tuple(characters))
    _check_distinct(cast)
    named = [c.portrait for c in cast.card.characters if c.portrait is not None]
    return msgspec.structs.replace(cast, portraits={name: portraits[name] for name in named})


def _check_distinct(cast: Cast) -> None:
    seen = set()
    for character in cast.card.characters:
        key = _key(character.name), _key(character.actor)
        if key in seen:
            raise CastError(
                f"{_where(cast)}: two characters would both be {character.name!r} by "
                f"{character.actor!r}; name or actor must differ"
            )
        seen.add(key)


def _check_members(cast: Cast) -> None:
    for name in _portrait_names(msgspec.to_builtins(cast.card)):
        check_portrait_name(_where(cast), name)


def _portrait_names(card: object) -> list[str]:
    """Names of the portraits in a card as JSON has it, whatever else is wrong with it."""
    characters = card.get("characters") if isinstance(card, dict) else None
    names = [
        character.get("portrait")
        for character in (characters if isinstance(characters, (list, tuple)) else ())
        if isinstance(character, dict)
    ]
    return [name for name in names if isinstance(name, str)]


def _check_picture(where: str, data: bytes) -> str:
    found = picture_format(data)
    if found is None:
        raise CastError(f"{where}: is not a picture; allowed: {', '.join(PICTURES)}")
    if len(data) > MAX_PICTURE_BYTES:
        raise CastError(
            f"{where}: is too large; at most {MAX_PICTURE_BYTES >> 20} MiB are allowed, "
            "make it smaller"
        )
    return found


def _read_file(path: Path, where: str, limit: int) -> bytes:
    with _telling(f"{where}: cannot be read"):
        if not path.exists():
            raise CastError(f"{where}: no such file")
        if not path.is_file():
            raise CastError(f"{where}: is not a file")
        if path.stat().st_size > limit:
            raise CastError(f"{where}: is too large; at most {limit >> 20} MiB are allowed")
        return path.read_bytes()


def _expanded(path: str | os.PathLike[str], where: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise CastError(f"{where}: there is no such home folder") from None


@contextlib.contextmanager
def _telling(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CastError(f"{what}: {error.strerror or one_line(error)}") from None


@contextlib.contextmanager
def _staging(folder: Path, where: str) -> Iterator[Path]:
    """Make a temporary folder in *folder*, on the same disk as what will be moved from it."""
    if not folder.is_dir():
        raise CastError(f"{where}: cannot be written: {folder} is not a folder; make it first")
    with tempfile.TemporaryDirectory(
        prefix=".kikiwake-", dir=folder, ignore_cleanup_errors=True
    ) as temporary:
        yield Path(temporary)


def _move_in(names: Iterable[str], new: Path, target: Path, old: Path) -> None:
    """Move files from *new* to *target*, and those they take the place of to *old*; or none."""
    old.mkdir()
    with contextlib.ExitStack() as undo:
        for count, name in enumerate(names):
            place, kept = target / name, old / str(count)
            if place.is_dir():
                raise CastError(f"folder {target}: {name} is a folder in it; a file must go there")
            missing = [parent for parent in place.parents if not parent.exists()]
            for parent in reversed(missing):
                parent.mkdir()
                undo.callback(parent.rmdir)
            if place.exists():
                place.rename(kept)
                undo.callback(kept.rename, place)
            (new / name).rename(place)
            undo.callback(place.rename, new / name)
        undo.pop_all()


def _where(cast: Cast) -> str:
    return f"cast {shown(cast.card.name)}"


def _full_name(character: Character) -> str:
    return f"{character.actor}/{character.name}"


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _slug(name: str) -> str:
    """Fold a name to ASCII letters, digits and hyphens; nothing is left of most scripts."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub("[^a-z0-9]+", "-", ascii_only)[:_MAX_SLUG].strip("-")


def _nearest(wanted: str, names: Iterable[str]) -> str:
    folded = {_key(name).casefold(): name for name in names}
    near = difflib.get_close_matches(_key(wanted).casefold(), folded, _NEAREST)
    if near:
        return f"did you mean {' or '.join(repr(folded[name]) for name in near)}?"
    return f"there are: {_listed(folded.values())}"


def _listed(names: Iterable[str], at_most: int = 10) -> str:
    shown_names = [shown(name) for name in names]
    more = ["..."] if len(shown_names) > at_most else []
    return ", ".join(shown_names[:at_most] + more)
