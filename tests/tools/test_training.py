"""From patches to an int8 cast, small: train, go on, quantize, run, calibrate."""

import msgspec
import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="training needs kikiwake[train]")

from kikiwake.features.settings import FeatureSettings
from kikiwake.models.cast import Calibration, Cast, CastCard, Character, load_cast, network_digest
from kikiwake.models.runner import CastRunner, load_interpreter
from kikiwake.models.wrn import NETWORKS
from kikiwake.tools import train as work
from kikiwake.tools import training
from kikiwake.tools.batches import following_patches
from kikiwake.tools.dataset import ROW, PatchSet, VoiceSet
from kikiwake.tools.quantize import best_temperature, non_int8_tensors, operations, to_int8
from kikiwake.tools.training import Recipe, TrainingError

# Sixteen coefficients in sixteen frames: all of the way, at a tenth of the work.
FEATURES = FeatureSettings(n_mels=32, n_mfcc=16, patch_samples=15 * 512)
N_CLASSES = 4
RECIPE = Recipe(epochs=3, batch=20, average=0.9)


def easy_patches(n, seed):
    """Make patches that are a pattern of their class under half as much noise."""
    shape = (FEATURES.n_mfcc, FEATURES.patch_frames)
    patterns = np.random.default_rng(0).standard_normal((N_CLASSES, *shape))
    rng = np.random.default_rng((1, seed))
    label = rng.integers(N_CLASSES, size=n)
    # Coefficients as unlike in level and spread as cepstra are.
    spread = np.geomspace(100, 3, shape[0])[:, None]
    mfcc = (patterns[label] + 0.5 * rng.standard_normal((n, *shape))) * spread - 2 * spread
    return PatchSet(mfcc.astype(np.float32), label)


@pytest.fixture(scope="module")
def patches():
    return easy_patches(600, 1)


@pytest.fixture(scope="module")
def held_out():
    return easy_patches(200, 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("training")


def train(patches, held_out, folder, recipe=RECIPE, **more):
    return work.train(
        patches,
        held_out,
        network=NETWORKS["tiny"],
        recipe=recipe,
        n_classes=N_CLASSES,
        folder=folder,
        **more,
    )


@pytest.fixture(scope="module")
def model(patches, held_out, folder):
    return train(patches, held_out, folder).model()


@pytest.fixture(scope="module")
def normalisation(patches):
    return training.normalisation(patches)


@pytest.fixture(scope="module")
def float_logits(model, held_out, normalisation):
    return model.predict(training.standardise(held_out.mfcc, *normalisation), verbose=0)


@pytest.fixture(scope="module")
def network(model, patches, normalisation):
    return to_int8(model, training.standardise(patches.mfcc, *normalisation))


@pytest.fixture(scope="module")
def cast(network, normalisation):
    mean, std = normalisation
    return Cast(
        CastCard(
            format="kikiwake-cast",
            version=1,
            name="Easy",
            characters=tuple(Character(f"c{i}", "Ada") for i in range(N_CLASSES - 1)),
            background=True,
            features=FEATURES,
            mean=tuple(mean.tolist()),
            std=tuple(std.tolist()),
            calibration=Calibration(temperature=1.0),
            network_sha256=network_digest(network),
            trained_on="random numbers",
            licence="Apache-2.0",
        ),
        network,
    )


def test_normalisation(patches, normalisation):
    x = training.standardise(patches.mfcc, *normalisation)
    assert x.shape == (*patches.mfcc.shape, 1)
    assert x.dtype == np.float32
    assert x.mean(axis=(0, 2, 3)) == pytest.approx(0, abs=1e-3)
    assert x.std(axis=(0, 2, 3)) == pytest.approx(1, abs=1e-3)


def test_a_coefficient_that_never_changes_stays_finite():
    flat = PatchSet(np.full((3, 2, 4), 7, np.float32), np.zeros(3, np.int64))
    assert np.all(training.standardise(flat.mfcc, *training.normalisation(flat)) == 0)


def test_training_learns(model, float_logits, held_out):
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert model.compute_dtype == "float32"
    assert float_logits.dtype == np.float32
    assert np.mean(float_logits.argmax(axis=1) == held_out.label) > 0.9


def test_training_leaves_the_precision_as_it_was(model):
    import keras

    assert keras.mixed_precision.global_policy().name == "float32"


def test_what_a_training_leaves(model, folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "curve.png",
        "training.json",
        "weights.npz",
    ]
    card = training.read_card(folder)
    assert card.finished
    assert len(card.epochs) == RECIPE.epochs
    assert card.best == RECIPE.epochs - 1
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_finished_training_is_not_done_again(model, patches, held_out, folder):
    told = []
    again = train(patches, held_out, folder, tell=lambda *what: told.append(what)).model()
    assert not told
    for mine, wanted in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, wanted)


