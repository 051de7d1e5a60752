"""A real Redis server for tests, on a free port."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

START_SECONDS = 20.0


def redis_binary() -> str:
    """Return the program of Redis or Valkey. Without one, the test is skipped, or fails in CI."""
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("there is no redis-server in the PATH")
    return found


class TestRedis:
    """A Redis server with a folder of its own. Its data survives `kill` only with `keeps_data`."""

    __test__ = False

    def __init__(
        self,
        folder: Path,
        *options: str,
        keeps_data: bool = False,
        address: str = "127.0.0.1",
        client_password: str | None = None,
    ) -> None:
        self._client_password = client_password
        self._binary = redis_binary()
        self.address = address
        self._folder = folder
        self._options = [*options, *(["--appendonly", "yes", "--appendfsync", "always"] if keeps_data else [])]
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind((address, 0))
            self.port = int(probe.getsockname()[1])
        self.url = f"redis://{address}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._process is not None

    def start(self) -> None:
        """Start the server, and return when it answers."""
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(self._command(), cwd=self._folder, stdout=log, stderr=log)
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            with contextlib.suppress(redis.exceptions.RedisError), self.client() as client:
                if client.ping():
                    return
            time.sleep(0.02)
        raise RuntimeError(f"Redis did not start: {(self._folder / 'redis.log').read_text()[-2000:]}")

    def _command(self) -> list[str]:
        at = ["--port", str(self.port), "--bind", self.address, "--protected-mode", "no"]
        return [self._binary, *at, "--save", "", *self._options]

    def client(self) -> redis.Redis:
        """Return a client, which the caller closes."""
        return redis.Redis(
            self.address,
            self.port,
            decode_responses=True,
            socket_timeout=START_SECONDS,
            password=self._client_password,
        )

    def kill(self, signal_number: int = signal.SIGKILL) -> None:
        """End the server. Idempotent."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal_number)
            self._process.wait()
            self._process = None

    def forget(self) -> None:
        """Remove the data that a killed server has left."""
        assert self._process is None
        shutil.rmtree(self._folder / "appendonlydir", ignore_errors=True)


@contextlib.contextmanager
def running_redis(
    *options: str, keeps_data: bool = False, address: str = "127.0.0.1", client_password: str | None = None
) -> Iterator[TestRedis]:
    """Run a server at an address of this machine, and remove it with its data. Its own clients give the password."""
    folder = Path(tempfile.mkdtemp(prefix="quart-odds-redis-"))
    server = TestRedis(folder, *options, keeps_data=keeps_data, address=address, client_password=client_password)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
