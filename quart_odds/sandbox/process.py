"""A sandbox in a process of its own, for `serve --sandbox`, tests and benchmarks."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import orjson

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.options import SandboxOptions

START_SECONDS = 30
WARM_SECONDS_AN_EVENT = 0.05
STOP_SECONDS = 3


class SandboxStartError(RuntimeError):
    """Raised when a sandbox process ended, or said nothing, before it was ready."""


@dataclass(frozen=True, slots=True)
class SandboxProcess:
    """A running sandbox. `urls` are scheme, host and port, by bookmaker."""

    urls: Mapping[Platform, str]
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        """Where `/_sandbox` is."""
        return self.urls[Platform.BETPAWA]

    async def stop(self) -> int:
        """Ends it and gives its exit code; one that does not end by itself within three seconds is killed."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            return await self.process.wait()


async def start_sandbox_process(options: SandboxOptions | None = None, *, host: str = "127.0.0.1") -> SandboxProcess:
    """Starts a sandbox on a free port and waits until it listens; its log goes where ours does.

    On Linux it ends when this process does, however that ends. Raises SandboxStartError when it does not come up.
    """
    options = options or SandboxOptions()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "quart_odds.sandbox",
        *arguments(options, host),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS + options.warm * options.events * WARM_SECONDS_AN_EVENT):
            line = await process.stdout.readline()
        urls = {platform: str(orjson.loads(line)[platform]) for platform in Platform}
    except (TimeoutError, ValueError, KeyError) as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        code = await process.wait()
        raise SandboxStartError(f"the sandbox did not start; it ended with {code}") from error
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    return SandboxProcess(urls, process)


@contextlib.asynccontextmanager
async def sandbox_process(options: SandboxOptions | None = None) -> AsyncIterator[SandboxProcess]:
    """A sandbox process that lasts as long as the block."""
    sandbox = await start_sandbox_process(options)
    try:
        yield sandbox
    finally:
        await sandbox.stop()


def arguments(options: SandboxOptions, host: str = "127.0.0.1") -> list[str]:
    """The command line of the options."""
    given: dict[str, object] = {
        "--host": host,
        "--port": 0,
        "--events": options.events,
        "--seed": options.seed,
        "--latency-ms": options.latency_ms,
        "--jitter-ms": options.jitter_ms,
        "--faults": ",".join(f"{platform}={fault}" for platform, fault in options.faults.items()),
        "--replay": options.replay,
        "--body-kb": options.body_kb,
        "--markets": options.markets,
    }
    words = [word for name, value in given.items() if value not in (None, "") for word in (name, str(value))]
    words += ["--warm"] if options.warm else []
    return [*words, "--move" if options.move else "--no-move", "--parent", str(os.getpid())]
