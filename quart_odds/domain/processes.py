"""What each process of several says of itself, so that all of them can tell what they do together."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Role = Literal["writer", "standby", "follower"]


@dataclass(frozen=True, slots=True)
class SchedulerState:
    """A scheduler at one moment. `skipped` counts the runs that it could not start since the process began."""

    is_on: bool
    is_paused: bool
    interval_minutes: float
    next_run: datetime | None = None
    skipped: int = 0
    last_skip: str | None = None


@dataclass(frozen=True, slots=True)
class WriterState:
    """What only the process that writes knows. `slowed` says, for people, which bookmakers get fewer requests now."""

    runs: SchedulerState
    sweeps: SchedulerState
    slowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """A process at one moment.

    `name` differs between any two processes, `worker` is its number if it is one of several workers. It is level if it
    has everything that is on the log. `connections` are all live ones, `active_count` those that listen to topics.
    `watched` has the ids of the events that its clients watch. `writing` is None unless the process writes. The ids of
    its connections begin with `connection_prefix`.
    """

    name: str
    worker: int | None
    pid: int
    role: Role
    is_level: bool
    connections: int
    active_count: int
    topic_counts: Mapping[str, int]
    watched: tuple[int, ...] = ()
    writing: WriterState | None = None
    connection_prefix: str = ""


@dataclass(frozen=True, slots=True)
class ClusterReport:
    """All processes at about one moment, by their names. `writer` is the name of the one that writes; None if none."""

    processes: tuple[ProcessReport, ...]
    writer: str | None

    @property
    def is_level(self) -> bool:
        """Whether every process is level."""
        return all(each.is_level for each in self.processes)

    @property
    def connections(self) -> int:
        """The live connections of all processes."""
        return sum(each.connections for each in self.processes)

    @property
    def active_count(self) -> int:
        """The listeners of all processes."""
        return sum(each.active_count for each in self.processes)

    @property
    def topic_counts(self) -> dict[str, int]:
        """The listeners of all processes per topic."""
        total: Counter[str] = Counter()
        for each in self.processes:
            total.update(each.topic_counts)
        return {topic: total[topic] for topic in sorted(total)}

    @property
    def watched_events(self) -> int:
        """How many different events are watched."""
        return len(watched_in(self.processes))


def watched_in(processes: Iterable[ProcessReport]) -> frozenset[int]:
    """Return the events that clients of any of these processes watch."""
    return frozenset(event_id for each in processes for event_id in each.watched)
