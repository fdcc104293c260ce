"""Timer functions: the poll that runs due jobs, and the reconciliation."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import azure.functions as func

from jobs.core.diagnostics.outage import log_failure
from jobs.core.errors import ConfigurationError, Unavailable
from jobs.entrypoints.triggers.invocation import invocation_scope
from jobs.entrypoints.triggers.setup_faults import SetupFaults

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import timedelta

    from jobs.app.runtime import Runtime

_logger = logging.getLogger("jobs.timers")
_HEADROOM_SECONDS = 60.0
_LONGEST_POLL_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Schedules:
    """The timers' schedules, in NCRONTAB. ``poll`` is None if a scheduler holds alarms instead."""

    poll: str | None
    reconcile: str
    poll_budget_seconds: float
    function_timeout: timedelta | None = None

    @property
    def longest_poll_seconds(self) -> float:
        """How long a poll may wait for its handlers, in seconds: less than functionTimeout, at which the host kills."""
        if self.function_timeout is None:
            return _LONGEST_POLL_SECONDS
        seconds = self.function_timeout.total_seconds()
        return min(max(seconds - _HEADROOM_SECONDS, seconds / 2), _LONGEST_POLL_SECONDS)


def timers_blueprint(runtime: Callable[[], Runtime], schedules: Schedules) -> func.Blueprint:
    """Return the blueprint of ``reconcile``, and of ``run_due`` for the timer scheduler.

    ``run_due`` does not return while handlers that it started run, so that they log within an invocation and a graceful
    shutdown of the host waits for them. The timer never overlaps itself, so ``run_due`` then polls itself.

    A tick during an outage of the database logs it and ends; the next tick is the retry, so there is no crash loop. A
    configuration error is logged once a minute, since the poll ticks every second.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    setup_faults = SetupFaults(_logger)

    @blueprint.function_name("reconcile")
    @blueprint.timer_trigger(arg_name="timer", schedule=schedules.reconcile, use_monitor=True)
    def reconcile(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001  the trigger's parameter
        try:
            runtime().pool.run_in_scope(invocation_scope(context))
            runtime().reconciler.run()
            runtime().reconciler.stand_in(schedules.poll_budget_seconds)
        except ConfigurationError as error:
            setup_faults.log(error)
        except Unavailable as error:
            log_failure(_logger, error, "nothing was reconciled this time")

    if schedules.poll is not None:

        @blueprint.function_name("run_due")
        @blueprint.timer_trigger(arg_name="timer", schedule=schedules.poll, use_monitor=False)
        def run_due(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001  the trigger's parameter
            try:
                runtime().pool.run_in_scope(invocation_scope(context))
                longest = schedules.longest_poll_seconds
                with runtime().scale_out.while_draining():
                    runtime().worker.drain(min(schedules.poll_budget_seconds, longest), longest)
            except ConfigurationError as error:
                setup_faults.log(error)
            except Unavailable as error:
                log_failure(_logger, error, "nothing was run this time")

    return blueprint
