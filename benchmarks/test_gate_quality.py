"""How well speech is told from the rest: by detectors, by the gate, by gate and network together.

What a detector says of a frame counts for the time of that frame. The gates count from the moment
at which they know, as live; gate and network together from the time of the result: the cast's
network as it comes, speech being where a result says so (the gate is open, or a name lingers) and
less than half is background. All by cells of 10 ms.
"""

import io
import itertools
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import heard
import numpy as np
import pytest
from numpy.typing import NDArray

from kikiwake.engine.config import GateSettings, Settings
from kikiwake.engine.pipeline import Pipeline
from kikiwake.models.cast import load_cast
from kikiwake.vad.detector import load_detector
from kikiwake.vad.gate import SpeechGate
from kikiwake.vad.silero import SileroVad
from kikiwake.vad.webrtc import WebRtcVad

PICTURE = Path(__file__).parent / "figures" / "gate_quality.png"
WORKERS = 2
DEFAULT = GateSettings()
WEBRTC = [f"WebRTC {mode}" for mode in range(4)]
SILERO = "Silero"
BOTH = "both"
DETECTORS = {column: ("webrtc", mode) for mode, column in enumerate(WEBRTC)}
DETECTORS[SILERO] = ("silero", DEFAULT.aggressiveness)
DETECTORS[BOTH] = ("both", DEFAULT.aggressiveness)
GATES = {
    "gate WebRTC": WEBRTC[DEFAULT.aggressiveness],
    "gate Silero": SILERO,
    "gate both": BOTH,
}
NETWORK = "gate + network"
COLUMNS = [*DETECTORS, *GATES, NETWORK]
SPEECHLESS = ("music alone", "noise alone", "quiet room")
CLEAN = (*heard.GROUPS, "episodes, plain")
TIMED = "over music, 10 dB"
APART = 30  # cells of silence between one utterance and the next

Values = NDArray[np.float64]


class Said(NamedTuple):
    """What was said of a sound."""

    name: str
    truth: heard.Mask
    frames: dict[str, list[float]]  # by each detector, of each frame
    scores: dict[str, Values]  # by each column, of each cell
    cpu_s: dict[str, float]  # by each column, for all of it


class Replayed:
    """A detector of some kind that says again what it once said."""

    def __init__(self, column: str, frames: Iterable[float]) -> None:
        kind = WebRtcVad if column in WEBRTC else SileroVad
        self.sample_rate = kind.sample_rate
        self.frame_samples = kind.frame_samples
        self.latency = kind.latency
        self._frames = iter(frames)

    def process(self, frame):
        return next(self._frames)

    def reset(self):
        pass


class Watched(Pipeline):
    """Keeps how much of the smoothed posterior is background after each hop."""

    def __init__(self, *arguments, **settings):
        super().__init__(*arguments, **settings)
        self.background: list[float] = []

    def _result(self, speech):
        self.background.append(self._smoother.shares[len(self.cast.card.characters) :].sum())
        return super()._result(speech)


def threshold(column: str) -> float:
    return 0.5 if column in WEBRTC else DEFAULT.threshold


def by_cells(times: Values, values: list, cells: int) -> Values:
    """Spread values over cells, each from its time to the next; before the first there is none."""
    index = np.searchsorted(times, (np.arange(cells) + 0.5) * heard.CELL_S)
    return np.array([0.0, *values])[index]


def gate(column: str, frames: list[float], settings: GateSettings, cells: int) -> Values:
    """Put a detector's frames through the gate."""
    vad = Replayed(column, frames)
    opened = SpeechGate(
        vad,
        onset_ms=settings.onset_ms,
        hangover_ms=settings.hangover_ms,
        minimum_speech_ms=settings.minimum_speech_ms,
        threshold=settings.threshold,
    )
    anything = np.zeros(vad.frame_samples, np.float32)
    states = []
    for _ in frames:
        opened.process(anything)
        states.append(opened.open)
    ends = np.arange(1, len(frames) + 1) * vad.frame_samples / heard.RATE
    return by_cells(ends, states, cells)


