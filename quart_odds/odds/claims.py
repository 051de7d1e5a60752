"""Which quotes name one match by one id. A bookmaker that gives an id to many events says nothing by it."""

from quart_odds.domain.platforms import Platform
from quart_odds.odds.quote import Quote

MAX_CLAIMS = 8
"""Events that one bookmaker may give one id at once: two are seen now and then, where an event is listed anew. With
more, matching would take longer the more there are, and could only guess."""

_Slot = tuple[Platform, bool]


class Claims:
    """Quotes by the id that they name, each bookmaker's listed and absent ones apart.

    More than MAX_CLAIMS of one kind are a crowd: none of them is heard.
    """

    def __init__(self) -> None:
        self._slots: dict[str, dict[_Slot, dict[int, Quote]]] = {}
        self._places: dict[int, tuple[str, _Slot]] = {}
        self._unheard: dict[str, dict[int, Quote]] = {}

    def put(self, key: str, quote: Quote) -> str | None:
        """Note what a quote names, in place of what it named before, and whether it is listed; the key before."""
        slot = quote.header.platform, quote.is_absent
        before = self._places.get(quote.id)
        if before == (key, slot):
            return key
        self.drop(quote)
        quotes = self._slots.setdefault(key, {}).setdefault(slot, {})
        quotes[quote.id] = quote
        self._places[quote.id] = key, slot
        if len(quotes) > MAX_CLAIMS:
            newly = quotes if len(quotes) == MAX_CLAIMS + 1 else {quote.id: quote}
            self._unheard.setdefault(key, {}).update(newly)
        return before[0] if before else None

    def drop(self, quote: Quote) -> None:
        """Forget what a quote names."""
        key, slot = self._places.pop(quote.id, (None, None))
        if key is None or slot is None:
            return
        slots = self._slots[key]
        del slots[slot][quote.id]
        if not slots[slot]:
            del slots[slot]
        if not slots:
            del self._slots[key]
        if (unheard := self._unheard.get(key)) is not None:
            unheard.pop(quote.id, None)

    def heard(self, key: str) -> list[Quote]:
        """The quotes that name this id, without crowds: a few at most."""
        slots = self._slots.get(key, {})
        return [quote for quotes in slots.values() if len(quotes) <= MAX_CLAIMS for quote in quotes.values()]

    def is_heard(self, quote: Quote) -> bool:
        """Whether a quote names something, and is not one of a crowd."""
        key, slot = self._places.get(quote.id, (None, None))
        return key is not None and slot is not None and len(self._slots[key][slot]) <= MAX_CLAIMS

    def take_unheard(self, key: str) -> list[Quote]:
        """Those that have become part of a crowd since this was last asked, each once."""
        return list(self._unheard.pop(key, {}).values())

    def clear(self) -> None:
        """Forget everything."""
        self._slots.clear()
        self._places.clear()
        self._unheard.clear()
