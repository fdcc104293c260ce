"""When a failed attempt is tried again: a pure function of the attempt and a random source that is passed in."""

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

    The wait after attempt *n* (1, 2, …) is drawn evenly from ``[floor, base * factor ** (n - 1)]``, at most ``cap``,
    where ``floor`` is a tenth of that bound: never a burst of immediate retries, and no herd in step.
    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.)

    ``jitter=False`` waits exactly the bound. ``never`` names exceptions that end the run at once,
    in an ``ExceptionGroup`` too.
    """

    max_retries: int = 3
    base: timedelta = timedelta(seconds=5)
    factor: float = 2.0
    cap: timedelta = timedelta(hours=1)
    jitter: bool = True
    never: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a policy that could wait a negative time or for ever, or that only fails once a handler has."""
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
        """Draw the wait after attempt ``attempt``."""
        bound = self.bound(attempt)
        return bound * random.uniform(0.1, 1.0) if self.jitter else bound

    def retries(self, error: BaseException) -> bool:
        """Whether ``error`` may be tried again at all; of a group, every error in it."""
        return not (isinstance(error, self.never) or any(isinstance(each, self.never) for each in leaves_of(error)))


def _is_exception(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


class RetryOptions(BaseModel):
    """How one job waits between its attempts; what is left out is as its handler's policy says.

    How often it is tried again is the job's ``max_retries``; which exceptions end it at once is the handler's matter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    base: Duration | None = None
    factor: Annotated[float, Field(ge=1, le=100, allow_inf_nan=False)] | None = None
    cap: Duration | None = None
    jitter: bool | None = None

    def over(self, policy: RetryPolicy) -> RetryPolicy:
        """Return ``policy`` with what is said here instead; a cap below the base is raised to it."""
        said = {name: value for name, value in self if value is not None}
        base, cap = said.get("base", policy.base), said.get("cap", policy.cap)
        return replace(policy, **said | {"cap": max(base, cap)})


@lru_cache(maxsize=1024)
def policy_for(retry: str | None, policy: RetryPolicy) -> RetryPolicy:
    """Return the policy of a job whose own options, JSON text, are ``retry``."""
    return policy if retry is None else RetryOptions.model_validate_json(retry).over(policy)
