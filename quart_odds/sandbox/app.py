"""The sandbox as a Quart app: the bookmakers on one port, distinguished by path, and `/_sandbox` to control them."""

from collections.abc import Callable, Mapping
from datetime import datetime

from quart import Quart

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.control import Controls, control_blueprint
from quart_odds.sandbox.faults.faults import FaultBoard
from quart_odds.sandbox.front import MOST_BYTES, Sandbox
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.replay.recorded import Recording
from quart_odds.sandbox.replay.replay import ReplayedSite
from quart_odds.sandbox.server import cut_connection
from quart_odds.sandbox.sites.answers import Shelf, Site
from quart_odds.sandbox.sites.bet9ja import Bet9jaSite
from quart_odds.sandbox.sites.betking import BetkingSite
from quart_odds.sandbox.sites.betpawa import BetpawaSite
from quart_odds.sandbox.sites.books import Books, GeneratedShelf, fit
from quart_odds.sandbox.sites.msport import MsportSite
from quart_odds.sandbox.sites.sportybet import SportybetSite
from quart_odds.sandbox.throttle import Throttle
from quart_odds.sandbox.truth import truth_blueprint
from quart_odds.sandbox.world import stand_ins
from quart_odds.sandbox.world.world import make_world

_SITES: Mapping[Platform, tuple[Callable[[Shelf], Site], str]] = {
    stand_ins.BETPAWA: (BetpawaSite, "/api/sportsbook/"),
    stand_ins.SPORTYBET: (SportybetSite, "/api/<country>/factsCenter/"),
    stand_ins.BET9JA: (Bet9jaSite, "/desktop/feapi/"),
    stand_ins.MSPORT: (MsportSite, "/api/<country>/facts-center/"),
    stand_ins.BETKING: (BetkingSite, "/api/feeds/"),
}
"""What answers for each bookmaker, and where its addresses begin."""


def create_sandbox(options: SandboxOptions, *, now: Callable[[], datetime] = utc_now) -> Quart:
    """Create the sandbox app. Kick-offs are relative to `now`. Raises ValueError for an invalid recording."""
    app = Sandbox(__name__)
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    board = FaultBoard(dict(options.faults))
    throttle = Throttle(options, board, cut_connection)
    if options.replay is not None:
        recording, books = Recording.load(options.replay), None
        sites: dict[Platform, Site] = {p: ReplayedSite(p, recording, open_site) for p in options.bookmakers}
    else:
        books, sites = generated_sites(options, now(), now)
    if options.warm:
        throttle.warm(sites)
    app.put_in_front(throttle, {_SITES[platform][1]: site for platform, site in sites.items()})
    app.register_blueprint(control_blueprint(Controls(throttle, board, sites, books)))
    app.register_blueprint(truth_blueprint(books))
    return app


def generated_sites(
    options: SandboxOptions, start: datetime, now: Callable[[], datetime] | None = None
) -> tuple[Books, dict[Platform, Site]]:
    """Create the books of an invented world, and the bookmakers that offer them.

    Kick-offs are relative to `start`. `now` is the clock of live prices; without it, time stands still at `start`.
    """
    fixtures = make_world(options.events, options.seed, start, options.competitions, options.bookmakers)
    lines = dict.fromkeys(options.bookmakers, options.market_lines)
    most = max(options.market_lines)
    padding = dict.fromkeys(options.bookmakers, 0)
    if options.body_kb is not None:
        for platform in options.bookmakers:
            sample = next(fixture for fixture in fixtures if platform in fixture.listings)
            fitting, padding[platform] = fit(platform, sample, most, options.body_kb)
            lines[platform] = (fitting,)
    books = Books(fixtures, options.seed, options.move, lines, start=start, now=now)
    if options.live_prices:
        books.live(options.price_pace)
    return books, {p: open_site(p, GeneratedShelf(p, books, padding[p])) for p in options.bookmakers}


def open_site(platform: Platform, shelf: Shelf) -> Site:
    """Return a bookmaker with the events of a shelf."""
    return _SITES[platform][0](shelf)
