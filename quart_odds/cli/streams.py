"""Standard streams of a command: closed, full, without a reader, or with a limited encoding."""

import asyncio
import contextlib
import errno
import io
import json
import os
import select
import sys
from collections.abc import Coroutine
from typing import TypeVar

LOOK_SECONDS = 0.5
"""Time between two checks whether standard output still has a reader."""

ENDING_SECONDS = 15.0
"""How long work may take to end after a write to standard output has failed: longer than a run that is cancelled."""

T = TypeVar("T")


class _WatchedFile(io.FileIO):
    """A file that remembers a failed write."""

    failure: OSError | None = None

    def write(self, data: object) -> int:
        """Write as `FileIO.write` does, and note a failure."""
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            self.failure = error
            raise


def prepare_streams() -> None:
    """Make the standard streams safe to write to.

    A closed stream is redirected to the null device. Otherwise the next file or socket would get its descriptor and
    receive the output, and uvloop would mistake that for a fault of its own. Characters that the encoding of a stream
    lacks are replaced.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if number == 0 else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        # Where the locale is C, the interpreter chooses surrogateescape, which fails for most characters as well.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")
    if isinstance(sys.stdout, io.TextIOWrapper) and _is_a_file(sys.stdout):
        sys.stdout.flush()
        sys.stdout = _watched(sys.stdout)


def _watched(stream: io.TextIOWrapper) -> io.TextIOWrapper:
    """Return the same stream over a file that remembers a failed write."""
    file = _WatchedFile(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        file if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def stdout_failure() -> OSError | None:
    """Return why a write to standard output has failed since `prepare_streams`, or that its reader is gone."""
    file = _watched_stdout()
    return None if file is None else file.failure


async def run_while_read(work: Coroutine[None, None, T]) -> T:
    """Run `work` and return its result, or cancel it when the reader of standard output is gone, such as `head -1`.

    Raises BrokenPipeError in that case. Without the check, a command would notice only when it prints its next line.
    Work that has noticed by itself is ending: it is only cancelled if that takes longer than ENDING_SECONDS.
    """
    file = _watched_stdout()
    task = asyncio.create_task(work)
    looks_since_failure = 0
    try:
        while not (await asyncio.wait([task], timeout=LOOK_SECONDS))[0]:
            if file is None:
                continue
            if file.failure is not None:
                looks_since_failure += 1
                if looks_since_failure * LOOK_SECONDS > ENDING_SECONDS:
                    raise file.failure
            elif _has_no_reader(file):
                file.failure = BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
                raise file.failure
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
    return task.result()


def _has_no_reader(file: io.FileIO) -> bool:
    poll = select.poll()
    poll.register(file.fileno(), 0)  # no events: errors are reported in any case
    return any(what & select.POLLERR for _, what in poll.poll(0))


def _watched_stdout() -> _WatchedFile | None:
    buffer = getattr(sys.stdout, "buffer", None)
    file = getattr(buffer, "raw", buffer)
    return file if isinstance(file, _WatchedFile) else None


def json_line(value: object) -> bytes:
    """Return a value as one line of JSON in UTF-8.

    A path whose bytes the locale cannot decode is written as those bytes.
    """
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")


def drop_stdout() -> None:
    """Discard further output. Otherwise the interpreter would flush once more at exit, and complain."""
    if (file := _watched_stdout()) is not None:
        file.failure = None
    with contextlib.suppress(io.UnsupportedOperation), open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _is_a_file(stream: io.TextIOWrapper) -> bool:
    try:
        stream.fileno()
    except io.UnsupportedOperation:
        return False
    return True
