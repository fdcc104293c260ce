from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from jobs.core.commands import MAX_NAME, EnqueueJob, OnConflict, PreviewSchedule, UpdateJob, read_command
from jobs.core.errors import InvalidInput, InvalidSchedule
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import JobQuery
from jobs.core.schedules.timing import DstOptions, MisfireOptions, Timing

FUZZ = settings(database=None, print_blob=True)
LEAST = {"handler_name": "SendEmail", "job_name": "welcome-1"}
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def faults(model: type[BaseModel], value: object) -> dict[str, str]:
    with pytest.raises(InvalidInput) as caught:
        read_command(model, value)
    return {problem.pointer: problem.detail for problem in caught.value.problems}


def enqueue(**fields: Any) -> EnqueueJob:
    return read_command(EnqueueJob, LEAST | fields)


def resolves(pointer: str, value: Any) -> bool:
    """Follow a JSON Pointer; the last part may be a field that is missing."""
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    for place, part in enumerate(parts):
        if isinstance(value, list):
            value = value[int(part)]
        elif part in value:
            value = value[part]
        else:
            return place == len(parts) - 1
    return True


# --- enqueue


def test_two_names_are_all_that_an_enqueue_needs():
    command = enqueue()
    assert (command.schedule, command.timezone, command.payload, command.metadata) == ("@once", "UTC", {}, {})
    assert (command.on_conflict, command.id, command.max_retries, command.timeout) == (
        OnConflict.REJECT,
        None,
        None,
        None,
    )
    assert (command.dst, command.misfire) == (
        DstOptions(gap="shift", overlap="once"),
        MisfireOptions(policy="run_once"),
    )


def test_every_field_of_the_api_is_read():
    command = enqueue(
        payload=[1],
        metadata={"OrderId": 7},
        schedule="0 9 * * *",
        timezone="Europe/Berlin",
        id="019a2b3c-4d5e-7f60-8a7b-9c0d1e2f3a4b",
        max_retries=0,
        timeout="PT90S",
        misfire={"policy": "catch_up", "max": 3, "grace": "PT5M"},
        dst={"gap": "skip", "overlap": "twice"},
        start_at="2026-06-01T14:00:00+02:00",
        end_at="2026-12-31T00:00:00Z",
        max_runs=10,
        jitter="PT30S",
        on_conflict="return_existing",
    )
    assert command.id == UUID("019a2b3c-4d5e-7f60-8a7b-9c0d1e2f3a4b")
    assert (command.timeout, command.jitter) == (timedelta(seconds=90), timedelta(seconds=30))
    assert (command.misfire.max, command.misfire.grace) == (3, timedelta(minutes=5))
    assert (command.start_at, command.start_at.tzinfo) == (NOW, UTC)
    assert (command.max_retries, command.max_runs) == (0, 10)


def test_a_misfire_policy_may_be_a_bare_word():
    assert enqueue(misfire="skip").misfire == MisfireOptions(policy="skip")


