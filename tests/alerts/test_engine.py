"""The engine: what fires is stored with what is to be delivered, also across errors, restarts and terms."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from quart_odds.alerts import engine as module
from quart_odds.alerts import matching, rule_book, service
from quart_odds.alerts.engine import AlertEngine
from quart_odds.alerts.rule_book import RuleBook
from quart_odds.alerts.rules import offered_spec
from quart_odds.alerts.service import AlertTargets, Senders
from quart_odds.alerts.values import NewAlert, StoredAlert, TargetKind
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunRecord, RunStatus
from quart_odds.errors import AlertInputError, AlertItemNotFoundError, StorageError
from quart_odds.odds import OddsCache
from quart_odds.odds.operations import Recorded, carry_out
from quart_odds.odds.opportunities import OpportunityEngine
from quart_odds.storage import Store, open_store
from quart_odds.storage.tables import alert_states
from tests.alerts.conftest import on_both
from tests.alerts.making import NOW, Clock, alert, keys
from tests.odds.making import STALE_AFTER, X1, header, key, mapped

HOME = key("1x2_ft", "1")
PRICE = {"kind": "price", "event_id": 1, "market": "1x2_ft", "outcome": "1", "over": 2.5}


class Writing:
    """An engine at a process that writes, with a cache that the test fills."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.cache = OddsCache()
        self.clock = Clock()
        self.told: list[tuple[int, str]] = []
        self.queued = 0
        self.engine = AlertEngine(
            store, self.cache, term=lambda: store.term, on_fired=self.fired, on_queued=self.woken, now=self.clock
        )
        self.rules = RuleBook(store, on_changed=self.load, now=self.clock)

    async def load(self) -> None:
        """Let the engine read the rules."""
        await self.engine.load(self.store.term)

    def fired(self, alert_id: int, title: str, text: str, data: Mapping[str, object], at: datetime) -> None:
        """Note what goes to the topic."""
        self.told.append((alert_id, title))

    def woken(self) -> None:
        """Note that the queue was woken."""
        self.queued += 1

    def price(self, odds: float) -> None:
        """Let the home side of event 1 have this price at BetPawa."""
        self.clock.forward(1)
        operation = Recorded(mapped(header(), {**X1, HOME: odds}), self.clock.now, self.clock.now)
        for change in carry_out(self.cache, operation):
            self.engine.observe(change)

    async def alerts(self, count: int) -> list[StoredAlert]:
        """Wait until that many alerts are stored, and return them, newest first."""
        async with asyncio.timeout(30):
            while len(found := await self.store.list_alerts(limit=100)) < count:
                await asyncio.sleep(0.005)
        return found

    async def settled(self) -> None:
        """Wait until everything that was noted is stored."""
        async with asyncio.timeout(30):
            while self.engine._fired or self.engine._states or self.engine._matcher.crossings.changed:
                await asyncio.sleep(0.005)


@contextlib.asynccontextmanager
async def writing(store: Store) -> AsyncIterator[Writing]:
    """Run an engine at a store, in a term of its own."""
    assert await store.take_writer_lock()
    opened = Writing(store)
    await opened.load()
    opened.engine.open()
    try:
        yield opened
    finally:
        await opened.engine.close()


async def add_rule(opened: Writing, spec: Mapping[str, object], *target_ids: int, cooldown_seconds: int = 0) -> int:
    """Add a rule and return its id. Its event need not be in the database."""
    stored = opened.store.load_event
    opened.store.load_event = _there  # type: ignore[assignment]
    try:
        rule = await opened.rules.add("mine", offered_spec(spec), target_ids, cooldown_seconds=cooldown_seconds)
    finally:
        opened.store.load_event = stored  # type: ignore[method-assign]
    return rule.id


async def _there(_: int) -> Any:
    return object()


async def state_rows(store: Store) -> list[tuple[str, bool]]:
    """Return the stored states."""
    async with store.database.reading() as connection:
        rows = await connection.execute(select(alert_states.c.subject, alert_states.c.is_armed))
        return sorted((row.subject, row.is_armed) for row in rows)


