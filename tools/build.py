"""From sorted clips to a data set: who is trained on, who is validated on, and the patches.

The patches that are validated on are the clips of other recordings as they are, window after
window. Those that are trained on are composed, as `.patches` says: over music, noise and effects,
in rooms, behind channels, at any level, the beginnings of turns and their ends.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import soundfile
from numpy.typing import NDArray

from ..features.mfcc import mfcc
from ..features.settings import FeatureSettings
from ..models.cast import PORTRAITS, Character
from .clips import (
    Audio,
    ClipError,
    ClipFile,
    find_clips,
    find_portraits,
    find_sounds,
    find_unsorted,
    read_clip,
    read_sound,
    resample,
    trim_and_level,
)
from .dataset import PARTS, ROW, SHARD, DatasetCard, DatasetError, DatasetWriter, Part
from .patches import BACKGROUND_SHARE, MAX_TAIL_S, PatchComposer
from .split import TABLE, read_clips
from .starter.background import SAMPLE_RATE as _MADE_RATE
from .starter.background import Kind, make_background

VALIDATION_SHARE = 0.2
# More than this of the sound is not given away for validation, whoever would stay without.
_MOST_VALIDATION = 0.4
# Backgrounds that are synthesized, so that there is some for those who give none: one for so many
# patches to train on, within these bounds; a fifth of it again for validation.
_PATCHES_A_BED = 40
_FEWEST_BEDS, _MOST_BEDS = 5, 200
_MADE_KINDS: tuple[Kind, ...] = ("music", "music", "noise", "effects")
_MADE_S = 8.0

Progress = Callable[[str, int, int], None]


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


class Planned(msgspec.Struct, frozen=True):
    """A clip and what it is for."""

    clip: ClipFile
    seconds: float
    part: Part


class Plan(msgspec.Struct, frozen=True):
    """Which clips are trained on, and which validated on.

    Attributes
    ----------
    clips : tuple of Planned
        By recording, voice and name.
    warnings : tuple of str
        What is wrong with it, for people.
    """

    clips: tuple[Planned, ...]
    warnings: tuple[str, ...]


def plan(clips: Sequence[ClipFile], validate_on: Sequence[str] = ()) -> Plan:
    """Choose what to validate on: whole recordings, where a voice is in several.

    Recordings are chosen one after the other, those first that let most voices be validated, until
    they are a fifth of the sound; a voice is never left without anything to train on. Of a voice
    that is in one recording only, or that the choice leaves without validation, the last fifth of
    its clips is taken: their neighbours are trained on, which is told.

    Parameters
    ----------
    clips : sequence of ClipFile
        As `find_clips` gives them.
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
    seconds: dict[ClipFile, float] = {}
    for clip in clips:
        try:
            seconds[clip] = soundfile.info(clip.path).duration
        except (OSError, soundfile.SoundFileError):
            warnings.append(f"{clip.path}: cannot be read as sound; left out")
    by_voice: dict[tuple[str, str], list[ClipFile]] = defaultdict(list)
    for clip in seconds:
        if clip.voice is not None:
            by_voice[clip.voice].append(clip)
    if len(by_voice) < 2:
        who = " and ".join(f"{name} ({actor})" for actor, name in by_voice) or "nobody"
        raise ClipError(
            f"the clips hold {who} only; to tell voices apart takes two: sort the clips of another"
        )
    chosen = set(validate_on) or _recordings_to_validate(by_voice, seconds)
    recordings = {clip.recording for clip in clips}
    if chosen - recordings:
        raise ClipError(
            f"there is no recording {sorted(chosen - recordings)[0]!r} to validate on; there are "
            f"{', '.join(sorted(recordings)[:8])}"
        )
    held_out = {clip for clip in seconds if clip.recording in chosen}
    for (actor, name), its in by_voice.items():
        parts = {clip in held_out for clip in its}
        who = f"{name} ({actor})"
        if len(parts) == 2:
            continue
        held_out.difference_update(its)
        last = _last_fifth(its, seconds)
        held_out.update(last)
        if not last:
            warnings.append(f"{who}: has one clip only; it is trained on and never validated")
        else:
            warnings.append(
                f"{who}: is validated on clips of recordings that it is trained on; its figures "
                "are better than the truth until it is in more recordings"
            )
    nobody = [clip for clip in seconds if clip.voice is None]
    if nobody and not any(clip in held_out for clip in nobody):
        held_out.update(_last_fifth(nobody, seconds))
    return Plan(
        tuple(
            Planned(clip, s, "validation" if clip in held_out else "train")
            for clip, s in seconds.items()
        ),
        tuple(warnings),
    )


