"""The ``kikiwake`` command.

Exit codes: 0 done (also `run` ended by Ctrl-C or SIGTERM), 1 something the user can mend, said in
one line, 2 the command line itself is wrong, 130 broken off before there was anything to show.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import inspect
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from .. import __version__
from ..engine.config import (
    SettingsFile,
    config_path,
    default_toml,
    describe,
    load_settings,
    not_default,
    setting_fields,
    toml_of,
    value_of,
)
from ..engine.result import Counters, Result, TurnTracker
from ..errors import ConfigError, KikiwakeError, SourceError, one_line
from ..files import write_file
from ..quiet import python_stderr
from ..vad.detector import load_detector
from . import service, workshop
from .cast_cli import cast_app
from .terminal import OutputError, console, lost_output, say
from .text_file import TextFile

# Whatever takes long to import (rich, Numba, LiteRT, PortAudio) is imported where it is needed:
# `kikiwake config` answers at once.
if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..engine.recognizer import Recognizer
    from .score import Segment

REFRESHES_PER_S = 12
# Of a path that a command asks about, wherever it does.
_UNREACHABLE = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(service.app, name="service")
app.add_typer(cast_app, name="cast")
workshop.add_to(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the program's name; by default those of the process.

    Raises
    ------
    SystemExit
        Always.
    """
    # Started with a stream closed, as a service may be: what goes there goes nowhere.
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    # A Japanese name on a terminal that cannot write it is a question mark, not a crash.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        try:
            app(args=None if arguments is None else list(arguments), prog_name="kikiwake")
        except OSError as error:
            # Help, too, may be written to a pipe that is closed or a disk that is full.
            if error.filename is not None and error.errno in _UNREACHABLE:
                raise KikiwakeError(f"{error.filename}: {error.strerror}") from None
            if error.errno not in (errno.EPIPE, errno.ENOSPC):
                raise
            raise OutputError(f"{lost_output(error)}: {error.strerror}") from None
    except KikiwakeError as error:
        print("kikiwake:", " ".join(str(error).splitlines()), file=sys.stderr)
        if isinstance(error, OutputError):
            # What is still buffered would fail once more when the interpreter ends.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"kikiwake {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Name, live, the character and the voice actor who speak."""


