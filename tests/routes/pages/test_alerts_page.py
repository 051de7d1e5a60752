"""The page of alerts: what fired, the rules and their forms, the targets and their test."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest

from quart_odds.alerts.rules import Rule, offered_spec
from quart_odds.alerts.values import TargetKind
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.routes.pages.rule_words import words_of
from tests.alerts.receiving import receiving
from tests.apps import RunningApp, running_app
from tests.odds.making import NOW, X1, header, key, mapped
from tests.routes.pages.conftest import Visit
from tests.server.serving import Server

NOWHERE = "http://127.0.0.1:9"
HOME = key("1x2_ft", "1")
PRICE = {
    "kind": "price",
    "name": "Home price",
    "event_id": "1",
    "market": "1x2_ft",
    "line": "",
    "outcome": "1",
    "side": "over",
    "threshold": "2.5",
    "target": "",
}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app that has one event, and may send to this machine."""
    async with running_app(tmp_path, NOWHERE, alerts_allow_private=True, request_tries=1) as opened:
        await opened.parts.odds_service.record(mapped(header(), {**X1, HOME: 2.4}), utc_now())
        await opened.parts.odds_service.confirm()
        yield opened


async def shown(running: RunningApp, path: str = "/alerts") -> str:
    """Return the text of the page, without elements and with single spaces."""
    response = await running.client.get(path)
    assert response.status_code == 200
    return text_of(await response.get_data(as_text=True))


async def markup(running: RunningApp, path: str = "/alerts") -> str:
    """Return the page."""
    response = await running.client.get(path)
    assert response.status_code == 200
    return await response.get_data(as_text=True)


