"""How much of a handler's work may be under way at once, over all instances that share the database."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from jobs.core.errors import InvalidInput
from jobs.core.signatures import refuse
from jobs.core.strict_json import refuse_unstorable_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from pydantic import BaseModel

    from jobs.core.job import ClaimedRun

MAX_KEY = 200
_MAX_PERIOD = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` attempts started within any period as long as ``per``; retries count as well."""

    count: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Limits:
    """What ``@handler(limits=…)`` takes. At least one limit must be given; a job waits until it is within all of them.

    ``concurrency``: attempts under way at once. ``concurrency_key``: a function of the handler's arguments; of the
    jobs for which it gives the same key (a text or a number; None for no key) at most ``per_key`` are under way at
    once. The key is worked out when a job is enqueued, or its payload changed, and stays with it. ``rate``: attempts
    started within a period.
    """

    concurrency: int | None = None
    concurrency_key: Callable[[Any], object] | None = None
    per_key: int | None = None
    rate: Rate | None = None

    def __post_init__(self) -> None:
        """Let one of a key run at once where nothing else is said."""
        if self.concurrency_key is not None and self.per_key is None:
            object.__setattr__(self, "per_key", 1)

    def key_of(self, arguments: BaseModel, handler_name: str) -> str | None:
        """Work out the concurrency key; raises ``InvalidInput`` where the function fails or gives what is no key."""
        if self.concurrency_key is None:
            return None
        try:
            key = self.concurrency_key(arguments)
        except Exception as error:
            raise InvalidInput.at(
                "/payload", f"the concurrency_key of {handler_name} failed for it with {type(error).__name__}: {error}"
            ) from error
        if key is None:
            return None
        text = str(key)
        if len(text) > MAX_KEY:
            raise InvalidInput.at(
                "/payload", f"its concurrency_key has {len(text)} characters; {MAX_KEY} at most, a hash will do"
            )
        refuse_unstorable_text(text, "/payload")
        return text


class LimitedClaim(NamedTuple):
    """Runs that were claimed within their handler's limits.

    ``wait_seconds`` says when its rate will allow another start, None where it is not the rate that jobs wait for.
    """

    runs: list[ClaimedRun]
    wait_seconds: float | None = None


class Mislabelled(NamedTuple):
    """An active job whose row does not say what its handler's limits are by now; the payload is JSON text."""

    id: UUID
    handler_name: str
    payload: str
    payload_version: int


class Label(NamedTuple):
    """What a row has to say instead."""

    id: UUID
    limited: bool
    concurrency_key: str | None


def check_limits(limits: Limits | None, origin: str) -> None:
    """Raise ``HandlerRegistrationError`` for limits that nothing could ever be within, or that limit nothing."""
    if limits is None:
        return
    if not isinstance(limits, Limits):
        refuse(origin, f"limits is a Limits(...), not {limits!r}")
    _check_count("concurrency", limits.concurrency, origin)
    _check_count("per_key", limits.per_key, origin)
    if limits.concurrency_key is None:
        if limits.per_key is not None:
            refuse(origin, "per_key counts by concurrency_key; give that as well, a function of the arguments")
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
