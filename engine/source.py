"""What a source of sound is."""

from __future__ import annotations

from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import KikiwakeError
from .result import Counters, State

_RATES: Final = 4_000, 768_000
_MOST_CHANNELS: Final = 64


class Source(Protocol):
    """A stream of sound that one thread opens, reads and closes.

    ``with source:`` opens and closes it. Rate and channels are known once it is open; the counts
    stay readable after it is closed.

    Attributes
    ----------
    name : str
        For people.
    sample_rate : int
        In Hz.
    channels : int
        Columns of a block.
    live : bool
        The sound comes at its own pace, whether or not it is read: when none comes for a while,
        that is silence. Otherwise the source waits for its reader and `read` alone sets the pace.
    state : {"listening", "waiting"}
        Whether it waits for a device that is gone. `sample_rate` and `channels` may be others when
        it is back.
    notice : str or None
        Why it waits.
    """

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def sample_rate(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def live(self) -> bool: ...  # noqa: D102
    @property
    def state(self) -> State: ...  # noqa: D102
    @property
    def notice(self) -> str | None: ...  # noqa: D102

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def counters(self) -> Counters:
        """Count what the source itself lost so far; the rest of the counts is left at zero."""

    def read(self, timeout_s: float, min_frames: int = 1) -> NDArray[np.float32] | None:
        """Take the next block.

        Parameters
        ----------
        timeout_s : float >= 0
            Seconds to wait for it at most.
        min_frames : int > 0
            What the caller has use for: a live source need not return with less before the time
            is over, which saves waking up.

        Returns
        -------
        ndarray of float32, shape (n, channels), or None
            Full scale is 1. n is 0 when nothing came in time. None at the end of the sound, and
            ever after. The array is the caller's own.

        Raises
        ------
        SourceError
            The sound broke off, or there was none.
        """


def check_form(sample_rate: int, channels: int, name: str, error: type[KikiwakeError]) -> None:
    """Refuse what no sound has, and what resamplers and buffers choke on."""
    low, high = _RATES
    if not low <= sample_rate <= high:
        raise error(f"{name}: rate {sample_rate} is not allowed: {low} to {high} Hz")
    if not 1 <= channels <= _MOST_CHANNELS:
        raise error(f"{name}: {channels} channels are not allowed: 1 to {_MOST_CHANNELS}")


def need_open(handle: object, name: str) -> None:
    """Refuse to read what was not entered."""
    if not handle:
        raise RuntimeError(f"{name} is not open: use it in a with statement")
