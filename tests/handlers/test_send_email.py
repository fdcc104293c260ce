"""SendEmail, called as a function with a fake sender; and once through the database, as a job."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from jobs import EnqueueJob, JobContext
from jobs.core.errors import InvalidInput
from jobs.core.loading import load_handlers
from jobs.core.status import JobStatus
from jobs.handlers.dependencies import EmailSender
from jobs.handlers.send_email import SendEmailArgs, send_email
from tests.support import MakeRuntime

PAYLOAD = {
    "to": "customer@example.com",
    "subject": "Order Confirmation",
    "body": "Your order has been placed.",
}


class FakeSender:
    """Keeps what it is given to send; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.sent: list[dict[str, str]] = []
        self._failures = failures

    def send(self, **mail: str) -> None:
        if self._failures:
            self._failures -= 1
            raise ConnectionError("the mail server is away")
        self.sent.append(mail)


def test_it_sends_what_the_payload_says(ctx: JobContext) -> None:
    sender = FakeSender()
    send_email(SendEmailArgs.model_validate(PAYLOAD), ctx, sender)
    assert sender.sent == [PAYLOAD | {"message_id": ctx.idempotency_key}]


def test_a_failing_mail_server_fails_the_attempt(ctx: JobContext) -> None:
    with pytest.raises(ConnectionError):
        send_email(SendEmailArgs.model_validate(PAYLOAD), ctx, FakeSender(failures=1))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", "customer"),
        ("to", "customer@example"),
        ("to", "a@example.com, b@example.com"),
        ("to", "a@example.com\nBcc: b@example.com"),
        ("to", "a@example.com\n"),
        ("to", f"{'a' * 250}@example.com"),
        ("subject", ""),
        ("subject", "Hello\nBcc: b@example.com"),
        ("body", None),
        ("boddy", "misspelt"),
    ],
)
def test_a_payload_that_could_not_be_sent_is_refused(field: str, value: str | None) -> None:
    with pytest.raises(ValidationError, match=field):
        SendEmailArgs.model_validate(PAYLOAD | {field: value})


def test_a_job_sends_its_mail_and_is_completed(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(registry=load_handlers("jobs.handlers"))
    sender = FakeSender()
    runtime.injector.override(EmailSender, sender)
    job_id = runtime.service.enqueue(send_email_job(PAYLOAD)).id

    runtime.worker.drain(budget_seconds=10)

    assert runtime.service.get(job_id).status is JobStatus.COMPLETED
    assert sender.sent == [PAYLOAD | {"message_id": f"{job_id}/1"}]


def test_a_job_whose_mail_server_was_away_waits_for_its_retry(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(registry=load_handlers("jobs.handlers"))
    sender = FakeSender(failures=1)
    runtime.injector.override(EmailSender, sender)
    job_id = runtime.service.enqueue(send_email_job(PAYLOAD)).id

    runtime.worker.drain(budget_seconds=10)

    waiting = runtime.service.get(job_id)
    assert (waiting.status, waiting.attempt) == (JobStatus.SCHEDULED, 1)
    assert "the mail server is away" in str(waiting.last_error)

    runtime.service.run_now(job_id)
    runtime.worker.drain(budget_seconds=10)

    assert runtime.service.get(job_id).status is JobStatus.COMPLETED
    assert len(sender.sent) == 1


def test_a_job_with_a_bad_address_is_refused_when_it_is_enqueued(make_runtime: MakeRuntime) -> None:
    runtime = make_runtime(registry=load_handlers("jobs.handlers"))
    with pytest.raises(InvalidInput, match="/payload/to"):
        runtime.service.enqueue(send_email_job(PAYLOAD | {"to": "nobody"}))


def send_email_job(payload: dict[str, Any]) -> EnqueueJob:
    return EnqueueJob(handler_name="SendEmail", job_name="order-1001-confirmation", payload=payload)
