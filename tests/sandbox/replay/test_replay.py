"""Replay of a recording: recorded answers unchanged, missing lists generated from the rest, 404 otherwise."""

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, create_sandbox
from quart_odds.sandbox.app import open_site
from quart_odds.sandbox.replay.recorded import Recording
from quart_odds.sandbox.replay.replay import ReplayedSite
from quart_odds.sandbox.sites.answers import Ask, Site
from tests.sandbox.stand_ins import (
    BETKING,
    BETKING_PATH,
    HEADERS,
    MSPORT,
    MSPORT_PATH,
    ask,
    by_queries,
    detail_ask,
    events_of,
    events_on,
    msport_pages,
    said,
)

UPCOMING = "/api/ng/factsCenter/pcUpcomingEvents"
GET_SPORTS = "/desktop/feapi/PalimpsestAjax/GetSports"


def replayed(folder: Path, platform: Platform) -> Site:
    """Create a bookmaker that answers from a folder."""
    return ReplayedSite(platform, Recording.load(folder), open_site)


def record(folder: Path, *entries: dict[str, Any]) -> Path:
    """Write a recording of these requests, each with its answer under `says`."""
    requests = []
    for number, entry in enumerate(entries):
        says = entry.pop("says")
        body = says if isinstance(says, bytes) else orjson.dumps(says)
        (folder / f"{number}.json").write_bytes(body)
        requests.append({"method": "GET", "query": {}, "body": None, "status": 200, "file": f"{number}.json", **entry})
    (folder / "requests.json").write_bytes(orjson.dumps(requests))
    return folder


def betpawa_event(event_id: str, competition: str = "9", **members: object) -> dict[str, object]:
    """Build a small BetPawa event."""
    where = {"region": {"id": "3", "name": "Elsewhere"}, "competition": {"id": competition, "name": "Cup"}}
    return {"id": event_id, "name": "A - B", "markets": [{"marketType": {"id": "3743"}, "row": []}], **where, **members}


BETPAWA_EVENTS = "/api/sportsbook/v4/events"


def test_a_recorded_event_is_found_from_a_tree_that_is_made(tmp_path: Path) -> None:
    """Its detail is answered byte for byte."""
    event = betpawa_event("5")
    text = b" " + orjson.dumps(event) + b"\n"
    record(tmp_path, {"bookmaker": "betpawa", "path": f"{BETPAWA_EVENTS}/5", "says": text})
    site = replayed(tmp_path, Platform.BETPAWA)
    assert [found["id"] for found in events_of(site)] == ["5"]
    assert site.answer(detail_ask(Platform.BETPAWA, "5")).write() == text
    assert site.answer(detail_ask(Platform.BETPAWA, "6")).status == 404


def test_events_of_recorded_lists_are_listed_and_their_details_are_404(tmp_path: Path) -> None:
    """A list recorded without a query matches no request. Its events appear in their competitions' lists."""
    lists = {"responses": [{"responses": [betpawa_event("7", "10"), betpawa_event("5", "9")]}]}
    record(
        tmp_path,
        {"bookmaker": "betpawa", "path": f"{BETPAWA_EVENTS}/lists/by-queries", "says": lists},
        {"bookmaker": "betpawa", "path": f"{BETPAWA_EVENTS}/5", "says": betpawa_event("5")},
        {"bookmaker": "betpawa", "path": f"{BETPAWA_EVENTS}/8", "says": betpawa_event("8", results={"display": 1})},
    )
    site = replayed(tmp_path, Platform.BETPAWA)
    assert {event["id"] for event in events_of(site)} == {"5", "7"}
    assert [event["id"] for event in by_queries(site, ["10"])] == ["7"]
    assert site.answer(detail_ask(Platform.BETPAWA, "7")).status == 404
    assert site.answer(detail_ask(Platform.BETPAWA, "8")).status == 200, "in play: not listed, but there"
    assert said(site, ask(Platform.BETPAWA, f"{BETPAWA_EVENTS}/lists/by-queries")) == lists


def test_a_recorded_list_is_answered_to_its_own_query_however_it_is_written(tmp_path: Path) -> None:
    """`q` is compared as JSON, volatile parameters are ignored, and additional parameters are allowed."""
    answer: dict[str, object] = {"responses": [{"responses": []}]}
    record(
        tmp_path,
        {
            "bookmaker": "betpawa",
            "path": f"{BETPAWA_EVENTS}/lists/by-queries",
            "query": {"q": '{"queries": [ {"take": 1} ]}', "_t": "1"},
            "says": answer,
        },
    )
    site = replayed(tmp_path, Platform.BETPAWA)
    wanted = ask(Platform.BETPAWA, f"{BETPAWA_EVENTS}/lists/by-queries", q='{"queries":[{"take":1}]}', _t="2", more="3")
    assert said(site, wanted) == answer
    other = ask(Platform.BETPAWA, f"{BETPAWA_EVENTS}/lists/by-queries", q='{"queries":[{"take":2}]}')
    assert site.answer(other).status == 400


