"""Untrusted text: found by plain letters, and harmless wherever it is shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.text import MAX_NAME_LENGTH, clean_text, plain_letters, printable, without_formula


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
    """Letters are replaced whether or not Unicode decomposes them; other alphabets are kept."""
    assert plain_letters(text) == plain


@given(st.text())
def test_plain_letters_are_plain(text: str) -> None:
    """A second pass changes nothing, and the case of the input does not matter."""
    assert plain_letters(plain_letters(text)) == plain_letters(text)
    assert plain_letters(text.casefold()) == plain_letters(text)


@given(st.text(max_size=300))
def test_a_cleaned_text_is_one_line_that_can_be_stored_and_shown(text: str) -> None:
    """No control characters, lone surrogates or bidirectional controls survive, and a second pass changes nothing."""
    cleaned = clean_text(text)
    assert clean_text(cleaned) == cleaned
    assert len(cleaned) <= MAX_NAME_LENGTH
    assert cleaned == cleaned.strip()
    cleaned.encode()
    for letter in cleaned:
        assert unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp")
        assert letter in "\u200c\u200d" or unicodedata.category(letter) != "Cf"


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Arsenal", "Arsenal"),
        ("  Bodø/Glimt ", "Bodø/Glimt"),
        ("Real\x00 Madrid\x1b[31m", "Real Madrid[31m"),
        ("a\r\nb\tc\u2028d\u00a0e", "a  b c d e"),
        ("\u202eladder\u202c", "ladder"),
        ("\u2066x\u2069\u200e\u200f\u061c", "x"),
        ("הפועל", "הפועל"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("\ud800x", "x"),
        ("\ufeffx\u00ad", "x"),
        ("x" * 300, "x" * 199 + "…"),
        ("\x00" * 10_000_000, ""),
    ],
)
def test_texts_are_cleaned(text: str, cleaned: str) -> None:
    """Names in every script are kept."""
    assert clean_text(text) == cleaned


@given(st.text(max_size=100))
def test_a_printable_text_moves_no_terminal(text: str) -> None:
    """The only control characters left are line breaks, and printable text is unchanged."""
    shown = printable(text)
    assert all(letter.isprintable() or letter == "\n" for letter in shown)
    assert printable(shown) == shown


def test_what_a_terminal_would_obey_is_escaped() -> None:
    """The escapes show which characters the text contained."""
    assert printable("a\x1b]0;x\x07\r\u202eb\nc") == "a\\x1b]0;x\\x07\\r\\u202eb\nc"


@pytest.mark.parametrize(
    "start", ["=", "+", "-", "@", "＝", "＋", "－", "＠", " =", "\u00a0=", "　＝", "\t", "\r", "\n"]
)
def test_no_spreadsheet_takes_a_text_for_a_formula(start: str) -> None:
    """This includes full-width signs and leading whitespace."""
    assert without_formula(f"{start}1+1") == f"'{start}1+1"
    assert without_formula(f"a{start}1") == f"a{start}1"
    assert without_formula("") == ""
