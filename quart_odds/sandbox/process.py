"""A sandbox in a separate process, for `serve --sandbox`, tests and benchmarks."""

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
    """Raised when a sandbox process exited, or printed nothing, before it was ready."""


@dataclass(frozen=True, slots=True)
class SandboxProcess:
    """A running sandbox. `urls` contains scheme, host and port per bookmaker."""

    urls: Mapping[Platform, str]
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        """The base URL of `/_sandbox`."""
        return next(iter(self.urls.values()))

    async def stop(self) -> int:
        """Stop the process and return its exit code. It is killed if it does not exit within three seconds."""
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
    """Start a sandbox on a free port and wait until it listens. It shares this process's standard error for its log.

    On Linux it exits when this process exits for any reason. Raises SandboxStartError if it does not start.
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
        urls = {platform: str(orjson.loads(line)[platform]) for platform in options.bookmakers}
    except (TimeoutError, ValueError, KeyError) as error:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        code = await process.wait()
        raise SandboxStartError(f"the sandbox did not start; its exit code was {code}") from error
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        raise
    return SandboxProcess(urls, process)


@contextlib.asynccontextmanager
async def sandbox_process(
    options: SandboxOptions | None = None, *, host: str = "127.0.0.1"
) -> AsyncIterator[SandboxProcess]:
    """Run a sandbox process for the duration of the block."""
    sandbox = await start_sandbox_process(options, host=host)
    try:
        yield sandbox
    finally:
        await sandbox.stop()


def arguments(options: SandboxOptions, host: str = "127.0.0.1") -> list[str]:
    """Return the command-line arguments for these options."""
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
        "--price-pace": options.price_pace,
        "--competitions": options.competitions,
        "--bookmakers": ",".join(options.bookmakers),
    }
    words = [word for name, value in given.items() if value not in (None, "") for word in (name, str(value))]
    words += ["--warm"] if options.warm else []
    words += ["--live-prices"] if options.live_prices else []
    return [*words, "--move" if options.move else "--no-move", "--parent", str(os.getpid())]
