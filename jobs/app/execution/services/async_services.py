"""Services that an async provider makes, opened and closed on an event loop from threads that are not its own."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from contextvars import Context
    from types import TracebackType

    from jobs.app.execution.services.event_loop import EventLoop


class AsyncService:
    """A context manager around an async provider that yields.

    One task goes through the provider from its beginning to its end: what it opens may have to be closed by the task
    that opened it.
    """

    def __init__(
        self,
        loop: EventLoop,
        function: Callable[..., AsyncIterator[Any]],
        arguments: Mapping[str, Any],
        context: Context,
    ) -> None:
        self._loop = loop
        self._context = context
        self._manager = asynccontextmanager(function)(**arguments)
        self._opened: Future[Any] = Future()
        self._end: Future[BaseException | None] = Future()
        self._closed: Future[BaseException | None] | None = None

    def __enter__(self) -> Any:
        """Return the service once its provider has made it."""
        self._closed = self._context.run(self._loop.submit, self._live())
        return self._opened.result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Resume the provider with what the attempt raised. True if the provider swallowed it."""
        if self._closed is None:
            return False
        self._end.set_result(error)
        raised = self._closed.result()
        if raised is not None and raised is not error:
            raise raised
        return error is not None and raised is None

    async def _live(self) -> BaseException | None:
        """Return what the provider raises; nothing is raised here, since some errors would end the loop itself."""
        try:
            async with self._manager as service:
                self._opened.set_result(service)
                failure = await asyncio.wrap_future(self._end)
                if failure is not None:
                    raise failure  # noqa: TRY301  within the provider's with block
        except BaseException as error:  # noqa: BLE001  it is raised where the service is wanted
            if not self._opened.done():
                self._opened.set_exception(error)
            return error
        return None
