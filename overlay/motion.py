"""Whether the user wants things not to move."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

_PATIENCE_S = 1.0


def motion_is_reduced() -> bool:
    """Ask the system: Windows, macOS, GNOME and its kin, KDE."""
    if sys.platform == "win32":
        return not _windows_animates()
    if sys.platform == "darwin":
        return _said("defaults", "read", "com.apple.universalaccess", "reduceMotion") == "1"
    if "KDE" in os.environ.get("XDG_CURRENT_DESKTOP", ""):
        return _kde_factor() == 0
    asked = ("gsettings", "get", "org.gnome.desktop.interface", "enable-animations")
    return _said(*asked) == "false"


def _said(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PATIENCE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def _kde_factor() -> float:
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    settings = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        settings.read(Path(home) / "kdeglobals", encoding="utf-8")
        return settings.getfloat("KDE", "AnimationDurationFactor", fallback=1.0)
    except (configparser.Error, OSError, ValueError):
        return 1.0


def _windows_animates() -> bool:
    import ctypes

    animates = ctypes.c_int(1)
    get_client_area_animation = 0x1042
    user32 = getattr(ctypes, "windll").user32  # noqa: B009
    user32.SystemParametersInfoW(get_client_area_animation, 0, ctypes.byref(animates), 0)
    return bool(animates.value)
