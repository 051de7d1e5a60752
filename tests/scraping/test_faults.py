"""Faults of bookmakers: what the run, its row and the odds show, and that the other two bookmakers are not affected.

Every test begins with a healthy run, so that there are odds which a fault could wrongly remove.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from quart_odds.domain.platforms import Platform
from quart_odds.errors import StorageError
from tests.apps import Json, RunningApp, Sandbox, running_app, running_sandbox, without_times
from tests.bookmakers.fake_site import closed_port
from tests.platforms import FIRST_THREE

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
EVENTS = 8
NOWHERE = "http://bookmaker.invalid"


@pytest.fixture(scope="module")
def process() -> Iterator[Sandbox]:
    """Three bookmakers with the same eight events."""
    with running_sandbox("--events", str(EVENTS), "--markets", "12") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: Sandbox) -> Iterator[Sandbox]:
    """The same bookmakers, without faults before and after each test."""
    process.heal()
    yield process
    process.heal()


@dataclass(frozen=True)
class Case:
    """A fault that makes its platform fail: the error type, part of the message, and the settings."""

    name: str
    platform: Platform
    fault: object
    error_type: str
    words: str
    settings: dict[str, Any] = field(default_factory=dict)
    is_recoverable: bool = True


HASTY = {"request_timeout_seconds": 0.4}

FAILING = [
    Case("timeout", BETPAWA, "timeout", "unreachable", "no answer within 0.4 s", HASTY),
    Case(
        "timeout of details",
        SPORTYBET,
        "timeout@details",
        "unreachable",
        f"no answer within 0.4 s ({EVENTS} times)",
        HASTY,
    ),
    Case("slow drip", BET9JA, "drip", "unreachable", "no answer within 0.4 s", HASTY),
    Case(
        "slow drip of details",
        BETPAWA,
        "drip@details",
        "unreachable",
        f"no answer within 0.4 s ({EVENTS} times)",
        HASTY,
    ),
    Case("403 HTML", SPORTYBET, "403", "blocked", "refused (403)", is_recoverable=False),
    Case(
        "403 HTML at details", BET9JA, "403@details", "blocked", f"refused (403) ({EVENTS} times)", is_recoverable=False
    ),
    Case("403 HTML at lists of events", BETPAWA, "403@lists", "blocked", "refused (403)", is_recoverable=False),
    Case("a page of HTML with 200", BET9JA, "block-page", "blocked", "an HTML page", is_recoverable=False),
    Case(
        "a page of HTML with 200 at details",
        SPORTYBET,
        "block-page@details",
        "blocked",
        f"an HTML page where JSON was due ({EVENTS} times)",
        is_recoverable=False,
    ),
    Case("a firewall's challenge", SPORTYBET, "202@lists", "blocked", "refused (202)", is_recoverable=False),
    Case("nothing at all", BETPAWA, "blank", "empty_body", "an empty body"),
    Case("nothing at all at details", BET9JA, "blank@details", "empty_body", f"an empty body ({EVENTS} times)"),
    Case("429", SPORTYBET, "429", "rate_limited", "too many requests (429)"),
    Case("429 with Retry-After", BET9JA, "429-retry-after", "rate_limited", "too many requests (429)"),
    Case("500 always", BETPAWA, "500", "server_fault", "a fault of the server (500)"),
    Case("cut JSON", SPORTYBET, "cut", "malformed_body", "no valid JSON: unexpected end of data"),
    Case("cut JSON of details", BET9JA, "cut@details", "malformed_body", "no valid JSON: unexpected end of data"),
    Case("connection reset", BETPAWA, "reset", "unreachable", "the connection was cut"),
    Case("JSON of the wrong shape", SPORTYBET, "wrong-shape", "malformed_body", "a JSON list where an object was due"),
    Case("details of the wrong shape", BET9JA, "wrong-shape@details", "malformed_body", "a JSON list where an object"),
    Case("wrong types", BETPAWA, "wrong-types", "malformed_body", "the list of competitions: no text in"),
    Case("wrong types at lists", SPORTYBET, "wrong-types@lists", "malformed_body", "no number in bizCode"),
    Case("empty lists of BetPawa", BETPAWA, "empty", "nothing_found", "no event was found"),
    Case("empty lists of SportyBet", SPORTYBET, "empty", "incomplete_list", "events were listed"),
    Case("empty lists of Bet9ja", BET9JA, "empty", "incomplete_list", "events were listed"),
    Case("gzip bomb", SPORTYBET, "bomb", "malformed_body", "a body of more than 4000000 bytes"),
    Case("gzip bombs in details", BETPAWA, "bomb@details", "malformed_body", "more than 4000000 bytes"),
    Case("wide JSON", BETPAWA, "wide", "malformed_body", "JSON of more than 400000 values"),
    Case("wide JSON in lists", BET9JA, "wide@lists", "malformed_body", "JSON of more than 400000 values"),
    Case("wide JSON in details", SPORTYBET, "wide@details", "malformed_body", "JSON of more than 400000 values"),
    Case("deep JSON", BET9JA, "deep", "malformed_body", "JSON of more than 64 levels"),
    Case("deep JSON in details", BETPAWA, "deep@details", "malformed_body", "JSON of more than 64 levels"),
    Case("redirect loop", SPORTYBET, "redirect", "malformed_body", "redirects, more than 3 in a row"),
    Case("redirect loops in details", BETPAWA, "redirect@details", "malformed_body", "redirects, more than 3"),
    Case(
        "a bookmaker that never answers",
        BETPAWA,
        "timeout@details",
        "deadline",
        "BetPawa did not finish within 3 s",
        {"platform_deadline_seconds": 3},
    ),
]


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.name)
async def test_a_fault_fails_its_platform_with_its_reason_and_takes_no_odds(
    case: Case, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The run is partial; progress, row and health have the reason; the platform's odds stay as they were."""
    async with running_app(tmp_path, sandbox.url, **case.settings) as app:
        before = await healthy(app)
        sandbox.strike(case.fault, case.platform)
        row, published = await app.scrape()
        check_failed(row, published, case.platform, case.error_type, case.words, case.is_recoverable)
        assert without_times(await app.odds(case.platform)) == without_times(before[case.platform])
        await check_others(app, row, published, before, case.platform)
        health = await app.get("/api/health")
        assert health["status"] == "degraded"
        [struck] = [each for each in health["platforms"] if each["status"] == "unhealthy"]
        assert (struck["platform"], case.words.partition(f" ({EVENTS}")[0] in struck["error"]) == (case.platform, True)


