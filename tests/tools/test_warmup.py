"""`kikiwake warmup`: what it compiles is all that a start needs."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import PulseServer

KIKIWAKE = (sys.executable, "-m", "kikiwake")


def kept(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*.nb[ic]")}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def warmup() -> list[str]:
    done = subprocess.run(
        [*KIKIWAKE, "warmup"], capture_output=True, text=True, check=False, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_nothing_is_left_to_compile(cache: Path) -> None:
    said = warmup()
    assert said[0].startswith("compiled ")
    assert {str(folder) for folder in cache.iterdir()} == {
        line.removeprefix("kept in ") for line in said[1:]
    }
    before = kept(cache)
    assert warmup()[0].startswith("all was compiled before")
    subprocess.run([*KIKIWAKE, "demo", "--fast"], check=True, capture_output=True, timeout=120)
    assert kept(cache) == before


def test_nor_for_a_device(cache: Path, pulse: PulseServer) -> None:
    warmup()
    before = kept(cache)
    env = pulse.env | {"NUMBA_CACHE_DIR": str(cache)}
    with subprocess.Popen([*KIKIWAKE, "run", "--json"], env=env, stdout=subprocess.PIPE) as live:
        assert live.stdout is not None
        assert live.stdout.readline().startswith(b"{")
        live.send_signal(signal.SIGINT)
        live.communicate(timeout=20)
    assert kept(cache) == before


def test_no_place_for_a_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from kikiwake import jit
    from kikiwake.tools.cli import main

    monkeypatch.setattr(jit, "kept_code", lambda: (3, []))
    with pytest.raises(SystemExit) as done:
        main(["warmup"])
    assert done.value.code == 1
    assert "machine code can be kept nowhere" in capsys.readouterr().err
