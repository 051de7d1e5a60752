"""Why did this client not get that message? `/api/hub/explain` answers from what the hub knows anyway."""

from quart import Blueprint, Response
from quart_schema import document_response

from quart_odds.broadcast import EventLog
from quart_odds.broadcast.connections import Connection, connection_of
from quart_odds.broadcast.event_log import split_cursor
from quart_odds.broadcast.explanation import Verdict
from quart_odds.broadcast.explanation import explain as judged
from quart_odds.domain.processes import ProcessReport
from quart_odds.routes.access.forwarding import asked_of_writer
from quart_odds.routes.access.problems import Problem, bad_request
from quart_odds.routes.api.openapi import answers_problems
from quart_odds.routes.api.processes import cluster_report
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.api.schemas.hub import ExplainQuery, Explanation
from quart_odds.routes.api.scrape import json_response
from quart_odds.routes.operations.hub_metrics import all_flushers
from quart_odds.services import Services, services
from quart_odds.websocket.odds_filter import OddsFilter

OTHER_LOG = Verdict("unknown", "the cursor is not of the log that the connection reads")
NO_LOG = Verdict("unknown", "the log that the connection read is no longer in memory")

blueprint = Blueprint("explain", __name__)


@blueprint.get("/api/hub/explain")
@takes_query(ExplainQuery)
@document_response(Explanation)
@answers_problems(404)
async def explain(query: ExplainQuery) -> Response:
    """Describe a live connection, or one that ended within the last 15 minutes, and what became of a message there.

    A connection of another process is described by the writer if it is the writer's; otherwise the 404 names the
    process.
    """
    parts = services()
    if query.seq is not None and query.cursor is not None:
        raise bad_request("Name one message.", ("seq", "give cursor or seq, not both"))
    place = None if query.cursor is None else split_cursor(query.cursor)
    if query.cursor is not None and place is None:
        raise bad_request("This is not a cursor.", ("cursor", f"{query.cursor[:80]!r} is not of the form 5f0c…-17"))
    number = parts.registry.figures.number_of(query.connection)
    if number is None:
        return await _elsewhere(parts, query.connection)
    connection = _find(parts, number)
    if connection is None:
        raise Problem(
            404,
            "No such connection",
            f"{query.connection[:80]} is not open, and did not end within the last 15 minutes, or too many others have "
            "ended since.",
        )
    message = None
    if place is not None:
        message = _fate(parts, connection, place[1], epoch=place[0])
    elif query.seq is not None:
        message = _fate(parts, connection, query.seq, epoch=connection.epoch)
    return json_response({**_described(parts, connection), "message": message})


async def _elsewhere(parts: Services, connection_id: str) -> Response:
    """Return the writer's answer for a connection of its own. Raises the 404 for any other."""
    owner = _owner(parts, connection_id.rpartition("-")[0])
    if owner is None:
        raise Problem(404, "No such connection", f"{connection_id[:80]!r} is no connection of a process that is known.")
    if owner.name == parts.store.writer_row.holder and (answer := await asked_of_writer()) is not None:
        return answer
    named = owner.name if owner.worker is None else f"worker {owner.worker} ({owner.name})"
    raise Problem(
        404,
        "A connection of another process",
        f"{connection_id[:80]} is a connection of {named}: ask that process. Of several workers on one port, any may "
        "answer, so ask again.",
        extra={"process": {"name": owner.name, "worker": owner.worker}},
    )


def _owner(parts: Services, prefix: str) -> ProcessReport | None:
    cluster = cluster_report(parts)
    if cluster is None or not prefix:
        return None
    return next((each for each in cluster.processes if each.connection_prefix == prefix), None)


def _find(parts: Services, number: int) -> Connection | None:
    for flusher in all_flushers(parts):
        for each in flusher.subscribers:
            if each.number == number:
                return connection_of(each, parts.registry.figures.now())
    return parts.registry.figures.ended_connection(number)


def _log_of(parts: Services, connection: Connection) -> EventLog | None:
    """Return the log that a connection reads or has read; None if it is gone."""
    if "-" not in connection.epoch:
        # The log of the hub has no name, whatever its epoch.
        return parts.registry.log
    logs = [each.log for each in parts.runs.broadcasters]
    return next((each for each in logs if each.epoch == connection.epoch), None)


def _fate(parts: Services, connection: Connection, seq: int, *, epoch: str) -> dict[str, object]:
    log = _log_of(parts, connection)
    known = NO_LOG if log is None else judged(connection, log, seq)
    verdict = known if epoch == connection.epoch else OTHER_LOG
    return {"seq": seq, "result": verdict.result, "by": verdict.by, "reason": verdict.reason}


def _described(parts: Services, connection: Connection) -> dict[str, object]:
    wanted, now = connection.wanted, parts.registry.figures.now()
    log = _log_of(parts, connection)
    is_behind = connection.state not in ("waiting", "ended") and log is not None
    return {
        "connection_id": parts.registry.figures.id_of(connection.number),
        "process": {"name": parts.store.holder, "worker": parts.worker},
        "transport": connection.transport,
        "lane": connection.lane,
        "scrape_run_id": _run_of(connection),
        "topics": sorted(wanted.topics or ()),
        "filter": wanted.filter.as_json() if isinstance(wanted.filter, OddsFilter) else None,
        "cursor": connection.position,
        "state": connection.state,
        "ending": connection.ending,
        "age_seconds": round(connection.at - connection.began_at, 3),
        "ended_seconds_ago": None if connection.ending is None else round(now - connection.at, 3),
        "lag_entries": max(0, log.next_seq - connection.cursor) if is_behind and log is not None else 0,
        "lag_seconds": round(log.seconds_since(connection.cursor), 3) if is_behind and log is not None else 0.0,
        "stalled_seconds": None if connection.stalled_since is None else round(now - connection.stalled_since, 3),
        "untaken_bytes": connection.untaken_bytes,
    }


def _run_of(connection: Connection) -> int | None:
    """Return the run whose own stream this is; None for the hub."""
    name, _, rest = connection.epoch.partition("-")
    return int(name[1:]) if rest and name.startswith("r") else None
