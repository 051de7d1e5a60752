"""Bet9ja's bodies: the flat object of odds, times without a zone, and the codes of the envelope."""

from datetime import UTC, datetime

import pytest

from quart_odds.bookmakers.bet9ja import parse_event, parse_groups
from quart_odds.domain.odds import Competition, ListedCompetition, UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError, NotFoundError
from tests.bookmakers.reading import bet9ja_list
from tests.bookmakers.wire import BET9JA, BET9JA_SPORTS, Json, asked, dumps, table, with_, without

ASKED = asked(Platform.BET9JA, "601")


def test_the_header_reads_the_start_as_utc() -> None:
    """STARTDATE has no zone and is in UTC. The first dash separates the team names."""
    header = parse_event(dumps(BET9JA), ASKED).header
    assert header.kickoff == datetime(2026, 8, 21, 9, 30, tzinfo=UTC)
    assert (header.home_team, header.away_team) == ("Rovers", "United - City")
    assert header.competition == Competition("170", "First Division", "Nowhere")
    assert header.sportradar_id == "70000001"


def test_the_start_that_names_its_zone_is_preferred() -> None:
    """Newer bodies have both fields."""
    body = with_(BET9JA, "2026-08-21T10:00:00Z", "D", "STARTDATEUTC")
    assert parse_event(dumps(body), ASKED).header.kickoff == datetime(2026, 8, 21, 10, 0, tzinfo=UTC)


def test_prices_go_by_their_keys() -> None:
    """The whole table: team totals are split, Asian totals merged, odds of 1 inactive, missing keys absent."""
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
    # An unknown outcome, a line on a market without lines, and a line that is not a number.
    assert event.dropped == 3
    assert event.unmapped == (UnmappedMarket("S_UNHEARD", "Never heard of"),)


@pytest.mark.parametrize("value", [None, True, [], {}, "1,5", "nan", "-2", "1e9"])
def test_a_bad_price_costs_no_other(value: object) -> None:
    """The invalid price is dropped and counted."""
    whole = parse_event(dumps(without(BET9JA, "D", "O", "S_DC_12")), ASKED)
    spoiled = parse_event(dumps(with_(BET9JA, value, "D", "O", "S_DC_12")), ASKED)
    assert table(spoiled) == table(whole)
    assert spoiled.dropped == whole.dropped + 1


def promotions(body: Json) -> dict[str, set[str | None]]:
    """Return the promotions of each market's prices, after checking that no price was lost."""
    event = parse_event(dumps(body), ASKED)
    assert (len(event.prices), event.dropped) == (22, 3)
    found: dict[str, set[str | None]] = {}
    for place in table(event):
        found.setdefault(place[0], set()).add(place[3] if len(place) > 3 else None)
    return found


@pytest.mark.parametrize(
    "listed", [["S_1X2_1"], {"S_1X2_1": "2.5"}, [{"KEY": "S_1X2_1", "ODD": 2.5}], {"0": {"MARKET": "S_1X2_1"}}]
)
def test_a_boosted_price_is_the_markets_own_under_a_promotion(listed: object) -> None:
    """The price is kept and marked, whatever the form in which the site lists the boost."""
    body = with_(BET9JA, listed, "D", "BOOSTED_ODDS")
    assert table(parse_event(dumps(body), ASKED))["3743", "1", None, "boosted"] == (2.12, True)
    found = promotions(body)
    assert found.pop("3743") == {None, "boosted"}
    assert set().union(*found.values()) == {None}


@pytest.mark.parametrize("listed", [["S_OU"], {"S_OU": True}, [{"ID": "S_OU"}], ["77"], [77]])
def test_a_boosted_market_raises_all_its_prices(listed: object) -> None:
    """The market is given by its id, or by its number in the body's own catalogue."""
    body = with_(BET9JA, [*BET9JA["D"]["MK"], {"ID": "S_OU", "MARKETID": "77"}], "D", "MK")
    found = promotions(with_(body, listed, "D", "BOOSTED_MARKETS"))
    # S_OUA is a different market of the site and is not boosted.
    assert found.pop("5000") == {"boosted", None}
    assert set().union(*found.values()) == {None}


