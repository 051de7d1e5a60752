"""The API under `/_sandbox`: state and request counts, and changes of faults and odds at run time."""

from dataclasses import dataclass
from random import Random
from typing import cast

from quart import Blueprint, jsonify, request
from quart.typing import ResponseReturnValue

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.faults.faults import FaultBoard, fault_of_json
from quart_odds.sandbox.sites.answers import Site
from quart_odds.sandbox.sites.books import Books
from quart_odds.sandbox.throttle import Throttle
from quart_odds.sandbox.world.book import MOST, Book

_CHANGED_AT_RANDOM = frozenset(
    {
        "1x2_ft",
        "double_chance_ft",
        "over_under_ft",
        "btts_ft",
        "draw_no_bet_ft",
        "asian_handicap_ft",
        "handicap_3way_ft",
        "1x2_1h",
        "1x2_2h",
    }
)
"""Main markets, which every client knows, so every random change is visible."""


@dataclass(slots=True)
class Controls:
    """The controllable parts of a sandbox. `books` is None for a replay, whose odds are fixed by the recording."""

    throttle: Throttle
    board: FaultBoard
    sites: dict[Platform, Site]
    books: Books | None

    def state(self) -> dict[str, object]:
        """Return the events and request counts per bookmaker, and the current movement and faults."""
        bookmakers = {
            platform: {
                "events": len(site.shelf.listed()),
                **self.throttle.traffic[platform].as_json(),
            }
            for platform, site in self.sites.items()
        }
        return {
            "events": len(self.books.fixtures) if self.books else None,
            "move": self.books.move if self.books else 0,
            "live_prices": self.books is not None and self.books.process is not None,
            "faults": self.faults(),
            "bookmakers": bookmakers,
        }

    def faults(self) -> dict[str, object]:
        """Return the current fault of each bookmaker, or None."""
        faults = self.board.faults
        return {platform: faults[platform].as_json() if platform in faults else None for platform in self.sites}

    def set_faults(self, wanted: object) -> None:
        """Set or clear faults: `{bookmaker: fault or null}`. Raises ValueError for anything else."""
        if not isinstance(wanted, dict) or not set(wanted) <= set(self.sites):
            raise ValueError(f"give an object with the names of bookmakers: {', '.join(self.sites)}")
        faults = {Platform.of(name): fault_of_json(value) for name, value in wanted.items()}
        for platform, fault in faults.items():
            self.board.set(platform, fault)


