"""Conversations composed of clips, with music and noise, and the exact truth about them.

A scene is a small TOML file that says who speaks, in what turns, and over what (`Scene`)::

    turns = 40
    cast = ["nemo/*", "!nemo/WR0"]  # actor/character
    pause_s = [0.2, 1.0]

    [[beds]]
    kind = "music"
    snr_db = 10.0

Names and files are chosen by patterns: ``*`` stands for anything, also over slashes, ``?`` for one
character, ``[ab]`` for one of these; case counts. A pattern that begins with ``!`` takes away what
the others have chosen. A pattern that chooses nothing is an error.

Each thing is drawn by a generator of its own: the same conversation is had over other beds, with
other pauses, in another room.

Notes
-----
Truth are the speech stretches of the clean turns (`.clips.speech_stretches`), before anything is
mixed in. Where it names nobody, nobody speaks, provided that in the files of beds nobody does.

The signal-to-noise ratio of a bed compares two mean powers: of the speech over all stretches of the
truth, and of each stretch of the bed over its 10 ms frames within 30 dB of its loudest.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta, inspect

from ..errors import KikiwakeError
from ..files import write_file
from .clips import (
    composed,
    encode,
    find_clips,
    find_sounds,
    frame_levels,
    read_clip,
    resample,
    speech_stretches,
)
from .score import Segment, format_rttm
from .terminal import extra

Audio = npt.NDArray[np.float32]

FORMATS = {".flac": "FLAC", ".wav": "WAV"}
"""What a sound can be written as, by the ending of its name."""

_LONGEST_PAUSE_S = 0.5  # left of a longer one inside a clip
_QUICK_S = (0.05, 0.15)
_CUT_FADE_S = 0.02
_BED_S = (5.0, 20.0)
_BED_FADE_S = 1.0
_BED_PAUSE_S = 0.3  # left of a longer silence in a file
_ACTIVE_DB = -30.0  # below the loudest frame: not counted in the level of a bed
_ROOM_S = 30.0  # then the room repeats itself
_LOOP_FADE_S = 0.5
_PEAK = 0.95

_Pattern = Annotated[str, Meta(min_length=1)]
_Share = Annotated[float, Meta(ge=0.0, le=1.0)]
_Pause = Annotated[float, Meta(ge=0.0, le=60.0)]
_Speech = Annotated[float, Meta(ge=0.2, le=600.0)]
_Gain = Annotated[float, Meta(ge=-40.0, le=20.0)]

_Item = TypeVar("_Item")


class SceneError(KikiwakeError):
    """A scene cannot be used, or not with these clips and beds, or cannot be written."""


class Bed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is heard under the speech, or alone. Synthesized or of files, at one of two levels.

    Attributes
    ----------
    kind : {"music", "noise", "effects"}, optional
        Synthesized, see `.starter.background.make_background`; each stretch is another piece.
    files : tuple of str
        Patterns of sound files, by their path below the folder of beds. Each stretch is from
        another one, from anywhere in it; one that is too short is looped.
    snr_db : float, optional
        How far the bed lies below the speech; see the module's notes.
    level_db : float, optional
        Its own level in dBFS, as the module's notes measure it.
    share : float
        Of the scene over which it is heard: in stretches of 5 to 20 s, or throughout.
    """

    kind: Literal["music", "noise", "effects"] | None = None
    files: tuple[_Pattern, ...] = ()
    snr_db: Annotated[float, Meta(ge=-30.0, le=60.0)] | None = None
    level_db: Annotated[float, Meta(ge=-100.0, le=-6.0)] | None = None
    share: Annotated[float, Meta(ge=0.01, le=1.0)] = 1.0

    def __post_init__(self) -> None:
        if (self.kind is None) == (not self.files):
            raise ValueError("needs either kind or files")
        if (self.snr_db is None) == (self.level_db is None):
            raise ValueError("needs either snr_db or level_db")


