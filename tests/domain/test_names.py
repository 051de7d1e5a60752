"""Names of teams as a person compares them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.names import are_others, is_unknown, names_differ, plain_letters


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Łódź", "Lodz"),
        ("Brøndby", "Brondby"),
        ("Đà Nẵng", "Da Nang"),
        ("Großaspach", "Grossaspach"),
        ("Næstved", "Naestved"),
        ("Þór", "Thor"),
        ("Atlético São Paulo", "Atletico Sao Paulo"),
        ("Спартак", "Спартак"),
        ("", ""),
    ],
)
def test_letters_become_plain(text: str, plain: str) -> None:
    """Latin letters lose their marks, also where Unicode does not take them apart; other scripts stay."""
    assert plain_letters(text) == plain


@given(st.text(alphabet=st.characters(max_codepoint=0x24F)))
def test_plain_letters_stay_as_they_are(text: str) -> None:
    """Doing it twice changes nothing."""
    assert plain_letters(plain_letters(text)) == plain_letters(text)


@pytest.mark.parametrize(
    ("one", "other", "differ"),
    [
        ("Rovers", "Rovers FC", False),
        ("Man Utd", "Manchester United", False),
        ("Fortuna Düsseldorf", "Fortuna Dusseldorf", False),
        ("Brøndby IF", "Brondby", False),
        ("Heartland", "Lobi Stars", True),
        ("", "Lobi Stars", False),
    ],
)
def test_spelling_is_no_difference(one: str, other: str, differ: bool) -> None:
    """Only names that are unlike differ."""
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
    """Whichever plays at home; a name that says nothing decides nothing."""
    assert are_others(one, other) is others
    assert are_others(other, one) is others


@pytest.mark.parametrize(("name", "unknown"), [("?", True), ("", True), ("Loser SF1", True), ("Wigan", False)])
def test_a_place_in_a_draw_is_no_team(name: str, unknown: bool) -> None:
    """Until the draw is played."""
    assert is_unknown(name) is unknown
