"""The wheel contains all that the server needs, and serves the page from an empty environment in an empty folder."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest

import quart_odds
from tests.lagos_bets.stand_in import lagos_bets
from tests.server.serving import curl, served

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
UNREACHABLE = re.compile("from versions: none|NewConnectionError|NameResolution|ConnectTimeout|ReadTimeout|ProxyError")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built with the installed tools."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    [built] = folder.glob("*.whl")
    return built


def test_the_wheel_has_all_that_the_server_needs(wheel: Path) -> None:
    """The wheel contains every file of the package, of templates/ and of static/, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if name.startswith("quart_odds/")}
        others = {name.partition("/")[0] for name in archive.namelist()} - {"quart_odds"}
    expected = {f"quart_odds/{path}" for path in files_of(ROOT / "quart_odds")}
    for folder in ("templates", "static"):
        expected |= {f"quart_odds/{folder}/{path}" for path in files_of(ROOT / folder)}
    assert names == expected
    assert others == {f"quart_odds-{quart_odds.__version__}.dist-info"}
    for name in (
        "py.typed",
        "templates/base.html",
        "static/style.css",
        "domain/markets.toml",
        "bookmakers/betpawa.toml",
        "sandbox/data/markets.csv",
        "storage/migrations/env.py",
        "storage/migrations/versions/0001_first_tables.py",
    ):
        assert f"quart_odds/{name}" in names


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_it_serves_and_scrapes_from_an_empty_environment(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed with its declared dependencies, it serves the page and its files, and scrapes the sandbox's events.

    Then the example package is installed beside it, and adds a bookmaker.
    """
    monkeypatch.delenv("PYTHONPATH", raising=False)
    python = tmp_path / "venv" / "bin" / "python"
    await asyncio.to_thread(quietly, [sys.executable, "-m", "venv", str(tmp_path / "venv")])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = ["--constraint", str(CONSTRAINTS)] if CONSTRAINTS.is_file() else []
    await asyncio.to_thread(install, [*pip, *pinned, str(wheel)])
    command = [str(tmp_path / "venv" / "bin" / "quart-odds"), "serve", "--bind", "127.0.0.1:0"]
    stand_ins = ["--sandbox", "--events", "4", "--latency-ms", "1"]
    folder = tmp_path / "empty"
    async with served(folder, None, [*command, *stand_ins]) as server, aiohttp.ClientSession() as session:
        async with session.get(server.url) as response:
            assert (response.status, response.content_type) == (200, "text/html")
            page = await response.text()
        files = re.findall(r'(?:src|href)="(/(?:assets|static)/[^"]+)"', page)
        assert len(files) >= 3
        for path in files:
            async with session.get(f"{server.url}{path}") as response:
                assert response.status == 200, path
                assert await response.read(), path
        published = await curl(server, "/api/scrape/stream")
        assert published[-1]["phase"] == "completed"
        assert published[-1]["error"] is None
    assert {path.name.partition(".")[0] for path in folder.iterdir()} == {"odds"}
    await asyncio.to_thread(install, [*pip, "--no-deps", str(await asyncio.to_thread(example_wheel, tmp_path))])
    async with lagos_bets() as url:
        await it_takes_a_bookmaker_of_another_package(tmp_path / "lagos", command, url)


async def it_takes_a_bookmaker_of_another_package(folder: Path, command: Sequence[str], url: str) -> None:
    """It is in settings, a run, the grid, the API, CSV, metrics and the command line, and no file of ours names it."""
    settings = {"lagosbets_url": url, "bookmakers": "lagosbets", "request_tries": 1}
    async with served(folder, settings, command) as server, aiohttp.ClientSession(server.url) as session:

        async def read(path: str) -> str:
            async with session.get(path) as response:
                assert response.status == 200, path
                return await response.text()

        published = await curl(server, "/api/scrape/stream", is_checked=False)
        assert (published[-1]["phase"], published[-1]["current"]) == ("completed", 2)
        assert {each["platform"] for each in published} == {"lagosbets", None}
        [first, second] = json.loads(await read("/api/events"))["events"]
        assert {first["home_team"], second["home_team"]} == {"Enyimba", "Rivers"}
        [book] = json.loads(await read(f"/api/events/{first['id']}"))["markets_by_bookmaker"]
        assert (book["bookmaker_slug"], book["bookmaker_name"]) == ("lagosbets", "Lagos Bets")
        assert book["event_url"].startswith("https://www.lagosbets.example/match/90")
        assert [market["betpawa_market_name"] for market in book["markets"]] == ["1X2", "Over/Under"]
        assert "lagosbets,3743,1X2,,1,2.1," in await read("/api/events.csv")
        unmapped = json.loads(await read("/api/coverage/markets"))["unmapped"]
        assert [(each["bookmaker_slug"], each["market_id"]) for each in unmapped] == [("lagosbets", "CORNERS")]
        assert 'lagosbets"' in await read("/metrics")
        page = await read("/odds")
        assert "Lagos Bets" in page
        [style] = re.findall(r'href="(/assets/[^"]+/bookmakers[.]css)"', page)
        assert ".lagosbets{--tone:light-dark(#7a2b6f,#d993cd);" in await read(style)
        schema = json.loads(await read("/openapi.json"))
        assert '"lagosbets"' in json.dumps(schema["paths"]["/api/scrape"])
    done = await asyncio.to_thread(
        subprocess.run, [command[0], "scrape", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "lagosbets" in done.stdout


def example_wheel(folder: Path) -> Path:
    """Build the example package with the installed tools."""
    source = folder / "source"
    shutil.copytree(ROOT / "tests" / "lagos_bets", source, ignore=shutil.ignore_patterns("stand_in.py", "__pycache__"))
    quietly([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(source)])
    [built] = (folder / "dist").glob("lagos_bets-*.whl")
    return built


def files_of(folder: Path) -> set[str]:
    """Return the files below a folder that belong to the package."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }


def quietly(command: Sequence[str]) -> None:
    """Run a command that has to succeed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr


def install(command: Sequence[str]) -> None:
    """Run pip. Skip the test if no package index can be reached, except in CI, which must have one."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    if done.returncode and UNREACHABLE.search(done.stderr) and os.environ.get("CI") != "true":
        pytest.skip(f"pip cannot reach a package index: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
