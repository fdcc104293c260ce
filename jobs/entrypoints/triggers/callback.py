"""The scheduler's callback: handle the alarm of a job."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import azure.functions as func

from jobs.app.execution.alarm_result import WAIT_SECONDS, AlarmOutcome
from jobs.core.errors import ConfigurationError, StoreUnavailable, Unavailable
from jobs.core.lifecycle.ids import AlarmName
from jobs.entrypoints.http.callback_tokens import TOKEN_HEADER
from jobs.entrypoints.http.exchange import json_response, trace_of
from jobs.entrypoints.http.problems import problem_response
from jobs.entrypoints.http.routes import ROUTES
from jobs.entrypoints.triggers.invocation import invocation_scope

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from jobs.app.execution.alarm_result import AlarmResult
    from jobs.app.execution.worker.scope import InvocationScope
    from jobs.app.runtime import Runtime
    from jobs.entrypoints.http.callback_tokens import CallbackTokens

_logger = logging.getLogger("jobs.callback")
_CLOCK_TOLERANCE_SECONDS = 0.005


def callback_blueprint(runtime: Callable[[], Runtime], tokens: CallbackTokens) -> func.Blueprint:
    """Return the blueprint of ``POST /job/{alarm}``, for callers with one of ``tokens``.

    Every alarm that is understood is answered with 200, so that it is not delivered again, including stale, unknown and
    early ones. It never answers 404: Dapr takes that for success and would drop an alarm that is still needed.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    route = ROUTES["ring_alarm"]

    @blueprint.function_name("ring_alarm")
    @blueprint.route(route.path, methods=route.methods, auth_level=func.AuthLevel.ANONYMOUS)
    async def ring_alarm(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        _, trace_id = trace_of(req, context)
        given = req.headers.get(TOKEN_HEADER, "")
        if not tokens.accept(given):
            return problem_response(tokens.refusal(given), trace_id)
        name = AlarmName.parse(req.route_params.get("alarm", ""))
        if name is None:
            return json_response({"outcome": AlarmOutcome.UNKNOWN})
        try:
            return json_response({"outcome": await _handle(runtime, name, invocation_scope(context))})
        except (Unavailable, ConfigurationError) as error:
            level = logging.DEBUG if isinstance(error, StoreUnavailable) else logging.WARNING
            _logger.log(level, "the alarm %s could not be answered and should ring again: %s", name, error)
            return problem_response(error, trace_id)
        except Exception as error:  # noqa: BLE001  logged with the trace id of the response
            return problem_response(error, trace_id)

    return blueprint


async def _handle(runtime: Callable[[], Runtime], name: AlarmName, scope: InvocationScope) -> AlarmOutcome:
    """Handle an alarm in the worker pool. Only this coroutine waits for the run, not a thread of the host.

    If the alarm is slightly early, because the scheduler's clock is ahead of the database's, wait until it is due.
    """
    while True:
        result = await asyncio.wrap_future(await asyncio.to_thread(_submit, runtime, name, scope))
        if result.outcome is not AlarmOutcome.NOT_DUE or result.due_in_seconds > WAIT_SECONDS:
            return result.outcome
        await asyncio.sleep(result.due_in_seconds + _CLOCK_TOLERANCE_SECONDS)


def _submit(runtime: Callable[[], Runtime], name: AlarmName, scope: InvocationScope) -> Future[AlarmResult]:
    """Submit an alarm to the pool, on a thread that logs as part of the invocation."""
    futures: list[Future[AlarmResult]] = []
    scope(lambda: futures.append(runtime().pool.handle_alarm(name, scope)))
    return futures[0]
