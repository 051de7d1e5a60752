"""Data frames: their columns are those of docs/analysis.md where they are the same, and pandas is optional."""

import builtins
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from quart_odds_client import EventHistory, MissingPandasError, OddsCopy, Opportunities, Opportunity
from quart_odds_client.frames import HISTORY_ROW, OPPORTUNITY_ROW, PRICE_ROW
from tests.client.test_odds_copy import whole
from tests.routes.pages.test_live_node import AT, LATER, entry, event, outcome

PAGE = (Path(__file__).parents[2] / "docs" / "analysis.md").read_text(encoding="utf-8")
DOCUMENTED = {
    name: set(kinds.split(", ")) for name, kinds in re.findall(r"^\| `(\w+)` \| ([a-z, ]+) \|", PAGE, re.MULTILINE)
}


@pytest.mark.parametrize(
    ("kind", "columns", "further"),
    [
        ("current", PRICE_ROW, set()),
        ("history", HISTORY_ROW, set()),
        ("opportunities", OPPORTUNITY_ROW, {"changed_at"}),
    ],
)
def test_columns_are_those_of_the_exports(kind: str, columns: tuple[str, ...], further: set[str]) -> None:
    """In their order. `changed_at` of an opportunity's price is in the API and not in the export."""
    documented = [name for name, kinds in DOCUMENTED.items() if kind in kinds]
    shared = [each for each in columns if each in documented]
    assert {*columns} - {*documented} == further
    assert shared == [each for each in documented if each in shared]


def test_a_copy_is_a_row_for_each_price() -> None:
    """With types that hold without any row, too."""
    suspended = outcome("X", 3.0, is_active=False)
    gone = outcome("2", 4.0, is_active=False, available=False)
    frame = whole(event(1, entry(outcome("1", 2.0), suspended, gone, line=2.5))).to_dataframe()
    assert list(frame.columns) == list(PRICE_ROW)
    assert frame.outcome.tolist() == ["1", "X", "2"]
    assert frame.suspended.tolist() == [False, True, False]
    assert frame.available.tolist() == [True, True, False]
    assert set(frame.line) == {2.5}
    assert frame.kickoff[0] == pd.Timestamp(AT)
    empty = OddsCopy().to_dataframe()
    assert list(empty.columns) == list(PRICE_ROW)
    assert str(empty.kickoff.dtype).startswith("datetime64")
    assert empty.odds.dtype == float


def point(at: str, *outcomes: dict[str, Any], confirmed: bool = False) -> dict[str, Any]:
    """Return a point of a history."""
    return {"captured_at": at, "outcomes": list(outcomes), "margin": None, "available": True, "confirmed": confirmed}


def test_a_history_is_a_row_for_each_change() -> None:
    """As in the export: what stays the same at a point has no row of its own."""
    here = {
        "bookmaker_slug": "betpawa",
        "history": [
            point(AT, outcome("1", 2.0), outcome("X", 3.0)),
            point(LATER, outcome("1", 2.1), outcome("X", 3.0)),
            point("2026-11-22T11:00:00.000Z", outcome("1", 2.1), outcome("X", 3.0), confirmed=True),
        ],
    }
    values = {"event_id": 3, "market_id": "3743", "market_name": "1X2", "line": None, "bookmakers": [here]}
    frame = EventHistory.model_validate(values).to_dataframe()
    assert list(frame.columns) == list(HISTORY_ROW)
    assert list(zip(frame.outcome, frame.odds, frame.changed_at, strict=True)) == [
        ("1", 2.0, pd.Timestamp(AT)),
        ("X", 3.0, pd.Timestamp(AT)),
        ("1", 2.1, pd.Timestamp(LATER)),
    ]


def test_opportunities_are_a_row_for_each_price_to_back() -> None:
    """Those of one opportunity have the same number in their event."""

    def found(event_id: int, *legs: str, margin: float) -> Opportunity:
        fields = {"id": event_id, "home_team": "Home", "away_team": "Away", "kickoff": AT, "kind": "arbitrage"}
        outcomes = [{"name": name, "line": 2.5, "odds": 2.2, "bookmaker_slug": "betpawa"} for name in legs]
        return Opportunity.model_validate(
            fields | {"market_id": "5000", "margin": margin, "reasons": ["stale", "outlier"], "outcomes": outcomes}
        )

    every = Opportunities(
        [found(1, "Over", "Under", margin=3.0), found(2, "Over", margin=2.0), found(1, "Yes", margin=1.0)]
    )
    frame = every.to_dataframe()
    assert list(frame.columns) == list(OPPORTUNITY_ROW)
    assert list(zip(frame.event_id, frame.outcome, frame.opportunity, strict=True)) == [
        (1, "Over", 1), (1, "Under", 1), (2, "Over", 1), (1, "Yes", 2),
    ]  # fmt: skip
    assert set(frame.reasons) == {"stale,outlier"}


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else works without it."""
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPandasError, match=r"pip install 'quart-odds-client\[pandas\]'"):
        OddsCopy().to_dataframe()
