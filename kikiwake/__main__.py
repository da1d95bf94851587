"""``python -m kikiwake`` is the ``kikiwake`` command."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C ends it quietly from the first moment."""
    try:
        from kikiwake.tools import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
