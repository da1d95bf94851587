"""``python -m kikiwake`` is the ``kikiwake`` command."""

import sys
import traceback

FAULT = 70
"""Exit status of a fault of the program, after which a service is started again: EX_SOFTWARE."""


def main() -> None:
    """Run the command line; Ctrl-C ends it quietly from the first moment."""
    try:
        from kikiwake.tools import cli

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        sys.exit(FAULT)


if __name__ == "__main__":
    main()
