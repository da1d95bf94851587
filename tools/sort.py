"""Giving clips to characters: what `kikiwake sort` does, without its window.

The folders are the labels. ``CLIPS/<recording>/0001.flac`` is not sorted yet;
``CLIPS/<recording>/<actor>/<character>/0001.flac`` is that character's, and
``CLIPS/<recording>/background/0001.flac`` holds nobody of interest. To sort a clip is to rename its
file, at once: nothing is kept elsewhere, whenever the program is stopped, and a file manager does
as well. Nothing is ever renamed onto a file that exists.

`Session` holds who has what, offers groups of clips that sound alike, and guesses whose they are
from what has been sorted so far.
"""

from __future__ import annotations

import contextlib
import csv
import io
import threading
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import CastError, KikiwakeError, one_line
from ..files import write_file
from . import clips as layout
from .cast_files import check_name, picture_format, read_picture, shown
from .clips import OWN_FOLDER, composed, decode, name_key, read_bytes
from .likeness import VectorFile, clip_vector, nearest, unit_vectors
from .split import TABLE
from .voice_encoder import LENGTH

if TYPE_CHECKING:
    from _csv import Reader as _Reader

MAX_NAME_BYTES = 255
GROUP = 12
"""Clips that are offered together, at most."""

# Fitted to recordings that benchmarks/test_sorting.py does not report. From this mean likeness to
# some clips of one voice on, a clip is rather the same voice than another; the odds change by this
# slope, less where the clips are few.
_MIDDLE, _SLOPE, _SLOPE_LOST = 0.34, 17.0, 5.0
# A clip is offered with others where it is likely to be of their voice. To take it out, and to sort
# it later, costs about so many keys.
_LIKELY = 0.7
_KEYS_A_MISTAKE = 4.0
_NEIGHBOURS = 64
# So many labelled clips weigh as much as what is assumed of how the clips of one voice differ.
_TRUSTED = 100.0
# By how much the log odds of clips change with each that was, or was not, what was expected.
_LEARNING = 0.3
# Likeness is made anew when there are twice as many clips to make it from, beginning with these.
_FIRST_LIKENESS = 48
_SAVE_EVERY_S = 10.0
_NONE, _GONE = -1, -2  # instead of the number of a label: not sorted, and not there any more

_RESERVED = {"con", "prn", "aux", "nul"} | {
    f"{port}{number}" for port in ("com", "lpt") for number in "123456789¹²³"
}


class SortError(KikiwakeError):
    """Clips cannot be sorted: no such folder, a name that is not allowed, a file in the way."""


class Label(NamedTuple):
    """Whose a clip is.

    Attributes
    ----------
    actor, character : str
        Names of the folders.
    """

    actor: str
    character: str

    def __str__(self) -> str:
        return self.actor if self == BACKGROUND else f"{self.character} ({self.actor})"

    @property
    def folder(self) -> Path:
        """Where its clips lie below their recording's folder."""
        return Path(self.actor, self.character)


BACKGROUND = Label(layout.BACKGROUND, "")
"""Nobody, or nobody of interest."""


class Clip:
    """A clip, wherever it lies now.

    Attributes
    ----------
    home : Path
        Folder of its recording.
    path : Path
        Of its file.
    label : Label or None
        Whose it is; None is not sorted yet.
    """

    __slots__ = ("home", "label", "path")

    def __init__(self, home: Path, path: Path, label: Label | None) -> None:
        self.home = home
        self.path = path
        self.label = label

    @property
    def name(self) -> str:
        """Recording and file, for people and as a key: it stays the same when it is sorted."""
        return f"{self.home.name}/{self.path.name}"


