"""Kikiwake (聞き分け): names, live, who is speaking in the sound a computer is playing."""

__version__ = "0.1.0"
