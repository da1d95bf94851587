"""How much is named right, as shown live: the demo, and scenes made after the settings were."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import scenes
import soundfile
import soxr

from kikiwake.engine.config import Settings
from kikiwake.engine.pipeline import Pipeline
from kikiwake.engine.recognizer import recognize_file
from kikiwake.engine.result import Result, turns
from kikiwake.models.cast import load_cast
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools.score import Score, read_rttm, score

CAST = load_cast("starter")
RATES = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)
# Sound that the cast has never heard, and whose speakers it does not know.
OTHERS = Path("../shared/data/voices")
OTHERS_FILES = 60


def recognize(y: np.ndarray, rate: int, settings: Settings) -> list[Result]:
    pipeline = Pipeline(CAST, settings, sample_rate=rate, channels=1)
    return pipeline.process(y) + pipeline.finish()


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
    scored = score(recognize_file(DEMO, CAST, Settings()), read_rttm(DEMO_TRUTH))
    report(line("demo", scored))
    assert scored.share(scored.right_s) >= 0.95


def test_scenes(report):
    scored = []
    for seed in scenes.REPORT_SEEDS:
        y, rate, truth = scenes.compose(seed)
        scored.append(score(recognize(y, rate, Settings()), truth))
    lines = [line(f"scene {seed}", s) for seed, s in zip(scenes.REPORT_SEEDS, scored, strict=True)]
    shares = np.array([[s.share(x) for x in (s.right_s, s.wrong_s, s.missed_s)] for s in scored])
    right, wrong, missed = 100 * shares.mean(axis=0)
    lines.append(
        f"mean of {len(scored)}: right {right:.1f} % (worst {100 * shares[:, 0].min():.1f} %)  "
        f"wrong {wrong:.1f} %  missed {missed:.1f} %  "
        f"changes {sum(s.unjustified_changes for s in scored)}  "
        f"longest name after speech {max(s.longest_overhang_s for s in scored):.2f} s  "
        f"turns {sum(s.turns_shown for s in scored)} of {sum(s.turns_true for s in scored)}"
    )
    report("\n".join(lines))
    assert right > 90


def test_sampling_rates(report):
    y, rate = soundfile.read(DEMO, dtype="float32")
    truth = read_rttm(DEMO_TRUTH)
    lines = []
    for other in RATES:
        scored = score(recognize(soxr.resample(y, rate, other), other, Settings()), truth)
        lines.append(line(f"{other} Hz", scored))
        assert scored.share(scored.right_s) > 0.85
    report("\n".join(["the demo at other sampling rates", *lines]))


@pytest.mark.parametrize("hop_ms", [100, 50, 25])
def test_shifts_against_the_hop_grid(report, hop_ms):
    """The same sound, begun a little later each time: how far do the boundaries of turns move."""
    y, rate = soundfile.read(DEMO, dtype="float32")
    found = []
    for shift in range(0, 5_000, 400):
        late = np.concatenate([np.zeros(shift, np.float32), y])
        begun_s = shift / rate
        results = recognize(late, rate, Settings(hop_ms=hop_ms))
        found.append(turns(msgspec.structs.replace(r, time=r.time - begun_s) for r in results))
    names = [[turn.character for turn in each] for each in found]
    alike = [each for each, n in zip(found, names, strict=True) if n == names[0]]
    ends = np.array([[(turn.start, turn.end) for turn in each] for each in alike])
    spread = np.sort(np.ptp(ends, axis=0).ravel())[::-1]
    report(
        f"hop {hop_ms} ms, {len(found)} shifts: same turns in {len(alike)}; boundaries move by at "
        f"most {spread[0]:.2f} s, then {spread[1]:.2f} and {spread[2]:.2f}, median "
        f"{np.median(spread):.2f}"
    )


@pytest.mark.parametrize("kind", ["music", "noise", "rhasspy", "fillets_nl"])
def test_whom_it_does_not_know(report, kind):
    files = sorted((OTHERS / kind).glob("*/*"))
    if not files:
        pytest.skip(f"{OTHERS / kind} is not there")
    chosen = np.random.default_rng(0).permutation(len(files))[:OTHERS_FILES]
    heard = shown = 0.0
    names = 0
    for index in sorted(chosen):
        results = list(recognize_file(files[index], CAST, Settings()))
        found = turns(results)
        heard += results[-1].time if results else 0.0
        shown += sum(turn.end - turn.start for turn in found)
        names += len(found)
    report(
        f"{kind}: {len(chosen)} files, {heard / 60:.1f} min, "
        f"a name shown {100 * shown / heard:.1f} % of the time, "
        f"{names / heard * 3600:.0f} turns an hour; all of them wrong"
    )
