"""How steady names are, on conversations of real voices, and what each part of the engine does.

Whom it is measured on: the twelve voices of `steady`, whose cast ``python benchmarks/steady.py``
makes; ``KIKIWAKE_STEADY_CAST`` names another cast file of the same voices. The conversations of
``scene_files`` are composed from sessions, strangers, music and noise of the part "test", which
neither the training nor any choice has seen. Temperature, sureness, and the settings' defaults were
chosen on the part "choose": the same scene files, other sessions, other strangers, other beds,
another seed. `test_sweep` is on that part, since it shows why a default is where it is; all other
figures of the twelve are of the part "test". The episodes beside the voices, and the demo with the
starter cast, are for comparison.

A sound is heard once, as live with the default settings; what gate and network said is kept below
``build/steady``, as the sounds are, and replayed through the smoothing in as many ways as there are
rows. So every row is of the same network, the origin's way too, but for two: what the origin shows
with a network that was also trained as the origin's was (`steady.make_origin_cast`), and what ours
shows with one that always knows who speaks (`all_knowing`). `test_replay` shows that a replay is
what is shown live. To compose the scenes anew, remove ``build/steady/scenes``.

What the columns are is said by `kikiwake.tools.stream`.
"""

import functools
import hashlib
import io
import math
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import soundfile
import steady
from numpy.typing import NDArray

from kikiwake.engine.config import GateSettings, Settings, SmoothingSettings
from kikiwake.engine.pipeline import Pipeline
from kikiwake.engine.result import Candidate, Result
from kikiwake.engine.smoothing import PosteriorSmoother
from kikiwake.models.cast import Cast, load_cast
from kikiwake.models.runner import CastRunner
from kikiwake.models.starter import DEMO, DEMO_TRUTH
from kikiwake.tools import stream
from kikiwake.tools.clips import find_clips, read_clip
from kikiwake.tools.compose import compose, read_scene, write
from kikiwake.tools.score import Segment, read_rttm

VOICES = steady.voices.heard.VOICES
EPISODES = VOICES / "episodes"
CAST = Path(os.environ.get("KIKIWAKE_STEADY_CAST", steady.CAST))
SCENE_FILES = Path(__file__).parent / "scene_files"
PICTURE = Path(__file__).parent / "figures" / "steady_sweep.png"

CONVERSATIONS = (
    *("clean", "quick", "long_turns", "overlap", "strangers"),
    *("music15", "music5", "noise10"),
)
SPEECH_FREE = ("nobody", "room", "silence")
QUIET = ("room", "silence")
SEED_SHIFT = {"choose": 100, "test": 0}

BLOCK_S = 0.5  # of the origin
SURE = np.float32(20)  # logit by which a network that knows is sure
WINDOW_S = 2.0  # of speech, after which strangers are told
WINDOWS = 60  # at most, of each voice
APART_S = 1.0  # of silence between them: all is forgotten by then
REJECTED = 0.05  # of the cast, where false names of strangers are counted

DEFAULTS = Settings()
DEFAULT_MS = SmoothingSettings().time_constant_ms
TIME_CONSTANTS_MS = sorted({0, 30, 60, 100, 200, 300, 600, 1000, 2000, DEFAULT_MS})

pytestmark = pytest.mark.skipif(not VOICES.exists(), reason=f"needs the real voices, {VOICES}")


# --- Hearing ---

_EDITION = 3  # raise it when gate, features or `Hearing` change


class Hearing(NamedTuple):
    """What is heard of a sound at each hop, before anything is decided.

    Attributes
    ----------
    time : ndarray, shape (n,)
        End of the hop, in seconds.
    gate : ndarray of bool, shape (n,)
        The speech gate is open.
    share : ndarray, shape (n,)
        Of the patch that is speech, 0 to 1.
    logits : ndarray of float32, shape (n, n_classes)
        What the network says, whatever the gate does.
    level_db : ndarray, shape (n,)
    hop_ms : float
    """

    time: NDArray[np.float64]
    gate: NDArray[np.bool_]
    share: NDArray[np.float64]
    logits: NDArray[np.float32]
    level_db: NDArray[np.float64]
    hop_ms: float

    def between(self, start_s: float, end_s: float) -> "Hearing":
        """Take the hops that end in a stretch; its start is not part of it."""
        first, last = np.searchsorted(self.time, (start_s, end_s), side="right")
        return Hearing(*(array[first:last] for array in self[:-1]), self.hop_ms)


