"""Fan-out side by side: our server and its alternatives, on the same work, on this machine.

    python -m benchmarks.fanout [--runs 3] [--clients 1000] [--rows burst-ws,paced-ws] [--only ours,nchan] [--markdown]
    python -m benchmarks.fanout --workers 2 --engine redis [--runs 3] [--clients 1000]

With workers, it measures `serve --workers` with Redis beside as many servers with a log in memory, which share the
clients: see benchmarks/fanout_workers.py.

`--rows idle` stands for idle-ws and idle-sse, and so on. The idle connections of peers that need much more memory are
measured with at most 1,000 clients. Runs are interleaved, and each figure is the median of its runs.
Peers that are not installed are reported as missing.
The last line is JSON with the same figures. The client needs a C compiler.
"""

import json
import tempfile
from pathlib import Path

import click

from benchmarks.contestants import CONTESTANTS, Contestant, Running, publish_to_nchan, running
from benchmarks.fan_client import Figures, Row, build_client, run_client
from benchmarks.fanout_workers import compare_workers
from benchmarks.processes import slab_kb
from benchmarks.table import Medians, medians_of, print_table

IDLE_MS = 4000


MOST = ("ours", "nchan")
CROWDED = ("ours", "nchan", "websockets")
"""Those whose idle connections are measured with any number of clients, and the others with FEW."""
FEW = 1000
ROWS = (
    Row("burst-ws", "burst, WebSocket", "ws", 1000),
    Row("burst-sse", "burst, SSE", "sse", 1000),
    Row("paced-ws", "paced, 50/s, WebSocket", "ws", 200, 20.0),
    Row("paced-sse", "paced, 50/s, SSE", "sse", 200, 20.0),
    Row("crowd-ws", "paced, 5/s, WebSocket", "ws", 50, 200.0, contestants=MOST),
    Row("crowd-sse", "paced, 5/s, SSE", "sse", 50, 200.0, contestants=MOST),
    Row("steady-ws", "6,000 at 3 ms, WebSocket", "ws", 6000, 3.0, contestants=MOST),
    Row("stalled-ws", "the same, 1 in 10 never reads", "ws", 6000, 3.0, stalled=10, contestants=MOST),
    Row("idle-ws", "idle WebSocket", "ws", 0),
    Row("idle-sse", "idle event stream", "sse", 0),
    Row("drain-ws", "drain, WebSocket", "ws", 0, contestants=("ours", "standard")),
    Row("drain-sse", "drain, SSE", "sse", 0, contestants=("ours", "standard")),
)


def measure(row: Row, contestant: Contestant, client: Path, clients: int, folder: Path) -> Figures:
    """One measurement of one server on one kind of work."""
    with running(contestant, folder) as server:
        if row.name.startswith("idle"):
            return _idle(row, contestant, server, client, clients)
        if row.name.startswith("drain"):
            return _drain(row, contestant, server, client, clients)
        stalled = clients // row.stalled if row.stalled else 0
        before_kb = server.memory_kb
        trigger = f"{contestant.trigger}?messages={row.messages}&interval_ms={row.interval_ms:g}"
        found = run_client(
            client,
            row,
            contestant,
            server,
            (clients, row.messages, IDLE_MS, trigger if contestant.trigger else "", stalled, server.process.pid),
            lambda: publish_to_nchan(server.port, row.messages, row.interval_ms),
        )
    if found["delivered"] < found["expected"] and not row.stalled:
        found["lost"] = found["expected"] - found["delivered"]
    found["grown_kb"] = found["rss_kb"] - before_kb
    return found


def _idle(row: Row, contestant: Contestant, server: Running, client: Path, clients: int) -> Figures:
    """Return what an idle connection costs: resident memory of the server, and kernel memory of both of its ends."""
    if contestant.name not in CROWDED:
        clients = min(clients, FEW)
    # The first connections pay for one-time work of the server, such as compiled patterns and caches.
    run_client(client, row, contestant, server, (50, 0, 100, "", 0, server.process.pid))
    before_kb, slab_before_kb = server.memory_kb, slab_kb()
    slabs_kb: list[int] = []
    found = run_client(
        client,
        row,
        contestant,
        server,
        (clients, 0, 500, "", 0, server.process.pid),
        lambda: slabs_kb.append(slab_kb()),
    )
    return {
        "clients": clients,
        "kb_a_connection": (found["rss_kb"] - before_kb) / clients,
        "kernel_kb_a_connection": (slabs_kb[0] - slab_before_kb) / clients,
    }


