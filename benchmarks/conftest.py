"""Tables of figures, printed at the end of the run whatever pytest captures."""

import os
import platform
from collections.abc import Callable

import pytest

_tables: list[str] = []


@pytest.fixture
def report() -> Callable[[str], None]:
    return _tables.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _tables:
        terminalreporter.section("figures")
        terminalreporter.line(f"{_processor()}, {os.cpu_count()} cores, {platform.platform()}")
        for table in _tables:
            terminalreporter.line("")
            terminalreporter.line(table)


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
