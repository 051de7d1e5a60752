"""Makes a database of the first version: the first migration, and rows as that version wrote them, in plain SQL."""

from dataclasses import dataclass
from datetime import datetime

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from quart_odds.domain.clock import to_micros
from quart_odds.storage.database import Database
from quart_odds.storage.packing import PackedPrices, pack
from quart_odds.storage.revisions import MIGRATIONS
from tests.odds.making import KICKOFF, NOW, X1, key, mapped

HOME = key("1x2_ft", "1")


@dataclass(frozen=True)
class FirstQuote:
    """A row of `quotes` in the first version. `external_id` is the bookmaker's id of the event."""

    id: int
    event_id: int
    platform: str
    external_id: str
    sportradar_id: str | None
    home: str = "Arsenal"
    kickoff: datetime = KICKOFF


async def make_first_version(
    database_url: str, events: dict[int, str], quotes: list[FirstQuote], history_rows: int = 2
) -> None:
    """Create a database at the first revision.

    `events` maps event ids to keys. Each row of `quotes` gets the same prices, and `history_rows` changes of the home
    price.
    """
    database = Database(database_url)
    try:
        async with database.writing() as connection:
            await connection.run_sync(_first_tables)
            await connection.run_sync(_fill, events, quotes, history_rows)
    finally:
        await database.aclose()


def _first_tables(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "0001")


def _fill(connection: Connection, events: dict[int, str], quotes: list[FirstQuote], history_rows: int) -> None:
    now = to_micros(NOW)
    prices = mapped(odds=X1).prices
    second = int(NOW.timestamp())
    for platform in sorted({quote.platform for quote in quotes}):
        connection.execute(
            text("INSERT INTO competitions VALUES (:id, :platform, '17', 'Premier League', 'England')"),
            {"id": len(platform), "platform": platform},
        )
    for event_id, event_key in events.items():
        leading = next(quote for quote in quotes if quote.event_id == event_id)
        connection.execute(
            text(
                "INSERT INTO events (id, key, sportradar_id, home_team, away_team, kickoff, created_at, changed_at)"
                " VALUES (:id, :key, :claim, :home, 'Chelsea', :kickoff, :now, :now)"
            ),
            {
                "id": event_id,
                "key": event_key,
                "claim": event_key.removeprefix("sr:") if event_key.startswith("sr:") else None,
                "home": leading.home,
                "kickoff": to_micros(leading.kickoff),
                "now": now,
            },
        )
    for quote in quotes:
        connection.execute(
            text(
                "INSERT INTO quotes (id, event_id, platform, external_id, sportradar_id, home_team, away_team, kickoff,"
                " competition_id, first_seen_at, seen_at, gone_at) VALUES (:id, :event_id, :platform, :external_id,"
                " :claim, :home, 'Chelsea', :kickoff, :competition_id, :now, :now, NULL)"
            ),
            {
                "id": quote.id,
                "event_id": quote.event_id,
                "platform": quote.platform,
                "external_id": quote.external_id,
                "claim": quote.sportradar_id,
                "home": quote.home,
                "kickoff": to_micros(quote.kickoff),
                "competition_id": len(quote.platform),
                "now": now,
            },
        )
        packed = PackedPrices(prices.keys, prices.values, type(prices.keys)("I", [second] * len(prices)), {})
        connection.execute(text("INSERT INTO quote_prices VALUES (:id, :body)"), {"id": quote.id, "body": pack(packed)})
        connection.execute(
            text("INSERT INTO quote_openings VALUES (:id, :at, :body)"),
            {"id": quote.id, "at": second, "body": pack(packed)},
        )
        for number in range(history_rows):
            connection.execute(
                text("INSERT INTO odds_history VALUES (:at, :key, :odds)"),
                {"at": quote.id << 32 | second + 60 * (number + 1), "key": HOME, "odds": (2500 + number) << 1 | 1},
            )
    connection.execute(
        text(
            'INSERT INTO runs (status, "trigger", platforms, started_at, completed_at, events_scraped, events_failed)'
            " VALUES ('completed', 'api', 'betpawa', :now, :now, 3, 0)"
        ),
        {"now": now},
    )
    connection.execute(text("INSERT INTO notes VALUES ('scheduler_paused', 'yes')"))
