"""The audio engine: ring, capture, pipeline, smoothing, recognizer."""