def _recordings_to_validate(
    by_voice: dict[tuple[str, str], list[ClipFile]], seconds: dict[ClipFile, float]
) -> set[str]:
    # Voices of each recording that are in others too, and so can be validated by it.
    where = {voice: {clip.recording for clip in its} for voice, its in by_voice.items()}
    size: dict[str, float] = defaultdict(float)
    for its in by_voice.values():
        for clip in its:
            size[clip.recording] += seconds[clip]
    total = sum(size.values())
    chosen: set[str] = set()
    while True:
        covered = {voice for voice, its in where.items() if its & chosen}
        taken = sum(size[recording] for recording in chosen)

        def gain(recording: str, covered: set[tuple[str, str]] = covered) -> int:
            return sum(
                recording in its and len(its) > 1 and voice not in covered
                for voice, its in where.items()
            )

        # Never the last recording to train a voice on that is in several.
        allowed = [
            recording
            for recording in sorted(set(size) - chosen, reverse=True)
            if taken + size[recording] <= _MOST_VALIDATION * total
            and not any(len(its) > 1 and its <= chosen | {recording} for its in where.values())
        ]
        if not allowed:
            return chosen
        # The later of two that are alike, by name: what is heard next is later still.
        best = max(allowed, key=gain)
        if not gain(best) and (taken >= VALIDATION_SHARE * total or not chosen):
            return chosen
        if not gain(best) and taken + size[best] > 1.5 * VALIDATION_SHARE * total:
            return chosen
        chosen.add(best)


