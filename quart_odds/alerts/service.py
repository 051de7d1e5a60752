"""Alerts as routes, commands and the app use them: the targets, their tests, and the queue."""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Protocol

import structlog

from quart_odds.alerts.apprise_sender import AppriseSender
from quart_odds.alerts.ports import TargetStore
from quart_odds.alerts.targets import checked_name, checked_url, new_secret
from quart_odds.alerts.values import Message, Target, TargetKind
from quart_odds.alerts.webhook import WebhookSender
from quart_odds.domain.clock import utc_now
from quart_odds.errors import AlertInputError, AlertItemNotFoundError, DeliveryError

MOST_TARGETS = 100

log = structlog.get_logger(__name__)


def new_key() -> str:
    """Return a new idempotency key."""
    return secrets.token_hex(16)


class Senders:
    """Sends a message in the way of its target. `allow_private` allows addresses that are not public."""

    def __init__(self, *, allow_private: bool) -> None:
        self.webhook = WebhookSender(allow_private=allow_private)
        self.apprise = AppriseSender(allow_private=allow_private)

    async def __call__(self, target: Target, message: Message) -> None:
        """Make one attempt. Raises DeliveryError."""
        if target.kind is TargetKind.WEBHOOK:
            await self.webhook.send(target, message)
        else:
            await self.apprise.send(target, message)

    async def check(self, kind: TargetKind, url: str) -> str:
        """Return the URL of a target if messages can be sent to it. Nothing is sent. Raises AlertInputError."""
        checked = checked_url(kind, url)
        if kind is TargetKind.APPRISE:
            await self.apprise.check(checked)
        return checked


class SendersOfTargets(Protocol):
    """What AlertTargets needs of Senders."""

    async def __call__(self, target: Target, message: Message) -> None:
        """Make one attempt. Raises DeliveryError."""

    async def check(self, kind: TargetKind, url: str) -> str:
        """Return the URL of a target if messages can be sent to it. Raises AlertInputError."""


class AlertTargets:
    """Adds, changes, removes and tests targets. One is added or changed after the other.

    Errors never contain a part of a URL that may be secret.
    """

    def __init__(self, store: TargetStore, senders: SendersOfTargets, *, now: Callable[[], datetime] = utc_now) -> None:
        self._store = store
        self._senders = senders
        self._now = now
        self._one_by_one = asyncio.Lock()

    async def all(self) -> list[Target]:
        """Return all targets, by id."""
        return await self._store.alert_targets()

    async def find(self, target_id: int) -> Target:
        """Return a target. Raises AlertItemNotFoundError."""
        target = await self._store.alert_target(target_id)
        if target is None:
            raise AlertItemNotFoundError("target", target_id)
        return target

    async def add(self, kind: TargetKind, name: str, url: str) -> Target:
        """Add a target and return it, a webhook with its new secret. Raises AlertInputError."""
        name, url = checked_name(name), await self._senders.check(kind, url)
        secret = new_secret() if kind is TargetKind.WEBHOOK else None
        async with self._one_by_one:
            if len(await self._store.alert_targets()) >= MOST_TARGETS:
                raise AlertInputError("url", f"there are {MOST_TARGETS} targets already; remove one first")
            target = await self._store.add_alert_target(kind, name, url, secret, self._now())
        log.info("alerts.target_added", target=target.id, kind=kind.value)
        return target

    async def change(
        self, target_id: int, *, name: str | None = None, url: str | None = None, with_new_secret: bool = False
    ) -> Target:
        """Change a target and return it. Raises AlertItemNotFoundError and AlertInputError."""
        async with self._one_by_one:
            target = await self.find(target_id)
            if name is not None:
                target = replace(target, name=checked_name(name))
            if url is not None:
                target = replace(target, url=await self._senders.check(target.kind, url))
            if with_new_secret:
                if target.kind is not TargetKind.WEBHOOK:
                    raise AlertInputError("new_secret", "only webhooks have a secret")
                target = replace(target, secret=new_secret())
            if not await self._store.change_alert_target(target):
                raise AlertItemNotFoundError("target", target_id)
        log.info("alerts.target_changed", target=target_id)
        return target

    async def remove(self, target_id: int) -> None:
        """Remove a target, and cancel what waits for it. Raises AlertItemNotFoundError."""
        if not await self._store.remove_alert_target(target_id, self._now()):
            raise AlertItemNotFoundError("target", target_id)
        log.info("alerts.target_removed", target=target_id)

    async def test(self, target_id: int) -> str | None:
        """Send a test message now, in one attempt. Returns why it failed, None if it did not.

        Raises AlertItemNotFoundError.
        """
        target = await self.find(target_id)
        text = f"This is a test of the target {target.name}. Alerts will come in this way."
        message = Message(new_key(), "test", self._now(), "Quart Odds: test", text, {"target_id": target.id})
        try:
            await self._senders(target, message)
        except DeliveryError as error:
            return str(error)
        return None
