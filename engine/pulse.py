"""Staying with the default output of a sound server: PulseAudio, and PipeWire in its place."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, Final

from ..errors import one_line

_log = logging.getLogger(__name__)

_KEY: Final = "kikiwake.stream"
_WAKE_S: Final = 3.0
_AGAIN_S: Final = 0.2


def stream_properties(tag: str) -> dict[str, str]:
    """Name the environment variables under which a stream that is opened can be found again.

    For the stream on the monitor alone. A server remembers where it was moved to, and would take
    another stream of the same application there.

    Parameters
    ----------
    tag : str
        Of this stream alone.

    Returns
    -------
    dict of str
        libpulse reads them when ALSA's ``pulse`` plugin connects.
    """
    return {
        f"PULSE_PROP_{_KEY}": tag,
        # Without an id the application is "ALSA plug-in [python3.11]": whatever Python records.
        "PULSE_PROP_application.id": "kikiwake.loopback",
    }


def default_monitor() -> str | None:
    """Name the source that carries what the default sink plays; None where nobody says.

    The name ``@DEFAULT_MONITOR@``, which PulseAudio knows, is a microphone to PipeWire 0.3.65.
    """
    try:
        import pulsectl

        with pulsectl.Pulse("kikiwake", connect=False) as pulse:
            pulse.connect()
            sink = pulse.get_sink_by_name(pulse.server_info().default_sink_name)
            return str(sink.monitor_source_name)
    except Exception as error:  # no library, no server, no sink
        _log.debug("the default output is not known: %s", one_line(error))
        return None


class MonitorFollower:
    """Keeps one recording stream of ours on the monitor of whatever the default sink is.

    The server leaves a stream on the monitor it was opened on when the default changes, and moves
    it to the default source, which may be a microphone, when that sink is removed. A thread of
    this object's waits for word of that and moves the stream, which goes on: what is played in the
    meantime is missed, no more. It looks once when it starts, too: PipeWire 0.3 opens the default
    source where it is asked for the default monitor. Without pulsectl, libpulse or a server it does
    nothing, and it ends with the server. Nothing is ever raised.

    Parameters
    ----------
    tag : str
        The stream was opened with `stream_properties` of it in the environment.
    """

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._moves = 0
        self._stale = True
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="kikiwake-follow", daemon=True)
        self._thread.start()

    @property
    def active(self) -> bool:
        """Whether it follows: not without pulsectl, nor without the server."""
        return self._thread.is_alive()

    @property
    def moves(self) -> int:
        """How often the stream was moved so far."""
        return self._moves

    def close(self) -> None:
        """Follow no longer. The thread is not waited for: it ends when it wakes up."""
        self._closed = True

    def _run(self) -> None:
        try:
            import pulsectl
        except (ImportError, OSError) as error:
            _log.info("changes of the default output are not followed: %s", one_line(error))
            return

        def on_event(_event: object) -> None:
            # No requests from in here. The event may also come during those of `_follow`.
            self._stale = True
            raise pulsectl.PulseLoopStop

        try:
            # Connected by hand: the constructor would start a server where there is none.
            with pulsectl.Pulse("kikiwake", connect=False) as pulse:
                pulse.connect()
                pulse.event_callback_set(on_event)
                pulse.event_mask_set("server", "source_output")
                while pulse.connected and not self._closed:
                    if self._stale:
                        self._stale = False
                        try:
                            self._follow(pulse)
                        except pulsectl.PulseError as error:  # what it meant has just gone
                            _log.debug("the default output is not followed now: %s", error)
                            self._stale = True
                            time.sleep(_AGAIN_S)
                    else:
                        pulse.event_listen(_WAKE_S)
        except Exception as error:  # the server is gone
            _log.debug("the default output is followed no longer: %s", one_line(error))

    def _follow(self, pulse: Any) -> None:
        """Move the stream to where it belongs."""
        sink = pulse.get_sink_by_name(pulse.server_info().default_sink_name)
        for output in pulse.source_output_list():
            # The server gives a stream the properties of its client.
            if output.proplist.get(_KEY) == self._tag and output.source != sink.monitor_source:
                pulse.source_output_move(output.index, sink.monitor_source)
                self._moves += 1
                _log.info("following the default output to %s", sink.description)
