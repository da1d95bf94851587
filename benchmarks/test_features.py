"""MFCC beside its peers and the FFT alone: a patch, a minute, a hop of a live stream.

One thread, the same sound, the same run: the ways take turns, so that a slow moment of the machine
meets all of them. Peers keep whatever their interface lets them keep from call to call.
"""

import itertools
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import NamedTuple

import numpy as np
import pytest
from msgspec.structs import replace
from numba import njit
from rocket_fft import r2c

from kikiwake.engine.config import Settings
from kikiwake.features._kernels import LANES, cepstrum, mel_frames, scratch, tables
from kikiwake.features.mel import hann
from kikiwake.features.mfcc import mfcc
from kikiwake.features.settings import ORIGIN, FeatureSettings
from kikiwake.features.stream import MelStream, MfccStream, PatchStream

RATE, N_FFT, HOP = ORIGIN.sample_rate, ORIGIN.n_fft, ORIGIN.hop_length
N_MELS, N_MFCC = ORIGIN.n_mels, ORIGIN.n_mfcc
UNFLOORED = replace(ORIGIN, top_db=None)
FRAME_MS = HOP / RATE * 1e3
HOP_FRAMES = round(100 / FRAME_MS)
DEFAULT_HOP_FRAMES = round(Settings().hop_ms / FRAME_MS)

OURS, KALDI = "ours", "kaldi-native-fbank"
HOP_PATCH, DEFAULT_HOP_PATCH = (
    f"PatchStream, {n * FRAME_MS:.0f} ms, whole patch" for n in (HOP_FRAMES, DEFAULT_HOP_FRAMES)
)
FFT, SCIPY_FFT = "FFT alone, as in ours", "FFT alone, scipy.fft.rfft"

Way = Callable[[], object]


class Peer(NamedTuple):
    """Another library's MFCC."""

    prepare: Callable[..., Way]  # from the sound; what it returns gives (n_mfcc, frames)
    package: str
    # Where settings of ours give the same: which, what makes dB of the peer's unit, and the sample
    # that its first frame is centred on.
    same_as: FeatureSettings | None = None
    to_db: float = 1.0
    centre: int = 0


class Timing(NamedTuple):
    """What the calls of a way took."""

    median: float
    best: float
    cores: float  # processor time / time: above 1 it was more than one thread


def librosa_mfcc(y):
    import librosa

    return lambda: librosa.feature.mfcc(
        y=y, sr=RATE, n_mfcc=N_MFCC, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS, pad_mode="reflect"
    )


def librosa_with_filters_kept(y):
    # Its `mfcc` makes the mel filters anew in every call: half of its time for a patch.
    import librosa

    filters = librosa.filters.mel(sr=RATE, n_fft=N_FFT, n_mels=N_MELS)

    def way():
        spectrum = librosa.stft(y, n_fft=N_FFT, hop_length=HOP, pad_mode="reflect")
        levels = librosa.power_to_db(filters @ np.abs(spectrum) ** 2)
        return librosa.feature.mfcc(S=levels, n_mfcc=N_MFCC)

    return way


def kaldi_options(shift=HOP):
    import kaldi_native_fbank

    options = kaldi_native_fbank.MfccOptions()
    frame, mel = options.frame_opts, options.mel_opts
    frame.samp_freq = RATE
    frame.frame_length_ms, frame.frame_shift_ms = N_FFT / RATE * 1e3, shift / RATE * 1e3
    frame.window_type = "hann"  # the periodic one
    frame.dither = frame.preemph_coeff = 0
    frame.remove_dc_offset = frame.snip_edges = False
    mel.num_bins, mel.low_freq, mel.high_freq, mel.is_librosa = N_MELS, 0, 0, True
    options.num_ceps, options.cepstral_lifter, options.use_energy = N_MFCC, 0, False
    return options


def kaldi_mfcc(y, shift=HOP):
    # It cannot be reset: every sound takes a new one. It reads samples from Python one by one:
    # quickest from a list, which it gets for nothing here.
    from kaldi_native_fbank import OnlineMfcc

    options, samples = kaldi_options(shift), y.tolist()

    def way():
        online = OnlineMfcc(options)
        online.accept_waveform(RATE, samples)
        online.input_finished()
        return np.stack([online.get_frame(t) for t in range(online.num_frames_ready)]).T

    return way


