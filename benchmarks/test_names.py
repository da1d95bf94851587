"""How much is named right, as shown live: the demo, and scenes that nothing was chosen on.

The scenes have the demo's form, with other voices, sentences, pauses and music. They are composed
from the validation speech that `python -m kikiwake.tools.starter` synthesizes; without it only
the demo is scored.
"""

from pathlib import Path

import numpy as np
import pytest

from kikiwake.engine.config import Settings
from kikiwake.engine.pipeline import Pipeline
from kikiwake.engine.recognizer import recognize_file
from kikiwake.models.cast import load_cast
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools.score import Score, read_rttm, score

SPEECH = Path("build/starter/speech/validation")
SCENES = 20


def line(name: str, scored: Score) -> str:
    right, wrong, missed = (
        100 * scored.share(seconds) for seconds in (scored.right_s, scored.wrong_s, scored.missed_s)
    )
    return (
        f"{name:12} speech {scored.speech_s:6.1f} s  right {right:5.1f} %  wrong {wrong:4.1f} %  "
        f"missed {missed:4.1f} %  changes while nobody spoke {scored.unjustified_changes}  "
        f"longest name after speech {scored.longest_overhang_s:.2f} s  "
        f"turns {scored.turns_shown} of {scored.turns_true}"
    )


def test_demo(report):
    scored = score(recognize_file(DEMO, "starter", Settings()), read_rttm(DEMO_TRUTH))
    report(line("demo", scored))
    assert scored.share(scored.right_s) >= 0.95


def test_unseen_scenes(report):
    if not SPEECH.exists():
        pytest.skip(f"{SPEECH} is not there: python -m kikiwake.tools.starter makes it")
    scene = pytest.importorskip("kikiwake.tools.starter.scene")
    cast = load_cast("starter")
    lines, rights = [], []
    for seed in range(1, SCENES + 1):
        rng = np.random.default_rng(seed)
        voices = sorted(folder.name for folder in SPEECH.iterdir())
        turns: list[tuple[str, list[Path]]] = []
        while len(turns) < 10:
            voice = str(rng.choice(voices))
            if not turns or voice != turns[-1][0]:
                clips = sorted((SPEECH / voice).glob("*.flac"))
                chosen = rng.choice(len(clips), int(rng.integers(1, 3)), replace=False)
                turns.append((voice, [clips[i] for i in chosen]))
        y, truth = scene.compose_scene(turns, seed)
        pipeline = Pipeline(cast, Settings(), sample_rate=scene.DEMO_RATE, channels=1)
        scored = score(pipeline.process(y) + pipeline.finish(), truth)
        rights.append(scored.share(scored.right_s))
        lines.append(line(f"scene {seed}", scored))
    mean = f"{SCENES} scenes: right {100 * np.mean(rights):.1f} % (worst {100 * min(rights):.1f} %)"
    report("\n".join([*lines, mean]))
    assert np.mean(rights) > 0.9
