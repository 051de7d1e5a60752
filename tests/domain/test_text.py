"""Plain letters: whatever a name is written in, what one types finds it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.text import plain_letters


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Bodø/Glimt", "bodo/glimt"),
        ("HB Køge", "hb koge"),
        ("Wisła Kraków", "wisla krakow"),
        ("ŁÓDŹ", "lodz"),
        ("Þór Akureyri", "thor akureyri"),
        ("KF Fjarðabyggð", "kf fjardabyggd"),
        ("Iğdır FK", "igdir fk"),
        ("İSTANBUL", "istanbul"),
        ("Dinamo Đurđevac", "dinamo durdevac"),
        ("Straßburg", "strassburg"),
        ("STRAẞBURG", "strassburg"),
        ("Næstved", "naestved"),
        ("Ħamrun", "hamrun"),
        ("Atlético", "atletico"),
        ("Bayern Mu\u0308nchen", "bayern munchen"),
        ("ﬁrst ① ™", "first 1 tm"),
        ("Спартак", "спартак"),
        ("", ""),
    ],
)
def test_letters_are_found_by_the_plain_ones(text: str, plain: str) -> None:
    """Those that Unicode takes apart and those that it does not; other alphabets stay what they are."""
    assert plain_letters(text) == plain


@given(st.text())
def test_plain_letters_are_plain(text: str) -> None:
    """Making them plain once more changes nothing, and the case in which a name is written does not matter."""
    assert plain_letters(plain_letters(text)) == plain_letters(text)
    assert plain_letters(text.casefold()) == plain_letters(text)
