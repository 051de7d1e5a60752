"""Bet9ja's stand-in produces the PalimpsestAjax format, compared with hand-written examples."""

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.sites.answers import Ask
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import ask, at_all, detail, detail_ask, events_of, said, sites

PATH = "/desktop/feapi/PalimpsestAjax/"


def test_an_event_has_flat_odds_and_a_kickoff_without_a_zone() -> None:
    """Keys contain market, line and outcome; odds have no trailing zeros; EXTID is the SportRadar id as text."""
    books, found = sites()
    fixture = at_all(books)
    book = books.book(Platform.BET9JA, fixture)
    for index in range(len(book.cents)):
        book.set(index, 240, False)
    book.set(0, 1200, None)
    body = detail(found[Platform.BET9JA], fixture)
    assert body["R"] == "OK"
    event, listing = body["D"], fixture.listings[Platform.BET9JA]
    assert (event["ID"], event["EXTID"]) == (int(listing.external_id), fixture.sportradar_id)
    assert event["DS"] == f"{listing.home} - {listing.away}"
    assert event["STARTDATE"] == f"{fixture.kickoff:%Y-%m-%d %H:%M:%S}"
    assert (event["SID"], event["S"], event["SG"]) == (1, "Soccer", fixture.league.country)
    odds = event["O"]
    assert (odds["S_1X2_1"], odds["S_1X2_X"]) == ("12", "2.4")
    keys = """
        S_1X2_2 S_DC_1X S_DC_12 S_DC_X2 S_OU@2.5_O S_OU@2.5_U S_GGNG_Y S_GGNG_N S_DNB_1 S_DNB_2 S_AH@-0.5_1 S_AH@-0.5_2
        S_1X2HND@-1_1H S_1X2HND@-1_XH S_1X2HND@-1_2H S_1X2HND@1_1H S_1X21T_1 S_1X22T_X S_1X21_11 S_1X22_X2"""
    assert set(keys.split()) <= set(odds)
    assert event["AUX"]["S_AH"] == {"-1.5": -1.5, "-0.5": -0.5, "0.5": 0.5}


def test_team_totals_of_both_teams_are_one_market_with_four_outcomes() -> None:
    """S_HAOU has OH, UH, OA and UA, and a single description."""
    books, found = sites(SandboxOptions(move=0, markets=200, bookmakers=FIRST_THREE))
    fixture = at_all(books)
    event = detail(found[Platform.BET9JA], fixture)["D"]
    (described,) = (market for market in event["MK"] if market["ID"] == "S_HAOU")
    assert sorted(described["SGNK"]) == ["OA", "OH", "UA", "UH"]
    assert event["TRANS"]["M#S_HAOU"]["NAME"] == described["DS"]


def test_a_closed_price_is_absent_or_one() -> None:
    """There is no flag. Which of the two is used depends on the price."""
    books, found = sites()
    fixture = at_all(books)
    book = books.book(Platform.BET9JA, fixture)
    for index in range(3):
        book.set(index, 200, True)
    odds = detail(found[Platform.BET9JA], fixture)["D"]["O"]
    assert {key: value for key, value in odds.items() if key.startswith("S_1X2_")} == {"S_1X2_X": "1"}


def test_the_tree_is_of_objects_keyed_by_id() -> None:
    """PAL contains sport 1, countries and groups. The keys of G are the values of GROUPID."""
    _, found = sites()
    site = found[Platform.BET9JA]
    soccer = said(site, ask(Platform.BET9JA, f"{PATH}GetSports", DISP="0"))["D"]["PAL"]["1"]
    assert soccer["S_DESC"] == "Soccer"
    assert soccer["SG"]["11001"]["SG_DESC"] == "England"
    assert soccer["SG"]["11001"]["G"]["170001"]["G_DESC"] == "Premier League"
    assert soccer["NUM"] == len(events_of(site))


def test_a_group_has_all_its_events_with_the_main_markets_only() -> None:
    """SPORT takes the place of S in an event's own body, and there are no texts."""
    _, found = sites()
    path = f"{PATH}GetEventsInGroupV2"
    wanted = ask(Platform.BET9JA, path, GROUPID="170001", DISP="0", GROUPMARKETID="1", matches="true")
    body = said(found[Platform.BET9JA], wanted)
    assert (body["R"], body["D"]["GN"], body["D"]["SG"]) == ("OK", "Premier League", "England")
    event = body["D"]["E"][0]
    assert event["SPORT"] == "Soccer"
    assert not {"S", "MK", "TRANS", "CATMARKET"} & set(event)
    assert {key.rpartition("_")[0].partition("@")[0] for key in event["O"]} <= {
        "S_1X2",
        "S_DC",
        "S_OU",
        "S_1X21",
        "S_1X22",
    }
    assert said(found[Platform.BET9JA], ask(Platform.BET9JA, path, GROUPID="5"))["D"] == {"E": []}


def test_a_group_has_the_same_prices_of_its_markets_as_the_events() -> None:
    """All lines of S_OU, the early payouts S_1X21 and S_1X22, and no S_GGNG."""
    books, found = sites()
    path = f"{PATH}GetEventsInGroupV2"
    listed = said(found[Platform.BET9JA], ask(Platform.BET9JA, path, GROUPID="170001", GROUPMARKETID="1"))["D"]["E"]
    heads = ("S_1X2_", "S_DC_", "S_OU@", "S_1X21_", "S_1X22_")
    by_id = {f.listings[Platform.BET9JA].external_id: f for f in books.fixtures if Platform.BET9JA in f.listings}
    for event in listed:
        own = detail(found[Platform.BET9JA], by_id[str(event["ID"])])["D"]["O"]
        assert event["O"] == {key: odds for key, odds in own.items() if key.startswith(heads)}
    seen = {key for event in listed for key in event["O"]}
    assert {"S_OU@0.5_O", "S_OU@6.5_O", "S_1X21_11", "S_1X22_22", "S_DC_12"} <= seen


def test_without_a_referer_the_cdn_refuses_with_html() -> None:
    """The answer is 403 Access Denied."""
    _, found = sites()
    refusal = found[Platform.BET9JA].refuse(Ask("GET", f"{PATH}GetSports"))
    assert refusal is not None
    assert (refusal.status, refusal.content_type) == (403, "text/html")
    assert b"Access Denied" in refusal.write()


def test_an_unknown_event_is_an_error_in_the_envelope() -> None:
    """R is E."""
    _, found = sites()
    assert said(found[Platform.BET9JA], detail_ask(Platform.BET9JA, "1")) == {"R": "E", "D": None}
