"""Tests with databases that an older or a newer version made."""

import asyncio
import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, inspect, text

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, RunMode, ScrapePhase
from quart_odds.errors import StorageError
from quart_odds.odds import OddsService
from quart_odds.storage import database, migrate, open_store, revisions
from quart_odds.storage.database import Database
from quart_odds.storage.tables import metadata
from quart_odds.storage.writer_lock import FileLock
from tests.odds.making import KICKOFF, NOW, X1, header, mapped
from tests.storage.first_version import HOME, FirstQuote, make_first_version

WHOLE = [
    FirstQuote(1, 1, "betpawa", "p1", "68995116"),
    FirstQuote(2, 1, "sportybet", "s1", "68995116"),
    FirstQuote(3, 2, "bet9ja", "n1", None),
]


def copies(folder: Path) -> list[str]:
    """Return the names of the copies in the folder of the database."""
    return sorted(path.name for path in folder.iterdir() if ".before-" in path.name)


async def placed(database_url: str) -> dict[int, tuple[str, str | None, list[tuple[str, str | None]]]]:
    """Load the events, and return key, SportRadar id, and (external id, SportRadar id) of each bookmaker's odds."""
    store = await open_store(database_url)
    odds_service = OddsService(store, clock=lambda: NOW)
    await odds_service.load()
    found = {
        event.id: (
            event.key,
            event.sportradar_id,
            [(quote.header.external_id, quote.header.sportradar_id) for quote in event.odds.values()],
        )
        for event in odds_service.cache.events.values()
    }
    await odds_service.close()
    await store.aclose()
    return found


def test_the_names_of_the_scripts_tell_the_revisions() -> None:
    """They are what Alembic reads in the scripts, oldest first."""
    scripts = ScriptDirectory.from_config(revisions.alembic_config()).walk_revisions()
    assert revisions.known() == tuple(each.revision for each in scripts)[::-1]


async def test_a_database_of_the_first_version_is_upgraded_and_nothing_is_lost(database_url: str) -> None:
    """Events, odds, history, runs and key-value pairs are unchanged, and a scrape continues with the same ids."""
    await make_first_version(database_url, {1: "sr:68995116", 2: "bet9ja:n1"}, WHOLE)
    store = await open_store(database_url)
    odds_service = OddsService(store, clock=lambda: NOW)
    await odds_service.load()
    assert {event.id: event.key for event in odds_service.cache.events.values()} == {1: "sr:68995116", 2: "bet9ja:n1"}
    for quote_id in (1, 2, 3):
        quote = odds_service.cache.event_odds(quote_id)
        assert quote is not None
        assert list(quote.prices()) == list(mapped(odds=X1).prices)
        assert (quote.missed_at, quote.promotions) == (None, ())
        past = await store.price_history(quote_id, [HOME])
        assert [odds >> 1 for _, _, odds in past.changes] == [2500, 2501]
        assert past.opened_at == int(NOW.timestamp())
    assert [run.events_scraped for run in await store.list_runs(limit=9)] == [3]
    assert await store.get_value("scheduler_paused") == "yes"
    change = await odds_service.record(
        mapped(header(Platform.BETPAWA, "p1", "68995116"), X1), NOW + timedelta(minutes=9)
    )
    assert (change.event_id, change.odds_id, change.is_new) == (1, 1, False)
    assert (await odds_service.record(mapped(header(Platform.BETPAWA, "p9", "68995199")), NOW)).event_id == 3
    await odds_service.close()
    await store.aclose()


