"""Who listens, grouped by what they select. An entry reaches those whom it concerns without asking the others."""

from collections.abc import Collection, Hashable, Iterator
from itertools import chain
from typing import TypeVar

from quart_odds.broadcast.content import Content, Subject
from quart_odds.broadcast.selection import Selection, SharedView
from quart_odds.broadcast.subscriber import Subscriber

Members = dict[Subscriber, None]
Key = TypeVar("Key", bound=Hashable)


class Audience:
    """The subscribers of one log. Each is in the group of the selection that it asked for last."""

    def __init__(self) -> None:
        self.everyone: Members = {}
        self._groups: dict[Selection, Members] = {}
        self._grouped: dict[Subscriber, Selection] = {}
        self._topics: dict[str | None, dict[Selection, None]] = {}
        self._subjects: dict[Subject | None, dict[Selection, None]] = {}

    def add(self, subscriber: Subscriber) -> None:
        """Add a subscriber, or put it into another group after its selection changed."""
        selection = subscriber.wanted
        if self._grouped.get(subscriber) is selection:
            return
        self.remove(subscriber)
        group = self._groups.get(selection)
        if group is None:
            group = self._groups[selection] = {}
            self._index(selection)
        group[subscriber] = None
        self.everyone[subscriber] = None
        self._grouped[subscriber] = selection

    def remove(self, subscriber: Subscriber) -> None:
        """Remove a subscriber. Idempotent."""
        self.everyone.pop(subscriber, None)
        selection = self._grouped.pop(subscriber, None)
        if selection is None:
            return
        group = self._groups[selection]
        del group[subscriber]
        if not group:
            del self._groups[selection]
            self._forget(selection)

    def group(self, selection: Selection) -> Collection[Subscriber]:
        """Return the subscribers with a selection."""
        return self._groups.get(selection, ())

    def of_topic(self, topic: str) -> Iterator[Selection]:
        """Yield the selections that have a topic."""
        return chain(self._topics.get(topic, ()), self._topics.get(None, ()))

    def of_content(self, content: Content, topic: str) -> Iterator[Selection]:
        """Yield the selections that want a content. Those that name other subjects cost nothing."""
        found = [named for each in (None, *content.subjects) if (named := self._subjects.get(each)) is not None]
        passing: dict[SharedView | None, bool] = {}
        # A selection that names several of the subjects comes once.
        for selection in found[0] if len(found) == 1 else dict.fromkeys(chain.from_iterable(found)):
            passes = passing.get(selection.view)
            if passes is None:
                assert selection.filter is not None
                passes = passing[selection.view] = selection.filter.passes(content)
            if passes and selection.has_topic(topic):
                yield selection

    def _index(self, selection: Selection) -> None:
        for topic in _keys(selection.topics):
            self._topics.setdefault(topic, {})[selection] = None
        if selection.filter is not None:
            for subject in _keys(selection.filter.subjects):
                self._subjects.setdefault(subject, {})[selection] = None

    def _forget(self, selection: Selection) -> None:
        for topic in _keys(selection.topics):
            _drop(self._topics, topic, selection)
        if selection.filter is not None:
            for subject in _keys(selection.filter.subjects):
                _drop(self._subjects, subject, selection)


def _keys(named: Collection[Key] | None) -> Collection[Key | None]:
    """Return under which keys an index has a selection that names these things; None names all."""
    return (None,) if named is None else named


def _drop(index: dict[Key, dict[Selection, None]], key: Key, selection: Selection) -> None:
    selections = index[key]
    del selections[selection]
    if not selections:
        del index[key]
