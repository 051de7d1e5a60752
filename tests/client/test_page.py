"""docs/python-client.md: its first example is that of docs/examples, and it names everything that there is."""

import ast
import asyncio
import inspect
import re
import sys
from dataclasses import fields
from pathlib import Path

import pytest

import quart_odds_client
from quart_odds_client import Client, ClientError, Options, connect, watch_odds
from quart_odds_client import messages as all_messages
from tests.routes.live.example_match import EXAMPLES, a_match, refreshed

PAGE = (EXAMPLES.parent / "python-client.md").read_text(encoding="utf-8")
README = (EXAMPLES.parents[1] / "client" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_first_example_is_the_one_that_is_run() -> None:
    """So what the page shows works: tests run docs/examples/client_copy.py."""
    _, _, code = (EXAMPLES / "client_copy.py").read_text(encoding="utf-8").partition("\n\n")
    assert BLOCKS[0] == code


@pytest.mark.parametrize("block", [*BLOCKS, *re.findall(r"```python\n(.*?)```", README, re.DOTALL)])
def test_examples_use_names_that_exist(block: str) -> None:
    """Of the package and of its module without asyncio."""
    tree = compile(block, "example", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert isinstance(tree, ast.Module)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("quart_odds_client"):
            module = __import__(node.module, fromlist=["_"])
            assert all(hasattr(module, each.name) for each in node.names)


def test_every_option_is_named() -> None:
    """Parameters, times, methods, messages and errors."""
    hidden = {"url", "sleep", "self"}
    names = {*inspect.signature(connect).parameters, *inspect.signature(watch_odds).parameters} - hidden
    names |= {each.name for each in fields(Options)}
    names |= {name for name in vars(Client) if not name.startswith("_")} - {"aclose"}
    public = {name: getattr(quart_odds_client, name) for name in quart_odds_client.__all__}
    names |= {name for name, each in public.items() if inspect.isclass(each) and issubclass(each, ClientError)}
    names |= {name for name, each in public.items() if inspect.isclass(each) and issubclass(each, all_messages.Message)}
    missing = {name for name in names if not re.search(rf"`{name}\b", PAGE)}
    assert missing == set()


async def test_the_notebook_runs(tmp_path: Path) -> None:
    """All its cells, against a server whose prices move meanwhile."""
    async with a_match(tmp_path) as (server, session, event_id):
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(EXAMPLES / "client_notebook.py"), server.url,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output = asyncio.create_task(process.communicate())
        try:
            async with asyncio.timeout(60):
                while not output.done():
                    await refreshed(session, server, event_id, {})
                    await asyncio.sleep(0.5)
        finally:
            if process.returncode is None:
                process.kill()
        said, _ = await output
    assert process.returncode == 0, said.decode()
    assert b"BestPrice" in said