async def test_sportradar_ids_that_are_none_are_cleared_and_their_events_taken_apart(database_url: str) -> None:
    """Unrelated matches with the id "0" become separate events; one keeps the event's id. Short ids are cleared too."""
    quotes = [
        FirstQuote(1, 1, "sportybet", "s1", "0", home="Kano"),
        FirstQuote(2, 1, "bet9ja", "n1", "0", home="Lobi", kickoff=KICKOFF + timedelta(minutes=5)),
        FirstQuote(3, 2, "bet9ja", "n2", "545514"),
        FirstQuote(4, 3, "betpawa", "p1", "68995116"),
        FirstQuote(5, 4, "bet9ja", "n3", "0"),
    ]
    keys = {1: "sr:0", 2: "sr:545514", 3: "sr:68995116", 4: "bet9ja:n3"}
    await make_first_version(database_url, keys, quotes)
    assert await placed(database_url) == {
        1: ("sportybet:s1", None, [("s1", None)]),
        2: ("bet9ja:n2", None, [("n2", None)]),
        3: ("sr:68995116", "68995116", [("p1", "68995116")]),
        4: ("bet9ja:n3", None, [("n3", None)]),
        5: ("bet9ja:n1", None, [("n1", None)]),
    }
    store = await open_store(database_url)
    async with store.database.reading() as connection:
        rows = (await connection.execute(text("SELECT id, sportradar_id, home_team FROM events ORDER BY id"))).all()
    assert [tuple(row) for row in rows if row.id in (1, 5)] == [(1, None, "Kano"), (5, None, "Lobi")]
    past = await store.price_history(2, [HOME])
    assert [odds >> 1 for _, _, odds in past.changes] == [2500, 2501]
    await store.aclose()


async def test_ids_with_a_prefix_of_ones_are_stripped_and_their_events_joined(database_url: str) -> None:
    """Odds of one match that only a prefix kept apart are joined.

    Those with another kick-off stay separate, and keep their corrected SportRadar id.
    """
    late = KICKOFF + timedelta(hours=3)
    quotes = [
        FirstQuote(1, 1, "betpawa", "p1", "68995116"),
        FirstQuote(2, 2, "sportybet", "s1", "111111168995116"),
        FirstQuote(3, 3, "betpawa", "p2", "68995117"),
        FirstQuote(4, 4, "sportybet", "s2", "111111168995117", kickoff=late),
        FirstQuote(5, 5, "sportybet", "s3", "111111168995118"),
    ]
    keys = {quote.event_id: f"sr:{quote.sportradar_id}" for quote in quotes}
    await make_first_version(database_url, keys, quotes)
    assert await placed(database_url) == {
        1: ("sr:68995116", "68995116", [("p1", "68995116"), ("s1", "68995116")]),
        3: ("sr:68995117", "68995117", [("p2", "68995117")]),
        4: ("sportybet:s2", None, [("s2", "68995117")]),
        5: ("sr:68995118", "68995118", [("s3", "68995118")]),
    }


async def test_a_file_is_copied_before_its_tables_are_upgraded(tmp_path: Path) -> None:
    """The copy is the complete database before the upgrade, in one file.

    Later starts and new databases do not make another copy.
    """
    url = f"sqlite:///{tmp_path / 'odds.db'}"
    await make_first_version(url, {1: "sr:68995116", 2: "bet9ja:n1"}, WHOLE)
    assert await migrate(url) == Database(url).head
    assert copies(tmp_path) == [f"odds.db.before-{revisions.head()}"]
    with sqlite3.connect(tmp_path / f"odds.db.before-{revisions.head()}") as copy:
        assert copy.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
        assert copy.execute("SELECT COUNT(*) FROM odds_history").fetchall() == [(6,)]
    copy.close()
    await migrate(url)
    await migrate(f"sqlite:///{tmp_path / 'new.db'}")
    assert copies(tmp_path) == [f"odds.db.before-{revisions.head()}"]


async def test_a_copy_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    """The next copy gets a number."""
    (tmp_path / f"odds.db.before-{revisions.head()}").write_text("precious")
    url = f"sqlite:///{tmp_path / 'odds.db'}"
    await make_first_version(url, {1: "sr:68995116", 2: "bet9ja:n1"}, WHOLE)
    await migrate(url)
    assert copies(tmp_path) == [f"odds.db.before-{revisions.head()}", f"odds.db.before-{revisions.head()}-2"]
    assert (tmp_path / f"odds.db.before-{revisions.head()}").read_text() == "precious"


