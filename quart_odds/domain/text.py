"""Untrusted text: cleaned on arrival, reduced to plain letters for search, escaped for terminals and spreadsheets."""

import unicodedata

MAX_NAME_LENGTH = 200
"""Maximum length of a name in characters. Real names have up to 80."""

_JOINERS = "\u200c\u200d"
"""Invisible characters that are part of the spelling of names in Persian, Hindi and other languages."""

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
"""Letters that Unicode does not decompose into a plain letter and a mark."""


def clean_text(text: str, max_length: int = MAX_NAME_LENGTH) -> str:
    """Clean text from outside for storing, sorting and display: one line, nothing invisible, limited in length.

    Whitespace of any kind becomes a space. Control characters and lone surrogates are removed because databases refuse
    them, bidirectional controls because they change how the surrounding text reads. Letters of right-to-left scripts
    are kept; code that displays names side by side isolates them (`<bdi>`).
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
    """Escape unprintable characters for a terminal or a log, as `\\x1b` or `\\u202e`. Line breaks are kept.

    Terminals execute control sequences, which can hide earlier output or insert input in the user's name.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter == "\n" else letter.encode("unicode_escape").decode()
        for letter in text
    )


def without_formula(text: str) -> str:
    """Prefix text that a spreadsheet would take for a formula with an apostrophe.

    Spreadsheets skip leading whitespace, and some treat full-width signs like plain ones.
    """
    start = text.lstrip().translate(_FULL_WIDTH)[:1]
    return f"'{text}" if (start in _FORMULA_STARTS and start) or text[:1] in ("\t", "\r", "\n") else text


def plain_letters(text: str) -> str:
    """Return the text in lower case without accents, with each Latin letter replaced by its plain equivalent.

    `Bodø/Glimt` becomes `bodo/glimt`, `Þór` `thor` and `Łódź` `lodz`. Other alphabets are kept.
    """
    # Twice, because decomposition can produce capitals and case folding can produce letters that decompose.
    return _without_marks(_without_marks(text.casefold()).casefold()).translate(PLAIN_LETTERS)


def _without_marks(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
