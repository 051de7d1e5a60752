"""The bookmakers as values: what names one in events, prices, runs and requests."""

import sys
from collections.abc import Iterator
from typing import Any, Literal

from quart_odds.domain.bookmakers import Bookmaker, installed

_known: "dict[str, Platform]" = {}


STORED = {"is_stored": True}
"""The context in which pydantic reads what was stored, by whatever was installed then."""


class _Platforms(type):
    """Lets `Platform` be used like an enumeration of the installed bookmakers."""

    def __iter__(cls) -> "Iterator[Platform]":
        return (Platform.of(slug) for slug in installed())

    def __len__(cls) -> int:
        return len(installed())

    def __contains__(cls, slug: object) -> bool:
        return slug in installed()

    def __getattr__(cls, name: str) -> "Platform":
        """Return an installed bookmaker by its slug in capitals, as if it were a member of an enumeration."""
        if name.isupper() and name.lower() in installed():
            return Platform.of(name.lower())
        raise AttributeError(f"no bookmaker {name!r} is installed")


class Platform(str, metaclass=_Platforms):
    """The slug of a bookmaker: its name on the wire, in the database and in settings. Equal to the same text.

    `Platform(slug)` raises ValueError if none of that name is installed; iterating yields the installed ones in order.
    There is one object for each slug.
    """

    __slots__ = ()

    def __new__(cls, slug: str) -> "Platform":
        if slug not in installed():
            raise ValueError(f"{slug!r} is no installed bookmaker; there are {', '.join(installed())}")
        return cls.of(slug)

    @classmethod
    def of(cls, slug: str) -> "Platform":
        """Return the bookmaker of a slug that was declared or stored, whether or not it is installed."""
        found = _known.get(slug)
        if found is None:
            found = _known[str(slug)] = str.__new__(cls, slug)
        return found

    def __reduce__(self) -> tuple[Any, ...]:
        return Platform.of, (str(self),)

    @property
    def value(self) -> str:
        """The slug as plain text."""
        return str(self)

    @property
    def declaration(self) -> Bookmaker | None:
        """What the bookmaker is declared to be; None if it is no longer installed."""
        found = installed().get(self)
        return None if found is None else found.bookmaker

    @property
    def display_name(self) -> str:
        """The name shown to people, which says so if the bookmaker is no longer installed."""
        return f"{self} (not installed)" if (declaration := self.declaration) is None else declaration.name

    @property
    def place(self) -> tuple[int, str]:
        """What to sort bookmakers by. Those that are not installed are last."""
        declaration = self.declaration
        return (sys.maxsize if declaration is None else declaration.order, self.value)

    @property
    def letters(self) -> str:
        """Two letters, for places too small for the name."""
        return self[:2].upper() if (declaration := self.declaration) is None else declaration.letters

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: Any) -> dict[str, object]:
        """Let pydantic validate a field of this type: it has to be the slug of an installed bookmaker.

        With the context STORED, it may be one that is no longer installed.
        """

        def validated(slug: Any, validate: Any, info: Any) -> Platform:
            is_stored = info.context is STORED and isinstance(slug, str)
            return cls.of(slug if is_stored else validate(slug))

        return {
            "type": "function-wrap",
            "function": {"type": "with-info", "function": validated},
            "schema": handler.generate_schema(Literal[tuple(each.value for each in cls)]),
            "serialization": {"type": "to-string"},
        }