async def test_an_upgrade_is_refused_where_the_disk_lacks_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names both sizes, and the database is unchanged."""
    url = f"sqlite:///{tmp_path / 'odds.db'}"
    await make_first_version(url, {1: "sr:68995116", 2: "bet9ja:n1"}, WHOLE)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000))
    with pytest.raises(StorageError, match=r"takes 0\.\d MB, and only 0\.0 MB are free .*nothing was changed"):
        await open_store(url)
    monkeypatch.undo()
    assert copies(tmp_path) == []
    with sqlite3.connect(tmp_path / "odds.db") as file:
        assert file.execute("SELECT version_num FROM alembic_version").fetchall() == [("0001",)]
    file.close()


async def test_an_upgrade_that_fails_leaves_the_database_and_no_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgrade is done as a whole or not at all, and the next attempt starts from the beginning."""
    url = f"sqlite:///{tmp_path / 'odds.db'}"
    await make_first_version(url, {1: "sr:68995116", 2: "bet9ja:n1"}, WHOLE)
    upgrade = revisions.upgrade

    def broken(connection: object) -> str:
        upgrade(connection)  # type: ignore[arg-type]
        raise OSError("the plug was pulled")

    monkeypatch.setattr(revisions, "upgrade", broken)
    with pytest.raises(StorageError) as caught:
        await open_store(url)
    assert "the plug was pulled" in caught.value.for_operator
    monkeypatch.undo()
    assert copies(tmp_path) == []
    await migrate(url)
    assert copies(tmp_path) == [f"odds.db.before-{revisions.head()}"]


