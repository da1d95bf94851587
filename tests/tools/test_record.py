"""`kikiwake record`: what is recorded is kept, however the recording ends."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from kikiwake.engine.capture import FileSource
from kikiwake.engine.result import Counters
from kikiwake.errors import SourceError
from kikiwake.files import BusyError
from kikiwake.tools import record
from kikiwake.tools.cli import main
from kikiwake.tools.record import (
    Recorder,
    RecordError,
    ended_by_signals,
    finish,
    keys,
    marks_path,
    mend,
    name_for,
    unfinished,
)

BLOCK = 1152  # samples in a FLAC frame
COMMAND = [sys.executable, "-m", "kikiwake", "record"]
unix = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL, no terminal")


def noise(frames: int, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(5)
    return (rng.standard_normal((frames, channels)) * 3000).astype(np.int16)


def write(path: Path, y: np.ndarray, rate: int = 48_000) -> Path:
    soundfile.write(path, y, rate, subtype="FLOAT" if y.dtype == np.float32 else "PCM_16")
    return path


def read(path: Path) -> np.ndarray:
    return soundfile.read(path, dtype="int16", always_2d=True)[0]


def take(source: object, path: Path, **options: object) -> Recorder:
    with Recorder(source, path, **options) as recorder:
        for _ in recorder:
            pass
    return recorder


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main(list(map(str, arguments)))
    return done.value.code or 0


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class Device:
    """A live source that does as it is told: what each read brings, and when, in a clock's time."""

    name, live, notice = "device", True, None

    def __init__(self, monkeypatch: pytest.MonkeyPatch, rate: int = 8000, channels: int = 1):
        self.sample_rate, self.channels = rate, channels
        self.state = "listening"
        self.dropped = 0
        self.reads = iter(())
        self.now = 1000.0
        clock = SimpleNamespace(monotonic=lambda: self.now, strftime=time.strftime)
        monkeypatch.setattr(record, "time", clock)

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *_: object) -> None: ...

    def counters(self) -> Counters:
        return Counters(dropped_samples=self.dropped)

    def read(self, timeout_s: float, min_frames: int = 1) -> np.ndarray | None:
        return next(self.reads, None)

    def sound(self, seconds: float, value: float = 0.5) -> np.ndarray:
        self.now += seconds
        return np.full((round(seconds * self.sample_rate), self.channels), value, np.float32)

    def nothing(self, seconds: float) -> np.ndarray:
        self.now += seconds
        return np.empty((0, self.channels), np.float32)


def stretches(y: np.ndarray, rate: int) -> list[tuple[bool, float]]:
    """Whether there is sound, and for how many seconds."""
    loud = np.abs(y[:, 0]) > 100
    edges = [0, *(np.flatnonzero(np.diff(loud)) + 1), len(y)]
    return [(bool(loud[b]), round((e - b) / rate, 2)) for b, e in itertools.pairwise(edges)]


@pytest.mark.parametrize(("rate", "channels"), [(4000, 1), (11_025, 1), (48_000, 2), (192_000, 8)])
def test_a_recording_is_the_sound(tmp_path, rate, channels) -> None:
    y = noise(40_000, channels)
    source = FileSource(write(tmp_path / "in.wav", y, rate))
    recorder = take(source, tmp_path / "new" / "第1話 😀.flac")
    assert soundfile.info(recorder.path).samplerate == rate
    assert np.array_equal(read(recorder.path), y)
    assert names(tmp_path / "new") == ["第1話 😀.flac"]
    assert recorder.progress.seconds == pytest.approx(40_000 / rate)


