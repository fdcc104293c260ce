"""The reference of the Python side lists what is there: names, errors, states, options, members."""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

import pytest

import jobs
from jobs.core import errors
from jobs.core.handlers import context, registry
from jobs.core.handlers.marking import decorators
from jobs.core.lifecycle import limits, retry, status, waiting
from jobs.core.transactions import lock, unit_of_work
from jobs.entrypoints.http import problems
from jobs.testing import JobsHarness, plugin
from jobs.testing.ran import RanAttempt
from tests.docs.pages import assert_same, code, first_column, names_in, page, table


def public(kind: type) -> set[str]:
    """Return the public members of a class and of its instances."""
    found = {name for each in kind.__mro__[:-1] for name in vars(each) if not name.startswith("_")}
    if dataclasses.is_dataclass(kind):
        found |= {field.name for field in dataclasses.fields(kind) if not field.name.startswith("_")}
    return found


def test_every_name_that_jobs_exports_is_listed() -> None:
    headings = ("To write handlers", "To enqueue and to look after jobs", "Errors")
    assert_same([name for heading in headings for name in first_column("python-api.md", heading)], jobs.__all__)


def test_the_tree_of_errors_is_that_of_the_code() -> None:
    kinds = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.JobsError)}
    rows = table("errors.md", "Errors")
    assert_same([code(row[0]) for row in rows], [kind.__name__ for kind in kinds])
    above: list[type] = []
    for row in rows:
        kind, depth = getattr(errors, code(row[0])), row[0].count("—")
        del above[depth:]
        assert not above or above[-1] in kind.__bases__, f"{kind.__name__} stands below {above[-1].__name__}"
        above.append(kind)


def test_the_errors_are_told_over_http_as_the_page_says() -> None:
    for row in table("errors.md", "Errors"):
        kind: Any = getattr(errors, code(row[0]))
        known = next((kind_of for error, kind_of in problems._BY_ERROR if issubclass(kind, error)), None)
        assert row[2] == (f"{known.status} `{known.word}`" if known else ""), kind.__name__


def test_every_state_is_listed_and_which_of_them_are_ends() -> None:
    rows = {code(row[0]): row[2] for row in table("states.md", "A job")}
    assert rows == {str(each): "yes" if each.ended else "no" for each in status.JobStatus}


def test_every_transition_is_listed() -> None:
    rows = {code(row[0]): {word.strip("` ") for word in row[1].split(",")} for row in table("states.md", "A job", 1)}
    assert rows == {str(here): {str(each) for each in there} for here, there in status.TRANSITIONS.items()}


def test_every_outcome_of_an_attempt_is_listed() -> None:
    assert_same(first_column("states.md", "Outcomes of an attempt"), [str(each) for each in status.AttemptOutcome])


def test_everything_that_a_job_may_wait_for_is_listed() -> None:
    assert_same(first_column("states.md", "What a Scheduled job waits for"), [str(each) for each in waiting.WaitingFor])


def test_every_option_of_a_handler_is_listed() -> None:
    assert_same(first_column("handlers.md", "`@handler`"), inspect.signature(decorators.handler).parameters)


@pytest.mark.parametrize(
    ("heading", "kind", "place"),
    [("`RetryPolicy`", retry.RetryPolicy, 0), ("`Limits` and `Rate`", limits.Limits, 0)],
)
def test_every_field_of_an_option_is_listed(heading: str, kind: Any, place: int) -> None:
    assert_same(first_column("handlers.md", heading, place), [field.name for field in dataclasses.fields(kind)])


FOR_THE_FRAMEWORK = {
    "cancel_signalled", "enqueued_here", "provide", "lease", "next_unnamed", "progress_pending", "progress_written_at",
    "result_text", "signal_cancelled", "signal_completed", "signal_lease_lost", "signal_shutdown", "backend",
}  # fmt: skip
"""What of a context is no handler's matter, and so is not in the reference."""


def test_every_member_of_the_context_is_listed() -> None:
    assert_same(names_in("handlers.md", "`JobContext`"), sorted(public(context.JobContext) - FOR_THE_FRAMEWORK))


@pytest.mark.parametrize(
    ("heading", "kind", "place", "left_out"),
    [
        ("Units of work", unit_of_work.UnitOfWork, 0, {"require_vote"}),
        ("`DistributedLock`", lock.DistributedLock, 0, set()),
        (
            "What bears no mark",
            registry.HandlerRegistry,
            0,
            {"add_marked", "add_own", "all", "check_services", "get", "require"},
        ),
    ],
)
def test_every_member_of_what_a_handler_is_given_is_listed(
    heading: str, kind: type, place: int, left_out: set[str]
) -> None:
    assert_same(names_in("handlers.md", heading, place), sorted(public(kind) - left_out))


def test_every_member_of_a_lock_that_is_held_is_listed() -> None:
    instance = {"resource", "fencing_token"}
    assert_same(names_in("handlers.md", "`DistributedLock`", 1), sorted(public(lock.LockHandle) | instance))


def test_every_option_of_a_provider_is_listed() -> None:
    parameters = [name for name in inspect.signature(decorators.provider).parameters if name != "function"]
    assert_same(first_column("handlers.md", "Services"), parameters)


def test_the_defaults_of_retries_are_those_of_the_code() -> None:
    policy = retry.RetryPolicy()
    shown = {
        "max_retries": str(policy.max_retries),
        "base": f"{policy.base.total_seconds():g} s",
        "factor": f"{policy.factor:g}",
        "cap": f"{policy.cap.total_seconds() / 3600:g} h",
        "jitter": str(policy.jitter).lower(),
    }
    assert {code(row[0]): row[1] for row in table("states.md", "Retries")} == shown


def test_every_member_of_the_harness_is_listed() -> None:
    instance = {"clock", "database", "runtime"}
    assert_same(names_in("testing.md", "`JobsHarness`", 1), sorted(public(JobsHarness) | instance))


def test_every_argument_of_the_harness_is_listed() -> None:
    parameters = [name for name in inspect.signature(JobsHarness.__init__).parameters if name != "self"]
    assert_same(first_column("testing.md", "`JobsHarness`"), parameters)


def test_every_option_of_run_handler_is_listed() -> None:
    beside = {"self", "handler_name", "payload", "fields"}
    parameters = [name for name in inspect.signature(JobsHarness.run_handler).parameters if name not in beside]
    assert_same(first_column("testing.md", "`run_handler`"), parameters)


def test_every_member_of_what_ran_is_listed() -> None:
    assert_same(names_in("testing.md", "`run_handler`", 1), sorted(public(RanAttempt)))


def test_no_page_of_the_reference_names_an_internal_module() -> None:
    for name in ("handlers.md", "python-api.md", "testing.md", "errors.md", "states.md", "schedules.md"):
        assert "jobs.core" not in page(name)
        assert "jobs.app" not in page(name)


def test_every_argument_of_connect_is_listed() -> None:
    assert_same(first_column("python-api.md", "`connect`"), inspect.signature(jobs.connect).parameters)


def test_every_method_of_jobs_is_listed() -> None:
    rows = [code(row[0]).partition("(")[0] for row in table("python-api.md", "`Jobs`")]
    assert_same(rows, sorted(public(jobs.Jobs)))


def test_every_fixture_of_the_plugin_is_listed() -> None:
    fixtures = [name for name in vars(plugin) if name.startswith("jobs_")]
    assert_same(first_column("testing.md", "Fixtures"), fixtures)