def _drain(row: Row, contestant: Contestant, server: Running, client: Path, clients: int) -> Figures:
    took: list[float] = []
    found = run_client(
        client,
        row,
        contestant,
        server,
        (clients, 0, 20_000, "", 0, server.process.pid),
        lambda: took.append(server.stop_seconds()),
    )
    return {"told": found["told"], "clients": clients, "gone_s": took[0]}


def _chosen(given: str, known: list[str], what: str) -> list[str]:
    """Return the names in a comma-separated text; `idle` stands for `idle-ws` and `idle-sse`. Empty means all."""
    names: list[str] = []
    for asked in filter(None, map(str.strip, given.split(","))):
        found = [each for each in known if each == asked or each.startswith(f"{asked}-")]
        if not found:
            raise click.UsageError(f"no {what} {asked!r}; there are {', '.join(known)}")
        names += found
    return names or known


def _idle_figures(medians: Medians) -> Figures:
    """Return what one of our idle connections costs, and how much that is of what one of websockets' costs."""
    figures: Figures = {}
    peer = medians.get("idle-ws", {}).get("websockets")
    for kind in ("ws", "sse"):
        if (ours := medians.get(f"idle-{kind}", {}).get("ours")) is not None:
            figures[f"idle_{kind}_kb"] = round(ours["kb_a_connection"], 2)
            if peer is not None:
                figures[f"idle_{kind}_ratio"] = round(ours["kb_a_connection"] / peer["kb_a_connection"], 3)
    return figures


@click.command()
@click.option("--runs", default=1, show_default=True, help="Number of runs; figures are their medians.")
@click.option("--clients", default=1000, show_default=True)
@click.option("--rows", default="", help=f"Comma-separated: {', '.join(row.name for row in ROWS)}.")
@click.option("--only", default="", help=f"Comma-separated: {', '.join(each.name for each in CONTESTANTS)}.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 16), help="Number of our processes.")
@click.option("--engine", default="memory", show_default=True, type=click.Choice(["memory", "redis"]))
@click.option("--markdown", is_flag=True, help="Print the table as in docs/performance.md.")
def main(runs: int, clients: int, rows: str, only: str, workers: int, engine: str, markdown: bool) -> None:
    """Measure the servers and print one table."""
    if engine == "redis":
        if only or rows:
            raise click.UsageError("--only and --rows are for servers with a log in memory")
        compare_workers(runs, clients, workers, markdown=markdown)
        return
    if workers > 1:
        raise click.UsageError(f"--workers {workers} needs --engine redis")
    row_names = _chosen(rows, [row.name for row in ROWS], "row")
    names = _chosen(only, [each.name for each in CONTESTANTS], "server")
    missing = {each.name: why for each in CONTESTANTS if each.name in names and (why := each.missing())}
    found: dict[str, dict[str, list[Figures]]] = {row: {} for row in row_names}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        client = build_client(folder)
        for run in range(runs):
            for row in ROWS:
                for each in CONTESTANTS:
                    is_asked = row.name in row_names and each.name in names and each.name in row.contestants
                    if not is_asked or each.name in missing or row.kind not in each.paths:
                        continue
                    click.echo(f"run {run + 1} of {runs}: {row.title}: {each.title}", err=True)
                    found[row.name].setdefault(each.name, []).append(measure(row, each, client, clients, folder))
    medians = medians_of(found)
    titles = {each.name: each.title for each in CONTESTANTS}
    print_table({row.name: row.title for row in ROWS}, titles, medians, markdown=markdown)
    for name, why in missing.items():
        click.echo(f"missing: {titles[name]}: {why}")
    summary = {"clients": clients, "runs": runs, **_idle_figures(medians), "rows": medians, "missing": missing}
    click.echo(json.dumps(summary))


if __name__ == "__main__":
    main()