async def test_a_database_that_another_process_writes_to_is_not_upgraded(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The older process continues, and the error of the newer one says what to do."""
    monkeypatch.setattr(database, "MIGRATION_WAIT_SECONDS", 0.2)
    await make_first_version(database_url, {1: "sr:68995116", 2: "bet9ja:n1"}, WHOLE)
    older = Database(database_url)
    assert await older._writer_lock.take()
    with pytest.raises(StorageError, match="another process writes to it: stop that one first"):
        await open_store(database_url)
    await older.aclose()
    store = await open_store(database_url)
    await store.aclose()


async def test_two_starts_at_once_upgrade_once(database_url: str, tmp_path: Path) -> None:
    """The second start waits for the first, and only one copy is made."""
    await make_first_version(database_url, {1: "sr:68995116", 2: "bet9ja:n1"}, WHOLE)
    first, second = await asyncio.gather(migrate(database_url), migrate(database_url))
    assert first == second
    assert len(copies(tmp_path)) == database_url.startswith("sqlite")


async def test_a_database_of_a_newer_version_is_refused_and_left_as_it_is(database_url: str) -> None:
    """Both a start and `migrate` raise an error that names the revisions."""
    await migrate(database_url)
    newer = Database(database_url)
    async with newer.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    for attempt in (open_store, migrate):
        with pytest.raises(StorageError, match=r"newer version of Quart Odds .*revision 0999.*nothing was changed"):
            await attempt(database_url)
    async with newer.reading() as connection:
        assert (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar_one() == "0999"
    await newer.aclose()


async def test_an_upgrade_can_be_taken_back(database_url: str) -> None:
    """A downgrade restores the previous tables with their rows."""
    await make_first_version(database_url, {1: "sr:68995116", 2: "bet9ja:n1"}, WHOLE)
    await migrate(database_url)
    kept = Database(database_url)
    async with kept.writing() as connection:
        await connection.run_sync(lambda sync: command.downgrade(revisions.alembic_config(sync), "0001"))
        assert (await connection.execute(text("SELECT COUNT(*) FROM quotes"))).scalar_one() == 3
    await kept.aclose()
    assert await migrate(database_url) == revisions.head()


async def test_runs_from_before_the_modes_are_full(database_url: str) -> None:
    """Revision 0003 gives each run the mode full, and sweeps can be stored beside them."""
    await make_first_version(database_url, {1: "sr:68995116"}, WHOLE[:2])
    older = Database(database_url)
    async with older.writing() as connection:
        await connection.run_sync(lambda sync: command.upgrade(revisions.alembic_config(sync), "0002"))
    await older.aclose()
    assert await migrate(database_url) == revisions.head()
    store = await open_store(database_url)
    (run,) = await store.list_runs(limit=9, mode=None)
    assert (run.id, run.mode, run.events_scraped) == (1, RunMode.FULL, 3)
    sweep = await store.create_run(trigger="api", platforms=run.platforms, started_at=NOW, mode=RunMode.SWEEP)
    assert sweep == 2
    assert [each.id for each in await store.list_runs(limit=9)] == [1]
    assert await store.folded_hour(1) is None
    await store.aclose()


async def test_an_older_version_gets_no_sweeps(database_url: str) -> None:
    """A downgrade from revision 0003 removes sweeps, with all that belongs to them, and keeps full runs."""
    await make_first_version(database_url, {1: "sr:68995116"}, WHOLE[:2])
    store = await open_store(database_url)
    sweep = await store.create_run(trigger="api", platforms=list(Platform), started_at=NOW, mode=RunMode.SWEEP)
    await store.save_phases(sweep, [PhaseRecord(ScrapePhase.COMPLETED, NOW)])
    async with store.database.writing() as connection:
        await connection.run_sync(lambda sync: command.downgrade(revisions.alembic_config(sync), "0002"))
        assert (await connection.execute(text("SELECT id, status FROM runs"))).all() == [(1, "completed")]
        assert (await connection.execute(text("SELECT COUNT(*) FROM run_phases"))).scalar_one() == 0
    await store.aclose()
    store = await open_store(database_url)
    assert [(run.id, run.mode) for run in await store.list_runs(limit=9, mode=None)] == [(1, RunMode.FULL)]
    await store.aclose()


def described(connection: Connection) -> dict[str, object]:
    """Return what a database's tables are made of: columns, keys, indexes, and the rows that it has from the start."""
    found = inspect(connection)
    tables: dict[str, object] = {
        name: {
            "columns": {
                each["name"]: (str(each["type"]), each["nullable"], each["default"]) for each in found.get_columns(name)
            },
            "primary key": found.get_pk_constraint(name),
            "foreign keys": sorted(found.get_foreign_keys(name), key=repr),
            "unique": sorted(found.get_unique_constraints(name), key=repr),
            "indexes": sorted(found.get_indexes(name), key=repr),
            "sql": _sqlite_words(connection, name),
        }
        for name in found.get_table_names()
    }
    rows = {name: connection.execute(text(f"SELECT * FROM {name}")).all() for name in ("writer", "alembic_version")}
    sequences = [] if connection.dialect.name == "sqlite" else sorted(found.get_sequence_names())
    return {**tables, "rows": rows, "sequences": sequences}


def _sqlite_words(connection: Connection, table: str) -> list[bool]:
    if connection.dialect.name != "sqlite":
        return []
    sql = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = :name"), {"name": table}).scalar_one()
    return [word in sql for word in ("WITHOUT ROWID", "AUTOINCREMENT")]


async def test_new_tables_are_those_that_all_upgrades_make(database_url: str) -> None:
    """A new database is created from the tables in the code, and does not differ from one of the first version."""
    await migrate(database_url)
    database = Database(database_url)
    async with database.writing() as connection:
        new = await connection.run_sync(described)
        await connection.run_sync(_drop_all)
    await make_first_version(database_url, {}, [])
    await migrate(database_url)
    async with database.writing() as connection:
        upgraded = await connection.run_sync(described)
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": False}), metadata)
        )
    await database.aclose()
    assert new == upgraded
    assert differences == []


def _drop_all(connection: Connection) -> None:
    found = MetaData()
    found.reflect(connection)
    found.drop_all(connection)


async def test_the_lock_of_an_upgrade_is_given_back(tmp_path: Path) -> None:
    """After an upgrade, another process can take the writer lock."""
    url = f"sqlite:///{tmp_path / 'odds.db'}"
    await make_first_version(url, {1: "sr:68995116", 2: "bet9ja:n1"}, WHOLE)
    await migrate(url)
    claim = FileLock(tmp_path / "odds.db")
    assert await claim.take()
    await claim.release()
