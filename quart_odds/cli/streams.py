"""The standard streams of a command: closed, full, read by nobody, or in an encoding that lacks letters."""

import asyncio
import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Coroutine
from typing import TypeVar

LOOK_SECONDS = 0.5
"""How often it is asked whether anybody still reads what is printed."""

T = TypeVar("T")


class _WatchedFile(io.FileIO):
    """A file that remembers that it could not be written."""

    is_broken = False

    def write(self, data: object) -> int:
        """Write what can be written now."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError:
            self.is_broken = True
            raise


def prepare_streams() -> None:
    """Make the standard streams safe to write to.

    A stream that is closed goes nowhere: left closed, its number would be given to the next file or socket, which would
    then get what is printed (and uvloop takes it for a fault of its own). A letter that the stream's encoding lacks is
    replaced.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    if isinstance(sys.stdout, io.TextIOWrapper) and _is_a_file(sys.stdout):
        sys.stdout.flush()
        sys.stdout = _watched(sys.stdout)


def _watched(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """The same stream, of which one can ask whether it could be written."""
    file = _WatchedFile(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        file if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def is_stdout_broken() -> bool:
    """Whether something that was printed could not be written, since `prepare_streams`, or nobody reads it any more."""
    file = _watched_stdout()
    return file is not None and file.is_broken


async def run_while_read(work: Coroutine[None, None, T]) -> T:
    """Run to the end, or cancel it when the reader of standard output leaves, such as `head -1`.

    A command that has nothing to print for a while would not notice before its next line. Raises BrokenPipeError then.
    """
    file = _watched_stdout()
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait([task], timeout=LOOK_SECONDS))[0]:
            if file is not None and _has_no_reader(file):
                file.is_broken = True
                raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    return task.result()


def _has_no_reader(file: io.FileIO) -> bool:
    poll = select.poll()
    poll.register(file.fileno(), 0)  # errors are always reported
    return any(what & select.POLLERR for _, what in poll.poll(0))


def _watched_stdout() -> _WatchedFile | None:
    buffer = getattr(sys.stdout, "buffer", None)
    file = getattr(buffer, "raw", buffer)
    return file if isinstance(file, _WatchedFile) else None


def drop_stdout() -> None:
    """Let all that is printed go nowhere: else the interpreter would try once more, and complain, when it ends."""
    with contextlib.suppress(io.UnsupportedOperation), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _is_a_file(stream: io.TextIOWrapper) -> bool:
    try:
        stream.fileno()
    except io.UnsupportedOperation:
        return False
    return True
