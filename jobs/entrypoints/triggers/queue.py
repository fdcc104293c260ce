"""The queue's function: handle the alarm that a message names and then what else is due, or look for what is due."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import azure.functions as func

from jobs.app.execution.alarm_result import AlarmOutcome
from jobs.core.diagnostics.message_throttle import MessageThrottle
from jobs.core.errors import ConfigurationError, StoreUnavailable, Unavailable
from jobs.core.lifecycle.ids import AlarmName
from jobs.core.ports.looks import LOOK
from jobs.entrypoints.triggers.invocation import invocation_scope
from jobs.entrypoints.triggers.setup_faults import SetupFaults

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from jobs.app.execution.alarm_result import AlarmResult
    from jobs.app.execution.worker.scope import InvocationScope
    from jobs.app.runtime import Runtime

_logger = logging.getLogger("jobs.queue")
_CLAIM_ON_SECONDS = 10.0
_WAIT_SECONDS = 1.0
_CLOCK_TOLERANCE_SECONDS = 0.005
_AGAIN_AFTER_SECONDS = 10.0, 30.0
_random = Random()  # noqa: S311  spreads messages, hides nothing


@dataclass(frozen=True, slots=True)
class WakeOptions:
    """Which queue, the setting that says where it is, and how long one call may last."""

    queue: str
    connection: str
    budget_seconds: float
    longest_seconds: float


def queue_blueprint(runtime: Callable[[], Runtime], options: WakeOptions) -> func.Blueprint:
    """Return the blueprint of ``wake``, which the host calls with each message of the queue.

    A call that fails is no loss, but the host repeats it at once, and soon gives the message up. So while the database
    is away ``wake`` puts the alarm back with a delay and ends well. It fails only where that is impossible: where the
    queue is away as well, or the app is not configured. For these host.json spaces the host's own tries, over a day.
    Whatever becomes of a message, the reconciler finds its job once it is overdue.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    setup_faults, throttle = SetupFaults(_logger), MessageThrottle()

    @blueprint.function_name("wake")
    @blueprint.queue_trigger(arg_name="message", queue_name=options.queue, connection=options.connection)
    async def wake(message: func.QueueMessage, context: func.Context) -> None:
        text = message.get_body().decode(errors="replace")
        name = AlarmName.parse(text)
        if name is None and text != LOOK:
            if throttle.is_due("message", "unknown"):
                _logger.warning("a message in %s is no alarm of this app, and is dropped: %.60r", options.queue, text)
            return
        scope = invocation_scope(context)
        try:
            if name is None:
                await asyncio.to_thread(_look, runtime, scope, options)
                return
            outcome = await _handle(runtime, name, scope, options.longest_seconds)
            if outcome is AlarmOutcome.UNKNOWN and throttle.is_due("alarm", "unknown"):
                _logger.warning(
                    "the alarm %s in %s is of no job in this database, and is dropped: if another app uses this queue, "
                    "each takes the other's alarms, and jobs start late; give each app a JOBS_QUEUE of its own",
                    name, options.queue,
                )  # fmt: skip
        except ConfigurationError as error:
            setup_faults.log(error)
            raise
        except Unavailable as error:
            if name is None:
                _logger.debug("nothing was looked for: %s", error)  # whoever put the message puts another
                return
            seconds = _random.uniform(*_AGAIN_AFTER_SECONDS)
            level = logging.DEBUG if isinstance(error, StoreUnavailable) else logging.INFO
            _logger.log(level, "the alarm %s is put back for %.0f s: %s", name, seconds, error)
            await asyncio.to_thread(runtime().scheduler.put_back, name, seconds)

    return blueprint


async def _handle(
    runtime: Callable[[], Runtime], name: AlarmName, scope: InvocationScope, longest: float
) -> AlarmOutcome | None:
    """Handle an alarm, and wait until its wake ends, up to ``longest`` seconds. Only this coroutine waits, no thread.

    If the alarm is early, since the clocks differ, wait for a moment, or put it back. Returns what it came to,
    None if its wake goes on.
    """
    while True:
        wake = asyncio.wrap_future(await asyncio.to_thread(_begin, runtime, name, scope))
        # What still runs then is left to the pool: at functionTimeout the host would end the worker, and all it runs.
        done, _ = await asyncio.wait([wake], timeout=longest)
        if not done:
            return None
        if (outcome := wake.result().outcome) is not AlarmOutcome.NOT_DUE:
            return outcome
        early = wake.result().due_in_seconds
        if early > _WAIT_SECONDS:
            await asyncio.to_thread(runtime().scheduler.put_back, name, early)
            return outcome
        await asyncio.sleep(early + _CLOCK_TOLERANCE_SECONDS)


def _look(runtime: Callable[[], Runtime], scope: InvocationScope, options: WakeOptions) -> None:
    """Run what is due, with all slots of this instance, until there is nothing more.

    While this instance does so already, it keeps its message: the next one is for another instance.
    """
    runtime().pool.run_in_scope(scope)
    longest = options.longest_seconds
    runtime().worker.drain(min(options.budget_seconds, longest), longest, after_others=True)


def _begin(runtime: Callable[[], Runtime], name: AlarmName, scope: InvocationScope) -> Future[AlarmResult]:
    """Begin a wake, on a thread that logs as part of the invocation."""
    futures: list[Future[AlarmResult]] = []

    def begin() -> None:
        runtime().pool.run_in_scope(scope)
        futures.append(runtime().wakes.handle(name, scope, _CLAIM_ON_SECONDS))

    scope(begin)
    return futures[0]
