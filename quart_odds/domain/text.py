"""Letters as one types them: names are written in the Latin letters of many languages, and searched in plain ones."""

import unicodedata

PLAIN_LETTERS = str.maketrans(
    {
        "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ß": "ss", "ı": "i", "ħ": "h",
        "ŋ": "n", "ŧ": "t", "ĸ": "k", "ƀ": "b", "ɓ": "b", "ƈ": "c", "ɗ": "d", "ɖ": "d", "ǝ": "e", "ə": "e",
        "ɛ": "e", "ƒ": "f", "ɠ": "g", "ɣ": "g", "ɨ": "i", "ƙ": "k", "ɲ": "n", "ɔ": "o", "ƥ": "p", "ƭ": "t",
        "ʋ": "v", "ƴ": "y", "ƶ": "z",
    }
)  # fmt: skip
"""Letters that Unicode does not take apart into a plain letter and a mark."""


def plain_letters(text: str) -> str:
    """A text in small letters without accents, each Latin letter as the plain one that stands for it.

    `Bodø/Glimt` is `bodo/glimt`, `Þór` is `thor`, `Łódź` is `lodz`. Letters of other alphabets stay.
    """
    # Twice: what is taken apart may be a capital, and a small letter may be one that can be taken apart.
    return _without_marks(_without_marks(text.casefold()).casefold()).translate(PLAIN_LETTERS)


def _without_marks(text: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
