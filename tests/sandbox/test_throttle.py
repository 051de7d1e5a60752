"""The sandbox as its clients see it: successful answers, compressed and counted, and every fault."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

import orjson
import pytest
from quart import Quart, Response
from quart.typing import TestClientProtocol as QuartClient

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import STAND_INS, SandboxOptions, create_sandbox, parse_faults
from quart_odds.sandbox.app import generated_sites
from quart_odds.sandbox.faults.corrupt import BOMB_BYTES, bomb
from quart_odds.sandbox.faults.faults import FaultBoard
from quart_odds.sandbox.server import cut_connection
from quart_odds.sandbox.sites.answers import Answer
from quart_odds.sandbox.throttle import Kept, Throttle
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import BETKING, BETKING_PATH, HEADERS, MSPORT, MSPORT_PATH, NOW, detail_ask, queries

CATEGORIES = "/api/sportsbook/v4/categories/list/2"
SPORTS = "/desktop/feapi/PalimpsestAjax/GetSports"
GROUP = "/desktop/feapi/PalimpsestAjax/GetEventsInGroupV2"
UPCOMING = "/api/ng/factsCenter/pcUpcomingEvents"
PC_EVENTS = "/api/ng/factsCenter/pcEvents"
LIST = "/api/sportsbook/v4/events/lists/by-queries"
BOTH = {**HEADERS[Platform.BETPAWA], **HEADERS[Platform.BET9JA]}


def client_of(faults: str = "", **options: Any) -> QuartClient:
    """Create a client for a sandbox of sixty events with these faults."""
    options = {"move": 0, "bookmakers": FIRST_THREE, **options}
    given = parse_faults(faults, options["bookmakers"])
    app: Quart = create_sandbox(SandboxOptions(faults=given, **options), now=lambda: NOW)
    return app.test_client()


async def get(client: QuartClient, path: str, **headers: str) -> Response:
    """Send a GET with the headers that the bookmakers require."""
    response = await client.get(path, headers={**BOTH, **headers})
    assert isinstance(response, Response)
    return response


async def data_of(response: Response) -> bytes:
    """Return the body's bytes."""
    return await response.get_data(as_text=False)


async def listed(client: QuartClient) -> list[dict[str, Any]]:
    """Return BetPawa's events of one competition."""
    response = await get(client, f"{LIST}?q={queries(['11001'])}")
    events: list[dict[str, Any]] = (await response.get_json())["responses"][0]["responses"]
    return events


@pytest.fixture
async def first_event() -> str:
    """Return the path of BetPawa's first event."""
    return f"/api/sportsbook/v4/events/{(await listed(client_of()))[0]['id']}"


async def test_a_bookmaker_refuses_other_methods_and_huge_requests() -> None:
    """Neither is counted as a request."""
    client = client_of()
    assert (await client.delete(SPORTS)).status_code == 405
    assert (await client.post(PC_EVENTS, data=b"x" * 1_000_001)).status_code == 413
    state = await (await get(client, "/_sandbox/state")).get_json()
    assert {of["requests"] for of in state["bookmakers"].values()} == {0}


async def test_the_bookmakers_are_on_one_port_distinguished_by_path() -> None:
    """One request to each bookmaker is counted there."""
    client = client_of(bookmakers=STAND_INS)
    assert (await get(client, CATEGORIES)).status_code == 200
    assert (await get(client, SPORTS)).status_code == 200
    assert (await get(client, "/api/gh/factsCenter/popularAndSportList?sportId=sr:sport:1")).status_code == 200
    assert (await get(client, f"{MSPORT_PATH}/sports-matches-list?sportId=sr:sport:1")).status_code == 200
    assert (await get(client, f"{BETKING_PATH}/event/en/1/1/0", **HEADERS[BETKING])).status_code == 200
    assert (await get(client, "/elsewhere")).status_code == 404
    state = await (await get(client, "/_sandbox/state")).get_json()
    assert {name: of["requests"] for name, of in state["bookmakers"].items()} == dict.fromkeys(STAND_INS, 1)


