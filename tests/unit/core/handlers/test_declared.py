"""Commands that a handler makes for its jobs, whether its code is here or it is declared only."""

from __future__ import annotations

import asyncio
import functools
import inspect
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel

from jobs import (
    ConfigurationError,
    EnqueueJob,
    HandlerRegistry,
    InvalidInput,
    JobContext,
    Limits,
    RetryPolicy,
    declare,
    handler,
)
from jobs.core.errors import HandlerRegistrationError
from jobs.core.handlers.declared import KnownHandlers
from jobs.testing import JobsHarness


class MailArgs(BaseModel):
    to: str


ANN = MailArgs(to="ann")


@handler("DeclaredMail", retry=RetryPolicy(max_retries=9))
def mail(args: MailArgs) -> None:
    """Send it."""


def test_a_marked_function_stays_what_it_is_and_makes_commands():
    assert inspect.isfunction(mail)
    assert (mail.__name__, mail.__doc__, mail(ANN)) == ("mail", "Send it.", None)
    command = mail.command(ANN, job_name="mail", schedule=timedelta(hours=1))
    assert command == EnqueueJob(handler_name="DeclaredMail", payload=ANN, job_name="mail", schedule="PT1H")


def test_a_function_around_a_marked_one_makes_commands_as_well():
    @functools.wraps(mail)
    def around(*args, **kwargs):
        return mail(*args, **kwargs)

    assert around.command(ANN) == mail.command(ANN)


def test_a_marked_class_keeps_its_own_attributes():
    @handler("DeclaredClass")
    class Mails:
        command = "mine"

        def handle(self, args: MailArgs) -> None: ...

    assert Mails.command == "mine"
    assert not hasattr(Mails, "enqueue")


def test_a_declared_handler_makes_the_commands_that_the_handler_makes():
    assert declare("DeclaredMail", MailArgs).command(ANN, max_retries=1) == mail.command(ANN, max_retries=1)


def test_a_handler_is_known_with_its_own_options_rather_than_those_that_it_is_declared_with():
    declare("DeclaredMail", MailArgs)
    assert KnownHandlers().require("DeclaredMail").retry.max_retries == 9


def test_a_handler_takes_its_name_and_options_from_what_was_declared():
    limits = Limits[MailArgs](concurrency_key=lambda args: args.to)
    declared = declare("DeclaredOnce", MailArgs, retry=RetryPolicy(max_retries=8), version=2, limits=limits)

    @handler(declared, upcasters={1: lambda payload: payload})
    def once(args: MailArgs) -> None: ...

    registry = HandlerRegistry()
    registry.add_marked(once)
    spec = registry.require("DeclaredOnce")
    assert (spec.retry.max_retries, spec.version, spec.limits) == (8, 2, limits)
    assert once.command(ANN) == declared.command(ANN)


def test_options_beside_a_declaration_are_refused_since_those_who_enqueue_would_not_know_them():
    declared = declare("DeclaredTwice", MailArgs)
    with pytest.raises(
        HandlerRegistrationError, match=r"test_declared\.py:\d+: 'DeclaredTwice' .*in declare\(\.\.\.\)"
    ):
        handler(declared, timeout=timedelta(seconds=1))


@pytest.mark.parametrize(
    ("arguments", "options", "says"),
    [
        (dict, {}, "takes the model of the handler's arguments, not <class 'dict'>"),
        (ANN, {}, "takes the model of the handler's arguments"),
        (MailArgs, {"retry": 3}, r"write retry=RetryPolicy\(max_retries=3\)"),
        (MailArgs, {"max_retries": 3}, r"write retry=RetryPolicy\(max_retries=3\)"),
        (MailArgs, {"timeout": 30}, r"write timeout=timedelta\(seconds=30\)"),
        (MailArgs, {"version": 0}, "version is a whole number from 1"),
        (MailArgs, {"limits": Limits(per_key=1)}, "give that as well"),
    ],
)
def test_what_no_handler_can_be_declared_with_is_refused_with_the_place(arguments, options, says):
    with pytest.raises(HandlerRegistrationError, match=rf"test_declared\.py:\d+: .*{says}"):
        declare("DeclaredWrongly", arguments, **options)


def test_a_handler_enqueues_a_follow_up_of_the_run_with_its_context():
    @handler("DeclaredFirst")
    def first(args: MailArgs, ctx: JobContext) -> None:
        mail.enqueue(args, jobs=ctx)
        mail.enqueue(args, jobs=ctx)

    with JobsHarness([first, mail]) as jobs:
        ran = jobs.run_handler("DeclaredFirst", ANN, deliveries=2).check()
        assert [job.parent_id for job in jobs.jobs if job.handler_name == "DeclaredMail"] == [ran.job.id] * 2