class Scene(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who speaks, in what turns, and over what.

    Attributes
    ----------
    seed : int
        Of all that is drawn: the same scene and the same files give the same sound.
    sample_rate : int
        In Hz.
    turns : int
        How many; 0 for sound without speech.
    recordings : tuple of str
        Patterns of the recordings whose clips may be heard.
    cast : tuple of str
        Patterns ``actor/character`` of who speaks, by turns in random order: all are heard equally
        often, as far as the turns go round, and nobody twice in a row unless alone.
    strangers : tuple of str
        Likewise: people whom the cast under test does not know. They win over `cast`.
    stranger_share : float
        Of the turns that are a stranger's, where there are strangers.
    turn_s : tuple of float
        Least and most length of a turn in seconds. It is made of whole clips, as many as come
        nearest; a first clip that is longer is cut.
    clip_pause_s, pause_s : tuple of float
        Between the clips of a turn; between turns, before the first and after the last.
    quick_share : float
        Of the turns that follow at once, after 0.05 to 0.15 s.
    overlap_share : float
        Of the turns that begin before the last one ends,
    overlap_s : tuple of float
        by so many seconds; at most by half of the shorter one, so that never three speak at once.
    level_db : tuple of float
        Of a turn, around -23 dBFS.
    room_db : float
        Noise of the room, in dBFS; ``-inf`` for none.
    silence_s : float
        Seconds at the end in which nobody speaks. Room and beds go on.
    beds : tuple of Bed
    """

    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 1
    sample_rate: Annotated[int, Meta(ge=8000, le=192_000)] = 48_000
    turns: Annotated[int, Meta(ge=0, le=10_000)] = 30
    recordings: Annotated[tuple[_Pattern, ...], Meta(min_length=1)] = ("*",)
    cast: tuple[_Pattern, ...] = ()
    strangers: tuple[_Pattern, ...] = ()
    stranger_share: _Share = 0.2
    turn_s: tuple[_Speech, _Speech] = (1.0, 6.0)
    clip_pause_s: tuple[_Pause, _Pause] = (0.1, 0.4)
    pause_s: tuple[_Pause, _Pause] = (0.2, 1.5)
    quick_share: _Share = 0.2
    overlap_share: _Share = 0.0
    overlap_s: tuple[_Pause, _Pause] = (0.5, 1.5)
    level_db: tuple[_Gain, _Gain] = (-3.0, 3.0)
    room_db: Annotated[float, Meta(le=-20.0)] = -65.0
    silence_s: Annotated[float, Meta(ge=0.0, le=3600.0)] = 0.0
    beds: tuple[Bed, ...] = ()

    def __post_init__(self) -> None:
        for name in ("turn_s", "clip_pause_s", "pause_s", "overlap_s", "level_db"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} = [{low:g}, {high:g}]: need the lesser one first")
        if self.quick_share + self.overlap_share > 1:
            raise ValueError(
                f"quick_share = {self.quick_share:g} and overlap_share = {self.overlap_share:g}: "
                "need 1 at most together"
            )
        if self.turns:
            if not self.cast:
                raise ValueError('cast: is missing; need patterns such as "actor/character"')
        elif self.silence_s < 1:
            raise ValueError(f"silence_s = {self.silence_s:g}: need 1 at least where turns = 0")
        elif any(bed.snr_db is not None for bed in self.beds):
            raise ValueError("beds: need level_db instead of snr_db where turns = 0")


class Composed(NamedTuple):
    """A scene as sound.

    Attributes
    ----------
    y : np.ndarray, shape=(n,), dtype=float32
        Mono; peaks at 0.95 at most: what would exceed it makes the whole quieter.
    sample_rate : int
        In Hz.
    truth : list of Segment
        Who speaks when, by start. Where two speak at once, their segments overlap.
    strangers : tuple of str
        Names in `truth` of whom the cast under test does not know.
    """

    y: Audio
    sample_rate: int
    truth: list[Segment]
    strangers: tuple[str, ...]


def read_scene(path: Path) -> Scene:
    """Read a scene file.

    Raises
    ------
    SceneError
        If the file cannot be read, has a key that is not known, or a value that is not allowed.
    """
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SceneError(f"scene {path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SceneError(f"scene {path}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SceneError(f"scene {path}: is not TOML: {error}") from None
    try:
        return msgspec.convert(tree, Scene)
    except msgspec.ValidationError as error:
        raise SceneError(f"scene {path}: {_explain(str(error), tree)}") from None


def compose(scene: Scene, clips: Path, beds: Path | None = None) -> Composed:
    """Make a scene's sound and its truth.

    Parameters
    ----------
    scene : Scene
    clips : Path
        Folder of sorted clips, see `.clips`.
    beds : Path, optional
        Folder of sound without speech; needed where a bed is of files.

    Returns
    -------
    Composed

    Raises
    ------
    SceneError
        A pattern chooses nothing, or a stranger has the name of one of the cast.
    ClipError
        A folder or a file cannot be read, or is silent.
    KikiwakeError
        Something is to be synthesized, and scipy is not installed.
    """
    rate = scene.sample_rate
    sources = [_source(bed, number, scene, beds) for number, bed in enumerate(scene.beds)]
    turns = _converse(scene, clips)
    speech_s = turns[-1].end / rate + _between(_rng(scene, "end"), scene.pause_s) if turns else 0.0
    y = np.zeros(round((speech_s + scene.silence_s) * rate), np.float32)
    truth: list[Segment] = []
    spoken = np.zeros(len(y), bool)
    for turn in turns:
        y[turn.start : turn.end] += turn.y
        for first, last in speech_stretches(turn.y, sample_rate=rate):
            start, stop = turn.start + first, turn.start + last
            spoken[start:stop] = True
            truth.append(Segment(start / rate, stop / rate, turn.name))
    truth.sort(key=lambda segment: segment.start)
    speech_db = _power_db(y[spoken]) if turns else 0.0
    for number, (bed, source) in enumerate(zip(scene.beds, sources, strict=True)):
        level_db = speech_db - (bed.snr_db or 0.0) if bed.level_db is None else bed.level_db
        where = _rng(scene, f"stretches of bed {number}")
        for start, stop in _bed_stretches(len(y), bed.share, rate, where):
            piece = source(stop - start)
            piece *= _gain(level_db - _active_db(piece, rate))
            y[start:stop] += _faded(piece, round(_BED_FADE_S * rate))
    if scene.room_db > -math.inf:
        y += _room(scene, len(y))
    peak = float(np.abs(y).max())
    y *= np.float32(_PEAK / max(peak, _PEAK))
    strangers = tuple(sorted({turn.name for turn in turns if turn.stranger}))
    return Composed(y, rate, truth, strangers)


def truth_path(to: Path) -> Path:
    """Say where the truth of a sound goes: beside it.

    Raises
    ------
    SceneError
        The ending of its name is not one of `FORMATS`.
    """
    if to.suffix.lower() not in FORMATS:
        raise SceneError(f"{to}: need a name that ends in {' or '.join(FORMATS)}")
    return to.with_suffix(".rttm")


def write(scene: Composed, to: Path) -> None:
    """Write a sound, 16 bit, and its truth beside it, each as a whole or not at all.

    Parameters
    ----------
    scene : Composed
    to : Path
        Of the sound, see `FORMATS`; the folders above it are made.

    Raises
    ------
    SceneError
        They cannot be written.
    """
    truth = truth_path(to)
    sound = encode(scene.y, scene.sample_rate, FORMATS[to.suffix.lower()])
    try:
        write_file(truth, format_rttm(scene.truth, "_".join(to.stem.split())).encode())
        write_file(to, sound)
    except OSError as error:
        raise SceneError(f"{to}: cannot be written: {error.strerror}") from None


def spoken_s(truth: Sequence[Segment]) -> tuple[float, float]:
    """Add up how long somebody speaks, and how long several at once, in seconds.

    Examples
    --------
    >>> spoken_s([Segment(0.0, 2.0, "Hana"), Segment(1.5, 3.0, "Ken")])
    (3.0, 0.5)
    """
    steps = [(s.start, 1) for s in truth] + [(s.end, -1) for s in truth]
    somebody = several = now = 0.0
    speaking = 0
    for time, step in sorted(steps):
        somebody += (time - now) * (speaking > 0)
        several += (time - now) * (speaking > 1)
        now, speaking = time, speaking + step
    return somebody, several


class _Turn(NamedTuple):
    """A turn, clean, and from where to where it goes, in samples."""

    start: int
    end: int
    y: Audio
    name: str
    stranger: bool


class _Deck(Generic[_Item]):
    """Deals cards in random order, all of them and then all again, never one twice in a row."""

    def __init__(self, cards: Sequence[_Item], rng: np.random.Generator) -> None:
        self._cards, self._rng = cards, rng
        self._left: list[int] = []
        self._last = -1

    def deal(self) -> _Item:
        if not self._left:
            self._left = self._rng.permutation(len(self._cards)).tolist()
            if self._left[-1] == self._last:
                self._left.reverse()
        self._last = self._left.pop()
        return self._cards[self._last]

    def take_back(self) -> None:
        """Let the card dealt last be the next one."""
        self._left.append(self._last)


class _Person(NamedTuple):
    name: str
    clips: _Deck[Path]


def _converse(scene: Scene, clips: Path) -> list[_Turn]:
    """Draw the turns of a conversation and when they are."""
    if not scene.turns:
        return []
    rate, count = scene.sample_rate, scene.turns
    cast, strangers = _people(scene, clips)
    theirs = np.zeros(count, bool)
    if strangers:
        theirs[: round(scene.stranger_share * count)] = True
        theirs = _rng(scene, "whose turns").permutation(theirs)
    next_of_cast = _Deck(cast, _rng(scene, "cast"))
    next_stranger = _Deck(strangers, _rng(scene, "strangers"))
    follows = _follows(scene)
    lengths, levels = _rng(scene, "lengths"), _rng(scene, "levels")
    pauses, inner_pauses = _rng(scene, "pauses"), _rng(scene, "pauses inside")
    turns: list[_Turn] = []
    end = shortest = 0
    for stranger, how in zip(theirs.tolist(), follows, strict=True):
        person = (next_stranger if stranger else next_of_cast).deal()
        wanted_s = _between(lengths, scene.turn_s)
        y = _speak(person, wanted_s, scene, inner_pauses)
        y *= _gain(_between(levels, scene.level_db))
        if how == "overlap":
            overlap = round(_between(pauses, scene.overlap_s) * rate)
            start = end - min(overlap, shortest // 2, len(y) // 2)
        else:
            pause = _between(pauses, _QUICK_S if how == "quick" else scene.pause_s)
            start = end + round(pause * rate)
        end, shortest = start + len(y), len(y)
        turns.append(_Turn(start, end, y, person.name, stranger))
    return turns


def _follows(scene: Scene) -> list[str]:
    """Draw how each turn follows the one before."""
    after = scene.turns - 1
    overlaps = round(scene.overlap_share * after)
    quick = min(round(scene.quick_share * after), after - overlaps)
    kinds = ["overlap"] * overlaps + ["quick"] * quick + ["pause"] * (after - overlaps - quick)
    return ["pause", *_rng(scene, "follows").permutation(kinds).tolist()]


def _people(scene: Scene, clips: Path) -> tuple[list[_Person], list[_Person]]:
    """Find the cast and the strangers among the clips."""
    spoken = [
        (clip.recording, clip.voice, clip.path)
        for clip in find_clips(clips)
        if clip.voice is not None
    ]
    names = sorted({composed(recording) for recording, _, _ in spoken})
    recordings = _chosen(scene.recordings, names, "recordings", clips)
    voices: dict[str, list[tuple[str, str, Path]]] = {}
    for recording, voice, path in spoken:
        if (name := composed(recording)) in recordings:
            voices.setdefault("/".join(voice), []).append((name, composed(path.name), path))
    strangers = _chosen(scene.strangers, sorted(voices), "strangers", clips)
    known = _chosen(scene.cast, sorted(voices), "cast", clips)
    cast = [voice for voice in known if voice not in strangers]
    if not cast:
        raise SceneError("cast: all of it are strangers; need somebody besides")

    def person(voice: str) -> _Person:
        # In the same order on every system.
        paths = [path for _, _, path in sorted(voices[voice], key=lambda clip: clip[:2])]
        return _Person(voice.partition("/")[2], _Deck(paths, _rng(scene, f"clips of {voice}")))

    named = {voice.partition("/")[2]: voice for voice in cast}
    for stranger in strangers:
        if other := named.get(stranger.partition("/")[2]):
            raise SceneError(f"strangers: {stranger} has the name of {other}, of the cast")
    return [person(voice) for voice in cast], [person(voice) for voice in strangers]


def _speak(person: _Person, wanted_s: float, scene: Scene, pauses: np.random.Generator) -> Audio:
    """Put a turn together."""
    rate = scene.sample_rate
    wanted = round(wanted_s * rate)
    parts: list[Audio] = []
    spoken = 0
    while spoken < wanted:
        clip = read_clip(person.clips.deal(), rate, longest_pause_s=_LONGEST_PAUSE_S)
        if parts:
            if spoken + len(clip) // 2 > wanted:
                person.clips.take_back()
                break
            pause = _between(pauses, scene.clip_pause_s)
            parts.append(np.zeros(round(pause * rate), np.float32))
        elif len(clip) > wanted:
            clip = clip[:wanted]
            fade = round(_CUT_FADE_S * rate)
            clip[-fade:] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
        parts.append(clip)
        spoken += len(clip)
    return np.concatenate(parts)


def _source(bed: Bed, number: int, scene: Scene, folder: Path | None) -> Callable[[int], Audio]:
    """Prepare what a bed is of, a function from a number of samples to so much sound."""
    rate, rng = scene.sample_rate, _rng(scene, f"bed {number}")
    if bed.kind is not None:
        kind = bed.kind
        with extra("train", f"beds[{number}].kind"):
            from .starter.background import SAMPLE_RATE, make_background

        def synthesize(n: int) -> Audio:
            # A little more than enough: rates may round either way.
            made = make_background(kind, n / rate + 0.1, rng)
            return resample(made, SAMPLE_RATE, rate)[:n].copy()

        return synthesize

    key = f"beds[{number}].files"
    if folder is None:
        raise SceneError(f"{key}: needs a folder of beds; say which with --beds FOLDER")
    paths = {composed(path.relative_to(folder).as_posix()): path for path in find_sounds(folder)}
    chosen = _chosen(bed.files, sorted(paths), key, folder)
    files = _Deck([paths[name] for name in chosen], rng)

    def play(n: int) -> Audio:
        y = read_clip(files.deal(), rate, longest_pause_s=_BED_PAUSE_S)
        return _looped(y, n, rate, int(rng.integers(len(y))))

    return play


def _bed_stretches(
    n: int, share: float, rate: int, rng: np.random.Generator
) -> Iterator[tuple[int, int]]:
    """Draw when a bed is heard, in samples.

    Stretches end in fades, whose middle is counted as the end; where one follows another at once,
    the two cross.
    """
    heard = share * n
    lengths: list[float] = []
    while sum(lengths) < heard:
        lengths.append(_between(rng, _BED_S) * rate)
    shares = np.array(lengths) * heard / sum(lengths)
    ends = np.cumsum(shares) + np.sort(rng.uniform(0.0, n - heard, len(shares)))
    half = _BED_FADE_S * rate / 2
    for start, end in zip(ends - shares, ends, strict=True):
        yield max(0, round(start - half)), min(n, round(end + half))


def _room(scene: Scene, n: int) -> Audio:
    rate = scene.sample_rate
    with extra("train", "the noise of a room"):
        from .starter.background import SAMPLE_RATE, room_tone
    tone = resample(room_tone(_ROOM_S, _rng(scene, "room")), SAMPLE_RATE, rate)
    return _looped(tone, n, rate, 0) * _gain(scene.room_db - _power_db(tone))


def _looped(y: Audio, n: int, rate: int, start: int) -> Audio:
    """Repeat a sound without a seam, its end crossing over into its beginning."""
    fade = min(round(_LOOP_FADE_S * rate), len(y) // 4)
    period = len(y) - fade
    circle = y[:period].copy()
    circle[:fade] = circle[:fade] * _rise(fade) + y[period:] * _rise(fade)[::-1]
    return np.resize(np.roll(circle, -start), n)


def _faded(y: Audio, fade: int) -> Audio:
    fade = min(fade, len(y) // 2)
    y = y.copy()
    y[:fade] *= _rise(fade)
    y[len(y) - fade :] *= _rise(fade)[::-1]
    return y


def _rise(n: int) -> Audio:
    """Rise from 0 to 1 such that the power stays even where two sounds cross."""
    phase = (np.arange(n, dtype=np.float32) + np.float32(0.5)) * np.float32(np.pi / 2 / max(n, 1))
    return np.asarray(np.sin(phase), dtype=np.float32)


def _active_db(y: Audio, rate: int) -> float:
    levels = frame_levels(y, frame_length=rate // 100)
    active = levels[levels > levels.max() + _ACTIVE_DB]
    return float(10.0 * np.log10(np.mean(10.0 ** (active / 10.0))))


def _power_db(y: Audio) -> float:
    return float(10.0 * np.log10(np.mean(np.square(y, dtype=np.float64)) + 1e-20))


def _gain(db: float) -> np.float32:
    return np.float32(10.0 ** (db / 20.0))


def _between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(rng.uniform(*limits))


def _rng(scene: Scene, what: str) -> np.random.Generator:
    """Make the generator of one thing, which no other thing draws from."""
    return np.random.default_rng([scene.seed, *what.encode()])


def _chosen(patterns: Sequence[str], names: Sequence[str], key: str, where: Path) -> list[str]:
    """Choose names by patterns, see the module."""
    wanted = [composed(p) for p in patterns if not p.startswith("!")]
    unwanted = [composed(p[1:]) for p in patterns if p.startswith("!")]
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            raise SceneError(
                f"{key}: nothing in {where} is {pattern!r}; there is {shown or 'nothing at all'}"
            )
    chosen = [
        name
        for name in names
        if any(fnmatchcase(name, pattern) for pattern in wanted)
        and not any(fnmatchcase(name, pattern) for pattern in unwanted)
    ]
    if patterns and not chosen:
        raise SceneError(f"{key}: leaves nothing of what is in {where}")
    return chosen


def _explain(message: str, tree: dict[str, Any]) -> str:
    """Say it with the key first: turn_s[0] = -1: expected float >= 0.2; allowed: 0.2 to 600."""
    what, _, place = message.partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    if "unknown field" in what:
        of = Bed if place else Scene
        name = f"{place}." * bool(place) + what.split("`")[1]
        known = ", ".join(field.name for field in msgspec.structs.fields(of))
        return f"{name}: unknown key; known keys: {known}"
    value: Any = tree
    kind: Any = inspect.type_info(Scene)
    for part in re.findall(r"\w+", place):
        value = value[int(part) if isinstance(value, list) else part]
        kind = _inner(kind, part)
    if isinstance(value, dict):  # said by the scene, or a bed, about itself
        return f"{place}: {what}" if place else what
    allowed = _allowed(kind)
    what = what[:1].lower() + what[1:].replace("`", "")
    return f"{place} = {value!r}: {what}" + (f"; allowed: {allowed}" if allowed else "")


def _inner(kind: Any, part: str) -> Any:
    """Go from a type to that of one of its fields or items."""
    match kind:
        case inspect.StructType():
            kind = next(field.type for field in kind.fields if field.name == part)
        case inspect.TupleType():
            kind = kind.item_types[int(part)]
        case inspect.VarTupleType():
            kind = kind.item_type
    if isinstance(kind, inspect.UnionType):
        kind = next(one for one in kind.types if not isinstance(one, inspect.NoneType))
    return kind


def _allowed(kind: Any) -> str:
    match kind:
        case inspect.LiteralType():
            return ", ".join(map(str, kind.values))
        case inspect.IntType() | inspect.FloatType():
            return f"{-math.inf if kind.ge is None else kind.ge:g} to {kind.le:g}"
    return ""
