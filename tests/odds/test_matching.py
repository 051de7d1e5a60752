"""Deciding which bookmakers' events are the same match."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.platforms import Platform
from quart_odds.odds.matching import KICKOFF_TOLERANCE, Candidate, agreeing
from tests.odds.making import KICKOFF

SECOND = timedelta(seconds=1)


def candidate(odds_id: int, platform: Platform, minutes: float = 0, *, is_gone: bool = False) -> Candidate:
    """Return a candidate whose kick-off differs by this many minutes."""
    return Candidate(odds_id, platform, KICKOFF + timedelta(minutes=minutes), is_gone)


def test_claims_with_near_kick_offs_are_one_match() -> None:
    """Kick-offs ten minutes apart are still the same match; with one second more they are not."""
    first, second = candidate(1, Platform.BETPAWA), Candidate(2, Platform.SPORTYBET, KICKOFF + KICKOFF_TOLERANCE)
    assert set(agreeing([first, second])) == {1, 2}
    far = Candidate(2, Platform.SPORTYBET, KICKOFF + KICKOFF_TOLERANCE + SECOND)
    assert agreeing([first, far]) == (1,)


def test_two_that_agree_outvote_one() -> None:
    """The event with the differing kick-off stands alone, even if it is BetPawa's."""
    candidates = [
        candidate(1, Platform.BETPAWA, 60),
        candidate(2, Platform.SPORTYBET),
        candidate(3, Platform.BET9JA, 1),
    ]
    assert set(agreeing(candidates)) == {2, 3}


def test_what_is_listed_now_outweighs_what_is_gone() -> None:
    """A bookmaker's new listing replaces its old one, and events that are gone follow those that are listed."""
    old, new = candidate(1, Platform.BETPAWA, is_gone=True), candidate(2, Platform.BETPAWA)
    assert agreeing([old, new]) == (2,)
    moved = [candidate(1, Platform.BETPAWA, 90), candidate(2, Platform.SPORTYBET, is_gone=True)]
    assert set(agreeing(moved)) == {1, 2}


def test_a_bookmaker_that_disagrees_is_not_replaced_by_its_own_old_listing() -> None:
    """Its place in the match stays empty."""
    candidates = [
        candidate(1, Platform.BETPAWA, 90),
        candidate(2, Platform.BETPAWA, is_gone=True),
        candidate(3, Platform.SPORTYBET),
        candidate(4, Platform.BET9JA),
    ]
    assert set(agreeing(candidates)) == {3, 4}


@given(
    st.lists(
        st.builds(
            candidate,
            st.integers(1, 9),
            st.sampled_from(list(Platform)),
            st.sampled_from([0.0, 5.0, 9.0, 12.0, 60.0]),
            is_gone=st.booleans(),
        ),
        min_size=1,
        max_size=6,
        unique_by=lambda each: each.odds_id,
    ),
    st.randoms(),
)
def test_the_order_of_arrival_does_not_matter(candidates: list[Candidate], random: object) -> None:
    """In any order, the same candidates make the same match: one per bookmaker, with kick-offs close to one of them."""
    together = agreeing(candidates)
    shuffled = list(candidates)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert agreeing(shuffled) == together
    chosen = [each for each in candidates if each.odds_id in together]
    assert len({each.platform for each in chosen}) == len(chosen) > 0
    listed = [each for each in chosen if not each.is_gone]
    assert bool(listed) is any(not each.is_gone for each in candidates)
    assert not listed or any(
        all(abs(each.kickoff - one.kickoff) <= KICKOFF_TOLERANCE for each in listed) for one in listed
    )