def kaldi_stream(y):
    from kaldi_native_fbank import OnlineMfcc

    online, done = OnlineMfcc(kaldi_options()), 0
    hops = itertools.cycle([hop.tolist() for hop in hops_of(y, HOP_FRAMES * HOP)])

    def way():
        nonlocal done
        online.accept_waveform(RATE, next(hops))
        new = range(done, online.num_frames_ready)
        frames = np.stack([online.get_frame(t) for t in new])
        online.pop(len(new))
        done = new.stop
        return frames

    return way


def python_speech_features_mfcc(y):
    from python_speech_features import mfcc as theirs

    return lambda: theirs(
        y, RATE, N_FFT / RATE, HOP / RATE, N_MFCC, N_MELS, N_FFT,
        preemph=0, ceplifter=0, appendEnergy=False, winfunc=hann,
    ).T  # fmt: skip


def audioflux_mfcc(y):
    # As its `mfcc` does it, but with its objects kept, real powers (by default it squares and sums
    # complex values, 15 times as long), and bands of area 1.
    from audioflux import BFT, XXCC
    from audioflux import type as kind

    bft = BFT(
        N_MELS, N_FFT.bit_length() - 1, RATE, 0.0, RATE / 2,
        slide_length=HOP,
        window_type=kind.WindowType.HANN,
        scale_type=kind.SpectralFilterBankScaleType.MEL,
        normal_type=kind.SpectralFilterBankNormalType.BAND_WIDTH,
        data_type=kind.SpectralDataType.POWER,
    )  # fmt: skip
    xxcc = XXCC(N_MELS)
    xxcc.set_time_length(bft.cal_time_length(y.size))
    return lambda: xxcc.xxcc(bft.bft(y, result_type=1), N_MFCC)


def torchaudio_mfcc(y):
    import torch
    from torchaudio.transforms import MFCC

    torch.set_num_threads(1)
    bands = {"n_mels": N_MELS, "norm": "slaney", "mel_scale": "slaney"}
    transform = MFCC(RATE, N_MFCC, melkwargs={"n_fft": N_FFT, "hop_length": HOP, **bands})
    samples = torch.from_numpy(y)

    def way():
        with torch.inference_mode():
            return transform(samples).numpy()

    return way


