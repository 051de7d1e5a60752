"""Promotions: their words, their numbers, and their bits in a price's key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.catalogue import (
    line_code,
    market_number_of,
    pack_key,
    plain_key,
    promoted_key,
    promotion_of,
    unpack_key,
)
from quart_odds.domain.promotions import (
    BOOSTED,
    KNOWN,
    MAX_WORD_LENGTH,
    MAX_WORDS,
    ONE_UP,
    OTHER,
    TWO_UP,
    is_comparable,
    promotion_name,
    promotion_number,
    word_of,
)

numbers = st.integers(1, 511)
outcomes = st.integers(0, 63)
short_lines = st.none() | st.integers(-512, 3582).map(lambda quarters: quarters / 4)
all_lines = st.none() | st.integers(-32_767, 32_767).map(lambda quarters: quarters / 4)
words = st.lists(
    st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True).filter(lambda word: word not in (*KNOWN, "other")),
    max_size=MAX_WORDS,
    unique=True,
)


@given(numbers, outcomes, short_lines, st.integers(1, OTHER))
def test_a_promoted_key_survives_the_round_trip(number: int, index: int, line: float | None, promotion: int) -> None:
    """Market, outcome, line, promotion and the plain key can all be recovered from 32 bits."""
    key = pack_key(number, index, line, promotion)
    assert 2**31 <= key < 2**32
    assert unpack_key(key) == (number, index, line)
    assert (market_number_of(key), promotion_of(key)) == (number, promotion)
    assert plain_key(key) == pack_key(number, index, line)


@given(numbers, outcomes, all_lines)
def test_a_plain_key_is_what_it_was_before_promotions(number: int, index: int, line: float | None) -> None:
    """Stored keys stay valid: nine bits for the market, six for the outcome, sixteen for the line."""
    key = pack_key(number, index, line)
    assert key == number << 22 | index << 16 | (0 if line is None else round(line * 4) + 32_768)
    assert key & 0xFFFF == line_code(line)
    assert (plain_key(key), promotion_of(key), promoted_key(key, 0)) == (key, 0, key)


@given(st.lists(st.tuples(numbers, outcomes, st.integers(1, OTHER), st.integers(-512, 3582)), min_size=2))
def test_promoted_keys_order_by_market_then_outcome_and_follow_all_plain_ones(
    parts: list[tuple[int, int, int, int]],
) -> None:
    """Within a market, they sort by outcome, then promotion, then line."""
    keys = sorted(pack_key(number, index, quarters / 4, promotion) for number, index, promotion, quarters in parts)
    found = [(*unpack_key(key)[:2], promotion_of(key), unpack_key(key)[2]) for key in keys]
    assert found == [(n, i, p, q / 4) for n, i, p, q in sorted(parts)]
    assert keys[0] > pack_key(511, 63, 8191.75)


@pytest.mark.parametrize("line", [-128.25, 895.75])
def test_a_line_that_a_promoted_key_has_no_room_for_is_refused(line: float) -> None:
    """The line is never truncated to another line."""
    with pytest.raises(ValueError, match="not between -128 and 895"):
        pack_key(1, 0, line, BOOSTED)


@pytest.mark.parametrize("promotion", [-1, 16])
def test_a_promotion_that_does_not_fit_is_refused(promotion: int) -> None:
    """A promotion has four bits."""
    with pytest.raises(ValueError, match="promotion"):
        pack_key(1, 0, None, promotion)


@given(words)
def test_a_word_survives_its_number(own: list[str]) -> None:
    """Known words have fixed numbers, an event's own words follow, and a plain price has no name."""
    for word in (*KNOWN[1:], *own, "other"):
        assert promotion_name(promotion_number(word, own), own) == word
    assert promotion_name(0, own) is None
    assert promotion_number("", own) == 0
    assert promotion_number("never heard of", own) == OTHER


@given(st.text())
def test_any_text_comes_to_a_word(text: str) -> None:
    """Words are ASCII lower-case letters, digits and `_`, neither empty nor too long, and map to themselves."""
    word = word_of(text)
    assert 0 < len(word) <= MAX_WORD_LENGTH
    assert word.isascii()
    assert word == word.lower()
    assert word_of(word) == word


@pytest.mark.parametrize(
    ("text", "word"), [("TWO_UP", "two_up"), ("Happy Hour!", "happy_hour"), ("  ", "other"), ("Ω", "other")]
)
def test_a_text_becomes_its_word(text: str, word: str) -> None:
    """Only its plain letters and digits are kept."""
    assert word_of(text) == word


def test_only_plain_prices_and_known_perks_are_compared() -> None:
    """Boosted prices, and those with an unknown promotion, are not comparable: the odds may be raised."""
    assert [number for number in range(OTHER + 1) if is_comparable(number)] == [0, ONE_UP, TWO_UP]
