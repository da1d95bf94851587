"""`kikiwake build`: who is trained on, who validated on, and what becomes of the clips."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kikiwake.features.settings import FeatureSettings
from kikiwake.tools.build import Recipe, build, plan
from kikiwake.tools.cli import main
from kikiwake.tools.clips import ClipError, ClipFile, find_clips, find_unsorted
from kikiwake.tools.dataset import Dataset, DatasetError

RATE = 16_000
FEATURES = FeatureSettings(
    sample_rate=16_000, n_fft=512, hop_length=256, n_mels=40, n_mfcc=20, patch_samples=8_000
)
RECIPE = Recipe(copies=2, features=FEATURES)
HANA, KEN, MIO = ("Aoi", "Hana"), ("Aoi", "Ken"), ("宮野", "みお🎵")
PITCH_HZ = {HANA: 220, KEN: 330, MIO: 440}


def voice(hz: float, seconds: float, seed: int = 0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return (0.2 * np.sign(np.sin(2 * np.pi * hz * t)) + 0.02 * noise).astype(np.float32)


def write(path: Path, y: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, y, RATE)
    return path


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Three recordings; Mio is in the first only."""
    folder = tmp_path / "clips"
    for recording in ("ep1", "ep2", "ep3"):
        for number in range(4):
            for actor, name in (HANA, KEN, *([MIO] if recording == "ep1" else [])):
                y = voice(PITCH_HZ[actor, name], 0.8 + 0.3 * number, number)
                write(folder / recording / actor / name / f"{number:04}.wav", y)
        write(folder / recording / "background" / "0009.wav", voice(50, 1.0)[::2])
    (folder / "ep1" / HANA[0] / HANA[1] / "portrait.PNG").write_bytes(b"a picture")
    write(folder / "ep2" / "0077.wav", voice(200, 0.5))
    return folder


def test_what_is_found(clips):
    found = find_clips(clips)
    assert len(found) == 3 * 8 + 4 + 3
    assert {clip.voice for clip in found} == {HANA, KEN, MIO, None}
    assert [path.name for path in find_unsorted(clips)] == ["0077.wav"]


def test_whole_recordings_are_validated_on(clips):
    made = plan(find_clips(clips))
    parts: dict[tuple[str, str], dict[str, set[str]]] = {}
    for p in made.clips:
        if p.clip.voice is not None:
            parts.setdefault(p.clip.voice, {}).setdefault(p.part, set()).add(p.clip.recording)
    for who in (HANA, KEN):
        assert set(parts[who]) == {"train", "validation"}
        assert not parts[who]["train"] & parts[who]["validation"]
    # One recording only: its end is validated on, and that is said.
    assert parts[MIO] == {"train": {"ep1"}, "validation": {"ep1"}}
    assert [w for w in made.warnings if "みお🎵" in w and "better than the truth" in w]
    assert len(made.warnings) == 1
    named = plan(find_clips(clips), ["ep2"])
    assert {p.clip.recording for p in named.clips if p.part == "validation"} - {"ep1"} == {"ep2"}


def test_no_voice_is_left_without_training(clips):
    """Also where the recordings that are asked for hold all of it."""
    made = plan(find_clips(clips), ["ep1", "ep2", "ep3"])
    for who in (HANA, KEN, MIO):
        assert {p.part for p in made.clips if p.clip.voice == who} == {"train", "validation"}
    assert len(made.warnings) == 3


def test_what_cannot_be_planned_is_named(clips):
    found = find_clips(clips)
    with pytest.raises(ClipError, match=r"hold Ken \(Aoi\) only; .* takes two"):
        plan([clip for clip in found if clip.voice in (KEN, None)])
    with pytest.raises(ClipError, match="nobody only"):
        plan([])
    with pytest.raises(ClipError, match="no recording 'ep9' to validate on; there are ep1, ep2"):
        plan(found, ["ep9"])
    alone = [ClipFile(clip.path, "ep1", clip.voice) for clip in found[:1]]
    made = plan(alone + [clip for clip in found if clip.voice == KEN])
    assert any("has one clip only" in warning for warning in made.warnings)