PEERS = {
    "librosa": Peer(librosa_mfcc, "librosa", same_as=ORIGIN),
    "librosa, filters kept": Peer(librosa_with_filters_kept, "librosa", same_as=ORIGIN),
    KALDI: Peer(kaldi_mfcc, KALDI, UNFLOORED, 10 / np.log(10), HOP // 2),
    "audioFlux": Peer(audioflux_mfcc, "audioflux", replace(UNFLOORED, htk=True), 10, N_FFT // 2),
    "torchaudio": Peer(torchaudio_mfcc, "torchaudio", same_as=ORIGIN),
    "python_speech_features": Peer(python_speech_features_mfcc, "python_speech_features"),
}


def speech_like(seconds):
    """Make a voice's harmonics with vibrato and syllables, in noise."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = np.cumsum(2 * np.pi / RATE * 140 * (1 + 0.03 * np.sin(2 * np.pi * 5 * t)))
    voice = sum(np.sin(k * phase) / k for k in range(1, 40)) * (0.6 + 0.4 * np.sin(25 * t))
    noise = np.random.default_rng(0).standard_normal(t.size)
    return (0.1 * voice + 0.01 * noise).astype(np.float32)


def hops_of(y, samples):
    return np.split(y[: y.size // samples * samples], y.size // samples)


def patch_stream(y, stream):
    hops = itertools.cycle(hops_of(y, stream.hop_samples))

    def way():
        stream.push(next(hops))
        return stream.patch()

    return way


def frame_stream(y, stream):
    hops = itertools.cycle(hops_of(y, HOP_FRAMES * HOP))

    def way():
        for _ in stream.process(next(hops)):
            pass

    return way


@njit
def _transform(batches, frames, spectrum, axes):
    for _ in range(batches):
        r2c(frames, spectrum.T, axes, True, 1.0, 1)


def fft_alone(frames):
    """Repeat the transforms of so many frames, exactly as the kernel has them made."""
    memory, axes = scratch(ORIGIN), tables(ORIGIN).axes
    memory.frames[:] = np.random.default_rng(1).standard_normal(memory.frames.shape)
    batches = -(-frames // LANES)
    return lambda: _transform(batches, memory.frames, memory.spectrum, axes)


def scipy_fft_alone(frames):
    import scipy.fft

    signal = np.random.default_rng(1).standard_normal((frames, N_FFT), np.float32)
    return lambda: scipy.fft.rfft(signal)


def parts_of(y):
    """Find the steps of a patch that stand in kernels of their own."""
    constants, memory, frames = tables(ORIGIN), scratch(ORIGIN), np.arange(ORIGIN.patch_frames)
    mel, levels = np.empty((2, N_MELS, frames.size), np.float32)
    out = np.empty((N_MFCC, frames.size), np.float32)

    def run(in_db, into):
        return lambda: mel_frames(y, 0, y.size, frames, 0, in_db, constants, memory, into)

    run(True, levels)()
    return {
        "mel powers": run(False, mel),
        "mel levels": run(True, levels),
        "cepstrum": lambda: cepstrum(levels, constants, memory, out),
    }


def whole_ways(y):
    """Prepare whatever makes the MFCC of all of `y`; and why not the rest."""
    ways, missing = {OURS: lambda: mfcc(y, ORIGIN)}, {}
    for name, peer in PEERS.items():
        try:
            ways[name] = peer.prepare(y)
        except (ImportError, OSError) as error:
            missing[name] = str(error).partition("\n")[0]
    return ways, missing


def take_turns(ways, rounds, calls):
    """Time every way `calls` times in each round; the first round warms up."""
    from threadpoolctl import threadpool_limits

    seconds = {name: [] for name in ways}
    busy = dict.fromkeys(ways, 0.0)
    with threadpool_limits(1):  # of the libraries loaded, which all are by now
        for turn, (name, way) in itertools.product(range(rounds + 1), ways.items()):
            used, marks = time.process_time(), [time.perf_counter()]
            for _ in range(calls):
                way()
                marks.append(time.perf_counter())
            if turn:
                seconds[name].extend(np.diff(marks))
                busy[name] += time.process_time() - used
    return {
        name: Timing(float(np.median(s)), float(np.min(s)), busy[name] / sum(s))
        for name, s in seconds.items()
    }


def apart_db(name, theirs, y):
    """Find the largest difference to ours of the same settings, where no edge is near."""
    peer = PEERS[name]
    if peer.same_as is None:
        return None
    ours = mfcc(y[peer.centre :], peer.same_as)
    inner = slice(N_FFT // HOP, ORIGIN.patch_frames - 2 * N_FFT // HOP)
    return float(np.abs(theirs * peer.to_db - ours[:, : theirs.shape[1]])[:, inner].max())


def row(timing, base, frames=None, sound_s=None):
    """List the figures of one way, beside one of ours."""
    figures = {
        "median_ms": timing.median * 1e3,
        "best_ms": timing.best * 1e3,
        "times_ours": timing.median / base.median,
        "cores": timing.cores,
    }
    if frames:
        figures["frames"] = frames
        figures["us_per_frame"] = timing.median / frames * 1e6
    if sound_s:
        figures["real_times"] = sound_s / timing.median
    return {name: float(f"{value:.4g}") for name, value in figures.items()}


def show(title, figures):
    """Make the lines of a table."""
    columns = list(next(iter(figures.values())))
    lines = [f"{title:40s}" + "".join(f"{column.replace('_', ' '):>14s}" for column in columns)]
    for name, values in figures.items():
        lines.append(f"{name:40s}" + "".join(f"{values[column]:14.4g}" for column in columns))
    return [*lines, ""]


def measure():
    minute = speech_like(60)
    patch = minute[: ORIGIN.patch_samples].copy()
    patch_ways, missing = whole_ways(patch)
    minute_ways, _ = whole_ways(minute)
    patch_frames, minute_frames = (
        {name: way().shape[1] for name, way in ways.items()} for ways in (patch_ways, minute_ways)
    )
    apart = {name: apart_db(name, way(), patch) for name, way in patch_ways.items() if name != OURS}

    live = minute[: 10 * RATE]
    streams = {
        HOP_PATCH: PatchStream(ORIGIN, HOP_FRAMES),
        DEFAULT_HOP_PATCH: PatchStream(ORIGIN, DEFAULT_HOP_FRAMES),
    }
    stream_ways = {name: patch_stream(live, stream) for name, stream in streams.items()} | {
        "MelStream, new frames": frame_stream(live, MelStream(ORIGIN)),
        "MfccStream, new frames": frame_stream(live, MfccStream(UNFLOORED)),
    }
    # A patch of a stream takes its new frames and those that its edges touch.
    stream_ffts = {
        f"{FFT}, {name}": fft_alone(stream._hop_frames + stream._edge_frames)
        for name, stream in streams.items()
    }
    ffts = {FFT: fft_alone(ORIGIN.patch_frames), SCIPY_FFT: scipy_fft_alone(ORIGIN.patch_frames)}
    minute_fft = {FFT: fft_alone(minute_frames[OURS])}
    # With so long a shift Kaldi makes one frame. What more frames add is the C++ alone, without
    # the setting up and the samples' way from Python.
    first_frame = [{}, {}]
    if KALDI in patch_ways:
        stream_ways["kaldi OnlineMfcc, new frames"] = kaldi_stream(live)
        first_frame = [{"first": kaldi_mfcc(y, shift=2 * y.size)} for y in (patch, minute)]

    parts = parts_of(patch)
    short_ways = patch_ways | stream_ways | ffts | stream_ffts | parts | first_frame[0]
    short = take_turns(short_ways, rounds=100, calls=5)
    long = take_turns(minute_ways | minute_fft | first_frame[1], rounds=15, calls=1)

    whole, hop = short[OURS], short[HOP_PATCH]
    # Of the best times, since small differences are taken.
    steps = (short[name].best / whole.best for name in (FFT, *parts))
    fft, powers, levels, coefficients = steps
    figures = {
        "patch": {n: row(short[n], whole, patch_frames[n]) for n in patch_ways},
        "minute": {n: row(long[n], long[OURS], minute_frames[n], 60) for n in minute_ways},
        "hop": {n: row(short[n], hop) for n in stream_ways}
        | {f"{n}, the patch anew": row(short[n], hop) for n in patch_ways},
        "bound": {n: row(short[n], whole) for n in ffts},
        "shares": {
            "FFT": fft,
            "window, power, bands": powers - fft,
            "logarithm": levels - powers,
            "cepstrum": coefficients,
            "calls, memory": 1 - levels - coefficients,
        },
        "times_fft_alone": {
            "patch": whole.median / short[FFT].median,
            "60 s": long[OURS].median / long[FFT].median,
        }
        | {n: short[n].median / short[f"{FFT}, {n}"].median for n in streams},
        "apart_db": apart,
        "versions": {n: version(PEERS[n].package) for n in apart},
        "not_measured": missing,
    }
    if KALDI in patch_ways:
        figures["kaldi_us_per_further_frame"] = {
            kind: (took[KALDI].median - took["first"].median) / (frames[KALDI] - 1) * 1e6
            for kind, took, frames in (
                ("patch", short, patch_frames),
                ("60 s", long, minute_frames),
            )
        }
    return figures


def test_features_beside_peers_and_fft(report):
    pytest.importorskip("threadpoolctl", reason="comes with librosa: install .[test]")
    figures = measure()
    table = [
        f"MFCC: {N_FFT} samples every {HOP} at 44.1 kHz, {N_MELS} bands, {N_MFCC} coefficients",
        "",
        *show("a patch of 0.5 s", figures["patch"]),
        *show("60 s of sound", figures["minute"]),
        *show("a hop of 104 ms, if not said", figures["hop"]),
        *show("the bound for the patch", figures["bound"]),
        "shares of the patch: " + ", ".join(f"{n} {x:.0%}" for n, x in figures["shares"].items()),
    ]
    table += [f"ours / its FFT alone, {n}: {x:.2f}" for n, x in figures["times_fft_alone"].items()]
    for kind, us in figures.get("kaldi_us_per_further_frame", {}).items():
        table.append(f"{KALDI}, {kind}: {us:.1f} µs for each frame after the first")
    for name, apart in figures["apart_db"].items():
        same = "has no settings like ours" if apart is None else f"{apart:.0e} dB from ours"
        table.append(f"{name}, {figures['versions'][name]}: {same}")
    table += [f"{n}: not measured ({why})" for n, why in figures["not_measured"].items()]
    report("\n".join(table), "features", figures)

    for name, apart in figures["apart_db"].items():
        assert apart is None or apart < 0.01, f"{name} does other work"
    for values in (*figures["patch"].values(), *figures["minute"].values()):
        assert values["cores"] < 1.2, "one thread each, or it is no comparison"
    # About half of what is there: with less something is broken.
    if "librosa" in figures["patch"]:
        assert figures["patch"]["librosa"]["times_ours"] > 4
    for name in figures["apart_db"]:
        assert figures["minute"][name]["us_per_frame"] > figures["minute"][OURS]["us_per_frame"]
    assert figures["hop"][HOP_PATCH]["median_ms"] < figures["patch"][OURS]["median_ms"]
    assert figures["times_fft_alone"]["patch"] < 4
