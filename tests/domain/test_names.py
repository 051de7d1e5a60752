"""Comparison of team names."""

import random
from difflib import SequenceMatcher

import pytest

from quart_odds.domain import names
from quart_odds.domain.names import are_others, is_unknown, names_differ, sides_are_crossed


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("Rovers", "Rovers FC", False),
        ("Man Utd", "Manchester United", False),
        ("Fortuna Düsseldorf", "Fortuna Dusseldorf", False),
        ("Brøndby IF", "Brondby", False),
        ("Manchester United", "Manchester Utd", False),
        ("Bayern München", "Bayern Munchen", False),
        ("FC Barcelona", "Barcelona", False),
        ("Heartland", "Lobi Stars", True),
        ("PSG", "Paris Saint-Germain", True),
        ("Arsenal", "Chelsea", True),
        ("", "Lobi Stars", False),
    ],
)
def test_spelling_is_no_difference(one: str, other: str, differ: bool) -> None:
    """Spelling variants are equal; only dissimilar names differ."""
    assert names_differ(one, other) is differ
    assert names_differ(other, one) is differ


@pytest.mark.parametrize(
    ("one", "other", "others"),
    [
        (("Rangers", "Enyimba"), ("Heartland", "Lobi Stars"), True),
        (("Rangers", "Enyimba"), ("Enyimba FC", "Rangers Int."), False),
        (("Rangers", "Enyimba"), ("Rangers", "Lobi Stars"), False),
        (("PSG", "OM"), ("Paris Saint Germain", "Marseille"), False),
        (("?", "?"), ("Heartland", "Lobi Stars"), False),
        (("Winner Group A", "Runner-up Group B"), ("Heartland", "Lobi Stars"), False),
        (("W61", "W62"), ("Heartland", "Lobi Stars"), False),
        (("TBD", "Enyimba"), ("Heartland", "Lobi Stars"), False),
    ],
)
def test_two_matches_have_no_team_in_common(one: tuple[str, str], other: tuple[str, str], others: bool) -> None:
    """Home and away do not matter, and a placeholder is never proof."""
    assert are_others(one, other) is others
    assert are_others(other, one) is others


@pytest.mark.parametrize(("name", "unknown"), [("?", True), ("", True), ("Loser SF1", True), ("Wigan", False)])
def test_a_place_in_a_draw_is_no_team(name: str, unknown: bool) -> None:
    """Until the draw has been made, a placeholder such as "Loser SF1" is not a team."""
    assert is_unknown(name) is unknown


@pytest.mark.parametrize(
    ("named", "other", "crossed"),
    [
        (("Arsenal", "Chelsea"), ("Chelsea", "Arsenal"), True),
        (("Arsenal", "Chelsea"), ("Chelsea FC", "Arsenal London"), True),
        (("Manchester United", "Manchester City"), ("Manchester City", "Manchester United"), True),
        (("Arsenal", "Chelsea"), ("Arsenal", "Chelsea"), False),
        (("Manchester United", "Manchester City"), ("Man Utd", "Man City"), False),
        (("Arsenal", "Chelsea"), ("Chelsea", "Barcelona"), False),
        (("Arsenal", "Chelsea"), ("", ""), False),
    ],
)
def test_crossed_sides_are_distinguished_from_other_spellings(
    named: tuple[str, str], other: tuple[str, str], crossed: bool
) -> None:
    """A match has its sides swapped only if both teams are more similar when swapped."""
    assert sides_are_crossed(*named, *other) is crossed


def test_long_names_are_compared_by_their_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comparison takes quadratic time, and the length is up to the bookmaker."""
    longest = 0

    def watched(junk: None, one: str, other: str) -> SequenceMatcher[str]:
        nonlocal longest
        longest = max(longest, len(one), len(other))
        return SequenceMatcher(junk, one, other)

    monkeypatch.setattr(names, "SequenceMatcher", watched)
    one, other = ("".join(random.Random(seed).choices("abcdefgh", k=100_000)) for seed in (1, 2))
    are_others((one, one[::-1]), (other, other[::-1]))
    names_differ(one, other)
    sides_are_crossed(one, other, other[::-1], one[::-1])
    assert 0 < longest <= names.MAX_COMPARED
    assert names_differ("Arsenal" + "x" * 10_000, "Chelsea" + "y" * 10_000)
    assert not names_differ("Arsenal" + "x" * 10_000, "Arsenal" + "x" * 10_000)
