"""Whatever a body contains, a parser returns an event or raises our own error. An invalid market affects no other."""

import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quart_odds.bookmakers import RawBody, bet9ja, betpawa, decode, sportybet
from quart_odds.domain.odds import MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError
from tests.bookmakers.more_wire import BETKING, BETKING_ITEM, MSPORT, MSPORT_DATA, betking_day, msport_page
from tests.bookmakers.reading import bet9ja_list, betpawa_list, listed_by, sportybet_list
from tests.bookmakers.wire import (
    BET9JA,
    BET9JA_SPORTS,
    BETPAWA_CATEGORIES,
    BETPAWA_V3,
    BETPAWA_V4,
    SPORTYBET,
    SPORTYBET_DATA,
    SPORTYBET_TREE,
    Json,
    asked,
    dumps,
    table,
    with_,
)

Path = tuple[str | int, ...]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["", "-", "0", "1", "nan", "inf", "1e999", "2.5", "total=", "hcp=1:", "hcp=0:1", "S_OU@_O", "@_", "_"]
    )
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Yield the path of every value in a body."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*at, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*at, index))


def holder_of(body: Any, path: Path) -> Any:
    """Return the container of the value at the end of a path."""
    for step in path[:-1]:
        body = body[step]
    return body


@st.composite
def mutated(draw: st.DrawFn, body: Json) -> Json:
    """Generate a body with some values replaced, removed or swapped."""
    changed = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 4))):
        places = list(paths(changed))
        if not places:
            break
        place = draw(st.sampled_from(places))
        holder = holder_of(changed, place)
        match draw(st.sampled_from(["replace", "remove", "exchange"])):
            case "replace":
                holder[place[-1]] = draw(anything)
            case "remove":
                del holder[place[-1]]
            case _:
                other = draw(st.sampled_from(places))
                holder[place[-1]] = copy.deepcopy(holder_of(changed, other)[other[-1]])
    return changed


BASKETBALL_BET9JA: Json = {
    "R": "OK",
    "D": {**BET9JA["D"], "SID": 2, "S": "Basketball", "O": {"B_OUN@155.5_O": "1.8", "B_12_1": "1.5"}},
}
TENNIS_SPORTYBET: Json = {
    **SPORTYBET,
    "data": {
        **SPORTYBET_DATA,
        "markets": [
            {"id": "186", "status": 0, "outcomes": [{"id": "4", "odds": "1.5", "isActive": 1}]},
            {
                "id": "187",
                "specifier": "hcp=-3.5",
                "status": 0,
                "outcomes": [{"id": "1714", "odds": "1", "isActive": 1}],
            },
            {
                "id": "18",
                "specifier": "total=22.3",
                "status": 0,
                "outcomes": [{"id": "12", "odds": "2", "isActive": 1}],
            },
        ],
    },
}
BODIES: list[tuple[Platform, str, Json]] = [
    (Platform.BETPAWA, "501", BETPAWA_V4),
    (Platform.BETPAWA, "501", BETPAWA_V3),
    (Platform.SPORTYBET, "sr:match:70000001", SPORTYBET),
    (Platform.SPORTYBET, "sr:match:70000001", TENNIS_SPORTYBET),
    (Platform.BET9JA, "601", BET9JA),
    (Platform.BET9JA, "601", BASKETBALL_BET9JA),
    (Platform.MSPORT, "sr:match:70000001", MSPORT),
    (Platform.BETKING, "801", BETKING),
]
every_body = pytest.mark.parametrize(("platform", "external_id", "body"), BODIES)
thorough = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def event_or_error(raw: RawBody) -> MappedEvent | BookmakerError:
    """Decode a body into an event or our own error. Any other exception fails the test."""
    try:
        return decode(raw)
    except BookmakerError as error:
        return error


@every_body
@thorough
@given(data=st.data())
def test_a_mutated_body_gives_an_event_or_our_error(
    platform: Platform, external_id: str, body: Json, data: st.DataObject
) -> None:
    """The error names the bookmaker and the event. The event's prices can be packed and read."""
    content = dumps(data.draw(mutated(body)))
    outcome = event_or_error(RawBody(platform, content, None, asked(platform, external_id)))
    if isinstance(outcome, BookmakerError):
        assert outcome.platform is platform
        assert external_id in str(outcome.where)
    else:
        assert outcome.header.kickoff.tzinfo is not None
        assert list(outcome.prices.keys) == sorted(set(outcome.prices.keys))
        table(outcome)


