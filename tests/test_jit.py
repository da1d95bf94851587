"""Kernels are compiled also where no machine code can be kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kikiwake
import kikiwake.engine
import kikiwake.features

USE = """
import numpy as np
import kikiwake.engine.ring, kikiwake.features.mfcc
from kikiwake.engine.ring import SpscRing
from kikiwake.features.mfcc import mfcc
from kikiwake.features.settings import ORIGIN

ring = SpscRing(4, channels=1)
print(ring.write(np.ones((3, 1), np.float32)), ring.read().ravel().tolist())
print(mfcc(np.zeros(22050, np.float32), ORIGIN).shape)
print(kikiwake.engine.ring.__file__, kikiwake.features.mfcc.__file__, sep="\\n")
"""


@pytest.fixture
def package(tmp_path) -> Path:
    """Copy what the kernels need, into folders that nobody can write a cache to.

    A file stands where Numba wants a folder, for not even root can write to that; taking the right
    to write away would stop everybody but root.
    """
    root = tmp_path / "package" / "kikiwake"
    for source, target in (
        (kikiwake, root),
        (kikiwake.engine, root / "engine"),
        (kikiwake.features, root / "features"),
    ):
        folder = Path(source.__file__).parent
        target.mkdir(parents=True)
        for file in folder.glob("*.py"):
            shutil.copy(file, target)
        (target / "__pycache__").touch()
    return root


def use(package: Path, home: Path) -> list[str]:
    hidden = ("NUMBA_", "XDG_", "LOCALAPPDATA", "APPDATA", "KIKIWAKE_", "PYTHON")
    env = {k: v for k, v in os.environ.items() if not k.startswith(hidden)}
    env |= {"HOME": str(home), "PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", USE],
        env=env,
        cwd=package.parent,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *said, ring, mfcc = done.stdout.splitlines()
    assert Path(ring) == package / "engine" / "ring.py"
    assert Path(mfcc) == package / "features" / "mfcc.py"
    return said


@pytest.mark.skipif(sys.platform == "win32", reason="the cache folder is not found through HOME")
def test_without_any_place_for_a_cache(package, tmp_path) -> None:
    home = tmp_path / "home"
    home.touch()
    assert use(package, home) == ["3 [1.0, 1.0, 1.0]", "(44, 44)"]


@pytest.mark.skipif(sys.platform == "win32", reason="the cache folder is not found through HOME")
def test_with_a_home_the_cache_is_there(package, tmp_path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    assert use(package, home) == ["3 [1.0, 1.0, 1.0]", "(44, 44)"]
    assert {path.name.partition(".")[0] for path in home.rglob("*.nbi")} == {"_kernels", "ring"}
