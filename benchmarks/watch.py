"""What live odds cost: a thousand WebSocket clients with filters of their own, beside the paced row of the fan-out.

    python -m benchmarks.watch [--clients 1000] [--runs 3]

Each client watches 5 of 1,300 events while 200 changes a second are published; then all of them the same 50 events,
with 50 changes a second, which all of them get; and changes that concern nobody. The rows are measured alternately,
and each figure is the median of its runs. CPU time is that beyond an idle server with as many connections: it sends
heartbeats and looks for peers that have vanished, whatever is published, and few deliveries would each bear much of
that. The row "ready-made bytes" writes messages of that size at the same times to the same clients, and does nothing
else: what the sockets alone cost. The last line is the ratios to the paced row as JSON; `floor_ratio` is that of the
ready-made bytes.
"""

import json
import statistics
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click

from benchmarks.contestants import CONTESTANTS, WATCHED, Contestant, Running, running
from benchmarks.fan_client import Figures, Row, build_client, run_client

EVENTS = 1300
WATCHED_EVENTS = 5
SHARED_EVENTS = 50
CHANGES_A_SECOND = 200
SECONDS = 4
SETTLE_MS = 1000
"""How long the client waits for more, after the last message."""

IDLE_SECONDS = 5
"""How long an idle server is measured."""

PACED = Row("paced-ws", "paced, 50/s, all get all", "ws", 50 * SECONDS, 20.0)
OWN = f"/api/ws?topics=odds&image=0&event_id=@{WATCHED_EVENTS}:{EVENTS}@"
SHARED = "/api/ws?topics=odds&image=0&event_id=" + ",".join(map(str, range(1, SHARED_EVENTS + 1)))

CHANGES = CHANGES_A_SECOND * SECONDS
TRIGGERS = {
    "own": (OWN, f"/bench/odds?messages={CHANGES}&interval_ms={1000 / CHANGES_A_SECOND:g}&events={EVENTS}"),
    "floor": (OWN, f"/bench/sends?messages={CHANGES}&interval_ms={1000 / CHANGES_A_SECOND:g}"),
    "shared": (SHARED, f"/bench/odds?messages={50 * SECONDS}&interval_ms=20&events={SHARED_EVENTS}&at_once=1"),
}
TITLES = {
    "paced": PACED.title,
    "own": f"{WATCHED_EVENTS} of {EVENTS} events each, {CHANGES_A_SECOND}/s",
    "floor": "the same, ready-made bytes",
    "shared": f"all the same {SHARED_EVENTS} events, 50/s",
}


@dataclass(frozen=True)
class WatchedServer:
    """A running server with events in memory, and the client that measures it."""

    client: Path
    clients: int
    contestant: Contestant
    running: Running

    def measure(self, path: str, trigger: str, settle_ms: int = SETTLE_MS) -> Figures:
        """Connect the clients with a path, call a route, and measure what they receive and what it costs."""
        listening = replace(self.contestant, paths={"ws": path})
        arguments = (self.clients, 1 << 30, settle_ms, trigger, 0, self.running.process.pid)
        return run_client(self.client, PACED, listening, self.running, arguments)

    def post(self, path: str) -> dict[str, float]:
        """Call a route."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.running.port}{path}", method="POST")
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: dict[str, float] = json.load(answer)
        return found


@contextmanager
def watched_server(client: Path, clients: int, folder: Path) -> Iterator[WatchedServer]:
    """Run a server with events in memory."""
    contestant = Contestant("watched", "watched", {"ws": OWN}, WATCHED.command, WATCHED.missing)
    with running(contestant, folder) as server:
        watched = WatchedServer(client, clients, contestant, server)
        watched.post("/bench/prefill")
        yield watched


def paced(client: Path, clients: int, folder: Path) -> Figures:
    """Measure the paced row of the fan-out."""
    [ours] = [each for each in CONTESTANTS if each.name == "ours"]
    with running(ours, folder) as server:
        trigger = f"/bench/publish?messages={PACED.messages}&interval_ms={PACED.interval_ms:g}"
        return run_client(
            client, PACED, ours, server, (clients, PACED.messages, SETTLE_MS, trigger, 0, server.process.pid)
        )


def cpu_us(figures: Figures, idle: float) -> float:
    """Return the CPU time of each delivery beyond that of an idle server, in microseconds."""
    return (figures["cpu_s"] - idle * figures["counted_s"]) / figures["delivered"] * 1e6


@click.command()
@click.option("--clients", default=1000, show_default=True)
@click.option("--runs", default=3, show_default=True, help="Number of runs; figures are their medians.")
def main(clients: int, runs: int) -> None:
    """Measure and print one table."""
    rows: dict[str, list[Figures]] = {name: [] for name in TITLES}
    idles: list[float] = []
    unconcerned: list[float] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        client = build_client(folder)
        for _ in range(runs):
            rows["paced"].append(paced(client, clients, folder))
            with watched_server(client, clients, folder) as server:
                for name, (path, trigger) in TRIGGERS.items():
                    rows[name].append(server.measure(path, trigger))
                unconcerned.append(server.post("/bench/unconcerned?messages=4000")["us"])
                if not idles:
                    found = server.measure(OWN, "/bench/odds?messages=0", IDLE_SECONDS * 1000)
                    idles.append(found["cpu_s"] / found["counted_s"])
    idle = statistics.mean(idles)
    figures = {
        name: {key: statistics.median(each.get(key, 0.0) for each in several) for key in several[0]}
        for name, several in rows.items()
    }
    click.echo(f"idle: {idle:.1%} of a core")
    click.echo(f"{'':34} {'delivered':>9} {'CPU µs each':>11} {'p50 ms':>7} {'p99 ms':>7}")
    for name, each in figures.items():
        click.echo(
            f"{TITLES[name]:34} {each['delivered']:9.0f} {cpu_us(each, idle):11.2f} "
            f"{each['latency_p50_ms']:7.2f} {each['latency_p99_ms']:7.2f}"
        )
    expected = CHANGES * clients * WATCHED_EVENTS / EVENTS
    if not 0.9 * expected < figures["own"]["delivered"] < 1.1 * expected:
        raise click.ClickException(f"{figures['own']['delivered']:.0f} deliveries, about {expected:.0f} are right")
    # Clients that have just been accepted may get their last message before the publishing starts.
    if not 0 <= figures["shared"]["delivered"] - 50 * SECONDS * clients <= clients:
        raise click.ClickException(f"{figures['shared']['delivered']:.0f} deliveries of {50 * SECONDS * clients}")
    base = figures["paced"]
    click.echo(
        json.dumps(
            {
                "cpu_ratio": round(cpu_us(figures["own"], idle) / cpu_us(base, idle), 3),
                "floor_ratio": round(cpu_us(figures["floor"], idle) / cpu_us(base, idle), 3),
                "p99_ratio": round(figures["own"]["latency_p99_ms"] / base["latency_p99_ms"], 3),
                "unconcerned_us": round(statistics.median(unconcerned), 2),
                "shared_cpu_ratio": round(cpu_us(figures["shared"], idle) / cpu_us(base, idle), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
