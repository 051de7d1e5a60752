"""static/*.d.ts: the scripts are what they declare, and TypeScript finds mistakes of programs that use them."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from quart_odds.routes.pages.assets import asset_folder
from tests.routes.live.example_match import EXAMPLES
from tests.routes.pages.conftest import NODE_MODULES, missing

PROGRAM = Path(__file__).with_name("typed_program.ts")
CLIENT_PAGE = EXAMPLES.parent / "client.md"
TSC = NODE_MODULES / "typescript" / "bin" / "tsc"
STRICT = (
    "--noEmit", "--strict", "--noUncheckedIndexedAccess", "--allowJs", "--checkJs",
    "--target", "es2022", "--module", "nodenext",
)  # fmt: skip
BROWSER_AND_NODE = ("--lib", "es2022,dom,dom.iterable", "--types", "node")
SCRIPTS = ("live.js", "copy.js", "same.ts")

SAME = """
import * as copy from "./copy.js";
import * as live from "./live.js";
import * as realCopy from "./real_copy.js";
import * as realLive from "./real_live.js";
const declared: [typeof live, typeof copy] = [realLive, realCopy];
type Others = Exclude<keyof typeof realLive, keyof typeof live> | Exclude<keyof typeof realCopy, keyof typeof copy>;
const isAll: [Others] extends [never] ? true : false = true;
export { declared, isAll };
"""

WITH_WS = """
import { WebSocket } from "ws";
import { LiveClient, watchOdds } from "quart-odds-live";
import { OddsCopy } from "quart-odds-live/copy.js";
const live = new LiveClient({ base: "http://127.0.0.1:8000", WebSocket });
const watch = watchOdds({ event_id: [1] }, { base: "http://127.0.0.1:8000", WebSocket });
// @ts-expect-error this is no class of WebSockets
new LiveClient({ WebSocket: Map });
const copy: OddsCopy = watch.copy;
export { copy, live };
"""
"""A program that has the client as a package: npm makes such a link."""

WRONG = """
import { LiveClient } from "./live.js";
new LiveClient().addEventListener("scrape_progress", ({ detail }) => detail.data.curent);
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client and programs beside it, as somebody copied them, with the packages from npm."""
    if not TSC.is_file():
        missing(f"no TypeScript at {TSC}: see .ci/run")
    folder = tmp_path_factory.mktemp("types")
    for name in ("live.js", "live.d.ts", "copy.js", "copy.d.ts", "messages.d.ts", "package.json"):
        shutil.copy(asset_folder("static") / name, folder)
    for name in ("live", "copy"):
        shutil.copy(folder / f"{name}.js", folder / f"real_{name}.js")
    for path in (PROGRAM, EXAMPLES / "match_copy.mjs"):
        shutil.copy(path, folder)
    for name, text in (("same", SAME), ("with_ws", WITH_WS), ("wrong", WRONG)):
        (folder / f"{name}.ts").write_text(text)
    examples = re.findall(r"```ts\n(.*?)```", CLIENT_PAGE.read_text(), re.DOTALL)
    assert examples
    for number, text in enumerate(examples):
        (folder / f"example_{number}.ts").write_text(text)
    (folder / "node_modules").mkdir()
    for each in (*NODE_MODULES.iterdir(), asset_folder("static")):
        name = "quart-odds-live" if each.name == "static" else each.name
        (folder / "node_modules" / name).symlink_to(each)
    return folder


def faults(folder: Path, *arguments: str) -> list[str]:
    """Return the lines in which tsc says what it finds in files of a folder."""
    node = shutil.which("node")
    assert node is not None
    command = [node, str(TSC), *STRICT, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=100)
    assert bool(done.returncode) == bool(done.stdout), done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def found(folder: Path) -> list[str]:
    """What tsc finds where there are both a browser's types and Node's."""
    examples = sorted(path.name for path in folder.glob("example_*.ts"))
    programs = (PROGRAM.name, "with_ws.ts", "wrong.ts", "match_copy.mjs", *examples)
    return faults(folder, *BROWSER_AND_NODE, *SCRIPTS, *programs)


def test_scripts_are_what_they_declare(found: list[str]) -> None:
    """Both check with strict types, and export what live.d.ts and copy.d.ts say and nothing else."""
    assert [line for line in found if line.startswith((*SCRIPTS, "real_", "live.d", "copy.d", "messages.d"))] == []


def test_programs_are_checked(found: list[str]) -> None:
    """Each mistake that the program marks is found, and no other; the examples of the documentation have none.

    What is missing in the declarations would show as a mistake that is expected and not found.
    """
    assert [line for line in found if not line.startswith("wrong.ts")] == []


def test_mistakes_are_reported(found: list[str]) -> None:
    """Where a mistake is not expected, tsc says where it is and what is wrong."""
    [line] = [line for line in found if line.startswith("wrong.ts")]
    assert re.match(r"wrong\.ts\(3,\d+\): error TS2551: Property 'curent' does not exist", line)


@pytest.mark.parametrize(
    "arguments",
    [("--lib", "es2022", "--types", "node"), ("--lib", "es2022,dom,dom.iterable", "--typeRoots", "none")],
    ids=["node", "browser"],
)
def test_types_need_one_of_node_and_browser(folder: Path, arguments: tuple[str, ...]) -> None:
    """A program for Node has no DOM, and one for browsers no types of Node."""
    assert faults(folder, *arguments, PROGRAM.name) == []
