"""The HTTP reference lists what the app serves: routes, roles, fields, filters, problem types, outcomes, limits."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.core.commands import MAX_NAME, MAX_PAGE, MAX_RETRIES, EnqueueRequest, PreviewSchedule, UpdateJob
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.handlers.results import MAX_RESULT
from jobs.core.lifecycle.job import Attempt, Job
from jobs.core.lifecycle.limits import Limits, Rate
from jobs.core.lifecycle.retry import RetryOptions
from jobs.core.paging import MAX_PAGE_BYTES
from jobs.core.schedules.expression import MAX_EXPRESSION
from jobs.core.schedules.timing import DstOptions, MisfireOptions
from jobs.core.strict_json import MAX_DEPTH, MAX_INTEGER_DIGITS
from jobs.entrypoints.functions import build_app
from jobs.entrypoints.http import filters, operations, problems
from jobs.entrypoints.http.access import ROUTES
from jobs.entrypoints.http.api import MAX_KEY
from jobs.entrypoints.http.batch import MAX_BATCH, MAX_BATCH_BODY
from jobs.entrypoints.http.exchange import MAX_BODY
from jobs.settings import Settings
from jobs.testing import JobsHarness
from tests.docs.pages import assert_same, code, first_column, page, table

PAGE = "http-api.md"


@pytest.fixture(scope="module")
def routes() -> dict[str, tuple[str, str]]:
    app = build_app(lambda: None, Settings(scheduler="timer"))  # type: ignore[arg-type,return-value]
    found = {}
    for function in app.get_functions():
        trigger: dict[str, Any] = function.get_trigger().get_dict_repr()  # type: ignore[union-attr]
        name = function.get_function_name()
        if trigger["type"] != "httpTrigger" or name == "zz_unmatched":
            continue
        [method] = {str(getattr(each, "value", each)) for each in trigger["methods"]} - {"HEAD"}
        found[name] = (method, "/" + re.sub(r"\{(\w+):\w+\}", r"{\1}", str(trigger["route"])))
    return found


def test_every_route_is_listed_with_its_function(routes: dict[str, tuple[str, str]]) -> None:
    rows = table(PAGE, "Routes")
    assert_same([(code(row[2]), *code(row[0]).split()) for row in rows], [(name, *at) for name, at in routes.items()])


def test_every_route_is_listed_with_the_role_that_it_needs(routes: dict[str, tuple[str, str]]) -> None:
    roles = {code(row[2]): code(row[1]) for row in table(PAGE, "Routes")}
    for name in routes:
        needed = ROUTES[name]
        assert roles[name] == (str(needed) if needed else roles[name]), name
        if needed is None:
            assert roles[name] in {"open", "a callback token"}, name


@pytest.mark.parametrize(
    ("heading", "model", "beside"),
    [
        ("Fields of an enqueue", EnqueueRequest, set()),
        ("Change a job", UpdateJob, set()),
        ("Preview a schedule", PreviewSchedule, set()),
        ("A job", Job, {"follow_ups"}),
        ("An attempt", Attempt, set()),
    ],
)
def test_every_field_is_listed(heading: str, model: type[BaseModel], beside: set[str]) -> None:
    assert_same(first_column(PAGE, heading), [*model.model_fields, *beside])


def test_every_option_within_a_field_is_listed() -> None:
    options = {"dst": DstOptions, "misfire": MisfireOptions, "retry": RetryOptions}
    named = [f"{field}.{name}" for field, model in options.items() for name in model.model_fields]
    assert_same(first_column(PAGE, "Options within fields"), named)


def test_every_field_of_a_handler_is_listed() -> None:
    registry = HandlerRegistry()

    def limited(args: DstOptions) -> None:
        pass

    registry.add_handler("Limited", limited, limits=Limits(concurrency=1, rate=Rate(1, timedelta(minutes=1))))
    with JobsHarness(registry) as harness:
        [described] = json.loads(operations.handlers(harness.runtime).get_body())["handlers"]
    assert_same(first_column(PAGE, "A handler"), described)
    [limits] = [row[2] for row in table(PAGE, "A handler") if code(row[0]) == "limits"]
    named = {*described["limits"], *described["limits"]["rate"]}
    assert named == set(re.findall(r"`(\w+)`", limits))


def test_exactly_the_fields_that_must_be_given_are_said_to_be_required() -> None:
    for heading, model in (("Fields of an enqueue", EnqueueRequest), ("Preview a schedule", PreviewSchedule)):
        required = {code(row[0]) for row in table(PAGE, heading) if row[2] == "required"}
        assert required == {name for name, field in model.model_fields.items() if field.is_required()}


def test_exactly_the_fields_that_cannot_be_null_are_said_to_be_refused() -> None:
    for name, means in ((code(row[0]), row[1]) for row in table(PAGE, "Change a job")):
        change = UpdateJob.model_construct(_fields_set={name}, **{name: None})
        try:
            refused = change.changes is None
        except Exception:  # noqa: BLE001  whatever it is, null is not taken
            refused = True
        assert refused == (means == "refused"), name


def test_every_filter_of_a_list_is_listed() -> None:
    assert_same(first_column(PAGE, "List jobs"), filters._KNOWN.split(", "))


def test_every_problem_type_is_listed_with_its_status_and_title() -> None:
    kinds = [each for each in vars(problems).values() if isinstance(each, problems.Kind)]
    rows = [(code(row[0]), row[1], row[2]) for row in table(PAGE, "Problem types")]
    assert_same(rows, [(kind.word, str(kind.status), kind.title) for kind in kinds])


def test_every_outcome_of_the_callback_is_listed() -> None:
    assert_same(first_column(PAGE, "The scheduler's callback"), [str(each) for each in AlarmOutcome])


def test_the_limits_are_those_of_the_code() -> None:
    limits = {row[0]: row[1] for row in table(PAGE, "Limits")}
    kib = 1024
    assert limits["body of a call"] == f"{MAX_BODY // kib} KiB"
    assert limits["body of a batch"].startswith(f"{MAX_BATCH_BODY // kib // kib} MiB, {MAX_BODY // kib} KiB")
    assert limits["jobs in a batch"] == f"{MAX_BATCH:,}"
    assert limits["rows in a page"] == str(MAX_PAGE)
    assert limits["bytes in a page"] == f"{MAX_PAGE_BYTES // kib // kib} MiB"
    assert limits["nesting of JSON"] == f"{MAX_DEPTH} levels"
    assert limits["digits of a number"] == f"{MAX_INTEGER_DIGITS:,}"
    assert limits["schedule expression"] == f"{MAX_EXPRESSION} characters"
    assert limits["result of a handler"] == f"{MAX_RESULT // kib} KiB"
    assert limits["values in a filter"] == str(filters.MAX_ALTERNATIVES)
    assert limits["filters on metadata"] == str(filters.MAX_METADATA_FILTERS)
    assert limits["`Idempotency-Key`"] == f"{MAX_KEY} characters"
    fields = {code(row[0]): row for row in table(PAGE, "Fields of an enqueue")}
    assert f"1 to {MAX_NAME}" in fields["job_name"][1]
    assert f"0 to {MAX_RETRIES:,}" in fields["max_retries"][1]


def test_the_urn_that_begins_every_type_is_named() -> None:
    assert f"`{problems._TYPES}`" in page(PAGE)
