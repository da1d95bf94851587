"""Settings of the user: the config file, its defaults and its checks.

The structs below are the one place where a setting is named, bounded, described and given its
default; the commented default file, the checks and the command line's help come from them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import stat
import threading
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
from msgspec import Meta

from ..errors import ConfigError
from ..vad.detector import DetectorName

FILE_NAME = "config.toml"


class GateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When sound counts as speech."""

    detector: Annotated[
        DetectorName,
        Meta(
            description="Which voice detector: webrtc, which costs the least and takes most music "
            "for voices; silero, which is harder to fool; or both, where silero is asked about "
            "what webrtc finds.",
            examples=list(get_args(DetectorName)),
        ),
    ] = "both"
    aggressiveness: Annotated[
        int,
        Meta(
            ge=0,
            le=3,
            description="How strict the WebRTC voice detector is: 0 lets most sound pass as "
            "speech, 3 the least.",
        ),
    ] = 1
    threshold: Annotated[
        float,
        Meta(
            ge=0.01,
            le=1,
            description="From which probability on sound is speech, for silero's detector or both. "
            "Larger: fewer names in music, more that are missing over it.",
        ),
    ] = 0.7
    onset_ms: Annotated[
        float,
        Meta(
            ge=20,
            le=1000,
            description="Speech must be heard for this long, in milliseconds, before the gate "
            "opens. Longer: fewer false starts, later names.",
        ),
    ] = 60.0
    minimum_speech_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=2000,
            description="Speech in all, in milliseconds, that must be heard since the last pause "
            "before the gate opens. More than onset_ms, it keeps out short sounds.",
        ),
    ] = 0.0
    hangover_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=2000,
            description="The gate stays open for this long, in milliseconds, after speech was "
            "last heard. Longer: fewer gaps within a sentence, names stay longer after its end.",
        ),
    ] = 320.0
    minimum_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="The network is asked for a name once this share of what it looks at, the "
            "last half second, is speech. Larger: later names, fewer wrong ones.",
        ),
    ] = 0.1


class SmoothingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How single guesses become a steady name."""

    time_constant_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=10_000,
            description="Time constant, in milliseconds of speech, of the exponential smoothing. "
            "Longer: steadier names, later corrections. 0 takes every guess as it comes.",
        ),
    ] = 800.0
    change_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=2000,
            description="Time constant of a second, shorter smoothing, in milliseconds of speech, "
            "that notices when somebody else begins. Longer: later changes, fewer wrong ones.",
        ),
    ] = 40.0
    change_share: Annotated[
        float,
        Meta(
            ge=0.3,
            le=1,
            description="Once another voice, or nobody, holds this share of the shorter smoothing, "
            "what was heard before is let go. 1: never; a new voice has to outweigh the old one.",
        ),
    ] = 0.68
    switching_margin: Annotated[
        float,
        Meta(
            ge=0,
            le=0.9,
            description="A name changes only when the new one leads by this share of the voices, "
            "and stays while it lacks no more of what a new one needs. Larger: steadier names, "
            "later corrections.",
        ),
    ] = 0.2
    switching_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=2000,
            description="What takes the place of a name must be likelier for this long, in "
            "milliseconds. Longer: fewer flips in mid-sentence, later changes of speaker.",
        ),
    ] = 0.0
    showing_share: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="A name comes only when it holds this share of the smoothed posterior, and "
            "stays while it holds as much of the voices in it. Larger: fewer wrong names, more "
            "that are late or missing.",
        ),
    ] = 0.5
    background_share: Annotated[
        float,
        Meta(
            ge=0.1,
            le=1,
            description="Nobody is shown while sound without a voice holds this share of the "
            "smoothed posterior. Smaller: fewer names in music, more that are missing over it.",
        ),
    ] = 0.3
    strangers: Annotated[
        float,
        Meta(
            ge=0,
            le=1,
            description="A voice is taken for a stranger's, whom the cast does not know, where "
            "guesses are less sure than this share of what they are with voices of the cast. 0: "
            "never. Larger: fewer strangers with a name, more of the cast without one.",
        ),
    ] = 0.65
    unknown_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=60_000,
            description="A voice without a name is shown as unknown once it has spoken for this "
            "long, in milliseconds. Until then nothing is.",
        ),
    ] = 500.0
    together_share: Annotated[
        float,
        Meta(
            ge=0.1,
            le=0.5,
            description="Two voices that hold this share each for a tenth of a second are said to "
            "speak at once. Smaller: two names more often, also where one speaks; 0.5: as good as "
            "never.",
        ),
    ] = 0.3
    linger_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=2000,
            description="A name stays for up to this long, in milliseconds, after the gate closed "
            "while the network still hears its voice. Longer: fewer gaps at short pauses, names "
            "may stay longer after the end. 0: they go with the gate.",
        ),
    ] = 300.0
    pause_ms: Annotated[
        float,
        Meta(
            ge=0,
            le=60_000,
            description="When the gate has been closed for this long, in milliseconds, what was "
            "heard before says nothing about who speaks next. Longer: after a pause the same name "
            "comes back sooner, another one later.",
        ),
    ] = 600.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All settings of the recognizer."""

    input: Annotated[
        str,
        Meta(
            min_length=1,
            description="What to listen to: loopback (what the computer plays), default (the "
            "default microphone), or a device by number or name; see `kikiwake devices`.",
        ),
    ] = "loopback"
    cast: Annotated[
        str,
        Meta(
            min_length=1,
            description="Whom to tell apart: starter (the cast that ships), or the path of a "
            "cast file.",
        ),
    ] = "starter"
    hop_ms: Annotated[
        float,
        Meta(
            ge=10,
            le=500,
            description="Time between two results, in milliseconds; rounded to whole frames of "
            "the cast's features (11.6 ms for the starter cast). Longer: less work for the "
            "computer, and names come later by about as much. How long the device itself takes is "
            "settled when it is opened: start again after a large change.",
        ),
    ] = 25.0
    max_lag_ms: Annotated[
        float,
        Meta(
            ge=100,
            le=3000,
            description="When recognition is behind the sound by more than this, in milliseconds, "
            "because the computer is busy, it jumps to the newest sound and counts what it skips. "
            "Smaller: names are never much too late, and more is skipped. Catching up with a "
            "second of sound takes some 20 ms.",
        ),
    ] = 1000.0
    gate: GateSettings = GateSettings()
    smoothing: SmoothingSettings = SmoothingSettings()


