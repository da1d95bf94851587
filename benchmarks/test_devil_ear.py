"""How well the origin's own windows are named, after training by our recipe and in full int8.

A cast of two networks side by side (`kikiwake quantize --with`), for three pairs of seeds and both
splits: twelve trainings, of about three minutes each on two idle cores, kept under
``build/devil_ear``: stopped, it goes on where it was. Nothing was chosen on the windows validated
on here (``README.md`` names the one exception), and no epoch is: the last one's weights are taken.
The recipe was chosen on the last fifth of the windows that the block split trains on, and that
there are two networks, and how large, in `inner_split`.
"""

import time
from pathlib import Path

import msgspec
import numpy as np
import pytest

from kikiwake.models.wrn import NETWORKS, NetworkSettings
from kikiwake.tools.dataset import Dataset
from kikiwake.tools.devil_ear import import_devil_ear
from kikiwake.tools.evaluate import ask, measure

WINDOWS = Path("../shared/data/devil-ear")
WORK = Path("build/devil_ear")
NETWORK = NetworkSettings(width=9, units=4)  # of which two stay below 1.5 MB
SEEDS = ((0, 1), (2, 3), (4, 5))
SPLITS = {"origin": "random", "block": "block"}
PASSES_SEEDS = 0, 1  # one from the other differs by a point or two


def figures_of(split: str, seeds: tuple[int, ...]) -> dict[str, object]:
    from kikiwake.tools import quantize, train, training

    patches = WORK / split
    if not (patches / "patches.json").exists():
        import_devil_ear(WINDOWS, patches, split)
    data = Dataset(patches)
    folders = [WORK / f"{split}-{seed}" for seed in seeds]
    recipe = training.recipe_for("medium", len(data.part("train")))
    for seed, folder in zip(seeds, folders, strict=True):

        def tell(card, done, seed=seed):
            if done == 0:
                print(split, seed, len(card.epochs), card.epochs[-1], flush=True)

        train.train_on(data, network=NETWORK, recipe=recipe, folder=folder, seed=seed, tell=tell)
    first, *others = folders
    cast, report = quantize.quantize(
        first, data, others=others, name=split, licence="not to be passed on"
    )
    figures = measure(ask(cast, data, "validation"), cast.network, split, "validation")
    return {
        "float_top1": report.float_top1,
        "int8_top1": report.int8_top1,
        "fine_tuned": report.fine_tuned,
        "network_bytes": report.network_bytes,
        "calibration_error": figures.calibration_error,
        "actors": figures.actors.top1,
        "heard": {h.seconds: {"top1": h.top1, "macro": h.macro_recall} for h in figures.heard},
    }


def inner_split(data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Split what the random split trains on: up to twelve of each character are asked for."""
    numbers = data.part("train")
    label = np.asarray(data.rows[numbers]["label"])
    rng = np.random.default_rng(77)
    asked = []
    for character in np.unique(label):
        its = np.flatnonzero(label == character)
        asked += [*rng.choice(its, min(12, len(its) // 8), replace=False)]
    asked = np.sort(asked)
    return numbers[np.setdiff1d(np.arange(len(numbers)), asked)], numbers[asked]


def test_passes(report):
    """How much twice the passes over 8,000 patches bring, in a split that no figure is given of."""
    pytest.importorskip("tensorflow")
    if not WINDOWS.exists():
        pytest.skip(f"{WINDOWS} is not there")
    from kikiwake.tools import batches, train, training

    patches = WORK / "origin"
    if not (patches / "patches.json").exists():
        import_devil_ear(WINDOWS, patches, "origin")
    data = Dataset(patches)
    learnt, asked = inner_split(data)
    usual = training.recipe_for("medium", len(learnt))
    found: dict[int, list[float]] = {}
    for passes in (usual.epochs, 2 * usual.epochs):
        for seed in PASSES_SEEDS:
            begun = time.monotonic()
            trained = train.train(
                data.patches(learnt),
                data.patches(asked),
                network=NETWORKS["medium"],
                recipe=msgspec.structs.replace(usual, epochs=passes),
                n_classes=data.card.n_classes,
                folder=WORK / f"passes-{passes}-{seed}",
                names=train.names_of(data),
                following=batches.following_patches(data.rows[learnt], data.card.features.patch_s),
                beds=lambda: train.make_beds(data.card.features, 0),
                seed=seed,
            )
            found.setdefault(passes, []).append(trained.card.epochs[-1].validation_top1)
            print(passes, seed, found[passes][-1], f"{time.monotonic() - begun:.0f} s", flush=True)
    report(
        f"{len(learnt)} patches trained on, {len(asked)} asked for, right in %, of each seed: "
        + "; ".join(
            f"{passes} passes {', '.join(f'{100 * one:.1f}' for one in shares)}, mean "
            f"{100 * np.mean(shares):.1f}"
            for passes, shares in found.items()
        ),
        "devil_ear_passes",
        found,
    )


def test_devil_ear(report):
    pytest.importorskip("tensorflow")
    if not WINDOWS.exists():
        pytest.skip(f"{WINDOWS} is not there")
    found = {split: [figures_of(split, seeds) for seeds in SEEDS] for split in SPLITS}
    table = ["int8, % right, mean and spread (lowest to highest) of three pairs of seeds"]
    for split, seeds in found.items():
        for seconds in seeds[0]["heard"]:
            if split == "origin" and seconds > 0.5:  # neighbours of its windows are trained on
                continue
            for kind in ("top1", "macro"):
                shares = [100 * one["heard"][seconds][kind] for one in seeds]
                table.append(
                    f"{SPLITS[split]:7} {seconds:3g} s {kind:5} {np.mean(shares):5.1f} "
                    f"({min(shares):.1f} to {max(shares):.1f})"
                )
        lost = [100 * (one["float_top1"] - one["int8_top1"]) for one in seeds]
        table.append(f"{SPLITS[split]:7} lost by int8, points: {max(lost):.2f} at most")
    table.append(f"{found['block'][0]['network_bytes'] / 1e6:.2f} MB")
    report("\n".join(table), "devil_ear", found)
    for seeds in found.values():
        for one in seeds:
            assert one["float_top1"] - one["int8_top1"] < 0.005
            assert one["network_bytes"] < 1_500_000