def easy_voices(n):
    """Make voices that a network can hear: patches are louder where their vectors say so."""
    rng = np.random.default_rng(7)
    vector = rng.random((n, 256)).astype(np.float32)
    loud = np.sign(vector[:, : FEATURES.n_mfcc] - 0.5)[:, :, None]
    noise = rng.standard_normal((n, FEATURES.n_mfcc, FEATURES.patch_frames))
    return VoiceSet((30 * loud + noise).astype(np.float32), vector)


def test_voices_are_learnt_besides_names(model, patches, held_out, tmp_path):
    voices = easy_voices(300)
    with_voices = train(patches, held_out, tmp_path / "with", voices=voices)
    assert with_voices.card.epochs[-1].validation_top1 > 0.9
    # The same network, of other weights.
    assert [w.shape for w in with_voices.weights] == [w.shape for w in model.get_weights()]
    assert not np.array_equal(with_voices.weights[0], model.get_weights()[0])
    without = msgspec.structs.replace(RECIPE, perturbed=0.0)
    alone = train(patches, held_out, tmp_path / "without", without, voices=voices)
    np.testing.assert_array_equal(alone.weights[0], model.get_weights()[0])
    with pytest.raises(TrainingError, match="holds a training with other patches or settings"):
        train(patches, held_out, tmp_path / "with", voices=easy_voices(299))
    voices.vector[2, 1] = np.nan
    with pytest.raises(TrainingError, match="hold what is no number"):
        train(patches, held_out, tmp_path / "spoilt", voices=voices)


class KilledError(Exception):
    """Stands for a process that is killed."""


@pytest.mark.parametrize("voices", [None, easy_voices(50)], ids=["alone", "with voices"])
def test_a_stopped_training_goes_on_and_ends_the_same(patches, held_out, tmp_path, voices):
    """Stopped twice, once in the middle of an epoch."""
    whole = train(patches, held_out, tmp_path / "whole", voices=voices)

    def until(epoch, done):
        def tell(card, share):
            if len(card.epochs) == epoch and share >= done:
                raise KilledError

        return tell

    for epoch, done in ((1, 0.0), (2, 0.4)):
        with pytest.raises(KilledError):
            train(patches, held_out, tmp_path / "cut", voices=voices, tell=until(epoch, done))
        assert len(training.read_card(tmp_path / "cut").epochs) == epoch
    resumed = train(patches, held_out, tmp_path / "cut", voices=voices)
    assert len(resumed.card.epochs) == RECIPE.epochs
    for mine, wanted in zip(resumed.weights, whole.weights, strict=True):
        np.testing.assert_array_equal(mine, wanted)


def test_what_was_killed_while_it_kept_its_first_epoch_begins_anew(
    model, patches, held_out, folder, tmp_path
):
    def tell(card, done):
        raise KilledError

    with pytest.raises(KilledError):
        train(patches, held_out, tmp_path, tell=tell)
    (tmp_path / "weights.npz").write_bytes((folder / "weights.npz").read_bytes())
    again = train(patches, held_out, tmp_path)
    for mine, wanted in zip(again.weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, wanted)


def test_others_are_not_gone_on_with(model, patches, held_out, folder):
    fewer = PatchSet(patches.mfcc[:300], patches.label[:300])
    with pytest.raises(TrainingError, match="holds a training with other patches or settings"):
        train(fewer, held_out, folder)
    with pytest.raises(TrainingError, match="holds a training with other patches or settings"):
        train(patches, held_out, folder, Recipe(epochs=4, batch=20))


