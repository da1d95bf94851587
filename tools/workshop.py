"""The commands that make a cast from recordings, one after the other."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from ..errors import KikiwakeError
from ..files import locked
from ..models.wrn import NETWORKS
from ..vad.detector import DetectorName
from .compose_cli import compose
from .terminal import argument, console, extra, progress_bar, say

if TYPE_CHECKING:
    from .dataset import Dataset
    from .record import Recorder
    from .training import TrainingCard

# With less, a character is learnt badly and its figures mean little.
FEW_S = 15.0
SEEDS = 2**32 - 1
METER_S = 0.08


def add_to(app: typer.Typer) -> None:
    """Give a command line the commands of the workshop."""
    for command in (record, split, sort, build, train, quantize, evaluate, compose):
        app.command(rich_help_panel="A cast of your own, step by step")(command)


def record(
    out: Annotated[
        Path,
        typer.Argument(
            help="The file, episode1.flac; or a folder, for names by date and time.",
            show_default=False,
        ),
    ],
    input: Annotated[
        str | None,
        typer.Option(
            help="As for run: loopback, default, a device, a file, or - (raw PCM on standard "
            "input). Without it, as in the config file."
        ),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(min=1, help="Sampling rate in Hz; needed for --input -.")
    ] = None,
    channels: Annotated[
        int | None, typer.Option(min=1, help="Channels, of --input - (1) or asked of a device.")
    ] = None,
    sample_format: Annotated[
        str | None,
        typer.Option("--format", help="Samples of --input -: s16 (the default), s24, s32, f32."),
    ] = None,
    for_s: Annotated[
        float | None, typer.Option("--for", metavar="SECONDS", help="End after so long.")
    ] = None,
    finish: Annotated[
        bool,
        typer.Option(
            "--finish", help="Record nothing; only give what a killed recording left its name."
        ),
    ] = False,
) -> None:
    """Record what the computer plays, for hours, until Ctrl-C, q, or the end of the sound.

    Example: kikiwake record episode1.flac

    16 bit FLAC, rate and channels as they come. The space bar or m sets a mark, which goes to
    episode1.marks.txt, a label track of Audacity. While it records the sound is in
    .episode1.flac.part. When it was killed, the next recording in that folder gives that its name
    first, and what would be the same file becomes episode1-2.flac. No other file is written over.
    """
    from ..engine.config import load_settings
    from . import record as work

    folder = work.folder_of(out)
    finished, failed = [], 0
    for part in work.unfinished(folder):
        try:
            found = work.finish(part)
        except KikiwakeError as error:
            # What cannot be helped now is no reason to miss what is to be recorded.
            say(f"not finished: {error}")
            failed += 1
            continue
        if found is not None:
            path, seconds = found
            finished.append(path)
            say(f"{path}: finished; it was broken off after {seconds:.1f} s")
    if finish:
        if failed:
            raise KikiwakeError(f"{failed} recordings could not be finished")
        if not finished:
            say(f"{folder}: nothing is left to finish")
        return

    from ..engine.capture import open_source
    from ..quiet import python_stderr
    from .view import clock, describe_counters

    source = open_source(
        input or load_settings().input,
        sample_rate=rate,
        channels=channels,
        sample_format=sample_format,
        latency_ms=work.BLOCK_MS,
        max_lag_ms=work.LONGEST_LAG_MS,
    )
    recorder = work.Recorder(source, work.name_for(out, finished), seconds=for_s)
    try:
        with python_stderr(), work.ended_by_signals(recorder.stop), recorder:
            _watch_recording(recorder)
    finally:
        # Whatever ended it: how much there is now.
        progress = recorder.progress
        if progress.seconds:
            say(
                f"{recorder.path}: {clock(progress.seconds)} recorded, loudest peak "
                f"{progress.loudest_db:.1f} dB, {progress.clipped} samples at full scale"
            )
            if lost := describe_counters(progress.counters):
                say(f"{recorder.path}: {lost}")
            if progress.marks:
                say(f"{work.marks_path(recorder.path)}: marks: {progress.marks}")
    if not progress.seconds:
        say("nothing was heard, and nothing recorded")


def _watch_recording(recorder: Recorder) -> None:
    """Record, with a meter where there is a terminal, and with its keys."""
    from rich.text import Text

    from .record import RecordError, keys, meter

    out = console(stderr=True)
    told, shown_at = None, 0.0
    with contextlib.ExitStack() as stack:
        pressed = stack.enter_context(keys())
        status = stack.enter_context(out.status("")) if out.is_terminal else None
        for progress in recorder:
            for key in pressed():
                if key in " mM":
                    try:
                        recorder.mark()
                    except RecordError as error:  # the sound is worth more than a mark
                        out.print(f"kikiwake: {error}", markup=False, soft_wrap=True)
                elif key in "qQ\x03":
                    recorder.stop()
            if progress.notice != told:
                told = progress.notice
                out.print(f"kikiwake: {told or 'all is well again'}", markup=False, soft_wrap=True)
            # A file is read faster than anybody looks.
            if status is not None and time.monotonic() > shown_at + METER_S:
                shown_at = time.monotonic()
                status.update(Text(meter(progress)))


def split(
    recordings: Annotated[
        list[Path], typer.Argument(help="Sound files: WAV, FLAC, OGG, MP3.", show_default=False)
    ],
    to: Annotated[Path, typer.Option(help="Folder for the clips.")] = Path("clips"),
    by: Annotated[
        Literal[DetectorName, "silence"],
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
            before = work.split_before(recording, folder)
            if before is not None and not again:
                why = before.broken and f", though {before.broken}"
                unused = {} if by == "silence" else {"silence_db": before.cut.silence_db}
                if before.cut != msgspec.structs.replace(cut, **unused):
                    why += ", not as it would be now"
                say(f"{folder}: was split before{why}; --again does it anew")
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
        if made.broken:
            say(f"{folder}: beware: {made.broken}; what comes before that is split")
    if failed:
        raise KikiwakeError(f"{failed} of {len(folders)} recordings could not be split")


def sort(
    clips: Annotated[
        Path, typer.Argument(help="Folder of clips, as split makes it.", show_default=False)
    ],
    labels: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="TABLE",
            help="Sort by a CSV table with the columns clip (a path below the folder), actor and "
            "character, without a window. The actor background, with no character, is nobody.",
        ),
    ] = None,
) -> None:
    """Hear the clips and give each a character, by keyboard, whole groups with one key.

    Example: kikiwake sort clips

    Each clip that gets a character is moved, at once, from RECORDING/0001.flac to
    RECORDING/ACTOR/CHARACTER/0001.flac, or to RECORDING/background/0001.flac: stopped and started
    again, sorting goes on. Clips that sound alike are offered together. The window needs
    the extra sort.
    """
    from . import sort as work

    with work.Session(clips) as session:
        for path in session.stray:
            say(f"{path}: lies where no clip belongs, and is left there")
        if labels is None:
            work.open_window(session)
        else:
            rows, wrong = work.read_labels(labels, session)
            for line in wrong:
                say(f"{labels}: {line}")
            if wrong:
                raise KikiwakeError(
                    f"{labels}: {len(wrong)} of {len(wrong) + len(rows)} rows are wrong; nothing "
                    "was moved"
                )
            for row in rows:
                session.assign(row.label, [row.clip])
            say(f"{labels}: {len(rows)} clips have the character that it says")
        done = session.progress
        say(f"{clips}: {done.sorted} of {done.total} clips are sorted")


def build(
    clips: Annotated[
        Path | None,
        typer.Argument(
            help="Folder of sorted clips: RECORDING/ACTOR/CHARACTER/0001.flac.", show_default=False
        ),
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder for the data set.")] = Path("patches"),
    background: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of music, noise and effects without speech; may be given several times.",
            show_default=False,
        ),
    ] = None,
    validate_on: Annotated[
        list[str] | None,
        typer.Option(
            help="A recording to validate on, and not to train on; may be given several times. "
            "Otherwise they are chosen.",
            show_default=False,
        ),
    ] = None,
    copies: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help="Patches of each half second of a voice; otherwise 6.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEEDS, help="Of all that is drawn.")] = 0,
    from_devil_ear: Annotated[
        Path | None,
        typer.Option(
            help="Instead of clips: a clone of tail-island/devil-ear, or its converted data set.",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        Literal["block", "origin"] | None,
        typer.Option(
            help="With --from-devil-ear, what to validate on: block, the last fifth of each "
            "character's windows, if nothing is said; or the origin's own choice by chance, whose "
            "neighbours are in training.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Make a data set to train on.

    Example: kikiwake build clips --to patches

    Patches are composed of the clips, over music, noise and effects (synthesized ones, besides
    those of --background and of RECORDING/background), in rooms, behind channels, at any level.
    Besides, clips are played faster or slower, which makes other voices of them: from what a
    network that knows thousands of people (Resemblyzer's) hears in those, training learns what
    voices differ in. Stopped and started again, it goes on where it was.
    """
    if (clips is None) == (from_devil_ear is None):
        raise KikiwakeError(
            "build needs either a folder of sorted clips, or --from-devil-ear with a folder"
        )
    from .dataset import Dataset

    warnings = []
    if from_devil_ear is not None:
        if background or validate_on or copies or seed:
            raise KikiwakeError(
                "with --from-devil-ear the windows are taken as they are: leave out --background, "
                "--validate-on, --copies and --seed"
            )
        from .devil_ear import import_devil_ear

        with _alone(to):
            import_devil_ear(from_devil_ear, to, by or "block")
        if by == "origin":
            warnings.append(
                "neighbours of the windows that are validated on are trained on; figures from this "
                "split are better than the truth"
            )
    elif clips is not None:
        if by is not None:
            raise KikiwakeError("--by goes with --from-devil-ear")
        with extra("train", "composing patches"):
            from . import build as work
        recipe = work.Recipe(seed=seed, validate_on=tuple(validate_on or ()))
        if copies is not None:
            recipe = msgspec.structs.replace(recipe, copies=copies)
        with _alone(to), progress_bar() as tell:
            _, warnings = work.build(clips, to, recipe, background or (), tell)
    for line in describe_dataset(Dataset(to)):
        say(line)
    for warning in warnings:
        say(f"beware: {' '.join(warning.split())}")


