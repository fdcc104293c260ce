"""The function app: every blueprint registered, each given what it may call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import azure.functions as func

from jobs.entrypoints.access import Access
from jobs.entrypoints.api import api_blueprint
from jobs.entrypoints.callback import callback_blueprint
from jobs.entrypoints.commands import commands_blueprint
from jobs.entrypoints.operations import operations_blueprint
from jobs.entrypoints.timers import Schedules, timers_blueprint

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.runtime import Runtime
    from jobs.settings import Settings


def build_app(runtime: Callable[[], Runtime], settings: Settings) -> func.FunctionApp:
    """Register every function. ``runtime`` is called at the first invocation, not now."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    access = Access(easy_auth=settings.easy_auth)
    tokens = tuple(token.get_secret_value().encode() for token in settings.callback_tokens)
    schedules = Schedules(
        poll=settings.poll_schedule if settings.scheduler == "timer" else None,
        reconcile=settings.reconcile_schedule,
        poll_budget_seconds=settings.poll_budget_seconds,
    )
    app.register_functions(api_blueprint(runtime, access))
    app.register_functions(commands_blueprint(runtime, access))
    app.register_functions(operations_blueprint(runtime, access))
    app.register_functions(callback_blueprint(runtime, tokens, open_without_token=settings.local))
    app.register_functions(timers_blueprint(runtime, schedules))
    return app
