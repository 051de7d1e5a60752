"""Reading fields of a bookmaker's JSON: what is needed must be there and of its type, the rest may be anything."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

from quart_odds.domain.odds import MAX_ODDS
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError

Kind = TypeVar("Kind")

_SIMULATED = re.compile(
    r"\b(srl|simulated|virtuals?|zoom|cyber|e-?soccer|e-?football|e-?sports?|esoccer battle)\b", re.IGNORECASE
)
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

    def text(self, holder: Any, key: str, path: str = "") -> str:
        """A text that is not blank, without surrounding blanks."""
        value = self.get(holder, key, str, path).strip()
        if not value:
            raise self.wrong(f"{path}.{key}" if path else key, "an empty text")
        return value

    def optional_text(self, holder: Any, *keys: str) -> str:
        """The text at the end of a path of keys, empty where there is none."""
        for key in keys:
            holder = holder.get(key) if isinstance(holder, dict) else None
        return holder.strip() if isinstance(holder, str) else ""

    def moment(self, text: str, field: str) -> datetime:
        """An ISO date and time as aware UTC; one without a zone is UTC, as all three bookmakers mean it."""
        try:
            moment = datetime.fromisoformat(text)
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError) as exc:
            raise self.wrong(field, f"{text[:40]!r}, which is no date and time") from exc


def values(holder: Any) -> Iterator[Any]:
    """The members of a list, or the values of an object: the sites use both for the same thing."""
    if isinstance(holder, dict):
        yield from holder.values()
    elif isinstance(holder, list):
        yield from holder


def count_or_none(value: object) -> int | None:
    """A count of events, from a number or its digits, else None."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:9])
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def digits_or_none(value: object) -> str | None:
    """A SportRadar id: text of ASCII digits, else None."""
    return value if isinstance(value, str) and value.isascii() and value.isdigit() else None


def is_simulated(*names: str) -> bool:
    """Whether a competition or country is one that no people play: simulated reality, e-sports, virtual leagues."""
    return any(_SIMULATED.search(name) for name in names)


def odds_number(value: object) -> float:
    """Decimal odds from a number or its text, 0 for the dash that means none. Raises ValueError or TypeError."""
    if isinstance(value, str):
        odds = 0.0 if value in ("", "-") else float(value)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        odds = float(value)
    else:
        raise TypeError(f"{value!r} is no number")
    if not 0 <= odds <= MAX_ODDS:
        raise ValueError(f"{value!r} are no odds")
    return odds
