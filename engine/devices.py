"""Which sound devices there are, and how each system offers what the computer plays."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import SourceError, one_line
from ..quiet import quiet_stderr
from .pulse import default_monitor

# Inputs that carry what is played: monitors, virtual cables, and the mixers of Windows drivers.
_LOOPBACK_NAMES = re.compile(
    r"\.monitor$|^monitor of |blackhole|loopback|soundflower|vb-audio|cable output"
    r"|stereo ?mix|wave out mix|what u hear|ステレオ ?ミキサー",
    re.IGNORECASE,
)

_NO_LOOPBACK = {
    "linux": "start PulseAudio or PipeWire (pipewire-pulse) and install libasound2-plugins",
    "darwin": "macOS offers none of its own: install BlackHole and send the sound through it",
    "win32": "there is no output whose sound could be recorded",
}


@dataclass(frozen=True)
class DeviceInfo:
    """An input one can listen to.

    Attributes
    ----------
    index : int
        PortAudio's number. The loopback of a Linux sound server shares that of the ``pulse``
        device: the two differ in `is_monitor`. Negative where it is not PortAudio's: the loopback
        of Windows.
    name, host_api : str
        As PortAudio has them.
    channels : int
        Input channels at most.
    sample_rate : int
        Native rate in Hz.
    is_loopback : bool
        It carries what the computer plays.
    is_default : bool
        ``default`` means this one.
    spec : str
        What to say after ``--input`` for this device.
    is_monitor : bool
        What the default output of a Linux sound server plays.
    """

    index: int
    name: str
    host_api: str
    channels: int
    sample_rate: int
    is_loopback: bool
    is_default: bool
    spec: str
    is_monitor: bool = False


def portaudio() -> Any:
    """Load sounddevice, which loads and initialises PortAudio; the device list is frozen then.

    Returns
    -------
    module
        ``sounddevice``.

    Raises
    ------
    SourceError
        The PortAudio library is missing or does not start; the text says what to install.
    """
    try:
        with quiet_stderr():
            import sounddevice
    except (ImportError, OSError) as error:
        raise SourceError(
            "the PortAudio library is missing, without it only files and '-' can be heard: "
            "install libportaudio2 (Debian, Ubuntu: apt install libportaudio2), "
            "on macOS and Windows reinstall the Python package sounddevice"
        ) from error
    except Exception as error:  # sounddevice's own error, which cannot be named before the import
        raise SourceError(f"PortAudio does not start: {one_line(error)}") from error
    return sounddevice


def refresh() -> None:
    """Make PortAudio look again for what there is; its open streams end.

    Raises
    ------
    SourceError
        PortAudio does not start again.
    """
    sd = portaudio()
    try:
        with quiet_stderr():
            # The second half alone where the last refresh failed in between.
            if sd._initialized:
                sd._terminate()
            sd._initialize()
    except sd.PortAudioError as error:
        raise SourceError(f"PortAudio does not start again: {one_line(error)}") from error


@contextlib.contextmanager
def opening(device: DeviceInfo, properties: Mapping[str, str]) -> Iterator[None]:
    """Prepare the process for opening a stream on *device*, and put everything back after.

    ALSA's ``pulse`` plugin learns from the environment, at the moment it connects, which source of
    the sound server is meant, and what the server shall know of its client.

    Parameters
    ----------
    device : DeviceInfo
        To be opened.
    properties : mapping of str
        Environment variables by which the server shall know the recording of a monitor.

    Raises
    ------
    SourceError
        The sound server does not say what its default output is.
    """
    wanted = {}
    if device.is_monitor:
        monitor = default_monitor()
        if monitor is None:  # another name may mean a microphone to it
            raise SourceError("the sound server does not say what its default output is")
        wanted = {**properties, "PULSE_SOURCE": monitor}
    before = {name: os.environ.get(name) for name in wanted}
    with quiet_stderr():
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def list_devices() -> list[DeviceInfo]:
    """List the inputs there are, loopbacks first, then the default, then by number.

    Returns
    -------
    list of DeviceInfo
        Empty where there is no sound card and no sound server.

    Raises
    ------
    SourceError
        The PortAudio library is missing, or does not answer.

    Notes
    -----
    PortAudio looks once, when it is loaded: what is plugged in later is not seen.
    """
    sd = portaudio()
    try:
        apis = [str(api["name"]) for api in sd.query_hostapis()]
        devices = sd.query_devices()
        default = int(sd.default.device[0])
    except sd.PortAudioError as error:  # it was to look again, and did not start again
        raise SourceError(f"PortAudio does not answer: {one_line(error)}") from error
    found = []
    for index, device in enumerate(devices):
        channels = int(device["max_input_channels"])
        if channels < 1:
            continue
        name, api = str(device["name"]), apis[device["hostapi"]]
        rate = round(device["default_samplerate"])
        loopback = _LOOPBACK_NAMES.search(name) is not None
        found.append(
            DeviceInfo(index, name, api, channels, rate, loopback, index == default, str(index))
        )
        if (api, name) == ("ALSA", "pulse"):
            monitor = "monitor of the default output"
            found.append(
                DeviceInfo(index, monitor, api, channels, rate, True, False, "loopback", True)
            )
    if sys.platform == "win32":
        from .wasapi import default_output

        if (output := default_output()) is not None:
            found.append(output)
    # What needs no set-up before other loopbacks.
    return sorted(
        found,
        key=lambda d: (
            not d.is_loopback,
            not d.is_monitor and d.index >= 0,
            not d.is_default,
            d.index,
        ),
    )


def find_device(spec: int | str | None = None) -> DeviceInfo:
    """Find the input that *spec* means.

    Parameters
    ----------
    spec : int or str, optional
        ``"default"`` (or None), ``"loopback"``, a number as `list_devices` has them, or a part of
        a name, in upper or lower case.

    Returns
    -------
    DeviceInfo
        The one device.

    Raises
    ------
    SourceError
        No such device, several that fit, no device at all, or no PortAudio; in one line.
    """
    devices = list_devices()
    wanted = "default" if spec is None else str(spec).strip()
    if wanted == "loopback":
        for device in devices:
            if device.is_loopback:
                return device
        hint = _NO_LOOPBACK.get(sys.platform, _NO_LOOPBACK["linux"])
        raise SourceError(f"no loopback to listen to: {hint}; `kikiwake devices` lists the inputs")
    if not devices:
        server = ", and no sound server (PulseAudio, PipeWire) answers"
        raise SourceError(
            "no sound input here: PortAudio sees no sound card"
            + (server if sys.platform.startswith("linux") else "")
            + "; `kikiwake devices` lists the inputs"
        )
    if wanted == "default":
        for device in devices:
            if device.is_default:
                return device
        raise SourceError(f"no default input is set; {_choice(devices)}")
    if wanted.isdecimal():
        for device in devices:
            if device.spec == str(int(wanted)):
                return device
        raise SourceError(f"no input has number {wanted}; {_choice(devices)}")
    fitting = [d for d in devices if wanted and wanted.casefold() in d.name.casefold()]
    exact = [d for d in fitting if d.name.casefold() == wanted.casefold()]
    fitting = exact or fitting
    if not fitting:
        raise SourceError(f"no input is called {wanted!r}; {_choice(devices)}")
    # One device under several host APIs, as on Windows, is one choice: the default's API first.
    apis = {d.host_api for d in devices if d.is_default}
    fitting = [d for d in fitting if d.host_api in apis] or fitting
    if len({d.name for d in fitting}) > 1:
        names = ", ".join(f"{d.spec} ({d.name})" for d in fitting)
        raise SourceError(f"{wanted!r} fits several inputs: {names}; say which by its number")
    return fitting[0]


def _choice(devices: list[DeviceInfo]) -> str:
    names = ", ".join(f"{d.spec} ({d.name})" for d in devices)
    return f"there are: {names}; see `kikiwake devices`"
