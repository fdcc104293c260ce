"""The event loop of async handlers and async services: one for the process, on a thread of its own.

A service that holds connections, such as an ``httpx.AsyncClient``, belongs to the loop that opened them. So the loop
outlives the attempts, and all of them share it.

A handler that blocks the loop (``time.sleep``, a client without async) holds up every other one. So before an attempt
starts the loop is probed; while it does not answer, a stand-in takes later attempts.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswer
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from jobs.core.diagnostics.error_text import log_lines, printable, stack_of
from jobs.core.lifecycle.handler_outcomes import ShutdownRequested

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from jobs.core.handlers.context import JobContext

_logger = logging.getLogger("jobs.async")
_CLOSING_SECONDS = 5.0
BLOCKED_AFTER_SECONDS = 5.0
_MOST_LOOPS = 4

on_event_loop: ContextVar[Callable[[], None] | None] = ContextVar("jobs_on_event_loop", default=None)
"""Called on the loop's thread before work from this context goes on there."""
attempt_on_loop: ContextVar[JobContext | None] = ContextVar("jobs_attempt_on_loop", default=None)
"""The attempt whose async handler runs in this context."""


class EventLoop:
    """An event loop on a thread of its own, which starts when it is first used. Safe between threads."""

    def __init__(self, name: str = "jobs-async") -> None:
        self.blocked = False
        self._name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._probe: Future[None] | None = None

    def run(self, work: Awaitable[Any]) -> Any:
        """Await ``work`` on the loop, in a copy of the caller's context; returns or raises what it does.

        Raises ``ShutdownRequested`` once the loop is closed, and ``RuntimeError`` on the loop's own thread, which would
        wait for itself.
        """
        value, error = self.submit(_outcome_of(work), work).result()
        if error is None:
            return value
        try:
            raise error
        finally:
            del error  # its traceback leads to this frame

    def submit(self, coroutine: Any, *others: Any) -> Future[Any]:
        """Start a coroutine and return its future. Raises as ``run`` does, after closing it and ``others``."""
        try:
            return asyncio.run_coroutine_threadsafe(coroutine, self._started())
        except BaseException:
            for each in (coroutine, *others):
                if hasattr(each, "close"):
                    each.close()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._closed:
                raise ShutdownRequested("the host is going down")
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._serve, args=[self._loop], name=self._name, daemon=True)
                self._thread.start()
            if self._thread is threading.current_thread():
                raise RuntimeError(
                    "this thread is the event loop's, which would wait for itself; await the work instead"
                )
            return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        while not self._closed:
            try:
                loop.run_forever()
            except BaseException:  # a task that nobody awaits has raised SystemExit or its like
                _logger.exception("a task ended the event loop, which goes on")

    def answers(self, within_seconds: float) -> bool:
        """Return whether the loop answers a probe; one known to be blocked is not waited for."""
        loop = self._started()
        probe = self._probe if self.blocked else None
        if probe is None:
            probe = self._probe = Future()
            loop.call_soon_threadsafe(probe.set_result, None)
        try:
            probe.result(0 if self.blocked else within_seconds)
        except NoAnswer:
            return False
        return True

    def stack(self) -> str:
        """Return where the loop's thread is in the user's code, as lines to append to a log message."""
        frame = None if self._thread is None else sys._current_frames().get(self._thread.ident or 0)  # noqa: SLF001
        return "" if frame is None else log_lines(stack_of(frame))

    def blocking(self) -> str:
        """Return what the loop's thread executes now: an attempt's handler and job, or as much as can be known.

        Before Python 3.12 no task says which attempt it belongs to.
        """
        task = None if self._loop is None else asyncio.current_task(self._loop)
        context_of = getattr(task, "get_context", None)
        attempt: JobContext | None = None if context_of is None else context_of().get(attempt_on_loop)
        if attempt is None:
            return "an async handler"
        return f"the handler {attempt.handler_name} of job {attempt.job_id} ({printable(attempt.job_name)})"

    def close(self) -> None:
        """Cancel what still runs and end the thread; a blocked thread is left behind."""
        with self._lock:
            loop, thread = (None, None) if self._closed else (self._loop, self._thread)
            self._closed = True
        if loop is None or thread is None:
            return
        try:
            asyncio.run_coroutine_threadsafe(_wind_up(), loop).result(_CLOSING_SECONDS)
        except NoAnswer:
            what = "%s blocks the event loop, which is left behind%s"
            _logger.warning(what, self.blocking(), self.stack())
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=_CLOSING_SECONDS)
        if not thread.is_alive():
            loop.close()


async def _outcome_of(work: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """Await ``work`` and return its error as a value: a raised SystemExit would end the loop itself."""
    if (enter := on_event_loop.get()) is not None:
        enter()
    try:
        return await work, None
    except BaseException as error:  # noqa: BLE001  it is raised where the work was begun
        return None, error


async def _wind_up() -> None:
    loop = asyncio.get_running_loop()
    tasks = asyncio.all_tasks(loop) - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await loop.shutdown_asyncgens()


class EventLoops:
    """The process's event loop, and stand-ins while it is blocked. Lives as long as the app; safe between threads."""

    def __init__(self, blocked_after_seconds: float = BLOCKED_AFTER_SECONDS) -> None:
        self.main = EventLoop()
        self._loops = [self.main]
        self._blocked_after = blocked_after_seconds
        self._lock = threading.Lock()

    def pick(self) -> EventLoop:
        """Return the loop for an attempt that starts now: the first that answers, or a new one."""
        for loop in [*self._loops]:
            if loop.answers(self._blocked_after):
                loop.blocked = False
                return loop
            self._note_blocked(loop)
        with self._lock:
            spare = next((loop for loop in self._loops if not loop.blocked), None)
            if spare is None and len(self._loops) < _MOST_LOOPS:
                spare = EventLoop(f"jobs-async-{len(self._loops) + 1}")
                self._loops.append(spare)
        return spare or self.main

    def _note_blocked(self, loop: EventLoop) -> None:
        with self._lock:
            before, loop.blocked = loop.blocked, True
        if not before:
            _logger.warning(
                "the event loop has not answered for %g s: %s blocks it, and with it every other one "
                "that runs there; attempts that begin now get another loop. Await what takes long, or have it run by "
                "asyncio.to_thread, or make the handler a plain function%s",
                self._blocked_after,
                loop.blocking(),
                loop.stack(),
            )

    def close(self) -> None:
        """Close every loop."""
        for loop in self._loops:
            loop.close()