def test_levels_and_samples_that_are_none(tmp_path) -> None:
    y = (0.5 * np.sin(np.arange(48_000) / 10)).astype(np.float32)[:, None]
    y[100:103, 0], y[200, 0] = [1.0, 1.5, -1.2], np.nan
    last = list(_progress(FileSource(write(tmp_path / "in.wav", y)), tmp_path / "a.flac"))[-2]
    assert (last.clipped, last.counters.bad_samples) == (3, 1)
    assert last.peak_db == pytest.approx(-6.02, abs=0.05)
    assert last.rms_db == pytest.approx(-9.03, abs=0.3)
    assert last.loudest_db == pytest.approx(20 * np.log10(1.5))
    assert read(tmp_path / "a.flac")[[100, 102, 200], 0].tolist() == [32767, -32768, 0]


def _progress(source: object, path: Path) -> list[record.Progress]:
    with Recorder(source, path) as recorder:
        return list(recorder)


def test_no_longer_than_asked_for(tmp_path) -> None:
    sound = write(tmp_path / "in.wav", noise(44_100), 44_100)
    for seconds, frames in ((1 / 3, 14_700), (0.1, 4410), (1e-9, 1), (5, 44_100)):
        recorder = take(FileSource(sound), tmp_path / f"{frames}.flac", seconds=seconds)
        assert len(read(recorder.path)) == frames
    for seconds in (0, -1, float("nan"), float("inf")):
        with pytest.raises(RecordError, match="must be more than 0"):
            Recorder(FileSource(sound), tmp_path / "a.flac", seconds=seconds)


def test_marks_are_a_label_track(tmp_path) -> None:
    sound = write(tmp_path / "in.wav", noise(48_000))
    path = tmp_path / "a.flac"
    with Recorder(FileSource(sound, block_frames=24_000), path) as recorder:
        for _ in recorder:
            recorder.mark()
            saved = marks_path(path).read_bytes()
    assert saved.splitlines(keepends=True) == [
        b"0.500000\t0.500000\tmark 1\n",
        b"1.000000\t1.000000\tmark 2\n",
        b"1.000000\t1.000000\tmark 3\n",
    ]
    assert recorder.progress.seconds == 1.0


@unix
def test_a_mark_that_cannot_be_written_ends_nothing(tmp_path, monkeypatch, capfd) -> None:
    sound = write(tmp_path / "in.wav", noise(4000))
    marks_path(tmp_path / "a.flac").symlink_to(tmp_path / "none" / "marks")
    monkeypatch.setattr(record, "keys", lambda: contextlib.nullcontext(lambda: "m"))
    assert run("record", tmp_path / "a.flac", "--input", sound) == 0
    said = capfd.readouterr()
    assert "a.marks.txt: cannot be written: No such file or directory\n" in said.err
    assert "00:00.1 recorded" in said.out
    assert len(read(tmp_path / "a.flac")) == 4000


def test_marks_of_nothing_go(tmp_path, monkeypatch) -> None:
    device = Device(monkeypatch)
    device.reads = (device.nothing(1.0) for _ in range(3))
    with Recorder(device, tmp_path / "a.flac") as recorder:
        for _ in recorder:
            recorder.mark()
            assert marks_path(recorder.path).exists()
    assert names(tmp_path) == []


