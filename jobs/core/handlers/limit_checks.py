"""Check the limits that a handler is declared with."""

from __future__ import annotations

import inspect
from datetime import timedelta
from typing import Any

from jobs.core.handlers.arguments.signatures import refuse
from jobs.core.lifecycle.limits import Limits, Rate

_MAX_PERIOD = timedelta(days=366)


def check_limits(limits: Limits[Any] | None, origin: str) -> None:
    """Raise ``HandlerRegistrationError`` for limits that no job can satisfy, or that limit nothing."""
    if limits is None:
        return
    if not isinstance(limits, Limits):
        refuse(origin, f"limits is a Limits(...), not {limits!r}")
    _check_count("concurrency", limits.concurrency, origin)
    _check_count("per_key", limits.per_key, origin)
    if limits.concurrency_key is None:
        if limits.per_key is not None:
            refuse(
                origin,
                "per_key counts by concurrency_key; give that as well, a function of the arguments, such as "
                "concurrency_key=lambda args: args.customer",
            )
        if limits.concurrency is None and limits.rate is None:
            refuse(origin, "Limits() limits nothing; give it concurrency, concurrency_key or rate, or leave it out")
    elif not callable(limits.concurrency_key) or inspect.iscoroutinefunction(limits.concurrency_key):
        refuse(origin, "concurrency_key is a plain function from the handler's arguments to a text")
    if limits.rate is not None:
        if not isinstance(limits.rate, Rate):
            refuse(origin, f"rate is a Rate(count, per), not {limits.rate!r}")
        _check_count("rate's count", limits.rate.count, origin)
        if not (isinstance(limits.rate.per, timedelta) and timedelta() < limits.rate.per <= _MAX_PERIOD):
            refuse(origin, f"a rate's period is a timedelta above zero, a year at most, not {limits.rate.per!r}")


def _check_count(name: str, value: int | None, origin: str) -> None:
    if value is not None and (type(value) is not int or not 1 <= value < 2**31):
        refuse(origin, f"{name} is a whole number from 1, not {value!r}")
