"""The commands that make a cast from recordings, one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import KikiwakeError
from .terminal import console, say


def add_to(app: typer.Typer) -> None:
    """Give a command line the commands of the workshop."""
    app.command()(split)


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
    from .split import Cut, already_split, clip_folders, split

    cut = Cut(
        by=by,
        pause_ms=pause_ms,
        minimum_ms=minimum_ms,
        longest_s=longest_s,
        silence_db=silence_db,
    )
    failed = 0
    for recording, folder in clip_folders(recordings, to).items():
        if already_split(folder) and not again:
            say(f"{folder}: was split before; --again does it anew")
            continue
        try:
            with console(stderr=True).status("") as status:

                def tell(done_s: float, recording: Path = recording) -> None:
                    status.update(f"{recording}: {done_s / 60:.0f} minutes done")

                clips = split(recording, folder, cut, tell)
        except KikiwakeError as error:
            # One bad file among many: the others are still done.
            say(f"not done: {error}")
            failed += 1
            continue
        say(
            f"{folder}: {clips.count} clips, {clips.speech_s / 60:.1f} of "
            f"{clips.recording_s / 60:.1f} minutes"
        )
    if failed:
        raise KikiwakeError(f"{failed} of {len(recordings)} recordings could not be split")
