"""What the entries of a filtered topic hold, and the filters of those who listen to it.

A content is kept as compact data and becomes JSON when somebody first wants it, for each view once.
"""

from collections.abc import Collection, Hashable
from typing import Protocol

Subject = tuple[str, int]
"""What an entry is about, and what a filter may name: ("event", 12), ("tournament", 7)."""

MOST_MARK = 255


class Content(Protocol):
    """What an entry of a filtered topic holds."""

    @property
    def name(self) -> str:
        """The type of the message."""

    @property
    def subjects(self) -> Collection[Subject]:
        """What the entry is about. A filter that names subjects lets it through if it names any of these."""

    @property
    def mark(self) -> int:
        """What is remembered of an entry that is no longer in the log: 0 to MOST_MARK. Filters know what it means."""

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""

    def render(self, view: Hashable) -> bytes:
        """Return the JSON of the envelope as a view shows it."""


class Filter(Protocol):
    """What a listener wants of the filtered topic. Compared by value: equal filters share what is written."""

    @property
    def subjects(self) -> Collection[Subject] | None:
        """The subjects; None for all."""

    @property
    def view(self) -> Hashable:
        """What `Content.render` gets. Listeners with equal views share the JSON."""

    @property
    def has_image(self) -> bool:
        """Whether a new listener begins with an image."""

    def passes(self, content: Content) -> bool:
        """Return whether an entry about one of the subjects is for this listener. Depends on the view alone."""

    def passes_mark(self, mark: int) -> bool | None:
        """Return the same for an entry of which only the mark is known; None if that does not tell."""


class Image(Protocol):
    """The state that a listener begins with, page by page."""

    @property
    def is_done(self) -> bool:
        """Whether all pages have been taken."""

    def take_page(self) -> tuple[str, bytes] | None:
        """Return the name and the JSON of the next page; None if it is not ready yet."""