def text_of(markup: str) -> str:
    """Return what a page says."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", markup)).split())


async def submit(
    running: RunningApp, path: str, form: Mapping[str, str], status: int = 303, peer: str = "127.0.0.1"
) -> str:
    """Send a form, and return what the response says."""
    response = await running.client.post(
        path, form=dict(form), headers={"Accept": "text/html"}, scope_base={"client": (peer, 50_000)}
    )
    text = await response.get_data(as_text=True)
    assert response.status_code == status, text
    return text_of(text)


async def test_an_empty_page_says_what_to_do(running: RunningApp) -> None:
    """It has forms for rules, and the command for targets."""
    said = await shown(running)
    assert "Nothing has fired yet" in said
    assert "There are no rules yet" in said
    assert "quart-odds alerts targets add NAME URL" in said


async def test_a_rule_is_added_paused_resumed_and_removed_by_forms(running: RunningApp) -> None:
    """What fires is on the page, with its rule."""
    await submit(running, "/alerts", PRICE)
    assert "1X2, 1, of Arsenal - Chelsea is over 2.5 this page only never" in await shown(running)
    await running.parts.odds_service.record(mapped(header(), {**X1, HOME: 2.6}), utc_now())
    async with asyncio.timeout(30):
        while "Arsenal - Chelsea: 2.60 is over 2.5" not in (said := await shown(running)):
            await asyncio.sleep(0.02)
    assert "to nobody" in said
    assert re.search(r"this page only \w{3} \d+ \w{3} [\d:]+ UTC Pause", said), "it says when the rule fired last"
    page = await markup(running)
    assert '<a href="/odds/1">Arsenal - Chelsea: 2.60 is over 2.5</a>' in page
    assert 'of <a href="/odds/1">Arsenal - Chelsea</a> is over 2.5' in page
    await submit(running, "/alerts/rules/1/pause", {})
    assert "Home price paused" in await shown(running)
    await submit(running, "/alerts/rules/1/resume", {})
    assert "Home price paused" not in await shown(running)
    await submit(running, "/alerts/rules/1/remove", {})
    assert "There are no rules yet" in await shown(running)
    assert "There are no older alerts" in await shown(running, "/alerts?before=1")


async def test_what_is_wrong_in_a_form_is_said_and_nothing_is_added(running: RunningApp) -> None:
    """The sentences name what there is."""
    for change, words in (
        ({"outcome": "9"}, "1X2 has no outcome '9'; it has 1, X, 2"),
        ({"event_id": "77"}, "there is no event 77"),
        ({"threshold": "much"}, "Give a number."),
        ({"side": "beside"}, "choose over or under"),
        ({"name": " "}, "give a name"),
        ({"target": "5"}, "there is no such target among 5"),
        ({"target": "x"}, "choose up to 20 targets"),
        ({"kind": "horoscope"}, "does not match any of the expected tags"),
    ):
        assert words in await submit(running, "/alerts", {**PRICE, **change}, 400), change
    assert await running.parts.alerts.rules.all() == []


async def send(running: RunningApp, form: Mapping[str, str], accept: str = "text/html") -> str:
    """Send the form of a rule that is refused, and return the page that comes back."""
    response = await running.client.post("/alerts", form=dict(form), headers={"Accept": accept})
    assert response.status_code == 400
    return await response.get_data(as_text=True)


async def test_a_refused_form_comes_back_as_it_was_with_the_reason_at_the_field(running: RunningApp) -> None:
    """It is open, and what was typed is still there."""
    page = await send(running, {**PRICE, "name": "My own name", "threshold": "0.5", "outcome": "X"})
    assert '<details class="add" id="add-price" open>' in page
    assert 'value="My own name"' in page
    assert 'name="threshold" aria-invalid="true" aria-describedby="e-price-threshold"' in page
    assert 'id="e-price-threshold">Give more than 1.</small>' in page
    assert '<option value="X" selected>' in page
    assert "The rule was not added." in text_of(page)
    page = await send(running, {"kind": "run", "name": "r", "mode": "sweep"})
    assert 'id="e-run-statuses">Tick at least one.' in page
    assert '<option value="sweep" selected>' in page
    assert 'value="failed" checked' not in page
    assert 'value="failing" checked' in page, "the other forms are as they were"
    problem = await send(running, {**PRICE, "threshold": "0.5"}, "application/json")
    assert problem.startswith('{"type":"about:blank"')


async def test_the_form_of_a_price_is_filled_in_from_the_address(running: RunningApp) -> None:
    """It names the match and the market, has the odds now, and lets another market, line or outcome be chosen."""
    await running.parts.odds_service.record(mapped(header(Platform.BET9JA)), utc_now())
    page = await markup(running, "/alerts?event_id=1&market=over_under_ft&line=2.5&outcome=Under&bookmaker=bet9ja")
    text = text_of(page)
    assert '<a href="/odds">Odds</a>' in page, "the match is no choice of bookmakers"
    assert '<details class="add" id="add-price" open>' in page
    assert '<option value="over_under_ft" selected>Over/Under</option>' in page
    assert '<option value="2.5" selected>2.5</option>' in page
    assert '<option value="Under" selected>Under 2.5</option>' in page
    assert '<option value="bet9ja" selected>Bet9ja</option>' in page
    assert "Odds now: Over/Under 2.5 Bookmaker Over 2.5 Under 2.5" in text
    assert "Bet9ja 1.98 1.83" in text
    assert 'value="Arsenal - Chelsea, Over/Under"' in page
    page = await markup(running, "/alerts?event_id=1&market=over_under_ft&line=9.5")
    assert '<option value="9.5" selected>9.5</option>' in page, "a line that nobody has now may come"
    page = await markup(running, "/alerts?event_id=1&market=over_under_ft")
    assert '<option value="2.5" selected>2.5</option>' in page
    page = await markup(running, "/alerts?event_id=1&market=nonsense&line=x&outcome=&bookmaker=#add-price")
    assert '<option value="1x2_ft" selected>1X2</option>' in page
    assert "There is no match 77" in await shown(running, "/alerts?event_id=77&market=1x2_ft")
    page = await markup(running, "/alerts?add=movement&event_id=1&market=3743")
    assert '<details class="add" id="add-movement" open>' in page
    assert '<details class="add" id="add-price">' in page
    page = await markup(running, "/alerts?add=opportunity&of=value&percent=3")
    assert '<option value="value" selected>' in page
    assert 'value="3"' in page


async def test_a_match_is_found_by_a_part_of_its_name(running: RunningApp) -> None:
    """Each that is found leads to the form with it."""
    await running.parts.odds_service.record(
        mapped(header(external_id="e2", sportradar_id="5", kickoff=utc_now() + timedelta(hours=1), home="Enyimba")),
        utc_now(),
    )
    page = await markup(running, "/alerts?add=movement&match=enyim")
    assert re.search(r'href="/alerts\?add=movement&amp;event_id=2#add-movement">Enyimba - Chelsea</a>', page)
    assert "has “Kano” in its name" in await shown(running, "/alerts?add=price&match=Kano")


async def test_every_kind_of_rule_is_made_by_a_form(running: RunningApp) -> None:
    """With its fields and the cooldown."""
    forms: list[dict[str, str | list[str]]] = [
        {"kind": "opportunity", "of": "middle", "percent": "-1", "margin_percent": "0.5", "cooldown_seconds": "60"},
        {**PRICE, "side": "under", "bookmaker": "bet9ja"},
        {**PRICE, "kind": "movement", "percent": "4", "within_seconds": "120", "direction": "down"},
        {"kind": "event", "on": ["listed", "postponed"], "search": "Arsenal", "event_id": "", "bookmaker": ""},
        {"kind": "event", "on": ["gone"], "search": "", "event_id": "1", "bookmaker": "betpawa"},
        {"kind": "bookmaker", "on": ["stale"], "bookmaker": "sportybet", "stale_after_seconds": "60"},
        {"kind": "run", "statuses": ["failed", "partial"], "mode": "all"},
    ]
    for form in forms:
        headers = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
        sent = urlencode({"name": "x", **form}, doseq=True)
        response = await running.client.post("/alerts", data=sent, headers=headers)
        assert response.status_code == 303, await response.get_data(as_text=True)
    rules = await running.parts.alerts.rules.all()
    assert rules[0].cooldown_seconds == 60
    assert [str(words_of(rule)) for rule in rules] == [
        "middle over -1 %",
        "1X2, 1, of event 1 at Bet9ja is under 2.5",
        "1X2, 1, of event 1 moves down by 4 % within 120 s",
        "an event with “Arsenal” is listed or postponed",
        "event 1 is gone at BetPawa",
        "SportyBet is stale (nothing for 60 s)",
        "a run ends as failed or partial",
    ]


async def test_how_each_delivery_is_is_said_with_the_next_attempt_and_the_reason(running: RunningApp) -> None:
    """A target that cannot be reached is tried again."""
    target = await running.parts.alerts.targets.add(TargetKind.WEBHOOK, "mine", f"{NOWHERE}/secret")
    await submit(running, "/alerts", {**PRICE, "threshold": "2", "target": str(target.id)})
    async with asyncio.timeout(30):
        while "attempt: no connection" not in (said := await shown(running)):
            await asyncio.sleep(0.02)
    assert re.search(r"mine: waiting , again at \w{3} \d+ \w{3} [\d:]+ UTC , after 1 attempt: no connection", said)


async def test_a_target_is_tested_from_the_page(running: RunningApp) -> None:
    """It says whether the message arrived. Only someone on the server's own machine, or with a token, may send one."""
    async with receiving() as receiver:
        target = await running.parts.alerts.targets.add(TargetKind.WEBHOOK, "mine", f"{receiver.url}/secret")
        path = f"/alerts/targets/{target.id}/test"
        assert "The test message was delivered to mine." in await submit(running, path, {}, 200)
        assert "A token is needed here" in await submit(running, path, {}, 401, peer="192.0.2.7")
        assert len(receiver.requests) == 1
    said = await submit(running, path, {}, 200)
    assert "mine did not get it: no connection" in said
    assert "secret" not in said.replace("The secrets in it are never shown again.", "")
    await submit(running, "/alerts", {"kind": "opportunity", "name": "a", "of": "value", "percent": "3", "target": "1"})
    await submit(running, "/alerts", {"kind": "bookmaker", "name": "b", "on": "stale"})
    said = await shown(running)
    assert "value over 3 % mine" in said
    assert "a bookmaker is stale (nothing for 900 s) this page only" in said


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"kind": "movement", "event_id": 3, "market": "over_under_ft", "line": 2.5, "outcome": "Over"}
            | {"percent": 5, "within_seconds": 60, "direction": "down", "bookmaker": "bet9ja"},
            "Over/Under, Over 2.5, of event 3 at Bet9ja moves down by 5 % within 60 s",
        ),
        (
            {"kind": "price", "event_id": 3, "market": "asian_handicap_ft", "line": -1.5, "outcome": "2", "over": 2},
            "Asian Handicap, 2 (+1.5), of event 3 is over 2",
        ),
        ({"kind": "event", "on": ["gone"], "event_id": 3}, "event 3 is gone"),
        ({"kind": "event", "on": ["listed", "gone"], "search": "Ajax"}, "an event with “Ajax” is listed or gone"),
        ({"kind": "bookmaker", "on": ["stale"], "bookmaker": "betpawa"}, "BetPawa is stale (nothing for 900 s)"),
        ({"kind": "run", "mode": None}, "a run ends as failed or interrupted"),
        ({"kind": "run", "mode": "sweep", "statuses": ["partial"]}, "a sweep ends as partial"),
    ],
)
def test_a_rule_is_put_in_words(spec: dict[str, object], words: str) -> None:
    """Whatever it is about."""
    assert str(words_of(Rule(1, "x", offered_spec(spec), (), True, 0, NOW, NOW))) == words


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
async def test_what_fires_appears_while_a_form_is_filled_in(scraped: Server, visit: Visit) -> None:
    """The page follows the topic `alerts`, and leaves alone what is being typed."""
    async with visit(f"{scraped.url}/alerts?event_id=1&market=1x2_ft&outcome=X#add-price") as visitor:
        page = visitor.page
        await visitor.until_text("#connection", "Live over WebSocket")
        await page.locator("#add-price").get_by_label("Odds", exact=True).fill("7.5")
        when = {"kind": "price", "event_id": 1, "market": "1x2_ft", "outcome": "1", "over": 1.001}
        sent = {"name": "any home price", "when": when}
        rules = f"{scraped.url}/api/alerts/rules"
        answer = await page.request.post(rules, data=sent, headers={"Origin": scraped.url})
        assert answer.status == 201
        await visitor.until_contains("#fired tbody", "any home price")
        await visitor.until_contains("#rules tbody", "any home price")
        assert await page.locator("#add-price").get_by_label("Odds", exact=True).input_value() == "7.5"
        await page.locator("#add-price").get_by_role("button", name="Add").click()
        await visitor.until_contains("#rules tbody", "is over 7.5")
