"""`kill -9` at random moments of each step of the workshop, and what is left of the work.

Ten kills of each, one after the other, each of the run that goes on after the one before. What the
last run ends with must be, file by file, what a run ends with that nobody killed; of a recording,
all but the last moment of what had been fed must be there.
"""

import csv
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from kikiwake.models.starter import DEMO

KILLS = 10
VOICES = (("Aoi", "Hana"), ("Aoi", "Ken"), ("宮野", "みお"))
RATE = 48_000


def command(*arguments):
    return [sys.executable, "-m", "kikiwake", *map(str, arguments)]


def killed(arguments, after_s):
    """Run a command and kill it after some time; tell whether it was still running."""
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            return True
    return False


def contents(folder):
    """Digest of each file below a folder, but for hidden ones and the picture of a training."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and path.name != "curve.png"
    }


def goes_on(arguments, made, whole_s, rng):
    """Kill a command ten times, let it end, and tell how often it was killed at work."""
    struck = sum(killed(arguments, rng.uniform(0.2, whole_s)) for _ in range(KILLS))
    subprocess.run(command(*arguments), check=True, stdout=subprocess.DEVNULL)
    return struck, contents(made)


def run_whole(arguments):
    begun = time.perf_counter()
    subprocess.run(command(*arguments), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def voice(hz, seconds, seed):
    t = np.arange(round(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (0.2 * np.sign(np.sin(2 * np.pi * hz * t)) + 0.02 * noise).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("kill")


@pytest.fixture(scope="module")
def sorted_clips(folder):
    for recording in ("ep1", "ep2"):
        for number in range(6):
            for label, (actor, name) in enumerate(VOICES):
                path = folder / "sorted" / recording / actor / name / f"{number:04}.flac"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, voice(200 * (label + 1), 1 + number / 4, number), 16_000)
    return folder / "sorted"


def record(folder, rng):
    """Feed noise at the speed of sound and kill; then give what was left its name."""
    struck, lost_ms = 0, []
    noise = (8000 * rng.standard_normal(12 * RATE)).astype("<i2")
    for number in range(KILLS):
        out = folder / f"record{number}" / "show.flac"
        out.parent.mkdir()
        arguments = ("record", out, "--input", "-", "--rate", RATE, "--channels", 1)
        with subprocess.Popen(
            command(*arguments, "--format", "s16"),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            begun, fed, until = time.monotonic(), 0, rng.uniform(3, 8)
            while (now := time.monotonic() - begun) < until:
                if (due := min(len(noise), round(now * RATE))) > fed:
                    process.stdin.write(noise[fed:due].tobytes())
                    process.stdin.flush()
                    fed = due
                time.sleep(0.01)
            process.kill()
            struck += 1
        subprocess.run(command("record", out, "--finish"), check=True, stdout=subprocess.DEVNULL)
        kept, _ = soundfile.read(out, dtype="int16")
        assert np.array_equal(kept, noise[: len(kept)])
        lost_ms.append(1000 * (fed - len(kept)) / RATE)
    return struck, f"at most {max(lost_ms):.0f} ms of what was fed lost, the rest to the bit"


def split(folder, rng):
    demo, rate = soundfile.read(DEMO, dtype="float32")
    recording = folder / "show.flac"
    soundfile.write(recording, np.tile(demo, 12), rate)
    whole_s = run_whole(("split", recording, "--to", folder / "clips-whole"))
    arguments = ("split", recording, "--to", folder / "clips")
    struck, made = goes_on(arguments, folder / "clips", whole_s, rng)
    assert made == contents(folder / "clips-whole")
    return struck, f"{len(made) - 1} clips the same"


def sort(folder, rng):
    for name in ("sort-whole", "sort"):
        shutil.copytree(folder / "clips-whole", folder / name)
    clips = sorted(path.name for path in (folder / "sort" / "show").glob("*.flac"))
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table)
        writer.writerow(["clip", "actor", "character"])
        writer.writerows([f"show/{clip}", *VOICES[i % 3]] for i, clip in enumerate(clips))
    arguments = ("sort", folder / "sort", "--from", folder / "labels.csv")
    whole_s = run_whole(("sort", folder / "sort-whole", "--from", folder / "labels.csv"))
    struck, made = goes_on(arguments, folder / "sort", whole_s, rng)
    assert made == contents(folder / "sort-whole")
    return struck, f"{len(clips)} clips in the same places"


def build(folder, rng, clips):
    arguments = ("build", clips, "--copies", 30, "--to")
    whole_s = run_whole((*arguments, folder / "patches-whole"))
    struck, made = goes_on_once((*arguments, folder / "patches"), folder / "patches", whole_s, rng)
    assert made == contents(folder / "patches-whole")
    return struck, "data set the same"


def train(folder, rng):
    arguments = ("train", folder / "patches-whole", "--preset", "tiny", "--epochs", 6, "--to")
    whole_s = run_whole((*arguments, folder / "training-whole"))
    struck, made = goes_on((*arguments, folder / "training"), folder / "training", whole_s, rng)
    assert made == contents(folder / "training-whole")
    return struck, "weights the same to the bit"


def goes_on_once(arguments, made, whole_s, rng):
    """As `goes_on`, of a command that refuses to do again what is finished."""
    struck = 0
    for _ in range(KILLS):
        if (made / "patches.json").exists():
            shutil.rmtree(made)
        struck += killed(arguments, rng.uniform(0.2, whole_s))
    if not (made / "patches.json").exists():
        subprocess.run(command(*arguments), check=True, stdout=subprocess.DEVNULL)
    return struck, contents(made)


@pytest.mark.skipif(os.name == "nt", reason="kill -9 is of Unix")
def test_kill(report, folder, sorted_clips):
    pytest.importorskip("tensorflow")
    rng = np.random.default_rng(0)
    steps = {
        "record": lambda: record(folder, rng),
        "split": lambda: split(folder, rng),
        "sort": lambda: sort(folder, rng),
        "build": lambda: build(folder, rng, sorted_clips),
        "train": lambda: train(folder, rng),
    }
    table, found = [f"{'step':8} kills at work, of {KILLS}"], {}
    for name, step in steps.items():
        struck, what = step()
        table.append(f"{name:8} {struck:3}  {what}")
        found[name] = {"killed": struck, "found": what}
    report("\n".join(table), "kill", found)
    assert all(of["killed"] >= KILLS // 2 for of in found.values())
