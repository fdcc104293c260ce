"""The scheduler's callback: an alarm rings, and the job it names is looked at."""

from __future__ import annotations

import asyncio
import hmac
import logging
from typing import TYPE_CHECKING

import azure.functions as func

from jobs.app.dispatcher import WAIT_SECONDS, Ring
from jobs.core.errors import ConfigurationError, Unavailable
from jobs.core.identifiers import AlarmName
from jobs.entrypoints.exchange import json_answer, trace_of
from jobs.entrypoints.invocation import within
from jobs.entrypoints.problems import BAD_TOKEN, Refusal, problem_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from jobs.app.dispatcher import Rung
    from jobs.app.recorder import Within
    from jobs.app.runtime import Runtime

_logger = logging.getLogger("jobs.callback")
_CLOCK_TOLERANCE_SECONDS = 0.005
_TOKEN_HEADER = "dapr-api-token"  # noqa: S105  the header's name


def callback_blueprint(
    runtime: Callable[[], Runtime], tokens: Sequence[bytes], *, open_without_token: bool
) -> func.Blueprint:
    """Make ``POST /job/{alarm}``. Without ``tokens`` it answers only if ``open_without_token``, as for developers.

    Whatever was understood is answered 200, so that it is not delivered again: also a stale, unknown or early alarm.
    Never 404, which Dapr takes for success: that would drop an alarm still wanted.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

    @blueprint.function_name("ring_alarm")
    @blueprint.route("job/{alarm}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
    async def ring_alarm(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
        _, trace_id = trace_of(req, context)
        if not (_has_token(req, tokens) or (open_without_token and not tokens)):
            return problem_answer(_unauthorized(tokens), trace_id)
        name = AlarmName.parse(req.route_params.get("alarm", ""))
        if name is None:
            return json_answer({"outcome": Ring.UNKNOWN})
        try:
            return json_answer({"outcome": await _ring(runtime, name, within(context))})
        except (Unavailable, ConfigurationError) as error:
            _logger.warning("the alarm %s could not be answered and should ring again: %s", name, error)
            return problem_answer(error, trace_id)
        except Exception as error:  # noqa: BLE001  logged under the trace id that the answer has
            return problem_answer(error, trace_id)

    return blueprint


async def _ring(runtime: Callable[[], Runtime], name: AlarmName, within: Within) -> Ring:
    """Have the worker answer; a run may take long, and no thread of the host waits for it, only this coroutine.

    An alarm that is a little early, because the scheduler's clock is ahead of the database's, is waited with.
    """
    while True:
        answer = await asyncio.to_thread(_asked, runtime, name, within)
        rung = await asyncio.wrap_future(answer)
        if rung.outcome is not Ring.NOT_DUE or rung.due_in_seconds > WAIT_SECONDS:
            return rung.outcome
        await asyncio.sleep(rung.due_in_seconds + _CLOCK_TOLERANCE_SECONDS)


def _asked(runtime: Callable[[], Runtime], name: AlarmName, within: Within) -> Future[Rung]:
    """Ask the worker, on a thread that logs as part of the invocation."""
    answers: list[Future[Rung]] = []
    within(lambda: answers.append(runtime().worker.ring(name, within)))
    return answers[0]


def _has_token(req: func.HttpRequest, tokens: Sequence[bytes]) -> bool:
    """Compare as bytes and in constant time with every token, so that timing tells nothing of either."""
    given = req.headers.get(_TOKEN_HEADER, "").encode("utf-8", "surrogatepass")
    matches = [hmac.compare_digest(given, token) for token in tokens]
    return any(matches)


def _unauthorized(tokens: Sequence[bytes]) -> Refusal:
    mend = (
        f"{_TOKEN_HEADER} must be one of this app's; set the sidecar's APP_API_TOKEN to one of JOBS_CALLBACK_TOKENS"
        if tokens
        else "this app has no callback token, so it takes no callback; set JOBS_CALLBACK_TOKENS"
    )
    return Refusal(BAD_TOKEN, mend, WWW_Authenticate=_TOKEN_HEADER)