class Offer(NamedTuple):
    """Clips that may be the same character's.

    Attributes
    ----------
    clips : tuple of int
        Numbers of clips, the likeliest first.
    suggestion : Label or None
        Whose they may be; None: somebody who is not known yet.
    chances : tuple of float
        How likely each belongs with the others.
    """

    clips: tuple[int, ...]
    suggestion: Label | None
    chances: tuple[float, ...]

    def without(self, clips: Collection[int]) -> Offer | None:
        """Leave clips out; None where none is left."""
        rest = [pair for pair in zip(self.clips, self.chances, strict=True) if pair[0] not in clips]
        if not rest:
            return None
        numbers, chances = zip(*rest, strict=True)
        return Offer(numbers, self.suggestion, chances)


class Progress(NamedTuple):
    """How far the sorting is, in clips.

    Attributes
    ----------
    total : int
        All.
    sorted : int
        With a label.
    skipped : int
        Put off in this session.
    listened : int
        Whose likeness is known.
    """

    total: int
    sorted: int
    skipped: int
    listened: int


def check_label(actor: str, character: str) -> Label:
    """Check names, which become folders.

    Parameters
    ----------
    actor, character : str
        As given by the user.

    Returns
    -------
    Label
        With accents composed, as most systems write them.

    Raises
    ------
    SortError
        A name is not allowed, on some system or in a cast.
    """
    label = Label(composed(actor), composed(character))
    for what, name in zip(("actor", "character"), label, strict=True):
        try:
            check_name(what, name)
        except CastError as error:
            raise SortError(str(error)) from None
        wrong = ""
        if bad := sorted(set(name) & set('<>:"/\\|?*')):
            wrong = f"has {' '.join(bad)}"
        elif name.startswith("."):
            wrong = "begins with a dot, and would be hidden"
        elif name.endswith("."):
            wrong = "ends with a dot"
        elif name.split(".")[0].strip().casefold() in _RESERVED:
            wrong = "is the name of a device on Windows"
        elif len(name.encode()) > MAX_NAME_BYTES:
            wrong = f"is longer than {MAX_NAME_BYTES} bytes"
        elif what == "actor" and name_key(name) == BACKGROUND.actor:
            wrong = "is the folder of what nobody speaks in"
        if wrong:
            raise SortError(
                f"{what} name {name!r}: {wrong}; it becomes a folder: allowed are names of any "
                'script, without any of < > : " / \\ | ? *'
            )
    return label