class _Runner(CastRunner):
    """Remembers what it said last."""

    said: NDArray[np.float32] | None = None

    def logits(self, patch):
        self.said = super().logits(patch)
        return self.said


class _Ear(Pipeline):
    """Notes what it hears; the network is asked at each hop."""

    def __init__(self, cast, settings, *, sample_rate, channels):
        super().__init__(cast, settings, sample_rate=sample_rate, channels=channels)
        self._runner = _Runner(cast)
        self.noted = []

    def _process_hop(self):
        self._runner.said = None
        result = super()._process_hop()
        if self._runner.said is None:
            self._runner.logits(self._patches.patch())
        share = self._gate.speech_share(self._patch_s)
        gate = self._gate.open
        self.noted.append((result.time, gate, share, self._runner.said, result.level_db))
        return result


def listen(path: Path, cast: Cast, settings: Settings = DEFAULTS) -> tuple[Hearing, list[Result]]:
    """Hear a sound file; what is shown live, too."""
    with soundfile.SoundFile(path) as sound:
        rate, channels = sound.samplerate, sound.channels
        ear = _Ear(cast, settings, sample_rate=rate, channels=channels)
        blocks = sound.blocks(blocksize=10 * rate, dtype="float32", always_2d=True)
        results = [result for block in blocks for result in ear.process(block)]
    results += ear.finish()
    noted = map(np.array, zip(*ear.noted, strict=True))
    return Hearing(*noted, hop_ms=ear.hop_s * 1e3), results


def hear(path: Path, cast: Cast, settings: Settings = DEFAULTS) -> Hearing:
    """Hear a sound file; kept, whatever the smoothing and the calibration are."""
    card = cast.card
    heard_with = (_EDITION, card.features, card.mean, card.std, settings.hop_ms, settings.gate)
    digest = hashlib.blake2b(cast.network, digest_size=12)
    digest.update(msgspec.json.encode(heard_with))
    digest.update(path.read_bytes())
    kept = steady.WORK / "heard" / f"{digest.hexdigest()}.npz"
    if not kept.exists():
        heard, _ = listen(path, cast, settings)
        _keep(kept, lambda file: np.savez(file, allow_pickle=False, **heard._asdict()))
    with np.load(kept) as arrays:
        heard = Hearing(**{name: arrays[name] for name in Hearing._fields})
    return heard._replace(hop_ms=float(heard.hop_ms))


