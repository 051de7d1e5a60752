"""At every bookmaker, a body is rejected if it is a different event from the one requested."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.bookmakers import bet9ja, betking, betpawa, msport, sportybet
from quart_odds.bookmakers.fields import genius_id, sportradar_id
from quart_odds.domain.odds import EventHeader, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError
from tests.bookmakers.more_wire import BETKING, MSPORT
from tests.bookmakers.wire import BET9JA, BETPAWA_V4, SPORTYBET, asked, dumps

KICKOFF = datetime(2026, 8, 21, 9, 30, tzinfo=UTC)

Parse = Callable[[bytes, EventHeader], MappedEvent]

BODIES: list[tuple[Platform, Parse, bytes, str, str, str, str]] = [
    (Platform.BETPAWA, betpawa.parse_event, dumps(BETPAWA_V4), "501", "widgets", "participants", "startTime"),
    (
        Platform.SPORTYBET,
        sportybet.parse_event,
        dumps(SPORTYBET),
        "sr:match:70000001",
        "eventSource",
        "homeTeamName",
        "estimateStartTime",
    ),
    (Platform.BET9JA, bet9ja.parse_event, dumps(BET9JA), "601", "EXTID", "DS", "STARTDATE"),
    (Platform.MSPORT, msport.parse_event, dumps(MSPORT), "sr:match:70000001", "eventId", "homeTeam", "startTime"),
    (Platform.BETKING, betking.parse_event, dumps(BETKING), "801", "ExtProvIDItem", "ItemName", "ItemDate"),
]
every_bookmaker = pytest.mark.parametrize(
    ("platform", "parse", "plain", "external_id", "id_field", "team_field", "time_field"), BODIES
)


def listed(platform: Platform, external_id: str, **changes: object) -> EventHeader:
    """Return the event as a list named it, spelled slightly differently from its body."""
    known = replace(
        asked(platform, external_id),
        sportradar_id="70000001",
        home_team="Rovers",
        away_team="United City",
        kickoff=KICKOFF,
    )
    return replace(known, **changes)  # type: ignore[arg-type]


@every_bookmaker
def test_the_event_that_was_asked_for_is_read(
    platform: Platform, parse: Parse, plain: bytes, external_id: str, id_field: str, team_field: str, time_field: str
) -> None:
    """Different spelling, swapped sides, a postponement by months and missing details do not matter."""
    for header in (
        listed(platform, external_id),
        listed(platform, external_id, home_team="ROVERS F.C.", away_team="Utd. City"),
        listed(platform, external_id, home_team="United - City", away_team="Rovers"),
        listed(platform, external_id, home_team="Rovers", away_team="Somebody Else"),
        listed(platform, external_id, home_team="Winner Match 3", away_team="W12"),
        listed(platform, external_id, kickoff=KICKOFF - timedelta(days=200)),
        listed(platform, external_id, sportradar_id=None),
        asked(platform, external_id),
    ):
        assert parse(plain, header).header.external_id == external_id


@every_bookmaker
def test_another_event_is_refused_by_both_names_and_the_field(
    platform: Platform, parse: Parse, plain: bytes, external_id: str, id_field: str, team_field: str, time_field: str
) -> None:
    """Another SportRadar id, two other teams, or a kick-off more than a year away."""
    for changes, field in (
        ({"sportradar_id": "70000002"}, id_field),
        ({"home_team": "Heartland", "away_team": "Lobi Stars"}, team_field),
        ({"kickoff": KICKOFF - timedelta(days=366)}, time_field),
        ({"kickoff": KICKOFF + timedelta(days=366)}, time_field),
    ):
        header = listed(platform, external_id, **changes)
        with pytest.raises(MalformedBodyError) as caught:
            parse(plain, header)
        assert (caught.value.field, caught.value.where) == (field, f"event {external_id}")
        text = str(caught.value)
        assert header.name in text
        assert "Rovers" in text
        assert "United - City" in text


@every_bookmaker
def test_every_field_that_differs_is_named(
    platform: Platform, parse: Parse, plain: bytes, external_id: str, id_field: str, team_field: str, time_field: str
) -> None:
    """A match of another season differs in all of them."""
    header = listed(
        platform,
        external_id,
        sportradar_id="70000002",
        home_team="Heartland",
        away_team="Lobi Stars",
        kickoff=KICKOFF - timedelta(days=3000),
    )
    with pytest.raises(MalformedBodyError) as caught:
        parse(plain, header)
    assert caught.value.field == f"{id_field}, {team_field}, {time_field}"


@every_bookmaker
def test_another_id_of_the_bookmakers_is_another_event(
    platform: Platform, parse: Parse, plain: bytes, external_id: str, id_field: str, team_field: str, time_field: str
) -> None:
    """The error contains both ids."""
    with pytest.raises(MalformedBodyError, match=rf"{external_id} .* instead of 999 "):
        parse(plain, listed(platform, "999"))


@given(st.integers(10_000_000, 999_999_999).map(str))
def test_an_id_survives_its_prefix(digits: str) -> None:
    """Eight or nine digits mean the same id with and without the prefix of seven ones."""
    assert sportradar_id(digits) == sportradar_id("1111111" + digits) == genius_id("1111111" + digits) == digits


@given(st.text() | st.from_regex(r"\d{1,20}", fullmatch=True) | st.integers() | st.none())
def test_an_id_is_eight_or_nine_digits_or_none(value: object) -> None:
    """No value raises an error."""
    found = sportradar_id(value)
    assert found is None or (
        found.isascii() and found.isdigit() and len(found) in (8, 9) and str(value).endswith(found)
    )


@pytest.mark.parametrize(
    "value", ["0", "545514", "7000000", "1234567890", "00000000", "11111117000000", "1111111" * 2, "٧٠٠٠٠٠٠١", 70000001]
)
def test_ids_of_another_kind_are_none(value: object) -> None:
    """Other lengths, other digits, numbers."""
    assert sportradar_id(value) is None


@pytest.mark.parametrize(("value", "found"), [("11111111", "11111111"), ("111111111", "111111111")])
def test_an_id_of_ones_keeps_them(value: str, found: str) -> None:
    """Seven ones are a prefix only if an id remains after them."""
    assert sportradar_id(value) == found
