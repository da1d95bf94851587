"""The commands that make a cast from recordings, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import KikiwakeError
from .terminal import console, say

if TYPE_CHECKING:
    from .dataset import Dataset

# With less, a character is learnt badly and its figures mean little.
FEW_S = 15.0


def add_to(app: typer.Typer) -> None:
    """Give a command line the commands of the workshop."""
    app.command()(split)
    app.command()(build)
    app.command()(evaluate)


def split(
    recordings: Annotated[
        list[Path], typer.Argument(help="Sound files: WAV, FLAC, OGG, MP3.", show_default=False)
    ],
    to: Annotated[Path, typer.Option(help="Folder for the clips.")] = Path("clips"),
    by: Annotated[
        Literal["webrtc", "silero", "silence"],
        typer.Option(
            help="What to keep: what a voice detector takes for speech, or all that is no silence."
        ),
    ] = "webrtc",
    pause_ms: Annotated[
        float, typer.Option(min=0, max=5000, help="A pause of this length ends a clip.")
    ] = 200.0,
    minimum_ms: Annotated[
        float, typer.Option(min=0, max=5000, help="Speech in a clip, at least.")
    ] = 200.0,
    longest_s: Annotated[
        float, typer.Option(min=1, max=600, help="A longer clip is cut in any case.")
    ] = 20.0,
    silence_db: Annotated[
        float, typer.Option(min=-100, max=0, help="What --by silence takes for silence.")
    ] = -50.0,
    again: Annotated[
        bool, typer.Option("--again", help="Also what has been split before.")
    ] = False,
) -> None:
    """Cut recordings into clips, each with somebody speaking.

    Example: kikiwake split episode1.flac episode2.flac --to clips

    Each recording gets a folder of clips, mono FLAC, and a table of when in the recording they
    were. Stopped and started again, it goes on with the recording it was at. Of a video, make a
    sound file first: ffmpeg -i show.mkv show.flac
    """
    from rich.text import Text

    from . import split as work

    cut = work.Cut(
        by=by,
        pause_ms=pause_ms,
        minimum_ms=minimum_ms,
        longest_s=longest_s,
        silence_db=silence_db,
    )
    cut.gate()  # what is wrong with it is said before anything is done
    folders = work.clip_folders(recordings, to)
    failed = 0
    for recording, folder in folders.items():
        try:
            if work.split_before(recording, folder) is not None and not again:
                say(f"{folder}: was split before; --again does it anew")
                continue
            with console(stderr=True).status("") as status:

                def tell(done_s: float, recording: Path = recording) -> None:
                    done = f"{recording}: {done_s / 60:.0f} minutes done"
                    status.update(Text(done))

                made = work.split(recording, folder, cut, tell)
        except KikiwakeError as error:
            # One bad file among many: the others are still done.
            say(f"not done: {error}")
            failed += 1
            continue
        say(f"{folder}: {len(made.clips)} clips, {made.clips_s:.0f} of {made.recording_s:.0f} s")
        if made.bad_samples:
            say(f"{folder}: {made.bad_samples} samples were no numbers, and are silence now")
    if failed:
        raise KikiwakeError(f"{failed} of {len(folders)} recordings could not be split")


def build(
    from_devil_ear: Annotated[
        Path,
        typer.Option(help="A clone of tail-island/devil-ear, or its converted data set."),
    ],
    to: Annotated[Path, typer.Option(help="Folder for the data set.")] = Path("patches"),
    by: Annotated[
        Literal["block", "origin"],
        typer.Option(
            help="What to validate on: the last fifth of each character's windows, or the origin's "
            "own choice by chance, whose neighbours are in training."
        ),
    ] = "block",
) -> None:
    """Make a data set to train on.

    Example: kikiwake build --from-devil-ear devil-ear --to patches
    """
    from .dataset import Dataset
    from .devil_ear import import_devil_ear

    import_devil_ear(from_devil_ear, to, by)
    for line in describe_dataset(Dataset(to)):
        say(line)
    if by == "origin":
        say(
            "beware: neighbours of the windows that are validated on are trained on; figures from "
            "this split are better than the truth"
        )


def evaluate(
    cast: Annotated[str, typer.Argument(help="A cast file, or 'starter'.", show_default=False)],
    data: Annotated[
        Path, typer.Argument(help="Folder of a data set; see kikiwake build.", show_default=False)
    ],
    part: Annotated[
        Literal["train", "validation"], typer.Option(help="Which part of it.")
    ] = "validation",
    to: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write report.html, its pictures and figures.json."),
    ] = None,
    as_list: Annotated[
        bool,
        typer.Option("--list", help="Print truth and guess of each patch, and nothing else."),
    ] = False,
) -> None:
    """Tell how well a cast names the patches of a data set.

    Example: kikiwake evaluate show.cast patches --to report

    Characters of the data set that the cast does not know are left out, and that is said.
    """
    from rich.text import Text

    from ..models.cast import load_cast
    from . import evaluate as work
    from . import report
    from .dataset import Dataset

    if as_list and to is not None:
        raise typer.BadParameter("--list prints nothing else, so it goes without --to")
    if to is not None:
        report.check_folder(to)  # what is wrong with it is said before anything is done
    judged, patches = load_cast(cast), Dataset(data)
    with console(stderr=True).status("") as status:
        answers = work.ask(
            judged,
            patches,
            part,
            lambda done, of: status.update(Text(f"{done} of {of} windows done")),
        )
    if as_list:
        # As UTF-8 on every system: it is for programs.
        say("\n".join(work.origin_lines(answers)).encode())
        return
    figures = work.measure(answers, judged.network, data.resolve().name, part)
    for line in work.describe(figures):
        say(line)
    if to is not None:
        report.write_report(figures, to)
        say(f"{to / report.PAGE}: written")


def describe_dataset(data: Dataset) -> Iterator[str]:
    """Say how much there is of each character, and what is wrong with that."""
    import numpy as np

    from .dataset import PARTS

    card = data.card
    names = [f"{who.name} ({who.actor})" for who in card.characters]
    if card.background:
        names.append("background")
    counts = {
        part: np.bincount(data.rows["label"][data.part(part)], minlength=card.n_classes)
        for part in PARTS
    }
    seconds = {part: count * card.features.patch_s for part, count in counts.items()}
    width = max(map(len, names))
    yield f"{'':{width}}  train, s  validation, s"
    for number, name in enumerate(names):
        few = " few" if min(seconds[part][number] for part in PARTS) < FEW_S else ""
        yield (
            f"{name:{width}}  {seconds['train'][number]:8.1f}  "
            f"{seconds['validation'][number]:13.1f}{few}"
        )
    total = {part: count.sum() for part, count in counts.items()}
    yield (
        f"{total['train']} patches to train on, {total['validation']} to validate on, of "
        f"{len(card.characters)} characters by {len({who.actor for who in card.characters})} actors"
    )
    most, least = seconds["train"].max(), seconds["train"].min()
    if least == 0:
        yield "a character without anything to train on will never be named"
    elif most > 10 * least:
        yield f"uneven: {most / least:.0f} times as much of one as of another"
