"""What a Python caller may write in a command beside JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, Field, SecretStr, ValidationError

from jobs import EnqueueJob, HandlerRegistry, InvalidInput, OnConflict, UpdateJob
from jobs.core.strict_json import write_json
from jobs.testing import JobsHarness

OWN = UUID("0193a5b0-0000-7000-8000-000000000001")


class Address(BaseModel):
    name: str
    born: datetime


class MailArgs(BaseModel):
    to: list[Address]
    amount: Decimal
    reply_to: str = Field(default="nobody", alias="replyTo")


MAIL = MailArgs(to=[Address(name="Ann", born=datetime(2000, 1, 2, tzinfo=UTC))], amount=Decimal("0.10"))


def command(**fields) -> EnqueueJob:
    return EnqueueJob(handler_name="Mail", **fields)


@pytest.fixture
def jobs():
    registry = HandlerRegistry()

    def mail(args: MailArgs) -> None:
        seen.append(args)

    seen = registry.seen = []
    registry.add_handler("Mail", mail)
    with JobsHarness(registry) as jobs:
        yield jobs


def enqueue(jobs, **fields):
    return jobs.runtime.service.enqueue(command(**{"payload": MAIL} | fields)).job


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (datetime(2026, 12, 1, 9, tzinfo=UTC), "2026-12-01T09:00:00+00:00"),
        (datetime(2026, 12, 1, 9, tzinfo=ZoneInfo("Europe/Berlin")), "2026-12-01T09:00:00+01:00"),
        (datetime(1890, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")), "1889-12-31T23:40:28+00:00"),
        (datetime(2026, 12, 1, 9), "2026-12-01T09:00:00"),
        (timedelta(hours=1, seconds=1.5), "PT1H1.5S"),
        (timedelta(seconds=-1), "PT0S"),
        ("@daily", "@daily"),
    ],
)
def test_a_schedule_may_be_an_instant_or_a_delay(schedule, text):
    assert command(schedule=schedule).schedule == text
    assert UpdateJob(schedule=schedule).changes == {"schedule": text}


def test_an_instant_and_a_delay_are_when_the_job_runs(jobs):
    at = datetime(2026, 12, 1, 9, tzinfo=ZoneInfo("Europe/Berlin"))
    assert enqueue(jobs, schedule=at).next_run_at == at
    assert enqueue(jobs, schedule=timedelta(hours=1)).next_run_at == jobs.clock.now() + timedelta(hours=1)
    local = enqueue(jobs, schedule=datetime(2026, 12, 1, 9), timezone="Europe/Berlin")
    assert local.next_run_at == at


def test_an_instant_without_a_zone_is_refused_unless_the_job_has_a_timezone(jobs):
    with pytest.raises(InvalidInput, match=r"needs an offset .* or give a timezone"):
        enqueue(jobs, schedule=datetime(2026, 12, 1, 9))


def test_a_number_as_schedule_is_refused_with_what_to_write():
    with pytest.raises(ValidationError, match=r"write PT30S, or in Python timedelta\(seconds=30\)"):
        command(schedule=30)


def test_a_payload_may_be_a_model_and_reaches_the_handler_as_it_was(jobs):
    enqueue(jobs)
    [ran] = jobs.drain()
    ran.check()
    assert jobs.runtime.registry.seen == [MAIL]
    assert ran.job.payload["replyTo"] == "nobody", "by the alias that the model is read by"


def test_a_job_is_changed_to_the_payload_of_a_model(jobs):
    job = enqueue(jobs, schedule=timedelta(hours=1))
    other = MailArgs(to=[], amount=Decimal(2))
    assert jobs.runtime.service.update(job.id, UpdateJob(payload=other)).payload["amount"] == "2"


def test_a_model_with_a_secret_is_refused_since_asterisks_would_be_kept():
    class Login(BaseModel):
        name: str
        passwords: list[SecretStr]

    with pytest.raises(ValidationError, match=r"/passwords/0 is a SecretStr"):
        command(payload=Login(name="ann", passwords=["secret"]))


@pytest.mark.parametrize(
    ("value", "place", "kind"),
    [({"a": [1, {"b": OWN}]}, "/payload/a/1/b", "UUID"), ([MAIL], "/payload/0", "MailArgs"), ({1}, "/payload", "set")],
)
def test_what_json_does_not_have_is_told_with_its_place_and_type(value, place, kind):
    with pytest.raises(InvalidInput, match=f"^{place}: not a JSON value: a {kind}; write it as text"):
        write_json(value, "/payload")


def test_what_is_circular_as_well_is_refused_all_the_same():
    circular: dict = {}
    circular |= {"self": circular, "set": {1}}
    with pytest.raises(InvalidInput, match="not a JSON value"):
        write_json(circular, "/payload")


def test_a_one_time_job_without_a_name_is_called_after_its_handler_and_its_id(jobs):
    first, second = enqueue(jobs), enqueue(jobs)
    assert [job.job_name for job in (first, second)] == [f"Mail/{first.id}", f"Mail/{second.id}"]
    assert enqueue(jobs, id=OWN).job_name == f"Mail/{OWN}"


def test_a_recurring_job_needs_a_name_since_each_start_would_add_another(jobs):
    with pytest.raises(InvalidInput, match=r"^/job_name: a recurring job needs a job_name"):
        enqueue(jobs, schedule="@daily")


@pytest.mark.parametrize("on_conflict", [OnConflict.RETURN_EXISTING, OnConflict.REPLACE])
def test_what_to_do_about_a_name_needs_a_name(jobs, on_conflict):
    with pytest.raises(InvalidInput, match=f"^/job_name: on_conflict {on_conflict} needs the job_name"):
        enqueue(jobs, on_conflict=on_conflict)


def test_a_name_made_of_the_longest_handler_name_is_no_longer_than_a_name_may_be(jobs):
    jobs.runtime.registry.add_handler("M" * 200, lambda_of(MailArgs))
    job = jobs.runtime.service.enqueue(EnqueueJob(handler_name="M" * 200, payload=MAIL)).job
    assert len(job.job_name) <= 200


def lambda_of(model):
    def handle(args: model) -> None:
        pass

    handle.__annotations__["args"] = model
    return handle
