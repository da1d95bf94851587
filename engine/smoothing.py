"""From single posteriors to a steady name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .config import SmoothingSettings

_Shares = NDArray[np.float64]


class Shown(NamedTuple):
    """What to say at a moment; `NOBODY` where nobody is heard.

    Attributes
    ----------
    character : int or None
        Who speaks.
    actor : int or None
        Whose voice it is: of the character, or, where the character is not sure, alone.
    unknown : bool
        Somebody speaks whom the cast does not know.
    second : int or None
        The other character of two who speak at once.
    """

    character: int | None = None
    actor: int | None = None
    unknown: bool = False
    second: int | None = None


# How long to take the mean of how sure single guesses are: a stranger is now like this one of the
# cast, now like that one, and never for sure; on a single guess that tells little.
_SURENESS_MS = 2000.0

# A voice that the network still hears, by the share of its newest guess, while the gate does not.
_LINGERING_SHARE = 0.4

# So long must two voices be there to be told: a change of speaker looks the same for a moment.
_TOGETHER_MS = 100.0

NOBODY = Shown()
UNKNOWN = Shown(unknown=True)


class PosteriorSmoother:
    """Exponential smoothing of posteriors, with hysteresis on what is shown.

    The smoothed posterior is a weighted mean of all posteriors so far, in which the weight of one
    falls by e with each time constant of *speech* that follows it. It is normalised by the
    weights themselves, so the first posterior of a turn counts fully: no start-up from zero, and
    no name that is late by the time constant.

    A short memory beside it notices when somebody else begins: once the guesses of the last moments
    agree on another voice, or on nobody, all that was heard before is let go. So the long memory
    may be long, for a name that is steady, without a name that sticks.

    A gate closes at short pauses and soft moments of a turn. The name does not go with it as long
    as the network, asked all the same, hears its voice in the sound: it lingers.

    Parameters
    ----------
    n_characters : int > 0
        Characters of the cast; they come first in a posterior.
    n_classes : int >= n_characters
        Length of a posterior. What follows the characters is nobody: background.
    settings : SmoothingSettings
        Time constants and shares.
    actors : sequence of int, optional
        Whose each character is. Without it each is an actor's only one.
    sureness : sequence of float, optional
        For each character the share that the likeliest one usually has; see
        `SmoothingSettings.strangers`. Without it there are no strangers.

    Notes
    -----
    `update` and `silence` neither block nor depend on the hop: as long as no change is noticed and
    no name lingers, n steps of equal input equal one step of n times the length. One thread.
    """

    def __init__(
        self,
        n_characters: int,
        n_classes: int,
        settings: SmoothingSettings,
        *,
        actors: Sequence[int] | None = None,
        sureness: Sequence[float] = (),
    ) -> None:
        if not 0 < n_characters <= n_classes:
            raise ValueError(
                f"n_characters={n_characters} must be positive and at most n_classes={n_classes}"
            )
        self._n_characters = n_characters
        self._settings = settings
        self._actors = np.arange(n_characters) if actors is None else np.asarray(actors)
        self._known_from = settings.strangers * np.resize([*sureness] or [0.0], n_characters)
        self._memory = _Memory(n_classes, settings.time_constant_ms)
        self._recent = _Memory(n_classes, settings.change_ms)
        self._sureness = _Memory(2, _SURENESS_MS)
        self.reset()

    @property
    def shown(self) -> Shown:
        """What to say now."""
        return self._shown

    @property
    def shares(self) -> _Shares:
        """The smoothed posterior, shape (n_classes,); all zero before anything was heard."""
        return self._memory.mean

    @property
    def actor_shares(self) -> _Shares:
        """The smoothed posterior of each actor, shape (n_actors,)."""
        shares = self._memory.mean[: self._n_characters]
        return np.bincount(self._actors, weights=shares).astype(np.float64)

    def reset(self) -> None:
        """Forget everything."""
        self._forget()
        self._shown = NOBODY
        self._wanted = NOBODY
        self._wanted_ms = 0.0

    def update(
        self, posterior: NDArray[np.float32], *, elapsed_ms: float, weight: float = 1.0
    ) -> Shown:
        """Take the posterior of a hop in which somebody may have spoken.

        Parameters
        ----------
        posterior : ndarray, shape (n_classes,)
            What the network says.
        elapsed_ms : float >= 0
            Time since the last update.
        weight : float, 0 to 1
            Share of the patch that is speech: time with little speech tells little.

        Returns
        -------
        Shown
        """
        if weight > 0.0:
            heard_ms = elapsed_ms * weight
            self._paused_ms = 0.0
            for memory in (self._memory, self._recent):
                memory.add(posterior, heard_ms)
            if self._changed():
                self._memory.begin_as(self._recent)
            characters = posterior[: self._n_characters]
            voices = np.array([characters.max(), characters.sum()])
            spoken_ms = heard_ms * float(voices[1])
            self._sureness.add(voices, spoken_ms)
            self._spoken_ms += spoken_ms
            if self._memory.weight > 0.0:
                self._settle(self._choose(heard_ms), elapsed_ms)
        return self._shown

    def may_linger(self, elapsed_ms: float) -> bool:
        """Tell whether `silence`, for so long, would like to know what the network says."""
        until_ms = self._paused_ms + elapsed_ms
        return self._shown.character is not None and until_ms <= self._settings.linger_ms

    def silence(self, elapsed_ms: float, posterior: NDArray[np.float32] | None = None) -> None:
        """Let time pass in which the gate hears nobody: the name goes, the memory of it fades.

        Parameters
        ----------
        elapsed_ms : float >= 0
            Time since the last update.
        posterior : ndarray, shape (n_classes,), optional
            What the network says all the same. While it `may_linger`, a name stays, and the memory
            of it, whose voice is still heard.
        """
        may_linger = self.may_linger(elapsed_ms)
        self._paused_ms += elapsed_ms
        heard = may_linger and posterior is not None and posterior[self._shown.character]
        if heard >= _LINGERING_SHARE:
            self._shown = self._shown._replace(second=None)
            self._together_ms = 0.0
            return
        self.pass_time(elapsed_ms)
        if self._paused_ms >= self._settings.pause_ms:
            self._forget()
        self._shown = self._wanted = NOBODY

    def pass_time(self, elapsed_ms: float) -> None:
        """Let time pass that nothing is known of: the memory fades, the name stays for now."""
        self._memory.fade(elapsed_ms)
        self._recent.fade(elapsed_ms)
        self._sureness.fade(elapsed_ms)

    def _forget(self) -> None:
        self._memory.clear()
        self._recent.clear()
        self._sureness.clear()
        self._paused_ms = 0.0
        self._spoken_ms = 0.0  # since the last pause
        self._together_ms = 0.0  # for which two voices have been there

    def _changed(self) -> bool:
        """Tell whether the last moments agree on somebody else than what was heard before."""
        recent, before = self._by_voice(self._recent.mean), self._by_voice(self._memory.mean)
        now = int(recent.argmax())
        share = self._settings.change_share
        return share < 1 and now != int(before.argmax()) and recent[now] >= share

    def _by_voice(self, shares: _Shares) -> _Shares:
        """Shares of the characters, and of nobody as the last."""
        n = self._n_characters
        return np.append(shares[:n], shares[n:].sum())

    def _choose(self, heard_ms: float) -> Shown:
        """Say what the shares say, given what is shown now."""
        settings, shares = self._settings, self._by_voice(self._memory.mean)
        recent, nobody = self._by_voice(self._recent.mean), shares[-1]
        if nobody >= settings.background_share:
            return NOBODY
        # A name that is there goes later than it came.
        held = self._shown.character
        ease = 0.0 if held is None else settings.switching_margin
        # Among the voices: how loud the music is below them says nothing about who speaks.
        characters = shares[:-1] / (1 - nobody)
        best = int(characters.argmax())
        if held is not None and characters[held] + settings.switching_margin >= characters[best]:
            best = held
        if self._shown == NOBODY and int(recent.argmax()) != best:
            return NOBODY  # the memory may be of who spoke before the pause
        second = self._second(characters, best, heard_ms)
        if self._sure() >= self._known_from[best] - ease:
            # A new name must be heard above the music, too; one that is there only among voices.
            share = characters[best] + ease if best == held else shares[best]
            if second is not None or share >= settings.showing_share:
                return Shown(best, int(self._actors[best]), second=second)
            by_actor = np.bincount(self._actors, weights=characters)
            actor = int(by_actor.argmax())
            if (self._actors == actor).sum() > 1 and by_actor[actor] >= settings.showing_share:
                return Shown(actor=actor)
        # Unknown is only who is clearly a voice, before and now.
        voice = max(nobody, recent[-1]) < settings.background_share / 2
        told = self._known_from.any() and self._spoken_ms >= settings.unknown_ms
        return UNKNOWN if voice and told else NOBODY

    def _sure(self) -> float:
        """Give the share of the likeliest among the voices, in the mean of single guesses.

        Weighted by how much of a guess is voices, so that music does not make strangers.
        """
        likeliest, voices = self._sureness.mean
        return float(likeliest / voices) if voices > 0 else 0.0

    def _second(self, characters: _Shares, best: int, heard_ms: float) -> int | None:
        """Find another actor who speaks besides the best: both hold their share, for some time."""
        others = np.where(self._actors == self._actors[best], 0.0, characters)
        other, recent = int(others.argmax()), self._recent.mean
        share = self._settings.together_share
        both = min(characters[best], others[other], recent[best], recent[other]) >= share
        self._together_ms = self._together_ms + heard_ms if both else 0.0
        return other if self._together_ms > _TOGETHER_MS else None

    def _settle(self, wanted: Shown, elapsed_ms: float) -> None:
        """Show what is wanted; in place of something else only once it was wanted for a time."""
        if wanted[:3] == self._shown[:3]:
            self._shown = self._wanted = wanted
            return
        self._wanted_ms = self._wanted_ms + elapsed_ms if wanted[:3] == self._wanted[:3] else 0.0
        self._wanted = wanted
        if self._shown == NOBODY or self._wanted_ms >= self._settings.switching_ms:
            self._shown = wanted


class _Memory:
    """A mean in which the weight of what was added falls by e with each time constant."""

    def __init__(self, n: int, time_constant_ms: float) -> None:
        self._time_constant_ms = time_constant_ms
        self._sum = np.zeros(n)
        self.weight = 0.0

    @property
    def mean(self) -> _Shares:
        """Normalised by the weights; all zero where nothing was added."""
        return self._sum / self.weight if self.weight > 0.0 else np.zeros_like(self._sum)

    def add(self, values: NDArray[np.float32], elapsed_ms: float) -> None:
        keep = self._keep(elapsed_ms)
        self._sum *= keep
        self._sum += (1.0 - keep) * values
        self.weight = self.weight * keep + (1.0 - keep)

    def fade(self, elapsed_ms: float) -> None:
        keep = self._keep(elapsed_ms)
        self._sum *= keep
        self.weight *= keep
        if self.weight < 1e-6:  # faded: as new, and no rounding noise is ever normalised up
            self.clear()

    def begin_as(self, other: _Memory) -> None:
        """Take over the mean of another, as if nothing else had been heard."""
        self._sum[:] = other.mean
        self.weight = 1.0

    def clear(self) -> None:
        self._sum[:] = 0.0
        self.weight = 0.0

    def _keep(self, elapsed_ms: float) -> float:
        tau = self._time_constant_ms
        return math.exp(-elapsed_ms / tau) if tau > 0 else 0.0
