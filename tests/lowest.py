"""Print the lowest versions that ``setup.cfg`` allows, as constraints for pip.

``pip install --constraint <(python tests/lowest.py) --editable ".[test]"`` installs them.
"""

import configparser
from pathlib import Path

from packaging.requirements import Requirement

SETTINGS = Path(__file__).parents[1] / "setup.cfg"


def main() -> None:
    config = configparser.ConfigParser()
    config.read(SETTINGS, encoding="utf-8")
    lists = [config["options"]["install_requires"], config["options.extras_require"]["test"]]
    for line in "\n".join(lists).split("\n"):
        if not line.strip() or line.startswith("#"):
            continue
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate():
            for bound in wanted.specifier:
                if bound.operator == ">=":
                    print(f"{wanted.name}=={bound.version}")


if __name__ == "__main__":
    main()
