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
MODES = ("compact", "full", "timeline")
# Somebody speaks; it is quiet; it is loud, and nobody speaks; the window is closed by its menu.
STATES = ("speaking", "nobody", "music", "hidden")


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
    # Qt prints what goes wrong in a drawing, and goes on.
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_cost(screen, report):
    """Share of a core that the window takes in all its threads, with 40 results a second."""
    lines = [f"| mode | pixels | {' | '.join(STATES)} |", "|---" * (2 + len(STATES)) + "|"]
    figures = {}
    for mode in MODES:
        for scale in (1, 2):
            found = {
                state: measure(screen, "cost", mode, state, SECONDS, scale=scale)
                for state in STATES
            }
            figures[f"{mode} {scale}x"] = found
            cells = (
                f"{one['percent']:.2f} %, {one['wakes_per_s']:.1f} wake-ups/s"
                for one in found.values()
            )
            lines.append(f"| {mode} | {scale}x | {' | '.join(cells)} |")
    report("\n".join(lines), "overlay_cost", figures)
    for found in figures.values():
        assert found["speaking"]["percent"] < 2
        assert found["nobody"]["percent"] < 0.3
        assert found["music"]["percent"] < 0.3
        assert found["hidden"]["wakes_per_s"] == 0


@pytest.mark.parametrize("mode", MODES)
def test_from_result_to_pixel(screen, report, mode):
    """Time from a result that names somebody else to the end of the drawing of it."""
    found = measure(screen, "delay", mode, "speaking", SECONDS)
    first, other = found["first_ms"], found["other_ms"]
    report(
        f"{mode}, result to painted pixel: first name p50 {first[0]:.1f} ms, worst {first[1]:.1f} "
        f"ms; another name p50 {other[0]:.1f} ms, worst {other[1]:.1f} ms",
        f"overlay_delay_{mode}",
        found,
    )
    assert max(first[1], other[1]) < REFRESH_MS + 5
