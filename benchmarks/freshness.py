"""How late a change of a price at a bookmaker arrives in our cache, for three ways to spend the same requests.

    python -m benchmarks.freshness [--events 1300] [--rate 5]

Full runs in a row, as before there were sweeps; our polling; and a policy that knows the true rate of changes of every
event and spends as many list and detail requests as ours. Bookmakers are those of the sandbox, in simulated time: the
first two run the product's own client, parsers, policy and cache. The last line is the same as JSON.
"""

import asyncio
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import click
import orjson

from benchmarks.freshness_policies import INTERVAL_SECONDS, Measured, full_runs, optimum, polling
from benchmarks.freshness_world import Delays, World, quantile
from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.world.stand_ins import FIRST_THREE

WARM_SECONDS = 300.0
"""No change is measured before: all policies need a while until they have seen every event."""
MEASURED_SECONDS = 400.0
TAIL_SECONDS = 300.0
"""How long changes may still be learned after the last one that is measured."""

POLICIES = ("full runs", "ours", "optimum")


def measure(platform: Platform, events: int, seed: int, rate: float) -> dict[str, Measured]:
    """Measure all policies at one bookmaker. Returns the results by policy."""
    end = WARM_SECONDS + MEASURED_SECONDS + TAIL_SECONDS

    def world() -> World:
        return World(platform, events, seed, rate, WARM_SECONDS, WARM_SECONDS + MEASURED_SECONDS)

    ours = asyncio.run(polling(world(), end, rate))
    found = {"full runs": asyncio.run(full_runs(world(), end)), "ours": ours}
    best = [optimum(world(), end, ours, aim=aim) for aim in ("delay", "freshness")]
    found["optimum"] = min(best, key=lambda each: quantile(each.delays.main, 0.5))
    return found


def pooled(found: dict[Platform, dict[str, Measured]], policy: str) -> Delays:
    """Return the delays of a policy at all bookmakers."""
    delays = Delays()
    for measured in found.values():
        delays.extend(measured[policy].delays)
    return delays


@click.command()
@click.option("--events", default=1300, show_default=True)
@click.option("--rate", default=5.0, show_default=True, help="Requests per second and bookmaker.")
@click.option("--seed", default=1, show_default=True)
def main(events: int, rate: float, seed: int) -> None:
    """Measure how late changes are learned."""
    began = time.monotonic()
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        started = {each: pool.submit(measure, each, events, seed, rate) for each in FIRST_THREE}
        found = {platform: each.result() for platform, each in started.items()}
    click.echo(
        f"{events} events, {rate:g} requests a second at each bookmaker, sweeps every {INTERVAL_SECONDS:g} s, "
        f"{MEASURED_SECONDS:g} s measured; delays in seconds"
    )
    click.echo(f"{'bookmaker':10} {'policy':10} {'lists':>7} {'list req.':>9} {'details':>8} {'changes':>8}", nl=False)
    click.echo(f" {'main p50':>9} {'main p95':>9} {'all p50':>8} {'all p95':>8}")
    for platform, results in found.items():
        for policy in POLICIES:
            each = results[policy]
            lists = len(results["ours"].lists)
            row = f"{platform:10} {policy:10} {lists:7} {each.list_requests:9} {each.detail_requests:8}"
            click.echo(f"{row} {len(each.delays.all):8} {_figures(each.delays)}")
    totals = {policy: pooled(found, policy) for policy in POLICIES}
    for policy, delays in totals.items():
        click.echo(f"{'all':10} {policy:10} {'':34} {_figures(delays)}")
    full, ours, best = (totals[policy] for policy in POLICIES)
    requests = [each["ours"] for each in found.values()]
    result = {
        "events": events,
        "main_p50_ratio": _ratio(ours.main, full.main, 0.5),
        "main_p95_ratio": _ratio(ours.main, full.main, 0.95),
        "all_p50_ratio": _ratio(ours.all, full.all, 0.5),
        "optimum_p50_ratio": _ratio(ours.main, best.main, 0.5),
        "main_p50_seconds": round(quantile(ours.main, 0.5), 2),
        "requests_per_second": round(
            sum((each.list_requests + each.detail_requests) / each.seconds for each in requests) / len(requests), 2
        ),
        "took_seconds": round(time.monotonic() - began, 1),
    }
    click.echo(orjson.dumps(result).decode())
    for share in (0.5, 0.95):
        if quantile(best.main, share) > quantile(ours.main, share):
            raise click.ClickException("the optimum is worse than ours, so it is none")


def _figures(delays: Delays) -> str:
    main, everything = delays.main, delays.all
    return (
        f"{quantile(main, 0.5):9.1f} {quantile(main, 0.95):9.1f} "
        f"{quantile(everything, 0.5):8.1f} {quantile(everything, 0.95):8.1f}"
    )


def _ratio(ours: list[float], theirs: list[float], share: float) -> float:
    return round(quantile(ours, share) / quantile(theirs, share), 4)


if __name__ == "__main__":
    main()
