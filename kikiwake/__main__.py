"""``python -m kikiwake`` is the ``kikiwake`` command."""

from kikiwake.tools.cli import main

main()
