from __future__ import annotations

import contextlib
import functools
import os
import shutil
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kikiwake.engine.config import (
    Settings,
    SettingsFile,
    config_path,
    default_toml,
    load_settings,
    setting_fields,
)
from kikiwake.errors import ConfigError
from kikiwake.files import write_file


@pytest.fixture
def complaint(tmp_path):
    """Load a text, return what is wrong with it."""

    def load(text: str | bytes) -> str:
        path = tmp_path / "config.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        with pytest.raises(ConfigError) as caught:
            load_settings(path)
        message = str(caught.value)
        assert message.startswith(f"config {path}: ")
        assert "\n" not in message
        return message.removeprefix(f"config {path}: ")

    return load


def test_the_default_file_holds_the_defaults(tmp_path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(default_toml(), encoding="utf-8")
    assert load_settings(path) == Settings()


def test_the_default_file_has_every_key_with_a_comment() -> None:
    tree = tomllib.loads(default_toml())
    lines = default_toml().splitlines()
    for key, default, meta in setting_fields():
        assert functools.reduce(lambda table, part: table[part], key.split("."), tree) == default
        assert meta.description
        (at,) = (
            i for i, line in enumerate(lines) if line.startswith(key.rpartition(".")[2] + " = ")
        )
        assert lines[at - 1].startswith("# ")
    assert max(map(len, lines)) <= 100


def test_without_a_file_there_are_the_defaults(own_config) -> None:
    assert not own_config.exists()
    assert load_settings() == Settings()


def test_the_environment_names_the_file(own_config) -> None:
    assert config_path() == own_config
    own_config.parent.mkdir()
    own_config.write_text("hop_ms = 50\n[gate]\nhangover_ms = 0\n")
    settings = load_settings()
    assert settings.hop_ms == 50
    assert settings.gate.hangover_ms == 0
    assert settings.gate.onset_ms == Settings().gate.onset_ms


def test_without_the_environment_it_is_in_the_users_folder(monkeypatch) -> None:
    monkeypatch.delenv("KIKIWAKE_CONFIG")
    assert config_path().name == "config.toml"
    assert config_path().parent.name == "kikiwake"


def test_overrides_win(own_config) -> None:
    own_config.parent.mkdir()
    own_config.write_text('cast = "mine.cast"\n[smoothing]\nswitching_margin = 0.3\n')
    settings = load_settings(overrides={"smoothing.switching_margin": 0.2, "input": "default"})
    assert settings.smoothing.switching_margin == 0.2
    assert (settings.cast, settings.input) == ("mine.cast", "default")


def test_an_override_out_of_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^option: gate\.aggressiveness = 7: .*0 to 3$"):
        load_settings(overrides={"gate.aggressiveness": 7})


def test_an_unknown_key_is_named_with_a_hint(complaint) -> None:
    assert complaint("[gate]\nhangover = 3\n") == (
        "gate.hangover: unknown key; did you mean gate.hangover_ms?"
    )
    assert complaint("hopms = 3\n") == "hopms: unknown key; did you mean hop_ms?"
    assert complaint("zzzzzzz = 3\n").startswith("zzzzzzz: unknown key; known keys: input, cast, ")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[gate]\naggressiveness = 4", "gate.aggressiveness = 4"),
        ("[gate]\naggressiveness = -1", "gate.aggressiveness = -1"),
        ("[gate]\nonset_ms = 19.9", "allowed: 20 to 1000"),
        ("hop_ms = 9", "hop_ms = 9: expected float >= 10"),
        ("[smoothing]\nshowing_share = 1.01", "allowed: 0 to 1"),
        ("[smoothing]\nchange_share = 0.2", "allowed: 0.3 to 1"),
        ("[smoothing]\ntogether_share = 0.6", "allowed: 0.1 to 0.5"),
        ("[smoothing]\ntime_constant_ms = inf", "smoothing.time_constant_ms = inf"),
        ('cast = ""', "cast = ''"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(complaint, text, says) -> None:
    assert says in complaint(text)


@pytest.mark.parametrize("key", [key for key, default, _ in setting_fields() if default != ""])
def test_no_number_is_nan(key) -> None:
    with pytest.raises(ConfigError, match=key.replace(".", r"\.")):
        load_settings(overrides={key: float("nan")})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('hop_ms = "fast"', "hop_ms = 'fast': expected float, got str"),
        ("input = 3", "input = 3: expected str, got int"),
        ("[gate]\naggressiveness = 1.5", "gate.aggressiveness = 1.5: expected int, got float"),
        ("gate = 3", "gate = 3: expected object, got int"),
    ],
)
def test_a_wrong_type_is_named(complaint, text, says) -> None:
    assert complaint(text) == says or complaint(text).startswith(f"{says}; allowed: ")


