"""The ``kikiwake`` command."""


def main() -> None:
    """Run the command line."""
