"""Promotions, which make a price differ from the market's plain price.

An early payout (when a team is one or two goals up) is a perk on top of the plain price. A boosted price is higher than
the plain one. Any other promotion keeps the bookmaker's own word and is treated like a boosted price.
"""

import re
from collections.abc import Sequence

ONE_UP, TWO_UP, BOOSTED = 1, 2, 3
KNOWN = ("", "one_up", "two_up", "boosted")
"""Promotions that mean the same at every bookmaker, indexed by number."""

OTHER = 15
"""The number shared by all words beyond an event's MAX_WORDS."""

MAX_WORDS = OTHER - len(KNOWN)
"""How many of a bookmaker's own words one event can distinguish."""

MAX_WORD_LENGTH = 32

_NO_LETTERS = re.compile(r"[^a-z0-9]+")


def word_of(text: str) -> str:
    """Turn a bookmaker's text into a word of ASCII lower-case letters, digits and `_`; "other" if nothing is left."""
    return _NO_LETTERS.sub("_", text.casefold()).strip("_")[:MAX_WORD_LENGTH].strip("_") or "other"


def promotion_name(promotion: int, words: Sequence[str]) -> str | None:
    """Return the name of a promotion, None for a plain price.

    `words` are the event's own words, numbered after the known ones.
    """
    if promotion == 0:
        return None
    if promotion < len(KNOWN):
        return KNOWN[promotion]
    place = promotion - len(KNOWN)
    return words[place] if place < len(words) else "other"


def promotion_number(word: str, words: Sequence[str]) -> int:
    """Return the number of a word, the inverse of `promotion_name`. OTHER if the word is in neither list."""
    if word in KNOWN:
        return KNOWN.index(word)
    return len(KNOWN) + words.index(word) if word in words else OTHER


def is_comparable(promotion: int) -> bool:
    """Return whether a price may enter a margin or a comparison: plain prices and those with a known perk."""
    return promotion in (0, ONE_UP, TWO_UP)
