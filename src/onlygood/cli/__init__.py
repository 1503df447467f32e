"""The command line: parses, calls the rooms below, prints."""

from onlygood.cli.app import main

__all__ = ["main"]
