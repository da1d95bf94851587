"""Listening for real, through a sound server: what is lost, how late names are, what it costs."""

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from kikiwake.engine.config import Settings
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools.score import read_rttm

PEER = Path(__file__).with_name("live_peer.py")
RATE = 44_100
HOP_MS = Settings().hop_ms
SPINNERS = 4
SPIN_S = 60
LATENCY_S = 40
CPU_S = 30
# So many frames in a row are found nowhere else in the sound.
WINDOW = 32


@pytest.fixture(autouse=True)
def own_config(monkeypatch, tmp_path):
    monkeypatch.setenv("KIKIWAKE_CONFIG", str(tmp_path / "config.toml"))


def speech(seconds: float) -> NDArray[np.int16]:
    """Make stereo speech, the demo's over and over, of which any few frames say where they are."""
    demo, rate = soundfile.read(DEMO, dtype="float32")
    parts = [demo[round(s.start * rate) : round(s.end * rate)] for s in read_rttm(DEMO_TRUTH)]
    once = soxr.resample(np.concatenate(parts), rate, RATE)
    values = np.resize(np.clip(once, -0.9, 0.9) * 2**15, round(seconds * RATE))
    noise = np.random.default_rng(1).integers(-8, 9, (len(values), 2))
    return (values[:, None] + noise).astype(np.int16)


