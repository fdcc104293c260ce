from __future__ import annotations

from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.core.lifecycle.retry import RetryPolicy

SECOND = timedelta(seconds=1)
FUZZ = settings(database=None, print_blob=True)

waits = st.timedeltas(min_value=timedelta(), max_value=timedelta(days=366))
factors = st.floats(min_value=1, max_value=1e9)
attempts = st.integers(min_value=1, max_value=1_001)


@st.composite
def policies(draw):
    low, high = sorted((draw(waits), draw(waits)))
    return RetryPolicy(base=low, cap=high, factor=draw(factors), jitter=draw(st.booleans()))


def test_the_longest_wait_doubles_with_each_attempt_until_the_cap():
    policy = RetryPolicy(base=5 * SECOND, cap=60 * SECOND)
    assert [policy.bound(n) / SECOND for n in range(1, 7)] == [5, 10, 20, 40, 60, 60]


def test_without_jitter_the_wait_is_the_bound():
    policy = RetryPolicy(base=SECOND, factor=3, jitter=False)
    assert [policy.wait(n, Random(1)) / SECOND for n in (1, 2, 3)] == [1, 3, 9]


def test_a_factor_of_one_waits_the_same_each_time():
    policy = RetryPolicy(base=7 * SECOND, factor=1, jitter=False)
    assert {policy.wait(n, Random(1)) for n in (1, 2, 50, 1_000)} == {7 * SECOND}


@given(policies(), attempts, st.integers())
@FUZZ
def test_a_wait_is_never_longer_than_the_bound_nor_shorter_than_a_tenth_of_it(policy, attempt, seed):
    wait, bound = policy.wait(attempt, Random(seed)), policy.bound(attempt)
    assert timedelta() <= bound <= policy.cap
    assert bound / 10 - timedelta.resolution <= wait <= bound


@given(policies(), attempts)
@FUZZ
def test_the_bound_never_shrinks_from_one_attempt_to_the_next(policy, attempt):
    assert policy.bound(attempt) <= policy.bound(attempt + 1)


@given(policies())
@FUZZ
def test_the_first_wait_is_at_most_the_base(policy):
    assert policy.bound(1) == policy.base
    assert policy.bound(0) == policy.base


def test_however_steep_the_policy_and_however_late_the_attempt_the_wait_is_the_cap():
    policy = RetryPolicy(base=SECOND, factor=1e9, cap=timedelta(hours=1), jitter=False)
    assert policy.wait(1_000, Random(1)) == timedelta(hours=1)


def test_a_gentle_policy_reaches_its_cap_too():
    policy = RetryPolicy(base=SECOND, factor=1.05, cap=timedelta(hours=1))
    assert policy.bound(200) == timedelta(hours=1)


def test_without_a_base_there_is_no_wait_at_all():
    policy = RetryPolicy(base=timedelta(), factor=1e9)
    assert {policy.wait(n, Random(1)) for n in (1, 2, 64, 1_000)} == {timedelta()}


def test_a_policy_may_be_without_a_cap_in_effect():
    policy = RetryPolicy(base=SECOND, cap=timedelta.max, jitter=False)
    assert policy.wait(11, Random(1)) == 1_024 * SECOND
    assert policy.bound(1_000) <= timedelta.max


def test_many_jobs_that_fail_together_do_not_come_back_together():
    policy, random = RetryPolicy(base=10 * SECOND), Random(20_260_601)
    drawn = [policy.wait(1, random) / SECOND for _ in range(2_000)]
    assert min(drawn) < 1.2
    assert max(drawn) > 9.8
    in_each_second = [sum(second <= wait < second + 1 for wait in drawn) for second in range(1, 10)]
    assert max(in_each_second) < 2 * min(in_each_second), in_each_second


def test_the_same_random_source_draws_the_same_wait():
    policy = RetryPolicy()
    assert policy.wait(3, Random(42)) == policy.wait(3, Random(42))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_retries": -1},
        {"base": timedelta(seconds=-1)},
        {"factor": 0.5},
        {"factor": float("nan")},
        {"factor": float("inf")},
        {"base": timedelta(hours=2), "cap": timedelta(hours=1)},
    ],
    ids=str,
)
def test_a_policy_that_could_wait_a_negative_time_or_for_ever_is_refused(wrong):
    with pytest.raises(ValueError, match="a retry policy needs max_retries >= 0"):
        RetryPolicy(**wrong)


def test_errors_that_are_never_retried_are_named_by_their_class_or_a_base_of_it():
    policy = RetryPolicy(never=(LookupError,))
    assert not policy.retries(KeyError("x"))
    assert not policy.retries(LookupError("x"))
    assert policy.retries(ValueError("x"))
    assert RetryPolicy().retries(ValueError("x"))
