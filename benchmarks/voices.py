"""Windows of real voices to tell people apart on, and what Resemblyzer makes of them.

The voices lie beside the checkout (see `heard`). Of each speaker, in the order of their names,
sessions 0, 2, 4, ... are for training and 1, 3, 5, ... for the test. Who has one session only
(pianist_P in `drascula`) trains on the first half of its clips and is tested on the second. In
clips, pauses and silence at the ends are removed and the speech is evened in loudness; of each
speaker and side at most 150 s are taken, in turns of 4 s from each session.

A session's clips follow each other, so that windows run over their ends, but never over the end of
a session. Windows do not overlap; one of 1, 2 or 4 s is 2, 4 or 8 consecutive ones of 0.5 s. What a
speaker's windows are does not depend on the set, nor does what is mixed into them.

Music and noise come from other files for the test (the odd ones, by name) than for training (the
even ones); what holds a voice, and a file that is silent, are left out.

``python benchmarks/voices.py`` prepares everything under ``build/voices`` and counts the windows.
With ``--baseline`` it also scores Resemblyzer with logistic regression, which wants PyTorch and so
an environment of its own, and keeps ``figures/voices_resemblyzer.json``; stopped, it goes on with
the embeddings that it has.
"""

import argparse
import csv
import datetime
import functools
import hashlib
import importlib.metadata
import itertools
import json
import os
import platform
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import heard
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

Audio = NDArray[np.float32]
Labels = NDArray[np.int64]
Side = Literal["train", "test"]
SIDES: tuple[Side, ...] = ("train", "test")

RATE = 44_100
SECONDS = (0.5, 1, 2, 4)
SIDE_S = 150  # at most, of a speaker on each side
TURN_S = max(SECONDS)  # from one session before the next one's turn
_PEOPLE = ("fillets_nl", "tuxpaint", "rhasspy", "asterisk", "nemo")
SETS = {
    "mixed18": _PEOPLE,
    "drascula": ("drascula",),
    # The sources of at least four people, each with its own kind of recording.
    "tuxpaint": ("tuxpaint",),
    "asterisk": ("asterisk",),
    "nemo": ("nemo",),
}
"""Each set's sources."""

MIXES: dict[str, tuple[str, float, float]] = {
    "music 10 dB": ("music", 10, 10),
    "music 0 dB": ("music", 0, 0),
    "noise 10 dB": ("noise", 10, 10),
    "noise 0 dB": ("noise", 0, 0),
    # To train on, not told at which level the test will be.
    "music": ("music", 0, 15),
    "noise": ("noise", 0, 15),
}
"""Conditions besides "clean": what is mixed in, and between which signal-to-noise ratios."""

CONDITIONS = ("clean", "music 10 dB", "music 0 dB", "noise 10 dB", "noise 0 dB")
"""Conditions to test under."""

_EDITION = 1  # raise it when clips are prepared otherwise
_CACHE = Path("build/voices")
_FIGURES = Path(__file__).parent / "figures" / "voices_resemblyzer.json"
_CELL = RATE // 100  # as long as a cell of `heard`
_FADE = RATE // 200
_LEFT_OUT = (*heard.VOICED, "noise/tuxpaint_fx/wombat.ogg")


class Session(NamedTuple):
    """What somebody says in one session.

    Attributes
    ----------
    name : str
    clips : list of ndarray of float32, shape (n,)
        At 44.1 kHz, without pauses, active speech at -23 dBFS. The last may be cut off.
    """

    name: str
    clips: list[Audio]


class VoiceSet(NamedTuple):
    """Speakers to tell apart.

    Attributes
    ----------
    speakers : tuple of str
        As "source/speaker"; labels count along it.
    train, test : list of list of Session
        For each speaker; all of one side.
    """

    speakers: tuple[str, ...]
    train: list[list[Session]]
    test: list[list[Session]]


class Windows(NamedTuple):
    """Windows of equal length.

    Attributes
    ----------
    audio : ndarray of float32, shape (n, samples)
        At 44.1 kHz. Consecutive windows of a session follow each other. Where something is mixed
        in, it may exceed 1.
    label : ndarray of int64, shape (n,)
        Whose.
    session : ndarray of int64, shape (n,)
        From which of the speaker's sessions on this side.
    """

    audio: Audio
    label: Labels
    session: Labels