def write(folder: Path, sound: NDArray[np.int16]) -> Path:
    # The null sink itself swallows some milliseconds when a stream begins.
    silence = np.zeros((RATE // 5, 2), np.int16)
    path = folder / "played.wav"
    soundfile.write(path, np.concatenate([silence, sound]), RATE, "PCM_16")
    return path


def keys(sound: NDArray) -> NDArray[np.int64]:
    """One number for each frame; floats are those of 16 bits."""
    values = sound if sound.dtype == np.int16 else np.rint(sound * 2**15)
    return values[:, 0].astype(np.int64) << 16 | (values[:, 1].astype(np.int64) & 0xFFFF)


def runs(heard: NDArray[np.int64], played: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find what came through: rows of first frame heard, first frame played, and length."""
    found = []
    at, begin = 0, 0
    while at + WINDOW <= len(heard):
        begins = begin + np.flatnonzero(played[begin:] == heard[at])
        same = (b for b in begins if np.array_equal(heard[at : at + WINDOW], played[b:][:WINDOW]))
        if (first := next(same, None)) is None:
            # Not of ours: before and after it, and what the server filled in.
            more = np.flatnonzero(heard[at + 1 :])
            at = at + 1 + int(more[0]) if len(more) else len(heard)
            continue
        n = min(len(heard) - at, len(played) - first)
        wrong = np.flatnonzero(heard[at : at + n] != played[first : first + n])
        n = int(wrong[0]) if len(wrong) else n
        found.append((at, first, n))
        at, begin = at + n, first + n
    return np.array(found, np.int64).reshape(-1, 3)


def index_heard(through: NDArray[np.int64], positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Say which frame heard is the one played at a position; -1 where it never came."""
    row = np.searchsorted(through[:, 1], positions, "right") - 1
    start, first, n = through[row].T
    there = (row >= 0) & (positions < first + n)
    return np.where(there, start + positions - first, -1)


def lost(through: NDArray[np.int64], noted: dict[str, NDArray], played: int) -> int:
    """Count what was played and never came, not even to be skipped by the reader."""
    heard = np.cumsum(noted["frames"])
    # Of each frame heard its place in the stream of the audio thread, in which skipped ones count.
    place = np.repeat(noted["reads"][:, 2] - heard, noted["frames"]) + np.arange(heard[-1])
    start, first, n = through.T
    # What is lost brings the sound forward in the stream; what the server fills in does not count.
    begin = place[start] - first
    between = int(np.maximum(-np.diff(begin), 0).sum())
    # Before the first run and after the last: where there should be sound, and other came.
    came = np.searchsorted(place, (begin[0], place[start[0]]))
    missing = played - first[-1] - n[-1]
    last = start[-1] + n[-1] - 1
    still = min(place[-1] - place[last], missing)
    others = np.searchsorted(place, place[last] + still, "right") - last - 1
    return between + int(came[1] - came[0]) + int(missing - still + others)


def listen(pulse, kind, folder, wav, *, hop_ms=HOP_MS, spinners=0, during=None):
    """Have `live_peer` listen to a file that is played; returns what it left."""
    command = (sys.executable, str(PEER), kind, str(folder), str(hop_ms), str(spinners))
    child = pulse.popen(*command, stdin=subprocess.PIPE)
    if child.stdout.readline() != "ready\n":
        raise AssertionError(child.communicate()[1])
    if during is None:
        pulse.play(wav)
    else:
        with during:
            pulse.play(wav)
    _, said = child.communicate("\n", timeout=60)
    assert child.returncode == 0, said
    told = json.loads((folder / f"{kind}.json").read_text())
    with np.load(folder / f"{kind}.npz") as arrays:
        return told, dict(arrays)


def test_four_spinning_threads(pulse, report, tmp_path):
    sound = speech(SPIN_S)
    wav, played = write(tmp_path, sound), keys(sound)
    figures = {}
    for kind in ("ours", "ordinary"):
        told, noted = listen(pulse, kind, tmp_path, wav, spinners=SPINNERS)
        through = runs(keys(noted["heard"]), played)
        hop = round(told["hop_s"] * RATE)
        # A hop of what was played is answered when the reader has done with the block its last
        # sample came in, and asks for the next. It is late when that is more than a hop after it
        # could have been, by the quickest of all: the way through the server takes its time, too.
        # What never came is late as well.
        ends = np.arange(hop - 1, len(played), hop)
        index = index_heard(through, ends)
        block = np.searchsorted(np.cumsum(noted["frames"]), index[index >= 0], "right")
        answered = noted["reads"][:, 0][block + 1] / 1e9
        delay = answered - ends[index >= 0] / RATE
        delay -= delay.min()
        gaps = np.diff(noted["called"]) / 1e6
        figures[kind] = {
            "played_frames": len(played),
            "lost_frames": lost(through, noted, len(played)),
            # Not lost on the way: recognition was behind by a second and let it go.
            "skipped_frames": told["skipped_samples"],
            "dropped_frames": told["dropped_samples"],
            "overflows": told["overflows"],
            "longest_gap_ms": round(gaps.max(), 1) if len(gaps) else told["longest_gap_ms"],
            "gap_p99_ms": round(np.percentile(gaps, 99), 1) if len(gaps) else None,
            "hops": len(ends),
            "late_hops": int((delay > told["hop_s"]).sum() + (index < 0).sum()),
            "median_lateness_ms": round(1e3 * np.median(delay), 1),
            "results": len(noted["published"]),
            "missed_results": told["missed_results"],
        }
    table = [
        f"{SPIN_S} s of a monitor, hop {1e3 * told['hop_s']:.1f} ms, {SPINNERS} threads of the same"
        " process spinning in Python",
        f"{'':24}{'ours':>10}{'ordinary callback':>20}",
    ]
    for name, ours in figures["ours"].items():
        both = ("-" if value is None else value for value in (ours, figures["ordinary"][name]))
        table.append("{:24}{:>10}{:>20}".format(name, *both))
    report("\n".join(table), "live_spinning", figures)
    assert figures["ours"]["lost_frames"] == 0


class Recorder:
    """Another program that records the monitor, and when each piece of sound came to it.

    The server hands a block to those who record as soon as the sink has taken it. This one asks for
    two seconds at a time, so that the sink's blocks stay as ours has them, and gets each at once
    all the same.
    """

    def __init__(self, pulse) -> None:
        self._command = ("parec", "--raw", "--format=float32le", f"--rate={RATE}", "--channels=2")
        self._command += ("--latency-msec=2000", f"--device={pulse.sink}.monitor")
        self._pulse = pulse
        self.times: list[int] = []
        self.ends: list[int] = []
        self._data = bytearray()

    def __enter__(self):
        self._process = self._pulse.popen(*self._command, text=False)
        self._thread = threading.Thread(target=self._read)
        self._thread.start()
        time.sleep(1)
        return self

    def _read(self) -> None:
        while data := os.read(self._process.stdout.fileno(), 1 << 16):
            self.times.append(time.perf_counter_ns())
            self._data += data
            self.ends.append(len(self._data) // 8)

    def __exit__(self, *_):
        time.sleep(1)
        self._process.terminate()
        self._thread.join()
        self._process.communicate()
        self.sound = np.frombuffer(self._data, np.float32, len(self._data) // 8 * 2).reshape(-1, 2)


def shares(ms: NDArray[np.float64]) -> dict[str, float]:
    p50, p99 = np.percentile(ms, (50, 99))
    return {"mean": round(ms.mean(), 2), "p50": round(p50, 2), "p99": round(p99, 2)}


def resampler_delays(rate: int, hop: int) -> NDArray[np.float64]:
    """Milliseconds of sound that the resampler wants beyond the end of each hop."""
    stream = soxr.ResampleStream(rate, RATE, 1, "float32", "HQ")
    step = 16
    given = [len(stream.resample_chunk(np.zeros(step, np.float32))) for _ in range(20 * rate // 16)]
    ends = np.arange(hop, sum(given), hop)
    needed = (np.searchsorted(np.cumsum(given), ends) + 1) * step
    return (needed / rate - ends / RATE) * 1e3


def test_latency_through_the_server(pulse, report, tmp_path):
    """Of every hundredth sample: from the sink to the first result that speaks for it.

    It enters the sink when the sink takes it from the player. That is seen by a recorder of its
    own, which needs some tenths of a millisecond to see it.
    """
    sound = speech(LATENCY_S)
    wav, played = write(tmp_path, sound), keys(sound)
    figures, sizes, resampler = {}, {}, {}
    for hop_ms in (HOP_MS, 100.0):
        recorder = Recorder(pulse)
        told, noted = listen(pulse, "noted", tmp_path, wav, hop_ms=hop_ms, during=recorder)
        assert told["skipped_samples"] == told["dropped_samples"] == 0, told
        positions = np.arange(RATE, len(played) - RATE, 100)
        in_sink = index_heard(runs(keys(recorder.sound), played), positions)
        index = index_heard(runs(keys(noted["heard"]), played), positions)
        there = (in_sink >= 0) & (index >= 0)
        assert there.mean() > 0.9, "player and server tear the sound: the computer is too busy"
        in_sink, index = in_sink[there], index[there]
        entered = np.array(recorder.times)[np.searchsorted(recorder.ends, in_sink, "right")]

        hop = round(told["hop_s"] * RATE)
        heard = np.cumsum(noted["frames"])
        called_at, ring_ends = noted["notes"].T

        def block_of(frame, heard=heard):
            return np.searchsorted(heard, frame, "right")

        def delivered(frame, heard=heard, noted=noted, called_at=called_at, ring_ends=ring_ends):
            """When the audio thread brought a frame; the ring counts from its own beginning."""
            block = block_of(frame, heard)
            in_ring = noted["reads"][block, 2] - (heard[block] - frame)
            return called_at[np.searchsorted(ring_ends, in_ring, "right")]

        # 44.1 kHz is the network's own rate: a hop is complete with its last sample.
        result = index // hop
        last = (result + 1) * hop - 1
        reads, published = noted["published"][result].T
        assert np.array_equal(block_of(last), reads - 1)
        taken = noted["reads"][block_of(last), 1]
        times = (entered, delivered(index), delivered(last), taken, published)
        parts = dict(
            zip(
                ("server", "hop wait", "ring", "compute"),
                np.diff(np.array(times), axis=0) / 1e6,
                strict=True,
            )
        )
        parts["total"] = sum(parts.values())
        figures[f"hop_{hop_ms:g}_ms"] = {name: shares(ms) for name, ms in parts.items()}
        resampler[hop_ms] = shares(resampler_delays(48_000, hop))
        sizes[hop_ms] = np.median(np.diff(recorder.ends)) / RATE * 1e3
    table = [
        f"a sample, from the null sink (blocks of {sizes[100.0]:.1f} ms) to the first result for"
        " it, ms"
    ]
    for name, parts in figures.items():
        table += [f"{name:24}{'mean':>8}{'p50':>8}{'p99':>8}"]
        table += [
            f"  {part:22}{ms['mean']:8.2f}{ms['p50']:8.2f}{ms['p99']:8.2f}"
            for part, ms in parts.items()
        ]
    p50, p99 = (resampler[HOP_MS][share] for share in ("p50", "p99"))
    table.append(
        f"at 44.1 kHz nothing is resampled; a device of 48 kHz adds p50 {p50}, p99 {p99} ms of"
        " sound to the hop wait"
    )
    figures["resampler_at_48_khz"] = resampler[HOP_MS]
    report("\n".join(table), "live_latency", figures)


def used(pid: int) -> tuple[float, int]:
    """CPU seconds of a process, and how often its threads went to sleep."""
    sleeps = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        text = status.read_text()
        sleeps += int(text.partition("\nvoluntary_ctxt_switches:")[2].split()[0])
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system, sleeps


def cost(pid: int) -> dict[str, float]:
    """Watch a process for a while."""
    cpu, sleeps = used(pid)
    psutil.cpu_percent()
    began = time.perf_counter()
    time.sleep(CPU_S)
    took = time.perf_counter() - began
    cpu_after, sleeps_after = used(pid)
    return {
        "percent_of_a_core": round(100 * (cpu_after - cpu) / took, 2),
        "wake_ups_per_s": round((sleeps_after - sleeps) / took),
        # On a computer with nothing else to do each wake-up finds cold caches: it costs more.
        "cores_busy_in_all": round(psutil.cpu_percent() / 100 * psutil.cpu_count(), 2),
    }


def test_cpu_share(pulse, report, tmp_path):
    wav = write(tmp_path, speech(CPU_S + 15))
    figures = {}
    for hop_ms in (100.0, HOP_MS):
        # Lock and log go to the home of the sound server, which is its own.
        command = (sys.executable, "-m", "kikiwake", "run", "--background", "--input", "loopback")
        child = pulse.popen(*command, "--hop-ms", f"{hop_ms:g}")
        try:
            time.sleep(8)
            figures[f"hop of {hop_ms:g} ms, silence"] = cost(child.pid)
            player = pulse.popen(
                "paplay", "--latency-msec=1000", f"--device={pulse.sink}", str(wav)
            )
            time.sleep(4)
            figures[f"hop of {hop_ms:g} ms, speech"] = cost(child.pid)
            assert player.poll() is None, "the speech was to last"
            player.terminate()
            player.communicate()
            child.terminate()
            _, said = child.communicate(timeout=20)
            assert child.returncode == 0, said
        finally:
            child.kill()
    table = [f"kikiwake run --background on a monitor, {CPU_S} s each"]
    table += [
        f"{name:26}{figure['percent_of_a_core']:6.2f} % of a core{figure['wake_ups_per_s']:6}"
        f" wake-ups a second, {figure['cores_busy_in_all']:.2f} cores busy in all"
        for name, figure in figures.items()
    ]
    report("\n".join(table), "live_cpu", figures)
