"""Folders of clips: what is found in them, whoever asks, and how it is read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kikiwake.tools.cli import main
from kikiwake.tools.clips import (
    ClipError,
    decode,
    find_clips,
    find_portraits,
    find_stray,
    find_unsorted,
    find_voices,
    read_sound,
    walk,
)
from kikiwake.tools.sort import Session

RATE = 16_000
Y = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)

# Where a sound file lies, and what it is there.
PLACES = {
    "0001.flac": "stray",
    "ep1/0001.flac": "unsorted",
    "ep1/0002.OGG": "unsorted",
    "ep1/0003.aiff": "unsorted",
    "ep1/0004.txt": None,
    "ep1/._0005.flac": None,
    "ep1/background/0006.flac": "background",
    "ep2/Background/0001.flac": "background",
    "ep1/background/more/0007.flac": "stray",
    "ep1/actor/0008.flac": "stray",
    "ep1/actor/name/0009.wav": "actor name",
    "ep2/actor/name/0002.mp3": "actor name",
    "ep1/actor/background/0010.flac": "actor background",
    "ep1/actor/name/deep/er/0011.flac": "stray",
    "ep1/actor/.hidden/0012.flac": None,
    "ep1/.actor/name/0013.flac": None,
    ".ep3.part/0001.flac": None,
    ".kikiwake/0001.flac": None,
    "ep2/Zoe\u0301/o\u0308/0014.flac": "Zoé ö",
}


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(map(str, arguments)))
    return done.value.code or 0


def test_everybody_finds_the_same(tmp_path) -> None:
    clips = make(tmp_path, *PLACES)
    found = {
        place.path.relative_to(clips).as_posix(): " ".join(place.voice or (place.kind,))
        for place in walk(clips)
    }
    assert found == {name: what for name, what in PLACES.items() if what is not None}
    sorted_ones = [(clip.path, clip.voice) for clip in find_clips(clips)]
    assert sorted_ones == sorted(sorted_ones, key=lambda pair: pair[0])
    with Session(clips) as session:
        assert session.stray == find_stray(clips)
        assert sorted(c.path for c in session.clips if c.label is None) == find_unsorted(clips)
        assert [(c.path, c.label) for c in session.clips if c.label is not None] == [
            (path, voice or ("background", "")) for path, voice in sorted_ones
        ]
        assert set(session.characters) == set(find_voices(clips))


def test_the_picture_of_a_voice(tmp_path) -> None:
    clips = make(
        tmp_path,
        *("ep1/a/one/small_image.ppm", "ep1/a/one/image.ppm", "ep1/a/one/portrait.JPEG"),
        *("ep1/a/two/image.ppm", "ep2/a/two/portrait.png", "ep1/a/three/screenshot.png"),
        *("ep1/a/three/._portrait.png", "ep1/a/three/portrait.txt"),
    )
    found = {name: path.name for (_, name), path in find_portraits(clips).items()}
    assert found == {"one": "portrait.JPEG", "two": "image.ppm"}


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="every name is text")
def test_names_that_are_no_text(tmp_path, capsys) -> None:
    bad = os.fsdecode(b"ep\xff.flac")
    clips = make(tmp_path / "clips", f"ep/{bad}")
    with pytest.raises(ClipError, match="its name is no UTF-8"):
        find_clips(clips)
    assert run("sort", clips) == 1
    assert capsys.readouterr().err.endswith(
        "clips/ep/ep\\udcff.flac: its name is no UTF-8; rename it\n"
    )
    assert run("split", clips / "ep" / bad, "--to", tmp_path / "c") == 1
    assert "ep\\udcff.flac: its name is no UTF-8; rename it" in capsys.readouterr().out


class TestReading:
    @pytest.mark.parametrize("said", [0, 100, 2**36 - 1])
    def test_whatever_length_a_header_states(self, tmp_path, said) -> None:
        path = tmp_path / "a.flac"
        soundfile.write(path, Y, RATE)
        data = bytearray(path.read_bytes())
        form = int.from_bytes(data[18:26], "big") & ~(2**36 - 1)
        data[18:26] = (form | said).to_bytes(8, "big")
        path.write_bytes(data)
        y = read_sound(path, RATE)
        assert len(y) == (100 if said == 100 else len(Y))
        assert np.allclose(y, Y[: len(y)], atol=1e-4)

    @pytest.mark.parametrize("ending", ["flac", "mp3", "ogg", "wav"])
    def test_in_blocks_as_at_once(self, tmp_path, ending) -> None:
        path = tmp_path / f"a.{ending}"
        t = np.arange(10 * RATE) / RATE
        soundfile.write(path, np.stack([np.sin(3000 * t)] * 2, axis=1), RATE)
        y, rate = decode(path.read_bytes(), path)
        whole, its_rate = soundfile.read(path, dtype="float32")
        assert rate == its_rate
        assert np.allclose(y, whole.mean(axis=1), atol=1e-6)

    def test_what_cannot_be_read(self, tmp_path) -> None:
        with pytest.raises(ClipError, match=r"none.flac: cannot be read: No such file"):
            read_sound(tmp_path / "none.flac", RATE)
        with pytest.raises(ClipError, match=r"a.flac: cannot be read as sound: "):
            decode(b"no sound", Path("a.flac"))
