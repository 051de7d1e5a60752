"""What the processes report to each other through Redis: their listeners, the events these watch, and their state.

Every process puts its report into one hash each second, and gets those of the others in the same step. A report has an
expiry by the clock of Redis, so a process that is killed or hangs is forgotten by all others within a few seconds. This
has a connection of its own: it neither waits for the log nor holds it up.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from pydantic import TypeAdapter, ValidationError

from quart_odds.broadcast.engines import LogKeys
from quart_odds.broadcast.engines.clients import disconnect, end_tasks, words_of
from quart_odds.domain.processes import ClusterReport, ProcessReport, watched_in

if TYPE_CHECKING:
    from redis.asyncio import Redis

REPORT_SECONDS = 1.0
"""How often a process reports."""

LASTS_SECONDS = 4.0
"""How long a report counts. Processes that have not read the others' reports for so long know nothing of them."""

RENEW_SECONDS = 1.0
"""How long `ProcessReports.renew` waits."""

CLOSE_SECONDS = 0.5
"""How long withdrawing the own report may take. If it fails, the report expires."""

EXCHANGE = """
local time = redis.call('TIME')
local now, lasts = time[1] * 1000 + math.floor(time[2] / 1000), tonumber(ARGV[2])
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now + lasts) .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], lasts)
local all, live = redis.call('HGETALL', KEYS[1]), {}
for at = 1, #all, 2 do
    local due, report = string.match(all[at + 1], '^(%d+) (.*)$')
    due = tonumber(due)
    if due and due > now and due <= now + lasts then
        table.insert(live, report)
    else
        redis.call('HDEL', KEYS[1], all[at])
    end
end
return live
"""
"""Put the report of a process into the hash, and return all that count. Key: the hash. Arguments: name, milliseconds
for which the report counts, report.

An expiry that is too far away was set before the clock of Redis was set back. Its process renews it, if it lives.
"""

log = structlog.get_logger(__name__)
_REPORT = TypeAdapter(ProcessReport)


class ProcessReports:
    """Exchanges reports from `open` to `close`. `own` returns the report of this process, always with the same name.

    `writer` returns the name of the process that writes, as far as this one knows.
    """

    def __init__(
        self,
        connect: Callable[[], "Redis"],
        keys: LogKeys,
        own: Callable[[], ProcessReport],
        writer: Callable[[], str | None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._key = keys.processes
        self._own = own
        self._writer = writer
        self._clock = clock
        self._client: Any = None
        self._task: asyncio.Task[None] | None = None
        self._others: tuple[ProcessReport, ...] = ()
        self._watched: frozenset[int] = frozenset()
        self._known_until = clock()
        self._is_wanted = asyncio.Event()
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def is_known(self) -> bool:
        """Whether this process knows what the others do. It does not while Redis does not answer."""
        return self._clock() < self._known_until

    def watched_elsewhere(self) -> frozenset[int]:
        """Return the events that clients of other processes watch."""
        return self._watched if self.is_known else frozenset()

    def cluster(self) -> ClusterReport | None:
        """Return what all processes do, this one as of now; None while it is not known."""
        if not self.is_known:
            return None
        processes = tuple(sorted((*self._others, self._own()), key=lambda each: each.name))
        writer = self._writer()
        return ClusterReport(processes, next((each.name for each in processes if each.name == writer), None))

    async def renew(self) -> None:
        """Exchange reports now, and return when that is done, after RENEW_SECONDS at the latest."""
        if self._task is None:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(done)
        self._is_wanted.set()
        await asyncio.wait([done], timeout=RENEW_SECONDS)

    def open(self) -> None:
        """Start to report."""
        self._task = asyncio.create_task(self._report_for_ever(), name="process-reports")

    async def close(self) -> None:
        """Stop, and withdraw the own report."""
        task, self._task = self._task, None
        if task is None:
            return
        await end_tasks(task)
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                self._client = self._client or self._connect()
                await self._client.hdel(self._key, self._own().name)
        except Exception as error:
            log.debug("cluster.report_not_withdrawn", reason=words_of(error))  # it expires by itself
        await self._disconnect()

    async def _report_for_ever(self) -> None:
        has_failed = False
        while True:
            self._is_wanted.clear()
            waiting, self._waiting = self._waiting, []
            report, began = self._own(), self._clock()
            try:
                async with asyncio.timeout(LASTS_SECONDS):
                    self._client = self._client or self._connect()
                    arguments = [report.name, round(LASTS_SECONDS * 1000), orjson.dumps(report)]
                    found = await self._client.eval(EXCHANGE, 1, self._key, *arguments)
            except Exception as error:
                # redis-py raises more than its own errors when a peer has closed: TypeError, AttributeError.
                (log.debug if has_failed else log.warning)("cluster.reports_unknown", reason=words_of(error))
                has_failed = True
                await self._disconnect()
            else:
                has_failed = False
                self._others = tuple(each for each in _read(found) if each.name != report.name)
                self._watched = watched_in(self._others)
                self._known_until = began + LASTS_SECONDS
            for each in waiting:
                each.set_result(None)
            if has_failed:
                await asyncio.sleep(REPORT_SECONDS)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(REPORT_SECONDS):
                        await self._is_wanted.wait()

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        await disconnect(client)


def _read(found: Iterable[bytes]) -> list[ProcessReport]:
    """Return the reports that can be read: during a restart, some may be of another version."""
    reports = []
    for each in found:
        try:
            reports.append(_REPORT.validate_json(each))
        except ValidationError as error:
            log.debug("cluster.report_not_read", reason=str(error))
    return reports