def _with_settings(*without: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command an option for every setting there is, and hand it the settings.

    Name, type, bounds and help come from the settings themselves. The command takes `load`, a
    function from further overrides to a `SettingsFile`.
    """
    fields = {
        key.rpartition(".")[2]: (key, default, meta)
        for key, default, meta in setting_fields()
        if key not in without
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def with_settings(*, config: Path | None, **arguments: Any) -> None:
            given = {name: arguments.pop(name) for name in fields}
            overrides = {fields[n][0]: value for n, value in given.items() if value is not None}

            def load(**defaults: object) -> SettingsFile:
                return SettingsFile(config, {**defaults, **overrides})

            command(load=load, **arguments)

        own = inspect.signature(command, eval_str=True).parameters
        parameters = [p for name, p in own.items() if name != "load"]
        annotations = {p.name: p.annotation for p in parameters}
        annotations["config"] = Annotated[
            Path | None,
            typer.Option(metavar="FILE", help="Read this config file instead of the user's own."),
        ]
        for name, (_, default, meta) in fields.items():
            annotations[name] = Annotated[
                type(default) | None,
                typer.Option(
                    help=describe(meta),
                    show_default=str(default),
                    rich_help_panel="Settings: they win over the config file",
                ),
            ]
        known = {p.name for p in parameters}
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
            for name in annotations
            if name not in known
        ]
        # typer reads both.
        with_settings.__annotations__ = annotations
        with_settings.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [p.replace(annotation=annotations[p.name]) for p in parameters]
        )
        return with_settings

    return decorate


_Overlay = Annotated[
    bool | None,
    typer.Option(
        "--overlay/--no-overlay",
        help="Show the window over the video, or do not; otherwise where there can be one.",
        show_default=False,
    ),
]


@app.command()
@_with_settings("input")
def demo(
    *,
    load: Callable[..., SettingsFile],
    fast: Annotated[bool, typer.Option("--fast", help="As fast as it goes.")] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON line for each result instead.")
    ] = False,
    play: Annotated[bool, typer.Option("--play", help="Play the sound, too.")] = False,
    overlay: _Overlay = None,
) -> None:
    """Recognize the demo sound that ships, and compare with who really speaks in it."""
    if play and fast:
        raise typer.BadParameter("--play and --fast do not go together")
    from ..models.starter import DEMO, DEMO_TRUTH
    from .score import read_rttm, score
    from .view import summarize_score

    truth = read_rttm(DEMO_TRUTH)
    # The user's gate, smoothing and hop are honoured: the demo shows what they do, and the summary
    # names those that are not the default. Sound and cast are the demo's own, whatever the config
    # file listens to: only the starter cast knows these voices (unless --cast says otherwise).
    settings = load(cast="starter").load()

    from ..engine.capture import FileSource
    from ..engine.recognizer import Recognizer

    results: list[Result] = []
    with _sigterm_as_ctrl_c(), contextlib.ExitStack() as stack:
        with _waiting(as_json):
            recognizer = Recognizer(source=FileSource(DEMO, realtime=not fast), settings=settings)
            stack.enter_context(recognizer)
        if play:
            stack.enter_context(_playing(DEMO))
        show = stack.enter_context(_showing(recognizer, as_json, truth))

        def each(result: Result) -> None:
            results.append(result)
            show(result)

        _hear(recognizer, each, _has_window(overlay, _on_screen(as_json) and not fast))
    counters = results[-1].counters if results else Counters()
    _summarize(summarize_score(score(results, truth), counters), as_json)
    if own := not_default(settings, "input"):
        _summarize(own, as_json)


@app.command()
@_with_settings()
def run(
    *,
    load: Callable[..., SettingsFile],
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
    realtime: Annotated[
        bool, typer.Option("--realtime", help="Take a file at real speed, not as fast as it goes.")
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for a device that is not there yet.")
    ] = False,
    background: Annotated[
        bool,
        typer.Option(
            "--background",
            help="Print nothing and log to a file, once for each input; implies --wait.",
        ),
    ] = False,
    text: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Keep who is speaking in this text file, for OBS say; empty while nobody does.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON line for each result instead.")
    ] = False,
    overlay: _Overlay = None,
) -> None:
    r"""Name who speaks, live, until Ctrl-C or the end of the sound.

    --input also takes a sound file (WAV, FLAC, OGG, MP3), and - for raw PCM on standard input.
    Without a terminal, a line is printed for each turn. Ctrl-\ (on Windows Ctrl-Break) tells how
    the listening itself goes. A device that is lost is waited for. The config file is read again
    when it changes.
    """
    if background and as_json:
        raise typer.BadParameter("--background and --json do not go together")
    if background and overlay:
        raise typer.BadParameter("--background and --overlay do not go together")
    file = load()
    settings = file.load()

    from ..engine.capture import open_source
    from ..engine.recognizer import Recognizer, source_times
    from .view import summarize

    source = None  # as the settings have it, also when they change
    if background:
        file = load(input=settings.input)  # the lock and the log are for this one
    if rate or channels or sample_format or realtime:
        source = open_source(
            settings.input,
            sample_rate=rate,
            channels=channels,
            sample_format=sample_format,
            realtime=realtime,
            **source_times(settings),
            wait=wait or background,
        )
    tracker = TurnTracker()
    latest: Result | None = None
    with python_stderr(), _sigterm_as_ctrl_c(), contextlib.ExitStack() as stack:
        if background:
            log = stack.enter_context(_in_background(settings.input))
        with _waiting(as_json or background):
            recognizer = stack.enter_context(
                Recognizer(source=source, settings=file, wait=wait or background)
            )
        show = log if background else stack.enter_context(_showing(recognizer, as_json))
        written = None if text is None else stack.enter_context(TextFile(text))

        def each(result: Result) -> None:
            nonlocal latest
            latest = result
            if written is not None:
                written.add(result)
            if not background:  # which may run for weeks, and sums up by itself
                tracker.add(result)
            show(result)

        as_it_is_heard = realtime or recognizer.source.live
        by_itself = _on_screen(as_json) and as_it_is_heard and not background
        with contextlib.suppress(KeyboardInterrupt):
            _hear(recognizer, each, _has_window(overlay, by_itself))
    if background:
        return
    if latest is None:
        _summarize(f"nothing heard: less than {recognizer.settings.hop_ms:g} ms of sound", as_json)
        return
    _summarize(summarize(tracker.turns, latest.counters, latest.time), as_json)
    bad = latest.counters.bad_samples
    if bad and not recognizer.source.live:
        raise SourceError(
            f"{recognizer.source.name}: {bad} samples are NaN or infinite and were read as "
            "silence; mend the sound, or do not trust the names around them"
        )


@app.command()
def devices() -> None:
    """List what can be listened to, loopbacks first."""
    from ..engine.devices import list_devices

    found = list_devices()
    if not found:
        raise SourceError(
            "there is nothing to listen to: no sound card, and no sound server that answers"
        )
    headings = ("--input", "name", "through", "channels", "Hz", "loopback", "default")
    rows = [
        (
            device.spec,
            device.name,
            device.host_api,
            str(device.channels),
            str(device.sample_rate),
            "loopback" if device.is_loopback else "",
            "default" if device.is_default else "",
        )
        for device in found
    ]
    if not sys.stdout.isatty():
        for row in (headings, *rows):
            say("\t".join(row))
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("channels", "Hz") else "left")
    for row, device in zip(rows, found, strict=True):
        table.add_row(*row, style="bold" if device.is_default else None)
    console().print(table)


@app.command()
def warmup() -> None:
    """Compile ahead what the first start would, once; later starts find it."""
    from ..jit import kept_code
    from .warmup import warm_up

    began = time.perf_counter()
    warm_up()
    compiled, folders = kept_code()
    what = f"compiled {compiled} functions" if compiled else "all was compiled before"
    say(f"{what}; took {time.perf_counter() - began:.1f} s")
    for folder in folders:
        say(f"kept in {folder}")
    if not folders:
        raise KikiwakeError(
            "machine code can be kept nowhere, neither beside the program nor in the user's cache "
            "folder: every start compiles anew; give NUMBA_CACHE_DIR a folder that can be written"
        )


@app.command()
def config(
    write: Annotated[
        bool, typer.Option("--write", help="Write the default config file, every key explained.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="With --write: over an old one.")] = False,
    check: Annotated[Path | None, typer.Option(metavar="FILE", help="Check a config file.")] = None,
) -> None:
    """Show where the config file is read from, and the settings in effect."""
    if write and check is not None:
        raise typer.BadParameter("--write and --check do not go together")
    if force and not write:
        raise typer.BadParameter("--force goes with --write")
    from ..models.cast import load_cast

    path = config_path()
    if check is not None:
        settings = load_settings(check)
        load_detector(settings.gate.detector)
        load_cast(settings.cast)
        say(f"{check}: ok")
    elif write:
        _write_config(path, force)
        say(f"{path}: written")
    else:
        settings = load_settings()
        there = "is there" if path.exists() else "does not exist; --write makes it"
        say(f"# {path} {there}")
        for key, default, _ in setting_fields():
            value = value_of(settings, key)
            note = "" if value == default else f"  # default: {toml_of(default)}"
            say(f"{key} = {toml_of(value)}{note}")


def _write_config(path: Path, force: bool) -> None:
    if path.exists() and not force:
        raise ConfigError(f"config {path}: is there already; --force writes over it")
    try:
        write_file(path, default_toml().encode())
    except OSError as error:
        raise ConfigError(f"config {path}: cannot be written: {error.strerror}") from None


def _summarize(summary: RenderableType, as_json: bool) -> None:
    # Who reads JSON lines from standard output wants nothing else there.
    out = console(stderr=as_json)
    if out.is_terminal:
        out.print(summary, markup=False)
        return
    with out.capture() as captured:
        # A line of text is one line, however long: a terminal's width means nothing here.
        out.print(summary, markup=False, soft_wrap=isinstance(summary, str))
    text = captured.get().rstrip("\n")
    if as_json:
        print(text, file=sys.stderr)
    else:
        say(text)


def _on_screen(as_json: bool) -> bool:
    return not as_json and sys.stdout.isatty() and not console().is_dumb_terminal


@contextlib.contextmanager
def _waiting(as_json: bool) -> Iterator[None]:
    if not _on_screen(as_json):
        yield
        return
    with console().status("Getting ready; the first start compiles, which takes a while"):
        yield


@contextlib.contextmanager
def _showing(
    recognizer: Recognizer, as_json: bool, truth: Sequence[Segment] = ()
) -> Iterator[Callable[[Result], None]]:
    """Set up the way results are shown; yields what takes them."""
    notices = _Notices()
    if not _on_screen(as_json):
        show = (lambda result: say(msgspec.json.encode(result))) if as_json else _TurnLines().add

        def show_and_tell(result: Result) -> None:
            notices.add(result)
            show(result)

        with _on_demand(notices.ask):
            yield show_and_tell
        return
    from rich.live import Live

    from .view import LiveView

    characters = [character.name for character in recognizer.cast.card.characters]
    view = LiveView("", characters, truth)

    def add(result: Result) -> None:
        # Both change with the config file, and the name is known when the device is there.
        view.title = f"{recognizer.cast.card.name} · {recognizer.source.name}"
        view.add(result)

    # Drawn by a thread of its own at its own pace; taking a result only notes it.
    with (
        _on_demand(view.toggle_details),
        Live(view, console=console(), screen=True, refresh_per_second=REFRESHES_PER_S),
    ):
        yield add


def _has_window(wanted: bool | None, by_itself: bool) -> bool:
    """Tell whether the window over the video is to be opened."""
    if wanted is False or not (wanted or by_itself):
        return False
    from ..overlay.app import OverlayError, check_overlay

    try:
        check_overlay()
    except OverlayError:
        if wanted:
            raise
        return False
    return True


def _hear(recognizer: Recognizer, each: Callable[[Result], None], window: bool) -> None:
    """Take all results, under the window over the video if there is one."""
    if window:
        from ..overlay.app import show

        show(recognizer, each)
        return
    for result in recognizer:
        each(result)


class _TurnLines:
    """Prints a line as each turn begins."""

    def __init__(self) -> None:
        self._tracker = TurnTracker()

    def add(self, result: Result) -> None:
        from .view import clock, percent

        known = len(self._tracker.turns)
        self._tracker.add(result)
        if len(self._tracker.turns) > known:
            who = f"{result.character} ({result.actor})"
            say(f"{clock(result.time)}  {who}  {percent(result.confidence).strip()}")


class _Notices:
    """Prints on standard error what the user should know, once, and the counters when asked."""

    def __init__(self) -> None:
        self._said: str | None = None
        self._asked = False

    def ask(self) -> None:
        """Have the counters printed with the next result: a signal handler must not print."""
        self._asked = True

    def add(self, result: Result) -> None:
        """Take the next result."""
        if result.notice != self._said:
            self._said = result.notice
            print("kikiwake:", result.notice or "all is well again", file=sys.stderr, flush=True)
        if self._asked:
            from .view import describe_counters, describe_measures

            self._asked = False
            lost = describe_counters(result.counters) or "nothing lost"
            said = "; ".join(filter(None, (lost, describe_measures(result.counters))))
            print("kikiwake:", said, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _on_demand(tell: Callable[[], None]) -> Iterator[None]:
    r"""Call *tell* when the user asks by Ctrl-\, as of ``ping``, or Ctrl-Break on Windows."""
    if sys.platform == "win32":
        number = signal.SIGBREAK
    else:
        number = signal.SIGQUIT
    before = signal.signal(number, lambda *_: tell())
    try:
        yield
    finally:
        signal.signal(number, before)


@contextlib.contextmanager
def _in_background(source: str) -> Iterator[Callable[[Result], None]]:
    """Be the one that listens to *source* in the background; yields what logs the results."""
    from .background import TurnLog, log_path, log_to_file, single_instance

    with (
        single_instance(source),
        log_to_file(log_path(source)),
        contextlib.closing(TurnLog()) as log,
    ):
        yield log.add


@contextlib.contextmanager
def _playing(path: Path) -> Iterator[None]:
    """Play a sound file on the default output."""
    import soundfile

    from ..engine.devices import portaudio
    from ..quiet import quiet_stderr

    sounddevice = portaudio()
    samples, rate = soundfile.read(path, dtype="float32")
    try:
        with quiet_stderr():
            sounddevice.query_devices(kind="output")
            sounddevice.play(samples, rate)
    except (sounddevice.PortAudioError, ValueError) as error:
        raise SourceError(
            f"no sound output to play on ({one_line(error)}); connect one, start the sound server, "
            "or leave --play out"
        ) from None
    try:
        yield
    except BaseException:
        sounddevice.stop()
        raise
    sounddevice.wait()


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Let a service manager end the command as cleanly as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
