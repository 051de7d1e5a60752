"""Which entries a listener receives: its topics, and a filter for the topic that has one."""

from collections.abc import Hashable
from dataclasses import dataclass
from weakref import WeakValueDictionary

from quart_odds.broadcast.content import Content, Filter
from quart_odds.broadcast.framing import Entry


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class SharedView:
    """The view of filters. Equal views are the same object, so they are looked up quickly."""

    view: Hashable


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Selection:
    """Topics and a filter. Make it with `select`: equal selections are the same object, so they compare quickly.

    `topics` None stands for all. Entries that have a content reach only listeners with a `filter`. Selections whose
    filters have equal views share `view`.
    """

    topics: frozenset[str] | None
    filter: Filter | None = None
    view: SharedView | None = None

    def wants(self, entry: Entry) -> bool:
        """Return whether an entry is for this listener."""
        if entry.content is not None:
            return self.has_topic(entry.topic) and self.wants_content(entry.content)
        return self.has_topic(entry.topic)

    def has_topic(self, topic: str) -> bool:
        """Return whether a topic is among the topics."""
        return self.topics is None or topic in self.topics

    def wants_content(self, content: Content) -> bool:
        """Return whether a content passes the filter."""
        filtered = self.filter
        if filtered is None:
            return False
        subjects = filtered.subjects
        return (subjects is None or any(each in subjects for each in content.subjects)) and filtered.passes(content)


_views: WeakValueDictionary[Hashable, SharedView] = WeakValueDictionary()
_known: WeakValueDictionary[tuple[frozenset[str] | None, Filter | None], Selection] = WeakValueDictionary()


def select(topics: frozenset[str] | None = None, filtered: Filter | None = None) -> Selection:
    """Return the selection with these topics and this filter."""
    key = (topics, filtered)
    found = _known.get(key)
    if found is None:
        view = None
        if filtered is not None:
            view = _views.get(filtered.view)
            if view is None:
                view = _views[filtered.view] = SharedView(filtered.view)
        found = _known[key] = Selection(topics, filtered, view)
    return found


EVERYTHING = select()