def _keep(path: Path, write_to: Callable[[io.BufferedWriter], object]) -> None:
    """Write a file as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    with partial.open("wb") as file:
        write_to(file)
    partial.replace(path)


# --- Replays ---


class Parts(NamedTuple):
    """What of the engine is at work.

    Attributes
    ----------
    smoothing : SmoothingSettings
    gate : bool
        Off, it is always open, and patches are all speech.
    background : bool
        Off, nobody is not among the classes.
    """

    smoothing: SmoothingSettings = SmoothingSettings()
    gate: bool = True
    background: bool = True


VARIANTS = {
    "ours": Parts(),
    "gate off": Parts(gate=False),
    "background off": Parts(background=False),
    "smoothing off": Parts(SmoothingSettings(time_constant_ms=0, change_share=1)),
    "hysteresis off": Parts(SmoothingSettings(switching_margin=0, switching_ms=0)),
    "change detection off": Parts(SmoothingSettings(change_share=1)),
    "lingering off": Parts(SmoothingSettings(linger_ms=0)),
    "strangers off": Parts(SmoothingSettings(strangers=0, unknown_ms=math.inf)),
}
ORIGIN = "the origin's way"
WEBRTC = "ours, WebRTC's detector alone"
KNOWING = "ours, all-knowing network"
ORIGIN_TRAINED = "the origin's way, trained so"


def smoothed(heard: Hearing, cast: Cast, parts: Parts) -> Iterator[PosteriorSmoother]:
    """Replay what was heard through the smoothing: its state after each hop, as in `Pipeline`."""
    card = cast.card
    whose = [character.actor for character in card.characters]
    smoother = PosteriorSmoother(
        len(whose),
        card.n_classes,
        parts.smoothing,
        actors=[list(dict.fromkeys(whose)).index(actor) for actor in whose],
        sureness=card.calibration.sureness,
    )
    minimum_share = Settings().gate.minimum_share
    posteriors = _posteriors(heard.logits, card.calibration.temperature)
    if not parts.background:
        posteriors[:, len(whose) :] = 0.0
        posteriors /= posteriors.sum(axis=1, keepdims=True)
    shares = heard.share.tolist()
    for speech, share, posterior in zip(heard.gate.tolist(), shares, posteriors, strict=True):
        if parts.gate and not speech:
            smoother.silence(heard.hop_ms, posterior)
        elif not parts.gate or share >= minimum_share:
            weight = share if parts.gate else 1.0
            smoother.update(posterior, elapsed_ms=heard.hop_ms, weight=weight)
        else:
            smoother.pass_time(heard.hop_ms)
        yield smoother


def _posteriors(logits: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    scores = logits / np.float32(temperature)
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    return scores / scores.sum(axis=1, keepdims=True)


def replay(heard: Hearing, cast: Cast, parts: Parts = VARIANTS["ours"]) -> list[Result]:
    """Say what would have been shown with some parts of the engine, or other settings."""
    characters = cast.card.characters
    actors = list(dict.fromkeys(character.actor for character in characters))
    results = []
    hops = zip(heard.time.tolist(), heard.gate.tolist(), heard.level_db.tolist(), strict=True)
    for (time, speech, level_db), smoother in zip(hops, smoothed(heard, cast, parts), strict=True):
        shown = smoother.shown
        said = None if shown.character is None else characters[shown.character]
        second = None if shown.second is None else characters[shown.second]
        actor = None if shown.actor is None else actors[shown.actor]
        results.append(
            Result(
                time=time,
                speech=speech or said is not None,
                character=said and said.name,
                actor=said.actor if said else actor,
                confidence=0.0,
                top=(),
                level_db=level_db,
                unknown=shown.unknown,
                second=second and Candidate(second.name, second.actor, 0.0),
            )
        )
    return results


def origins_way(heard: Hearing, cast: Cast) -> list[Result]:
    """Say what the origin would show: of each block the likeliest one, until the next block ends.

    No gate, no background, no smoothing. A patch is as long as its blocks are.
    """
    characters = cast.card.characters
    likeliest = heard.logits[:, : len(characters)].argmax(axis=1).tolist()
    results = []
    said, blocks = None, 0
    for time, best, level_db in zip(
        heard.time.tolist(), likeliest, heard.level_db.tolist(), strict=True
    ):
        if time >= (blocks + 1) * BLOCK_S:
            said, blocks = characters[best], blocks + 1
        results.append(
            Result(
                time=time,
                speech=True,
                character=said and said.name,
                actor=said and said.actor,
                confidence=0.0,
                top=(),
                level_db=level_db,
            )
        )
    return results


def all_knowing(heard: Hearing, cast: Cast, truth: Sequence[Segment]) -> Hearing:
    """Replace the network by one that always knows who of the cast speaks at this very moment.

    It knows a short pause of a turn from its end, too. Of strangers it is as unsure as can be.
    """
    characters = cast.card.characters
    names = [stream.key(character.name) for character in characters]
    speaking = np.zeros((len(heard.time), cast.card.n_classes), np.float32)

    def during(start_s: float, end_s: float) -> NDArray[np.bool_]:
        return (heard.time >= start_s) & (heard.time < end_s)

    last: dict[str, float] = {}  # for each name the end of what it said last
    for turn in sorted(truth, key=lambda turn: turn.start):
        name = stream.key(turn.name)
        if name in names:
            pause = turn.start - last.get(name, -math.inf) <= stream.BRIDGED_S
            speaking[during(last[name] if pause else turn.start, turn.end), names.index(name)] = 1
            last[name] = turn.end
    for turn in truth:
        strange = during(turn.start, turn.end) & ~speaking.any(axis=1)
        if stream.key(turn.name) not in names:
            speaking[strange, : len(names)] = 1
    speaking[~speaking.any(axis=1), len(names) :] = 1
    return heard._replace(logits=SURE * speaking)


WAYS: dict[str, Callable[[Hearing, Cast], list[Result]]] = {
    **{name: functools.partial(replay, parts=parts) for name, parts in VARIANTS.items()},
    ORIGIN: origins_way,
}


# --- Scenes ---


def twelve() -> Cast:
    if not CAST.exists():
        pytest.skip(f"{CAST} is not there: python benchmarks/steady.py makes it")
    steady.lay_out()
    return load_cast(CAST)


def scene(name: str, part: str) -> Path:
    """Compose a scene, truth beside it; kept until its file changes."""
    file = SCENE_FILES / f"{name}.toml"
    to = steady.WORK / "scenes" / part / f"{name}.flac"
    if not to.exists() or to.stat().st_mtime < file.stat().st_mtime:
        of = read_scene(file)
        of = msgspec.structs.replace(of, seed=of.seed + SEED_SHIFT[part])
        to.parent.mkdir(parents=True, exist_ok=True)
        write(compose(of, steady.CLIPS / part, steady.BEDS / part), to)
    return to


Sound = tuple[str, Path, Path]  # name, sound, truth


def scenes(names: Iterable[str], part: str) -> list[Sound]:
    paths = [scene(name, part) for name in names]
    return [(path.stem, path, path.with_suffix(".rttm")) for path in paths]


def measure(
    sounds: Iterable[Sound],
    cast: Cast,
    way: Callable[[Hearing, Cast], list[Result]] = replay,
    *,
    settings: Settings = DEFAULTS,
    error_rates: bool = False,
    knowing: bool = False,
) -> stream.StreamFigures:
    recordings = []
    for name, path, rttm in sounds:
        heard, truth = hear(path, cast, settings), read_rttm(rttm)
        if knowing:
            heard = all_knowing(heard, cast, truth)
        recordings.append(stream.Heard(name, way(heard, cast), truth))
    with pytest.MonkeyPatch.context() as patch:
        if not error_rates:
            # As where it is not installed; it takes longer than all the rest.
            patch.setitem(sys.modules, "pyannote", None)
        return stream.measure(recordings, cast.card.characters)


# --- Tables ---


class Column(NamedTuple):
    """How the figures of a column are written."""

    title: str
    digits: int = 2
    factor: float = 1.0
    absent: str = "–"


PERCENT = {"digits": 1, "factor": 100.0}
COLUMNS = {
    "right": Column("right %", **PERCENT),
    "wrong": Column("wrong %", **PERCENT),
    "unknown": Column("unknown %", **PERCENT),
    "nobody": Column("nobody %", **PERCENT),
    "onset_median_s": Column("onset s", absent="never"),
    "onset_p95_s": Column("p95 s", absent="never"),
    "release_p95_s": Column("release s"),
    "turns_ratio": Column("changes"),
    "flicker_per_minute": Column("flicker"),
    "flicker_of_origin": Column("of origin", **PERCENT),
    "extra_of_origin": Column("bridged", **PERCENT),
    "quiet_changes": Column("in quiet", digits=0),
    "false_names_per_hour": Column("false/h", digits=1),
    "strangers_named": Column("named %", **PERCENT),
    "strangers_unknown": Column("unknown %", **PERCENT),
    "diarization_error": Column("DER %", **PERCENT),
    "identification_error": Column("IER %", **PERCENT),
}
WHAT_COLUMNS_ARE = (
    "right, wrong, unknown, nobody: of the speech of the cast; onset of the right stable name: "
    "median, 95 % within; release after speech: 95 % within; changes: turns shown by true ones; "
    "flicker: appearances of a label a minute too many; named, unknown: of the speech of strangers"
)


def row(of: stream.StreamFigures) -> dict[str, float | None]:
    """Take the figures of a row; keys are those of `COLUMNS`."""
    onsets = {"onset_median_s": of.onset_median_s, "onset_p95_s": of.onset_p95_s}
    if not of.turns:
        onsets = {}
    return {
        "right": stream.ratio(of.right_s, of.speech_s),
        "wrong": stream.ratio(of.wrong_s, of.speech_s),
        "unknown": stream.ratio(of.unknown_s, of.speech_s),
        "nobody": stream.ratio(of.nobody_s, of.speech_s),
        **onsets,
        "release_p95_s": of.release_p95_s,
        "turns_ratio": of.turns_ratio,
        "flicker_per_minute": of.flicker_per_minute,
        "strangers_named": stream.ratio(of.strangers_named_s, of.strangers_s),
        "strangers_unknown": stream.ratio(of.strangers_unknown_s, of.strangers_s),
    }


def row_alone(of: stream.StreamFigures) -> dict[str, float | None]:
    """Take the figures of a recording, its false names and error rates too."""
    # Of pauses between turns there are too few hours.
    free = {} if of.speech_s else {"false_names_per_hour": of.false_names_per_hour}
    errors = {
        f"{error.measure}_error": error.rate for error in of.error_rates if error.collar_s > 0
    }
    return row(of) | free | errors


def table(title: str, rows: dict[str, dict[str, float | None]]) -> str:
    keys = [key for key in COLUMNS if any(key in of for of in rows.values())]
    lines = [title, " " * 24 + "".join(f"{COLUMNS[key].title:>10}" for key in keys)]
    for name, of in rows.items():
        cells = (_cell(of.get(key), COLUMNS[key]) if key in of else "" for key in keys)
        lines.append(f"{name:24}" + "".join(f"{cell:>10}" for cell in cells))
    return "\n".join(lines)


def _cell(value: float | None, column: Column) -> str:
    return column.absent if value is None else f"{column.factor * value:.{column.digits}f}"


class Must(NamedTuple):
    """A row of what must be shown; less is better unless `more`."""

    what: str
    value: float | None
    must: float
    aim: float
    unit: str = ""
    more: bool = False

    def verdict(self) -> str:
        sign = -1 if self.more else 1
        value = math.inf if self.value is None else sign * self.value
        return "aim" if value <= sign * self.aim else "must" if value <= sign * self.must else "NO"


def table_of_musts(musts: Iterable[Must]) -> str:
    lines = [f"{'what (part test)':72}{'measured':>12}{'must':>8}{'aim':>8}  reached"]
    for of in musts:
        value = "–" if of.value is None else f"{of.value:.2f}".removesuffix(".00")
        unit = f" {of.unit}" if of.unit else ""
        lines.append(f"{of.what:72}{value + unit:>12}{of.must:>8g}{of.aim:>8g}  {of.verdict()}")
    return "\n".join(lines)


def rounded(of: object) -> object:
    """Round all numbers of a tree to what can be told apart."""
    if isinstance(of, dict):
        return {key: rounded(value) for key, value in of.items()}
    if isinstance(of, list | tuple):
        return [rounded(value) for value in of]
    return round(of, 5) if isinstance(of, float) else of


# --- Strangers ---


class Windows(NamedTuple):
    """Scores of stretches of 2 s, and how many were named, and named right, at their ends."""

    scores: NDArray[np.float64]
    named: int
    right: int


def windows(character: str, paths: Iterable[Path], cast: Cast) -> Windows:
    """Score stretches of one voice by how sure guesses were: what is compared to tell strangers."""
    card = cast.card
    rate = card.features.sample_rate
    length, apart = round(WINDOW_S * rate), round(APART_S * rate)
    clips = [read_clip(path, rate, longest_pause_s=0.2) for path in paths]
    y = np.concatenate(clips)
    spoken = y[: len(y) // length * length].reshape(-1, length)[:WINDOWS]
    laid_out = np.pad(spoken, ((0, 0), (apart, 0)))
    path = steady.WORK / "windows" / f"{character}.flac"
    _keep(path, lambda file: soundfile.write(file, laid_out.ravel(), rate, "PCM_16", format="FLAC"))
    heard = hear(path, cast)
    scores, named = [], []
    for number in range(len(spoken)):
        start_s = number * (WINDOW_S + APART_S) + APART_S
        *_, smoother = smoothed(heard.between(start_s, start_s + WINDOW_S), cast, Parts())
        likeliest = int(smoother.shares[: len(card.characters)].argmax())
        scores.append(smoother._sure() / card.calibration.sureness[likeliest])
        if smoother.shown.character is not None:
            named.append(card.characters[smoother.shown.character].name)
    return Windows(np.array(scores), len(named), named.count(character))


@functools.cache
def strangers() -> dict[str, object]:
    """Tell strangers after 2 s of clean speech, of the part "test"."""
    cast = twelve()
    names = {character.name for character in cast.card.characters}
    paths: dict[str, list[Path]] = {}
    for clip in find_clips(steady.CLIPS / "test"):
        if clip.voice is not None:
            paths.setdefault(clip.voice[1], []).append(clip.path)
    found = {who: windows(who, sorted(of), cast) for who, of in sorted(paths.items())}
    found = {who: of for who, of in found.items() if len(of.scores)}
    of_cast = [of for who, of in found.items() if who in names]
    of_others = [of for who, of in found.items() if who not in names]
    known, others = (np.concatenate([of.scores for of in side]) for side in (of_cast, of_others))
    eer, threshold = stream.equal_error_rate(known, others)
    return {
        "eer": eer,
        "threshold": threshold,
        "rejected": REJECTED,
        "false_names": stream.false_names_at(known, others, REJECTED),
        "windows_of_cast": len(known),
        "windows_of_strangers": len(others),
        "shown_of_cast_right": sum(of.right for of in of_cast) / len(known),
        "shown_of_cast_named": sum(of.named for of in of_cast) / len(known),
        "shown_of_strangers_named": sum(of.named for of in of_others) / len(others),
        "median_score": {who: float(np.median(of.scores)) for who, of in found.items()},
    }


# --- Benchmarks ---


@pytest.mark.parametrize("hangover_ms", [DEFAULTS.gate.hangover_ms, 30.0])
def test_replay(hangover_ms):
    """A replay shows at each hop what is shown live; with a short hangover names linger, too."""
    cast = load_cast("starter")
    heard, live = listen(DEMO, cast, Settings(gate=GateSettings(hangover_ms=hangover_ms)))

    def said(results):
        return [
            (r.time, r.speech, r.character, r.actor, r.unknown, r.second and r.second.character)
            for r in results
        ]

    assert said(replay(heard, cast)) == said(live)
    lingers = any(r.speech and not gate for r, gate in zip(live, heard.gate, strict=True))
    assert lingers == (hangover_ms == 30.0)


def test_scenes(report):
    cast = twelve()
    if not steady.ORIGIN_CAST.exists():
        pytest.skip(f"{steady.ORIGIN_CAST} is not there: python benchmarks/steady.py makes it")
    trained_so = load_cast(steady.ORIGIN_CAST)
    conversations = scenes(CONVERSATIONS, "test")
    speech_free = scenes(SPEECH_FREE, "test")
    rows: dict[str, dict[str, float | None]] = {}
    flicker, extra = {}, {}  # in all scenes, with speech and without: they are as long for each way
    for name, way in {
        **WAYS,
        WEBRTC: replay,
        KNOWING: replay,
        ORIGIN_TRAINED: origins_way,
    }.items():
        gate = GateSettings(detector="webrtc") if name == WEBRTC else GateSettings()
        talk, free = (
            measure(
                of,
                trained_so if name == ORIGIN_TRAINED else cast,
                way,
                settings=Settings(gate=gate),
                knowing=name == KNOWING,
            )
            for of in (conversations, speech_free)
        )
        alone = {of.name: of for of in free.recordings}
        flicker[name] = sum(of.appearances - of.true_turns for of in (talk, free))
        extra[name] = sum(of.shown_turns - of.true_turns for of in (talk, free))
        rows[name] = row(talk) | {
            "quiet_changes": sum(alone[of].shown_turns for of in QUIET if of in alone),
            "false_names_per_hour": alone["nobody"].false_names_per_hour
            if "nobody" in alone
            else None,
        }
    for name, of in rows.items():
        of["flicker_of_origin"] = stream.ratio(flicker[name], flicker[ORIGIN])
        of["extra_of_origin"] = stream.ratio(extra[name], extra[ORIGIN])
    ours, origin, told = rows["ours"], rows[ORIGIN], strangers()
    above, above_trained_so = (
        100 * (ours["right"] - rows[of]["right"]) for of in (ORIGIN, ORIGIN_TRAINED)
    )
    musts = [
        Must("label changes in 10 min of silence and of room noise", ours["quiet_changes"], 0, 0),
        Must("false names an hour without speech", ours["false_names_per_hour"], 2, 0.5),
        Must("label changes, by the truth's", ours["turns_ratio"], 1.3, 1.1),
        Must("release after speech ends, 95 % within", ours["release_p95_s"], 0.7, 0.5, "s"),
        Must("right stable name after onset, median", ours["onset_median_s"], 0.7, 0.5, "s"),
        Must("right stable name after onset, 95 % within", ours["onset_p95_s"], 1.5, 1.0, "s"),
        Must("named right, points above the origin's way, our network", above, 10, 20, more=True),
        Must(
            "named right, points above the origin's way, trained so",
            *(above_trained_so, 10, 20),
            more=True,
        ),
        Must("flicker, of the origin's way", 100 * ours["flicker_of_origin"], 10, 3, "%"),
        Must("strangers: EER at 2 s of speech", 100 * told["eer"], 10, 5, "%"),
    ]
    each = measure([*conversations, *speech_free], cast, error_rates=True).recordings
    minutes = sum(of.seconds for of in each) / 60
    report(
        "\n\n".join(
            (
                f"{cast.card.name}, {len(each)} scenes of the part test, {minutes:.0f} minutes",
                table_of_musts(musts),
                table(
                    f"conversations ({', '.join(CONVERSATIONS)}); of origin: flicker in all "
                    "scenes by that of the origin's way; bridged: the same of turns, so that a "
                    "label gone for less than half a second stays one; in quiet: label changes in "
                    "10 min of silence and 10 of a quiet room; false names an hour of music, noise "
                    f"and effects; {WHAT_COLUMNS_ARE}",
                    rows,
                ),
                table(
                    "ours; error rates with 0.25 s around boundaries left out",
                    {of.name: row_alone(of) for of in each},
                ),
            )
        ),
        "steady",
        rounded(
            {
                "cast": cast.card.name,
                "seconds": 60 * minutes,
                "must_show": [of._asdict() | {"reached": of.verdict()} for of in musts],
                "ways": rows,
                "ours": {of.name: msgspec.to_builtins(of) for of in each},
            }
        ),
    )
    assert ours["quiet_changes"] == 0
    assert ours["onset_median_s"] <= 0.7
    assert ours["wrong"] < origin["wrong"]
    assert ours["flicker_of_origin"] < 1


def test_strangers(report):
    told = strangers()
    scores = sorted(told["median_score"].items(), key=lambda of: of[1])
    report(
        f"strangers after {WINDOW_S:g} s of speech, {told['windows_of_cast']} stretches of the "
        f"cast, {told['windows_of_strangers']} of strangers, part test: EER {told['eer']:.1%}; "
        f"{told['false_names']:.1%} of strangers named where {REJECTED:.0%} of the cast are not\n"
        f"as shown at their ends: of the cast {told['shown_of_cast_right']:.1%} named right, "
        f"{told['shown_of_cast_named']:.1%} named; of strangers "
        f"{told['shown_of_strangers_named']:.1%} named\n"
        "median score: " + ", ".join(f"{who} {score:.2f}" for who, score in scores),
        "steady_strangers",
        rounded(told),
    )
    assert told["eer"] <= 0.1


def test_episodes(report):
    cast, starter = twelve(), load_cast("starter")
    # The cast was trained on neither kind. The levels of nl_* are held out, says their README. No
    # turn of pl_mix* (217 of 0.6 s or more, the first second of each) is in a clip of its voice:
    # the waveforms correlate by 0.56 at most; by 0.93 in the median where clips are composed over
    # music at 5 dB. The emotions and sentences of pl_mix* may well be those of the training.
    groups: dict[str, tuple[Cast, list[Sound]]] = {
        "nl": (cast, _episodes("nl_*.ogg")),
        "pl_mix": (cast, _episodes("pl_mix*.ogg")),
        "demo": (starter, [("demo", DEMO, DEMO_TRUTH)]),  # with the starter cast
    }
    rows, each = {}, {}
    for name, (of, sounds) in groups.items():
        ours = measure(sounds, of, error_rates=True)
        rows[f"{name}, ours"] = row(ours)
        rows[f"{name}, {ORIGIN}"] = row(measure(sounds, of, origins_way))
        each |= {one.name: row_alone(one) for one in ours.recordings}
    report(
        "\n\n".join((table(WHAT_COLUMNS_ARE, rows), table("ours, one by one", each))),
        "steady_episodes",
        rounded({"cast": cast.card.name, "together": rows, "ours": each}),
    )


def _episodes(pattern: str) -> list[Sound]:
    paths = sorted(EPISODES.glob(pattern))
    return [(path.stem, path, path.with_suffix(".rttm")) for path in paths]


def test_sweep(report):
    """What the time constant trades for what, on the part that the default was chosen on."""
    pytest.importorskip("matplotlib")
    cast = twelve()
    sounds = scenes(CONVERSATIONS, "choose")
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for detected in (True, False):
        change_share = SmoothingSettings().change_share if detected else 1.0
        of = found["with change detection" if detected else "without change detection"] = {}
        for time_constant_ms in TIME_CONSTANTS_MS:
            settings = SmoothingSettings(
                time_constant_ms=time_constant_ms, change_share=change_share
            )
            way = functools.partial(replay, parts=Parts(settings))
            of[_ms(time_constant_ms)] = row(measure(sounds, cast, way))
    tables = [
        table(name, {f"{time_constant} ms": of for time_constant, of in by_time.items()})
        for name, by_time in found.items()
    ]
    report(
        "\n\n".join(("time constant, part choose: " + WHAT_COLUMNS_ARE, *tables)),
        "steady_sweep",
        rounded({"cast": cast.card.name, **found}),
    )
    draw_sweep(found)


def draw_sweep(found: dict[str, dict[str, dict[str, float | None]]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.5), layout="constrained")
    panels = (
        ("label changes, by the truth's", "turns_ratio", 1.0),
        ("right stable name after onset, median, s", "onset_median_s", 1.0),
        ("speech named right, %", "right", 100.0),
    )
    for axes, (title, key, factor) in zip(figure.subplots(1, 3), panels, strict=True):
        for name, by_time in found.items():
            # Where most turns are never named there is no onset.
            values = [math.nan if of[key] is None else factor * of[key] for of in by_time.values()]
            axes.plot([*by_time], values, marker="o", label=name)
        axes.axvline(_ms(DEFAULT_MS), color="black", linestyle=":", label="the default")
        axes.set(title=title, xlabel="time constant, ms", ylim=(0, None))
        axes.grid(alpha=0.3)
    axes.legend(loc="lower left")
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=100)


def _ms(time_constant_ms: float) -> str:
    return f"{time_constant_ms:g}"