def load(set_name: str) -> VoiceSet:
    """Load a set, prepared at the first time and kept under ``build/voices``.

    Parameters
    ----------
    set_name : str
        One of `SETS`.

    Returns
    -------
    VoiceSet

    Raises
    ------
    ValueError
        If there is no such set.
    FileNotFoundError
        If the voices are not beside the checkout.
    """
    if set_name not in SETS:
        raise ValueError(f"set_name={set_name!r} must be one of {', '.join(SETS)}")
    sessions = _sessions()
    speakers = sorted(speaker for speaker in sessions if speaker[0] in SETS[set_name])
    voices = VoiceSet(tuple(map("/".join, speakers)), [], [])
    for speaker in speakers:
        sides = _prepared("__".join(speaker), sessions[speaker])
        voices.train.append(sides["train"])
        voices.test.append(sides["test"])
    return voices


def windows(voices: VoiceSet, side: Side, seconds: float, condition: str = "clean") -> Windows:
    """Cut one side of a set into windows.

    Parameters
    ----------
    voices : VoiceSet
    side : {"train", "test"}
        Also decides from which files comes what is mixed in.
    seconds : float > 0
        What is left of a session that no longer fills a window is dropped.
    condition : str
        "clean" or one of `MIXES`. The same beds for each ratio, and the same at each call.

    Returns
    -------
    Windows
    """
    cut = [
        _cut(speaker, sessions, side, seconds, condition)
        for speaker, sessions in zip(voices.speakers, getattr(voices, side), strict=True)
    ]
    label = np.repeat(np.arange(len(cut)), [len(audio) for audio, _ in cut])
    audio, session = (np.concatenate(parts) for parts in zip(*cut, strict=True))
    return Windows(audio, label, session)


def mix(
    audio: Audio,
    beds: Sequence[Audio],
    snr_db: float | NDArray[np.float64],
    rng: np.random.Generator,
) -> Audio:
    """Mix another excerpt of the beds into each window.

    Parameters
    ----------
    audio : ndarray of float32, shape (n, samples)
        Unchanged.
    beds : sequence of ndarray of float32, shape (m,)
        Each is as likely; one shorter than a window goes round.
    snr_db : float or ndarray, shape (n,)
        By the power of the whole window and of the whole excerpt.
    rng : Generator

    Returns
    -------
    ndarray of float32, shape (n, samples)
    """
    mixed = np.empty_like(audio)
    ratios_db = np.broadcast_to(snr_db, len(audio))
    for out, window, ratio_db in zip(mixed, audio, ratios_db, strict=True):
        bed = beds[int(rng.integers(len(beds)))]
        begin = rng.integers(len(bed))
        excerpt = np.take(bed, np.arange(begin, begin + len(window)), mode="wrap")
        ratio = np.mean(np.square(window)) / np.mean(np.square(excerpt))
        out[:] = window + excerpt * np.float32(np.sqrt(ratio) * 10 ** (-ratio_db / 20))
    return mixed


@functools.cache
def beds(kind: str, side: Side) -> list[Audio]:
    """Read the music or the noise of one side, at 44.1 kHz, without silence.

    Parameters
    ----------
    kind : {"music", "noise"}
    side : {"train", "test"}

    Returns
    -------
    list of ndarray of float32, shape (n,)
    """
    left_out = {path for pattern in _LEFT_OUT for path in heard.VOICES.glob(pattern)}
    paths = sorted(path for path in heard.VOICES.glob(f"{kind}/*/*") if path not in left_out)
    found = []
    for path in paths[SIDES.index(side) :: 2]:
        cells = _read(path, RATE, _CELL).reshape(-1, _CELL)
        power = np.square(cells).mean(axis=1)
        found.append(cells[power > 1e-5 * np.percentile(power, 95)].ravel())
    return found


