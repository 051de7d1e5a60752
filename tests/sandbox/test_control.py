"""Odds are changed while the sandbox runs, and the answer reports the exact changes."""

from typing import Any

import pytest
from quart.typing import TestClientProtocol as QuartClient

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, create_sandbox
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import HEADERS, NOW, at_all, sites


@pytest.fixture
def client() -> QuartClient:
    """A client for sixty events whose prices do not move."""
    return create_sandbox(SandboxOptions(move=0, bookmakers=FIRST_THREE), now=lambda: NOW).test_client()


async def change(client: QuartClient, body: object) -> dict[str, Any]:
    """Request a change that must succeed, and return the answer."""
    response = await client.post("/_sandbox/odds", json=body)
    assert response.status_code == 200, await response.get_data()
    answer: dict[str, Any] = await response.get_json()
    return answer


async def home_win(client: QuartClient, external_id: str) -> dict[str, Any]:
    """Return BetPawa's price of the home win."""
    response = await client.get(f"/api/sportsbook/v4/events/{external_id}", headers=HEADERS[Platform.BETPAWA])
    price: dict[str, Any] = (await response.get_json())["markets"][0]["row"][0]["prices"][0]
    return price


async def test_a_particular_price_is_changed(client: QuartClient) -> None:
    """The next request sees the new odds, and the answer contains the old and new ones."""
    fixture = at_all(sites()[0])
    external_id = fixture.listings[Platform.BETPAWA].external_id
    old = await home_win(client, external_id)
    wanted = {"sportradar_id": fixture.sportradar_id, "bookmaker": "betpawa", "market": "3743", "outcome": "1"}
    answer = await change(client, {**wanted, "odds": 7.77})
    assert answer["changes"] == [
        {
            "sportradar_id": fixture.sportradar_id,
            "bookmaker": "betpawa",
            "market": "3743",
            "slug": "1x2_ft",
            "line": None,
            "outcome": "1",
            "old": old["odds"],
            "new": 7.77,
            "suspended": False,
            "was_suspended": False,
        }
    ]
    assert (await home_win(client, external_id))["odds"] == 7.77
    await change(client, {"changes": [{**wanted, "market": "1x2_ft", "suspended": True}]})
    price = await home_win(client, external_id)
    assert (price["odds"], price["suspended"]) == (0.0, True)


async def test_a_line_is_named_as_a_number(client: QuartClient) -> None:
    """Over 2.5 at Bet9ja, by BetPawa's market id."""
    fixture = at_all(sites()[0])
    wanted = {"sportradar_id": fixture.sportradar_id, "bookmaker": "bet9ja", "market": "5000", "outcome": "Over"}
    (done,) = (await change(client, {**wanted, "line": 2.5, "odds": 3.21}))["changes"]
    assert (done["line"], done["new"]) == (2.5, 3.21)
    response = await client.get(
        f"/desktop/feapi/PalimpsestAjax/GetEvent?EVENTID={fixture.listings[Platform.BET9JA].external_id}",
        headers=HEADERS[Platform.BET9JA],
    )
    assert (await response.get_json())["D"]["O"]["S_OU@2.5_O"] == "3.21"


async def test_random_changes_are_as_many_as_asked_for_each_of_another_open_price(client: QuartClient) -> None:
    """They affect main markets of events that clients can match, and the odds always differ."""
    done = (await change(client, {"changes": 200}))["changes"]
    assert len({(c["sportradar_id"], c["bookmaker"], c["market"], c["line"], c["outcome"]) for c in done}) == 200
    assert all(c["old"] != c["new"] and not c["suspended"] and c["sportradar_id"] for c in done)
    assert {c["market"] for c in done} <= {"3743", "4693", "5000", "3795", "4703", "3774", "4724", "3668", "3685"}
    assert {c["bookmaker"] for c in done} == set(FIRST_THREE)


async def test_movement_is_switched_on_and_off(client: QuartClient) -> None:
    """The value is a share between 0 and 1."""
    assert (await change(client, {"move": 1}))["move"] == 1
    events = [f.listings[Platform.BETPAWA].external_id for f in sites()[0].fixtures if Platform.BETPAWA in f.listings]
    assert any([await home_win(client, events[0]) != await home_win(client, e) for e in events[:1] for _ in range(8)])
    assert await change(client, {"move": 0}) == {"changes": [], "move": 0}


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"changes": -1},
        {"changes": "many"},
        {"changes": True},
        {"changes": [7]},
        {"move": 2},
        {"move": "on"},
        {"sportradar_id": "1", "bookmaker": "betpawa", "market": "3743", "outcome": "1"},
        {"sportradar_id": "1", "bookmaker": "ladbrokes"},
        {"sportradar_id": "SR", "bookmaker": "betpawa", "market": "9", "outcome": "1"},
        {"sportradar_id": "SR", "bookmaker": "betpawa", "market": "3743", "outcome": "1", "odds": 0.5},
        {"sportradar_id": "SR", "bookmaker": "betpawa", "market": "3743", "outcome": "1", "suspended": "yes"},
        {"changes": [{"sportradar_id": "SR", "bookmaker": "betpawa", "market": "3743", "outcome": "1", "odds": 9}, {}]},
    ],
)
async def test_a_change_that_makes_no_sense_is_refused_whole(client: QuartClient, body: object) -> None:
    """The answer is 400 with an error message, and nothing has changed."""
    fixture = at_all(sites()[0])

    def real(value: object) -> object:
        if isinstance(value, dict):
            return {key: fixture.sportradar_id if member == "SR" else real(member) for key, member in value.items()}
        return [real(member) for member in value] if isinstance(value, list) else value

    external_id = fixture.listings[Platform.BETPAWA].external_id
    before = await home_win(client, external_id)
    response = await client.post("/_sandbox/odds", json=real(body))
    assert response.status_code == 400
    assert (await response.get_json())["error"]
    assert await home_win(client, external_id) == before
