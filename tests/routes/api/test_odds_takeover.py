"""A cache that is cleared and refilled, as when another process's odds are loaded: nothing stale is served."""

from datetime import timedelta
from typing import Any

import pytest

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.platforms import Platform
from quart_odds.odds.snapshots import take
from quart_odds.routes.pages.rows import EventRows
from tests.odds.making import OVER_UNDER, X1, header, key, mapped
from tests.odds.serving import Served, served

HOME = key("1x2_ft", "1")
OPPORTUNITIES = "/api/opportunities?suspicious=true"
AGES = {"age_seconds", "oldest_age_seconds", "lifetime_seconds", "first_seen_at"}
ONE_X_TWO = CATALOGUE.by_slug["1x2_ft"]


async def fill(app: Served, home: float, more: dict[int, float] | None = None) -> None:
    """Record one event at two bookmakers, always with the same ids and the same time."""
    for platform in (Platform.BETPAWA, Platform.BET9JA):
        event = header(platform, f"{platform}-1", "11", kickoff=app.now + timedelta(hours=2))
        odds = X1 | (more or {}) | ({HOME: home} if platform is Platform.BET9JA else {})
        await app.odds_service.record(mapped(event, odds), app.now)


@pytest.mark.parametrize("path", ["/api/events", "/api/events/1", OPPORTUNITIES, "/api/coverage/markets"])
async def test_nothing_of_before_is_served_nor_taken_for_fresh(path: str) -> None:
    """The body is new, and a client that has the old one is not answered 304."""
    async with served(filled=False) as app:
        await fill(app, 2.4)
        before = await app.client.get(path)
        old = await before.get_json()
        app.odds_service.cache.clear()
        await fill(app, 9.0, OVER_UNDER)
        after = await app.client.get(path, headers={"If-None-Match": before.headers["ETag"]})
        assert after.status_code == 200
        new: Any = await after.get_json()
    assert new != old
    assert {"/api/coverage/markets": "'bet9ja': 1"}.get(path, "9.0") in str(new)


def without_ages(value: Any) -> Any:
    """Return a JSON value without ages, which depend on the time of the answer."""
    if isinstance(value, dict):
        return {name: without_ages(each) for name, each in value.items() if name not in AGES}
    return [without_ages(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", ["/api/events", "/api/events/1", OPPORTUNITIES, "/api/coverage/markets"])
async def test_after_a_snapshot_nothing_of_before_is_served(path: str) -> None:
    """The answers are those of the process of which it was taken, although both have used the same revisions."""
    async with served(filled=False) as app, served(filled=False) as other:
        other.now = app.now
        await fill(app, 2.4)
        await fill(other, 9.0, OVER_UNDER)
        assert app.odds_service.cache.revision == other.odds_service.cache.revision
        before = await app.client.get(path)
        take(other.odds_service.cache).restore(app.odds_service.cache)
        after = await app.client.get(path, headers={"If-None-Match": before.headers["ETag"]})
        expected = await other.client.get(path)
        assert after.status_code == 200
        assert without_ages(await after.get_json()) == without_ages(await expected.get_json())
        if path != OPPORTUNITIES:
            assert after.headers["ETag"] == expected.headers["ETag"]
        assert after.headers.get("Odds-Cursor") == expected.headers.get("Odds-Cursor")


async def test_rows_of_pages_are_made_anew() -> None:
    """The table of events shows the new odds."""
    async with served(filled=False) as app:
        cache, rows = app.odds_service.cache, EventRows(stale_after=timedelta(minutes=5))
        await fill(app, 2.4)
        assert "9.00" not in rows.html(cache.by_kickoff(), ONE_X_TWO, None)[0]
        cache.clear()
        await fill(app, 9.0)
        assert "9.00" in rows.html(cache.by_kickoff(), ONE_X_TWO, None)[0]


async def test_restored_events_are_not_taken_for_those_before() -> None:
    """Versions continue after odds are restored from storage, so that no cached page matches by chance."""
    async with served(filled=False) as app, served(filled=False) as other:
        cache = app.odds_service.cache
        await fill(app, 2.4)
        first = await app.client.get("/api/events")
        await fill(other, 9.0)
        event = other.odds_service.cache.events[1]
        cache.clear()
        cache.restore(event, list(event.odds.values()))
        again = await app.client.get("/api/events", headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 200
        assert again.headers["Odds-Cursor"].split("-")[0] != first.headers["Odds-Cursor"].split("-")[0]


async def test_restored_events_that_are_the_same_are_not_sent_again() -> None:
    """A tag names what the page says, so it is good at each process, and after a restart."""
    async with served(filled=False) as app:
        cache = app.odds_service.cache
        await fill(app, 2.4)
        first = await app.client.get("/api/events")
        event = cache.events[1]
        odds = list(event.odds.values())
        cache.clear()
        cache.restore(event, odds)
        again = await app.client.get("/api/events", headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 304
        assert again.headers["Odds-Cursor"].split("-")[0] != first.headers["Odds-Cursor"].split("-")[0]


async def test_two_processes_never_share_a_tag() -> None:
    """A client that switches to a process with other odds but equal counts gets that process's odds."""
    async with served(filled=False) as one, served(filled=False) as other:
        await fill(one, 2.4)
        await fill(other, 9.0)
        assert one.odds_service.cache.version == other.odds_service.cache.version
        tag = (await one.client.get("/api/events")).headers["ETag"]
        assert (await other.client.get("/api/events", headers={"If-None-Match": tag})).status_code == 200


async def test_a_cursor_is_good_at_a_process_that_is_behind() -> None:
    """Such a process has nothing new for the client, and does not make it begin at an earlier place.

    Otherwise the next answers would have states from before those that the client has.
    """
    async with served(filled=False) as ahead, served(filled=False) as behind:
        behind.now = ahead.now
        await behind.odds_service.take_over()
        await fill(ahead, 2.4)
        take(ahead.odds_service.cache).restore(behind.odds_service.cache)
        await fill(ahead, 2.5)
        await fill(ahead, 2.6)
        cursor = (await ahead.client.get("/api/events")).headers["Odds-Cursor"]
        for home, found in ((2.5, []), (2.6, []), (2.7, [1])):
            answer = await behind.client.get(f"/api/events?changed_since={cursor}")
            assert answer.headers["Odds-Cursor"] == cursor
            await fill(behind, home)
            answer = await behind.client.get(f"/api/events?changed_since={cursor}")
            assert [each["id"] for each in (await answer.get_json())["events"]] == found
        assert answer.headers["Odds-Cursor"] != cursor
