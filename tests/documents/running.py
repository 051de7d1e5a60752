"""Runs an example of the documents as a reader would, and judges what it prints."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.async_api import Browser

from tests.documents.blocks import ROOT, Block
from tests.server.serving import Server, environment

ADDRESS = "127.0.0.1:8000"
"""Where the documents have the server."""

RUN_SECONDS = 60
STATIC = ("live.js", "copy.js", "package.json")
NODE = ("node", "--experimental-websocket")
"""Node 20 has the class WebSocket on request, later versions always."""

SHELL = "set -euo pipefail\n"
END = "\x1d"
ONE_BY_ONE = f"""
import ast, asyncio, inspect, pathlib, sys
for name in sys.argv[1:]:
    code = compile(pathlib.Path(name).read_text(), name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, {{"__name__": "__main__", "__file__": name}})
    if inspect.iscoroutine(running):
        asyncio.run(running)
    print(end={END!r}, flush=True)
"""
"""Runs Python files, each with names of its own. `await` may be at the top, as in the cells of a notebook."""


@dataclass(frozen=True)
class Reader:
    """Somebody who tries the examples of a page in one folder, one after the other, with a server at hand."""

    folder: Path
    server: Server
    database: Path
    browser: Browser | None

    def prepare(self) -> None:
        """Lay out what a reader has: the modules that a page tells to copy."""
        for name in STATIC:
            shutil.copy(ROOT / "static" / name, self.folder)

    async def tries(self, block: Block) -> None:
        """Run a block. AssertionError if it fails, or prints nonsense."""
        code = self._here(block)
        if block.kind == "browser":
            assert self.browser is not None
            printed = await self._in_a_page(self.browser, block, code)
        elif block.language == "bash":
            printed = await self._as_a_program(block, "bash", "-c", SHELL + code)
        elif block.language == "python":
            printed = await self._as_a_program(block, sys.executable, "-c", ONE_BY_ONE, self._written(block, ".py"))
        else:
            printed = await self._as_a_program(block, *NODE, self._written(block, ".mjs"))
        judge(block, printed)

    async def tries_together(self, blocks: Sequence[Block]) -> None:
        """Run blocks of Python in one process, which imports pandas once, each with names of its own."""
        names = [self._written(block, ".py") for block in blocks]
        printed = await self._as_a_program(blocks[0], sys.executable, "-c", ONE_BY_ONE, *names)
        *parts, rest = printed.split(END)
        assert rest == ""
        for block, part in zip(blocks, parts, strict=True):
            judge(block, part)

    def _here(self, block: Block) -> str:
        return block.code.replace(ADDRESS, f"127.0.0.1:{self.server.port}")

    def _written(self, block: Block, suffix: str) -> str:
        name = f"line_{block.line}{suffix}"
        (self.folder / name).write_text(self._here(block))
        return name

    async def _as_a_program(self, block: Block, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *words,
            cwd=self.folder,
            env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 24,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        complaints = asyncio.create_task(process.stderr.read())
        try:
            async with asyncio.timeout(RUN_SECONDS):
                if block.kind == "endless" and (line := await something(process.stdout)):
                    return line
                printed = (await process.stdout.read()).decode()
                code_of_end = await process.wait()
        except TimeoutError:
            raise AssertionError(f"{block} has not ended, or printed nothing, after {RUN_SECONDS} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            complained = (await complaints).decode()
        has_ended_well = code_of_end == 0 and block.kind != "endless"
        assert has_ended_well, f"{block} ended with {code_of_end}:\n{printed}\n{complained}"
        return printed

    def _environment(self) -> dict[str, str]:
        kept = environment({"database_url": f"sqlite:///{self.database}"})
        return kept | {"PATH": f"{Path(sys.executable).parent}:{kept['PATH']}"}

    async def _in_a_page(self, browser: Browser, block: Block, code: str) -> str:
        """Run a module in a page of the server, until it prints something."""
        context = await browser.new_context(bypass_csp=True)  # the policy allows no script within the page
        printed: asyncio.Queue[str] = asyncio.Queue()
        try:
            page = await context.new_page()
            page.on("console", lambda message: printed.put_nowait(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: printed.put_nowait(f"error: {error}"))
            await page.goto(f"{self.server.url}/runs")
            await page.add_script_tag(content=code, type="module")
            async with asyncio.timeout(RUN_SECONDS):
                first = await printed.get()
        except TimeoutError:
            raise AssertionError(f"{block} printed nothing in {RUN_SECONDS} s") from None
        finally:
            await context.close()
        assert first.startswith("log: "), f"{block}: {first}"
        return first.removeprefix("log: ")


async def something(stdout: asyncio.StreamReader) -> str | None:
    """Return the first line that says something: an event stream begins with `retry:`. None if there is none."""
    async for line in stdout:
        text = line.decode().strip()
        if text and not text.startswith(("retry:", ":", "id:", "event:")):
            return text
    return None


def judge(block: Block, printed: str) -> None:
    """AssertionError if an example prints nothing, broken JSON, or a problem that the server reports."""
    text = printed.strip()
    assert bool(text) is not (block.kind == "silent"), f"{block} printed {text or 'nothing'!r}"
    for value in values_of(block, text):
        is_problem = isinstance(value, dict) and {"title", "status", "detail"} <= value.keys()
        assert not is_problem, f"{block} got a problem: {value}"


def values_of(block: Block, text: str) -> list[Any]:
    """Return the JSON values that a shell's output has: those of an event stream, or one after the other."""
    data = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    rest = "\n".join(data) or text
    values: list[Any] = []
    if block.language == "bash" and rest.startswith(("{", "[{", '"')):
        decoder = json.JSONDecoder()
        while rest:
            try:
                value, end = decoder.raw_decode(rest)
            except json.JSONDecodeError as error:
                raise AssertionError(f"{block} printed no JSON: {error}: {rest[:300]}") from None
            values.append(value)
            rest = rest[end:].lstrip()
    return values
