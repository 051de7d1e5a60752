"""Rates and changes of live prices are told under `/_sandbox`, and agree with what the bookmakers show."""

from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from quart.typing import TestClientProtocol as QuartClient

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import SandboxOptions, create_sandbox
from quart_odds.sandbox.world.changes import ChangeLog
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import HEADERS, NOW

UPCOMING = "/api/ng/factsCenter/pcUpcomingEvents?marketId=1,18,10,29&pageSize=100&pageNum=1&option=2"


class Sandbox:
    """A sandbox with live prices, and its clock."""

    def __init__(self, **options: Any) -> None:
        self.now = NOW
        given = SandboxOptions(
            **{"events": 12, "markets": 20, "live_prices": True, "bookmakers": FIRST_THREE, **options}
        )
        self.client: QuartClient = create_sandbox(given, now=lambda: self.now).test_client()

    async def get(self, path: str, status: int = 200) -> Any:
        """Return the JSON of an answer."""
        response = await self.client.get(path, headers={**HEADERS[Platform.BETPAWA], **HEADERS[Platform.BET9JA]})
        assert response.status_code == status, await response.get_data()
        return await response.get_json()


async def test_rates_are_those_of_now_for_each_event_and_bookmaker() -> None:
    """They grow towards kick-off and end with it."""
    sandbox = Sandbox()
    before = await sandbox.get("/_sandbox/rates")
    assert before["at"] == "2026-11-24T12:00:00.000Z"
    assert {rate["bookmaker"] for rate in before["rates"]} == set(FIRST_THREE)
    first = max(before["rates"], key=lambda rate: str(rate["kickoff"]))
    sandbox.now = datetime.fromisoformat(first["kickoff"]) - timedelta(minutes=5)
    after = await sandbox.get("/_sandbox/rates")
    (then,) = (
        r for r in after["rates"] if (r["external_id"], r["bookmaker"]) == (first["external_id"], first["bookmaker"])
    )
    assert then["per_second"] == pytest.approx(60 * first["per_second"])
    assert sum(rate["per_second"] == 0 for rate in after["rates"]) > 20


async def test_changes_are_told_by_number_or_time_with_their_moment() -> None:
    """They are there without a request to a bookmaker, page by page, and the state tells that prices are live."""
    sandbox = Sandbox()
    assert (await sandbox.get("/_sandbox/changes"))["changes"] == []
    sandbox.now += timedelta(hours=3)
    found = await sandbox.get("/_sandbox/changes?limit=10000")
    seqs = [change["seq"] for change in found["changes"]]
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(seqs) > 100
    assert (found["next"], found["last"], found["is_complete"]) == (len(seqs), len(seqs), True)
    assert [c["at"] for c in found["changes"]] == sorted(c["at"] for c in found["changes"])
    page = await sandbox.get("/_sandbox/changes?since=5&limit=3")
    assert [change["seq"] for change in page["changes"]] == [6, 7, 8]
    assert (page["next"], page["last"]) == (8, len(seqs))
    moment = found["changes"][50]["at"]
    later = await sandbox.get(f"/_sandbox/changes?since={moment}&limit=10000")
    assert [c["seq"] for c in later["changes"]] == [c["seq"] for c in found["changes"] if c["at"] >= moment]
    state = await sandbox.get("/_sandbox/state")
    assert (state["live_prices"], state["move"]) == (True, 0)


