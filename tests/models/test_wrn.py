"""The network has the form and size of the origin's."""

from collections import Counter

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="building the network needs kikiwake[train]")

from kikiwake.models.wrn import NETWORKS, NetworkSettings, build_wrn

PATCH = {"n_coefficients": 44, "n_frames": 44, "n_classes": 32}


@pytest.fixture(scope="module")
def origin():
    return build_wrn(NETWORKS["origin"], **PATCH)


def kinds(model):
    """Types of the operations in order; `model.layers` would leave out the padding."""
    return [type(operation).__name__ for operation in model.operations]


def test_origin_has_the_size_of_the_origin(origin):
    convolutions = 9 * 16 + 9 * 8 * (160**2 + 320**2 + 640**2)
    normalisations = 4 * 3 * 4 * (160 + 320 + 640)
    dense = (640 + 1) * 256 + (256 + 1) * 32
    assert origin.count_params() == convolutions + normalisations + dense == 38_933_424
    assert origin.input_shape == (None, 44, 44, 1)
    assert origin.output_shape == (None, 32)


def test_origin_has_the_form_of_the_origin(origin):
    """Three blocks of four units, each BN-conv-BN-ReLU-conv-BN around an identity."""
    n_units = 3 * 4
    assert Counter(kinds(origin)) == {
        "InputLayer": 1,
        "Conv2D": 1 + 2 * n_units,
        "BatchNormalization": 3 * n_units,
        "ReLU": n_units,
        "Add": n_units,
        "Pad": 3,  # 16 to 160 to 320 to 640 channels
        "AveragePooling2D": 2,
        "GlobalAveragePooling2D": 1,
        "Dense": 2,
    }
    convolutions = [layer for layer in origin.layers if type(layer).__name__ == "Conv2D"]
    widths = [layer.filters for layer in convolutions]
    assert widths == [16] + [160] * 8 + [320] * 8 + [640] * 8
    for layer in convolutions:
        assert layer.kernel_size == (3, 3)
        assert layer.padding == "same"
        assert not layer.use_bias
    hidden, logits = (layer for layer in origin.layers if type(layer).__name__ == "Dense")
    assert (hidden.units, logits.units) == (256, 32)
    # Logits: the softmax, with its temperature, is the runner's.
    assert logits.activation.__name__ == "linear"


def test_order_of_the_layers():
    unit = [
        "BatchNormalization",
        "Conv2D",
        "BatchNormalization",
        "ReLU",
        "Conv2D",
        "BatchNormalization",
        "Add",
    ]
    pooled = ["AveragePooling2D", "Pad", *unit]
    end = ["GlobalAveragePooling2D", "Dense", "Dense"]
    model = build_wrn(NetworkSettings(width=2, units=1, over="patch"), **PATCH)
    assert kinds(model) == ["InputLayer", "Conv2D", "Pad", *unit, *pooled, *pooled, *end]


def test_a_unit_is_around_an_identity():
    """With the last normalisation at zero, a unit gives what it takes."""
    import keras

    settings = NetworkSettings(width=1, units=1, over="patch")
    model = build_wrn(settings, n_coefficients=8, n_frames=8, n_classes=3)
    for layer in model.layers:
        if type(layer).__name__ == "Add":
            (taken, last) = layer.input
            last._keras_history.operation.gamma.assign(np.zeros(last.shape[-1]))
            between = keras.Model(model.input, [taken, layer.output])
            x = np.random.default_rng(0).standard_normal((2, 8, 8, 1)).astype(np.float32)
            before, after = (np.asarray(y) for y in between(x, training=False))
            np.testing.assert_array_equal(before, after)


def test_over_time():
    """Each unit conv-BN-ReLU-conv-BN around an identity: an int8 network folds the BN away."""
    unit = ["Conv2D", "BatchNormalization", "ReLU", "Conv2D", "BatchNormalization", "Add"]
    second = [*unit[:3], "SpatialDropout2D", *unit[3:]]
    begin = ["InputLayer", "ZeroPadding2D", "Conv2D", "BatchNormalization", "ReLU"]
    pools = ["GlobalAveragePooling2D", "GlobalMaxPooling2D", "Concatenate"]
    model = build_wrn(NetworkSettings(width=2, units=3), **PATCH)
    end = ["Concatenate", "Conv2D", "BatchNormalization", "ReLU", *pools, "Dropout", "Dense"]
    third = [*second, "ReLU"]
    # The second unit's ReLU comes when the third has been built: both give to what aggregates.
    found = kinds(model)
    assert found[: len(begin) + len(unit) + 1] == [*begin, *unit, "AveragePooling2D"]
    assert sorted(found[len(begin) + len(unit) + 1 : -len(end)]) == sorted([*third, *third])
    assert found[-len(end) :] == end
    first, *others, aggregate = (
        layer for layer in model.layers if type(layer).__name__ == "Conv2D"
    )
    assert (first.kernel_size, aggregate.kernel_size) == ((44, 5), (1, 1))
    assert {layer.kernel_size for layer in others} == {(1, 3)}
    assert {layer.filters for layer in (first, *others)} == {32}
    assert (aggregate.input.shape[-1], aggregate.filters) == (64, 48)


def test_over_time_of_a_single_unit():
    model = build_wrn(NetworkSettings(width=1, units=1), **PATCH)
    assert kinds(model).count("Concatenate") == 1  # of mean and maximum
    assert np.asarray(model(np.zeros((1, 44, 44, 1), np.float32))).shape == (1, PATCH["n_classes"])


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "origin"])
def test_every_preset_builds_and_runs(name):
    model = build_wrn(NETWORKS[name], n_coefficients=44, n_frames=44, n_classes=11)
    y = np.asarray(model(np.zeros((2, 44, 44, 1), np.float32), training=False))
    assert y.shape == (2, 11)
    assert np.all(np.isfinite(y))


def test_presets_grow():
    sizes = [
        build_wrn(NETWORKS[name], **PATCH).count_params()
        for name in ("tiny", "small", "medium", "large")
    ]
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("name", ["width", "units", "n_coefficients", "n_frames", "n_classes"])
def test_what_is_not_positive_is_named(name):
    values = {"width": 1, "units": 1, **PATCH, name: 0}
    settings = NetworkSettings(width=values.pop("width"), units=values.pop("units"))
    with pytest.raises(ValueError, match=f"{name}=0 must be a positive integer"):
        build_wrn(settings, **values)
