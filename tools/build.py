"""From sorted clips to a data set: who is trained on, who is validated on, and the patches.

The patches that are validated on are the clips of other recordings as they are, window after
window. Those that are trained on are composed, as `.patches` says: over music, noise and effects,
in rooms, behind channels, at any level, the beginnings of turns and their ends.
"""

from __future__ import annotations

import hashlib
import math
import os
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from ..errors import CastError
from ..features.mfcc import mfcc
from ..features.settings import FeatureSettings
from ..models.cast import PORTRAITS, Character
from .cast_files import check_name, picture_format, read_picture
from .clips import (
    Audio,
    ClipError,
    ClipFile,
    find_clips,
    find_portraits,
    find_sounds,
    find_stray,
    find_unsorted,
    length_s,
    read_clip,
    read_sound,
    resample,
    trim_and_level,
)
from .dataset import (
    PARTS,
    ROW,
    SHARD,
    DatasetCard,
    DatasetError,
    DatasetWriter,
    Part,
    VoiceSet,
)
from .patches import BACKGROUND_SHARE, MAX_TAIL_S, PatchComposer
from .split import TABLE, Clip, SplitError, read_clips
from .starter.background import SAMPLE_RATE as _MADE_RATE
from .starter.background import Kind, make_background

VALIDATION_SHARE = 0.2
# More than this of the sound is not given away for validation, whoever would stay without.
_MOST_VALIDATION = 0.4
# Backgrounds that are synthesized, so that there is some for those who give none: one for so many
# patches to train on, within these bounds; a fifth of it again for validation.
_PATCHES_A_BED = 30
_FEWEST_BEDS, _MOST_BEDS = 5, 300
_MADE_KINDS: tuple[Kind, ...] = ("music", "noise", "effects")
_MADE_S = 8.0
# So many besides, as a share of all backgrounds, are two at once: music under effects sounds like
# neither. The second is quieter by up to this.
_BOTH_SHARE = 0.5
_BOTH_DB = 12.0
# Of those that are given so much in all: somebody's whole music would fill the disk, and more than
# a training hears is of no use. Of one file at most so much, which is held in memory, and where
# there are very many, of fewer of them at least so much.
_MOST_GIVEN_S = 7_200.0
_MOST_OF_ONE_S = 600.0
_LEAST_OF_ONE_S = 20.0

# Patches of other voices, for each that is trained on.
VOICES_SHARE = 0.5

Progress = Callable[[str, int, int], None]
# Of a clip, by its number; -1 where it is none of the clips.
Bed = tuple[int, Audio]


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """What is made of the clips.

    Attributes
    ----------
    copies : int > 0
        Composed patches for each half second of a voice that is trained on.
    seed : int
        Of the composing.
    validate_on : tuple of str
        Recordings to validate on; where there is none, they are chosen.
    features : FeatureSettings
        Of the network.
    """

    copies: int = 6
    seed: int = 0
    validate_on: tuple[str, ...] = ()
    features: FeatureSettings = FeatureSettings()


class Plan(msgspec.Struct, frozen=True):
    """Which clips are trained on, and which validated on.

    Attributes
    ----------
    parts : dict of ClipFile to str
        What each clip is for.
    warnings : tuple of str
        What is wrong with it, for people.
    """

    parts: dict[ClipFile, Part]
    warnings: tuple[str, ...]


