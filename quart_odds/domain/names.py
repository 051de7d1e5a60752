"""Names of teams, compared as a person would: accents, cases, and words such as FC make no difference."""

import re
import unicodedata
from difflib import SequenceMatcher

_LIKENESS = 0.5
_NOISE = re.compile(r"\b(fc|cf|sc|ac|afc|club|de|the|u\d\d|w|women|ii|b)\b")
_NO_WORD = re.compile(r"[^\w]+")
_PLACEHOLDER = re.compile(r"\b(winners?|losers?|runners?|tb[acd]|to be|group|[wl]\d+)\b|^\W*$", re.IGNORECASE)

_OWN_LETTERS = str.maketrans(
    {"ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H", "ı": "i"}
    | {"ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th", "ŧ": "t", "Ŧ": "T"}
)
"""Letters that Unicode does not take apart into a plain letter and a mark."""


def plain_letters(text: str) -> str:
    """A text with its Latin letters plain: "Łódź" is "Lodz", "Straße" is "Strasse". Other scripts stay as they are."""
    apart = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in apart if not unicodedata.combining(letter)).translate(_OWN_LETTERS)


def names_differ(one: str, other: str) -> bool:
    """Whether two names of a team are so unlike that a person should look. Never a reason not to match."""
    first, second = _core(one), _core(other)
    if not first or not second or first in second or second in first:
        return False
    # The ratio depends on which comes first.
    return all(SequenceMatcher(None, *pair).ratio() < _LIKENESS for pair in ((first, second), (second, first)))


def is_unknown(name: str) -> bool:
    """Whether a name says nothing of who plays: nothing but signs, or a place in a draw such as "Winner Group A"."""
    return _PLACEHOLDER.search(name) is not None


def are_others(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two pairs of teams have no team in common, by any spelling, whichever of them plays at home.

    A name that says nothing decides nothing.
    """
    if any(map(is_unknown, (*one, *other))):
        return False
    return all(names_differ(team, each) and not _abbreviates(team, each) for team in one for each in other)


def _abbreviates(one: str, other: str) -> bool:
    return any(
        _core(short) == "".join(word[0] for word in re.findall(r"\w+", plain_letters(long).casefold()))
        for short, long in ((one, other), (other, one))
    )


def _core(name: str) -> str:
    return _NO_WORD.sub("", _NOISE.sub("", plain_letters(name).casefold()))
