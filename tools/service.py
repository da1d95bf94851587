"""``kikiwake service``: have ``kikiwake run --background`` start when the user signs in.

A user unit of systemd, a launch agent of macOS, an entry under the Run key of Windows. All three
are the user's own: nothing here needs an administrator.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from ..engine.config import load_settings
from ..errors import KikiwakeError
from ..files import write_file

app = typer.Typer(no_args_is_help=True, help="Start in the background when you sign in.")

UNIT = "kikiwake.service"
LABEL = "org.kikiwake.run"
RUN_KEY = r"Software\Microsoft\Windows\CurrentVersion\Run"
RUN_NAME = "Kikiwake"
RUN_LENGTH = 260  # Windows starts no longer command from there
END_S = 10.0  # for launchd to let go of one that it was told to end
BROKEN = "none that can be read; install it again"


class ServiceError(KikiwakeError):
    """The service cannot be written, started or removed."""


class Service(Protocol):
    """How one system starts a program when its user signs in.

    Attributes
    ----------
    place : str
        Where what is written stands.
    """

    place: str

    def command(self) -> str | None:
        """Say what is started, as it is written; None where nothing is."""

    def write(self, command: Sequence[str]) -> None:
        """Have *command*, a program with its arguments, started from the next sign-in on."""

    def start(self) -> str:
        """Start what is written, where the system can; returns what becomes of it."""

    def remove(self) -> str:
        """Take away what is written; returns what becomes of a running one."""

    def state(self) -> str:
        """Say what the system knows of it."""


@app.command()
def install(
    input: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Listen to this, not to what the config has.")
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Read this config file instead of the user's own."),
    ] = None,
) -> None:
    """Start it now, and whenever you sign in."""
    from ..engine.capture import open_source

    config = config and config.absolute()
    listens_to = load_settings(config, {} if input is None else {"input": input}).input
    if listens_to == "-" or not open_source(listens_to).live:
        raise ServiceError(f"input {listens_to!r}: a service listens to a device, not to a file")
    # Whoever starts it has other variables than this terminal.
    if config is None and (named := os.environ.get("KIKIWAKE_CONFIG")) and Path(named).exists():
        config = Path(named).absolute()
    # Without -P, a folder "kikiwake" where it happens to be started could be taken for the package.
    command = [sys.executable, "-P", "-m", "kikiwake", "run", "--background"]
    command += [] if input is None else ["--input", input]
    command += [] if config is None else ["--config", str(config)]
    service = service_of(sys.platform)
    service.write(command)
    typer.echo(f"{service.place}: written")
    typer.echo(service.start())


@app.command()
def uninstall() -> None:
    """Undo `install`."""
    service = service_of(sys.platform)
    if service.command() is None:
        typer.echo(f"{service.place}: is not there, nothing to remove")
        return
    said = service.remove()
    typer.echo(f"{service.place}: removed")
    typer.echo(said)


@app.command()
def status() -> None:
    """Say whether it is installed, whether it runs, and where it logs to."""
    from .background import instances, log_path

    service = service_of(sys.platform)
    command = service.command()
    if command is None:
        typer.echo(f"not installed: {service.place} is not there")
    else:
        typer.echo(f"installed: {service.place}")
        typer.echo(f"command: {command}")
        typer.echo(f"state: {service.state()}")
    found = instances()
    for input, pid in found.items():
        typer.echo(f"running: process {pid} listens to {input!r}, log {log_path(input)}")
    if not found:
        typer.echo(f"running: no; logs are in {log_path('').parent}")


def service_of(platform: str) -> Service:
    """Make the service of a system.

    Parameters
    ----------
    platform : str
        As `sys.platform` has it.
    """
    if platform == "darwin":
        return _LaunchAgent()
    return _RunKey() if platform == "win32" else _Systemd()


class _Systemd:
    """A unit of the user's systemd."""

    def __init__(self) -> None:
        import platformdirs

        self._path = platformdirs.user_config_path() / "systemd" / "user" / UNIT
        self.place = str(self._path)

    def command(self) -> str | None:
        content = _read(self._path)
        if content is None:
            return None
        found = re.search(r"^ExecStart=:?(.*)$", content.decode(errors="replace"), re.MULTILINE)
        return found[1] if found else BROKEN

    def write(self, command: Sequence[str]) -> None:
        # What systemd undoes between quotes is what JSON does. The colon: no $VARIABLES.
        words = " ".join(json.dumps(word, ensure_ascii=False) for word in command)
        unit = f"""\
[Unit]
Description=Kikiwake, which names who is speaking
# The sound server belongs to the user's session, graphical or not; where it is started later than
# this, or by the desktop, it is waited for.
After=pipewire-pulse.service pulseaudio.service

[Service]
Type=simple
ExecStart=:{words.replace("%", "%%")}
Restart=on-failure
RestartSec=5
# What only the user can mend: a wrong setting or option, or one that listens already.
RestartPreventExitStatus=1 2

[Install]
WantedBy=default.target
"""
        with _complaining(self._path):
            write_file(self._path, unit.encode())

    def start(self) -> str:
        # Not `enable --now`, which leaves one running that was written before.
        for do in (["daemon-reload"], ["enable", UNIT], ["restart", UNIT]):
            done, said = self._systemctl(*do)
            if not done:
                raise ServiceError(
                    f"{self._path} is written but not started ({said}); from a desktop session: "
                    f"systemctl --user daemon-reload && systemctl --user enable --now {UNIT}"
                )
        return "started; it starts whenever you sign in, too"

    def remove(self) -> str:
        done, said = self._systemctl("disable", "--now", UNIT)
        _remove(self._path)
        # What `disable` removes where it works.
        _remove(self._path.parent / "default.target.wants" / UNIT)
        if not done:
            raise ServiceError(
                f"{self._path} is removed, but one that runs may go on till you sign out ({said})"
            )
        self._systemctl("daemon-reload")
        return "it does not run any more"

    def state(self) -> str:
        _, said = self._systemctl("is-active", UNIT)
        return said

    def _systemctl(self, *arguments: str) -> tuple[bool, str]:
        return _run("systemctl", "--user", *arguments)


