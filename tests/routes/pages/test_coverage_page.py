"""The page of coverage: what is matched, what is not and why, and the markets of each bookmaker."""

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import Competition
from quart_odds.domain.platforms import Platform
from tests.apps import RunningApp, running_app
from tests.odds.making import X1, header, mapped
from tests.odds.serving import fill
from tests.routes.pages.test_alerts_page import text_of

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app with the four events of `tests.odds.serving`."""
    async with running_app(tmp_path, NOWHERE) as opened:
        await fill(opened.parts.odds_service, utc_now())
        yield opened


async def markup(running: RunningApp, query: str = "") -> str:
    """Return the page."""
    response = await running.client.get(f"/coverage{query}")
    text: str = await response.get_data(as_text=True)
    assert response.status_code == 200, text
    return text


async def shown(running: RunningApp, query: str = "") -> str:
    """Return what the page says."""
    return text_of(await markup(running, query))


def rows(page: str) -> list[str]:
    """Return what the rows of the last table say."""
    return [text_of(each) for each in re.findall(r"<tr .*?</tr>", page[page.index('id="coverage-view"') :], re.DOTALL)]


async def test_an_empty_page_says_what_will_be_there(tmp_path: Path) -> None:
    """It leads to where a run is started."""
    async with running_app(tmp_path, NOWHERE) as opened:
        said = await shown(opened)
        assert "Nothing is known yet. After the first run you see here which events the bookmakers share" in said
        assert "Start a run" in said


def counts(page: str) -> dict[str, list[str]]:
    """Return the counts of each bookmaker in the first table."""
    found = re.findall(r'<tr id="book-(\w+)">(.*?)</tr>', page, re.DOTALL)
    return {slug: text_of(row).split()[1:] for slug, row in found}


async def test_each_bookmaker_has_its_counts(running: RunningApp) -> None:
    """What it lists, shares, has alone and lacks; started events only if they are asked for."""
    page = await markup(running)
    assert counts(page)["betpawa"] == ["1", "1", "100.0", "%", "0", "0", "0", "0", "2"]
    assert counts(page)["bet9ja"] == ["3", "2", "66.7", "%", "1", "0", "0", "1", "0"]
    without = counts(await markup(running, "?bookmakers=betpawa,msport"))
    assert without["msport"] == ["0", "0", "–", "0", "0", "0", "0", "0"], "it has no events, so it lacks none"
    assert without["betpawa"][:2] == ["1", "0"], "the others are as if they did not list anything"
    assert "3 events, 2 matched (66.7 %), 1 at one bookmaker alone" in text_of(page)
    assert "4 events, 2 matched" in await shown(running, "?include_started=1")


async def test_competitions_lead_to_their_events(running: RunningApp) -> None:
    """Each has the number of its events at each bookmaker."""
    page = await markup(running, "?sort=events&bookmakers=sportybet,bet9ja")
    assert rows(page) == ["Premier League England 2 1 1 2", "La Liga Spain 1 1 1 1"]
    link = re.findall(r'<th scope="row"><a href="(/coverage\?[^"]*tournament_id=[^"]*)">La Liga', page)[0]
    assert "bookmakers=sportybet%2Cbet9ja" in link
    events = await shown(running, link.removeprefix("/coverage").replace("&amp;", "&"))
    assert "Only one competition is shown" in events
    assert "Nothing matches these filters" in events, "both of these bookmakers have its event"


async def test_unmatched_events_say_why_in_words(running: RunningApp) -> None:
    """By kick-off, with the bookmakers that have them; one reason alone if that is asked for."""
    found = rows(await markup(running, "?view=events&include_started=1&bookmakers=betpawa,sportybet,bet9ja"))
    assert [each.split(" - ")[0].split()[-1] for each in found] == ["Leeds", "=Sevilla", "Arsenal"]
    assert found[0].endswith("✓ listed – not listed – not listed no SportRadar id")
    assert found[1].endswith("– not listed ✓ listed ✓ listed not listed")
    assert found[2].endswith("kick-off differs the other one")
    only = rows(await markup(running, "?view=events&include_started=1&why=no_sportradar_id"))
    assert [each.split(" - ")[0].split()[-1] for each in only] == ["Leeds"]
    assert rows(await markup(running, "?view=events&search=sevilla"))[0].count("Sevilla") == 1


async def test_names_that_differ_are_told_of_matched_events(running: RunningApp) -> None:
    """A person should look at them, even if no bookmaker lacks the event."""
    soon = utc_now() + timedelta(hours=3)
    for platform, home in ((Platform.BETPAWA, "Kano Pillars"), (Platform.BET9JA, "Zürich")):
        event = header(platform, f"{platform}-9", "99", kickoff=soon, home=home, away="Enugu Rangers")
        await running.parts.odds_service.record(mapped(event), utc_now())
    [row] = rows(await markup(running, "?view=events&why=names_differ&bookmakers=betpawa,bet9ja"))
    assert row.endswith("✓ listed ✓ listed names differ")


async def test_markets_are_counted_by_bookmaker(running: RunningApp) -> None:
    """Those of the catalogue by bookmaker, and those that it lacks; both are found by name."""
    found = rows(await markup(running, "?view=markets&search=1x2&bookmakers=betpawa,bet9ja"))
    assert found[0] == "1X2 1 3"
    unknown = rows(await markup(running, "?view=unknown"))
    assert unknown[0] == "Over/Under Asian S_OUA BetPawa 1"
    assert rows(await markup(running, "?view=unknown&search=corner")) == []
    assert "Nothing matches these filters" in await shown(running, "?view=unknown&search=corner")


async def test_pages_of_many_competitions_keep_the_filters(running: RunningApp) -> None:
    """Fifty are on a page; a long name stays whole."""
    long = "W" * 62
    soon = utc_now() + timedelta(hours=3)
    for number in range(60):
        competition = Competition(f"c{number}", f"{long} {number}", "Nigeria")
        event = header(Platform.BETPAWA, f"m{number}", f"5{number}", kickoff=soon, home=long, competition=competition)
        await running.parts.odds_service.record(mapped(event, X1), utc_now())
    page = await markup(running, "?search=nigeria")
    assert len(rows(page)) == 50
    assert long in page
    link = re.findall(r'href="([^"]*)" rel="next"', page)[0].replace("&amp;", "&")
    assert len(rows(await markup(running, link.removeprefix("/coverage")))) == 10
    assert "There is nothing on this page" in await shown(running, "?page=9")


async def test_what_cannot_be_shown_is_refused(running: RunningApp) -> None:
    """With the field that is wrong."""
    for query in ("?view=stars", "?bookmakers=nobody", "?why=because", "?page=0"):
        response = await running.client.get(f"/coverage{query}")
        assert response.status_code == 400, query
