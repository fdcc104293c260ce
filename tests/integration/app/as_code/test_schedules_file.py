"""A file of recurring jobs is applied: what is in it is there afterwards, and what its owner had besides is not."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from jobs.app.as_code.apply import ScheduleChanges
from jobs.app.as_code.check import check_file
from jobs.app.as_code.plan import Action, Step
from jobs.app.commands.callers import Caller
from jobs.app.runtime import Runtime
from jobs.bootstrap import build_runtime
from jobs.core.as_code.file import OWNER_KEY
from jobs.core.commands import UpdateJob
from jobs.core.errors import Conflict, InvalidInput
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.retry import RetryPolicy
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import JobQuery
from jobs.entrypoints.cli.main import main
from jobs.entrypoints.cli.parts import Parts
from jobs.settings import Settings
from jobs.testing import MemoryScheduler
from tests.docs.blocks import block
from tests.sizes import examples
from tests.support import ROOT, Anything, job, until
from tests.warm import warm_run

ACTIVE = (JobStatus.SCHEDULED, JobStatus.RUNNING)
NIGHTLY = {"job_name": "nightly", "handler_name": "Noop", "schedule": "30 2 * * *", "timezone": "Europe/Berlin"}


def a_file(*jobs: dict[str, Any], owner: str = "billing") -> dict[str, Any]:
    return {"owner": owner, "jobs": list(jobs)}


@pytest.fixture
def changes(runtime: Runtime) -> ScheduleChanges:
    return changes_of(runtime)


def changes_of(runtime: Runtime) -> ScheduleChanges:
    return ScheduleChanges(runtime.service, runtime.registry, runtime.units, runtime.lock, runtime.clock)


@pytest.fixture
def apply(runtime: Runtime, changes: ScheduleChanges):
    def apply(*jobs: dict[str, Any], owner: str = "billing", **options: Any) -> dict[str, str]:
        file = check_file(a_file(*jobs, owner=owner), None, runtime.registry, datetime.now(UTC))
        return actions(changes.apply(file, **options))

    return apply


def actions(steps: list[Step]) -> dict[str, str]:
    return {step.job_name: str(step.action) for step in steps}


def active(runtime: Runtime) -> dict[str, Job]:
    return {job.job_name: job for job in runtime.service.find(JobQuery(status=ACTIVE)).jobs}


# --- create, update, remove


def test_the_jobs_of_a_file_are_created_and_a_second_time_nothing_changes(runtime, apply):
    hourly = {"job_name": "hourly", "handler_name": "Noop", "schedule": "@hourly", "payload": {"a": [1, 2.5, None]}}
    assert apply(NIGHTLY, hourly) == {"hourly": "create", "nightly": "create"}
    before = active(runtime)
    assert {name: (job.schedule, job.timezone) for name, job in before.items()} == {
        "hourly": ("@hourly", "UTC"),
        "nightly": ("30 2 * * *", "Europe/Berlin"),
    }
    assert apply(NIGHTLY, hourly) == {"hourly": "same", "nightly": "same"}
    assert active(runtime) == before


def test_an_updated_job_keeps_its_id_and_gets_a_new_generation_with_its_new_time(runtime, apply):
    apply(NIGHTLY)
    before = active(runtime)["nightly"]
    assert apply(NIGHTLY | {"schedule": "@every 90m"}) == {"nightly": "update"}
    after = active(runtime)["nightly"]
    assert (after.id, after.schedule, after.generation) == (before.id, "@every 90m", before.generation + 1)
    assert after.next_run_at != before.next_run_at


def test_what_leaves_the_file_is_cancelled(runtime, apply):
    apply(NIGHTLY, NIGHTLY | {"job_name": "other"})
    gone = active(runtime)["other"].id
    assert apply(NIGHTLY) == {"nightly": "same", "other": "remove"}
    assert runtime.service.get(gone).status is JobStatus.CANCELLED
    assert set(active(runtime)) == {"nightly"}


def test_an_empty_file_removes_all_that_its_owner_has_and_nothing_else(runtime, apply):
    runtime.service.enqueue(job("by-hand", schedule="@daily"))
    apply(NIGHTLY | {"job_name": "theirs"}, owner="shipping")
    apply(NIGHTLY)
    assert apply() == {"nightly": "remove"}
    assert set(active(runtime)) == {"by-hand", "theirs"}


def test_another_handler_makes_another_job(runtime, registry, apply):
    def other(args: Anything) -> None:
        pass

    registry.add_handler("Other", other)
    apply(NIGHTLY)
    before = active(runtime)["nightly"]
    assert apply(NIGHTLY | {"handler_name": "Other"}) == {"nightly": "replace"}
    after = active(runtime)["nightly"]
    assert (after.handler_name, after.id != before.id) == ("Other", True)
    assert runtime.service.get(before.id).status is JobStatus.CANCELLED


CHANGES = {
    "timezone": "America/New_York",
    "dst": {"gap": "skip", "overlap": "twice"},
    "day_match": "all",
    "misfire": {"policy": "catch_up", "max": 7, "grace": "PT2M"},
    "start_at": "2030-01-01T00:00:00Z",
    "end_at": "2090-01-01T00:00:00+02:00",
    "max_runs": 12,
    "jitter": "PT45S",
    "payload": {"deep": {"list": [True, 1, "1", 1e23, 0.1, None]}},
    "metadata": {"team": "billing", "cost": 3.0},
    "max_retries": 9,
    "retry": {"base": "PT10S", "factor": 3.0, "jitter": False},
    "timeout": "PT90S",
    "paused": True,
}


@pytest.mark.parametrize("field", CHANGES)
def test_each_field_can_be_changed_is_then_the_same_and_returns_to_its_default_when_left_out(runtime, apply, field):
    changed = NIGHTLY | {field: CHANGES[field]}
    apply(NIGHTLY)
    plain = active(runtime)["nightly"]
    assert apply(changed) == {"nightly": "update"}
    assert apply(changed) == {"nightly": "same"}
    left_out = {} if field != "timezone" else {"timezone": "UTC"}
    back = {name: value for name, value in changed.items() if name != field} | left_out
    if field == "paused":  # left out, it is the operators' matter
        assert apply(back) == {"nightly": "same"}
        assert active(runtime)["nightly"].paused
        back |= {"paused": False}
    assert apply(back) == {"nightly": "update"}
    if field != "timezone":
        again = active(runtime)["nightly"]
        varying = {"revision", "generation", "updated_at", "anchor"}
        assert again.model_dump(exclude=varying) == plain.model_dump(exclude=varying)


def test_a_new_job_may_begin_paused(runtime, apply):
    apply(NIGHTLY | {"paused": True})
    assert active(runtime)["nightly"].paused


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), ("1", 1), (None, 0), ([], {}), ({"a": None}, {}), ([1], [1, 1])], ids=str
)
def test_payloads_that_are_alike_to_python_alone_differ(apply, one, other):
    apply(NIGHTLY | {"payload": {"value": one}})
    assert apply(NIGHTLY | {"payload": {"value": other}}) == {"nightly": "update"}
    assert apply(NIGHTLY | {"payload": {"value": other}}) == {"nightly": "same"}


def test_what_the_file_leaves_to_the_handler_follows_the_handler(make_runtime, apply, runtime):
    apply(NIGHTLY)
    slower = HandlerRegistry()

    def noop(args: Anything) -> None:
        pass

    slower.add_handler(
        "Noop", noop, retry=RetryPolicy(max_retries=11), timeout=timedelta(minutes=7), version=2, upcasters={1: dict}
    )
    changes = changes_of(make_runtime(slower))
    file = check_file(a_file(NIGHTLY), None, slower, datetime.now(UTC))
    [step] = changes.plan(file)
    assert step.why == ("payload: version 1 -> 2", "max_retries: 3 -> 11", "timeout: none -> PT7M")
    changes.apply(file)
    after = active(runtime)["nightly"]
    assert (after.max_retries, after.timeout, after.payload_version) == (11, timedelta(minutes=7), 2)


def test_every_change_is_in_the_audit_with_the_owner(apply, sql):
    apply(NIGHTLY)
    apply(NIGHTLY | {"max_retries": 1, "paused": True})
    apply()
    noted = sql("select actor, action from jobs.job_audit order by id")
    assert [tuple(row) for row in noted] == [("jobs apply, billing", a) for a in ("update", "pause", "cancel")]
    assert [row[0] for row in sql("select created_by from jobs.jobs")] == ["jobs apply, billing"]


# --- owners


def test_a_name_that_is_another_files_stops_all_and_changes_nothing(runtime, apply):
    apply(NIGHTLY, owner="shipping")
    before = active(runtime)
    with pytest.raises(InvalidInput, match=r"/jobs/1/job_name: is held by .* belongs to 'shipping'"):
        apply(NIGHTLY | {"job_name": "mine"}, NIGHTLY)
    assert active(runtime) == before


def test_a_job_of_no_file_is_taken_over_only_when_that_is_asked_for(runtime, apply):
    enqueued = runtime.service.enqueue(job("nightly", schedule="@daily", metadata={"by": "hand"}))
    with pytest.raises(InvalidInput, match="--adopt"):
        apply(NIGHTLY)
    assert apply(NIGHTLY, adopt=True) == {"nightly": "update"}
    assert runtime.service.get(enqueued.id).metadata == {OWNER_KEY: "billing"}
    assert apply() == {"nightly": "remove"}


def test_a_one_time_job_is_neither_taken_over_nor_removed(runtime, apply):
    marked = job("nightly", schedule="PT1H", metadata={OWNER_KEY: "billing"})
    runtime.service.enqueue(marked, caller=Caller(may_set_reserved=True))
    with pytest.raises(InvalidInput, match="one-time job"):
        apply(NIGHTLY, adopt=True)
    assert apply() == {}
    assert set(active(runtime)) == {"nightly"}


def test_metadata_that_an_operator_writes_does_not_lose_the_owner(runtime, apply):
    apply(NIGHTLY)
    runtime.service.update(active(runtime)["nightly"].id, UpdateJob(metadata={"note": "hot"}))
    assert active(runtime)["nightly"].metadata == {OWNER_KEY: "billing", "note": "hot"}
    assert apply(NIGHTLY) == {"nightly": "update"}
    assert active(runtime)["nightly"].metadata == {OWNER_KEY: "billing"}


def test_more_jobs_than_a_page_holds_are_all_found(runtime, apply):
    many = [NIGHTLY | {"job_name": f"job-{n}"} for n in range(510)]
    apply(*many)
    assert set(apply(*many).values()) == {"same"}
    assert set(apply().values()) == {"remove"}
    assert active(runtime) == {}


# --- ends


def test_a_job_whose_end_has_passed_is_no_fault_and_is_not_made_again(runtime, apply):
    over = NIGHTLY | {"end_at": "2020-01-01T00:00:00Z"}
    assert apply(over) == {"nightly": "same"}
    assert active(runtime) == {}
    apply(NIGHTLY)
    assert apply(over) == {"nightly": "remove"}
    assert apply(over) == {"nightly": "same"}


def test_a_job_that_has_had_all_its_runs_is_made_again_only_if_the_file_says_something_else(runtime, apply, sql):
    once = NIGHTLY | {"max_runs": 1}
    apply(once)
    sql("update jobs.jobs set next_run_at = now(), scheduled_for = now()")
    until(lambda: runtime.worker.drain(60) is not None and not active(runtime))
    assert apply(once) == {"nightly": "same"}
    assert apply(once | {"payload": {"again": True}}) == {"nightly": "create"}


def test_a_job_that_somebody_cancelled_is_made_again(runtime, apply):
    apply(NIGHTLY)
    runtime.service.cancel(active(runtime)["nightly"].id)
    assert apply(NIGHTLY) == {"nightly": "create"}


# --- jobs that run meanwhile


class Gate:
    """A handler that stays in its run until it is let out or told to end."""

    def __init__(self, registry: HandlerRegistry) -> None:
        self.inside = threading.Event()
        self.out = threading.Event()

        def wait(args: Anything, ctx: JobContext) -> None:
            self.inside.set()
            while not self.out.wait(0.05):
                ctx.raise_if_cancelled()

        registry.add_handler("Wait", wait)


@pytest.fixture
def running(runtime, registry, apply, sql):
    """A job of the file in the midst of its run, and the gate that it waits at."""
    gate = Gate(registry)
    apply(NIGHTLY | {"handler_name": "Wait"})
    sql("update jobs.jobs set next_run_at = now(), scheduled_for = now()")
    drain = threading.Thread(target=runtime.worker.drain, args=(20,))
    drain.start()
    assert gate.inside.wait(60)
    yield gate
    gate.out.set()
    drain.join()


def test_an_update_of_a_running_job_leaves_its_run_alone_and_holds_from_the_next(runtime, apply, running):
    yearly = NIGHTLY | {"handler_name": "Wait", "schedule": "@yearly", "timezone": "UTC"}
    assert apply(yearly) == {"nightly": "update"}
    assert active(runtime)["nightly"].status is JobStatus.RUNNING
    running.out.set()
    after = until(lambda: (j := active(runtime)["nightly"]).status is JobStatus.SCHEDULED and j)
    assert (after.next_run_at.month, after.next_run_at.day, after.run_count) == (1, 1, 1)


def test_a_running_job_with_another_handler_is_asked_to_end_and_made_anew_once_it_has(runtime, apply, running):
    before = active(runtime)["nightly"]
    told: list[str] = []
    letting_out = threading.Timer(1, running.out.set)  # sooner than its next heartbeat
    letting_out.start()
    done = apply(NIGHTLY, on_step=lambda step: told.append(str(step.action)))
    letting_out.join()
    assert (told, done) == (["replace", "create"], {"nightly": "create"})
    assert runtime.service.get(before.id).status is JobStatus.CANCELLED
    assert active(runtime)["nightly"].handler_name == "Noop"


def test_without_the_patience_to_wait_the_rest_is_applied_and_the_next_time_does_what_is_left(runtime, apply, running):
    with pytest.raises(Conflict, match="still running: 'nightly'; everything else is applied"):
        apply(NIGHTLY, NIGHTLY | {"job_name": "other"}, wait=timedelta())
    assert set(active(runtime)) == {"nightly", "other"}
    running.out.set()
    until(lambda: "nightly" not in active(runtime))
    assert apply(NIGHTLY, NIGHTLY | {"job_name": "other"}) == {"nightly": "create", "other": "same"}


def test_a_job_that_is_taken_out_and_put_back_while_it_runs_is_made_anew(runtime, apply, running):
    assert apply() == {"nightly": "remove"}
    assert apply() == {}
    with pytest.raises(Conflict, match="nightly"):
        apply(NIGHTLY | {"handler_name": "Wait"}, wait=timedelta())
    running.out.set()
    until(lambda: not active(runtime))
    assert apply(NIGHTLY | {"handler_name": "Wait"}) == {"nightly": "create"}


# --- all or nothing, and several at once


def test_a_failure_half_way_leaves_everything_as_it_was(runtime, apply, monkeypatch):
    apply(NIGHTLY, NIGHTLY | {"job_name": "second"})
    before = active(runtime)
    enqueue, calls = runtime.service.enqueue, []

    def failing(command: Any, **options: Any) -> Any:
        calls.append(command.job_name)
        if len(calls) == 2:
            raise RuntimeError("the machine is taken away")
        return enqueue(command, **options)

    monkeypatch.setattr(runtime.service, "enqueue", failing)
    new = [NIGHTLY | {"job_name": name} for name in ("third", "fourth")]
    with pytest.raises(RuntimeError, match="taken away"):
        apply(NIGHTLY | {"schedule": "@weekly"}, *new)
    assert active(runtime) == before


def test_a_change_that_comes_in_between_has_the_plan_made_anew(runtime, changes, apply, monkeypatch):
    apply(NIGHTLY)
    carry_out, interfered = changes._carry_out, []

    def interfere(*args: Any) -> Any:
        if not interfered:
            interfered.append(runtime.service.cancel(active(runtime)["nightly"].id))
        return carry_out(*args)

    monkeypatch.setattr(changes, "_carry_out", interfere)
    assert apply(NIGHTLY | {"schedule": "@weekly"}) == {"nightly": "create"}
    assert active(runtime)["nightly"].schedule == "@weekly"


def test_the_same_file_applied_by_many_at_once_makes_each_job_once(make_runtime, runtime, sql):
    entries = [NIGHTLY | {"job_name": f"job-{n}"} for n in range(20)]
    runtimes = [make_runtime() for _ in range(4)]
    file = check_file(a_file(*entries), None, runtime.registry, datetime.now(UTC))
    with ThreadPoolExecutor(len(runtimes)) as pool:
        done = list(pool.map(lambda each: actions(changes_of(each).apply(file)), runtimes))
    assert sorted(set(each.values()).pop() for each in done) == ["create", "same", "same", "same"]
    assert [row[0] for row in sql("select count(*) from jobs.jobs")] == [20]


def test_two_owners_at_once_with_one_name_leave_it_with_one_of_them(make_runtime, runtime):
    entries = [NIGHTLY | {"job_name": f"job-{n}"} for n in range(10)]

    def apply_as(owner: str) -> str:
        file = check_file(a_file(*entries, owner=owner), None, runtime.registry, datetime.now(UTC))
        try:
            changes_of(make_runtime()).apply(file)
        except InvalidInput:
            return "refused"
        return "applied"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(apply_as, ("billing", "shipping"))) == ["applied", "refused"]
    assert len({job.metadata[OWNER_KEY] for job in active(runtime).values()}) == 1


# --- for any two files


ENTRIES = st.fixed_dictionaries(
    {
        "handler_name": st.sampled_from(["Noop", "Other"]),
        "schedule": st.sampled_from(["@daily", "*/5 * * * *", "@every 2h"]),
    },
    optional={
        "timezone": st.sampled_from(["UTC", "Asia/Tokyo"]),
        "payload": st.sampled_from([{}, {"a": 1}, {"a": 1.0}, {"a": True}]),
        "metadata": st.sampled_from([{}, {"team": "a"}]),
        "misfire": st.sampled_from(["skip", "run_once"]),
        "max_retries": st.sampled_from([0, 3]),
        "retry": st.sampled_from([{}, {"base": "PT1S"}]),
        "timeout": st.sampled_from(["PT30S", "PT1M"]),
        "jitter": st.just("PT10S"),
        "end_at": st.sampled_from(["2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z"]),
        "paused": st.booleans(),
    },
)
FILES = st.dictionaries(st.sampled_from(["a", "b", "c"]), ENTRIES, max_size=3)


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(first=FILES, second=FILES)
def test_whatever_was_there_before_a_file_leaves_exactly_what_it_says(emptied, module_runtime, first, second):
    service, changes = module_runtime.service, changes_of(module_runtime)
    for known in service.find(JobQuery(status=ACTIVE, limit=500)).jobs:
        service.cancel(known.id)
    files = [
        check_file(
            a_file(*({"job_name": name} | entry for name, entry in each.items())),
            None,
            module_runtime.registry,
            datetime.now(UTC),
        )
        for each in (first, second)
    ]
    for file in files:
        changes.apply(file)
    found = active(module_runtime)
    now = datetime.now(UTC)
    wanted = {entry.job_name: entry for entry in files[1].jobs if entry.end_at is None or entry.end_at > now}
    assert found.keys() == wanted.keys()
    for name, entry in wanted.items():
        made = found[name]
        assert {field: getattr(made, field) for field in entry.timing} == entry.timing
        one_number = [json.dumps(payload).replace("1.0", "1") for payload in (made.payload, entry.payload)]
        assert (made.handler_name, one_number[0]) == (entry.handler_name, one_number[1])
        assert made.metadata == entry.metadata | {OWNER_KEY: "billing"}
        assert made.max_retries == (3 if entry.max_retries is None else entry.max_retries)
        assert made.timeout == entry.timeout
        assert made.paused == (entry.paused if entry.paused is not None else made.paused)
    assert {step.action for step in changes.apply(files[1])} <= {Action.SAME}
    assert active(module_runtime) == found


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    print_blob=True,
)
@given(
    payload=st.dictionaries(TEXTS, VALUES, max_size=3), metadata=st.dictionaries(TEXTS.filter(bool), VALUES, max_size=2)
)
def test_whatever_json_the_database_keeps_is_the_same_when_it_comes_back(emptied, module_runtime, payload, metadata):
    entry = NIGHTLY | {"payload": payload, "metadata": metadata}
    file = check_file(a_file(entry), None, module_runtime.registry, datetime.now(UTC))
    changes = changes_of(module_runtime)
    changes.apply(file)
    assert actions(changes.plan(file)) == {"nightly": "same"}


@pytest.fixture(scope="module")
def module_runtime(module_database):
    registry = HandlerRegistry()
    for name in ("Noop", "Other"):

        def noop(args: Anything) -> None:
            pass

        registry.add_handler(name, noop)
    runtime = build_runtime(Settings(), registry, module_database)
    yield runtime
    runtime.close()


# --- the command


class CountArgs(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int


@pytest.fixture
def command(runtime: Runtime, registry: HandlerRegistry, make_runtime, tmp_path: Path, capsys):
    """Run ``python -m jobs apply`` on a file; gives its status and what it printed."""

    def count(args: CountArgs) -> None:
        pass

    registry.add_handler("Count", count)

    def never(*_: object, **__: object) -> Any:
        raise AssertionError

    def command(
        text: str, *options: str, name: str = "schedules.yaml", longest_run: timedelta | None = None
    ) -> tuple[int, str, str]:
        file = tmp_path / name
        file.write_text(text)
        parts = Parts(never, never, lambda: registry, make_runtime, never, longest_run=lambda: longest_run)
        status = main(["apply", str(file), *options], parts)
        printed = capsys.readouterr()
        return status, printed.out.replace(f"{tmp_path}/", ""), printed.err.replace(f"{tmp_path}/", "")

    return command


FIRST = """\
owner: billing
jobs:
  - job_name: hourly
    handler_name: Count
    schedule: "@hourly"
    payload: {count: 1}
  - {job_name: nightly, handler_name: Noop, schedule: 30 2 * * *, timezone: Europe/Berlin}
