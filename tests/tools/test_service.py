from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import sys
import types
from pathlib import Path
from typing import NamedTuple

import pytest

from kikiwake.tools import service as module
from kikiwake.tools.background import log_path, single_instance
from kikiwake.tools.cli import main
from kikiwake.tools.service import RUN_KEY, ServiceError, service_of

BASE = [sys.executable, "-P", "-m", "kikiwake", "run", "--background"]
AWKWARD = [
    "/opt/my python/$HOME/50%/bin/python",
    "--input",
    "Mic \"2\" $x ${y} %h 'a' \\n; 音\n",
    "#",
]


class Done(NamedTuple):
    code: int
    out: list[str]
    err: str


@pytest.fixture(autouse=True)
def own_folders(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name.lower()))
    monkeypatch.setenv("WIN_PD_OVERRIDE_LOCAL_APPDATA", str(tmp_path / "state"))


@pytest.fixture
def service(capsys):
    """Run ``kikiwake service`` in this process."""

    def run(*arguments: object) -> Done:
        with pytest.raises(SystemExit) as ended:
            main(["service", *map(str, arguments)])
        out, err = capsys.readouterr()
        return Done(ended.value.code or 0, out.splitlines(), err)

    return run


@pytest.fixture
def on(monkeypatch):
    """Take this for another system, as far as the service goes."""

    def choose(platform: str) -> None:
        monkeypatch.setattr(module, "service_of", lambda _: service_of(platform))

    return choose


@pytest.fixture
def manager(monkeypatch, tmp_path):
    """Put a program on the path that notes its arguments; returns what it was asked so far."""
    if sys.platform == "win32":
        pytest.skip("the stand-in for a service manager is a shell script")
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    notes = tmp_path / "asked"

    def install(name: str, *, then: str = "") -> None:
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "$*" >> "{notes}"\n{then}\n')
        program.chmod(0o755)

    def asked() -> list[str]:
        lines = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return lines

    return types.SimpleNamespace(install=install, asked=asked)


NO_BUS = 'echo "Failed to connect to bus: No medium found" >&2; exit 1'


# systemd


@pytest.fixture
def unit(tmp_path) -> Path:
    if not sys.platform.startswith("linux"):
        pytest.skip("systemd is Linux's")
    return tmp_path / "config" / "systemd" / "user" / "kikiwake.service"


def test_install_status_and_uninstall_with_systemd(service, on, manager, unit, tmp_path) -> None:
    on("linux")
    manager.install("systemctl", then="echo active")
    config = tmp_path / "a b.toml"
    config.touch()
    done = service("install", "--input", "default", "--config", config)
    assert done == (0, [f"{unit}: written", "started; it starts whenever you sign in, too"], "")
    assert manager.asked() == [
        "--user daemon-reload",
        "--user enable kikiwake.service",
        "--user restart kikiwake.service",
    ]
    assert list(unit.parent.iterdir()) == [unit]

    command = " ".join(f'"{word}"' for word in [*BASE, "--input", "default", "--config", config])
    assert service("status").out == [
        f"installed: {unit}",
        f"command: {command}",
        "state: active",
        f"running: no; logs are in {log_path('default').parent}",
    ]
    assert manager.asked() == ["--user is-active kikiwake.service"]

    assert service("uninstall") == (0, [f"{unit}: removed", "it does not run any more"], "")
    assert manager.asked() == ["--user disable --now kikiwake.service", "--user daemon-reload"]
    assert not unit.exists()
    assert service("uninstall") == (0, [f"{unit}: is not there, nothing to remove"], "")
    assert service("status").out[0] == f"not installed: {unit} is not there"
    assert manager.asked() == []


def test_a_relative_config_is_written_with_its_whole_path(
    service, on, manager, unit, tmp_path, monkeypatch
) -> None:
    on("linux")
    manager.install("systemctl")
    monkeypatch.chdir(tmp_path)
    Path("own.toml").write_text('input = "default"\n')
    assert service("install", "--config", "own.toml").code == 0
    assert f'"--config" "{tmp_path / "own.toml"}"' in unit.read_text()


