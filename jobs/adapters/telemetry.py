"""OpenTelemetry spans and metrics of attempts: a middleware around every attempt.

Only the API is used; the host (``PYTHON_ENABLE_OPENTELEMETRY``) or the user's own code configures the export. The names
follow OpenTelemetry's semantic conventions for messaging where there is one.

| instrument | kind | attributes |
|---|---|---|
| ``jobs.attempts`` | counter | ``jobs.handler``, ``jobs.outcome`` |
| ``jobs.attempt.duration`` | histogram, s | the same |
| ``jobs.attempt.lateness`` | histogram, s from due to start | ``jobs.handler`` |
| ``jobs.abandoned_threads`` | gauge of this process | |
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from jobs.core.diagnostics.error_text import describe_error, traceback_of
from jobs.core.lifecycle.handler_outcomes import outcome_of
from jobs.core.lifecycle.status import AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.core.handlers.context import JobContext

_QUIET = frozenset({AttemptOutcome.SUCCEEDED, AttemptOutcome.SNOOZED, AttemptOutcome.RELEASED})


class Telemetry:
    """The middleware. Lives as long as the process; shared by its threads."""

    def __init__(self) -> None:
        self._meter = meter = metrics.get_meter("jobs")
        self._tracer = trace.get_tracer("jobs")
        self._attempts = meter.create_counter("jobs.attempts", "{attempt}", "Attempts that have ended")
        self._duration = meter.create_histogram("jobs.attempt.duration", "s", "How long attempts take")
        self._lateness = meter.create_histogram("jobs.attempt.lateness", "s", "From an attempt's due time to its start")

    def observe_abandoned_threads(self, count: Callable[[], int]) -> None:
        """Register a gauge that reads ``count``: the threads that handlers keep past their timeout."""
        self._meter.create_observable_gauge(
            "jobs.abandoned_threads",
            callbacks=[lambda _: [metrics.Observation(count())]],
            unit="{thread}",
            description="Threads that handlers keep past their timeout",
        )

    def __call__(self, context: JobContext, call_next: Callable[[], None]) -> None:
        """Trace and measure one attempt. Its span links to the trace that the job was enqueued in."""
        handler = {"jobs.handler": context.handler_name}
        if context.attempt == 1:
            late = (datetime.now(UTC) - context.scheduled_for).total_seconds()
            self._lateness.record(max(late, 0.0), handler)
        began = time.perf_counter()
        outcome = AttemptOutcome.SUCCEEDED
        with self._tracer.start_as_current_span(
            f"process {context.handler_name}",
            context=Context(),  # a trace of its own: a poll's trace would contain every attempt that it started
            kind=trace.SpanKind.CONSUMER,
            links=_links_to(context.trace_parent),
            attributes={
                "messaging.operation.type": "process",
                "jobs.id": str(context.job_id),
                "jobs.name": context.job_name,
                "jobs.run": context.run,
                "jobs.attempt": context.attempt,
                **handler,
            },
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            if span.get_span_context().is_valid:
                context.trace_id = trace.format_trace_id(span.get_span_context().trace_id)
            try:
                call_next()
            except BaseException as error:
                if not context.completed:  # after complete() has committed, a later error changes nothing
                    outcome = outcome_of(error)
                if outcome not in _QUIET:
                    span.add_event("exception", _exception_attributes(error))
                    span.set_status(trace.StatusCode.ERROR)
                raise
            finally:
                span.set_attribute("jobs.outcome", outcome.value)
                ended = handler | {"jobs.outcome": outcome.value}
                self._attempts.add(1, ended)
                self._duration.record(time.perf_counter() - began, ended)


def _exception_attributes(error: BaseException) -> dict[str, str]:
    """Return an exception's attributes by the semantic conventions, with the redacted texts of the history."""
    return {
        "exception.type": f"{type(error).__module__}.{type(error).__qualname__}",
        "exception.message": describe_error(error),
        "exception.stacktrace": traceback_of(error) or "",
    }


def _links_to(trace_parent: str | None) -> list[trace.Link]:
    if trace_parent is None:
        return []
    context = TraceContextTextMapPropagator().extract({"traceparent": trace_parent})
    enqueued = trace.get_current_span(context).get_span_context()
    return [trace.Link(enqueued)] if enqueued.is_valid else []