class TestNames:
    def test_nothing_is_written_over(self, tmp_path, capsys) -> None:
        sound = write(tmp_path / "in.wav", noise(4000))
        (tmp_path / "a.flac").write_text("mine")
        (tmp_path / "b.marks.txt").write_text("mine")
        for name, there in (("a", "a.flac"), ("b", "b.marks.txt")):
            assert run("record", tmp_path / f"{name}.flac", "--input", sound) == 1
            said = capsys.readouterr().err
            assert said.count("\n") == 1
            assert f"{there}: is there already, and is never written over" in said
            assert (tmp_path / there).read_text() == "mine"
        assert names(tmp_path) == ["a.flac", "b.marks.txt", "in.wav"]

    def test_a_name_that_is_taken_while_it_records(self, tmp_path) -> None:
        sound = write(tmp_path / "in.wav", noise(4000))
        with Recorder(FileSource(sound), tmp_path / "a.flac") as recorder:
            for _ in recorder:
                (tmp_path / "a.flac").write_text("mine")
            recorder.mark()
        assert recorder.path == tmp_path / "a-2.flac"
        assert names(tmp_path) == ["a-2.flac", "a-2.marks.txt", "a.flac", "in.wav"]

    def test_two_processes(self, tmp_path) -> None:
        sound = write(tmp_path / "in.wav", noise(4000))
        with Recorder(FileSource(sound), tmp_path / "a.flac") as recorder:
            next(iter(recorder))
            with (
                pytest.raises(BusyError, match="is being recorded by another process"),
                Recorder(FileSource(sound), tmp_path / "a.flac"),
            ):
                pass
            (part,) = unfinished(tmp_path)
            assert finish(part) is None
        assert names(tmp_path) == ["a.flac", "in.wav"]
        assert len(read(tmp_path / "a.flac")) == 1024

    def test_a_folder_gets_names_by_time(self, tmp_path, capsys) -> None:
        sound = write(tmp_path / "in.wav", noise(48_000))
        for _ in range(2):
            assert run("record", tmp_path / "show", "--input", sound) == 0
        first, second = (tmp_path / "show").iterdir()
        for path in (first, second):
            assert f"{path}: 00:01.0 recorded" in capsys.readouterr().out or path == second
            assert time.strptime(path.stem[:19], "%Y-%m-%d_%H-%M-%S")

    def test_names_after_what_was_broken_off(self, tmp_path) -> None:
        a, b = (tmp_path / f"{name}.flac" for name in "ab")
        assert name_for(a, [a]) == a  # it held no sound
        a.touch()
        assert name_for(a, [a]) == tmp_path / "a-2.flac"
        assert name_for(a, [b]) == name_for(a) == a  # which is refused
        (tmp_path / "a-2.flac").touch()
        assert name_for(a, [tmp_path / "a-2.flac"]) == tmp_path / "a-3.flac"

    def test_another_kind_of_file(self, tmp_path) -> None:
        with pytest.raises(RecordError, match=r"a.wav: recordings are FLAC: .* as .*a.flac, or"):
            name_for(tmp_path / "a.wav")
        (tmp_path / "season 1.5").mkdir()
        assert name_for(tmp_path / "season 1.5").parent.name == "season 1.5"

    def test_where_nothing_can_be_written(self, tmp_path, capsys) -> None:
        sound = write(tmp_path / "in.wav", noise(4000))
        assert run("record", sound / "a.flac", "--input", sound) == 1
        assert run("record", tmp_path / ("x" * 300 + ".flac"), "--input", sound) == 1
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 2
        assert all("cannot be written: " in line for line in said)
        assert names(tmp_path) == ["in.wav"]

    def test_more_channels_than_flac_has(self, tmp_path) -> None:
        sound = write(tmp_path / "in.wav", noise(4000, 9))
        with pytest.raises(RecordError, match="9 channels are more than FLAC holds, 8"):
            take(FileSource(sound), tmp_path / "a.flac")
        sound = write(tmp_path / "in.wav", noise(4000), 768_000)
        with pytest.raises(RecordError, match="FLAC cannot hold 768000 Hz"):
            take(FileSource(sound), tmp_path / "a.flac")
        assert names(tmp_path) == ["in.wav"]