@pytest.mark.parametrize("listed", [True, 5, "something", [None], [{"what": None}], ["12345"], {"5": None}])
def test_a_boost_that_is_not_understood_may_be_any_prices(listed: object) -> None:
    """If the marking is not understood, no price counts as plain."""
    assert set().union(*promotions(with_(BET9JA, listed, "D", "BOOSTED_ODDS")).values()) == {"other"}


@pytest.mark.parametrize("listed", [None, [], {}, ""])
def test_no_boost_leaves_all_prices_plain(listed: object) -> None:
    """Almost all bodies look like this."""
    assert set().union(*promotions(with_(BET9JA, listed, "D", "BOOSTED_MARKETS")).values()) == {None}


LIVE: Json = {
    "R": "OK",
    "D": {
        "A": {"T": 12, "R": {"S": "0:1"}, "EXTID": "70000001"},
        "AA": {key: BET9JA["D"][key] for key in ("ID", "EXTID", "DS", "STARTDATE", "GID", "GN")},
        "O": {
            "LIVES_1X2_1": {"v": 2.5},
            "LIVES_OU@2.5_U": {"v": 1},
            "LIVES_HOMENOBET_2HNB": {"v": 1.5},
            "LIVES_NEXTGOAL@0:1_2": {"v": 3},
            "LIVES_DC_1X": 1.5,
        },
    },
}


def test_a_body_in_play_is_reported_and_read() -> None:
    """The event is in AA and prices are objects. An invalid price is dropped and counted."""
    event = parse_event(dumps(LIVE), ASKED)
    assert event.is_in_play
    assert (event.header.sportradar_id, event.header.name) == ("70000001", "Rovers - United - City")
    assert table(event) == {
        ("3743", "1", None): (2.5, True),
        ("5000", "Under", 2.5): (1.0, False),
        ("4746", "2", None): (1.5, True),
    }
    assert event.unmapped == (UnmappedMarket("LIVES_NEXTGOAL", ""),)
    assert (event.total, event.understood, event.dropped, event.unmapped_prices) == (5, 3, 1, 1)
    assert not parse_event(dumps(BET9JA), ASKED).is_in_play


@pytest.mark.parametrize(
    ("names", "player_prices"),
    [
        (["Jhonder Cadiz", "Adriano", "Zheng Kaimu", "Li Hailong", "Long Wei", "Yu Tianle", "No Goal"], 2),
        (["1 HT or 1 FT", "X HT or X FT", "2 HT or 2 FT", "Un 1.5 HT", "GG HT", "NG HT"], 0),
        (["Yes", "No"], 0),
    ],
)
def test_a_players_market_is_known_by_its_outcomes(names: list[str], player_prices: int) -> None:
    """The body's own catalogue names the outcomes. The market stays unmapped and its prices are counted separately."""
    body = with_(BET9JA, {"S_SCORER_a": "2", "S_SCORER_b": "3"}, "D", "O")
    body = with_(body, [{"ID": "S_SCORER", "DS": "Goalscorer", "SGN": names}], "D", "MK")
    event = parse_event(dumps(body), ASKED)
    assert (event.total, event.unmapped_prices, event.player_prices) == (2, 2, player_prices)


def test_an_event_without_odds_is_an_event() -> None:
    """Its odds are an empty list instead of an empty object."""
    assert len(parse_event(dumps(with_(BET9JA, [], "D", "O")), ASKED).prices) == 0


def test_r_is_ok_or_d_and_e_is_gone() -> None:
    """OK and D mean success. E means that the site does not know the event."""
    assert table(parse_event(dumps(with_(BET9JA, "D", "R")), ASKED)) == table(parse_event(dumps(BET9JA), ASKED))
    with pytest.raises(NotFoundError):
        parse_event(dumps({"R": "E", "D": None}), ASKED)
    with pytest.raises(MalformedBodyError):
        bet9ja_list(dumps({"R": "E", "D": None}), "group 170")


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
    """The error names the bookmaker, the event and the field."""
    with pytest.raises(MalformedBodyError) as caught:
        parse_event(dumps(body), ASKED)
    assert (caught.value.platform, caught.value.where, caught.value.field) == (Platform.BET9JA, "event 601", field)


