"""From a data set to a cast with the commands: train, quantize, evaluate."""

import json
import shutil

import msgspec
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs kikiwake[train]")

from scipy.special import softmax

from kikiwake.features.settings import FeatureSettings
from kikiwake.models.cast import Character, load_cast
from kikiwake.models.runner import CastRunner
from kikiwake.models.wrn import NETWORKS
from kikiwake.tools import quantize, train
from kikiwake.tools import training as trainings
from kikiwake.tools.cli import main
from kikiwake.tools.dataset import ROW, Dataset, DatasetCard, DatasetWriter
from kikiwake.tools.training import Recipe

FEATURES = FeatureSettings(n_mels=32, n_mfcc=16, patch_samples=15 * 512)
VOICES = (("Aoi", "Hana"), ("Aoi", "Ken"), ("宮野", "みお"))
SHAPE = (FEATURES.n_mfcc, FEATURES.patch_frames)


def easy(n, seed, noise=1.0):
    patterns = np.random.default_rng(0).standard_normal((len(VOICES), *SHAPE))
    rng = np.random.default_rng((1, seed))
    label = rng.integers(len(VOICES), size=n)
    return 20 * (patterns[label] + noise * rng.standard_normal((n, *SHAPE))), label


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("workshop") / "patches"
    card = DatasetCard(
        characters=tuple(
            Character(name, actor, "portraits/000.png" if name == "Hana" else None)
            for actor, name in VOICES
        ),
        background=True,
        features=FEATURES,
        recordings=("ep1",),
    )
    writer = DatasetWriter(folder, card)
    picture = folder.parent / "hana.png"
    picture.write_bytes(b"a picture")
    writer.add_portrait("portraits/000.png", picture)
    for part, n in enumerate((400, 150)):
        mfcc, label = easy(n, part)
        rows = np.zeros(n, ROW)
        rows["label"], rows["part"], rows["clip"] = label, part, -1
        rows["time_s"] = np.arange(n) / 2
        writer.write(part, mfcc, rows)
    writer.finish(2)
    return folder


@pytest.fixture(scope="module")
def training(patches):
    folder = patches.parent / "training"
    run("train", patches, "--to", folder, "--preset", "tiny", "--epochs", 12)
    return folder


@pytest.fixture(scope="module")
def cast(patches, training):
    path = patches.parent / "show.cast"
    run("quantize", training, patches, "--to", path)
    return path


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert not ended.value.code


def test_training_tells_its_course(patches, tmp_path, capfd):
    run("train", patches, "--to", tmp_path / "t", "--preset", "tiny", "--epochs", 2)
    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert [line[:15] for line in lines[:2]] == ["epoch   1 of 2:", "epoch   2 of 2:"]
    assert "next: kikiwake quantize" in lines[2]
    # Neither Keras nor TensorFlow says a word.
    assert err == ""


def test_a_cast_of_it(cast, training):
    found = load_cast(cast)
    assert found.card.name == "show"
    assert [(who.actor, who.name) for who in found.card.characters] == [*VOICES]
    assert found.portraits == {"portraits/000.png": b"a picture"}
    assert found.card.features == FEATURES
    assert found.card.calibration.temperature >= 1
    runner = CastRunner(found)
    mfcc, label = easy(100, 7, noise=1.0)
    guesses = [runner.logits(patch).argmax() for patch in mfcc.astype(np.float32)]
    assert np.mean(guesses == label) > 0.8
    assert quantize.non_int8_tensors(found.network) == []


def test_training_on_from_a_cast(cast, patches, training, tmp_path, capsys):
    """With the weights that the cast keeps, one epoch is as good as twelve."""
    to = tmp_path / "t"
    run("train", patches, "--to", to, "--preset", "tiny", "--epochs", 1, "--start", cast)
    begun = trainings.read_card(to).epochs[0]
    assert begun.validation_top1 > trainings.read_card(training).epochs[0].validation_top1 + 0.1


