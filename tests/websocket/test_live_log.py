"""The topic `odds` in a running app: what a scrape puts on the log, and what it costs while nobody listens."""

from pathlib import Path

from quart_odds.broadcast import ODDS
from quart_odds.websocket.odds_images import OddsImages
from tests.apps import running_app, running_sandbox


async def test_a_first_scrape_that_nobody_listens_to_renders_no_json(tmp_path: Path) -> None:
    """Its changes are on the log all the same, packed, and within the bounds of the log."""
    with running_sandbox("--events", "24", "--markets", "40") as sandbox:
        async with running_app(tmp_path, sandbox.url) as app:
            await app.scrape()
            log, images = app.parts.registry.log, app.parts.registry.open_image
            contents = [entry for entry in log.read(1, log.next_seq) if entry.topic == ODDS]
            prices = sum(
                odds.price_count
                for event in app.parts.odds_service.cache.events.values()
                for odds in event.odds.values()
            )
            assert len([each for each in contents if each.name == "odds_change"]) >= 60
            assert log.rendered.count == 0
            assert isinstance(images, OddsImages)
            assert images.rendered == 0
            assert log.size_bytes <= log.bounds.most_bytes
            assert sum(each.size_bytes for each in contents) < 12 * prices + 2000 * len(contents)
