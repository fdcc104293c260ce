"""Call an attempt's handler through its middleware, and check that each calls the next exactly once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jobs.core.errors import MiddlewareFault

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from jobs.core.handlers.context import JobContext
    from jobs.core.handlers.marking.decorators import Middleware


def through(middleware: Sequence[Middleware], context: JobContext, call: Callable[[], None]) -> Callable[[], None]:
    """Return ``call`` with ``middleware`` around it, the first outermost.

    A middleware that returns without having called ``call_next()`` would make a success of an attempt whose handler
    never ran, and one that calls it twice would run the handler twice: both raise ``MiddlewareFault``.
    """
    for around in reversed(middleware):
        call = partial(_call_one, around, context, call)
    return call


class _NextCall:
    """The ``call_next`` of one middleware in one attempt."""

    __slots__ = ("_call", "_called", "_middleware", "fault")

    def __init__(self, middleware: Middleware, call: Callable[[], None]) -> None:
        self._middleware = middleware
        self._call = call
        self._called = False
        self.fault: MiddlewareFault | None = None

    def __call__(self, *given: object, **named: object) -> None:
        if given or named:
            raise self._faulty("gave call_next arguments, and it takes none; write call_next()")
        if self._called:
            raise self._faulty(
                "called call_next() twice, which would run the handler twice; call it once, and raise Retry to have "
                "the attempt made again"
            )
        self._called = True
        self._call()

    def require_called(self) -> None:
        """Raise ``MiddlewareFault`` for what was wrong with the calls, even if the middleware has caught it before."""
        if self.fault is not None:
            raise self.fault
        if not self._called:
            raise self._faulty(
                "returned without calling call_next(), so the handler did not run; call it, or raise Discard, Cancel, "
                "Retry or Snooze to end the attempt without it"
            )

    def _faulty(self, what: str) -> MiddlewareFault:
        name = getattr(self._middleware, "__qualname__", type(self._middleware).__qualname__)
        module = getattr(self._middleware, "__module__", "?")
        self.fault = MiddlewareFault(f"the middleware {module}.{name} {what}")
        return self.fault


def _call_one(middleware: Middleware, context: JobContext, call: Callable[[], None]) -> None:
    call_next = _NextCall(middleware, call)
    middleware(context, call_next)
    call_next.require_called()
