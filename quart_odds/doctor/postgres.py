"""Checks of a PostgreSQL database, in transactions that only read."""

import importlib.util
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from quart_odds.doctor.causes import ADVICE, Stage, advice_for, certificate_fault, stage_of
from quart_odds.doctor.clock import ClockReading, reading
from quart_odds.doctor.findings import Finding, failed, ok, warning
from quart_odds.doctor.tables import Tables, read_tables, revision_finding
from quart_odds.domain.clock import utc_now
from quart_odds.errors import StorageError
from quart_odds.storage.database_errors import shown, translated
from quart_odds.storage.engines import READERS, async_url, dispose, postgres_engine
from quart_odds.storage.pooler import refuse_pooler

SETTING = "QUART_ODDS_DATABASE_URL"
CONNECTIONS = READERS + 2
"""How many connections each process opens."""
SLOW_MS = 50.0
"""The writer renews its lease each second, and confirms it in every transaction."""

_SERVER = text(
    "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS is_replica,"
    " current_setting('transaction_read_only') = 'on' AS reads_only,"
    " current_setting('max_connections')::int AS most,"
    " (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS used,"
    " coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,"
    # Of several privileges in one text, any one would do.
    " (SELECT bool_and(has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')"
    "  AND has_table_privilege(c.oid, 'DELETE') AND has_table_privilege(c.oid, 'SELECT')) FROM pg_class c"
    "  WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace) AS may_write,"
    " pg_database_size(current_database()) AS bytes"
)
_CODES = {
    "28P01": f"check the user and the password in {SETTING}",
    "28000": f"check the user in {SETTING}, and pg_hba.conf of the server",
    "3D000": f"make the database (createdb), or check its name in {SETTING}",
    "53300": "raise max_connections of the server, or close what uses its connections",
    "57P03": "wait until the server has started",
}
"""What to do, by the code of PostgreSQL's error."""


async def postgres(database_url: str, tell_clock: Callable[[ClockReading], object]) -> list[Finding]:
    """Return what was found about a PostgreSQL database. Its clock is told to `tell_clock`."""
    if importlib.util.find_spec("asyncpg") is None:
        return [failed("database", "PostgreSQL needs the extra postgres", "pip install 'quart-odds[postgres]'")]
    url = async_url(database_url)
    try:
        engine = postgres_engine(url)
        try:
            with translated(url):
                await refuse_pooler(engine)
                server, tables, latency_ms = await _look(engine, tell_clock)
        finally:
            await dispose(engine)
    except TypeError as error:
        detail = f"{shown(url)}: its URL has an argument that the driver does not know ({error})"
        return [failed("database", detail, f"remove it from {SETTING}")]
    except StorageError as error:
        return [_unreachable(error)]
    return list(_findings(shown(url), server, tables, latency_ms))


async def _look(engine: AsyncEngine, tell_clock: Callable[[ClockReading], object]) -> tuple[Row[Any], Tables, float]:
    async with engine.connect() as connection:
        server = (await connection.execute(_SERVER)).one()
        asked_at, began = utc_now(), perf_counter()
        told = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
        latency_ms = (perf_counter() - began) * 1000
        tell_clock(reading("the database", told, asked_at, utc_now()))
        return server, await connection.run_sync(read_tables), latency_ms


def _unreachable(error: StorageError) -> Finding:
    cause = error.__cause__ or error
    code = getattr(getattr(cause, "orig", None) or cause, "sqlstate", None)
    stage = stage_of(cause)
    fault = certificate_fault(cause)
    detail = f"{error.for_operator} ({fault})" if fault else error.for_operator
    advice = _CODES.get(str(code)) or (ADVICE[Stage.ANSWER] if stage is None else advice_for(stage, SETTING))
    facts = {"stage": None if stage is None else stage.value, "code": code}
    return failed("database", detail, advice.format(setting=SETTING), **facts)


def _findings(name: str, server: Row[Any], tables: Tables, latency_ms: float) -> Iterator[Finding]:
    facts = {
        "version": server.version,
        "latency_ms": round(latency_ms, 2),
        "bytes": server.bytes,
        "apprise_targets": tables.apprise_targets,
    }
    detail = f"{name}: PostgreSQL {server.version}, {server.bytes / 1e6:.1f} MB, answers in {latency_ms:.1f} ms"
    if latency_ms > SLOW_MS:
        yield warning("database", detail, "use a server that is nearer, or less busy", **facts)
    else:
        yield ok("database", detail, **facts)
    yield revision_finding(tables)
    yield _writable(server, tables)
    yield _connections(server)


def _writable(server: Row[Any], tables: Tables) -> Finding:
    check = "database.writable"
    if server.is_replica or server.reads_only:
        what = "a replica" if server.is_replica else "set to read only"
        return failed(check, f"the server is {what}, and accepts no writes", f"name the primary in {SETTING}")
    if tables.revision is not None and server.may_write is False:
        return failed(check, "this user may not write all tables", f"GRANT it what it needs, or change {SETTING}")
    if tables.revision is None and not server.may_create:
        return failed(check, "this user may not make tables", "GRANT CREATE ON SCHEMA … TO the user")
    return ok(check, "this user may write; the server's disk cannot be seen from here")


def _connections(server: Row[Any]) -> Finding:
    check = "database.connections"
    free = server.most - server.used
    detail = f"{server.used} of {server.most} in use; each process needs {CONNECTIONS}"
    if free < CONNECTIONS:
        return warning(check, detail, "raise max_connections of the server", used=server.used, most=server.most)
    return ok(check, detail, used=server.used, most=server.most)
