"""Conversations composed of clips that are tones here: sound, truth, and what is refused."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from typer.testing import CliRunner

pytest.importorskip("scipy", reason="rooms and music need kikiwake[train]")

from kikiwake.errors import KikiwakeError
from kikiwake.tools.compose import (
    Bed,
    Scene,
    SceneError,
    compose,
    read_scene,
    spoken_s,
    truth_path,
    write,
)
from kikiwake.tools.compose_cli import compose as command
from kikiwake.tools.score import read_rttm

RATE = 16_000
HZ = {"Hana": 400.0, "Ken B": 700.0, "みお": 1100.0, "Gast": 1900.0}
ACTORS = {"Hana": "Aoi", "Ken B": "Aoi", "みお": "Ren", "Gast": "Zed"}
TRAIN_HZ = 3000.0
QUIET = {"sample_rate": RATE, "room_db": -math.inf}
KNOWN = ("Aoi/*", "Ren/*")


def tone(hz, seconds):
    return (0.2 * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype("f4")


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Four clips of each voice in the recordings for tests, and others in those for training."""
    folder = tmp_path_factory.mktemp("clips")
    for name, hz in HZ.items():
        for number, seconds in enumerate((0.6, 0.8, 1.1, 1.5)):
            for recording, heard in (("test a", hz), ("train b", TRAIN_HZ)):
                path = folder / recording / ACTORS[name] / name / f"{number}.flac"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, tone(heard, seconds), RATE)
    return folder


@pytest.fixture(scope="module")
def beds(tmp_path_factory):
    """Music that is loud only now and then, and a file that is silent."""
    folder = tmp_path_factory.mktemp("beds")
    (folder / "music" / "a").mkdir(parents=True)
    gap = np.zeros(2 * RATE, np.float32)
    parts = [gap, tone(5000, 0.7), gap, 0.3 * tone(5000, 1.0), gap]
    soundfile.write(folder / "music" / "a" / "short.ogg", np.concatenate(parts), RATE)
    soundfile.write(folder / "music" / "a" / "silent.ogg", gap, RATE)
    (folder / "music" / "a" / "licence.txt").write_text("free")
    return folder


def conversation(**keys):
    return Scene(**{"turns": 20, "recordings": ("test *",), "cast": KNOWN, **QUIET, **keys})


def dbfs(y):
    return 10 * np.log10(np.mean(np.square(y, dtype=np.float64)) + 1e-20)


def levels(y, start, stop):
    """Level of each 20 ms between two times."""
    part, n = y[round(start * RATE) : round(stop * RATE)], RATE // 50
    return [dbfs(part[i : i + n]) for i in range(0, len(part) - n + 1, n)]


def heard_hz(y, start, stop):
    part = y[round(start * RATE) : round(stop * RATE)]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return np.fft.rfftfreq(len(part), 1 / RATE)[int(spectrum.argmax())]


def spoken(made):
    """Where somebody speaks, by samples."""
    mask = np.zeros(len(made.y), bool)
    for s in made.truth:
        mask[round(s.start * RATE) : round(s.end * RATE)] = True
    return mask


