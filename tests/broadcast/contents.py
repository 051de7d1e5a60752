"""A content and a filter for tests: a number about some subjects, and whoever wants even or all numbers."""

from collections.abc import Callable, Collection, Hashable
from dataclasses import dataclass, field

import orjson

from quart_odds.broadcast.content import Content, Filter, Image, Subject


@dataclass
class Number:
    """A number about some subjects. `views` are those that it was rendered for."""

    number: int
    subjects: Collection[Subject] = (("event", 1),)
    size_bytes: int = 100
    views: list[Hashable] = field(default_factory=list)
    name: str = "number"

    @property
    def mark(self) -> int:
        """Whether the number is odd."""
        return self.number % 2

    def render(self, view: Hashable) -> bytes:
        """See Content."""
        self.views.append(view)
        return orjson.dumps({"type": self.name, "n": self.number, "view": view})


@dataclass(frozen=True)
class Wanted:
    """A filter of Numbers: all, or the even ones if `view` is "even". "unsure" does not know what a mark means."""

    subjects: frozenset[Subject] | None = frozenset({("event", 1)})
    view: str = "all"
    has_image: bool = False

    def passes(self, content: Content) -> bool:
        """See Filter."""
        assert isinstance(content, Number)
        return self.view != "even" or content.number % 2 == 0

    def passes_mark(self, mark: int) -> bool | None:
        """See Filter."""
        return None if self.view == "unsure" else self.view != "even" or mark == 0


class Pages:
    """An image of a few pages, which are there when the test says so."""

    def __init__(self, filtered: Filter, since: int | None, on_page: Callable[[], None]) -> None:
        self.filtered = filtered
        self.since = since
        self.count = 2
        self._ready = 0
        self._taken = 0
        self._on_page = on_page

    @property
    def is_done(self) -> bool:
        """See Image."""
        return self._taken == self.count

    def take_page(self) -> tuple[str, bytes] | None:
        """See Image."""
        if self._taken == self._ready:
            return None
        self._taken += 1
        return "page", orjson.dumps({"type": "page", "n": f"page {self._taken}"})

    def make_ready(self, count: int = 1) -> None:
        """Let more pages be ready."""
        self._ready += count
        self._on_page()


@dataclass
class Images:
    """Opens images, and keeps them."""

    opened: list[Pages] = field(default_factory=list)

    def __call__(self, filtered: Filter, since: int | None, on_page: Callable[[], None]) -> Image:
        """See OpenImage."""
        self.opened.append(Pages(filtered, since, on_page))
        return self.opened[-1]
