"""Changes that wait to be committed, and the batches that are made from them."""

from dataclasses import dataclass, field

from quart_odds.odds.cache import OddsCache
from quart_odds.odds.ownership import Recording
from quart_odds.storage.odds_rows import Batch, HistoryRow, event_row, quote_at, seen_row
from quart_odds.storage.openings import Opening, dated_back, joined


@dataclass(slots=True)
class Waiting:
    """What has to be written of one event's odds, and for which recordings.

    `opening` are prices to add to the stored opening, or the whole opening if the event odds `is_new`.
    """

    first_put: int
    recordings: set[Recording | None] = field(default_factory=set)
    is_seen_only: bool = True
    with_prices: bool = False
    is_new: bool = False
    opening: Opening | None = None
    history: list[HistoryRow] = field(default_factory=list)
    redated_after: int = 0

    def date_back(self, second: int) -> int:
        """Date later changes at `second`, because a clock was ahead; return the number of history rows that this drops.

        If several changes of one price end up at the same second, only the last one is kept.
        """
        before = len(self.history)
        dated: dict[tuple[int, int], int] = {}
        for at, key, odds in self.history:
            odds_id, moment = at >> 32, at & 0xFFFFFFFF
            dated[quote_at(odds_id, min(moment, second)), key] = odds
        self.history = [(at, key, odds) for (at, key), odds in dated.items()]
        if self.opening is not None:
            self.opening = dated_back(self.opening, second)
        self.redated_after = min(self.redated_after or second, second)
        return before - len(self.history)

    def join(self, newer: "Waiting") -> int:
        """Add changes that came in after these; return the number of history rows that this drops."""
        self.recordings |= newer.recordings
        self.is_seen_only &= newer.is_seen_only
        self.with_prices |= newer.with_prices
        dropped = self.date_back(newer.redated_after) if newer.redated_after else 0
        self.is_new |= newer.is_new
        self.opening = joined(self.opening, newer.opening)
        self.history += newer.history
        return dropped

    def include_refused(self, refused: "Waiting") -> None:
        """Let the next write include everything that was refused before, except its history."""
        self.is_seen_only &= refused.is_seen_only
        self.with_prices |= refused.with_prices
        self.is_new |= refused.is_new
        self.opening = joined(refused.opening, self.opening)


def make_batch(cache: OddsCache, entries: dict[int, Waiting], emptied: list[int]) -> Batch:
    """Return a batch that writes these entries as their odds are in the cache now."""
    batch = Batch(emptied=emptied)
    for odds_id, entry in entries.items():
        event_odds = cache.event_odds(odds_id)
        event = None if event_odds is None else cache.get(event_odds.event_id)
        if event_odds is None or event is None:
            continue  # the cache has dropped it; `OddsService` only drops what is committed
        if entry.redated_after:
            batch.redated.append((odds_id, entry.redated_after))
        if entry.is_seen_only:
            batch.seen.append(seen_row(event_odds))
        else:
            batch.rows.append(
                event_row(
                    event,
                    event_odds,
                    with_prices=entry.with_prices,
                    opening=entry.opening,
                    is_opening_added=not entry.is_new,
                    history=entry.history,
                )
            )
    return batch
