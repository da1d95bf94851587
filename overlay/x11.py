"""What Qt does not tell of an X server."""

from __future__ import annotations

import ctypes
from typing import Any


class _Reply(ctypes.Structure):
    _fields_ = (
        ("response_type", ctypes.c_uint8),
        ("pad", ctypes.c_uint8),
        ("sequence", ctypes.c_uint16),
        ("length", ctypes.c_uint32),
        ("value", ctypes.c_uint32),  # an atom, or a window
    )


class _Cookie(ctypes.Structure):
    _fields_ = (("sequence", ctypes.c_uint),)


def is_composited(screen: int = 0) -> bool:
    """Whether windows may be translucent: a compositor owns the selection that says so.

    Parameters
    ----------
    screen : int
        Number of the X screen.

    Returns
    -------
    bool
        Also True where it cannot be found out.
    """
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return True
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_intern_atom.restype = xcb.xcb_get_selection_owner.restype = _Cookie
    xcb.xcb_intern_atom.argtypes = [
        ctypes.c_void_p,
        ctypes.c_uint8,
        ctypes.c_uint16,
        ctypes.c_char_p,
    ]
    xcb.xcb_get_selection_owner.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    for reply in (xcb.xcb_intern_atom_reply, xcb.xcb_get_selection_owner_reply):
        reply.restype = ctypes.POINTER(_Reply)
        reply.argtypes = [ctypes.c_void_p, _Cookie, ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    try:
        if xcb.xcb_connection_has_error(connection):
            return True
        name = f"_NET_WM_CM_S{screen}".encode()
        atom = _value(
            xcb.xcb_intern_atom_reply,
            connection,
            xcb.xcb_intern_atom(connection, 0, len(name), name),
        )
        if atom is None:
            return True
        owner = _value(
            xcb.xcb_get_selection_owner_reply,
            connection,
            xcb.xcb_get_selection_owner(connection, atom),
        )
        return owner != 0
    finally:
        xcb.xcb_disconnect(connection)


def _value(reply: Any, connection: int, cookie: _Cookie) -> int | None:
    """Wait for an answer, and free what C has allocated for it."""
    found = reply(connection, cookie, None)
    if not found:
        return None
    value = int(found.contents.value)
    free = ctypes.CDLL(None).free
    free.argtypes = [ctypes.c_void_p]
    free(found)
    return value
