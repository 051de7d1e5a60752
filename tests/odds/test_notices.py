"""Notices of changed odds: published at once after a quiet time, coalesced when there are many, and never empty."""

import asyncio
from dataclasses import dataclass, field

from quart_odds.domain.platforms import Platform
from quart_odds.odds import EventChange, OddsNotifier

SOON = 0.01


@dataclass
class RecordingPublisher:
    """Keeps the published notices, and lets a test wait for them."""

    notices: list[tuple[list[int], Platform, int]] = field(default_factory=list)
    openings: list[int] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def __call__(self, event_ids: list[int], platform: Platform, snapshot_count: int, opening_count: int) -> None:
        self.notices.append((event_ids, platform, snapshot_count))
        self.openings.append(opening_count)
        self.arrived.set()

    async def until(self, count: int) -> None:
        """Wait until there are this many notices."""
        async with asyncio.timeout(30):
            while len(self.notices) < count:
                self.arrived.clear()
                await self.arrived.wait()


def change(event_id: int, platform: Platform = Platform.BETPAWA, **kind: object) -> EventChange:
    """Return a change of one price, unless `kind` says otherwise."""
    return EventChange(event_id, platform, event_id, **(kind or {"changed": ((1, 2, 4),)}))  # type: ignore[arg-type]


async def test_a_quiet_source_is_reported_at_once() -> None:
    """The first change is published before the call returns."""
    publisher = RecordingPublisher()
    OddsNotifier(publisher, interval_seconds=SOON)(change(7))
    assert publisher.notices == [([7], Platform.BETPAWA, 1)]


async def test_a_busy_source_is_reported_once_an_interval() -> None:
    """Changes within the interval make one notice, with ascending ids, each once, and the number of snapshots."""
    publisher = RecordingPublisher()
    notify = OddsNotifier(publisher, interval_seconds=SOON)
    for event_id in (5, 9, 3, 9):
        notify(change(event_id))
    await publisher.until(2)
    assert publisher.notices == [([5], Platform.BETPAWA, 1), ([3, 9], Platform.BETPAWA, 3)]


async def test_each_source_has_its_own_interval() -> None:
    """A busy bookmaker does not delay another one."""
    publisher = RecordingPublisher()
    notify = OddsNotifier(publisher, interval_seconds=60)
    notify(change(1))
    notify(change(2))
    notify(change(2, Platform.BET9JA))
    assert publisher.notices == [([1], Platform.BETPAWA, 1), ([2], Platform.BET9JA, 1)]
    notify.close()
    assert publisher.notices[2:] == [([2], Platform.BETPAWA, 1)]


async def test_what_is_no_change_is_not_reported() -> None:
    """An event that was only seen again or renamed causes no notice and starts no interval."""
    publisher = RecordingPublisher()
    notify = OddsNotifier(publisher, interval_seconds=60)
    notify(change(1, is_new=False))
    notify(change(1, is_header_changed=True))
    assert publisher.notices == []
    notify(change(1, is_new=True))
    assert publisher.notices == [([1], Platform.BETPAWA, 1)]
    notify.close()
    assert len(publisher.notices) == 1


async def test_a_source_becomes_quiet_again() -> None:
    """After an interval without changes nothing is published, and the next change is published at once."""
    publisher = RecordingPublisher()
    notify = OddsNotifier(publisher, interval_seconds=0.001)
    notify(change(1))
    await asyncio.sleep(0.02)
    assert len(publisher.notices) == 1
    notify(change(2))
    assert publisher.notices[1:] == [([2], Platform.BETPAWA, 1)]
    notify.close()


async def test_coming_and_going_are_changes() -> None:
    """An event that disappeared or came back is in a notice, together with the other events that this concerns."""
    publisher = RecordingPublisher()
    notify = OddsNotifier(publisher, interval_seconds=60)
    notify(change(4, is_available=False, also=(2,)))
    assert publisher.notices == [([2, 4], Platform.BETPAWA, 1)]
    notify.close()


async def test_first_prices_are_counted_apart() -> None:
    """Of a new event, and of the first body of an event that a list had. One that came back has changed."""
    publisher = RecordingPublisher()
    notify = OddsNotifier(publisher, interval_seconds=60)
    first = ((1, None, 4), (2, None, 6))
    notify(change(1, is_new=True, changed=first))
    notify(change(2, changed=first, opened={1, 2}))
    notify(change(3, changed=((1, 2, 4), *first[1:]), opened={2}))
    notify(change(4, is_available=True))
    notify.close()
    assert publisher.notices == [([1], Platform.BETPAWA, 1), ([2, 3, 4], Platform.BETPAWA, 3)]
    assert publisher.openings == [1, 1]
