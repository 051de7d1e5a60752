"""Whose odds these are: what a run or a refresh records is its own, and so are the errors of storing it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Recording:
    """One run or one refresh, as the one who recorded odds and asks whether they were stored."""


_current: ContextVar[Recording | None] = ContextVar("recording", default=None)


def current_recording() -> Recording | None:
    """The recording that this task works for; None for one that never said."""
    return _current.get()


@contextmanager
def recording_for(recording: Recording) -> Iterator[None]:
    """Within the block, and in the tasks that it starts, odds are recorded and confirmed for `recording`."""
    token = _current.set(recording)
    try:
        yield
    finally:
        _current.reset(token)
