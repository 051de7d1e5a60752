"""A whole scrape, storing included, against stand-in bookmakers in a separate process.

    python -m benchmarks.scrape --events 1300 --latency-ms 100 [--body-kb 10] [--memory]

Prints the time, the bound (the time by concurrency limits and latency alone) and their ratio, the CPU time per event
and bookmaker, the peak memory, and the lag of the server's event loop meanwhile. The last line is the same as JSON.
"""

import subprocess
import sys

import click
import orjson

Figures = dict[str, object]


def measure(events: int, latency_ms: float, body_kb: float | None, decode_workers: int, bookmakers: int) -> Figures:
    """Measure in a separate process, because the peak memory of a process covers its whole life.

    Decoding processes import the main module of their parent. The process is started with `-c` to keep them as small
    as the server's.
    """
    options = {
        "events": events,
        "latency_ms": latency_ms,
        "body_kb": body_kb,
        "decode_workers": decode_workers,
        "bookmakers": bookmakers,
    }
    words = [sys.executable, "-c", "from benchmarks.scrape_run import main; main()", orjson.dumps(options).decode()]
    done = subprocess.run(words, stdout=subprocess.PIPE, check=True, text=True)
    figures: Figures = orjson.loads(done.stdout.splitlines()[-1])
    return figures


@click.command()
@click.option("--events", default=1300, show_default=True)
@click.option("--latency-ms", default=100.0, show_default=True)
@click.option("--body-kb", type=float, help="Approximate size of the bodies; real size by default.")
@click.option("--decode-workers", default=1, show_default=True)
@click.option("--bookmakers", default=3, show_default=True, type=click.IntRange(2, 5))
@click.option("--memory", is_flag=True, help="Also measure four times as many events: memory should stay flat.")
def main(
    events: int, latency_ms: float, body_kb: float | None, decode_workers: int, bookmakers: int, memory: bool
) -> None:
    """Measure a scrape."""
    figures = measure(events, latency_ms, body_kb, decode_workers, bookmakers)
    if memory:
        more = measure(4 * events, latency_ms, body_kb, decode_workers, bookmakers)
        figures["peak_mb_4x"] = more["peak_mb"]
        figures["seconds_4x"] = more["seconds"]
    size = f"{body_kb:g} KB" if body_kb else "real size"
    print(f"A scrape of {events} events at {bookmakers} bookmakers, {latency_ms:g} ms latency, bodies of {size}")
    for name, value in figures.items():
        print(f"  {name:28} {value}")
    print(orjson.dumps(figures).decode())


if __name__ == "__main__":
    main()
