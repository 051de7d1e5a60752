"""Fan-out over several processes: `serve --workers` on Redis, beside as many servers that each have a log in memory.

Both have the same clients and the same messages. Of the workers one publishes, and all deliver what Redis brings back.
Of the others each publishes to its share of the clients and knows nothing of the rest, so their deliveries are the sum
that the workers could reach at best. CPU time is that of all processes, Redis included.
"""

import json
import shutil
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import click

from benchmarks.contestants import CONTESTANTS, OURS, Contestant, Running, free_port, listening, running
from benchmarks.fan_client import Figures, Row, build_client, run_client
from benchmarks.processes import family, usage
from benchmarks.table import medians_of, print_table

ROWS = (
    Row("burst-ws", "burst, WebSocket", "ws", 1000),
    Row("burst-sse", "burst, SSE", "sse", 1000),
    Row("paced-ws", "paced, 50/s, WebSocket", "ws", 200, 20.0),
    Row("paced-sse", "paced, 50/s, SSE", "sse", 200, 20.0),
)
ALL_SERVE_SECONDS = 60.0
IDLE_MS = 4000
MEMORY = next(each for each in CONTESTANTS if each.name == "ours")


def compare_workers(runs: int, clients: int, workers: int, *, markdown: bool) -> None:
    """Measure both alternately, and print their table. The last line is JSON with the ratios.

    Raises ClickException where Redis or a C compiler is missing.
    """
    redis = redis_binary()
    titles = {"ours": f"{workers} workers, Redis", "memory": f"{workers} servers, memory"}
    servers: dict[str, Callable[[Path], AbstractContextManager[tuple[Running, list[int]]]]] = {
        "memory": lambda folder: servers_in_memory(folder, workers),
        "ours": lambda folder: workers_on_redis(redis, folder, workers),
    }
    found: dict[str, dict[str, list[Figures]]] = {row.name: {} for row in ROWS}
    with tempfile.TemporaryDirectory() as temporary:
        client = build_client(Path(temporary))
        for run in range(runs):
            for row in ROWS:
                for name, serving in servers.items():
                    click.echo(f"run {run + 1} of {runs}: {row.title}: {titles[name]}", err=True)
                    with serving(Path(temporary)) as (server, pids):
                        found[row.name].setdefault(name, []).append(_measure(row, server, pids, client, clients))
    medians = medians_of(found)
    print_table({row.name: row.title for row in ROWS}, titles, medians, markdown=markdown)
    rows = {
        row: {
            "deliveries_ratio": round(sides["ours"]["per_s"] / sides["memory"]["per_s"], 3),
            "p99_ms": sides["ours"]["latency_p99_ms"],
            "memory_p99_ms": sides["memory"]["latency_p99_ms"],
            "cpu_ratio": round(sides["ours"]["cpu_us_per_delivery"] / sides["memory"]["cpu_us_per_delivery"], 2),
            "lost": sides["ours"]["expected"] - min(sides["ours"]["expected"], sides["ours"]["delivered"]),
        }
        for row, sides in medians.items()
    }
    click.echo(json.dumps({"clients": clients, "runs": runs, "workers": workers, "engine": "redis", "rows": rows}))


def _measure(row: Row, server: Running, pids: list[int], client: Path, clients: int) -> Figures:
    cpu: list[float] = []

    def begin() -> None:
        cpu.append(usage(pids).cpu_seconds)
        publish(server, row.messages, row.interval_ms)

    figures = run_client(client, row, MEMORY, server, (clients, row.messages, IDLE_MS, "", 0, 0), begin)
    after = usage(pids)
    figures["cpu_us_per_delivery"] = (after.cpu_seconds - cpu[0]) * 1e6 / max(1, figures["delivered"])
    figures["rss_kb"] = after.peak_mb * 1024
    return figures


def redis_binary() -> str:
    """Return the program of Redis or Valkey. Raises ClickException if there is none."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        raise click.ClickException("this needs redis-server or valkey-server in the PATH")
    return found


def publish(server: Running, messages: int, interval_ms: float, group: int = 1) -> None:
    """Let a server publish, in the background. Servers that share the clients publish each."""
    query = f"messages={messages}&interval_ms={interval_ms:g}&group={group}"
    for port in (server.port, *server.more_ports):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{MEMORY.trigger}?{query}", b"", method="POST")
        urllib.request.urlopen(request, timeout=10).close()


@contextmanager
def servers_in_memory(folder: Path, count: int) -> Iterator[tuple[Running, list[int]]]:
    """Run so many servers that know nothing of each other, with their processes."""
    with ExitStack() as stack:
        first, *others = [stack.enter_context(running(MEMORY, folder)) for _ in range(count)]
        pids = [each for server in (first, *others) for each in family(server.process.pid)]
        yield Running(first.process, first.port, tuple(each.port for each in others)), pids


@contextmanager
def workers_on_redis(redis: str, folder: Path, workers: int) -> Iterator[tuple[Running, list[int]]]:
    """Run a supervisor with workers. The processes are Redis, the supervisor and the workers."""
    port = free_port()
    command = [redis, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with listening(command, port, folder / "redis.log") as process:
        url = f"redis://127.0.0.1:{port}/0"
        options = ("--workers", str(workers), "--engine-url", url)
        contestant = Contestant(
            "workers",
            "workers",
            OURS,
            lambda port, _: [
                *(sys.executable, "-m", "benchmarks.fanout_server", "--bind", f"127.0.0.1:{port}"),
                *options,
            ],
            lambda: None,
        )
        with running(contestant, folder) as server:
            _until_all_serve(server.port, workers)
            yield server, [process.pid, *family(server.process.pid)]


def _until_all_serve(port: int, workers: int) -> None:
    """Wait until that many processes answer. The kernel distributes connections by their addresses."""
    serving: set[bytes] = set()
    until = time.monotonic() + ALL_SERVE_SECONDS
    while len(serving) < workers:
        if time.monotonic() > until:
            raise RuntimeError(f"only {len(serving)} of {workers} workers serve")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/bench/process", timeout=10) as answer:
            serving.add(answer.read())
        threading.Event().wait(0.05)