def _sessions() -> dict[tuple[str, str], dict[str, list[Path]]]:
    """List the clips of each session of each speaker, all in the order of their names."""
    if not heard.VOICES.exists():
        raise FileNotFoundError(f"{heard.VOICES} is not there, seen from the working directory")
    found: dict[tuple[str, str], dict[str, list[Path]]] = {}
    with (heard.VOICES / "manifest.csv").open(encoding="utf-8", newline="") as lines:
        rows = [row for row in csv.DictReader(lines) if row["kind"] == "speech"]
    for row in sorted(rows, key=lambda row: (row["session"], row["path"])):
        of_speaker = found.setdefault((row["source"], row["speaker"]), {})
        of_speaker.setdefault(row["session"], []).append(heard.VOICES / row["path"])
    return found


def _prepared(name: str, sessions: dict[str, list[Path]]) -> dict[str, list[Session]]:
    """Both sides of a speaker, from the cache if they are there."""
    path = _CACHE / f"speech{_EDITION}" / f"{name}.npz"
    if not path.exists():
        _prepare(sessions, path)
    sides: dict[str, list[Session]] = {"train": [], "test": []}
    with np.load(path) as kept:
        for key in kept.files:
            side, session, _ = key.split("/")
            if not sides[side] or sides[side][-1].name != session:
                sides[side].append(Session(session, []))
            sides[side][-1].clips.append(kept[key].astype(np.float32) / np.float32(32767))
    return sides


def _prepare(sessions: dict[str, list[Path]], path: Path) -> None:
    if len(sessions) == 1:
        ((name, paths),) = sessions.items()
        middle = len(paths) // 2
        sessions = {f"{name}, first half": paths[:middle], f"{name}, second half": paths[middle:]}
    pcm: dict[str, NDArray[np.int16]] = {}
    for k, side in enumerate(SIDES):
        spoken = {name: [_speech(clip) for clip in sessions[name]] for name in [*sessions][k::2]}
        shares = _shares({name: sum(map(len, clips)) for name, clips in spoken.items()})
        for name, clips in spoken.items():
            ends = np.minimum(list(itertools.accumulate(map(len, clips), initial=0)), shares[name])
            for i, (clip, length) in enumerate(zip(clips, np.diff(ends), strict=True)):
                if length:
                    # What is gained here stays far below what the recordings hiss.
                    pcm[f"{side}/{name}/{i}"] = np.rint(clip[:length] * 32767).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **pcm)
    partial.replace(path)


def _shares(lengths: dict[str, int]) -> dict[str, int]:
    """How many samples to take from each session."""
    shares = dict.fromkeys(lengths, 0)
    left = min(SIDE_S * RATE, sum(lengths.values()))
    while left:
        for name, length in lengths.items():
            taken = min(round(TURN_S * RATE), length - shares[name], left)
            shares[name] += taken
            left -= taken
    return shares


def _speech(path: Path) -> Audio:
    """Read a clip without its pauses, evened in loudness."""
    speech = heard.speech_cells(heard.load(path))
    y = _read(path, RATE, _CELL)
    parts = [y[begin * _CELL : end * _CELL].copy() for begin, end in heard.runs(speech)]
    if not parts:
        return np.zeros(0, np.float32)
    ramp = np.linspace(0, 1, _FADE, dtype=np.float32)
    for part in parts:  # no clicks where they join
        part[:_FADE] *= ramp
        part[-_FADE:] *= ramp[::-1]
    y = np.concatenate(parts)
    gain = 10 ** (heard.LEVEL_DB / 20) / np.sqrt(np.mean(np.square(y, dtype=np.float64)))
    return y * np.float32(min(gain, 0.9 / np.abs(y).max()))


def _read(path: Path, rate: int, cell: int) -> Audio:
    """Read a file as whole cells."""
    y, own_rate = soundfile.read(path, dtype="float32", always_2d=True)
    y = soxr.resample(y.mean(axis=1), own_rate, rate, "HQ")
    return np.pad(y, (0, -len(y) % cell))