async def test_only_the_bookmakers_asked_for_are_there() -> None:
    """The state, the faults and the odds have no other, and the addresses of others are unknown."""
    client = client_of(bookmakers=(Platform.BET9JA, MSPORT))
    state = await (await get(client, "/_sandbox/state")).get_json()
    assert {*state["bookmakers"]} == {*state["faults"]} == {"bet9ja", "msport"}
    assert (await get(client, CATEGORIES)).status_code == 404
    assert (await get(client, SPORTS)).status_code == 200
    assert (await client.post("/_sandbox/faults", json={"betpawa": "403"})).status_code == 400
    done = (await (await client.post("/_sandbox/odds", json={"changes": 40})).get_json())["changes"]
    assert {change["bookmaker"] for change in done} == {"bet9ja", "msport"}
    wanted = {"sportradar_id": done[0]["sportradar_id"], "bookmaker": "betpawa", "market": "3743", "outcome": "1"}
    refused = await client.post("/_sandbox/odds", json={**wanted, "odds": 2})
    assert (await refused.get_json())["error"] == "bookmaker 'betpawa' is not one of bet9ja, msport"


async def test_an_answer_is_compressed_where_the_client_takes_gzip(first_event: str) -> None:
    """It decompresses to the same body."""
    client = client_of()
    plain = await get(client, first_event)
    packed = await get(client, first_event, **{"accept-encoding": "gzip, deflate"})
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(await data_of(packed)) == await data_of(plain)


async def test_requests_under_way_at_once_are_counted() -> None:
    """The maximum is counted per bookmaker."""
    client = client_of(latency_ms=30, jitter_ms=10)
    await asyncio.gather(*(get(client, CATEGORIES) for _ in range(7)), *(get(client, SPORTS) for _ in range(3)))
    state = await (await get(client, "/_sandbox/state")).get_json()
    most = {name: of["most_active"] for name, of in state["bookmakers"].items()}
    assert most == {"betpawa": 7, "bet9ja": 3, "sportybet": 0}
    assert all(of["active"] == 0 for of in state["bookmakers"].values())


def test_a_body_is_written_once_while_it_does_not_change() -> None:
    """A new version replaces the old one, and the least recently used are removed."""
    written: list[int] = []

    def answer(key: str, version: int) -> Answer:
        def write() -> bytes:
            written.append(version)
            return b"x" * 1000

        return Answer(write, key=key, version=version)

    kept = Kept(limit_bytes=2500)
    for version in (1, 1, 2, 2):
        assert kept.body(answer("a", version), "s", is_gzip=False) == (b"x" * 1000, False)
    assert written == [1, 2]
    for key in ("b", "c", "a"):
        kept.body(answer(key, 2), "s", is_gzip=False)
    assert len(written) == 5


@pytest.mark.parametrize(
    ("fault", "status", "content_type"),
    [("403", 403, "text/html"), ("500", 500, "application/json"), ("429", 429, "application/json")],
)
async def test_a_refusal_is_for_that_bookmaker_alone(fault: str, status: int, content_type: str) -> None:
    """It affects lists and details of that bookmaker and of no other."""
    client = client_of(f"betpawa={fault}")
    response = await get(client, CATEGORIES)
    assert (response.status_code, response.mimetype) == (status, content_type)
    assert "Retry-After" not in response.headers
    assert (await get(client, SPORTS)).status_code == 200


async def test_a_429_can_say_when_to_come_again() -> None:
    """Retry-After is in seconds."""
    client = client_of("betpawa=429-retry-after")
    assert (await get(client, CATEGORIES)).headers["Retry-After"] == "1"


async def test_500_then_fine_is_well_at_the_second_try(first_event: str) -> None:
    """Each address is counted separately."""
    client = client_of("betpawa=500-then-fine")
    for path in (CATEGORIES, first_event):
        assert [(await get(client, path)).status_code for _ in range(3)] == [500, 200, 200]


async def test_404_strikes_one_event() -> None:
    """All other events are found."""
    client = client_of("betpawa=404")
    state = await (await get(client_of(), CATEGORIES)).get_json()
    ids = [c["competition"]["id"] for r in state["withRegions"][0]["regions"] for c in r["competitions"]]
    response = await get(client, f"{LIST}?q={queries(ids)}")
    events = (await response.get_json())["responses"][0]["responses"]
    statuses = [(await get(client, f"/api/sportsbook/v4/events/{event['id']}")).status_code for event in events]
    assert sorted(statuses) == [200] * (len(events) - 1) + [404]


async def test_cut_json_is_a_whole_answer_that_ends_in_the_middle(first_event: str) -> None:
    """The status is 200, but the body is not valid JSON."""
    body = await data_of(await get(client_of("betpawa=cut"), first_event))
    assert body.startswith(b'{"id":')
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)