def config_path() -> Path:
    """Where the config file is read from: ``KIKIWAKE_CONFIG``, or the user's config folder."""
    named = os.environ.get("KIKIWAKE_CONFIG")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_config_dir("kikiwake", appauthor=False)) / FILE_NAME


class SettingsFile:
    """The config file, with what wins over it, and its changes.

    Parameters
    ----------
    path : Path, optional
        Config file, which must exist. Without it the user's own is read where there is one.
    overrides : mapping of str to object, optional
        Values that win over the file, by dotted key such as ``gate.hangover_ms``.
    """

    def __init__(
        self, path: Path | None = None, overrides: Mapping[str, object] | None = None
    ) -> None:
        self.path = path or config_path()
        self._must_exist = path is not None
        self._overrides = dict(overrides or {})

    def load(self) -> Settings:
        """Read the settings.

        Returns
        -------
        Settings

        Raises
        ------
        ConfigError
            If the file cannot be read, has a key that is not known, or a value that is not
            allowed.
        """
        try:
            tree = _read(self.path)
        except _NoConfigError:
            if self._must_exist:
                raise
            tree = {}
        settings = _convert(tree, f"config {self.path}")
        if not self._overrides:
            return settings
        tree = msgspec.to_builtins(settings)
        for key, value in self._overrides.items():
            *parents, leaf = key.split(".")
            table = tree
            for parent in parents:
                table = table[parent]
            table[leaf] = value
        return _convert(tree, "option")

    def changes(self, stop: threading.Event) -> Iterator[None]:
        """Wait for the file to be written, replaced, made or removed; yield each time.

        It also yields where nothing changed: each time the watch has been set up, soon after the
        start for one, since nobody told of what was written before.

        Parameters
        ----------
        stop : threading.Event
            Ends it, within a second.

        Raises
        ------
        ConfigError
            The system does not tell of changes here.
        """
        import watchfiles

        while not stop.is_set():
            try:
                files, folders = places = self._places()
                turns = watchfiles.watch(
                    *folders,
                    watch_filter=None,
                    debounce=400,
                    step=200,
                    rust_timeout=900,
                    yield_on_timeout=True,
                    stop_event=stop,
                    recursive=False,
                    raise_interrupt=False,
                )
                for turn, changes in enumerate(turns):
                    changed = {Path(what) for _, what in changes}
                    # The watch stands since shortly before the first turn; what was written
                    # until then is read now.
                    if turn == 0 or any(
                        file.is_relative_to(it) for file in files for it in changed
                    ):
                        yield
                    # A folder that was removed and made again is not watched any more, and may
                    # have got the same number.
                    if changed & folders.keys() or self._places() != places:
                        break
            except FileNotFoundError:  # went just now
                stop.wait(1.0)
            except OSError as error:
                raise ConfigError(
                    f"config {self.path}: changes will not be seen: {error.strerror or error}"
                ) from None

    def _places(self) -> tuple[set[Path], dict[Path, tuple[int, int]]]:
        """Files that make up the config, and the folders to watch, with what tells them apart."""
        # Also the file a link points to: many keep their settings elsewhere.
        files = {self.path.absolute(), Path(os.path.realpath(self.path))}
        # Folders are watched, since editors put a new file in the place of the old one; where
        # there is none yet, the one it will be made in.
        return files, dict(map(_nearest_folder, files))


