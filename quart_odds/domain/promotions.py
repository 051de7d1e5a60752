"""Promotions: what makes a price another one than the market's plain price.

A price that pays early (one goal or two goals up) is the plain price with a perk. A boosted price is a raised one. What
a bookmaker calls anything else is kept in the bookmaker's own word and treated like a raised price.
"""

import re
from collections.abc import Sequence

ONE_UP, TWO_UP, BOOSTED = 1, 2, 3
KNOWN = ("", "one_up", "two_up", "boosted")
"""The promotions that mean the same everywhere, by number."""

OTHER = 15
"""The number of every word that an event has no room for."""

MAX_WORDS = OTHER - len(KNOWN)
"""How many words of a bookmaker's own one event tells apart."""

MAX_WORD_LENGTH = 32

_NO_LETTERS = re.compile(r"[^a-z0-9]+")


def word_of(text: str) -> str:
    """A bookmaker's text as a word: lower case, ASCII letters and digits, joined by `_`. "other" if nothing is left."""
    return _NO_LETTERS.sub("_", text.casefold()).strip("_")[:MAX_WORD_LENGTH].strip("_") or "other"


def promotion_name(promotion: int, words: Sequence[str]) -> str | None:
    """What a promotion is called; None for a plain price. `words` are the event's own, numbered after those known."""
    if promotion == 0:
        return None
    if promotion < len(KNOWN):
        return KNOWN[promotion]
    place = promotion - len(KNOWN)
    return words[place] if place < len(words) else "other"


def promotion_number(word: str, words: Sequence[str]) -> int:
    """The number of a word, by `promotion_name`. OTHER for one that is in neither list."""
    if word in KNOWN:
        return KNOWN.index(word)
    return len(KNOWN) + words.index(word) if word in words else OTHER


def is_comparable(promotion: int) -> bool:
    """Whether a price under it may enter a margin or a comparison: plain prices, and those with a known perk."""
    return promotion in (0, ONE_UP, TWO_UP)
