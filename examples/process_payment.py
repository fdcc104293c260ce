"""ProcessPayment: an effect that must happen once, and errors of which some are worth a retry and some are not."""

from datetime import timedelta
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from examples.dependencies import CardDeclined, GatewayBusy, PaymentGateway
from jobs import Discard, JobContext, Retry, RetryPolicy, handler


class ProcessPaymentArgs(BaseModel):
    """What to charge. Payloads are kept in the database and shown by the API: a card's token, never its number."""

    model_config = ConfigDict(extra="forbid")

    card_token: str = Field(pattern=r"^tok_\w+$", max_length=100)
    amount: int = Field(gt=0, strict=True, description="In the currency's smallest unit: 1999 is 19.99 EUR.")
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


PATIENT = RetryPolicy(max_retries=8, base=timedelta(seconds=10), cap=timedelta(minutes=15))


@handler("ProcessPayment", retry=PATIENT, timeout=timedelta(minutes=1))
def process_payment(args: ProcessPaymentArgs, ctx: JobContext, gateway: PaymentGateway) -> None:
    """Charge a card once, however often the job is executed.

    Enqueue it under a ``job_name`` that says what is paid, so that a second one is refused while this one is active::

        {"handler_name": "ProcessPayment", "job_name": "payment-order-1001", "schedule": "@once",
         "payload": {"card_token": "tok_visa", "amount": 1999, "currency": "EUR"}}

    ``ctx.idempotency_key`` is the same for every attempt of a run, so the gateway knows a repeated charge when it sees
    one. Another job, and a replay of this one after it has ended, is a run of its own: if those must not charge again
    either, send the order's number as the key.

    ``Discard`` fails the job at once: no retry could help. ``Retry`` waits as long as the gateway asks, and uses up one
    of the retries. Whatever else is raised, a lost connection say, waits as ``PATIENT`` holds it.
    """
    try:
        receipt = gateway.charge(args.card_token, args.amount, args.currency, idempotency_key=ctx.idempotency_key)
    except CardDeclined as declined:
        raise Discard(f"the card was declined: {declined}") from declined
    except GatewayBusy as busy:
        raise Retry(after=busy.retry_after, reason=str(busy)) from busy
    ctx.logger.info("charged, receipt %s", receipt)
