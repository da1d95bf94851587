from __future__ import annotations

import contextlib
import errno
import io
import json
import os
import re
import signal
import subprocess
import sys
import wave
import zipfile
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import soundfile

from kikiwake import __version__
from kikiwake.__main__ import main as program
from kikiwake.engine.config import default_toml, load_settings, setting_fields
from kikiwake.engine.result import Result
from kikiwake.models.cast import CARD_NAME, load_cast
from kikiwake.models.starter import DEMO
from kikiwake.tools import cli, text_file
from kikiwake.tools.cli import main

RATE = 44_100
TURN = re.compile(r"\d\d:\d\d\.\d  .+ \(.+\)  \d+ %")
SHOW_WHOEVER = ("--showing-share", 0, "--switching-margin", 0)  # leads, be it ever so little


class Done(NamedTuple):
    code: int
    out: str
    err: str

    def complaint(self, code: int = 1) -> str:
        """What is wrong, having checked that it is one clear line."""
        assert self.code == code
        (line,) = self.err.splitlines()
        assert line.startswith("kikiwake: ")
        return line.removeprefix("kikiwake: ")


@pytest.fixture
def kikiwake(capsys):
    """Run the command in this process."""

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        code = ended.value.code
        return Done(code or 0, *capsys.readouterr())

    return run


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "kikiwake", *map(str, arguments)]


