"""Which events the odds page shows, in which order, what it offers instead and what it exports: over HTTP alone."""

import csv
import io
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import pytest_asyncio
from werkzeug.datastructures import MultiDict

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import Competition
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from quart_odds.odds.ports import StoredMoves
from quart_odds.odds.recent_moves import RecentMoves
from quart_odds.odds.row_figures import figures_of
from quart_odds.routes.api.export_size import size_words
from quart_odds.routes.api.requests import read_query
from quart_odds.routes.pages.listing import day_range, listing_of
from quart_odds.routes.pages.order import EventOrder
from quart_odds.routes.pages.query import OddsPageQuery
from tests.apps import RunningApp, running_app
from tests.odds.making import NOW, OVER_UNDER, PREMIER, STALE_AFTER, X1, header, key, mapped, minutes_on, seconds_on
from tests.platforms import FIRST_THREE

pytestmark = pytest.mark.asyncio(loop_scope="module")

BETPAWA, SPORTYBET, BET9JA = FIRST_THREE
LA_LIGA = Competition("8", "La Liga", "Spain")
LONG = Competition("9", "Campeonato " + "x" * 50, "A country with a <very> long & odd name")
ONE_X_TWO = CATALOGUE.by_slug["1x2_ft"]
HTML = {"Accept": "text/html"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApp]:
    """An app with five events, of which nobody lists the last one any more, for tests that only read."""
    async with running_app(tmp_path_factory.mktemp("listing"), "http://127.0.0.1:9") as opened:
        now, service = utc_now(), opened.parts.odds_service
        for number, (competition, hours, platforms) in enumerate(
            (
                (PREMIER, 2, FIRST_THREE),
                (PREMIER, 3, (SPORTYBET, BET9JA)),
                (LA_LIGA, 50, (BETPAWA, SPORTYBET)),
                (LONG, 400, (BET9JA,)),
                (LONG, 410, (BET9JA,)),
            ),
            start=1,
        ):
            for platform in platforms:
                away = {key("1x2_ft", "2"): 3.0 + number / 10}
                event = header(
                    platform,
                    f"{platform}-{number}",
                    str(number),
                    kickoff=now + timedelta(hours=hours),
                    home=f"Home {number}",
                    competition=competition,
                )
                await service.record(mapped(event, X1 | away | OVER_UNDER), now)
        gone = opened.parts.odds_service.cache.withdraw(BET9JA, "bet9ja-5", now)
        assert gone is not None
        await service.confirm()
        yield opened


async def text_of(app: RunningApp, query: str) -> str:
    """Return the odds page."""
    response = await app.client.get(f"/odds?{query}", headers=HTML)
    assert response.status_code == 200
    text: str = await response.get_data(as_text=True)
    return text


def ids(page: str) -> list[int]:
    """Return the ids of the events on a page, in their order."""
    return [int(each) for each in re.findall(r'class="r" id="e(\d+)"', page)]


def part(page: str, name: str) -> str:
    """Return what follows the element with this id, to the end of the page."""
    return page.partition(f'id="{name}"')[2]


def links(page: str, within: str = "") -> dict[str, str]:
    """Return the addresses of the links in what follows an element, by their words."""
    found = re.findall(r'<a href="([^"]*)"[^>]*>(.*?)</a>', part(page, within) if within else page, re.DOTALL)
    return {unescape(re.sub("<[^>]*>", "", words)): unescape(address) for address, words in found}


async def test_events_that_nobody_lists_are_shown_if_asked(app: RunningApp) -> None:
    """The list begins without them; the switch is part of the address, and ticked."""
    assert ids(await text_of(app, "")) == [1, 2, 3, 4]
    with_gone = await text_of(app, "gone=1")
    assert ids(with_gone) == [1, 2, 3, 4, 5]
    assert re.search(r'name="gone" value="1" checked', with_gone)


