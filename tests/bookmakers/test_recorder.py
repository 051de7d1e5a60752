"""Recording of bodies with their requests, in a folder that can be replayed."""

import gzip
from pathlib import Path

import orjson
from aiohttp import web

from quart_odds.bookmakers import Recorder, open_client
from quart_odds.domain.platforms import Platform
from tests.bookmakers.fake_site import serving, settings_for
from tests.bookmakers.wire import SPORTYBET, SPORTYBET_DATA, SPORTYBET_TREE, asked, dumps


async def sportybet(request: web.Request) -> web.Response:
    """Answer like the site, compressed."""
    body: object = SPORTYBET
    if request.path.endswith("popularAndSportList"):
        body = SPORTYBET_TREE
    elif request.path.endswith("pcEvents"):
        body = {"bizCode": 10000, "data": [{"id": "sr:tournament:5", "events": [SPORTYBET_DATA]}]}
    headers = {"content-encoding": "gzip", "content-type": "application/json;charset=UTF-8"}
    return web.Response(body=gzip.compress(dumps(body)), headers=headers)


async def test_a_recording_has_every_request_and_its_plain_body(tmp_path: Path) -> None:
    """In the form that a replay reads: method, path, query, JSON body, status, content type, file."""
    header = asked(Platform.SPORTYBET, "sr:match:70000001")
    async with serving(sportybet) as site, Recorder(tmp_path) as recorder:
        client = open_client(Platform.SPORTYBET, settings_for(site.url), recorder=recorder)
        assert [found.header.external_id async for found in client.discover()] == ["sr:match:70000001"]
        await client.fetch(header)
        await client.fetch(header)
        await client.aclose()
    entries = orjson.loads((tmp_path / "requests.json").read_bytes())
    assert [(entry["method"], entry["path"].rpartition("/")[2]) for entry in entries] == [
        ("GET", "popularAndSportList"),
        ("POST", "pcEvents"),
        ("GET", "event"),
    ]
    assert entries[1]["body"] == [
        {"sportId": "sr:sport:1", "marketId": "1,10,18,29", "tournamentId": [["sr:tournament:5"]]}
    ]
    event = entries[2]
    assert event.pop("file").startswith("sportybet/event_")
    assert event == {
        "bookmaker": "sportybet",
        "method": "GET",
        "path": "/api/ng/factsCenter/event",
        "query": {"eventId": "sr:match:70000001", "productId": "3"},
        "body": None,
        "status": 200,
        "content_type": "application/json",
    }
    bodies = [orjson.loads((tmp_path / file).read_bytes()) for file in sorted(tmp_path.glob("sportybet/*.json"))]
    assert SPORTYBET in bodies
    assert len(bodies) == 3


async def test_a_second_recording_adds_to_the_first(tmp_path: Path) -> None:
    """The same request is overwritten, and another one is added."""
    for event_id in ("sr:match:1", "sr:match:2", "sr:match:2"):
        async with serving(sportybet) as site, Recorder(tmp_path) as recorder:
            client = open_client(Platform.SPORTYBET, settings_for(site.url), recorder=recorder)
            await client.fetch(asked(Platform.SPORTYBET, event_id))
            await client.aclose()
    entries = orjson.loads((tmp_path / "requests.json").read_bytes())
    assert [entry["query"]["eventId"] for entry in entries] == ["sr:match:1", "sr:match:2"]
    assert not list(tmp_path.glob(".*"))


async def test_what_cannot_be_decompressed_is_not_recorded(tmp_path: Path) -> None:
    """The fetch continues, and decoding reports the error."""

    async def damaged(request: web.Request) -> web.Response:
        return web.Response(body=b"no gzip", headers={"content-encoding": "gzip"})

    async with serving(damaged) as site, Recorder(tmp_path) as recorder:
        client = open_client(Platform.SPORTYBET, settings_for(site.url), recorder=recorder)
        assert (await client.fetch(asked(Platform.SPORTYBET, "sr:match:1"))).content == b"no gzip"
        await client.aclose()
    assert orjson.loads((tmp_path / "requests.json").read_bytes()) == []
