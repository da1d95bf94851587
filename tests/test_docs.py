"""What the documentation shows is run: docstring examples and the README's Python."""

import doctest
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import kikiwake

README = Path(__file__).parent.parent / "README.md"
# The workshop for the starter cast needs an extra of its own to import.
WITHOUT_EXTRAS = ("kikiwake.tools.starter", "kikiwake.__main__")


def modules() -> list[str]:
    names = [info.name for info in pkgutil.walk_packages(kikiwake.__path__, "kikiwake.")]
    # Editable, the rooms are found by an import hook that pkgutil does not ask.
    for room in ("engine", "features", "models", "overlay", "tools", "vad"):
        package = importlib.import_module(f"kikiwake.{room}")
        names += [info.name for info in pkgutil.iter_modules(package.__path__, f"kikiwake.{room}.")]
    return sorted(name for name in set(names) if not name.startswith(WITHOUT_EXTRAS))


@pytest.mark.parametrize("name", modules())
def test_examples_in_docstrings(name):
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"needs an extra: {error}")
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_there_are_examples():
    engine = importlib.import_module("kikiwake.engine.recognizer")
    assert doctest.DocTestFinder().find(engine.Recognizer)[0].examples


def test_python_in_the_readme(tmp_path, monkeypatch, capsys):
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    monkeypatch.chdir(tmp_path)
    for block in blocks:
        exec(compile(block, str(README), "exec"), {})
    assert "Hinano Tamagaki" in capsys.readouterr().out
