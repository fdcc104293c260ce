"""Limits on a handler's concurrency and rate, over all instances that share the database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar, cast

from pydantic import BaseModel

from jobs.core.errors import InvalidInput
from jobs.core.strict_json import refuse_unstorable_text

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from jobs.core.lifecycle.job import ClaimedRun

MAX_KEY = 200


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``count`` starts of attempts within any period of length ``per``; retries count as well."""

    count: int
    per: timedelta


# Covariant, against the rule for what a function takes. So a type checker reads a bare ``Limits(concurrency_key=…)`` in
# ``@handler`` as one of any model, and refuses the arguments' fields; and it still takes ``Limits[Args](…)`` there.
Arguments_co = TypeVar("Arguments_co", bound=BaseModel, covariant=True)


@dataclass(frozen=True)  # without slots, which Limits[Args](...) cannot be made with
class Limits(Generic[Arguments_co]):
    """The limits of a handler. At least one must be given; a due job is throttled until it is within all of them.

    ``concurrency``: running attempts at once. ``concurrency_key``: a function of the handler's arguments; of the jobs
    for which it returns the same key (a text or a number; None for no key) at most ``per_key`` run at once. The key is
    computed when a job is enqueued or its payload changes, and is stored with the job. ``rate``: starts of attempts
    within a period.

    ``Limits[Args](concurrency_key=lambda args: args.customer)`` names the model of the handler's arguments, by which a
    type checker checks the function. Without the name it refuses their fields, but in ``declare``, which knows them.
    """

    concurrency: int | None = None
    concurrency_key: Callable[[Arguments_co], object] | None = None
    per_key: int | None = None
    rate: Rate | None = None

    def __post_init__(self) -> None:
        """Default ``per_key`` to 1 if there is a ``concurrency_key``."""
        if self.concurrency_key is not None and self.per_key is None:
            object.__setattr__(self, "per_key", 1)

    def key_of(self, arguments: BaseModel, handler_name: str) -> str | None:
        """Return the concurrency key; raises ``InvalidInput`` if the function fails or its key is invalid."""
        if self.concurrency_key is None:
            return None
        try:
            key = self.concurrency_key(cast("Arguments_co", arguments))
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

    ``wait_seconds`` is the time until the rate allows another start; None if the rate does not throttle jobs now.
    """

    runs: list[ClaimedRun]
    wait_seconds: float | None = None


class OutdatedLimitFlag(NamedTuple):
    """An active job whose limit flag or concurrency key is out of date. The payload is JSON text."""

    id: UUID
    handler_name: str
    payload: str
    payload_version: int


class LimitFlag(NamedTuple):
    """The limit flag and concurrency key that a row should have."""

    id: UUID
    limited: bool
    concurrency_key: str | None
