"""What the overlay knows without Qt: marks, words, places, the feed, when motion is unwanted."""

from __future__ import annotations

import doctest
import importlib
import itertools
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kikiwake.engine import device
from kikiwake.engine.config import SettingsFile
from kikiwake.engine.result import Candidate, Result
from kikiwake.errors import KikiwakeError
from kikiwake.models import cast
from kikiwake.overlay import app, feed, marks, motion, place, shown, words
from kikiwake.overlay.place import Area

# Machado et al. 2009, complete deficiency.
DEFICIENCIES = {
    "none": np.eye(3),
    "long": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
             [-0.003882, -0.048116, 1.051998]],
    "middle": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
               [-0.011820, 0.042940, 0.968881]],
    "short": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
              [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


@pytest.mark.parametrize("module", [marks, place, shown, words])
def test_examples(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


def test_nothing_here_loads_qt():
    names = ("app", "feed", "marks", "motion", "place", "shown", "words", "x11")
    code = "import sys; " + "; ".join(f"import kikiwake.overlay.{name}" for name in names)
    code += "; assert not [name for name in sys.modules if name.startswith('PySide6')]"
    subprocess.run([sys.executable, "-c", code], check=True)


def oklab(colour: str, deficiency: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    seen = np.clip(DEFICIENCIES[deficiency] @ linear, 0, 1)
    to_cones = [[0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005]]  # fmt: skip
    to_lab = [[0.2104542553, 0.7936177850, -0.0040720468],
              [1.9779984951, -2.4285922050, 0.4505937099],
              [0.0259040371, 0.7827717662, -0.8086757660]]  # fmt: skip
    return np.array(to_lab) @ np.cbrt(np.array(to_cones) @ seen)


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_colours_are_told_apart(deficiency):
    assert len(marks.PALETTE) >= 12
    for (one, its), (other, others) in itertools.combinations(marks.PALETTE, 2):
        apart = np.linalg.norm(oklab(one, deficiency) - oklab(other, deficiency))
        assert apart > (0.12 if deficiency == "none" else 0.09)
        assert apart > 0.135 or its != others, "those that are near have another pattern"


def test_marks_of_a_large_cast_differ():
    given_ = marks.marks(range(48))
    assert len(set(given_.values())) == 48


@settings(deadline=None)
@given(st.text(max_size=30))
def test_initials_of_anything(name):
    assert marks.initials(name)


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Élodie Ångström", "ÉÅ"),
        ("e\u0301lodie", "E\u0301"),
        ("אריאל בת הים", "א"),
        ("👩\u200d🚀 Ripley", "R"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("「アスカ」", "ア"),
        ("Дмитрий Иванов", "ДИ"),
        ("  ", "?"),
    ],
)
def test_initials(name, short):
    assert marks.initials(name) == short


def test_both_languages_say_everything():
    # What the engine says is English as it is.
    for english, japanese in zip(words.ENGLISH[:-1], words.JAPANESE[:-1], strict=True):
        assert english
        assert japanese
        assert english != japanese
        assert str(english).count("{}") == str(japanese).count("{}")
    assert words.words([]) is words.words(["C"]) is words.words(["fr", "en_GB"]) is words.ENGLISH
    assert words.words(["ja_JP"]) is words.JAPANESE


JAPANESE_TEXT = re.compile("[ぁ-んァ-ヶ一-龠]")


def test_what_the_engine_says_is_as_it_is_known_here():
    rooms = [Path(module.__file__).parent for module in (device, cast)]
    sources = [path.read_text(encoding="utf-8") for room in rooms for path in room.glob("*.py")]
    # Of strings that go on in the next line, as one.
    text = re.sub(r'"\n\s*f?"', "", "\n".join(sources))
    for theirs, ours in words.JAPANESE.notices:
        assert JAPANESE_TEXT.search(ours)
        assert ours.count("{}") <= theirs.count("{}")
        for part in filter(None, map(str.strip, theirs.split("{}"))):
            assert part in text, part


def test_notices_in_japanese(tmp_path: Path):
    said = []
    for raw in (b"[gate\n", b"[gate]\naggressiveness = 7\n", b'cast = "nowhere.cast"\n', b"\xff"):
        path = tmp_path / "config.toml"
        path.write_bytes(raw)
        with pytest.raises(KikiwakeError) as failed:
            cast.load_cast(SettingsFile(path).load().cast)
        said.append(f"{failed.value}; the settings stay as they were")
    (tmp_path / "damaged.cast").write_bytes(b"no cast")
    with pytest.raises(KikiwakeError) as failed:
        cast.load_cast(tmp_path / "damaged.cast")
    said.append(str(failed.value))
    with device.DeviceSource("no such device at all", wait=True) as source:
        assert source.notice is not None
        said.append(source.notice)
    said.append("; ".join(said[-2:]))
    for notice in said:
        assert words.said_in(words.ENGLISH, notice) == notice
        japanese = words.said_in(words.JAPANESE, notice)
        assert len(JAPANESE_TEXT.findall(japanese)) > 5, japanese
    assert "7: expected" in words.said_in(words.JAPANESE, said[1]), "what is wrong is still said"
    assert words.said_in(words.JAPANESE, "a driver says this") == "a driver says this"


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_notice_can_be_said(text):
    assert words.said_in(words.ENGLISH, text) == text
    words.said_in(words.JAPANESE, f"config {text}: {text}; {text}")


@settings(deadline=None)
@given(st.floats(-3000, 3000), st.floats(-3000, 3000), st.floats(50, 500), st.floats(30, 300))
def test_a_window_is_put_back_where_it_was(x, y, width, height):
    screen = Area(-1280, 40, 1280, 984)
    window = place.snapped(Area(x, y, width, height), screen)
    assert screen.x <= window.x <= window.right <= screen.right + 1e-6
    assert screen.y <= window.y <= window.bottom <= screen.bottom + 1e-6
    again = place.place_of(window, screen).area(width, height, screen)
    assert np.allclose(again, window)


def test_a_window_stays_at_its_edge_as_it_grows():
    screen = Area(0, 0, 1920, 1080)
    corner = place.place_of(Area(1700, 1000, 220, 80), screen)
    assert corner.area(400, 300, screen) == (1520, 780, 400, 300)
    assert corner.area(400, 300, Area(0, 0, 800, 600)) == (400, 300, 400, 300)
    assert corner.area(4000, 300, screen).x == 0


def result(**more: object) -> Result:
    plain = {"time": 1.0, "speech": True, "character": "Aki", "actor": "Mori", "confidence": 0.8,
             "top": (), "level_db": -20.0}  # fmt: skip
    return Result(**(plain | more))


def test_the_feed_wakes_once_and_for_what_is_seen():
    woken = []
    one = feed.Feed(lambda: woken.append(1))
    one.take(result())
    assert not woken, "nobody sleeps"
    assert one.sleep(one.newest)
    one.take(result(time=2.0, level_db=-40.0, confidence=0.81))
    assert not woken
    one.take(result(second=Candidate("Ren", "Abe", 0.3)))
    one.take(result(character="Ren"))
    assert len(woken) == 1
    drawn = one.newest
    one.take(result(notice="the device is gone"))
    assert not one.sleep(drawn), "there is something newer"
    assert one.sleep(one.newest)
    one.stay_awake()
    one.take(result())
    assert len(woken) == 1


def test_the_feed_does_not_grow():
    one = feed.Feed(lambda: None)
    for number in range(3000):
        one.take(result(time=float(number), character=f"{number}"))
    assert len(one._tracker.turns) <= 2 * feed.KEPT_TURNS
    assert len(one.turns) == feed.KEPT_TURNS
    assert one.turns[-1].character == "2999"


def test_without_a_screen_it_is_said(monkeypatch):
    pytest.importorskip("PySide6")
    if sys.platform in ("win32", "darwin"):
        pytest.skip("there is always a screen")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(app.OverlayError, match="no screen"):
        app.check_overlay()
    monkeypatch.setenv("DISPLAY", ":987")
    with pytest.raises(app.OverlayError, match="no screen"):
        app.check_overlay()
    monkeypatch.setattr(app.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(app.OverlayError, match=r"pip install '\.\[overlay\]'"):
        app.check_overlay()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")
def test_xwayland_is_preferred(monkeypatch):
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    monkeypatch.setenv("DISPLAY", ":0")
    assert app.qt_environment()["QT_QPA_PLATFORM"] == "xcb;wayland"
    monkeypatch.delenv("DISPLAY")
    assert "QT_QPA_PLATFORM" not in app.qt_environment()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")
@pytest.mark.parametrize(("said", "reduced"), [("true", False), ("false", True), ("", False)])
def test_reduced_motion_of_gnome(monkeypatch, tmp_path: Path, said, reduced):
    program = tmp_path / "gsettings"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "GNOME")
    assert motion.motion_is_reduced() is reduced


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of Linux")
@pytest.mark.parametrize(
    ("text", "reduced"),
    [
        ("[KDE]\nAnimationDurationFactor=0\n", True),
        ("[KDE]\n", False),
        ("???", False),
        (None, False),
    ],
)
def test_reduced_motion_of_kde(monkeypatch, tmp_path: Path, text, reduced):
    if text is not None:
        (tmp_path / "kdeglobals").write_text(text)
    monkeypatch.setenv("XDG_CURRENT_DESKTOP", "KDE")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert motion.motion_is_reduced() is reduced


def test_the_modules_without_qt_are_found():
    assert importlib.import_module("kikiwake.overlay").__doc__
