"""What the overlay costs under Xvfb, and how late its pixels are."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

PEER = Path(__file__).with_name("overlay_peer.py")
SECONDS = 10
REFRESH_MS = 1000 / 30


@pytest.fixture
def screen():
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    pytest.importorskip("Xlib")
    # The X server of the tests, by its path.
    path = Path(__file__).parents[1] / "tests" / "overlay" / "screen.py"
    spec = importlib.util.spec_from_file_location("overlay_screen", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    server = module.Screen((1920, 1080))
    yield server
    server.close()


def measure(screen, *what, scale=1):
    env = screen.env | {"QT_SCALE_FACTOR": str(scale)}
    command = [sys.executable, str(PEER), *map(str, what)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_cost(screen, report):
    """Share of a core that the window's thread takes, results coming 40 times a second."""
    lines = ["| mode | pixels | speaking | nobody | hidden |", "|---|---|---|---|---|"]
    figures = {}
    for mode in ("compact", "full", "timeline"):
        for scale in (1, 2):
            found = {
                state: measure(screen, "cost", mode, state, SECONDS, scale=scale)
                for state in ("speaking", "nobody", "hidden")
            }
            figures[f"{mode} {scale}x"] = found
            cells = (
                f"{one['percent']:.2f} %, {one['wakes_per_s']:.1f} wake-ups/s"
                for one in found.values()
            )
            lines.append(f"| {mode} | {scale}x | {' | '.join(cells)} |")
    report("\n".join(lines), "overlay_cost", figures)
    compact = figures["compact 1x"]
    assert compact["speaking"]["percent"] < 2
    assert compact["nobody"]["percent"] < 0.3
    assert compact["hidden"]["wakes_per_s"] == 0


def test_from_result_to_pixel(screen, report):
    """Time from a result that names somebody else to the end of the drawing of it."""
    found = measure(screen, "delay", "compact", "speaking", SECONDS)
    first, other = found["first_ms"], found["other_ms"]
    report(
        f"result to painted pixel: first name p50 {first[0]:.1f} ms, worst {first[1]:.1f} ms; "
        f"another name p50 {other[0]:.1f} ms, worst {other[1]:.1f} ms",
        "overlay_delay",
        found,
    )
    assert first[0] < REFRESH_MS + 5
    assert other[0] < REFRESH_MS + 5