@pytest.mark.parametrize(
    ("wrong", "pointer", "detail"),
    [
        ({"handler_name": ""}, "/handler_name", "at least 1 character"),
        ({"handler_name": "n" * (MAX_NAME + 1)}, "/handler_name", "at most 200 characters"),
        ({"handler_name": None}, "/handler_name", "valid string"),
        ({"job_name": ""}, "/job_name", "at least 1 character"),
        ({"job_name": 5}, "/job_name", "valid string"),
        ({"job_name": "n" * (MAX_NAME + 1)}, "/job_name", "at most 200 characters"),
        ({"metadata": []}, "/metadata", "valid dictionary"),
        ({"metadata": None}, "/metadata", "valid dictionary"),
        ({"metadata": {"": 1}}, "/metadata/", "at least 1 character"),
        ({"metadata": {"a": 1, "k/" * 101: 1}}, "/metadata/" + "k~1" * 101, "at most 200 characters"),
        ({"id": "7"}, "/id", "valid UUID"),
        ({"max_retries": -1}, "/max_retries", "greater than or equal to 0"),
        ({"max_retries": 1_001}, "/max_retries", "less than or equal to 1000"),
        ({"max_retries": 10**400}, "/max_retries", ""),
        ({"timeout": 0}, "/timeout", "above zero and up to P366D"),
        ({"timeout": "P367D"}, "/timeout", "above zero and up to P366D"),
        ({"timeout": "P1Y"}, "/timeout", "no fixed length"),
        ({"timeout": "soon"}, "/timeout", "not a duration"),
        ({"jitter": "PT0S"}, "/jitter", "above zero"),
        ({"schedule": None}, "/schedule", "valid string"),
        ({"timezone": None}, "/timezone", "valid string"),
        ({"misfire": "later"}, "/misfire", "'run_once', 'skip' or 'catch_up'"),
        ({"misfire": {"policy": "later"}}, "/misfire/policy", "'run_once', 'skip' or 'catch_up'"),
        ({"misfire": {"grace": "-PT1S"}}, "/misfire/grace", "not a duration"),
        ({"misfire": "catch_up"}, "/misfire", "give it with catch_up, and only there"),
        ({"misfire": {"policy": "skip", "max": 1}}, "/misfire", "give it with catch_up, and only there"),
        ({"misfire": {"policy": "catch_up", "max": 0}}, "/misfire/max", "greater than or equal to 1"),
        ({"dst": {"gap": "maybe"}}, "/dst/gap", "'shift' or 'skip'"),
        ({"dst": {"fold": 1}}, "/dst/fold", "not permitted"),
        ({"max_runs": 0}, "/max_runs", "greater than or equal to 1"),
        ({"max_runs": 2**31}, "/max_runs", "less than or equal to 2147483647"),
        ({"on_conflict": "merge"}, "/on_conflict", "'reject', 'return_existing' or 'replace'"),
        ({"colour": "red"}, "/colour", "not permitted"),
        ({"a/b~c": 1}, "/a~1b~0c", "not permitted"),
        ({"start_at": "2026-06-01"}, "/start_at", "timezone"),
        ({"start_at": "2026-06-01T12:00:00"}, "/start_at", "timezone"),
        ({"start_at": "tomorrow"}, "/start_at", "not an instant; write date, time and offset"),
        ({"start_at": 1_780_000_000}, "/start_at", "not an instant; write date, time and offset"),
        ({"start_at": "20261201"}, "/start_at", "not an instant; write date, time and offset"),
        ({"end_at": True}, "/end_at", "not an instant; write date, time and offset"),
        ({"end_at": "9999-12-31T23:59:59-10:00"}, "/end_at", "between the years 1 and 9999"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else str(value)[:60],
)
def test_a_wrong_field_is_named_by_its_pointer(wrong, pointer, detail):
    found = faults(EnqueueJob, LEAST | wrong)
    assert list(found) == [pointer]
    assert detail in found[pointer]


def test_every_fault_is_told_at_once():
    assert faults(EnqueueJob, {"job_name": "", "max_retries": -1, "x": 1}).keys() == {
        *("/handler_name", "/job_name", "/max_retries", "/x")
    }
    assert faults(EnqueueJob, {})["/handler_name"] == "the field 'handler_name' is missing; it is required"


@pytest.mark.parametrize("value", [[], None, "x", 5])
def test_what_is_no_object_is_refused_as_a_whole(value):
    assert list(faults(EnqueueJob, value)) == [""]


def test_a_command_cannot_be_changed_after_it_was_checked():
    with pytest.raises(ValueError, match="frozen"):
        enqueue().job_name = "other"


def test_what_was_sent_is_not_repeated_in_the_message():
    assert "hunter2" not in str(
        faults(EnqueueJob, LEAST | {"id": "hunter2", "timeout": "hunter2", "max_retries": "hunter2"})
    )


# --- pointers of faults in a handler's own model


class Apples(BaseModel):
    kind: Literal["apples"]
    count: int


class Pears(BaseModel):
    kind: Literal["pears"]
    weights: list[float]


class Order(BaseModel):
    fruit: Annotated[Apples | Pears, Field(discriminator="kind")] | None = None
    number: int | list[int] = 1
    renamed: int = Field(default=1, alias="Re/named")
    prices: dict[int, float] = {}
    nested: list[Apples] = []


def order(args: Order) -> None: ...


@pytest.mark.parametrize(
    ("payload", "pointers"),
    [
        ('{"number": "x"}', {"/payload/number"}),
        ('{"number": [1, "x"]}', {"/payload/number", "/payload/number/1"}),
        ('{"fruit": {"kind": "apples", "count": "x"}}', {"/payload/fruit/count"}),
        ('{"fruit": {"kind": "pears", "weights": [1, "x"]}}', {"/payload/fruit/weights/1"}),
        ('{"fruit": {"kind": "plums"}}', {"/payload/fruit"}),
        ('{"fruit": {"kind": "apples"}}', {"/payload/fruit/count"}),
        ('{"Re/named": "x"}', {"/payload/Re~1named"}),
        ('{"prices": {"x": 1}}', {"/payload/prices/x"}),
        ('{"prices": {"1": "x"}}', {"/payload/prices/1"}),
        ('{"nested": [{"kind": "apples", "count": 1}, {"kind": "apples"}]}', {"/payload/nested/1/count"}),
        ("[]", {"/payload"}),
        ("{", {"/payload"}),
    ],
)
def test_a_fault_in_a_payload_is_named_by_a_pointer_into_it(payload, pointers):
    spec = HandlerRegistry().add_handler("order", order)
    with pytest.raises(InvalidInput) as caught:
        spec.read_arguments(payload)
    assert {problem.pointer for problem in caught.value.problems} == pointers


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "apples", "2026-06-01", "PT1S"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["policy", "kind", "gap", "[key]", "a/b", ""]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*EnqueueJob.model_fields, "other"]), json_values))
@FUZZ
def test_whatever_is_wrong_every_pointer_leads_to_a_place_in_what_was_sent(value):
    try:
        read_command(EnqueueJob, value)
    except InvalidInput as error:
        assert all(resolves(problem.pointer, value) for problem in error.problems), error  # noqa: PT017