@pytest.mark.parametrize(
    ("url", "words"),
    [(closed_port, "no connection to 127.0.0.1:"), (lambda: NOWHERE, "bookmaker.invalid")],
    ids=["connection refused", "DNS failure"],
)
async def test_a_bookmaker_that_cannot_be_reached(url: Any, words: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """After a restart with an address that no longer works, the earlier odds are there, and stay."""
    async with running_app(tmp_path, sandbox.url) as app:
        before = await healthy(app)
    async with running_app(tmp_path, sandbox.url, bet9ja_url=url()) as app:
        assert await app.odds(BET9JA) == before[BET9JA]
        row, published = await app.scrape()
        check_failed(row, published, BET9JA, "unreachable", words, True)
        assert await app.odds(BET9JA) == before[BET9JA]
        await check_others(app, row, published, before, BET9JA)


@pytest.mark.parametrize("platform", FIRST_THREE)
async def test_one_event_that_is_not_there_is_counted(platform: Platform, sandbox: Sandbox, tmp_path: Path) -> None:
    """After a 404 the run completes with one failure, which its row names; that bookmaker's event is gone at once."""
    async with running_app(tmp_path, sandbox.url) as app:
        before = await healthy(app)
        sandbox.strike("404", platform)
        row, published = await app.scrape()
        assert row["status"] == published[-1]["phase"] == "completed"
        assert published[-1]["error"] is None
        assert "1 failed" in published[-1]["message"]
        result = result_of(row, platform)
        assert (result["events_scraped"], result["events_failed"]) == (EVENTS - 1, 1)
        [error] = row["errors"]
        assert (error["error_type"], error["platform"], error["count"]) == ("not_found", platform, 1)
        after = await app.odds(platform)
        struck = error["where"].removeprefix("event ")
        assert after.pop(struck)["available"] is False
        assert before[platform].pop(struck)["available"] is True
        check_seen_again(after, before[platform])
        await check_others(app, row, published, before, platform)


@pytest.mark.parametrize(
    ("platform", "fault", "at_least_ms"),
    [
        (BETPAWA, "500-then-fine", 0),
        (SPORTYBET, "429-then-fine", 0),
        (SPORTYBET, "blank-then-fine", 0),
        (BET9JA, {"kind": "429", "times": 1, "retry_after": 1, "where": "lists"}, 1000),
    ],
    ids=["500 then fine", "429 then fine", "nothing then fine", "429 with Retry-After then fine"],
)
async def test_what_passes_is_tried_again(
    platform: Platform, fault: object, at_least_ms: int, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Nothing is lost, no error is reported, and the requested pause is observed."""
    async with running_app(tmp_path, sandbox.url) as app:
        before = await healthy(app)
        sandbox.strike(fault, platform)
        row, published = await app.scrape()
        check_completed(row, published)
        check_seen_again(await app.odds(platform), before[platform])
        assert result_of(row, platform)["duration_ms"] >= at_least_ms
        await check_others(app, row, published, before, platform)


@pytest.mark.parametrize("platform", FIRST_THREE)
async def test_a_list_without_half_of_the_events_is_believed_only_the_second_time(
    platform: Platform, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is reported, but no event is gone until another complete list lacks it, at least five minutes later.

    A list that is shorter than the count in its tree is never complete. BetPawa's tree has no counts.
    """
    async with running_app(tmp_path, sandbox.url) as app:
        before = await healthy(app)
        sandbox.strike("half", platform)
        for _ in range(2):
            row, published = await app.scrape()
            assert row["status"] == published[-1]["phase"] == "completed"
            found = result_of(row, platform)["events_found"]
            assert 0 < found <= EVENTS // 2
            assert {each["platform"] for each in row["errors"]} <= {platform}
            assert all(each["available"] for each in (await app.odds(platform)).values())
            await check_others(app, row, published, before, platform)
        monkeypatch.setattr("quart_odds.odds.service.BELIEVE_MISSING_AFTER", timedelta(milliseconds=1))
        row, published = await app.scrape()
        after = await app.odds(platform)
        gone = [each for each in after.values() if not each["available"]]
        assert (len(after), len(gone)) == (EVENTS, EVENTS - found if platform is BETPAWA else 0)
        assert all(each["unavailable_since"] for each in gone)
        await check_others(app, row, published, before, platform)

        sandbox.heal()
        check_completed(*await app.scrape())
        check_seen_again(await app.odds(platform), before[platform])


@pytest.mark.parametrize("platform", [SPORTYBET, BET9JA])
async def test_lists_that_are_shorter_than_the_tree_counts_are_reported(
    platform: Platform, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The run completes with all odds; its row and the platform's message say how many of the events were listed."""
    async with running_app(tmp_path, sandbox.url) as app:
        before = await healthy(app)
        sandbox.strike("overcount", platform)
        row, published = await app.scrape()
        assert row["status"] == published[-1]["phase"] == "completed"
        [error] = row["errors"]
        assert (error["error_type"], error["platform"], error["recoverable"]) == ("incomplete_list", platform, True)
        assert re.search(r"(\d+) of (\d+) events were listed", error["error_message"])
        assert error["where"] in last_of(published, platform)["message"]
        check_seen_again(await app.odds(platform), before[platform])
        await check_others(app, row, published, before, platform)


async def test_a_list_that_moves_between_two_pages_is_reported_and_believed_in_nothing(tmp_path: Path) -> None:
    """In BetPawa's longest competition, the event that left stays, and so do those that may have been skipped."""
    with running_sandbox("--events", "420", "--markets", "10") as sandbox:
        async with running_app(tmp_path, sandbox.url) as app:
            check_completed(*await app.scrape(BETPAWA))
            sandbox.strike("shift", BETPAWA)
            row, published = await app.scrape(BETPAWA)
            assert row["status"] == "completed"
            assert {each["error_type"] for each in row["errors"]} == {"incomplete_list"}
            assert "the list moved while it was read" in last_of(published, BETPAWA)["message"]
            assert (await app.get("/api/events/alerts/count"))["count"] == 0


@pytest.mark.parametrize("platform", FIRST_THREE)
async def test_lists_that_name_events_twice(platform: Platform, sandbox: Sandbox, tmp_path: Path) -> None:
    """Each event is fetched once and recorded once."""
    async with running_app(tmp_path, sandbox.url) as app:
        before = await healthy(app)
        sandbox.strike("duplicates", platform)
        requests = sandbox.state()["bookmakers"][platform]["requests"]
        row, published = await app.scrape()
        check_completed(row, published)
        again = sandbox.state()["bookmakers"][platform]["requests"] - requests
        sandbox.heal()
        await app.scrape()
        assert sandbox.state()["bookmakers"][platform]["requests"] - requests == 2 * again
        check_seen_again(await app.odds(platform), before[platform])
        await check_others(app, row, published, before, platform)


@pytest.mark.parametrize("platform", FIRST_THREE)
async def test_an_event_with_five_thousand_markets(platform: Platform, sandbox: Sandbox, tmp_path: Path) -> None:
    """Known markets are recorded, and all others are counted as unmapped."""
    async with running_app(tmp_path, sandbox.url, max_body_bytes=16_000_000) as app:
        before = await healthy(app)
        plain = result_of(await app.get("/api/scrape/1"), platform)
        sandbox.strike("huge", platform)
        row, published = await app.scrape()
        check_completed(row, published)
        result = result_of(row, platform)
        assert result["mapped_markets"] == plain["mapped_markets"]
        assert result["unmapped_markets"] - plain["unmapped_markets"] > 4500
        check_seen_again(await app.odds(platform), before[platform])
        await check_others(app, row, published, before, platform)


async def test_wrong_types_in_details_never_become_odds(sandbox: Sandbox, tmp_path: Path) -> None:
    """At each bookmaker, the events fail or keep what can be read; no price is mistaken for another one."""
    async with running_app(tmp_path, sandbox.url) as app:
        before = await healthy(app)
        sandbox.strike("wrong-types@details", *FIRST_THREE)
        row, published = await app.scrape()
        assert row["status"] == published[-1]["phase"] == "failed"
        for platform in FIRST_THREE:
            assert result_of(row, platform)["error"]["error_type"] in ("malformed_body", "not_found")
            assert without_times(await app.odds(platform)) == without_times(before[platform])


async def test_all_three_failing_is_a_failed_run(sandbox: Sandbox, tmp_path: Path) -> None:
    """There is one terminal progress, failed, with a reason; each platform has its own reason."""
    async with running_app(tmp_path, sandbox.url, **HASTY) as app:
        before = await healthy(app)
        faults = {"betpawa": "403", "sportybet": "timeout", "bet9ja": "cut"}
        sandbox.post("/_sandbox/faults", faults)
        row, published = await app.scrape()
        check_reported(published, "failed")
        assert row["status"] == "failed"
        assert published[-1]["error"] is not None
        kinds = {each["platform"]: each["error"]["error_type"] for each in row["platforms"]}
        assert kinds == {"betpawa": "blocked", "sportybet": "unreachable", "bet9ja": "malformed_body"}
        assert {each: await app.odds(each) for each in FIRST_THREE} == before
        assert (await app.get("/api/health"))["status"] == "unhealthy"


async def test_a_database_that_takes_no_odds_is_no_fault_of_a_bookmaker(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run fails with a storage error; that is an expected error, so no traceback is logged."""

    async def refuse(*_: object) -> None:
        raise StorageError("the disk is full")

    async with running_app(tmp_path, sandbox.url) as app:
        before = await healthy(app)
        monkeypatch.setattr(app.parts.odds_service, "record", refuse)
        with capture_logs() as logs:
            row, published = await app.scrape()
        check_reported(published, "failed")
        assert row["status"] == "failed"
        assert {each["error"]["error_type"] for each in row["platforms"]} == {"storage"}
        assert "the disk is full" in published[-1]["error"]["error_message"]
        assert "scrape.platform_broke" not in {each["event"] for each in logs}
        assert {each: await app.odds(each) for each in FIRST_THREE} == before


async def test_a_bookmaker_that_begins_to_refuse_half_way_is_failed_within_the_run(tmp_path: Path) -> None:
    """No more requests are made after twenty refusals in a row; what was read is kept, and the others complete."""
    with running_sandbox("--events", "60", "--markets", "12", "--latency-ms", "40") as sandbox:
        async with running_app(tmp_path, sandbox.url, betpawa_concurrency=3) as app:
            run_id = await app.start()
            async with asyncio.timeout(10):
                while result_of(await app.get(f"/api/scrape/{run_id}"), BETPAWA)["events_scraped"] < 15:
                    await asyncio.sleep(0.01)
            sandbox.strike("403@details", BETPAWA)
            published = await app.published(run_id)
            row = await app.get(f"/api/scrape/{run_id}")
            check_failed(row, published, BETPAWA, "blocked", "refused (403)", False)
            result = result_of(row, BETPAWA)
            assert 15 <= result["events_scraped"] <= 35
            assert 20 <= result["events_failed"] <= 25
            assert len(await app.odds(BETPAWA)) >= result["events_scraped"], "those that only lists had count as failed"
            for other in (SPORTYBET, BET9JA):
                assert result_of(row, other)["status"] == "completed"


@pytest.mark.parametrize("phase", ["discovering", "scraping", "storing"])
async def test_cancelling_ends_a_run_in_any_phase(
    phase: str, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is one terminal progress within two seconds, the row says cancelled, and no task is left."""
    async with running_app(tmp_path, sandbox.url, request_timeout_seconds=60) as app:
        before = await healthy(app)
        tasks = asyncio.all_tasks()
        if phase == "storing":
            monkeypatch.setattr(app.parts.odds_service, "confirm", asyncio.Event().wait)
        else:
            sandbox.strike("timeout@lists" if phase == "discovering" else "timeout@details", *FIRST_THREE)
        run_id = await app.start()
        async for progress in following(app):
            if progress["platform"] is None and progress["phase"] == phase:
                break
        loop = asyncio.get_running_loop()
        began = loop.time()
        response = await app.client.post(f"/api/scrape/{run_id}/cancel")
        assert response.status_code == 202
        published = await app.published(run_id)
        assert loop.time() - began < 2
        check_reported(published, "failed")
        assert published[-1]["error"]["error_type"] == "cancelled"
        row = await app.get(f"/api/scrape/{run_id}")
        assert row["status"] == "cancelled"
        assert await app.get("/api/scrape/runs/active") == []
        async with asyncio.timeout(2):
            while left := asyncio.all_tasks() - tasks:
                await asyncio.wait(left, timeout=0.05)
        if phase != "storing":
            assert {each: without_times(await app.odds(each)) for each in FIRST_THREE} == {
                each: without_times(odds) for each, odds in before.items()
            }
        response = await app.client.post(f"/api/scrape/{run_id}/cancel")
        assert response.status_code == 409


async def test_only_real_changes_are_kept_and_reported(sandbox: Sandbox, tmp_path: Path) -> None:
    """A second scrape of the same odds publishes and writes nothing.

    If k prices change, k rows are written, and the notices name exactly their events.
    """
    async with running_app(tmp_path, sandbox.url) as app:
        await healthy(app)
        app.parts.notifier.close()
        listener = app.client.websocket("/api/ws?topics=odds_updates")
        async with listener as websocket:
            assert (await websocket.receive_json())["type"] == "connection_ack"
            check_completed(*await app.scrape())
            assert await history_rows(app) == 0
            changes = sandbox.post("/_sandbox/odds", {"changes": 9})["changes"]
            assert len(changes) == 9
            check_completed(*await app.scrape())
            assert await history_rows(app) == 9
            app.parts.notifier.close()  # publishes the notices that are still waiting
            await websocket.send('{"type":"ping"}')
            noticed: set[tuple[str, int]] = set()
            async with asyncio.timeout(30):
                while (message := await websocket.receive_json())["type"] != "pong":
                    assert message["type"] == "odds_update"
                    assert message["data"]["event_ids"]
                    noticed |= {(message["data"]["source"], each) for each in message["data"]["event_ids"]}
        events = (await app.get("/api/events?include_started=true&page_size=100"))["events"]
        ids = {each["sportradar_id"]: each["id"] for each in events}
        assert noticed == {(each["bookmaker"], ids[each["sportradar_id"]]) for each in changes}


# Shared by the tests.


async def healthy(app: RunningApp) -> dict[Platform, dict[str, Json]]:
    """Make a run without faults, and return the odds of each bookmaker after it."""
    check_completed(*await app.scrape())
    odds = {each: await app.odds(each) for each in FIRST_THREE}
    assert all(len(each) == EVENTS for each in odds.values())
    return odds


async def following(app: RunningApp) -> AsyncIterator[Json]:
    """Yield the active run's progress as it is published."""
    run = app.parts.runs.active
    assert run is not None
    async with asyncio.timeout(10):
        async for progress in run.broadcaster.subscribe(from_start=True):
            yield progress.model_dump(mode="json")


async def history_rows(app: RunningApp) -> int:
    """Return the number of changes in the history."""
    async with app.parts.store.database.reading() as connection:
        return int((await connection.exec_driver_sql("select count(*) from odds_history")).scalar_one())


def result_of(row: Json, platform: Platform) -> Json:
    """Return a run's result at a platform."""
    [result] = [each for each in row["platforms"] if each["platform"] == platform]
    found: Json = result
    return found


def last_of(published: list[Json], platform: Platform | None) -> Json:
    """Return the last progress of a platform."""
    return [each for each in published if each["platform"] == platform][-1]


def check_reported(published: list[Json], phase: str) -> None:
    """There is one terminal progress, at the end, in this phase."""
    terminal = [each for each in published if each["platform"] is None and each["phase"] in ("completed", "failed")]
    assert terminal == [published[-1]]
    assert published[-1]["phase"] == phase


def check_completed(row: Json, published: list[Json]) -> None:
    """The run and all platforms completed, without errors."""
    check_reported(published, "completed")
    assert (row["status"], row["errors"], published[-1]["error"]) == ("completed", [], None)
    assert row["events_failed"] == 0
    assert {each["status"] for each in row["platforms"]} == {"completed"}


def check_failed(
    row: Json, published: list[Json], platform: Platform, error_type: str, words: str, is_recoverable: bool
) -> None:
    """One platform failed for this reason, and its progress, the terminal progress and the row agree."""
    check_reported(published, "completed")
    assert row["status"] == "partial"
    result = result_of(row, platform)
    assert result["status"] == "failed"
    assert (result["error"]["error_type"], result["error"]["recoverable"]) == (error_type, is_recoverable)
    last = last_of(published, platform)
    assert last["phase"] == "failed"
    for context in (last["error"], published[-1]["error"]):
        assert (context["error_type"], context["platform"]) == (error_type, platform)
        assert words in context["error_message"]
        assert context["recoverable"] is is_recoverable
    assert row["errors"][0]["error_type"] == error_type
    assert f"{platform.display_name} failed" in published[-1]["message"]


async def check_others(
    app: RunningApp, row: Json, published: list[Json], before: dict[Platform, dict[str, Json]], struck: Platform
) -> None:
    """The other two completed, with all events, without errors, and with the same odds as before."""
    for platform in FIRST_THREE:
        if platform is struck:
            continue
        result = result_of(row, platform)
        assert (result["status"], result["error"]) == ("completed", None)
        assert (result["events_found"], result["events_scraped"], result["events_failed"]) == (EVENTS, EVENTS, 0)
        assert last_of(published, platform)["phase"] == "completed"
        assert platform not in {each["platform"] for each in row["errors"]}
        check_seen_again(await app.odds(platform), before[platform])


def check_seen_again(after: dict[str, Json], before: dict[str, Json]) -> None:
    """The odds are the same and all available, and were seen later than before."""
    assert without_times(after) == without_times(before)
    for external_id, event_odds in after.items():
        assert event_odds["available"] is True
        assert event_odds["snapshot_time"] > before[external_id]["snapshot_time"]
