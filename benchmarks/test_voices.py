"""Real people told apart, beside Resemblyzer with logistic regression on the very same windows.

What the windows are, and the peer, is in `voices`; ``python benchmarks/voices.py --baseline`` makes
the peer's figures, which are compared with here. A cast of two networks side by side is trained of
all voices, as `kikiwake build`, `kikiwake train` and `kikiwake quantize --with` do it, on patches
composed of the training sessions over training music and noise, and for each set asked which of the
set's it is: as the peer it has heard others, too. It is asked in full int8 for patches of half a
second. Of a longer window it is asked each quarter of a second (live, more often), and answers with
the mean log posterior. Patches and trainings are kept under ``build/voices``: stopped, it goes on
where it was.
"""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import voices

from kikiwake.features.mfcc import mfcc
from kikiwake.features.settings import FeatureSettings
from kikiwake.models.cast import Calibration, Cast, CastCard, Character, network_digest
from kikiwake.models.runner import CastRunner
from kikiwake.models.wrn import NETWORKS
from kikiwake.tools.build import VOICES_SHARE
from kikiwake.tools.dataset import PatchSet, VoiceSet

WORK = Path("build/voices")
PEER = Path(__file__).parent / "figures" / "voices_resemblyzer.json"
FEATURES = FeatureSettings()
PRESET, COPIES = "medium", 10
SEEDS = 0, 1
TRAINED_ON = "mixed18", "drascula"  # together all voices
HOP = voices.RATE // 4


def speakers() -> list[str]:
    """All voices, in the order of the network's outputs; background comes last."""
    return [who for name in TRAINED_ON for who in voices.load(name).speakers]


def composed(name: str) -> tuple[PatchSet, PatchSet, VoiceSet]:
    """Patches of a set to train on, some more to follow the training by, and other voices."""
    from kikiwake.tools.patches import BACKGROUND_SHARE, PatchComposer
    from kikiwake.tools.starter.background import make_background

    kept = WORK / f"patches-{name}.npz"
    if not kept.exists():
        clips = [
            [clip for session in of_one for clip in session.clips]
            for of_one in voices.load(name).train
        ]
        kinds = ("music", "noise", "effects")
        beds = [bed for kind in ("music", "noise") for bed in voices.beds(kind, "train")]
        beds = [np.tile(bed, -(-2 * voices.RATE // len(bed))) for bed in beds]
        beds += [make_background(kinds[i % 3], 8.0, np.random.default_rng(i)) for i in range(60)]
        composer = PatchComposer(clips, beds, FEATURES)
        spoken = sum(len(clip) for of_one in clips for clip in of_one) / FEATURES.patch_samples
        n = round(COPIES * spoken / (1 - BACKGROUND_SHARE))
        sets = [composer.compose(size, np.random.default_rng(i)) for i, size in ((0, n), (1, 1000))]
        arrays = {}
        for part, patches in zip(("train", "validation"), sets, strict=True):
            arrays[f"{part}_mfcc"] = patches.mfcc.astype(np.float16)
            arrays[f"{part}_label"] = patches.label
        others = composer.compose_perturbed(round(VOICES_SHARE * n), np.random.default_rng(2))
        arrays |= {"voice_mfcc": others.mfcc.astype(np.float16), "voice_vector": others.vector}
        temporary = kept.with_suffix(".part.npz")
        np.savez(temporary, **arrays)
        temporary.replace(kept)
    everybody, nobody = speakers(), len(speakers())
    number = np.array([*map(everybody.index, voices.load(name).speakers), nobody])
    with np.load(kept) as arrays:
        named = (
            PatchSet(arrays[f"{part}_mfcc"], number[arrays[f"{part}_label"]])
            for part in ("train", "validation")
        )
        return *named, VoiceSet(arrays["voice_mfcc"], arrays["voice_vector"])


def joined(sets):
    kind = type(sets[0])
    return kind(
        *(
            np.concatenate([getattr(one, field.name) for one in sets])
            for field in dataclasses.fields(kind)
        )
    )


def make_cast() -> Cast:
    from kikiwake.tools import quantize, train, training

    patches, validation, others = map(joined, zip(*map(composed, TRAINED_ON), strict=True))

    def tell(card, done):
        if done == 0:
            print(card.seed, len(card.epochs), card.epochs[-1], flush=True)

    members = [
        train.train(
            patches,
            validation,
            voices=others,
            network=NETWORKS[PRESET],
            recipe=training.recipe_for(PRESET, len(patches)),
            n_classes=len(speakers()) + 1,
            folder=WORK / f"training-all-{seed}",
            seed=seed,
            tell=tell,
        )
        for seed in SEEDS
    ]
    trained = members[0]
    network = quantize.to_int8(
        quantize.side_by_side([member.model() for member in members]),
        trained.standardised(patches.mfcc[::100]),
    )
    return Cast(
        CastCard(
            format="kikiwake-cast",
            version=1,
            name="voices",
            characters=tuple(Character(who, who.split("/")[0]) for who in speakers()),
            background=True,
            features=FEATURES,
            mean=trained.card.mean,
            std=trained.card.std,
            calibration=Calibration(),
            network_sha256=network_digest(network),
            trained_on="voices",
            licence="not to be passed on",
        ),
        network,
    )


def figures_of(cast: Cast, name: str) -> dict[str, dict[str, dict[str, float]]]:
    runner, voice_set = CastRunner(cast), voices.load(name)
    asked = np.array([*map(speakers().index, voice_set.speakers)])
    out: dict[str, dict[str, dict[str, float]]] = {}
    for condition in voices.CONDITIONS:
        out[condition] = {}
        for seconds in voices.SECONDS:
            cut = voices.windows(voice_set, "test", seconds, condition)
            parts = np.lib.stride_tricks.sliding_window_view(
                cut.audio, FEATURES.patch_samples, axis=1
            )[:, ::HOP].reshape(-1, FEATURES.patch_samples)
            logits = np.stack([runner.logits(mfcc(part, FEATURES)) for part in parts])
            logits = logits[:, asked].astype(np.float64)
            top = logits.max(axis=1, keepdims=True)
            likely = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
            mean = likely.reshape(len(cut.audio), -1, likely.shape[1]).mean(axis=1)
            right = mean.argmax(axis=1) == cut.label
            macro = [right[cut.label == label].mean() for label in np.unique(cut.label)]
            out[condition][f"{seconds:g}"] = {
                "top1": round(100 * float(right.mean()), 2),
                "macro": round(100 * float(np.mean(macro)), 2),
                "n": len(right),
            }
    return out


def test_voices(report):
    pytest.importorskip("tensorflow")
    try:
        voices.load("nemo")
    except FileNotFoundError as error:
        pytest.skip(str(error))
    peer = json.loads(PEER.read_text())["figures"]
    found, cast = {}, make_cast()
    table = ["top-1 in %, ours / Resemblyzer with logistic regression (the better of its two)"]
    for name in voices.SETS:
        found[name] = figures_of(cast, name)
        for condition, by_seconds in found[name].items():
            row = f"{name:10} {condition:12}"
            for seconds, ours in by_seconds.items():
                theirs = max(kind[name][condition][seconds]["top1"] for kind in peer.values())
                row += f"  {seconds} s {ours['top1']:5.1f} / {theirs:5.1f}"
            table.append(row)
        print("\n".join(table), flush=True)
    report("\n".join(table), "voices", found)
