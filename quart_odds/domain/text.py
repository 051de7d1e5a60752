"""Texts of others: cleaned where they come in, searched in plain letters, and escaped where a terminal shows them."""

import unicodedata

MAX_NAME_LENGTH = 200
"""Characters of a name that are kept: real ones have up to 80."""

_JOINERS = "\u200c\u200d"
"""Invisible, and part of how names are spelled in Persian, Hindi and other languages."""

_FULL_WIDTH = {0xFF1D: "=", 0xFF0B: "+", 0xFF0D: "-", 0xFF20: "@"}
_FORMULA_STARTS = ("=", "+", "-", "@")

PLAIN_LETTERS = str.maketrans(
    {
        "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ß": "ss", "ı": "i", "ħ": "h",
        "ŋ": "n", "ŧ": "t", "ĸ": "k", "ƀ": "b", "ɓ": "b", "ƈ": "c", "ɗ": "d", "ɖ": "d", "ǝ": "e", "ə": "e",
        "ɛ": "e", "ƒ": "f", "ɠ": "g", "ɣ": "g", "ɨ": "i", "ƙ": "k", "ɲ": "n", "ɔ": "o", "ƥ": "p", "ƭ": "t",
        "ʋ": "v", "ƴ": "y", "ƶ": "z",
    }
)  # fmt: skip
"""Letters that Unicode does not take apart into a plain letter and a mark."""


def clean_text(text: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """A text from outside, fit to be stored, sorted and shown: one line, nothing invisible, bounded in length.

    Blanks of every kind become a space. Control characters, lone surrogates and the controls of writing direction are
    removed: a database refuses the first, and the last change how the text around them reads. Letters of right-to-left
    scripts stay; whoever shows names beside each other isolates them (`<bdi>`).
    """
    if not text.isprintable():
        text = "".join(map(_clean_letter, text[: 4 * max_length]))
    text = text.strip()
    return text if len(text) <= max_length else f"{text[: max_length - 1].rstrip()}…"


def _clean_letter(letter: str) -> str:
    if letter.isprintable() or letter in _JOINERS:
        return letter
    if letter.isspace():
        return " "
    return letter if unicodedata.category(letter) in ("Co", "Cn") else ""


def printable(text: str) -> str:
    """A text for a terminal or a log: what is not printable is escaped, as `\\x1b` or `\\u202e`; line breaks stay.

    A terminal obeys control characters: it can be made to hide what was printed before, or to type for its user.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def without_formula(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe stands before one that begins like it.

    Spreadsheets pass over blanks before it, and some read full-width signs as plain ones.
    """
    start = text.lstrip().translate(_FULL_WIDTH)[:1]
    return f"'{text}" if (start in _FORMULA_STARTS and start) or text[:1] in ("\t", "\r", "\n") else text


def plain_letters(text: str) -> str:
    """A text in small letters without accents, each Latin letter as the plain one that stands for it.

    `Bodø/Glimt` is `bodo/glimt`, `Þór` is `thor`, `Łódź` is `lodz`. Letters of other alphabets stay.
    """
    # Twice: what is taken apart may be a capital, and a small letter may be one that can be taken apart.
    return _without_marks(_without_marks(text.casefold()).casefold()).translate(PLAIN_LETTERS)


def _without_marks(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
