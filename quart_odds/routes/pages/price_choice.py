"""A match for a rule about one of its prices: its markets, lines and outcomes to choose from, with the odds now."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from quart_odds.domain.catalogue import CATALOGUE, Market, line_code
from quart_odds.domain.outcomes import handicap_text, is_handicap
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.offers import offers_of
from quart_odds.routes.api.markets import known_market
from quart_odds.routes.pages.odds import GROUP_NAMES, Cell, event_row

DEFAULT_MARKET = "1x2_ft"
USUAL_LINE = 2.5


@dataclass(frozen=True, slots=True)
class PriceChoice:
    """A match with a market and a line of it, those to choose from, and its prices now at each bookmaker.

    `groups` are the markets by the name of their group; `lines` are values with their words.
    """

    event_id: int
    event: str
    kickoff: datetime
    groups: tuple[tuple[str, tuple[Market, ...]], ...]
    market: Market
    lines: tuple[tuple[str, str], ...]
    line: float | None
    cells: tuple[Cell, ...]

    @property
    def line_value(self) -> str:
        """The line as a form has it, empty for none."""
        return "" if self.line is None else f"{self.line:g}"

    @property
    def link(self) -> str:
        """The address of the match and market, below the root."""
        line = "" if self.line is None else f"&line={self.line:g}"
        return f"/odds/{self.event_id}?market={self.market.id}{line}"


def price_choice(event: CachedEvent, market_name: str, line_text: str, platforms: Sequence[Platform]) -> PriceChoice:
    """Return what there is to choose from in a match, with what is asked for chosen, or else what is usual.

    Takes a few milliseconds.
    """
    lines: dict[int, Counter[float]] = {}
    for event_odds in event.odds.values():
        for offer in offers_of(event_odds):
            lines.setdefault(offer.market.number, Counter()).update([] if offer.line is None else [offer.line])
    asked = known_market(market_name)
    if asked is not None:
        lines.setdefault(asked.number, Counter())
    usual = CATALOGUE.by_slug[DEFAULT_MARKET]
    offered = [market for market in CATALOGUE.markets if market.number in lines] or [usual]
    market = asked or (usual if usual in offered else offered[0])
    here = lines.get(market.number, Counter())
    line = _line(market, line_text, here)
    if line is not None:
        here[line] += 1
    groups: dict[str, list[Market]] = {}
    for each in offered:
        groups.setdefault(GROUP_NAMES[each.group], []).append(each)
    shown = [each for each in platforms if each in event.odds]
    return PriceChoice(
        event_id=event.id,
        event=event.header.name,
        kickoff=event.header.kickoff,
        groups=tuple((name, tuple(found)) for name, found in groups.items()),
        market=market,
        lines=tuple(
            (f"{each:g}", handicap_text(each) if is_handicap(market) else f"{each:g}") for each in sorted(here)
        ),
        line=line,
        cells=event_row(event, market, line, shown).cells,
    )


def _line(market: Market, text: str, offered: Mapping[float, int]) -> float | None:
    """Return the line that is asked for, or else that of the most bookmakers; None for a market without lines.

    Of several, it is the one next to the usual one.
    """
    if not market.has_line:
        return None
    try:
        line = float(text)
        line_code(line)
    except ValueError:
        usual = 0.0 if is_handicap(market) else USUAL_LINE
        return min(offered, key=lambda each: (-offered[each], abs(each - usual), each), default=usual)
    return line
