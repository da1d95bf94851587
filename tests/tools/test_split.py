"""`kikiwake split`: what becomes of a recording, and of a program that is stopped."""

from __future__ import annotations

import contextlib
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

from kikiwake.files import locked
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools.cli import main
from kikiwake.tools.score import read_rttm
from kikiwake.tools.sort import Session
from kikiwake.tools.split import (
    TABLE,
    Cut,
    SplitError,
    clip_folders,
    read_clips,
    split,
    split_before,
)

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
    made = split(recording, tmp_path / "show", SILENCE)
    assert made == read_clips(tmp_path / "show")
    assert made.recording_s == pytest.approx(3.5, abs=0.01)
    times = [(clip.start_s, clip.end_s) for clip in made.clips]
    assert times == [pytest.approx((0.5, 1.4), abs=0.02), pytest.approx((1.6, 2.8), abs=0.02)]
    for clip in made.clips:
        path = tmp_path / "show" / clip.file
        sound, its_rate = soundfile.read(path, dtype="float32", always_2d=True)
        assert (its_rate, sound.shape[1]) == (rate, 1)
        at = round(clip.start_s * rate)
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
    clips = read_clips(folder / "a").clips
    times = [time for clip in clips for time in (clip.start_s, clip.end_s)]
    assert times == sorted(times)
    assert all(0 <= time <= len(y) / 8000 + 0.001 for time in times)
    assert all(e - b <= 1.02 for b, e in zip(times[::2], times[1::2], strict=True))


def test_every_turn_of_the_demo_is_in_a_clip(tmp_path) -> None:
    split(DEMO, tmp_path / "demo", Cut())
    clips = read_clips(tmp_path / "demo").clips
    for turn in read_rttm(DEMO_TRUTH):
        heard = sum(max(0, min(turn.end, c.end_s) - max(turn.start, c.start_s)) for c in clips)
        assert heard > 0.95 * (turn.end - turn.start)


def test_high_rates_are_lowered(tmp_path) -> None:
    recording = write(tmp_path / "high.wav", bursts(300, 700, 300, rate=96_000), 96_000)
    split(recording, tmp_path / "high", SILENCE)
    info = soundfile.info(tmp_path / "high" / "0001.flac")
    assert (info.samplerate, info.duration) == (48_000, pytest.approx(0.9, abs=0.02))


def test_what_is_no_number_is_silence(tmp_path) -> None:
    y = bursts(500, 700, 500, channels=2)
    y[5000, 0], y[6000, 1] = np.inf, np.nan
    made = split(write(tmp_path / "bad.wav", y), tmp_path / "bad", SILENCE)
    assert made.bad_samples == 2
    assert [clip.start_s for clip in made.clips] == [pytest.approx(0.5, abs=0.02)]


def test_of_a_file_that_was_cut_off_the_rest_is_split(tmp_path) -> None:
    """FLAC: in the others libsndfile takes such an end for an end."""
    whole = write(tmp_path / "whole.flac", bursts(300, *[700, 300] * 20))
    cut_off = tmp_path / "cut.flac"
    cut_off.write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    made = split(cut_off, tmp_path / "cut", SILENCE)
    assert made.broken.startswith(f"{cut_off} is damaged")
    assert made == read_clips(tmp_path / "cut")
    readable = 0
    with soundfile.SoundFile(cut_off) as file, contextlib.suppress(soundfile.LibsndfileError):
        while len(block := file.read(1000)):
            readable += len(block)
    assert made.recording_s == pytest.approx(readable / file.samplerate, abs=0.4)
    assert made.clips[-1].end_s == pytest.approx(made.recording_s, abs=0.5)
    # Mended, it is the same recording still.
    whole.replace(cut_off)
    assert split_before(cut_off, tmp_path / "cut") == made
    mended = split(cut_off, tmp_path / "cut", SILENCE)
    assert (mended.broken, len(mended.clips)) == ("", 20)


