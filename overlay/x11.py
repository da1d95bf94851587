"""What Qt does not tell of an X server."""

from __future__ import annotations

import ctypes


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
        free = ctypes.CDLL(None).free
    except OSError:
        return True
    free.argtypes = [ctypes.c_void_p]
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
    replies = (xcb.xcb_intern_atom_reply, xcb.xcb_get_selection_owner_reply)
    for reply in replies:
        reply.restype = ctypes.POINTER(_Reply)
        reply.argtypes = [ctypes.c_void_p, _Cookie, ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    try:
        if xcb.xcb_connection_has_error(connection):
            return True
        name = f"_NET_WM_CM_S{screen}".encode()
        value = 0
        for asked, answer in (
            (lambda: xcb.xcb_intern_atom(connection, 0, len(name), name), replies[0]),
            (lambda: xcb.xcb_get_selection_owner(connection, value), replies[1]),
        ):
            reply = answer(connection, asked(), None)
            if not reply:
                return True
            value = reply.contents.value
            free(reply)
        return value != 0
    finally:
        xcb.xcb_disconnect(connection)