class TestMend:
    @staticmethod
    def broken(path: Path, y: np.ndarray, rate: int) -> bytes:
        """What is on the disk when it breaks off."""
        copy = b""
        sound = write(path.with_suffix(".wav"), y, rate)
        with Recorder(FileSource(sound, block_frames=1000), path) as recorder:
            for _ in recorder:
                copy = unfinished(path.parent)[0].read_bytes()
        return copy

    @pytest.mark.parametrize(
        ("rate", "channels"), [(8000, 1), (48_000, 2), (11_111, 3), (654_320, 8)]
    )
    def test_cut_anywhere(self, tmp_path, rate, channels) -> None:
        y = noise(12 * BLOCK + 500, channels)
        y[3 * BLOCK : 6 * BLOCK] = 0  # frames of some bytes
        whole = self.broken(tmp_path / "a.flac", y, rate)
        path = tmp_path / "b.flac"
        rng = np.random.default_rng(1)
        lengths = []
        for size in [*range(1, 140, 3), *sorted(rng.integers(140, len(whole), 25)), len(whole)]:
            path.write_bytes(whole[:size])
            seconds = mend(path)
            if seconds:
                mended = path.read_bytes()
                sound = read(path)
                assert np.array_equal(sound, y[: len(sound)])
                assert seconds == len(sound) / rate
                assert mend(path) == seconds
                assert path.read_bytes() == mended
            lengths.append(round(seconds * rate) / BLOCK)
        assert lengths == sorted(lengths)
        assert lengths[-1] == 12

    @settings(max_examples=15, deadline=None)
    @given(tail=st.binary(max_size=300) | st.integers(0, 10**6).map(bytes))
    def test_rubbish_at_the_end(self, tmp_path_factory, tail) -> None:
        """As a computer that lost its power may leave it."""
        folder = tmp_path_factory.mktemp("mend")
        y = noise(5 * BLOCK)
        whole = self.broken(folder / "a.flac", y, 8000)
        path = folder / "b.flac"
        path.write_bytes(whole + tail)
        mend(path)
        sound = read(path)
        assert len(sound) >= 3 * BLOCK
        assert np.array_equal(sound, y[: len(sound)])

    def test_long_ones(self, tmp_path) -> None:
        """Their frames have numbers that take four bytes."""
        path = tmp_path / "a.flac"
        blocks = 2**16 + 10
        with soundfile.SoundFile(path, "w", 8000, 1, "PCM_16", compression_level=0.25) as file:
            for _ in range(0, blocks, 100):
                file.write(np.zeros((100 * BLOCK, 1), np.int16))
            file.write(np.zeros((1, 1), np.int16))
            torn = path.read_bytes()
        path.write_bytes(torn[:-3])
        frames = round(mend(path) * 8000)
        assert frames > 2**16 * BLOCK
        assert soundfile.info(path).frames == frames

    def test_what_is_no_flac_stays(self, tmp_path, capsys) -> None:
        other = tmp_path / ".old.flac.part"
        other.write_text("something else")
        sound = write(tmp_path / "in.wav", noise(4000))
        assert run("record", tmp_path / "a.flac", "--input", sound) == 0
        said = capsys.readouterr().out
        assert f"not finished: {other}: is no FLAC file; move it elsewhere\n" in said
        assert other.read_text() == "something else"
        assert len(read(tmp_path / "a.flac")) == 4000
        assert run("record", tmp_path, "--finish") == 1
        other.unlink()
        other.mkdir()
        assert run("record", tmp_path, "--finish") == 0


# Forks, each of which records what the other end of a pipe is fed, and is killed.
KILL = """
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from kikiwake.engine.capture import PipeSource
from kikiwake.tools.record import Recorder

folder, rate, channels = Path(sys.argv[1]), 48_000, 2
rng = random.Random(4)
sound = Path(sys.argv[2]).read_bytes()
for number in range(5):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(writing)
        source = PipeSource(os.fdopen(reading, "rb"), sample_rate=rate, channels=channels)
        with Recorder(source, folder / f"{number}.flac") as recorder:
            for _ in recorder:
                pass
        os._exit(0)
    os.close(reading)
    until, fed, began = rng.uniform(0.1, 0.7), 0, time.monotonic()
    while (now := time.monotonic() - began) < until:
        due = int(now * rate) * 2 * channels
        fed += os.write(writing, sound[fed:due])
        time.sleep(rng.uniform(0, 0.01))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(writing)
    print(number, fed // (2 * channels), flush=True)
"""


