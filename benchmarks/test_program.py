"""What the program as a whole costs: the start, and a minute at real speed."""

import subprocess
import sys
import time

import pytest

from kikiwake.models.starter import DEMO

PROGRAM = (sys.executable, "-m", "kikiwake")


def first_result(command, env, source):
    """Seconds from the start of a program to its first result."""
    began = time.perf_counter()
    with subprocess.Popen(
        [*PROGRAM, *command], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as program:
        assert program.stdout.readline().startswith(b"{"), source
        seconds = time.perf_counter() - began
        program.kill()
    return seconds


def test_start(report, pulse, tmp_path):
    """The first start after an installation compiles; `kikiwake warmup` does so ahead."""
    table = ["to the first result, s     first start   later (median of 3)   after warmup"]
    for source, command in (
        ("kikiwake demo", ("demo", "--json")),
        ("kikiwake run, a monitor", ("run", "--json")),
    ):
        fresh, warmed = (
            pulse.env | {"NUMBA_CACHE_DIR": str(tmp_path / source / kind)}
            for kind in ("fresh", "warmed")
        )
        seconds = [first_result(command, fresh, source) for _ in range(4)]
        subprocess.run([*PROGRAM, "warmup"], env=warmed, check=True, capture_output=True)
        after_warmup = first_result(command, warmed, source)
        later = sorted(seconds[1:])[1]
        table.append(f"{source:26}{seconds[0]:12.2f}{later:22.2f}{after_warmup:15.2f}")
        # A second is the sound server's own, before it gives its first samples.
        assert after_warmup < seconds[0]
    report("\n".join(table))


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