@pytest.mark.parametrize("external", ["", None, "12ab", 70000001, "0", "545514", "7000000", "7000000123", "00000000"])
def test_an_id_of_another_kind_stands_alone(external: object) -> None:
    """EXTID is a SportRadar id only if it is text of 8 or 9 digits."""
    assert parse_event(dumps(with_(BET9JA, external, "D", "EXTID")), ASKED).header.sportradar_id is None


def test_groups_are_soccers_without_simulated_ones() -> None:
    """Group ids are the keys of the tree, which also gives the number of events per group."""
    known = Competition("170", "First Division", "Nowhere")
    assert parse_groups(dumps(BET9JA_SPORTS)) == ([ListedCompetition(known, 21)], [])


def test_a_bad_country_costs_no_other() -> None:
    """The error is reported, and the other countries are listed."""
    countries = {"1": {"SG_DESC": "Broken"}, "2": {"SG_DESC": "Nowhere", "G": {"170": {"G_DESC": "First Division"}}}}
    groups, errors = parse_groups(dumps({"R": "OK", "D": {"PAL": {"1": {"SG": countries}}}}))
    assert [(group.competition.external_id, group.expected) for group in groups] == [("170", None)]
    assert [error.field for error in errors] == ["D.PAL.1.SG.G"]


def test_a_bad_event_in_a_group_costs_no_other() -> None:
    """A list without R, as in recordings, is accepted."""
    body = {"D": {"E": [BET9JA["D"], {"ID": 602}]}}
    listed, errors = bet9ja_list(dumps(body), "group 170")
    assert [each.header.external_id for each in listed] == ["601"]
    assert [error.where for error in errors] == ["event 602 in group 170"]


def test_empty_objects_come_as_empty_lists() -> None:
    """PHP encodes empty objects this way: a group without events, a country without groups, no countries."""
    empty: list[object] = [[], {"E": []}, {"E": {}}]
    for data in empty:
        assert bet9ja_list(dumps({"R": "OK", "D": data}), "group 170") == ([], [])
    tree = with_(BET9JA_SPORTS, [], "D", "PAL", "1", "SG", "10", "G")
    assert parse_groups(dumps(tree)) == ([], [])
    assert parse_groups(dumps(with_(BET9JA_SPORTS, [], "D", "PAL", "1", "SG"))) == ([], [])


def test_the_events_of_a_group_may_be_an_object() -> None:
    """The site uses lists and objects for the same purpose."""
    listed, errors = bet9ja_list(dumps({"R": "OK", "D": {"E": {"601": BET9JA["D"]}}}), "group 170")
    assert ([each.header.external_id for each in listed], errors) == (["601"], [])


@pytest.mark.parametrize("data", [{}, {"E": None}, {"E": "maintenance"}, {"E": 5}, {"GID": 170}])
def test_a_success_without_its_list_is_wrong_and_not_empty(data: Json) -> None:
    """Such an answer says nothing about the group's events."""
    with pytest.raises(MalformedBodyError) as caught:
        bet9ja_list(dumps({"R": "OK", "D": data}), "group 170")
    assert caught.value.field == "D.E"


@pytest.mark.parametrize(
    ("number", "expected"), [(21, 21), ("21", 21), (0, 0), (-1, None), (True, None), ("many", None)]
)
def test_the_tree_may_say_how_many_events_a_group_has(number: object, expected: int | None) -> None:
    """Anything but a number counts as unknown."""
    tree = with_(BET9JA_SPORTS, number, "D", "PAL", "1", "SG", "10", "G", "170", "NUM")
    assert [group.expected for group in parse_groups(dumps(tree))[0]] == [expected]
