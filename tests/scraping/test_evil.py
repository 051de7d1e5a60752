"""A hostile bookmaker: its own part of a run ends with a reason, and the other bookmakers are not affected."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from quart_odds.bookmakers import discovery
from quart_odds.domain.platforms import Platform
from quart_odds.odds import cache as cache_module
from quart_odds.odds.candidates import MAX_CANDIDATES
from quart_odds.scraping import coordinator as coordinator_module
from tests.apps import Json, RunningApp, Sandbox, running_app, running_sandbox
from tests.bookmakers.fake_site import FakeSite, serving
from tests.scraping.evil import EvilBookmaker, deep, known_market, wide

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
EVENTS = 8


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Good bookmakers, of which two are used."""
    with running_sandbox("--events", str(EVENTS), "--markets", "12") as found:
        yield found


@asynccontextmanager
async def beside(
    evil: EvilBookmaker, sandbox: Sandbox, folder: Path, **settings: Any
) -> AsyncIterator[tuple[RunningApp, FakeSite]]:
    """Run an app whose BetPawa is the hostile bookmaker."""
    async with serving(evil) as site, running_app(folder, sandbox.url, betpawa_url=site.url, **settings) as running:
        yield running, site


def part(row: Json, platform: Platform) -> Json:
    """Return a run's result at a bookmaker."""
    [found] = [each for each in row["platforms"] if each["platform"] == platform]
    result: Json = found
    return result


def check_others(row: Json) -> None:
    """The other two completed, with all their events."""
    for platform in (SPORTYBET, BET9JA):
        result = part(row, platform)
        assert (result["status"], result["events_scraped"], result["error"]) == ("completed", EVENTS, None)


