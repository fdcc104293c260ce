"""Timer functions: the poll that runs what is due, and the reconciliation."""

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
    """When the timers tick, in NCRONTAB. ``poll`` None has no poll: a scheduler rings instead."""

    poll: str | None
    reconcile: str
    poll_budget_seconds: float
    function_timeout: timedelta | None = None

    @property
    def longest_poll_seconds(self) -> float:
        """How long a poll may stay open for its handlers: less than the time at which the host ends the worker."""
        if self.function_timeout is None:
            return _LONGEST_POLL_SECONDS
        seconds = self.function_timeout.total_seconds()
        return min(max(seconds - _HEADROOM_SECONDS, seconds / 2), _LONGEST_POLL_SECONDS)


def timers_blueprint(runtime: Callable[[], Runtime], schedules: Schedules) -> func.Blueprint:
    """Make ``reconcile``, and ``run_due`` for the timer backend.

    ``run_due`` stays open while handlers run that it has begun, so that they log within an invocation and a host that
    goes down in good order waits for them. It is then the poll: the timer, which never overlaps itself, waits for it.

    A tick that finds the database away logs it and ends: the next one is the retry, so an outage is no crash loop. So
    does one that finds the app set up wrong, once a minute, for the poll comes every second.
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
            setup_faults.tell(error)
        except Unavailable as error:
            log_failure(_logger, error, "nothing was reconciled this time")

    if schedules.poll is not None:

        @blueprint.function_name("run_due")
        @blueprint.timer_trigger(arg_name="timer", schedule=schedules.poll, use_monitor=False)
        def run_due(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001  the trigger's parameter
            try:
                runtime().pool.run_in_scope(invocation_scope(context))
                longest = schedules.longest_poll_seconds
                runtime().worker.drain(min(schedules.poll_budget_seconds, longest), longest)
            except ConfigurationError as error:
                setup_faults.tell(error)
            except Unavailable as error:
                log_failure(_logger, error, "nothing was run this time")

    return blueprint
