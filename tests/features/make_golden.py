"""Write golden_mfcc.npz, the MFCCs that librosa gives for signals anyone can make again.

    python tests/features/make_golden.py

Written with librosa 0.11.0 (the file says which). Compared within 1e-3 by test_mfcc.py.
"""

from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).with_name("golden_mfcc.npz")
# Signal, and what of the settings is not as in the 2018 data; all names are librosa's.
CASES = {
    "noise": ("noise", {}),
    "noise_constant": ("noise", {"pad_mode": "constant"}),
    "sweep": ("sweep", {}),
    "vowel": ("vowel", {}),
    "vowel_constant": ("vowel", {"pad_mode": "constant"}),
    "vowel_htk": ("vowel", {"htk": True, "mel_norm": None, "fmin": 60.0, "fmax": 7600.0}),
    "vowel_lifter": ("vowel", {"n_mfcc": 20, "n_mels": 64, "lifter": 22.0}),
    "vowel_dct1": ("vowel", {"dct_type": 1, "norm": None, "n_mfcc": 13, "n_mels": 24}),
    "vowel_dct3": ("vowel", {"dct_type": 3}),
    "impulse": ("impulse", {}),
}


def signals(n=22050, sample_rate=44100):
    """Make the test signals by formula: no generator whose stream a new version may change."""
    i = np.arange(n, dtype=np.uint64)
    # A multiplicative hash of the index (Knuth's, then xor and shift) is white enough.
    h = (i + np.uint64(1)) * np.uint64(2654435761) % np.uint64(2**32)
    h = (h ^ (h >> np.uint64(15))) * np.uint64(2246822519) % np.uint64(2**32)
    h = (h ^ (h >> np.uint64(13))) % np.uint64(2**24)
    noise = h / 2.0**23 - 1
    t = np.arange(n) / sample_rate
    sweep = np.sin(2 * np.pi * (50 * t + 8000 * t**2))
    # A voice: harmonics of a gliding pitch under three formants, in syllables.
    phase = 2 * np.pi * (140 * t + 15 * np.sin(2 * np.pi * 1.5 * t))
    vowel = np.zeros(n)
    for k in range(1, 40):
        hz = 140 * k
        level = sum(g / (1 + ((hz - f) / w) ** 2) for f, w, g in _FORMANTS)
        vowel += level * np.sin(k * phase)
    vowel *= 0.1 * (0.55 - 0.45 * np.cos(2 * np.pi * 4 * t)) / np.sqrt(np.mean(vowel**2))
    impulse = np.zeros(n)
    impulse[n // 3] = 1
    return {
        "noise": (0.3 * noise).astype(np.float32),
        "sweep": (0.8 * sweep).astype(np.float32),
        "vowel": vowel.astype(np.float32),
        "silence": np.zeros(n, np.float32),
        "clipping": np.clip(20 * vowel, -1, 1).astype(np.float32),
        "dc": np.full(n, 0.5, np.float32),
        "impulse": impulse.astype(np.float32),
        "denormal": (1e-40 * noise).astype(np.float32),
    }


_FORMANTS = ((700, 90, 1.0), (1200, 120, 0.6), (2600, 200, 0.25))


def main():
    import librosa

    made = signals()
    usual = {"sr": 44100, "n_mfcc": 44, "n_fft": 2048, "hop_length": 512, "pad_mode": "reflect"}
    arrays = {
        case: librosa.feature.mfcc(y=made[name], **usual | others)
        for case, (name, others) in CASES.items()
    }
    np.savez_compressed(GOLDEN, librosa=librosa.__version__, **arrays)
    print(f"{GOLDEN}: librosa {librosa.__version__}, {GOLDEN.stat().st_size} bytes")


if __name__ == "__main__":
    main()
