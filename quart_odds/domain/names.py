"""Comparison of team names. Accents, case and words such as "FC" make no difference."""

import re
from difflib import SequenceMatcher
from functools import lru_cache

from quart_odds.domain.text import plain_letters

MAX_COMPARED = 60
"""How many characters of a name are compared. The cost is quadratic; real names have up to 40 characters."""

_LIKENESS = 0.5
_SIDE_LIKENESS = 0.65
_NOISE = re.compile(r"\b(fc|cf|sc|ac|afc|club|de|the|u\d\d|w|women|ii|b)\b")
_NO_WORD = re.compile(r"[^\w]+")
_PLACEHOLDER = re.compile(r"\b(winners?|losers?|runners?|tb[acd]|to be|group|[wl]\d+)\b|^\W*$", re.IGNORECASE)


def names_differ(one: str, other: str) -> bool:
    """Return whether two names of a team differ so much that a person should check. Does not prevent a match."""
    one, other = one[:MAX_COMPARED], other[:MAX_COMPARED]
    return bool(_core(one) and _core(other)) and _likeness(one, other) < _LIKENESS


def sides_are_crossed(home: str, away: str, other_home: str, other_away: str) -> bool:
    """Return whether the other names are the same two teams with home and away swapped.

    Both teams must be clearly more similar when swapped, so a name that cannot be compared never counts as a swap.
    """
    # Truncated before the cached call, so that a bookmaker with huge names cannot fill the cache's memory.
    home, away, other_home, other_away = (name[:MAX_COMPARED] for name in (home, away, other_home, other_away))
    straight = _likeness(home, other_home), _likeness(away, other_away)
    crossed = _likeness(home, other_away), _likeness(away, other_home)
    return min(crossed) >= _SIDE_LIKENESS and min(crossed) > max(straight)


def is_unknown(name: str) -> bool:
    """Return whether a name identifies no team: only punctuation, or a placeholder such as "Winner Group A"."""
    return _PLACEHOLDER.search(name[:MAX_COMPARED]) is not None


def are_others(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Return whether two pairs of teams have no team in common, whatever the spelling and whoever plays at home.

    Returns False if any name is a placeholder.
    """
    if any(map(is_unknown, (*one, *other))):
        return False
    return all(names_differ(team, each) and not _abbreviates(team, each) for team in one for each in other)


@lru_cache(maxsize=65_536)
def _likeness(one: str, other: str) -> float:
    """Return a similarity from 0 to 1: 1 if one name contains the other, 0 if there is nothing to compare."""
    first, second = _core(one), _core(other)
    if not first or not second:
        return 0.0
    if first in second or second in first:
        return 1.0
    # SequenceMatcher.ratio() depends on the order of its arguments.
    return max(SequenceMatcher(None, *pair).ratio() for pair in ((first, second), (second, first)))


def _abbreviates(one: str, other: str) -> bool:
    return any(
        _core(short) == "".join(word[0] for word in re.findall(r"\w+", plain_letters(long[:MAX_COMPARED])))
        for short, long in ((one, other), (other, one))
    )


def _core(name: str) -> str:
    return _NO_WORD.sub("", _NOISE.sub("", plain_letters(name[:MAX_COMPARED])))