def _last_fifth(clips: list[ClipFile], seconds: dict[ClipFile, float]) -> list[ClipFile]:
    """Clips at the end that are about a fifth, and never all of them."""
    total = sum(seconds[clip] for clip in clips)
    taken: list[ClipFile] = []
    for clip in reversed(clips[1:]):
        if taken and sum(seconds[c] for c in taken) >= VALIDATION_SHARE * total:
            break
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
    chosen = plan(find_clips(folder), recipe.validate_on)
    warnings = list(chosen.warnings)
    if unsorted := len(find_unsorted(folder)):
        warnings.append(f"{unsorted} clips are not sorted yet, and are left out")
    others = [path for place in backgrounds for path in find_sounds(place)]
    clips = chosen.clips
    voices = sorted({p.clip.voice for p in clips if p.clip.voice is not None})
    portraits = {v: path for v, path in find_portraits(folder).items() if v in voices}
    members = {
        voice: f"{PORTRAITS}/{voices.index(voice):03}{path.suffix.lower()}"
        for voice, path in portraits.items()
    }
    card = DatasetCard(
        characters=tuple(
            Character(name, actor, members.get((actor, name))) for actor, name in voices
        ),
        background=True,
        features=recipe.features,
        recordings=tuple(sorted({p.clip.recording for p in clips})),
        clips=tuple(p.clip.path.relative_to(folder).as_posix() for p in clips),
        copies=recipe.copies,
    )
    writer = DatasetWriter(to, card, made_of=_digest(recipe, chosen, others, portraits))
    for voice, member in members.items():
        writer.add_portrait(member, portraits[voice])
    sound = to / "sound.part"
    try:
        with _Sounds(sound, recipe.features.sample_rate) as sounds:
            for number, p in enumerate(clips):
                tell("reading clips", number, len(clips))
                try:
                    sounds.add(number, p.clip.path)
                except ClipError as error:
                    warnings.append(f"{error}; left out")
            beds = _backgrounds(clips, others, recipe, tell, warnings)
            starts = _starts(folder, clips, card.recordings)
            patches = _Patches(recipe, card, clips, sounds.all(), starts, beds)
            for shard in range(shards := -(-len(patches) // SHARD)):
                if not writer.has(shard):
                    writer.write(shard, *patches.shard(shard, tell))
            writer.finish(shards)
    except OSError as error:
        raise DatasetError(f"{to}: cannot be written: {error.strerror}") from None
    return card, warnings


class _Sounds:
    """Clips, decoded, on disk and mapped: hours of them may be more than the memory holds."""

    def __init__(self, path: Path, sample_rate: int) -> None:
        self._path = path
        self._sample_rate = sample_rate
        self._places: dict[int, tuple[int, int]] = {}
        self._end = 0

    def __enter__(self) -> Self:
        self._file = self._path.open("wb")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def add(self, number: int, path: Path) -> None:
        y = read_clip(path, self._sample_rate, longest_pause_s=MAX_TAIL_S)
        self._file.write(y.tobytes())
        self._places[number] = self._end, self._end + len(y)
        self._end += len(y)

    def all(self) -> dict[int, Audio]:
        """Give the clips by their number."""
        self._file.flush()
        if not self._end:
            return {}
        # As plain arrays: a slice of a memmap costs several times as much to make.
        whole = np.asarray(np.memmap(self._path, np.float32, "r"))
        return {number: whole[a:b] for number, (a, b) in self._places.items()}


class _Patches:
    """The patches of a data set by number: first those validated on, then those trained on."""

    def __init__(
        self,
        recipe: Recipe,
        card: DatasetCard,
        clips: Sequence[Planned],
        sounds: dict[int, Audio],
        starts: Sequence[tuple[int, float]],
        beds: dict[Part, list[Audio]],
    ) -> None:
        self._recipe, self._card, self._starts = recipe, card, starts
        features = recipe.features
        length = features.patch_samples
        labels = {(who.actor, who.name): number for number, who in enumerate(card.characters)}
        # What is validated on: label, clip, and sound of each whole window.
        self._windows: list[tuple[int, int, int, Audio]] = []
        self._numbers: list[list[int]] = [[] for _ in labels]
        for number, sound in sounds.items():
            voice = clips[number].clip.voice
            if voice is None:
                continue
            if clips[number].part == "train":
                self._numbers[labels[voice]].append(number)
            else:
                for begin in range(0, max(1, len(sound) - length + 1), length):
                    self._windows.append((labels[voice], number, begin, sound))
        for bed in beds["validation"]:
            for begin in range(0, len(bed) - length + 1, length):
                self._windows.append((len(labels), -1, begin, bed))
        for (actor, name), label in labels.items():
            if not any(len(sounds[n]) >= length // 2 for n in self._numbers[label]):
                raise ClipError(
                    f"{name} ({actor}): has no clip of {features.patch_s / 2:.2f} s or longer to "
                    "train on; sort more of this voice, or take its folder out"
                )
        self._composer = PatchComposer(
            [[sounds[n] for n in its] for its in self._numbers], beds["train"], features
        )
        spoken = [sum(len(sounds[n]) for n in its) for its in self._numbers]
        counts = [max(1, round(recipe.copies * n / length)) for n in spoken]
        counts.append(round(sum(counts) * BACKGROUND_SHARE / (1 - BACKGROUND_SHARE)))
        self._labels = np.random.default_rng(recipe.seed).permutation(
            np.repeat(np.arange(len(counts)), counts)
        )

    def __len__(self) -> int:
        return len(self._windows) + len(self._labels)

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
    folder: Path, clips: Sequence[Planned], recordings: Sequence[str]
) -> list[tuple[int, float]]:
    """Tell the recording of each clip, and the second of it that the clip begins at.

    Of clips that `kikiwake split` has not made nothing is known but their order.
    """
    tables: dict[str, dict[str, float]] = {}
    ends = [0.0] * len(recordings)
    out = []
    for p in clips:
        place, recording = folder / p.clip.recording, recordings.index(p.clip.recording)
        if p.clip.recording not in tables:
            made = read_clips(place).clips if (place / TABLE).exists() else ()
            tables[p.clip.recording] = {clip.file: clip.start_s for clip in made}
        start_s = tables[p.clip.recording].get(p.clip.path.name, ends[recording])
        ends[recording] = start_s + p.seconds
        out.append((recording, start_s))
    return out


def _backgrounds(
    clips: Sequence[Planned],
    others: Sequence[Path],
    recipe: Recipe,
    tell: Progress,
    warnings: list[str],
) -> dict[Part, list[Audio]]:
    """Sound without speech: what is given, every fifth file of it for validation, and synthesized.

    All of it even in loudness, in pieces of at least a second and a patch.
    """
    rate = recipe.features.sample_rate
    shortest = max(rate, recipe.features.patch_samples)
    given: dict[Part, list[Path]] = {part: [] for part in PARTS}
    for number, path in enumerate(others):
        given["validation" if number % 5 == 4 else "train"].append(path)
    for p in clips:
        if p.clip.voice is None:
            given[p.part].append(p.clip.path)
    beds: dict[Part, list[Audio]] = {part: [] for part in PARTS}
    for part, paths in given.items():
        for done, path in enumerate(paths):
            tell("reading background", done, len(paths))
            try:
                y = trim_and_level(read_sound(path, rate), sample_rate=rate)
            except (ClipError, ValueError) as error:
                warnings.append(f"{path}: cannot be used as background ({error}); left out")
                continue
            # A short one is heard several times over.
            beds[part].append(np.tile(y, -(-shortest // len(y))) if len(y) < shortest else y)
    spoken_s = sum(p.seconds for p in clips if p.part == "train")
    patches = recipe.copies * spoken_s / recipe.features.patch_s
    train = round(min(max(patches / _PATCHES_A_BED, _FEWEST_BEDS), _MOST_BEDS))
    for part, count in zip(PARTS, (train, train // 5), strict=True):
        for number in range(count):
            tell("synthesizing background", number, count)
            # The generator of a sound says which part it is for, so that no two are the same.
            rng = np.random.default_rng((recipe.seed, PARTS.index(part), number))
            made = make_background(_MADE_KINDS[number % len(_MADE_KINDS)], _MADE_S, rng)
            beds[part].append(resample(made, _MADE_RATE, rate))
    return beds


def _digest(
    recipe: Recipe, chosen: Plan, others: Sequence[Path], portraits: dict[tuple[str, str], Path]
) -> str:
    """Of all that decides what the data set will hold."""
    files = [*(p.clip.path for p in chosen.clips), *others, *portraits.values()]
    sizes = [(os.fspath(path), path.stat().st_size) for path in files]
    parts = [p.part for p in chosen.clips]
    return hashlib.sha256(msgspec.json.encode((recipe, parts, sizes))).hexdigest()
