"""What handlers may ask for, on a real database: progress, results, follow-ups, versions, retries of a job's own."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from jobs import Discard, HandlerRegistry, JobContext, Retry, RetryOptions, RetryPolicy, Snooze, provider
from jobs.app.commands.callers import Caller
from jobs.core.commands import UpdateJob
from jobs.core.errors import JobNameTaken
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from tests.support import Anything, job, until

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def run(runtime):
    """Enqueue a job for a handler, run it to its end, and give it as it then stands."""

    def run(handle, name="job", **fields):
        runtime.registry.add_handler("Work", handle)
        return drained(runtime, runtime.service.enqueue(job(name, "Work", **fields)).id)

    return run


def drained(runtime, job_id):
    """Run a job to its end, and give it as it then stands. (A retry at once is due a moment later.)"""

    def ended():
        runtime.worker.drain(60)
        return (found := runtime.service.get(job_id)).status.ended and found

    return until(ended)


# --- progress


def test_progress_is_shown_while_the_handler_runs_and_stays_when_it_has_ended(runtime):
    go_on = threading.Event()

    def handle(args: Anything, ctx: JobContext) -> None:
        ctx.progress(0.25, "a quarter")
        assert go_on.wait(60)
        ctx.progress(0.5)
        ctx.progress(1.0, "all")

    runtime.registry.add_handler("Work", handle)
    job_id = runtime.service.enqueue(job("job", "Work")).id
    drain = threading.Thread(target=runtime.worker.drain, args=[60])
    drain.start()
    running = until(lambda: (found := runtime.service.get(job_id)).progress is not None and found)
    assert (running.status, running.progress, running.progress_message) == (JobStatus.RUNNING, 0.25, "a quarter")
    go_on.set()
    drain.join()
    ended = runtime.service.get(job_id)
    assert (ended.status, ended.progress, ended.progress_message) == (JobStatus.COMPLETED, 1.0, "all")


def test_progress_is_no_change_that_a_caller_must_have_seen(run):
    revisions = []

    def handle(args: Anything, ctx: JobContext) -> None:
        revisions.append(ctx)
        ctx.progress(0.5)

    ended = run(handle)
    assert ended.revision == 3, "enqueued, claimed, completed"


def test_much_progress_costs_few_statements(run, monkeypatch, runtime):
    written = []
    monkeypatch.setattr(runtime.runs, "report_progress", lambda *values: written.append(values))

    def handle(args: Anything, ctx: JobContext) -> None:
        for number in range(1_000):
            ctx.progress(number / 1_000)

    run(handle)
    assert [fraction for _, fraction, _ in written] == [0.0, 0.999]


def test_progress_that_came_too_soon_to_be_written_is_written_by_the_next_heartbeat(make_runtime):
    runtime = make_runtime(lease_seconds=1)

    def handle(args: Anything, ctx: JobContext) -> None:
        ctx.progress(0.1)
        ctx.progress(0.2)
        until(lambda: runtime.service.get(ctx.job_id).progress == 0.2)

    runtime.registry.add_handler("Work", handle)
    job_id = runtime.service.enqueue(job("job", "Work")).id
    runtime.worker.drain(60)
    assert runtime.service.get(job_id).status is JobStatus.COMPLETED


def test_the_next_attempt_begins_without_the_last_ones_progress(run, runtime, sql):
    seen = []

    def handle(args: Anything, ctx: JobContext) -> None:
        seen.append(runtime.service.get(ctx.job_id).progress)
        ctx.progress(0.7)
        if ctx.attempt == 1:
            raise Retry(after=0)

    run(handle)
    assert seen == [None, None]


def test_an_attempt_that_lost_its_lease_shows_no_progress(runtime, sql):
    def handle(args: Anything, ctx: JobContext) -> None:
        sql("update jobs.jobs set lease_token = gen_random_uuid()")
        ctx.progress(0.9)

    runtime.registry.add_handler("Work", handle)
    job_id = runtime.service.enqueue(job("job", "Work")).id
    runtime.worker.drain(60)
    assert runtime.service.get(job_id).progress is None


# --- results


def test_the_result_of_a_run_is_kept_on_the_job_and_in_its_history(run, runtime):
    def handle(args: Anything, ctx: JobContext) -> None:
        ctx.result = {"rows": 3, "file": 'a "quoted" \\ name \U0001f600'}

    ended = run(handle)
    assert ended.result == {"rows": 3, "file": 'a "quoted" \\ name \U0001f600'}
    [attempt] = runtime.service.attempts(ended.id)
    assert attempt.result == ended.result


def test_an_attempt_that_fails_leaves_no_result_and_a_later_run_leaves_the_last_good_one(runtime):
    def handle(args: Anything, ctx: JobContext) -> None:
        ctx.result = ctx.run
        if ctx.run == 2:
            raise Discard("no")

    runtime.registry.add_handler("Work", handle)
    job_id = runtime.service.enqueue(job("job", "Work", schedule="@every 1h")).id
    for _ in range(2):
        runtime.service.run_now(job_id)
        runtime.worker.drain(60)
    assert [attempt.result for attempt in runtime.service.attempts(job_id)] == [None, 1]
    assert runtime.service.get(job_id).result == 1


# --- heartbeats


def test_a_heartbeat_tells_at_once_of_a_requested_cancellation_and_extends_the_lease(run, runtime):
    seen = []

    def handle(args: Anything, ctx: JobContext) -> None:
        before = runtime.service.get(ctx.job_id).lease_expires_at
        runtime.service.cancel(ctx.job_id)
        assert not ctx.cancelled
        ctx.heartbeat()
        seen.append(runtime.service.get(ctx.job_id).lease_expires_at > before)
        ctx.raise_if_cancelled()

    assert run(handle).status is JobStatus.CANCELLED
    assert seen == [True]


# --- follow-ups


def test_a_follow_up_is_enqueued_once_however_often_the_run_is_executed(run, runtime):
    runtime.registry.add_handler("Next", lambda_handler)
    ids = []

    def handle(args: Anything, ctx: JobContext) -> None:
        ids.append(ctx.enqueue(job("next", "Next", schedule="PT1H")))
        if ctx.attempt < 3:
            raise Retry(after=0)

    ended = run(handle)
    assert ended.status is JobStatus.COMPLETED
    assert len(ids) == 3
    assert len(set(ids)) == 1
    follow_up = runtime.service.get(ids[0])
    assert (follow_up.job_name, follow_up.created_by) == ("next", f"job {ended.id}")


def lambda_handler(args: Anything) -> None: ...


def test_each_run_of_a_recurring_job_has_follow_ups_of_its_own(runtime):
    runtime.registry.add_handler("Next", lambda_handler)
    ids = []

    def handle(args: Anything, ctx: JobContext) -> None:
        ids.append(ctx.enqueue(job("next", "Next")))

    runtime.registry.add_handler("Work", handle)
    job_id = runtime.service.enqueue(job("job", "Work", schedule="@every 1h")).id
    for _ in range(2):
        runtime.service.run_now(job_id)
        runtime.worker.drain(60)
    assert len(set(ids)) == 2


def test_a_follow_up_whose_name_another_job_holds_is_refused_to_the_handler(run, runtime):
    runtime.service.enqueue(job("next", schedule="PT1H"))
    refused = []

    def handle(args: Anything, ctx: JobContext) -> None:
        with pytest.raises(JobNameTaken) as error:
            ctx.enqueue(job("next"))
        refused.append(error)

    assert run(handle).status is JobStatus.COMPLETED
    assert refused


# --- versions of arguments


def of_version(runtime, make_runtime, version):
    registry = HandlerRegistry()
    upcasters = {number: lambda payload: payload | {"seen": payload.get("seen", 0) + 1} for number in range(1, version)}
    ran = []

    def handle(args: Anything) -> None:
        ran.append(args.model_dump())

    registry.add_handler("Work", handle, version=version, upcasters=upcasters)
    return make_runtime(registry), ran


def test_a_job_of_an_older_release_runs_on_a_newer_one(runtime, make_runtime):
    old, _ = of_version(runtime, make_runtime, 1)
    new, ran = of_version(runtime, make_runtime, 3)
    enqueued = old.service.enqueue(job("job", "Work", payload={"a": 1}))
    assert old.service.get(enqueued.id).payload_version == 1
    new.worker.drain(60)
    assert ran == [{"a": 1, "seen": 2}]
    assert new.service.get(enqueued.id).status is JobStatus.COMPLETED


def test_a_job_of_a_newer_release_waits_visibly_on_an_older_one(runtime, make_runtime):
    new, _ = of_version(runtime, make_runtime, 2)
    old, ran = of_version(runtime, make_runtime, 1)
    [enqueued] = new.service.enqueue_many([job("job", "Work")])
    old.worker.drain(60)
    waiting = old.service.get(enqueued.id)
    assert (waiting.status, waiting.attempt, ran) == (JobStatus.SCHEDULED, 0, [])
    assert "of version 2, and this release's handler reads up to version 1" in waiting.last_error
    [attempt] = old.service.attempts(enqueued.id)
    assert attempt.outcome is AttemptOutcome.UNKNOWN_HANDLER


def test_a_new_payload_is_of_the_version_of_who_gives_it(runtime, make_runtime):
    old, _ = of_version(runtime, make_runtime, 1)
    new, _ = of_version(runtime, make_runtime, 2)
    enqueued = old.service.enqueue(job("job", "Work", schedule="PT1H"))
    assert new.service.update(enqueued.id, UpdateJob(payload={"b": 2})).payload_version == 2
    assert new.service.update(enqueued.id, UpdateJob(metadata={"a": 1})).payload_version == 2


# --- retries of a job's own


def test_a_job_may_wait_between_attempts_in_its_own_way(runtime):
    def handle(args: Anything) -> None:
        raise OSError("down")

    runtime.registry.add_handler("Work", handle, retry=RetryPolicy(base=timedelta(seconds=5), jitter=False))
    own = RetryOptions(base=timedelta(minutes=10), cap=timedelta(hours=2))
    jobs = [job("own", "Work", retry=own), job("handler's", "Work")]
    mine, theirs = (each.job for each in runtime.service.enqueue_many(jobs))
    assert mine.retry == runtime.service.get(mine.id).retry == own
    runtime.worker.drain(60)

    def waits(job_id):
        found = runtime.service.get(job_id)
        return round((found.next_run_at - found.last_run_at).total_seconds())

    assert (waits(mine.id), waits(theirs.id)) == (600, 5)


def test_retry_options_can_be_changed_and_taken_back(runtime):
    enqueued = runtime.service.enqueue(job("job", schedule="PT1H", retry=RetryOptions(factor=3)))
    changed = runtime.service.update(enqueued.id, UpdateJob(retry=RetryOptions(jitter=False)))
    assert changed.retry == RetryOptions(jitter=False)
    assert runtime.service.update(enqueued.id, UpdateJob(retry=None)).retry is None


# --- middleware and telemetry


def test_middleware_is_called_around_every_attempt_from_the_outside_in_and_sees_what_is_raised(run, runtime):
    seen = []

    def outer(ctx: JobContext, call_next) -> None:
        seen.append(("outer", ctx.attempt))
        try:
            call_next()
        except Retry:
            seen.append("retry")
            raise

    def inner(ctx: JobContext, call_next) -> None:
        seen.append("inner")
        call_next()
        seen.append("ended")

    runtime.registry.add_middleware(inner, order=2)
    runtime.registry.add_middleware(outer, order=1)

    async def handle(args: Anything, ctx: JobContext) -> None:
        if ctx.attempt == 1:
            raise Retry(after=0)

    assert run(handle).status is JobStatus.COMPLETED
    assert seen == [("outer", 1), "inner", "retry", ("outer", 2), "inner", "ended"]


def test_a_middleware_that_raises_fails_the_attempt(run, runtime):
    def refuse(ctx: JobContext, call_next) -> None:
        raise Discard("not on a Sunday")

    runtime.registry.add_middleware(refuse)
    ended = run(lambda_handler)
    assert (ended.status, ended.last_error) == (JobStatus.FAILED, "not on a Sunday")


def test_a_service_of_the_app_outlives_attempts_and_is_closed_with_the_runtime(make_runtime):
    happened = []

    class Pool:
        pass

    @provider(scope="app")
    def pool() -> Iterator[Pool]:
        happened.append("made")
        yield Pool()
        happened.append("closed")

    def handle(args: Anything, pool: Pool) -> None:
        happened.append("used")

    registry = HandlerRegistry()
    pool.__annotations__["return"], handle.__annotations__["pool"] = Iterator[Pool], Pool
    registry.add_provider(pool)
    registry.add_handler("Work", handle)
    runtime = make_runtime(registry)
    runtime.service.enqueue_many([job("a", "Work"), job("b", "Work")])
    runtime.worker.drain(60)
    runtime.close()
    assert happened == ["made", "used", "used", "closed"]


@pytest.fixture
def telemetry(monkeypatch):
    """The spans and the metrics that are made during a test."""
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([reader])
    monkeypatch.setattr(trace, "get_tracer", tracers.get_tracer)
    monkeypatch.setattr(metrics, "get_meter", meters.get_meter)
    yield spans, reader
    meters.shutdown()
    tracers.shutdown()


def test_every_attempt_makes_a_span_linked_to_its_enqueue_and_counts_in_the_metrics(make_runtime, telemetry):
    spans, reader = telemetry
    registry = HandlerRegistry()

    def handle(args: Anything, ctx: JobContext) -> None:
        if ctx.attempt == 1:
            raise OSError("down")
        if ctx.attempt == 2 and not seen:
            seen.append(ctx)
            raise Snooze(0)

    seen = []
    registry.add_handler("Work", handle, retry=RetryPolicy(base=timedelta(), cap=timedelta()))
    runtime = make_runtime(registry, opentelemetry=True)
    caller = Caller(trace_parent=f"00-{TRACE}-b7ad6b7169203331-01")
    job_id = runtime.service.enqueue(job("job", "Work"), caller=caller).id
    drained(runtime, job_id)
    made = spans.get_finished_spans()
    assert [span.attributes["jobs.outcome"] for span in made] == ["Failed", "Snoozed", "Succeeded"]
    assert [span.status.is_ok for span in made] == [False, True, True]
    assert {format(span.links[0].context.trace_id, "032x") for span in made} == {TRACE}
    kept = [attempt.trace_id for attempt in reversed(runtime.service.attempts(job_id))]
    assert kept == [format(span.context.trace_id, "032x") for span in made]
    [scope] = reader.get_metrics_data().resource_metrics[0].scope_metrics
    [points] = [metric.data.data_points for metric in scope.metrics if metric.name == "jobs.attempts"]
    assert {point.attributes["jobs.outcome"]: point.value for point in points} == {
        "Failed": 1,
        "Snoozed": 1,
        "Succeeded": 1,
    }


def test_without_the_setting_nothing_is_traced(runtime, run):
    ended = run(lambda_handler)
    [attempt] = runtime.service.attempts(ended.id)
    assert attempt.trace_id is None
