"""`kikiwake split`: what becomes of a recording, and of a program that is stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools.cli import main
from kikiwake.tools.score import read_rttm
from kikiwake.tools.split import Cut, SplitError, clip_folders, read_clips, split

RATE = 22_050
SILENCE = Cut(by="silence", pause_ms=200, minimum_ms=100, pre_roll_ms=0)


def bursts(*stretches_ms: int, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """Silence and noise in turn, beginning with silence."""
    rng = np.random.default_rng(1)
    y = np.concatenate(
        [
            0.2 * (i % 2) * rng.standard_normal(ms * rate // 1000)
            for i, ms in enumerate(stretches_ms)
        ]
    )
    return np.repeat(y[:, None], channels, axis=1).astype(np.float32)


def write(path: Path, y: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, y, rate, subtype="FLOAT" if path.suffix == ".wav" else None)
    return path


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(map(str, arguments)))
    return done.value.code or 0


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (22_050, 2), (44_100, 1), (48_000, 6)])
def test_clips_are_the_recording(tmp_path, rate, channels) -> None:
    y = bursts(500, 700, 400, 300, 100, 600, 900, rate=rate, channels=channels)
    recording = write(tmp_path / "show.wav", y, rate)
    clips = split(recording, tmp_path / "show", SILENCE)
    assert (clips.count, clips.recording_s) == (2, pytest.approx(3.5, abs=0.01))
    (first, *when), (second, *then) = read_clips(tmp_path / "show")
    assert when == pytest.approx([0.5, 1.4], abs=0.02)
    assert then == pytest.approx([1.6, 2.8], abs=0.02)
    for clip, (begin_s, _) in ((first, when), (second, then)):
        sound, its_rate = soundfile.read(clip, dtype="float32", always_2d=True)
        assert (its_rate, sound.shape[1]) == (rate, 1)
        at = round(begin_s * rate)
        # A millisecond is the table's, 16 bit the file's resolution.
        errors = [
            np.abs(sound[:, 0] - y[at + shift : at + shift + len(sound), 0]).max()
            for shift in range(-rate // 1000, rate // 1000 + 1)
        ]
        assert min(errors) < 1e-4


@settings(max_examples=20, deadline=None)
@given(stretches=st.lists(st.integers(0, 1500), max_size=8))
def test_in_order_and_within_the_recording(tmp_path_factory, stretches) -> None:
    folder = tmp_path_factory.mktemp("split")
    y = bursts(20, *stretches, rate=8000)
    split(write(folder / "a.wav", y, 8000), folder / "a", Cut(by="silence", longest_s=1))
    times = [time for _, *when in read_clips(folder / "a") for time in when]
    assert times == sorted(times)
    assert all(0 <= time <= len(y) / 8000 + 0.001 for time in times)
    assert all(e - b <= 1.02 for b, e in zip(times[::2], times[1::2], strict=True))


def test_every_turn_of_the_demo_is_in_a_clip(tmp_path) -> None:
    split(DEMO, tmp_path / "demo", Cut())
    clips = read_clips(tmp_path / "demo")
    for turn in read_rttm(DEMO_TRUTH):
        heard = sum(max(0, min(turn.end, end) - max(turn.start, start)) for _, start, end in clips)
        assert heard > 0.95 * (turn.end - turn.start)


def test_hours_of_sound_in_bounded_memory(tmp_path) -> None:
    y = bursts(*[300, 700] * 600, rate=8000)  # ten minutes
    recording = write(tmp_path / "long.flac", np.tile(y, (6, 1)), 8000)
    program = (
        "import resource, sys; from pathlib import Path; from kikiwake.tools.split import *;"
        "split(Path(sys.argv[1]), Path(sys.argv[2]), Cut(by='silence'));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks = []
    short = write(tmp_path / "short.flac", y[: 60 * 8000], 8000)
    for name in (short, recording):
        done = subprocess.run(
            [sys.executable, "-c", program, str(name), str(tmp_path / name.stem)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(int(done.stdout))
    # An hour of it in float32 is 115 MB.
    assert peaks[1] - peaks[0] < 20_000
    assert len(read_clips(tmp_path / "long")) == 3600


def test_killed_and_started_again(tmp_path) -> None:
    recordings = [
        write(tmp_path / f"{name}.flac", np.tile(bursts(*[300, 700] * 60, rate=8000), (5, 1)), 8000)
        for name in ("one", "two", "three")
    ]
    for name in recordings:
        split(name, tmp_path / "whole" / name.stem, Cut(by="silence", minimum_ms=100))
    command = [sys.executable, "-m", "kikiwake", "split", *map(str, recordings)]
    command += ["--to", str(tmp_path / "clips"), "--by", "silence", "--minimum-ms", "100"]
    for wait_s in (1.0, 1.3, 1.6, 1.9):
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(wait_s)
        child.send_signal(signal.SIGKILL)
        child.wait()
    subprocess.run(command, check=True, capture_output=True)
    assert sorted(p.name for p in (tmp_path / "clips").iterdir()) == ["one", "three", "two"]
    for name in recordings:
        files = sorted((tmp_path / "whole" / name.stem).iterdir())
        assert len(files) == 301
        for file in files:
            assert file.read_bytes() == (tmp_path / "clips" / name.stem / file.name).read_bytes()


class TestCommand:
    def test_what_was_split_is_left(self, tmp_path, capsys) -> None:
        recording = write(tmp_path / "第1話 😀.wav", bursts(300, 700, 300))
        to = tmp_path / "clips"
        assert run("split", recording, "--to", to, "--by", "silence") == 0
        assert "第1話 😀: 1 clips" in capsys.readouterr().out
        clip = to / "第1話 😀" / "0001.flac"
        before = clip.stat().st_mtime_ns
        assert run("split", recording, "--to", to) == 0
        assert "was split before" in capsys.readouterr().out
        assert clip.stat().st_mtime_ns == before
        assert run("split", recording, "--to", to, "--by", "silence", "--again") == 0
        assert clip.stat().st_mtime_ns != before

    def test_one_bad_file_among_good_ones(self, tmp_path, capsys) -> None:
        bad = tmp_path / "bad.wav"
        bad.write_bytes(b"not audio")
        empty = write(tmp_path / "empty.wav", np.zeros((0, 1), np.float32))
        good = write(tmp_path / "good.wav", bursts(300, 700, 300))
        assert run("split", bad, empty, tmp_path / "none.wav", good, "--to", tmp_path / "c") == 1
        said = capsys.readouterr()
        assert said.err == "kikiwake: 3 of 4 recordings could not be split\n"
        assert said.out.count("not done: ") == 3
        assert "good: " in said.out
        assert [p.name for p in (tmp_path / "c").iterdir()] == ["good"]

    def test_silence_has_no_clips(self, tmp_path, capsys) -> None:
        recording = write(tmp_path / "quiet.wav", np.zeros((RATE, 1), np.float32))
        assert run("split", recording, "--to", tmp_path / "c") == 0
        assert "quiet: 0 clips" in capsys.readouterr().out
        assert read_clips(tmp_path / "c" / "quiet") == []

    def test_where_nothing_can_be_written(self, tmp_path, capsys) -> None:
        recording = write(tmp_path / "show.wav", bursts(300, 700, 300))
        (tmp_path / "file").touch()
        assert run("split", recording, "--to", tmp_path / "file") == 1
        assert "cannot be written to" in capsys.readouterr().out

    def test_a_folder_of_somebody_else(self, tmp_path, capsys) -> None:
        recording = write(tmp_path / "show.wav", bursts(300, 700, 300))
        (tmp_path / "c" / "show").mkdir(parents=True)
        assert run("split", recording, "--to", tmp_path / "c", "--again") == 1
        assert "holds no clips of ours" in capsys.readouterr().err


def test_folders_by_name() -> None:
    paths = [Path(p) for p in ("a/1.wav", "a/1.flac", "a/2.wav")]
    names = [str(folder) for folder in clip_folders(paths, Path("c")).values()]
    assert names == [str(Path("c") / name) for name in ("1.wav", "1.flac", "2")]
    with pytest.raises(SplitError, match="have the same name"):
        clip_folders([Path("a/1.wav"), Path("b/1.wav")], Path("c"))


def test_a_damaged_table(tmp_path) -> None:
    (tmp_path / "clips.csv").write_text("clip,start_s\n0001.flac,0.1\n")
    with pytest.raises(SplitError, match=r"clips.csv: is damaged"):
        read_clips(tmp_path)
    with pytest.raises(SplitError, match="cannot be read"):
        read_clips(tmp_path / "none")
