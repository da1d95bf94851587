"""What the program as a whole costs: the start, and a minute at real speed."""

import subprocess
import sys
import time

import pytest

from kikiwake.models.starter import DEMO

PROGRAM = (sys.executable, "-m", "kikiwake")


def test_second_start(report):
    seconds = []
    for _ in range(4):
        began = time.perf_counter()
        with subprocess.Popen(
            [*PROGRAM, "demo", "--json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as demo:
            assert demo.stdout.readline().startswith(b"{")
            seconds.append(time.perf_counter() - began)
            demo.kill()
    # The first of them may compile.
    report(f"first result of kikiwake demo on a second start: {sorted(seconds[1:])[1]:.2f} s")
    assert max(seconds[1:]) < 5


def test_a_minute_at_real_speed(report):
    pytest.importorskip("resource")
    command = [*PROGRAM, "run", "--input", str(DEMO), "--realtime", "--json"]
    # By way of a small process: the memory of a child counts from that of whoever forked it.
    measure = (
        "import resource, subprocess, sys, time\n"
        "began = time.perf_counter()\n"
        "subprocess.run(sys.argv[1:], capture_output=True, check=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "share = (used.ru_utime + used.ru_stime) / (time.perf_counter() - began)\n"
        "print(f'{100 * share:.1f} % of a core, at most {used.ru_maxrss / 1024:.0f} MB')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", measure, *command], capture_output=True, text=True, check=True
    )
    report(f"kikiwake run at real speed, start included: {done.stdout.strip()}")
