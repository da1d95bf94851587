"""From single posteriors to a steady name."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .config import SmoothingSettings


class PosteriorSmoother:
    """Exponential smoothing of posteriors, with hysteresis on the name shown.

    The smoothed posterior is a weighted mean of all posteriors so far, in which the weight of one
    falls by e with each time constant of *speech* that follows it. It is normalised by the
    weights themselves, so the first posterior of a turn counts fully: no start-up from zero, and
    no name that is late by the time constant.

    Parameters
    ----------
    n_characters : int > 0
        Characters of the cast; they come first in a posterior.
    n_classes : int >= n_characters
        Length of a posterior. What follows the characters is nobody: background.
    settings : SmoothingSettings
        Time constant, margin, share.

    Notes
    -----
    ``update`` and ``silence`` neither block nor depend on the hop: n steps of equal input equal
    one step of n times the length. One thread.
    """

    def __init__(self, n_characters: int, n_classes: int, settings: SmoothingSettings) -> None:
        if not 0 < n_characters <= n_classes:
            raise ValueError(
                f"n_characters={n_characters} must be positive and at most n_classes={n_classes}"
            )
        self._n_characters = n_characters
        self._settings = settings
        self._sum = np.zeros(n_classes)
        self._weight = 0.0
        self._shown: int | None = None

    @property
    def shown(self) -> int | None:
        """Index of the character shown, None for nobody."""
        return self._shown

    @property
    def shares(self) -> NDArray[np.float64]:
        """The smoothed posterior, shape (n_classes,); all zero before anything was heard."""
        if self._weight <= 0.0:
            return np.zeros_like(self._sum)
        return self._sum / self._weight

    def reset(self) -> None:
        """Forget everything."""
        self._sum[:] = 0.0
        self._weight = 0.0
        self._shown = None

    def update(
        self, posterior: NDArray[np.float32], *, elapsed_ms: float, weight: float = 1.0
    ) -> int | None:
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
        int or None
            Index of the character to show.
        """
        if weight <= 0.0:
            return self._shown
        keep = self._decay(elapsed_ms * weight)
        self._sum *= keep
        self._sum += (1.0 - keep) * posterior
        self._weight = self._weight * keep + (1.0 - keep)
        if self._weight > 0.0:
            self._choose()
        return self._shown

    def silence(self, elapsed_ms: float) -> None:
        """Let time pass in which nobody speaks: the name goes, the memory of it fades."""
        self.pass_time(elapsed_ms)
        self._shown = None

    def pass_time(self, elapsed_ms: float) -> None:
        """Let time pass that nothing is known of: the memory fades, the name stays for now."""
        keep = self._decay(elapsed_ms)
        self._sum *= keep
        self._weight *= keep
        if self._weight < 1e-6:  # faded: as new, and no rounding noise is ever normalised up
            self._sum[:] = 0.0
            self._weight = 0.0

    def _decay(self, elapsed_ms: float) -> float:
        time_constant_ms = self._settings.time_constant_ms
        return math.exp(-elapsed_ms / time_constant_ms) if time_constant_ms > 0 else 0.0

    def _choose(self) -> None:
        shares = self.shares
        characters = shares[: self._n_characters]
        nobody = float(shares[self._n_characters :].sum())
        best = int(characters.argmax())
        lead = float(characters[best])
        held = nobody if self._shown is None else float(characters[self._shown])
        margin = self._settings.switching_margin
        if self._shown is not None and nobody > held and nobody >= lead:
            self._shown = None
        elif best != self._shown and lead > held + margin and lead >= self._settings.showing_share:
            self._shown = best