def test_the_report_of_quantizing(cast, patches, training, capsys):
    again = patches.parent / "again.cast"
    run("quantize", training, patches, "--to", again, "--name", "聞き分け", "--licence", "CC0-1.0")
    out = capsys.readouterr().out
    assert "150 windows validated on" in out
    assert "6 CONV_2D" in out
    card = load_cast(again).card
    assert (card.name, card.licence) == ("聞き分け", "CC0-1.0")
    assert card.trained_on == "400 patches of 1 recordings"


@pytest.fixture(scope="module")
def others(patches):
    """Trainings of the same form with another seed, and of another form."""
    folders = [patches.parent / name for name in ("again", "larger")]
    run("train", patches, "--to", folders[0], "--preset", "tiny", "--epochs", 3, "--seed", 1)
    run("train", patches, "--to", folders[1], "--preset", "small", "--epochs", 1)
    return folders


@pytest.mark.parametrize("rounding_costs", [False, True])
def test_a_cast_of_several_trainings_says_their_mean(
    patches, training, others, rounding_costs, tmp_path, monkeypatch, capsys
):
    tuned, fine_tune = [], quantize.fine_tune
    monkeypatch.setattr(quantize, "fine_tune", lambda *a: tuned.append(a) or fine_tune(*a))
    if rounding_costs:  # as if too much were lost by it
        monkeypatch.setattr(quantize, "MOST_LOST", -100)
    path = tmp_path / "three.cast"
    run("quantize", training, patches, "--with", others[0], "--with", others[1], "--to", path)
    out = capsys.readouterr().out
    assert "all int8" in out
    assert len(tuned) == 3 * rounding_costs
    found = load_cast(path)
    assert quantize.non_int8_tensors(found.network) == []
    mfcc, _ = easy(100, 7)
    members = [trainings.read_training(folder) for folder in (training, *others)]
    exact = np.mean(
        [np.asarray(m.model()(m.standardised(mfcc), training=False)) for m in members], axis=0
    )
    runner = CastRunner(found)
    said = np.stack([runner.logits(patch) for patch in mfcc.astype(np.float32)])
    assert np.abs(said - exact).max() < 0.1 * np.abs(exact).max()
    assert np.mean(said.argmax(axis=1) == exact.argmax(axis=1)) > 0.95


def test_evaluating_it(cast, patches, tmp_path, capsys):
    run("evaluate", cast, patches, "--to", tmp_path / "report")
    figures = json.loads((tmp_path / "report" / "figures.json").read_text())
    assert "150" in capsys.readouterr().out
    assert figures


def test_how_sure_it_is_of_each_is_of_the_validation(cast, patches):
    data = Dataset(patches)
    validation = data.patches(data.part("validation"))
    card = load_cast(cast)
    runner = CastRunner(card)
    best = np.array(
        [
            runner.posterior(patch)[: len(VOICES)].max()
            for patch in validation.mfcc.astype(np.float32)
        ]
    )
    for number, sureness in enumerate(card.card.calibration.sureness):
        assert sureness == pytest.approx(best[validation.label == number].mean(), abs=1e-3)