def sportybet_event(number: int, tournament: str = "t1", status: int = 0) -> dict[str, object]:
    """Build a small SportyBet event."""
    category = {"id": "c1", "name": "Elsewhere", "tournament": {"id": tournament, "name": "Cup"}}
    return {
        "eventId": f"sr:match:{number}",
        "status": status,
        "sport": {"category": category},
        "markets": [{"id": "1"}],
    }


def test_a_recorded_post_is_answered_to_its_own_body(tmp_path: Path) -> None:
    """Any other body is answered with a list generated from everything known."""
    body = [{"sportId": "sr:sport:1", "marketId": "1", "tournamentId": [["t1"]]}]
    answer = {"bizCode": 10000, "data": [{"id": "t1", "events": [sportybet_event(1)], "mark": "recorded"}]}
    path = "/api/ng/factsCenter/pcEvents"
    record(
        tmp_path,
        {"bookmaker": "sportybet", "method": "POST", "path": path, "body": body, "says": answer},
        {
            "bookmaker": "sportybet",
            "path": "/api/ng/factsCenter/event",
            "query": {"eventId": "sr:match:2", "productId": "3"},
            "says": {"bizCode": 10000, "data": sportybet_event(2)},
        },
        {
            "bookmaker": "sportybet",
            "path": "/api/ng/factsCenter/event",
            "query": {"eventId": "sr:match:3", "productId": "1"},
            "says": {"bizCode": 10000, "data": sportybet_event(3, status=1)},
        },
    )
    site = replayed(tmp_path, Platform.SPORTYBET)
    assert said(site, ask(Platform.SPORTYBET, path, "POST", body)) == answer
    assert [event["eventId"] for event in events_of(site)] == ["sr:match:1", "sr:match:2"]
    assert said(site, detail_ask(Platform.SPORTYBET, "sr:match:2"))["data"]["eventId"] == "sr:match:2"
    live = ask(Platform.SPORTYBET, "/api/ng/factsCenter/event", eventId="sr:match:3", productId="1", _t="1")
    assert said(site, live)["data"]["status"] == 1
    assert site.answer(detail_ask(Platform.SPORTYBET, "sr:match:3")).status == 404
    assert site.answer(detail_ask(Platform.SPORTYBET, "sr:match:1")).status == 404


def test_pages_that_were_not_recorded_have_the_events_that_the_recorded_ones_lack(tmp_path: Path) -> None:
    """Page 1 is as recorded, page 2 has everything else that is known, page 3 is empty."""
    page = {"bizCode": 10000, "data": {"totalNum": 900, "tournaments": [{"id": "t1", "events": [sportybet_event(1)]}]}}
    query = {"pageSize": "100", "pageNum": "1", "marketId": "1"}
    record(
        tmp_path,
        {"bookmaker": "sportybet", "path": UPCOMING, "query": query, "says": page},
        {
            "bookmaker": "sportybet",
            "path": "/api/ng/factsCenter/event",
            "query": {"eventId": "sr:match:2"},
            "says": {"bizCode": 10000, "data": sportybet_event(2)},
        },
    )
    site = replayed(tmp_path, Platform.SPORTYBET)
    pages = [said(site, ask(Platform.SPORTYBET, UPCOMING, **{**query, "pageNum": str(n)}))["data"] for n in (1, 2, 3)]
    assert pages[0] == page["data"]
    ids = [[e["eventId"] for t in page["tournaments"] for e in t["events"]] for page in pages]
    assert ids == [["sr:match:1"], ["sr:match:2"], []]