def test_the_best_epoch_is_kept_and_the_rest_left(patches, held_out, tmp_path):
    """Labels without sense: nothing gets better for long."""
    rng = np.random.default_rng(0)
    shuffled = PatchSet(held_out.mfcc, rng.permutation(held_out.label))
    recipe = Recipe(epochs=40, batch=60, patience=2)
    card = train(patches, shuffled, tmp_path, recipe).card
    right = [epoch.validation_top1 for epoch in card.epochs]
    assert card.finished
    assert len(right) < 40
    assert card.best == int(np.argmax(right)) == len(right) - 3


def test_from_the_weights_of_another(model, patches, held_out, tmp_path):
    """One step at a rate of nothing: what it starts from is what it ends with, but for the head."""
    recipe = Recipe(epochs=1, batch=600, learning_rate=1e-9, weight_decay=0, average=0)
    more = PatchSet(patches.mfcc, patches.label)
    begun = work.train(
        more,
        held_out,
        network=NETWORKS["tiny"],
        recipe=recipe,
        n_classes=N_CLASSES + 3,
        folder=tmp_path / "more",
        start=model.get_weights(),
    )
    # Though the recipe was given whole numbers: gone on with, the card would be the same.
    assert training.text_of(begun.card) == (tmp_path / "more" / "training.json").read_bytes()
    for mine, wanted in zip(begun.weights[:1], model.get_weights()[:1], strict=True):
        np.testing.assert_allclose(mine, wanted, atol=1e-4)
    assert begun.weights[-1].shape == (N_CLASSES + 3,)
    with pytest.raises(TrainingError, match="of another form; --preset tiny has it"):
        work.train(
            more,
            held_out,
            network=NETWORKS["small"],
            recipe=recipe,
            n_classes=N_CLASSES,
            folder=tmp_path / "other",
            start=model.get_weights(),
        )


def test_a_teacher_is_believed_more_than_labels(model, patches, held_out, tmp_path):
    """Labels without sense, but one who knows better."""
    shuffled = PatchSet(patches.mfcc, np.random.default_rng(0).permutation(patches.label))
    untaught = train(shuffled, held_out, tmp_path / "untaught", Recipe(epochs=1, batch=600))
    *body, kernel, bias = model.get_weights()
    sure = [*body, 8 * kernel, 8 * bias]  # so short a training leaves it in doubt
    teacher = training.Trained(untaught.card, sure)
    # Patches as they are: on others the teacher, trained for so short a time, is often wrong.
    recipe = msgspec.structs.replace(RECIPE, epochs=12, taught=1.0, masks=0, mixup=0)
    taught = train(shuffled, held_out, tmp_path / "taught", recipe, teachers=[teacher])
    assert taught.card.epochs[-1].validation_top1 > 0.9
    assert len(taught.card.teachers) == 1
    with pytest.raises(TrainingError, match="holds a training with other patches or settings"):
        train(shuffled, held_out, tmp_path / "taught", recipe)
    with pytest.raises(TrainingError, match="a teacher was trained on other patches"):
        train(patches, held_out, tmp_path / "other", teachers=[teacher])


def test_damage_is_named(model, folder, tmp_path):
    with pytest.raises(TrainingError, match="holds no training"):
        training.read_training(tmp_path)
    for name in ("training.json", "weights.npz"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "weights.npz").write_bytes((folder / "weights.npz").read_bytes()[:-100])
    with pytest.raises(TrainingError, match=r"weights.npz: is damaged .*; remove .* train again"):
        training.read_training(tmp_path)
    card = (folder / "training.json").read_text()
    for text in ("{", card.replace('"version": 2', '"version": 1')):
        (tmp_path / "training.json").write_text(text)
        with pytest.raises(TrainingError, match=r"is damaged, or of another .* and train again"):
            training.read_training(tmp_path)


def test_without_its_state_a_training_is_not_gone_on_with(patches, held_out, tmp_path):
    def tell(card, share):
        if card.epochs:
            raise KilledError

    with pytest.raises(KilledError):
        train(patches, held_out, tmp_path, tell=tell)
    (tmp_path / "state.npz").write_bytes((tmp_path / "state.npz").read_bytes()[:5000])
    with pytest.raises(TrainingError, match=r"state.npz: is damaged .*; remove .* and train again"):
        train(patches, held_out, tmp_path)
    (tmp_path / "state.npz").unlink()
    with pytest.raises(TrainingError, match=r"its state.npz is missing; remove it and train again"):
        train(patches, held_out, tmp_path)


