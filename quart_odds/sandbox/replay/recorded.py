"""A folder of recorded bodies: requests.json lists the answers, and requests are matched to them."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.sites.answers import HTML, JSON, Answer, Ask
from quart_odds.sandbox.world import stand_ins
from quart_odds.sandbox.world.stand_ins import STAND_INS

VOLATILE = frozenset({"_t", "v_cache_version"})
"""Query parameters that differ in each request and mean nothing."""
_TELLING = ("eventId", "EVENTID", "GROUPID")
"""Query parameters by which recorded answers with the same path are indexed."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded answer and the request that it belongs to."""

    platform: Platform
    method: str
    path: str
    query: Mapping[str, str]
    body: object
    status: int
    content_type: str
    file: Path
    is_gzip: bool = False

    def answers(self, ask: Ask) -> bool:
        """Return whether it answers a request: its query is part of the request's, and the body is the same.

        `q` says what a list of BetPawa contains, and `lastEventId` where a page of MSport's begins. A list recorded
        without one of them does not answer a request that has it.
        """
        if any(name in ask.query and name not in self.query for name in ("q", "lastEventId")):
            return False
        for name, value in self.query.items():
            asked = ask.query.get(name)
            if asked != value and not (name == "q" and asked is not None and _loaded(asked) == _loaded(value)):
                return False
        return self.body is None or self.body == _loaded(ask.body)

    def read(self) -> bytes:
        """Read the body. If only D of a Bet9ja body was kept, the envelope with R and D is restored."""
        body = self.file.read_bytes()
        if self.is_gzip:
            body = gzip.decompress(body)
        if self.platform is stand_ins.BET9JA and self.status == 200:
            value = _loaded(body)
            if isinstance(value, dict) and "R" not in value:
                return orjson.dumps({"R": "OK", "D": value.get("D", value)})
        return body

    def value(self) -> object:
        """Return the body as JSON, or None if it is not JSON."""
        return _loaded(self.read())

    def answer(self) -> Answer:
        """Return the recorded answer."""
        content_type = self.content_type or (JSON if self.file.suffix == ".json" else HTML)
        return Answer(self.read, self.status, content_type, key=("recorded", str(self.file)))


class Recording:
    """All recorded answers of a folder."""

    def __init__(self, entries: tuple[Recorded, ...]) -> None:
        self.entries = entries
        self._found: dict[tuple[Platform, str, str, str], list[Recorded]] = {}
        for entry in entries:
            self._found.setdefault(self._key(entry.platform, entry.method, entry.path, entry.query), []).append(entry)

    @classmethod
    def load(cls, folder: Path) -> "Recording":
        """Read requests.json. Raises ValueError if it is invalid."""
        try:
            entries = orjson.loads((folder / "requests.json").read_bytes())
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder / 'requests.json'} cannot be read: {error}") from error
        if not isinstance(entries, list):
            raise ValueError(f"{folder / 'requests.json'} is not a list of requests")
        # A recording may contain bookmakers that the sandbox does not support.
        known = [entry for entry in entries if not _is_of_another(entry)]
        if entries and not known:
            raise ValueError(f"{folder / 'requests.json'} has no request of {', '.join(STAND_INS)}")
        return cls(tuple(_entry(folder, entry) for entry in known))

    def find(self, platform: Platform, ask: Ask) -> Recorded | None:
        """Return the recorded answer to a request, or None."""
        for query in (ask.query, {}):
            for entry in self._found.get(self._key(platform, ask.method, ask.path, query), ()):
                if entry.answers(ask):
                    return entry
        return None

    def of(self, platform: Platform, ending: str) -> tuple[Recorded, ...]:
        """Return the successful answers of a bookmaker whose paths contain this text."""
        return tuple(
            entry
            for entry in self.entries
            if entry.platform is platform and ending in entry.path and entry.status == 200
        )

    @staticmethod
    def _key(platform: Platform, method: str, path: str, query: Mapping[str, str]) -> tuple[Platform, str, str, str]:
        return platform, method, path, next((query[name] for name in _TELLING if name in query), "")


def _is_of_another(entry: object) -> bool:
    """Return whether an entry belongs to an unsupported bookmaker."""
    slug = entry.get("bookmaker") if isinstance(entry, dict) else None
    return isinstance(slug, str) and slug not in STAND_INS


def _entry(folder: Path, entry: object) -> Recorded:
    try:
        assert isinstance(entry, dict)
        file = (folder / entry["file"]).resolve()
        if not file.is_relative_to(folder.resolve()) or not file.is_file():
            raise ValueError(f"{entry['file']} is not a file of the recording")
        query = {name: str(value) for name, value in (entry.get("query") or {}).items() if name not in VOLATILE}
        return Recorded(
            Platform.of(entry["bookmaker"]),
            entry.get("method", "GET"),
            entry["path"],
            query,
            entry.get("body"),
            int(entry.get("status", 200)),
            entry.get("content_type") or "",
            file,
            entry.get("content_encoding") == "gzip",
        )
    except (AssertionError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{folder / 'requests.json'} has a request that cannot be replayed: {error!r}") from error


def _loaded(text: str | bytes) -> object:
    try:
        return orjson.loads(text)
    except ValueError:
        return None