async def test_the_newest_change_of_a_line_is_the_time_that_sportybet_tells() -> None:
    """In lists and details alike, for every market and line; prices are those of the newest change."""
    sandbox = Sandbox()
    sandbox.now += timedelta(hours=3)
    listed = (await sandbox.get(UPCOMING))["data"]["tournaments"]
    told = {
        (event["eventId"], market["id"], market.get("specifier")): market
        for tournament in listed
        for event in tournament["events"]
        for market in event["markets"]
    }
    changes = (await sandbox.get("/_sandbox/changes?limit=10000"))["changes"]
    main = {}
    for change in changes:
        if change["bookmaker"] == "sportybet" and change["slug"] == "over_under_ft":
            main[change["external_id"], "18", f"total={change['line']:g}"] = change
    assert len(main) > 10
    for key, change in main.items():
        market = told[key]
        moment = datetime.fromtimestamp(market["lastOddsChangeTime"] / 1000, UTC)
        assert moment == datetime.fromisoformat(change["at"])
        odds = {outcome["desc"].split()[0]: float(outcome["odds"]) for outcome in market["outcomes"]}
        assert odds[change["outcome"]] == change["new"]
        path = f"/api/ng/factsCenter/event?eventId={key[0]}&productId=3"
        detail = (await sandbox.get(path))["data"]["markets"]
        (same,) = (m for m in detail if (m["id"], m.get("specifier")) == key[1:])
        assert same == market
    untouched = [m for key, m in told.items() if m["lastOddsChangeTime"] < NOW.timestamp() * 1000]
    assert 0 < len(untouched) < len(told)


async def test_a_change_on_request_has_the_moment_of_the_request() -> None:
    """It comes after all earlier changes of the process."""
    sandbox = Sandbox()
    sandbox.now += timedelta(hours=1)
    response = await sandbox.client.post("/_sandbox/odds", json={"changes": 1})
    (done,) = (await response.get_json())["changes"]
    last = (await sandbox.get("/_sandbox/changes?limit=10000"))["changes"][-1]
    assert last["at"] == "2026-11-24T13:00:00.000Z"
    assert {name: last[name] for name in ("sportradar_id", "bookmaker", "market", "line", "outcome", "old", "new")} == {
        name: done[name] for name in ("sportradar_id", "bookmaker", "market", "line", "outcome", "old", "new")
    }
    refused = await sandbox.client.post("/_sandbox/odds", json={"move": 0.5})
    assert refused.status_code == 400
    assert "prices are live" in (await refused.get_json())["error"]
    assert (await sandbox.client.post("/_sandbox/odds", json={"move": 0})).status_code == 200


async def test_a_reader_that_comes_too_late_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record is bounded."""
    monkeypatch.setattr("quart_odds.sandbox.sites.books.ChangeLog", partial(ChangeLog, 40))
    sandbox = Sandbox()
    sandbox.now += timedelta(hours=3)
    found = await sandbox.get("/_sandbox/changes")
    assert len(found["changes"]) == 40
    assert found["is_complete"] is False
    assert (await sandbox.get(f"/_sandbox/changes?since={found['last'] - 40}"))["is_complete"] is True
    assert (await sandbox.get(f"/_sandbox/changes?since={found['last'] - 41}"))["is_complete"] is False
    assert (await sandbox.get("/_sandbox/changes?since=2026-11-24T12:00:00Z"))["is_complete"] is False


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("since=yesterday", "neither a number nor a time"),
        ("since=2026-11-24T12:00:00", "no time zone"),
        ("since=-1", "not a number from 0"),
        ("since=7", "not a number from 0 to 0"),
        ("limit=0", "from 1 to 10000"),
        ("limit=many", "from 1 to 10000"),
    ],
)
async def test_an_impossible_question_is_refused(query: str, said: str) -> None:
    """With 400 and one sentence."""
    assert said in (await Sandbox().get(f"/_sandbox/changes?{query}", 400))["error"]


async def test_prices_that_do_not_move_in_time_have_no_rates(tmp_path: Path) -> None:
    """409, also for a replay, which has no changes either."""
    assert "--live-prices" in (await Sandbox(live_prices=False).get("/_sandbox/rates", 409))["error"]
    (tmp_path / "requests.json").write_bytes(orjson.dumps([]))
    replay = Sandbox(live_prices=False, replay=tmp_path)
    await replay.get("/_sandbox/rates", 409)
    await replay.get("/_sandbox/changes", 409)
    with pytest.raises(ValueError, match="replay"):
        Sandbox(replay=tmp_path)
