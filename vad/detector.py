"""The protocol of voice activity detectors, and those that come with Kikiwake by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

# Not loaded here: the settings know the detectors' names, and reading settings is quick.
if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DetectorName = Literal["both", "webrtc", "silero"]


class VoiceActivityDetector(Protocol):
    """Tells, frame by frame, how likely somebody speaks.

    What it says of a frame may depend on the frames before it, never on later ones.
    """

    @property
    def sample_rate(self) -> int:
        """Sampling rate that it takes, in Hz."""
        ...

    @property
    def frame_samples(self) -> int:
        """Length of a frame in samples."""
        ...

    @property
    def latency(self) -> int:
        """How far what it says of a frame lags, in samples: 0 where it is about that very frame."""
        ...

    def process(self, frame: NDArray[np.float32]) -> float:
        """Take the next frame of the stream.

        Parameters
        ----------
        frame : ndarray of float32, shape (frame_samples,)
            Mono samples in [-1, 1]. Neither written to nor kept.

        Returns
        -------
        float in [0, 1]
            Probability of speech; 0 or 1 from a detector that only decides.
        """
        ...

    def reset(self) -> None:
        """Forget the stream: as just built."""
        ...


def load_detector(name: DetectorName, *, aggressiveness: int = 1) -> VoiceActivityDetector:
    """Make a detector by its name.

    Parameters
    ----------
    name : {"both", "webrtc", "silero"}
        Which one; "both" is WebRTC's, confirmed by Silero's.
    aggressiveness : int in [0, 3]
        Of WebRTC's.

    Returns
    -------
    VoiceActivityDetector

    Raises
    ------
    KikiwakeError
        The package that it needs is not installed.
    ValueError
        An argument out of range.
    """
    if name == "both":
        from .confirmed import ConfirmedVad

        return ConfirmedVad(aggressiveness)
    if name == "webrtc":
        from .webrtc import WebRtcVad

        return WebRtcVad(aggressiveness)
    if name == "silero":
        from .silero import SileroVad

        return SileroVad()
    raise ValueError(f"name={name!r} must be 'both', 'webrtc' or 'silero'")
