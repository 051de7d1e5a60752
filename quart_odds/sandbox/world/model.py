"""The model behind the prices: the probability of each outcome, given the scoring rate of each team.

The goals of each team in each half are four independent Poisson variables; corners are modelled the same way. Markets
on the score are sums over the likely scores, so all prices of an event are consistent.
"""

import re
from collections.abc import Callable
from functools import cache
from itertools import product
from math import exp, factorial
from operator import itemgetter

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.world.markets import Market, PriceKey, market_list, outcomes_of

Score = tuple[int, int, int, int]
"""Goals of home and away in the first half, then of home and away in the second half."""

FIRST_HALF = 0.45
"""The proportion of goals scored in the first half."""
_MOST_GOALS_A_HALF = 5
_MOST_CORNERS = 15


def implied(platform: Platform, lines: int, home_rate: float, away_rate: float) -> tuple[float, ...]:
    """Return the fair inverse odds of every price of a bookmaker. The rates are goals per match."""
    return _implied(platform, lines, round(home_rate, 2), round(away_rate, 2))


@cache
def _implied(platform: Platform, lines: int, home_rate: float, away_rate: float) -> tuple[float, ...]:
    return tuple(_fair(key, home_rate, away_rate) for key in market_list(platform, lines).keys)


@cache
def _fair(key: PriceKey, home_rate: float, away_rate: float) -> float:
    market, _, outcome = key
    formula = _FORMULAS.get(market.family)
    if formula is not None:
        return formula(market, outcome, home_rate, away_rate)
    space, wins, losses = _settled(key)
    chances = _chances(space, home_rate, away_rate)
    won = sum(weight * sum(itemgetter(*states)(chances)) for weight, states in wins)
    lost = sum(weight * sum(itemgetter(*states)(chances)) for weight, states in losses)
    return min(max(won / (won + lost), 1e-4), 1 - 1e-4) if won + lost else 0.5


# The likely scores, and what each is worth to an outcome


def _space(market: Market) -> str:
    """Return which numbers a market is about: goals of both halves, goals of the first minutes, or corners."""
    if market.period.startswith("0-"):
        return market.period
    return "goals" if market.subject == "goals" else f"corners {market.period}"


@cache
def _states(space: str) -> tuple[Score, ...]:
    if space == "goals":
        numbers = range(_MOST_GOALS_A_HALF + 1)
        return tuple(product(numbers, numbers, numbers, numbers))
    most = 4 if space.startswith("0-") else _MOST_CORNERS
    return tuple((home, away, 0, 0) for home, away in product(range(most + 1), repeat=2))


@cache
def _chances(space: str, home_rate: float, away_rate: float) -> tuple[float, ...]:
    if space == "goals":
        rates = tuple(r * part for part in (FIRST_HALF, 1 - FIRST_HALF) for r in (home_rate, away_rate))
    elif space.startswith("0-"):
        part = float(space[2:]) / 95
        rates = (home_rate * part, away_rate * part, 0.0, 0.0)
    else:
        part = 0.47 if space.endswith("1h") else 1.0
        rates = ((3.6 + home_rate) * part, (3.2 + away_rate) * part, 0.0, 0.0)
    most = max(map(max, _states(space)))
    columns = [[exp(-rate) * rate**n / factorial(n) for n in range(most + 1)] for rate in rates]
    chances = [columns[0][a] * columns[1][b] * columns[2][c] * columns[3][d] for a, b, c, d in _states(space)]
    total = sum(chances)
    return tuple(chance / total for chance in chances)


Weighted = tuple[tuple[float, tuple[int, ...]], ...]


@cache
def _settled(key: PriceKey) -> tuple[str, Weighted, Weighted]:
    """Return the states in which an outcome wins and loses, grouped by share of the stake (1 or a half)."""
    market, line, outcome = key
    space = _space(market)
    settle = _settler(market, line, outcome)
    by_value: dict[float, list[int]] = {}
    for index, state in enumerate(_states(space)):
        value = settle(state)
        if value:
            by_value.setdefault(value, []).append(index)
    # itemgetter returns no tuple for a single index, so a single state counts twice at half its weight.
    parts = [(v, tuple(i)) if len(i) > 1 else (v / 2, (i[0], i[0])) for v, i in by_value.items()]
    wins = tuple((value, indices) for value, indices in parts if value > 0)
    losses = tuple((-value, indices) for value, indices in parts if value < 0)
    return space, wins, losses


