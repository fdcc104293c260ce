"""Invocation scopes: the Functions invocation that a thread of this process works, and logs, as part of."""

from __future__ import annotations

from collections.abc import Callable

Work = Callable[[], None]
InvocationScope = Callable[[Work], None]
"""Runs a piece of work on the calling thread as part of one invocation."""


def no_scope(work: Work) -> None:
    """Run a piece of work as part of no invocation."""
    work()


class CurrentScope:
    """The scope of work that no alarm waits for: polled jobs, throttled jobs, and recording."""

    def __init__(self) -> None:
        self._scope: InvocationScope = no_scope

    def use(self, scope: InvocationScope) -> None:
        """Run work in ``scope`` from now on; the most recent caller wins."""
        self._scope = scope

    def run(self, work: Work) -> None:
        """Run a piece of work in the scope in use."""
        self._scope(work)
