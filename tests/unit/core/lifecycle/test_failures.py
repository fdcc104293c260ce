"""Which failures have the same cause: the kind of error, the shape of its message, and its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.core.lifecycle.failures import LOST_WORKER, Failure, failure_of, fingerprint_of
from jobs.core.lifecycle.status import AttemptOutcome

FAILED = AttemptOutcome.FAILED


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("ValueError: order 7 is unknown (in send, mail.py:7)", ("ValueError", "order * is unknown", "send, mail.py")),
        ("KeyError: 'a b'", ("KeyError", "*", "")),
        ("Bad: don't find 'x', can't (in <lambda>, a.py:1)", ("Bad", "don't find *, can't", "<lambda>, a.py")),
        (
            "ConnectError: GET https://api.example.com/orders/17?x=1 failed: [Errno 111] refused",
            ("ConnectError", "GET * failed: [Errno *] refused", ""),
        ),
        (
            'UniqueViolation: key "orders_pkey" is there (SQLSTATE 23505) (in add, sql.py:3)',
            ("UniqueViolation", "key * is there (SQLSTATE 23505)", "add, sql.py"),
        ),
        ("OSError: no /var/lib/x/y nor C:\\Users\\ann\\f.txt", ("OSError", "no * nor *", "")),
        ("Bad: 01980000-0000-7000-8000-000000000000 of ann@example.com", ("Bad", "* of *", "")),
        ("Bad: at 2026-01-01T12:00:00.123+02:00, 10.0.0.1:5432", ("Bad", "at *", "")),
        ("it failed: and says so", ("Failed", "it failed: and says so", "")),
        (None, ("Failed", "", "")),
    ],
)  # fmt: skip
def test_a_message_is_reduced_to_what_does_not_differ_from_one_failure_to_the_next(error, expected):
    assert failure_of(FAILED, error) == Failure(*expected)


def test_the_line_number_does_not_count_and_the_function_does():
    same = {fingerprint_of(FAILED, f"ValueError: no (in send, mail.py:{line})") for line in (7, 8)}
    assert len(same) == 1
    assert fingerprint_of(FAILED, "ValueError: no (in post, mail.py:7)") not in same
    assert fingerprint_of(FAILED, "ValueError: no (in send, post.py:7)") not in same
    assert fingerprint_of(FAILED, "TypeError: no (in send, mail.py:7)") not in same


def test_the_outcome_is_the_kind_where_it_is_not_an_error_of_the_handler():
    assert failure_of(AttemptOutcome.TIMED_OUT, "timed out after 0.5 s") == ("TimedOut", "timed out after * s", "")
    assert failure_of(AttemptOutcome.DISCARDED, "Mail: no such customer") == ("Discarded", "Mail: no such customer", "")


def test_a_lost_worker_is_one_cause_whatever_its_name():
    assert failure_of(AttemptOutcome.LOST, "the worker abc/1 was lost") == LOST_WORKER


@pytest.mark.parametrize("outcome", ["Succeeded", "Snoozed", "Skipped", "Released", "Cancelled"])
def test_what_did_not_fail_has_no_cause(outcome):
    assert fingerprint_of(AttemptOutcome(outcome), "ValueError: no") is None


@pytest.mark.parametrize(
    "piece", ["'a ", "/a", "a@", "a.a", "1", "''", "* ", "a+", " (in ", "“", "a://", "(in a, b:1)"]
)
def test_a_long_message_takes_no_longer_than_its_beginning(piece):
    """What is past the beginning changes nothing, and is not looked at."""
    assert fingerprint_of(FAILED, piece * 50_000 + "x") == fingerprint_of(FAILED, piece * 50_000 + "y")


@given(st.text())
def test_any_text_has_a_fingerprint(text):
    for outcome in AttemptOutcome:
        found = fingerprint_of(outcome, text)
        assert found is None or (len(found) == 16 and int(found, 16) >= 0)