def test_a_recorded_refusal_of_the_tree_gives_way_to_a_made_one(tmp_path: Path) -> None:
    """Bet9ja: the group and the event are found. A body with D alone gets its envelope back."""
    listed = {"ID": 1, "GID": 50, "GN": "Cup", "SGID": 5, "SG": "Elsewhere", "SPORT": "Soccer", "O": {"S_1X2_1": "2"}}
    event = {**listed, "ID": 2, "GID": 60, "O": {"S_1X2_1": "2", "S_XYZ_1": "3"}, "MK": [], "TRANS": {}}
    record(
        tmp_path,
        {"bookmaker": "bet9ja", "path": GET_SPORTS, "status": 403, "content_type": "text/html", "says": b"<HTML>"},
        {
            "bookmaker": "bet9ja",
            "path": "/desktop/feapi/PalimpsestAjax/GetEventsInGroupV2",
            "query": {"GROUPID": "50"},
            "says": {"D": {"E": [listed]}},
        },
        {
            "bookmaker": "bet9ja",
            "path": "/desktop/feapi/PalimpsestAjax/GetEvent",
            "query": {"EVENTID": "2", "v_cache_version": "1.2"},
            "says": {"R": "OK", "D": event},
        },
    )
    site = replayed(tmp_path, Platform.BET9JA)
    found = {event["ID"]: event for event in events_of(site)}
    assert set(found) == {1, 2}
    assert found[2]["O"] == {"S_1X2_1": "2"}
    assert "MK" not in found[2]
    group = ask(Platform.BET9JA, "/desktop/feapi/PalimpsestAjax/GetEventsInGroupV2", GROUPID="50", DISP="0")
    assert said(site, group) == {"R": "OK", "D": {"E": [listed]}}
    assert said(site, detail_ask(Platform.BET9JA, "2"))["D"] == event
    assert site.answer(detail_ask(Platform.BET9JA, "1")).status == 404
    assert site.refuse(Ask("GET", GET_SPORTS)) is not None, "a client without a Referer is refused as ever"


def msport_event(number: int, status: int | None = 0) -> dict[str, object]:
    """Build a small event of MSport, as in its own body."""
    names = {"homeTeam": "A", "awayTeam": "B", "startTime": 1_778_065_200_000}
    where = {"category": "Elsewhere", "tournament": "Cup", "tournamentId": "sr:tournament:1"}
    return {"eventId": f"sr:match:{number}", **names, **where, "status": status, "markets": [{"id": 1}]}


def test_events_of_msport_are_listed_without_markets_unless_they_have_started(tmp_path: Path) -> None:
    """A page that was recorded answers its own cursor only, and the made list goes on after it."""
    listed = {name: msport_event(9)[name] for name in ("eventId", "homeTeam", "awayTeam", "startTime")}
    tournament = {"category": "Elsewhere", "tournament": "Cup", "tournamentId": "sr:tournament:1", "events": [listed]}
    page = {"bizCode": 10000, "data": {"tournaments": [tournament], "lastEventId": "sr:match:9"}}
    details = [(2, msport_event(2)), (3, msport_event(3, status=1)), (4, msport_event(4, status=None))]
    record(
        tmp_path,
        {
            "bookmaker": "msport",
            "path": f"{MSPORT_PATH}/sports-matches-list",
            "query": {"sportId": "sr:sport:1", "limit": "100"},
            "says": page,
        },
        *(
            {
                "bookmaker": "msport",
                "path": f"{MSPORT_PATH}/match/detail",
                "query": {"eventId": f"sr:match:{number}", "productId": "3"},
                "says": {"bizCode": 10000, "data": event},
            }
            for number, event in details
        ),
    )
    site = replayed(tmp_path, MSPORT)
    pages = msport_pages(site)
    assert pages[0] == page["data"]
    assert [[event["eventId"] for event in events_on(each)] for each in pages] == [
        ["sr:match:9"],
        ["sr:match:2", "sr:match:4"],
    ]
    assert not any("markets" in event for event in events_of(site))
    assert said(site, detail_ask(MSPORT, "sr:match:3"))["data"]["status"] == 1
    assert site.answer(detail_ask(MSPORT, "sr:match:9")).status == 404


