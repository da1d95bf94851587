"""From a recording of a show to a cast that names its next episode: how long it takes.

Eight real voices in turns, 24 minutes to make the cast of, and five more of other clips to try it
on, live as it were. The sorting is done by a simulated user (see `test_sorting`) whose keys are
counted; listening to the clips, a second or two each, is what takes a person an evening.
"""

import itertools
import subprocess
import sys
import time

import pytest
import soundfile
from heard import RATE, VOICES
from test_sorting import EIGHT, MINUTES, compose, sort_all, who_speaks

from kikiwake import recognize_file
from kikiwake.tools.score import Segment, score
from kikiwake.tools.sort import Session

NEXT_MINUTES = 5


@pytest.mark.skipif(not VOICES.exists(), reason=f"needs the real voices, {VOICES}")
def test_evening(report, tmp_path):
    pytest.importorskip("tensorflow")
    y, turns = compose(EIGHT, 60 * (MINUTES + NEXT_MINUTES), seed=200)
    # Between two turns.
    end_s = next(a.end for a, b in itertools.pairwise(turns) if b.end > 60 * MINUTES)
    cut = round((end_s + 0.1) * RATE)
    soundfile.write(tmp_path / "episode1.flac", y[:cut], RATE)
    soundfile.write(tmp_path / "episode2.flac", y[cut:], RATE)
    took = {}

    def run(*arguments):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "kikiwake", *arguments], check=True, cwd=tmp_path)
        took[arguments[0]] = time.perf_counter() - began

    run("split", "episode1.flac")
    began = time.perf_counter()
    truth = who_speaks(tmp_path / "clips" / "episode1", turns)
    with Session(tmp_path / "clips") as session:
        session.listen()
        done = sort_all(session, truth)
    took["sort"] = time.perf_counter() - began
    run("build", "clips")
    run("train", "patches")
    run("quantize", "training", "patches", "--to", "show.cast")
    run("evaluate", "show.cast", "patches", "--to", "report")

    rest = [Segment(t.start - cut / RATE, t.end - cut / RATE, t.name) for t in turns]
    rest = [Segment(t.start, t.end, t.name.split("/")[1]) for t in rest if t.end > 0]
    results = recognize_file(tmp_path / "episode2.flac", tmp_path / "show.cast")
    found = score(results, rest)
    figures = {
        "took_s": took,
        "clips": done.clips,
        "keys": done.keys,
        "right": found.share(found.right_s),
        "wrong": found.share(found.wrong_s),
        "missed": found.share(found.missed_s),
        "turns_shown": found.turns_shown,
        "turns_true": found.turns_true,
    }
    report(
        f"{cut / RATE / 60:.1f} minutes, {len(EIGHT)} voices: "
        + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in took.items())
        + f"; {sum(took.values()) / 60:.1f} minutes in all\n"
        f"{done.keys} keys for {done.clips} clips\n"
        f"the next {len(y[cut:]) / RATE / 60:.1f} minutes: {found.share(found.right_s):.1%} of the "
        f"speech named right, {found.share(found.wrong_s):.1%} wrong, "
        f"{found.share(found.missed_s):.1%} missed; {found.turns_shown} turns for "
        f"{found.turns_true}",
        "evening",
        figures,
    )
