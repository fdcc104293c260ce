"""Which thread serves which request: async functions that wait hold up no other function, as in the Functions worker.

There they wait on an event loop. waitress has a thread for each request, so here they have threads of their own.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from waitress.task import ThreadedTaskDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_AT_ONCE = 512  # calls of one async function; more of them wait, for one another and for nobody else


class Dispatcher(ThreadedTaskDispatcher):  # type: ignore[misc]
    """Serves async functions on threads made for them, and all else on the threads that waitress keeps.

    ``async_function`` names the async function that a request's method and target lead to, None for any other.
    """

    def __init__(self, async_function: Callable[[str, str], str | None]) -> None:
        super().__init__()
        self._async_function = async_function
        self._waiting: defaultdict[str, deque[Any]] = defaultdict(deque)
        self._serving: defaultdict[str, int] = defaultdict(int)

    def add_task(self, task: Any) -> None:
        """Serve a connection's next request, on a thread of its own if it leads to an async function."""
        request = task.requests[0]
        name = None if request.error else self._async_function(request.command, request.request_uri)
        if name is None:
            super().add_task(task)
            return
        with self.lock:
            self._waiting[name].append(task)
            if self._serving[name] >= _MOST_AT_ONCE:
                return
            self._serving[name] += 1
        threading.Thread(target=self._serve, args=[name], name=f"devhost-{name}", daemon=True).start()

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> bool:  # noqa: FBT001, FBT002  waitress' own
        """End idle threads, and drop the requests that wait for one."""
        with self.lock:
            waiting = [task for tasks in self._waiting.values() for task in tasks] if cancel_pending else []
            self._waiting.clear()
        for task in waiting:
            task.cancel()
        ended: bool = super().shutdown(cancel_pending, timeout)
        with self.lock:
            self.thread_exit_cv.wait_for(lambda: not any(self._serving.values()), timeout)
        return ended

    def _serve(self, name: str) -> None:
        while True:
            with self.lock:
                if not self._waiting[name]:
                    self._serving[name] -= 1
                    self.thread_exit_cv.notify_all()
                    return
                task = self._waiting[name].popleft()
            try:
                task.service()
            except BaseException:
                self.logger.exception("Exception when servicing %r", task)
