"""Errors a user can mend. Their text is one line: what, where, what is allowed, what to do."""

from __future__ import annotations


class KikiwakeError(Exception):
    """Base of the errors that the command line prints as one line, without a traceback."""


class ConfigError(KikiwakeError):
    """The config file or an option has a key or a value that is not allowed."""


class SourceError(KikiwakeError):
    """The sound asked for cannot be read: no such file or device, not audio, no sound system."""


class CastError(KikiwakeError):
    """A cast file cannot be used: missing, foreign, damaged, or of a newer version."""


def one_line(error: BaseException) -> str:
    """Fold an error's text into one line."""
    return " ".join(str(error).split()) or type(error).__name__
