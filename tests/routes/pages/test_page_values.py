"""The content of pages, without a browser: rows and best prices, plots, texts, and the size of the static files."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from quart_odds.domain.catalogue import CATALOGUE, pack_key
from quart_odds.domain.odds import Competition, EventHeader, MappedEvent, Prices, pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunRecord, RunStatus
from quart_odds.odds.cache import OddsCache
from quart_odds.routes.pages.assets import asset_folder
from quart_odds.routes.pages.odds import Row, event_row, market_groups, odds_text
from quart_odds.routes.pages.rows import EventRows
from quart_odds.routes.pages.run import ADVICE, advice, stored_view
from quart_odds.routes.pages.runs import run_bars
from quart_odds.routes.pages.shell import duration, static_files, trigger_words, within
from tests.apps import running_app
from tests.platforms import FIRST_THREE

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)
ONE_X_TWO = CATALOGUE.by_slug["1x2_ft"]
MOST_BYTES = 100_000


def row(*offers: tuple[Platform, tuple[float, ...], tuple[bool, ...]]) -> Row:
    """Return the row of one match at which these bookmakers offer 1X2."""
    cache = OddsCache()
    for platform, odds, are_active in offers:
        header = EventHeader(platform, "1", "77", "Home", "Away", NOW, Competition("9", "Cup", "Nigeria"))
        pairs = [
            (pack_key(ONE_X_TWO.number, index, None), pack_value(price, is_active))
            for index, (price, is_active) in enumerate(zip(odds, are_active, strict=True))
        ]
        cache.apply(MappedEvent(header, Prices.from_pairs(pairs), mapped_markets=1), NOW)
    return event_row(cache.by_kickoff()[0], ONE_X_TWO, None, FIRST_THREE)


ALL = (True, True, True)


def test_best_price_of_each_outcome_is_marked_at_everyone_who_has_it() -> None:
    """Equal prices are both best, and the best prices have a combined margin."""
    made = row((Platform.BETPAWA, (2.0, 3.5, 4.0), ALL), (Platform.BET9JA, (2.0, 3.4, 4.2), ALL))
    betpawa, sportybet, bet9ja = made.cells
    assert [price.is_best for price in betpawa.prices] == [True, True, False]
    assert [price.is_best for price in bet9ja.prices] == [True, False, True]
    assert sportybet.state == "absent"
    assert betpawa.margin == pytest.approx(3.57)
    assert made.best_margin == pytest.approx(2.38)


def test_price_that_nobody_else_offers_is_not_the_best() -> None:
    """A single price is not marked as best, and there is no comparison."""
    made = row((Platform.SPORTYBET, (2.0, 3.5, 4.0), ALL))
    assert not any(price.is_best for price in made.cells[1].prices)
    assert made.best_margin is None


def test_suspended_price_is_never_the_best_and_ends_the_margin() -> None:
    """A suspended price does not count."""
    made = row(
        (Platform.BETPAWA, (9.0, 3.5, 4.0), (False, True, True)),
        (Platform.SPORTYBET, (2.0, 3.5, 4.0), ALL),
        (Platform.BET9JA, (1.9, 3.4, 4.1), ALL),
    )
    assert made.cells[0].prices[0].state == "suspended"
    assert not made.cells[0].prices[0].is_best
    assert made.cells[0].margin is None
    assert made.cells[1].prices[0].is_best


def test_price_that_left_is_shown_gone() -> None:
    """A price that was in the last fetch and is missing from this one stays, struck through."""
    cache = OddsCache()
    header = EventHeader(Platform.BETPAWA, "1", "77", "Home", "Away", NOW, Competition("9", "Cup", "Nigeria"))
    keys = [pack_key(ONE_X_TWO.number, index, None) for index in range(3)]
    for kept in (keys, keys[:2]):
        prices = Prices.from_pairs((key, pack_value(2.5, is_active=True)) for key in kept)
        cache.apply(MappedEvent(header, prices, mapped_markets=1), NOW)
    cell = event_row(cache.by_kickoff()[0], ONE_X_TWO, None).cells[0]
    assert [price.state for price in cell.prices] == ["active", "active", "gone"]
    [(group, [table])] = market_groups(cache.by_kickoff()[0])
    assert group == "Main"
    assert [name for name, _ in table.lines[0].outcomes] == ["1", "X", "2"]


@pytest.mark.parametrize(
    ("thousandths", "text"), [(2410, "2.41"), (1015, "1.015"), (100_000, "100.00"), (1001, "1.001"), (0, "0.00")]
)
def test_odds_have_two_decimals_and_a_third_only_where_there_is_one(thousandths: int, text: str) -> None:
    """No rounding makes two different prices look the same."""
    assert odds_text(thousandths) == text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "–"), (0, "0.0 s"), (4240, "4.2 s"), (125_000, "2 min 05 s"), (3_720_000, "1 h 02 min")],
)
def test_durations_are_words(milliseconds: int | None, text: str) -> None:
    """Durations are as short as possible."""
    assert duration(milliseconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (3.2, "4 s"), (119, "119 s"), (119.5, "2 min"), (300, "5 min"), (7200, "2 h"), (100_000, "28 h")],
)
def test_a_duration_that_is_not_exceeded_is_rounded_up(seconds: float, text: str) -> None:
    """So "half within 4 s" is never untrue."""
    assert within(seconds) == text


def test_prices_get_old_without_a_change_and_are_fresh_when_seen_again() -> None:
    """Only those of the bookmaker that has not been asked, and never prices that are gone."""
    cache, now = OddsCache(), NOW
    for platform in (Platform.BETPAWA, Platform.SPORTYBET):
        header = EventHeader(
            platform, "1", "77", "Home", "Away", NOW + timedelta(hours=9), Competition("9", "Cup", "Nigeria")
        )
        prices = Prices.from_pairs((pack_key(ONE_X_TWO.number, index, None), pack_value(2.5, True)) for index in (0, 1))
        cache.apply(MappedEvent(header, prices, mapped_markets=1), NOW)
    rows = EventRows(stale_after=timedelta(minutes=5), clock=lambda: now)

    def old() -> list[str]:
        (html,) = rows.html(cache.by_kickoff(), ONE_X_TWO, None)
        assert html.count('class="old"') == 2
        cells = html.split('role="cell" class="g ')[1:]
        assert all((" stale" in cell.partition('"')[0]) != (' ago." hidden' in cell) for cell in cells[:2])
        return [cell.split()[0] for cell in cells if " stale" in cell.partition('"')[0]]

    assert old() == []
    now = NOW + timedelta(minutes=5)
    assert old() == []
    now += timedelta(milliseconds=1)
    assert old() == ["betpawa", "sportybet"]
    cache.apply(MappedEvent(header, prices, is_partial=True), now)
    assert old() == ["betpawa"]
    now = NOW
    assert old() == []
    cache.mark_missing(Platform.BETPAWA, {}, now)
    (html,) = rows.html(cache.by_kickoff(), ONE_X_TWO, None)
    assert html.count('class="old"') == 1


def record(number: int, seconds: float | None, status: RunStatus = RunStatus.COMPLETED) -> RunRecord:
    """Return a run of this duration, None for an active one."""
    end = None if seconds is None else NOW + timedelta(seconds=seconds)
    return RunRecord(number, status, "page", tuple(Platform), NOW, end)


def test_bars_go_from_the_oldest_to_the_newest_by_duration() -> None:
    """The longest bar has the height of the plot; an active run has no bar; a single bar makes no plot."""
    plot = run_bars([record(3, None, RunStatus.RUNNING), record(2, 20), record(1, 10)])
    assert plot is not None
    assert [bar.record.id for bar in plot.bars] == [1, 2]
    assert [bar.height for bar in plot.bars] == [plot.height / 2, plot.height]
    assert plot.top_ms == 20_000
    assert run_bars([record(1, 10)]) is None


def test_run_without_any_result_has_a_view() -> None:
    """A run that failed before anything was found still has its lanes, its log and its result."""
    view = stored_view(record(5, 3, RunStatus.FAILED), [])
    assert (view["status"], view["is_over"], view["can_retry"]) == ("failed", True, True)
    assert len(view["platforms"]) == len(Platform)  # type: ignore[arg-type]


def test_triggers_and_errors_have_words() -> None:
    """Each name of a run's trigger or an error has a sentence for a person."""
    assert trigger_words("retry:4") == "a retry of run 4"
    assert trigger_words("something new") == "something new"
    assert all(sentence.endswith((".", "?")) for sentence in ADVICE.values())
    assert advice("something new").endswith(".")


