"""Timer functions: the poll that runs what is due, and the reconciliation."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import azure.functions as func

from jobs.core.errors import ConfigurationError, Unavailable
from jobs.core.outage import log_failure
from jobs.entrypoints.invocation import within
from jobs.entrypoints.setup_faults import SetupFaults

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.runtime import Runtime

_logger = logging.getLogger("jobs.timers")


@dataclass(frozen=True, slots=True)
class Schedules:
    """When the timers tick, in NCRONTAB. ``poll`` None has no poll: a scheduler rings instead."""

    poll: str | None
    reconcile: str
    poll_budget_seconds: float


def timers_blueprint(runtime: Callable[[], Runtime], schedules: Schedules) -> func.Blueprint:
    """Make ``reconcile``, and ``run_due`` for the timer backend.

    A tick that finds the database away logs it and ends: the next one is the retry, so an outage is no crash loop. So
    does one that finds the app set up wrong, once a minute, for the poll comes every second.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    setup_faults = SetupFaults(_logger)

    @blueprint.function_name("reconcile")
    @blueprint.timer_trigger(arg_name="timer", schedule=schedules.reconcile, use_monitor=True)
    def reconcile(timer: func.TimerRequest, context: func.Context) -> None:  # noqa: ARG001  the trigger's parameter
        try:
            runtime().worker.work_within(within(context))
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
                runtime().worker.work_within(within(context))
                runtime().worker.drain(schedules.poll_budget_seconds)
            except ConfigurationError as error:
                setup_faults.tell(error)
            except Unavailable as error:
                log_failure(_logger, error, "nothing was run this time")

    return blueprint
