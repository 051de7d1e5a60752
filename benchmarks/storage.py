"""A day of scrapes in SQLite: the size of the database, and whether writing ever holds up a scrape.

`python -m benchmarks.storage` stores 1,300 events at three bookmakers, with a scrape every five simulated minutes and
5 % of the prices moved each time. Scrapes follow each other without a pause, a far higher load than a real day.
"""

import argparse
import asyncio
import json
import random
import resource
import tempfile
import time
from array import array
from datetime import UTC, datetime, timedelta
from pathlib import Path

from quart_odds.domain.catalogue import CATALOGUE, pack_key
from quart_odds.domain.odds import Competition, EventHeader, MappedEvent, Prices
from quart_odds.odds import OddsService
from quart_odds.sandbox.world.stand_ins import FIRST_THREE
from quart_odds.storage import open_store

PRICES = 400
"""Prices of one event at one bookmaker, as many as in a real body."""

EARLIER_SYSTEM_MB = 3.1
"""What the predecessor of this system needed per event and day, by its own measurement."""

START = datetime(2026, 11, 22, tzinfo=UTC)


def price_keys() -> "array[int]":
    """Return the keys of the first PRICES prices of the catalogue, lines included."""
    keys = [
        pack_key(market.number, outcome.index, line)
        for market in CATALOGUE.markets
        for line in ((0.5, 1.5, 2.5, 3.5) if market.has_line else (None,))
        for outcome in market.outcomes
    ]
    return array("I", sorted(keys[:PRICES]))


class Bookmakers:
    """Invented odds that move: `scrape()` moves a share of each event's prices and returns all events."""

    def __init__(self, events: int, share: float, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self._moves = round(PRICES * share)
        self._keys = price_keys()
        self._headers = [
            EventHeader(
                platform,
                f"{platform}-{number}",
                str(60_000_000 + number),
                f"Home {number}",
                f"Away {number}",
                START + timedelta(days=2, minutes=number),
                Competition(str(number % 60), f"League {number % 60}", f"Country {number % 30}"),
            )
            for number in range(events)
            for platform in FIRST_THREE
        ]
        self._values = [
            array("I", [self._random.randrange(1100, 9000) << 1 | 1 for _ in self._keys]) for _ in self._headers
        ]

    def first(self) -> list[MappedEvent]:
        """Return every event with its opening prices."""
        return [self._mapped(place) for place in range(len(self._headers))]

    def scrape(self) -> list[MappedEvent]:
        """Return every event after some of its prices have moved."""
        sample, places = self._random.sample, range(len(self._keys))
        for number, before in enumerate(self._values):
            values = array("I", before)
            for place in sample(places, self._moves):
                values[place] = 2000 + (values[place] + 34) % 20_000 | 1
            self._values[number] = values
        return [self._mapped(place) for place in range(len(self._headers))]

    def _mapped(self, place: int) -> MappedEvent:
        return MappedEvent(self._headers[place], Prices(self._keys, self._values[place]))


async def day(path: Path, events: int, scrapes: int, share: float) -> dict[str, float]:
    """Run the scrapes of a day. Sizes are in MB, times in ms."""
    bookmakers = Bookmakers(events, share)
    store = await open_store(f"sqlite:///{path}")
    odds_service = OddsService(store, clock=lambda: START, confirm_seconds=120)
    await odds_service.load()
    waits, recordings, confirmations, wal = [], [], [], 0.0
    began = time.perf_counter()
    for scrape in range(scrapes):
        fetched = bookmakers.scrape() if scrape else bookmakers.first()
        at = START + timedelta(minutes=5 * scrape)
        waited, started = 0.0, time.perf_counter()
        for number, mapped in enumerate(fetched):
            room = odds_service.writer.is_full
            before = time.perf_counter()
            await odds_service.record(mapped, at)
            if room:
                waited += time.perf_counter() - before
            if number % 20 == 0:
                await asyncio.sleep(0)
        recorded = time.perf_counter()
        await odds_service.confirm()
        confirmations.append(time.perf_counter() - recorded)
        recordings.append(recorded - started)
        waits.append(waited)
        wal = max(wal, megabytes(Path(f"{path}-wal")))
        if scrape % 24 == 0:
            print(f"{scrape:4} scrapes  {megabytes(path):7.1f} MB  {time.perf_counter() - began:6.1f} s", flush=True)
    rows = odds_service.writer.rows_written
    await odds_service.close()
    await store.aclose()
    size = megabytes(path)
    per_event_day = size / events * (288 / scrapes)
    return {
        "events": events,
        "scrapes": scrapes,
        "history_rows": rows,
        "size_mb": round(size, 1),
        "bytes_a_row": round(size * 1e6 / max(rows, 1), 1),
        "kb_an_event_a_day": round(per_event_day * 1000, 1),
        "earlier_system_kb_an_event_a_day": EARLIER_SYSTEM_MB * 1000,
        "largest_wal_mb": round(wal, 1),
        "longest_wait_ms": round(max(waits) * 1000, 3),
        "record_ms_a_scrape": round(sorted(recordings)[len(recordings) // 2] * 1000, 1),
        "confirm_p50_ms": round(sorted(confirmations)[len(confirmations) // 2] * 1000, 1),
        "confirm_max_ms": round(max(confirmations) * 1000, 1),
        "cpu_seconds": round(sum(resource.getrusage(resource.RUSAGE_SELF)[:2]), 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def megabytes(path: Path) -> float:
    """Return the size of a file."""
    return path.stat().st_size / 1e6 if path.exists() else 0.0


def main() -> None:
    """Print a table and, as the last line, JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1300)
    parser.add_argument("--scrapes", type=int, default=288, help="number of scrapes; 288 are a day")
    parser.add_argument("--share", type=float, default=0.05, help="share of the prices that move each time")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="quart-odds-bench-") as folder:
        found = asyncio.run(day(Path(folder) / "odds.db", options.events, options.scrapes, options.share))
    for name, value in found.items():
        print(f"{name:34} {value:>14,}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
