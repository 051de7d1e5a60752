"""The count of markets that the catalogue does not know."""

from quart_odds.domain.odds import UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.odds.unmapped import UnmappedMarkets
from tests.odds.making import header, mapped

OUA = UnmappedMarket("S_OUA", "Over/Under Asian")
ODD = UnmappedMarket("S_ODD", "Odd")


def test_unknown_markets_are_counted_by_current_events() -> None:
    """The newest fetch of an event counts, once a market; a bookmaker's ids are its own."""
    unmapped = UnmappedMarkets()
    unmapped.note(1, mapped(header(Platform.BET9JA, "1"), unmapped=(OUA, ODD, OUA)))
    unmapped.note(2, mapped(header(Platform.BET9JA, "2"), unmapped=(OUA,)))
    unmapped.note(3, mapped(header(Platform.BETPAWA, "3"), unmapped=(OUA,)))
    assert unmapped.counts()[0] == (Platform.BET9JA, OUA, 2)
    assert set(unmapped.counts()[1:]) == {(Platform.BET9JA, ODD, 1), (Platform.BETPAWA, OUA, 1)}
    unmapped.note(1, mapped(header(Platform.BET9JA, "1")))
    unmapped.forget(3)
    assert unmapped.counts() == [(Platform.BET9JA, OUA, 1)]
