"""A chart of values over time, in steps, as numbers for a template: a value stays until it changes.

Across, places are percentages of the width, which only the browser knows; down, they are pixels. Paths cannot have
percentages, so they are drawn WIDTH wide and stretched.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal

WIDTH = 1000
HEIGHT = 200
TAG_HEIGHT = 13
RULES = 5
MOST_DOTS = 400
"""A chart with more values has no dots, which would be a band."""

LEAST_SPAN = timedelta(seconds=10)

State = Literal["active", "suspended", "gone"]


@dataclass(frozen=True, slots=True)
class Step:
    """What a line shows from `at` on: a value, or none while its price is suspended or gone.

    `words` are the value for people. `is_marked`: it is a promoted price.
    """

    at: datetime
    state: State
    value: float | None
    words: str = ""
    is_marked: bool = False


@dataclass(frozen=True, slots=True)
class Series:
    """One line to draw: its class, its name, the letters at its end, and its steps in order of time."""

    slug: str
    name: str
    letters: str
    steps: Sequence[Step]


@dataclass(frozen=True, slots=True)
class Dot:
    """A value that was reached, or the end of a price. `words` say all of it. `kind` is a class."""

    x: float
    y: float
    kind: Literal["hit", "promoted", "suspended", "gone"]
    words: str


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `tag_y` is where its letters are; None if it has no value at the end."""

    series: Series
    path: str
    dots: Sequence[Dot]
    tag_y: float | None


@dataclass(frozen=True, slots=True)
class Band:
    """A moment or a period to mark, in percent of the width; `width` is 0 for a moment."""

    x: float
    width: float
    words: str