def test_a_data_set(clips, tmp_path):
    card, warnings = build(clips, tmp_path / "patches", RECIPE)
    data = Dataset(tmp_path / "patches")
    assert data.card.n_classes == 4
    assert [(who.actor, who.name) for who in card.characters] == [HANA, KEN, MIO]
    assert sorted(path.name for path in (tmp_path / "patches").iterdir()) == [
        "mfcc-0000.npy", "patches.json", "portraits", "rows-0000.npy",
    ]  # fmt: skip
    portrait = card.characters[0].portrait
    assert portrait is not None
    assert (tmp_path / "patches" / portrait).read_bytes() == b"a picture"
    assert "1 clips are not sorted yet, and are left out" in warnings
    # Every row tells the clip it is from, and that clip its voice.
    voices = {clip: label for label, clip in ((0, HANA), (1, KEN), (2, MIO))}
    for row in data.rows:
        if row["label"] < 3:
            recording, actor, name, _ = card.clips[row["clip"]].split("/")
            assert voices[actor, name] == row["label"]
            assert card.recordings[row["recording"]] == recording
    train, validation = (data.rows[data.part(part)] for part in ("train", "validation"))
    assert not {*train["clip"]} & {*validation["clip"]} - {-1}
    assert {*train["label"]} == {*validation["label"]} == {0, 1, 2, 3}
    assert np.all(np.isfinite(data.patches(data.part("train")).mfcc))
    # As many as was asked for: two for each half second.
    seconds = sum(0.8 + 0.3 * n for n in range(4)) * 2  # of Hana, in two recordings
    assert (train["label"] == 0).sum() == pytest.approx(2 * seconds / 0.5, rel=0.25)


def test_the_seed_decides(clips, tmp_path):
    def made(name: str, seed: int) -> np.ndarray:
        recipe = Recipe(copies=1, features=FEATURES, seed=seed)
        build(clips, tmp_path / name, recipe)
        data = Dataset(tmp_path / name)
        return data.patches(data.part("train")).mfcc

    first, again, other = made("a", 0), made("b", 0), made("c", 1)
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_killed_build_goes_on_and_ends_the_same(clips, tmp_path):
    to = tmp_path / "patches"
    command = [sys.executable, "-m", "kikiwake", "build", str(clips), "--copies", "20"]
    begun = subprocess.Popen([*command, "--to", str(to)], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (to / "rows-0000.npy").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    assert not (to / "patches.json").exists()
    kept = (to / "mfcc-0000.npy").stat().st_mtime_ns
    with pytest.raises(DatasetError, match="not finished; start it again"):
        Dataset(to)
    subprocess.run([*command, "--to", str(to)], check=True, stdout=subprocess.DEVNULL)
    assert (to / "mfcc-0000.npy").stat().st_mtime_ns == kept
    whole = tmp_path / "whole"
    subprocess.run([*command, "--to", str(whole)], check=True, stdout=subprocess.DEVNULL)
    for path in whole.glob("*.*"):
        assert path.read_bytes() == (to / path.name).read_bytes(), path.name
    assert {path.name for path in whole.iterdir()} == {path.name for path in to.iterdir()}


def test_other_clips_begin_anew(clips, tmp_path):
    to = tmp_path / "patches"
    to.mkdir()
    (to / "rows-0000.npy").write_bytes(b"of another build")
    build(clips, to, RECIPE)
    assert len(Dataset(to)) > 0


def test_bad_clips_are_left_out_and_named(clips, tmp_path):
    ken = clips / "ep2" / "Aoi" / "Ken"
    write(ken / "0010.wav", np.zeros(0, np.float32))
    write(ken / "0011.wav", np.zeros(RATE, np.float32))
    (ken / "0012.wav").write_text("no sound")
    _, warnings = build(clips, tmp_path / "patches", RECIPE)
    for name in ("0010", "0011", "0012"):
        assert any(f"{name}.wav" in warning and "left out" in warning for warning in warnings)


def test_a_voice_of_which_nothing_is_left_is_an_error(clips, tmp_path):
    for path in clips.rglob("Ken/*.wav"):
        write(path, np.zeros(RATE, np.float32))
    with pytest.raises(ClipError, match=r"Ken \(Aoi\): has no clip of 0.25 s or longer"):
        build(clips, tmp_path / "patches", RECIPE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{nothing}"], "cannot be read: No such file"),
        ([], "build needs either a folder of sorted clips, or --from-devil-ear"),
        (["{clips}", "--validate-on", "ep7"], "no recording 'ep7'"),
        (["{clips}", "--to", "{file}/patches"], "cannot be made"),
    ],
)
def test_errors_are_one_line(clips, tmp_path, capsys, arguments, message):
    (tmp_path / "file").touch()
    names = {"clips": clips, "nothing": tmp_path / "nothing", "file": tmp_path / "file"}
    with pytest.raises(SystemExit) as ended:
        main(["build", *(argument.format(**names) for argument in arguments)])
    assert ended.value.code
    told = capsys.readouterr()
    assert message in " ".join((told.out + told.err).split())
    assert "Traceback" not in told.err


def test_the_command_tells_what_there_is(clips, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["build", str(clips), "--to", str(tmp_path / "patches"), "--copies", "1"])
    assert not ended.value.code
    out = capsys.readouterr().out
    assert "Hana (Aoi)" in out
    assert "only" not in out
    assert "beware: みお🎵 (宮野): is validated on clips of recordings that it is trained on" in out
