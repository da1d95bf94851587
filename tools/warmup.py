"""Compiling ahead what would be compiled at the first start."""

from __future__ import annotations

import numpy as np

from ..engine.callback import audio_callback, prepare, take
from ..engine.config import Settings
from ..engine.pipeline import Pipeline
from ..engine.ring import SpscRing
from ..features.mfcc import melspectrogram, mfcc
from ..features.settings import FeatureSettings
from ..features.stream import MelStream, MfccStream
from ..models.cast import load_cast


def warm_up() -> None:
    """Use everything compiled once, as listening and analysing do."""
    sound = np.zeros((8192, 2), np.float32)
    ring = SpscRing(len(sound), channels=2)
    prepare(ring, 44_100)
    ring.write(sound)
    ring.skip(1)
    ring.read()
    audio_callback()
    take(ring.address, sound.ctypes.data, 1, 0)  # as a Python callback and WASAPI use it
    pipeline = Pipeline(load_cast("starter"), Settings(), sample_rate=44_100, channels=2)
    pipeline.process(sound)
    features = FeatureSettings(top_db=None)
    melspectrogram(sound[:, 0], features)
    mfcc(sound[:, 0], features)
    MelStream(features)
    MfccStream(features)