@pytest.mark.parametrize("relative", [False, True])
def test_the_config_that_the_environment_names_is_written(
    service, on, manager, unit, tmp_path, monkeypatch, relative
) -> None:
    on("linux")
    manager.install("systemctl")
    named = tmp_path / "named.toml"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KIKIWAKE_CONFIG", named.name if relative else str(named))
    assert service("install").code == 0  # there is none: the defaults hold
    assert "--config" not in unit.read_text()
    named.write_text('input = "default"\n')
    assert service("install").code == 0
    assert f'"--background" "--config" "{named}"\n' in unit.read_text()

    given = tmp_path / "given.toml"
    given.touch()
    assert service("install", "--config", given).code == 0
    assert f'"--background" "--config" "{given}"\n' in unit.read_text()
    monkeypatch.setenv("KIKIWAKE_CONFIG", "")
    assert service("install").code == 0
    assert "--config" not in unit.read_text()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["--input", "default"], 1), (["--config", "none.toml"], 1), (["--json"], 2)],
)
def test_what_only_the_user_can_mend_is_not_tried_again(unit, arguments, status) -> None:
    with single_instance("default"), pytest.raises(SystemExit) as ended:
        main(["run", "--background", *arguments])
    assert ended.value.code == status
    service_of("linux").write(BASE)
    lines = unit.read_text().splitlines()
    assert "Restart=on-failure" in lines
    (prevented,) = (line for line in lines if line.startswith("RestartPreventExitStatus="))
    assert str(status) in prevented.partition("=")[2].split()


def test_a_systemd_that_does_not_answer(service, on, manager, unit) -> None:
    on("linux")
    manager.install("systemctl", then=NO_BUS)
    done = service("install", "--input", "default")
    assert (done.code, done.out) == (1, [f"{unit}: written"])
    (line,) = done.err.splitlines()
    assert "(Failed to connect to bus: No medium found)" in line
    assert line.endswith("systemctl --user enable --now kikiwake.service")
    assert unit.exists()
    assert manager.asked() == ["--user daemon-reload"]
    assert "state: Failed to connect to bus: No medium found" in service("status").out

    wanted = unit.parent / "default.target.wants" / unit.name
    wanted.parent.mkdir()
    wanted.symlink_to(unit)
    done = service("uninstall")
    assert done.code == 1
    assert "is removed, but one that runs may go on" in done.err
    assert not unit.exists()
    assert not wanted.is_symlink()


