"""Compilation of the kernels: Numba, with its cache where there is a place for one."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numba
from numba.core.ccallback import CFunc

_made: list[Any] = []
_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(
    signature: Any = None, *, uses: Sequence[ModuleType] = ()
) -> Callable[[_Function], _Function]:
    """Compile the decorated function, and keep the machine code for next time.

    Called from Python it keeps the GIL. A kernel takes microseconds; to get the GIL back from
    threads that compute takes up to 5 ms for each of them. Called from compiled code there is none.

    Numba keeps it beside the source, or else in the user's cache folder. Where it can write to
    neither (installed by root, run by a service that has no home), the function is compiled anew
    in every process.

    Parameters
    ----------
    signature : numba signature, optional
        Compile for these types, at once; without it, for those of each first call.
    uses : sequence of module
        Other modules whose compiled functions it calls. Numba notices a change of the function's
        own file only; with these, one of theirs makes for machine code of its own, too.

    Returns
    -------
    callable
        The decorator.
    """
    return _kept(functools.partial(numba.njit, signature), uses)


def compiled_callback(
    signature: Any, *, uses: Sequence[ModuleType] = ()
) -> Callable[[Callable[..., Any]], Any]:
    """Compile the decorated function into one that C can call; as `compiled` in all else.

    Parameters
    ----------
    signature : numba signature
        Its types in C.
    uses : sequence of module
        As for `compiled`.

    Returns
    -------
    callable
        The decorator; it gives a `numba.core.ccallback.CFunc`, which must live as long as C
        may call it.
    """
    return _kept(functools.partial(numba.cfunc, signature), uses)


def _kept(compiler: Callable[..., Any], uses: Sequence[ModuleType]) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        # The name is part of that of the file.
        function.__qualname__ += "".join(f"_{_stamp(module)}" for module in uses)
        try:
            made = compiler(cache=True)(function)
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
            made = compiler()(function)
        _made.append(made)
        return made

    return decorate


def kept_code() -> tuple[int, list[Path]]:
    """Tell what has been compiled in this process, and where machine code is kept.

    Returns
    -------
    compiled : int
        How often something was compiled, not found kept.
    folders : list of Path
        Empty where Numba can write nowhere.
    """
    compiled = 0
    folders = set()
    for made in _made:
        if isinstance(made, CFunc):
            compiled += not made.cache_hits
        else:
            compiled += sum(made.stats.cache_misses.values())
            folders.add(made.stats.cache_path)
    return compiled, sorted(Path(folder) for folder in folders if folder is not None)


def _stamp(module: ModuleType) -> str:
    """Say which state of a module this is: its version, or what stands in its file."""
    version = getattr(module, "__version__", None)
    if version is not None:
        return "".join(c if c.isalnum() else "_" for c in version)
    assert module.__file__ is not None
    return hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()[:12]
