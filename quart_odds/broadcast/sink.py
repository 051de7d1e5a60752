"""What a subscriber writes to, on either lane."""

from typing import Protocol


class Sink(Protocol):
    """Where a subscriber's bytes are written. No method waits."""

    @property
    def is_open(self) -> bool:
        """Whether the sink still accepts bytes."""

    @property
    def may_have_pending(self) -> bool:
        """Whether `pending` has to be asked; if not, nothing is pending."""

    def pending(self) -> int:
        """Return the amount written but not yet taken. It changes whenever some of it is taken."""

    @property
    def is_free(self) -> bool:
        """Whether bytes may be written now: the sink is open, and nothing is pending."""

    def write(self, data: bytes) -> None:
        """Write bytes. Allowed only while nothing is pending. Without effect if the sink is not open."""

    def abort(self) -> None:
        """Cut the connection; pending bytes are lost."""