@unix
def test_killed_at_any_moment(tmp_path) -> None:
    y = noise(2 * 48_000, 2)
    (tmp_path / "in.raw").write_bytes(y.tobytes())
    done = subprocess.run(
        [sys.executable, "-c", KILL, str(tmp_path), str(tmp_path / "in.raw")],
        capture_output=True,
        text=True,
        check=True,
    )
    parts = unfinished(tmp_path)
    assert len(parts) == 5
    found = dict(filter(None, map(finish, parts)))
    for line in done.stdout.splitlines():
        number, fed = map(int, line.split())
        sound = read(tmp_path / f"{number}.flac")
        assert found[tmp_path / f"{number}.flac"] == len(sound) / 48_000
        assert np.array_equal(sound, y[: len(sound)])
        assert fed - len(sound) < 0.5 * 48_000
    assert not unfinished(tmp_path)


def started(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    command = [*COMMAND, *map(str, arguments), "--input", "-", "--rate", "8000"]
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, **options)


def feed(child: subprocess.Popen[bytes], y: np.ndarray, part: Path, size: int) -> None:
    """Feed all, and wait until so many bytes have arrived."""
    assert child.stdin is not None
    child.stdin.write(y.tobytes())
    child.stdin.flush()
    until = time.monotonic() + 30
    while not part.exists() or part.stat().st_size < size:
        assert time.monotonic() < until
        assert child.poll() is None
        time.sleep(0.01)


@unix
def test_killed_and_started_again(tmp_path) -> None:
    y = noise(20_000)
    with started(tmp_path / "a.flac") as child:
        feed(child, y, tmp_path / ".a.flac.part", 20_000)
        child.send_signal(signal.SIGKILL)
    with started(tmp_path / "a.flac") as child:
        feed(child, y, tmp_path / ".a-2.flac.part", 20_000)
        child.send_signal(signal.SIGTERM)
        out, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (0, b"")
    assert b"a.flac: finished; it was broken off after 2." in out
    assert b"a-2.flac: 00:02.5 recorded" in out
    assert names(tmp_path) == ["a-2.flac", "a.flac"]
    for name in names(tmp_path):
        sound = read(tmp_path / name)
        assert len(sound) >= 20_000 - 2 * BLOCK
        assert np.array_equal(sound, y[: len(sound)])


@unix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ended_by_a_signal(tmp_path, name) -> None:
    y = noise(48_000)
    recorder = Recorder(FileSource(write(tmp_path / "in.wav", y)), tmp_path / "a.flac")
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with ended_by_signals(recorder.stop), recorder:
        for _ in recorder:
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) == before
    assert np.array_equal(read(tmp_path / "a.flac"), y[:1024])


@unix
@pytest.mark.parametrize("limit", [100_000, 3000, 80])
def test_a_full_disk(tmp_path, capsys, limit) -> None:
    import resource

    y = noise(96_000)
    sound = write(tmp_path / "in.wav", y)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        code = run("record", tmp_path / "a.flac", "--input", sound)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    said = capsys.readouterr()
    path = tmp_path / "a.flac"
    assert code == 1
    if limit == 80:  # less than the header
        assert said.err.endswith(
            "cannot be written any more: File too large; nothing was recorded\n"
        )
        assert said.out == ""
        assert names(tmp_path) == ["in.wav"]
        return
    assert said.err == (
        f"kikiwake: {path}: cannot be written any more: File too large; what was recorded until "
        "then is kept\n"
    )
    assert "a.flac: 00:0" in said.out
    assert names(tmp_path) == ["a.flac", "in.wav"]
    kept = read(path)
    assert np.array_equal(kept, y[: len(kept)])
    assert f" 00:{len(kept) / 48_000:04.1f} recorded" in said.out
    assert len(kept) * sound.stat().st_size / len(y) > limit - 2 * 2 * BLOCK


