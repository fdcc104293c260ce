"""The function app: every blueprint registered, each given what it may call."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import azure.functions as func

from jobs.entrypoints.http.access import Access
from jobs.entrypoints.http.api import api_blueprint
from jobs.entrypoints.http.audit import audit_blueprint
from jobs.entrypoints.http.bulk import bulk_blueprint
from jobs.entrypoints.http.callback_tokens import CallbackTokens
from jobs.entrypoints.http.commands import commands_blueprint
from jobs.entrypoints.http.dashboard.functions import dashboard_blueprint
from jobs.entrypoints.http.dashboard.visit import DashboardOptions
from jobs.entrypoints.http.openapi.functions import openapi_blueprint
from jobs.entrypoints.http.operations import operations_blueprint
from jobs.entrypoints.http.routes import Role
from jobs.entrypoints.http.routing.unmatched import unmatched_blueprint
from jobs.entrypoints.triggers.callback import callback_blueprint
from jobs.entrypoints.triggers.invocation import invocation_scope
from jobs.entrypoints.triggers.queue import WakeOptions, queue_blueprint
from jobs.entrypoints.triggers.timers import Schedules, timers_blueprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.runtime import Runtime
    from jobs.settings import Settings

_KEY_ROLES = {"none": None, "read": Role.READ, "enqueue": Role.ENQUEUE, "manage": Role.MANAGE}
_FUNCTION_TIMEOUT = timedelta(minutes=5)  # the shortest that a plan has by default


def build_app(
    runtime: Callable[[], Runtime], settings: Settings, function_timeout: timedelta | None = _FUNCTION_TIMEOUT
) -> func.FunctionApp:
    """Register every function. ``runtime`` is called at the first invocation, not now.

    ``function_timeout`` is how long the host lets one run; None is without end.
    """
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    access = Access(
        easy_auth=settings.easy_auth or settings.roles, key_role=_KEY_ROLES[settings.key_role], local=settings.local
    )
    tokens = CallbackTokens(
        [token.get_secret_value().encode() for token in settings.callback_tokens], open_without_token=settings.local
    )
    schedules = Schedules(
        poll=settings.poll_schedule if settings.scheduler == "timer" else None,
        reconcile=settings.reconcile_schedule,
        poll_budget_seconds=settings.poll_budget_seconds,
        function_timeout=function_timeout,
    )
    wakes = WakeOptions(
        settings.queue, settings.queue_connection, settings.poll_budget_seconds, schedules.longest_poll_seconds
    )
    blueprints = [
        api_blueprint(runtime, access, invocation_scope),
        commands_blueprint(runtime, access),
        audit_blueprint(runtime, access),
        bulk_blueprint(runtime, access),
        operations_blueprint(runtime, access, tokens),
        openapi_blueprint(runtime, access),
        *([] if settings.dashboard == "off" else [dashboard_blueprint(runtime, access, tokens, _dashboard(settings))]),
        callback_blueprint(runtime, tokens),
        timers_blueprint(runtime, schedules),
        *([queue_blueprint(runtime, wakes)] if settings.uses_queue else []),
    ]
    for blueprint in [*blueprints, unmatched_blueprint(access, blueprints)]:
        app.register_functions(blueprint)
    return app


def _dashboard(settings: Settings) -> DashboardOptions:
    return DashboardOptions(
        environment=settings.dashboard_environment or settings.environment,
        colour=settings.dashboard_colour,
        read_only=settings.dashboard == "read-only",
        trace_url=settings.dashboard_trace_url,
        overdue_grace=timedelta(seconds=settings.overdue_grace_seconds),
    )