@every_body
@thorough
@given(data=st.data())
def test_a_body_cut_or_damaged_gives_an_event_or_our_error(
    platform: Platform, external_id: str, body: Json, data: st.DataObject
) -> None:
    """Bytes are truncated, changed, or wrongly declared as compressed."""
    content = bytearray(dumps(body))
    del content[data.draw(st.integers(0, len(content))) :]
    for _ in range(data.draw(st.integers(0, 3)) if content else 0):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    encoding = data.draw(st.sampled_from([None, "gzip", "deflate", "br", "identity", ""]))
    outcome = event_or_error(RawBody(platform, bytes(content), encoding, asked(platform, external_id)))
    if isinstance(outcome, BookmakerError):
        assert outcome.platform is platform


def _markets_of(platform: Platform, body: Json) -> list[Any]:
    match platform:
        case Platform.BETPAWA:
            holder = body
        case Platform.BETKING:
            holder = {"markets": body["AreaMatches"][0]["Items"][0]["OddsCollection"]}
        case _:
            holder = body["data"]
    markets: list[Any] = holder["markets"]
    return markets


@pytest.mark.parametrize(
    ("platform", "external_id", "body"), [entry for entry in BODIES if entry[0] is not Platform.BET9JA]
)
@thorough
@given(bad=anything, index=st.integers(0, 20))
def test_a_bad_market_costs_no_other(platform: Platform, external_id: str, body: Json, bad: Any, index: int) -> None:
    """Any value among the markets leaves the others unchanged."""
    whole = decode(RawBody(platform, dumps(body), None, asked(platform, external_id)))
    changed = copy.deepcopy(body)
    _markets_of(platform, changed).insert(index, bad)
    spoiled = decode(RawBody(platform, dumps(changed), None, asked(platform, external_id)))
    assert table(spoiled) == table(whole)


@thorough
@given(bad=st.dictionaries(st.text(max_size=12), anything, max_size=4))
def test_a_bad_key_costs_no_other(bad: Json) -> None:
    """The same at Bet9ja, whose markets are keys."""
    whole = decode(RawBody(Platform.BET9JA, dumps(BET9JA), None, asked(Platform.BET9JA, "601")))
    changed = copy.deepcopy(BET9JA)
    changed["D"]["O"] = {**bad, **BET9JA["D"]["O"]}
    spoiled = decode(RawBody(Platform.BET9JA, dumps(changed), None, asked(Platform.BET9JA, "601")))
    assert table(spoiled).items() >= table(whole).items()


LISTS: list[tuple[Callable[[bytes], object], Json]] = [
    (betpawa.parse_competitions, BETPAWA_CATEGORIES),
    (sportybet.parse_tournaments, SPORTYBET_TREE),
    (bet9ja.parse_groups, BET9JA_SPORTS),
    (lambda plain: betpawa_list(plain, "list"), {"responses": [{"responses": [BETPAWA_V4]}]}),
    (
        lambda plain: sportybet_list(plain, "list"),
        {"bizCode": 10000, "data": [{"id": "t", "events": [SPORTYBET_DATA]}]},
    ),
    (lambda plain: bet9ja_list(plain, "list"), {"R": "OK", "D": {"E": [BET9JA["D"]]}}),
    (lambda plain: listed_by(Platform.MSPORT, plain), msport_page([70000001, 70000002])),
    (
        lambda plain: listed_by(Platform.MSPORT, plain),
        with_(msport_page([70000001]), [MSPORT_DATA], "data", "tournaments", 0, "events"),
    ),
    (lambda plain: listed_by(Platform.BETKING, plain), betking_day([BETKING_ITEM, {**BETKING_ITEM, "ItemID": 802}])),
]


@pytest.mark.parametrize(("parse", "body"), LISTS)
@thorough
@given(data=st.data())
def test_a_mutated_list_gives_a_list_or_our_error(
    parse: Callable[[bytes], object], body: Json, data: st.DataObject
) -> None:
    """Lists are as robust as events."""
    content = dumps(data.draw(mutated(body)))
    with suppress(BookmakerError):
        parse(content)
