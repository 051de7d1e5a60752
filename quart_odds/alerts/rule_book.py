"""Rules as routes and commands use them: they are added, changed and removed here, and checked before."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime

import structlog

from quart_odds.alerts.ports import RuleStore
from quart_odds.alerts.rules import AnySpec, Rule
from quart_odds.alerts.targets import checked_name
from quart_odds.domain.clock import utc_now
from quart_odds.errors import AlertInputError, AlertItemNotFoundError

MOST_RULES = 500
MOST_COOLDOWN_SECONDS = 604_800
DEFAULT_COOLDOWN_SECONDS = 300

log = structlog.get_logger(__name__)


async def _nobody() -> None:
    """Tell nobody: the process that writes looks by itself."""


class RuleBook:
    """Adds, changes and removes rules. `on_changed` is awaited after each change.

    One is added or changed after the other: each reads what is stored, and writes the whole rule.
    """

    def __init__(
        self,
        store: RuleStore,
        *,
        on_changed: Callable[[], Awaitable[object]] = _nobody,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._on_changed = on_changed
        self._now = now
        self._one_by_one = asyncio.Lock()

    async def all(self) -> list[Rule]:
        """Return all rules, by id."""
        return await self._store.alert_rules()

    async def find(self, rule_id: int) -> Rule:
        """Return a rule. Raises AlertItemNotFoundError."""
        rule = await self._store.alert_rule(rule_id)
        if rule is None:
            raise AlertItemNotFoundError("rule", rule_id)
        return rule

    async def add(
        self,
        name: str,
        spec: AnySpec,
        target_ids: Sequence[int] = (),
        *,
        is_enabled: bool = True,
        cooldown_seconds: int = DEFAULT_COOLDOWN_SECONDS,
    ) -> Rule:
        """Add a rule and return it. Raises AlertInputError."""
        now = self._now()
        async with self._one_by_one:
            await self.check(name, spec)
            rule = Rule(0, checked_name(name), spec, tuple(target_ids), is_enabled, cooldown_seconds, now, now)
            stored = await self._store.add_alert_rule(rule)
        if stored is None:
            raise _no_target(target_ids)
        log.info("alerts.rule_added", rule=stored.id, kind=spec.kind)
        await self._on_changed()
        return stored

    async def check(self, name: str, spec: AnySpec) -> None:
        """Raise AlertInputError if a rule with this name and about this cannot be added, whatever it tells."""
        checked_name(name)
        await self._check_event(spec)
        if len(await self._store.alert_rules()) >= MOST_RULES:
            raise AlertInputError("when", f"there are {MOST_RULES} rules already; remove one first")

    async def change(
        self,
        rule_id: int,
        *,
        name: str | None = None,
        spec: AnySpec | None = None,
        target_ids: Sequence[int] | None = None,
        is_enabled: bool | None = None,
        cooldown_seconds: int | None = None,
    ) -> Rule:
        """Change a rule and return it; None leaves something as it is. If it is about something else, it is armed anew.

        Raises AlertItemNotFoundError and AlertInputError.
        """
        async with self._one_by_one:
            rule = replace(await self.find(rule_id), changed_at=self._now())
            if name is not None:
                rule = replace(rule, name=checked_name(name))
            if spec is not None:
                await self._check_event(spec)
                rule = replace(rule, spec=spec)
            if target_ids is not None:
                rule = replace(rule, target_ids=tuple(target_ids))
            if is_enabled is not None:
                rule = replace(rule, is_enabled=is_enabled)
            if cooldown_seconds is not None:
                rule = replace(rule, cooldown_seconds=cooldown_seconds)
            if not await self._store.change_alert_rule(rule):
                await self.find(rule_id)
                raise _no_target(rule.target_ids)
        log.info("alerts.rule_changed", rule=rule_id)
        await self._on_changed()
        return rule

    async def remove(self, rule_id: int) -> None:
        """Remove a rule. What has fired is still delivered. Raises AlertItemNotFoundError."""
        if not await self._store.remove_alert_rule(rule_id):
            raise AlertItemNotFoundError("rule", rule_id)
        log.info("alerts.rule_removed", rule=rule_id)
        await self._on_changed()

    async def _check_event(self, spec: AnySpec) -> None:
        event_id: int | None = getattr(spec, "event_id", None)
        if event_id is not None and await self._store.load_event(event_id) is None:
            raise AlertInputError("when.event_id", f"there is no event {event_id}; GET /api/events lists them")


def _no_target(target_ids: Sequence[int]) -> AlertInputError:
    return AlertInputError(
        "targets",
        f"there is no such target among {', '.join(map(str, target_ids))}; GET /api/alerts/targets lists them",
    )