def process(*arguments: object, **options) -> Done:
    """Run the command in a process of its own."""
    done = subprocess.run(
        command(*arguments), capture_output=True, timeout=60, check=False, **options
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def tone(seconds: float = 2.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.3 * np.sin(2 * np.pi * 220 * time) * (np.sin(2 * np.pi * 3 * time) > 0)).astype("f4")


def wav(path: Path, samples: np.ndarray, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, RATE, subtype=subtype)
    return path


@pytest.fixture
def sound(tmp_path) -> Path:
    return wav(tmp_path / "tone.wav", tone())


# What works


def test_version(kikiwake) -> None:
    assert kikiwake("--version") == (0, f"kikiwake {__version__}\n", "")


def test_the_help_of_the_settings_is_that_of_the_config_file(kikiwake) -> None:
    text = re.sub(r"[\s│]+", " ", kikiwake("run", "--help").out)
    for key, _, meta in setting_fields():
        assert f"--{key.rpartition('.')[2].replace('_', '-')} " in text
        assert meta.description[:30] in text


def test_run_a_file(kikiwake) -> None:
    done = kikiwake("run", "--input", DEMO, *SHOW_WHOEVER)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    turns = [line for line in lines if TURN.fullmatch(line)]
    assert turns
    assert lines[: len(turns)] == turns
    heard, *table = lines[len(turns) :]
    assert re.fullmatch(rf"\d\d:\d\d\.\d heard, turns: {len(turns)}", heard)
    headings, _line, *rows = (row.split() for row in table if row.strip())
    assert headings == ["character", "actor", "turns", "seconds"]
    assert sum(int(row[-2]) for row in rows) == len(turns)


def test_run_a_file_without_speech(kikiwake, tmp_path) -> None:
    done = kikiwake("run", "--input", wav(tmp_path / "silent.wav", 0 * tone()))
    assert done == (0, "00:02.0 heard, turns: 0\n", "")


def test_json_is_one_result_a_line_and_the_summary_elsewhere(kikiwake, sound) -> None:
    done = kikiwake("run", "--input", sound, "--json", "--hop-ms", 50)
    results = [msgspec.json.decode(line, type=Result) for line in done.out.splitlines()]
    times = [result.time for result in results]
    assert done.code == 0
    assert times == sorted(times)
    assert np.diff(times) == pytest.approx(512 * 4 / RATE, abs=2e-6)
    assert 1.9 < times[-1] <= 2.0
    assert "heard" in done.err


def test_raw_sound_on_standard_input_is_as_from_a_file(kikiwake, sound) -> None:
    with wave.open(str(sound)) as file:
        raw = file.readframes(file.getnframes())
    piped = process("run", "--input", "-", "--rate", RATE, "--json", input=raw)
    assert piped.code == 0
    assert piped.out == kikiwake("run", "--input", sound, "--json").out


def test_turns_are_a_line_each_where_there_is_no_terminal(kikiwake) -> None:
    # Whatever the cast thinks of them, somebody is shown for each of the demo's turns.
    done = kikiwake("demo", "--fast", *SHOW_WHOEVER)
    lines = done.out.splitlines()
    turns = [line for line in lines if TURN.fullmatch(line)]
    assert (done.code, done.err) == (0, "")
    assert len(turns) >= 4
    assert lines[: len(turns)] == turns


def test_the_demo_ends_with_a_summary_beside_the_truth(kikiwake) -> None:
    done = kikiwake("demo", "--fast")
    assert (done.code, done.err) == (0, "")
    assert re.search(r"of \d+\.\d s of speech: right \d+\.\d %, wrong \d+\.\d %", done.out)
    assert "label changes while nobody spoke: " in done.out
    assert "longest name after speech: " in done.out
    assert "settings not at their default" not in done.out


def test_the_demo_honours_the_config_but_for_sound_and_cast(kikiwake, own_config) -> None:
    own_config.parent.mkdir()
    own_config.write_text('input = "/no.wav"\ncast = "/no.cast"\n[gate]\nhangover_ms = 300\n')
    done = kikiwake("demo", "--fast", "--json")
    assert done.code == 0
    assert len(done.out.splitlines()) > 500
    assert "settings not at their default: gate.hangover_ms = 300.0" in done.err


def test_names_that_the_output_cannot_write(tmp_path) -> None:
    cast = load_cast()
    characters = tuple(
        msgspec.structs.replace(character, name=f"{character.name} 花子")
        for character in cast.card.characters
    )
    card = msgspec.structs.replace(cast.card, characters=characters)
    msgspec.structs.replace(cast, card=card).save(tmp_path / "ja.cast")
    env = os.environ | {"PYTHONIOENCODING": "ascii"}
    arguments = ("demo", "--fast", "--cast", tmp_path / "ja.cast", *SHOW_WHOEVER)
    assert " ?? (" in process(*arguments, env=env).out
    for line in process(*arguments, "--json", env=env).out.splitlines():
        result = msgspec.json.decode(line, type=Result)
        assert all(candidate.character.endswith(" 花子") for candidate in result.top)


def test_devices_lists_the_loopback_first_and_marks_the_default(pulse) -> None:
    done = pulse.run(*command("devices"))
    assert (done.returncode, done.stderr) == (0, "")
    headings, *rows = (line.split("\t") for line in done.stdout.splitlines())
    assert headings[0] == "--input"
    assert rows[0][0] == "loopback"
    assert [row[-1] for row in rows].count("default") == 1
    assert all(len(row) == len(headings) for row in rows)


def test_samples_that_are_no_numbers_are_counted(kikiwake, tmp_path) -> None:
    samples = tone()
    samples[1000:1017] = np.nan
    samples[2000] = np.inf
    done = kikiwake("run", "--input", wav(tmp_path / "nan.wav", samples, "FLOAT"))
    assert "18 samples are NaN or infinite and were read as silence" in done.complaint()
    assert "heard, turns:" in done.out, "the names are shown all the same"


def test_less_sound_than_one_hop(kikiwake, tmp_path) -> None:
    done = kikiwake("run", "--input", wav(tmp_path / "short.wav", tone(0.02)))
    assert done == (0, "nothing heard: less than 25 ms of sound\n", "")


def test_config_shows_where_and_what(kikiwake, own_config) -> None:
    done = kikiwake("config")
    assert done.code == 0
    assert done.out.startswith(f"# {own_config} does not exist")
    own_config.parent.mkdir()
    own_config.write_text(done.out.replace("hop_ms = 25.0", "hop_ms = 50.0"))
    again = kikiwake("config").out
    assert again.startswith(f"# {own_config} is there")
    assert "hop_ms = 50.0  # default: 25.0" in again


def test_config_writes_a_file_that_it_finds_good(kikiwake, own_config) -> None:
    assert kikiwake("config", "--write") == (0, f"{own_config}: written\n", "")
    assert own_config.read_text() == default_toml()
    assert [path.name for path in own_config.parent.iterdir()] == ["config.toml"]
    assert kikiwake("config", "--check", own_config) == (0, f"{own_config}: ok\n", "")
    own_config.write_text("hop_ms = 50\n")
    assert "--force" in kikiwake("config", "--write").complaint()
    assert load_settings().hop_ms == 50
    assert kikiwake("config", "--write", "--force").code == 0
    assert load_settings().hop_ms == 25


def test_what_needs_no_sound_loads_nothing_heavy() -> None:
    code = (
        "import sys, kikiwake.tools.cli as cli\n"
        "try: cli.main(['config'])\n"
        "finally: print({'numba', 'rich', 'sounddevice', 'soundfile', 'soxr', 'numpy'}"
        " & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "set()\n"


# What is wrong with the sound


@pytest.mark.skipif(sys.platform == "win32", reason="/ in paths")
def test_a_missing_file(kikiwake) -> None:
    assert "/no/such.wav" in kikiwake("run", "--input", "/no/such.wav").complaint()


def test_a_file_that_is_not_audio(kikiwake) -> None:
    assert "not a sound file" in kikiwake("run", "--input", __file__).complaint()


def test_a_file_of_length_zero(kikiwake, tmp_path) -> None:
    path = wav(tmp_path / "empty.wav", np.empty(0, "f4"))
    assert "length is zero" in kikiwake("run", "--input", path).complaint()


def test_a_file_without_one_number(kikiwake, tmp_path) -> None:
    path = wav(tmp_path / "nan.wav", np.full(RATE, np.nan, "f4"), "FLOAT")
    assert "samples are NaN" in kikiwake("run", "--input", path).complaint()


def test_standard_input_without_sound_or_rate() -> None:
    assert "--rate" in process("run", "--input", "-").complaint()
    empty = process("run", "--input", "-", "--rate", RATE, stdin=subprocess.DEVNULL)
    assert "no sound on standard input" in empty.complaint()


@pytest.fixture
def no_sound_server(monkeypatch, tmp_path) -> None:
    for name in ("HOME", "XDG_RUNTIME_DIR", "PULSE_RUNTIME_PATH"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("PULSE_SERVER", "unix:/nonexistent")


@pytest.mark.usefixtures("no_sound_server")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a sound server to be without")
@pytest.mark.parametrize("device", ["loopback", "no such device"])
def test_no_sound_server_and_an_unknown_device(device) -> None:
    process("run", "--input", device).complaint()


@pytest.mark.skipif(sys.platform != "linux", reason="sounddevice brings PortAudio along here")
@pytest.mark.parametrize(
    "arguments", [["devices"], ["run"], ["demo", "--play"]], ids=lambda arguments: arguments[0]
)
def test_no_portaudio(arguments) -> None:
    hide = "import ctypes.util, os; ctypes.util.find_library = lambda name: None\n"
    code = f"{hide}from kikiwake.tools.cli import main; main({arguments!r})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    says = Done(done.returncode, done.stdout, done.stderr).complaint()
    assert "PortAudio library is missing" in says


# What is wrong with the cast or the settings


def test_no_cast(kikiwake, sound) -> None:
    says = kikiwake("run", "--input", sound, "--cast", "/no/such.cast").complaint()
    assert "no such file" in says


@pytest.fixture
def broken_cast(tmp_path):
    whole = tmp_path / "whole.cast"
    load_cast().save(whole)
    data = bytearray(whole.read_bytes())

    def make(how: str) -> Path:
        path = tmp_path / "broken.cast"
        if how == "truncated":
            path.write_bytes(data[: len(data) // 2])
        elif how == "flipped":
            data[len(data) // 2] ^= 0x10
            path.write_bytes(data)
        else:
            with zipfile.ZipFile(path, "w") as archive:
                if how == "newer":
                    archive.writestr(CARD_NAME, '{"format": "kikiwake-cast", "version": 99}')
                else:
                    archive.writestr("mimetype", "application/epub+zip")
        return path

    return make


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("truncated", "cut off"),
        ("flipped", "is damaged"),
        ("newer", "update kikiwake"),
        ("foreign", "is not a Kikiwake cast file"),
    ],
)
def test_a_broken_cast(kikiwake, sound, broken_cast, how, says) -> None:
    path = broken_cast(how)
    assert says in kikiwake("run", "--input", sound, "--cast", path).complaint()
    assert str(path) in kikiwake("demo", "--fast", "--cast", path).complaint()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("hop_ms = = 3", "is not TOML"),
        ("[gate]\nhangover = 3", "did you mean gate.hangover_ms?"),
        ("hop_ms = 1", "allowed: 10 to 500"),
    ],
)
@pytest.mark.parametrize("arguments", [["config"], ["config", "--check"], ["demo"], ["run"]])
def test_a_broken_config(kikiwake, own_config, arguments, text, says) -> None:
    own_config.parent.mkdir()
    own_config.write_text(text)
    if arguments[-1] == "--check":
        arguments = [*arguments, own_config]
    complaint = kikiwake(*arguments).complaint()
    assert complaint.startswith(f"config {own_config}: ")
    assert says in complaint


def test_a_text_file_says_who_speaks(kikiwake, tmp_path, monkeypatch) -> None:
    said = []

    def write(path: Path, content: bytes) -> None:
        assert path == tmp_path / "now.txt"
        said.append(content.decode())
        if len(said) == 3:  # as on Windows, while somebody reads it
            raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(text_file, "write_file", write)
    done = kikiwake("run", "--input", DEMO, "--text", tmp_path / "now.txt")
    assert done.code == 0
    assert said[:2] == ["", "Hinano Tamagaki (Mayuko Sekizuka)"]
    assert said[2] == said[3]
    assert said[-1] == ""
    assert 10 <= len(said) <= 40, "only when it changes"


def test_a_text_file_that_cannot_be_written(kikiwake, sound, tmp_path) -> None:
    (tmp_path / "file").touch()
    says = kikiwake("run", "--input", sound, "--text", tmp_path / "file" / "now.txt").complaint()
    assert "now.txt: cannot be written" in says


def test_a_config_that_names_no_cast_is_checked(kikiwake, own_config) -> None:
    own_config.parent.mkdir()
    own_config.write_text('cast = "nope"')
    says = kikiwake("config", "--check", own_config).complaint()
    assert says.startswith("cast nope: no such file")


def test_a_config_file_that_is_named_must_exist(kikiwake, sound, tmp_path) -> None:
    says = kikiwake("run", "--input", sound, "--config", tmp_path / "no.toml").complaint()
    assert "no.toml: no such file" in says


@pytest.mark.parametrize("option", ["--aggressiveness", "--hangover-ms", "--switching-margin"])
def test_an_option_out_of_range(kikiwake, sound, option) -> None:
    says = kikiwake("run", "--input", sound, option, "-1").complaint()
    assert "= -1" in says
    assert "allowed: 0 to" in says


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--no-such-option"],
        ["run", "--hop-ms", "soon"],
        ["run", "--rate", "0"],
        ["demo", "--play", "--fast"],
        ["config", "--force"],
        ["dance"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line(kikiwake, arguments) -> None:
    done = kikiwake(*arguments)
    assert done.code == 2
    assert "Usage: kikiwake" in done.err
    assert "Traceback" not in done.err


# Ends


@pytest.mark.parametrize(
    "arguments", [["demo", "--fast", "--json"], ["demo", "--fast"], ["config"]]
)
def test_closed_standard_output(arguments) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        command(*arguments), stdout=write_end, stderr=subprocess.PIPE, timeout=60, check=False
    )
    os.close(write_end)
    says = Done(done.returncode, "", done.stderr.decode()).complaint()
    assert "standard output was closed" in says


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_full_disk() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command("config"), stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert "a disk is full" in Done(done.returncode, "", done.stderr.decode()).complaint()


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (ZeroDivisionError(), 70)])
def test_what_ends_it_before_it_has_begun(monkeypatch, error, code) -> None:
    def end() -> None:
        raise error

    monkeypatch.setattr(cli, "main", end)
    with pytest.raises(SystemExit) as ended:
        program()
    assert ended.value.code == code


