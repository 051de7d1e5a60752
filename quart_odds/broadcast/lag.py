"""How far listeners are behind the end of their log, measured when somebody asks."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quart_odds.broadcast.flush import Flusher
from quart_odds.broadcast.subscriber import Subscriber


@dataclass(frozen=True, slots=True)
class Lag:
    """A listener that is behind: by how many entries of the log, those not for it included, and since how long.

    `seconds` is the age of the first entry that it lacks, or of the oldest one that is left.
    """

    subscriber: Subscriber
    entries: int
    seconds: float


def lags_of(flushers: Iterable[Flusher]) -> list[Lag]:
    """Return the listeners that are behind, in no order. The others have all but what the next flush brings."""
    return [
        Lag(each, flusher.log.next_seq - each.cursor, flusher.log.seconds_since(each.cursor))
        for flusher in flushers
        for each in flusher.lagging
        if each.cursor < flusher.log.next_seq
    ]


def quantile(behind: Sequence[float], total: int, share: float) -> float:
    """Return what this share of `total` listeners do not exceed. Those not in `behind`, ascending, are not behind."""
    if not total:
        return 0.0
    place = min(total - 1, int(total * share)) - (total - len(behind))
    return behind[place] if place >= 0 else 0.0
