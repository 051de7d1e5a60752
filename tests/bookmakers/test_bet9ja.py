"""Bet9ja's bodies: the flat object of odds, the time without a zone, and the envelope's answers."""

from datetime import UTC, datetime

import pytest

from quart_odds.bookmakers.bet9ja import parse_event, parse_groups, parse_list
from quart_odds.domain.odds import Competition, UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError, NotFoundError
from tests.bookmakers.wire import BET9JA, BET9JA_SPORTS, Json, asked, dumps, table, with_, without

ASKED = asked(Platform.BET9JA, "601")


def test_the_header_reads_the_start_as_utc() -> None:
    """STARTDATE has no zone and is UTC; names part at the first dash."""
    header = parse_event(dumps(BET9JA), ASKED).header
    assert header.kickoff == datetime(2026, 8, 21, 9, 30, tzinfo=UTC)
    assert (header.home_team, header.away_team) == ("Rovers", "United - City")
    assert header.competition == Competition("170", "First Division", "Nowhere")
    assert header.sportradar_id == "70000001"


def test_the_start_that_names_its_zone_is_preferred() -> None:
    """Newer bodies carry both."""
    body = with_(BET9JA, "2026-08-21T10:00:00Z", "D", "STARTDATEUTC")
    assert parse_event(dumps(body), ASKED).header.kickoff == datetime(2026, 8, 21, 10, 0, tzinfo=UTC)


def test_prices_go_by_their_keys() -> None:
    """The whole table: team totals are parted, Asian totals joined, odds of 1 closed, absent keys not there."""
    event = parse_event(dumps(BET9JA), ASKED)
    assert table(event) == {
        ("3743", "1", None): (2.12, True),
        ("3743", "X", None): (1.0, False),
        ("3743", "2", None): (3.45, True),
        ("28000810", "1", None): (1.6, True),
        ("28000810", "X", None): (3.1, True),
        ("28000850", "1", None): (2.3, True),
        ("4693", "12", None): (1.3, True),
        ("5000", "Over", 2.5): (1.9, True),
        ("5000", "Under", 2.5): (1.8, True),
        ("5000", "Over", 6.5): (19.0, True),
        ("5000", "Under", 3.0): (1.43, True),
        ("3774", "1", -0.5): (2.42, True),
        ("3774", "2", -0.5): (1.48, True),
        ("4724", "1", -1.0): (4.9, True),
        ("4724", "X", 1.0): (4.1, True),
        ("5006", "Over", 1.5): (2.23, True),
        ("5006", "Under", 1.5): (1.53, True),
        ("5003", "Over", 1.5): (2.55, True),
        ("5003", "Under", 1.5): (1.41, True),
        ("4706", "1/X", None): (13.0, True),
        ("3591790", "1 & Yes", None): (4.65, True),
        ("3795", "Yes", None): (0.0, False),
    }
    # An unknown outcome, a line where none belongs, a line that is no number.
    assert event.dropped == 3
    assert event.unmapped == (UnmappedMarket("S_UNHEARD", "Never heard of"),)


@pytest.mark.parametrize("value", [None, True, [], {}, "1,5", "nan", "-2", "1e9"])
def test_a_bad_price_costs_no_other(value: object) -> None:
    """It is dropped and counted."""
    whole = parse_event(dumps(without(BET9JA, "D", "O", "S_DC_12")), ASKED)
    spoiled = parse_event(dumps(with_(BET9JA, value, "D", "O", "S_DC_12")), ASKED)
    assert table(spoiled) == table(whole)
    assert spoiled.dropped == whole.dropped + 1


def test_a_boosted_price_is_not_the_markets_own() -> None:
    """It is left out and counted."""
    whole = parse_event(dumps(BET9JA), ASKED)
    boosted = parse_event(dumps(with_(BET9JA, ["S_1X2_1"], "D", "BOOSTED_ODDS")), ASKED)
    assert table(whole).keys() - table(boosted).keys() == {("3743", "1", None)}
    assert boosted.dropped == whole.dropped + 1


def test_an_event_without_odds_is_an_event() -> None:
    """An empty list takes the place of an empty object."""
    assert len(parse_event(dumps(with_(BET9JA, [], "D", "O")), ASKED).prices) == 0


def test_r_is_ok_or_d_and_e_is_gone() -> None:
    """Both words mean success; E is an event that the site does not know."""
    assert table(parse_event(dumps(with_(BET9JA, "D", "R")), ASKED)) == table(parse_event(dumps(BET9JA), ASKED))
    with pytest.raises(NotFoundError):
        parse_event(dumps({"R": "E", "D": None}), ASKED)
    with pytest.raises(MalformedBodyError):
        parse_list(dumps({"R": "E", "D": None}), "group 170")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (without(BET9JA, "D"), "D"),
        (without(BET9JA, "D", "O"), "D.O"),
        (with_(BET9JA, "x", "D", "O"), "D.O"),
        (without(BET9JA, "D", "DS"), "DS"),
        (with_(BET9JA, "Rovers", "D", "DS"), "DS"),
        (with_(BET9JA, "21.08.2026", "D", "STARTDATE"), "STARTDATE"),
        (with_(BET9JA, "601", "D", "ID"), "ID"),
        (with_(BET9JA, 602, "D", "ID"), "D.ID"),
    ],
)
def test_a_body_without_what_is_needed_names_the_field(body: Json, field: str) -> None:
    """The error says which bookmaker, which event and which part."""
    with pytest.raises(MalformedBodyError) as caught:
        parse_event(dumps(body), ASKED)
    assert (caught.value.platform, caught.value.where, caught.value.field) == (Platform.BET9JA, "event 601", field)


@pytest.mark.parametrize("external", ["", None, "12ab", 70000001])
def test_an_id_that_is_no_digits_stands_alone(external: object) -> None:
    """EXTID is SportRadar's only as text of digits."""
    assert parse_event(dumps(with_(BET9JA, external, "D", "EXTID")), ASKED).header.sportradar_id is None


def test_groups_are_soccers_without_simulated_ones() -> None:
    """Group ids are the keys of the tree."""
    assert parse_groups(dumps(BET9JA_SPORTS)) == ([Competition("170", "First Division", "Nowhere")], [])


def test_a_bad_country_costs_no_other() -> None:
    """It is told, and the others are listed."""
    countries = {"1": {"SG_DESC": "Broken"}, "2": {"SG_DESC": "Nowhere", "G": {"170": {"G_DESC": "First Division"}}}}
    groups, errors = parse_groups(dumps({"R": "OK", "D": {"PAL": {"1": {"SG": countries}}}}))
    assert [group.external_id for group in groups] == ["170"]
    assert [error.field for error in errors] == ["D.PAL.1.SG.G"]


def test_a_bad_event_in_a_group_costs_no_other() -> None:
    """A list kept without R is a list; one without events is empty."""
    body = {"D": {"E": [BET9JA["D"], {"ID": 602}]}}
    headers, errors = parse_list(dumps(body), "group 170")
    assert [header.external_id for header in headers] == ["601"]
    assert [error.where for error in errors] == ["event 602 in group 170"]
    assert parse_list(dumps({"R": "OK", "D": {}}), "group 170") == ([], [])
