"""What training with partial patches brings at the beginning of a turn, on recorded voices.

Two tiny networks are trained for some minutes each on the same clips of 18 people, once as the
starter cast is (a third of the patches hold only the first moments of a turn), once without. The
clips they are asked for are from other sessions. Neither is a good network; their difference is
what is looked at.
"""

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kikiwake.features.mfcc import mfcc
from kikiwake.features.settings import FeatureSettings
from kikiwake.models.wrn import NETWORKS
from kikiwake.tools.clips import resample
from kikiwake.tools.patches import Origin, PatchComposer

VOICES = Path("../shared/data/voices")
SOURCES = ("fillets_nl", "tuxpaint", "rhasspy", "asterisk", "nemo")
CLIPS = 40  # of each speaker and side
PATCHES, EPOCHS = 12_000, 6
HEARD_MS = (60, 120, 180, 240, 300, 400, 500)
FEATURES = FeatureSettings()
RATE = FEATURES.sample_rate


class WholeComposer(PatchComposer):
    """As the other, but every turn has been heard for as long as the patch, if it lasts so long."""

    def _somebody(self, label, rng):
        for _ in range(20):
            number, clip = self._clip(label, rng)
            if len(clip) > self._patch:
                break
        start = int(rng.integers(max(1, len(clip) - self._patch)))
        voice = np.zeros(self._patch, np.float32)
        cut = clip[start : start + self._patch]
        voice[-len(cut) :] = cut
        if rng.random() < 0.55:
            voice = over_a_bed(voice, self._bed(rng), rng.uniform(0, 25), rng)
        return voice, Origin(number, start)


def over_a_bed(voice, bed, snr_db, rng):
    start = int(rng.integers(len(bed) - len(voice) + 1))
    bed = bed[start : start + len(voice)]
    ratio = np.mean(voice[voice != 0] ** 2) / max(np.mean(bed**2), 1e-12)
    return voice + bed * np.float32(np.sqrt(ratio * 10 ** (-snr_db / 10)))


def read(path):
    """Read a clip from its first to its last moment of speech, evened in loudness."""
    y, rate = soundfile.read(path, dtype="float32", always_2d=True)
    y = resample(np.ascontiguousarray(y[:, 0]), rate, RATE)
    frame = RATE // 100
    power = (y[: len(y) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)
    heard = np.flatnonzero(power > power.max() * 10**-3.5)
    y = y[heard[0] * frame : (heard[-1] + 1) * frame]
    return (y * (0.07 / max(np.sqrt(np.mean(y**2)), 1e-6))).astype(np.float32)


@pytest.fixture(scope="module")
def clips():
    """For each speaker the clips of even sessions, and those of odd ones."""
    if not VOICES.exists():
        pytest.skip(f"{VOICES} is not there")
    sessions = defaultdict(lambda: defaultdict(list))
    with open(VOICES / "manifest.csv", encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row["source"] in SOURCES and 0.6 < float(row["seconds"]) < 15:
                speaker = row["source"], row["speaker"]
                sessions[speaker][row["session"]].append(VOICES / row["path"])
    rng = np.random.default_rng(0)
    sides = []
    for side in (0, 1):
        of_side = []
        for speaker in sorted(sessions):
            names = sorted(sessions[speaker])[side::2]
            paths = [path for name in names for path in sorted(sessions[speaker][name])]
            of_side.append([read(path) for path in rng.permutation(paths)[:CLIPS]])
        sides.append(of_side)
    return sides


def beginnings(clips, heard_ms, rng):
    """Patches that end so long after the beginning of a clip, and whose they are."""
    patches, labels = [], []
    for label, of_speaker in enumerate(clips):
        for clip in of_speaker:
            n = heard_ms * RATE // 1000
            y = rng.standard_normal(FEATURES.patch_samples, np.float32) * np.float32(10**-3.5)
            if len(clip) >= n:
                y[-n:] += clip[:n]
                patches.append(mfcc(y, FEATURES))
                labels.append(label)
    return np.stack(patches), np.array(labels)


def test_partial_patches(report, clips, tmp_path):
    pytest.importorskip("tensorflow")
    from kikiwake.tools import train, training
    from kikiwake.tools.starter.background import make_background

    kinds = ("music", "noise", "effects")
    beds = [make_background(kinds[i % 3], 8.0, np.random.default_rng(i)) for i in range(60)]
    of_train, of_test = clips
    right = {}
    for name, composer in (("with", PatchComposer), ("without", WholeComposer)):
        made = composer(of_train, beds, FEATURES)
        patches = made.compose(PATCHES, np.random.default_rng(1))
        trained = train.train(
            patches,
            made.compose(1000, np.random.default_rng(2)),
            network=NETWORKS["tiny"],
            recipe=training.Recipe(epochs=EPOCHS),
            n_classes=made.n_classes,
            folder=tmp_path / name,
        )
        model = trained.model()
        right[name] = []
        for heard_ms in HEARD_MS:
            asked, label = beginnings(of_test, heard_ms, np.random.default_rng(3))
            logits = model.predict(trained.standardised(asked), batch_size=256, verbose=0)
            right[name].append(round(100 * float((logits.argmax(axis=1) == label).mean()), 1))
    table = [
        f"{len(of_test)} people, other sessions than trained on, top-1 of one patch in %",
        "speech heard, ms  " + "".join(f"{ms:7}" for ms in HEARD_MS),
    ]
    table += [
        f"{name + ' partial':18}" + "".join(f"{share:7}" for share in shares)
        for name, shares in right.items()
    ]
    report("\n".join(table), "partial_patches", {"heard_ms": HEARD_MS, **right})
    assert right["with"][1] > right["without"][1]