def test_what_was_read_before_the_source_broke_is_kept(tmp_path, capsys) -> None:
    sound = write(tmp_path / "in.flac", noise(48_000))
    data = bytearray(sound.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    sound.write_bytes(data)
    assert run("record", tmp_path / "a.flac", "--input", sound) == 1
    said = capsys.readouterr()
    assert "in.flac is damaged" in said.err
    assert "a.flac: 00:00." in said.out
    assert len(read(tmp_path / "a.flac")) > 16_000
    empty = write(tmp_path / "empty.wav", noise(0))
    with pytest.raises(SourceError, match="holds no sound"):
        take(FileSource(empty), tmp_path / "b.flac")
    assert "b.flac" not in names(tmp_path)


class TestDevice:
    def test_silence_stands_for_a_device_that_is_gone(self, tmp_path, monkeypatch) -> None:
        device = Device(monkeypatch)

        def reads():
            yield device.sound(0.5)
            device.state = "waiting"
            for _ in range(7):
                yield device.nothing(0.1)
            device.state = "listening"
            yield device.sound(0.5)
            yield device.nothing(0.7)  # that comes late
            yield device.sound(0.5)
            for _ in range(40):
                yield device.nothing(0.1)
            yield device.sound(0.5)
            device.state = "waiting"
            yield device.nothing(360.0)

        device.reads = reads()
        recorder = take(device, tmp_path / "a.flac")
        sound = read(tmp_path / "a.flac")
        assert stretches(sound[: 8000 * 8], 8000) == [
            (True, 0.5),
            (False, 0.7),
            (True, 1.0),
            (False, 4.0),
            (True, 0.5),
            (False, 1.3),
        ]
        assert len(sound) / 8000 == pytest.approx(366.7)
        assert recorder.progress.seconds == pytest.approx(366.7)
        assert recorder.progress.counters.missing_ms == 364_700

    def test_silence_stands_for_what_the_ring_had_no_room_for(self, tmp_path, monkeypatch) -> None:
        device = Device(monkeypatch)

        def reads():
            yield device.sound(0.5)
            device.dropped = 16_000
            device.now += 2.0
            yield device.sound(4.0)
            yield device.sound(0.5)

        device.reads = reads()
        recorder = take(device, tmp_path / "a.flac")
        found = stretches(read(tmp_path / "a.flac"), 8000)
        assert found == [(True, 4.5), (False, 2.0), (True, 0.5)]
        assert recorder.progress.counters.dropped_samples == 16_000

    def test_the_time_goes_on_while_it_is_gone(self, tmp_path, monkeypatch) -> None:
        device = Device(monkeypatch)

        def reads():
            yield device.sound(0.5)
            device.state = "waiting"
            while True:
                yield device.nothing(0.3)

        device.reads = reads()
        seconds = []
        with Recorder(device, tmp_path / "a.flac", seconds=2.0) as recorder:
            for progress in recorder:
                seconds.append(round(progress.seconds, 2))
                if progress.seconds > 1:
                    recorder.mark()
        assert seconds == [0.5, 0.8, 1.1, 1.4, 1.7, 2.0, 2.0]
        assert len(read(tmp_path / "a.flac")) == 16_000
        assert marks_path(tmp_path / "a.flac").read_text().startswith("1.100000\t1.100000\tmark 1")

    def test_it_never_gives_anything(self, tmp_path, monkeypatch) -> None:
        device = Device(monkeypatch)

        def reads():
            yield device.nothing(4.0)
            device.state = "waiting"
            while True:
                yield device.nothing(0.5)

        device.reads = reads()
        recorder = take(device, tmp_path / "a.flac", seconds=3)
        assert recorder.progress.seconds == 3
        assert not read(tmp_path / "a.flac").any()

    def test_another_one_comes_back(self, tmp_path, monkeypatch) -> None:
        device = Device(monkeypatch, 48_000, 2)

        def reads():
            yield device.sound(0.5)
            device.sample_rate, device.channels = 44_100, 1
            for _ in range(10):
                yield device.sound(0.1)
            device.sample_rate, device.channels = 48_000, 2
            yield device.sound(0.5)

        device.reads = reads()
        take(device, tmp_path / "a.flac")
        sound = read(tmp_path / "a.flac")
        assert soundfile.info(tmp_path / "a.flac").samplerate == 48_000
        assert len(sound) / 48_000 == pytest.approx(2.0, abs=0.02)
        middle = sound[30_000:60_000]
        assert middle.shape[1] == 2
        assert np.abs(middle.astype(int) - 16_384).max() < 100


@unix
def test_keys_on_a_terminal(monkeypatch) -> None:
    import pty
    import termios

    with keys() as pressed:  # pytest has none
        assert pressed() == ""
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    with open(theirs) as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp())
        with keys() as pressed:
            assert pressed() == ""
            os.write(ours, b" mq")
            assert pressed() == " mq"
            assert pressed() == ""
        assert termios.tcgetattr(theirs) == before
        # From the background the terminal is left alone.
        monkeypatch.setattr(os, "tcgetpgrp", lambda _: os.getpgrp() + 1)
        with keys() as pressed:
            os.write(ours, b"m\n")
            assert pressed() == ""
        assert termios.tcgetattr(theirs) == before
    os.close(ours)


TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from kikiwake.tools.cli import main
main(sys.argv[1:])
"""


@unix
def test_a_tone_that_is_played_is_recorded_whole_and_at_its_time(pulse_to_break, tmp_path) -> None:
    import pty

    server, path = pulse_to_break, tmp_path / "a.flac"
    tone = np.round(8000 * np.sin(np.arange(44_100) * 2 * np.pi * 440 / 44_100)).astype(np.int16)
    y = np.stack([tone, tone // 2], axis=1)
    y[[0, -1]] = 1
    # The null sink itself swallows some milliseconds when a stream begins.
    wav = write(tmp_path / "tone.wav", np.concatenate([np.zeros((8820, 2), np.int16), y]), 44_100)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", TERMINAL, "record", str(path), "--input", "loopback"]
    with server.popen(*command, stdin=theirs) as child:
        part = tmp_path / ".a.flac.part"
        until = time.monotonic() + 30
        while not part.exists() or part.stat().st_size < 100:
            assert time.monotonic() < until, child.poll()
            time.sleep(0.02)
        os.write(ours, b" ")
        server.play(wav)
        first_at = time.monotonic()
        time.sleep(0.3)
        server.kill()
        assert child.stderr.readline().startswith("kikiwake: waiting for the device: ")
        server.start()
        while (line := child.stderr.readline()) != "kikiwake: all is well again\n":
            assert line.startswith("kikiwake: waiting for the device: ")
        server.play(wav)
        second_at = time.monotonic()
        os.write(ours, b"m")
        time.sleep(0.5)
        os.write(ours, b"q")
        out, err = child.communicate(timeout=20)
    os.close(ours)
    os.close(theirs)
    assert (child.returncode, err) == (0, "")
    assert "0 samples at full scale" in out
    assert "device losses 1, no sound for " in out
    assert f"{marks_path(path)}: marks: 2\n" in out
    sound = read(path)
    first = int(np.flatnonzero(sound.any(axis=1))[0])
    assert np.array_equal(sound[first : first + len(y)], y)
    after = first + len(y)
    second = after + int(np.flatnonzero(sound[after:].any(axis=1))[0])
    assert np.array_equal(sound[second : second + len(y)], y)
    assert (second - first) / 44_100 == pytest.approx(second_at - first_at, abs=0.4)
    marks = [float(line.split("\t")[0]) for line in marks_path(path).read_text().splitlines()]
    assert marks[0] < first / 44_100
    assert marks[1] == pytest.approx((second + len(y)) / 44_100, abs=0.4)