class _LaunchAgent:
    """A launch agent of macOS."""

    def __init__(self) -> None:
        self._path = Path.home() / "Library" / "LaunchAgents" / f"{LABEL}.plist"
        self.place = str(self._path)

    def command(self) -> str | None:
        import plistlib
        import shlex
        from xml.parsers.expat import ExpatError

        content = _read(self._path)
        if content is None:
            return None
        try:
            return shlex.join(plistlib.loads(content)["ProgramArguments"])
        except (ExpatError, ValueError, KeyError, TypeError):
            return BROKEN

    def write(self, command: Sequence[str]) -> None:
        import plistlib

        agent = {
            "Label": LABEL,
            "ProgramArguments": list(command),
            "RunAtLoad": True,
            # Not after an error, which only the user can mend.
            "KeepAlive": {"Crashed": True},
            "ProcessType": "Background",
        }
        with _complaining(self._path):
            write_file(self._path, plistlib.dumps(agent))

    def start(self) -> str:
        self._end()  # one that was written before
        for pause_s in (0, 1, 1):  # it may be refused for a moment after that
            time.sleep(pause_s)
            done, said = _run("launchctl", "bootstrap", self._domain(), self.place)
            if done:
                return "started; it starts whenever you sign in, too"
        raise ServiceError(
            f"{self._path} is written and starts when you sign in the next time, "
            f"but not now ({said})"
        )

    def remove(self) -> str:
        ended = self._end()
        _remove(self._path)
        if not ended:
            raise ServiceError(
                f"{self._path} is removed, but one that runs may go on till you sign out "
                f"(launchctl: not ended after {END_S:g} s)"
            )
        return "it does not run any more"

    def state(self) -> str:
        return "loaded" if self._loaded() else "not loaded"

    def _end(self) -> bool:
        """End one that is loaded, if there is one; returns whether none is any more."""
        _run("launchctl", "bootout", self._target())  # which may return before it is done
        until = time.monotonic() + END_S
        while self._loaded():
            if time.monotonic() >= until:
                return False
            time.sleep(0.2)
        return True

    def _loaded(self) -> bool:
        return _run("launchctl", "print", self._target())[0]

    def _domain(self) -> str:
        return f"gui/{os.getuid()}"

    def _target(self) -> str:
        return f"{self._domain()}/{LABEL}"


class _RunKey:
    """An entry under the Run key of Windows."""

    place = rf"HKEY_CURRENT_USER\{RUN_KEY}\{RUN_NAME}"

    def __init__(self) -> None:
        self._winreg: Any = importlib.import_module("winreg")  # there is one on Windows only

    def command(self) -> str | None:
        with self._key(self._winreg.KEY_READ) as key:
            try:
                return str(self._winreg.QueryValueEx(key, RUN_NAME)[0])
            except FileNotFoundError:
                return None

    def write(self, command: Sequence[str]) -> None:
        program = Path(command[0])
        # Without a console window, where there is such a Python.
        if (windowed := program.with_name("pythonw.exe")).exists():
            program = windowed
        line = subprocess.list2cmdline([str(program), *command[1:]])
        if len(line) > RUN_LENGTH:
            raise ServiceError(
                f"the command is {len(line)} characters long, Windows starts no more than "
                f"{RUN_LENGTH}: use a shorter path of the config file or the environment: {line}"
            )
        with self._key(self._winreg.KEY_SET_VALUE) as key:
            self._winreg.SetValueEx(key, RUN_NAME, 0, self._winreg.REG_SZ, line)

    def start(self) -> str:
        return "it starts when you sign in the next time"

    def remove(self) -> str:
        with self._key(self._winreg.KEY_SET_VALUE) as key:
            self._winreg.DeleteValue(key, RUN_NAME)
        return "one that runs goes on till you sign out"

    def state(self) -> str:
        return "starts when you sign in"

    @contextlib.contextmanager
    def _key(self, access: int) -> Iterator[Any]:
        with (
            _complaining(self.place),
            self._winreg.CreateKeyEx(self._winreg.HKEY_CURRENT_USER, RUN_KEY, 0, access) as key,
        ):
            yield key


def _run(*command: str) -> tuple[bool, str]:
    """Run a program; returns whether it did what it should, and what it said, in one line."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        return False, f"{command[0]}: {error.strerror}"
    said = " ".join((done.stderr.strip() or done.stdout).split())
    return done.returncode == 0, said or f"{command[0]} ended with {done.returncode}"


@contextlib.contextmanager
def _complaining(place: object) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ServiceError(f"{place}: {error.strerror}") from None
    except ValueError:
        raise ServiceError(f"{place}: the command has characters that cannot stand here") from None


def _read(path: Path) -> bytes | None:
    with _complaining(path):
        return path.read_bytes() if path.exists() else None


def _remove(path: Path) -> None:
    with _complaining(path):
        path.unlink(missing_ok=True)