"""


@pytest.mark.parametrize("option", ["--check", "--plan", None])
def test_a_timeout_that_the_host_would_cut_short_is_told_with_its_line(command, option):
    text = FIRST.replace("payload: {count: 1}", "payload: {count: 1}\n    timeout: PT30M")
    status, out, err = command(text, *([option] if option else []), longest_run=timedelta(minutes=30))
    assert (status, out) == (1, "")
    assert "schedules.yaml:7: hourly: /timeout: PT30M is not below functionTimeout, PT30M" in err
    assert command(text, "--check", longest_run=timedelta(minutes=31))[0] == 0
    assert command(text, "--check")[0] == 0


def test_the_command_tells_each_step_and_a_summary(command):
    assert command(FIRST) == (
        0,
        (
            "+ create  hourly (Count, @hourly)\n"
            "+ create  nightly (Noop, 30 2 * * * Europe/Berlin)\n"
            "applied: 2 create, 0 same\n"
        ),
        "",
    )
    second = FIRST.replace('"@hourly"', "'*/30 * * * *'").replace("count: 1", "count: 2").replace("nightly", "weekly")
    assert command(second) == (
        0,
        (
            "~ update  hourly (schedule: @hourly -> */30 * * * *; payload: count)\n"
            "- remove  nightly\n"
            "+ create  weekly (Noop, 30 2 * * * Europe/Berlin)\n"
            "applied: 1 create, 1 update, 1 remove, 0 same\n"
        ),
        "",
    )


def test_a_plan_a_check_and_the_deed_warn_of_what_means_something_else_elsewhere(command):
    text = "owner: billing\njobs:\n  - {job_name: a, handler_name: Noop, schedule: '0 14 */10 * 1-5'}\n"
    planned, checked, applied = (command(text, *options)[1].splitlines() for options in (["--plan"], ["--check"], []))
    assert planned[0] == applied[0] == "+ create  a (Noop, 0 14 */10 * 1-5)"
    assert planned[1] == applied[1]
    assert planned[1].startswith("  warning: day of month '*/10' and weekday '1-5': it runs on days that match either.")
    assert checked[0] == planned[1].replace("warning: ", "warning: a: ")
    assert command(text)[1].splitlines() == ["= same    a", "applied: 1 same"]
    chosen = text.replace("'}", "', day_match: all}")
    assert command(chosen)[1].splitlines()[0] == "~ update  a (day_match: any -> all)"
    assert len(command(chosen)[1].splitlines()) == 2


def test_a_schedule_in_a_block_of_yaml_is_written_in_one_line(command, runtime):
    text = "owner: billing\njobs:\n  - job_name: a\n    handler_name: Noop\n    schedule: |\n      17 *\t* * *\n"
    assert command(text)[1].splitlines()[0] == "+ create  a (Noop, 17 * * * *)"
    assert active(runtime)["a"].next_run_at.minute == 17


def test_a_schedule_in_another_systems_words_is_told_what_to_write_at_its_line(command):
    entry = "  - job_name: a\n    handler_name: Noop\n    schedule: rate(5 hours)\n    timezone: utc\n"
    _, _, told = command(f"owner: billing\njobs:\n{entry}")
    assert "schedules.yaml:5: a: /schedule: rate(…) is AWS's form; write '@every 5h'" in told
    assert "schedules.yaml:6: a: /timezone: 'utc' is not how the zone is written; write UTC" in told


def test_a_plan_changes_nothing_and_tells_by_its_status_if_asked_to(command, runtime):
    status, printed, _ = command(FIRST, "--plan")
    assert (status, printed.splitlines()[-1]) == (0, "plan: 2 to create, 0 same; nothing was changed")
    assert active(runtime) == {}
    assert command(FIRST, "--plan", "--detailed-exitcode")[0] == 2
    command(FIRST)
    status, printed, _ = command(FIRST, "--plan", "--detailed-exitcode")
    assert (status, printed.splitlines()) == (
        0,
        ["= same    hourly", "= same    nightly", "plan: 2 same; nothing was changed"],
    )


def test_json_is_taken_as_well_and_the_owner_may_be_named_beside_it(command, runtime):
    file = json.dumps({"jobs": [NIGHTLY | {"payload": {"smile": "\U0001f600"}}]}, indent="\t")
    assert command(file, "--owner", "shipping", name="schedules.json")[0] == 0
    assert active(runtime)["nightly"].metadata == {OWNER_KEY: "shipping"}
    assert active(runtime)["nightly"].payload == {"smile": "\U0001f600"}


WRONG = """\
owner: billing
jobs:
  - job_name: a
    handler_name: Count
    schedule: 0 0 30 2 *
    payload: {count: many}
  - job_name: b
    handler_name: Cuont
    schedule: "@daily"
    on_conflict: replace
  - job_name: a
    handler_name: Noop
    schedule: "@once"
    timezone: Mars/Base
  - handler_name: Noop
    schedule: "@daily"
    schedule: "@hourly"
  - job_name: c
    handler_name: Noop
    schedule: "@daily"
    metadata: {jobs.owner: shipping}
    max_retries: -1
