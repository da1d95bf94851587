"""Training patches from clips: what the network will meet live, with labels.

Live, a patch is rarely half a second of one clean voice. It holds the first moments of a turn
after a pause or after somebody else's last word, the end of a word and some silence, a voice over
music. `PatchComposer` makes such patches from clips of single voices and from sound without
speech, and labels them with whoever speaks at the end of the patch, which is what the screen
should say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import soxr
from numpy.typing import NDArray

from ..features.mfcc import mfcc
from ..features.settings import FeatureSettings
from .augment import band_limit, between, reverberate
from .dataset import PatchSet, VoiceSet
from .voice_encoder import WINDOW_S, voice_encoder

_Float = NDArray[np.float32]

# A voice is labelled from this much of it at the end of a patch; less is left out as ambiguous.
MIN_SPEECH_S = 0.12
# The label stays over a pause of this length within a sentence.
MAX_TAIL_S = 0.2
BACKGROUND_SHARE = 0.25
# How loud a voice is above the music, in dB.
SNR_DB = -5.0, 25.0
# What sound has been sampled at on its way, by chance: the names must not depend on it.
SAMPLE_RATES = 8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000
# Of other voices: how much faster or slower they are, the share of those that are, and how
# many patches are made of what the voice encoder hears once, which takes it as long as ten.
_SPEED = 0.75, 1.33
_CHANGED_SHARE = 0.7
_PATCHES_A_STRETCH = 4


class Origin(NamedTuple):
    """Where the voice of a patch is from.

    Attributes
    ----------
    clip : int
        Number of the clip among its character's.
    begin : int
        Sample of the clip that the patch begins with; less than 0 where it begins before.
    """

    clip: int
    begin: int


class PatchComposer:
    """Composes training patches.

    Parameters
    ----------
    clips : sequence of sequence of ndarray of float32, shape (n,)
        For each character its clips: one voice, silence trimmed, at the features' rate.
    background : sequence of ndarray of float32, shape (n,)
        Sound without speech, at the features' rate, each at least a second and a patch long.
    settings : FeatureSettings
        Of the network to be trained.

    Raises
    ------
    ValueError
        If a character has no clips, or there is no background.
    """

    def __init__(
        self,
        clips: Sequence[Sequence[_Float]],
        background: Sequence[_Float],
        settings: FeatureSettings,
    ) -> None:
        self._settings = settings
        self._rate = settings.sample_rate
        self._patch = settings.patch_samples
        # A clip must hold the part that is taken at its beginning or end.
        self._clips = [
            [(number, clip) for number, clip in enumerate(one) if len(clip) >= self._patch // 2]
            for one in clips
        ]
        self._background = [b for b in background if len(b) >= max(self._rate, self._patch)]
        if not self._background:
            raise ValueError("background must hold sounds of at least a second and a patch")
        for index, one in enumerate(self._clips):
            if not one:
                raise ValueError(f"clips[{index}] must hold at least one clip of a quarter second")

    @property
    def n_classes(self) -> int:
        """Characters and background."""
        return len(self._clips) + 1

    def compose(self, n: int, rng: np.random.Generator) -> PatchSet:
        """Compose `n` patches: a quarter background, the characters in equal parts."""
        labels = rng.integers(len(self._clips), size=n)
        labels[rng.random(n) < BACKGROUND_SHARE] = len(self._clips)
        out = np.empty((n, self._settings.n_mfcc, self._settings.patch_frames), np.float32)
        for index, label in enumerate(labels):
            out[index], _ = self.make(int(label), rng)
        return PatchSet(out, labels.astype(np.int64))

    def make(self, label: int, rng: np.random.Generator) -> tuple[_Float, Origin | None]:
        """Compose a patch.

        Parameters
        ----------
        label : int
            The character, or `n_classes` - 1 for the background.
        rng : numpy.random.Generator
            Draws everything.

        Returns
        -------
        mfcc : ndarray of float32, shape (n_mfcc, patch_frames)
        origin : Origin or None
            Where the character's voice is from; None for the background.
        """
        if label == len(self._clips):
            return mfcc(self._record(self._nobody(rng), rng), self._settings), None
        voice, origin = self._voice(self._clips[label], rng)
        return mfcc(self._record(voice, rng), self._settings), origin

    def compose_perturbed(self, n: int, rng: np.random.Generator) -> VoiceSet:
        """Compose patches of other voices, with what the voice encoder makes of them.

        Played faster or slower, a voice becomes another's: its pitch and formants move [1]_. Few
        characters so become many voices, from which a network learns what voices differ in. Three
        of ten are the characters', as they are.

        Parameters
        ----------
        n : int > 0
            Patches; four of each stretch of a voice.
        rng : numpy.random.Generator
            Draws everything.

        Returns
        -------
        VoiceSet
            The vectors are of the stretch alone, without backgrounds, rooms and channels.

        References
        ----------
        .. [1] Ko, Peddinti, Povey, Khudanpur, "Audio Augmentation for Speech Recognition",
           Interspeech 2015.
        """
        stretches = [self._stretch(rng) for _ in range(-(-n // _PATCHES_A_STRETCH))]
        vectors = np.concatenate(voice_encoder().listen(stretches, self._rate))
        out = np.empty((n, self._settings.n_mfcc, self._settings.patch_frames), np.float32)
        for at in range(n):
            stretch = stretches[at // _PATCHES_A_STRETCH]
            voice, _ = self._voice([(0, stretch)], rng)
            out[at] = mfcc(self._record(voice, rng), self._settings)
        return VoiceSet(out, vectors.repeat(_PATCHES_A_STRETCH, axis=0)[:n])

    def _stretch(self, rng: np.random.Generator) -> _Float:
        """Take as much of a voice as the voice encoder hears at a time, faster or slower."""
        speed = between(rng, *_SPEED) if rng.random() < _CHANGED_SHARE else 1.0
        own = self._clips[int(rng.integers(len(self._clips)))]
        length = round(WINDOW_S * self._rate)
        needed = round(length * speed) + 1
        at = int(rng.integers(len(own)))
        clips, n = [own[at][1]], len(own[at][1])
        while n < needed:
            at += 1
            clips.append(own[at % len(own)][1])
            n += len(clips[-1])
        begin = int(rng.integers(n - needed + 1))
        # Not all put together: a clip may be of an hour.
        parts = []
        for clip in clips:
            parts.append(clip[begin : begin + needed])
            begin = max(0, begin - len(clip))
            needed -= len(parts[-1])
        stretch = np.concatenate(parts)
        # As if it had been sampled faster or slower than it was.
        return _fitted(soxr.resample(stretch, self._rate * speed, self._rate), length)

    def _voice(
        self, own: Sequence[tuple[int, _Float]], rng: np.random.Generator
    ) -> tuple[_Float, Origin]:
        """Let somebody speak at the end of a patch, of whom there are these clips."""
        kind = rng.random()
        number, clip = _pick(own, rng)
        if kind < 0.55 and len(clip) > self._patch:  # in the midst of a clip
            begin = int(rng.integers(len(clip) - self._patch + 1))
            voice = clip[begin : begin + self._patch].copy()
        else:
            if kind < 0.88:  # its beginning
                tail = 0
                least = min(MIN_SPEECH_S * self._rate, 0.5 * self._patch)
                heard = int(rng.uniform(least, 0.96 * self._patch))
                spoken = clip[:heard]
                begin = len(spoken) - self._patch
            else:  # its end, and a moment more
                tail = min(int(rng.uniform(0.02, MAX_TAIL_S) * self._rate), self._patch // 2)
                spoken = clip[-(self._patch - tail) :]
                begin = len(clip) + tail - self._patch
            voice = np.zeros(self._patch, np.float32)
            room = self._patch - tail - len(spoken)
            voice[room : room + len(spoken)] = spoken
            self._lead_in(voice[:room], own, rng)
        if rng.random() < 0.55:
            bed = self._cut(rng)
            voice = voice + bed * _gain_for_snr(voice, bed, rng.uniform(*SNR_DB))
        return voice, Origin(number, begin)

    def _lead_in(
        self, before: _Float, own: Sequence[tuple[int, _Float]], rng: np.random.Generator
    ) -> None:
        """Fill what comes before a clip: somebody else, the same voice, or, as it is, nobody."""
        kind = rng.random()
        if kind < 0.7:
            whose = self._clips[int(rng.integers(len(self._clips)))] if kind < 0.4 else own
            _, clip = _pick(whose, rng)
            room = len(before) - int(rng.uniform(0.0, 0.3) * self._rate)
            if room > 0:
                spoken = clip[-room:] * np.float32(10 ** (rng.uniform(-5, 5) / 20))
                before[room - len(spoken) : room] = spoken

    def _nobody(self, rng: np.random.Generator) -> _Float:
        kind = rng.random()
        if kind < 0.12:  # quiet: the recorder's own noise, added later, is all there is
            return np.zeros(self._patch, np.float32)
        sound = self._cut(rng)
        if kind > 0.75:  # begins just now: not all that begins is a voice
            least = min(0.03 * self._rate, 0.5 * self._patch)
            sound[: self._patch - int(rng.uniform(least, 0.96 * self._patch))] = 0
        if kind < 0.2:  # the end of a voice, long enough ago
            _, clip = _pick(self._clips[int(rng.integers(len(self._clips)))], rng)
            heard = min(int(rng.uniform(0.02, 0.14) * self._rate), self._patch // 2)
            sound = sound * np.float32(10 ** (rng.uniform(-60, -15) / 20))
            sound[:heard] += clip[-heard:]
        return sound

    def _record(self, sound: _Float, rng: np.random.Generator) -> _Float:
        """Add what lies between a voice and the computer: room, codec, level, noise."""
        if rng.random() < 0.15:
            sound = reverberate(sound, rng, sample_rate=self._rate)
        if rng.random() < 0.4:
            sound = band_limit(sound, rng, sample_rate=self._rate)
        level = 10 ** (rng.uniform(-24, 6) / 20)
        noise = rng.standard_normal(self._patch, np.float32) * 10 ** (rng.uniform(-100, -55) / 20)
        mixed = (sound * level + noise).astype(np.float32)
        if rng.random() < 0.5:
            # A low sampling rate or a codec on the way: nothing at all above an edge.
            edge_hz = between(rng, 3_400.0, 20_000.0)
            if rng.random() < 0.5:
                edge_hz = rng.choice(SAMPLE_RATES) / 2 * rng.uniform(0.88, 1.0)
            spectrum = np.fft.rfft(mixed)
            spectrum[round(edge_hz / self._rate * self._patch) :] = 0
            mixed = np.fft.irfft(spectrum, self._patch).astype(np.float32)
        return np.clip(mixed, -1.0, 1.0)

    def _cut(self, rng: np.random.Generator) -> _Float:
        """Cut a patch out of a background, half of the time played faster, slower or backwards.

        So a few minutes of music become many, whose notes and beats a voice still has not.
        """
        sound = self._background[int(rng.integers(len(self._background)))]
        speed = 1.0
        if rng.random() < 0.5:
            speed = rng.uniform(0.75, 1.33)
        n = min(len(sound), 2 + int(self._patch * speed))
        begin = int(rng.integers(len(sound) - n + 1))
        cut = sound[begin : begin + n]
        if speed == 1.0:
            return cut[: self._patch].copy()
        if rng.random() < 0.5:
            cut = cut[::-1]
        places = np.linspace(0, n - 1, self._patch)
        return np.interp(places, np.arange(n), cut).astype(np.float32)


def _pick(clips: Sequence[tuple[int, _Float]], rng: np.random.Generator) -> tuple[int, _Float]:
    return clips[int(rng.integers(len(clips)))]


def _fitted(y: _Float, length: int) -> _Float:
    """Make it so long: resampling gives a sample more or less."""
    return np.pad(y[:length], (0, max(0, length - len(y))))


def _gain_for_snr(voice: _Float, bed: _Float, snr_db: float) -> np.float32:
    active = voice[voice != 0]
    voice_power = float(np.mean(active**2)) if active.size else 0.0
    bed_power = float(np.mean(bed**2))
    if bed_power <= 0:
        return np.float32(0)
    return np.float32(np.sqrt(voice_power / bed_power * 10 ** (-snr_db / 10)))