# --- update


_ABSENT = (
    *("armed_at", "timeout", "last_run_at", "last_error", "handled_at", "cancel_requested_at", "started_at"),
    *("lease_expires_at", "worker", "created_by", "trace_parent"),
)
_COUNTS = ("generation", "attempt", "max_retries", "run_count", "consecutive_failures", "revision")


def job(**fields: Any) -> Job:
    return Job.model_validate(
        {
            "id": UUID(int=1),
            **LEAST,
            "status": JobStatus.SCHEDULED,
            "schedule": "0 9 * * *",
            "timezone": "Europe/Berlin",
            "jitter": timedelta(seconds=5),
            "recurring": True,
            "payload": {},
            "metadata": {},
            **dict.fromkeys(_ABSENT),
            **dict.fromkeys(("next_run_at", "scheduled_for", "anchor", "created_at", "updated_at"), NOW),
            **dict.fromkeys(_COUNTS, 1),
        }
        | fields
    )


def test_an_update_changes_the_fields_that_are_given_and_no_others():
    assert read_command(UpdateJob, {}).changes == {}
    assert read_command(UpdateJob, {"max_retries": 0, "payload": None}).changes == {"max_retries": 0, "payload": None}


@pytest.mark.parametrize("field", ["schedule", "timezone", "dst", "misfire", "metadata", "max_retries"])
def test_what_a_job_always_has_cannot_be_set_to_null(field):
    with pytest.raises(InvalidInput, match=f"/{field}: cannot be null; leave the field out to keep it as it is"):
        _ = read_command(UpdateJob, {field: None}).changes


@pytest.mark.parametrize("field", ["start_at", "end_at", "max_runs", "jitter", "timeout"])
def test_null_takes_an_option_away(field):
    assert read_command(UpdateJob, {field: None}).changes == {field: None}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, False),
        ({"payload": 1, "metadata": {}, "max_retries": 3, "timeout": "PT1S"}, False),
        ({"schedule": "@daily"}, True),
        ({"timezone": "UTC"}, True),
        ({"jitter": None}, True),
        ({"misfire": "skip"}, True),
    ],
)
def test_a_change_says_whether_it_names_anything_about_time(fields, named):
    assert read_command(UpdateJob, fields).names_timing is named


