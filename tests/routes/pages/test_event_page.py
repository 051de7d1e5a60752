"""The page of an event, without a browser: its chart, how prices moved, stakes, fair odds, and links."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from quart_odds.domain.platforms import Platform
from tests.apps import RunningApp, running_app
from tests.odds.making import OVER_UNDER, X1, header, mapped
from tests.platforms import FIRST_THREE

BETPAWA, SPORTYBET, BET9JA = FIRST_THREE
NOWHERE = "http://127.0.0.1:9"
HOME, DRAW, AWAY = X1
KICKOFF = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=5)
LONG = "Llanfairpwllgwyngyll" * 4


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app that has not scraped anything."""
    async with running_app(tmp_path, NOWHERE) as opened:
        yield opened


def ago(minutes: float) -> datetime:
    """Return the moment so many minutes ago."""
    return datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=minutes)


async def record(
    running: RunningApp,
    platform: Platform,
    minutes: float,
    odds: Mapping[int, float] = X1,
    *,
    suspended: frozenset[int] = frozenset(),
    kickoff: datetime = KICKOFF,
    home: str = "Rangers",
    away: str = "Enyimba",
) -> None:
    """Let a bookmaker have had these prices so many minutes ago."""
    event = header(platform, "8817", "77", kickoff=kickoff, home=home, away=away)
    await running.parts.odds_service.record(mapped(event, odds, suspended=suspended), ago(minutes))
    await running.parts.odds_service.confirm()


async def shown(running: RunningApp, query: str = "", part: str = "") -> str:
    """Return the page of the only event, or a part of it."""
    response = await running.client.get(f"/odds/1{part}{query}", headers={"Accept": "text/html"})
    body = str(await response.get_data(as_text=True))
    assert response.status_code == 200, body
    return body


def section(body: str, part: str) -> str:
    """Return the HTML of the element with this id, up to the next part of the page."""
    return re.split(r"<(?:section|details)|<div id|<span id=\"worth", body.split(f'id="{part}"', 1)[1])[0]