def test_rounding_is_trained_back(patches, tmp_path):
    """A network of which int8 makes little learns to do with it.

    One channel of an activation is made two hundred times louder, and the weights that hear it as
    much softer: in float nothing changes, in int8 the other channels are gone.
    """
    data = Dataset(patches)
    training = data.patches(data.part("train"))
    trained = train.train(
        training,
        data.patches(data.part("validation")),
        network=NETWORKS["tiny"],
        recipe=Recipe(epochs=8, batch=40),
        n_classes=3,
        folder=tmp_path,
    )
    model = trained.model()
    convolutions = [layer for layer in model.layers if type(layer).__name__ == "Conv2D"]
    normalised = [layer for layer in model.layers if type(layer).__name__ == "BatchNormalization"]
    gamma, beta, mean, variance = normalised[1].get_weights()
    gamma[0] *= 200
    beta[0] *= 200
    normalised[1].set_weights([gamma, beta, mean, variance])
    (kernel,) = convolutions[2].get_weights()
    kernel[:, :, 0] /= 200
    convolutions[2].set_weights([kernel])
    spoilt = trainings.Trained(trained.card, model.get_weights())
    x = spoilt.standardised(training.mfcc)
    exact = np.asarray(model(x, training=False))

    def gap(network):
        interpreter = quantize.load_interpreter(network)
        (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
        out = []
        for patch in x[:100]:
            scale, zero = source["quantization"]
            rounded = np.clip(np.round(patch / scale + zero), -128, 127).astype(np.int8)
            interpreter.set_tensor(source["index"], rounded[None])
            interpreter.invoke()
            scale, zero = sink["quantization"]
            raw = interpreter.get_tensor(sink["index"])[0].astype(np.float32)
            out.append((raw - zero) * scale)
        return np.abs(softmax(np.stack(out), axis=1) - softmax(exact[:100], axis=1)).mean()

    tuned = quantize.fine_tune(spoilt, training, x[:200], lambda what, done, of: None)
    before, after = gap(quantize.to_int8(model, x[:200])), gap(quantize.to_int8(tuned, x[:200]))
    assert after < 0.8 * before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "{nothing}"], "is no data set"),
        (["train", "{file}"], "is no data set; kikiwake build makes one"),
        (["quantize", "{file}", "{patches}"], "holds no training; kikiwake train makes one"),
        (["quantize", "{training}", "{patches}", "--to", "."], "is a folder; name the cast file"),
        (["build", "--from-devil-ear", "x", "--seed", "5"], "are taken as they are: leave out"),
        (["build", "--from-devil-ear", "x", "--background", "."], "are taken as they are"),
        (["build", ".", "--by", "origin"], "--by goes with --from-devil-ear"),
        (["train", "{patches}", "--preset", "huge"], "huge"),
        (["train", "{patches}", "--to", "{file}/t"], "cannot be written to"),
        (["train", "{patches}", "--start", "starter"], "is for other features, or of"),
        (["train", "{patches}", "--start", "{bare}"], "keeps no weights"),
        (["evaluate", "{cast}", "{file}", "--stream", "--part", "train"], "goes without --stream"),
        (["quantize", "{nothing}", "{patches}"], "holds no training"),
        (["quantize", "{training}", "{patches}", "--to", "{cast}"], "is there already"),
        (["quantize", "{training}", "{patches}", "--to", "{file}/x.cast"], "there is no folder"),
        (["quantize", "{training}", "{others}"], "was not trained on"),
        (["quantize", "{training}", "{patches}", "--with", "{nothing}"], "holds no training"),
        (["quantize", "{training}", "{patches}", "--with", "{training}"], "is named twice"),
        (["train", "{patches}", "--to", "{training}"], "holds a training with other"),
    ],
)
def test_errors_are_one_line(
    patches, training, cast, tmp_path, capsys, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    # As many, but one has another name.
    others = tmp_path / "others"
    shutil.copytree(patches, others)
    card = (others / "patches.json").read_text(encoding="utf-8")
    (others / "patches.json").write_text(card.replace("Ken", "Zoe"), encoding="utf-8")
    names = {
        "others": others,
        "patches": patches, "training": training, "cast": cast,
        "nothing": tmp_path / "nothing", "file": tmp_path / "file", "bare": tmp_path / "bare.cast",
    }  # fmt: skip
    msgspec.structs.replace(load_cast("starter"), weights=None).save(names["bare"])
    with pytest.raises(SystemExit) as ended:
        main([argument.format(**names) for argument in arguments])
    assert ended.value.code
    told = capsys.readouterr()
    assert message in " ".join((told.out + told.err).split())
    assert "Traceback" not in told.err
