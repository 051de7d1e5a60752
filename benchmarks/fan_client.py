"""The load client of the fan-out, and what it is asked to do."""

import json
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks.contestants import Contestant, Running

Figures = dict[str, float]


@dataclass(frozen=True)
class Row:
    """One kind of work: the transport, how much is published and how fast, and how many clients never read."""

    name: str
    title: str
    kind: str
    messages: int
    interval_ms: float = 0.0
    stalled: int = 0
    contestants: tuple[str, ...] = ("ours", "standard", "nchan", "manager", "websockets")


def run_client(
    client: Path,
    row: Row,
    contestant: Contestant,
    server: Running,
    arguments: tuple[object, ...],
    when_ready: Callable[[], None] | None = None,
) -> Figures:
    """Run the client, and call `when_ready` once it says that it is ready."""
    process = subprocess.Popen(
        [
            client,
            row.kind,
            ",".join(map(str, (server.port, *server.more_ports))),
            contestant.paths[row.kind],
            *map(str, arguments),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    doing: threading.Thread | None = None
    with process.stdout as lines:
        for line in lines:
            if line.startswith("READY"):
                if when_ready is not None:
                    doing = threading.Thread(target=when_ready)
                    doing.start()
            else:
                figures: Figures = json.loads(line)
    if doing is not None:
        doing.join()
    if process.wait():
        raise RuntimeError(f"the client failed on {contestant.name}, {row.name}")
    return figures


def build_client(folder: Path) -> Path:
    """Compile the client. Raises ClickException if there is no compiler."""
    client = folder / "fanclient"
    source = Path(__file__).parent / "fanclient.c"
    try:
        subprocess.run(["cc", "-O2", "-w", "-o", client, source], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise click.ClickException(f"the client needs a C compiler: {error}") from None
    return client
