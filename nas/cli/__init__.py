"""The command line: one file a command, each a thin skin over the library."""

from nas.cli.main import main

__all__ = ["main"]