def hear(sound: heard.Sound) -> Said:
    cells = len(sound.truth)
    frames, scores, cpu_s = {}, {}, {}
    for column, (name, aggressiveness) in DETECTORS.items():
        vad = load_detector(name, aggressiveness=aggressiveness)
        size = vad.frame_samples
        blocks = sound.y[: len(sound.y) // size * size].reshape(-1, size)
        begun = time.process_time()
        frames[column] = [vad.process(block) for block in blocks]
        cpu_s[column] = time.process_time() - begun
        scores[column] = by_cells(np.arange(len(blocks)) * size / heard.RATE, frames[column], cells)
    for column, behind in GATES.items():
        begun = time.process_time()
        scores[column] = gate(behind, frames[behind], DEFAULT, cells)
        cpu_s[column] = cpu_s[behind] + time.process_time() - begun
    pipeline = Watched(load_cast("starter"), Settings(), sample_rate=heard.RATE, channels=1)
    begun = time.process_time()
    results = pipeline.process(sound.y) + pipeline.finish()
    cpu_s[NETWORK] = time.process_time() - begun
    speech = [r.speech * (1 - b) for r, b in zip(results, pipeline.background, strict=True)]
    scores[NETWORK] = by_cells(np.array([r.time for r in results]), speech, cells)
    return Said(sound.name, sound.truth, frames, scores, cpu_s)


@pytest.fixture(scope="module")
def said() -> dict[str, Said]:
    if not heard.VOICES.exists():
        pytest.skip(f"{heard.VOICES} is not there")
    with ProcessPoolExecutor(WORKERS) as pool:
        return {each.name: each for each in pool.map(hear, heard.conditions())}


class Quality(NamedTuple):
    """How decisions compare with the truth; None where there is nothing to compare."""

    precision: float | None
    recall: float | None
    f1: float | None
    false_share: float  # of what is no speech
    false_opens_per_hour: float  # with no speech near
    missed_s_per_hour: float
    breaks_per_hour: float  # between the first and the last that is found of an utterance
    delay_p50_s: float | None  # from the onset of an utterance
    delay_p95_s: float | None
    never_found: int  # utterances


class Truth:
    """The truth about some sound, made ready for many comparisons."""

    def __init__(self, speech: heard.Mask) -> None:
        self.speech = speech
        self.hours = len(speech) * heard.CELL_S / 3600
        self.utterances = heard.runs(heard.close_gaps(speech, APART))
        self._near = np.convolve(speech, np.ones(2 * APART + 1), "same") > 0.5

    def quality(self, decision: heard.Mask) -> Quality:
        right = np.count_nonzero(decision & self.speech)
        false = np.count_nonzero(decision & ~self.speech)
        missed = np.count_nonzero(~decision & self.speech)
        spoken = right + missed > 0
        opens = heard.runs(decision)[:, 0]
        found = [heard.runs(decision[begin:end]) for begin, end in self.utterances]
        delays = [stretches[0, 0] * heard.CELL_S for stretches in found if len(stretches)]
        return Quality(
            precision=right / (right + false) if spoken and right + false else None,
            recall=right / (right + missed) if spoken else None,
            f1=2 * right / (2 * right + false + missed) if spoken else None,
            false_share=false / np.count_nonzero(~self.speech),
            false_opens_per_hour=np.count_nonzero(~self._near[opens]) / self.hours,
            missed_s_per_hour=missed * heard.CELL_S / self.hours,
            breaks_per_hour=(sum(map(len, found)) - len(delays)) / self.hours,
            delay_p50_s=float(np.percentile(delays, 50)) if delays else None,
            delay_p95_s=float(np.percentile(delays, 95)) if delays else None,
            never_found=len(self.utterances) - len(delays),
        )


def scaled(value: float | None, factor: float) -> str:
    return "-" if value is None else f"{factor * value:.0f}"


def shares(q: Quality) -> str:
    return " / ".join(scaled(share, 100) for share in (q.precision, q.recall, q.f1))


def false_alarms(q: Quality) -> str:
    return f"{100 * q.false_share:.1f} % {q.false_opens_per_hour:5.0f}"


def delay(q: Quality) -> str:
    never = f" ({q.never_found})" if q.never_found else ""
    return f"{scaled(q.delay_p50_s, 1e3)} / {scaled(q.delay_p95_s, 1e3)}{never}"


def table(found: dict[str, dict[str, Quality]], cpu_share: dict[str, float]) -> str:
    def rows(cell, names):
        return [[name, *(cell(found[name][column]) for column in COLUMNS)] for name in names]

    spoken = [name for name in found if name not in SPEECHLESS]
    blocks = {
        "precision / recall / F1 in %": rows(shares, spoken),
        "no speech: share taken for speech, false opens an hour": rows(false_alarms, SPEECHLESS),
        "missed speech, seconds an hour": rows(lambda q: scaled(q.missed_s_per_hour, 1), spoken),
        "breaks within an utterance, times an hour": rows(
            lambda q: scaled(q.breaks_per_hour, 1), spoken
        ),
        "onset delay in ms, median / 95th percentile (utterances never found)": rows(delay, spoken),
        "CPU time, % of the sound's": [[TIMED, *(f"{100 * cpu_share[c]:.3f}" for c in COLUMNS)]],
    }
    lines = []
    for title, cells in blocks.items():
        lines += ["", title]
        for name, *others in [["", *COLUMNS], *cells]:
            lines.append(f"{name:26}" + "".join(f"{other:>17}" for other in others))
    return "\n".join(lines[1:])


PANELS = {
    "clean: read, acted, words, narrowband": ("read", "acted", "words", "narrowband"),
    "clean: stylised, high": ("stylised, high",),
    "over music, 20 to 10 dB": [f"over music, {snr_db} dB" for snr_db in (20, 15, 10)],
    "over music, 5 to -5 dB": [f"over music, {snr_db} dB" for snr_db in (5, 0, -5)],
    "over noise, 10 and 0 dB": [f"over noise, {snr_db} dB" for snr_db in heard.NOISE_SNR_DB],
    "after music, 10 dB": ("all after music, 10 dB", "stylised after music, 10 dB"),
    "episodes": ("episodes, plain", "episodes, mixed"),
    "all clean speech; music and noise alone": (*CLEAN, "music alone", "noise alone"),
}
COLOURS = dict.fromkeys(WEBRTC, "tab:blue") | {
    SILERO: "tab:orange",
    BOTH: "tab:purple",
    "gate WebRTC": "black",
    "gate Silero": "tab:red",
    "gate both": "tab:pink",
    NETWORK: "tab:green",
}


def rates(truth: heard.Mask, score: Values, thresholds) -> tuple[Values, Values, Values]:
    """Compute false positive rate, recall and precision by threshold."""
    of_speech, of_rest = np.sort(score[truth]), np.sort(score[~truth])
    right = len(of_speech) - np.searchsorted(of_speech, thresholds)
    wrong = len(of_rest) - np.searchsorted(of_rest, thresholds)
    return wrong / len(of_rest), right / len(of_speech), right / np.maximum(right + wrong, 1)


def draw_curves(roc, pr, sounds: list[Said]) -> None:
    truth = np.concatenate([each.truth for each in sounds])
    modes = []
    for column in COLUMNS:
        style = {"color": COLOURS[column], "label": column}
        score = np.concatenate([each.scores[column] for each in sounds])
        point = rates(truth, score, threshold(column))
        if column in WEBRTC:
            modes.append(point)
            continue
        if column not in GATES:
            thresholds = np.quantile(score[score > 0], np.linspace(0, 0.99, 300))
            false, recall, precision = rates(truth, score, thresholds)
            roc.plot(false, recall, **style)
            pr.plot(recall, precision, color=COLOURS[column])
            style["label"] = None
        style |= {"marker": "s" if column in GATES else "o", "linestyle": "none"}
        roc.plot(*point[:2], **style)
        pr.plot(*point[1:], **style)
    false, recall, precision = np.array(modes).T
    style = {"color": COLOURS[WEBRTC[0]], "marker": "."}
    roc.plot(false, recall, label="WebRTC, modes 3 to 0 from the left", **style)
    pr.plot(recall, precision, **style)


def draw(said: dict[str, Said], found: dict[str, dict[str, Quality]]) -> None:
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(16, 18), layout="constrained")
    grid = figure.add_gridspec(5, 4)
    for place, (title, names) in enumerate(PANELS.items()):
        row, side = divmod(place, 4)
        roc = figure.add_subplot(grid[2 * row, side])
        pr = figure.add_subplot(grid[2 * row + 1, side])
        draw_curves(roc, pr, [said[name] for name in names])
        roc.set(title=title, xlim=(-0.02, 1), ylim=(0.4, 1.02), xlabel="false positive rate")
        pr.set(xlim=(0.4, 1.02), ylim=(None, 1.02), xlabel="recall")
        if not side:
            roc.set_ylabel("recall")
            pr.set_ylabel("precision")
    figure.legend(*roc.get_legend_handles_labels(), loc="outside upper center", ncols=5)
    by_snr = figure.add_subplot(grid[4, :2])
    for column in COLUMNS:
        f1 = [found[f"over music, {snr_db} dB"][column].f1 for snr_db in heard.MUSIC_SNR_DB]
        by_snr.plot(heard.MUSIC_SNR_DB, f1, color=COLOURS[column], marker=".")
    by_snr.set(xlabel="speech over music, dB", ylabel="F1")
    alone = figure.add_subplot(grid[4, 2:])
    for side, name in enumerate(("music alone", "noise alone")):
        shares = [100 * found[name][column].false_share for column in COLUMNS]
        places = np.arange(len(COLUMNS)) + 0.4 * (side - 0.5)
        alone.bar(places, shares, 0.35, color=[COLOURS[c] for c in COLUMNS], alpha=1 - 0.5 * side)
    alone.set_xticks(range(len(COLUMNS)), COLUMNS, rotation=20)
    alone.set(ylabel="% taken for speech", title="music alone, noise alone (pale)")
    for axes in figure.axes:
        axes.grid(alpha=0.3)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=100)
    PICTURE.parent.mkdir(exist_ok=True)
    # With a palette it has a third of the size.
    Image.open(drawn).convert("RGB").quantize(256).save(PICTURE, optimize=True)


