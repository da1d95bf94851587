"""Features of sound: framing, mel spectrogram, MFCC, patches."""