def test_whom_the_truth_names_is_heard_and_nobody_else(clips):
    made = compose(conversation(clip_pause_s=(0.05, 0.4)), clips)
    assert {s.name for s in made.truth} == set(HZ) - {"Gast"}
    assert not made.strangers
    for s in made.truth:
        assert max(levels(made.y, s.start, s.end)) > -30
        assert min(levels(made.y, s.start, s.start + 0.1)) > -70
        assert heard_hz(made.y, s.start, s.end) == pytest.approx(HZ[s.name], abs=5)
    # The ends of a clip, 38 to 42 dB down, and the 20 ms before them are no speech and yet heard.
    near = np.convolve(spoken(made), np.ones(RATE // 20), "same") > 0
    assert np.abs(made.y[~near]).max() == 0
    assert (~near).mean() > 0.1


def test_sound(clips):
    made = compose(conversation(level_db=(15, 20), room_db=-65), clips)
    assert made.sample_rate == RATE
    assert made.y.dtype == np.float32
    assert made.y.ndim == 1
    assert np.abs(made.y).max() == pytest.approx(0.95, abs=1e-3)


def test_the_seed_decides(clips):
    scene = conversation(room_db=-60, beds=(Bed(kind="music", snr_db=10),))
    made, again = compose(scene, clips), compose(scene, clips)
    assert np.array_equal(made.y, again.y)
    assert made.truth == again.truth
    other = compose(conversation(seed=2), clips)
    assert other.truth != made.truth


@pytest.mark.parametrize("keys", [{"room_db": -50.0}, {"beds": (Bed(kind="noise", snr_db=5),)}])
def test_the_same_conversation_whatever_is_heard_under_it(clips, keys):
    assert compose(conversation(**keys), clips).truth == compose(conversation(), clips).truth


def test_turns_and_pauses(clips):
    scene = conversation(
        turns=40, turn_s=(2, 3), clip_pause_s=(0.1, 0.2), pause_s=(0.5, 1), quick_share=0.5
    )
    truth = compose(scene, clips).truth
    assert len(truth) == 40
    assert all(a.name != b.name for a, b in pairwise(truth))
    counts = [sum(s.name == name for s in truth) for name in {s.name for s in truth}]
    assert max(counts) - min(counts) <= 1
    assert all(1 < s.end - s.start < 4 for s in truth)
    pauses = [b.start - a.end for a, b in pairwise(truth)]
    # Besides the pauses there are at most 20 ms of silence at each end of a turn.
    assert sum(0.04 < pause < 0.21 for pause in pauses) == 20  # half of 39, rounded to even
    assert sum(0.49 < pause < 1.06 for pause in pauses) == 19


def test_a_clip_longer_than_the_turn_is_cut(clips):
    truth = compose(conversation(turn_s=(0.3, 0.4)), clips).truth
    assert len(truth) == 20
    assert all(0.25 < s.end - s.start <= 0.4 for s in truth)


def test_a_pause_inside_a_clip_is_not_speech(tmp_path):
    path = tmp_path / "ep" / "Aoi" / "Hana" / "1.flac"
    path.parent.mkdir(parents=True)
    gaps = [np.zeros(round(s * RATE), np.float32) for s in (0.2, 0.4)]
    parts = [tone(400, 0.5), gaps[0], tone(400, 0.5), gaps[1], tone(400, 0.5)]
    soundfile.write(path, np.concatenate(parts), RATE)
    truth = compose(Scene(turns=1, cast=("*",), turn_s=(2.1, 2.1), **QUIET), tmp_path).truth
    assert [s.end - s.start for s in truth] == pytest.approx([1.2, 0.5], abs=0.04)
    assert truth[1].start - truth[0].end == pytest.approx(0.4, abs=0.04)


def test_overlap(clips):
    keys = {"turns": 31, "turn_s": (2, 4), "clip_pause_s": (0, 0.1), "quick_share": 0}
    made = compose(conversation(overlap_share=0.5, **keys), clips)
    ends = np.maximum.accumulate([s.end for s in made.truth])
    overlaps = [end - s.start for end, s in zip(ends, made.truth[1:], strict=False)]
    assert sum(overlap > 0 for overlap in overlaps) == 15
    assert 0.4 < max(overlaps) <= 1.5
    for first, third in zip(made.truth, made.truth[2:], strict=False):
        assert third.start >= first.end
    somebody, several = spoken_s(made.truth)
    assert several == pytest.approx(sum(o for o in overlaps if o > 0))
    assert somebody + several == pytest.approx(sum(s.end - s.start for s in made.truth))


def test_strangers(clips):
    keys = {"cast": ("*",), "strangers": ("Zed/*",), "clip_pause_s": (0.1, 0.2)}
    made = compose(conversation(stranger_share=0.3, **keys), clips)
    assert made.strangers == ("Gast",)
    assert sum(s.name == "Gast" for s in made.truth) == 6
    assert len(made.truth) == 20


def test_only_the_recordings_asked_for_are_heard(clips):
    made = compose(conversation(recordings=("*", "!test *"), turns=5), clips)
    for s in made.truth:
        assert heard_hz(made.y, s.start, s.end) == pytest.approx(TRAIN_HZ, abs=5)


@pytest.mark.parametrize("kind", ["music", "noise", "effects"])
@pytest.mark.parametrize("snr_db", [0.0, 10.0])
def test_a_bed_lies_so_far_below_the_speech(clips, kind, snr_db):
    clean = compose(conversation(), clips)
    made = compose(conversation(beds=(Bed(kind=kind, snr_db=snr_db),)), clips)
    scale = 0.95 / max(0.95, np.abs(made.y).max())
    bed = made.y / scale - clean.y
    heard = np.array(levels(bed, 1, len(bed) / RATE - 1))
    level = 10 * np.log10(np.mean(10 ** (heard[heard > heard.max() - 30] / 10)))
    assert dbfs(clean.y[spoken(clean)]) - level == pytest.approx(snr_db, abs=2.0)


def test_a_bed_may_come_and_go(clips):
    scene = conversation(turns=100, beds=(Bed(kind="noise", snr_db=10, share=0.4),))
    bed = compose(scene, clips).y - compose(conversation(turns=100), clips).y
    heard = np.array(levels(bed, 0, len(bed) / RATE)) > -60
    assert heard.mean() == pytest.approx(0.4, abs=0.05)
    assert 2 < np.count_nonzero(np.diff(heard.astype(int)) == 1) < 20


def test_a_bed_of_files_loops_and_leaves_its_silence_out(clips, beds):
    bed = Bed(files=("music/*", "!*silent*"), snr_db=10)
    clean = compose(conversation(), clips)
    y = compose(conversation(beds=(bed,)), clips, beds).y - clean.y
    quiet = "".join("-" if level < -70 else "+" for level in levels(y, 2, len(y) / RATE - 2))
    assert 0 < 0.02 * max(map(len, quiet.split("+"))) <= 0.32
    assert heard_hz(y, 2, 12) == pytest.approx(5000, abs=5)


def test_sound_without_speech():
    bed = Bed(kind="noise", level_db=-25)
    scene = Scene(turns=0, silence_s=20, beds=(bed,), **QUIET)
    made = compose(scene, Path("no clips are needed"))
    assert made.truth == []
    assert len(made.y) == 20 * RATE
    assert dbfs(made.y[RATE:-RATE]) == pytest.approx(-25, abs=1.5)


def test_the_room_is_always_there_and_silence_at_the_end(clips):
    made = compose(conversation(turns=2, room_db=-60, silence_s=45), clips)
    end = made.truth[-1].end
    assert len(made.y) / RATE - end > 45
    assert dbfs(made.y[round((end + 0.1) * RATE) :]) == pytest.approx(-60, abs=1)
    assert min(levels(made.y, end + 0.1, len(made.y) / RATE)) > -75


@pytest.mark.parametrize("ending", [".flac", ".wav"])
def test_write(clips, tmp_path, ending):
    made = compose(conversation(turns=4), clips)
    to = tmp_path / "new" / f"a scene{ending}"
    write(made, to)
    assert {p.name for p in to.parent.iterdir()} == {to.name, "a scene.rttm"}
    y, rate = soundfile.read(to, dtype="float32")
    assert rate == RATE
    assert np.abs(y - made.y).max() < 1e-4
    read = read_rttm(truth_path(to))
    assert [s.name for s in read] == [s.name for s in made.truth]
    assert [s.start for s in read] == pytest.approx([s.start for s in made.truth], abs=6e-4)


def test_write_says_what_is_wrong(clips, tmp_path):
    made = compose(conversation(turns=1), clips)
    (tmp_path / "file").write_text("in the way")
    for to in (tmp_path / "file" / "a.flac", tmp_path / "a.mp3"):
        with pytest.raises(SceneError, match=to.name) as caught:
            write(made, to)
        assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_read_scene(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text(
        'cast = ["Aoi/*"]\nturn_s = [1, 2]\nroom_db = -inf\n[[beds]]\nkind = "music"\nsnr_db = 3\n'
    )
    bed = Bed(kind="music", snr_db=3.0)
    wanted = Scene(cast=("Aoi/*",), turn_s=(1.0, 2.0), room_db=-math.inf, beds=(bed,))
    assert read_scene(path) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("turns =", "is not TOML"),
        ("turns = 3", "cast: is missing"),
        ('cast = ["*"]\nturms = 3', "turms: unknown key; known keys: seed, "),
        ('cast = "nemo"', "cast = 'nemo': expected array, got str"),
        ('cast = [""]', "cast[0] = ''"),
        ("turns = -1", "turns = -1: expected int >= 0; allowed: 0 to 10000"),
        ("turn_s = [0, 1]", "turn_s[0] = 0: expected float >= 0.2; allowed: 0.2 to 600"),
        ('cast = ["*"]\nturn_s = [3, 1]', "turn_s = [3, 1]: need the lesser one first"),
        ("quick_share = nan", "quick_share = nan"),
        ("room_db = 0", "room_db = 0: expected float <= -20.0; allowed: -inf to -20"),
        (
            'cast = ["*"]\nquick_share = 0.6\noverlap_share = 0.6',
            "quick_share = 0.6 and overlap_share = 0.6: need 1 at most together",
        ),
        ("turns = 0", "silence_s = 0: need 1 at least where turns = 0"),
        (
            'turns = 0\nsilence_s = 5\n[[beds]]\nkind = "noise"\nsnr_db = 5',
            "beds: need level_db instead of snr_db where turns = 0",
        ),
        (
            '[[beds]]\nkind = "musik"',
            "beds[0].kind = 'musik': invalid enum value 'musik'; allowed: effects, music, noise",
        ),
        ("[[beds]]\nsnr_db = 5", "beds[0]: needs either kind or files"),
        ('[[beds]]\nkind = "music"', "beds[0]: needs either snr_db or level_db"),
        ("[[beds]]\nlevel = 5", "beds[0].level: unknown key; known keys: kind, files, "),
    ],
)
def test_a_bad_scene_file_is_told_in_one_line(tmp_path, text, message):
    path = tmp_path / "a.toml"
    path.write_text(text)
    with pytest.raises(SceneError) as caught:
        read_scene(path)
    assert str(caught.value).startswith(f"scene {path}: {message}")
    assert "\n" not in str(caught.value)


def test_a_scene_file_that_cannot_be_read(tmp_path):
    with pytest.raises(SceneError, match="cannot be read"):
        read_scene(tmp_path / "none.toml")
    (tmp_path / "a.toml").write_bytes(b"\xff")
    with pytest.raises(SceneError, match="is not UTF-8 text"):
        read_scene(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"cast": ("Aoi/Kei",)}, "cast: nothing in .* is 'Aoi/Kei'; there is Aoi/Hana, Aoi/Ken B"),
        ({"cast": ("*", "!*")}, "cast: leaves nothing"),
        ({"strangers": ("Nobody/*",)}, "strangers: nothing in .* is 'Nobody/"),
        ({"strangers": ("*",)}, "cast: all of it are strangers"),
        ({"recordings": ("ep*",)}, "recordings: nothing in .* is 'ep.*there is test a, train b"),
        ({"beds": (Bed(files=("*",), snr_db=5),)}, r"beds\[0\].files: needs a folder of beds"),
    ],
)
def test_what_a_scene_wants_and_is_not_there(clips, keys, message):
    with pytest.raises(SceneError, match=message) as caught:
        compose(conversation(**keys), clips)
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_used(clips, beds, tmp_path):
    for pattern, message in (("noise/*", "is 'noise/"), ("*silent*", "silent.ogg: holds no sound")):
        scene = conversation(beds=(Bed(files=(pattern,), snr_db=5),))
        with pytest.raises(KikiwakeError, match=message):
            compose(scene, clips, beds)
    with pytest.raises(KikiwakeError, match="none: cannot be read"):
        compose(conversation(), tmp_path / "none")