async def test_wrong_shape_and_wrong_types_are_valid_json(first_event: str) -> None:
    """One has nothing that is expected, the other the right keys with texts and numbers swapped."""
    assert isinstance(await (await get(client_of("betpawa=wrong-shape"), first_event)).get_json(), list)
    event = await (await get(client_of("betpawa=wrong-types"), first_event)).get_json()
    assert event["id"] == 7
    assert event["markets"][0]["row"][0]["prices"][0]["odds"] == "seven"


@pytest.mark.parametrize(("fault", "expected"), [("empty", [0]), ("duplicates", [28]), ("half", range(2, 13))])
async def test_lists_are_emptied_halved_or_doubled_and_the_tree_stays(fault: str, expected: list[int]) -> None:
    """At all three bookmakers, whose lists of England's Premier League have at most fourteen events."""
    client, good = client_of(f"all={fault}"), client_of()
    everywhere = {}
    for name, of in (("good", good), ("struck", client)):
        response = await of.post(
            PC_EVENTS,
            json=[{"sportId": "sr:sport:1", "marketId": "1", "tournamentId": [["sr:tournament:1"]]}],
        )
        sporty = [e["eventId"] for t in (await response.get_json())["data"] for e in t["events"]]
        group = (await (await get(of, f"{GROUP}?GROUPID=170001")).get_json())["D"]["E"]
        everywhere[name] = [[e["id"] for e in await listed(of)], sporty, [e["ID"] for e in group]]
    for before, after in zip(everywhere["good"], everywhere["struck"], strict=True):
        assert set(after) <= set(before)
        if fault == "half":
            assert 0 < len(after) < len(before)
        else:
            assert len(after) == (0 if fault == "empty" else 2 * len(before))
    assert await (await get(client, CATEGORIES)).get_json() == await (await get(good, CATEGORIES)).get_json()


async def all_pages(client: QuartClient, pages: int = 5) -> dict[Platform, list[list[str]]]:
    """Return the ids on the first pages of BetPawa's and SportyBet's lists, without those that fail."""
    found: dict[Platform, list[list[str]]] = {Platform.BETPAWA: [], Platform.SPORTYBET: []}
    for number in range(pages):
        response = await get(client, f"{LIST}?q={queries([], skip=100 * number)}")
        body = await response.get_json() if response.status_code == 200 else {"responses": []}
        found[Platform.BETPAWA].append([e["id"] for of in body["responses"] for e in of["responses"]])
        response = await get(client, f"{UPCOMING}?marketId=1&pageSize=100&pageNum={number + 1}&option=2")
        body = await response.get_json() if response.status_code == 200 else {"data": {"tournaments": []}}
        found[Platform.SPORTYBET].append([e["eventId"] for of in body["data"]["tournaments"] for e in of["events"]])
    return found


async def test_a_short_list_lacks_some_events_that_totals_and_trees_count() -> None:
    """One in ten, or the share that is given, and always the same ones."""
    everywhere = await all_pages(client_of(events=300, markets=10))
    for fault, share in (("short-list", 0.1), ("short-list:0.4", 0.4)):
        client = client_of(f"all={fault}", events=300, markets=10)
        found = await all_pages(client)
        assert found == await all_pages(client)
        for platform, pages in found.items():
            events, good = [*chain(*pages)], [*chain(*everywhere[platform])]
            assert set(events) < set(good)
            assert share / 2 < 1 - len(events) / len(good) < share * 1.5
        body = await (await get(client, f"{UPCOMING}?marketId=1&pageSize=100&pageNum=1&option=2")).get_json()
        assert body["data"]["totalNum"] == sum(map(len, everywhere[Platform.SPORTYBET]))
        tree = await (await get(client, SPORTS)).get_json()
        soccer = tree["D"]["PAL"]["1"]
        groups = {id_: group["NUM"] for country in soccer["SG"].values() for id_, group in country["G"].items()}
        listed = [len((await (await get(client, f"{GROUP}?GROUPID={id_}")).get_json())["D"]["E"]) for id_ in groups]
        assert sum(groups.values()) == soccer["NUM"]
        assert share / 2 < 1 - sum(listed) / soccer["NUM"] < share * 1.5