def test_what_is_enqueued_in_a_test_without_naming_the_jobs_is_in_its_harness():
    with JobsHarness([mail]) as jobs:
        assert mail.enqueue(ANN).created
        assert mail.enqueue(ANN, jobs=jobs) in jobs.jobs
        jobs.assert_enqueued("DeclaredMail", payload={"to": "ann"}, count=2)
    with pytest.raises(ConfigurationError, match="nothing is connected to"):
        mail.enqueue(ANN)


@pytest.mark.parametrize("named", [False, True])
def test_enqueuing_in_a_harness_returns_what_enqueuing_with_connect_does(named):
    def enqueue(**fields):
        return mail.enqueue(ANN, **({"jobs": jobs} if named else {}), job_name="mail", **fields)

    with JobsHarness([mail]) as jobs:
        first = enqueue(schedule="0 9 ? * 1")
        again = enqueue(on_conflict="return_existing")
        assert (first.created, again.created) == (True, False)
        assert again.id == first.id == first.job.id
        assert (again.job, first.job) == (jobs.job("mail"), jobs.job("mail"))
        assert (first.warnings != [], again.warnings) == (True, [])


def test_a_job_enqueued_in_a_harness_is_the_job_itself():
    with JobsHarness([mail]) as jobs:
        job = jobs.enqueue("DeclaredMail", ANN)
        same = jobs.enqueue(mail.command(ANN, job_name=job.job_name, on_conflict="return_existing"))
        assert job == job.job == same == jobs.job(job)
        assert job.job == job
        assert [job] == jobs.jobs
        assert job.model_dump() == jobs.job(job).model_dump()
        jobs.drain()
        assert jobs.job(job) != job
        assert (job.status, jobs.job(job).status) == ("Scheduled", "Completed")


def test_what_is_given_beside_a_command_is_refused_rather_than_ignored():
    with JobsHarness([mail]) as jobs, pytest.raises(TypeError, match="max_retries beside a command would be ignored"):
        jobs.enqueue(mail.command(ANN), max_retries=1)


def test_a_misspelt_field_is_refused_like_any_other_fault_with_the_field_that_is_meant():
    declared = declare("DeclaredMail", MailArgs)
    with JobsHarness([mail]) as jobs:
        ways = [
            lambda: mail.command(ANN, shedule="@daily"),
            lambda: declared.command(ANN, shedule="@daily"),
            lambda: mail.enqueue(ANN, shedule="@daily"),
            lambda: declared.enqueue(ANN, jobs=jobs, shedule="@daily"),
            lambda: jobs.enqueue("DeclaredMail", ANN, shedule="@daily"),
        ]
        for way in ways:
            with pytest.raises(
                InvalidInput, match=r"^/shedule: there is no field 'shedule'; is 'schedule' meant"
            ) as raised:
                way()
            assert "pydantic" not in str(raised.value)
        assert jobs.jobs == []


def test_each_field_of_the_wrong_type_is_named():
    with pytest.raises(InvalidInput) as raised:
        mail.command(ANN, schedule=60, max_retries="many", on_confict="replace")
    assert sorted(problem.pointer for problem in raised.value.problems) == ["/max_retries", "/on_confict", "/schedule"]
    assert "/schedule: a number has no unit; write PT60S" in str(raised.value)
    assert "is 'on_conflict' meant" in str(raised.value)


def test_the_second_of_two_equal_local_times_needs_its_zone():
    second = datetime(2027, 10, 31, 2, 30, fold=1)
    with pytest.raises(InvalidInput, match=r"^/schedule: a datetime with fold=1 needs its zone"):
        mail.command(ANN, schedule=second, timezone="Europe/Berlin")
    zoned = mail.command(ANN, schedule=second.replace(tzinfo=ZoneInfo("Europe/Berlin")))
    assert zoned.schedule == "2027-10-31T02:30:00+01:00"


@pytest.mark.parametrize("is_async", [False, True])
def test_within_a_handler_what_to_enqueue_with_must_be_said_since_each_retry_would_do_it_again(is_async):
    @handler("DeclaredForgetful")
    def forgetful(args: MailArgs) -> None:
        mail.enqueue(args)

    @handler("DeclaredForgetful")
    async def forgetful_async(args: MailArgs) -> None:
        await asyncio.sleep(0)
        await asyncio.to_thread(mail.enqueue, args)

    with JobsHarness([forgetful_async if is_async else forgetful, mail]) as jobs:
        ran = jobs.run_handler("DeclaredForgetful", ANN)
        assert "write jobs=ctx for a follow-up, which is enqueued once for the run" in str(ran.error)
        assert (ran.job.status, ran.enqueued) == ("Failed", ()), "at once, for no retry could mend it"
        assert mail.enqueue(ANN).created, "the mark is gone with the attempt"
