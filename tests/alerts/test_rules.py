"""Which rules there may be."""

import pytest

from quart_odds.alerts.rules import OpportunitySpec, PriceSpec, offered_spec, read_spec
from quart_odds.domain.platforms import Platform
from quart_odds.errors import AlertInputError
from tests.odds.making import key

PRICE = {"kind": "price", "event_id": 1, "market": "1x2_ft", "outcome": "1", "over": 2.5}
TOTAL = {**PRICE, "market": "over_under_ft", "outcome": "Over"}
MOVEMENT = {
    "kind": "movement",
    "event_id": 1,
    "market": "btts_ft",
    "outcome": "Yes",
    "percent": 5,
    "within_seconds": 60,
}


@pytest.mark.parametrize(
    "fields",
    [
        PRICE,
        {**PRICE, "market": "3743"},
        {**TOTAL, "line": 2.5, "bookmaker": "bet9ja", "margin_percent": 0},
        {**PRICE, "over": None, "under": 1.2},
        MOVEMENT,
        {**MOVEMENT, "direction": "down"},
        {"kind": "event", "on": ["listed", "gone", "postponed"], "event_id": 1},
        {"kind": "event", "on": ["listed"], "search": "arsenal", "bookmaker": "betpawa"},
        {"kind": "bookmaker"},
        {"kind": "bookmaker", "on": ["stale"], "bookmaker": "sportybet", "stale_after_seconds": 60},
        {"kind": "run"},
        {"kind": "run", "statuses": ["partial", "failed"], "mode": None},
    ],
    ids=str,
)
def test_rules_that_are_accepted(fields: dict[str, object]) -> None:
    """They are the same when they are read from the database."""
    spec = offered_spec(fields)
    assert read_spec(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({**PRICE, "market": "1x2"}, "market: there is no market '1x2'; there is 1x2_"),
        ({**PRICE, "market": "nonsense"}, "GET /api/coverage/markets lists all"),
        ({**PRICE, "outcome": "home"}, "has no outcome 'home'; it has 1, X, 2"),
        (
            {**PRICE, "bookmaker": "bet365"},
            "bookmaker: Input should be 'betpawa', 'sportybet', 'bet9ja', 'msport' or 'betking'",
        ),
        (TOTAL, "has lines: give a line, such as 2.5"),
        ({**TOTAL, "line": 2.6}, "line 2.6 is no multiple of 0.25"),
        ({**PRICE, "line": 2.5}, "has no lines: leave out the line"),
        ({**PRICE, "over": None}, "give one of over and under"),
        ({**PRICE, "under": 1.5}, "give one of over and under"),
        ({**PRICE, "over": 1}, "over: Input should be greater than 1"),
        ({**PRICE, "over": float("nan")}, "over: Input should be"),
        ({**PRICE, "event_id": 0}, "event_id: Input should be greater than 0"),
        ({**PRICE, "price": 3}, "price: Extra inputs are not permitted"),
        ({**MOVEMENT, "percent": 0}, "percent: Input should be greater than 0"),
        ({**MOVEMENT, "within_seconds": 86_401}, "within_seconds: Input should be less than or equal to 86400"),
        ({"kind": "event", "on": ["listed"]}, "give one of event_id and search"),
        ({"kind": "event", "on": [], "event_id": 1}, "on: Tuple should have at least 1 item"),
        ({"kind": "event", "on": ["kicked off"], "event_id": 1}, "Input should be 'listed', 'gone' or 'postponed'"),
        ({"kind": "run", "statuses": ["completed"]}, "Input should be 'failed', 'partial', 'cancelled' or 'interrupt"),
        ({"kind": "pigeon"}, "expected tags: 'price', 'movement', 'event', 'bookmaker', 'run'"),
        ({}, "Unable to extract tag"),
    ],
    ids=str,
)
def test_rules_that_are_refused(fields: dict[str, object], said: str) -> None:
    """The error says what is allowed."""
    with pytest.raises(AlertInputError) as caught:
        offered_spec(fields)
    assert said in str(caught.value)


def test_a_price_is_found_by_its_key() -> None:
    """Whether the market is named by its id or its slug."""
    spec = offered_spec({**TOTAL, "line": 2.5})
    assert isinstance(spec, PriceSpec)
    assert spec.key == key("over_under_ft", "Over", 2.5)
    assert spec.bookmaker is None
    other = offered_spec({**TOTAL, "line": 2.5, "market": spec.market_of.id, "bookmaker": Platform.BETPAWA})
    assert isinstance(other, PriceSpec)
    assert other.key == spec.key


def test_an_opportunity_is_of_a_kind_that_there_is() -> None:
    """The worst case of a middle is a loss, so its percentage may be negative."""
    fields = '{"kind": "opportunity", "of": "%s", "over_percent": -3}'
    assert isinstance(offered_spec(fields % "middle"), OpportunitySpec)
    assert isinstance(read_spec(fields % "middle"), OpportunitySpec)
    with pytest.raises(AlertInputError, match="'arbitrage', 'value' or 'middle'"):
        offered_spec(fields % "surebet")
