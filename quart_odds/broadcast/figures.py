"""What the hub has done since its start, and the connections that ended not long ago: for metrics and explanations."""

import secrets
import time
from collections import Counter, deque
from collections.abc import Callable
from itertools import count

from quart_odds.broadcast.connections import Connection, Ending, connection_of
from quart_odds.broadcast.subscriber import Subscriber
from quart_odds.domain.histogram import Histogram

LATENCY_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the counted latencies, in seconds."""

MOST_REMEMBERED = 1000
"""How many connections that have ended are remembered."""

REMEMBERED_SECONDS = 900.0
"""How long they are."""


class HubFigures:
    """Counts what happens to the listeners of the hub and of the streams of runs.

    `name` begins the ids of the connections of this process, and differs between any two processes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = secrets.token_hex(4)
        self.latency = Histogram(LATENCY_BOUNDS)
        """Of each flush, the seconds from the publication of its oldest entry to the end of its last write."""
        self.begun: Counter[tuple[str, str]] = Counter()
        """Connections by transport and lane."""
        self.ended: Counter[Ending] = Counter()
        self.recovered = 0
        """Connections that resumed from their cursor and missed nothing."""
        self.not_recovered = 0
        """Connections that could not."""
        self.gaps = 0
        """How often a connection was told that it missed something while it was open."""
        self._clock = clock
        self._numbers = count(1)
        self._remembered: deque[Connection] = deque(maxlen=MOST_REMEMBERED)

    def now(self) -> float:
        """Return the time by the clock of the hub."""
        return self._clock()

    def new_number(self) -> int:
        """Return the number of another connection."""
        return next(self._numbers)

    def id_of(self, number: int) -> str:
        """Return the id of a connection of this process."""
        return f"{self.name}-{number}"

    def number_of(self, connection_id: str) -> int | None:
        """Return the number in an id; None if it is not an id of this process."""
        name, _, digits = connection_id.rpartition("-")
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 16
        return int(digits) if name == self.name and is_number else None

    def note_begun(self, subscriber: Subscriber) -> None:
        """Count a connection that begins."""
        subscriber.began_at = self._clock()
        self.begun[subscriber.framing.transport, subscriber.framing.lane] += 1

    def note_ended(self, subscriber: Subscriber, ending: Ending) -> None:
        """Count and remember a connection that ends."""
        self.ended[ending] += 1
        self._remembered.append(connection_of(subscriber, self._clock(), ending))

    def ended_connection(self, number: int) -> Connection | None:
        """Return a connection that ended within the last REMEMBERED_SECONDS; None if it is not remembered."""
        oldest = self._clock() - REMEMBERED_SECONDS
        while self._remembered and self._remembered[0].at < oldest:
            self._remembered.popleft()
        return next((each for each in self._remembered if each.number == number), None)
