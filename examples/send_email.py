"""SendEmail: a handler is a function, its arguments a model, its services parameters."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from examples.dependencies import EmailSender
from jobs import JobContext, handler

EmailAddress = Annotated[str, Field(max_length=254, pattern=r"^[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+$")]
OneLine = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n]*$")]


class SendEmailArgs(BaseModel):
    """What a job's ``payload`` holds. It is checked when the job is enqueued, and a bad one is refused with 422."""

    model_config = ConfigDict(extra="forbid")  # a field that is misspelt is refused as well, not left out in silence

    to: EmailAddress
    subject: OneLine
    body: str


@handler("SendEmail")
def send_email(args: SendEmailArgs, ctx: JobContext, sender: EmailSender) -> None:
    """Send one mail.

    Enqueue it with ``POST /api/jobs``::

        {"handler_name": "SendEmail", "job_name": "order-1001-confirmation", "schedule": "@once",
         "payload": {"to": "customer@example.com", "subject": "Order Confirmation",
                     "body": "Your order has been placed."}}

    Returning means success. Any exception means that the attempt failed: it is tried again after a growing wait, three
    times unless the job or ``@handler(retry=…)`` says otherwise. A worker may die after the mail has gone out and
    before that is recorded, so every handler may run twice for one job: ``ctx.idempotency_key`` is the same each time.
    """
    sender.send(to=args.to, subject=args.subject, body=args.body, message_id=ctx.idempotency_key)
    ctx.logger.info("mail sent")  # the record carries the job's id and attempt; an address has no place in a log
