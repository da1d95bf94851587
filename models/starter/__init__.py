"""What ships: the starter cast, and the demo sound with its truth."""

from pathlib import Path

STARTER_CAST = Path(__file__).with_name("starter.cast")
"""The cast file."""
DEMO = Path(__file__).with_name("demo.ogg")
"""A conversation of about a minute, OGG/Opus."""
DEMO_TRUTH = Path(__file__).with_name("demo.rttm")
"""Who speaks when in `DEMO`, as RTTM."""
