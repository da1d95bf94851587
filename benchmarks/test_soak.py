"""A day of sound through the pipeline, faster than real time: memory, results, times.

The demo sound, filled up with silence, is heard over and over, in blocks of changing sizes. A turn
of that loop begins on a hop and where the resamplers stand as they stood at its first beginning, so
each turn should give the results of every other. Two things stand in the way of that. soxr filters
in transforms of its own length, which falls on other samples each turn and rounds them otherwise,
by 6e-8; the whole numbers of the detector and of the network make a little more of it. And WebRTC's
detector learns for some hours what it hears.

So there are two runs. At 48 kHz all is as in use, and the turns are to be alike: names, and how
much of them is right. At 44.1 kHz nothing is resampled but what the detector hears, whose
transforms come round again after 256 s, and the detector is made anew in the silence between two
turns: all turns must be the same to the last bit, the first included. In both, after a `reset`,
the first turn must come out once more as it did at the beginning, a day ago.

    python benchmarks/test_soak.py 48000 0.5    # one run alone: the rate in Hz, hours of sound
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator

import msgspec
import numpy as np
import psutil
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from kikiwake.engine.config import Settings
from kikiwake.engine.pipeline import Pipeline
from kikiwake.engine.result import Result
from kikiwake.models.cast import load_cast
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools.score import read_rttm, score

HOURS = float(os.environ.get("KIKIWAKE_SOAK_HOURS", "24"))
LONGEST_BLOCK_S = 0.2
MB = 1e6

Sound = NDArray[np.float32]


def make_loop(rate: int) -> Sound:
    """Make the sound of a turn, which ends with seconds of silence."""
    demo, demo_rate = soundfile.read(DEMO, dtype="float32")
    if rate == 48_000:
        assert demo_rate == rate
        # 3 * 147 hops of 1024 samples at 44.1 kHz, and 512 frames of the detector's at 16 kHz;
        # after a third of it only the hops would come out even.
        unit, parts = 3 * 163_840, [demo]
    else:
        # The least common multiple of a hop and of the 44100 samples after which the detector's
        # resampler, of 441 to 160, filters with the same transforms again.
        unit = 256 * rate
        demo = soxr.resample(demo, demo_rate, rate, "HQ")
        parts = [demo * np.float32(gain) for gain in (1.0, 0.5, 0.25)]
    sound = np.concatenate(parts)
    loop = np.zeros(-(-len(sound) // unit) * unit, np.float32)
    loop[: len(sound)] = sound
    return loop


def in_blocks(sound: Sound, rate: int, rng: np.random.Generator) -> Iterator[Sound]:
    at = 0
    while at < len(sound):
        size = int(rng.integers(1, LONGEST_BLOCK_S * rate))
        yield sound[at : at + size]
        at += size


def but_for_time(result: Result) -> tuple:
    return (
        result.speech,
        result.character,
        result.actor,
        result.confidence,
        result.top,
        result.level_db,
    )


class Turns:
    """Compares each turn of the loop with the second one, whose beginning is nobody's beginning.

    Parameters
    ----------
    per_turn : int
        Results of a turn.
    turn_s : float
        Its length.
    """

    def __init__(self, per_turn: int, turn_s: float) -> None:
        self.kept: list[list[Result]] = [[], []]  # the first two turns
        self.rows: list[dict[str, float]] = []
        self.worst_time_s = 0.0
        self._per_turn, self._turn_s = per_turn, turn_s
        self._demo_s = soundfile.info(DEMO).duration
        self._truth = read_rttm(DEMO_TRUTH)
        self._row = Counter()
        self._shown: list[Result] = []

    def add(self, result: Result) -> None:
        turn, index = len(self.rows), self._row["results"]
        # From the number of results alone: whatever is added up on the way would show.
        due_s = turn * self._turn_s + (index + 1) * self._turn_s / self._per_turn
        self.worst_time_s = max(self.worst_time_s, abs(result.time - due_s))
        self._row["results"] += 1
        if turn < 2:
            self.kept[turn].append(result)
        else:
            self._compare(self._row, result, self.kept[1][index])
        # The demo comes first in a turn. No more is kept of it than the score needs.
        if (at := result.time - turn * self._turn_s) < self._demo_s:
            self._shown.append(msgspec.structs.replace(result, time=at, top=()))
        if self._row["results"] == self._per_turn:
            self._end_turn()

    def _compare(self, row: Counter[str], result: Result, other: Result) -> None:
        row["other"] += but_for_time(result) != but_for_time(other)
        row["other_gate"] += result.speech != other.speech
        row["other_name"] += result.character != other.character
        row["other_level"] += result.level_db != other.level_db

    def _end_turn(self) -> None:
        scored = score(self._shown, self._truth)
        row = {"right_percent": round(100 * scored.share(scored.right_s), 2)}
        keys = ("other", "other_gate", "other_name", "other_level")
        self.rows.append(row | {key: self._row[key] for key in keys})
        if len(self.rows) == 2:
            first: Counter[str] = Counter()
            for pair in zip(*self.kept, strict=True):
                self._compare(first, *pair)
            self.rows[0] |= {key: first[key] for key in keys}
        self._row, self._shown = Counter(), []


def soak(rate: int, hours: float) -> dict[str, object]:
    loop = make_loop(rate)
    pipeline = Pipeline(load_cast("starter"), Settings(), sample_rate=rate, channels=1)
    per_turn = len(loop) / rate / pipeline.hop_s
    assert abs(per_turn - round(per_turn)) < 1e-9
    turns = Turns(round(per_turn), len(loop) / rate)
    rng = np.random.default_rng(24)
    process = psutil.Process()
    began = time.monotonic()
    fed = 0
    base_mb: float | None = None
    most_mb = 0.0
    hourly: list[dict[str, float]] = []
    behind_s = [float("inf"), 0.0]  # least and most that the newest result was behind the sound
    while fed < hours * 3600 * rate:
        for block in in_blocks(loop, rate, rng):
            fed += len(block)
            result = None
            for result in pipeline.process(block):
                turns.add(result)
            if result is not None:
                behind = fed / rate - result.time
                behind_s = [min(behind_s[0], behind), max(behind_s[1], behind)]
        if rate != 48_000:
            pipeline._gate.vad.reset()
        took_s = time.monotonic() - began
        rss_mb = process.memory_info().rss / MB
        # The first minute; of a short run a fifth, so that there is something left to measure.
        warm = len(turns.rows) > 2 and (took_s > 60 or fed > hours * 720 * rate)
        if base_mb is None and warm:
            base_mb = most_mb = rss_mb
        most_mb = max(most_mb, rss_mb)
        if fed // (3600 * rate) > len(hourly) or fed >= hours * 3600 * rate:
            hourly.append(
                {
                    "hours": round(fed / rate / 3600, 2),
                    "took_s": round(took_s),
                    "rss_mb": round(rss_mb, 2),
                    "least_behind_ms": round(1e3 * behind_s[0], 2),
                    "most_behind_ms": round(1e3 * behind_s[1], 2),
                    **turns.rows[-1],
                }
            )
            behind_s = [float("inf"), 0.0]
            print(f"{rate} Hz: {hourly[-1]}", file=sys.stderr, flush=True)
    pipeline.reset()
    # A little of the next turn too, for the last results to get through the resampler.
    again = [
        result
        for block in in_blocks(np.concatenate([loop, loop[:rate]]), rate, rng)
        for result in pipeline.process(block)
    ]
    assert base_mb is not None
    return {
        "rate": rate,
        "hours": round(fed / rate / 3600, 3),
        "took_s": round(hourly[-1]["took_s"]),
        "turns": len(turns.rows),
        "results_a_turn": round(per_turn),
        "base_mb": round(base_mb, 2),
        "growth_mb": round(most_mb - base_mb, 3),
        "worst_time_ms": round(1e3 * turns.worst_time_s, 6),
        "not_as_first_after_reset": sum(a != b for a, b in zip(turns.kept[0], again)),  # noqa: B905
        "first": turns.rows[0],
        "most": {key: max(row[key] for row in turns.rows[1:]) for key in turns.rows[0]},
        "least": {key: min(row[key] for row in turns.rows[1:]) for key in turns.rows[0]},
        "hourly": hourly,
    }


def describe(found: dict) -> str:
    first, most, least, ends = found["first"], found["most"], found["least"], found["hourly"]
    n = found["results_a_turn"]
    return (
        f"{found['hours']:.2f} hours of sound at {found['rate']} Hz in {found['took_s'] / 60:.1f} "
        f"minutes: {found['turns']} turns of {n} results\n"
        f"memory: {found['base_mb']:.1f} MB after the first minute, at most "
        f"{found['growth_mb']:.2f} MB more later\n"
        f"results unlike the second turn's: at most {most['other']} a turn, in speech or not "
        f"{most['other_gate']}, in the name {most['other_name']}, in level {most['other_level']}; "
        f"in the first turn {first['other']}, {first['other_gate']}, {first['other_name']}, "
        f"{first['other_level']}\n"
        f"names right: {first['right_percent']} % in the first turn, {least['right_percent']} to "
        f"{most['right_percent']} % in all others\n"
        f"after a reset, unlike the first turn's: {found['not_as_first_after_reset']} of {n}\n"
        f"time of a result: wrong by at most {found['worst_time_ms']:.4f} ms; behind the sound by "
        f"{ends[0]['least_behind_ms']:.2f} to {ends[0]['most_behind_ms']:.2f} ms in the first hour,"
        f" by {ends[-1]['least_behind_ms']:.2f} to {ends[-1]['most_behind_ms']:.2f} in the last"
    )


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_soak(report, rate):
    # In a process of its own: what pytest keeps does not count.
    done = subprocess.run(
        [sys.executable, __file__, str(rate), str(HOURS)], stdout=subprocess.PIPE, check=True
    )
    found = json.loads(done.stdout)
    report(describe(found), f"soak_{rate}", found)
    assert found["growth_mb"] < 2
    assert found["worst_time_ms"] < 1
    assert abs(found["hourly"][0]["least_behind_ms"] - found["hourly"][-1]["least_behind_ms"]) < 1
    assert found["not_as_first_after_reset"] == 0
    if rate == 48_000:
        assert found["most"]["other_level"] == 0
        assert found["most"]["other_name"] < 0.02 * found["results_a_turn"]
        assert found["most"]["right_percent"] - found["least"]["right_percent"] < 1
    else:
        assert found["first"]["other"] == found["most"]["other"] == 0


if __name__ == "__main__":
    print(json.dumps(soak(int(sys.argv[1]), float(sys.argv[2]))))
