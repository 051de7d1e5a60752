"""Parquet, written by pyarrow, which the extra `export` installs."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from quart_odds.errors import MissingExtraError
from quart_odds.export.columns import Column, Row, Rows

GROUP_ROWS = 20_000
"""Rows of a row group. They wait in memory, some 20 MB, until the group is written."""


def is_offered() -> bool:
    """Whether pyarrow is installed."""
    return find_spec("pyarrow") is not None


class ParquetEncoder:
    """A Parquet file without a seek: row groups of GROUP_ROWS, then the footer, without which nobody can read it.

    Raises MissingExtraError if pyarrow is not installed.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError:
            raise MissingExtraError("Parquet", "export") from None
        types = {
            "text": pyarrow.string(),
            "foreign": pyarrow.string(),
            "int": pyarrow.int64(),
            "float": pyarrow.float64(),
            "bool": pyarrow.bool_(),
            "time": pyarrow.timestamp("us", tz="UTC"),
        }
        self._schema = pyarrow.schema([(column.name, types[column.type]) for column in columns])
        self._table: Any = pyarrow.Table.from_arrays
        self._array: Any = pyarrow.array
        self._out = _Bytes()
        self._writer = parquet.ParquetWriter(self._out, self._schema)
        self._rows: list[Row] = []

    def begin(self) -> bytes:
        """Return the mark that files begin with."""
        return self._out.taken()

    def add(self, rows: Rows) -> bytes:
        """Return a row group if there are enough rows."""
        self._rows += rows
        while len(self._rows) >= GROUP_ROWS:
            self._write(self._rows[:GROUP_ROWS])
            del self._rows[:GROUP_ROWS]
        return self._out.taken()

    def end(self) -> bytes:
        """Return the rest of the rows, and the footer."""
        if self._rows:
            self._write(self._rows)
        self._writer.close()
        return self._out.taken()

    def _write(self, rows: Rows) -> None:
        values = zip(*rows, strict=True)
        arrays = [self._array(column, field.type) for column, field in zip(values, self._schema, strict=True)]
        self._writer.write_table(self._table(arrays, schema=self._schema))


class _Bytes:
    """A file for pyarrow that hands on what is written to it."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._position = 0

    def taken(self) -> bytes:
        """Return what was written since the last call."""
        parts, self._parts = self._parts, []
        return b"".join(parts)

    def write(self, data: Any) -> int:
        """Take bytes, or a buffer that is valid only during the call."""
        part = bytes(data)
        self._parts.append(part)
        self._position += len(part)
        return len(part)

    def tell(self) -> int:
        """Return the number of bytes so far."""
        return self._position

    def flush(self) -> None:
        """Do nothing: `taken` has everything."""

    def close(self) -> None:
        """Do nothing: there is nothing to close."""
