"""Which run or refresh has recorded odds, so that each learns of errors in storing its own odds only."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Recording:
    """The identity of one run or refresh, which records odds and later asks whether they were stored."""


_current: ContextVar[Recording | None] = ContextVar("recording", default=None)


def current_recording() -> Recording | None:
    """Return the recording that this task belongs to; None if there is none."""
    return _current.get()


@contextmanager
def recording_for(recording: Recording) -> Iterator[None]:
    """Record and confirm odds for `recording` within the block and in the tasks that are started there."""
    token = _current.set(recording)
    try:
        yield
    finally:
        _current.reset(token)