def test_what_is_no_number_is_told_before_anything_is_lost(patches, held_out, tmp_path):
    spoilt = PatchSet(patches.mfcc.copy(), patches.label)
    spoilt.mfcc[3, 2, 1] = np.nan
    with pytest.raises(TrainingError, match="hold what is no number"):
        train(spoilt, held_out, tmp_path)
    with pytest.raises(TrainingError, match="hold what is no number"):
        train(patches, spoilt, tmp_path)
    far = Recipe(epochs=2, batch=20, learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"the loss of epoch \d is no number"):
        train(patches, held_out, tmp_path / "far", far)


def test_what_is_no_training_is_left_alone(patches, held_out, tmp_path):
    (tmp_path / "weights.npz").write_bytes(b"mine")
    with pytest.raises(TrainingError, match="is not empty, and no training"):
        train(patches, held_out, tmp_path)
    assert (tmp_path / "weights.npz").read_bytes() == b"mine"


def test_which_patch_follows_which():
    rows = np.zeros(6, ROW)
    rows["time_s"] = [1.0, 0.0, 0.5, 0.5, 2.0, 1.5]
    rows["label"] = [0, 0, 0, 1, 0, 0]
    rows["clip"] = [0, 0, 0, 0, 0, 1]
    assert following_patches(rows, 0.5).tolist() == [-1, 2, 0, -1, -1, -1]
    assert len(following_patches(rows[:0], 0.5)) == 0


def test_int8_and_nothing_else(network):
    assert non_int8_tensors(network) == []
    interpreter = load_interpreter(network)
    details = interpreter.get_tensor_details()
    assert {np.dtype(tensor["dtype"]).name for tensor in details if tensor["name"]} == {
        "int8",
        "int32",
    }
    (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert source["dtype"] == sink["dtype"] == np.int8
    assert len(network) < 300_000


def test_only_builtin_operations(network):
    counts = operations(network)
    assert counts["CONV_2D"] == 6
    assert counts["FULLY_CONNECTED"] == 1
    assert set(counts) <= {
        "ADD",
        "AVERAGE_POOL_2D",
        "CONCATENATION",
        "CONV_2D",
        "FULLY_CONNECTED",
        "MEAN",
        "PAD",
        "REDUCE_MAX",
    }
    assert b"Flex" not in network


def test_runner_agrees_with_the_float_network(cast, held_out, float_logits, tmp_path):
    cast.save(tmp_path / "easy.cast")
    runner = CastRunner(load_cast(tmp_path / "easy.cast"))
    logits = np.stack([runner.logits(patch) for patch in held_out.mfcc])
    assert np.mean(logits.argmax(axis=1) == float_logits.argmax(axis=1)) >= 0.95
    span = float_logits.max() - float_logits.min()
    assert np.abs(logits - float_logits).mean() < 0.03 * span
    posterior = runner.posterior(held_out.mfcc[0])
    assert posterior.sum() == pytest.approx(1, abs=1e-5)
    wanted = np.exp(logits[0] - logits[0].max())
    assert posterior == pytest.approx(wanted / wanted.sum(), abs=1e-5)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_best_temperature_finds_the_one_that_was_put_in(temperature):
    rng = np.random.default_rng(0)
    honest = 2 * rng.standard_normal((20_000, 5))
    probability = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    drawn = rng.random((len(honest), 1))
    label = np.minimum((probability.cumsum(axis=1) < drawn).sum(axis=1), 4)
    found = best_temperature((honest * temperature).astype(np.float32), label)
    assert found == pytest.approx(temperature, rel=0.05)


def test_best_temperature_stays_in_its_range():
    sure = np.eye(3, dtype=np.float32)[np.arange(300) % 3]
    label = np.arange(300) % 3
    assert best_temperature(sure, label) == pytest.approx(0.2, rel=0.01)
    assert best_temperature(sure, (label + 1) % 3) == pytest.approx(5, rel=0.01)