@pytest.mark.parametrize(
    ("kind", "body", "words"),
    [
        ("root", wide(600_000), "JSON of more than 400000 values"),
        ("list", wide(600_000), "JSON of more than 400000 values"),
        ("event", wide(600_000), "JSON of more than 400000 values"),
        ("root", deep(5_000), "JSON of more than 64 levels"),
        ("list", deep(5_000), "JSON of more than 64 levels"),
        ("event", deep(5_000), "JSON of more than 64 levels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "body",
)
@pytest.mark.parametrize("workers", [0, 1])
async def test_costly_json_fails_its_bookmaker_alone(
    kind: str, body: bytes, words: str, workers: int, sandbox: Sandbox, tmp_path: Path
) -> None:
    """It does not matter in which response it is, and which process decodes it."""
    async with beside(EvilBookmaker(bodies={kind: body}), sandbox, tmp_path, decode_workers=workers) as (running, _):
        row, _ = await running.scrape()
        assert row["status"] == "partial"
        assert part(row, BETPAWA)["error"]["error_type"] == "malformed_body"
        assert words in part(row, BETPAWA)["error"]["error_message"]
        check_others(row)


async def test_a_list_without_an_end_is_reported_and_marks_nothing_gone(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its events are recorded up to the limit; known events that are not listed now stay."""
    monkeypatch.setattr(discovery, "MAX_PAGES", 2)
    evil = EvilBookmaker(events=3)
    async with beside(evil, sandbox, tmp_path) as (running, _):
        row, _ = await running.scrape(BETPAWA)
        assert row["status"] == "completed"
        evil.is_endless = True
        row, published = await running.scrape()
        assert row["status"] == "completed"
        assert [(each["error_type"], each["platform"]) for each in row["errors"]] == [("list_limit", "betpawa")]
        assert "a list of more than 2 pages" in row["errors"][0]["error_message"]
        assert any(
            "more than 2 pages" in (each["message"] or "") for each in published if each["platform"] == "betpawa"
        )
        check_others(row)
        cache = running.parts.odds_service.cache
        assert len([event for event in cache.events.values() if BETPAWA in event.odds]) == 195


async def test_after_a_limit_nothing_is_missed(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that is cut off at a limit lacks later events, which does not mean that they are missing."""
    evil = EvilBookmaker(events=150)
    async with beside(evil, sandbox, tmp_path) as (running, _):
        await running.scrape(BETPAWA)
        monkeypatch.setattr(discovery, "MAX_PAGES", 1)
        row, _ = await running.scrape(BETPAWA)
        assert [each["error_type"] for each in row["errors"]] == ["list_limit"]
        odds = [
            event_odds
            for event in running.parts.odds_service.cache.events.values()
            for event_odds in event.odds.values()
        ]
        assert len(odds) == 150
        assert not any(event_odds.is_absent for event_odds in odds)


async def test_one_id_for_all_events_matches_none_of_them(sandbox: Sandbox, tmp_path: Path) -> None:
    """The events are kept, but each stands alone."""
    async with beside(EvilBookmaker(events=60, radar=lambda _: "77777777"), sandbox, tmp_path) as (running, _):
        row, _ = await running.scrape()
        assert row["status"] == "completed"
        assert part(row, BETPAWA)["events_scraped"] == 60 > MAX_CANDIDATES
        cache = running.parts.odds_service.cache
        assert cache.find("77777777") is None
        assert {len(event.odds) for event in cache.events.values() if BETPAWA in event.odds} == {1}
        check_others(row)


async def test_more_events_than_any_bookmaker_has_are_not_taken_in(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In run after run, its known events are updated, further ones fail, and other bookmakers are not affected."""
    monkeypatch.setattr(cache_module, "MAX_EVENTS", 25)
    async with beside(EvilBookmaker(events=40), sandbox, tmp_path) as (running, _):
        for _ in range(2):
            row, _ = await running.scrape()
            assert (part(row, BETPAWA)["events_scraped"], part(row, BETPAWA)["events_failed"]) == (25, 15)
            assert [(each["error_type"], each["count"]) for each in row["errors"]] == [("too_much", 15)]
            assert "25 events are known, and no more are taken in" in row["errors"][0]["error_message"]
            check_others(row)


async def test_more_prices_than_any_bookmaker_has_are_not_taken_in(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is for one run, over all events together."""
    monkeypatch.setattr(coordinator_module, "MAX_PRICES", 70)
    async with beside(EvilBookmaker(events=40), sandbox, tmp_path) as (running, _):
        row, _ = await running.scrape(BETPAWA)
        assert (part(row, BETPAWA)["events_scraped"], part(row, BETPAWA)["events_failed"]) == (23, 17)
        assert [each["error_type"] for each in row["errors"]] == ["too_much"]


def unknown(number: int) -> list[Any]:
    """Return a known market, and an unknown one with an id of a megabyte that is different for each event."""
    return [
        known_market(),
        {"marketType": {"id": f"{number}-" + "u" * 1_000_000, "displayName": "M" * 9999}, "row": []},
    ]


async def test_endless_ids_of_unknown_markets_are_kept_short(sandbox: Sandbox, tmp_path: Path) -> None:
    """They are short in memory and in responses."""
    async with beside(EvilBookmaker(events=12, markets=unknown), sandbox, tmp_path) as (running, _):
        row, _ = await running.scrape(BETPAWA)
        assert row["status"] == "completed"
        counts = running.parts.odds_service.unmapped.counts()
        assert len(counts) == 12
        assert {len(market.market_id) for _, market, _ in counts} == {120}
        response = await running.client.get("/api/coverage/markets")
        assert len(await response.get_data()) < 100_000


ENOUGH_LAGS = 1500
"""Number of measurements of the event loop's lag that are enough for a 99th percentile."""


@pytest.mark.endurance
@pytest.mark.parametrize("kind", ["wide lists", "wide events", "one id", "endless", "unknown markets"])
async def test_the_loop_answers_while_a_bookmaker_lies(kind: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """With bodies of the maximum size, the event loop's lag and the process's memory stay within the limits."""
    evil = {
        "wide lists": EvilBookmaker(competitions=400, bodies={"list": wide()}),
        "wide events": EvilBookmaker(events=200, bodies={"event": wide()}),
        "one id": EvilBookmaker(events=5000, radar=lambda _: "77777777"),
        "endless": EvilBookmaker(is_endless=True, competitions=2000),
        "unknown markets": EvilBookmaker(events=100, markets=unknown),
    }[kind]
    if not evil.bodies and not evil.is_endless:
        evil.prepare()
    lags: list[float] = []

    async def watch() -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.01)
            lags.append(loop.time() - began - 0.01)

    settings = {"decode_workers": 1, "max_body_bytes": 16_000_000, "request_tries": 1, "platform_deadline_seconds": 120}
    async with beside(evil, sandbox, tmp_path, **settings) as (running, _):
        watching = asyncio.create_task(watch())
        try:
            async with asyncio.timeout(300):
                row, _ = await running.scrape()
                # In a run of only a second, the 99th percentile would be the single worst measurement.
                while len(lags) < ENOUGH_LAGS:
                    row, _ = await running.scrape()
        finally:
            watching.cancel()
        check_others(row)
    assert sorted(lags)[int(len(lags) * 0.99)] <= 0.05
    assert resident_bytes() <= 400_000_000


def resident_bytes() -> int:
    """Return the memory use of this process, which includes the tests and the hostile bookmaker."""
    fields = Path("/proc/self/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096
