"""A worker as its supervisor sees it: a process, its channel, and how it ended."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterable, Mapping, Sequence

import structlog

from quart_odds.server.channel import Lines, WorkerPlace, line_of

LAST_WORDS_SECONDS = 1.0
"""How long to wait for what a worker wrote before it ended."""

log = structlog.get_logger(__name__)


class WorkerProcess:
    """One process, from its start to its end.

    `is_ready` says whether it is ready, `was_ready` whether it ever was, and `reason` is the last one that it gave for
    not being ready. `is_announced` is for the supervisor, which says once that it is ready. `silent_seconds` is how
    long it has not reported, which the supervisor counts. It is None before the first report: a newer supervisor may
    start a version that does not report.
    """

    def __init__(self, number: int, process: asyncio.subprocess.Process, channel: socket.socket) -> None:
        self.number = number
        self.pid = process.pid
        self.is_ready = self.was_ready = False
        self.reason: str | None = None
        self.is_announced = False
        self._is_stopped = False
        self.silent_seconds: float | None = None
        self.began = time.monotonic()
        self._process = process
        self._channel = channel
        self._accepts: frozenset[int] | None = None
        self._settled = asyncio.Event()
        self._listening = asyncio.create_task(self._listen(), name=f"worker-{number}-channel")
        self._ending = asyncio.create_task(self._await_end(), name=f"worker-{number}-end")

    @classmethod
    async def start(
        cls, number: int, command: Sequence[str], sockets: Sequence[socket.socket], environ: Mapping[str, str]
    ) -> "WorkerProcess":
        """Start a process: `command` with its place added. Raises OSError if the system does not start it."""
        ours, theirs = socket.socketpair()
        with theirs:
            place = WorkerPlace(number, theirs.fileno(), tuple(each.fileno() for each in sockets))
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    str(place),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(place.channel, *place.sockets),
                    env=environ,
                    # A group of its own: Ctrl-C in a terminal reaches the supervisor only, which tells its workers.
                    process_group=0,
                )
            except BaseException:
                ours.close()
                raise
        ours.setblocking(False)
        return cls(number, process, ours)

    @property
    def has_ended(self) -> bool:
        """Whether the process has ended."""
        return self._ending.done()

    @property
    def lived_seconds(self) -> float:
        """The time since the start of the process."""
        return time.monotonic() - self.began

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while the process runs."""
        return self._process.returncode

    @property
    def ended_well(self) -> bool:
        """Whether it has ended as asked: with exit code 0, or by SIGTERM while it was starting or after it was stopped.

        A service manager may send SIGTERM to all processes, also to one that has just drained.
        """
        return self.exit_code == 0 or (self.exit_code == -signal.SIGTERM and (self._is_stopped or not self.was_ready))

    @property
    def how_it_ended(self) -> str:
        """Its exit code or the signal that ended it, and the reason that it gave."""
        code = self._process.returncode
        if code is None:
            return self.reason or "it has not ended"
        how = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"{self.reason} ({how})" if self.reason else how

    async def settled(self) -> bool:
        """Wait until the process is ready or has ended, and return whether it is ready."""
        await self._settled.wait()
        return self.is_ready

    async def ended(self) -> None:
        """Wait for the end of the process."""
        await asyncio.shield(self._ending)

    def accept_on(self, numbers: Iterable[int]) -> None:
        """Let it accept connections on the sockets of these workers, and on no others."""
        wanted = frozenset(numbers)
        if wanted != self._accepts:
            self._accepts = wanted
            self._send({"accept": sorted(wanted)})

    def stop(self, *, is_final: bool = False) -> None:
        """Let it drain and exit. One that is not ready may not read its channel yet, so it gets SIGTERM.

        If the stop is final, no other worker will accept on its sockets.

        Others get no signal: a service manager may have sent SIGTERM to all processes, and a second one ends them at
        once.
        """
        self._is_stopped = True
        if self.is_ready:
            self._send({"stop": True, "final": is_final})
        else:
            self.send_signal(signal.SIGTERM)

    def kill(self, reason: str) -> None:
        """End the process by force. Its end has this reason, unless it gave one itself."""
        self.reason = self.reason or reason
        self.send_signal(signal.SIGKILL)

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    async def end_within(self, seconds: float) -> bool:
        """Wait for the end, and kill the process after this time. Return whether it ended by itself."""
        done, _ = await asyncio.wait([self._ending], timeout=seconds)
        if done:
            return True
        log.error("worker.killed", worker=self.number, pid=self.pid, reason=f"it did not end within {seconds:g} s")
        self.send_signal(signal.SIGKILL)
        await self.ended()
        return False

    def _send(self, message: Mapping[str, object]) -> None:
        try:
            self._channel.send(line_of(message))
        except OSError as error:
            # A process that has ended cannot be told, and one that reads nothing for so long is killed in time.
            log.debug("worker.not_told", worker=self.number, pid=self.pid, reason=str(error))

    async def _listen(self) -> None:
        lines = Lines()
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(self._channel, 4096)
            except OSError:
                return
            if not data:
                return
            for message in lines.feed(data):
                if message.get("ready"):
                    self.is_ready = self.was_ready = True
                    self.reason = None
                    self._settled.set()
                if message.get("alive"):
                    self.silent_seconds = 0.0
                if reason := message.get("reason"):
                    self.reason = str(reason)

    async def _await_end(self) -> None:
        await self._process.wait()
        await asyncio.wait([self._listening], timeout=LAST_WORDS_SECONDS)
        if not self._listening.done():
            self._listening.cancel()
            await asyncio.wait([self._listening])
        self._channel.close()
        self.is_ready = False
        self._settled.set()
        if not self._listening.cancelled():
            self._listening.result()
