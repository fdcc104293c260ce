"""ProcessPayment with a fake gateway: each way an attempt can end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pydantic import ValidationError

from examples.dependencies import CardDeclined, GatewayBusy, PaymentGateway
from examples.process_payment import ProcessPaymentArgs, process_payment
from jobs import Discard, JobContext, Retry
from jobs.testing import JobsHarness

PAYLOAD = {"card_token": "tok_visa", "amount": 1999, "currency": "EUR"}
ARGS = ProcessPaymentArgs.model_validate(PAYLOAD)


class FakeGateway:
    """Charges each key once, or raises what it is told to."""

    def __init__(self, trouble: Exception | None = None) -> None:
        self.charges: dict[str, tuple[str, int, str]] = {}
        self.calls = 0
        self._trouble = trouble

    def charge(self, card_token: str, amount: int, currency: str, *, idempotency_key: str) -> str:
        self.calls += 1
        if self._trouble is not None:
            raise self._trouble
        self.charges.setdefault(idempotency_key, (card_token, amount, currency))
        return "receipt-1"


@pytest.fixture
def gateway() -> FakeGateway:
    return FakeGateway()


@pytest.fixture
def jobs_overrides(gateway: FakeGateway) -> dict[type, object]:
    return {PaymentGateway: gateway}


def test_it_charges_the_card(ctx: JobContext, gateway: FakeGateway) -> None:
    process_payment(ARGS, ctx, gateway)
    assert list(gateway.charges.values()) == [("tok_visa", 1999, "EUR")]


def test_a_payment_that_is_delivered_three_times_is_charged_once(
    jobs_harness: JobsHarness, gateway: FakeGateway
) -> None:
    jobs_harness.run_handler("ProcessPayment", PAYLOAD, deliveries=3).check()
    assert (gateway.calls, len(gateway.charges)) == (3, 1)


def test_the_next_run_of_a_recurring_payment_charges_again(jobs_harness: JobsHarness, gateway: FakeGateway) -> None:
    jobs_harness.enqueue("ProcessPayment", PAYLOAD, schedule="@daily")
    jobs_harness.advance(timedelta(days=2))
    assert len(gateway.charges) == 2


def test_a_declined_card_is_not_tried_again(ctx: JobContext) -> None:
    with pytest.raises(Discard, match="declined: card expired"):
        process_payment(ARGS, ctx, FakeGateway(CardDeclined("card expired")))


def test_a_busy_gateway_is_tried_again_when_it_says(ctx: JobContext) -> None:
    with pytest.raises(Retry, match="busy") as caught:
        process_payment(ARGS, ctx, FakeGateway(GatewayBusy(retry_after=30)))
    assert caught.value.after_seconds == 30


def test_any_other_trouble_is_left_to_the_retry_policy(ctx: JobContext) -> None:
    with pytest.raises(ConnectionError):
        process_payment(ARGS, ctx, FakeGateway(ConnectionError("reset by peer")))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("card_token", "4242424242424242"),
        ("amount", 0),
        ("amount", -1),
        ("amount", 19.99),
        ("amount", "1999"),
        ("currency", "euro"),
    ],
)
def test_a_payment_that_makes_no_sense_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValidationError, match=field):
        ProcessPaymentArgs.model_validate(PAYLOAD | {field: value})
