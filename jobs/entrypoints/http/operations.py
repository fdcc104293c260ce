"""HTTP functions for operators: handlers, statistics, previews of schedules, health."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import azure.functions as func

from jobs.core.commands import PreviewSchedule
from jobs.core.diagnostics.message_throttle import MessageThrottle
from jobs.core.errors import (
    ConfigurationError,
    HandlerRegistrationError,
    InvalidSettings,
    NotMigrated,
    StoreTakesNoWrites,
    StoreUnavailable,
    Unavailable,
)
from jobs.entrypoints.http.exchange import Call, add_function, json_response
from jobs.entrypoints.http.failures import failures
from jobs.entrypoints.http.handlers import handlers
from jobs.entrypoints.http.preview import preview
from jobs.entrypoints.http.problems import RETRY_AFTER_SECONDS
from jobs.entrypoints.http.routes import ROUTES
from jobs.entrypoints.http.series import series
from jobs.entrypoints.http.stats import stats as stats  # noqa: PLC0414  others take it from here
from jobs.entrypoints.http.workers import workers

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.runtime import Runtime
    from jobs.entrypoints.http.access import Access
    from jobs.entrypoints.http.callback_tokens import CallbackTokens

_TAKES_NO_WRITES = "the database takes no writes: its disk is full, or it is read-only; give it room"
_logger = logging.getLogger("jobs.api")
_SCHEDULER_UNAVAILABLE = (
    "the scheduler takes no alarms, so the reconciler runs what is due; /api/stats and the log say why"
)


def operations_blueprint(runtime: Callable[[], Runtime], access: Access, tokens: CallbackTokens) -> func.Blueprint:
    """Return the blueprint of the functions that read the app's state. The two health probes are open to everyone."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    throttle = MessageThrottle()

    def add(name: str, answer: Callable[[Call], func.HttpResponse]) -> None:
        add_function(blueprint, access, name, answer)

    add("list_handlers", lambda call: handlers(runtime(), call))
    add("get_stats", lambda _: json_response(stats(runtime(), tokens)))
    add("list_failures", lambda call: failures(runtime(), call))
    add("list_workers", lambda _: workers(runtime()))
    add("get_series", lambda call: series(runtime(), call))
    add("preview_schedule", lambda call: preview_response(runtime(), call))
    live, ready_route = ROUTES["health_live"], ROUTES["health_ready"]

    @blueprint.function_name("health_live")
    @blueprint.route(live.path, methods=live.methods, auth_level=func.AuthLevel.ANONYMOUS)
    async def health_live(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  see below
        # Async and without I/O, so it needs no thread, and responds even while all threads wait for the database.
        return json_response({"status": "live"})

    @blueprint.function_name("health_ready")
    @blueprint.route(ready_route.path, methods=ready_route.methods, auth_level=func.AuthLevel.ANONYMOUS)
    def health_ready(req: func.HttpRequest) -> func.HttpResponse:  # noqa: ARG001  the trigger's parameter
        return ready(runtime, tokens, throttle)

    return blueprint


def preview_response(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Return the next fire times of an expression, in UTC and local time, with notes on clock changes."""
    return json_response(preview(call.command(PreviewSchedule), runtime.clock.now))


def ready(
    runtime: Callable[[], Runtime], tokens: CallbackTokens, throttle: MessageThrottle | None = None
) -> func.HttpResponse:
    """Return whether the app can work: it is configured, and the database and the app's services respond.

    Without the scheduler or its callbacks the app is degraded: jobs run late. A fault is logged when it changes and
    once a minute, by ``throttle``, since probes come every few seconds.
    """
    throttle = throttle or MessageThrottle()
    try:
        runtime().housekeeping.ping()
        faults = runtime().injector.faults()
    except Exception as error:  # noqa: BLE001  any error means that the app is not ready
        if throttle.is_due("ready", type(error).__name__):
            level = logging.DEBUG if isinstance(error, StoreUnavailable) else logging.WARNING
            _logger.log(level, "not ready: %s: %s", type(error).__name__, error)
        return json_response(
            {"status": "unavailable", "reason": _reason_of(error)}, 503, Retry_After=str(RETRY_AFTER_SECONDS)
        )
    throttle.clear("ready")
    if faults:
        reason = f"of the app's services these do not answer: {', '.join(sorted(faults))}; see its log"
        found = {"status": "unavailable", "reason": reason, "services": sorted(faults)}
        return json_response(found, 503, Retry_After=str(RETRY_AFTER_SECONDS))
    if (stuck := runtime().pool.abandoned.fault()) is not None:
        return json_response({"status": "unavailable", "reason": stuck}, 503, Retry_After=str(RETRY_AFTER_SECONDS))
    reasons = [_SCHEDULER_UNAVAILABLE] if runtime().alarms.unavailable_reason is not None else []
    reasons += [tokens.trouble] if tokens.trouble is not None else []
    state = {"status": "degraded", "reasons": reasons} if reasons else {"status": "ready"}
    return json_response({**state, "scheduler": runtime().scheduler.name})


def _reason_of(error: Exception) -> str:
    """Return why the app is not ready. The response is public, so it contains no details."""
    match error:
        case NotMigrated():
            return "the schema is missing or old; run python -m jobs db upgrade"
        case InvalidSettings():
            return f"the app is not configured; see {', '.join(error.names)}: its log says what is wrong with it"
        case HandlerRegistrationError():
            return "a handler cannot be registered; the app's log names the file"
        case ConfigurationError():
            return "the app is not configured; its log names the setting"
        case Unavailable():
            return _TAKES_NO_WRITES if isinstance(error, StoreTakesNoWrites) else "the database cannot be reached"
        case _:
            return "the database does not answer as it should; see the app's log"