def train(
    patches: Annotated[
        Path, typer.Argument(help="Data set, as kikiwake build makes it.", show_default=False)
    ],
    to: Annotated[Path, typer.Option(help="Folder for the training.")] = Path("training"),
    preset: Annotated[
        Literal["tiny", "small", "medium", "large", "origin"],
        typer.Option(help="Size of the network; origin: network and settings of devil-ear."),
    ] = "medium",
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Passes over the patches; otherwise by how many there are.",
            show_default=False,
        ),
    ] = None,
    patience: Annotated[
        int,
        typer.Option(
            min=0, help="Stop after so many epochs without a better validation; 0: never."
        ),
    ] = 0,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Cast, or folder of a training, whose network to start from.", show_default=False
        ),
    ] = None,
    teacher: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of a training on the same data set, with another seed say, to learn from "
            "too; may be given several times.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=SEEDS, help="Of all that is drawn.")] = 0,
) -> None:
    """Train a network on a data set.

    Example: kikiwake train patches --to training

    Stopped at any moment and started again, it goes on from the last whole epoch and ends the same.
    """
    from .dataset import Dataset

    with extra("train", "training"):
        from . import train as work
        from . import training

        weights = None if start is None else training.weights_to_start(start)
        teachers = [training.read_training(folder) for folder in teacher or ()]
        data = Dataset(patches)
        recipe = training.recipe_for(preset, len(data.part("train")))
        recipe = msgspec.structs.replace(recipe, epochs=epochs or recipe.epochs, patience=patience)
        with _alone(to), progress_bar() as bar:

            def tell(card: TrainingCard, done: float) -> None:
                count = len(card.epochs)
                bar(f"epoch {count + 1}", round(1000 * (count + done)), 1000 * recipe.epochs)
                if done == 0:
                    last = card.epochs[-1]
                    say(
                        f"epoch {count:3} of {recipe.epochs}: loss {last.loss:.3f}, validation "
                        f"{last.validation_loss:.3f}, {100 * last.validation_top1:.1f} % right"
                    )

            trained = work.train_on(
                data,
                network=NETWORKS[preset],
                recipe=recipe,
                folder=to,
                start=weights,
                teachers=teachers,
                seed=seed,
                tell=tell,
            )
    best = trained.card.epochs[trained.card.best]
    say(
        f"{to}: {100 * best.validation_top1:.1f} % of validation windows right after epoch "
        f"{trained.card.best + 1}; its course is {to / training.CURVE}; next: "
        f"kikiwake quantize {argument(to)} {argument(patches)}"
    )


