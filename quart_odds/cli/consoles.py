"""Consoles of rich for the standard streams. Without a terminal they print text, and no control sequences."""

import sys
from typing import TextIO

from rich.console import Console

from quart_odds.domain.terminals import has_colour, is_live


class CommandConsole(Console):
    """A console that leaves it to the command what to do when nobody reads: rich itself would exit with 1."""

    def on_broken_pipe(self) -> None:
        """Raise the error that is being handled."""
        raise


def console_for(stream: TextIO | None = None) -> Console:
    """Return a console for a stream, by default standard output.

    Colours alone do not make it live: with FORCE_COLOR, a log of a build has colours and no progress that is redrawn.
    """
    stream = stream or sys.stdout
    is_coloured = has_colour(stream)
    return CommandConsole(file=stream, force_terminal=is_coloured or is_live(stream), no_color=not is_coloured)
