"""What marks a function or class of the user's for the framework; ``load_handlers`` finds the marks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from jobs.core.retry import RetryPolicy

if TYPE_CHECKING:
    from jobs.core.context import JobContext
    from jobs.core.limits import Limits
    from jobs.core.versions import Upcaster

MARK = "__jobs_handler__"
PROVIDER_MARK = "__jobs_provider__"
MIDDLEWARE_MARK = "__jobs_middleware__"

Target = TypeVar("Target", bound=Callable[..., Any])

Middleware = Callable[["JobContext", Callable[[], None]], None]
"""Called around every attempt: ``call_next()`` calls the next one in, in the end the handler.

What the handler raises comes out of ``call_next()``, ``Retry`` and its like included, and must be let through; what a
middleware raises of its own counts as if the handler had raised it.
"""


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """What ``@handler`` was given."""

    name: str
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: timedelta | None = None
    version: int = 1
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)
    limits: Limits | None = None


def handler(
    name: str,
    *,
    retry: RetryPolicy | None = None,
    timeout: timedelta | None = None,
    version: int = 1,
    upcasters: Mapping[int, Upcaster] | None = None,
    limits: Limits | None = None,
) -> Callable[[Target], Target]:
    """Mark a function, or a class with a ``handle`` method, as the handler of jobs whose ``handler_name`` is ``name``.

    The name is stored with every job: keep it when you rename the function. One parameter is annotated with a pydantic
    model, the job's arguments; one may be annotated ``JobContext``; every other one is a service, found by its type.
    ``timeout`` bounds one attempt. Jobs may set their own ``max_retries``, ``retry`` and ``timeout``.

    When the arguments change so that payloads of old do not fit, raise ``version`` and give in ``upcasters``, for each
    earlier version, a function that takes a payload of that version and returns it as the next one has it.

    ``limits`` bounds what runs at once or starts within a time, over all instances; what is due beyond waits its turn.
    """
    options = HandlerOptions(name, retry or RetryPolicy(), timeout, version, upcasters or {}, limits)

    def mark(target: Target) -> Target:
        setattr(target, MARK, options)
        return target

    return mark


class Scope(StrEnum):
    """How long a service lives."""

    ATTEMPT = "attempt"
    APP = "app"


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """What ``@provider`` was given."""

    scope: Scope = Scope.ATTEMPT
    ping: Callable[[Any], object] | None = None


@overload
def provider(function: Target) -> Target: ...


@overload
def provider(
    *, scope: Literal["attempt", "app"] = "attempt", ping: Callable[[Any], object] | None = None
) -> Callable[[Target], Target]: ...


def provider(
    function: Target | None = None,
    *,
    scope: Literal["attempt", "app"] = "attempt",
    ping: Callable[[Any], object] | None = None,
) -> Target | Callable[[Target], Target]:
    """Mark a function as the maker of the service that its return annotation names.

    It is called once per attempt, or with ``scope="app"`` once per process, when the service is first wanted; many
    threads then use it at once. It may take other services as parameters. One that yields is resumed to clean up: after
    the attempt, or when the app ends. ``ping`` is given the service by ``/api/health/ready``; what it raises makes the
    app count as not ready.
    """

    def mark(target: Target) -> Target:
        setattr(target, PROVIDER_MARK, ProviderOptions(Scope(scope), ping))
        return target

    return mark if function is None else mark(function)


def middleware(*, order: int = 0) -> Callable[[Target], Target]:
    """Mark a function ``(ctx: JobContext, call_next)`` as one to be called around every attempt of every handler.

    The lowest ``order`` is outermost; of equals, the one whose name comes first. It is called outside the services'
    scope, so it also sees what their clean-up raises.
    """

    def mark(target: Target) -> Target:
        setattr(target, MIDDLEWARE_MARK, order)
        return target

    return mark