async def test_a_list_shifts_by_an_event_between_pages() -> None:
    """`shift` loses one event for good; `shifting-list` also brings another one twice. Pages stay full."""
    everywhere = await all_pages(client_of(events=300, markets=10))
    for fault, missed, twice in (("shift", [1], []), ("shifting-list", [1], [2])):
        found = await all_pages(client_of(f"all={fault}", events=300, markets=10))
        for platform, pages in found.items():
            good, events = [*chain(*everywhere[platform])], [*chain(*pages)]
            assert [good.index(event) // 100 for event in good if event not in events] == missed
            assert sorted(good.index(event) // 100 for event in set(events) if events.count(event) == 2) == twice
            assert len(pages[1]) == 100


@pytest.mark.parametrize(("fault", "status"), [("500@page", 500), ("403@page", 403)])
async def test_one_page_of_a_list_fails_each_time(fault: str, status: int) -> None:
    """The second one. Where lists have no pages one of them fails. Trees and details do not."""
    client = client_of(f"all={fault}", events=300, markets=10)
    everywhere = await all_pages(client_of(events=300, markets=10))
    for _ in range(2):
        found = await all_pages(client)
        for platform, pages in found.items():
            assert pages == [everywhere[platform][0], [], *everywhere[platform][2:]]
    tree = await (await get(client, SPORTS)).get_json()
    groups = [id_ for country in tree["D"]["PAL"]["1"]["SG"].values() for id_ in country["G"]]
    statuses = [(await get(client, f"{GROUP}?GROUPID={id_}")).status_code for id_ in groups]
    assert sorted(statuses) == [200] * (len(groups) - 1) + [status]
    statuses = []
    for number in range(1, 10):
        body = [{"sportId": "sr:sport:1", "marketId": "1", "tournamentId": [[f"sr:tournament:{number}"]]}]
        statuses += [(await client.post(PC_EVENTS, json=body)).status_code]
    assert statuses.count(status) <= 1
    event = everywhere[Platform.BETPAWA][1][0]
    assert (await get(client, f"/api/sportsbook/v4/events/{event}")).status_code == 200
    assert (await get(client, CATEGORIES)).status_code == 200


async def test_requests_for_lists_and_details_are_counted_separately(first_event: str) -> None:
    """Together with the busiest second and ten seconds."""
    client = client_of()
    for path in (CATEGORIES, f"{LIST}?q={queries(['11001'])}", first_event, first_event, first_event):
        await get(client, path)
    state = (await (await get(client, "/_sandbox/state")).get_json())["bookmakers"]
    assert (state["betpawa"]["list_requests"], state["betpawa"]["detail_requests"]) == (2, 3)
    assert 0 < state["betpawa"]["busiest_second"] <= state["betpawa"]["busiest_ten_seconds"] == 5
    assert state["bet9ja"]["busiest_ten_seconds"] == state["bet9ja"]["list_requests"] == 0


@pytest.mark.parametrize("platform", FIRST_THREE)
async def test_a_huge_event_has_five_thousand_markets(platform: Platform) -> None:
    """The event has each bookmaker's own structure."""
    client = client_of(f"{platform}=huge:1.0")
    if platform is Platform.BETPAWA:
        event = (await listed(client))[0]["id"]
        assert len((await (await get(client, f"/api/sportsbook/v4/events/{event}")).get_json())["markets"]) == 5000
    elif platform is Platform.SPORTYBET:
        body = [{"sportId": "sr:sport:1", "marketId": "1", "tournamentId": [["sr:tournament:1"]]}]
        event = (await (await client.post(PC_EVENTS, json=body)).get_json())["data"][0]["events"][0]["eventId"]
        detail = await get(client, f"/api/ng/factsCenter/event?eventId={event}&productId=3")
        assert len((await detail.get_json())["data"]["markets"]) == 5000
    else:
        event = (await (await get(client, f"{GROUP}?GROUPID=170001")).get_json())["D"]["E"][0]["ID"]
        odds = (await (await get(client, f"/desktop/feapi/PalimpsestAjax/GetEvent?EVENTID={event}")).get_json())["D"][
            "O"
        ]
        assert len({key.partition("@")[0] for key in odds}) > 5000


async def test_a_redirect_leads_back_to_where_it_came_from() -> None:
    """It never ends, and the query differs each time."""
    client = client_of("betpawa=redirect")
    path = CATEGORIES
    for _ in range(25):
        response = await get(client, path)
        assert response.status_code == 302
        assert response.headers["Location"] != path
        path = response.headers["Location"]
        assert path.startswith(CATEGORIES)


async def test_a_bomb_is_small_until_it_is_opened() -> None:
    """Half a megabyte of gzip, and 512 MB after decompression."""
    response = await get(client_of("betpawa=bomb"), CATEGORIES)
    assert response.headers["Content-Encoding"] == "gzip"
    packed = await data_of(response)
    assert len(packed) < 1_000_000
    opener, size, rest = zlib.decompressobj(wbits=31), 0, bomb()
    while rest:
        size += len(opener.decompress(rest, 1 << 24))
        rest = opener.unconsumed_tail
    assert size == BOMB_BYTES + len(b'{"data":[]}')
    assert opener.eof


async def test_a_timeout_is_an_answer_that_does_not_come() -> None:
    """Only details of the named event, by SportRadar id, are affected."""
    good = await listed(client_of())
    sportradar_id = next(w["id"] for w in good[0]["widgets"] if w["type"] == "SPORTRADAR")
    client = client_of()
    fault = {"kind": "timeout", "events": [sportradar_id]}
    await client.post("/_sandbox/faults", json={"betpawa": fault})
    async with client.request(f"/api/sportsbook/v4/events/{good[0]['id']}", headers=BOTH) as connection:
        await connection.send_complete()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await connection.receive()
        await connection.disconnect()
    assert (await get(client, f"/api/sportsbook/v4/events/{good[1]['id']}")).status_code == 200


async def test_a_drip_comes_a_few_bytes_at_a_time(first_event: str) -> None:
    """The first bytes arrive at once, the last after minutes."""
    client = client_of("betpawa=drip")
    async with client.request(first_event, headers=BOTH) as connection:
        await connection.send_complete()
        async with asyncio.timeout(30):
            first = await connection.receive()
            second = await connection.receive()
        await connection.disconnect()
    assert (first + second).startswith(b'{"id":"')
    assert len(first + second) <= 16


async def test_faults_are_changed_while_it_runs() -> None:
    """Faults can be set, read and cleared. An invalid one is rejected with a message and changes nothing."""
    client = client_of()
    response = await client.post("/_sandbox/faults", json={"betpawa": "500", "bet9ja": {"kind": "cut", "share": 0.5}})
    faults = await response.get_json()
    assert faults["betpawa"] == {"kind": "500", "where": "all"}
    assert faults["bet9ja"] == {"kind": "cut", "share": 0.5, "where": "details"}
    assert (await get(client, CATEGORIES)).status_code == 500
    mistakes: tuple[object, ...] = (
        {"betpawa": "nonsense"},
        {"ladbrokes": "500"},
        [],
        {"sportybet": "500", "bet9ja": 7},
    )
    for wrong in mistakes:
        refused = await client.post("/_sandbox/faults", json=wrong)
        assert refused.status_code == 400
        assert (await refused.get_json())["error"]
    assert await (await get(client, "/_sandbox/faults")).get_json() == faults
    await client.post("/_sandbox/faults", json={"betpawa": None})
    assert (await get(client, CATEGORIES)).status_code == 200
    assert (await client.post("/_sandbox/faults", data="no json")).status_code == 400


async def test_a_warm_gate_writes_nothing_when_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """All bodies are already written, and warming is not a request: the first answer has the initial prices."""
    options = SandboxOptions(events=5, bookmakers=FIRST_THREE)
    _, bookmakers = generated_sites(options, NOW)
    throttle = Throttle(options, FaultBoard(), cut_connection)
    throttle.warm(bookmakers)
    site = bookmakers[Platform.BETPAWA]
    before = site.shelf.untouched_detail(str(site.shelf.first_event))
    assert before is not None
    packed, _ = throttle.kept.body(before, Platform.BETPAWA, is_gzip=True)
    monkeypatch.setattr("quart_odds.sandbox.sites.books.write_detail", None)
    answer = site.answer(detail_ask(Platform.BETPAWA, str(site.shelf.first_event)))
    assert throttle.kept.body(answer, Platform.BETPAWA, is_gzip=True) == (packed, True)


@pytest.fixture(autouse=True)
async def _no_hanging_test() -> AsyncIterator[None]:
    async with asyncio.timeout(60):
        yield
