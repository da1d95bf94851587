"""The settings of a feature: how sound is analysed and how long a patch is."""

from __future__ import annotations

from typing import Literal

import msgspec

# Far beyond any use, and small enough that no cast file, whoever wrote it, asks for gigabytes.
MAX_SAMPLE_RATE = 768_000
MAX_N_FFT = 65_536
MAX_N_MELS = 1024
MAX_PATCH_SAMPLES = 2**20
MAX_PATCH_S = 60
MAX_PATCH_LEVELS = 2**22


class FeatureSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How mel spectrograms, MFCCs and patches are made; names and meanings are librosa's.

    Part of the cast file: a network only understands patches made with the settings that it was
    trained with. Hashable, and equal where all fields are.

    Attributes
    ----------
    sample_rate : int in [1, 768000]
        Sampling rate of the signal in Hz.
    n_fft : int in [2, 65536], even
        Length of an analysis frame in samples.
    hop_length : int in [1, n_fft]
        Distance of neighbouring frames in samples.
    n_mels : int in [1, 1024]
        Mel bands.
    n_mfcc : int in [1, n_mels]
        Coefficients kept.
    fmin, fmax : float
        Lower edge of the lowest band and upper edge of the highest one, in Hz;
        ``0 <= fmin < fmax <= sample_rate / 2``. `fmax` None is half the sampling rate.
    htk : bool
        HTK's mel scale instead of Slaney's.
    mel_norm : {"slaney", None}
        Mel bands of area 1, or of height 1.
    pad_mode : {"reflect", "constant"}
        What stands before the first and after the last sample of a signal, or of a patch: its
        mirror image (librosa until 0.8, the 2018 data) or zeros (librosa since 0.9).
    top_db : float > 0, or None
        Levels more than this below the loudest of the patch are raised to it, in dB; None raises
        none.
    dct_type : {1, 2, 3}
        Type of the cosine transform; type 1 needs two bands.
    norm : {"ortho", None}
        Cosine transform orthonormal, or as its sum is written down.
    lifter : float >= 0
        Period of the sinusoidal weights on the coefficients; 0 for none.
    patch_samples : int in (n_fft / 2, 2**20]
        Length of a patch in samples; at most a minute.

    Raises
    ------
    ValueError
        A value out of range; the text names the argument, its value and what it needs.
        (From JSON, msgspec turns it into its own ``ValidationError``, a `ValueError` too.)

    Examples
    --------
    >>> FeatureSettings().patch_frames
    44
    >>> FeatureSettings(hop_length=0)
    Traceback (most recent call last):
    ...
    ValueError: hop_length=0 must be in [1, n_fft=2048]
    """

    sample_rate: int = 44100
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    n_mfcc: int = 44
    fmin: float = 0.0
    fmax: float | None = None
    htk: bool = False
    mel_norm: Literal["slaney"] | None = "slaney"
    pad_mode: Literal["reflect", "constant"] = "reflect"
    top_db: float | None = 80.0
    dct_type: Literal[1, 2, 3] = 2
    norm: Literal["ortho"] | None = "ortho"
    lifter: float = 0.0
    patch_samples: int = 22050

    def __post_init__(self) -> None:
        # Every range is asked for positively, so that NaN fails too.
        nyquist = self.sample_rate / 2
        checks = (
            (
                "sample_rate",
                0 < self.sample_rate <= MAX_SAMPLE_RATE,
                f"be in [1, {MAX_SAMPLE_RATE}]",
            ),
            (
                "n_fft",
                0 < self.n_fft <= MAX_N_FFT and self.n_fft % 2 == 0,
                f"be in [2, {MAX_N_FFT}] and even",
            ),
            ("hop_length", 1 <= self.hop_length <= self.n_fft, f"be in [1, n_fft={self.n_fft}]"),
            ("n_mels", 0 < self.n_mels <= MAX_N_MELS, f"be in [1, {MAX_N_MELS}]"),
            ("n_mfcc", 1 <= self.n_mfcc <= self.n_mels, f"be in [1, n_mels={self.n_mels}]"),
            ("fmin", 0 <= self.fmin < self.top_hz, f"be in [0, fmax={self.top_hz:g})"),
            ("fmax", self.top_hz <= nyquist, f"be at most sample_rate / 2 = {nyquist:g}"),
            ("pad_mode", self.pad_mode in ("reflect", "constant"), "be 'reflect' or 'constant'"),
            ("mel_norm", self.mel_norm in ("slaney", None), "be 'slaney' or None"),
            (
                "top_db",
                self.top_db is None or 0 < self.top_db < float("inf"),
                "be positive and finite, or None",
            ),
            ("dct_type", self.dct_type in (1, 2, 3), "be 1, 2 or 3"),
            ("dct_type", self.dct_type != 1 or self.n_mels > 1, "be 2 or 3 where n_mels=1"),
            ("norm", self.norm in ("ortho", None), "be 'ortho' or None"),
            ("lifter", 0 <= self.lifter < float("inf"), "be 0 or more and finite"),
            (
                "patch_samples",
                self.patch_samples > self.n_fft // 2,
                f"be more than n_fft / 2 = {self.n_fft // 2}",
            ),
            (
                "patch_samples",
                self.patch_samples <= MAX_PATCH_SAMPLES,
                f"be at most {MAX_PATCH_SAMPLES}",
            ),
            (
                "patch_samples",
                self.patch_samples <= MAX_PATCH_S * self.sample_rate,
                f"be at most {MAX_PATCH_S} s of sound",
            ),
        )
        for name, holds, need in checks:
            if not holds:
                raise ValueError(f"{name}={getattr(self, name)!r} must {need}")
        if self.patch_frames * self.n_mels > MAX_PATCH_LEVELS:
            raise ValueError(
                f"hop_length={self.hop_length} must be longer: {self.n_mels} bands of "
                f"{self.patch_frames} frames are more than {MAX_PATCH_LEVELS} levels a patch"
            )

    @property
    def top_hz(self) -> float:
        """Upper edge of the highest band in Hz: `fmax`, or half the sampling rate."""
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    @property
    def patch_frames(self) -> int:
        """Frames in a patch."""
        return 1 + self.patch_samples // self.hop_length

    @property
    def patch_s(self) -> float:
        """Length of a patch in seconds."""
        return self.patch_samples / self.sample_rate


ORIGIN = FeatureSettings()
"""The preset of tail-island/devil-ear: 44 coefficients in 44 frames of half a second."""
