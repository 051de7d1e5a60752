"""What one process, one machine and ten machines carry: measured per process, computed beyond.

    python -m benchmarks.scaling [--cores 8] [--network-gbit 10] [--memory-gb 16] [--p99-ms 100]

Costs are measured on this machine (see `scaling_inputs.py`), which takes about two minutes, and a simulation
(`scaling_model.py`) finds for each load how many listeners fit until something is too busy or too slow. It is first
compared with what the fan-out showed in the same call. The last line is JSON with all of it.
"""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass

import click

from benchmarks.scaling_inputs import BATCHES, FEW_READERS, INTERVAL_MS, LISTENERS, measure_inputs
from benchmarks.scaling_model import Carried, Costs, Plan, simulate

MOST_BUSY = 0.8
MOST_LISTENERS = 100_000
MACHINES = 10
HOP_SECONDS = 0.000_25
"""Between two machines of one network, one way."""

Cell = str | float
_UNITS = {"wire_bytes": 1.0, "listener_bytes": 1.0, "process_bytes": 1.0}


@dataclass(frozen=True, slots=True)
class Load:
    """What happens each second."""

    title: str
    messages: float
    group: int
    fetches: float


LOADS = (
    Load("progress: 5 messages/s", 5, 1, 5),
    Load("odds: 50 messages/s, 5 at a time", 50, 5, 15),
    Load("busy: 200 messages/s, 10 at a time", 200, 10, 40),
)


@dataclass(frozen=True, slots=True)
class Layout:
    """Where it runs. A core of each machine is left to the kernel, the proxy and Redis, except for one process."""

    title: str
    processes: int
    machines: int
    has_redis: bool


@dataclass(frozen=True, slots=True)
class Machine:
    """One of the machines, and what is asked of it."""

    cores: int
    network_bytes: float
    memory_bytes: float
    p99: float

    def layouts(self) -> tuple[Layout, ...]:
        """Return the layouts to compare."""
        workers = max(1, self.cores - 1)
        return (
            Layout("one process, memory", 1, 1, has_redis=False),
            Layout(f"one machine, {workers} workers", workers, 1, has_redis=True),
            Layout(f"{MACHINES} machines, {MACHINES * workers} workers", MACHINES * workers, MACHINES, has_redis=True),
        )

    def shares(self, costs: Costs, load: Load, layout: Layout, listeners: int, carried: Carried) -> dict[str, float]:
        """Return how much of each resource is used, as a share of what may be used of it."""
        here = listeners * layout.processes / layout.machines
        memory = layout.processes / layout.machines * costs.process_bytes + here * costs.listener_bytes
        return {
            "writer's loop": carried.writer / MOST_BUSY,
            "other loops": carried.follower / MOST_BUSY,
            "Redis": carried.redis / MOST_BUSY,
            "egress": here * load.messages * costs.wire_bytes / (MOST_BUSY * self.network_bytes),
            "memory": memory / (MOST_BUSY * self.memory_bytes),
            "p99": (carried.latency(0.99) if carried.latencies else 0.0) / self.p99,
        }


def simulated(costs: Costs, load: Load, layout: Layout, listeners: int) -> Carried:
    """Simulate a load on a layout with so many listeners per process."""
    plan = Plan(
        processes=layout.processes,
        listeners=listeners,
        messages=load.messages,
        group=load.group,
        fetches=load.fetches,
        hop=HOP_SECONDS if layout.machines > 1 else 0.0,
        has_redis=layout.has_redis,
    )
    return simulate(costs, plan)


def most_listeners(costs: Costs, machine: Machine, load: Load, layout: Layout) -> dict[str, Cell]:
    """Find how many listeners fit, by bisection, and what stops more."""
    low, high = 0, MOST_LISTENERS
    while high - low > max(10, low // 100):
        middle = (low + high) // 2
        carried = simulated(costs, load, layout, middle)
        if max(machine.shares(costs, load, layout, middle, carried).values()) <= 1:
            low = middle
        else:
            high = middle
    carried = simulated(costs, load, layout, low)
    shares = machine.shares(costs, load, layout, low, carried)
    return {
        "listeners": low * layout.processes,
        "deliveries_a_second": round(low * layout.processes * load.messages),
        "p99_ms": round(carried.latency(0.99) * 1000, 1) if carried.latencies else 0.0,
        "first": max(shares, key=lambda name: shares[name]),
        **{name: round(share, 3) for name, share in shares.items()},
    }


def most_processes(costs: Costs, load: Load) -> int:
    """Return how many processes Redis can serve at this load."""
    low, high = 1, 100_000
    while high - low > max(1, low // 100):
        middle = (low + high) // 2
        layout = Layout("", middle, 2, has_redis=True)
        busy = simulated(costs, load, layout, 0).redis
        low, high = (middle, high) if busy <= MOST_BUSY else (low, middle)
    return low


def table(heads: Sequence[str], lines: Sequence[Sequence[Cell]]) -> None:
    """Print a table in Markdown."""
    for line in (heads, ["---"] * len(heads), *lines):
        click.echo(f"| {' | '.join(f'{cell:,}' if isinstance(cell, int | float) else cell for cell in line)} |")
    click.echo()


@click.command()
@click.option("--cores", default=8, show_default=True, help="Of each machine.")
@click.option("--network-gbit", default=10.0, show_default=True, help="Of each machine.")
@click.option("--memory-gb", default=16.0, show_default=True, help="Of each machine.")
@click.option("--p99-ms", default=100.0, show_default=True, help="From publishing to the write.")
def main(cores: int, network_gbit: float, memory_gb: float, p99_ms: float) -> None:
    """Measure the costs, and compute what is carried."""
    machine = Machine(cores, network_gbit * 1e9 / 8, memory_gb * 2**30, p99_ms / 1000)
    inputs = measure_inputs()
    costs = inputs.costs
    named = {field.name: getattr(costs, field.name) for field in dataclasses.fields(costs)}
    table(("cost", "µs, or bytes"), [(name, round(value * _UNITS.get(name, 1e6), 2)) for name, value in named.items()])
    plan = Plan(FEW_READERS, LISTENERS // FEW_READERS, 1000 / INTERVAL_MS, is_regular=True, seconds=BATCHES / 50)
    again = simulate(costs, plan)
    check = {
        f"{name}_{what}": round(value, 1)
        for name, quantile in (("p50_ms", 0.5), ("p99_ms", 0.99))
        for what, value in (
            ("measured", inputs.measured[f"latency_{name}"]),
            ("simulated", again.latency(quantile) * 1000),
        )
    }
    table(list(check), [list(check.values())])
    found: dict[str, dict[str, dict[str, Cell]]] = {}
    for load in LOADS:
        found[load.title] = {each.title: most_listeners(costs, machine, load, each) for each in machine.layouts()}
        heads = list(next(iter(found[load.title].values())))
        click.echo(load.title)
        table(("", *heads), [(title, *cells.values()) for title, cells in found[load.title].items()])
    processes = {load.title: most_processes(costs, load) for load in LOADS}
    table(("load", "processes that Redis can serve"), list(processes.items()))
    click.echo(json.dumps({"costs": named, "check": check, "carried": found, "processes": processes}))


if __name__ == "__main__":
    main()
