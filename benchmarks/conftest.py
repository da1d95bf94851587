"""Tables of figures, printed at the end of the run whatever pytest captures, and kept as JSON."""

import datetime
import importlib.util
import json
import os
import platform
from collections.abc import Callable
from pathlib import Path

import pytest

# The sound server of the tests, by its path: their `conftest` has the name of this one.
_spec = importlib.util.spec_from_file_location(
    "sound_server", Path(__file__).parents[1] / "tests" / "conftest.py"
)
_server = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_server)
pulse, pulse_program = _server.pulse, _server.pulse_program

FIGURES = Path(__file__).parent / "figures"

_tables: list[str] = []


@pytest.fixture
def report() -> Callable[..., None]:
    """Take a table to print, and, under a name, its figures to be kept as JSON."""

    def take(table: str, name: str | None = None, figures: object = None) -> None:
        _tables.append(table)
        if name is None:
            return
        FIGURES.mkdir(exist_ok=True)
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        kept = {"date": date, "machine": _machine(), "figures": figures}
        text = json.dumps(kept, indent=2, ensure_ascii=False)
        (FIGURES / f"{name}.json").write_text(text + "\n", encoding="utf-8")

    return take


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _tables:
        terminalreporter.section("figures")
        terminalreporter.line(_machine())
        for table in _tables:
            terminalreporter.line("")
            terminalreporter.line(table)


def _machine() -> str:
    return f"{_processor()}, {os.cpu_count()} cores, {platform.platform()}"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