def test_a_stranger_must_not_have_a_name_of_the_cast(clips, tmp_path):
    for actor in ("Aoi", "Zed"):
        path = tmp_path / "ep" / actor / "Hana" / "1.flac"
        path.parent.mkdir(parents=True)
        soundfile.write(path, tone(400, 1), RATE)
    scene = Scene(cast=("Aoi/*",), strangers=("Zed/*",), **QUIET)
    with pytest.raises(SceneError, match="Zed/Hana has the name of Aoi/Hana"):
        compose(scene, tmp_path)


def test_the_command(clips, tmp_path):
    app = typer.Typer()
    app.command()(command)
    scene, to = tmp_path / "a.toml", tmp_path / "a.flac"
    scene.write_text(
        f'sample_rate = {RATE}\nturns = 9\nrecordings = ["test *"]\ncast = ["Aoi/*"]\n'
        'strangers = ["Zed/*"]\nstranger_share = 0.34\noverlap_share = 0.5\n'
    )
    arguments = [str(scene), str(clips), "--to", str(to)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    line = done.stdout.strip()
    assert line.startswith(f"{to}: 00:")
    assert ", 9 turns of 3 speakers (1 strangers), speech " in line
    assert "\n" not in line
    assert to.exists()
    assert {s.name for s in read_rttm(tmp_path / "a.rttm")} == {"Hana", "Ken B", "Gast"}
    before = to.read_bytes()
    refused = CliRunner().invoke(app, arguments)
    assert isinstance(refused.exception, KikiwakeError)
    assert "is there already" in str(refused.exception)
    assert CliRunner().invoke(app, [*arguments, "--force"]).exit_code == 0
    assert to.read_bytes() == before


def test_the_scenes_to_measure_on_can_be_read():
    scenes = list((Path(__file__).parents[2] / "benchmarks" / "scene_files").glob("*.toml"))
    assert len(scenes) >= 8
    for path in scenes:
        scene = read_scene(path)
        assert bool(scene.turns) == bool(scene.cast), path