def _cut(
    speaker: str, sessions: Sequence[Session], side: Side, seconds: float, condition: str
) -> tuple[Audio, Labels]:
    """Windows of one speaker, and from which session each is."""
    length = round(seconds * RATE)
    cut = []
    for session in sessions:
        y = np.concatenate(session.clips)
        cut.append(y[: len(y) // length * length].reshape(-1, length))
    audio = np.concatenate(cut)
    if condition != "clean":
        kind, low_db, high_db = MIXES[condition]
        # crc32, unlike hash(), is the same in every run.
        rng = np.random.default_rng(zlib.crc32(f"{speaker}/{side}/{seconds:g}/{kind}".encode()))
        snr_db = rng.uniform(low_db, high_db, len(audio))
        audio = mix(audio, beds(kind, side), snr_db, rng)
    return audio, np.repeat(np.arange(len(cut)), [len(part) for part in cut])


# --- Resemblyzer and logistic regression ---

_FOLDS = 3
_STRENGTHS = tuple(10.0**power for power in range(-4, 2))
# What it is trained on; the mixed copies besides the clean ones.
_TRAINED_ON = {"clean": ("clean",), "augmented": ("clean", "music", "noise")}


class _Embedder:
    """Resemblyzer, with what it has embedded kept by its sound."""

    def __init__(self) -> None:
        import torch
        from resemblyzer import VoiceEncoder

        torch.set_num_threads(1)
        self._encoder: Any = VoiceEncoder("cpu", verbose=False)

    def embed(self, audio: Audio) -> Audio:
        """Embed each window; a row of 256 each."""
        digest = hashlib.blake2b(audio.tobytes(), digest_size=12).hexdigest()
        # The same sound may be cut otherwise.
        path = _CACHE / "resemblyzer" / f"{digest}_{audio.shape[1]}.npy"
        if not path.exists():
            rows = [self._batch(audio[i : i + 64]) for i in range(0, len(audio), 64)]
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".part")
            with partial.open("wb") as file:
                np.save(file, np.concatenate(rows) if rows else np.zeros((0, 256), np.float32))
            partial.replace(path)
        return np.asarray(np.load(path))

    def _batch(self, audio: Audio) -> Audio:
        """Do as its `preprocess_wav` and `embed_utterance`, but without trimming, and at once.

        It fills up what is shorter than 1.6 s with silence, and takes the mean over parts of 1.6 s
        of what is longer.
        """
        import torch
        from resemblyzer import normalize_volume, sampling_rate, wav_to_mel_spectrogram
        from resemblyzer.hparams import audio_norm_target_dBFS

        mels = []
        for window in audio:
            y = soxr.resample(window, RATE, sampling_rate, "HQ")
            y = normalize_volume(y, audio_norm_target_dBFS, increase_only=True)
            in_sound, in_mel = self._encoder.compute_partial_slices(len(y), 1.3, 0.75)
            y = np.pad(y, (0, max(0, in_sound[-1].stop - len(y))))
            mel = wav_to_mel_spectrogram(y)
            mels.append(np.stack([mel[part] for part in in_mel]))
        parts = np.stack(mels)
        with torch.no_grad():
            rows = self._encoder(torch.from_numpy(parts.reshape(-1, *parts.shape[2:]))).numpy()
        mean = rows.reshape(*parts.shape[:2], -1).mean(axis=1)
        return np.asarray(mean / np.linalg.norm(mean, axis=1, keepdims=True))


class _Embedded(NamedTuple):
    x: Audio
    label: Labels
    fold: Labels


def _embedded(
    embedder: _Embedder, voices: VoiceSet, side: Side, seconds: float, condition: str
) -> _Embedded:
    """Embed the windows of a set, speaker by speaker, and say in which fold each is.

    Folds hold whole sessions, or, of a speaker with one only, stretches of it: each speaker is
    there outside of each fold.
    """
    rows, folds = [], []
    for speaker, sessions in zip(voices.speakers, getattr(voices, side), strict=True):
        audio, session = _cut(speaker, sessions, side, seconds, condition)
        rows.append(embedder.embed(audio))
        stretch = np.arange(len(audio)) * _FOLDS // max(1, len(audio))
        folds.append(session % _FOLDS if len(sessions) > 1 else stretch)
    label = np.repeat(np.arange(len(rows)), list(map(len, rows)))
    return _Embedded(np.concatenate(rows), label, np.concatenate(folds))


def _fit(parts: Sequence[_Embedded]) -> Any:
    """Fit logistic regression, its strength chosen by the sessions left out."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, label, fold = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    # Of equally good ones the first is taken, which is the simplest.
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        {"logisticregression__C": _STRENGTHS},
        cv=PredefinedSplit(fold),
    )
    return search.fit(x, label)


def _score(model: Any, test: _Embedded) -> dict[str, float]:
    right = model.predict(test.x) == test.label
    recalls = [right[test.label == label].mean() for label in np.unique(test.label)]
    return {
        "top1": round(100 * float(right.mean()), 2),
        "macro": round(100 * float(np.mean(recalls)), 2),
        "n": len(right),
    }


def _counts(voices: VoiceSet, side: Side, seconds: float) -> list[int]:
    """Count each speaker's windows."""
    length = round(seconds * RATE)
    return [
        sum(sum(map(len, session.clips)) // length for session in sessions)
        for sessions in getattr(voices, side)
    ]


def _machine() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            processor = next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {platform.platform()}"


def _steps() -> Iterator[tuple[str, str, str]]:
    """On what trained, which set, under which condition; what matters most comes first."""
    yield from (("clean", name, "clean") for name in SETS)
    for trained_on in _TRAINED_ON:
        for name, condition in itertools.product(SETS, CONDITIONS):
            if (trained_on, condition) != ("clean", "clean"):
                yield trained_on, name, condition


def baseline() -> None:
    """Score Resemblyzer on all sets, under all conditions, and keep the figures as they come."""
    embedder = _Embedder()
    figures: dict[str, Any] = {name: {} for name in _TRAINED_ON}
    counts: dict[str, Any] = {}
    models: dict[tuple[str, str, float], Any] = {}
    sets = functools.lru_cache(maxsize=1)(load)
    for trained_on, name, condition in _steps():
        voices = sets(name)
        row = figures[trained_on].setdefault(name, {}).setdefault(condition, {})
        for seconds in SECONDS:
            key = trained_on, name, seconds
            if key not in models:
                models[key] = _fit(
                    [
                        _embedded(embedder, voices, "train", seconds, mixed)
                        for mixed in _TRAINED_ON[trained_on]
                    ]
                )
            test = _embedded(embedder, voices, "test", seconds, condition)
            row[f"{seconds:g}"] = _score(models[key], test)
            counts.setdefault(name, {})[f"{seconds:g}"] = {
                side: dict(zip(voices.speakers, _counts(voices, side, seconds), strict=True))
                for side in SIDES
            }
            c = models[key].best_params_["logisticregression__C"]
            scores = row[f"{seconds:g}"]
            print(
                f"{trained_on:9} {name:8} {condition:11} {seconds:3g} s: top-1 {scores['top1']:6}, "
                f"macro {scores['macro']:6}, n {scores['n']:4}, C {c:g}",
                flush=True,
            )
        _keep(figures, counts)


def _keep(figures: dict[str, Any], counts: dict[str, Any]) -> None:
    kept = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": _machine(),
        "versions": {
            name: importlib.metadata.version(name) for name in ("resemblyzer", "scikit-learn")
        },
        "protocol": (__doc__ or "").split("``python")[0].strip(),
        "figures": {f"trained on {name}": sets for name, sets in figures.items()},
        "windows": counts,
    }
    partial = _FIGURES.with_suffix(".part")
    text = json.dumps(kept, indent=2, ensure_ascii=False)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(_FIGURES)


def main() -> None:
    parser = argparse.ArgumentParser(description="Prepare windows of real voices; count them.")
    parser.add_argument("--baseline", action="store_true", help="score Resemblyzer on them")
    asked = parser.parse_args()
    for name in SETS:
        voices = load(name)
        for side, seconds in itertools.product(SIDES, SECONDS):
            counts = _counts(voices, side, seconds)
            print(
                f"{name:8} {len(counts):2} speakers, {side:5} {seconds:3g} s: {sum(counts):4} "
                f"windows, {min(counts)} to {max(counts)} a speaker",
                flush=True,
            )
    if asked.baseline:
        baseline()


if __name__ == "__main__":
    main()