def _settler(market: Market, line: float | None, outcome: str) -> Callable[[Score], float]:
    """Return the value of a score for an outcome: 1 wins, 0.5 wins half the stake, 0 is void, and so on down to -1."""
    period = "ft" if market.period.startswith("0-") or market.subject == "corners" else market.period
    sides = _sides(period)
    if market.family == "asian":
        sign = 1 if outcome == "1" else -1
        return lambda score: _clamp(sign * (sides(score)[0] - sides(score)[1] + (line or 0)))
    if market.family == "parts" and outcome in ("Over", "Under"):
        count, sign = _counter(market.side, sides), 1 if outcome == "Over" else -1
        return lambda score: _clamp(sign * (count(score) - (line or 0)))
    if market.family in ("dnb", "no_bet"):
        void = {"home": "1", "away": "2"}.get(market.side, "X")
        return lambda score: 0 if (got := _result(*sides(score))) == void else (1 if got == outcome else -1)
    holds = _claim(market, line, outcome, sides)
    return lambda score: 1 if holds(score) else -1


def _clamp(difference: float) -> float:
    return max(-1.0, min(1.0, 2 * difference))


def _sides(period: str) -> Callable[[Score], tuple[int, int]]:
    if period == "1h":
        return lambda s: (s[0], s[1])
    if period == "2h":
        return lambda s: (s[2], s[3])
    return lambda s: (s[0] + s[2], s[1] + s[3])


def _counter(side: str, sides: Callable[[Score], tuple[int, int]]) -> Callable[[Score], int]:
    if side == "home":
        return lambda score: sides(score)[0]
    if side == "away":
        return lambda score: sides(score)[1]
    return lambda score: sum(sides(score))


def _result(home: float, away: float) -> str:
    return "1" if home > away else "2" if home < away else "X"


def _claim(
    market: Market, line: float | None, outcome: str, sides: Callable[[Score], tuple[int, int]]
) -> Callable[[Score], bool]:
    """Return a test of whether an outcome wins at a score, for markets without void results."""
    own, other = (1, 0) if market.side == "away" else (0, 1)
    count = _counter(market.side, sides)
    half = _sides("1h"), _sides("2h")
    yes: Callable[[Score], bool]
    match market.family:
        case "parts":
            claims = [_part(part, line, sides) for part in outcome.split(" & ")]
            return lambda score: all(claim(score) for claim in claims)
        case "htft_parts":
            result, _, total = outcome.partition(" & ")
            over, whole = _part(total, line, sides), _sides("ft")
            return lambda s: f"{_result(s[0], s[1])}/{_result(*whole(s))}" == result and over(s)
        case "any":
            denied, parts = outcome.startswith("not "), outcome.removeprefix("not ").split(" | ")
            claims = [_part(part, line, sides) for part in parts]
            return lambda score: any(claim(score) for claim in claims) != denied
        case "btts_halves":
            return lambda s: "/".join("Yes" if min(h(s)) > 0 else "No" for h in half) == outcome
        case "european":
            return lambda score: _result(sides(score)[0] + (line or 0), sides(score)[1]) == outcome
        case "htft":
            return lambda s: f"{_result(s[0], s[1])}/{_result(*sides(s))}" == outcome
        case "score":
            period_is_whole = market.period == "ft"
            named = {f"{h}-{a}" for h, a in product(range(5 if period_is_whole else 3), repeat=2)}
            return lambda score: (
                ((text := "{}-{}".format(*sides(score))) == outcome) or (outcome == "Other" and text not in named)
            )
        case "htft_score":
            return lambda s: (
                f"{s[0]}-{s[1]}/{'4+' if sum(s) > 3 else '{}-{}'.format(*sides(s))}" == outcome
                or (outcome == "4+/4+" and s[0] + s[1] > 3)
            )
        case "parity":
            return lambda score: count(score) % 2 == (outcome == "Odd")
        case "exact":
            low, high = _range(outcome)
            return lambda score: low <= count(score) <= high
        case "halves":
            counts = [_counter(market.side, sides_of) for sides_of in half]
            names_of = {"1": "1st", "2": "2nd", "X": "Equal"}
            return lambda score: names_of[_result(*(c(score) for c in counts))] == outcome
        case "scorers":
            names = {(True, True): "Both", (True, False): "Home", (False, True): "Away", (False, False): "None"}
            return lambda score: names[sides(score)[0] > 0, sides(score)[1] > 0] == outcome
        case "margin":
            return lambda score: _margin(*sides(score)) == outcome
        case "nil":
            yes = lambda score: sides(score)[own] > 0 and sides(score)[other] == 0  # noqa: E731
        case "clean":
            yes = lambda score: sides(score)[other] == 0  # noqa: E731
        case "to_score":
            yes = lambda score: sides(score)[own] > 0  # noqa: E731
        case "win_both":
            yes = lambda score: all(h(score)[own] > h(score)[other] for h in half)  # noqa: E731
        case "win_either":
            yes = lambda score: any(h(score)[own] > h(score)[other] for h in half)  # noqa: E731
        case "score_both":
            yes = lambda score: all(h(score)[own] > 0 for h in half)  # noqa: E731
        case "btts_both":
            yes = lambda score: all(min(h(score)) > 0 for h in half)  # noqa: E731
        case "btts2":
            yes = lambda score: min(sides(score)) > 1  # noqa: E731
        case family:
            raise ValueError(f"market {market.slug} has an unknown family: {family}")
    return lambda score: yes(score) == (outcome == "Yes")


