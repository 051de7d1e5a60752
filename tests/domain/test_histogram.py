"""Durations in buckets."""

from quart_odds.domain.histogram import Histogram


def test_buckets_are_cumulative_and_their_bounds_included() -> None:
    """As Prometheus has them: a value counts in each bucket whose bound it does not exceed."""
    histogram = Histogram((0.1, 1.0))
    assert histogram.buckets() == [("0.1", 0), ("1.0", 0), ("+Inf", 0)]
    for value in (0.05, 0.1, 0.5, 7.0):
        histogram.add(value)
    assert histogram.buckets() == [("0.1", 2), ("1.0", 3), ("+Inf", 4)]
    assert (histogram.count, round(histogram.sum, 2)) == (4, 7.65)
