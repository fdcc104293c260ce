"""What ``jobs.testing`` promises to whoever tests a handler."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel, Field

from jobs import (
    Cancel,
    Discard,
    DistributedLock,
    EnqueueJob,
    HandlerRegistry,
    JobContext,
    Limits,
    LockNotAcquired,
    Rate,
    Retry,
    RetryPolicy,
    Snooze,
    handler,
    middleware,
    provider,
)
from jobs.core.errors import ConfigurationError, InvalidInput, JobNameTaken, StoreUnavailable, UnknownHandler
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.testing import JobsHarness, run_handler
from tests.support import ROOT

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


class Mailer:
    """A service that is not to be used in tests."""

    def send(self, to: str) -> None:
        raise AssertionError("a real mail would have been sent")


class FakeMailer(Mailer):
    def __init__(self, trouble: Exception | None = None) -> None:
        self.sent: list[str] = []
        self.trouble = trouble

    def send(self, to: str) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.sent.append(to)


@provider
def mailer() -> Mailer:
    return Mailer()


class MailArgs(BaseModel):
    to: str
    copies: int = 1


@handler("Mail", retry=RetryPolicy(max_retries=2, base=MINUTE, jitter=False))
def mail(args: MailArgs, ctx: JobContext, mailer: Mailer) -> None:
    ctx.progress(0.5, "half")
    mailer.send(args.to)
    ctx.result = {"to": args.to, "run": ctx.run, "attempt": ctx.attempt}


class Nothing(BaseModel):
    pass


@handler("Invite")
async def invite(args: Nothing, ctx: JobContext) -> None:
    for number in range(2):
        ctx.enqueue(
            EnqueueJob(
                handler_name="Mail",
                job_name=f"invitation-{number}",
                payload={"to": f"{number}@example.com"},
                metadata={"Domain": "Party", "Guest": {"number": number, "plus": ["one"]}},
                schedule="PT1H",
            )
        )


HANDLERS = [mail, invite, mailer]


@pytest.fixture
def fake() -> FakeMailer:
    return FakeMailer()


@pytest.fixture
def jobs(fake: FakeMailer) -> Iterator[JobsHarness]:
    with JobsHarness(HANDLERS, overrides={Mailer: fake}) as jobs:
        yield jobs


def harness_of(*handlers: object, **options: object) -> JobsHarness:
    return JobsHarness(handlers, **options)


def handling(function: object, name: str = "Work", **options: object) -> JobsHarness:
    """A harness with one handler that calls ``function`` with its context."""

    def work(args: Nothing, ctx: JobContext) -> None:
        function(ctx)

    registry = HandlerRegistry()
    registry.add_handler(name, work, **options)
    return JobsHarness(registry)


# --- run one handler


def test_a_handler_runs_with_the_fake_in_place_of_its_service_and_tells_how_it_went(jobs, fake):
    ran = jobs.run_handler("Mail", {"to": "a@example.com"})
    assert fake.sent == ["a@example.com"]
    assert (ran.outcome, ran.error, ran.exception) == (AttemptOutcome.SUCCEEDED, None, None)
    assert ran.result == {"to": "a@example.com", "run": 1, "attempt": 1}
    assert (ran.progress, ran.progress_message) == (0.5, "half")
    assert (ran.job.status, ran.enqueued) == (JobStatus.COMPLETED, ())
    assert ran.check() is ran


def test_the_arguments_may_be_given_as_their_model(jobs, fake):
    class Aliased(BaseModel):
        to: str = Field(alias="recipient")

    jobs.run_handler("Mail", MailArgs(to="a@example.com")).check()
    assert fake.sent == ["a@example.com"]
    assert jobs.enqueue("Invite", Aliased(recipient="x")).payload == {"recipient": "x"}


def test_what_a_handler_raises_is_kept_and_raised_by_check(jobs, fake):
    fake.trouble = ConnectionError("the mail server is away")
    ran = jobs.run_handler("Mail", {"to": "a"})
    assert ran.exception is fake.trouble
    assert (ran.outcome, ran.job.status) == (AttemptOutcome.FAILED, JobStatus.SCHEDULED)
    assert "ConnectionError: the mail server is away" in ran.error
    assert "ConnectionError: the mail server is away" in repr(ran)
    with pytest.raises(ConnectionError, match="the mail server is away"):
        ran.check()


@pytest.mark.parametrize(
    ("signal", "outcome", "status"),
    [
        (Retry(after=5), AttemptOutcome.FAILED, JobStatus.SCHEDULED),
        (Snooze(5), AttemptOutcome.SNOOZED, JobStatus.SCHEDULED),
        (Discard("no use"), AttemptOutcome.DISCARDED, JobStatus.FAILED),
        (Cancel(), AttemptOutcome.CANCELLED, JobStatus.CANCELLED),
        (PermissionError("no"), AttemptOutcome.FAILED, JobStatus.FAILED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_way_an_attempt_may_end_is_told(signal, outcome, status):
    def work(ctx):
        raise signal

    with handling(work, retry=RetryPolicy(never=(PermissionError,))) as jobs:
        ran = jobs.run_handler("Work")
    assert (ran.outcome, ran.job.status, ran.exception) == (outcome, status, signal)
    with pytest.raises(type(signal)):
        ran.check()


def test_the_last_attempt_of_a_run_can_be_had_at_once(jobs, fake):
    fake.trouble = ConnectionError()
    assert jobs.run_handler("Mail", {"to": "a"}, attempt=2).job.status is JobStatus.SCHEDULED
    last = jobs.run_handler("Mail", {"to": "a"}, attempt=3)
    assert (last.attempt, last.job.status) == (3, JobStatus.FAILED)


def test_a_handler_is_told_what_the_test_says_of_its_run():
    seen = []
    with handling(seen.append) as jobs:
        jobs.run_handler("Work", scheduled_for=NOON - DAY, metadata={"k": 1}, job_name="name", timeout=MINUTE)
    [ctx] = seen
    assert (ctx.scheduled_for, ctx.metadata, ctx.job_name) == (NOON - DAY, {"k": 1}, "name")
    assert ctx.deadline == NOON + MINUTE


def test_an_instant_without_a_zone_is_refused():
    with handling(lambda ctx: None) as jobs:
        for call in (
            lambda: jobs.run_handler("Work", scheduled_for=datetime(2026, 6, 1)),
            lambda: jobs.drain(until=datetime(2026, 6, 2)),
            lambda: jobs.assert_enqueued(due_at=datetime(2026, 6, 2)),
        ):
            with pytest.raises(ValueError, match="says nothing about its zone"):
                call()


def test_a_span_that_is_no_timedelta_and_an_instant_that_is_no_datetime_are_refused_with_what_to_write():
    with handling(lambda ctx: None) as jobs:
        for call in (lambda: jobs.advance(60), lambda: jobs.clock.advance(60)):
            with pytest.raises(TypeError, match=r"60 is no timedelta; write such as timedelta\(seconds=60\)"):
                call()
        for until in ("2026-01-01", MINUTE):
            with pytest.raises(TypeError, match=r"is no datetime; write such as datetime\(2026, 1, 1, tzinfo=UTC\)"):
                jobs.drain(until=until)


def test_a_cancelled_handler_is_stopped_where_it_asks():
    reached = []

    def work(ctx):
        ctx.raise_if_cancelled()
        reached.append(ctx)

    with handling(work) as jobs:
        ran = jobs.run_handler("Work", cancelled=True)
    assert (reached, ran.outcome, ran.job.status) == ([], AttemptOutcome.CANCELLED, JobStatus.CANCELLED)


def test_a_run_that_is_delivered_twice_has_one_idempotency_key():
    keys = []

    def work(ctx):
        keys.append(ctx.idempotency_key)

    with handling(work) as jobs:
        ran = jobs.run_handler("Work", deliveries=3).check()
        history = jobs.runtime.service.attempts(ran.job.id)
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert [line.outcome for line in history] == ["Succeeded", "Lost", "Lost"]
    assert (ran.job.run_count, ran.attempt) == (1, 1)


def test_a_run_that_completed_itself_in_a_unit_of_work_is_not_delivered_again():
    calls = []

    def work(ctx):
        calls.append(ctx.run)
        with ctx.unit_of_work() as uow:
            uow.complete()

    with handling(work) as jobs:
        ran = jobs.run_handler("Work", deliveries=2).check()
    assert (calls, ran.job.status) == ([1], JobStatus.COMPLETED)


def test_a_follow_up_is_enqueued_once_however_often_its_run_is_delivered(jobs):
    ran = jobs.run_handler("Invite", deliveries=2).check()
    assert len(jobs.assert_enqueued("Mail", count=2)) == 2
    assert ran.enqueued == (), "by the first delivery already"


def test_the_handlers_follow_ups_are_told(jobs):
    ran = jobs.run_handler("Invite").check()
    assert [job.job_name for job in ran.enqueued] == ["invitation-0", "invitation-1"]
    assert {job.created_by for job in ran.enqueued} == {f"job {ran.job.id}"}


def test_run_handler_by_itself_needs_no_harness():
    fake = FakeMailer()
    run_handler("Mail", {"to": "a"}, handlers=HANDLERS, overrides={Mailer: fake}).check()
    assert fake.sent == ["a"]


def test_a_handler_that_takes_longer_than_its_timeout_has_timed_out():
    with handling(lambda ctx: time.sleep(0.3)) as jobs:
        ran = jobs.run_handler("Work", timeout=timedelta(seconds=0.1))
    assert (ran.outcome, ran.job.status) == (AttemptOutcome.TIMED_OUT, JobStatus.SCHEDULED)
    with pytest.raises(AssertionError, match="TimedOut"):
        ran.check()


# --- the real pipeline


def test_providers_and_middleware_run_around_the_handler_as_in_the_app():
    told = []

    @provider
    def yielding() -> Iterator[Mailer]:
        told.append("made")
        yield FakeMailer()
        told.append("cleaned up")

    @middleware(order=1)
    def around(ctx: JobContext, call_next) -> None:
        told.append("before")
        call_next()
        told.append("after")

    @handler("Tell")
    def tell(args: Nothing, mailer: Mailer) -> None:
        told.append("handled")

    with harness_of(tell, yielding, around) as jobs:
        jobs.run_handler("Tell").check()
    assert told == ["before", "made", "handled", "cleaned up", "after"]


def test_what_a_provider_raises_is_the_attempts_failure():
    @provider
    def broken() -> Mailer:
        raise ConnectionError("no mail server")

    with harness_of(mail, broken) as jobs:
        ran = jobs.run_handler("Mail", {"to": "a"})
    assert isinstance(ran.exception, ConnectionError)


def test_services_of_the_whole_app_are_cleaned_up_when_the_harness_is_closed():
    told = []

    @provider(scope="app")
    def yielding() -> Iterator[Mailer]:
        told.append("made")
        yield FakeMailer()
        told.append("cleaned up")

    with harness_of(mail, yielding) as jobs:
        for _ in range(2):
            jobs.run_handler("Mail", {"to": "a"}).check()
        assert told == ["made"]
    assert told == ["made", "cleaned up"]


def test_a_registry_that_is_given_is_left_as_it_was():
    registry = HandlerRegistry()
    registry.add_marked(mail)
    registry.add_marked(mailer)
    with JobsHarness(registry):
        pass
    assert registry.middleware == []


def test_the_apps_own_handlers_are_what_is_tested_by_default(monkeypatch):
    monkeypatch.setenv("JOBS_HANDLERS", "tests.framework_handlers")
    with JobsHarness() as jobs:
        assert {spec.name for spec in jobs.runtime.registry.all()} == {"CleanupData", "SendEmail"}


def test_handlers_that_local_settings_name_are_tested_as_they_are_run_unless_the_environment_names_others(
    monkeypatch, tmp_path
):
    (tmp_path / "host.json").write_text("{}")
    (tmp_path / "local.settings.json").write_text('{"Values": {"JOBS_HANDLERS": "shop_of_mine"}}')
    (tmp_path / "shop_of_mine.py").write_text(
        "from pydantic import BaseModel\nfrom jobs import JobContext, handler\n"
        "class Args(BaseModel):\n    item: str\n"
        '@handler("Restock")\ndef restock(args: Args, ctx: JobContext) -> None: ...\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("AzureWebJobsScriptRoot", str(tmp_path))
    with JobsHarness() as jobs:
        assert {spec.name for spec in jobs.runtime.registry.all()} == {"CleanupData", "SendEmail"}
    monkeypatch.delenv("JOBS_HANDLERS")
    with JobsHarness() as jobs:
        assert {spec.name for spec in jobs.runtime.registry.all()} == {"Restock"}
    assert "JOBS_HANDLERS" not in os.environ


def test_local_settings_that_cannot_be_read_are_refused_with_their_line(monkeypatch, tmp_path):
    (tmp_path / "host.json").write_text("{}")
    (tmp_path / "local.settings.json").write_text('{\n"Values": }')
    monkeypatch.setenv("AzureWebJobsScriptRoot", str(tmp_path))
    monkeypatch.delenv("JOBS_HANDLERS")
    with pytest.raises(ConfigurationError, match=r"local\.settings\.json:2: "):
        JobsHarness()


def test_without_any_handlers_the_harness_says_how_to_write_the_first_one(monkeypatch, tmp_path):
    monkeypatch.delenv("JOBS_HANDLERS", raising=False)
    (tmp_path / "host.json").write_text("{}")
    monkeypatch.setenv("AzureWebJobsScriptRoot", str(tmp_path))
    with pytest.raises(ConfigurationError, match="python -m jobs new handler SendInvoice"):
        JobsHarness()


# --- mistakes, and what to do


def test_a_payload_that_does_not_fit_says_what_would(jobs):
    with pytest.raises(InvalidInput, match="/payload/to: the field 'to' is missing; it is required") as caught:
        jobs.run_handler("Mail", {"too": "a"})
    [note] = caught.value.__notes__
    assert "Mail takes MailArgs (to, copies)" in note
    assert "test_harness.py" in note


def test_another_faulty_field_is_not_blamed_on_the_payload(jobs):
    with pytest.raises(InvalidInput, match="/schedule") as caught:
        jobs.enqueue("Mail", {"to": "a"}, schedule="nonsense")
    assert not hasattr(caught.value, "__notes__")


def test_a_handler_that_there_is_not_is_told_with_those_there_are(jobs):
    with pytest.raises(UnknownHandler, match="registered are: Invite, Mail"):
        jobs.run_handler("Male")


def test_an_override_that_nobody_would_be_given_is_refused():
    with pytest.raises(ConfigurationError, match=r"overrides\[FakeMailer\] would be given to nobody.* one of: Mailer"):
        JobsHarness(HANDLERS, overrides={FakeMailer: FakeMailer()})


def test_a_class_in_place_of_an_instance_is_refused():
    with pytest.raises(ConfigurationError, match=r"give an instance: FakeMailer\(\.\.\.\)"):
        JobsHarness(HANDLERS, overrides={Mailer: FakeMailer})


def test_a_service_that_nothing_provides_is_told_unless_it_is_overridden():
    with pytest.raises(ConfigurationError, match=r"nothing provides Mailer; give overrides=\{Mailer: \.\.\.\}"):
        JobsHarness([mail])
    with JobsHarness([mail], overrides={Mailer: FakeMailer()}) as jobs:
        jobs.run_handler("Mail", {"to": "a"}).check()


def test_what_bears_no_mark_is_refused():
    with pytest.raises(ConfigurationError, match="is not marked with @handler"):
        JobsHarness([FakeMailer])


def test_sql_on_the_stores_connection_says_to_use_a_real_postgres():
    def work(ctx):
        with ctx.unit_of_work() as uow:
            uow.connection.execute("select 1")

    def orm(ctx):
        with ctx.unit_of_work() as uow:
            uow.session.add(object())

    for function in (work, orm):
        with handling(function) as jobs:
            assert "with a real Postgres" in jobs.run_handler("Work").error


def test_a_connection_of_another_kind_is_refused(jobs):
    command = EnqueueJob(handler_name="Mail", job_name="a", payload={"to": "a"})
    with pytest.raises(TypeError, match="cannot join a builtins"):
        jobs.runtime.service.enqueue(command, connection=object())


# --- drain, and let time pass


def test_a_drain_runs_what_is_due_and_nothing_else(jobs, fake):
    jobs.enqueue("Mail", {"to": "now"})
    later = jobs.enqueue("Mail", {"to": "later"}, schedule="PT1H")
    assert [ran.job.payload["to"] for ran in jobs.drain()] == ["now"]
    assert fake.sent == ["now"]
    assert jobs.clock.now() == NOON
    assert jobs.job(later).status is JobStatus.SCHEDULED
    assert jobs.drain() == []


def test_what_is_due_longest_runs_first(jobs, fake):
    jobs.enqueue("Mail", {"to": "second"}, schedule="PT2M")
    jobs.enqueue("Mail", {"to": "first"}, schedule="PT1M")
    jobs.clock.advance(DAY)
    jobs.drain()
    assert fake.sent == ["first", "second"]


def test_retries_run_each_at_its_time_as_time_passes(jobs, fake):
    fake.trouble = ConnectionError()
    job = jobs.enqueue("Mail", {"to": "a"})
    assert [ran.attempt for ran in jobs.drain()] == [1]
    assert jobs.job(job).next_run_at == NOON + MINUTE
    assert jobs.advance(timedelta(seconds=59)) == []
    assert [ran.attempt for ran in jobs.advance(timedelta(minutes=10))] == [2, 3]
    assert jobs.job(job).status is JobStatus.FAILED
    assert [line.started_at for line in jobs.runtime.service.attempts(job.id)] == [
        NOON + 3 * MINUTE,
        NOON + MINUTE,
        NOON,
    ]
    assert jobs.clock.now() == NOON + timedelta(minutes=10, seconds=59)


def test_a_recurring_job_runs_at_each_of_its_times(jobs, fake):
    jobs.enqueue("Mail", {"to": "daily"}, schedule="0 9 * * *", timezone="Europe/Berlin")
    ran = jobs.drain(until=NOON + 3 * DAY)
    assert [(each.run, each.job.last_run_at.hour) for each in ran] == [(1, 7), (2, 7), (3, 7)]
    assert jobs.clock.now() == NOON + 3 * DAY


def test_runs_that_were_missed_while_the_clock_jumped_are_settled_by_the_misfire_policy(jobs):
    jobs.enqueue("Mail", {"to": "a"}, schedule="@hourly", job_name="once")
    jobs.enqueue("Mail", {"to": "a"}, schedule="@hourly", job_name="skip", misfire="skip")
    jobs.clock.advance(timedelta(hours=5, minutes=30))
    ran = {each.job_name: each.outcome for each in jobs.drain()}
    assert ran == {"once": AttemptOutcome.SUCCEEDED, "skip": AttemptOutcome.SKIPPED}


def test_follow_ups_that_are_due_run_in_the_same_drain():
    def work(ctx):
        if ctx.run == 1 and ctx.job_name == "first":
            ctx.enqueue(EnqueueJob(handler_name="Work", job_name="second"))

    with handling(work) as jobs:
        jobs.enqueue("Work", job_name="first")
        assert [ran.job_name for ran in jobs.drain()] == ["first", "second"]


def test_a_drain_that_would_never_end_is_stopped_and_says_why():
    def work(ctx):
        raise Snooze(0)

    with handling(work) as jobs:
        jobs.enqueue("Work")
        with pytest.raises(AssertionError, match=r"7 attempts ran, .* snoozes for no time"):
            jobs.drain(most=7)
        assert [job.status for job in jobs.jobs] == [JobStatus.SCHEDULED], "what was claimed was given back"


def test_a_drain_until_the_past_is_refused(jobs):
    with pytest.raises(ValueError, match="has passed"):
        jobs.drain(until=NOON - DAY)


def test_retries_are_drawn_alike_every_time():
    def failing(ctx):
        raise ConnectionError

    def waits() -> list[datetime]:
        with handling(failing, retry=RetryPolicy(max_retries=5)) as jobs:
            jobs.enqueue("Work")
            return [ran.job.next_run_at for ran in jobs.advance(DAY)]

    first = waits()
    assert len(first) == 6
    assert first == waits()


def test_the_clock_may_start_anywhere():
    at = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)
    with JobsHarness(HANDLERS, overrides={Mailer: FakeMailer()}, at=at) as jobs:
        job = jobs.enqueue("Mail", {"to": "a"}, schedule="30 2 * * *", timezone="Europe/Berlin")
    assert job.next_run_at == datetime(2027, 3, 28, 1, 0, tzinfo=UTC), "there is no half past two on that day"


# --- limits


def limited(limits: Limits) -> JobsHarness:
    return handling(lambda ctx: None, limits=limits)


@handler("Import", limits=Limits(concurrency=1, concurrency_key=lambda args: args.to, rate=Rate(2, MINUTE)))
def import_(args: MailArgs, ctx: JobContext) -> None:
    """Runs twice a minute at most."""


def test_a_rate_lets_jobs_wait_until_the_clock_moves():
    before = set(threading.enumerate())
    with harness_of(import_) as jobs:
        for _ in range(5):
            jobs.enqueue("Import", {"to": "a"})
        assert len(jobs.drain()) == 2
        assert len(jobs.advance(MINUTE)) == 2
        [last] = jobs.drain(until=NOON + 3 * MINUTE)
        assert last.job.started_at == pytest.approx(NOON + 2 * MINUTE, abs=SECOND)
        assert jobs.job(last.job).concurrency_key == "a"
        started = {thread.name for thread in set(threading.enumerate()) - before}
        assert started <= {"jobs-leases"}, "all of it happens in the test's own thread"


def test_a_handler_with_a_rate_that_is_run_once_more_waits_for_its_turn():
    with limited(Limits(rate=Rate(1, per=MINUTE))) as jobs:
        jobs.run_handler("Work", deliveries=2).check()
        jobs.run_handler("Work").check()
        assert MINUTE <= jobs.clock.now() - NOON < 3 * MINUTE


def test_jobs_of_a_handler_that_runs_one_at_a_time_all_run_in_a_drain():
    with limited(Limits(concurrency=1)) as jobs:
        for _ in range(3):
            jobs.enqueue("Work")
        assert len(jobs.drain()) == 3


def test_a_handler_whose_limit_is_used_up_by_a_run_that_does_not_end_says_so():
    with limited(Limits(concurrency=1)) as jobs:
        jobs.enqueue("Work")
        jobs.runtime.pipeline.claims.throttled("Work")
        with pytest.raises(AssertionError, match="Work has limits, which other runs use up"):
            jobs.run_handler("Work")
        assert jobs.drain() == []


# --- the reconciler, locks and units of work


def test_the_reconciler_takes_back_a_run_whose_worker_was_lost(jobs, fake):
    jobs.enqueue("Mail", {"to": "a"})
    jobs.runtime.pipeline.claims.due(1)
    assert jobs.drain() == []
    jobs.clock.advance(2 * MINUTE)
    assert jobs.run_reconciler().reaped == 1
    assert [ran.outcome for ran in jobs.drain()] == [AttemptOutcome.SUCCEEDED]


def test_the_reconciler_prunes_what_ended_long_ago(jobs):
    jobs.run_handler("Mail", {"to": "a"}).check()
    jobs.clock.advance(31 * DAY)
    report = jobs.run_reconciler()
    assert (report.pruned, report.failures, jobs.jobs) == (1, {}, [])


def test_waiting_for_a_lock_costs_no_time_but_the_clocks():
    def work(ctx):
        with ctx.lock("website", MINUTE):
            raise AssertionError("somebody else has it")

    with handling(work) as jobs:
        held = jobs.runtime.lock.try_acquire("website", DAY)
        ran = jobs.run_handler("Work")
        assert isinstance(ran.exception, LockNotAcquired)
        assert jobs.clock.now() - NOON == timedelta(seconds=10)
        assert held.held


def test_a_lock_expires_as_the_clock_moves():
    with handling(lambda ctx: None) as jobs:
        lock: DistributedLock = jobs.runtime.lock
        first = lock.try_acquire("website", MINUTE)
        jobs.clock.advance(MINUTE)
        assert not first.held
        second = lock.try_acquire("website", MINUTE)
        assert second.fencing_token > first.fencing_token


def test_what_is_enqueued_in_a_unit_of_work_is_there_once_that_commits():
    def work(ctx):
        with ctx.unit_of_work() as uow:
            ctx.enqueue(EnqueueJob(handler_name="Work", job_name="dropped", schedule="P1D"))
            uow.rollback()
        with ctx.unit_of_work() as uow:
            ctx.enqueue(EnqueueJob(handler_name="Work", job_name="kept", schedule="P1D"))
            uow.complete()
        raise ConnectionError("too late to matter")

    with handling(work) as jobs:
        ran = jobs.run_handler("Work").check()
    assert [job.job_name for job in ran.enqueued] == ["kept"]
    assert isinstance(ran.exception, ConnectionError)


def test_a_name_that_is_held_is_refused_as_in_the_app(jobs):
    jobs.enqueue("Mail", {"to": "a"}, job_name="same")
    with pytest.raises(JobNameTaken):
        jobs.enqueue("Mail", {"to": "b"}, job_name="same")
    again = jobs.enqueue("Mail", {"to": "b"}, job_name="same", on_conflict="return_existing")
    assert again.payload == {"to": "a"}


def test_a_database_that_is_away_can_be_played(jobs, fake):
    jobs.enqueue("Mail", {"to": "a"})
    jobs.database.available = False
    with pytest.raises(StoreUnavailable, match="set available to True"):
        jobs.drain()
    assert set(jobs.run_reconciler().failures) >= {"reap", "prune"}
    jobs.database.available = True
    assert len(jobs.drain()) == 1


# --- what was enqueued


def test_what_was_enqueued_is_found_by_what_is_known_of_it(jobs):
    jobs.run_handler("Invite").check()
    [job] = jobs.assert_enqueued("Mail", payload={"to": "1@example.com"})
    assert job.job_name == "invitation-1"
    assert jobs.assert_enqueued("Mail", metadata={"Guest": {"number": 1}}) == [job]
    assert jobs.assert_enqueued(job_name="invitation-1", due_at=NOON + timedelta(hours=1), status="Scheduled") == [job]
    assert len(jobs.assert_enqueued("Mail", due_at=timedelta(hours=1), count=2)) == 2
    jobs.assert_not_enqueued("Mail", payload={"to": "2@example.com"})
    jobs.assert_not_enqueued("Mail", due_at=NOON)
    jobs.assert_enqueued("Nobody", count=0)


def test_it_was_enqueued_whatever_became_of_it_since(jobs):
    jobs.run_handler("Invite").check()
    jobs.advance(DAY)
    jobs.assert_enqueued("Mail", status=JobStatus.COMPLETED, due_at=NOON + timedelta(hours=1), count=2)


def test_an_expectation_in_vain_shows_what_was_enqueued_and_how_it_differs(jobs):
    jobs.run_handler("Invite").check()
    with pytest.raises(AssertionError) as caught:
        jobs.assert_enqueued("Mail", payload={"to": "2@example.com"}, metadata={"Guest": {"name": "Eve"}}, count=1)
    told = str(caught.value)
    assert told.startswith("no job was enqueued with handler_name='Mail', payload={'to': '2@example.com'}, metadata=")
    assert "  Mail 'invitation-0' Scheduled, due 2026-06-01T13:00:00Z, payload={'to': '0@example.com'}" in told
    assert "    payload/to is '0@example.com', not '2@example.com'; metadata/Guest has no 'name'" in told
    assert "    handler_name is 'Invite', not 'Mail'" in told


def test_too_many_or_too_few_are_counted(jobs):
    with pytest.raises(AssertionError, match="'Mail'; nothing was enqueued at all"):
        jobs.assert_enqueued("Mail")
    jobs.run_handler("Invite").check()
    with pytest.raises(AssertionError, match=r"2 jobs were enqueued with handler_name='Mail', not 3"):
        jobs.assert_enqueued("Mail", count=3)


def test_what_should_not_have_been_enqueued_is_shown(jobs):
    jobs.run_handler("Invite").check()
    with pytest.raises(AssertionError, match=r"enqueued with job_name='invitation-0':\n  Mail 'invitation-0'"):
        jobs.assert_not_enqueued(job_name="invitation-0")


@pytest.mark.parametrize(
    ("wanted", "found", "alike"),
    [
        (1, 1.0, True),
        (True, 1, False),
        ([1, 2], [1, 2, 3], False),
        ({}, {"a": 1}, True),
        ({"a": None}, {}, False),
        ({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}, "d": 3}, True),
        ({"a": {"b": 1}}, {"a": 1}, False),
    ],
)
def test_of_objects_the_keys_given_count_and_all_else_is_compared_whole(wanted, found, alike):
    with handling(lambda ctx: None) as jobs:
        jobs.enqueue("Work", metadata={"v": found})
        assert bool(jobs.assert_enqueued(metadata={}, count=1))
        if alike:
            jobs.assert_enqueued(metadata={"v": wanted})
        else:
            jobs.assert_not_enqueued(metadata={"v": wanted})


def test_a_misspelt_expectation_is_a_mistake_of_the_test(jobs):
    with pytest.raises(TypeError, match="job_nam"):
        jobs.assert_enqueued(job_nam="x")


def test_a_job_is_read_by_itself_its_id_or_its_name(jobs):
    job = jobs.enqueue("Mail", {"to": "a"}, job_name="name")
    jobs.drain()
    done = jobs.job("name")
    assert done.status is JobStatus.COMPLETED
    assert done == jobs.job(job) == jobs.job(job.id)
    with pytest.raises(LookupError, match=r"no job is called 'nam'; there are: \['name'\]"):
        jobs.job("nam")


# --- what it costs


def test_it_imports_neither_a_database_nor_a_host():
    script = (
        "import sys, jobs.testing\n"
        "with jobs.testing.JobsHarness() as harness: harness.drain()\n"
        "print([name for name in ('sqlalchemy', 'pg8000', 'alembic', 'azure', 'dapr', 'grpc', 'pydantic_settings', "
        "'pytest') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
