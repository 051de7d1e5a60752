"""A folder of recorded bodies: requests.json says what each file answers, and here is how a request finds its file."""

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.sites.answers import HTML, JSON, Answer, Ask

VOLATILE = frozenset({"_t", "v_cache_version"})
"""Parts of a query that change with each request and mean nothing."""
_TELLING = ("eventId", "EVENTID", "GROUPID")
"""Parts of a query by which the recorded answers of one address are looked up."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One recorded answer and the request that it answers."""

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
        """Whether it answers a request: the recorded query is part of the request's, and the body is the same.

        A list of BetPawa's says in `q` what it is of: one recorded without `q` answers none that has it.
        """
        if "q" in ask.query and "q" not in self.query:
            return False
        for name, value in self.query.items():
            asked = ask.query.get(name)
            if asked != value and not (name == "q" and asked is not None and _loaded(asked) == _loaded(value)):
                return False
        return self.body is None or self.body == _loaded(ask.body)

    def read(self) -> bytes:
        """The body as recorded; one of Bet9ja's of which only D was kept gets its R and D back."""
        body = self.file.read_bytes()
        if self.is_gzip:
            body = gzip.decompress(body)
        if self.platform is Platform.BET9JA and self.status == 200:
            value = _loaded(body)
            if isinstance(value, dict) and "R" not in value:
                return orjson.dumps({"R": "OK", "D": value.get("D", value)})
        return body

    def value(self) -> object:
        """The body as JSON, None for one that is none."""
        return _loaded(self.read())

    def answer(self) -> Answer:
        """The recorded answer."""
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
        """Reads requests.json. ValueError says what is wrong with it."""
        try:
            entries = orjson.loads((folder / "requests.json").read_bytes())
        except (OSError, ValueError) as error:
            raise ValueError(f"{folder / 'requests.json'} cannot be read: {error}") from error
        if not isinstance(entries, list):
            raise ValueError(f"{folder / 'requests.json'} is no list of requests")
        # A recording may have further bookmakers than these stand in for.
        known = [entry for entry in entries if not _is_of_another(entry)]
        if entries and not known:
            raise ValueError(f"{folder / 'requests.json'} has no request of {', '.join(Platform)}")
        return cls(tuple(_entry(folder, entry) for entry in known))

    def find(self, platform: Platform, ask: Ask) -> Recorded | None:
        """The recorded answer to a request, None where there is none."""
        for query in (ask.query, {}):
            for entry in self._found.get(self._key(platform, ask.method, ask.path, query), ()):
                if entry.answers(ask):
                    return entry
        return None

    def of(self, platform: Platform, ending: str) -> tuple[Recorded, ...]:
        """The good answers recorded at a bookmaker's addresses that hold a text."""
        return tuple(
            entry
            for entry in self.entries
            if entry.platform is platform and ending in entry.path and entry.status == 200
        )

    @staticmethod
    def _key(platform: Platform, method: str, path: str, query: Mapping[str, str]) -> tuple[Platform, str, str, str]:
        return platform, method, path, next((query[name] for name in _TELLING if name in query), "")


def _is_of_another(entry: object) -> bool:
    """Whether an entry names a bookmaker that this program does not know."""
    slug = entry.get("bookmaker") if isinstance(entry, dict) else None
    return isinstance(slug, str) and slug not in tuple(Platform)


def _entry(folder: Path, entry: object) -> Recorded:
    try:
        assert isinstance(entry, dict)
        file = (folder / entry["file"]).resolve()
        if not file.is_relative_to(folder.resolve()) or not file.is_file():
            raise ValueError(f"{entry['file']} is no file of the recording")
        query = {name: str(value) for name, value in (entry.get("query") or {}).items() if name not in VOLATILE}
        return Recorded(
            Platform(entry["bookmaker"]),
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
