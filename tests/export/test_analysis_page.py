"""docs/analysis.md: its columns are those of the exports, and its examples run on them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from quart_odds.export.columns import Wanted
from quart_odds.export.formats import FORMATS
from quart_odds.export.kinds import KINDS
from quart_odds.export.stream import Export, chosen_events
from quart_odds.storage import open_migrated
from tests.documents.blocks import ROOT, blocks_of
from tests.export.preparing import Prepared

PATH = ROOT / "docs" / "analysis.md"
PAGE = PATH.read_text(encoding="utf-8")
EXAMPLES = [block.code for block in blocks_of(PATH) if block.language == "python"]
HOME = "Arsenal", "Bayern München"


@pytest.fixture(scope="module")
def exports(prepared: Prepared, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an export of each kind in each format."""
    folder = tmp_path_factory.mktemp("exports")
    asyncio.run(_write(prepared, folder))
    return folder


async def _write(prepared: Prepared, folder: Path) -> None:
    store = await open_migrated(prepared.url)
    for kind in KINDS.values():
        for shape in FORMATS.values():
            events = chosen_events((), store, await store.event_ids(), lambda _: True)
            parts: AsyncIterator[bytes] = Export(kind, shape, Wanted(), store).parts(events)
            content = b"".join([part async for part in parts])
            (folder / f"{kind.name}.{shape.name}").write_bytes(content)
    await store.aclose()


@pytest.fixture
def run(exports: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what runs the example of this number, and returns its names."""
    monkeypatch.chdir(exports)

    def run_example(number: int) -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(EXAMPLES[number], names)
        return names

    return run_example


def test_margins(run: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """BetPawa's draw of one event is suspended, so only the others count."""
    margins = {name: (margin, events) for name, margin, events in run(0)["margins"].fetchall()}
    assert margins["betpawa"] == (5.3, 2)
    assert margins["sportybet"][1] == 2
    assert margins["bet9ja"][1] == 3
    assert "bookmaker" in capsys.readouterr().out


def test_odds_an_hour_before_the_kick_off(run: Any) -> None:
    """The event kicks off in an hour, and its last change before now counts."""
    found = {
        (event, name, outcome): (odds, is_available)
        for event, name, outcome, odds, is_available in run(1)["before"].fetchall()
    }
    assert found[1, "betpawa", "1"] == (2.4, True)
    assert found[1, "sportybet", "1"] == (2.4, True)


def test_best_prices_of_a_csv(run: Any) -> None:
    """Bet9ja has the best price of event 2, whose home side's name is marked as text."""
    best = {(row[0], row[3]): row[1:] for row in run(2)["best"].fetchall()}
    assert best[1, "1"] == (*HOME, "1", 2.4, best[1, "1"][-1])
    assert best[2, "1"] == ("'=Sevilla", "Betis", "1", 2.9, "bet9ja")


def test_bookmakers_side_by_side(run: Any) -> None:
    """A price that is suspended leaves a gap."""
    table = run(3)["side_by_side"]
    assert list(table.columns) == ["bet9ja", "betpawa", "sportybet"]
    assert table.loc[1, *HOME, "1"].tolist() == [2.4, 2.4, 2.4]
    assert table.loc[1, *HOME, "X"].isna().tolist() == [False, True, False]


def test_moves(run: Any) -> None:
    """BetPawa's price moved up and down again."""
    moves = run(4)["moves"]
    assert moves.bookmaker.tolist() == ["betpawa", "betpawa"]
    assert moves.move.round(4).tolist() == [0.0417, -0.04]


def test_json_lines(run: Any) -> None:
    """Ids stay text."""
    odds = run(5)["odds"]
    assert set(odds.market_id) == {"3743", "5000"}
    assert odds.groupby("bookmaker").event_id.nunique().to_dict() == {"bet9ja": 3, "betpawa": 3, "sportybet": 2}


def test_every_example_is_tested() -> None:
    """A new example needs a test."""
    assert len(EXAMPLES) == 6


def test_every_column_and_format_is_on_the_page() -> None:
    """The table says which kinds have each column."""
    cells = [line.split("|")[1:3] for line in PAGE.splitlines() if line.startswith("| `")]
    documented = {name.strip(" `"): kinds for name, kinds in cells}
    for kind in KINDS.values():
        named = [name for name, kinds in documented.items() if kind.name in kinds.strip().split(", ")]
        assert named == [column.name for column in kind.columns]
    assert all(f"| `{name}` |" in PAGE for name in FORMATS)