class PriceControl:
    """Changes prices and reports exactly what changed."""

    def __init__(self, books: Books, seed: int) -> None:
        self._books = books
        self._random = Random(f"desk {seed}")

    def change(self, wanted: object) -> list[dict[str, object]]:
        """Apply all requested changes, or none of them.

        The object may contain `changes` (a number of random changes, or a list of single ones), the fields of one
        single change, and `move`. Raises ValueError if a change is impossible.
        """
        if not isinstance(wanted, dict):
            raise ValueError("give an object")
        move = wanted.get("move")
        if move is not None and (isinstance(move, bool) or not isinstance(move, int | float) or not 0 <= move <= 1):
            raise ValueError(f"move {move!r} is not a share between 0 and 1")
        if move and self._books.process is not None:
            raise ValueError(f"move {move!r} has no effect, because prices are live: they move in time")
        self._books.advance()
        changes = wanted.get("changes", [wanted] if "sportradar_id" in wanted else [])
        if isinstance(changes, list):
            done = [self._apply(*found) for found in [self._found(change) for change in changes]]
        elif isinstance(changes, int) and not isinstance(changes, bool) and 0 <= changes <= 100_000:
            done = self._at_random(changes)
        else:
            raise ValueError(f"changes {changes!r} is neither a list nor a number from 0 to 100000")
        if move is not None:
            self._books.move = float(move)
        return done

    def _at_random(self, number: int) -> list[dict[str, object]]:
        """Make this many random changes, each to a different price as long as there are enough."""
        done: dict[tuple[Platform, int, int], dict[str, object]] = {}
        tries = 0
        while len(done) < number and tries < 20 * number + 100:
            tries += 1
            book = self._books.random_book(self._random)
            open_now = [i for i in book.open_indices() if book.market_list.keys[i][0].slug in _CHANGED_AT_RANDOM]
            if not open_now:
                continue
            index = self._random.choice(open_now)
            key = (book.market_list.platform, book.fixture.number, index)
            if key not in done:
                done[key] = self._apply(book, index, book.another_price(index, self._random), None)
        return list(done.values())

    def _found(self, change: object) -> tuple[Book, int, int | None, bool | None]:
        """Return the price that a single change refers to, its new odds in hundredths, and whether to suspend it."""
        if not isinstance(change, dict):
            raise ValueError(f"{change!r} is not a change")
        bookmakers = self._books.bookmakers
        if change.get("bookmaker") not in bookmakers:
            raise ValueError(f"bookmaker {change.get('bookmaker')!r} is not one of {', '.join(bookmakers)}")
        book = self._books.find(Platform.of(change["bookmaker"]), str(change.get("sportradar_id")))
        if book is None:
            raise ValueError(f"{change['bookmaker']} has no event {change.get('sportradar_id')!r}")
        market, line, outcome = (change.get(name) for name in ("market", "line", "outcome"))
        for index, (found, found_line, found_outcome) in enumerate(book.market_list.keys):
            if str(market) in (found.id, found.slug) and found_line == line and found_outcome == str(outcome):
                return book, index, _cents(change.get("odds"), book.least), _closed(change.get("suspended"))
        raise ValueError(f"the event has no price {market!r}, line {line!r}, outcome {outcome!r} there")

    def _apply(self, book: Book, index: int, cents: int | None, closed: bool | None) -> dict[str, object]:
        old = _price(book, index)
        book.set(index, cents, closed)
        market, line, outcome = book.market_list.keys[index]
        return {
            "sportradar_id": book.fixture.sportradar_id,
            "bookmaker": book.market_list.platform,
            "market": market.id,
            "slug": market.slug,
            "line": line,
            "outcome": outcome,
            "old": old["odds"],
            "new": _price(book, index)["odds"],
            "suspended": _price(book, index)["suspended"],
            "was_suspended": old["suspended"],
        }


def _price(book: Book, index: int) -> dict[str, object]:
    return {"odds": book.cents[index] / 100, "suspended": bool(book.closed[index])}


def _cents(odds: object, least: int) -> int | None:
    if odds is None:
        return None
    if isinstance(odds, bool) or not isinstance(odds, int | float) or not least <= round(odds * 100) <= MOST:
        raise ValueError(f"odds {odds!r} are not a number from {least / 100:g} to {MOST / 100:g}")
    return round(odds * 100)


def _closed(suspended: object) -> bool | None:
    if suspended is not None and not isinstance(suspended, bool):
        raise ValueError(f"suspended {suspended!r} is neither true nor false")
    return suspended


def control_blueprint(controls: Controls) -> Blueprint:
    """Build the routes under `/_sandbox`. An invalid body is answered with 400 and an error message."""
    blueprint = Blueprint("control", __name__, url_prefix="/_sandbox")
    price_control = PriceControl(controls.books, controls.throttle.options.seed) if controls.books else None

    @blueprint.errorhandler(ValueError)
    async def say_what_is_wrong(error: ValueError) -> ResponseReturnValue:
        return jsonify(error=str(error)), 400

    @blueprint.get("/state")
    async def state() -> ResponseReturnValue:
        return jsonify(controls.state())

    @blueprint.get("/faults")
    async def faults() -> ResponseReturnValue:
        return jsonify(controls.faults())

    @blueprint.post("/faults")
    async def set_faults() -> ResponseReturnValue:
        controls.set_faults(await _body())
        return jsonify(controls.faults())

    @blueprint.post("/odds")
    async def odds() -> ResponseReturnValue:
        if price_control is None or controls.books is None:
            return jsonify(error="the odds of a replay cannot be changed"), 409
        changes = price_control.change(await _body())
        return jsonify(changes=changes, move=controls.books.move)

    return blueprint


async def _body() -> object:
    body = cast("object", await request.get_json(force=True, silent=True))
    if body is None:
        raise ValueError("the body is not valid JSON")
    return body