def plan(seconds: Mapping[ClipFile, float], validate_on: Sequence[str] = ()) -> Plan:
    """Choose what to validate on: whole recordings, where a voice is in several.

    Recordings are chosen one after the other, those first that let most voices be validated, until
    they are a fifth of the sound; a voice is never left without anything to train on. Of a voice
    that is in one recording only, or that the choice leaves without validation, about the last
    fifth is taken: its neighbours are trained on, which is told.

    Parameters
    ----------
    seconds : dict of ClipFile to float
        The clips, as `find_clips` gives them, and how long they are.
    validate_on : sequence of str
        Recordings to validate on, instead of the choice.

    Returns
    -------
    Plan

    Raises
    ------
    ClipError
        There are fewer than two voices, or no such recording.
    """
    warnings: list[str] = []
    by_voice: dict[tuple[str, str], list[ClipFile]] = defaultdict(list)
    for clip in seconds:
        if clip.voice is not None:
            by_voice[clip.voice].append(clip)
    if len(by_voice) < 2:
        who = " and ".join(f"{name} ({actor})" for actor, name in by_voice) or "nobody"
        raise ClipError(
            f"the clips that are sorted hold {who} only; to tell voices apart takes two: sort the "
            "clips of another (kikiwake sort)"
        )
    chosen = set(validate_on) or _recordings_to_validate(by_voice, seconds)
    recordings = {clip.recording for clip in seconds}
    if chosen - recordings:
        raise ClipError(
            f"there is no recording {sorted(chosen - recordings)[0]!r} to validate on; there are "
            f"{', '.join(sorted(recordings)[:8])}"
        )
    held_out = {clip for clip in seconds if clip.recording in chosen}
    better = "its figures are better than the truth"
    for (actor, name), its in by_voice.items():
        if len({clip in held_out for clip in its}) == 2:
            continue
        last = _last_fifth(its, seconds)
        held_out = (held_out - set(its)) | set(last)
        if not last:
            warnings.append(
                f"{name} ({actor}): has one clip only, which is trained on; none validates"
            )
        elif len({clip.recording for clip in its}) == 1:
            warnings.append(
                f"{name} ({actor}): is validated on clips of the recording that it is trained on; "
                f"{better} until it is in another, too"
            )
        else:
            warnings.append(
                f"{name} ({actor}): is validated on clips of recordings that it is trained on; "
                f"{better}; --validate-on chooses others"
            )
    nobody = [clip for clip in seconds if clip.voice is None]
    if nobody and not any(clip in held_out for clip in nobody):
        last = _last_fifth(nobody, seconds)
        held_out.update(last)
        warnings.append(
            f"background: is validated on clips of recordings that it is trained on; {better}"
            if last
            else "background: has one clip only, which is trained on; synthesized sound validates"
        )
    parts: dict[ClipFile, Part] = {
        clip: "validation" if clip in held_out else "train" for clip in seconds
    }
    return Plan(parts, tuple(warnings))


def _recordings_to_validate(
    by_voice: Mapping[tuple[str, str], Sequence[ClipFile]], seconds: Mapping[ClipFile, float]
) -> set[str]:
    where = {voice: {clip.recording for clip in its} for voice, its in by_voice.items()}
    size: dict[str, float] = defaultdict(float)
    for its in by_voice.values():
        for clip in its:
            size[clip.recording] += seconds[clip]
    total = sum(size.values())
    chosen: set[str] = set()
    while True:
        taken = sum(size[recording] for recording in chosen)
        # Voices that could be validated by a recording, and are not yet.
        waiting = [its for its in where.values() if len(its) > 1 and not its & chosen]
        # Never the last recording to train a voice on that is in several.
        allowed = [
            recording
            for recording in sorted(set(size) - chosen, reverse=True)
            if not any(len(its) > 1 and its <= chosen | {recording} for its in where.values())
        ]
        # Not too much of the sound; the first has to be one of those there are.
        small = [r for r in allowed if taken + size[r] <= _MOST_VALIDATION * total]
        if chosen or small:
            allowed = small
        elif allowed:
            allowed = [min(allowed, key=lambda recording: size[recording])]
        if not allowed or (not waiting and taken >= VALIDATION_SHARE * total):
            return chosen

        def gain(recording: str, waiting: Sequence[set[str]] = waiting) -> int:
            return sum(recording in its for its in waiting)

        # Of two that are alike the later one, by name: what is heard next is later still.
        best = max(allowed, key=gain)
        if not gain(best) and (not chosen or taken + size[best] > 1.5 * VALIDATION_SHARE * total):
            return chosen
        chosen.add(best)


def _last_fifth(clips: Sequence[ClipFile], seconds: Mapping[ClipFile, float]) -> list[ClipFile]:
    """Take clips from the end, about a fifth of the sound, and never all."""
    total = sum(seconds[clip] for clip in clips)
    taken: list[ClipFile] = []
    for clip in reversed(clips):
        so_far = sum(seconds[c] for c in taken)
        if so_far >= VALIDATION_SHARE * total:
            break
        if so_far + seconds[clip] <= total / 2:
            taken.append(clip)
    return taken


