"""Typed access to fields in a bookmaker's JSON. Required fields are checked, everything else may have any value."""

import re
from collections.abc import Iterator, Sequence
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
_MANY_PLAYERS = 6
MAX_NUMBER_LENGTH = 32
"""Maximum length of a number in text form. Longer text is rejected without being parsed."""

_KINDS = {dict: "object", list: "list", str: "text", int: "number"}


class Reader:
    """Reads fields of one body and raises errors that name the field and the body."""

    def __init__(self, platform: Platform, where: str | None) -> None:
        self.platform = platform
        self.where = where

    def wrong(self, field: str, reason: str) -> MalformedBodyError:
        """Return the error for an invalid field."""
        return MalformedBodyError(self.platform, reason, where=self.where, field=field)

    def get(self, holder: Any, key: str, kind: type[Kind], path: str = "") -> Kind:
        """Return `holder[key]`, which must have type `kind`. Raises MalformedBodyError naming the field."""
        field = f"{path}.{key}" if path else key
        value = holder.get(key) if isinstance(holder, dict) else None
        if not isinstance(value, kind) or isinstance(value, bool):
            raise self.wrong(field, f"no {_KINDS.get(kind, kind.__name__)}")
        return value

    def php_object(self, holder: Any, key: str, path: str = "") -> dict[str, Any]:
        """Return `holder[key]`, which must be an object. PHP encodes an empty object as an empty list."""
        if isinstance(holder, dict) and holder.get(key) == []:
            return {}
        return self.get(holder, key, dict, path)

    def text(self, holder: Any, key: str, path: str = "") -> str:
        """Return a required text after `domain.text.clean_text`. It must not be blank."""
        value = clean_text(self.get(holder, key, str, path))
        if not value:
            raise self.wrong(f"{path}.{key}" if path else key, "an empty text")
        return value

    def ident(self, holder: Any, key: str, path: str = "") -> str:
        """Return a bookmaker's id. Ids become part of URLs and keys, so unexpected characters are rejected."""
        value = self.get(holder, key, str, path).strip()
        if not is_ident(value):
            raise self.wrong(f"{path}.{key}" if path else key, "an invalid id")
        return value

    def optional_text(self, holder: Any, *keys: str) -> str:
        """Return the cleaned text at the end of a path of keys, or an empty string."""
        for key in keys:
            holder = holder.get(key) if isinstance(holder, dict) else None
        return clean_text(holder) if isinstance(holder, str) else ""

    def moment(self, text: str, field: str) -> datetime:
        """Parse an ISO date and time as aware UTC. Without a time zone it is in UTC, as at all bookmakers so far."""
        try:
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError) as exc:
            raise self.wrong(field, f"an invalid date and time, {text[:40]!r},") from exc

    def teams(self, holder: Any, key: str) -> tuple[str, str]:
        """Return the home and the away team of a required text, `Home - Away`. An away team may have a dash."""
        home, dash, away = self.text(holder, key).partition(" - ")
        if not (dash and home.strip() and away.strip()):
            raise self.wrong(key, "no two team names")
        return home.strip(), away.strip()

    def epoch_moment(self, holder: Any, key: str) -> datetime:
        """Return a required time, given in epoch milliseconds, as aware UTC."""
        milliseconds = self.get(holder, key, int)
        try:
            return datetime.fromtimestamp(milliseconds / 1000, UTC)
        except (ValueError, OverflowError, OSError) as exc:
            raise self.wrong(key, f"an invalid time, {milliseconds},") from exc


def is_ident(text: str) -> bool:
    """Return whether a text can be a bookmaker's id: up to 100 letters, digits and `:._|-`."""
    return _ID.fullmatch(text) is not None


def values(holder: Any) -> Iterator[Any]:
    """Yield the members of a list or the values of an object. The sites use both for the same purpose."""
    if isinstance(holder, dict):
        yield from holder.values()
    elif isinstance(holder, list):
        yield from holder


def sportradar_id(value: object) -> str | None:
    """Return a SportRadar match id, or None: text of 8 or 9 digits, optionally prefixed with seven ones.

    At every bookmaker, ids of other lengths belong to other feeds.
    """
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        return None
    digits = value.removeprefix(_PREFIX) if len(value) - len(_PREFIX) in _ID_LENGTHS else value
    return digits if len(digits) in _ID_LENGTHS and digits[0] != "0" else None


def genius_id(value: object) -> str | None:
    """Return a Genius Sports match id, or None. It looks like a SportRadar id; only its field distinguishes the two."""
    return sportradar_id(value)


def count_or_none(value: object) -> int | None:
    """Return a count given as a number or as text, or None."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    return value if type(value) is int and value >= 0 else None


def is_person(name: object) -> bool:
    """Return whether an outcome's name may be a player's: only letters, and none of the usual outcome words."""
    return isinstance(name, str) and _PERSON.fullmatch(name) is not None and not _OUTCOME_WORDS.search(name)


def are_persons(names: Sequence[object]) -> bool:
    """Return whether the outcomes with these names are players: there are many, and most may be persons."""
    return len(names) >= _MANY_PLAYERS and 2 * sum(map(is_person, names)) > len(names)


def is_simulated(*names: str) -> bool:
    """Return whether a competition or country is simulated: simulated reality, e-sports, virtual leagues."""
    return any(_SIMULATED.search(name) for name in names)


def odds_number(value: object) -> float:
    """Parse decimal odds given as a number or as text. A dash means 0. Raises ValueError or TypeError."""
    odds = 0.0 if value in ("", "-") else number(value)
    if not 0 <= odds <= MAX_ODDS:
        raise ValueError(f"{value!r} is not a valid price")
    return odds


def probability(value: object) -> float:
    """Parse a probability given as a number or as text. Raises ValueError or TypeError."""
    found = number(value)
    if not 0 <= found <= 1:
        raise ValueError(f"{value!r} is not a probability")
    return found


def whole(value: object) -> int:
    """Return a whole number that is one in JSON too. Raises TypeError."""
    if type(value) is not int:
        raise TypeError(f"{value!r} is not a whole number")
    return value


def number(value: object) -> float:
    """Parse a number, or text that is one. Raises ValueError or TypeError."""
    if isinstance(value, str):
        if len(value) > MAX_NUMBER_LENGTH:
            raise ValueError(f"a number of {len(value)} characters")
        return float(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise ValueError("an integer that no float can hold") from None
    raise TypeError(f"{value!r} is not a number")