@on_both
async def test_what_fires_is_stored_told_and_queued(store: Store) -> None:
    """For each target of the rule there is a delivery."""
    async with writing(store) as opened:
        one, two = [
            await store.add_alert_target(TargetKind.WEBHOOK, name, "https://x.example", "s", NOW) for name in "ab"
        ]
        rule_id = await add_rule(opened, PRICE, two.id, one.id)
        opened.price(2.4)
        opened.price(2.6)
        (fired,) = await opened.alerts(1)
        await opened.settled()
    assert (fired.rule_id, fired.rule_name, fired.kind, fired.fired_at) == (rule_id, "mine", "price", opened.clock.now)
    assert fired.data.items() >= {"event_id": 1, "odds": 2.6, "rule_id": rule_id}.items()
    assert [(each.target_name, each.state, each.next_at) for each in fired.deliveries] == [
        ("a", "waiting", fired.fired_at),
        ("b", "waiting", fired.fired_at),
    ]
    assert opened.told == [(fired.id, "Arsenal - Chelsea: 2.60 is over 2.5")]
    assert opened.queued == 1
    assert await state_rows(store) == [(f"1:{HOME}:betpawa", False)]


@on_both
async def test_a_crossing_fires_once_across_a_restart(database_url: str) -> None:
    """The state survives: the price is still beyond, and nothing fires before it went back."""
    store = await open_store(database_url)
    async with writing(store) as opened:
        await add_rule(opened, PRICE)
        opened.price(2.6)
        await opened.alerts(1)
    await store.aclose()
    again = await open_store(database_url)
    async with writing(again) as opened:
        for odds in (2.6, 2.7, 2.3):
            opened.price(odds)
        await opened.settled()
        assert len(await again.list_alerts(limit=9)) == 1
        opened.price(2.8)
        await opened.alerts(2)
    await again.aclose()


async def test_a_crossing_that_was_not_stored_fires_after_the_restart(database_url: str) -> None:
    """A process that dies after it took the price leaves the rule armed, and the next one looks at the prices."""
    store = await open_store(database_url)
    assert await store.take_writer_lock()
    dying = Writing(store)
    await add_rule(dying, PRICE)
    dying.price(2.6)
    await store.aclose()
    again = await open_store(database_url)
    assert await again.take_writer_lock()
    opened = Writing(again)
    opened.price(2.6)
    assert opened.engine._fired == []
    await opened.load()
    opened.engine.open()
    await opened.alerts(1)
    await opened.engine.close()
    await again.aclose()


