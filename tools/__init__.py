"""The command line and the workshop."""