def test_no_systemd(service, on, unit, monkeypatch, tmp_path) -> None:
    on("linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    done = service("install", "--input", "default")
    assert (done.code, done.out) == (1, [f"{unit}: written"])
    assert "(systemctl: No such file or directory)" in done.err


def test_a_damaged_unit_can_be_removed(service, on, manager, unit) -> None:
    on("linux")
    manager.install("systemctl")
    unit.parent.mkdir(parents=True)
    unit.write_bytes(b"\xff")
    assert "command: none that can be read; install it again" in service("status").out
    assert service("uninstall").code == 0
    assert not unit.exists()


def test_a_unit_that_cannot_be_written(service, on, unit, tmp_path) -> None:
    on("linux")
    (tmp_path / "config").touch()
    done = service("install", "--input", "default")
    assert done.code == 1
    assert f"{unit}: Not a directory" in done.err


def test_systemd_reads_the_unit_as_it_is_meant(unit) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    # A program that is there (quotes and backslashes are refused in its name, not in the others).
    python = unit.parents[3] / "my $x ${y} 50% 音" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    service_of("linux").write([str(python), *AWKWARD])
    done = subprocess.run(
        [program, "verify", "--user", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        env=os.environ | {"XDG_RUNTIME_DIR": str(unit.parents[3])},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_awkward_words_in_a_unit(unit) -> None:
    linux = service_of("linux")
    linux.write(AWKWARD)
    assert linux.command() == (
        r'"/opt/my python/$HOME/50%%/bin/python" "--input" '
        r'"Mic \"2\" $x ${y} %%h ' + "'a'" + r' \\n; 音\n" "#"'
    )


# launchd


@pytest.fixture
def agent(tmp_path) -> Path:
    return tmp_path / "Library" / "LaunchAgents" / "org.kikiwake.run.plist"


@pytest.fixture
def naps(monkeypatch) -> list[float]:
    """Let no time go by where the service sleeps, but on its clock; returns how long it did."""
    slept: list[float] = []
    clock = types.SimpleNamespace(sleep=slept.append, monotonic=lambda: sum(slept))
    monkeypatch.setattr(module, "time", clock)
    return slept


@pytest.fixture
def launchctl(manager, naps, tmp_path):
    """Stand in for launchd, which after `bootout` has the agent for some more polls."""

    def install(*, polls: int = 2) -> None:
        loaded, left = tmp_path / "loaded", tmp_path / "left"
        then = f"""
case $1 in
bootstrap)
    if [ -e "{loaded}" ]; then echo "Bootstrap failed: 5: Input/output error" >&2; exit 5; fi
    touch "{loaded}" ;;
bootout)
    if [ ! -e "{loaded}" ]; then echo "Boot-out failed: 3: No such process" >&2; exit 3; fi
    echo {polls} > "{left}" ;;
print)
    if [ -e "{left}" ]; then
        read polls < "{left}"
        if [ "$polls" -eq 0 ]; then rm "{left}" "{loaded}"; else echo $((polls - 1)) > "{left}"; fi
    fi
    if [ ! -e "{loaded}" ]; then echo "Could not find service" >&2; exit 113; fi ;;
esac"""
        manager.install("launchctl", then=then)

    return install


def test_install_status_and_uninstall_with_launchd(service, on, manager, launchctl, agent) -> None:
    on("darwin")
    launchctl()
    done = service("install", "--input", "default")
    assert done == (0, [f"{agent}: written", "started; it starts whenever you sign in, too"], "")
    domain = f"gui/{os.getuid()}"
    target = f"{domain}/org.kikiwake.run"
    assert manager.asked() == [
        f"bootout {target}",
        f"print {target}",
        f"bootstrap {domain} {agent}",
    ]
    assert plistlib.loads(agent.read_bytes()) == {
        "Label": "org.kikiwake.run",
        "ProgramArguments": [*BASE, "--input", "default"],
        "RunAtLoad": True,
        "KeepAlive": {"Crashed": True},
        "ProcessType": "Background",
    }
    said = service("status").out
    assert said[0] == f"installed: {agent}"
    assert said[1].endswith("-P -m kikiwake run --background --input default")
    assert said[2] == "state: loaded"
    manager.asked()
    assert service("uninstall") == (0, [f"{agent}: removed", "it does not run any more"], "")
    assert manager.asked() == [f"bootout {target}", *3 * [f"print {target}"]]
    assert not agent.exists()


def test_an_agent_is_installed_again_once_the_old_one_is_gone(
    service, on, manager, launchctl, naps, agent
) -> None:
    on("darwin")
    launchctl()
    service("install", "--input", "default")
    manager.asked()
    naps.clear()
    assert service("install", "--input", "loopback").code == 0
    domain = f"gui/{os.getuid()}"
    target = f"{domain}/org.kikiwake.run"
    assert manager.asked() == [
        f"bootout {target}",
        *3 * [f"print {target}"],
        f"bootstrap {domain} {agent}",
    ]
    assert naps == [0.2, 0.2, 0]


def test_an_agent_that_does_not_end(service, on, manager, launchctl, naps, agent) -> None:
    on("darwin")
    launchctl(polls=1000)
    service("install", "--input", "default")
    naps.clear()
    done = service("install", "--input", "default")
    assert done.code == 1
    assert "but not now (Bootstrap failed: 5: Input/output error)" in done.err
    assert sum(naps) == pytest.approx(10 + 2, abs=0.3)

    naps.clear()
    done = service("uninstall")
    assert (done.code, done.out) == (1, [])
    assert "is removed, but one that runs may go on" in done.err
    assert sum(naps) == pytest.approx(10, abs=0.3)
    assert not agent.exists()


@pytest.mark.parametrize(("tries", "code"), [(2, 0), (3, 0), (4, 1)])
def test_a_launchd_that_refuses_for_a_moment(
    service, on, manager, naps, agent, tmp_path, tries, code
) -> None:
    on("darwin")
    count = f'$(grep -c ^bootstrap "{tmp_path / "asked"}")'
    manager.install(
        "launchctl", then=f'[ "$1" = bootstrap ] && [ "{count}" -ge {tries} ] || exit 5'
    )
    assert service("install", "--input", "default").code == code
    assert sum(line.startswith("bootstrap ") for line in manager.asked()) == min(tries, 3)
    assert naps == [0, 1, 1][:tries]


def test_a_launchd_that_refuses(service, on, manager, naps, agent) -> None:
    on("darwin")
    manager.install("launchctl", then="echo 'Bootstrap failed: 125: no such domain' >&2; exit 125")
    done = service("install", "--input", "default")
    assert (done.code, done.out) == (1, [f"{agent}: written"])
    assert "(Bootstrap failed: 125: no such domain)" in done.err
    assert service("status").out[2] == "state: not loaded"


@pytest.mark.parametrize("content", [b"", b"<plist>", b"\xff", plistlib.dumps([1])])
def test_a_damaged_agent(agent, content) -> None:
    agent.parent.mkdir(parents=True)
    agent.write_bytes(content)
    assert service_of("darwin").command() == "none that can be read; install it again"


def test_a_command_that_an_agent_cannot_hold() -> None:
    with pytest.raises(ServiceError, match="characters that cannot stand here"):
        service_of("darwin").write(["\x01"])


# Windows


@pytest.fixture
def registry(monkeypatch) -> dict[str, str]:
    """Stand in for ``winreg``, which is there on Windows only: the values of the Run key.

    Signatures and errors are those of the documentation; nothing here shows that they are right.
    """
    if sys.platform == "win32":
        pytest.skip("would write to the real registry")
    values: dict[str, str] = {}

    class Key:
        def __init__(self, root: str, path: str, reserved: int, access: str) -> None:
            assert (root, path, reserved) == ("HKCU", RUN_KEY, 0)
            self.access = access

        def __enter__(self) -> Key:
            return self

        def __exit__(self, *_: object) -> None:
            self.access = ""

    def query(key: Key, name: str) -> tuple[str, str]:
        assert key.access == "read"
        if name not in values:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        return values[name], "SZ"

    def put(key: Key, name: str, reserved: int, kind: str, value: str) -> None:
        assert (key.access, reserved, kind) == ("set", 0, "SZ")
        values[name] = value

    def delete(key: Key, name: str) -> None:
        assert key.access == "set"
        del values[name]

    fake = types.ModuleType("winreg")
    fake.__dict__.update(
        HKEY_CURRENT_USER="HKCU",
        KEY_READ="read",
        KEY_SET_VALUE="set",
        REG_SZ="SZ",
        CreateKeyEx=Key,
        QueryValueEx=query,
        SetValueEx=put,
        DeleteValue=delete,
    )
    monkeypatch.setitem(sys.modules, "winreg", fake)
    return values


def test_install_status_and_uninstall_on_windows(service, on, registry, monkeypatch, tmp_path):
    on("win32")
    python = tmp_path / "my env" / "python.exe"
    python.parent.mkdir()
    monkeypatch.setattr(sys, "executable", str(python))
    place = rf"HKEY_CURRENT_USER\{RUN_KEY}\Kikiwake"
    done = service("install", "--input", "Stereo Mix")
    assert done == (0, [f"{place}: written", "it starts when you sign in the next time"], "")
    rest = '-P -m kikiwake run --background --input "Stereo Mix"'
    assert registry == {"Kikiwake": f'"{python}" {rest}'}

    windowed = python.with_name("pythonw.exe")
    windowed.touch()
    service("install", "--input", "Stereo Mix")
    assert registry == {"Kikiwake": f'"{windowed}" {rest}'}
    assert service("status").out[:3] == [
        f"installed: {place}",
        f'command: "{windowed}" {rest}',
        "state: starts when you sign in",
    ]
    done = service("uninstall")
    assert done == (0, [f"{place}: removed", "one that runs goes on till you sign out"], "")
    assert registry == {}
    assert service("uninstall").out == [f"{place}: is not there, nothing to remove"]


def test_a_command_too_long_for_windows(registry) -> None:
    with pytest.raises(ServiceError, match="no more than 260"):
        service_of("win32").write(["python", "x" * 260])
    assert registry == {}


# Any


@pytest.mark.parametrize("input", ["-", "show.ogg"])
def test_a_service_listens_to_devices_only(service, input) -> None:
    done = service("install", "--input", input)
    assert (done.code, done.out) == (1, [])
    assert done.err.endswith("a service listens to a device, not to a file\n")


def test_a_config_that_is_wrong_is_not_installed(service, tmp_path) -> None:
    done = service("install", "--config", tmp_path / "none.toml")
    assert (done.code, done.out) == (1, [])
    assert "no such file" in done.err


def test_status_tells_of_an_instance_that_was_not_installed(service, on) -> None:
    on("linux")
    with single_instance("default"):
        line = service("status").out[-1]
    assert line == f"running: process {os.getpid()} listens to 'default', log {log_path('default')}"
