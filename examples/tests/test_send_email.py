"""SendEmail with a fake sender: as the function it is, and as a job that the app runs, on a store in memory."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from examples.dependencies import EmailSender
from examples.send_email import SendEmailArgs, send_email
from jobs import JobContext
from jobs.core.errors import InvalidInput
from jobs.core.lifecycle.status import JobStatus
from jobs.testing import JobsHarness

PAYLOAD = {
    "to": "customer@example.com",
    "subject": "Order Confirmation",
    "body": "Your order has been placed.",
}


class FakeSender:
    """Keeps what it is given to send; fails as often as it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.sent: list[dict[str, str]] = []
        self.failures = failures

    def send(self, **mail: str) -> None:
        if self.failures:
            self.failures -= 1
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


@pytest.fixture
def sender() -> FakeSender:
    return FakeSender()


@pytest.fixture
def jobs_overrides(sender: FakeSender) -> dict[type, object]:
    return {EmailSender: sender}


def test_a_job_sends_its_mail_and_is_completed(jobs_harness: JobsHarness, sender: FakeSender) -> None:
    ran = jobs_harness.run_handler("SendEmail", PAYLOAD).check()
    assert ran.job.status is JobStatus.COMPLETED
    assert sender.sent == [PAYLOAD | {"message_id": f"{ran.job.id}/1"}]


def test_a_job_that_is_delivered_twice_sends_a_mail_under_one_id(jobs_harness: JobsHarness, sender: FakeSender) -> None:
    jobs_harness.run_handler("SendEmail", PAYLOAD, deliveries=2).check()
    assert len({mail["message_id"] for mail in sender.sent}) == 1


def test_a_job_whose_mail_server_was_away_waits_for_its_retry(jobs_harness: JobsHarness, sender: FakeSender) -> None:
    sender.failures = 1
    job = jobs_harness.enqueue("SendEmail", PAYLOAD)
    jobs_harness.drain()
    waiting = jobs_harness.job(job)
    assert (waiting.status, waiting.attempt) == (JobStatus.SCHEDULED, 1)
    assert "the mail server is away" in str(waiting.last_error)

    jobs_harness.advance(timedelta(minutes=1))

    assert jobs_harness.job(job).status is JobStatus.COMPLETED
    assert len(sender.sent) == 1


def test_a_job_with_a_bad_address_is_refused_when_it_is_enqueued(jobs_harness: JobsHarness) -> None:
    with pytest.raises(InvalidInput, match="^/payload/to: not a mail address; write a single one, such as customer@"):
        jobs_harness.enqueue("SendEmail", PAYLOAD | {"to": "nobody"})
    with pytest.raises(InvalidInput, match="^/payload/subject: more than one line; leave line breaks out"):
        jobs_harness.enqueue("SendEmail", PAYLOAD | {"subject": "Hello\nBcc: b@example.com"})
