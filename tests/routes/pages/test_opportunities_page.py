"""The page of opportunities: prices to back with their stakes, what is listed apart and why, and what is over."""

import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qsl

import orjson
import pytest

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.odds.past_opportunities import PastOpportunity
from quart_odds.routes.pages.opportunities import OpportunitiesPageQuery
from quart_odds.routes.pages.opportunity_view import money, worth_words
from quart_odds.routes.pages.row_words import fair_source_words
from tests.apps import RunningApp, running_app
from tests.odds.making import header, key, mapped
from tests.routes.pages.conftest import Visit
from tests.routes.pages.test_alerts_page import text_of
from tests.server.serving import Server

NOWHERE = "http://127.0.0.1:9"
OVER, UNDER = key("over_under_ft", "Over", 2.5), key("over_under_ft", "Under", 2.5)
HIGHER = key("over_under_ft", "Under", 3.5)
LONG = "Borussia Verein fuer Leibesuebungen neunzehnhundert Moenchen"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app without odds."""
    async with running_app(tmp_path, NOWHERE) as opened:
        yield opened


async def offer(
    running: RunningApp, platform: Platform, odds: dict[int, float], name: str = "a", *, age: float = 0
) -> None:
    """Record a bookmaker's odds of an event, fetched `age` seconds ago."""
    kickoff = utc_now() + timedelta(hours=3)
    event = header(platform, name, name, kickoff=kickoff, home=f"{LONG} {name}")
    await running.parts.odds_service.record(mapped(event, odds), utc_now() - timedelta(seconds=age))


async def offer_arbitrage(running: RunningApp, name: str = "a", *, age: float = 0, odds: float = 2.1) -> None:
    """Record an arbitrage between two bookmakers, with a value bet in it."""
    await offer(running, Platform.BETPAWA, {OVER: odds, UNDER: 1.8}, name, age=age)
    await offer(running, Platform.SPORTYBET, {OVER: 1.8, UNDER: 2.1}, name)


async def markup(running: RunningApp, query: str = "", status: int = 200) -> str:
    """Return the page."""
    response = await running.client.get(f"/opportunities?{query}", headers={"Accept": "text/html"})
    text = await response.get_data(as_text=True)
    assert response.status_code == status, text
    return text


async def said(running: RunningApp, query: str = "") -> str:
    """Return what the page says, with single spaces."""
    return text_of(await markup(running, query))


async def test_an_empty_page_says_what_will_be_there(running: RunningApp) -> None:
    """Before the first run it leads to one; later it waits, or leads away from filters that leave nothing."""
    assert "There are no odds yet. Start a run" in await said(running)
    await offer(running, Platform.BETPAWA, {OVER: 1.9, UNDER: 1.8})
    assert "There is none now." in await said(running)
    assert "Nothing matches these filters. Show all" in await said(running, "min_margin=5")
    assert "Nothing is listed apart now." in await said(running, "suspicious=true")
    assert "Nothing is over yet." in await said(running, "past=true")


async def test_prices_to_back_are_shown_with_profit_age_and_the_way_to_the_match(running: RunningApp) -> None:
    """A profit is called one, has no arrow, and says what it is of."""
    await offer_arbitrage(running, age=40)
    page = await markup(running)
    text = text_of(page)
    assert "Over/Under" in text
    assert "Over 2.5 2.10 BP BetPawa" in text
    assert "Under 2.5 2.10 SB SportyBet" in text
    assert "profit 5.00 %" in text
    assert "▲" not in text
    assert 'data-topics="opportunities" data-pace="4000"' in page
    assert "Oldest price 40 s ago" in text
    assert "There for" in text
    assert 'href="/odds/1?market=5000&amp;line=2.5"' in page
    assert 'data-odds="2100"' in page
    assert "stake" not in text.split("Under 2.5 2.10")[1]


async def test_a_bank_is_shared_and_rounding_may_leave_nothing(running: RunningApp) -> None:
    """The stakes are whole steps; the profit is that of the stakes."""
    await offer_arbitrage(running)
    fine = await said(running, "bank=10000&rounding=100")
    assert "stake 5,000" in fine
    assert "profit 500 after rounding, 5.00 % of 10,000 staked" in fine
    assert "no stakes in these steps profit" in await said(running, "bank=1000&rounding=1000")
    value = await said(running, "kind=value&bank=10000&rounding=10")
    assert "fair odds" in value
    assert "Kelly:" in value
    assert " or loses " in value


async def test_rounding_may_turn_a_profit_into_a_loss(running: RunningApp) -> None:
    """It is said what it loses, although the prices themselves are worth more than they cost."""
    await offer(running, Platform.BETPAWA, {OVER: 13.76, UNDER: 1.01})
    await offer(running, Platform.SPORTYBET, {OVER: 10.0, UNDER: 1.085})
    text = await said(running, "bank=10")
    assert "profit 0.5" in text
    assert "no profit after rounding: loses 0.235 at worst, of 10 staked" in text


async def test_a_middle_says_what_it_loses_at_worst_and_gains_at_best(running: RunningApp) -> None:
    """Both lines are named."""
    await offer(running, Platform.BETPAWA, {OVER: 1.98})
    await offer(running, Platform.SPORTYBET, {HIGHER: 1.98})
    text = await said(running, "kind=middle&bank=100")
    assert "Over 2.5" in text
    assert "Under 3.5" in text
    assert "loss 1.00 % at worst" in text
    assert "profit 98.00 % between the lines" in text
    assert "loses 1 at worst, wins 98 at best, of 100 staked" in text


