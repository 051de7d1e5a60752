"""What an answer makes of what is known: of the header if it came from a list or late, and of promotions' words."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from quart_odds.domain.catalogue import plain_key, promoted_key, promotion_of
from quart_odds.domain.odds import EventHeader, MappedEvent, Prices
from quart_odds.domain.promotions import KNOWN, MAX_WORDS, promotion_name, promotion_number
from quart_odds.odds.event_odds import EventOdds


def completed(listed: EventHeader, known: EventHeader) -> EventHeader:
    """Return the header of an event that a list has: the known one, with the list's kick-off and any ids that it lacks.

    Lists leave out what the event's own body has, and write names in other ways. Else they would alternate.
    """
    if listed == known:
        return known
    return replace(
        known,
        kickoff=listed.kickoff,
        sportradar_id=known.sportradar_id or listed.sportradar_id,
        genius_id=known.genius_id or listed.genius_id,
    )


def earlier(header: EventHeader, known: EventOdds, seen_at: datetime, *, is_partial: bool) -> EventHeader:
    """Return the header after a fetch that is recorded late: nothing of it replaces what a later fetch said."""
    if is_partial or (known.is_detailed and seen_at < known.seen_at):
        return known.header
    return completed(known.header, header)


def with_words_of(event_odds: EventOdds, mapped: MappedEvent) -> tuple[Prices, Mapping[int, int]]:
    """Return the prices and chances of a fetch, with promotions numbered as in the event odds.

    New words are added to those.
    """
    words = event_odds.promotions
    new = [word for word in mapped.promotions if word not in words and word not in KNOWN]
    event_odds.promotions = (*words, *new)[:MAX_WORDS]
    if event_odds.promotions == mapped.promotions:
        return mapped.prices, mapped.chances

    def renumbered(key: int) -> int:
        promotion = promotion_of(key)
        if not promotion:
            return key
        word = promotion_name(promotion, mapped.promotions) or ""
        return promoted_key(plain_key(key), promotion_number(word, event_odds.promotions))

    prices = Prices.from_pairs((renumbered(key), value) for key, value in mapped.prices)
    return prices, {renumbered(key): chance for key, chance in mapped.chances.items()}
