"""Compilation of the kernels: Numba, with its cache where there is a place for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(signature: Any = None) -> Callable[[_Function], _Function]:
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

    Returns
    -------
    callable
        The decorator.
    """

    def decorate(function: _Function) -> _Function:
        try:
            return cast(_Function, numba.njit(signature, cache=True)(function))
        except RuntimeError as error:
            if "no locator available" not in str(error):
                raise
        return cast(_Function, numba.njit(signature)(function))

    return decorate
