"""Which bookmakers' competitions are the same one, and which names of countries mean the same country.

Nothing is merged on a guess. Two competitions, or two names of a country, of one bookmaker are never the same.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Generic, TypeVar

from quart_odds.domain.odds import EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.domain.text import plain_letters
from quart_odds.odds.event import CachedEvent

SPORTRADAR = "sr:tournament:"
"""How ids begin that SportRadar assigns to competitions. Bookmakers that use them have the same for the same one."""

_NO_WORD = re.compile(r"[\W_]+")

Node = TypeVar("Node", bound=Hashable)
Side = tuple[Platform, Node]
"""A competition, or the name of a country, at a bookmaker."""


@dataclass(frozen=True, slots=True)
class MatchedCompetition:
    """A competition at all bookmakers that have it. Id, name and country are those of the first of them.

    `ids` has the competition's id at each bookmaker, the first of them first. `country` is spelled as the first
    bookmaker that has the country spells it, and `country_key` is the same for each of its spellings.
    """

    id: int
    ids: tuple[int, ...]
    name: str
    country: str
    country_key: str


class Competitions:
    """The competitions of events, matched across bookmakers. Depends on the events alone, in their order.

    Takes some 10 ms for 1,300 events at five bookmakers, so it is kept (`MatchedEvents.competitions`).
    """

    def __init__(self, events: Sequence[CachedEvent]) -> None:
        self.events = events
        headers: dict[int, EventHeader] = {}
        together: Counter[tuple[int, ...]] = Counter()
        for event in events:
            for event_odds in event.odds.values():
                headers[event_odds.competition_id] = event_odds.header
            together[tuple([event_odds.competition_id for event_odds in event.odds.values()])] += 1
        groups = _Groups(
            {each: frozenset([header.platform]) for each, header in headers.items()},
            {each: header.competition.external_id for each, header in headers.items() if _is_sportradars(header)},
        )
        by_sportradar_id = defaultdict(list)
        for each in headers:
            if each in groups.tags:
                by_sportradar_id[groups.tags[each]].append(each)
        for same in by_sportradar_id.values():
            groups.join_all(same)
        shared = _Shared[int]()
        for ids, count in together.items():
            for one, other in combinations(ids, 2):
                shared.add((headers[one].platform, one), (headers[other].platform, other), count)
        for one, other in shared.mutual():
            groups.join(one, other)
        self._countries = _countries(headers, groups)
        for same in self._with_equal_names(headers):
            for one, other in combinations(same, 2):
                if not shared.contradicts((headers[one].platform, one), (headers[other].platform, other)):
                    groups.join(one, other)
        self._known = dict(self._named(headers, groups))

    def of(self, event: CachedEvent) -> MatchedCompetition:
        """Return the competition of an event: that of the bookmaker that names it."""
        leading = event.leading
        known = self._known.get(leading.competition_id)
        if known is not None:
            return known
        # An event of the past, which only the database has.
        competition, own = leading.header.competition, leading.competition_id
        key = self.country_key(competition.country)
        return MatchedCompetition(own, (own,), competition.name, competition.country, key)

    def same(self, competition_ids: Iterable[int]) -> frozenset[int]:
        """Return these ids, and those that the same competitions have at other bookmakers."""
        every: set[int] = set()
        for each in competition_ids:
            known = self._known.get(each)
            every.update((each,) if known is None else known.ids)
        return frozenset(every)

    def country_key(self, name: str) -> str:
        """Return what is the same for each spelling of a country."""
        known = self._countries.get(_plain(name))
        return _plain(name) if known is None else known[0]

    def _with_equal_names(self, headers: Mapping[int, EventHeader]) -> list[list[int]]:
        """Return competitions with equal country and name, without those whose bookmaker has two of that name."""
        named: defaultdict[tuple[str, str], defaultdict[Platform, list[int]]] = defaultdict(lambda: defaultdict(list))
        for each, header in headers.items():
            name = _plain(header.competition.name)
            if name:
                named[self.country_key(header.competition.country), name][header.platform].append(each)
        return [
            [ids[0] for _, ids in sorted(by_platform.items(), key=lambda item: item[0].place) if len(ids) == 1]
            for by_platform in named.values()
            if len(by_platform) > 1
        ]

    def _named(
        self, headers: Mapping[int, EventHeader], groups: "_Groups[int]"
    ) -> Iterator[tuple[int, MatchedCompetition]]:
        for group in groups.all():
            ids = sorted(group, key=lambda each: headers[each].platform.place)
            first = headers[ids[0]].competition
            key, country = self._countries.get(_plain(first.country), (_plain(first.country), first.country))
            made = MatchedCompetition(ids[0], tuple(ids), first.name, country, key)
            for each in ids:
                yield each, made


def _countries(headers: Mapping[int, EventHeader], groups: "_Groups[int]") -> dict[str, tuple[str, str]]:
    """Return of each name of a country, plain, what is the same for each of its spellings, and the name to show.

    Two names are the same country if most competitions that both bookmakers have, and that one of them puts under the
    first name, the other one puts under the second, and the other way round.
    """
    users: defaultdict[str, dict[Platform, str]] = defaultdict(dict)
    for header in headers.values():
        country = header.competition.country
        if _plain(country):
            users[_plain(country)].setdefault(header.platform, country)
    same = _Groups({name: frozenset(spellings) for name, spellings in users.items()}, {})
    shared = _Shared[str]()
    for group in groups.all():
        ordered = sorted(group, key=lambda each: headers[each].platform.place)
        sides = [(headers[each].platform, _plain(headers[each].competition.country)) for each in ordered]
        for one, other in combinations([side for side in sides if side[1]], 2):
            shared.add(one, other, 1)
    for first, second in shared.mutual():
        same.join(first, second)
    found = {}
    for names in same.all():
        spellings = [(platform.place, spelling) for name in names for platform, spelling in users[name].items()]
        found.update(dict.fromkeys(names, (min(names), min(spellings)[1])))
    return found


class _Shared(Generic[Node]):
    """How much each two sides of different bookmakers have in common, the one of the earlier bookmaker first."""

    def __init__(self) -> None:
        self._pairs: Counter[tuple[Side[Node], Side[Node]]] = Counter()
        self._totals: Counter[tuple[Side[Node], Platform]] = Counter()

    def add(self, one: Side[Node], other: Side[Node], count: int) -> None:
        """Note that two sides have so many more in common."""
        self._pairs[one, other] += count
        self._totals[one, other[0]] += count
        self._totals[other, one[0]] += count

    def mutual(self) -> Iterator[tuple[Node, Node]]:
        """Yield the pairs that have most of what either has in common with the other's bookmaker; the strongest first.

        Of equally strong ones, those that were added first.
        """
        for (one, other), count in self._pairs.most_common():
            if 2 * count > self._totals[one, other[0]] and 2 * count > self._totals[other, one[0]]:
                yield one[1], other[1]

    def contradicts(self, one: Side[Node], other: Side[Node]) -> bool:
        """Whether they have nothing in common, but one of them has something with the other's bookmaker."""
        if (one, other) in self._pairs:
            return False
        return bool(self._totals[one, other[0]] or self._totals[other, one[0]])