def build(
    folder: Path,
    to: Path,
    recipe: Recipe,
    backgrounds: Sequence[Path] = (),
    progress: Progress | None = None,
) -> tuple[DatasetCard, list[str]]:
    """Make a data set of a folder of sorted clips.

    Stopped at any moment, it goes on with the shard it was at, and the result is the same; with
    other clips or another recipe it begins anew.

    Parameters
    ----------
    folder : Path
        Of the clips; see `.clips`.
    to : Path
        Folder for the data set.
    recipe : Recipe
        What to make of them.
    backgrounds : sequence of Path
        Folders of sound without speech, of which any may hold folders.
    progress : callable, optional
        Called with what is being done, how much of it is done, and of how much.

    Returns
    -------
    card : DatasetCard
    warnings : list of str
        What is wrong with it, for people.

    Raises
    ------
    ClipError
        The clips cannot be used.
    DatasetError
        The data set cannot be written, or there is a finished one.
    """
    tell = progress or (lambda what, done, of: None)
    if (folder / TABLE).exists():
        raise ClipError(f"{folder}: is the folder of one recording; name the folder that it is in")
    clips = find_clips(folder)
    warnings: list[str] = []
    if unsorted := len(find_unsorted(folder)):
        warnings.append(f"{unsorted} clips are not sorted yet, and are left out")
    warnings += [f"{path}: lies where no clip belongs; left out" for path in find_stray(folder)]
    given = {clip.path.resolve() for clip in clips}
    found: dict[Path, Path] = {}  # by where it is: one that is given twice counts once
    for place in backgrounds:
        its = find_sounds(place)
        if not its:
            raise ClipError(f"{place}: holds no sound file to lay under the voices")
        for path in its:
            found.setdefault(path.resolve(), path)
    others = [path for where, path in found.items() if where not in given]
    voices = sorted({clip.voice for clip in clips if clip.voice is not None})
    for actor, name in voices:
        try:
            check_name("actor", actor)
            check_name("character", name)
        except CastError as error:
            raise ClipError(f"{folder}: {error}; rename the folder") from None
    portraits = {v: path for v, path in find_portraits(folder).items() if v in voices}
    members: dict[tuple[str, str], str] = {}
    for voice, path in portraits.items():
        try:
            ending = picture_format(read_picture(path))
        except CastError as error:
            warnings.append(f"{error}; left out")
            continue
        members[voice] = f"{PORTRAITS}/{voices.index(voice):03}.{ending}"
    card = DatasetCard(
        characters=tuple(
            Character(name, actor, members.get((actor, name))) for actor, name in voices
        ),
        background=True,
        features=recipe.features,
        recordings=tuple(sorted({clip.recording for clip in clips})),
        clips=tuple(clip.path.relative_to(folder).as_posix() for clip in clips),
        copies=recipe.copies,
        made_of=_digest(recipe, [*(clip.path for clip in clips), *others, *portraits.values()]),
    )
    writer = DatasetWriter(to, card)
    if writer.finished:
        warnings = [*writer.warnings, "the data set was there already, made of the same clips"]
        if not writer.voices:
            warnings.append(
                "it was made by an earlier version, without the other voices that a network learns "
                f"from too; for a better one remove {to} and build again"
            )
        return card, warnings
    for voice, member in members.items():
        writer.add_portrait(member, portraits[voice])
    unread: list[str] = []
    try:
        rate = recipe.features.sample_rate
        with _Sounds(to) as sounds, _Sounds(to) as bed_sounds:
            for number, clip in enumerate(clips):
                tell("reading clips", number, len(clips))
                try:
                    y = read_clip(clip.path, rate, longest_pause_s=MAX_TAIL_S)
                except ClipError as error:
                    unread.append(str(error))
                else:
                    sounds.add(number, y)
            warnings += [f"{error}; left out" for error in unread]
            heard = sounds.all()
            seconds = {clips[n]: len(y) / rate for n, y in heard.items()}
            planned = plan(seconds, recipe.validate_on)
            warnings += planned.warnings
            parts = [planned.parts.get(clip) for clip in clips]
            spoken_s = sum(s for clip, s in seconds.items() if planned.parts[clip] == "train")
            beds = _backgrounds(clips, parts, others, spoken_s, recipe, bed_sounds, tell, warnings)
            starts = _starts(folder, clips, seconds, card.recordings, warnings)
            patches = _Patches(recipe, card, clips, parts, heard, starts, beds)
            for shard in range(shards := -(-len(patches) // SHARD)):
                if not writer.has(shard):
                    writer.write(shard, *patches.shard(shard, tell))
            for shard in range(voice_shards := -(-patches.voices // SHARD)):
                if not writer.has_voices(shard):
                    tell("composing other voices", shard, voice_shards)
                    writer.write_voices(shard, patches.voice_shard(shard))
    except OSError as error:
        raise DatasetError(f"{to}: cannot be written: {error.strerror}") from None
    except ClipError as error:
        if not unread:
            raise
        count = "a clip" if len(unread) == 1 else f"{len(unread)} clips"
        raise ClipError(f"{error}; {count} could not be used, the first: {unread[0]}") from None
    writer.finish(shards, voice_shards, warnings)
    return card, warnings


class _Sounds:
    """Sounds by number, on disk and mapped: hours of them may be more than the memory holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[int, tuple[int, int]] = {}
        self._end = 0

    def __enter__(self) -> Self:
        # Without a name, where the system can: gone with this process, however it ends.
        self._file = tempfile.TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, number: int, y: Audio) -> None:
        self._file.write(y.tobytes())
        self._places[number] = self._end, self._end + len(y)
        self._end += len(y)

    def all(self) -> dict[int, Audio]:
        """Give those there are."""
        self._file.flush()
        if not self._end:
            return {}
        # As plain arrays: a slice of a memmap costs several times as much to make.
        whole = np.asarray(np.memmap(self._file, np.float32, "r"))
        return {number: whole[a:b] for number, (a, b) in self._places.items()}


class _Patches:
    """The patches of a data set by number: first those validated on, then those trained on."""

    def __init__(
        self,
        recipe: Recipe,
        card: DatasetCard,
        clips: Sequence[ClipFile],
        parts: Sequence[Part | None],
        sounds: Mapping[int, Audio],
        starts: Sequence[tuple[int, float]],
        beds: dict[Part, list[Bed]],
    ) -> None:
        self._recipe, self._card, self._starts = recipe, card, starts
        features = recipe.features
        length = features.patch_samples
        labels = {(who.actor, who.name): number for number, who in enumerate(card.characters)}
        # What is validated on: label, clip, and sound of each whole window.
        self._windows: list[tuple[int, int, int, Audio]] = []
        self._numbers: list[list[int]] = [[] for _ in labels]
        for number, sound in sounds.items():
            voice = clips[number].voice
            if voice is None:
                continue
            if parts[number] == "train":
                self._numbers[labels[voice]].append(number)
            else:
                for begin in range(0, max(1, len(sound) - length + 1), length):
                    self._windows.append((labels[voice], number, begin, sound))
        if not self._windows:
            raise ClipError(
                "there is nothing to validate on, as every voice has one clip only; sort more"
            )
        quiet = [
            (len(labels), number, begin, bed)
            for number, bed in beds["validation"]
            for begin in range(0, len(bed) - length + 1, length)
        ]
        # As much as in training, from all of it: the figures shall be those of the voices.
        most = round(len(self._windows) * BACKGROUND_SHARE / (1 - BACKGROUND_SHARE))
        chosen = np.linspace(0, len(quiet) - 1, min(max(most, 1), len(quiet))).round()
        self._windows += [quiet[number] for number in chosen.astype(int)]
        for (actor, name), label in labels.items():
            if not any(len(sounds[n]) >= length // 2 for n in self._numbers[label]):
                raise ClipError(
                    f"{name} ({actor}): has no clip of {features.patch_s / 2:.2f} s or longer to "
                    "train on; sort more of this voice, or take its folder out"
                )
        self._composer = PatchComposer(
            [[sounds[n] for n in its] for its in self._numbers],
            [bed for _, bed in beds["train"]],
            features,
        )
        spoken = [sum(len(sounds[n]) for n in its) for its in self._numbers]
        counts = [max(1, round(recipe.copies * n / length)) for n in spoken]
        counts.append(round(sum(counts) * BACKGROUND_SHARE / (1 - BACKGROUND_SHARE)))
        self._labels = np.random.default_rng(recipe.seed).permutation(
            np.repeat(np.arange(len(counts)), counts)
        )

    def __len__(self) -> int:
        return len(self._windows) + len(self._labels)

    @property
    def voices(self) -> int:
        """Patches of other voices."""
        return round(VOICES_SHARE * len(self._labels))

    def voice_shard(self, shard: int) -> VoiceSet:
        """Make the patches of a shard of other voices; always the same."""
        rng = np.random.default_rng((self._recipe.seed, shard, 1))
        return self._composer.compose_perturbed(min(SHARD, self.voices - shard * SHARD), rng)

    def shard(self, shard: int, tell: Progress) -> tuple[NDArray[np.float32], NDArray[np.void]]:
        """Make the patches of a shard, and their rows; the same whenever it is made."""
        features = self._recipe.features
        rng = np.random.default_rng((self._recipe.seed, shard))
        numbers = range(shard * SHARD, min(len(self), (shard + 1) * SHARD))
        out = np.empty((len(numbers), features.n_mfcc, features.patch_frames), np.float32)
        rows = np.empty(len(numbers), ROW)
        for at, number in enumerate(numbers):
            if at % 64 == 0:
                tell("composing patches", number, len(self))
            if number < len(self._windows):
                part: Part = "validation"
                label, clip, begin, sound = self._windows[number]
                window = sound[begin : begin + features.patch_samples]
                # A voice shorter than a patch is heard after silence, as live.
                window = np.pad(window, (features.patch_samples - len(window), 0))
                out[at] = mfcc(window, features)
            else:
                part = "train"
                label = int(self._labels[number - len(self._windows)])
                out[at], origin = self._composer.make(label, rng)
                clip, begin = -1, 0
                if origin is not None:
                    clip, begin = self._numbers[label][origin.clip], origin.begin
            recording, start_s = self._starts[clip] if clip >= 0 else (-1, 0.0)
            time_s = max(0.0, start_s + begin / features.sample_rate)
            rows[at] = label, recording, clip, time_s, PARTS.index(part)
        return out, rows


def _starts(
    folder: Path,
    clips: Sequence[ClipFile],
    seconds: Mapping[ClipFile, float],
    recordings: Sequence[str],
    warnings: list[str],
) -> list[tuple[int, float]]:
    """Tell the recording of each clip, and the second of it that the clip begins at.

    Of clips that `kikiwake split` has not made nothing is known but their order: they are taken to
    follow each other.
    """
    tables: dict[str, dict[str, Clip]] = {}
    ends = [0.0] * len(recordings)
    out = []
    for clip in clips:
        if clip.recording not in tables:
            tables[clip.recording] = {}
            place = folder / clip.recording
            try:
                if (place / TABLE).exists():
                    table = read_clips(place).clips
                    tables[clip.recording] = {one.file: one for one in table}
            except SplitError as error:
                warnings.append(f"{error}: where its clips were in it is not known")
        recording = recordings.index(clip.recording)
        known = tables[clip.recording].get(clip.path.name)
        out.append((recording, ends[recording] if known is None else known.start_s))
        if known is None:
            ends[recording] += seconds.get(clip, 0.0)
        else:
            ends[recording] = known.end_s
    return out


def _backgrounds(
    clips: Sequence[ClipFile],
    parts: Sequence[Part | None],
    others: Sequence[Path],
    spoken_s: float,
    recipe: Recipe,
    sounds: _Sounds,
    tell: Progress,
    warnings: list[str],
) -> dict[Part, list[Bed]]:
    """Sound without speech: what is given, every fifth file of it for validation, and synthesized.

    All of it even in loudness, in pieces of at least a second and a patch, and kept in `sounds`.
    """
    rate = recipe.features.sample_rate
    shortest = max(rate, recipe.features.patch_samples)
    excerpts = _excerpts(others, warnings)
    given: dict[Part, list[tuple[int, Path]]] = {part: [] for part in PARTS}
    for number, path in enumerate(excerpts):
        given["validation" if number % 5 == 4 else "train"].append((-1, path))
    if 0 < len(excerpts) < 5:
        warnings.append(
            f"background: all {len(excerpts)} files given are trained on, and only synthesized "
            "sound is validated on; give five or more"
        )
    for number, (clip, part) in enumerate(zip(clips, parts, strict=True)):
        if clip.voice is None and part is not None:
            given[part].append((number, clip.path))
    # Of each its number in `sounds`, and its clip's.
    kept: dict[Part, list[tuple[int, int]]] = {part: [] for part in PARTS}

    def keep(part: Part, clip: int, y: Audio) -> None:
        # A short one is heard several times over.
        y = np.tile(y, -(-shortest // len(y))) if len(y) < shortest else y
        number = sum(map(len, kept.values()))
        sounds.add(number, y)
        kept[part].append((number, clip))

    for part, paths in given.items():
        for done, (clip_number, path) in enumerate(paths):
            tell("reading background", done, len(paths))
            try:
                begin_s, longest_s = excerpts[path] if clip_number < 0 else (0.0, math.inf)
                y = read_sound(path, rate, begin_s=begin_s, longest_s=longest_s)
                keep(part, clip_number, trim_and_level(y, sample_rate=rate))
            except (ClipError, ValueError) as error:
                warnings.append(f"{path}: cannot be used as background ({error}); left out")
    patches = recipe.copies * spoken_s / recipe.features.patch_s
    train = round(min(max(patches / _PATCHES_A_BED, _FEWEST_BEDS), _MOST_BEDS))
    for part, count in zip(PARTS, (train, train // 5), strict=True):
        for number in range(count):
            tell("synthesizing background", number, count)
            # The generator of a sound says which part it is for, so that no two are the same.
            rng = np.random.default_rng((recipe.seed, PARTS.index(part), number))
            made = make_background(_MADE_KINDS[number % len(_MADE_KINDS)], _MADE_S, rng)
            keep(part, -1, resample(made, _MADE_RATE, rate))
    alone = sounds.all()
    for part in PARTS:
        its = [alone[number] for number, _ in kept[part]]
        rng = np.random.default_rng((recipe.seed, PARTS.index(part)))
        for _ in range(round(_BOTH_SHARE * len(its)) if len(its) > 1 else 0):
            first, second = (its[n] for n in rng.permutation(len(its))[:2])
            gain = np.float32(10 ** (rng.uniform(-_BOTH_DB, 0) / 20))
            first = np.resize(first, max(len(first), round(_MADE_S * rate)))
            keep(part, -1, first + gain * np.resize(second, len(first)))
    heard = sounds.all()
    return {part: [(clip, heard[number]) for number, clip in kept[part]] for part in PARTS}


def _excerpts(paths: Sequence[Path], warnings: list[str]) -> dict[Path, tuple[float, float]]:
    """Choose what to take of the backgrounds that are given: from when on, and how much at most.

    All of it, if it is not too much; otherwise the same from the middle of each of the longer ones.
    """
    lengths = {path: length_s(path) for path in paths}

    def total(longest_s: float) -> float:
        return sum(min(one_s, longest_s) for one_s in lengths.values())

    if total(_LEAST_OF_ONE_S) > _MOST_GIVEN_S:
        # Too short pieces of too many: every other one, or third, and so on.
        step = math.ceil(total(_LEAST_OF_ONE_S) / _MOST_GIVEN_S)
        warnings.append(f"background: of {len(paths)} files given one in {step} is taken")
        return _excerpts(paths[::step], warnings)
    longest_s = _MOST_OF_ONE_S
    while total(longest_s) > _MOST_GIVEN_S:
        longest_s *= 0.98
    if any(one_s > longest_s for one_s in lengths.values()):
        warnings.append(
            f"background: of the longer files given {longest_s:.0f} s are taken, from their middle"
        )
    return {path: (max(0.0, (one_s - longest_s) / 2), longest_s) for path, one_s in lengths.items()}


def _digest(recipe: Recipe, files: Sequence[Path]) -> str:
    """Of all that decides what the data set will hold."""
    try:
        stats = [(os.fspath(path), path.stat()) for path in files]
    except OSError as error:
        raise ClipError(
            f"{error.filename}: {error.strerror}; do not sort while building, and start again"
        ) from None
    known = [(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats]
    return hashlib.sha256(msgspec.json.encode((recipe, known))).hexdigest()
