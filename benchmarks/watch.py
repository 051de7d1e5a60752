"""What live odds cost: a thousand WebSocket clients with filters of their own, beside the paced row of the fan-out.

    python -m benchmarks.watch [--clients 1000] [--runs 3]

Each client watches 5 of 1,300 events while 200 changes a second are published; then all of them the same 50 events,
with 50 changes a second, which all of them get; and changes that concern nobody. The rows are measured alternately,
and each figure is the median of its runs. CPU time is that beyond an idle server with as many connections: it sends
heartbeats and looks for peers that have vanished, whatever is published, and few deliveries would each bear much of
that. The last line is the ratios to the paced row as JSON.
"""

import json
import statistics
import tempfile
import urllib.request
from pathlib import Path

import click

from benchmarks.contestants import CONTESTANTS, WATCHED, Contestant, Running, running
from benchmarks.fanout import Figures, Row, build_client, run_client

EVENTS = 1300
WATCHED_EVENTS = 5
SHARED_EVENTS = 50
CHANGES_A_SECOND = 200
SECONDS = 6
IDLE_MS = 1500
IDLE_SECONDS = 6
"""How long an idle server is measured."""

PACED = Row("paced-ws", "paced, 50/s, all get all", "ws", 50 * SECONDS, 20.0)
OWN = f"/api/ws?topics=odds&image=0&event_id=@{WATCHED_EVENTS}:{EVENTS}@"
SHARED = "/api/ws?topics=odds&image=0&event_id=" + ",".join(map(str, range(1, SHARED_EVENTS + 1)))


def paced(client: Path, clients: int, folder: Path) -> Figures:
    """Measure the paced row of the fan-out."""
    [ours] = [each for each in CONTESTANTS if each.name == "ours"]
    with running(ours, folder) as server:
        trigger = f"/bench/publish?messages={PACED.messages}&interval_ms={PACED.interval_ms:g}"
        return run_client(
            client, PACED, ours, server, (clients, PACED.messages, IDLE_MS, trigger, 0, server.process.pid)
        )


def watching(client: Path, clients: int, folder: Path, path: str, changes: int, rate: float, events: int) -> Figures:
    """Measure changes of this many events, at this rate per second."""
    contestant = Contestant("watched", "watched", {"ws": path}, WATCHED.command, WATCHED.missing)
    with running(contestant, folder) as server:
        post(server, "/bench/prefill")
        trigger = f"/bench/odds?messages={changes}&interval_ms={1000 / rate:g}&events={events}"
        if rate < CHANGES_A_SECOND:
            trigger += "&at_once=1"
        found = run_client(
            client, PACED, contestant, server, (clients, 1 << 30, IDLE_MS, trigger, 0, server.process.pid)
        )
        found["unconcerned_us"] = post(server, "/bench/unconcerned?messages=4000").get("us", 0.0)
    return found


def idle_share(client: Path, clients: int, folder: Path) -> float:
    """Return the CPU seconds per second of a server whose clients get nothing."""
    contestant = Contestant("watched", "watched", {"ws": OWN}, WATCHED.command, WATCHED.missing)
    with running(contestant, folder) as server:
        post(server, "/bench/prefill")
        trigger = "/bench/odds?messages=0"
        found = run_client(
            client, PACED, contestant, server, (clients, 1, IDLE_SECONDS * 1000, trigger, 0, server.process.pid)
        )
    return found["cpu_s"] / found["counted_s"]


def cpu_us(figures: Figures, idle: float) -> float:
    """Return the CPU time of each delivery beyond that of an idle server, in microseconds."""
    return (figures["cpu_s"] - idle * figures["counted_s"]) / figures["delivered"] * 1e6


def post(server: Running, path: str) -> dict[str, float]:
    """Call a route of the server."""
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}{path}", method="POST")
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, float] = json.load(answer)
    return found


def expected_own(clients: int, changes: int) -> float:
    """Return how many deliveries the changes mean on average: each event is watched by as many clients."""
    return changes * clients * WATCHED_EVENTS / EVENTS


@click.command()
@click.option("--clients", default=1000, show_default=True)
@click.option("--runs", default=3, show_default=True, help="Number of runs; figures are their medians.")
def main(clients: int, runs: int) -> None:
    """Measure and print one table."""
    rows: dict[str, list[Figures]] = {"paced": [], "own": [], "shared": []}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        client = build_client(folder)
        idle = idle_share(client, clients, folder)
        for _ in range(runs):
            rows["paced"].append(paced(client, clients, folder))
            changes = CHANGES_A_SECOND * SECONDS
            rows["own"].append(watching(client, clients, folder, OWN, changes, CHANGES_A_SECOND, EVENTS))
            rows["shared"].append(watching(client, clients, folder, SHARED, 50 * SECONDS, 50, SHARED_EVENTS))
    figures = {
        name: {key: statistics.median(each.get(key, 0.0) for each in several) for key in several[0]}
        for name, several in rows.items()
    }
    click.echo(f"idle: {idle:.1%} of a core")
    click.echo(f"{'':34} {'delivered':>9} {'CPU µs each':>11} {'p50 ms':>7} {'p99 ms':>7}")
    titles = {
        "paced": PACED.title,
        "own": f"{WATCHED_EVENTS} of {EVENTS} events each, {CHANGES_A_SECOND}/s",
        "shared": f"all the same {SHARED_EVENTS} events, 50/s",
    }
    for name, each in figures.items():
        click.echo(
            f"{titles[name]:34} {each['delivered']:9.0f} {cpu_us(each, idle):11.2f} "
            f"{each['latency_p50_ms']:7.2f} {each['latency_p99_ms']:7.2f}"
        )
    expected = expected_own(clients, CHANGES_A_SECOND * SECONDS)
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
                "p99_ratio": round(figures["own"]["latency_p99_ms"] / base["latency_p99_ms"], 3),
                "unconcerned_us": round(figures["own"]["unconcerned_us"], 2),
                "shared_cpu_ratio": round(cpu_us(figures["shared"], idle) / cpu_us(base, idle), 3),
            }
        )
    )


if __name__ == "__main__":
    main()
