"""Spans of the way of odds, from a run to a flush. Off unless `use` was called: then nothing is measured or imported.

A span is a name, its duration and some attributes, and it has a parent: the span in whose block it begins, also in
tasks that are started there. Where work goes on elsewhere, such as behind a queue, `current` is carried along and given
as the parent.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

Attribute = str | int | float | bool


class Spans(Protocol):
    """Makes spans and exports them."""

    def block(self, name: str, parent: str | None, attributes: dict[str, Attribute]) -> AbstractContextManager[object]:
        """Return a block whose duration is a span. Without a parent it belongs to the block around it."""

    def add(self, name: str, seconds: float, parent: str | None, attributes: dict[str, Attribute]) -> None:
        """Add a span that ends now and took so many seconds."""

    def current(self) -> str | None:
        """Return the span of the block around the caller, as a `traceparent` of W3C; None if there is none."""


_spans: Spans | None = None
_NOTHING = nullcontext()


def use(spans: Spans | None) -> None:
    """Make spans in this process from now on; None turns that off."""
    global _spans
    _spans = spans


def is_on() -> bool:
    """Return whether spans are made."""
    return _spans is not None


def span(name: str, *, parent: str | None = None, **attributes: Attribute) -> AbstractContextManager[object]:
    """Return a block whose duration is a span. Without a parent it belongs to the block around it."""
    return _NOTHING if _spans is None else _spans.block(name, parent, attributes)


def add_span(name: str, seconds: float, *, parent: str | None = None, **attributes: Attribute) -> None:
    """Add a span that ends now and took so many seconds."""
    if _spans is not None:
        _spans.add(name, seconds, parent, attributes)


def current() -> str | None:
    """Return the span of the block around the caller, to be the parent of others; None if there is none."""
    return None if _spans is None else _spans.current()
