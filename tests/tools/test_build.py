"""`kikiwake build`: who is trained on, who validated on, and what becomes of the clips."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from kikiwake.features.settings import FeatureSettings
from kikiwake.files import locked
from kikiwake.tools.build import Recipe, build, plan
from kikiwake.tools.cli import main
from kikiwake.tools.clips import ClipError, ClipFile, find_clips, find_unsorted, read_sound
from kikiwake.tools.dataset import Dataset, DatasetError

RATE = 16_000
FEATURES = FeatureSettings(
    sample_rate=16_000, n_fft=512, hop_length=256, n_mels=40, n_mfcc=20, patch_samples=8_000
)
RECIPE = Recipe(copies=2, features=FEATURES)
HANA, KEN, MIO = ("Aoi", "Hana"), ("Aoi", "Ken"), ("宮野", "みお🎵")
PICTURE = b"\x89PNG\r\n\x1a\n and so on"
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
    (folder / "ep1" / HANA[0] / HANA[1] / "portrait.PNG").write_bytes(PICTURE)
    write(folder / "ep2" / "0077.wav", voice(200, 0.5))
    return folder


def test_what_is_found(clips):
    found = find_clips(clips)
    assert len(found) == 3 * 8 + 4 + 3
    assert {clip.voice for clip in found} == {HANA, KEN, MIO, None}
    assert [path.name for path in find_unsorted(clips)] == ["0077.wav"]


def planned(clips, validate_on=(), seconds=1.0):
    return plan(dict.fromkeys(clips, seconds), validate_on)


def parts_of(made, who):
    """Recordings of a voice, by what they are for."""
    parts: dict[str, set[str]] = {}
    for clip, part in made.parts.items():
        if clip.voice == who:
            parts.setdefault(part, set()).add(clip.recording)
    return parts


def test_whole_recordings_are_validated_on(clips):
    made = planned(find_clips(clips))
    for who in (HANA, KEN):
        parts = parts_of(made, who)
        assert set(parts) == {"train", "validation"}
        assert not parts["train"] & parts["validation"]
    # One recording only: its end is validated on, and that is said.
    assert parts_of(made, MIO) == {"train": {"ep1"}, "validation": {"ep1"}}
    assert [w for w in made.warnings if "みお🎵" in w and "better than the truth" in w]
    assert len(made.warnings) == 1
    named = planned(find_clips(clips), ["ep2"])
    assert parts_of(named, HANA)["validation"] == {"ep2"}


def test_of_two_recordings_one_is_validated_on(clips):
    two = [c for c in find_clips(clips) if c.recording != "ep1"]
    made = planned(two)
    assert parts_of(made, HANA) == {"train": {"ep2"}, "validation": {"ep3"}}
    assert made.warnings == ()


def test_no_voice_is_left_without_training(clips):
    """Also where the recordings that are asked for hold all of it."""
    made = planned(find_clips(clips), ["ep1", "ep2", "ep3"])
    for who in (HANA, KEN, MIO):
        assert set(parts_of(made, who)) == {"train", "validation"}
    assert len(made.warnings) == 3
    assert sum("--validate-on" in warning for warning in made.warnings) == 2


@pytest.mark.parametrize("lengths", [(0.2, 20.0), (20.0, 0.2), (1.0, 1.0), (5.0, 1.0, 1.0, 9.0)])
def test_about_the_last_fifth(lengths):
    """Never the greater part of a voice, whatever its clips are like."""
    seconds = {
        ClipFile(Path(f"{who[1]}{n}"), "ep1", who): s
        for who in (HANA, KEN)
        for n, s in enumerate(lengths)
    }
    made = plan(seconds)
    for who in (HANA, KEN):
        held = sum(
            s for c, s in seconds.items() if c.voice == who and made.parts[c] == "validation"
        )
        assert 0 < held <= sum(lengths) / 2


def test_background_of_one_recording_is_told(clips):
    found = [c for c in find_clips(clips) if c.voice is not None or c.recording == "ep1"]
    found.append(ClipFile(clips / "ep1" / "background" / "b.wav", "ep1", None))
    made = planned(found)
    assert any(w.startswith("background: is validated on clips of rec") for w in made.warnings)


def test_what_cannot_be_planned_is_named(clips):
    found = find_clips(clips)
    with pytest.raises(ClipError, match=r"hold Ken \(Aoi\) only; .* takes two"):
        planned([clip for clip in found if clip.voice in (KEN, None)])
    with pytest.raises(ClipError, match="nobody only"):
        planned([])
    with pytest.raises(ClipError, match="no recording 'ep9' to validate on; there are ep1, ep2"):
        planned(found, ["ep9"])
    alone = [ClipFile(clip.path, "ep1", clip.voice) for clip in found[:1]]
    made = planned(alone + [clip for clip in found if clip.voice == KEN])
    assert any("has one clip only" in warning for warning in made.warnings)


def test_a_data_set(clips, tmp_path):
    card, warnings = build(clips, tmp_path / "patches", RECIPE)
    data = Dataset(tmp_path / "patches")
    assert data.card.n_classes == 4
    assert [(who.actor, who.name) for who in card.characters] == [HANA, KEN, MIO]
    assert sorted(path.name for path in (tmp_path / "patches").iterdir()) == [
        "mfcc-0000.npy", "patches.json", "portraits", "rows-0000.npy", "voice-mfcc-0000.npy",
        "voice-vector-0000.npy",
    ]  # fmt: skip
    portrait = card.characters[0].portrait
    assert portrait is not None
    assert (tmp_path / "patches" / portrait).read_bytes() == PICTURE
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
    assert np.mean(validation["label"] == 3) == pytest.approx(0.25, abs=0.05)
    assert np.all(np.isfinite(data.patches(data.part("train")).mfcc))
    voices = data.voices()
    assert voices is not None
    assert len(voices) == pytest.approx(len(train) / 2, abs=1)
    assert np.all(np.isfinite(voices.mfcc))
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
    build(clips, whole, Recipe(copies=20))
    for path in whole.glob("*.*"):
        assert path.read_bytes() == (to / path.name).read_bytes(), path.name
    assert {path.name for path in whole.iterdir()} == {path.name for path in to.iterdir()}


def test_other_clips_begin_anew(clips, tmp_path):
    to = tmp_path / "patches"
    to.mkdir()
    (to / "begun").write_text("another build")
    (to / "rows-0000.npy").write_bytes(b"of another build")
    (to / ".rows-0001.npy.123.part").write_bytes(b"of a killed one")
    card, _ = build(clips, to, RECIPE)
    data = Dataset(to)
    assert len(data) > 0
    assert not list(to.glob("*.part"))
    # Once more, it is there already; of other clips, it is refused.
    assert build(clips, to, RECIPE)[0].made_of == card.made_of
    (clips / "ep2" / "Aoi" / "Ken" / "0000.wav").unlink()
    with pytest.raises(DatasetError, match="holds a data set; remove it"):
        build(clips, to, RECIPE)


def test_a_data_set_of_an_earlier_version_says_what_it_lacks(clips, tmp_path):
    to = tmp_path / "patches"
    build(clips, to, RECIPE)
    assert not any("earlier version" in warning for warning in build(clips, to, RECIPE)[1])
    card = msgspec.json.decode((to / "patches.json").read_bytes())
    del card["voice_shards"]
    (to / "patches.json").write_bytes(msgspec.json.encode(card))
    warnings = build(clips, to, RECIPE)[1]
    assert any("earlier version" in warning and f"remove {to}" in warning for warning in warnings)
    assert Dataset(to).voices() is None


def test_what_is_no_data_set_is_left_alone(clips, tmp_path):
    to = tmp_path / "mine"
    (to / "portraits").mkdir(parents=True)
    (to / "portraits" / "hana.png").touch()
    (to / ".episode7.flac.part").touch()
    with pytest.raises(DatasetError, match="is not empty, and no data set"):
        build(clips, to, RECIPE)
    assert (to / "portraits" / "hana.png").exists()
    assert (to / ".episode7.flac.part").exists()


@pytest.mark.parametrize(
    "damaged",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-50]),
        lambda path: np.save(path, np.float16(1)),
        lambda path: np.save(path, np.load(path)[:, :9]),
    ],
    ids=["cut", "a number", "narrow"],
)
def test_a_damaged_shard_is_made_again(clips, tmp_path, damaged):
    to = tmp_path / "patches"
    build(clips, to, RECIPE)
    whole = (to / "mfcc-0000.npy").read_bytes()
    card = (to / "patches.json").read_bytes()
    made_of = Dataset(to).card.made_of
    (to / "patches.json").unlink()
    (to / "begun").write_text(made_of)
    (to / "mfcc-0000.npy").write_bytes(whole[:-50])
    vectors = (to / "voice-vector-0000.npy").read_bytes()
    damaged(to / "voice-vector-0000.npy")
    build(clips, to, RECIPE)
    assert (to / "mfcc-0000.npy").read_bytes() == whole
    assert (to / "voice-vector-0000.npy").read_bytes() == vectors
    assert (to / "patches.json").read_bytes() == card


def test_a_damaged_head_of_a_shard_is_named(clips, tmp_path):
    build(clips, tmp_path / "patches", RECIPE)
    file = tmp_path / "patches" / "rows-0000.npy"
    data = file.read_bytes()
    for damaged in (data[:40] + b"{" + data[41:], data[:50]):
        file.write_bytes(damaged)
        with pytest.raises(
            DatasetError, match=r"rows-0000\.npy: is damaged .*; remove .*patches and"
        ):
            Dataset(tmp_path / "patches")
    file.unlink()
    with pytest.raises(DatasetError, match=r"rows-0000\.npy: is missing; remove .*patches and"):
        Dataset(tmp_path / "patches")


def test_a_background_is_never_in_both_parts(clips, tmp_path):
    """Though it is given twice."""
    _, warnings = build(
        clips, tmp_path / "patches", RECIPE, [clips / "ep1" / "background", clips / "ep2"]
    )
    rows = Dataset(tmp_path / "patches").rows
    nobody = rows[(rows["label"] == 3) & (rows["clip"] >= 0)]
    assert not warnings or all("cannot be used" not in warning for warning in warnings)
    assert len(set(nobody["clip"])) == 1  # ep3's, the one that is validated on


def test_too_few_backgrounds_to_validate_on_are_told(clips, tmp_path):
    write(tmp_path / "music" / "a.wav", voice(110, 3.0))
    _, warnings = build(clips, tmp_path / "patches", RECIPE, [tmp_path / "music"])
    assert any("all 1 files given are trained on" in warning for warning in warnings)


def taken(clips, tmp_path, lengths_s, monkeypatch, most_s=60.0):
    """Build over music of these lengths; give the warnings, and what is read of the music."""
    monkeypatch.setattr("kikiwake.tools.build._MOST_GIVEN_S", most_s)
    monkeypatch.setattr("kikiwake.tools.build._MOST_OF_ONE_S", 30.0)
    monkeypatch.setattr("kikiwake.tools.build._LEAST_OF_ONE_S", 2.0)
    for number, seconds in enumerate(lengths_s):
        write(tmp_path / "music" / f"{number:03}.wav", voice(110, seconds))
    read = {}

    def note(path, rate, **what):
        y = read_sound(path, rate, **what)
        if path.parent.name == "music":
            read[path.name] = what["begin_s"], len(y) / rate
        else:
            read[path.parent.parent.name] = what["begin_s"], what["longest_s"]
        return y

    monkeypatch.setattr("kikiwake.tools.build.read_sound", note)
    _, warnings = build(clips, tmp_path / "patches", RECIPE, [tmp_path / "music"])
    return read, [w for w in warnings if "given" in w and "validated" not in w]


def test_all_of_the_music_is_taken_if_it_is_not_too_much(clips, tmp_path, monkeypatch):
    """However many files it is in."""
    read, warnings = taken(clips, tmp_path, [0.5] * 40 + [25.0], monkeypatch)
    assert not warnings
    assert {seconds for name, (_, seconds) in read.items() if ".wav" in name} == {0.5, 25.0}


def test_of_too_much_music_the_middle_of_the_longer_is_taken(clips, tmp_path, monkeypatch):
    read, (warning,) = taken(clips, tmp_path, [40.0, 40.0, 40.0, 5.0, 5.0, 5.0], monkeypatch)
    assert "from their middle" in warning
    music = [read[f"{number:03}.wav"] for number in range(6)]
    assert [seconds for _, seconds in music[3:]] == [5.0] * 3
    for begin_s, seconds in music[:3]:
        assert seconds == pytest.approx(15.0, abs=0.5)
        assert begin_s == pytest.approx((40 - seconds) / 2, abs=0.01)
    assert read["ep1"] == (0.0, math.inf)  # what was sorted is taken whole


def test_of_very_many_files_not_all_are_taken(clips, tmp_path, monkeypatch):
    read, warnings = taken(clips, tmp_path, [2.0] * 45, monkeypatch)
    assert any("of 45 files given one in 2 is taken" in warning for warning in warnings)
    assert sum(".wav" in name for name in read) == 23


def test_a_background_that_does_not_say_its_length_is_taken(clips, tmp_path):
    """As a program that writes to a pipe leaves it."""
    song = tmp_path / "beds" / "song.flac"
    data = bytearray(write(song, voice(50, 3.0)).read_bytes())
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    song.write_bytes(data)
    _, warnings = build(clips, tmp_path / "patches", RECIPE, [song.parent])
    assert not [warning for warning in warnings if "song" in warning or "longer" in warning]


def test_a_folder_without_sounds_is_no_background(clips, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ClipError, match="empty: holds no sound file"):
        build(clips, tmp_path / "patches", RECIPE, [tmp_path / "empty"])


def test_a_sound_is_read_as_far_as_it_is_wanted(tmp_path):
    y = voice(110, 12.0)  # several blocks
    path = write(tmp_path / "long.wav", y)
    whole = read_sound(path, RATE)
    assert len(whole) == len(y)
    for begin_s, longest_s in ((0, 1.5), (0, 9), (5, 1), (4.5, 6), (11, 5), (13, 1)):
        begin = round(begin_s * RATE)
        np.testing.assert_array_equal(
            read_sound(path, RATE, begin_s=begin_s, longest_s=longest_s),
            whole[begin : begin + round(longest_s * RATE)],
        )
    assert len(read_sound(path, 8000, begin_s=5, longest_s=1)) == pytest.approx(8000, abs=2)


def test_one_clip_of_each_is_refused(tmp_path):
    for _, name in (HANA, KEN):
        write(tmp_path / "clips" / "ep1" / "Aoi" / name / "0000.wav", voice(220, 1.0))
    with pytest.raises(ClipError, match="every voice has one clip only; sort more"):
        build(tmp_path / "clips", tmp_path / "patches", RECIPE)


def test_bad_clips_are_left_out_and_named(clips, tmp_path):
    ken = clips / "ep2" / "Aoi" / "Ken"
    write(ken / "0010.wav", np.zeros(0, np.float32))
    write(ken / "0011.wav", np.zeros(RATE, np.float32))
    (ken / "0012.wav").write_text("no sound")
    _, warnings = build(clips, tmp_path / "patches", RECIPE)
    for name in ("0010", "0011", "0012"):
        assert any(f"{name}.wav" in warning and "left out" in warning for warning in warnings)
    _, again = build(clips, tmp_path / "patches", RECIPE)
    assert again == [*warnings, "the data set was there already, made of the same clips"]


def test_an_error_that_is_of_clips_left_out_says_so(clips, tmp_path):
    for path in clips.rglob("*.wav"):
        if path.parent.name in ("Ken", "みお🎵"):
            path.write_text("no sound")
    with pytest.raises(ClipError, match=r"hold Hana \(Aoi\) only.*; 16 clips could .*0000\.wav: "):
        build(clips, tmp_path / "patches", RECIPE)


@pytest.mark.parametrize("name", ["b\u2066c", "x" * 101, "of Aoi "])
def test_a_name_that_no_cast_may_have_is_refused(clips, tmp_path, name):
    for recording in ("ep1", "ep2"):
        (clips / recording / "Aoi" / "Ken").rename(clips / recording / "Aoi" / name)
    with pytest.raises(ClipError, match=r"character name .* allowed: .*; rename the folder"):
        build(clips, tmp_path / "patches", RECIPE)


def test_the_folder_of_one_recording_is_refused(clips, tmp_path):
    (clips / "ep1" / "clips.json").touch()
    with pytest.raises(ClipError, match="is the folder of one recording; name the folder that it"):
        build(clips / "ep1", tmp_path / "patches", RECIPE)


def test_clips_that_nobody_knows_the_time_of_follow_each_other(clips, tmp_path):
    build(clips, tmp_path / "patches", RECIPE)
    rows = Dataset(tmp_path / "patches").rows
    heard = rows[(rows["label"] < 3) & (rows["part"] == 1)]
    assert len(heard) > 10
    for recording in np.unique(heard["recording"]):
        its = heard[heard["recording"] == recording]
        its = its[np.argsort(its["time_s"], kind="stable")]
        assert np.all(np.diff(its["clip"]) >= 0)
        assert np.all(np.diff(its["time_s"]) >= 0.49)


def test_a_voice_of_which_nothing_is_left_is_an_error(clips, tmp_path):
    for path in clips.rglob("Ken/*.wav"):
        write(path, np.zeros(RATE, np.float32))
    with pytest.raises(ClipError, match=r"Ken \(Aoi\): has no clip of 0.25 s or longer"):
        build(clips, tmp_path / "patches", RECIPE)


def test_two_do_not_build_into_one_folder(clips, tmp_path, capsys):
    to = tmp_path / "patches"
    with (
        locked(to / ".lock", "of the other"),
        pytest.raises(SystemExit) as ended,
    ):
        main(["build", str(clips), "--to", str(to)])
    assert ended.value.code == 1
    assert "another kikiwake is at work there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{nothing}"], "cannot be read: No such file"),
        ([], "build needs either a folder of sorted clips, or --from-devil-ear"),
        (["{clips}", "--validate-on", "ep7"], "no recording 'ep7'"),
        (["{clips}", "--to", "{file}/patches"], "cannot be written to"),
        (["{clips}", "--to", "{clips}"], "is not empty, and no data set"),
    ],
)
def test_errors_are_one_line(clips, tmp_path, capsys, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
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
    assert "beware: みお🎵 (宮野): is validated on clips of the recording that it is trained" in out