async def test_competitions_and_countries_are_chosen_together(app: RunningApp) -> None:
    """A country stands for all its competitions. Each competition is offered once, with the number of its events."""
    page = await text_of(app, "")
    places = part(page, "place-list").partition("</details>")[0]
    offered = re.findall(r'name="(\w+)" value="([^"]*)".*?<small>(\d+)', places)
    premier = next(value for name, value, count in offered if name == "tournament_ids" and count == "2")
    assert [(name, count) for name, _, count in offered] == [
        (name, count) for count in ("1", "2", "1") for name in ("countries", "tournament_ids")
    ]
    assert unescape(offered[0][1]) == LONG.country
    assert ids(await text_of(app, f"tournament_ids={premier}")) == [1, 2]
    assert ids(await text_of(app, "countries=spain")) == [3]
    both = await text_of(app, f"tournament_ids={premier}&countries=Spain")
    assert ids(both) == [1, 2, 3]
    assert part(both, "place-list").partition("</details>")[0].count(" checked") == 2
    assert part(both, "place-list").partition("</details>")[0].count("<small>") == 6, "others can still be chosen"
    assert ids(await text_of(app, "tournament_ids=999")) == []


async def test_every_filter_stays_in_every_link_of_the_page(app: RunningApp) -> None:
    """Of another market, another page and each filter, which is removed alone."""
    query = "search=home&min_bookmakers=2&countries=England&countries=Spain&gone=1&sort=margin&page_size=1&date=all"
    page = await text_of(app, f"{query}&bookmakers=sportybet,betpawa,bet9ja")
    wanted = parse_qs(query) | {"bookmakers": ["sportybet,betpawa,bet9ja"]}
    del wanted["date"]
    for words, also in (("Double chance", {"market": ["dc"]}), ("Later", {"market": ["1x2"], "page": ["2"]})):
        assert parse_qs(urlsplit(links(page)[words]).query) == wanted | also
    chips = links(page, "chips")
    del wanted["search"]
    assert parse_qs(urlsplit(chips["“home”: remove this filter"]).query) == wanted | {"market": ["1x2"]}
    cleared = parse_qs(urlsplit(chips["Clear all"]).query)
    assert set(cleared) == {"market", "bookmakers", "gone", "sort", "page_size"}


async def test_page_without_events_names_its_filters_and_finds_some(app: RunningApp) -> None:
    """Each way out has the number of events that it leads to; what would lead to none is not offered."""
    page = await text_of(app, "search=nobody&countries=Spain&min_bookmakers=3")
    assert ids(page) == []
    said = unescape(part(page, "nothing-title"))
    assert "No event is all of this: “nobody” · Spain · at 3 bookmakers or more" in said
    ways = links(page, "nothing-title")
    assert "without any of these" in ways
    assert not any(words.startswith("without “nobody”") for words in ways)
    for words, address in ways.items():
        if words.startswith(("with", "at all")):
            count = re.search(rf"{re.escape(words)}</a>: (\d+) event", said)
            assert count is not None
            assert len(ids(await text_of(app, urlsplit(address).query))) == int(count[1]) > 0
    gone = links(await text_of(app, "search=5"), "nothing-title")
    assert "with those that no bookmaker lists any more" in gone
    chosen = links(await text_of(app, "search=4&bookmakers=betpawa"), "nothing-title")
    assert "bookmakers" not in parse_qs(urlsplit(chosen["at all bookmakers"]).query)


async def test_page_before_the_first_run_offers_one(tmp_path: Path) -> None:
    """It says what will be there, and has the button."""
    async with running_app(tmp_path, "http://127.0.0.1:9") as empty:
        page = await text_of(empty, "")
        assert "No odds yet" in page
        assert '<form method="post" action="/runs">' in page
        assert "No events to export" in page


@pytest.mark.parametrize(
    "query",
    [
        "",
        "market=ou&line=2.5",
        "countries=Spain&gone=1",
        "tournament_ids=1&countries=Spain",
        "search=home&min_bookmakers=2&bookmakers=sportybet,bet9ja",
        "date=today&tz=Pacific/Kiritimati&sort=margin",
        "bookmakers=bet9ja&page_size=1",
    ],
)
async def test_export_has_exactly_what_the_page_shows(query: str, app: RunningApp) -> None:
    """The same events at the same bookmakers, of all pages, with the shown market alone or with all markets."""
    page = await text_of(app, f"{query}&page_size=100" if "page_size" not in query else query)
    shown = ids(page) if "page_size" not in query else ids(await text_of(app, "bookmakers=bet9ja"))
    asked = read_query(OddsPageQuery, MultiDict(parse_qsl(query)))
    found = re.findall(r'href="(/api/export\?format=csv[^"]*)"[^>]*>CSV</a> <small[^>]*>(\d+) KB', page)
    assert len(found) == 2 or not shown
    for place, (address, kilobytes) in enumerate(found):
        response = await app.client.get(unescape(address))
        text = await response.get_data(as_text=True)
        rows = list(csv.DictReader(io.StringIO(text)))
        assert {int(row["event_id"]) for row in rows} == set(shown)
        assert not asked.bookmakers or {row["bookmaker"] for row in rows} <= set(asked.bookmakers)
        assert ({row["market"] for row in rows} == {"Over/Under" if asked.market == "ou" else "1X2"}) == (place == 0)
        assert int(kilobytes) * 1000 > len(text) / 2