def test_events_of_betking_are_listed_on_their_day_with_the_main_markets(tmp_path: Path) -> None:
    """From all copies of an event in its own body, and from lists of a day."""
    one = {
        "ItemID": 5,
        "ItemName": "A - B",
        "ItemDate": "2026-11-25T00:30:00+02:00",
        "TournamentId": 1,
        "TournamentName": "Cup",
        "CategoryId": 2,
        "CategoryName": "Elsewhere",
        "OddsCollection": [{"OddsType": {"OddsTypeID": 110}}],
    }
    copies = [one, {**one, "OddsCollection": [{"OddsType": {"OddsTypeID": 190}}, {"OddsType": {"OddsTypeID": 160}}]}]
    body = {"AreaMatches": [{"Items": [copy]} for copy in copies], "TotalNoOfItems": 1}
    day = {"AreaMatches": [{"Items": [{**one, "ItemID": 6}]}], "TotalNoOfItems": 1}
    record(
        tmp_path,
        {"bookmaker": "betking", "path": f"{BETKING_PATH}/event/en/1/5/0", "says": body},
        {"bookmaker": "betking", "path": f"{BETKING_PATH}/GetEvents/en/2026-11-20/0/0/1", "says": day},
    )
    site = replayed(tmp_path, BETKING)
    assert said(site, ask(BETKING, f"{BETKING_PATH}/GetEvents/en/2026-11-20/0/0/1")) == day
    made = said(site, ask(BETKING, f"{BETKING_PATH}/GetEvents/en/2026-11-25/0/0/1"))
    items = {item["ItemID"]: item for area in made["AreaMatches"] for item in area["Items"]}
    assert (set(items), made["TotalNoOfItems"]) == ({5, 6}, 2)
    assert [odds["OddsType"]["OddsTypeID"] for odds in items[5]["OddsCollection"]] == [110, 160]
    assert said(site, detail_ask(BETKING, "5")) == body
    assert site.answer(detail_ask(BETKING, "6")).status == 404


def test_a_body_recorded_compressed_is_opened(tmp_path: Path) -> None:
    """`content_encoding` declares the compression."""
    record(
        tmp_path,
        {
            "bookmaker": "betpawa",
            "path": f"{BETPAWA_EVENTS}/5",
            "content_encoding": "gzip",
            "says": gzip.compress(orjson.dumps(betpawa_event("5"))),
        },
    )
    assert said(replayed(tmp_path, Platform.BETPAWA), detail_ask(Platform.BETPAWA, "5"))["id"] == "5"


@pytest.mark.parametrize(
    "text",
    [
        b"not json",
        b"{}",
        b"[7]",
        b'[{"bookmaker":"ladbrokes","path":"/","file":"requests.json"}]',
        b'[{"bookmaker":"betpawa","path":"/","file":"missing.json"}]',
        b'[{"bookmaker":"betpawa","path":"/","file":"../../etc/passwd"}]',
        b'[{"bookmaker":"betpawa","path":"/","file":"requests.json","query":[]}, 1]',
    ],
)
def test_a_folder_that_is_no_recording_is_refused(tmp_path: Path, text: bytes) -> None:
    """The error names the file. Files outside the folder are never served."""
    (tmp_path / "requests.json").write_bytes(text)
    with pytest.raises(ValueError, match=r"requests\.json"):
        Recording.load(tmp_path)
    with pytest.raises(ValueError, match=r"it has no requests\.json"):
        SandboxOptions(replay=tmp_path / "elsewhere")


async def test_the_odds_of_a_replay_do_not_change(tmp_path: Path) -> None:
    """The answer is 409. Faults can still be set."""
    record(tmp_path, {"bookmaker": "betpawa", "path": f"{BETPAWA_EVENTS}/5", "says": betpawa_event("5")})
    client = create_sandbox(SandboxOptions(replay=tmp_path)).test_client()
    assert (await client.post("/_sandbox/odds", json={"changes": 1})).status_code == 409
    assert (await client.post("/_sandbox/faults", json={"betpawa": "404"})).status_code == 200
    response = await client.get(f"{BETPAWA_EVENTS}/5", headers=HEADERS[Platform.BETPAWA])
    assert response.status_code == 404
    state = await (await client.get("/_sandbox/state")).get_json()
    assert (state["events"], state["bookmakers"]["betpawa"]["events"]) == (None, 1)


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("platform", "external_id", "listed", "size"),
    [
        (Platform.BETPAWA, "33289995", 5, 372_634),
        (Platform.SPORTYBET, "sr:match:68995116", 8, 545_450),
        (Platform.BET9JA, "769895636", 3, 337_450),
        (MSPORT, "sr:match:68995116", 2, 290_720),
    ],
)
def test_the_event_recorded_everywhere_is_found_at_each(
    recorded: Path, platform: Platform, external_id: str, listed: int, size: int
) -> None:
    """It is found from the generated tree down, and its body is the recorded file. Merely listed events answer 404."""
    site = replayed(recorded, platform)
    ids = [str(e.get("eventId") or e.get("id") or e.get("ID")) for e in events_of(site)]
    assert external_id in ids
    assert len(ids) == listed
    answers = {event_id: site.answer(detail_ask(platform, event_id)) for event_id in ids}
    assert len(answers[external_id].write()) == size
    assert {answer.status for event_id, answer in answers.items() if event_id != external_id} <= {200, 404}
    assert (404 in {answer.status for answer in answers.values()}) == (platform is not MSPORT)
