"""The backoff of retries: a pure function of the attempt and a random source that is passed in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field

from jobs.core.lifecycle.handler_outcomes import leaves_of
from jobs.core.schedules.timing import Duration

if TYPE_CHECKING:
    from random import Random


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter, capped.

    The wait after attempt *n* (1, 2, …) is drawn evenly from ``[floor, bound]``, where the bound is
    ``base * factor ** (n - 1)``, at most ``cap``, and the floor is a tenth of it. So retries neither burst at once nor
    run in step. (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)

    ``jitter=False`` waits exactly the bound. ``never`` lists exceptions that are not retried, also within an
    ``ExceptionGroup``.
    """

    max_retries: int = 3
    base: timedelta = timedelta(seconds=5)
    factor: float = 2.0
    cap: timedelta = timedelta(hours=1)
    jitter: bool = True
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        """Raise ``TypeError`` or ``ValueError`` for invalid values now rather than at the first retry."""
        for name in ("base", "cap"):
            value = getattr(self, name)
            if not isinstance(value, timedelta):
                seconds = value if type(value) in {int, float} else "..."
                raise TypeError(f"a retry policy's {name} is a timedelta; write {name}=timedelta(seconds={seconds})")
        if (
            type(self.max_retries) is not int
            or isinstance(self.factor, bool | str)
            or not isinstance(self.jitter, bool)
        ):
            raise ValueError(
                "a retry policy needs a whole number as max_retries, a number as factor, True or False as jitter"
            )
        if not isinstance(self.never, tuple) or not all(_is_exception(each) for each in self.never):
            raise ValueError("a retry policy's never is a tuple of exception classes; write never=(ValueError,)")
        if self.max_retries < 0 or self.base < timedelta() or not 1 <= self.factor < inf or self.cap < self.base:
            msg = "a retry policy needs max_retries >= 0, base >= 0, a finite factor >= 1 and cap >= base"
            raise ValueError(msg)

    def bound(self, attempt: int) -> timedelta:
        """Return the longest wait after attempt ``attempt``; it grows with each attempt until ``cap``."""
        try:
            return min(self.base * self.factor ** (max(attempt, 1) - 1), self.cap)
        except OverflowError:  # more than any cap
            return self.cap if self.base else self.base

    def wait(self, attempt: int, random: Random) -> timedelta:
        """Return the wait after attempt ``attempt``, with jitter from ``random``."""
        bound = self.bound(attempt)
        return bound * random.uniform(0.1, 1.0) if self.jitter else bound

    def retries(self, error: BaseException) -> bool:
        """Whether ``error`` may be retried; of a group, every error in it must be retryable."""
        return not (isinstance(error, self.never) or any(isinstance(each, self.never) for each in leaves_of(error)))


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


class RetryOptions(BaseModel):
    """A job's own backoff options; fields that are left out default to the handler's policy.

    The number of retries is the job's ``max_retries``; the exceptions that are never retried are the handler's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Duration | None = Field(default=None, description="The bound of the first wait.")
    factor: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] | None = Field(
        default=None, description="By how much the bound grows with each attempt."
    )
    cap: Duration | None = Field(default=None, description="The longest bound; raised to `base` where it is below.")
    jitter: bool | None = Field(
        default=None, description="Draw each wait between a tenth of the bound and the bound, rather than wait it out."
    )

    def over(self, policy: RetryPolicy) -> RetryPolicy:
        """Return ``policy`` with these options applied; a cap below the base is raised to it."""
        given = {name: value for name, value in self if value is not None}
        base, cap = given.get("base", policy.base), given.get("cap", policy.cap)
        return replace(policy, **given | {"cap": max(base, cap)})


@lru_cache(maxsize=1024)
def policy_for(retry: str | None, policy: RetryPolicy) -> RetryPolicy:
    """Return the retry policy of a job: the handler's ``policy`` with the job's options ``retry``, JSON text."""
    return policy if retry is None else RetryOptions.model_validate_json(retry).over(policy)