def test_what_is_not_toml_is_said(complaint) -> None:
    assert complaint("hop_ms 100").startswith("is not TOML: ")
    assert complaint(b"\xff\xfe\x00") == "is not UTF-8 text"


def test_a_missing_or_unreadable_file_is_said(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no such file; `kikiwake config --write` makes"):
        load_settings(tmp_path / "no.toml")
    with pytest.raises(ConfigError, match="is not a file"):
        load_settings(tmp_path)
    with pytest.raises(ConfigError, match="is not a file"):
        load_settings(Path(os.devnull))


def test_a_link_stays_one_when_it_is_written(tmp_path) -> None:
    (tmp_path / "dotfiles").write_text("old")
    try:
        (tmp_path / "config.toml").symlink_to(tmp_path / "dotfiles")
    except OSError:
        pytest.skip("links are not allowed here")
    write_file(tmp_path / "config.toml", b"new")
    assert (tmp_path / "config.toml").is_symlink()
    assert (tmp_path / "dotfiles").read_text() == "new"


def test_a_file_of_a_windows_editor_is_read(tmp_path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xef\xbb\xbfhop_ms = 30\r\n")
    assert load_settings(tmp_path / "config.toml").hop_ms == 30


@contextlib.contextmanager
def following(file: SettingsFile, stands: bool = True) -> Iterator[Callable[[float], None]]:
    """Read the file at each of its changes, and wait for a ``hop_ms`` to have been read.

    Where it `stands`, begin when the watch has yielded once.
    """
    stop, news, hops = threading.Event(), threading.Condition(), [0.0]

    def follow() -> None:
        for _ in file.changes(stop):
            with contextlib.suppress(ConfigError), news:
                hops[0] = file.load().hop_ms
                news.notify()

    def seen(hop_ms: float) -> None:
        with news:
            assert news.wait_for(lambda: hops[0] == hop_ms, timeout=5.0), (hops, hop_ms)

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        if stands:
            seen(file.load().hop_ms)
        yield seen
    finally:
        stop.set()
        asked_at = time.monotonic()
        thread.join(timeout=5.0)
        assert not thread.is_alive()
        assert time.monotonic() < asked_at + 1.0


def write(path: Path, hop_ms: int) -> None:
    path.write_text(f"hop_ms = {hop_ms}\n")


def replace(path: Path, hop_ms: int) -> None:
    write(path.with_suffix(".new"), hop_ms)
    path.with_suffix(".new").replace(path)


def test_writing_replacing_and_removing_are_seen(own_config) -> None:
    own_config.parent.mkdir()
    write(own_config, 40)
    with following(SettingsFile()) as seen:
        write(own_config, 41)
        seen(41)
        replace(own_config, 42)
        seen(42)
        own_config.unlink()
        seen(Settings().hop_ms)
        write(own_config, 43)
        seen(43)


def test_a_folder_made_later_is_seen(tmp_path, monkeypatch) -> None:
    path = tmp_path / "not" / "yet" / "config.toml"
    monkeypatch.setenv("KIKIWAKE_CONFIG", str(path))
    with following(SettingsFile()) as seen:
        path.parent.mkdir(parents=True)
        write(path, 40)
        seen(40)
        write(path, 41)
        seen(41)


def test_a_folder_removed_and_made_again_is_seen(own_config) -> None:
    own_config.parent.mkdir()
    write(own_config, 40)
    with following(SettingsFile()) as seen:
        for hop_ms in 41, 43:
            shutil.rmtree(own_config.parent)
            own_config.parent.mkdir()
            write(own_config, hop_ms)
            seen(hop_ms)
            write(own_config, hop_ms + 1)
            seen(hop_ms + 1)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("folder", [False, True])
def test_a_link_to_elsewhere_and_then_to_another_place_is_followed(tmp_path, folder) -> None:
    for name, hop_ms in ("a", 40), ("b", 50):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "config.toml", hop_ms)
    link, end = tmp_path / "link", "" if folder else "config.toml"
    link.symlink_to(tmp_path / "a" / end)
    with following(SettingsFile(link / "config.toml" if folder else link)) as seen:
        write(tmp_path / "a" / "config.toml", 41)
        seen(41)
        (tmp_path / "new").symlink_to(tmp_path / "b" / end)
        (tmp_path / "new").replace(link)
        seen(50)
        replace(tmp_path / "b" / "config.toml", 51)
        seen(51)


def test_what_was_written_before_the_watch_stood_is_seen(own_config) -> None:
    file = SettingsFile()
    assert file.load() == Settings()
    own_config.parent.mkdir()
    write(own_config, 40)
    with following(file, stands=False) as seen:
        seen(40)
