"""Data sets on disk, and the origin's made into one."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from kikiwake.features.settings import FeatureSettings
from kikiwake.models.cast import Character
from kikiwake.tools.cli import main
from kikiwake.tools.dataset import (
    ROW,
    Dataset,
    DatasetCard,
    DatasetError,
    DatasetWriter,
    VoiceSet,
)
from kikiwake.tools.devil_ear import import_devil_ear

CARD = DatasetCard(
    characters=(Character("\u3042", "a"), Character("b", "a")),
    background=True,
    features=FeatureSettings(),
    recordings=("one", "two"),
)
RNG = np.random.default_rng(4)


def some(n: int) -> tuple[NDArray[np.float32], NDArray[np.void]]:
    rows = np.zeros(n, ROW)
    rows["label"] = RNG.integers(3, size=n)
    rows["recording"] = RNG.integers(2, size=n)
    rows["clip"] = -1
    rows["time_s"] = np.arange(n) / 2
    rows["part"] = RNG.integers(2, size=n)
    return 100 * RNG.standard_normal((n, 44, 44)).astype(np.float32), rows


def some_voices(n: int) -> VoiceSet:
    """Make patches that are all their number, and vectors that are, too."""
    numbers = np.arange(n, dtype=np.float32)
    return VoiceSet(np.tile(numbers[:, None, None], (1, 44, 44)), np.tile(numbers[:, None], 256))


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, NDArray[np.float32], NDArray[np.void]]:
    writer = DatasetWriter(tmp_path / "data", CARD)
    shards = [some(n) for n in (7, 1, 12)]
    for number, (mfcc, rows) in enumerate(shards):
        assert not writer.has(number)
        writer.write(number, mfcc, rows)
        assert writer.has(number)
    for number, n in enumerate((5, 2)):
        assert not writer.has_voices(number)
        writer.write_voices(number, some_voices(n))
        assert writer.has_voices(number)
    writer.finish(3, 2)
    return (
        tmp_path / "data",
        np.concatenate([mfcc for mfcc, _ in shards]),
        np.concatenate([rows for _, rows in shards]),
    )


def test_what_is_written_is_read(written) -> None:
    folder, mfcc, rows = written
    data = Dataset(folder)
    assert data.card == msgspec.structs.replace(CARD, shards=(7, 1, 12), voice_shards=(5, 2))
    assert len(data) == 20
    assert np.array_equal(data.rows, rows)
    numbers = RNG.permutation(20)[:15]
    patches = data.patches(numbers)
    np.testing.assert_allclose(patches.mfcc, mfcc[numbers], rtol=1e-3)
    assert np.array_equal(patches.label, rows["label"][numbers])
    assert len(data.patches(np.empty(0, np.int64))) == 0
    assert [*data.part("train"), *data.part("validation")] == [
        *np.flatnonzero(rows["part"] == 0),
        *np.flatnonzero(rows["part"] == 1),
    ]


def test_voices_are_read_in_order(written, tmp_path) -> None:
    voices = Dataset(written[0]).voices()
    assert voices is not None
    assert len(voices) == 7
    assert voices.mfcc[:, 3, 4].tolist() == voices.vector[:, 5].tolist() == [0, 1, 2, 3, 4, 0, 1]
    writer = DatasetWriter(tmp_path / "without", CARD)
    writer.write(0, *some(3))
    writer.finish(1)
    assert Dataset(tmp_path / "without").voices() is None


def test_a_writer_goes_on_where_another_stopped(tmp_path) -> None:
    first = DatasetWriter(tmp_path, CARD)
    first.write(0, *some(3))
    with pytest.raises(DatasetError, match="its building is not finished; start it again"):
        Dataset(tmp_path)
    again = DatasetWriter(tmp_path, CARD)
    assert again.has(0)
    assert not again.has(1)
    again.write(1, *some(4))
    again.finish(2)
    assert Dataset(tmp_path).card.shards == (3, 4)
    with pytest.raises(DatasetError, match="holds a data set; remove it"):
        DatasetWriter(tmp_path, CARD)


class TestRefused:
    def test_shapes(self, tmp_path) -> None:
        mfcc, rows = some(3)
        with pytest.raises(ValueError, match=r"mfcc has shape \(2, 44, 44\)"):
            DatasetWriter(tmp_path, CARD).write(0, mfcc[:2], rows)

    def test_no_data_set(self, tmp_path) -> None:
        with pytest.raises(DatasetError, match="is no data set"):
            Dataset(tmp_path)
        with pytest.raises(DatasetError, match="is no data set"):
            Dataset(tmp_path / "nowhere")
        (tmp_path / "begun").touch()
        with pytest.raises(DatasetError, match="its building is not finished"):
            Dataset(tmp_path)

    @pytest.mark.parametrize(
        "name",
        [
            "mfcc-0001.npy",
            "rows-0002.npy",
            "voice-mfcc-0000.npy",
            "voice-vector-0001.npy",
            "patches.json",
        ],
    )
    @pytest.mark.parametrize("how", ["cut", "other", "gone", "nonsense"])
    def test_damage_is_found_on_opening(self, written, name, how) -> None:
        folder, _, _ = written
        path = folder / name
        if how == "cut":
            path.write_bytes(path.read_bytes()[:-30])
        elif how == "gone":
            path.unlink()
        elif how == "other" and name != "patches.json":
            np.save(path, np.zeros((3, 3)))
        else:
            path.write_bytes(os.urandom(200))
        with pytest.raises(DatasetError) as said:
            Dataset(folder)
        assert "\n" not in str(said.value)
        assert str(folder) in str(said.value)

    def test_a_label_of_nobody(self, tmp_path) -> None:
        writer = DatasetWriter(tmp_path, CARD)
        mfcc, rows = some(2)
        rows["label"][1] = 3
        writer.write(0, mfcc, rows)
        writer.finish(1)
        with pytest.raises(DatasetError, match="a label is none of its characters'"):
            Dataset(tmp_path)

    def test_a_newer_version(self, written) -> None:
        folder, _, _ = written
        text = (folder / "patches.json").read_text().replace('"version": 1', '"version": 9')
        (folder / "patches.json").write_text(text)
        with pytest.raises(DatasetError, match="has version 9, this program reads up to 1; update"):
            Dataset(folder)

    def test_where_nothing_can_be_written(self, tmp_path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(DatasetError, match="cannot be made"):
            DatasetWriter(tmp_path / "file" / "data", CARD)


def clone(folder: Path) -> dict[tuple[str, str, int], NDArray[np.float64]]:
    """Write the like of a clone: two actors, three characters, windows missing here and there."""
    windows = {}
    for actor, character, numbers, held_out in (
        ("\u6c34\u702c", "\u30ec\u30e0", [0, 1, 3, 4, 10], [2]),
        ("\u6c34\u702c", "b", list(range(10)), []),
        ("A", "b", [5], [6, 7, 8, 9]),
    ):
        for part, its in (("train", numbers), ("validate", held_out)):
            for number in its:
                window = RNG.standard_normal((44, 44)) * 60
                path = folder / "data" / part / actor / character / f"{number:04}.pickle"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(pickle.dumps(window, protocol=3))
                windows[actor, character, number] = window
    return windows


class TestDevilEar:
    def test_a_clone(self, tmp_path, capsys) -> None:
        windows = clone(tmp_path / "clone")
        command = f"build --by origin --from-devil-ear {tmp_path}/clone --to {tmp_path}/data"
        with pytest.raises(SystemExit) as done:
            main(command.split())
        assert not done.value.code
        said = capsys.readouterr().out
        assert "16 patches to train on, 5 to validate on, of 3 characters by 2 actors" in said
        assert "beware: neighbours" in said
        data = Dataset(tmp_path / "data")
        assert [(who.actor, who.name) for who in data.card.characters] == [
            ("A", "b"),
            ("\u6c34\u702c", "b"),
            ("\u6c34\u702c", "\u30ec\u30e0"),
        ]
        patches = data.patches(np.arange(len(data)))
        for row, patch in zip(data.rows, patches.mfcc, strict=True):
            who = data.card.characters[row["label"]]
            window = windows.pop((who.actor, who.name, round(row["time_s"] * 2)))
            np.testing.assert_allclose(patch, window, rtol=1e-3, atol=1e-3)
        assert not windows

    def test_the_block_split_keeps_neighbours_apart(self, tmp_path) -> None:
        clone(tmp_path / "clone")
        for _ in range(2):  # once more, it is there already
            import_devil_ear(tmp_path / "clone", tmp_path / "data", "block")
        with pytest.raises(DatasetError, match="holds a data set"):
            import_devil_ear(tmp_path / "clone", tmp_path / "data", "origin")
        rows = Dataset(tmp_path / "data").rows
        for label in range(3):
            of_one = rows[rows["label"] == label]
            assert list(of_one["part"]) == sorted(of_one["part"])
            assert list(of_one["time_s"]) == sorted(of_one["time_s"])
            assert (of_one["part"] == 1).sum() == len(of_one) - len(of_one) * 4 // 5

    def test_nothing_is_executed(self, tmp_path) -> None:
        clone(tmp_path / "clone")
        proof = tmp_path / "proof"

        class Evil:
            def __reduce__(self):
                return Path.touch, (proof,)

        bad = next((tmp_path / "clone").rglob("0005.pickle"))
        bad.write_bytes(pickle.dumps(Evil()))
        with pytest.raises(DatasetError, match="is not a window of devil-ear: it asks for"):
            import_devil_ear(tmp_path / "clone", tmp_path / "data", "block")
        assert not proof.exists()

    @pytest.mark.parametrize(
        "what", [b"", b"nonsense", pickle.dumps([1, 2]), pickle.dumps(np.zeros((44, 43)))]
    )
    def test_damage(self, tmp_path, what) -> None:
        clone(tmp_path / "clone")
        next((tmp_path / "clone").rglob("0005.pickle")).write_bytes(what)
        with pytest.raises(DatasetError, match=r"0005.pickle: is not a window of devil-ear"):
            import_devil_ear(tmp_path / "clone", tmp_path / "data", "block")

    def test_no_clone(self, tmp_path, capsys) -> None:
        with pytest.raises(SystemExit) as done:
            main(["build", "--from-devil-ear", str(tmp_path), "--to", str(tmp_path / "data")])
        assert done.value.code == 1
        assert "as a clone of devil-ear does" in capsys.readouterr().err

    def test_the_converted_one(self, tmp_path) -> None:
        folder = Path("../shared/data/devil-ear")
        if not folder.exists():
            pytest.skip("the converted data set is not here")
        card = import_devil_ear(folder, tmp_path / "data", "block")
        data = Dataset(tmp_path / "data")
        assert len(card.characters) == 32
        assert (len(data.part("train")), len(data.part("validation"))) == (6664, 1685)
