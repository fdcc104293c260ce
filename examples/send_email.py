"""SendEmail: a handler is a function, its arguments a model, its services parameters."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from examples.dependencies import EmailSender
from jobs import JobContext, handler

_ADDRESS = r"^[^@\s,;<>]+@[^@\s,;<>]+\.[^@\s,;<>]+$"


def _one_address(text: str) -> str:
    if not re.fullmatch(_ADDRESS, text):
        raise ValueError("not a mail address; write a single one, such as customer@example.com")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError("more than one line; leave line breaks out")
    return text


# A validator says in its own words what is wrong; whoever enqueues reads them. The pattern is for the API's document.
EmailAddress = Annotated[
    str, Field(max_length=254, json_schema_extra={"pattern": _ADDRESS}), AfterValidator(_one_address)
]
OneLine = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_one_line)]


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