class _Groups(Generic[Node]):
    """Groups of nodes. No two of one bookmaker are in a group, and no two with different tags."""

    def __init__(self, owners: Mapping[Node, frozenset[Platform]], tags: Mapping[Node, str]) -> None:
        self.tags = tags
        self._owners = dict(owners)
        self._group: dict[Node, list[Node]] = {each: [each] for each in owners}

    def join(self, one: Node, other: Node) -> None:
        """Make one group of those of two nodes, if that may be."""
        first, second = self._group[one], self._group[other]
        if first is second or not self._owners[first[0]].isdisjoint(self._owners[second[0]]):
            return
        if len({self.tags[each] for each in (*first, *second) if each in self.tags}) > 1:
            return
        owners = self._owners[first[0]] | self._owners[second[0]]
        first.extend(second)
        for each in first:
            self._group[each], self._owners[each] = first, owners

    def join_all(self, nodes: Sequence[Node]) -> None:
        """Make one group of nodes, as far as that may be."""
        for each in nodes[1:]:
            self.join(nodes[0], each)

    def all(self) -> list[list[Node]]:
        """Return the groups."""
        return list({id(group): group for group in self._group.values()}.values())


def _is_sportradars(header: EventHeader) -> bool:
    return header.competition.external_id.startswith(SPORTRADAR)


@lru_cache(maxsize=16_384)
def _plain(name: str) -> str:
    """Return a name without case, accents and punctuation."""
    return _NO_WORD.sub(" ", plain_letters(name)).strip()
