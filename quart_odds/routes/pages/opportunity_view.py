"""Opportunities as their page shows them: prices to back with their stakes, and what they are worth in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from quart_odds.domain.catalogue import CATALOGUE, Market, market_number_of, unpack_key
from quart_odds.domain.opportunities import MOST_CREDIBLE_PERCENT, Kind, Reason, Stakes, kelly_fraction
from quart_odds.domain.outcomes import outcome_words
from quart_odds.domain.platforms import Platform
from quart_odds.odds.opportunities import Track
from quart_odds.odds.opportunity import Leg, Opportunity
from quart_odds.odds.past_opportunities import PastOpportunity
from quart_odds.routes.api.opportunities import OpportunitiesQuery, stakes_of
from quart_odds.routes.pages.odds import Promotion, odds_text
from quart_odds.routes.pages.row_words import fair_source_words

MEANINGS: Mapping[str, str] = {
    "arbitrage": "All outcomes of a market, each at the bookmaker that pays most for it. Together they cost less than "
    "they pay: the profit is the same whatever happens.",
    "value": "One price above its fair odds. The value is the gain on average over many such bets; a single one may "
    "lose.",
    "middle": "Over a line at one bookmaker and under a higher line at another. A total between the lines wins both "
    "bets. Any other total wins one of them, and may lose a little.",
    "all": "Arbitrage profits whatever happens, value gains on average, and a middle wins twice if the total is "
    "between two lines.",
}
"""What each kind means."""

REASONS: Mapping[Reason, str] = {
    "stale": "Its oldest price is too old, so it may be gone.",
    "in_play": "It mixes prices from before the kick-off with prices from after it.",
    "reversed_sides": "A bookmaker has home and away the other way round.",
    "one_bookmaker": "One bookmaker alone prices the whole market below what it pays, which is an error there.",
    "outlier": "A price is far above those of all other bookmakers: an error, or the price of something else.",
    "too_good": f"It is worth more than {MOST_CREDIBLE_PERCENT:g} %, which nobody offers on purpose.",
}
"""Why an opportunity is listed apart."""

PERCENT = "\N{NO-BREAK SPACE}%"


@dataclass(frozen=True, slots=True)
class ShownLeg:
    """A price to back. `odds` are thousandths, `others` is how many more bookmakers have the same price."""

    outcome: str
    odds: int
    text: str
    platform: Platform
    others: tuple[str, ...]
    promotion: Promotion | None
    stake: str | None


@dataclass(frozen=True, slots=True)
class ShownOpportunity:
    """An opportunity with everything in words. `key` names it among all, also when its prices change.

    `after_rounding` says what the stakes gain, if a bank is given, and `is_gain` whether that is more than nothing.
    """

    key: str
    event_id: int
    event: str
    competition: str
    kickoff: datetime
    kind: Kind
    market: Market
    line: float | None
    legs: tuple[ShownLeg, ...]
    worth: str
    more: tuple[str, ...]
    after_rounding: str
    is_gain: bool
    reasons: tuple[str, ...]
    seen_at: datetime
    first_seen_at: datetime | None
    best: str

    @property
    def link(self) -> str:
        """The address of its event and market, below the root."""
        line = "" if self.line is None else f"&line={self.line:g}"
        return f"/odds/{self.event_id}?market={self.market.id}{line}"


@dataclass(frozen=True, slots=True)
class ShownPast:
    """An opportunity that is over."""

    event_id: int
    event: str
    kickoff: datetime
    kind: Kind
    market: str
    legs: tuple[str, ...]
    best: str
    last: str
    milliseconds: float
    ended_at: datetime


def shown(track: Track, query: OpportunitiesQuery, *, is_apart: bool) -> ShownOpportunity:
    """Return an opportunity for display, with stakes if the query has a bank, and with the reasons if it is apart."""
    found, event = track.opportunity, track.event
    stakes = None if query.bank is None else stakes_of(found, query.bank, query.rounding)
    header = event.header
    rounded, is_gain = ("", False) if stakes is None else _after_rounding(found, stakes)
    return ShownOpportunity(
        key=f"o{event.id}-{found.kind}-{'-'.join(str(leg.key) for leg in found.legs)}",
        event_id=event.id,
        event=f"{header.home_team} – {header.away_team}",
        competition=header.competition.name,
        kickoff=header.kickoff,
        kind=found.kind,
        market=found.market,
        line=found.legs[0].line,
        legs=tuple(_leg(leg, None if stakes is None else stakes.stakes[place]) for place, leg in enumerate(found.legs)),
        worth=worth_words(found.kind, found.margin),
        more=_more(found),
        after_rounding=rounded,
        is_gain=is_gain,
        reasons=tuple(REASONS[each] for each in found.reasons) if is_apart else (),
        seen_at=found.seen_at,
        first_seen_at=track.first_seen_at,
        best=worth_words(found.kind, track.best_margin) if track.best_margin > found.margin else "",
    )


def shown_past(past: PastOpportunity) -> ShownPast:
    """Return an opportunity that is over for display."""
    market = CATALOGUE.by_number[market_number_of(past.keys[0])]
    places = [unpack_key(key) for key in past.keys]
    return ShownPast(
        event_id=past.event_id,
        event=past.event_name,
        kickoff=past.kickoff,
        kind=past.kind,
        market=market.name,
        legs=tuple(
            f"{outcome_words(market, market.outcomes[index], line)} at {platform.display_name}"
            for (_, index, line), platform in zip(places, past.platforms, strict=True)
        ),
        best=worth_words(past.kind, past.best_margin),
        last=worth_words(past.kind, past.margin),
        milliseconds=(past.ended_at - past.first_seen_at).total_seconds() * 1000,
        ended_at=past.ended_at,
    )


def worth_words(kind: Kind, margin: float) -> str:
    """Return what an opportunity of a kind is worth, in percent of the stake."""
    if kind == "value":
        return f"value {margin:.2f}{PERCENT}"
    word = "profit" if margin >= 0 else "loss"
    return f"{word} {abs(margin):.2f}{PERCENT}{' at worst' if kind == 'middle' else ''}"


def money(amount: Decimal) -> str:
    """Format an amount to two places, or to as many as it has if it is staked in smaller steps: `1,250`, `0.5`."""
    text = f"{amount:,.2f}" if amount == amount.quantize(Decimal("0.01")) or abs(amount) >= 1 else f"{amount:,.6f}"
    return text.rstrip("0").rstrip(".")


def _leg(leg: Leg, stake: Decimal | None) -> ShownLeg:
    platform = leg.platform
    return ShownLeg(
        outcome=outcome_words(leg.market, leg.outcome, leg.line),
        odds=leg.value >> 1,
        text=odds_text(leg.value >> 1),
        platform=platform,
        others=tuple(each.display_name for each in leg.platforms if each is not platform),
        promotion=Promotion.named(leg.promotion),
        stake=None if stake is None else money(stake),
    )


def _more(found: Opportunity) -> tuple[str, ...]:
    """Return what there is to know besides the worth."""
    if found.best_case is not None:
        return (f"profit {found.best_case:.2f}{PERCENT} between the lines",)
    if found.fair is None:
        return ()
    chance = found.fair.chance
    share = kelly_fraction(chance, found.legs[0].odds) * 100
    return (
        f"fair odds {odds_text(round(chance.fair_odds * 1000))}, from {fair_source_words(found.fair.source)}",
        f"Kelly: {share:.2f}{PERCENT} of the bank",
    )


def _after_rounding(found: Opportunity, stakes: Stakes) -> tuple[str, bool]:
    """Return what stakes in whole steps gain, in words, and whether that is a gain."""
    if not stakes.total:
        least = "Kelly’s share is less than one step" if found.kind == "value" else "no stakes in these steps profit"
        return least, False
    worst, best = stakes.worst_profit, stakes.best_profit
    if found.kind == "value":
        return f"wins {money(best)} or loses {money(-worst)}", False
    staked = f"of {money(stakes.total)} staked"
    if found.kind == "middle":
        return (
            f"{'wins' if worst > 0 else 'loses'} {money(abs(worst))} at worst, wins {money(best)} at best, {staked}",
            (worst > 0),
        )
    if not stakes.is_profitable:
        loss = f"loses {money(-worst)} at worst" if worst < 0 else "gains nothing at worst"
        return f"no profit after rounding: {loss}, {staked}", False
    gain = money(worst) if worst == best else f"{money(worst)} to {money(best)}"
    percent = worst / stakes.total * 100
    return f"profit {gain} after rounding, {percent:.2f}{PERCENT} {staked}", True