def rounded(figures: dict) -> dict:
    return {k: round(v, 5) if isinstance(v, float) else v for k, v in figures.items()}


def test_quality(report, said):
    pytest.importorskip("matplotlib")
    found = {
        name: {c: Truth(each.truth).quality(each.scores[c] >= threshold(c)) for c in COLUMNS}
        for name, each in said.items()
    }
    timed = said[TIMED]
    cpu_share = {c: timed.cpu_s[c] / (len(timed.truth) * heard.CELL_S) for c in COLUMNS}
    figures = {
        name: {c: rounded(q._asdict()) for c, q in by_column.items()}
        for name, by_column in found.items()
    }
    report(table(found, cpu_share), "gate_quality", figures | {"cpu_share": rounded(cpu_share)})
    draw(said, found)
    for column in GATES:
        assert found["read"][column].f1 > 0.8
        assert found["read"][column].never_found == 0
        # WebRTC's takes the first thing it ever hears for speech.
        assert not said["quiet room"].scores[column][100:].any()


# In ms, whole frames of 20 and of 32: onset, hangover, minimum of speech.
_GRID_20 = ((20, 40, 60, 100, 160), (100, 180, 240, 300, 380), (0, 100, 200))
_GRID_32 = ((32, 64, 96, 160), (96, 192, 256, 384), (0, 96, 192))
GRIDS = dict.fromkeys(WEBRTC, _GRID_20) | dict.fromkeys((SILERO, BOTH), _GRID_32)
THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7)
LATEST_S = 0.1
MOST_BREAKS = 120  # one in half a minute


