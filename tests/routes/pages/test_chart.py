"""Charts as numbers: steps, marks, what is out of sight, and letters that would be one above the other."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from quart_odds.routes.pages.chart import HEIGHT, TAG_HEIGHT, Chart, Series, Span, Step, chart_of

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


def at(minutes: float) -> datetime:
    """Return the moment so many minutes on."""
    return NOW + timedelta(minutes=minutes)


def series(slug: str, *values: float | None) -> Series:
    """Return a line with a step each minute; None stands for a suspended price."""
    steps = [
        Step(at(minute), "suspended" if value is None else "active", value, str(value))
        for minute, value in enumerate(values)
    ]
    return Series(slug, slug.title(), slug[:2], steps)


def chart(*lines: Series, moments: tuple[Span, ...] = (), gaps: tuple[Span, ...] = ()) -> Chart:
    """Return the chart of these lines."""
    found = chart_of("x", lines, None, value_text=str, least_height=0.1, moments=moments, gaps=gaps)
    assert found is not None
    return found


def test_line_stays_until_it_changes_and_ends_where_the_price_was_suspended() -> None:
    """It begins anew when there is a price again, and the end is marked once, at the height of the last price."""
    [line] = chart(series("one", 2.0, 3.0, None, None, 2.0, 2.0)).lines
    assert line.path == "M0 200H200V0H400M800 200H1000V200"
    assert [(dot.kind, dot.x, dot.y) for dot in line.dots if dot.kind == "suspended"] == [("suspended", 40.0, 0.0)]
    assert line.dots[0].words == "One 2.0 at Sun 22 Nov 10:00:00 UTC"


def test_nothing_is_drawn_without_a_value_and_one_value_is() -> None:
    """A single moment has a width, so that nothing is divided by zero."""
    assert chart_of("x", [series("one", None)], None, value_text=str, least_height=0.1) is None
    single = chart(series("one", 2.0))
    assert single.end - single.start == timedelta(seconds=10)
    assert single.lines[0].path == f"M1000 {HEIGHT // 2}"


def test_marks_are_cut_at_the_edges_and_left_out_beyond() -> None:
    """A kick-off to come is not in the chart."""
    line = series("one", *[2.0] * 11)
    marked = chart(
        line,
        moments=(Span("here", at(5)), Span("later", at(11)), Span("before", at(-1))),
        gaps=(Span("since before", at(-5), at(1)), Span("over", at(-5), at(-2))),
    )
    assert [(band.words, band.x, band.width) for band in marked.moments] == [("here", 50.0, 0.0)]
    assert [(band.words, band.x, band.width) for band in marked.gaps] == [("since before", 0.0, 10.0)]


def test_letters_of_equal_values_are_below_each_other() -> None:
    """So many as there are bookmakers, and the one that stands apart stays where its line ends."""
    drawn = chart(*(series(slug, 2.0, 2.0) for slug in ("aa", "bb", "cc")), series("dd", 3.0, 3.0))
    heights = sorted(line.tag_y for line in drawn.lines if line.tag_y is not None)
    assert heights[0] == 4.0
    assert all(below - above >= TAG_HEIGHT for above, below in pairwise(heights))


def test_many_values_keep_their_extremes_and_have_no_dots() -> None:
    """Twenty thousand changes are drawn with at most four values at each place."""
    values = [2.0 + (each % 50) / 50 for each in range(20_000)]
    values[10_003] = 9.0
    [line] = chart(series("one", *values)).lines
    assert line.dots == []
    assert line.path.count("V") < 4 * 1001
    assert "V0H" in line.path
