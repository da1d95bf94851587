"""Clips of single voices: found on disk, read, trimmed and evened.

The layout is the origin's, below a folder for each recording::

    CLIPS/<recording>/<actor>/<character>/0001.flac   somebody speaks
    CLIPS/<recording>/<actor>/<character>/portrait.png
    CLIPS/<recording>/background/0002.flac            nobody of interest does
    CLIPS/<recording>/0003.flac                       not sorted yet

Hidden files and folders, which begin with a dot, are passed over. Names are told apart with accents
composed, whichever way a file system has them.
"""

from __future__ import annotations

import contextlib
import io
import math
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from ..engine.mix import to_mono
from ..errors import KikiwakeError, one_line
from ..files import locked, need_text
from . import cast_files

Audio = npt.NDArray[np.float32]

SOUNDS = frozenset({".aif", ".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".w64", ".wav"})
PICTURES = frozenset({".jpeg", *(f".{ending}" for ending in cast_files.PICTURES)})
BACKGROUND = "background"
OWN_FOLDER = ".kikiwake"
# Of a portrait; the second is the origin's.
_PORTRAIT_STEMS = ("portrait", "image")
_READ_FRAMES = 1 << 16
_UNKNOWN_FRAMES = 1 << 62  # what libsndfile says of a stream is more

_TRIM_DB = -42.0  # below the loudest frame: silence at the ends
_TRIM_PAD_S = 0.02
_ACTIVE_DB = -30.0  # below the loudest frame: not counted as active for the loudness
_PAUSE_DB = -38.0  # below the loudest frame: a pause inside speech
_FILLED_PAUSE_S = 0.25  # a pause up to this long is speech still
_ACTIVE_RMS_DBFS = -23.0
_PEAK_LIMIT = 0.9


def _frame(sample_rate: int) -> int:
    """10 ms: short enough to trim by, long enough for the deepest voice."""
    return sample_rate // 100


def frame_levels(y: Audio, *, frame_length: int) -> npt.NDArray[np.float64]:
    """Level of each whole frame, frames side by side.

    Parameters
    ----------
    y : np.ndarray, shape=(n,)
    frame_length : int > 0
        In samples.

    Returns
    -------
    np.ndarray, shape=(n // frame_length,)
        RMS in dB against full scale, at least -200.
    """
    n_frames = len(y) // frame_length
    frames = y[: n_frames * frame_length].astype(np.float64).reshape(n_frames, frame_length)
    power = np.mean(frames**2, axis=1)
    return np.asarray(10.0 * np.log10(np.maximum(power, 1e-20)))


def trim_and_level(y: Audio, *, sample_rate: int) -> Audio:
    """Cut silence off both ends and even the loudness.

    Silence is what lies 42 dB below the loudest 10 ms; 20 ms of it are kept. The RMS over frames
    within 30 dB of the loudest becomes -23 dBFS, or less where the peak would exceed 0.9.

    Parameters
    ----------
    y : np.ndarray, shape=(n,)
        Speech of at least 10 ms, not silent, finite.
    sample_rate : int >= 1000
        In Hz.

    Returns
    -------
    np.ndarray, shape=(m,), dtype=float32

    Raises
    ------
    ValueError
        If *y* is too short, silent, or not finite.
    """
    frame = _frame(sample_rate)
    if len(y) < frame or not np.all(np.isfinite(y)) or not np.any(y):
        raise ValueError("y must be at least 10 ms of finite sound that is not silence")
    levels = frame_levels(y, frame_length=frame)
    loudest = float(levels.max())
    heard = np.flatnonzero(levels > loudest + _TRIM_DB)
    pad = round(_TRIM_PAD_S * sample_rate)
    start = max(0, int(heard[0]) * frame - pad)
    stop = min(len(y), (int(heard[-1]) + 1) * frame + pad)
    y = y[start:stop].copy()
    active = levels[levels > loudest + _ACTIVE_DB]
    active_db = 10.0 * np.log10(np.mean(10.0 ** (active / 10.0)))
    gain = 10.0 ** ((_ACTIVE_RMS_DBFS - active_db) / 20.0)
    gain = min(gain, _PEAK_LIMIT / float(np.abs(y).max()))
    y *= np.float32(gain)
    # The cut may fall into breath; a fade as short as the pad makes it no click.
    fade = min(pad, len(y) // 2)
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    y[:fade] *= ramp
    y[len(y) - fade :] *= ramp[::-1]
    return y


def shorten_pauses(y: Audio, *, sample_rate: int, longest: float = 0.22) -> Audio:
    """Shorten the pauses inside speech.

    A pause is what lies 38 dB below the loudest 10 ms. Its middle is taken out and the ends are
    joined by a crossfade of 5 ms.

    Parameters
    ----------
    y : np.ndarray, shape=(n,)
        Speech; unchanged.
    sample_rate : int >= 1000
        In Hz.
    longest : float >= 0.02
        What is left of a longer pause, in seconds, to the next 10 ms.

    Returns
    -------
    np.ndarray, shape=(m,), dtype=float32
        ``m <= n``.

    Raises
    ------
    ValueError
        If *longest* is too short.
    """
    if not longest >= 0.02:
        raise ValueError(f"longest={longest} must be at least 0.02")
    frame = _frame(sample_rate)
    levels = frame_levels(y, frame_length=frame)
    if not len(levels):
        return y.copy()
    heard = np.flatnonzero(levels > levels.max() + _PAUSE_DB)
    keep = round(longest * sample_rate / frame)
    fade = frame // 2
    ramp = np.linspace(0.0, 1.0, fade, dtype=np.float32)
    parts: list[Audio] = []
    start = 0
    for left, right in zip(heard[:-1] + 1, heard[1:], strict=True):
        if right - left <= keep:
            continue
        cut, resume = (int(left) + keep // 2) * frame, (int(right) - (keep - keep // 2)) * frame
        part = y[start:cut].copy()
        part[-fade:] = part[-fade:] * ramp[::-1] + y[resume - fade : resume] * ramp
        parts.append(part)
        start = resume
    parts.append(y[start:])
    return np.concatenate(parts)


def speech_stretches(y: Audio, *, sample_rate: int) -> list[tuple[int, int]]:
    """Find when there is speech in a clean recording of a voice.

    Speech are the 10 ms frames within 38 dB of the loudest one, and the pauses up to 0.25 s between
    them.

    Parameters
    ----------
    y : np.ndarray, shape=(n,)
        At least 10 ms, with nothing mixed in.
    sample_rate : int >= 1000
        In Hz.

    Returns
    -------
    list of (int, int)
        Start and stop of each stretch in samples, in order.
    """
    frame = _frame(sample_rate)
    levels = frame_levels(y, frame_length=frame)
    heard = np.flatnonzero(levels > levels.max() + _PAUSE_DB)
    breaks = np.flatnonzero(np.diff(heard) * frame > _FILLED_PAUSE_S * sample_rate)
    starts = heard[np.concatenate([[0], breaks + 1])]
    stops = heard[np.concatenate([breaks, [len(heard) - 1]])] + 1
    return [(int(a) * frame, int(b) * frame) for a, b in zip(starts, stops, strict=True)]


class ClipError(KikiwakeError):
    """A folder of clips, or a clip, cannot be used."""


class ClipFile(msgspec.Struct, frozen=True):
    """A clip that has been sorted.

    Attributes
    ----------
    path : Path
        Of the sound file.
    recording : str
        The folder below the folder of clips.
    voice : tuple of str, or None
        Actor and character; None where nobody of interest speaks.
    """

    path: Path
    recording: str
    voice: tuple[str, str] | None


class Place(NamedTuple):
    """Where a sound file lies in a folder of clips.

    Attributes
    ----------
    path : Path
        Of the sound file.
    home : Path
        Folder of its recording; the folder of clips where it is in none.
    kind : {"voice", "background", "unsorted", "stray"}
        What that means; a stray one lies where no clip belongs.
    voice : tuple of str, or None
        Actor and character, of a voice.
    """

    path: Path
    home: Path
    kind: Literal["voice", "background", "unsorted", "stray"]
    voice: tuple[str, str] | None = None


def composed(name: str) -> str:
    """Write a name with its accents composed, as most systems do."""
    return unicodedata.normalize("NFC", name)


def name_key(name: str) -> str:
    """Write a name such that two are the same where some system takes them for the same."""
    return composed(name).casefold()


def walk(folder: Path) -> Iterator[Place]:
    """Find all sound files below a folder of clips, and what each is there.

    Parameters
    ----------
    folder : Path
        Laid out as this module says.

    Yields
    ------
    Place
        By recording, actor, character and name.

    Raises
    ------
    ClipError
        There is no such folder, it cannot be read, or a name in it is no text.
    """
    yield from (Place(path, folder, "stray") for path in _sounds(folder))
    for home in _folders(folder):
        yield from (Place(path, home, "unsorted") for path in _sounds(home))
        for actor in _folders(home):
            nobody = name_key(actor.name) == BACKGROUND
            kind: Literal["background", "stray"] = "background" if nobody else "stray"
            yield from (Place(path, home, kind) for path in _sounds(actor))
            for inner in _folders(actor):
                if nobody:
                    yield from (Place(path, home, "stray") for path in find_sounds(inner))
                    continue
                voice = _voice(inner)
                yield from (Place(path, home, "voice", voice) for path in _sounds(inner))
                deeper = (path for place in _folders(inner) for path in find_sounds(place))
                yield from (Place(path, home, "stray") for path in deeper)


def find_clips(folder: Path) -> list[ClipFile]:
    """Find the sorted clips of a folder, by recording, voice and name; see `walk`."""
    return [
        ClipFile(place.path, place.home.name, place.voice)
        for place in walk(folder)
        if place.kind in ("voice", "background")
    ]


def find_unsorted(folder: Path) -> list[Path]:
    """Find the clips of a folder that nobody has sorted yet; see `walk`."""
    return [place.path for place in walk(folder) if place.kind == "unsorted"]


def find_stray(folder: Path) -> list[Path]:
    """Find the sound files of a folder that lie where no clip belongs; see `walk`."""
    return [place.path for place in walk(folder) if place.kind == "stray"]


def find_sounds(folder: Path) -> list[Path]:
    """Find the sound files of a folder, and of the folders in it."""
    inner = [path for place in _folders(folder) for path in find_sounds(place)]
    return [*_sounds(folder), *inner]


def find_voices(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """Find the folders of each voice, actor and character, with clips or without; see `walk`."""
    found: dict[tuple[str, str], list[Path]] = {}
    for recording in _folders(folder):
        for actor in _folders(recording):
            if name_key(actor.name) != BACKGROUND:
                for inner in _folders(actor):
                    found.setdefault(_voice(inner), []).append(inner)
    return found


def find_portraits(folder: Path) -> dict[tuple[str, str], Path]:
    """Find the picture of each voice, actor and character, that has one.

    It is called ``portrait``, or ``image`` as the origin's, with the ending of a picture; no other
    picture is taken. The first recording that has one gives it.
    """
    found: dict[tuple[str, str], Path] = {}
    for voice, places in find_voices(folder).items():
        for place in places:
            stems = {path.stem.casefold(): path for path in reversed(_files(place, PICTURES))}
            pictures = [stems[stem] for stem in _PORTRAIT_STEMS if stem in stems]
            if pictures:
                found.setdefault(voice, pictures[0])
    return found


@contextlib.contextmanager
def sorting(folder: Path) -> Iterator[None]:
    """Be the only process that moves the clips of a folder.

    Raises
    ------
    BusyError
        Another one does.
    OSError
        The folder cannot be written to.
    """
    own = folder / OWN_FOLDER
    try:
        with locked(own / "lock", f"{folder}: is being sorted by another process; end that first"):
            yield
    finally:
        with contextlib.suppress(OSError):  # something is kept in it
            own.rmdir()


def encode(y: Audio, sample_rate: int, format: str) -> bytes:
    """Make a sound file of 16 bits, in memory: libsndfile does not say why it cannot write.

    Parameters
    ----------
    y : np.ndarray, shape=(n,), dtype=float32
        From -1 to 1.
    sample_rate : int
        In Hz.
    format : str
        As soundfile has it, ``FLAC`` say.
    """
    # In a thread of its own: libsndfile calls Python back, and what Ctrl-C raises there is lost.
    data = io.BytesIO()
    with ThreadPoolExecutor(1) as thread:
        write = thread.submit(
            soundfile.write, data, y, sample_rate, format=format, subtype="PCM_16"
        )
        write.result()
    return data.getvalue()


def read_clip(path: Path, sample_rate: int, *, longest_pause_s: float) -> Audio:
    """Read a clip as it is trained on: mono, trimmed, loudness evened, without long pauses.

    Parameters
    ----------
    path : Path
        Of the sound file.
    sample_rate : int > 0
        In Hz, that it is wanted at.
    longest_pause_s : float >= 0.02
        See `shorten_pauses`.

    Returns
    -------
    np.ndarray, shape=(n,), dtype=float32

    Raises
    ------
    ClipError
        It cannot be read, is empty, or is silent.
    """
    y = read_sound(path, sample_rate)
    try:
        y = trim_and_level(y, sample_rate=sample_rate)
    except ValueError:
        raise ClipError(f"{path}: holds no sound, or less than 10 ms of it") from None
    return shorten_pauses(y, sample_rate=sample_rate, longest=longest_pause_s)


def read_sound(
    path: Path, sample_rate: int, *, begin_s: float = 0.0, longest_s: float = math.inf
) -> Audio:
    """Read a sound file, mono, at a given rate; what is no number in it becomes 0.

    Parameters
    ----------
    path : Path
        Of the file.
    sample_rate : int > 0
        In Hz, that it is wanted at.
    begin_s : float >= 0
        What comes before is left.
    longest_s : float > 0
        What comes after so much is left.

    Raises
    ------
    ClipError
        It cannot be read.
    """
    y, rate = decode(read_bytes(path), path, begin_s=begin_s, longest_s=longest_s)
    return resample(y, rate, sample_rate)


def length_s(path: Path) -> float:
    """Give the length in seconds that a sound file says it has; 0 where it says nothing."""
    try:
        info = soundfile.info(path)
        return 0.0 if info.frames >= _UNKNOWN_FRAMES else float(info.duration)
    except (soundfile.SoundFileError, OSError):
        return 0.0


def read_bytes(path: Path) -> bytes:
    """Read a file.

    Raises
    ------
    ClipError
        It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise ClipError(f"{path}: cannot be read: {error.strerror}") from None


def decode(
    data: bytes, path: Path, *, begin_s: float = 0.0, longest_s: float = math.inf
) -> tuple[Audio, int]:
    """Decode a sound file, whatever length it says it has.

    Parameters
    ----------
    data : bytes
        Of the file.
    path : Path
        What the error calls it.
    begin_s : float >= 0
        What comes before is left.
    longest_s : float > 0
        What comes after so much is left.

    Returns
    -------
    y : np.ndarray, shape=(n,), dtype=float32
        Mono; what is no number is 0.
    sample_rate : int
        In Hz.

    Raises
    ------
    ClipError
        It is no sound, or is damaged.
    """
    parts: list[Audio] = [np.zeros(0, np.float32)]
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            rate = int(file.samplerate)
            # Blocks as they come: a damaged file may claim to be longer than any memory, and in MP3
            # soundfile would tear the sound at each block, by seeking to where it is.
            file.seekable = lambda: False
            skip, most = round(begin_s * rate), longest_s * rate
            while most > 0:
                frames = math.ceil(min(_READ_FRAMES, skip + most))
                if not len(block := file.read(frames, dtype="float32", always_2d=True)):
                    break
                wanted = block[skip:]
                skip -= len(block) - len(wanted)
                most -= len(wanted)
                if len(wanted):
                    parts.append(to_mono(wanted)[0])
    except soundfile.SoundFileError as error:
        reason = getattr(error, "error_string", None) or one_line(error)
        raise ClipError(f"{path}: cannot be read as sound: {reason}") from None
    return np.concatenate(parts), rate


def resample(y: Audio, source_rate: int, target_rate: int) -> Audio:
    """Resample a whole mono signal as the pipeline resamples a live one."""
    if source_rate == target_rate or not len(y):
        return y
    resampled: Audio = soxr.resample(y, source_rate, target_rate, quality="HQ")
    return resampled


def _folders(folder: Path) -> list[Path]:
    return [path for path in _listed(folder) if path.is_dir()]


def _sounds(folder: Path) -> list[Path]:
    return _files(folder, SOUNDS)


def _files(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    return [p for p in _listed(folder) if p.suffix.lower() in suffixes and p.is_file()]


def _voice(folder: Path) -> tuple[str, str]:
    return composed(folder.parent.name), composed(folder.name)


def _listed(folder: Path) -> list[Path]:
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ClipError(f"{folder}: cannot be read: {error.strerror}") from None
    for path in found:
        need_text(path, ClipError)
    return found
