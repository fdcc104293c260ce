"""Calls that may wait for the end of a job, by ``Prefer: wait=n``: without holding a thread meanwhile."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import azure.functions as func

from jobs.entrypoints.http.exchange import Call, responding
from jobs.entrypoints.http.routes import ROUTES, role_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from jobs.app.commands.end_watch import EndWatch
    from jobs.app.execution.worker.scope import InvocationScope
    from jobs.app.runtime import Runtime
    from jobs.entrypoints.http.access import Access

    InInvocation = Callable[[func.Context], InvocationScope]
    """Returns what runs work on another thread as part of an invocation."""

Result = TypeVar("Result")
_THREADS = 32
_TRY_AGAIN_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Begun:
    """A call that has done its work. ``job_id`` is the job whose end the caller waits for; None if there is none."""

    response: func.HttpResponse
    job_id: UUID | None = None


class Finish(Protocol):
    """The second step of a call, after the wait."""

    def __call__(self, runtime: Runtime, begun: Begun, *, ended: bool) -> func.HttpResponse:
        """Return the response; ``ended`` is whether the job has ended."""


class WaitingFunctions:
    """Adds functions that may wait. A waiting call holds no thread, so that any number of them slow no other call."""

    def __init__(self, runtime: Callable[[], Runtime], access: Access, in_invocation: InInvocation) -> None:
        self._runtime = runtime
        self._access = access
        self._in_invocation = in_invocation
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="jobs-api")

    def add(
        self, blueprint: func.Blueprint, name: str, begin: Callable[[Runtime, Call], Begun], finish: Finish
    ) -> None:
        """Add the HTTP function ``name`` of the table of routes. ``begin`` does its work, before any wait."""
        route, role = ROUTES[name], role_for(name)

        async def respond(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
            done: list[tuple[Call, Begun]] = []

            def first(call: Call) -> func.HttpResponse:
                begun = begin(self._runtime(), call)
                done.append((call, begun))
                return begun.response

            response = await self._on_thread(context, partial(responding(self._access, role, first), req, context))
            if not done or done[0][1].job_id is None:
                return response
            [(call, begun)] = done
            ended = await _end_of(self._runtime().ends, begun.job_id, call.wait_seconds())
            last = partial(_finished, self._runtime, finish, begun, ended=ended)
            return await self._on_thread(context, partial(responding(self._access, role, last), req, context))

        blueprint.function_name(name)(blueprint.route(route.path, methods=route.methods)(respond))

    async def _on_thread(self, context: func.Context, work: Callable[[], Result]) -> Result:
        """Run work that may block on a thread, as part of the invocation."""
        scope = self._in_invocation(context)
        results: list[Result] = []
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, lambda: scope(lambda: results.append(work())))
        return results[0]


def _finished(
    runtime: Callable[[], Runtime], finish: Finish, begun: Begun, call: Call, *, ended: bool | None
) -> func.HttpResponse:
    response = finish(runtime(), begun, ended=bool(ended))
    if ended is not None:
        response.headers["Preference-Applied"] = f"wait={call.wait_seconds()}"
    if not ended:
        response.headers["Retry-After"] = str(_TRY_AGAIN_SECONDS)
    return response


async def _end_of(ends: EndWatch, job_id: UUID | None, seconds: int | None) -> bool | None:
    """Return whether a job has ended within ``seconds``; None if too many wait already, so that this call does not."""
    future = None if job_id is None else ends.watch(job_id)
    if future is None:
        return None
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), seconds)
    except TimeoutError:
        return False
    finally:
        ends.forget(future)