async def test_unknown_zone_is_refused(app: RunningApp) -> None:
    """The name of a file is no zone either."""
    for zone in ("Mars/Base", "../etc/passwd", "/etc/localtime", "x" * 70):
        response = await app.client.get(f"/odds?date=today&tz={zone}", headers=HTML)
        assert response.status_code == 400
        assert "time zone such as" in await response.get_data(as_text=True)


@pytest.mark.parametrize(
    ("date", "zone", "at", "first", "last"),
    [
        ("today", "", "2026-11-22T10:00", "2026-11-22T00:00", "2026-11-23T00:00"),
        ("today", "Africa/Lagos", "2026-11-22T23:30", "2026-11-22T23:00", "2026-11-23T23:00"),
        ("tomorrow", "America/New_York", "2026-11-23T02:00", "2026-11-23T05:00", "2026-11-24T05:00"),
        ("today", "America/New_York", "2026-11-01T15:00", "2026-11-01T04:00", "2026-11-02T05:00"),
        ("weekend", "", "2026-11-20T23:59", "2026-11-21T00:00", "2026-11-23T00:00"),
        ("weekend", "", "2026-11-21T00:00", "2026-11-21T00:00", "2026-11-23T00:00"),
        ("weekend", "", "2026-11-22T23:59", "2026-11-21T00:00", "2026-11-23T00:00"),
        ("weekend", "", "2026-11-23T00:00", "2026-11-28T00:00", "2026-11-30T00:00"),
    ],
)
async def test_days_are_those_of_the_zone(date: str, zone: str, at: str, first: str, last: str) -> None:
    """From midnight to midnight, also on the day that has an hour more. On a Sunday the weekend is this one."""
    query = read_query(OddsPageQuery, MultiDict({"date": date, "tz": zone}))
    found = day_range(query, datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert found is not None
    assert found[0] == datetime.fromisoformat(first).replace(tzinfo=UTC)
    assert found[1] + timedelta(microseconds=1) == datetime.fromisoformat(last).replace(tzinfo=UTC)


def with_prices(cache: OddsCache, number: int, seen: float, **odds: tuple[float, float, float]) -> None:
    """List an event at bookmakers with these 1X2 odds, seen so many seconds after NOW."""
    for slug, prices in odds.items():
        event = header(Platform.of(slug), f"{slug}-{number}", str(number), kickoff=minutes_on(60 + number))
        keys = [key("1x2_ft", name) for name in ("1", "X", "2")]
        cache.apply(mapped(event, dict(zip(keys, prices, strict=True))), seconds_on(seen))


async def sorted_ids(cache: OddsCache, order: EventOrder, query: str, now: datetime = NOW) -> list[int]:
    """Return the ids of all events in the order that a query asks for."""
    found = await listing_of(cache, order, read_query(OddsPageQuery, MultiDict(parse_qsl(query))), now)
    return [event.id for event in found.events]


async def test_rows_are_sorted_by_what_they_show() -> None:
    """The lowest margin, the highest value, the newest or oldest prices first; without a figure last, by kick-off."""
    cache, order = OddsCache(), EventOrder(STALE_AFTER)
    with_prices(cache, 1, 0, betpawa=(2.0, 3.0, 4.0), sportybet=(2.0, 3.0, 4.0))
    with_prices(cache, 2, 9, betpawa=(2.2, 3.3, 4.4), sportybet=(2.1, 3.2, 4.3))
    with_prices(cache, 3, 5, betpawa=(2.0, 3.0, 4.0))
    with_prices(cache, 4, 7, betpawa=(2.1, 3.1, 4.1), sportybet=(2.1, 3.1, 4.9))
    cache.apply(mapped(header(BETPAWA, "none", "5", kickoff=minutes_on(90)), {}), NOW)
    now = seconds_on(10)
    assert await sorted_ids(cache, order, "sort=margin", now) == [2, 4, 1, 3, 5]
    assert await sorted_ids(cache, order, "sort=age", now) == [2, 4, 3, 1, 5]
    assert await sorted_ids(cache, order, "sort=-age", now) == [1, 3, 4, 2, 5]
    figures = {event.id: figures_of(event, ONE_X_TWO, None, None, now, STALE_AFTER) for event in cache.by_kickoff()}
    values = {number: [each.value_percent or -99 for each in row.outcomes] for number, row in figures.items()}
    assert sorted(max(each) > -99 for each in values.values()) == [False, True, True, True, True]
    assert await sorted_ids(cache, order, "sort=value", now) == sorted(values, key=lambda number: -max(values[number]))
    assert await sorted_ids(cache, order, "sort=margin&market=btts", now) == [1, 2, 3, 4, 5]
    assert await sorted_ids(cache, order, "sort=margin&bookmakers=betpawa", now) == [1, 2, 3, 4, 5], "nothing compares"


async def test_order_follows_changes_and_the_age_of_prices() -> None:
    """Figures that are kept are right: an event that changed has a new one, and what rests on old prices has none."""
    cache, order = OddsCache(), EventOrder(STALE_AFTER)
    with_prices(cache, 1, 0, betpawa=(2.0, 3.0, 4.0), sportybet=(2.0, 3.0, 4.0))
    with_prices(cache, 2, 0, betpawa=(2.2, 3.3, 4.4), sportybet=(2.1, 3.1, 4.1))
    assert await sorted_ids(cache, order, "sort=margin") == [2, 1]
    assert await sorted_ids(cache, order, "sort=value") == [2, 1]
    assert await sorted_ids(cache, order, "sort=value", NOW + STALE_AFTER + timedelta(seconds=1)) == [1, 2]
    with_prices(cache, 1, 1, betpawa=(2.4, 3.6, 4.8))
    assert await sorted_ids(cache, order, "sort=margin", seconds_on(1)) == [1, 2]


async def test_rows_that_moved_most_within_an_hour_come_first() -> None:
    """Up or down. Rows that did not move follow by kick-off, and those of which nothing is known."""
    cache, now = OddsCache(), minutes_on(0)
    moves = RecentMoves(cache, cast("StoredMoves", None), {ONE_X_TWO.number}, clock=lambda: now)
    order = EventOrder(STALE_AFTER, moves)
    home = key("1x2_ft", "1")

    def offer(number: int, odds: float, minute: float) -> None:
        event = header(BETPAWA, f"e{number}", str(number), kickoff=minutes_on(600 + number))
        moves.note(cache.apply(mapped(event, X1 | {home: odds}), minutes_on(minute)))

    for number in (1, 2, 3, 4):
        offer(number, 2.0, 0)
    now = minutes_on(100)
    for number, odds in ((2, 2.1), (3, 1.6), (4, 2.2)):
        offer(number, odds, 100)
    assert await sorted_ids(cache, order, "sort=movement", now) == [3, 4, 2, 1]
    offer(1, 4.0, 110)
    now = minutes_on(110)
    assert await sorted_ids(cache, order, "sort=movement", now) == [1, 3, 4, 2]
    now = minutes_on(165)
    assert await sorted_ids(cache, order, "sort=movement", now) == [1, 2, 3, 4], "the others moved longer ago"
    assert await sorted_ids(cache, EventOrder(STALE_AFTER), "sort=movement", now) == [1, 2, 3, 4]


async def test_sizes_have_few_digits() -> None:
    """A reader compares them at a glance."""
    assert [size_words(each) for each in (1, 3_999, 999_000, 1_240_000, 378_400_000, 2_000_000_000)] == [
        "1 KB",
        "4 KB",
        "999 KB",
        "1.2 MB",
        "378 MB",
        "2,000 MB",
    ]


async def test_times_beyond_all_years_in_utc_are_shown_as_they_are(app: RunningApp) -> None:
    """Such a filter finds nothing or everything, and is no error."""
    assert ids(await text_of(app, "kickoff_from=0001-01-01T00:00:00%2B23:59")) == [1, 2, 3, 4]
    assert ids(await text_of(app, "kickoff_from=9999-12-31T23:59:59-23:59")) == []