@dataclass(frozen=True, slots=True)
class Span:
    """A moment or a period to mark: what is to be said of it, and when it was. A moment has no end."""

    words: str
    start: datetime
    end: datetime | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything that the template draws. `rules` are the marked values: where they are, and their texts."""

    label: str
    start: datetime
    end: datetime
    lines: Sequence[Line]
    fair: Line | None
    rules: Sequence[tuple[float, str]]
    moments: Sequence[Band]
    gaps: Sequence[Band]

    def has(self, kind: str) -> bool:
        """Whether any line has a dot of this kind, so that it has to be explained."""
        return any(dot.kind == kind for line in self.lines for dot in line.dots)


@dataclass(frozen=True, slots=True)
class _Scale:
    start: datetime
    end: datetime
    low: float
    high: float

    def x(self, at: datetime) -> float:
        return round((at - self.start) / (self.end - self.start) * 100, 2)

    def y(self, value: float) -> float:
        return round((self.high - value) / (self.high - self.low) * HEIGHT, 1)


def chart_of(
    label: str,
    series: Iterable[Series],
    fair: Series | None,
    *,
    value_text: Callable[[float], str],
    least_height: float,
    moments: Iterable[Span] = (),
    gaps: Iterable[Span] = (),
) -> Chart | None:
    """Return the chart of these lines, None if none of them has a value. `least_height` is that of the scale."""
    every = [each for each in series if each.steps]
    drawn = every if fair is None else [*every, fair]
    values = [step.value for each in drawn for step in each.steps if step.value is not None]
    if not any(step.value is not None for each in every for step in each.steps):
        return None
    times = [step.at for each in every for step in each.steps]
    spare = max(0.0, least_height - (max(values) - min(values))) / 2
    end = max(times)
    scale = _Scale(min(*times, end - LEAST_SPAN), end, min(values) - spare, max(values) + spare)
    has_dots = sum(len(each.steps) for each in every) <= MOST_DOTS
    tags = _apart([(scale.y(last), each.slug) for each in drawn if (last := each.steps[-1].value) is not None])
    lines = {each.slug: _line(each, scale, tags.get(each.slug), has_dots=has_dots) for each in drawn}
    steps = [scale.low + (scale.high - scale.low) * place / (RULES - 1) for place in range(RULES)]
    return Chart(
        label,
        scale.start,
        scale.end,
        [lines[each.slug] for each in every],
        None if fair is None else lines[fair.slug],
        [(scale.y(value), value_text(value)) for value in steps],
        _bands(moments, scale),
        _bands(gaps, scale),
    )


def _line(series: Series, scale: _Scale, tag_y: float | None, *, has_dots: bool) -> Line:
    places = [(round(scale.x(step.at) * WIDTH / 100, 1), step.value) for step in series.steps]
    return Line(series, _path(_thinned(places), scale), list(_dots(series, scale)) if has_dots else [], tag_y)


def _path(places: Iterable[tuple[float, float | None]], scale: _Scale) -> str:
    parts: list[str] = []
    before: float | None = None
    for x, value in places:
        if before is not None:
            parts.append(f"H{x:g}")
        if value is not None:
            parts.append(f"V{scale.y(value):g}" if before is not None else f"M{x:g} {scale.y(value):g}")
        before = value
    return "".join(parts)


def _thinned(places: Iterable[tuple[float, float | None]]) -> Iterable[tuple[float, float | None]]:
    """Leave out what nobody could see: of many values at one place, the first, the last and the extremes stay."""
    for _, group in groupby(places, key=lambda place: int(place[0])):
        here = list(group)
        if len(here) <= 4 or any(value is None for _, value in here):
            yield from here
            continue
        ordered = sorted(range(len(here)), key=lambda place: here[place][1] or 0.0)
        yield from (here[place] for place in sorted({0, ordered[0], ordered[-1], len(here) - 1}))


def _dots(series: Series, scale: _Scale) -> Iterable[Dot]:
    """Yield a dot for each value, and a mark where a price was suspended or went, at the height that it had."""
    last: Step | None = None
    state: State = "gone"
    for step in series.steps:
        if step.value is not None:
            kind: Literal["hit", "promoted"] = "promoted" if step.is_marked else "hit"
            yield Dot(scale.x(step.at), scale.y(step.value), kind, f"{series.name} {step.words} at {moment(step.at)}")
            last = step
        elif (
            last is not None and last.value is not None and step.state in ("suspended", "gone") and step.state != state
        ):
            words = "suspended" if step.state == "suspended" else "no longer offered"
            yield Dot(scale.x(step.at), scale.y(last.value), step.state, f"{series.name} {words} at {moment(step.at)}")
        state = step.state


def _bands(spans: Iterable[Span], scale: _Scale) -> list[Band]:
    """Return where these are, without what is out of sight."""
    found = []
    for span in spans:
        start, end = max(span.start, scale.start), min(span.end or span.start, scale.end)
        if start <= end:
            found.append(Band(scale.x(start), round(scale.x(end) - scale.x(start), 2), span.words))
    return found


def _apart(tags: Iterable[tuple[float, str]]) -> dict[str, float]:
    """Return the height of each tag by its class. Tags that would overlap are spread around their middle."""
    groups: list[list[tuple[float, str]]] = []

    def middle(group: list[tuple[float, str]]) -> float:
        return sum(y for y, _ in group) / len(group)

    for tag in sorted(tags, key=lambda tag: tag[0]):
        group = [tag]
        while (
            groups
            and middle(groups[-1]) + len(groups[-1]) * TAG_HEIGHT / 2 > middle(group) - len(group) * TAG_HEIGHT / 2
        ):
            group = [*groups.pop(), *group]
        groups.append(group)
    return {
        slug: round(middle(group) + (place + 0.5) * TAG_HEIGHT - len(group) * TAG_HEIGHT / 2 + 4, 1)
        for group in groups
        for place, (_, slug) in enumerate(group)
    }


def moment(at: datetime) -> str:
    """Format a moment for a text that no script localises: `Sat 22 Nov 10:00:00 UTC`."""
    return f"{at:%a} {at.day} {at:%b %H:%M:%S} UTC"
