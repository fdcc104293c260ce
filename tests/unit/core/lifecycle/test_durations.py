"""Durations by bucket, and the percentiles that come of them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.lifecycle.durations import BOUNDS, added_up, bucket_of, percentiles_of


def percentiles(seconds):
    return percentiles_of(Counter(map(bucket_of, seconds)))


def test_of_no_attempt_there_are_no_percentiles():
    assert percentiles_of({}) is None


@pytest.mark.parametrize(("seconds", "bucket"), [(0.0, 0), (0.00009, 0), (0.0001, 1), (1e9, len(BOUNDS))])
def test_a_duration_is_in_the_bucket_that_begins_with_it_or_before(seconds, bucket):
    assert bucket_of(seconds) == bucket


def test_each_bucket_is_a_fifth_longer_than_the_one_before_up_to_a_day():
    ratios = {round(after / before, 3) for before, after in pairwise(BOUNDS)}
    assert ratios == {1.189}
    assert BOUNDS[-1] > 86_400


@given(st.lists(st.floats(0.001, 10_000), min_size=1, max_size=300))
def test_a_percentile_is_right_to_a_fifth(seconds):
    found, exact = percentiles(seconds), sorted(seconds)
    for share, value in zip((0.5, 0.95, 0.99), found, strict=True):
        nearest = exact[max(-int(-share * len(exact) // 1) - 1, 0)]
        assert nearest / 1.2 <= value <= nearest * 1.2


def test_what_takes_longer_than_a_day_counts_as_a_day():
    assert percentiles([1e9]).p50 == pytest.approx(BOUNDS[-1], rel=0.01)


def test_spreads_are_added_up():
    assert added_up([{1: 2, 3: 1}, {}, {1: 1}]) == {1: 3, 3: 1}
