"""The page of alerts: what fired, the rules and their forms, the targets and their test."""

import asyncio
import html
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from quart_odds.alerts.rules import Rule, offered_spec
from quart_odds.alerts.values import TargetKind
from quart_odds.domain.clock import utc_now
from quart_odds.routes.pages.alerts import words_of
from tests.alerts.receiving import receiving
from tests.apps import RunningApp, running_app
from tests.odds.making import NOW, X1, header, key, mapped

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
    assert "1X2, 1, of event 1 is over 2.5 this page only" in await shown(running)
    await running.parts.odds_service.record(mapped(header(), {**X1, HOME: 2.6}), utc_now())
    async with asyncio.timeout(30):
        while "Arsenal - Chelsea: 2.6 is over 2.5" not in (said := await shown(running)):
            await asyncio.sleep(0.02)
    assert "to nobody" in said
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
        ({"threshold": "much"}, "unable to parse string as a number"),
        ({"side": "beside"}, "choose over or under"),
        ({"name": " "}, "give a name"),
        ({"target": "5"}, "there is no such target among 5"),
        ({"target": "x"}, "choose up to 20 targets"),
        ({"kind": "horoscope"}, "does not match any of the expected tags"),
    ):
        assert words in await submit(running, "/alerts", {**PRICE, **change}, 400), change
    assert await running.parts.alerts.rules.all() == []


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
    await submit(running, "/alerts", {"kind": "bookmaker", "name": "b"})
    said = await shown(running)
    assert "value over 3 % mine" in said
    assert "a bookmaker is failing or stale this page only" in said


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
        ({"kind": "bookmaker", "on": ["stale"], "bookmaker": "betpawa"}, "BetPawa is stale"),
        ({"kind": "run", "mode": None}, "a run ends as failed or interrupted"),
        ({"kind": "run", "mode": "sweep", "statuses": ["partial"]}, "a sweep ends as partial"),
    ],
)
def test_a_rule_is_put_in_words(spec: dict[str, object], words: str) -> None:
    """Whatever it is about."""
    assert words_of(Rule(1, "x", offered_spec(spec), (), True, 0, NOW, NOW)) == words
