"""What several tests of the features work on."""

import numpy as np
from make_golden import signals

from kikiwake.features.settings import FeatureSettings

SIGNALS = signals()
# Quick to compute, and odd on purpose: a patch that is no whole number of hops.
SMALL = FeatureSettings(
    sample_rate=16000, n_fft=256, hop_length=96, n_mels=24, n_mfcc=13, patch_samples=1500
)


def noise(n, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype(np.float32) / 8
