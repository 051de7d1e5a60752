"""A real primary and a replica of Redis, watched by three sentinels: failovers to a replica that is level, or lags."""

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import redis

from tests.redis_servers import TestRedis

NAME = "odds"
SENTINELS = 3
QUORUM = 2
DOWN_MS = 700
"""How long a primary may not answer before a sentinel counts it as down."""

FAILOVER_MS = 2000
WAIT_SECONDS = 90
"""A sentinel that finds that it was held up does nothing for 30 s."""


class TestSentinel(TestRedis):
    """A sentinel, with a configuration file that it rewrites itself."""

    __test__ = False

    def __init__(self, folder: Path, primary: TestRedis) -> None:
        super().__init__(folder, address=primary.address)
        self._configuration = folder / "sentinel.conf"
        self._configuration.write_text(
            f"port {self.port}\nbind {self.address}\nprotected-mode no\ndir {folder}\n"
            f"sentinel monitor {NAME} {primary.address} {primary.port} {QUORUM}\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_MS}\n"
            f"sentinel failover-timeout {NAME} {FAILOVER_MS}\n"
        )

    def _command(self) -> list[str]:
        return [self._binary, str(self._configuration), "--sentinel"]


class WatchedRedis:
    """Two servers, one of which is the primary, and their sentinels. `url` names the sentinels."""

    def __init__(self, folder: Path, address: str = "127.0.0.1") -> None:
        self._folder = folder
        # A replica that connects is served at once, and not after five seconds.
        options = ("--repl-diskless-sync-delay", "0")
        self.primary = TestRedis(self._made("one"), *options, address=address)
        self.replica = TestRedis(self._made("two"), *options, address=address)
        self.sentinels = [TestSentinel(self._made(f"sentinel-{n}"), self.primary) for n in range(SENTINELS)]
        places = ",".join(f"{each.address}:{each.port}" for each in self.sentinels)
        self.url = f"redis+sentinel://{places}/{NAME}"

    def start(self) -> None:
        """Start all servers, and return when the sentinels know each other and the replica."""
        self.primary.start()
        self.replica.start()
        self._follow(self.replica, self.primary)
        for each in self.sentinels:
            each.start()
        _until(lambda: all(map(self._knows_all, self.sentinels)), "the sentinels do not know each other")

    def kill(self) -> None:
        """End all servers."""
        for each in (*self.sentinels, self.primary, self.replica):
            each.kill()

    def level(self) -> None:
        """Return when the replica is connected and has everything that the primary has."""

        def is_level() -> bool:
            with self.primary.client() as primary, self.replica.client() as replica:
                ours, its = primary.info("replication"), replica.info("replication")
            return bool(its["master_link_status"] == "up" and its["slave_repl_offset"] == ours["master_repl_offset"])

        _until(is_level, "the replica is not level")

    def let_replica_lag(self) -> None:
        """Cut the replica from the primary, for good: from now on it lacks what is written."""
        with self.primary.client() as primary:
            primary.execute_command("ACL", "SETUSER", "default", "-psync", "-sync")
            primary.execute_command("CLIENT", "KILL", "TYPE", "replica")

    def fail_over(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the primary, and return when the replica is the primary. SIGTERM lets the replica take everything."""
        self.primary.kill(how)
        self.await_promotion()

    def await_promotion(self) -> None:
        """Return when the sentinels have made the replica the primary."""
        _until(lambda: all(map(self._names_replica, self.sentinels)), "the replica was not promoted")
        self.primary, self.replica = self.replica, self.primary

    def mend(self) -> None:
        """Start the server that was ended, if one was, as the replica of the other. Returns when it may be promoted."""
        if not self.replica.is_running:
            self.replica.start()
            self._follow(self.replica, self.primary)
        self.level()
        _until(lambda: all(map(self._knows_all, self.sentinels)), "the sentinels do not know the replica")

    def _made(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder

    def _follow(self, replica: TestRedis, primary: TestRedis) -> None:
        with replica.client() as client:
            client.replicaof(primary.address, primary.port)

    def _knows_all(self, sentinel: TestRedis) -> bool:
        with sentinel.client() as client:
            watched = client.sentinel_master(NAME)
            replicas = client.sentinel_slaves(NAME)
        return (
            (watched["ip"], watched["port"]) == (self.primary.address, self.primary.port)
            and watched["num-other-sentinels"] == SENTINELS - 1
            and watched["flags"] == "master"
            and any(each["port"] == self.replica.port and each["flags"] == "slave" for each in replicas)
        )

    def _names_replica(self, sentinel: TestRedis) -> bool:
        with contextlib.suppress(redis.exceptions.ConnectionError), sentinel.client() as client:
            found = client.sentinel_get_master_addr_by_name(NAME)
            with self.replica.client() as replica:
                role = replica.info("replication")["role"]
            return bool(found == (self.replica.address, self.replica.port) and role == "master")
        return True  # this sentinel is away


@contextlib.contextmanager
def watched_redis(address: str = "127.0.0.1") -> Iterator[WatchedRedis]:
    """Run a primary, a replica and sentinels at an address of this machine, and remove them with their data."""
    folder = Path(tempfile.mkdtemp(prefix="quart-odds-sentinel-"))
    servers = WatchedRedis(folder, address)
    try:
        servers.start()
        yield servers
    finally:
        servers.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _until(condition: Callable[[], bool], otherwise: str) -> None:
    until = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(otherwise)
        time.sleep(0.05)
