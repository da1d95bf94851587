"""The cast file: what is written is read, and what is not a cast is refused in one line."""

import io
import json
import zipfile

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikiwake.errors import CastError
from kikiwake.models.cast import CARD_NAME, NETWORK_NAME, Cast, Character, load_cast


@pytest.fixture(scope="module")
def starter() -> Cast:
    return load_cast("starter")


def rewrite(cast: Cast, path, **members: bytes) -> None:
    """Write a cast with some members replaced, or left out where None."""
    cast.save(path)
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content |= members
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            if data is not None:
                archive.writestr(name, data)


def card_with(cast: Cast, **changes: object) -> bytes:
    return json.dumps(msgspec.to_builtins(cast.card) | changes).encode()


def test_round_trip_with_portraits(starter, tmp_path):
    first, *others = starter.card.characters
    portrait = "portraits/0.png"
    card = msgspec.structs.replace(
        starter.card,
        characters=(Character(first.name, first.actor, portrait), *others),
    )
    cast = Cast(card, starter.network, {portrait: b"not looked into"})
    cast.save(tmp_path / "a.cast")
    assert load_cast(tmp_path / "a.cast") == cast
    cast.save(tmp_path / "b.cast")
    assert (tmp_path / "a.cast").read_bytes() == (tmp_path / "b.cast").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.cast", "b.cast"], "nothing left over"


def test_starter_cast_is_what_the_issue_asks_for(starter):
    card = starter.card
    actors = [character.actor for character in card.characters]
    assert len(card.characters) >= 8
    assert len({character.name for character in card.characters}) == len(card.characters)
    assert len(set(actors)) < len(actors), "two characters share an actor"
    assert card.background
    assert len(starter.network) <= 1_500_000
    assert card.trained_on
    assert card.licence == "Apache-2.0"


@pytest.mark.parametrize(
    ("member", "data", "text"),
    [
        (CARD_NAME, None, "is not a Kikiwake cast file"),
        (CARD_NAME, b"{", "is damaged: cast.json"),
        (CARD_NAME, b"[]", "is damaged: cast.json"),
        (CARD_NAME, b'{"format": "zip"}', "is not a Kikiwake cast file"),
        (CARD_NAME, b'{"format": "kikiwake-cast", "version": 1}', "is damaged: cast.json"),
        (NETWORK_NAME, None, "network.tflite is missing"),
        (NETWORK_NAME, b"other", "not the network that cast.json describes"),
    ],
)
def test_foreign_or_damaged(starter, tmp_path, member, data, text):
    path = tmp_path / "x.cast"
    rewrite(starter, path, **{member: data})
    with pytest.raises(CastError, match=text) as caught:
        load_cast(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"version": 99}, "version 99, this program reads up to 1; update kikiwake"),
        ({"characters": []}, "no characters"),
        ({"mean": [0.0]}, "mean has 1 values, need 44"),
        ({"std": [0.0] * 44}, "std is not positive"),
        ({"std": [1e300] * 44}, "none that features have"),
        ({"mean": [1e39] * 44}, "none that features have"),
        ({"calibration": {"temperature": -1.0}}, "temperature must be 0.01 to 100"),
        ({"calibration": {"temperature": 1e-60}}, "temperature must be 0.01 to 100"),
        ({"name": "\x1b]0;title\x07"}, "another control character"),
        ({"name": "a\u202eb"}, "another control character"),
        ({"features": {"hop_length": 0}}, "hop_length"),
        ({"background": "yes"}, "background"),
    ],
)
def test_card_that_makes_no_sense(starter, tmp_path, changes, text):
    path = tmp_path / "x.cast"
    rewrite(starter, path, **{CARD_NAME: card_with(starter, **changes)})
    with pytest.raises(CastError, match=text) as caught:
        load_cast(path)
    assert "\n" not in str(caught.value)


def test_what_unpacks_to_more_than_memory_holds_is_refused(starter, tmp_path):
    path = tmp_path / "x.cast"
    rewrite(starter, path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            with archive.open(f"{number}", "w") as member:
                for _ in range(200):
                    member.write(bytes(2**20))
    with pytest.raises(CastError, match="unpacked, it is larger than 512 MiB"):
        load_cast(path)


def test_missing_and_folder(tmp_path):
    with pytest.raises(CastError, match="no such file"):
        load_cast(tmp_path / "none.cast")
    with pytest.raises(CastError, match="is a folder"):
        load_cast(tmp_path)


def test_home_of_nobody():
    with pytest.raises(CastError) as caught:
        load_cast("~nobodyxyz/x.cast")
    assert str(caught.value) == (
        "cast ~nobodyxyz/x.cast: there is no home folder ~nobodyxyz; name a cast file, or starter"
    )


@pytest.mark.parametrize("name", ["\0.cast", "~\0/x.cast"])
def test_zero_byte_in_the_name(name):
    with pytest.raises(CastError, match=r"^cast '.*\\x00.*': cannot be read: ") as caught:
        load_cast(name)
    assert "\n" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_flipped_byte_or_cut_is_refused_or_harmless(starter, tmp_path_factory, data):
    path = tmp_path_factory.mktemp("cast") / "x.cast"
    buffer = io.BytesIO()
    starter.save(path)
    buffer = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        del buffer[data.draw(st.integers(0, len(buffer) - 1)) :]
    else:
        at = data.draw(st.integers(0, len(buffer) - 1))
        buffer[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(buffer)
    try:
        read = load_cast(path)
    except CastError as error:
        refusal = str(error)
        read = None
    if read is None:
        assert "\n" not in refusal
    else:
        assert read == starter
