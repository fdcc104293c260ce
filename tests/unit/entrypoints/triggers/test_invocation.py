"""What async handlers log is part of an invocation, on Python 3.12 and older too, where a thread-local names it."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from jobs.app.execution.services.event_loop import EventLoop
from jobs.entrypoints.triggers.invocation import invocation_scope


@dataclass
class Context:
    """As the host gives it to a function."""

    thread_local_storage: Any
    invocation_id: str


def test_on_the_event_loops_thread_the_invocation_is_known_that_began_the_work():
    storage, seen = threading.local(), []
    loop = EventLoop()

    async def handle() -> None:
        seen.append((threading.current_thread().name, getattr(storage, "invocation_id", None)))

    try:
        for invocation in ("first", "second"):
            context = Context(storage, invocation)
            run = invocation_scope(context)
            thread = threading.Thread(target=run, args=[lambda: loop.run(handle())])
            thread.start()
            thread.join()
    finally:
        loop.close()
    assert seen == [("jobs-async", "first"), ("jobs-async", "second")]
