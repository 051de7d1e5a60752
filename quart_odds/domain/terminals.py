"""What a stream can show: colours, and output that is drawn over again."""

import os
from collections.abc import Mapping
from typing import Protocol


class Stream(Protocol):
    """A stream that may be a terminal."""

    def isatty(self) -> bool:
        """Return whether it is one."""


def is_live(stream: Stream, environ: Mapping[str, str] | None = None) -> bool:
    """Return whether output can be drawn over again: only in a terminal that can move its cursor."""
    environ = os.environ if environ is None else environ
    return stream.isatty() and environ.get("TERM", "").lower() not in ("dumb", "unknown")


def has_colour(stream: Stream, environ: Mapping[str, str] | None = None) -> bool:
    """Return whether to use colours: in a terminal, or with FORCE_COLOR anywhere, but never with NO_COLOR."""
    environ = os.environ if environ is None else environ
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or is_live(stream, environ)
