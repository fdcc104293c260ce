"""The HTTP reference lists what the app serves: routes, roles, fields, filters, problem types, outcomes, limits."""

from __future__ import annotations

from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.core.commands import MAX_NAME, MAX_RETRIES, UpdateJob
from jobs.core.handlers.results import MAX_RESULT
from jobs.core.paging import MAX_PAGE_BYTES
from jobs.core.queries import MAX_PAGE
from jobs.core.schedules.expression import MAX_EXPRESSION
from jobs.core.strict_json import MAX_DEPTH, MAX_INTEGER_DIGITS
from jobs.entrypoints.http import filters, problems
from jobs.entrypoints.http.api import MAX_KEY
from jobs.entrypoints.http.batch import MAX_BATCH, MAX_BATCH_BODY
from jobs.entrypoints.http.change_requests import UpdateRequest
from jobs.entrypoints.http.exchange import MAX_BODY
from tests.docs import http_page
from tests.docs.pages import assert_same, code, first_column, page, table

PAGE = "http-api.md"


def test_the_tables_are_those_that_the_openapi_document_has() -> None:
    assert http_page.PAGE.read_text() == http_page.written(), "write them anew: python -m tests.docs.http_page"


def test_every_field_that_can_be_changed_is_listed() -> None:
    assert_same(first_column(PAGE, "Change a job"), UpdateRequest.model_fields)


def test_exactly_the_fields_that_cannot_be_null_are_said_to_be_refused() -> None:
    for name, means in ((code(row[0]), row[1]) for row in table(PAGE, "Change a job")):
        if name == "reason":  # of the request alone
            continue
        change = UpdateJob.model_construct(_fields_set={name}, **{name: None})
        try:
            refused = change.changes is None
        except Exception:  # noqa: BLE001  whatever it is, null is not taken
            refused = True
        assert refused == (means == "refused"), name


def test_every_filter_of_a_list_is_listed() -> None:
    assert_same(first_column(PAGE, "List jobs"), filters._KNOWN.split(", "))


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
    assert f"`{problems.TYPES}`" in page(PAGE)
