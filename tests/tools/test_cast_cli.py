"""``kikiwake cast``: what is asked for is done whole, and whatever is wrong changes nothing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from kikiwake.errors import CastError
from kikiwake.models.cast import (
    CARD_NAME,
    NETWORK_NAME,
    WEIGHTS_NAME,
    Calibration,
    Cast,
    CastCard,
    load_cast,
)
from kikiwake.models.starter import STARTER_CAST
from kikiwake.tools import cast_files, cli
from kikiwake.tools.cast_cli import cast_app

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PICTURES = {
    "png": PNG,
    "jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "webp": b"RIFF\x0a\x00\x00\x00WEBPVP8 ",
    "gif": b"GIF89a\x01\x00",
    "bmp": b"BM\x0a\x00\x0a\x00\x00\x00\x00\x00\x36",
    "ppm": b"P6\n1 1\n255\n\x0a\x0b\x0c",
    "pgm": b"P5 1 1 255 \x0a",
}
NAMES = ["ピコ", "花子・オブ・ザ・デッド", "👩‍🚀 Ace", "شهرزاد", "שלום", "O'Neil [bold]", "a/b"]


class Done(NamedTuple):
    code: int
    out: str
    err: str

    def complaint(self, code: int = 1) -> str:
        """What is wrong, having checked that it is one clear line."""
        assert self.code == code, self
        assert self.out == ""
        (line,) = self.err.splitlines()
        assert line.startswith("kikiwake: ")
        return line.removeprefix("kikiwake: ")


@pytest.fixture(scope="module", autouse=True)
def mounted() -> Iterator[None]:
    """Have ``kikiwake cast``, also where the command line has not taken it up."""
    groups = cli.app.registered_groups
    if any(group.typer_instance is cast_app for group in groups):
        yield
        return
    cli.app.add_typer(cast_app, name="cast")
    yield
    groups.pop()


@pytest.fixture
def cast(capsys):
    """Run ``kikiwake cast`` in this process."""

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            cli.main(["cast", *map(str, arguments)])
        return Done(ended.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def starter() -> Cast:
    return load_cast("starter")


@pytest.fixture
def own(tmp_path) -> Path:
    """A copy of the starter cast, in a folder of its own."""
    (tmp_path / "casts").mkdir()
    path = tmp_path / "casts" / "own.cast"
    path.write_bytes(STARTER_CAST.read_bytes())
    return path


@pytest.fixture
def unpacked(starter, tmp_path) -> Path:
    cast_files.unpack_cast(starter, tmp_path / "unpacked")
    return tmp_path / "unpacked"


@pytest.fixture
def picture(tmp_path) -> Path:
    path = tmp_path / "picture"
    path.write_bytes(PNG)
    return path


@contextlib.contextmanager
def unchanged(path: Path) -> Iterator[None]:
    """See that a file, and its folder, stay as they are."""
    before, beside = path.read_bytes(), sorted(path.parent.rglob("*"))
    yield
    assert path.read_bytes() == before
    assert sorted(path.parent.rglob("*")) == beside


def edited(cast: Cast, **changes: object) -> CastCard:
    return msgspec.convert(msgspec.to_builtins(cast.card) | changes, CastCard)


def with_portraits(cast: Cast, *names: str, data: bytes = PNG) -> Cast:
    """Let the first characters have portraits of those names."""
    characters = list(cast.card.characters)
    for index, name in enumerate(names):
        characters[index] = msgspec.structs.replace(characters[index], portrait=name)
    card = msgspec.structs.replace(cast.card, characters=tuple(characters))
    return Cast(card, cast.network, dict.fromkeys(names, data))


def change_card(folder: Path, **changes: object) -> None:
    path = folder / CARD_NAME
    text = json.loads(path.read_text(encoding="utf-8"))
    if "characters" in changes:
        text["calibration"]["sureness"] = []  # of others
    text |= changes
    path.write_text(json.dumps(text), encoding="utf-8")


def zipped(path: Path, cast: Cast) -> Path:
    """Write a cast that may overwrite its own members, as one who means ill would."""
    members = [(CARD_NAME, msgspec.json.encode(cast.card)), (NETWORK_NAME, cast.network)]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (*members, *cast.portraits.items()):
            if name not in archive.namelist():
                archive.writestr(zipfile.ZipInfo(name), data)
    return path


# show


def test_show_is_a_table_without_a_terminal(cast, starter) -> None:
    done = cast("show")
    about, characters = done.out.strip("\n").split("\n\n")
    lines = dict(line.split("\t") for line in about.splitlines())
    assert (done.code, done.err) == (0, "")
    assert lines["name"] == "Starter cast"
    assert lines["licence"] == "Apache-2.0"
    assert lines["trained on"] == starter.card.trained_on
    assert lines["characters"] == "10, actors: 8"
    assert lines["background class"].startswith("yes")
    assert lines["sampling rate"] == "44100 Hz"
    assert lines["patch"].startswith("0.5 s in 44 frames")
    assert lines["coefficients"] == "44 MFCCs of 128 mel bands, 0 to 22050 Hz"
    assert re.fullmatch(r"int8, 3\d{5} parameters, 417 kB", lines["network"])
    assert starter.card.network_sha256.startswith(lines["sha256"])
    assert lines["calibration"] == "temperature 1"
    headings, *rows = (line.split("\t") for line in characters.splitlines())
    assert headings == ["character", "actor", "portrait"]
    assert rows == [[c.name, c.actor, "no"] for c in starter.card.characters]


def test_show_a_portrait(cast, own, starter) -> None:
    with_portraits(starter, "portraits/0.png").save(own)
    assert "\tpng, 0.1 kB\n" in cast("show", own).out


def test_show_json_is_the_card(cast, own, starter) -> None:
    characters = [msgspec.structs.replace(starter.card.characters[0], name="ピコ")]
    calibration = Calibration(sureness=starter.card.calibration.sureness[:1])
    card = msgspec.structs.replace(
        starter.card, characters=tuple(characters), calibration=calibration
    )
    msgspec.structs.replace(starter, card=card).save(own)
    done = cast("show", own, "--json")
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 1
    assert msgspec.json.decode(done.out, type=CastCard) == card


def test_show_on_a_terminal(cast, own, starter, monkeypatch) -> None:
    characters = list(starter.card.characters)
    characters[0] = msgspec.structs.replace(characters[0], name="[red]Piko :cat:")
    card = edited(starter, characters=characters)
    msgspec.structs.replace(starter, card=card).save(own)
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    done = cast("show", own)
    assert (done.code, done.err) == (0, "")
    assert "[red]Piko :cat:" in done.out, "names are not markup"
    assert "\t" not in done.out


def test_show_does_nothing_to_the_terminal(cast, own, starter) -> None:
    card = edited(starter, trained_on="one\ntwo\tthree\x9b", licence="\x1b]0;owned\a")
    msgspec.structs.replace(starter, card=card).save(own)
    out = cast("show", own).out
    assert not set("\x1b\a\x9b") & set(out)
    assert "trained on\tone two three" in out


def test_show_a_network_that_does_not_run(cast, own, starter) -> None:
    network = b"no network"
    card = edited(starter, network_sha256=cast_files.network_digest(network))
    Cast(card, network).save(own)
    done = cast("show", own)
    assert (done.code, done.err) == (0, "")
    assert "network\tthe cast's network cannot be read" in done.out


# unpack and pack


def test_unpack_and_pack_give_an_equal_cast(cast, own, tmp_path, starter) -> None:
    whole = with_portraits(starter, "portraits/01-gensai.png", "portraits/deep/花.png")
    characters = list(whole.card.characters)
    characters[2] = msgspec.structs.replace(characters[2], name="ピコ", portrait=None)
    card = msgspec.structs.replace(whole.card, characters=tuple(characters))
    whole = msgspec.structs.replace(whole, card=card)
    whole.save(own)
    assert cast("unpack", own, tmp_path / "u") == (0, f"{tmp_path / 'u'}: written\n", "")
    text = (tmp_path / "u" / CARD_NAME).read_text(encoding="utf-8")
    assert '"ピコ"' in text
    assert "\n  " in text
    assert (tmp_path / "u" / NETWORK_NAME).read_bytes() == starter.network
    assert (tmp_path / "u/portraits/01-gensai.png").read_bytes() == PNG
    again = tmp_path / "again.cast"
    assert cast("pack", tmp_path / "u", again) == (0, f"{again}: written\n", "")
    assert load_cast(again) == whole
    assert again.read_bytes() == own.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.cast", "casts", "u"]


def test_unpack_into_the_empty_folder_one_stands_in(cast, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cast("unpack", "starter", ".").code == 0
    assert sorted(os.listdir()) == [CARD_NAME, NETWORK_NAME, WEIGHTS_NAME]


def test_unpack_over_another(cast, unpacked) -> None:
    (unpacked / "README").write_text("mine")
    (unpacked / NETWORK_NAME).write_bytes(b"old")
    with unchanged(unpacked / NETWORK_NAME):
        says = cast("unpack", "starter", unpacked).complaint()
        assert str(unpacked) in says
        assert "--force" in says
    assert cast("unpack", "starter", unpacked, "--force").code == 0
    assert (unpacked / NETWORK_NAME).read_bytes() != b"old"
    there = ["README", CARD_NAME, NETWORK_NAME, WEIGHTS_NAME]
    assert sorted(path.name for path in unpacked.iterdir()) == there


@pytest.mark.parametrize(
    "name",
    [
        "../../x.png",
        "portraits/../../x.png",
        "portraits/..",
        "portraits/.. /x.png",
        "/x.png",
        "portraits//x.png",
        "portraits/",
        "C:/x.png",
        "portraits/C:x.png",
        "..\\x.png",
        "portraits\\..\\..\\x.png",
        "portraits/x\n.png",
        "x.png",
        "network.tflite",
        "cast.json",
    ],
)
def test_a_portrait_that_leads_outside(cast, own, unpacked, starter, tmp_path, name) -> None:
    zipped(own, with_portraits(starter, name))
    folder = tmp_path / "a" / "b"
    folder.parent.mkdir()
    for command in (("unpack", own, folder), ("rename", own, "--name", "x")):
        with unchanged(own):
            says = cast(*command).complaint()
            assert repr(name) in says
            assert "is not safe; allowed: portraits/NAME" in says
    assert list(folder.parent.iterdir()) == []
    # The other way: no picture from elsewhere is taken into a cast.
    characters = [{"name": "A", "actor": "B", "portrait": name}]
    change_card(unpacked, characters=characters)
    with pytest.raises(CastError, match="is not safe"):
        cast_files.read_folder(unpacked)


def test_portraits_whose_names_clash(cast, own, starter, tmp_path) -> None:
    with_portraits(starter, "portraits/a", "portraits/a/b").save(own)
    cast("unpack", own, tmp_path / "u").complaint()
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize("there", ["full", "empty", "none"])
def test_unpack_that_fails_on_the_way(cast, starter, tmp_path, monkeypatch, there) -> None:
    folder = tmp_path / "u"
    before: dict[str, bytes] = {}
    if there != "none":
        folder.mkdir()
    if there == "full":
        before = {NETWORK_NAME: b"old", CARD_NAME: b"card"}
        for name, data in before.items():
            (folder / name).write_bytes(data)
    rename = Path.rename

    def fail_late(self, target):
        # The last step: the card into a folder that is there, or the whole of a new one.
        if self.name == (CARD_NAME if there != "none" else "new"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail_late)
    with pytest.raises(CastError, match="No space left on device"):
        cast_files.unpack_cast(with_portraits(starter, "portraits/a.png"), folder, force=True)
    assert folder.exists() == (there != "none")
    if there != "none":
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == [folder.name] * folder.exists()


def test_unpack_where_it_cannot_be(cast, own, tmp_path) -> None:
    with unchanged(own):
        assert "is a file" in cast("unpack", own, own).complaint()
        assert "is not a folder" in cast("unpack", own, own / "u").complaint()
        assert "make it first" in cast("unpack", own, tmp_path / "none" / "u").complaint()
    blocked = tmp_path / "blocked"
    (blocked / NETWORK_NAME).mkdir(parents=True)
    assert "is a folder in it" in cast("unpack", own, blocked, "--force").complaint()
    assert [path.name for path in blocked.iterdir()] == [NETWORK_NAME]


def test_pack_over_another(cast, own, unpacked, tmp_path) -> None:
    with unchanged(own):
        assert "is there already; --force" in cast("pack", unpacked, own).complaint()
    own.write_bytes(b"old")
    assert cast("pack", unpacked, own, "--force").code == 0
    assert load_cast(own) == load_cast("starter")
    assert [path.name for path in own.parent.iterdir()] == [own.name]


def test_pack_where_it_cannot_be(cast, own, unpacked, tmp_path) -> None:
    with unchanged(own):
        assert "is a folder; name a file" in cast("pack", unpacked, tmp_path).complaint()
        device = cast("pack", unpacked, os.devnull, "--force")
        assert "is not a file; name another" in device.complaint()
        assert "is not a folder" in cast("pack", unpacked, own / "x.cast").complaint()
        assert "home folder" in cast("pack", unpacked, "~nobodyxyz/x.cast").complaint()
    with unchanged(STARTER_CAST):
        assert "ships with" in cast("pack", unpacked, STARTER_CAST, "--force").complaint()
        assert "ships with" in cast("pack", unpacked, "starter", "--force").complaint()


def test_pack_an_exchanged_network_only_when_told(cast, unpacked, tmp_path) -> None:
    network = (unpacked / NETWORK_NAME).read_bytes() + b"\0"
    (unpacked / NETWORK_NAME).write_bytes(network)
    new = tmp_path / "new.cast"
    assert "--new-network" in cast("pack", unpacked, new).complaint()
    assert not new.exists()
    done = cast("pack", unpacked, new, "--new-network")
    note, written = done.out.splitlines()
    digest = cast_files.network_digest(network)
    assert note.startswith(f"new network {digest[:12]}: ")
    assert written == f"{new}: written"
    assert load_cast(new).card.network_sha256 == digest
    assert load_cast(new).network == network


def test_pack_tells_what_it_leaves_out(cast, unpacked, tmp_path) -> None:
    (unpacked / "portraits").mkdir()
    (unpacked / "portraits" / "x.png").write_bytes(PNG)
    done = cast("pack", unpacked, tmp_path / "new.cast")
    assert done.out.startswith("portraits/x.png: left out, no character in cast.json names it\n")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": ""}, "cast name '': is empty"),
        ({"characters": [{"name": "a\nb", "actor": "c"}]}, "has a line break"),
        ({"characters": [{"name": "a", "actor": "c"}] * 2}, "two characters would both be 'a'"),
        ({"characters": []}, "it has no characters"),
        ({"characters": 3}, "Expected `array`, got `int`"),
        ({"characters": [{"name": "a", "actor": "b"}]}, "its network takes"),
        ({"background": False}, "its network takes"),
        ({"mean": [1.0]}, "mean has 1 values"),
        ({"version": 99}, "update kikiwake"),
        ({"format": "zip"}, "is not a Kikiwake cast file"),
        ({"characters": [{"name": "a", "actor": "b", "portrait": "portraits/0.png"}]}, "no such"),
    ],
)
def test_pack_a_card_that_does_not_fit(cast, unpacked, tmp_path, changes, text) -> None:
    change_card(unpacked, **changes)
    assert text in cast("pack", unpacked, tmp_path / "new.cast").complaint()
    assert not (tmp_path / "new.cast").exists()


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[]", b'{"format": "\x82\xa0"}', b'{"x":' + b"[" * 100_000, b"\0" * 10],
    ids=["empty", "cut off", "list", "not UTF-8", "deep", "zeros"],
)
def test_pack_a_card_that_is_none(cast, unpacked, tmp_path, raw) -> None:
    (unpacked / CARD_NAME).write_bytes(raw)
    assert CARD_NAME in cast("pack", unpacked, tmp_path / "new.cast").complaint()


def test_pack_a_card_from_an_editor_of_windows(cast, unpacked, tmp_path) -> None:
    path = unpacked / CARD_NAME
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert cast("pack", unpacked, tmp_path / "new.cast").code == 0


def test_pack_what_is_missing_or_no_network(cast, unpacked, tmp_path) -> None:
    new = tmp_path / "new.cast"
    (unpacked / NETWORK_NAME).write_bytes(b"no network")
    assert "cannot be read" in cast("pack", unpacked, new, "--new-network").complaint()
    (unpacked / NETWORK_NAME).unlink()
    assert "network.tflite: no such file" in cast("pack", unpacked, new).complaint()
    (unpacked / NETWORK_NAME).mkdir()
    assert "network.tflite: is not a file" in cast("pack", unpacked, new).complaint()
    assert "no such folder" in cast("pack", tmp_path / "none", new).complaint()
    assert not new.exists()


@pytest.mark.parametrize(
    ("data", "text"),
    [(b"hello", "is not a picture; allowed: png, jpg"), (PNG + bytes(5 << 20), "too large")],
    ids=["text", "large"],
)
def test_pack_a_portrait_that_is_none(cast, unpacked, tmp_path, starter, data, text) -> None:
    characters = msgspec.to_builtins(starter.card)["characters"]
    change_card(unpacked, characters=[characters[0] | {"portrait": "portraits/0.png"}])
    (unpacked / "portraits").mkdir()
    (unpacked / "portraits" / "0.png").write_bytes(data)
    says = cast("pack", unpacked, tmp_path / "new.cast").complaint()
    assert "portraits/0.png" in says
    assert text in says


# rename


@pytest.mark.parametrize("name", NAMES)
def test_rename_to_names_of_any_script_and_back(cast, own, starter, name) -> None:
    assert cast("rename", own, "--character", "Piko", name) == (0, f"{own}: written\n", "")
    assert load_cast(own).card.characters[7].name == name
    assert f"{name}\tNanoka Hibarino\t" in cast("show", own).out
    assert cast("rename", own, "--character", name, "Piko").code == 0
    assert load_cast(own) == starter
    assert [path.name for path in own.parent.iterdir()] == [own.name]


def test_rename_an_actor_and_the_cast(cast, own, starter) -> None:
    done = cast("rename", own, "--actor", "Mayuko Sekizuka", "関塚まゆこ", "--name", "私の")
    assert done.code == 0
    card = load_cast(own).card
    assert card.name == "私の"
    assert [c.actor for c in card.characters].count("関塚まゆこ") == 2
    assert [c.name for c in card.characters] == [c.name for c in starter.card.characters]


def test_a_name_in_another_encoding_of_its_accents(cast, own) -> None:
    composed, apart = "がぎ", "か\u3099き\u3099"
    assert cast("rename", own, "--character", "Piko", composed).code == 0
    assert cast("rename", own, "--character", apart, "Piko").code == 0
    assert load_cast(own).card.characters[7].name == "Piko"


def test_rename_to_another_file(cast, own, tmp_path, starter) -> None:
    new = tmp_path / "new.cast"
    with unchanged(own):
        assert cast("rename", own, "--name", "x", "--to", new) == (0, f"{new}: written\n", "")
        assert load_cast(new) == msgspec.structs.replace(starter, card=edited(starter, name="x"))
        with unchanged(new):
            says = cast("rename", own, "--name", "y", "--to", new).complaint()
            assert "is there already; --force" in says
        assert cast("rename", own, "--name", "y", "--to", new, "--force").code == 0
    assert load_cast(new).card.name == "y"


def test_the_starter_cast_is_not_edited_in_place(cast, picture, tmp_path) -> None:
    with unchanged(STARTER_CAST):
        for name in ("starter", STARTER_CAST):
            assert "--to FILE" in cast("rename", name, "--name", "x").complaint()
            assert "--to FILE" in cast("portrait", name, "Piko", picture).complaint()
            again = cast("rename", "starter", "--name", "x", "--to", name, "--force")
            assert "ships with Kikiwake" in again.complaint()
        assert cast("rename", "starter", "--name", "x", "--to", tmp_path / "x.cast").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="links need a right there")
def test_a_link_stays_one_and_so_does_the_mode(cast, own, tmp_path) -> None:
    link = tmp_path / "link.cast"
    link.symlink_to(own)
    own.chmod(0o640)
    assert cast("rename", link, "--name", "x").code == 0
    assert link.is_symlink()
    assert load_cast(own).card.name == "x"
    assert own.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ("Pikko", "no character 'Pikko'; did you mean 'Piko'?"),
        ("PIKO", "did you mean 'Piko'?"),
        ("queen oboru", "did you mean 'Queen Oboro'?"),
        ("Nanoka Hibarino/Pico", "did you mean 'Nanoka Hibarino/Piko'?"),
        ("そら", "no character 'そら'; there are: Gensai Kurodate, "),
        ("", "no character ''"),
    ],
)
def test_a_character_that_is_not_there(cast, own, wanted, text) -> None:
    with unchanged(own):
        assert text in cast("rename", own, "--character", wanted, "x").complaint()


def test_a_portrait_for_one_that_is_not_there(cast, own, picture) -> None:
    with unchanged(own):
        for last in (picture, "--remove"):
            assert "did you mean 'Piko'?" in cast("portrait", own, "Pico", last).complaint()


def test_an_actor_that_is_not_there(cast, own) -> None:
    with unchanged(own):
        says = cast("rename", own, "--actor", "Nanoka Hibarin", "x").complaint()
    assert "no actor 'Nanoka Hibarin'; did you mean 'Nanoka Hibarino'?" in says


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("", "is empty"),
        ("  ", "is empty"),
        ("\u200b\u200f", "is empty"),
        ("a\nb", "line break"),
        ("a\u2028b", "line break"),
        ("a\x1b[31mb", "control character"),
        ("a\tb", "control character"),
        ("a\udc80", "control character"),
        ("a\u202eb", "control character"),
        (" a", "begins or ends with a space"),
        ("あ" * 101, "has 101 characters"),
    ],
)
def test_a_name_that_is_not_allowed(cast, own, name, text) -> None:
    with unchanged(own):
        says = cast("rename", own, "--character", "Piko", name).complaint()
    assert text in says
    assert "allowed: 1 to 100 characters" in says


def test_a_name_that_is_not_allowed_for_an_actor_or_the_cast(cast, own) -> None:
    with unchanged(own):
        assert "is empty" in cast("rename", own, "--actor", "Nanoka Hibarino", "").complaint()
        assert "is empty" in cast("rename", own, "--name", "").complaint()


def test_two_of_the_same_name_and_actor(cast, own, tmp_path, picture) -> None:
    with unchanged(own):
        says = cast("rename", own, "--character", "Queen Oboro", "Hinano Tamagaki").complaint()
        assert "two characters would both be 'Hinano Tamagaki' by 'Mayuko Sekizuka'" in says
    assert cast("rename", own, "--character", "Queen Oboro", "Piko").code == 0
    with unchanged(own):
        says = cast("rename", own, "--actor", "Mayuko Sekizuka", "Nanoka Hibarino").complaint()
        assert "two characters would both be 'Piko'" in says
        for command in (
            ("rename", own, "--character", "Piko", "x"),
            ("portrait", own, "Piko", picture),
        ):
            says = cast(*command).complaint()
            assert "2 characters are called 'Piko'; name one as actor/character" in says
            assert "Mayuko Sekizuka/Piko, Nanoka Hibarino/Piko" in says
    assert cast("portrait", own, "Nanoka Hibarino/Piko", picture).code == 0
    assert cast("rename", own, "--character", "Mayuko Sekizuka/Piko", "Queen").code == 0
    queen, piko = load_cast(own).card.characters[6:8]
    assert (queen.name, queen.portrait) == ("Queen", None)
    assert (piko.name, piko.portrait) == ("Piko", "portraits/08-piko.png")


# portrait


@pytest.mark.parametrize("extension", PICTURES)
def test_set_and_remove_a_portrait(cast, own, picture, starter, extension) -> None:
    picture.write_bytes(PICTURES[extension])
    assert cast("portrait", own, "Piko", picture) == (0, f"{own}: written\n", "")
    changed = load_cast(own)
    assert changed.portraits == {f"portraits/08-piko.{extension}": PICTURES[extension]}
    assert cast("portrait", own, "Piko", "--remove").code == 0
    assert load_cast(own) == starter
    with unchanged(own):
        assert "has no portrait" in cast("portrait", own, "Piko", "--remove").complaint()


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("ピコ", "portraits/08.png"),
        ("👩‍🚀", "portraits/08.png"),
        ("شهرزاد", "portraits/08.png"),
        ("Éloïse ../../Ü", "portraits/08-eloise-u.png"),
        ("CON", "portraits/08-con.png"),
        ("x" * 100, f"portraits/08-{'x' * 40}.png"),
    ],
)
def test_a_portrait_of_any_name_has_a_plain_one(cast, own, picture, tmp_path, name, member) -> None:
    assert cast("rename", own, "--character", "Piko", name).code == 0
    assert cast("portrait", own, name, picture).code == 0
    assert load_cast(own).portraits == {member: PNG}
    assert cast("unpack", own, tmp_path / "u").code == 0
    assert (tmp_path / "u" / member).read_bytes() == PNG


def test_another_portrait_takes_the_place_of_the_first(cast, own, picture) -> None:
    assert cast("portrait", own, "Piko", picture).code == 0
    picture.write_bytes(PICTURES["gif"])
    assert cast("portrait", own, "Piko", picture).code == 0
    assert load_cast(own).portraits == {"portraits/08-piko.gif": PICTURES["gif"]}


def test_a_portrait_leaves_those_of_others_alone(cast, own, picture, starter) -> None:
    # Packed by hand: the first has the name that is due to the eighth, and the second has it too.
    shared = with_portraits(starter, "portraits/08-piko.png", data=PICTURES["jpg"])
    first, second, *others = shared.card.characters
    second = msgspec.structs.replace(second, portrait=first.portrait)
    card = msgspec.structs.replace(shared.card, characters=(first, second, *others))
    msgspec.structs.replace(shared, card=card).save(own)
    assert cast("portrait", own, "Piko", picture).code == 0
    both = {"portraits/08-piko.png": PICTURES["jpg"], "portraits/08-piko-2.png": PNG}
    assert load_cast(own).portraits == both
    assert cast("portrait", own, first.name, "--remove").code == 0
    assert load_cast(own).portraits == both


def test_pictures_that_are_none(cast, own, picture, tmp_path) -> None:
    with unchanged(own):
        for data in (b"", b"hello", b"BMW is a car", b"<svg/>", b"RIFF\0\0\0\0WAVEfmt "):
            picture.write_bytes(data)
            says = cast("portrait", own, "Piko", picture).complaint()
            assert says.startswith(f"picture {picture}: is not a picture; allowed: png, jpg, webp")
        picture.write_bytes(PNG + bytes(5 << 20))
        assert "at most 5 MiB" in cast("portrait", own, "Piko", picture).complaint()
        assert "no such file" in cast("portrait", own, "Piko", tmp_path / "none").complaint()
        assert "is not a file" in cast("portrait", own, "Piko", tmp_path).complaint()


# What is wrong


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda data: data[: len(data) // 2], "cut off"),
        (lambda data: b"hello", "is not a Kikiwake cast file"),
        (lambda data: b"", "is not a Kikiwake cast file"),
        (lambda data: data[:100_000] + b"\0" * 100 + data[100_100:], "is damaged"),
    ],
    ids=["cut off", "text", "empty", "zeros"],
)
def test_a_damaged_cast(cast, own, picture, tmp_path, damage, text) -> None:
    own.write_bytes(damage(own.read_bytes()))
    with unchanged(own):
        for command in (
            ("show", own),
            ("unpack", own, tmp_path / "u"),
            ("rename", own, "--name", "x"),
            ("portrait", own, "Piko", picture),
        ):
            says = cast(*command).complaint()
            assert str(own) in says
            assert text in says
    assert not (tmp_path / "u").exists()


@pytest.mark.parametrize("command", ["rename", "pack", "unpack"])
@pytest.mark.skipif(sys.platform == "win32", reason="no limits of a process")
def test_a_disk_that_is_full(cast, own, unpacked, tmp_path, command) -> None:
    import resource

    arguments = {
        "rename": (own, "--name", "x"),
        "pack": (unpacked, own, "--force"),
        "unpack": (own, own.parent / "u"),
    }[command]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with unchanged(own):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            done = cast(command, *arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "cannot be written: File too large" in done.complaint()


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_to(cast, own) -> None:
    own.parent.chmod(0o500)
    with unchanged(own):
        assert "Permission denied" in cast("rename", own, "--name", "x").complaint()
    own.parent.chmod(0o700)


def test_a_cast_that_would_not_come_back_is_not_written(cast, own, monkeypatch) -> None:
    save = Cast.save

    def save_less(self, path):
        save(msgspec.structs.replace(self, card=edited(self, licence="lost")), path)

    monkeypatch.setattr(Cast, "save", save_less)
    with unchanged(own):
        assert "did not come out" in cast("rename", own, "--name", "x").complaint()


@pytest.mark.parametrize(
    "arguments",
    [
        ["rename", "x.cast"],
        ["rename", "x.cast", "--character", "one"],
        ["rename", "x.cast", "--name", "x", "--force"],
        ["portrait", "x.cast", "Piko"],
        ["portrait", "x.cast", "Piko", "x.png", "--remove"],
        ["portrait", "x.cast", "Piko", "--remove", "--force"],
        ["pack", "x"],
        ["dance"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line(cast, arguments) -> None:
    done = cast(*arguments)
    assert done.code == 2
    assert "Error" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", ["show", "unpack", "pack", "rename", "portrait"])
def test_the_help_has_an_example(cast, command) -> None:
    done = cast(command, "--help")
    assert done.code == 0
    assert f"Example: kikiwake cast {command} " in " ".join(done.out.split())


def test_it_loads_nothing_heavy() -> None:
    code = (
        "import sys, kikiwake.tools.cast_cli;"
        "print({'numba', 'rich', 'soundfile', 'numpy', 'ai_edge_litert'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("set()\n", "")