def words(html: str) -> str:
    """Return the text of HTML, with single spaces."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))).strip()


async def test_chart_has_each_bookmaker_fair_odds_and_where_a_price_was_suspended(running: RunningApp) -> None:
    """It is drawn without a script, and says what the lines have now."""
    await record(running, BETPAWA, 60)
    await record(running, SPORTYBET, 60, X1 | {HOME: 2.6})
    await record(running, BETPAWA, 40, suspended=frozenset({HOME}))
    await record(running, BETPAWA, 20, X1 | {HOME: 2.5})
    await record(running, SPORTYBET, 20, X1 | {HOME: 2.6})
    chart = section(await shown(running), "chart")
    assert re.findall(r'class="line (\w+)" d="M0 ', chart) == ["betpawa", "sportybet"]
    assert re.findall(r'class="fair" d="M0 [^"]+"', chart)
    assert len(re.findall(r'<rect class="betpawa suspended"', chart)) == 1
    [path] = re.findall(r'class="line betpawa" d="([^"]+)"', chart)
    assert path.count("M") == 2, "the line ends where the price was suspended, and begins again"
    assert "1X2 1 over time; now BetPawa 2.50, SportyBet 2.60." in chart
    assert "nothing was fetched" not in chart
    assert "Fair: the prices with the lowest margin" in words(chart)


async def test_range_begins_with_what_was_there_then(running: RunningApp) -> None:
    """Openings are no changes, and a shorter range has the state at its beginning in place of the opening."""
    await record(running, BETPAWA, 300)
    await record(running, BETPAWA, 200, X1 | {HOME: 2.9})
    await record(running, BETPAWA, 10, X1 | {HOME: 2.7})
    whole = await shown(running)
    assert words(section(whole, "history-table")).count("opened at") == 1
    assert "2 changes" in words(section(whole, "history-count"))
    hour = await shown(running, "?range=1h")
    table = words(section(hour, "history-table"))
    assert "already at" in table
    assert "2.90" in table
    assert "2.40" not in table
    assert "1 change" in words(section(hour, "history-count"))
    assert 'range=1h#history" aria-current="true"' in hour
    assert "range=1h#history" in hour.split('id="markets"')[1]


async def test_movement_says_the_opening_and_the_change_since(running: RunningApp) -> None:
    """Directions have a sign and a glyph, and an unknown change is said to be unknown."""
    await record(running, BETPAWA, 90)
    await record(running, BETPAWA, 10, X1 | {HOME: 3.0})
    moved = section(await shown(running), "moved")
    text = words(moved)
    assert "▲ +25.0% – unknown ▲ +25.0% 2.40" in text
    down = words(section(await shown(running, "?outcome=2"), "moved"))
    assert "0.0% – unknown 0.0% 3.00" in down
    link = "/alerts?event_id=1&amp;market=1x2_ft&amp;line=&amp;outcome=1&amp;bookmaker=betpawa#add-price"
    assert link in moved


async def test_moves_of_the_kick_off_and_times_without_a_fetch_are_marked(running: RunningApp) -> None:
    """The chart says from when to when the kick-off was moved, and since when nothing was seen."""
    await record(running, BETPAWA, 400)
    await record(running, BETPAWA, 200, kickoff=KICKOFF + timedelta(minutes=30))
    await record(running, BETPAWA, 190, X1 | {HOME: 2.5}, kickoff=KICKOFF + timedelta(minutes=30))
    chart = words(section(await shown(running), "chart"))
    later = KICKOFF + timedelta(minutes=30)
    assert f"kick-off moved from {KICKOFF:%a} {KICKOFF.day} {KICKOFF:%b %H:%M}:00 UTC to {later:%a}" in chart
    assert "at BetPawa" in chart
    assert "nothing was fetched from" in chart


async def test_stakes_are_shared_among_the_chosen_prices(running: RunningApp) -> None:
    """The best prices are the default, a chosen one counts, and profit and loss are said after rounding."""
    await record(running, BETPAWA, 2, X1 | {HOME: 3.6})
    await record(running, SPORTYBET, 2, X1 | {AWAY: 3.7})
    staked = words(section(await shown(running), "staked"))
    assert "1 3.60 BetPawa 32.00 115.20 profit 17.20" in staked
    assert "98.00 staked: profit 16.70 at worst" in staked
    assert "The oldest of these prices was seen 2 min ago . A calculation in" in staked
    assert "it is no offer" in staked
    chosen = words(section(await shown(running, "?bank=10&rounding=0.5&at=sportybet&at=betpawa,betpawa"), "staked"))
    assert "1 2.40 SportyBet 3.50 8.40 loss 0.60" in chosen
    assert "at worst" in chosen
    assert "too small" in words(section(await shown(running, "?bank=0.5"), "staked"))


async def test_stakes_on_a_match_that_has_begun_say_so(running: RunningApp) -> None:
    """Prices from before the kick-off cannot be had any more."""
    await record(running, BETPAWA, 90, kickoff=ago(60))
    assert "seen 1 h ago . The match has begun." in words(section(await shown(running), "staked"))


async def test_price_to_back_that_is_gone_is_replaced_and_that_is_said(running: RunningApp) -> None:
    """The best price takes its place. Without any price for an outcome there are no stakes."""
    await record(running, BETPAWA, 2)
    await record(running, SPORTYBET, 2, {HOME: 2.5, DRAW: 3.3})
    text = words(section(await shown(running, "?at=betpawa,betpawa,sportybet"), "staked"))
    assert "2 3.00 BetPawa the chosen price is gone" in text
    await record(running, BETPAWA, 1, {HOME: 2.5})
    assert "has a price for 2 now" in words(section(await shown(running), "staked"))


async def test_fair_odds_and_the_value_of_the_best_price_are_beside_each_market(running: RunningApp) -> None:
    """The prices with the lowest margin say what is fair; a price above that has a value."""
    await record(running, BETPAWA, 2, X1 | OVER_UNDER)
    await record(running, SPORTYBET, 2, X1 | {HOME: 2.9})
    body = await shown(running)
    cells = re.findall(r'<td class="worth"><b data-odds="(\d+)">([\d.]+)</b> <small>([^<]*)</small>', body)
    assert cells[:3] == [("2510", "2.51", "+15.7%"), ("3500", "3.50", "-5.8%"), ("3170", "3.17", "-5.3%")]
    assert len(cells) == 5
    assert '"3743||":[[' in unescape(body)


async def test_part_of_the_page_is_what_the_whole_page_has(running: RunningApp) -> None:
    """A script that renews the past gets the same as a fresh load shows."""
    await record(running, BETPAWA, 30)
    await record(running, BETPAWA, 2, X1 | {HOME: 2.5})
    for query in ("", "?show=margin", "?outcome=X&range=6h&bank=50"):
        whole, part = await shown(running, query), await shown(running, query, part="/history")
        assert "<html" not in part
        for each in ("chart", "moved", "history-table", "staked"):
            assert section(part, each).strip() == section(whole, each).strip()


async def test_page_of_a_bookmaker_is_linked_where_it_has_one(running: RunningApp) -> None:
    """The link gives the other site neither a referrer nor a hold on this page. Who has no page has no link."""
    for platform in Platform:
        await record(running, platform, 2)
    body = await shown(running)
    event = (await running.get("/api/events/1"))["markets_by_bookmaker"]
    urls = {each["bookmaker_slug"]: each["event_url"] for each in event}
    assert set(map(bool, urls.values())) == {True, False}
    links = dict(
        re.findall(r'class="listed" href="([^"]+)" rel="noopener noreferrer nofollow" title="Opens ([^’]+)', body)
    )
    assert {unescape(each) for each in links} == {each for each in urls.values() if each}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("outcome=7", "1X2 has 1, X, 2"),
        ("range=9d", "range"),
        ("bank=0", "bank"),
        ("bank=abc", "bank"),
        ("rounding=-1", "rounding"),
        ("at=nobody", "at"),
    ],
)
async def test_query_that_makes_no_sense_is_a_page_that_says_why(running: RunningApp, query: str, said: str) -> None:
    """Nothing is guessed."""
    await record(running, BETPAWA, 2)
    response = await running.client.get(f"/odds/1?{query}", headers={"Accept": "text/html"})
    assert response.status_code == 400
    assert said in unescape(str(await response.get_data(as_text=True)))


async def test_event_without_prices_and_one_with_long_names_have_all_parts(running: RunningApp) -> None:
    """Everything says what is not there."""
    await record(running, BETPAWA, 2, {}, home=LONG, away=LONG)
    body = await shown(running)
    assert "No bookmaker has offered a price for this" in words(section(body, "chart"))
    assert "has a price for 1, X, 2 now" in words(section(body, "staked"))
    body = await shown(running, "?market=correct_score_ft&show=margin")
    assert "No bookmaker has offered a price for this" in words(section(body, "chart"))
