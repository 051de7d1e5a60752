"""Reading fields of a bookmaker's JSON: what is needed must be there and of its type, the rest may be anything."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from quart_odds.domain.odds import MAX_ODDS
from quart_odds.domain.platforms import Platform
from quart_odds.domain.text import clean_text
from quart_odds.errors import MalformedBodyError

Kind = TypeVar("Kind")

_SIMULATED = re.compile(
    r"\b(srl|simulated|virtuals?|zoom|cyber|e-?soccer|e-?football|e-?sports?|esoccer battle)\b", re.IGNORECASE
)
_PERSON = re.compile(r"[^\W\d_][^\W\d_.,'’() -]*(?:[.,'’() -]+[^\W\d_.,'’() -]+)*[.)]*")
_OUTCOME_WORDS = re.compile(
    r"\b(home|away|draw|teams?|over|under|yes|no|both|neither|none|goals?|half|odd|even|wins?|any|first|last|other|"
    r"either|equal|and|or|only|score|corners?|cards?|penalty|x)\b",
    re.IGNORECASE,
)
_PREFIX = "1111111"
_ID = re.compile(r"[A-Za-z0-9:._|-]{1,100}")
_ID_LENGTHS = (8, 9)
MAX_NUMBER_LENGTH = 32
"""Characters of a number that is written as text: longer ones are none, and are not read to find that out."""

_KINDS = {dict: "object", list: "list", str: "text", int: "number"}


class Reader:
    """Reads fields of one body, and knows what to say when one is not as it must be."""

    def __init__(self, platform: Platform, where: str | None) -> None:
        self.platform = platform
        self.where = where

    def wrong(self, field: str, reason: str) -> MalformedBodyError:
        """The error for a field that is not as it must be."""
        return MalformedBodyError(self.platform, reason, where=self.where, field=field)

    def get(self, holder: Any, key: str, kind: type[Kind], path: str = "") -> Kind:
        """`holder[key]`, of type `kind`. Raises MalformedBodyError naming the field."""
        field = f"{path}.{key}" if path else key
        value = holder.get(key) if isinstance(holder, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.wrong(field, f"no {_KINDS.get(kind, kind.__name__)}")
        return value

    def php_object(self, holder: Any, key: str, path: str = "") -> dict[str, Any]:
        """`holder[key]`, an object; an empty list is an empty object, as PHP writes it."""
        if isinstance(holder, dict) and holder.get(key) == []:
            return {}
        return self.get(holder, key, dict, path)

    def text(self, holder: Any, key: str, path: str = "") -> str:
        """A text that is not blank, cleaned: see `domain.text.clean_text`."""
        value = clean_text(self.get(holder, key, str, path))
        if not value:
            raise self.wrong(f"{path}.{key}" if path else key, "an empty text")
        return value

    def ident(self, holder: Any, key: str, path: str = "") -> str:
        """A bookmaker's id: it becomes part of addresses and keys, so that one of other characters is refused."""
        value = self.get(holder, key, str, path).strip()
        if not is_ident(value):
            raise self.wrong(f"{path}.{key}" if path else key, "an id that is none")
        return value

    def optional_text(self, holder: Any, *keys: str) -> str:
        """The text at the end of a path of keys, cleaned; empty where there is none."""
        for key in keys:
            holder = holder.get(key) if isinstance(holder, dict) else None
        return clean_text(holder) if isinstance(holder, str) else ""

    def moment(self, text: str, field: str) -> datetime:
        """An ISO date and time as aware UTC; one without a zone is UTC, as all three bookmakers mean it."""
        try:
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError) as exc:
            raise self.wrong(field, f"{text[:40]!r}, which is no date and time") from exc


def is_ident(text: str) -> bool:
    """Whether a text may be a bookmaker's id: up to 100 letters, digits and `:._|-`."""
    return _ID.fullmatch(text) is not None


def values(holder: Any) -> Iterator[Any]:
    """The members of a list, or the values of an object: the sites use both for the same thing."""
    if isinstance(holder, dict):
        yield from holder.values()
    elif isinstance(holder, list):
        yield from holder


def sportradar_id(value: object) -> str | None:
    """A SportRadar id of a match: text of 8 or 9 digits, or such digits behind a prefix of seven ones. Else None.

    Ids of other lengths are another feed's, at every bookmaker.
    """
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        return None
    digits = value.removeprefix(_PREFIX) if len(value) - len(_PREFIX) in _ID_LENGTHS else value
    return digits if len(digits) in _ID_LENGTHS and digits[0] != "0" else None


def genius_id(value: object) -> str | None:
    """Genius Sports' id of a match. Its shape is that of a SportRadar id: only where it stands tells them apart."""
    return sportradar_id(value)


def count_or_none(value: object) -> int | None:
    """A number of things, from a number or its text, else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if type(value) is int and value >= 0 else None


def is_person(name: object) -> bool:
    """Whether an outcome's name may be a player's: letters alone, and none of the words that outcomes are made of."""
    return isinstance(name, str) and _PERSON.fullmatch(name) is not None and not _OUTCOME_WORDS.search(name)


def is_simulated(*names: str) -> bool:
    """Whether a competition or country is one that no people play: simulated reality, e-sports, virtual leagues."""
    return any(_SIMULATED.search(name) for name in names)


def odds_number(value: object) -> float:
    """Decimal odds from a number or its text, 0 for the dash that means none. Raises ValueError or TypeError."""
    if isinstance(value, str):
        if len(value) > MAX_NUMBER_LENGTH:
            raise ValueError(f"a number of {len(value)} characters")
        odds = 0.0 if value in ("", "-") else float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        odds = float(value)
    else:
        raise TypeError(f"{value!r} is no number")
    if not 0 <= odds <= MAX_ODDS:
        raise ValueError(f"{value!r} are no odds")
    return odds