def load_settings(
    path: Path | None = None, overrides: Mapping[str, object] | None = None
) -> Settings:
    """Read the settings once; parameters and errors as those of `SettingsFile`."""
    return SettingsFile(path, overrides).load()


def default_toml() -> str:
    """Text of the default config file, with a comment on every key."""
    lines = [
        "# Settings of Kikiwake. Every line may be left out; what stands here is the default.",
        "# `kikiwake config --check FILE` checks a file.",
    ]
    table = ""
    for key, default, meta in setting_fields():
        head, _, leaf = key.rpartition(".")
        if head != table:
            lines += ["", f"[{head}]"]
            table = head
        lines += ["", *_comment(meta)]
        lines.append(f"{leaf} = {msgspec.json.encode(default).decode()}")
    return "\n".join(lines) + "\n"


def value_of(settings: Settings, key: str) -> object:
    """Give a setting by its dotted key, such as ``gate.hangover_ms``."""
    return functools.reduce(getattr, key.split("."), settings)


def toml_of(value: object) -> str:
    """Write a setting's value as the config file has it."""
    return msgspec.json.encode(value).decode()  # a JSON string or number is a TOML one


def not_default(settings: Settings, *but: str) -> str:
    """Say which settings are not the default, in a line; nothing where all are.

    Parameters
    ----------
    settings : Settings
        In effect.
    *but : str
        Keys that do not matter.
    """
    own = ", ".join(
        f"{key} = {toml_of(value_of(settings, key))}"
        for key, default, _ in setting_fields()
        if key not in but and value_of(settings, key) != default
    )
    return own and f"settings not at their default: {own}"


def setting_fields() -> Iterator[tuple[str, object, Meta]]:
    """Every setting as its dotted key, default, and meta (description and bounds)."""
    yield from _fields(Settings, "")


def _fields(section: type[msgspec.Struct], prefix: str) -> Iterator[tuple[str, object, Meta]]:
    for field in msgspec.structs.fields(section):
        if isinstance(field.default, msgspec.Struct):
            yield from _fields(type(field.default), f"{prefix}{field.name}.")
        else:
            (meta,) = field.type.__metadata__
            yield prefix + field.name, field.default, meta


def describe(meta: Meta) -> str:
    """Say what a setting is and what is allowed."""
    allowed = _allowed(meta)
    return f"{meta.description} Allowed: {allowed}." if allowed else meta.description or ""


def _allowed(meta: Meta) -> str:
    if meta.ge is not None:
        return f"{meta.ge} to {meta.le}"
    return ", ".join(map(str, meta.examples or ()))


def _comment(meta: Meta, width: int = 96) -> list[str]:
    import textwrap

    return [f"# {line}" for line in textwrap.wrap(describe(meta), width)]


def _nearest_folder(file: Path) -> tuple[Path, tuple[int, int]]:
    for parent in file.parents:
        with contextlib.suppress(OSError):
            found = parent.stat()
            if stat.S_ISDIR(found.st_mode):
                return parent, (found.st_dev, found.st_ino)
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))


class _NoConfigError(ConfigError):
    pass


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.exists() and not path.is_file():  # some never end
            raise ConfigError(f"config {path}: is not a file")
        # Windows editors may begin one with a byte order mark.
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise _NoConfigError(
            f"config {path}: no such file; `kikiwake config --write` makes the default one"
        ) from None
    except OSError as error:
        raise ConfigError(f"config {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"config {path}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"config {path}: is not TOML: {error}") from None


def _convert(tree: Mapping[str, Any], where: str) -> Settings:
    try:
        return msgspec.convert(tree, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {_explain(str(error), tree)}") from None


def _explain(message: str, tree: Mapping[str, Any]) -> str:
    """Say it with the key first: "gate.aggressiveness = 7: expected int <= 3"."""
    what, _, place = message.partition(" - at `$")
    table = place.rstrip("`").lstrip(".")
    if "unknown field" in what:
        field = what.split("`")[1]
        known = [key for key, _, _ in setting_fields()]
        import difflib

        name = f"{table}.{field}" if table else field
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
        return f"{name}: unknown key; {hint}"
    value: object = tree
    for part in table.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    what = what[:1].lower() + what[1:].replace("`", "")
    limits = next((meta for key, _, meta in setting_fields() if key == table), None)
    allowed = _allowed(limits) if limits else ""
    return f"{table} = {value!r}: {what}" + (f"; allowed: {allowed}" if allowed else "")
