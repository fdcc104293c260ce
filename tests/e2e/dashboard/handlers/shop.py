from __future__ import annotations

import time
from datetime import timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from jobs import JobContext, Limits, RetryPolicy, Sensitive, handler


class Currency(StrEnum):
    EUR = "EUR"
    USD = "USD"


class Card(BaseModel):
    number: Annotated[str, Sensitive()]
    holder: str = "somebody"


class Payment(BaseModel):
    order: int = Field(description="The order that is paid.")
    currency: Currency = Currency.EUR
    card: Card
    notify: bool = True
    tags: list[str] = []


@handler("Pay", limits=Limits(concurrency=4), retry=RetryPolicy(max_retries=0))
def pay(args: Payment, ctx: JobContext) -> None:
    """Charge a card."""
    ctx.result = {"order": args.order, "paid_with": args.card.number[-4:]}


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")

    fail: str | None = None


@handler("Work", retry=RetryPolicy(max_retries=0, base=timedelta(seconds=1)))
def work(args: Anything) -> None:
    """Do nothing, or fail with the text that is asked for."""
    if args.fail is not None:
        raise ValueError(args.fail)


@handler("Wait")
def wait(args: Anything, ctx: JobContext) -> None:
    """Report progress until the job is cancelled."""
    while True:
        ctx.progress(0.5, "half way")
        ctx.raise_if_cancelled()
        time.sleep(0.05)
