"""``kikiwake cast``: look into a cast file, and edit it. The work is done in `cast_files`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ..errors import CastError
from ..models.cast import STARTER, Cast, load_cast
from . import cast_files
from .terminal import console, say

cast_app = typer.Typer(no_args_is_help=True, help="Look into a cast file, and edit it.")

CastArgument = Annotated[
    str, typer.Argument(metavar="CAST", help="A cast file, or starter for the one that ships.")
]
ToOption = Annotated[
    Path | None,
    typer.Option("--to", metavar="FILE", help="Write it here, and leave CAST as it is."),
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="With --to: write over a file that is there.")
]


@cast_app.command()
def show(
    cast: CastArgument = STARTER,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the card, cast.json, as one JSON line instead.")
    ] = False,
) -> None:
    """Say what a cast is: characters, actors, licence, features, network.

    Example: kikiwake cast show my.cast --json
    """
    loaded = load_cast(cast)
    if as_json:
        say(msgspec.json.encode(loaded.card))  # bytes: whatever the output's encoding
        return
    lines = cast_files.describe_cast(loaded)
    headings = ("character", "actor", "portrait")
    rows = cast_files.describe_characters(loaded)
    if not sys.stdout.isatty():
        for name, line in lines.items():
            say(f"{name}\t{line}")
        say("")
        for row in (headings, *rows):
            say("\t".join(row))
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    about = Table.grid(padding=(0, 2))
    for name, line in lines.items():
        about.add_row(Text(name, style="bold"), Text(line))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading)
    for row in rows:
        table.add_row(*map(Text, row))  # not as markup: names may have brackets
    console().print(about, table)


@cast_app.command()
def unpack(
    cast: CastArgument,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder or an empty one.")],
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Into a folder that is not empty: over files of the same names."
        ),
    ] = False,
) -> None:
    """Write what is in a cast into a folder: cast.json, network.tflite, portraits.

    Example: kikiwake cast unpack my.cast my-cast
    """
    cast_files.unpack_cast(load_cast(cast), folder, force=force)
    say(f"{folder}: written")


@cast_app.command()
def pack(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="A folder as unpack has written it.")
    ],
    cast: Annotated[Path, typer.Argument(metavar="CAST", help="The cast file to write.")],
    force: Annotated[bool, typer.Option("--force", help="Over a file that is there.")] = False,
    new_network: Annotated[
        bool,
        typer.Option(
            "--new-network",
            help="network.tflite has been exchanged: put its SHA-256 into the cast.",
        ),
    ] = False,
) -> None:
    """Make a cast of a folder, when everything in it fits: the network is run, too.

    Example: kikiwake cast pack my-cast my.cast
    """
    packed, notes = cast_files.read_folder(folder, new_network=new_network)
    cast_files.write_cast(packed, cast, force=force)
    for note in notes:
        say(note)
    say(f"{cast}: written")


@cast_app.command()
def rename(
    cast: CastArgument,
    character: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="OLD NEW",
            help="A character; OLD may be ACTOR/CHARACTER, where two have the same name.",
        ),
    ] = None,
    actor: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="OLD NEW", help="An actor, in all of the actor's characters."),
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NEW", help="The cast itself.")] = None,
    to: ToOption = None,
    force: ForceOption = False,
) -> None:
    """Rename a character, an actor, the cast, or all three at once.

    Example: kikiwake cast rename my.cast --character Piko ピコ
    """
    if character is None and actor is None and name is None:
        raise typer.BadParameter("nothing to rename; give --character, --actor or --name")

    def edit(loaded: Cast) -> Cast:
        if character is not None:
            loaded = cast_files.rename_character(loaded, *character)
        if actor is not None:
            loaded = cast_files.rename_actor(loaded, *actor)
        return loaded if name is None else cast_files.rename_cast(loaded, name)

    _edit(cast, to, force, edit)


@cast_app.command()
def portrait(
    cast: CastArgument,
    character: Annotated[
        str,
        typer.Argument(
            metavar="CHARACTER", help="Its name, or ACTOR/CHARACTER, where two have the same."
        ),
    ],
    picture: Annotated[
        Path | None,
        typer.Argument(
            metavar="PICTURE",
            help=f"A picture, {', '.join(cast_files.PICTURES)}, at most "
            f"{cast_files.MAX_PICTURE_BYTES >> 20} MiB.",
        ),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take the portrait away.")] = False,
    to: ToOption = None,
    force: ForceOption = False,
) -> None:
    """Give a character a portrait, or take it away.

    Example: kikiwake cast portrait my.cast Piko piko.png
    """
    if remove == (picture is not None):
        raise typer.BadParameter("name either a picture, or --remove")

    def edit(loaded: Cast) -> Cast:
        if picture is None:
            return cast_files.remove_portrait(loaded, character)
        return cast_files.set_portrait(loaded, character, cast_files.read_picture(picture))

    _edit(cast, to, force, edit)


def _edit(cast: str, to: Path | None, force: bool, edit: Callable[[Cast], Cast]) -> None:
    """Write an edited cast, in place unless *to* names another file."""
    if force and to is None:
        raise typer.BadParameter("--force goes with --to")
    if to is None and cast_files.is_starter(cast):
        raise CastError(
            f"cast {cast}: ships with Kikiwake and is not edited in place; say with --to FILE "
            "where the edited one goes"
        )
    target = cast if to is None else to
    cast_files.write_cast(edit(load_cast(cast)), target, force=force or to is None)
    say(f"{target}: written")
