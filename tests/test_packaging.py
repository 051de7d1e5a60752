"""The wheel contains all that the server needs, and serves the page from an empty environment in an empty folder."""

import asyncio
import configparser
import contextlib
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import AsyncIterator, Sequence
from email.parser import Parser
from pathlib import Path

import aiohttp
import pytest

import quart_odds
from tests.lagos_bets.stand_in import lagos_bets
from tests.routes.live.example_match import EXAMPLES, a_match, main_prices, refreshed
from tests.routes.live.test_examples import until_equal
from tests.server.serving import curl, served

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
UNREACHABLE = re.compile("from versions: none|NewConnectionError|NameResolution|ConnectTimeout|ReadTimeout|ProxyError")


EPOCH = "1700000000"
"""A time in the past, for all files of the distributions."""


def built(source: Path, folder: Path, *options: str) -> Path:
    """Build distributions with the installed tools, and return the wheel. The sdist is beside it."""
    build = [sys.executable, "-m", "build", "--no-isolation", *options, "--outdir", str(folder), str(source)]
    done = subprocess.run(
        build, capture_output=True, text=True, timeout=120, env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return built(ROOT, tmp_path_factory.mktemp("dist"), "--sdist", "--wheel")


@pytest.fixture(scope="module")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the client, built as it is for a release: from its own source distribution."""
    return built(ROOT / "client", tmp_path_factory.mktemp("client_dist"))


def listed(*options: str) -> set[str]:
    """Return the files of this tree that git lists, or skip the test where there is no repository."""
    try:
        done = subprocess.run(["git", "ls-files", "-z", *options], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this tree is no git repository")
    return {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}


def test_the_sdist_has_every_file_that_is_tracked(wheel: Path) -> None:
    """Nothing is in it that git ignores."""
    [sdist] = wheel.parent.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()} - {"PKG-INFO", ""}
    assert listed() - names == set()
    assert names <= listed() | listed("--others", "--exclude-standard")


def test_the_same_files_give_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    """In another folder, with other times and rights."""
    source = tmp_path / "source"
    for name in listed() | listed("--others", "--exclude-standard"):
        path = source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, path)
        is_program = (ROOT / name).stat().st_mode & stat.S_IXUSR
        path.chmod(0o700 if is_program else 0o600)
    again = built(source, tmp_path / "dist", "--sdist", "--wheel")
    first, second = (
        {each.name: hashlib.sha256(each.read_bytes()).hexdigest() for each in folder.glob("quart_odds-*")}
        for folder in (wheel.parent, again.parent)
    )
    assert len(first) == 2
    assert first == second


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    """The version is the package's, the program has the name of the distribution, so `uvx` and `pipx` find it."""
    with zipfile.ZipFile(wheel) as archive:
        folder = f"quart_odds-{quart_odds.__version__}.dist-info"
        metadata = Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        programs = configparser.ConfigParser()
        programs.read_string(archive.read(f"{folder}/entry_points.txt").decode())
    assert (metadata["Name"], metadata["Version"]) == ("quart-odds", quart_odds.__version__)
    assert dict(programs["console_scripts"]) == {"quart-odds": "quart_odds.__main__:main"}


def test_the_extra_all_is_all_that_users_need() -> None:
    """Every extra is in it, except those of development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    [all_of_them] = extras["all"]
    named = re.fullmatch(r"quart-odds\[(.+)\]", all_of_them)
    assert named is not None
    assert set(named[1].split(",")) == extras.keys() - {"all", "bench", "dev", "docs"}


def test_the_version_is_written_once() -> None:
    """It is in the package, and the build reads it there."""
    text = (ROOT / "pyproject.toml").read_text()
    assert "version" in tomllib.loads(text)["project"]["dynamic"]
    assert tomllib.loads(text)["tool"]["hatch"]["version"]["path"] == "quart_odds/__init__.py"
    assert not re.search(r"^version\b", text, re.MULTILINE)


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
    wheel: Path, client_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Installed with its declared dependencies, it serves the page and its files, and scrapes the sandbox's events.

    Then the example package is installed beside it, and adds a bookmaker.
    """
    monkeypatch.delenv("PYTHONPATH", raising=False)
    python = tmp_path / "venv" / "bin" / "python"
    await asyncio.to_thread(quietly, [sys.executable, "-m", "venv", str(tmp_path / "venv")])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    pinned = ["--constraint", str(CONSTRAINTS)] if CONSTRAINTS.is_file() else []
    await asyncio.to_thread(install, [*pip, *pinned, str(client_wheel), str(wheel)])
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


def test_the_client_s_wheel_has_the_client_alone(client_wheel: Path) -> None:
    """It shares no file with the server, and has the server's version."""
    with zipfile.ZipFile(client_wheel) as archive:
        names = set(archive.namelist())
    package = {f"quart_odds_client/{path}" for path in files_of(ROOT / "client" / "quart_odds_client")}
    assert "quart_odds_client/py.typed" in package
    assert package <= names
    information = f"quart_odds_client-{quart_odds.__version__}.dist-info"
    assert {name.partition("/")[0] for name in names - package} == {information}


def lacks(*names: str) -> str:
    """Return a program that fails if any of these packages can be imported."""
    return f"import importlib.util, sys; sys.exit(any(map(importlib.util.find_spec, {names})))"


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_the_client_alone_keeps_a_copy_of_a_match(
    client_wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an environment without the server, in fifteen lines, against `quart-odds serve --sandbox`."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    python = str(tmp_path / "venv" / "bin" / "python")
    await asyncio.to_thread(quietly, [sys.executable, "-m", "venv", str(tmp_path / "venv")])
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    await asyncio.to_thread(install, [*pip, "--constraint", str(CONSTRAINTS), str(client_wheel)])
    await asyncio.to_thread(quietly, [python, "-I", "-c", lacks("quart_odds", "quart", "pandas", "orjson")])
    example = EXAMPLES / "client_copy.py"
    code = [line for line in example.read_text(encoding="utf-8").splitlines()[1:] if line]
    assert len(code) <= 15
    stand_ins = ["--sandbox", "--events", "8", "--latency-ms", "1"]
    command = [sys.executable, "-m", "quart_odds", "serve", "--bind", "127.0.0.1:0", *stand_ins]
    async with served(tmp_path / "server", None, command) as server, aiohttp.ClientSession() as session:
        await curl(server, "/api/scrape/stream")
        async with session.get(f"{server.url}/api/events?min_bookmakers=3&page_size=1") as response:
            [event] = (await response.json())["events"]
        async with running(python, str(example), server.url, str(event["id"])) as process:
            await until_equal(process, await main_prices(session, server, event["id"]))
    # Stand-ins whose prices move with every request, and not a few times an hour.
    async with (
        a_match(tmp_path / "moving") as (server, session, event_id),
        running(python, str(example), server.url, str(event_id)) as process,
    ):
        before = await until_equal(process, await main_prices(session, server, event_id))
        await until_equal(process, await refreshed(session, server, event_id, before))


@contextlib.asynccontextmanager
async def running(*command: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program for the duration of a block."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=1 << 20)
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


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
        assert '"lagosbets"' in json.dumps(schema["components"])
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
