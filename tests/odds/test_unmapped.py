"""Counting the markets that the catalogue does not have."""

import pytest

from quart_odds.domain.odds import UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.odds import unmapped as module
from quart_odds.odds.unmapped import UnmappedMarkets
from tests.odds.making import header, mapped

OUA = UnmappedMarket("S_OUA", "Over/Under Asian")
ODD = UnmappedMarket("S_ODD", "Odd")


def test_unknown_markets_are_counted_by_current_events() -> None:
    """The newest fetch of an event counts, each market once; the same id at two bookmakers is two markets."""
    unmapped = UnmappedMarkets()
    unmapped.note(1, mapped(header(Platform.BET9JA, "1"), unmapped=(OUA, ODD, OUA)))
    unmapped.note(2, mapped(header(Platform.BET9JA, "2"), unmapped=(OUA,)))
    unmapped.note(3, mapped(header(Platform.BETPAWA, "3"), unmapped=(OUA,)))
    assert unmapped.counts()[0] == (Platform.BET9JA, OUA, 2)
    assert set(unmapped.counts()[1:]) == {(Platform.BET9JA, ODD, 1), (Platform.BETPAWA, OUA, 1)}
    unmapped.note(1, mapped(header(Platform.BET9JA, "1")))
    unmapped.forget(3)
    assert unmapped.counts() == [(Platform.BET9JA, OUA, 1)]


def kinds(start: int, count: int) -> tuple[UnmappedMarket, ...]:
    """Return markets that are in no catalogue."""
    return tuple(UnmappedMarket(f"made-up-{number}", "") for number in range(start, start + count))


def test_a_bookmaker_that_makes_up_markets_leaves_room_for_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of kinds is limited for each bookmaker."""
    monkeypatch.setattr(module, "MAX_KINDS", 100)
    unmapped = UnmappedMarkets()
    for number in range(10):
        unmapped.note(number, mapped(header(Platform.BETPAWA, str(number)), unmapped=kinds(60 * number, 60)))
    unmapped.note(99, mapped(header(Platform.BET9JA, "1"), unmapped=(OUA,)))
    counts = unmapped.counts()
    assert sum(platform is Platform.BETPAWA for platform, _, _ in counts) == 100
    assert (Platform.BET9JA, OUA, 1) in counts


def test_markets_that_are_offered_no_more_leave_their_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a bookmaker has made up markets for a while, its markets are counted as before."""
    monkeypatch.setattr(module, "MAX_KINDS", 100)
    unmapped = UnmappedMarkets()
    for round_ in range(5):
        unmapped.note(1, mapped(header(Platform.BETPAWA, "1"), unmapped=kinds(100 * round_, 100)))
        unmapped.note(1, mapped(header(Platform.BETPAWA, "1")))
        assert unmapped.counts() == []
    unmapped.note(1, mapped(header(Platform.BETPAWA, "1"), unmapped=kinds(0, 100)))
    unmapped.note(2, mapped(header(Platform.BETPAWA, "2"), unmapped=(*kinds(0, 50), ODD)))
    assert len(unmapped.counts()) == 100
    unmapped.forget(1)
    unmapped.note(2, mapped(header(Platform.BETPAWA, "2"), unmapped=(*kinds(0, 50), ODD)))
    assert set(unmapped.counts()) == {(Platform.BETPAWA, each, 1) for each in (*kinds(0, 50), ODD)}


def test_numbers_of_kinds_fit_two_bytes() -> None:
    """This holds for all bookmakers together."""
    assert module.MAX_KINDS * len(Platform) < 65_536