def _part(text: str, line: float | None, sides: Callable[[Score], tuple[int, int]]) -> Callable[[Score], bool]:
    """Parse one part of a combined outcome: a result or double chance, over or under, both teams to score or not."""
    if text in ("Over", "Under"):
        return lambda score: (sum(sides(score)) > (2.5 if line is None else line)) == (text == "Over")
    if text in ("Yes", "No"):
        return lambda score: (min(sides(score)) > 0) == (text == "Yes")
    if not re.fullmatch("1|X|2|1X|12|X2", text):
        raise ValueError(f"{text!r} is not part of an outcome")
    return lambda score: _result(*sides(score)) in text


def _range(text: str) -> tuple[int, int]:
    """Parse a range: `2` is 2 to 2, `1-3` is 1 to 3, `4+` has no upper bound."""
    low, dash, high = text.partition("-")
    return (int(text[:-1]), 99) if text.endswith("+") else (int(low), int(high if dash else low))


def _margin(home: int, away: int) -> str:
    if home == away:
        return "X"
    by = abs(home - away)
    return ("H" if home > away else "A") + (str(by) if by < 3 else "3+")


# Markets that do not depend on the score alone


def _last_goal(market: Market, outcome: str, home_rate: float, away_rate: float) -> float:
    if market.subject == "corners":
        home_rate, away_rate = home_rate + 3.6, away_rate + 3.2
    nothing = exp(-home_rate - away_rate)
    own = {"1": home_rate, "2": away_rate}.get(outcome, 0) / (home_rate + away_rate)
    return max(nothing, 0.003) if outcome == "None" else (1 - nothing) * own


def _paid_early(lead: int) -> Callable[[Market, str, float, float], float]:
    """Price a 1X2 that pays once a team leads by `lead` goals: better than 1X2 for the teams, equal for the draw."""
    gain = {1: 0.34, 2: 0.07}[lead]

    def fair(market: Market, outcome: str, home_rate: float, away_rate: float) -> float:
        plain = Market("1x2_ft", "parts", "goals", "ft", "all", "")
        chance = _fair((plain, None, outcome), home_rate, away_rate)
        return chance if outcome == "X" else chance + (1 - chance) * gain

    return fair


def _player(market: Market, outcome: str, home_rate: float, away_rate: float) -> float:
    number = int(outcome.removeprefix("player "))
    rate = (home_rate if number % 2 == 0 else away_rate) / (2.5 + 0.9 * number)
    return 1 - exp(-rate)


def _first_goal_result(market: Market, outcome: str, home_rate: float, away_rate: float) -> float:
    """Combine the first scorer with the result. The team that scores first wins more often than usual."""
    nothing = exp(-home_rate - away_rate)
    if outcome == "None":
        return nothing
    first, _, result = outcome.partition(" & ")
    plain = Market("1x2_ft", "parts", "goals", "ft", "all", "")
    results = {r: _fair((plain, None, r), home_rate, away_rate) for r in ("1", "X", "2")}
    weights = {r: chance * (1.5 if r == first else 1.0 if r == "X" else 0.3) for r, chance in results.items()}
    own = {"1": home_rate, "2": away_rate}[first] / (home_rate + away_rate)
    return (1 - nothing) * own * weights[result] / sum(weights.values())


def _other(market: Market, outcome: str, home_rate: float, away_rate: float) -> float:
    """Price markets that only fill the bodies: any probabilities do that add up to the number of outcomes that win."""

    def weight(text: str) -> int:
        return 40 + sum(map(ord, market.slug + text)) % 61

    all_outcomes = outcomes_of(market.slug)
    count = len(all_outcomes)
    if count == 1:
        return 0.4
    share = weight(outcome) / sum(map(weight, all_outcomes))
    # Where most outcomes win, the share is that of losing: no probability is above 1 then.
    return share * market.winners if 2 * market.winners <= count else 1 - share * (count - market.winners)


_FORMULAS: dict[str, Callable[[Market, str, float, float], float]] = {
    "last_goal": _last_goal,
    "one_up": _paid_early(1),
    "two_up": _paid_early(2),
    "players": _player,
    "first_goal_result": _first_goal_result,
    "other": _other,
}
