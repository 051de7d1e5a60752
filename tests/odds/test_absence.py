"""What is gone, and when lists and answers that prove it are recorded in another order than they were read."""

from collections.abc import Collection
from datetime import datetime, timedelta

from quart_odds.domain.platforms import Platform
from quart_odds.odds import EventOdds, OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.service import BELIEVE_MISSING_AFTER
from tests.odds.making import KICKOFF, NOW, X1, header, listed, mapped

HOME, *_ = X1
FAR = header(kickoff=KICKOFF + timedelta(days=9))


def at(minutes: float) -> datetime:
    """Return the moment this many minutes after NOW."""
    return NOW + timedelta(minutes=minutes)


def the_odds(cache: OddsCache) -> EventOdds:
    """Return the only event odds of a cache."""
    event_odds = cache.event_odds(1)
    assert event_odds is not None
    return event_odds


def known() -> OddsCache:
    """Return a cache whose only event was fetched at NOW."""
    cache = OddsCache()
    cache.apply(mapped(FAR), NOW)
    return cache


def test_a_late_withdrawal_does_not_redate_what_changed_since() -> None:
    """Newer changes are no sign of a clock that was ahead: they keep their dates and ages."""
    cache = known()
    cache.apply(listed(FAR, X1 | {HOME: 2.6}), at(5), at(5))
    cache.withdraw(Platform.BETPAWA, "e1", at(1), at(10))
    event_odds = the_odds(cache)
    assert event_odds.gone_at == at(1)
    assert event_odds.listed_at == at(5)
    assert max(event_odds.changed) == int(at(5).timestamp())
    assert cache.events[1].changed_at == at(5)