def test_what_was_split_before_is_told(tmp_path, capsys) -> None:
    recording = str(write(tmp_path / "a.flac", bursts(300, *[700, 300] * 20)))
    to = ["--to", str(tmp_path)]
    for arguments, said in (
        ([], "20 clips"),
        ([], "a: was split before; --again"),
        (["--pause-ms", "400"], "was split before, not as it would be now; --again"),
        (["--silence-db", "-40"], "was split before, not as it would be now; --again"),
    ):
        run("split", recording, "--by", "silence", *to, *arguments)
        assert said in capsys.readouterr().out
    run("split", recording, "--by", "webrtc", *to, "--again")
    run("split", recording, "--by", "webrtc", *to, "--silence-db", "-40")
    assert "a: was split before; --again" in capsys.readouterr().out


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is asked of /proc")
def test_long_ones_in_bounded_memory(tmp_path) -> None:
    y = bursts(*[9300, 700] * 60, rate=8000)  # ten minutes
    recordings = [
        write(tmp_path / f"{name}.flac", sound, 8000)
        for name, sound in (("short", y[: 60 * 8000]), ("long", y))
    ]
    program = (
        "import sys; from pathlib import Path; from kikiwake.tools.split import *\n"
        "for path in map(Path, sys.argv[1:]):\n"
        "    split(path, path.with_suffix(''), Cut(by='silence'))\n"
        "    print(*(line for line in open('/proc/self/status') if line.startswith('VmHWM')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *recordings], capture_output=True, text=True, check=True
    )
    peaks_kb = [int(line.split()[1]) for line in done.stdout.split("\n") if line]
    # All of it in float32 is 19 MB.
    assert peaks_kb[1] - peaks_kb[0] < 10_000
    assert len(read_clips(tmp_path / "long").clips) == 60


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_killed_and_started_again(tmp_path) -> None:
    y = np.tile(bursts(*[300, 700] * 60, rate=8000), (5, 1))
    recordings = [write(tmp_path / f"{name}.flac", y, 8000) for name in ("one", "two")]
    for recording in recordings:
        split(recording, tmp_path / "whole" / recording.stem, Cut(by="silence", minimum_ms=100.0))
    command = [sys.executable, "-m", "kikiwake", "split", *map(str, recordings)]
    command += ["--to", str(tmp_path / "clips"), "--by", "silence", "--minimum-ms", "100"]
    partial = tmp_path / "clips" / ".two.part"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as child:
        # Some clips of it, of those it writes now.
        until = time.monotonic() + 60
        while time.monotonic() < until and not (partial / "0005.flac").exists():
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
    assert partial.exists()
    assert not (tmp_path / "clips" / "two").exists()
    assert run(*command[3:]) == 0
    assert sorted(p.name for p in (tmp_path / "clips").iterdir()) == ["one", "two"]
    for recording in recordings:
        files = sorted((tmp_path / "whole" / recording.stem).iterdir())
        assert len(files) == 301
        for file in files:
            again = tmp_path / "clips" / recording.stem / file.name
            assert file.read_bytes() == again.read_bytes()


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
        assert read_clips(tmp_path / "c" / "quiet").clips == ()

    def test_where_nothing_can_be_written(self, tmp_path, capsys) -> None:
        recording = write(tmp_path / "show.wav", bursts(300, 700, 300))
        (tmp_path / "file").touch()
        assert run("split", recording, "--to", tmp_path / "file") == 1
        assert "the clips cannot be written: Not a directory" in capsys.readouterr().out

    def test_a_folder_of_somebody_else(self, tmp_path, capsys) -> None:
        recordings = [write(tmp_path / f"{n}.wav", bursts(300, 700, 300)) for n in ("a", "b")]
        (tmp_path / "c" / "a").mkdir(parents=True)
        assert run("split", *recordings, "--to", tmp_path / "c", "--again") == 1
        said = capsys.readouterr().out
        assert "a: holds no clips of ours" in said
        assert "b: 1 clips" in said

    def test_another_of_the_same_stem_later(self, tmp_path, capsys) -> None:
        first = write(tmp_path / "ep.flac", bursts(300, 700, 300))
        assert run("split", first, "--to", tmp_path / "c") == 0
        second = write(tmp_path / "ep.wav", bursts(300, 700, 300))
        capsys.readouterr()
        assert run("split", first, second, "--to", tmp_path / "c") == 0
        assert "ep: was split before" in capsys.readouterr().out
        assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["ep", "ep.wav"]
        first.unlink()
        assert run("split", first, "--to", tmp_path / "c") == 1
        assert f"not done: {first}: no such file\n" in capsys.readouterr().out

    def test_one_at_a_time(self, tmp_path, capsys) -> None:
        recording, to = write(tmp_path / "ep.wav", bursts(300, 700, 300)), tmp_path / "c"
        with locked(to / ".ep.lock", "busy"):
            assert run("split", recording, "--to", to, "--by", "silence") == 1
        assert "ep: is being split by another process; end that" in capsys.readouterr().out
        assert run("split", recording, "--to", to, "--by", "silence") == 0
        with Session(to):
            assert run("split", recording, "--to", to, "--again") == 1
            assert "c: is being sorted by another process" in capsys.readouterr().out
            other = write(tmp_path / "other.wav", bursts(300, 700, 300))
            assert run("split", other, "--to", to) == 0
        assert run("split", recording, "--to", to, "--again") == 0
        assert sorted(path.name for path in to.iterdir()) == ["ep", "other"]

    @pytest.mark.skipif(sys.platform == "win32", reason="there is no limit to set")
    def test_a_full_disk(self, tmp_path, capsys) -> None:
        import resource

        recording = write(tmp_path / "ep.wav", bursts(300, 700, 300))
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
            assert run("split", recording, "--to", tmp_path / "c", "--by", "silence") == 1
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "ep: the clips cannot be written: File too large\n" in capsys.readouterr().out
        assert list((tmp_path / "c").iterdir()) == []

    def test_another_recording_of_the_same_name(self, tmp_path, capsys) -> None:
        first = write(tmp_path / "1" / "ep.wav", bursts(300, 700, 300))
        second = write(tmp_path / "2" / "ep.wav", bursts(300, 700, 300, 500, 300))
        assert run("split", first, "--to", tmp_path / "c", "--by", "silence") == 0
        before = read_clips(tmp_path / "c" / "ep")
        for more in ((), ("--again",)):
            assert run("split", second, "--to", tmp_path / "c", *more) == 1
            assert "holds the clips of another recording, ep.wav" in capsys.readouterr().out
        assert read_clips(tmp_path / "c" / "ep") == before

    def test_anew_takes_nothing_else_away(self, tmp_path, capsys) -> None:
        recording = write(tmp_path / "ep.wav", bursts(300, 700, 300))
        assert run("split", recording, "--to", tmp_path) == 0
        moved = recording.rename(tmp_path / "ep" / "ep.wav")
        assert run("split", moved, "--to", tmp_path, "--again") == 1
        assert "holds more than clips (ep.wav), which would be lost" in capsys.readouterr().out
        assert moved.exists()

    def test_stopped_while_the_old_clips_make_room(self, tmp_path, monkeypatch) -> None:
        recording = write(tmp_path / "ep.wav", bursts(300, 700, 300))
        made = split(recording, tmp_path / "c" / "ep", SILENCE)
        renames = []
        replace = Path.replace

        def stopping(self, target):
            renames.append(target)
            if len(renames) == 2:
                raise KeyboardInterrupt
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", stopping)
        with pytest.raises(KeyboardInterrupt):
            split(recording, tmp_path / "c" / "ep", SILENCE)
        monkeypatch.undo()
        assert split(recording, tmp_path / "c" / "ep", SILENCE) == made
        assert [path.name for path in (tmp_path / "c").iterdir() if "part" in path.name] == []

    def test_names_that_mean_something_to_the_screen(self, tmp_path, capsys) -> None:
        recording = write(tmp_path / "[red]a[" / "b] show.wav", bursts(300, 700, 300))
        assert run("split", recording, "--to", tmp_path / "c") == 0
        assert "b] show: " in capsys.readouterr().out

    def test_a_name_too_long(self, tmp_path, capsys) -> None:
        recording = write(tmp_path / "show.wav", bursts(300, 700, 300))
        assert run("split", recording, "--to", tmp_path / ("x" * 300)) == 1
        assert "File name too long" in capsys.readouterr().out

    def test_no_clip_could_be_long_enough(self, tmp_path, capsys) -> None:
        recording = write(tmp_path / "show.wav", bursts(300, 700, 300))
        assert run("split", recording, "--longest-s", 1, "--minimum-ms", 2000) == 1
        assert "must be less than the longest clip, 1000 ms" in capsys.readouterr().err


