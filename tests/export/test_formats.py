"""The formats of exports."""

import csv
import io
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from quart_odds.errors import MissingExtraError
from quart_odds.export import parquet as ours
from quart_odds.export.columns import Column, Row
from quart_odds.export.formats import FORMATS

COLUMNS = (
    Column("id", "int"),
    Column("team", "foreign"),
    Column("market", "text"),
    Column("line", "float"),
    Column("available", "bool"),
    Column("at", "time"),
)
AT = datetime(2026, 11, 22, 10, 0, 0, 123_000, tzinfo=UTC)
ROWS: list[Row] = [
    (1, '=1+1, "x"', "1X2", None, True, AT),
    (2, "Bodø", "Asian", -0.5, False, None),
    (3, None, "", 2.5, None, AT),
]


def encoded(name: str, rows: list[Row] = ROWS, at_once: int = 2) -> bytes:
    """Return an export of these rows."""
    encoder = FORMATS[name].encoder(COLUMNS)
    parts = [encoder.begin()]
    parts += [encoder.add(rows[start : start + at_once]) for start in range(0, len(rows), at_once)]
    return b"".join([*parts, encoder.end()])


def test_csv_has_a_header_and_no_formulas() -> None:
    """None is an empty cell. Only a bookmaker's own text is marked: a line may be negative."""
    assert encoded("csv").decode() == (
        "id,team,market,line,available,at\r\n"
        '1,"\'=1+1, ""x""",1X2,,true,2026-11-22T10:00:00.123Z\r\n'
        "2,Bodø,Asian,-0.5,false,\r\n"
        "3,,,2.5,,2026-11-22T10:00:00.123Z\r\n"
    )


def test_json_lines_have_every_column() -> None:
    """Each line is an object with the columns in their order."""
    lines = encoded("jsonl").splitlines()
    assert lines[0] == (
        b'{"id":1,"team":"=1+1, \\"x\\"","market":"1X2","line":null,"available":true,"at":"2026-11-22T10:00:00.123Z"}'
    )
    assert [orjson.loads(line)["id"] for line in lines] == [1, 2, 3]


def test_parquet_has_typed_columns_in_several_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Times are in UTC. The rows are the same, however many are in a group."""
    monkeypatch.setattr(ours, "GROUP_ROWS", 2)
    file = parquet.ParquetFile(io.BytesIO(encoded("parquet", at_once=3)))
    assert file.num_row_groups == 2
    table = file.read()
    assert {field.name: str(field.type) for field in table.schema} == {
        "id": "int64",
        "team": "string",
        "market": "string",
        "line": "double",
        "available": "bool",
        "at": "timestamp[us, tz=UTC]",
    }
    assert [tuple(row.values()) for row in table.to_pylist()] == ROWS


def test_parquet_that_breaks_off_cannot_be_read() -> None:
    """The footer is at the end."""
    encoder = FORMATS["parquet"].encoder(COLUMNS)
    cut = encoder.begin() + encoder.add(ROWS * 10_000)
    assert len(cut) > 1000
    with pytest.raises(pyarrow.ArrowInvalid):
        parquet.ParquetFile(io.BytesIO(cut))


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_without_rows_is_whole(name: str) -> None:
    """It still says which columns there would be, as far as the format can."""
    content = encoded(name, [])
    match name:
        case "csv":
            assert content == b"id,team,market,line,available,at\r\n"
        case "jsonl":
            assert content == b""
        case _:
            table = parquet.read_table(io.BytesIO(content))
            assert (table.num_rows, table.column_names) == (0, [column.name for column in COLUMNS])


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_name_survives(name: str) -> None:
    """Except that CSV marks formulas."""
    rows: list[Row] = [(1, name, "", None, None, None)]
    assert orjson.loads(encoded("jsonl", rows))["team"] == name
    table: Any = parquet.read_table(io.BytesIO(encoded("parquet", rows)))
    assert table["team"].to_pylist() == [name]
    [_, line] = csv.reader(io.StringIO(encoded("csv", rows).decode(), newline=""))
    assert line[1] in (name, f"'{name}")


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"Parquet needs .* pip install 'quart-odds\[export\]'"):
        FORMATS["parquet"].encoder(COLUMNS)