class Row(NamedTuple):
    """Settings of the gate, and what they do."""

    detector: str
    threshold: float
    onset_ms: float
    hangover_ms: float
    minimum_speech_ms: float
    f1: float  # of all sounds with speech
    missed_s_per_hour: float
    breaks_per_hour: float
    music_share: float  # taken for speech
    music_opens_per_hour: float
    noise_share: float
    noise_opens_per_hour: float
    delay_p50_s: float  # in clean speech: over music the gate is often open already
    delay_p95_s: float
    never_found: int


class Sweep:
    """Tries settings of the gate on what the detectors once said."""

    def __init__(self, said: dict[str, Said]) -> None:
        speech = [name for name in said if name not in SPEECHLESS]
        self._kinds = (speech, CLEAN, ["music alone"], ["noise alone"])
        self._truths = [
            Truth(np.concatenate([said[name].truth for name in names])) for names in self._kinds
        ]
        # No more of it than is needed: it goes to other processes.
        self._frames = {name: (each.frames, len(each.truth)) for name, each in said.items()}

    def row(self, column: str, settings: GateSettings) -> Row:
        opened = {
            name: gate(column, frames[column], settings, cells) > 0
            for name, (frames, cells) in self._frames.items()
        }
        speech, clean, music, noise = (
            truth.quality(np.concatenate([opened[name] for name in names]))
            for truth, names in zip(self._truths, self._kinds, strict=True)
        )
        return Row(
            column,
            settings.threshold,
            settings.onset_ms,
            settings.hangover_ms,
            settings.minimum_speech_ms,
            speech.f1,
            speech.missed_s_per_hour,
            speech.breaks_per_hour,
            music.false_share,
            music.false_opens_per_hour,
            noise.false_share,
            noise.false_opens_per_hour,
            clean.delay_p50_s,
            clean.delay_p95_s,
            clean.never_found,
        )

    def rows(self, column: str, threshold: float) -> list[Row]:
        found = []
        for onset_ms, hangover_ms, minimum_ms in itertools.product(*GRIDS[column]):
            if 0 < minimum_ms <= onset_ms:
                continue  # it does nothing
            settings = GateSettings(
                threshold=threshold,
                onset_ms=onset_ms,
                hangover_ms=hangover_ms,
                minimum_speech_ms=minimum_ms,
            )
            found.append(self.row(column, settings))
        return found


