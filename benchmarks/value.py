"""The search for opportunities: what a change costs, what everything at once does, and how long the loop is held.

`python -m benchmarks.value` fills a cache with 1,300 events at three bookmakers as the sandbox has them, which are as
large as real ones, probabilities included. The last line is JSON. Costs are CPU time of the process.
"""

import argparse
import asyncio
import json
import statistics
import time
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random

from benchmarks.matches import MATCHES, matches, renamed
from quart_odds.domain.catalogue import FIRST_PROMOTED_KEY
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import MappedEvent, Prices
from quart_odds.odds import OddsCache
from quart_odds.odds.opportunities import OpportunityEngine
from quart_odds.sandbox.world.stand_ins import FIRST_THREE

CHANGES = 1000
MOVED = 3
"""Prices that one change moves, as many as one fetch of a real event does."""

MAX_AGE = timedelta(hours=1)


def moved(mapped: MappedEvent, random: Random) -> MappedEvent:
    """Return an event of which some prices moved by up to two percent."""
    values = array("I", mapped.prices.values)
    plain = sum(1 for key in mapped.prices.keys if key < FIRST_PROMOTED_KEY)
    for place in random.sample(range(plain), MOVED):
        odds = max(1010, round((values[place] >> 1) * random.uniform(0.98, 1.02)) + 1)
        values[place] = odds << 1 | values[place] & 1
    return replace(mapped, prices=Prices(mapped.prices.keys, values))


def cost_ms(work: Callable[[], object]) -> float:
    """Return the CPU time that something takes, in milliseconds."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


async def longest_hold_ms(engine: OpportunityEngine) -> float:
    """Search everything as the task does. Return for how long the loop was held at most, by the clock."""
    searching = asyncio.create_task(engine.refresh())
    longest = 0.0
    while not searching.done():
        began = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - began)
    return longest * 1000


def measure(events: int) -> dict[str, float]:
    """Run everything."""
    random, now = Random(1), utc_now()
    cache, several = OddsCache(), matches(min(events, MATCHES), FIRST_THREE)
    current = {}
    for number in range(events):
        for mapped in several[number % len(several)]:
            each = renamed(mapped, number // len(several), now + timedelta(days=1))
            change = cache.apply(each, now)
            current[change.odds_id] = each
    prices = sum(len(each.prices) for each in current.values())
    print(f"{len(cache.events)} events, {prices / len(current):.0f} prices of each at a bookmaker", flush=True)

    def unpack() -> None:
        for event in cache.events.values():
            for event_odds in event.odds.values():
                assert event_odds.columns.keys

    unpacked = cost_ms(unpack)
    engine = OpportunityEngine(cache, MAX_AGE)
    whole = cost_ms(engine.current)
    print(f"everything: {whole:.0f} ms, of which {unpacked:.0f} ms unpack the prices", flush=True)
    held = asyncio.run(longest_hold_ms(OpportunityEngine(cache, MAX_AGE)))
    notes, searches = [], []
    for _ in range(CHANGES):
        odds_id = random.choice(list(current))
        current[odds_id] = moved(current[odds_id], random)
        change = cache.apply(current[odds_id], utc_now())
        notes.append(cost_ms(lambda change=change: engine.note(change)))  # type: ignore[misc]
        event = cache.events[change.event_id]
        searches.append(cost_ms(lambda event=event: engine._examine(event, utc_now())))  # type: ignore[misc]
    asked = cost_ms(engine.current)
    found = Counter("apart" if track.opportunity.reasons else track.opportunity.kind for track in engine.current())
    print(f"found: {dict(found)}", flush=True)
    return {
        "events": events,
        "prices": prices,
        "whole_ms": round(whole, 1),
        "unpack_ms": round(unpacked, 1),
        "event_ms": round(whole / events, 3),
        "held_ms": round(held, 1),
        "note_ms": round(statistics.median(notes), 4),
        "change_p50_ms": round(statistics.median(searches), 3),
        "change_p99_ms": round(statistics.quantiles(searches, n=100)[-1], 3),
        "ask_ms": round(asked, 2),
        **{f"found_{kind}": count for kind, count in sorted(found.items())},
    }


def main() -> None:
    """Print progress and, as the last line, JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1300)
    print(json.dumps(measure(parser.parse_args().events)))


if __name__ == "__main__":
    main()
