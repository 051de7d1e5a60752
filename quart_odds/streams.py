"""The standard streams of a command: closed, full, read by nobody, or in an encoding that lacks letters."""

import contextlib
import io
import os
import sys


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
    """Whether something that was printed could not be written, since `prepare_streams`."""
    buffer = getattr(sys.stdout, "buffer", None)
    file = getattr(buffer, "raw", buffer)
    return isinstance(file, _WatchedFile) and file.is_broken


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
