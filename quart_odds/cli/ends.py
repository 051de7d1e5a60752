"""How a command ends that is interrupted, or whose output nobody reads: with an exit code and without a traceback."""

import contextlib
import errno
import signal
import threading
from collections.abc import Iterator
from types import FrameType

import click

from quart_odds.cli.streams import drop_stdout, stdout_failure

UNREAD = 128 + signal.SIGPIPE
"""Exit code after the reader of standard output has left, as of a program that the signal ends."""


_received: list[int] = []
"""What has interrupted the command, if it was not Ctrl-C."""


def interrupted_code() -> int:
    """Return the exit code of a command that a KeyboardInterrupt ends: 130 after Ctrl-C, 143 after SIGTERM."""
    return 128 + (_received[-1] if _received else signal.SIGINT)


@contextlib.contextmanager
def ending() -> Iterator[None]:
    """Turn an interruption of the block, and a failed write to standard output, into the exit code of the command."""
    try:
        yield
    except KeyboardInterrupt:
        # What is still buffered would be written at the exit, which waits as long as the reader does not read.
        drop_stdout()
        raise click.exceptions.Exit(interrupted_code()) from None
    except (OSError, ExceptionGroup) as error:
        failure = stdout_failure()
        # Servers raise what their tasks raise, in a group.
        if failure is None or (isinstance(error, ExceptionGroup) and failure not in _all_in(error)):
            raise
        drop_stdout()
        if failure.errno == errno.EPIPE:
            raise click.exceptions.Exit(UNREAD) from None
        reason = failure.strerror or str(failure)
        raise click.ClickException(f"standard output cannot be written: {reason}") from None


def _all_in(group: ExceptionGroup[Exception]) -> Iterator[Exception]:
    for each in group.exceptions:
        if isinstance(each, ExceptionGroup):
            yield from _all_in(each)
        else:
            yield each


@contextlib.contextmanager
def sigterm_interrupts() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does, so that the same is left in order.

    Code that handles the signal itself is not affected.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    _received.clear()
    if not is_ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _received.append(number)
    on_ctrl_c = signal.getsignal(signal.SIGINT)
    if not callable(on_ctrl_c):  # Ctrl-C is ignored, as in a job in the background of a shell
        raise KeyboardInterrupt
    on_ctrl_c(signal.SIGINT, frame)
