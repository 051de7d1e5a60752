"""What processes report to each other, over a real Redis."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass, replace

import orjson
import pytest

from quart_odds.broadcast.engines import LogKeys
from quart_odds.cluster import ProcessReports, RedisServer, reports
from quart_odds.domain.processes import ProcessReport, SchedulerState, WriterState
from tests.redis_servers import TestRedis, running_redis

KEYS = LogKeys("here")
PATIENCE_SECONDS = 20
LONG_SECONDS = 60.0
"""For what is not to end while a test waits, however slow the machine is."""

WRITING = WriterState(SchedulerState(True, False, 5.0, skipped=2, last_skip="why"), SchedulerState(False, False, 0.0))


@dataclass
class Process:
    """One that reports what the test says."""

    report: ProcessReport
    reports: ProcessReports

    def others(self) -> dict[str, ProcessReport] | None:
        """Return what it knows of others; None if it does not know."""
        cluster = self.reports.cluster()
        if cluster is None:
            return None
        return {each.name: each for each in cluster.processes if each.name != self.report.name}

    def die(self) -> None:
        """End without a word."""
        assert self.reports._task is not None
        self.reports._task.cancel()


Start = Callable[..., Process]


@pytest.fixture(autouse=True)
def _haste(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report four times as often, and forget four times as soon."""
    monkeypatch.setattr(reports, "REPORT_SECONDS", 0.25)
    monkeypatch.setattr(reports, "LASTS_SECONDS", 1.0)


@pytest.fixture
def redis() -> Iterator[TestRedis]:
    with running_redis() as server:
        yield server


@pytest.fixture
async def start(redis: TestRedis) -> AsyncIterator[Start]:
    """Start processes by their names. The one that writes is `a`."""
    started: list[Process] = []

    def begin(name: str, keys: LogKeys = KEYS) -> Process:
        role, writing = ("writer", WRITING) if name == "a" else ("follower", None)
        topics = {"odds": 1, "odds_updates": 2}
        report = ProcessReport(name, None, 7, role, True, 5, 3, topics, (1, 2), writing)  # type: ignore[arg-type]
        process = Process(report, None)  # type: ignore[arg-type]
        connect = RedisServer(redis.url).connect
        process.reports = ProcessReports(connect, keys, lambda: process.report, lambda: "a")
        process.reports.open()
        started.append(process)
        return process

    yield begin
    await asyncio.gather(*(each.reports.close() for each in started))


async def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def test_each_process_knows_what_all_do(start: Start) -> None:
    """Its own numbers are those of now, those of others a second old; nothing of another installation is among them."""
    one, other, foreign = start("a"), start("b"), start("c", LogKeys("there"))
    await until(lambda: one.others() == {"b": other.report} and other.others() == {"a": one.report})
    assert foreign.others() == {}
    other.report = replace(other.report, active_count=10, watched=(2, 3), is_level=False)
    cluster = other.reports.cluster()
    assert cluster is not None
    assert [each.name for each in cluster.processes] == ["a", "b"]
    assert (cluster.writer, cluster.is_level) == ("a", False)
    assert (cluster.connections, cluster.active_count) == (10, 13)
    assert cluster.topic_counts == {"odds": 2, "odds_updates": 4}
    assert cluster.watched_events == 3
    await until(lambda: one.reports.watched_elsewhere() == {2, 3})
    assert one.others() == {"b": other.report}
    foreign_cluster = foreign.reports.cluster()
    assert foreign_cluster is not None
    assert foreign_cluster.writer is None


async def test_an_exchange_on_request_has_what_was_reported_before(
    start: Start, redis: TestRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has changed something tells it at once, and who is told of it asks at once. Without Redis, nobody waits."""
    monkeypatch.setattr(reports, "REPORT_SECONDS", 3600)
    monkeypatch.setattr(reports, "LASTS_SECONDS", LONG_SECONDS)
    monkeypatch.setattr(reports, "RENEW_SECONDS", LONG_SECONDS)
    one, other = start("a"), start("b")
    for count in (10, 20, 30):
        one.report = replace(one.report, active_count=count)
        await one.reports.renew()
        await other.reports.renew()
        assert other.others() == {"a": one.report}
    redis.kill()
    monkeypatch.setattr(reports, "RENEW_SECONDS", 0.5)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await one.reports.renew()


async def test_a_process_that_ends_is_forgotten_at_once_and_one_that_dies_within_a_bound(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With it go its listeners, the events that they watch, and the writer if it was that."""
    lasts = reports.LASTS_SECONDS
    monkeypatch.setattr(reports, "LASTS_SECONDS", LONG_SECONDS)
    one, two, three = start("b"), start("a"), start("c")
    await until(lambda: set(one.others() or ()) == {"a", "c"})
    await three.reports.close()
    await until(lambda: set(one.others() or ()) == {"a"})
    assert one.reports.watched_elsewhere() == {1, 2}
    monkeypatch.setattr(reports, "LASTS_SECONDS", lasts)
    for each in (one, two):
        await each.reports.renew()
    await until(lambda: set(one.others() or ()) == {"a"})
    two.die()
    # Its report ends, and the others read again.
    await until(lambda: one.others() == {})
    assert one.reports.watched_elsewhere() == frozenset()
    cluster = one.reports.cluster()
    assert cluster is not None
    assert (cluster.writer, cluster.active_count) == (None, 3)


async def test_without_redis_nothing_is_said_of_others(start: Start, redis: TestRedis) -> None:
    """Numbers that are old would be taken for those of now. When Redis is back, all are known again."""
    one, other = start("a"), start("b")
    await until(lambda: set(one.others() or ()) == {"b"})
    redis.kill()
    await until(lambda: one.reports.cluster() is None)
    assert one.reports.watched_elsewhere() == frozenset()
    redis.start()
    await until(lambda: one.others() == {"b": other.report} and other.others() == {"a": one.report})


async def test_a_report_of_another_version_hides_no_other(
    start: Start, redis: TestRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As during a restart, one worker after the other. What is not known of a report is ignored.

    What counts no longer, or would count too long because the clock of Redis was set back, is removed.
    """
    monkeypatch.setattr(reports, "LASTS_SECONDS", LONG_SECONDS)
    client = RedisServer(redis.url).connect()
    one = start("a")
    newer = replace(one.report, name="n", role="follower", writing=None)
    seconds, _ = await client.time()
    due = (seconds + PATIENCE_SECONDS) * 1000
    for name, value in {
        "n": b"%d %s" % (due, orjson.dumps({**asdict(newer), "further": 1})),
        "older": b'%d {"name": "older"}' % due,
        "no-report": b"?",
        "over": b"1 {}",
        "far": b"%d {}" % (due + 3_600_000),
    }.items():
        await client.hset(KEYS.processes, name, value)
    other = start("b")
    await until(lambda: other.others() == {"a": one.report, "n": newer})
    assert {b"a", b"b"} <= set(await client.hkeys(KEYS.processes)) <= {b"a", b"b", b"n", b"older"}
    await client.aclose()