def test_folders_by_name() -> None:
    recordings = ("a/1.wav", "a/1.flac", "a/2.wav", "a/2.wav", "a/..wav", "a/.hack.wav")
    paths = list(map(Path, recordings))
    names = [str(folder) for folder in clip_folders(paths, Path("c")).values()]
    assert names == [str(Path("c") / name) for name in ("1.wav", "1.flac", "2", "wav", "hack")]
    for other in ("b/1.wav", "b/1.WAV"):
        with pytest.raises(SplitError, match="have the same name"):
            clip_folders([Path("a/1.wav"), Path(other)], Path("c"))


@pytest.mark.parametrize(
    ("what", "by"),
    [
        ('"clips":[', '"clips":['[:-1]),
        ('"0001.flac"', '"../0001.flac"'),
        ('"start_s":0.3', '"start_s":-1'),
        ('"start_s":0.3', '"start_s":9'),
        ('"kikiwake-clips"', '"clips"'),
    ],
)
def test_a_damaged_table(tmp_path, what, by) -> None:
    split(write(tmp_path / "show.wav", bursts(300, 700, 300)), tmp_path / "show", SILENCE)
    table = tmp_path / "show" / TABLE
    text = table.read_text().replace(": ", ":")
    assert what in text
    table.write_text(text.replace(what, by))
    with pytest.raises(SplitError, match=r"clips.json: is damaged"):
        read_clips(tmp_path / "show")
    with pytest.raises(SplitError, match="holds no clips of ours"):
        read_clips(tmp_path / "none")
