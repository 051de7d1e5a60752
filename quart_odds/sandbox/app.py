"""The sandbox as a Quart app: three bookmakers on one port, distinguished by path, and `/_sandbox` to control them."""

from collections.abc import Callable, Mapping
from datetime import datetime

from quart import Quart, Response, request

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.control import Controls, control_blueprint
from quart_odds.sandbox.faults.faults import FaultBoard
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.replay.recorded import Recording
from quart_odds.sandbox.replay.replay import ReplayedSite
from quart_odds.sandbox.server import cut_connection
from quart_odds.sandbox.sites.answers import Ask, Shelf, Site
from quart_odds.sandbox.sites.bet9ja import Bet9jaSite
from quart_odds.sandbox.sites.betpawa import BetpawaSite
from quart_odds.sandbox.sites.books import Books, GeneratedShelf, fit
from quart_odds.sandbox.sites.sportybet import SportybetSite
from quart_odds.sandbox.throttle import Throttle
from quart_odds.sandbox.truth import truth_blueprint
from quart_odds.sandbox.world import stand_ins
from quart_odds.sandbox.world.stand_ins import STAND_INS
from quart_odds.sandbox.world.world import make_world

_PATHS = {
    stand_ins.BETPAWA: "/api/sportsbook/",
    stand_ins.SPORTYBET: "/api/<country>/factsCenter/",
    stand_ins.BET9JA: "/desktop/feapi/",
}


def create_sandbox(options: SandboxOptions, *, now: Callable[[], datetime] = utc_now) -> Quart:
    """Create the sandbox app. Kick-offs are relative to `now`. Raises ValueError for an invalid recording."""
    app = Quart(__name__)
    app.config["MAX_CONTENT_LENGTH"] = 1_000_000
    board = FaultBoard(dict(options.faults))
    throttle = Throttle(options, board, cut_connection)
    if options.replay is not None:
        recording, books = Recording.load(options.replay), None
        sites: dict[Platform, Site] = {platform: ReplayedSite(platform, recording, _site) for platform in STAND_INS}
    else:
        books, sites = generated_sites(options, now(), now)
    if options.warm:
        throttle.warm(sites)
    for platform, path in _PATHS.items():
        _route(app, throttle, sites[platform], path)
    app.register_blueprint(control_blueprint(Controls(throttle, board, sites, books)))
    app.register_blueprint(truth_blueprint(books))
    return app


def generated_sites(
    options: SandboxOptions, start: datetime, now: Callable[[], datetime] | None = None
) -> tuple[Books, dict[Platform, Site]]:
    """Create the books of an invented world, and the three bookmakers that offer them.

    Kick-offs are relative to `start`. `now` is the clock of live prices; without it, time stands still at `start`.
    """
    fixtures = make_world(options.events, options.seed, start, options.competitions)
    lines = dict.fromkeys(STAND_INS, options.market_lines)
    most = max(options.market_lines)
    padding = dict.fromkeys(STAND_INS, 0)
    if options.body_kb is not None:
        for platform in STAND_INS:
            sample = next(fixture for fixture in fixtures if platform in fixture.listings)
            fitting, padding[platform] = fit(platform, sample, most, options.body_kb)
            lines[platform] = (fitting,)
    books = Books(fixtures, options.seed, options.move, lines, start=start, now=now)
    if options.live_prices:
        books.live(options.price_pace)
    return books, {p: _site(p, GeneratedShelf(p, books, padding[p])) for p in STAND_INS}


def _site(platform: Platform, shelf: Shelf) -> Site:
    sites: Mapping[Platform, Callable[[Shelf], Site]] = {
        stand_ins.BETPAWA: BetpawaSite,
        stand_ins.SPORTYBET: SportybetSite,
        stand_ins.BET9JA: Bet9jaSite,
    }
    return sites[platform](shelf)


def _route(app: Quart, throttle: Throttle, site: Site, path: str) -> None:
    async def answer(**_: str) -> Response:
        ask = Ask(
            request.method,
            request.path,
            request.args.to_dict(),
            {name.lower(): value for name, value in request.headers.items()},
            await request.get_data(True, False, False) if request.method == "POST" else b"",
        )
        return await throttle.answer(site, ask)

    app.add_url_rule(f"{path}<path:rest>", f"{site.platform}", answer, methods=["GET", "POST"])
