"""A file that appears under its name when it is complete, and never before."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import click


class OutputFile:
    """A file that is written under a temporary name beside its own, and renamed when the block ends without an error.

    Otherwise it is removed. A file of that name stays as it is unless this one `replaces` it. Raises OSError, or
    ClickException if there is such a file by then.
    """

    def __init__(self, path: Path, *, replaces: bool) -> None:
        self._path = path
        self._replaces = replaces
        self._part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")

    def __enter__(self) -> Self:
        with self._named():
            self._file = self._part.open("xb")
        return self

    def write(self, data: bytes) -> None:
        """Write bytes."""
        with self._named():
            self._file.write(data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._named():
                self._close(is_complete=error is None)
                if error is None:
                    self._rename()
        finally:
            self._part.unlink(missing_ok=True)

    def _close(self, *, is_complete: bool) -> None:
        """Close the file. Only what is complete has to be on the disk."""
        try:
            with self._file:
                if is_complete:
                    self._file.flush()
                    os.fsync(self._file.fileno())
        except OSError:
            if is_complete:
                raise  # otherwise the first error says more

    @contextlib.contextmanager
    def _named(self) -> Iterator[None]:
        """Let an OSError name the file, so that the command says which one it is about."""
        try:
            yield
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self._path)) from error

    def _rename(self) -> None:
        if self._replaces:
            self._part.replace(self._path)
            return
        try:
            os.link(self._part, self._path)  # unlike a rename, it fails if there is a file by now
        except FileExistsError:
            raise click.ClickException(f"{self._path} exists by now: add --force to replace it") from None
        except OSError as failed:
            if failed.errno not in (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                raise
            self._rename_without_links()

    def _rename_without_links(self) -> None:
        """Rename the file where the file system has no links."""
        with contextlib.suppress(FileNotFoundError):
            self._path.lstat()
            raise click.ClickException(f"{self._path} exists by now: add --force to replace it")
        self._part.replace(self._path)
