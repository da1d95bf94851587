"""The demo sound: composed from clips that are tones here, and as it is shipped."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile

from kikiwake.errors import KikiwakeError
from kikiwake.models.starter import DEMO as DEMO_SOUND
from kikiwake.models.starter import DEMO_TRUTH
from kikiwake.tools.score import Segment, parse_rttm, read_rttm
from kikiwake.tools.starter.scene import (
    DEMO_RATE,
    MAX_BYTES,
    compose_demo,
    format_rttm,
    write_demo,
)
from kikiwake.tools.starter.sentences import DEMO
from kikiwake.tools.starter.speech import SAMPLE_RATE
from kikiwake.tools.starter.voices import VOICES_BY_ID

VOICES = sorted({turn.voice for turn in DEMO})
HZ = {VOICES_BY_ID[voice].character: 300.0 * (k + 2) for k, voice in enumerate(VOICES)}
FRAME_S = 0.02


@pytest.fixture(scope="module")
def speech_dir(tmp_path_factory):
    """Clips in the layout of `write_speech`, each voice a tone of its own."""
    folder = tmp_path_factory.mktemp("speech")
    lines = [turn.voice for turn in DEMO for _ in turn.lines]
    for number, voice in enumerate(lines):
        t = np.arange(int((0.8 + 0.05 * number) * SAMPLE_RATE)) / SAMPLE_RATE
        y = 0.2 * np.sin(2 * np.pi * HZ[VOICES_BY_ID[voice].character] * t)
        path = folder / "demo" / voice / f"{number:03d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, y, SAMPLE_RATE, subtype="PCM_16")
    return folder


@pytest.fixture(scope="module")
def scene(speech_dir):
    return compose_demo(speech_dir, 0)


@pytest.fixture(scope="module")
def shipped():
    y, sr = soundfile.read(DEMO_SOUND, dtype="float32")
    return y, sr, read_rttm(DEMO_TRUTH)


def dbfs(y):
    return 10 * np.log10(np.mean(np.square(y, dtype=np.float64)) + 1e-20)


def levels(y, sr, start, stop):
    """Level of each frame between two times."""
    part, n = y[int(start * sr) : int(stop * sr)], int(FRAME_S * sr)
    return [dbfs(part[i : i + n]) for i in range(0, len(part) - n + 1, n)]


def gaps(spans, end):
    """Where nobody speaks, 20 ms off the speech: its own ends are soft."""
    edges = [0.0, *(x for span in spans for x in span), end]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(a + FRAME_S, b - FRAME_S) for a, b in pairs if b - a > 3 * FRAME_S]


def test_the_seed_decides(speech_dir, scene):
    y, segments = scene
    again, same = compose_demo(speech_dir, 0)
    assert np.array_equal(y, again)
    assert segments == same
    other, _ = compose_demo(speech_dir, 1)
    assert not np.array_equal(y, other)


def test_samples(scene):
    y, segments = scene
    assert y.dtype == np.float32
    assert y.ndim == 1
    assert np.all(np.isfinite(y))
    assert np.abs(y).max() < 1
    assert segments[-1].end < len(y) / DEMO_RATE


def test_turns_come_in_order_and_do_not_overlap(scene):
    _, segments = scene
    assert [s.name for s in segments] == [VOICES_BY_ID[turn.voice].character for turn in DEMO]
    assert all(s.end < after.start for s, after in pairwise(segments))


def test_whom_the_truth_names_is_heard(scene):
    y, segments = scene
    for segment in segments:
        assert min(levels(y, DEMO_RATE, segment.start, segment.start + 0.3)) > -30
        n = int((segment.end - segment.start) * DEMO_RATE)
        part = y[int(segment.start * DEMO_RATE) :][:n]
        spectrum = np.abs(np.fft.rfft(part * np.hanning(n)))
        loudest = np.fft.rfftfreq(n, 1 / DEMO_RATE)[int(spectrum.argmax())]
        assert loudest == pytest.approx(HZ[segment.name], abs=5)


def test_where_the_truth_names_nobody_is_a_quiet_room_or_music(scene):
    y, segments = scene
    spans = [(s.start, s.end) for s in segments]
    heard = [max(levels(y, DEMO_RATE, *gap)) for gap in gaps(spans, len(y) / DEMO_RATE)]
    assert len(heard) == len(DEMO) + 1
    # Music alone after one turn, and before, between and after the two that are spoken over it.
    assert sorted(i for i, level in enumerate(heard) if level > -55) == [5, 7, 8, 9]
    assert max(heard) < -10


def test_rttm_is_read_back(scene):
    _, segments = scene
    read = parse_rttm(format_rttm(segments))
    assert [s.name for s in read] == [s.name for s in segments]
    for mine, wanted in zip(read, segments, strict=True):
        assert mine.start == pytest.approx(wanted.start, abs=6e-4)
        assert mine.end - mine.start == pytest.approx(wanted.end - wanted.start, abs=1.1e-3)
    assert parse_rttm(format_rttm([Segment(1, 2, "Queen Oboro")]))[0].name == "Queen Oboro"


def test_write_demo(speech_dir, scene, tmp_path):
    sound, truth = write_demo(tmp_path / "new", speech_dir=speech_dir)
    assert sorted(p.name for p in sound.parent.iterdir()) == ["demo.ogg", "demo.rttm"]
    assert truth.read_text(encoding="utf-8") == format_rttm(scene[1])
    info = soundfile.info(sound)
    assert (info.samplerate, info.channels, info.subtype) == (DEMO_RATE, 1, "OPUS")
    assert info.duration == pytest.approx(len(scene[0]) / DEMO_RATE, abs=0.01)
    assert sound.stat().st_size <= MAX_BYTES


@pytest.mark.parametrize("what", ["missing", "not audio", "other rate"])
def test_a_clip_that_cannot_be_used_is_named_in_one_line(tmp_path, what):
    clip = tmp_path / "demo" / DEMO[0].voice / "000.flac"
    clip.parent.mkdir(parents=True)
    if what == "not audio":
        clip.write_bytes(b"no flac")
    elif what == "other rate":
        soundfile.write(clip, np.zeros(1000), 8000)
    with pytest.raises(KikiwakeError) as caught:
        compose_demo(tmp_path)
    assert str(clip) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(KikiwakeError):
        write_demo(tmp_path / "new", speech_dir=tmp_path)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_named(speech_dir, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(KikiwakeError, match="the demo cannot be written") as caught:
        write_demo(tmp_path / "file", speech_dir=speech_dir)
    assert "\n" not in str(caught.value)


def test_shipped_demo_is_small_and_about_a_minute(shipped):
    y, sr, truth = shipped
    assert DEMO_SOUND.stat().st_size <= 1_000_000
    assert sr == DEMO_RATE
    assert y.ndim == 1
    assert 50 <= len(y) / sr <= 75
    assert truth[-1].end < len(y) / sr
    assert {s.name for s in truth} <= {voice.character for voice in VOICES_BY_ID.values()}
    assert len({s.name for s in truth}) >= 4


def test_shipped_demo_has_speech_music_alone_and_pauses(shipped):
    y, sr, truth = shipped
    for s in truth:
        assert dbfs(y[int(s.start * sr) : int(s.end * sr)]) > -35
    silent = gaps([(s.start, s.end) for s in truth], len(y) / sr)
    loudness = [np.array(levels(y, sr, *gap)) for gap in silent]
    assert max(np.sum(x > -50) for x in loudness) * FRAME_S >= 3  # the music
    # Opus spreads a word's end a little, so the quiet part is asked of the middle of a pause.
    quiet = [x for x in loudness if len(x) * FRAME_S > 0.3 and np.median(x) < -55]
    assert len(quiet) >= 3
