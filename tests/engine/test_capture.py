"""Sources: files and pipes of every format, and a real device: the monitor of a null sink."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from kikiwake.engine.capture import (
    DeviceSource,
    FileSource,
    PipeSource,
    Source,
    open_source,
)
from kikiwake.engine.result import Counters
from kikiwake.errors import ConfigError, SourceError

if TYPE_CHECKING:
    pass

RNG = np.random.default_rng(3)


def noise(frames: int, channels: int) -> NDArray[np.float32]:
    """Values that 16 bits hold exactly; the first is not zero."""
    values = RNG.integers(-8000, 8000, (frames, channels))
    values[0] = 1
    return (values / 2**15).astype(np.float32)


def hear(source: Source) -> NDArray[np.float32]:
    with source:
        blocks = []
        while (block := source.read(1.0)) is not None:
            assert block.dtype == np.float32
            assert block.shape[1] == source.channels
            blocks.append(block)
        assert source.read(1.0) is None
    assert source.counters() == Counters()
    assert (source.state, source.notice) == ("listening", None)
    return np.concatenate(blocks)


# --- files


@pytest.mark.parametrize("block_frames", [1, 100, 1024, 10**6])
@pytest.mark.parametrize(
    ("suffix", "subtype"), [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_24")]
)
def test_lossless_file_is_heard_exactly(
    tmp_path: Path, suffix: str, subtype: str, block_frames: int
) -> None:
    sound = noise(2500, 2)
    path = tmp_path / f"音.{suffix}"
    soundfile.write(path, sound, 22050, subtype)
    source = FileSource(path, block_frames=block_frames)
    assert np.array_equal(hear(source), sound)
    assert (source.name, source.sample_rate, source.channels) == (f"音.{suffix}", 22050, 2)
    assert not source.live
    assert np.array_equal(hear(source), sound), "opened a second time"


@pytest.mark.parametrize(
    ("suffix", "container", "subtype"),
    [("ogg", "OGG", "VORBIS"), ("opus", "OGG", "OPUS"), ("mp3", "MP3", "MPEG_LAYER_III")],
)
def test_lossy_file_is_heard(tmp_path: Path, suffix: str, container: str, subtype: str) -> None:
    t = np.arange(48000) / 48000
    path = tmp_path / f"tone.{suffix}"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 440 * t), 48000, subtype, format=container)
    heard = hear(open_source(str(path)))[:, 0]
    assert len(heard) == pytest.approx(48000, abs=3000)
    assert np.sqrt(np.mean(heard**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)
    assert np.argmax(np.abs(np.fft.rfft(heard[:48000]))) == pytest.approx(440, abs=30)
    tenths = heard[: len(heard) // 10 * 10].reshape(10, -1)[1:-1]
    # Decoded block by block as well as at once: every part is as loud as it should be.
    assert np.sqrt(np.mean(tenths**2, axis=1)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


def test_realtime_file_comes_no_earlier_than_it_sounds_and_makes_up_for_delays(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(4500, 1), 8000)
    with FileSource(path, realtime=True, block_frames=400) as source:
        opened, frames = time.monotonic(), 0
        block = source.read(0)
        assert block is not None
        assert block.shape == (0, 1)
        for _ in range(3):
            block = source.read(1.0)
            assert block is not None
            frames += len(block)
            assert time.monotonic() - opened >= frames / 8000 - 1e-3
        assert frames == 1200
        time.sleep(0.26)  # five blocks are due now, and come at once
        for _ in range(5):
            block = source.read(0)
            assert block is not None
            assert len(block) == 400
        while (block := source.read(0.02)) is not None:
            frames += len(block)
        assert time.monotonic() - opened >= 4500 / 8000 - 1e-3
        assert frames == 4500 - 5 * 400


@pytest.mark.skipif(sys.platform == "win32", reason="named pipes, and / in paths")
def test_files_that_are_none(tmp_path: Path) -> None:
    text = tmp_path / "text.wav"
    text.write_text("no sound at all\n" * 100)
    empty = tmp_path / "empty.flac"
    empty.touch()
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros((0, 1)), 8000)
    fifo = tmp_path / "fifo.wav"
    os.mkfifo(fifo)
    for path, said in {
        tmp_path / "none.wav": f"no such file: {tmp_path}/none.wav",
        tmp_path: f"{tmp_path} is a directory, not a sound file",
        text: f"{text} is not a sound file that can be read (WAV, FLAC, OGG, MP3): "
        "Format not recognised.",
        empty: f"{empty} holds no sound: the file is empty",
        silent: f"{silent} holds no sound: its length is zero",
        fifo: f"{fifo} is not a regular file: pipe raw sound into '-' instead",
    }.items():
        with pytest.raises(SourceError, match=f"^{re.escape(said)}$"), open_source(str(path)):
            pass


def test_source_must_be_open(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"^a.wav is not open: use it in a with statement$"):
        FileSource("a.wav").read(0)


# --- pipes


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("sample_format", ["s16", "s24", "s32", "f32"])
def test_pipe_in_any_format_and_pieces(sample_format: str, channels: int) -> None:
    sound = noise(700, channels)
    data = {
        "s16": (sound * 2**15).astype("<i2"),
        "s24": (sound * 2**23).astype("<i4").view("u1").reshape(-1, 4)[:, :3],
        "s32": (sound.astype("f8") * 2**31).astype("<i4"),
        "f32": sound.astype("<f4"),
    }[sample_format].tobytes()
    reader, writer = os.pipe()
    with open(reader, "rb") as stream, open(writer, "wb", buffering=0) as pipe:
        source = PipeSource(
            stream, sample_rate=8000, channels=channels, sample_format=sample_format
        )
        with source:
            nothing = source.read(0.01)
            assert nothing is not None
            assert nothing.shape == (0, channels)
            heard = []
            for k in range(0, len(data), 501):  # ends in the middle of samples and frames
                pipe.write(data[k : k + 501])
                block = source.read(5)
                assert block is not None
                heard.append(block)
            pipe.write(b"x")  # no whole frame: left out
            pipe.close()
            while (block := source.read(5)) is not None:
                heard.append(block)
            assert source.read(0) is None
    assert np.array_equal(np.concatenate(heard), sound)


def test_stream_without_descriptor() -> None:
    sound = noise(100_000, 1)
    stream = io.BytesIO((sound * 2**15).astype("<i2").tobytes())
    assert np.array_equal(hear(PipeSource(stream, sample_rate=8000)), sound)


def test_pipe_without_sound() -> None:
    said = "^no sound on standard input: it ended before one sample came$"
    with PipeSource(io.BytesIO(b"x"), sample_rate=8000) as source:
        source.read(1)
        with pytest.raises(SourceError, match=said):
            source.read(1)
        assert source.read(1) is None


def test_settings_of_a_pipe_are_checked() -> None:
    stream = io.BytesIO()
    with pytest.raises(ConfigError, match="rate 0 is not allowed: 4000 to 768000 Hz"):
        PipeSource(stream, sample_rate=0)
    with pytest.raises(ConfigError, match="0 channels are not allowed: 1 to 64"):
        PipeSource(stream, sample_rate=8000, channels=0)
    with pytest.raises(
        ConfigError, match=r"^format 'u8' is not known: it is one of s16, s24, s32, f32$"
    ):
        PipeSource(stream, sample_rate=8000, sample_format="u8")
    with pytest.raises(
        ConfigError, match=r"^raw sound on standard input needs its rate: --rate 48000$"
    ):
        open_source("-")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_silent_pipe_does_not_hold_up_ctrl_c() -> None:
    code = """
from kikiwake.engine.capture import open_source
with open_source("-", sample_rate=8000) as source:
    print("ready", flush=True)
    try:
        while True:
            source.read(60)
    except KeyboardInterrupt:
        print("stopped")
"""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        time.sleep(0.2)
        child.send_signal(signal.SIGINT)
        # With its input still open: the helper thread is in the middle of a read.
        assert child.wait(10) == 0
        assert child.stderr is not None
        assert (child.stdout.read(), child.stderr.read()) == ("stopped\n", "")


# --- what a word means


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("default", DeviceSource),
        ("loopback", DeviceSource),
        ("3", DeviceSource),
        ("USB Microphone", DeviceSource),
        ("./3", FileSource),
        ("missing.MP3", FileSource),
        ("here", FileSource),
    ],
)
def test_word_for_a_source(
    spec: str, kind: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").touch()
    assert type(open_source(spec)) is kind
