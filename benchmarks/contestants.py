"""The servers to measure: how each is started, where its streams are, and how it is made to publish."""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.progress_message import message

ROOT = Path(__file__).parents[1]
NGINX_MODULES = ("/usr/lib/nginx/modules", "/usr/share/nginx/modules", "/usr/lib64/nginx/modules")
START_SECONDS = 20.0


@dataclass(frozen=True)
class Contestant:
    """A server to measure. `missing` names what it lacks on this machine, or is None if it can run."""

    name: str
    title: str
    paths: dict[str, str]
    command: Callable[[int, Path], list[str]]
    missing: Callable[[], str | None]
    trigger: str = "/bench/publish"


def _ours(*options: str, module: str = "fanout_server") -> Callable[[int, Path], list[str]]:
    return lambda port, _: [sys.executable, "-m", f"benchmarks.{module}", "--bind", f"127.0.0.1:{port}", *options]


def _uvicorn(port: int, _: Path) -> list[str]:
    module = "benchmarks.peers.connection_manager:app"
    return [sys.executable, "-m", "uvicorn", module, "--port", str(port), "--log-level", "warning", "--loop", "uvloop"]


def _websockets(port: int, _: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.peers.websockets_broadcast", str(port)]


def _nchan(port: int, folder: Path) -> list[str]:
    template = (Path(__file__).parent / "peers" / "nchan.conf.in").read_text()
    configuration = folder / "nchan.conf"
    configuration.write_text(template.replace("@DIR@", str(folder)).replace("@PORT@", str(port)))
    return [shutil.which("nginx") or "/usr/sbin/nginx", "-c", str(configuration)]


def _lacks(*modules: str) -> Callable[[], str | None]:
    def missing() -> str | None:
        lacking = [each for each in modules if importlib.util.find_spec(each) is None]
        return f"needs {' and '.join(lacking)}" if lacking else None

    return missing


def _lacks_nchan() -> str | None:
    if shutil.which("nginx") is None and not Path("/usr/sbin/nginx").exists():
        return "needs nginx and its module nchan"
    if not any((Path(each) / "ngx_nchan_module.so").exists() for each in NGINX_MODULES):
        return "needs nginx's module nchan"
    return None


OURS = {"ws": "/api/ws", "sse": "/api/sse"}
CONTESTANTS = (
    Contestant("ours", "Quart Odds", OURS, _ours(), lambda: None),
    Contestant("standard", "Quart Odds, standard lane", OURS, _ours("--standard-lane"), lambda: None),
    Contestant("nchan", "Nchan (nginx)", {"ws": "/ws", "sse": "/sse"}, _nchan, _lacks_nchan, trigger=""),
    Contestant(
        "manager",
        "ConnectionManager (FastAPI, uvicorn)",
        {"ws": "/ws", "sse": "/sse"},
        _uvicorn,
        _lacks("fastapi", "uvicorn", "websockets"),
    ),
    Contestant("websockets", "websockets' broadcast()", {"ws": "/ws"}, _websockets, _lacks("websockets", "uvloop")),
)

WATCHED = Contestant("watched", "Quart Odds", OURS, _ours(module="watch_server"), lambda: None)


@dataclass
class Running:
    """A running server."""

    process: subprocess.Popen[bytes]
    port: int
    more_ports: tuple[int, ...] = ()
    """Of further servers that share the clients with this one."""

    @property
    def memory_kb(self) -> int:
        """Return the memory that its processes use."""
        pages = 0
        for path in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                pages += int(fields[21]) if int(fields[2]) == self.process.pid else 0
        return pages * os.sysconf("SC_PAGESIZE") // 1024

    def stop_seconds(self, timeout: float = 30.0) -> float:
        """Ask it to stop as an operator does, and return how long that took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout)
        return time.monotonic() - began


@contextmanager
def running(contestant: Contestant, folder: Path) -> Iterator[Running]:
    """Run a server on a free port. It is stopped at the end."""
    port = free_port()
    with listening(contestant.command(port, folder), port, folder / f"{contestant.name}.log") as process:
        yield Running(process, port)


def free_port() -> int:
    """Return a port of this machine that nothing listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def listening(command: list[str], port: int, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a process group of its own from when it listens on the port. The group is killed at the end."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True)
    try:
        _until_listening(process, port, log)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _until_listening(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")


def publish_to_nchan(port: int, messages: int, interval_ms: float) -> None:
    """Publish with pipelined requests on one keep-alive connection: Nchan cannot publish by itself."""
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        answers = threading.Thread(target=_read_answers, args=(sock, messages))
        answers.start()
        if not interval_ms:
            sock.sendall(b"".join(_post(number) for number in range(messages)))
        else:
            start = time.monotonic()
            for number in range(messages):
                time.sleep(max(0.0, start + number * interval_ms / 1000 - time.monotonic()))
                sock.sendall(_post(number))
        answers.join()


def _read_answers(sock: socket.socket, count: int) -> None:
    """Read all responses. Closing with unread responses would reset the connection and lose requests in transit."""
    sock.settimeout(30)
    got, tail = 0, b""
    while got < count and (data := sock.recv(65536)):
        got += (tail + data).count(b"HTTP/1.1 20")
        tail = data[-10:]


def _post(number: int) -> bytes:
    body = json.dumps(message(number)).encode()
    return b"POST /pub HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
