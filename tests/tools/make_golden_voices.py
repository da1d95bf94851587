"""Make `golden_voices.npz`: what Resemblyzer itself makes of parts of the demo sound.

It wants the packages Resemblyzer, torch, soundfile and soxr: ``python make_golden_voices.py``.
"""

from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from resemblyzer import VoiceEncoder, normalize_volume, wav_to_mel_spectrogram

HERE = Path(__file__).parent
DEMO = HERE.parents[1] / "models" / "starter" / "demo.ogg"
# Begin and length in seconds, and what it is multiplied by: also louder than -30 dB, and softer.
PARTS = ((2.0, 1.6, 1.0), (10.0, 1.6, 0.02), (20.0, 3.0, 1.0), (31.0, 5.0, 4.0))


def main() -> None:
    encoder = VoiceEncoder("cpu", verbose=False)
    demo, rate = soundfile.read(DEMO, dtype="float32")
    vectors = {}
    for number, (begin_s, length_s, gain) in enumerate(PARTS):
        part = demo[round(begin_s * rate) : round((begin_s + length_s) * rate)] * np.float32(gain)
        y = normalize_volume(soxr.resample(part, rate, 16_000), -30, increase_only=True)
        mel = wav_to_mel_spectrogram(y)
        windows = [mel[at : at + 160] for at in range(0, len(mel) - 159, 80)]
        with torch.no_grad():
            vectors[str(number)] = encoder(torch.from_numpy(np.stack(windows))).numpy()
    np.savez_compressed(HERE / "golden_voices.npz", parts=np.array(PARTS), **vectors)


if __name__ == "__main__":
    main()