async def test_a_stop_in_the_middle_of_a_commit_stores_nothing_twice(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit comes to its end, and what fires meanwhile is stored as well."""
    add_alerts = store.add_alerts
    is_committed, go_on = asyncio.Event(), asyncio.Event()

    async def add_slowly(fired: Sequence[NewAlert], *more: Any) -> list[int | None]:
        ids = await add_alerts(fired, *more)
        if fired:
            is_committed.set()
            await go_on.wait()
        return ids

    monkeypatch.setattr(store, "add_alerts", add_slowly)
    async with writing(store) as opened:
        await add_rule(opened, PRICE)
        opened.price(2.6)
        await is_committed.wait()
        opened.price(2.3)
        opened.price(2.7)
        asyncio.get_running_loop().call_soon(go_on.set)
    stored = await store.list_alerts(limit=100)
    assert [each.data["odds"] for each in stored] == [2.7, 2.6]
    assert [alert_id for alert_id, _ in opened.told] == [each.id for each in reversed(stored)]


async def test_a_rule_fires_for_the_price_that_is_there(store: Store) -> None:
    """When it is added, and again when its threshold is changed. It does not if only its name is."""
    async with writing(store) as opened:
        opened.price(2.6)
        rule_id = await add_rule(opened, PRICE)
        await opened.alerts(1)
        await opened.rules.change(rule_id, name="other")
        await opened.settled()
        assert len(await store.list_alerts(limit=9)) == 1
        store.load_event = _there  # type: ignore[assignment]
        await opened.rules.change(rule_id, spec=offered_spec({**PRICE, "over": 2.2}))
        newest, _ = await opened.alerts(2)
        assert (newest.rule_name, newest.data["over"]) == ("other", 2.2)


async def test_an_error_of_the_database_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fired is stored once the database answers, once."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    async with writing(store) as opened:
        await add_rule(opened, PRICE)
        await opened.settled()
        add, failures = store.add_alerts, iter([True, True])

        async def failing(*words: Any) -> list[int | None]:
            if next(failures, False):
                raise StorageError("the disk is full")
            return await add(*words)

        monkeypatch.setattr(store, "add_alerts", failing)
        for odds in (2.6, 2.3, 2.7):
            opened.price(odds)
        await opened.alerts(2)
        await opened.settled()
    assert len(await store.list_alerts(limit=9)) == 2
    assert [title for _, title in opened.told] == [f"Arsenal - Chelsea: {odds:.2f} is over 2.5" for odds in (2.6, 2.7)]


async def test_rules_that_another_process_changed_are_noticed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command line changes them."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    async with writing(store) as opened:
        opened.price(2.6)
        opened.rules = RuleBook(store)
        rule_id = await add_rule(opened, PRICE)
        await opened.alerts(1)
        await opened.rules.remove(rule_id)
        async with asyncio.timeout(30):
            while opened.engine._rules:
                await asyncio.sleep(0.005)
        opened.price(2.3)
        opened.price(2.7)
        await opened.settled()
    (fired,) = await store.list_alerts(limit=9)
    assert fired.rule_id is None


async def test_a_process_that_does_not_write_fires_nothing(store: Store) -> None:
    """It forgets what it had not stored, because the other process fires that."""
    async with writing(store) as opened:
        await add_rule(opened, PRICE)
        await opened.settled()
        await opened.engine.load(None)
        opened.price(2.6)
        opened.engine.run_ended(RunRecord(1, RunStatus.FAILED, "api", tuple(Platform), NOW, NOW))
        assert opened.engine._fired == []
        await opened.load()
        await opened.alerts(1)


async def test_a_rule_that_breaks_does_not_break_the_recording(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log says so, and the next change is matched again."""
    async with writing(store) as opened:
        await add_rule(opened, PRICE)
        with monkeypatch.context() as broken, capture_logs() as lines:
            broken.setattr(matching, "price_words", lambda *_: 1 / 0)
            opened.price(2.6)
        assert "alerts.rule_broke" in [line["event"] for line in lines]
        opened.price(2.3)
        opened.price(2.6)
        await opened.alerts(1)


@on_both
async def test_a_term_that_is_over_stores_nothing(store: Store) -> None:
    """The transaction is refused as a whole."""
    async with writing(store) as opened:
        await add_rule(opened, PRICE)
        await opened.settled()
        async with store.database.writing() as connection:
            await connection.exec_driver_sql("UPDATE writer SET term = term + 1")
        opened.price(2.6)
        async with asyncio.timeout(30):
            while opened.engine._loaded_term is not None:
                await asyncio.sleep(0.005)
        assert await store.list_alerts(limit=9) == []
        assert await state_rows(store) == []


@pytest.mark.parametrize("is_there_before", [True, False])
async def test_an_opportunity_reaches_the_table(store: Store, is_there_before: bool) -> None:
    """Also one that was there when its rule was added. It fires once."""
    async with writing(store) as opened:
        found = OpportunityEngine(opened.cache, STALE_AFTER, clock=opened.clock)
        opened.engine.opportunities = found.told
        found.on_told = lambda what, track, _: opened.engine.opportunity(what, track)
        if not is_there_before:
            rule_id = await add_rule(opened, {"kind": "opportunity", "of": "arbitrage", "over_percent": 1})
        total = [key("over_under_ft", name, 2.5) for name in ("Over", "Under")]
        for platform, odds in ((Platform.BETPAWA, (2.1, 1.75)), (Platform.SPORTYBET, (1.75, 2.1))):
            event = mapped(header(platform), dict(zip(total, odds, strict=True)))
            opened.cache.apply(event, opened.clock.now)
        assert "arbitrage" in {each.opportunity.kind for each in found.current()}
        if is_there_before:
            rule_id = await add_rule(opened, {"kind": "opportunity", "of": "arbitrage", "over_percent": 1})
        await opened.alerts(1)
        await opened.load()
        await opened.settled()
        (fired,) = await opened.alerts(1)
    assert (fired.rule_id, fired.kind, fired.data["event_id"]) == (rule_id, "opportunity", 1)
    opportunity: Any = fired.data["opportunity"]
    assert opportunity["margin"] == 5.0


@on_both
async def test_old_alerts_are_removed_with_old_runs(store: Store) -> None:
    """With their deliveries and the states that say nothing any more. A state that is beyond stays."""
    async with writing(store) as opened:
        target = await store.add_alert_target(TargetKind.WEBHOOK, "a", "https://x.example", "s", NOW)
        await add_rule(opened, PRICE, target.id)
        await add_rule(opened, {"kind": "run"}, target.id)
        opened.price(2.6)
        opened.engine.run_ended(RunRecord(1, RunStatus.FAILED, "api", tuple(Platform), NOW, NOW))
        await opened.alerts(2)
        await opened.settled()
        await store.remove_old(NOW, NOW, store.term)
        assert len(await store.list_alerts(limit=9)) == 2
        assert len(await state_rows(store)) == 3
        after = opened.clock.now + timedelta(seconds=1)
        await store.remove_old(after, after, store.term)
    assert await store.list_alerts(limit=9) == []
    assert await state_rows(store) == [(f"1:{HOME}:betpawa", False)]
    assert await store.next_deliveries() == []


@on_both
async def test_a_rule_names_an_event_and_targets_that_are_there(store: Store) -> None:
    """The error says which is not, and where they are listed."""
    async with writing(store) as opened:
        with pytest.raises(AlertInputError, match="there is no event 1; GET /api/events lists them"):
            await opened.rules.add("mine", offered_spec(PRICE))
        with pytest.raises(AlertInputError, match="targets: there is no such target among 7"):
            await opened.rules.add("mine", offered_spec({"kind": "run"}), [7])
        rule = await opened.rules.add("mine", offered_spec({"kind": "run"}))
        with pytest.raises(AlertInputError, match="targets: there is no such target among 7"):
            await opened.rules.change(rule.id, target_ids=[7])
        with pytest.raises(AlertInputError, match="name: give a name"):
            await opened.rules.change(rule.id, name="")
        assert await opened.rules.all() == [rule]
        await opened.rules.remove(rule.id)
        for change in (opened.rules.remove, opened.rules.change, opened.rules.find):
            with pytest.raises(AlertItemNotFoundError, match=f"there is no rule {rule.id}"):
                await change(rule.id)


async def test_changes_of_different_parts_of_a_rule_at_once_all_hold(store: Store) -> None:
    """None of them takes the others back, though each writes the whole rule."""
    async with writing(store) as opened:
        rule = await opened.rules.add("mine", offered_spec({"kind": "run"}))
        await asyncio.gather(
            opened.rules.change(rule.id, name="ours"),
            opened.rules.change(rule.id, cooldown_seconds=7),
            opened.rules.change(rule.id, is_enabled=False),
        )
        changed = await opened.rules.find(rule.id)
    assert (changed.name, changed.cooldown_seconds, changed.is_enabled) == ("ours", 7, False)


async def test_changes_of_different_parts_of_a_target_at_once_all_hold(store: Store) -> None:
    """None of them takes the others back, though each writes the whole target."""
    assert await store.take_writer_lock()
    targets = AlertTargets(store, Senders(allow_private=True))
    target = await targets.add(TargetKind.WEBHOOK, "mine", "https://one.example")
    await asyncio.gather(
        targets.change(target.id, name="ours"),
        targets.change(target.id, url="https://two.example"),
        targets.change(target.id, with_new_secret=True),
    )
    changed = await targets.find(target.id)
    assert (changed.name, changed.url) == ("ours", "https://two.example")
    assert changed.secret != target.secret


async def test_no_more_rules_and_targets_are_added_at_once_than_there_may_be(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit is looked at and the row is added without another addition in between."""
    monkeypatch.setattr(rule_book, "MOST_RULES", 2)
    monkeypatch.setattr(service, "MOST_TARGETS", 2)
    async with writing(store) as opened:
        targets = AlertTargets(store, Senders(allow_private=True))
        added = await asyncio.gather(
            *(opened.rules.add(name, offered_spec({"kind": "run"})) for name in "abc"),
            *(targets.add(TargetKind.WEBHOOK, name, "https://x.example") for name in "abc"),
            return_exceptions=True,
        )
    assert [type(each) for each in added if isinstance(each, Exception)] == [AlertInputError] * 2


@on_both
async def test_alerts_are_listed_in_pages(store: Store) -> None:
    """Newest first, before an id, or of one rule."""
    async with writing(store) as opened:
        rules = [await add_rule(opened, {"kind": "run"}) for _ in range(2)]
        ids = await store.add_alerts([alert(rules[n % 2]) for n in range(4)], [], keys(), store.term)
    assert [each.id for each in await store.list_alerts(limit=3)] == ids[:0:-1]
    assert [each.id for each in await store.list_alerts(limit=9, before_id=ids[2])] == ids[1::-1]
    assert [each.id for each in await store.list_alerts(limit=9, rule_id=rules[1])] == [ids[3], ids[1]]
