"""A record of every price that changed: when, where, from what and to what."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.world.markets import MAIN_SLUGS, PriceKey
from quart_odds.sandbox.world.world import Fixture

KEPT_CHANGES = 50_000
"""How many changes are kept. At 1,300 events that is about an hour of live prices, in some 10 MB."""


@dataclass(frozen=True, slots=True)
class Change:
    """One price before and after a change.

    `seq` counts all changes of a sandbox from 1. `at_ms` is the moment in epoch milliseconds, `old` and `new` are odds
    in hundredths. A change may be of the odds, of the suspension, or of both.
    """

    seq: int
    at_ms: int
    platform: Platform
    fixture: Fixture
    key: PriceKey
    old: int
    new: int
    was_suspended: bool
    is_suspended: bool

    @property
    def at(self) -> datetime:
        """The moment of the change."""
        return datetime.fromtimestamp(self.at_ms / 1000, UTC)

    @property
    def external_id(self) -> str:
        """The bookmaker's id of the event."""
        return self.fixture.listings[self.platform].external_id

    @property
    def is_main(self) -> bool:
        """Whether the price is one of a main market."""
        return self.key[0].slug in MAIN_SLUGS


class ChangeLog:
    """The newest changes of all bookmakers, oldest first. The oldest are dropped when there are more than `size`."""

    def __init__(self, size: int = KEPT_CHANGES) -> None:
        self._kept: deque[Change] = deque(maxlen=size)
        self.last_seq = 0
        """The number of the newest change, 0 if there was none."""

    def add(
        self,
        at_ms: int,
        platform: Platform,
        fixture: Fixture,
        key: PriceKey,
        old: tuple[int, bool],
        new: tuple[int, bool],
    ) -> None:
        """Add a change. `old` and `new` are odds in hundredths and whether the price is suspended."""
        self.last_seq += 1
        self._kept.append(Change(self.last_seq, at_ms, platform, fixture, key, old[0], new[0], old[1], new[1]))

    @property
    def first_seq(self) -> int:
        """The number of the oldest change that is kept. It is one more than `last_seq` if none is."""
        return self.last_seq - len(self._kept) + 1

    def since(self, seq: int, limit: int | None = None) -> Sequence[Change]:
        """Return the kept changes after number `seq`, at most `limit` of them.

        Changes were missed if `seq` is less than `first_seq - 1`.
        """
        start = max(0, seq + 1 - self.first_seq)
        return tuple(islice(self._kept, start, None if limit is None else start + limit))

    def seq_at(self, moment: datetime) -> int:
        """Return the number of the last change before `moment`, or the one before the oldest that is kept."""
        at_ms = moment.timestamp() * 1000
        return next((change.seq - 1 for change in self._kept if change.at_ms >= at_ms), self.last_seq)