"""


def test_all_faults_of_a_file_are_told_at_once_with_their_lines_and_nothing_is_changed(command, runtime):
    status, printed, error = command(WRONG)
    assert (status, printed, active(runtime)) == (1, "", {})
    first, *lines = error.splitlines()
    assert first == "error: schedules.yaml cannot be applied, and nothing was changed:"
    places = [int(line.partition("yaml:")[2].partition(":")[0]) for line in lines]
    assert places == sorted(places)
    assert set(places) == {5, 6, 8, 10, 11, 14, 15, 16, 21, 22}
    text = "\n".join(lines)
    assert (
        "schedules.yaml:8: b: /handler_name: no handler is registered as 'Cuont'; registered are: Count, Noop" in text
    )
    assert "schedules.yaml:5: a: /schedule: never matches" in text
    assert "schedules.yaml:6: a: /payload/count: " in text
    assert (
        "schedules.yaml:10: b: /on_conflict: there is no field 'on_conflict'; known here are schedule, timezone" in text
    )
    assert "schedules.yaml:11: a: /job_name: 'a' is the name of entry 1 too" in text
    assert "schedules.yaml:14: a: /timezone: no such IANA time zone" in text
    assert "schedules.yaml:15: entry 4: /job_name: the field 'job_name' is missing" in text
    assert "schedules.yaml:16: entry 4: /schedule: the key 'schedule' stands twice here, again in line 17" in text
    assert "schedules.yaml:21: c: /metadata: jobs.owner is set by jobs apply" in text
    assert "schedules.yaml:22: c: /max_retries: " in text


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "1e12", "soon"])
def test_a_time_to_wait_that_is_none_is_refused_as_wrong_usage(command, capsys, seconds):
    with pytest.raises(SystemExit) as stopped:
        command(FIRST, f"--wait={seconds}")
    assert stopped.value.code == 2
    assert "--wait: from 0 to 86400 seconds" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("owner: a\njobs: [\n", "schedules.yaml: line 3, column 1: "),
        (
            "owner: a\njobs:\n- {job_name: a, handler_name: Noop, schedule: */5 * * * *}",
            "begins with * or & needs quotes",
        ),
        ("", "schedules.yaml: a file of recurring jobs says at its top whose they are, as in owner: billing, and has"),
        ("- a", "schedules.yaml:1: a file of recurring jobs says at its top whose they are"),
        ("owner: a", "/jobs: the field 'jobs' is missing"),
        ("owner: a\njobs:", "schedules.yaml:2: /jobs: "),
        ("jobs: []", "/owner: says whose jobs these are"),
        ("owner: a\njob: []\njobs: []", "schedules.yaml:2: /job: there is no field 'job'; known here are owner, jobs"),
        ("owner: a\njobs: [nightly]", "schedules.yaml:2: entry 1: an entry has such as {job_name: nightly, handler"),
        ("owner: a\njobs:\n- {job_name: a, handler_name: Noop, schedule: '@once'}", ":3: a: /schedule: runs once;"),
        ("owner: a\njobs: !!python/name:os.system []", "the tag tag:yaml.org,2002:python/name:os.system is not read"),
        ("owner: a\njobs: &a [*a]", "more than 64 levels deep"),
    ],
)
def test_a_file_of_another_shape_is_told_in_a_line_with_its_place(command, text, told):
    status, printed, error = command(text)
    assert (status, printed) == (1, "")
    assert told in error
    assert "Traceback" not in error


def test_a_file_that_is_not_there_and_an_owner_that_is_not_the_files_are_told(command, runtime, registry, capsys):
    assert "the file belongs to 'billing', and --owner says 'shipping'" in command(FIRST, "--owner", "shipping")[2]
    assert "schedules.json is no JSON" in command("{", name="schedules.json")[2]
    assert main(["apply", "missing.yaml"], Parts(None, None, lambda: registry, None, None)) == 1
    assert capsys.readouterr().err == "error: missing.yaml cannot be read: No such file or directory\n"


def test_a_check_asks_no_database(command, monkeypatch):
    monkeypatch.setattr("jobs.entrypoints.cli.apply.ScheduleChanges", None)
    assert command(FIRST, "--check") == (0, "schedules.yaml: 2 recurring jobs of billing, nothing wrong\n", "")
    assert command(WRONG, "--check")[0] == 1


def test_a_name_that_others_hold_is_told_with_its_line(command, runtime):
    runtime.service.enqueue(job("nightly", schedule="@daily"))
    status, _, error = command(FIRST)
    assert (status, set(active(runtime))) == (1, {"nightly"})
    assert "schedules.yaml:7: nightly: /job_name: is held by the active job" in error


def test_the_module_runs_as_a_deployment_step_does(database_url, tmp_path):
    file = tmp_path / "schedules.yaml"
    file.write_text(block("docs/how-to/jobs-as-code.md", "owner: shop"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBS_SCHED")}
    environment |= {
        "JOBS_DATABASE_URL": database_url,
        "JOBS_SCHEDULER": "dapr",
        "JOBS_HANDLERS": "tests.framework_handlers",
    }  # without a sidecar beside it
    environment |= {"PYTHONPATH": str(ROOT)}

    def run(*options: str) -> subprocess.CompletedProcess[str]:
        return warm_run(["-m", "jobs", "apply", str(file), *options], cwd=tmp_path, env=environment)

    planned, first, again = run("--plan"), run(), run("--plan", "--detailed-exitcode")
    assert (planned.returncode, first.returncode, again.returncode) == (0, 0, 0), first.stderr
    assert first.stdout.count("+ create") == 2
    assert again.stdout.splitlines()[-1] == "plan: 2 same; nothing was changed"


def test_the_documented_file_makes_what_its_page_says(make_runtime, tmp_path, capsys):
    page = "docs/how-to/jobs-as-code.md"
    handlers = load_handlers("tests.framework_handlers")
    runtime = make_runtime(handlers)
    file = tmp_path / "schedules.yaml"
    file.write_text(block(page, "owner: shop"))
    assert main(["apply", str(file)], Parts(None, None, lambda: handlers, lambda _: runtime, None)) == 0
    assert capsys.readouterr().out == block(page, "+ create")


def test_where_alarms_are_held_those_of_what_changed_are_set_after_the_commit(database, registry):
    scheduler = MemoryScheduler()
    runtime = build_runtime(Settings(), registry, database, scheduler)
    changes = changes_of(runtime)

    def apply(*entries: dict[str, Any]) -> None:
        changes.apply(check_file(a_file(*entries), None, registry, datetime.now(UTC)))

    try:
        apply(NIGHTLY)
        first = active(runtime)["nightly"]
        until(lambda: scheduler.alarms == {AlarmName(first.id, 1): first.next_run_at})
        apply(NIGHTLY | {"schedule": "@hourly"})
        second = active(runtime)["nightly"]
        until(lambda: scheduler.alarms.get(AlarmName(first.id, 2)) == second.next_run_at)
        until(lambda: active(runtime)["nightly"].armed_at)
    finally:
        runtime.close()
