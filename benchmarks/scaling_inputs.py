"""What the simulation needs to know, measured on this machine, with the product under its own supervisor on Redis.

A batch of messages costs something by itself, and something more for each message. So each cost comes from two
measurements, with one message at a time and with many: the line through both. So it is with readers of Redis.
"""

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import scrape
from benchmarks.contestants import Running
from benchmarks.fan_client import Figures, Row, build_client, run_client
from benchmarks.fanout_workers import IDLE_MS, MEMORY, publish, redis_binary, workers_on_redis
from benchmarks.processes import precise_cpu_seconds, resident_bytes
from benchmarks.scaling_model import Costs

INTERVAL_MS = 20.0
BATCHES = 200
MANY = 50
FEW_READERS, MANY_READERS = 2, 4
LISTENERS = 1000
IDLE_SECONDS = 5.0
PACKET_BYTES = 52
"""The headers of IPv4 and TCP, with time stamps."""
FETCHED_EVENTS = 400


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds per batch: of Redis, of the writer, and of each other process."""

    redis: float
    writer: float
    follower: float


@dataclass(frozen=True, slots=True)
class Line:
    """A cost that grows with a number: `fixed` + n × `each`."""

    fixed: float
    each: float

    @classmethod
    def through(cls, few: float, cost_of_few: float, many: float, cost_of_many: float) -> "Line":
        """Return the line through two measurements."""
        each = max(0.0, (cost_of_many - cost_of_few) / (many - few))
        return cls(max(0.0, cost_of_few - few * each), each)


@dataclass(frozen=True, slots=True)
class Inputs:
    """The costs, and what the fan-out itself showed in the same call, to compare the simulation with."""

    costs: Costs
    measured: Figures


def measure_inputs() -> Inputs:
    """Measure all of it, in about a minute and a half. Raises ClickException where Redis or a C compiler is missing."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        client = build_client(folder)
        few = _without_listeners(folder, FEW_READERS)
        many = _without_listeners(folder, MANY_READERS)
        listening = _with_listeners(folder, client)
    fetched = scrape.measure(FETCHED_EVENTS, 100.0, None, 1, 3)
    redis = {count: Line.through(FEW_READERS, few[count].redis, MANY_READERS, many[count].redis) for count in (1, MANY)}
    redis_base = Line.through(1, redis[1].fixed, MANY, redis[MANY].fixed)
    redis_reader = Line.through(1, redis[1].each, MANY, redis[MANY].each)
    read = Line.through(1, few[1].follower, MANY, few[MANY].follower)
    written = Line.through(1, few[1].writer, MANY, few[MANY].writer)
    share = LISTENERS / FEW_READERS
    flush = Line.through(
        1,
        (listening.spent[1].follower - few[1].follower) / share,
        MANY,
        (listening.spent[MANY].follower - few[MANY].follower) / share,
    )
    costs = Costs(
        write=flush.fixed,
        deliver=flush.each,
        publish_batch=max(0.0, written.fixed - read.fixed),
        publish_message=max(0.0, written.each - read.each),
        read_batch=read.fixed,
        read_message=read.each,
        redis_batch=redis_base.fixed,
        redis_message=redis_base.each,
        redis_reader_batch=redis_reader.fixed,
        redis_reader_message=redis_reader.each,
        listener_second=listening.idle_second,
        fetch=float(str(fetched["loop_cpu_ms_per_event_bookmaker"])) / 1000,
        wire_bytes=listening.message_bytes + PACKET_BYTES,
        listener_bytes=listening.listener_bytes,
        process_bytes=listening.process_bytes,
    )
    return Inputs(costs, listening.measured)


def _without_listeners(folder: Path, processes: int) -> dict[int, Spent]:
    with workers_on_redis(redis_binary(), folder, processes) as (server, pids):
        return {count: _spent(server, pids, count) for count in (1, MANY)}


def _spent(server: Running, pids: Sequence[int], count: int) -> Spent:
    """Publish batches of so many messages, and return what each batch cost beyond an idle server."""
    seconds = BATCHES * INTERVAL_MS / 1000 + 0.5
    before = _cpu(pids)
    threading.Event().wait(seconds)
    idle = [after - was for was, after in zip(before, _cpu(pids), strict=True)]
    before = _cpu(pids)
    publish(server, BATCHES * count, INTERVAL_MS, count)
    threading.Event().wait(seconds)
    return _per_batch([after - was - rest for was, after, rest in zip(before, _cpu(pids), idle, strict=True)])


def _per_batch(seconds: Sequence[float]) -> Spent:
    # The supervisor has nothing to do with messages. The writer works for two, so it is the busiest worker.
    redis, _, *workers = [max(0.0, each) / BATCHES for each in seconds]
    writer, *followers = sorted(workers, reverse=True)
    return Spent(redis, writer, sum(followers) / len(followers))


def _cpu(pids: Sequence[int]) -> list[float]:
    return [precise_cpu_seconds(each) for each in pids]


@dataclass(frozen=True, slots=True)
class _Listening:
    spent: dict[int, Spent]
    idle_second: float
    message_bytes: float
    listener_bytes: float
    process_bytes: float
    measured: Figures


def _with_listeners(folder: Path, client: Path) -> _Listening:
    with workers_on_redis(redis_binary(), folder, FEW_READERS) as (server, pids):
        run_client(client, Row("", "", "ws", 0), MEMORY, server, (50, 0, 100, "", 0, 0))
        workers = pids[2:]
        process_bytes = resident_bytes(workers) / len(workers)
        before = _cpu(workers)
        threading.Event().wait(IDLE_SECONDS)
        alone = sum(_cpu(workers)) - sum(before)
        resting: list[float] = []
        grown: list[float] = []

        def rest() -> None:
            grown.append(resident_bytes(workers) / len(workers) - process_bytes)
            before = _cpu(workers)
            threading.Event().wait(IDLE_SECONDS)
            resting.append(sum(_cpu(workers)) - sum(before) - alone)

        holding = (LISTENERS, 0, int(IDLE_SECONDS * 1000) + 1500, "", 0, 0)
        run_client(client, Row("", "", "ws", 0), MEMORY, server, holding, rest)
        spent: dict[int, Spent] = {}
        figures: dict[int, Figures] = {}
        for count in (1, MANY):
            before = []

            def begin(count: int = count, before: list[float] = before) -> None:
                before += _cpu(pids)
                publish(server, BATCHES * count, INTERVAL_MS, count)

            expected = BATCHES * count
            figures[count] = run_client(
                client, Row("", "", "ws", 0), MEMORY, server, (LISTENERS, expected, IDLE_MS, "", 0, 0), begin
            )
            spent[count] = _per_batch([after - was for was, after in zip(before, _cpu(pids), strict=True)])
    return _Listening(
        spent,
        max(0.0, resting[0]) / IDLE_SECONDS / LISTENERS,
        figures[1]["bytes"] / figures[1]["delivered"],
        grown[0] * FEW_READERS / LISTENERS,
        process_bytes,
        figures[1],
    )
