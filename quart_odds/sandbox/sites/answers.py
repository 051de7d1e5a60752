"""What passes between the server and a stand-in bookmaker: an ask, an answer, and where the events come from."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from quart_odds.domain.platforms import Platform

JSON = "application/json"
HTML = "text/html"

REFUSAL = (
    b"<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n \n"
    b"You don't have permission to access this address on this server.<P>\n"
    b"Reference&#32;&#35;18&#46;5a9dbc11&#46;1790000000&#46;0badcafe\n</BODY>\n</HTML>\n"
)
"""What the CDN before Bet9ja sends instead of JSON."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, written when it is needed. Bytes of the same `key` and `version` are written and compressed once."""

    write: Callable[[], bytes]
    status: int = 200
    content_type: str = JSON
    key: Hashable | None = None
    version: Hashable = None
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(value: object, status: int = 200) -> Answer:
    """An answer of a small value."""
    return Answer(lambda: orjson.dumps(value), status)


def refused() -> Answer:
    """403 with the CDN's page."""
    return Answer(lambda: REFUSAL, 403, HTML)


def not_found() -> Answer:
    """404, as a site answers what it does not know."""
    return json_answer({"status": 404, "error": "NOT_FOUND"}, 404)


@dataclass(frozen=True, slots=True)
class ListedCompetition:
    """A competition and its country, with a bookmaker's ids."""

    id: str
    name: str
    country_id: str
    country: str


Markets = frozenset[str] | None
"""The bookmaker's ids of the markets that a list is asked for, None for all it lists by itself."""


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event that a bookmaker lists. `write` gives its object for a list; `version` changes when that does."""

    competition: ListedCompetition
    external_id: str
    write: Callable[[Markets], Mapping[str, object]]
    version: Callable[[], Hashable]


class Shelf(Protocol):
    """Where a bookmaker's events come from: made up, or recorded."""

    def listed(self) -> Sequence[ListedEvent]:
        """The events before their kick-off, in the bookmaker's order."""
        ...

    def detail(self, ask: Ask, external_id: str) -> Answer | None:
        """The body of one event, None for one that there is not."""
        ...

    def untouched_detail(self, external_id: str) -> Answer | None:
        """The body of one event as it is, without its being asked for: asking is what makes made-up prices move."""
        ...

    def ids_of(self, external_id: str) -> tuple[str, ...]:
        """The bookmaker's own id of an event, and its SportRadar id where it has one."""
        ...

    @property
    def first_event(self) -> str | None:
        """The bookmaker's id of the event that a fault strikes which strikes one."""
        ...


class Site(Protocol):
    """A bookmaker's addresses, in front of a shelf. Pure: it knows nothing of servers, and waits for nothing."""

    platform: Platform
    shelf: Shelf

    def event_of(self, ask: Ask) -> str | None:
        """The bookmaker's id of the event that is asked for, None for a list."""
        ...

    def refuse(self, ask: Ask) -> Answer | None:
        """What is said to a request that the real site would not look at, None where it would."""
        ...

    def answer(self, ask: Ask) -> Answer:
        """The answer to a request that is not refused."""
        ...