async def test_what_should_not_be_believed_is_apart_with_the_reason(running: RunningApp) -> None:
    """It is below the others, and has a list of its own."""
    await offer_arbitrage(running, "old", age=900)
    assert "There is none now: the prices are older than 5 min. Start a run" in await said(running)
    await offer_arbitrage(running, "new")
    both = await said(running)
    assert both.index("new") < both.index("Listed apart 1 of 1") < both.index("Its oldest price is too old")
    alone = await said(running, "suspicious=true")
    assert "Its oldest price is too old, so it may be gone." in alone
    assert f"{LONG} new" not in alone
    assert f"{LONG} old" in alone
    assert "Its oldest price is too old" not in await said(running, "max_age_seconds=1000")


async def test_the_bookmakers_the_least_worth_and_the_page_are_in_the_address(running: RunningApp) -> None:
    """Links keep what was chosen. The export has the same bookmakers."""
    for name, odds in (("a", 2.05), ("b", 2.1), ("c", 2.2)):
        await offer_arbitrage(running, name, odds=odds)
    page = await markup(running, "page_size=2&min_margin=1&bank=50&bookmakers=betpawa,sportybet")
    assert page.count('class="deal"') == 2
    further = re.search(r'<a id="p-next" href="([^"]*)"', page)
    assert further is not None
    path, query = html.unescape(further[1]).split("?")
    kept = {"page": "2", "page_size": "2", "min_margin": "1.0", "bank": "50", "bookmakers": "betpawa,sportybet"}
    assert (path, dict(parse_qsl(query))) == ("/opportunities", kept)
    assert page.index(f"{LONG} c") < page.index(f"{LONG} b")
    export = re.search(r'<a href="(/api/export[^"]*)"', page)
    assert export is not None
    rows = await running.client.get(html.unescape(export[1]) + "&format=jsonl")
    exported = [orjson.loads(line) for line in (await rows.get_data()).splitlines()]
    assert [(each["kind"], each["reasons"]) for each in exported] == [("arbitrage", None)] * 6
    assert (await markup(running, "page_size=2&page=2")).count('class="deal"') == 1
    assert "There is none now" not in await said(running, "bookmakers=betpawa")
    assert "Nothing matches these filters" in await said(running, "bookmakers=betpawa")


async def test_fields_left_empty_are_as_if_they_were_not_there(running: RunningApp) -> None:
    """A browser sends all fields of a form. What is no number is refused."""
    await offer_arbitrage(running)
    text = await said(running, "min_margin=&bank=&rounding=&max_age_seconds=")
    assert "profit 5.00 %" in text
    assert "bank" in text_of(await markup(running, "bank=much", 400))


def test_an_address_has_only_what_was_chosen() -> None:
    """And it reads back as the same query."""
    query = OpportunitiesPageQuery.model_validate({"bank": "50.50", "bookmakers": "bet9ja,betpawa", "page": "3"})
    assert query.address() == "/opportunities?bank=50.50&bookmakers=bet9ja,betpawa"
    assert query.address(kind="value", bank=None, bookmakers=None, page=2) == "/opportunities?page=2&kind=value"
    assert query.address(suspicious=True, bank=None, bookmakers=None) == "/opportunities?suspicious=true"
    assert OpportunitiesPageQuery().address() == "/opportunities"


async def test_those_that_are_over_say_how_long_they_were_there(running: RunningApp) -> None:
    """With what they were worth at best and in the end, those first that ended last."""
    at = utc_now() - timedelta(minutes=5)
    past = [
        PastOpportunity(
            event_id=number,
            event_name=f"match {number}",
            kickoff=at + timedelta(hours=1),
            kind="arbitrage",
            keys=(OVER, UNDER),
            platforms=(Platform.BETPAWA, Platform.BET9JA),
            margin=0.5,
            best_margin=float(number),
            first_seen_at=at - timedelta(seconds=90),
            ended_at=at + timedelta(seconds=number),
        )
        for number in (1, 2)
    ]
    await running.parts.store.add_past_opportunities(past, running.parts.store.term)
    text = await said(running, "past=true&kind=all")
    assert text.index("match 2") < text.index("match 1")
    assert (
        "Arbitrage, Over/Under Over 2.5 at BetPawa Under 2.5 at Bet9ja profit 2.00 % profit 0.50 % 1 min 32 s" in text
    )
    assert "match 1" not in await said(running, "past=true&min_margin=2")
    assert "Nothing is over yet" in await said(running, "past=true&kind=value")


def test_amounts_and_sources_are_written_for_people() -> None:
    """Amounts have no needless digits, and a source is named by its bookmaker."""
    amounts = ("1250", "0.50", "12.346", "0.0001", "-3.10", "0")
    assert [money(Decimal(each)) for each in amounts] == ["1,250", "0.5", "12.35", "0.0001", "-3.1", "0"]
    assert fair_source_words("no_vig:power:bet9ja") == "Bet9ja’s prices without their margin"
    assert fair_source_words("sportybet") == "SportyBet’s own probabilities"
    assert worth_words("arbitrage", -0.5) == "loss 0.50\N{NO-BREAK SPACE}%"


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_a_bank_that_is_given_is_shared(scraped: Server, visit: Visit) -> None:
    """The form leads to an address with it, also without JavaScript, and the page stays current over the topic."""
    async with visit(f"{scraped.url}/opportunities?kind=value", script=False) as visitor:
        assert await visitor.page.locator(".deal").count() >= 1
        await visitor.page.get_by_label("Bank").fill("5000")
        await visitor.page.get_by_role("button", name="Show").click()
        await visitor.until_contains(".deal .stake", "stake")
        assert "bank=5000" in visitor.page.url
        assert "kind=value" in visitor.page.url
    async with visit(f"{scraped.url}/opportunities?kind=value") as visitor:
        await visitor.until_text("#connection", "Live over WebSocket")