def test_a_jobs_timing_is_kept_where_the_update_says_nothing():
    timing = read_command(UpdateJob, {"schedule": "0 10 * * *", "max_runs": 3}).timing_of(job())
    assert type(timing) is Timing
    assert timing == Timing(schedule="0 10 * * *", timezone="Europe/Berlin", jitter=timedelta(seconds=5), max_runs=3)
    assert read_command(UpdateJob, {"jitter": None}).timing_of(job()).jitter is None


@pytest.mark.parametrize("field", ["handler_name", "job_name", "id", "on_conflict", "status", "revision"])
def test_what_makes_a_job_that_job_cannot_be_updated(field):
    assert list(faults(UpdateJob, {field: "x"})) == [f"/{field}"]


# --- queries and previews


def test_a_query_asks_for_fifty_jobs_of_any_kind_unless_told_otherwise():
    query = read_command(JobQuery, {})
    assert (query.status, query.metadata, query.limit, query.cursor) == ((), {}, 50, None)


@pytest.mark.parametrize(
    ("wrong", "pointer"),
    [
        ({"limit": 0}, "/limit"),
        ({"limit": 501}, "/limit"),
        ({"status": ["Scheduled", "Waiting"]}, "/status/1"),
        ({"due_before": "soon"}, "/due_before"),
        ({"colour": "red"}, "/colour"),
    ],
)
def test_a_wrong_query_is_named_by_its_pointer(wrong, pointer):
    assert list(faults(JobQuery, wrong)) == [pointer]


@pytest.mark.parametrize("field", ["status", "handler_name", "job_name", "job_name_prefix", "parent_id"])
def test_a_query_takes_one_value_as_well_as_several(field):
    one = "Failed" if field == "status" else str(uuid4())
    assert JobQuery(**{field: one}) == JobQuery(**{field: [one]}) == JobQuery(**{field: (one,)})
    assert len(getattr(JobQuery(**{field: one}), field)) == 1


def test_a_query_takes_one_value_of_metadata_as_well_as_several():
    assert JobQuery(metadata={"order": 7}).metadata == JobQuery(metadata={"order": [7]}).metadata == {"order": (7,)}


def test_a_query_in_python_names_a_wrong_field_and_the_one_that_may_be_meant():
    with pytest.raises(InvalidInput, match=r"/statuses: there is no field 'statuses'; is 'status' meant\?"):
        JobQuery(statuses="Failed")
    with pytest.raises(InvalidInput, match="/status: Input should be 'Scheduled'"):
        JobQuery(status="failed")
    with pytest.raises(InvalidInput, match=r"/due_before: .*; /limit: "):
        JobQuery(due_before="soon", limit=0)


@pytest.mark.parametrize("count", [0, 101])
def test_a_preview_has_one_to_a_hundred_fire_times(count):
    assert list(faults(PreviewSchedule, {"schedule": "@daily", "count": count})) == ["/count"]


# --- timing


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"schedule": "nonsense"}, "/schedule"),
        ({"schedule": "@daily", "timezone": "Mars/Olympus"}, "/timezone"),
        ({"schedule": "@once", "max_runs": 3}, "/max_runs"),
        ({"schedule": "PT1S", "end_at": "2026-12-01T00:00:00Z"}, "/end_at"),
        (
            {"schedule": "@daily", "start_at": "2026-12-01T00:00:00Z", "end_at": "2026-12-01T00:00:00Z"},
            "/end_at",
        ),
    ],
    ids=str,
)
def test_a_timing_that_makes_no_sense_is_refused_at_the_field(fields, pointer):
    with pytest.raises(InvalidSchedule) as caught:
        enqueue(**fields).recurrence(NOW)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


def test_a_jobs_answer_has_instants_in_utc_with_z_and_durations_in_iso_8601():
    berlin = timezone(timedelta(hours=2))
    answer = job(timeout=timedelta(minutes=90), next_run_at=datetime(2026, 6, 1, 14, tzinfo=berlin)).model_dump(
        mode="json"
    )
    assert answer["next_run_at"] == "2026-06-01T12:00:00Z"
    assert (answer["timeout"], answer["jitter"], answer["misfire"]["grace"]) == ("PT1H30M", "PT5S", "PT1M")
    assert answer["status"] == "Scheduled"
