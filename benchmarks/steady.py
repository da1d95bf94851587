"""A cast of real voices, and the clips that conversations are composed of to measure steadiness on.

Twelve voices of five sources are the cast. Of each one's sessions, in the order of their names, the
first, third, fifth, ... are for training, the second, sixth, ... for every choice (temperature,
sureness, settings), and the fourth, eighth, ... for the figures alone. Of the people whom the cast
does not know, the strangers, one half is for choosing and the other for the figures; of music and
noise, files are for training, choosing and the figures by turns as the sessions are.

``python benchmarks/steady.py`` makes ``build/steady``: ``clips`` and ``beds``, as `kikiwake build`
and `kikiwake compose` take them, ``twelve.cast``, and ``origin.cast``, of the same clips in the
origin's manner. Stopped, it goes on where it was.
"""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import voices

WORK = Path("build/steady")
CLIPS = WORK / "clips"
BEDS = WORK / "beds"
CAST = WORK / "twelve.cast"
ORIGIN_CAST = WORK / "origin.cast"
TRAINED = "train"
PARTS = (TRAINED, "choose", TRAINED, "test")  # of a speaker's sessions, in turns
VOICES = (
    "fillets_nl/big",
    "fillets_nl/small",
    "nemo/EB0",
    "nemo/KD0",
    "nemo/SM0",
    "nemo/WR0",
    "tuxpaint/bg",
    "tuxpaint/es",
    "tuxpaint/ro",
    "rhasspy/kathleen",
    "rhasspy/nathalie",
    "asterisk/allison",
)
# Strangers of the same sources, so that not the recording tells them apart, and of others.
STRANGERS = {
    "choose": (
        *("asterisk/carlo", "asterisk/ivrvoice_ru", "tuxpaint/be", "drascula/bj"),
        *("drascula/dracula_a", "drascula/igor", "drascula/john_hacker", "drascula/tavern_T"),
    ),
    "test": (
        *("asterisk/june", "rhasspy/kerstin", "tuxpaint/ru", "drascula/E"),
        *("drascula/dracula_b", "drascula/drunk_B", "drascula/von_braun", "drascula/werewolf_L"),
    ),
}


def lay_out() -> None:
    """Lay the clips out as the workshop has them; links, so that nothing is there twice."""
    sessions = voices._sessions()
    for who in VOICES:
        for number, (name, paths) in enumerate(sessions[*who.split("/")].items()):
            _link(PARTS[number % len(PARTS)], who.replace("/", " "), who, name, paths)
    for part, people in STRANGERS.items():
        for who in people:
            for name, paths in sessions[*who.split("/")].items():
                _link(part, "stranger " + who.replace("/", " "), who, name, paths)
    left_out = {path for pattern in voices._LEFT_OUT for path in voices.heard.VOICES.glob(pattern)}
    for kind in ("music", "noise"):
        files = sorted(set(voices.heard.VOICES.glob(f"{kind}/*/*")) - left_out)
        for number, path in enumerate(files):
            to = BEDS / PARTS[number % len(PARTS)] / kind / path.name
            _place(path, to)


def _link(part: str, actor: str, who: str, session: str, paths: list[Path]) -> None:
    source, speaker = who.split("/")
    for path in paths:
        _place(path, CLIPS / part / f"{source} {session}" / actor / speaker / path.name)


def _place(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    if not to.exists():
        os.symlink(path.resolve(), to)


def sort() -> Path:
    """Lay out what is trained on and what is chosen by, as sorted clips."""
    both = WORK / "sorted"
    known = {who.replace("/", " ") for who in VOICES}
    for part in dict.fromkeys(PARTS[:2]):
        for actor in sorted((CLIPS / part).glob("*/*")):
            to = both / f"{part} {actor.parent.name}" / actor.name
            if actor.name in known and not to.exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                os.symlink(actor.resolve(), to)
    return both


def make_cast() -> Path:
    """Make the cast with the commands of the workshop, as anyone would."""
    if CAST.exists():
        return CAST
    both = sort()
    recordings = sorted(folder.name for folder in both.glob("choose *"))
    validate = [word for name in recordings for word in ("--validate-on", name)]
    beds = ["--background", str(BEDS / TRAINED)]
    _run("build", both, "--to", WORK / "patches", *beds, *validate)
    _run("train", WORK / "patches", "--to", WORK / "training")
    _run("quantize", WORK / "training", WORK / "patches", "--to", CAST, "--name", "twelve")
    return CAST


def make_origin_cast() -> Path:
    """Make a cast of the same clips as the origin did: half seconds as they are, and no more.

    Cut one after the other, nothing mixed in, nothing augmented or balanced, all coefficients
    standardised by one mean and deviation, no class for nobody; Adam with the origin's rates and
    batches. The network is of our form: one of the origin's, forty times as large, would train for
    days. A hundred passes instead of its four hundred; by the fortieth the training windows are
    known by heart.
    """
    if ORIGIN_CAST.exists():
        return ORIGIN_CAST
    from kikiwake.features.mfcc import mfcc
    from kikiwake.features.settings import FeatureSettings
    from kikiwake.models.cast import Character
    from kikiwake.models.wrn import NETWORKS
    from kikiwake.tools.clips import find_clips, read_clip
    from kikiwake.tools.dataset import PARTS as SIDES
    from kikiwake.tools.dataset import ROW, SHARD, Dataset, DatasetCard, DatasetWriter
    from kikiwake.tools.quantize import quantize
    from kikiwake.tools.train import train_on
    from kikiwake.tools.training import ORIGIN

    folder = WORK / "origin-patches"
    clips = find_clips(sort())
    voices_of = sorted({clip.voice for clip in clips})
    features = FeatureSettings()
    card = DatasetCard(
        characters=tuple(Character(name, actor) for actor, name in voices_of),
        background=False,
        features=features,
        recordings=tuple(sorted({clip.recording for clip in clips})),
    )
    writer = DatasetWriter(folder, card)
    if not writer.finished:
        windows, rows = [], []
        for clip in clips:
            y = read_clip(clip.path, features.sample_rate, longest_pause_s=0.2)
            side = SIDES.index("train" if clip.recording.startswith(TRAINED) else "validation")
            for begin in range(0, len(y) - features.patch_samples + 1, features.patch_samples):
                windows.append(mfcc(y[begin : begin + features.patch_samples], features))
                recording = card.recordings.index(clip.recording)
                rows.append((voices_of.index(clip.voice), recording, -1, 0.0, side))
        table = np.array(rows, ROW)
        for shard in range(shards := -(-len(rows) // SHARD)):
            part = slice(shard * SHARD, (shard + 1) * SHARD)
            writer.write(shard, np.stack(windows[part]), table[part])
        writer.finish(shards)
    data = Dataset(folder)
    training = WORK / "origin-training"
    recipe = msgspec.structs.replace(ORIGIN, epochs=100)
    train_on(data, network=NETWORKS["medium"], recipe=recipe, folder=training)
    cast, _ = quantize(training, data, name="origin", licence="not to be passed on")
    cast.save(ORIGIN_CAST)
    return ORIGIN_CAST


def _run(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "kikiwake", *map(str, arguments)], check=True)


if __name__ == "__main__":
    lay_out()
    print(make_cast())
    print(make_origin_cast())