def quantize(
    training: Annotated[
        Path, typer.Argument(help="Folder that kikiwake train made.", show_default=False)
    ],
    patches: Annotated[
        Path, typer.Argument(help="The data set it was trained on.", show_default=False)
    ],
    to: Annotated[Path, typer.Option(help="Cast file.")] = Path("my.cast"),
    others: Annotated[
        list[Path] | None,
        typer.Option(
            "--with",
            help="Folder of another training on the same data set, with another seed say, whose "
            "network is asked, too: their mean is right more often. May be given several times; "
            "each makes a guess take as long again.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the cast; otherwise the file's.", show_default=False)
    ] = None,
    licence: Annotated[
        str, typer.Option(help="Under which the cast may be passed on.")
    ] = "for private use",
) -> None:
    """Make a cast of a trained network: int8, calibrated, with names and portraits.

    Example: kikiwake quantize training patches --to show.cast
    """
    if to.is_dir():
        raise KikiwakeError(f"{to}: is a folder; name the cast file with --to")
    if to.exists():
        raise KikiwakeError(f"{to}: is there already; remove it, or choose another with --to")
    if not to.parent.is_dir():
        raise KikiwakeError(f"{to}: there is no folder {to.parent} for it")
    if not os.access(to.parent, os.W_OK):
        raise KikiwakeError(f"{to}: cannot be written: {to.parent} is read-only")
    from .cast_files import check_name
    from .training import read_card

    name = name or to.stem
    check_name("cast", name)

    others = others or []
    for folder in (training, *others):
        done = read_card(folder)
        if not done.finished:
            say(
                f"beware: {folder} is not finished ({len(done.epochs)} of {done.recipe.epochs} "
                "epochs); kikiwake train goes on with it"
            )
    from .dataset import Dataset

    with extra("train", "quantizing"):
        from . import quantize as work

        with progress_bar() as tell:
            cast, report = work.quantize(
                training,
                Dataset(patches),
                name=name,
                licence=licence,
                others=others,
                tell=tell,
            )
    try:
        cast.save(to)
    except OSError as error:
        raise KikiwakeError(f"{to}: cannot be written: {error.strerror}") from None
    for line in work.describe(report):
        say(line)
    cast_file = argument(to)
    say(
        f"{to}: written; next: kikiwake evaluate {cast_file} {argument(patches)}, or kikiwake run "
        f"--cast {cast_file}"
    )


