"""When to connect again, and over which transport: what a stream learns from the connections that it had."""

import random

from quart_odds_client.options import Choice, Options, Transport

STABLE_SECONDS = 5.0
"""A connection that lasts this long, or delivers a message, is a good one: waits begin anew after it."""

MOST_SHORT_LIVES = 2
"""So many connections in a row may be shorter than that, before the other transport is tried first."""

MOST_UPGRADE_FACTOR = 20

OTHER: dict[Transport, Transport] = {"websocket": "sse", "sse": "websocket"}


class Attempts:
    """The attempts of a stream to connect. `preferred` is the transport of the next one."""

    def __init__(self, choice: Choice, options: Options) -> None:
        if choice not in ("websocket", "sse", "auto"):
            raise ValueError(f"transport is websocket, sse or auto, not {choice!r}")
        self.preferred: Transport = "sse" if choice == "sse" else "websocket"
        self.has_choice = choice == "auto"
        self._options = options
        self._losses = 0
        self._short_lives = 0
        self._upgrades = 0

    def wait_after(
        self, lived_seconds: float | None, retry_seconds: float | None, *, has_delivered: bool = False
    ) -> float:
        """Return how long to wait, after a connection that lived so long, None if it was never live.

        `retry_seconds` is what the server asked for, None if it did not. Otherwise the wait doubles with each loss.
        """
        was_live = lived_seconds is not None
        is_short = lived_seconds is not None and lived_seconds < STABLE_SECONDS
        if was_live and (has_delivered or not is_short):
            self._losses = 0
        self._short_lives = self._short_lives + 1 if is_short else 0
        if self.has_choice and self._short_lives > MOST_SHORT_LIVES:
            # It connects and is cut at once, again and again: let the other one try.
            self.preferred, self._short_lives = OTHER[self.preferred], 0
        if retry_seconds is not None:
            if self.has_choice:
                self.preferred = "websocket"
            return retry_seconds
        options = self._options
        longest = min(options.most_wait_seconds, options.least_wait_seconds * (1 << min(self._losses, 30)))
        self._losses += 1
        return longest * random.uniform(0.5, 1.0)

    def upgrade_wait(self) -> float:
        """Return how long to wait before WebSocket is tried again beside server-sent events."""
        factor = min(MOST_UPGRADE_FACTOR, 1 << min(self._upgrades, 10)) * random.uniform(0.75, 1.25)
        self._upgrades += 1
        return self._options.upgrade_seconds * factor

    def upgrade(self) -> None:
        """Note that WebSocket gets through again."""
        self.preferred, self._upgrades = "websocket", 0