def test_script_and_style_are_light() -> None:
    """All of them together, as browsers get them and not compressed, are within the budget."""
    loaded = [file for name, file in static_files().files.items() if name.endswith((".js", ".css"))]
    assert sum(len(file.content) for file in loaded) <= MOST_BYTES


def test_pages_load_scripts_without_comments_and_others_with_them() -> None:
    """What pages load has no comments and no indentation. A developer who reads `/static/live.js` has both."""
    kept = static_files().files
    assert "/**" in (asset_folder("static") / "live.js").read_text()
    for name in ("live.js", "style.css"):
        text = kept[name].content.decode()
        assert not re.search(r"^\s|/\*|^//", text, re.MULTILINE), name


async def test_declarations_are_text_at_both_addresses(tmp_path: Path) -> None:
    """Elsewhere, `.ts` is a video."""
    async with running_app(tmp_path, "http://127.0.0.1:9") as running:
        for name, kind in (("live.d.ts", "text/plain"), ("live.js", "text/javascript")):
            for address in (f"/static/{name}", f"/assets/{static_files().version}/{name}"):
                answer = await running.client.get(address)
                assert (answer.status_code, answer.content_type) == (200, f"{kind}; charset=utf-8"), address


def test_static_files_are_all_there_under_one_version() -> None:
    """Modules import each other by relative address, so one version covers them all."""
    kept = static_files()
    assert {"live.js", "page.js", "style.css", "icon.svg"} <= kept.files.keys()
    assert kept.files["live.js"].content_type == "text/javascript; charset=utf-8"
    assert len(kept.version) == 16
