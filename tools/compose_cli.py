"""``kikiwake compose``: make a conversation of clips. The work is done in `compose`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..errors import KikiwakeError
from .terminal import console, say


def compose(
    scene: Annotated[Path, typer.Argument(help="What to make, a TOML file.", show_default=False)],
    clips: Annotated[
        Path,
        typer.Argument(
            help="Folder of sorted clips: RECORDING/ACTOR/CHARACTER/0001.flac.", show_default=False
        ),
    ],
    to: Annotated[
        Path,
        typer.Option(
            metavar="FILE", help="The sound, .flac or .wav; its truth goes beside it, as .rttm."
        ),
    ],
    beds: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Where the files of the scene's beds are: music, noise."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Over files that are there.")] = False,
) -> None:
    """Make a conversation of clips, and the exact truth about it, to measure a cast on.

    Example: kikiwake compose scene.toml clips --to scene.flac

    The scene says who speaks, in what turns, and over what: cast = ["Aoi/*"] is enough, other keys
    are turns, pause_s, overlap_share, strangers, beds and more. The same scene and files give the
    same sound.
    """
    from . import compose as work
    from .view import clock

    wanted = work.read_scene(scene)
    for path in (to, work.truth_path(to)):
        if path.exists() and not force:
            raise KikiwakeError(
                f"{path}: is there already; --force writes over it, --to names another"
            )
    with console(stderr=True).status("composing"):
        made = work.compose(wanted, clips, beds)
        work.write(made, to)
    seconds = len(made.y) / made.sample_rate
    somebody, several = work.spoken_s(made.truth)
    speakers = {segment.name for segment in made.truth}
    strangers = f" ({len(made.strangers)} strangers)" if made.strangers else ""
    say(
        f"{to}: {clock(seconds)}, {wanted.turns} turns of {len(speakers)} speakers{strangers}, "
        f"speech {100 * somebody / seconds:.0f} % of the time, several at once "
        f"{100 * several / seconds:.0f} %"
    )