def started(*arguments: object, **options) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command(*arguments), stdout=pipe, stderr=pipe, **options)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_is_ended_by_a_signal(number) -> None:
    raw = (tone(1.0) * 32767).astype("<i2").tobytes()
    with started("run", "--input", "-", "--rate", RATE, "--json", stdin=subprocess.PIPE) as running:
        running.stdin.write(raw)
        running.stdin.flush()
        first = running.stdout.readline()
        running.send_signal(number)
        # Not communicate(): that would close standard input, which is another end.
        code = running.wait(timeout=20)
        out, err = running.stdout.read(), running.stderr.read().decode()
    assert code == 0, err
    for line in (first, *out.splitlines()):
        json.loads(line)
    assert "heard, turns: " in err
    assert "Traceback" not in err
    assert "Fatal" not in err


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_the_demo_broken_off() -> None:
    with started("demo", "--json") as running:
        running.stdout.readline()
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=20)
    assert (running.returncode, err) == (130, b"")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo terminals")
def test_the_live_view_on_a_terminal(sound) -> None:
    import pty

    ours, theirs = pty.openpty()
    env = os.environ | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    arguments = ("run", "--input", wav(sound, tone(60)), "--realtime")
    with subprocess.Popen(command(*arguments), stdout=theirs, stderr=theirs, env=env) as running:
        os.close(theirs)
        seen = io.BytesIO()
        with contextlib.suppress(OSError):  # Linux says so when the other end is closed
            while data := os.read(ours, 4096):
                seen.write(data)
                if b"00:01." in seen.getvalue() and not running.poll():
                    running.send_signal(signal.SIGINT)
                    break
            while data := os.read(ours, 4096):
                seen.write(data)
    os.close(ours)
    screen = seen.getvalue().decode(errors="replace")
    assert running.returncode == 0
    assert "tone.wav" in screen
    assert "\x1b[?1049h" in screen
    after = screen.rpartition("\x1b[?1049l")[2]
    assert "heard" in after
    assert "Traceback" not in screen