def but_hangover(row: Row) -> tuple:
    return (*row[:3], row.minimum_speech_ms)


def test_gate_settings(report, said):
    sweep = Sweep(said)
    tried = [(column, 0.5) for column in (*WEBRTC, BOTH)] + [(SILERO, t) for t in THRESHOLDS]
    with ProcessPoolExecutor(WORKERS) as pool:
        rows = [row for found in pool.map(sweep.rows, *zip(*tried, strict=True)) for row in found]
    usable = [
        row for row in rows if row.delay_p50_s <= LATEST_S and row.breaks_per_hour <= MOST_BREAKS
    ]
    usable.sort(key=lambda row: -row.f1)
    chosen = [sweep.row(column, DEFAULT) for column in GATES.values()]
    for column, at in tried:
        chosen += [row for row in usable if row[:2] == (column, at)][:2]
    lines = [
        "gate settings: the defaults with WebRTC, Silero and both, then two of each detector, the "
        "highest in F1",
        f"with a median delay of at most {1e3 * LATEST_S:.0f} ms and at most {MOST_BREAKS} breaks "
        "within utterances an hour",
        "            thr. onset hang. min.     F1 missed breaks   music alone   noise alone   "
        "onset delay, clean speech",
        "                    ms    ms   ms      %    s/h    1/h       % opens       % opens   "
        "p50 / p95 ms (never found)",
    ]
    lines += [
        f"{r.detector:10} {r.threshold:5.1f} {r.onset_ms:5.0f} {r.hangover_ms:5.0f} "
        f"{r.minimum_speech_ms:4.0f} {100 * r.f1:6.1f} {r.missed_s_per_hour:6.0f} "
        f"{r.breaks_per_hour:6.0f} {100 * r.music_share:7.1f} {r.music_opens_per_hour:5.0f} "
        f"{100 * r.noise_share:7.1f} {r.noise_opens_per_hour:5.0f}   "
        f"{1e3 * r.delay_p50_s:.0f} / {1e3 * r.delay_p95_s:.0f} ({r.never_found})"
        for r in chosen
    ]
    report("\n".join(lines), "gate_settings", [rounded(row._asdict()) for row in chosen])
    # What a longer hangover keeps open besides can be no speech missed.
    for _, alike in itertools.groupby(sorted(rows, key=but_hangover), but_hangover):
        missed = [row.missed_s_per_hour for row in alike]
        assert missed == sorted(missed, reverse=True)
