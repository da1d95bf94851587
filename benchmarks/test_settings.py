"""What the settings of the gate do on scenes of the starter cast; smoothing is in test_steady."""

import itertools

import msgspec
import numpy as np
import pytest
import scenes

from kikiwake.engine import pipeline
from kikiwake.engine.config import Settings
from kikiwake.engine.smoothing import PosteriorSmoother
from kikiwake.models.cast import load_cast
from kikiwake.tools.score import score

CAST = load_cast("starter")
NAMES = [character.name for character in CAST.card.characters]
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.001)


class Recorder(PosteriorSmoother):
    """Keeps what the smoother is given, patch by patch."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.given = []

    def update(self, posterior, *, elapsed_ms, weight=1.0):
        self.given.append((posterior.copy(), elapsed_ms, weight))
        return super().update(posterior, elapsed_ms=elapsed_ms, weight=weight)

    def silence(self, elapsed_ms, posterior=None):
        self.given.append((None, elapsed_ms, 0.0))
        super().silence(elapsed_ms, posterior)


def test_partial_patches(report, monkeypatch):
    """How good the network is at the beginning of a turn, and what it brings to wait."""
    monkeypatch.setattr(pipeline, "PosteriorSmoother", Recorder)
    heard = []  # of each hop within a turn: share of speech, right, wrongly taken for background
    for seed in scenes.CHOICE_SEEDS:
        y, rate, truth = scenes.compose(seed)
        p = pipeline.Pipeline(CAST, Settings(), sample_rate=rate, channels=1)
        results = p.process(y) + p.finish()
        for (posterior, _, share), result in zip(p._smoother.given, results, strict=True):
            speakers = {turn.name for turn in truth if turn.start <= result.time < turn.end}
            if posterior is not None and len(speakers) == 1:
                best = int(posterior.argmax())
                background = best >= len(NAMES)
                heard.append((share, not background and NAMES[best] in speakers, background))
    lines = ["share of speech in the patch: patches, network right at once, taken for background"]
    share, at_once, background = np.array(heard).T
    for low, high in itertools.pairwise(SHARES):
        of = (share >= low) & (share < high)
        if of.any():
            lines.append(
                f"{100 * low:3.0f} to {100 * min(high, 1):3.0f} %: {of.sum():6d}  "
                f"{100 * at_once[of].mean():5.1f} %  {100 * background[of].mean():5.1f} %"
            )
    lines.append("minimum share: as shown on the same scenes")
    monkeypatch.undo()
    for minimum_share in (0.0, 0.12, 0.2, 0.3, 0.4, 0.6, 0.8):
        gate = msgspec.structs.replace(Settings().gate, minimum_share=minimum_share)
        found, delays = [], []
        for seed in list(scenes.CHOICE_SEEDS)[:8]:
            y, rate, truth = scenes.compose(seed)
            p = pipeline.Pipeline(CAST, Settings(gate=gate), sample_rate=rate, channels=1)
            results = p.process(y) + p.finish()
            found.append(score(results, truth))
            for turn in truth:
                after = (result for result in results if result.time >= turn.start)
                named = (result.time for result in after if result.character == turn.name)
                delays.append(next(named, np.inf) - turn.start)
        right = 100 * np.mean([s.share(s.right_s) for s in found])
        wrong = 100 * np.mean([s.share(s.wrong_s) for s in found])
        median, late = 1e3 * np.median(delays), 1e3 * np.percentile(delays, 95)
        lines.append(
            f"{minimum_share:4.2f}: right {right:.1f} %  wrong {wrong:.1f} %  "
            f"changes while nobody spoke {sum(s.unjustified_changes for s in found)}  "
            f"right name after {median:.0f} / {late:.0f} ms (median / 95th)  "
            f"turns {sum(s.turns_shown for s in found)} of "
            f"{sum(s.turns_true for s in found)}"
        )
    report("\n".join(lines))


@pytest.mark.parametrize("aggressiveness", [0, 1, 2, 3])
@pytest.mark.parametrize("hangover_ms", [140.0, 180.0, 220.0])
def test_gate(report, aggressiveness, hangover_ms):
    gate = msgspec.structs.replace(
        Settings().gate, aggressiveness=aggressiveness, hangover_ms=hangover_ms
    )
    found = []
    for seed in list(scenes.CHOICE_SEEDS)[:8]:
        y, rate, truth = scenes.compose(seed)
        p = pipeline.Pipeline(CAST, Settings(gate=gate), sample_rate=rate, channels=1)
        found.append(score(p.process(y) + p.finish(), truth))
    report(
        f"aggressiveness {aggressiveness}, hangover {hangover_ms:.0f} ms, 8 scenes: "
        f"right {100 * np.mean([s.share(s.right_s) for s in found]):.1f} %  "
        f"changes {sum(s.unjustified_changes for s in found)}  "
        f"longest name after speech {max(s.longest_overhang_s for s in found):.2f} s"
    )