class Session:
    """The sorting of a folder of clips. For one thread, but for `listen` and `read`.

    Parameters
    ----------
    folder : Path
        CLIPS, with a folder for each recording.

    Attributes
    ----------
    folder : Path
        As given.
    clips : list of Clip
        All there are, in order of their recordings and names.
    characters : list of Label
        Known ones, the background not among them: those with most clips first, then new ones.
    stray : list of Path
        Sound files that lie where no clip belongs. They are left alone.
    unreadable : dict of int to str
        What is wrong with clips that cannot be listened to.

    Raises
    ------
    SortError
        There is no such folder, it holds no clips, or cannot be written to.
    ClipError
        It cannot be read.
    BusyError
        Another process sorts in it, or splits a recording of it anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not folder.is_dir():
            raise SortError(f"{folder}: no such folder; kikiwake split makes a folder of clips")
        if (folder / TABLE).exists():
            raise SortError(
                f"{folder}: is the folder of one recording; name the folder that it is in"
            )
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(layout.sorting(folder))
            except OSError as error:
                raise SortError(f"{folder}: cannot be written to: {error.strerror}") from None
            self.clips, self.stray = _scan(folder)
            if not self.clips:
                raise SortError(
                    f"{folder}: no clips in it; they lie in a folder for each recording, "
                    "as kikiwake split makes them"
                )
            voices = [Label(*voice) for voice in layout.find_voices(folder)]
            self._portraits = {Label(*who): at for who, at in layout.find_portraits(folder).items()}
            self._lock = stack.pop_all()
        self.unreadable: dict[int, str] = {}
        # Labels by number; the background is the first.
        self._labels = [BACKGROUND]
        counts = dict.fromkeys(voices, 0)
        for clip in self.clips:
            if clip.label in counts:
                counts[clip.label] += 1
        self._labels += sorted(counts, key=lambda label: (-counts[label], label))
        number = {label: index for index, label in enumerate(self._labels)}
        self._of = np.array([number[c.label] if c.label else _NONE for c in self.clips], np.int32)
        # Held while a file is read or renamed: Windows renames nothing that is open.
        self._files = threading.Lock()
        self._units = np.zeros((len(self.clips), 1), np.float32)
        self._nearest = np.zeros((len(self.clips), 0), np.int32)
        self._nearness = np.zeros((len(self.clips), 0), np.float32)
        self._found = self._units, self._nearest, self._nearness
        self._skipped: set[int] = set()
        self._not: dict[int, set[int]] = {}  # by clip, labels that it has been found not to be
        self._taken: tuple[int, ...] = ()  # out of the offer there is
        self._bias = 0.0  # of the odds, as found so far
        self._offer: Offer | None = None
        self._whole: Offer | None = None  # as it was first
        self._done: list[Callable[[], str]] = []

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Let another session work in the folder."""
        self._lock.close()

    @property
    def characters(self) -> list[Label]:
        """Known ones, the background not among them: those with most clips first, then new ones."""
        return self._labels[1:]

    @property
    def progress(self) -> Progress:
        """How far it is."""
        self._units, self._nearest, self._nearness = self._found
        return Progress(
            total=int((self._of != _GONE).sum()),
            sorted=int((self._of >= 0).sum()),
            skipped=len(self._skipped),
            listened=int(self._units.any(axis=1).sum()),
        )

    @property
    def counts(self) -> list[int]:
        """Clips of the background, then of each character."""
        return list(map(int, np.bincount(self._of[self._of >= 0], minlength=len(self._labels))))

    def portrait(self, label: Label) -> Path | None:
        """Give the picture of a character, if there is one."""
        return self._portraits.get(label)

    # What is offered

    def offer(self) -> Offer | None:
        """Give the clips to be sorted next: the same ones until they have been dealt with.

        Returns
        -------
        Offer or None
            None where all is sorted.
        """
        if self._offer is None:
            self._units, self._nearest, self._nearness = self._found
            self._taken = ()
            free = self._free()
            if not len(free) and self._skipped:
                self._skipped.clear()  # what was put off, once more
                free = self._free()
            if len(free):
                self._offer = self._whole = self._make_offer(free)
        return self._offer

    def _free(self) -> NDArray[np.int64]:
        free = self._of == _NONE
        free[list(self._skipped)] = False
        return np.flatnonzero(free)

    def _make_offer(self, free: NDArray[np.int64]) -> Offer:
        heard = free[self._units[free].any(axis=1)]
        if not len(heard):
            return Offer((int(free[0]),), None, (1.0,))
        units = self._sharpened()
        chances = self._chances(heard, units)
        offers = [self._alike(heard, chances, units)]
        best = chances[:, :-1].argmax(axis=1)
        for number in np.unique(best):
            chance = np.where(best == number, chances[:, number], 0.0)
            order = np.argsort(-chance, kind="stable")[:GROUP]
            order = order[chance[order] > _LIKELY]
            if len(order):
                offers.append((heard[order], int(number), chance[order]))
        clips, label, chance = max(offers, key=lambda offer: _worth(offer[2]))
        suggestion = None if label == _NONE else self._labels[label]
        return Offer(tuple(map(int, clips)), suggestion, tuple(map(float, chance)))

    def _sharpened(self) -> NDArray[np.float32]:
        """Weigh down in the vectors what differs between clips of one label, as found so far."""
        units = self._units
        known = np.flatnonzero((self._of >= 0) & units.any(axis=1))
        counts, sums = self._sums(known, units)
        rest = units[known] - (sums / np.maximum(counts, 1)[:, None])[self._of[known]]
        free = len(known) - np.count_nonzero(counts)
        if free < 1:
            return units
        within = rest.T.astype(np.float64) @ rest / free
        average = np.trace(within) / len(within)
        share = free / (free + _TRUSTED)
        # Where all clips of a label are the same, there is nothing to weigh down.
        assumed = max((1 - share) * average, 1e-6)
        within = share * within + assumed * np.eye(len(within))
        # Turned by any root of it, likeness is the same.
        turned = np.linalg.solve(np.linalg.cholesky(within), units.T).T
        sharp: NDArray[np.float32] = turned / np.maximum(
            np.linalg.norm(turned, axis=1, keepdims=True), 1e-9
        )
        return sharp.astype(np.float32)

    def _sums(
        self, known: NDArray[np.int64], units: NDArray[np.float32]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Count and add the vectors of each label."""
        counts = np.zeros(len(self._labels))
        sums = np.zeros((len(self._labels), units.shape[1]))
        np.add.at(counts, self._of[known], 1)
        np.add.at(sums, self._of[known], units[known])
        return counts, sums

    def _log_odds(
        self, likeness: NDArray[np.floating], to: NDArray[np.float64] | int
    ) -> NDArray[np.float64]:
        """How likely, by mean likeness to so many clips of a voice, a clip is the same voice's."""
        slope = _SLOPE - _SLOPE_LOST / np.maximum(to, 1)
        odds: NDArray[np.float64] = slope * (likeness - _MIDDLE) + self._bias
        return odds

    def _learn(self, stayed: Collection[int], offered: Offer) -> None:
        """Be bolder or more careful from now on, by who was left in a group and who was not."""
        for clip, chance in zip(offered.clips, offered.chances, strict=True):
            self._bias += _LEARNING * ((clip in stayed) - chance)

    def _chances(self, clips: NDArray[np.int64], units: NDArray[np.float32]) -> NDArray[np.float64]:
        """Estimate for each clip whose it is: of each label, and last of somebody new."""
        counts, sums = self._sums(np.flatnonzero((self._of >= 0) & units.any(axis=1)), units)
        odds = np.zeros((len(clips), len(self._labels) + 1))
        odds[:, :-1] = self._log_odds(
            units[clips] @ (sums / np.maximum(counts, 1)[:, None]).T, counts
        )
        odds[:, :-1][:, counts == 0] = -np.inf
        for row in np.flatnonzero(np.isin(clips, list(self._not))):
            odds[row, list(self._not[int(clips[row])])] = -np.inf
        odds = np.exp(odds - odds.max(axis=1, keepdims=True))
        chances: NDArray[np.float64] = odds / odds.sum(axis=1, keepdims=True)
        return chances

    def _alike(
        self,
        heard: NDArray[np.int64],
        chances: NDArray[np.float64],
        units: NDArray[np.float32],
    ) -> tuple[NDArray[np.int64], int, NDArray[np.float64]]:
        """Gather clips of one voice, known or not, where there are most of it."""
        is_free = np.zeros(len(self.clips), bool)
        is_free[heard] = True
        near = self._nearest[heard]
        use = is_free[near]
        use &= np.cumsum(use, axis=1) < GROUP
        density = np.where(use, self._nearness[heard], 0.0).sum(axis=1)
        seed = int(density.argmax())
        group, chance = [seed], [1.0]
        units = units[heard]
        total = units @ units[seed]
        while len(group) < min(GROUP, len(heard)):
            mean = total / len(group)
            mean[group] = -1.0
            nearest_one = int(mean.argmax())
            probability = 1 / (1 + np.exp(-self._log_odds(mean[nearest_one], len(group))))
            if probability < _LIKELY:
                break
            group.append(nearest_one)
            chance.append(float(probability))
            total += units @ units[nearest_one]
        together = np.log(np.maximum(chances[group], 1e-6)).mean(axis=0)
        label = int(together.argmax())
        return (
            heard[group],
            label if label < len(self._labels) else _NONE,
            np.array(chance),
        )

    # What is done with it

    def confirm(self) -> None:
        """Give the clips that are offered to whom is suggested."""
        offer = self.offer()
        if offer is None or offer.suggestion is None:
            raise SortError("nobody is suggested; give the clips a character")
        self.assign(offer.suggestion)

    def assign(self, label: Label, clips: Sequence[int] | None = None) -> None:
        """Give clips to a character, known or new, or to the background.

        Parameters
        ----------
        label : Label
            `check_label` makes one of a new character; `BACKGROUND` is nobody.
        clips : sequence of int, optional
            By default those that are offered. Others may be sorted already.

        Raises
        ------
        SortError
            A file is in the way, cannot be moved, or is there no more. Clips before it are sorted.
        """
        offer, taken, whole = self._offer, self._taken, self._whole
        if clips is None:
            clips = () if offer is None else offer.clips
        bias = self._bias
        known = len(self._labels)
        number = self._number(label)
        label = self._labels[number]
        moved: list[tuple[int, Path, int]] = []
        made: list[Path] = []
        ruled_out = [one for one in taken if number not in self._not.get(one, ())]
        for one in ruled_out:
            self._not.setdefault(one, set()).add(number)

        def back() -> str:
            for one in ruled_out:
                self._not[one].discard(number)
            errors = []
            for one, path, before in reversed(moved):
                try:
                    self._move(one, path)
                    self._set(one, before)
                except SortError as error:
                    errors.append(error)
            for folder in reversed(made):
                with contextlib.suppress(OSError):  # something else has come to lie in it
                    folder.rmdir()
            if number == known and label not in self._portraits and not self.counts[number]:
                self._labels.pop()
            self._restore(offer, taken, whole)
            self._bias = bias
            if errors:
                raise errors[0]
            return f"{_number_of(len(clips), 'clip')} taken back from {label}"

        self._done.append(back)
        for one in clips:
            clip = self.clips[one]
            path, before = clip.path, int(self._of[one])
            if clip.label != label:
                self._move(one, clip.home / label.folder / path.name, made)
                moved.append((one, path, before))
            self._set(one, number)
            self._skipped.discard(one)
            self._leave_offer([one])
        if self._offer is not None:
            self._taken += tuple(clips)
        elif offer is not None and whole is not None:
            self._learn(clips, whole)

    def take_out(self, clips: Sequence[int]) -> None:
        """Put clips of the offer back: they are not whose the others are."""
        offer, taken, whole = self._offer, self._taken, self._whole
        self._taken += tuple(clips)
        self._leave_offer(clips)

        def back() -> str:
            self._restore(offer, taken, whole)
            return f"{_number_of(len(clips), 'clip')} put back into the group"

        self._done.append(back)

    def skip(self, clips: Sequence[int] | None = None) -> None:
        """Put clips off to the end of this session, by default those that are offered."""
        offer, taken, whole = self._offer, self._taken, self._whole
        if clips is None:
            clips = () if offer is None else offer.clips
        self._skipped.update(clips)
        self._leave_offer(clips)

        def back() -> str:
            self._skipped.difference_update(clips)
            self._restore(offer, taken, whole)
            return f"{_number_of(len(clips), 'clip')} no longer put off"

        self._done.append(back)

    def undo(self) -> str | None:
        """Take back what was done last.

        Returns
        -------
        str or None
            What it was; None where there is nothing left.

        Raises
        ------
        SortError
            A file cannot be moved back.
        """
        if not self._done:
            return None
        return self._done.pop()()

    def set_portrait(self, label: Label, picture: Path) -> Path:
        """Give a character with clips a picture, which is copied beside one of them.

        Parameters
        ----------
        label : Label
            The character.
        picture : Path
            PNG, JPEG, ...: see `kikiwake.tools.cast_files.PICTURES`.

        Returns
        -------
        Path
            Of the copy.

        Raises
        ------
        SortError
            It is no picture, or the character has one already, or no clips.
        """
        try:
            data = read_picture(picture)
        except CastError as error:
            raise SortError(str(error)) from None
        number = self._number(label)
        label = self._labels[number]
        if (there := self.portrait(label)) is not None:
            raise SortError(f"{label} has a portrait already, {there}; remove it first")
        clips = np.flatnonzero(self._of == number)
        if not len(clips):
            raise SortError(f"{label} has no clips yet; sort one first")
        folder = self.clips[int(clips[0])].path.parent
        target = folder / f"portrait.{picture_format(data)}"
        try:
            write_file(target, data)
        except OSError as error:
            raise SortError(f"{target}: cannot be written: {error.strerror}") from None
        self._portraits[label] = target
        return target

    def find(self, label: Label) -> Label:
        """Give a label as the collection writes it.

        Raises
        ------
        SortError
            It differs from a known one only in capitals, which some systems do not tell apart.
        """
        label = Label(*map(composed, label))
        if label in self._labels:
            return label
        for known in self._labels[1:]:
            for old, new, same in (
                (known.actor, label.actor, True),
                (
                    known.character,
                    label.character,
                    name_key(known.actor) == name_key(label.actor),
                ),
            ):
                if same and name_key(old) == name_key(new) and old != new:
                    raise SortError(
                        f"{new!r}: there is {old!r} already, which some systems take for the same; "
                        "write it like that"
                    )
        return label

    def _number(self, label: Label) -> int:
        label = self.find(label)
        if label not in self._labels:
            self._labels.append(check_label(*label))
        return self._labels.index(label)

    def _set(self, one: int, number: int) -> None:
        self._of[one] = number
        self.clips[one].label = None if number < 0 else self._labels[number]

    def _restore(self, offer: Offer | None, taken: tuple[int, ...], whole: Offer | None) -> None:
        self._offer, self._taken, self._whole = offer, taken, whole
        if offer is not None:  # some may be gone
            self._leave_offer([one for one in offer.clips if self._of[one] != _NONE])

    def _leave_offer(self, clips: Iterable[int]) -> None:
        if self._offer is not None:
            self._offer = self._offer.without(set(clips))

    def _move(self, one: int, target: Path, made: list[Path] | None = None) -> None:
        clip = self.clips[one]
        try:
            with self._files:
                # Nobody else sorts here; and what a file manager does in this microsecond, it does.
                if target.exists() or target.is_symlink():
                    raise SortError(
                        f"{target}: is there already, and is left as it is; {clip.path} stays, too"
                    )
                missing = [folder for folder in target.parents if not folder.exists()]
                for folder in reversed(missing):
                    folder.mkdir()
                    if made is not None:
                        made.append(folder)
                clip.path.rename(target)
        except FileNotFoundError:
            self._set(one, _GONE)
            self._leave_offer([one])
            raise SortError(
                f"{clip.path}: is not there any more; what other programs have moved is found when "
                "sorting is started again"
            ) from None
        except OSError as error:
            raise SortError(
                f"{clip.path}: cannot be moved to {target.parent}: {error.strerror}"
            ) from None
        clip.path = target

    # What is heard

    def read(self, one: int) -> tuple[NDArray[np.float32], int]:
        """Read a clip; from any thread.

        Parameters
        ----------
        one : int
            Number of the clip.

        Returns
        -------
        y : ndarray of float32, shape (n,)
            Mono.
        sample_rate : int
            In Hz.

        Raises
        ------
        ClipError
            It cannot be read.
        """
        with self._files:
            path = self.clips[one].path
            data = read_bytes(path)
        return decode(data, path)

    def listen(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Find out how alike the clips are; may run in a thread of its own.

        What is found is kept in the folder, and counts from the next offer on. First comes what is
        known from an earlier session, then the clips by chance: likeness is good when there are
        some of everybody.

        Parameters
        ----------
        stop : callable, optional
            Asked after each clip; where it says so, listening ends, and goes on another time.

        Raises
        ------
        ClipError
            What is found cannot be kept.
        """
        names = []
        for clip in self.clips:
            with self._files:
                try:
                    about = clip.path.stat()
                    names.append(f"{clip.name} {about.st_size} {about.st_mtime_ns}")
                except OSError:
                    names.append("")  # gone; reading it will say so
        file = VectorFile(self.folder / OWN_FOLDER / "likeness.npz", names)
        vectors: list[NDArray[np.float32] | None] = [file.get(name) for name in names]
        done = sum(some is not None for some in vectors)
        shown_at, saved_at = 0, time.monotonic()
        order = np.random.default_rng(0).permutation(len(self.clips))
        for one in [-1, *map(int, order)]:  # once for what is known already
            if one >= 0:
                if vectors[one] is not None:
                    continue
                try:
                    found = clip_vector(*self.read(one))
                except Exception as error:  # whatever is wrong with one clip, the others go on
                    self.unreadable[one] = one_line(error)
                    continue
                vectors[one] = found
                file.put(names[one], found)
                done += 1
            if done >= max(_FIRST_LIKENESS, 2 * shown_at):
                self._publish(vectors)
                shown_at = done
            if stop():
                break
            if time.monotonic() - saved_at > _SAVE_EVERY_S:
                file.save()
                saved_at = time.monotonic()
        file.save()
        if done > shown_at:
            self._publish(vectors)

    def _publish(self, vectors: Sequence[NDArray[np.float32] | None]) -> None:
        nothing = np.full(LENGTH, np.nan, np.float32)
        units = unit_vectors(np.array([nothing if v is None else v for v in vectors]))
        self._found = units, *nearest(units, _NEIGHBOURS)  # all at once: this is another thread


def _worth(chance: NDArray[np.float64]) -> float:
    """Clips that are sorted by a key, as far as can be expected."""
    return float(chance.sum() / (1 + _KEYS_A_MISTAKE * (1 - chance).sum()))


def _number_of(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


# Folders


def _scan(folder: Path) -> tuple[list[Clip], list[Path]]:
    """Find the clips, and the sound files that are none."""
    clips, stray = [], []
    for place in layout.walk(folder):
        if place.kind == "stray":
            stray.append(place.path)
            continue
        label = BACKGROUND if place.kind == "background" else None
        if place.voice is not None:
            label = Label(*place.voice)
        clips.append(Clip(place.home, place.path, label))
    return clips, stray


# Tables


class Row(NamedTuple):
    """A row of a table of labels.

    Attributes
    ----------
    line : int
        Where it ends in the file, from 1.
    clip : int
        Number of the clip.
    label : Label
        Whose it is.
    """

    line: int
    clip: int
    label: Label


def read_labels(table: Path, session: Session) -> tuple[list[Row], list[str]]:
    """Read a table of labels and check all of it; nothing is moved.

    Parameters
    ----------
    table : Path
        CSV with the columns ``clip``, a path below CLIPS, ``actor`` and ``character``, and any
        others. The actor ``background``, with no character, is nobody. Separated by commas,
        semicolons or tabs.
    session : Session
        Of the clips.

    Returns
    -------
    rows : list of Row
        What is right.
    wrong : list of str
        A line for each row that is not, with the number of its line.

    Raises
    ------
    SortError
        It cannot be read, or has no such columns.
    """
    try:
        text = table.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SortError(f"{table}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SortError(f"{table}: is not text in UTF-8; save it as that") from None
    reader, columns = _open_table(table, text)
    places = _Places(session)
    rows: list[Row] = []
    wrong: list[str] = []
    seen: dict[int, int] = {}
    targets: set[tuple[Path, str]] = set()
    spellings: dict[str, str] = {}
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            wrong.append(f"line {reader.line_num}: {error}")
            continue
        if cells is None:
            break
        if not any(cell.strip() for cell in cells):
            continue
        line = reader.line_num
        try:
            if len(cells) <= max(columns[:2]):
                raise SortError(
                    f"has {_number_of(len(cells), 'cell')}, need clip, actor, character"
                )
            where, actor = (cells[column] for column in columns[:2])
            character = cells[columns[2]] if len(cells) > columns[2] else ""
            one = places.find(where)
            label = session.find(_table_label(actor, character))
            for name in (label.actor, "/".join(label)):
                above = spellings.setdefault(name_key(name), name)
                if above != name:
                    raise SortError(f"{name} is written {above} above; choose one")
            if one in seen:
                raise SortError(f"{shown(where)!r} is in line {seen[one]}, too")
            seen[one] = line
            clip = session.clips[one]
            target = clip.home / label.folder / clip.path.name
            key = clip.home, name_key(str(label.folder / clip.path.name))
            for place in (clip.home / label.actor, target.parent):
                if place.exists() and not place.is_dir():
                    raise SortError(f"{place} is a file; choose another name")
            if clip.label != label and (target.exists() or key in targets):
                raise SortError(f"{target} is there already; nothing is written over")
            targets.add(key)
            rows.append(Row(line, one, label))
        except SortError as error:
            wrong.append(f"line {line}: {error}")
    return rows, wrong


class _Places:
    """Finds clips by where they lie, or lay before they were sorted.

    The second, that a table which was broken off can be taken up again.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        # The nearest first: as it is written, then as some systems take it for the same.
        self._tables: list[tuple[Callable[[str], str], dict[str, list[int]]]] = []
        for spelled in (composed, name_key):
            for paths in (
                [clip.path for clip in session.clips],
                [clip.home / clip.path.name for clip in session.clips],
            ):
                table: dict[str, list[int]] = {}
                for number, path in enumerate(paths):
                    table.setdefault(spelled(str(path)), []).append(number)
                self._tables.append((spelled, table))

    def find(self, where: str) -> int:
        """Give the number of a clip by what a table says."""
        path = str(self._session.folder / where)
        found: list[int] = []
        if where and not Path(where).is_absolute():
            found = next(
                (table[spelled(path)] for spelled, table in self._tables if spelled(path) in table),
                found,
            )
        if not found:
            raise SortError(f"{shown(where)!r}: no such clip in {self._session.folder}")
        if len(found) > 1:
            both = " and ".join(str(self._session.clips[one].path) for one in found[:2])
            raise SortError(f"{shown(where)!r} stands for two clips, {both}")
        return found[0]


def _open_table(table: Path, text: str) -> tuple[_Reader, list[int]]:
    wanted = ("clip", "actor", "character")
    for separator in ",;\t":
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True
        )
        try:
            header = [cell.strip().casefold() for cell in next(reader, [])]
        except csv.Error as error:
            raise SortError(f"{table}: line {reader.line_num}: {error}") from None
        if all(header.count(name) == 1 for name in wanted):
            return reader, [header.index(name) for name in wanted]
    raise SortError(f"{table}: its first line must name the columns: {', '.join(wanted)}")


def _table_label(actor: str, character: str) -> Label:
    if name_key(actor) == BACKGROUND.actor:
        if character not in ("", BACKGROUND.actor):
            raise SortError(f"actor name {actor!r} is what nobody speaks in; leave character empty")
        return BACKGROUND
    return check_label(actor, character)


# The window


def open_window(session: Session) -> None:
    """Sort in a window, and return when it has been closed.

    Parameters
    ----------
    session : Session
        What is sorted.

    Raises
    ------
    SortError
        Qt is not installed, or there is no screen.
    """
    try:
        from .sort_window import show
    except ImportError as error:
        raise SortError(
            f"the window needs Qt ({one_line(error)}): in the clone of Kikiwake, "
            'pip install ".[sort]"; without a '
            "window, sort by a table: --from TABLE"
        ) from None
    show(session)
