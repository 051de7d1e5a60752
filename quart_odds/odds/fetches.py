"""What a fetch brings, before event odds take it: which part of it counts, and whether anything of it is new."""

from array import array
from collections.abc import Collection, Mapping, Sequence
from hashlib import blake2b

from quart_odds.domain.catalogue import offer_code
from quart_odds.domain.odds import Prices


def without(prices: Prices, codes: Collection[int]) -> Prices:
    """Return the prices of all other markets and lines than these."""
    return Prices.from_pairs((key, value) for key, value in prices if offer_code(key) not in codes)


def other_places(keys: Sequence[int], codes: Collection[int]) -> list[int]:
    """Return the positions of the prices of all other markets and lines than these."""
    return [place for place, key in enumerate(keys) if offer_code(key) not in codes]


def digest_of(prices: Prices, chances: Mapping[int, int]) -> bytes:
    """Return a digest that two fetches share if nothing changed between them. Takes 10 to 30 µs for 400 prices."""
    digest = blake2b(prices.keys.tobytes(), digest_size=16)
    digest.update(prices.values.tobytes())
    if chances:
        digest.update(array("Q", [chances.get(key, 0) for key in prices.keys]).tobytes())
    return digest.digest()
