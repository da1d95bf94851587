"""Kikiwake (聞き分け): names, live, who is speaking in the sound a computer is playing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Recognizer", "Result", "Turn", "load_cast", "recognize_file", "turns"]

if TYPE_CHECKING:
    from .engine.recognizer import Recognizer, recognize_file
    from .engine.result import Result, Turn, turns
    from .models.cast import load_cast

_HOMES = {
    "Recognizer": "engine.recognizer",
    "recognize_file": "engine.recognizer",
    "Result": "engine.result",
    "Turn": "engine.result",
    "turns": "engine.result",
    "load_cast": "models.cast",
}


def __getattr__(name: str) -> Any:
    # Numba and LiteRT take a second to import; `kikiwake config` needs neither.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
