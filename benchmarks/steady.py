"""A cast of real voices, and the clips that conversations are composed of to measure steadiness on.

Twelve voices of five sources are the cast. Of each one's sessions, in the order of their names, the
first, third, fifth, ... are for training, the second, sixth, ... for every choice (temperature,
sureness, settings), and the fourth, eighth, ... for the figures alone. Of the people whom the cast
does not know, the strangers, one half is for choosing and the other for the figures; of music and
noise, files are for training, choosing and the figures by turns as the sessions are.

``python benchmarks/steady.py`` makes ``build/steady``: ``clips`` and ``beds``, as `kikiwake build`
and `kikiwake compose` take them, and ``twelve.cast``. Stopped, it goes on where it was.
"""

import os
import subprocess
import sys
from pathlib import Path

import voices

WORK = Path("build/steady")
CLIPS = WORK / "clips"
BEDS = WORK / "beds"
CAST = WORK / "twelve.cast"
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


def make_cast() -> Path:
    """Make the cast with the commands of the workshop, as anyone would."""
    if CAST.exists():
        return CAST
    both = WORK / "sorted"  # to train on, and to choose by
    known = {who.replace("/", " ") for who in VOICES}
    for part in dict.fromkeys(PARTS[:2]):
        for actor in sorted((CLIPS / part).glob("*/*")):
            to = both / f"{part} {actor.parent.name}" / actor.name
            if actor.name in known and not to.exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                os.symlink(actor.resolve(), to)
    recordings = sorted(folder.name for folder in both.glob("choose *"))
    validate = [word for name in recordings for word in ("--validate-on", name)]
    beds = ["--background", str(BEDS / TRAINED)]
    _run("build", both, "--to", WORK / "patches", *beds, *validate)
    _run("train", WORK / "patches", "--to", WORK / "training")
    _run("quantize", WORK / "training", WORK / "patches", "--to", CAST, "--name", "twelve")
    return CAST


def _run(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "kikiwake", *map(str, arguments)], check=True)


if __name__ == "__main__":
    lay_out()
    print(make_cast())