def evaluate(
    cast: Annotated[
        str, typer.Argument(metavar="CAST", help="A cast file, or starter for the one that ships.")
    ],
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA",
            help="Folder of a data set, see kikiwake build; with --stream recordings, each with "
            "its truth beside it: the same name, .rttm, or .txt as Audacity exports labels.",
        ),
    ],
    stream: Annotated[
        bool,
        typer.Option("--stream", help="Name recordings as live, and tell how steadily."),
    ] = False,
    part: Annotated[
        Literal["train", "validation"] | None,
        typer.Option(help="Which part of a data set; otherwise validation.", show_default=False),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write report.html, its pictures and figures.json, in the place of an earlier "
            "report.",
        ),
    ] = None,
    as_list: Annotated[
        bool,
        typer.Option("--list", help="Print truth and guess of each patch, and nothing else."),
    ] = False,
) -> None:
    """Tell how well a cast names the patches of a data set, or recordings as live.

    Example: kikiwake evaluate show.cast patches --to report

    Example: kikiwake evaluate show.cast --stream episode3.flac

    Characters of the data set that the cast does not know are left out, and that is said.
    """
    from rich.text import Text

    from ..models.cast import load_cast
    from . import evaluate as work
    from . import report
    from .dataset import Dataset

    if as_list and (to is not None or stream):
        raise typer.BadParameter("--list prints nothing else, so it goes without --to or --stream")
    if stream and part is not None:
        raise typer.BadParameter("--part is of a data set, so it goes without --stream")
    part = part or "validation"
    if stream:
        from .stream_cli import evaluate_stream

        evaluate_stream(cast, data, to)
        return
    if len(data) > 1:
        raise typer.BadParameter("one data set at a time; several recordings go with --stream")
    if to is not None:
        report.check_folder(to)  # what is wrong with it is said before anything is done
    judged, patches = load_cast(cast), Dataset(data[0])
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
    figures = work.measure(answers, judged.network, data[0].resolve().name, part)
    for line in work.describe(figures):
        say(line)
    if to is not None:
        report.write_report(figures, to)
        say(f"{to / report.PAGE}: written")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Be the only one who writes there."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(
                locked(
                    folder / ".lock",
                    f"{folder}: another kikiwake is at work there; wait for it, or choose another "
                    "folder with --to",
                )
            )
        except OSError as error:
            raise KikiwakeError(f"{folder}: cannot be written to: {error.strerror}") from None
        try:
            yield
        finally:
            stack.close()
            with contextlib.suppress(OSError):
                folder.rmdir()  # where nothing came of it


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
    seconds["train"] = seconds["train"] / card.copies
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
    if others := sum(card.voice_shards):
        yield f"and {others} of other voices, to learn from what voices differ in"
    most, least = seconds["train"].max(), seconds["train"].min()
    if least == 0:
        yield "a character without anything to train on will never be named"
    elif most > 10 * least:
        yield f"uneven: {most / least:.0f} times as much of one as of another"
