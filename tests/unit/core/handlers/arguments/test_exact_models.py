"""Numbers of a payload reach the model that wants them with every digit."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from jobs.core.errors import InvalidInput
from jobs.core.handlers.arguments.exact_models import read_model

EXACT = "1234567890123456.78"


class Payment(BaseModel):
    amount: Decimal
    rate: float = 0.0
    when: datetime | None = None
    note: Any = None


class StrictPayment(Payment):
    model_config = ConfigDict(strict=True)


@pytest.mark.parametrize(
    "text", [EXACT, "0.1", "10.10", "-0.00000000000000000000012345678901234567", "12345678901234567890"]
)
@pytest.mark.parametrize("model", [Payment, StrictPayment])
def test_a_decimal_has_every_digit(model, text):
    assert read_model(model, f'{{"amount": {text}}}').amount == Decimal(text)


def test_what_is_of_any_type_has_every_digit_too_and_a_float_what_it_can_hold():
    read = read_model(Payment, f'{{"amount": 1, "rate": {EXACT}, "note": [{{"a": {EXACT}}}, 0.5]}}')
    assert (read.rate, read.note) == (float(EXACT), [{"a": Decimal(EXACT)}, 0.5])


def test_a_strict_model_takes_its_dates_as_texts_and_no_decimal_that_was_rounded():
    when = '"when": "2026-12-01T09:00:00Z"'
    read = read_model(StrictPayment, f'{{"amount": "{EXACT}", "rate": 0.12345678901234567890, {when}}}')
    assert (read.amount, read.rate) == (Decimal(EXACT), 0.12345678901234568)
    with pytest.raises(InvalidInput, match="send it as a text"):
        read_model(StrictPayment, f'{{"amount": {EXACT}, {when}}}')


def test_what_looks_like_such_a_number_within_a_text_changes_nothing():
    read = read_model(StrictPayment, f'{{"amount": 1, "note": "{EXACT}", "when": "2026-12-01T09:00:00Z"}}')
    assert read.note == EXACT
