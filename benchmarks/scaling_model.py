"""A simulation of messages on their way from the writer through Redis to the listeners of many processes.

Three kinds of servers take jobs in the order in which they come, one at a time: the loop of each process, and Redis.
The writer publishes what has come up meanwhile as one batch, and the next batch when Redis has answered. Redis passes a
batch on to each process that reads. A process puts it on its log, and flushes to its listeners as `broadcast/flush.py`
does: at once if it was idle, otherwise a pause after the end of the last flush. All processes that only serve do the
same at the same time, so one of them is simulated beside the writer, which serves as well.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from quart_odds.broadcast.flush import FLUSH_PAUSE_SECONDS
from quart_odds.cluster.shared_log import PAUSE_SHARE

LISTENERS_TIMED = 16
"""Of so many listeners, evenly spread over a flush, the latency is noted."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What things cost, in seconds of CPU time, bytes, and resident bytes. See `scaling_inputs.py`."""

    write: float
    """One write to one listener, whatever is in it."""
    deliver: float
    """Each message in it."""
    publish_batch: float
    publish_message: float
    read_batch: float
    read_message: float
    redis_batch: float
    redis_message: float
    redis_reader_batch: float
    redis_reader_message: float
    listener_second: float
    """What an idle listener costs each second."""
    fetch: float
    """The writer's loop, for one event of one bookmaker that is fetched and stored."""
    wire_bytes: float
    """A message to one listener, with its frame and the headers of TCP and IP."""
    listener_bytes: float
    process_bytes: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be carried. `group` messages come up together, `messages` a second; `hop` is a one-way delay."""

    processes: int
    listeners: int
    messages: float
    group: int = 1
    fetches: float = 0.0
    hop: float = 0.0
    seconds: float = 20.0
    is_regular: bool = False
    """Whether the groups come at equal distances, as in the benchmark, or at random."""
    has_redis: bool = True


@dataclass(slots=True)
class Carried:
    """What came out: the share of time that each server is busy, and latencies in seconds."""

    writer: float = 0.0
    follower: float = 0.0
    redis: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def latency(self, quantile: float) -> float:
        """Return a quantile of the latencies from publishing to the write."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]


class _Server:
    """Takes jobs in order. A job has a duration, and what happens at its end."""

    def __init__(self, simulation: "_Simulation") -> None:
        self._simulation = simulation
        self._free_at = 0.0
        self.busy = 0.0

    def work(self, seconds: float, then: Callable[[], None]) -> float:
        """Do a job after those before it, and return when it begins."""
        begins = max(self._simulation.now, self._free_at)
        self._free_at = begins + seconds
        self.busy += seconds
        self._simulation.at(self._free_at, then)
        return begins


class _Process:
    """A process with listeners: its loop, and its flush."""

    def __init__(self, simulation: "_Simulation", listeners: int) -> None:
        self._simulation = simulation
        self._costs = simulation.costs
        self.loop = _Server(simulation)
        self._listeners = listeners
        self._waiting: list[float] = []
        self._is_scheduled = False
        self._ended_at = -1.0
        self._took = 0.0

    def receive(self, made: list[float]) -> None:
        """Read a batch of messages, with the times at which they were made."""
        seconds = self._costs.read_batch + len(made) * self._costs.read_message
        self.loop.work(seconds, lambda: self.take(made))

    def take(self, made: list[float]) -> None:
        """Put messages on the log, and schedule a flush."""
        self._waiting += made
        if self._is_scheduled or not self._listeners:
            return
        self._is_scheduled = True
        share = PAUSE_SHARE if self._simulation.plan.has_redis else 0.0
        pause = max(FLUSH_PAUSE_SECONDS, share * self._took)
        self._simulation.at(max(self._simulation.now, self._ended_at + pause), self._flush)

    def _flush(self) -> None:
        made, self._waiting = self._waiting, []
        self._is_scheduled = False
        each = self._costs.write + len(made) * self._costs.deliver
        self._took = self._listeners * each
        begins = self.loop.work(self._took, self._end)
        for number in range(LISTENERS_TIMED):
            written_at = begins + self._listeners * each * (number + 0.5) / LISTENERS_TIMED
            self._simulation.carried.latencies += [written_at - at for at in made]

    def _end(self) -> None:
        self._ended_at = self._simulation.now


class _Simulation:
    def __init__(self, costs: Costs, plan: Plan) -> None:
        self.costs = costs
        self.plan = plan
        self.now = 0.0
        self.carried = Carried()
        self._random = random.Random(1)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.redis = _Server(self)
        self.writer = _Process(self, plan.listeners)
        self.follower = _Process(self, plan.listeners if plan.processes > 1 else 0)
        self._unsent: list[float] = []
        self._is_sending = False

    def at(self, moment: float, then: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._agenda, (moment, self._count, then))

    def run(self) -> Carried:
        self.at(0.0, self._publish)
        if self.plan.fetches:
            self.at(0.0, self._fetch)
        while self._agenda and self._agenda[0][0] < self.plan.seconds:
            self.now, _, then = heapq.heappop(self._agenda)
            then()
        idle = self.plan.listeners * self.costs.listener_second
        self.carried.writer = self.writer.loop.busy / self.plan.seconds + idle
        self.carried.follower = self.follower.loop.busy / self.plan.seconds + idle
        self.carried.redis = self.redis.busy / self.plan.seconds
        return self.carried

    def _pause(self, rate: float) -> float:
        return 1 / rate if self.plan.is_regular else self._random.expovariate(rate)

    def _fetch(self) -> None:
        self.writer.loop.work(self.costs.fetch, lambda: None)
        self.at(self.now + self._pause(self.plan.fetches), self._fetch)

    def _publish(self) -> None:
        made = [self.now] * self.plan.group
        seconds = len(made) * self.costs.publish_message
        if self.plan.has_redis:
            self.writer.loop.work(seconds, lambda: self._append(made))
        else:
            self.writer.loop.work(seconds, lambda: self.writer.take(made))
        self.at(self.now + self._pause(self.plan.messages / self.plan.group), self._publish)

    def _append(self, made: list[float]) -> None:
        self._unsent += made
        if not self._is_sending:
            self._send()

    def _send(self) -> None:
        batch, self._unsent = self._unsent, []
        self._is_sending = True
        self.writer.loop.work(
            self.costs.publish_batch, lambda: self.at(self.now + self.plan.hop, lambda: self._store(batch))
        )

    def _store(self, batch: list[float]) -> None:
        costs = self.costs
        readers = self.plan.processes
        seconds = costs.redis_batch + readers * costs.redis_reader_batch
        seconds += len(batch) * (costs.redis_message + readers * costs.redis_reader_message)
        self.redis.work(seconds, lambda: self.at(self.now + self.plan.hop, lambda: self._stored(batch)))

    def _stored(self, batch: list[float]) -> None:
        self._is_sending = False
        self.writer.receive(batch)
        if self.plan.processes > 1:
            self.follower.receive(batch)
        if self._unsent:
            self._send()


def simulate(costs: Costs, plan: Plan) -> Carried:
    """Simulate a plan. The same plan has the same result."""
    return _Simulation(costs, plan).run()
