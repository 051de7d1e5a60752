"""The formats of exports: CSV, JSON Lines, and Parquet."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol

import orjson

from quart_odds.domain.clock import iso_z
from quart_odds.domain.text import without_formula
from quart_odds.export.columns import Column, Rows
from quart_odds.export.parquet import ParquetEncoder


class Encoder(Protocol):
    """Turns the rows of one export into bytes, which are to be joined."""

    def begin(self) -> bytes:
        """Return what comes before the rows."""
        ...

    def add(self, rows: Rows) -> bytes:
        """Return these rows, or rows that were added before, or nothing yet."""
        ...

    def end(self) -> bytes:
        """Return what is left, and what comes after the rows."""
        ...


class CSVEncoder:
    """CSV with a header line. None is an empty cell, and no cell is a formula."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._names = [column.name for column in columns]
        self._shown = [(place, _CELLS[each.type]) for place, each in enumerate(columns) if each.type in _CELLS]

    def begin(self) -> bytes:
        """Return the header line."""
        return csv_lines([self._names])

    def add(self, rows: Rows) -> bytes:
        """Return a line per row. Takes some 5 µs a row."""
        lines = [list(row) for row in rows]
        for cells in lines:
            for place, shown in self._shown:
                cells[place] = shown(cells[place])
        return csv_lines(lines)

    def end(self) -> bytes:
        """Return nothing."""
        return b""


class JSONLinesEncoder:
    """A JSON object per line, with every column, in their order."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self._names = [column.name for column in columns]

    def begin(self) -> bytes:
        """Return nothing."""
        return b""

    def add(self, rows: Rows) -> bytes:
        """Return a line per row."""
        names, options = self._names, orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_APPEND_NEWLINE
        return b"".join(orjson.dumps(dict(zip(names, row, strict=True)), default=_time, option=options) for row in rows)

    def end(self) -> bytes:
        """Return nothing."""
        return b""


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its name, which is also the ending of its files, its content type, and its encoder.

    `encoder` raises MissingExtraError if it needs a package that is not installed. The encoder of a `is_binary` format
    takes many milliseconds at a time, so it is called in a thread.
    """

    name: str
    content_type: str
    encoder: Callable[[Sequence[Column]], Encoder]
    is_binary: bool = False


FORMATS: Mapping[str, Format] = {
    each.name: each
    for each in (
        Format("csv", "text/csv; charset=utf-8", CSVEncoder),
        Format("jsonl", "application/jsonl", JSONLinesEncoder),
        Format("parquet", "application/vnd.apache.parquet", ParquetEncoder, is_binary=True),
    )
}


@lru_cache(maxsize=16_384)
def _time(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"no column has a {type(value)}")
    return iso_z(value)


@lru_cache(maxsize=16_384)
def _time_cell(value: object) -> str:
    return "" if value is None else _time(value)


@lru_cache(maxsize=16_384)
def _foreign_cell(value: object) -> str:
    return "" if value is None else without_formula(str(value))


_bool_cell = {True: "true", False: "false", None: ""}.__getitem__

_CELLS: Mapping[str, Callable[[Any], str]] = {"time": _time_cell, "foreign": _foreign_cell, "bool": _bool_cell}


def csv_lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Return a line of CSV per row."""
    buffer = io.StringIO()
    csv.writer(buffer).writerows(rows)
    return buffer.getvalue().encode()
