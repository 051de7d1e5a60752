"""How much of a recording the catalogue understands: `quart-odds coverage FOLDER`.

A recording has one folder of bodies per bookmaker, as written by `quart-odds record`. Every outcome in the bodies of
events is counted. Lists and trees are not counted, because the events repeat their prices.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from quart_odds.bookmakers.bodies import MAX_BODY_BYTES
from quart_odds.bookmakers.registry import site_of
from quart_odds.domain.odds import MappedEvent, UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, RecordingError

_COMMONEST = 15


@dataclass(slots=True)
class BookmakerCoverage:
    """Counts over one bookmaker's bodies. `prices` includes mapped, unmapped and dropped prices."""

    events: int = 0
    prices: int = 0
    mapped: int = 0
    unmapped: int = 0
    dropped: int = 0
    player_prices: int = 0
    markets: Counter[UnmappedMarket] = field(default_factory=Counter)

    @property
    def mapped_percent_without_players(self) -> float | None:
        """The percentage of mapped prices, not counting players' markets. None if there are no such prices."""
        others = self.prices - self.player_prices
        return round(100 * self.mapped / others, 2) if others else None

    def add(self, event: MappedEvent) -> None:
        """Add the counts of an event."""
        self.events += 1
        self.prices += event.total
        self.mapped += event.understood
        self.unmapped += event.unmapped_prices
        self.dropped += event.dropped
        self.player_prices += event.player_prices
        for market in event.unmapped:
            self.markets[market] += market.prices

    def counts(self) -> dict[str, int | float | None]:
        """Return the counts by name, as printed by `--json`."""
        return {
            "events": self.events,
            "prices": self.prices,
            "mapped": self.mapped,
            "unmapped": self.unmapped,
            "dropped": self.dropped,
            "player_prices": self.player_prices,
            "mapped_percent_without_players": self.mapped_percent_without_players,
        }


@dataclass(slots=True)
class Coverage:
    """The coverage of a recording: counts per bookmaker, unreadable files with their errors, and skipped bodies."""

    bookmakers: Mapping[Platform, BookmakerCoverage] = field(
        default_factory=lambda: {each: BookmakerCoverage() for each in Platform}
    )
    broken: dict[str, str] = field(default_factory=dict)
    unknown_bookmakers: dict[str, int] = field(default_factory=dict)
    other_bodies: int = 0

    def lines(self) -> Iterator[str]:
        """Yield the report: a table of counts, the most common unmapped markets, and what was not counted."""
        yield "              events   prices   mapped  unmapped  dropped  players  mapped %"
        for platform, counts in self.bookmakers.items():
            percent = counts.mapped_percent_without_players
            yield (
                f"{platform.display_name:12}{counts.events:8}{counts.prices:9}{counts.mapped:9}{counts.unmapped:10}"
                f"{counts.dropped:9}{counts.player_prices:9}{'-' if percent is None else f'{percent:.1f}':>10}"
            )
        yield "mapped % leaves out markets whose outcomes are players."
        for platform, counts in self.bookmakers.items():
            if counts.markets:
                yield f"\nUnmapped at {platform.display_name}, by number of prices:"
            for market, prices in counts.markets.most_common(_COMMONEST):
                players = "  (players)" if market.are_players else ""
                yield f"  {prices:6}  {market.market_id}  {market.name}{players}"
        if self.other_bodies:
            yield f"\nSkipped: {self.other_bodies} lists and other bodies that are not events."
        for name, bodies in self.unknown_bookmakers.items():
            yield f"Skipped: {bodies} bodies of {name}, an unknown bookmaker."


def measure(folder: Path) -> Coverage:
    """Count the contents of a recording's bodies.

    Unreadable files are listed in `broken` and do not stop the count. Raises RecordingError if the folder contains no
    body of an event.
    """
    coverage = Coverage()
    try:
        entries = sorted(folder.iterdir())
    except OSError as exc:
        raise RecordingError(folder, f"it cannot be read: {exc.strerror}") from exc
    for entry in entries:
        if not entry.is_dir():
            continue
        files = sorted(entry.glob("*.json"))
        if entry.name in set(Platform):
            for file in files:
                _count(Platform(entry.name), file, f"{entry.name}/{file.name}", coverage)
        elif files:
            coverage.unknown_bookmakers[entry.name] = len(files)
    if not coverage.broken and not any(counts.events for counts in coverage.bookmakers.values()):
        names = ", ".join(Platform)
        raise RecordingError(folder, f"it has no body of an event in a folder named after a bookmaker ({names})")
    return coverage


def _count(platform: Platform, file: Path, name: str, coverage: Coverage) -> None:
    site = site_of(platform)
    try:
        if file.stat().st_size > MAX_BODY_BYTES:
            coverage.broken[name] = f"more than {MAX_BODY_BYTES} bytes"
            return
        plain = file.read_bytes()
        header = site.read_header(plain, f"file {name}")
        if header is None:
            coverage.other_bodies += 1
        else:
            coverage.bookmakers[platform].add(site.parse_event(plain, header))
    except OSError as exc:
        coverage.broken[name] = exc.strerror or str(exc)
    except BookmakerError as error:
        coverage.broken[name] = f"{error.reason} in {error.field}" if error.field else error.reason
