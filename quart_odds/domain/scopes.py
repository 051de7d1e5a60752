"""What a token allows its holder to do."""

from enum import StrEnum


class Scope(StrEnum):
    """The scopes of tokens. Each includes those before it."""

    READ = "read"
    """Read everything, and listen."""
    RUN = "run"
    """Start and stop work that costs requests to bookmakers, and change rules of alerts."""
    ADMIN = "admin"
    """Change settings and targets of alerts, and remove history."""

    def includes(self, other: "Scope") -> bool:
        """Return whether who has this scope may do what needs the other one."""
        order = list(Scope)
        return order.index(self) >= order.index(other)
