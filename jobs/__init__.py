"""Background jobs for Azure Functions: what the author of a handler imports, and nothing else.

from jobs import JobContext, handler

@handler("SendEmail")
def send_email(args: SendEmailArgs, ctx: JobContext, sender: EmailSender) -> None: ...
"""

from jobs.packages import is_run_as_a_module, packages_needed

with packages_needed(at_the_command_line=is_run_as_a_module()):
    from jobs.connecting import Jobs, connect
    from jobs.core.command_fields import OnConflict
    from jobs.core.commands import EnqueueJob, UpdateJob
    from jobs.core.errors import (
        ConfigurationError,
        Conflict,
        InvalidInput,
        InvalidSchedule,
        JobIdTaken,
        JobNameTaken,
        JobNotFound,
        JobsError,
        LeaseLost,
        LockLost,
        LockNotAcquired,
        PreconditionFailed,
        Problem,
        StoreUnavailable,
        Unavailable,
        UnknownHandler,
    )
    from jobs.core.handlers.arguments.sensitive import Sensitive
    from jobs.core.handlers.context import JobContext
    from jobs.core.handlers.declared import declare
    from jobs.core.handlers.enqueuing.open_jobs import EnqueuedJob
    from jobs.core.handlers.enqueuing.typed import DeclaredHandler, Handler
    from jobs.core.handlers.marking.decorators import handler, middleware, provider
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.handler_outcomes import Cancel, Discard, Retry, Snooze
    from jobs.core.lifecycle.job import Attempt, Job
    from jobs.core.lifecycle.limits import Limits, Rate
    from jobs.core.lifecycle.retry import RetryOptions, RetryPolicy
    from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
    from jobs.core.queries import HistoryQuery, JobQuery
    from jobs.core.schedules.timing import DstOptions, MisfireOptions
    from jobs.core.transactions.lock import DistributedLock, LockHandle
    from jobs.core.transactions.unit_of_work import UnitOfWork, UnitsOfWork, current_unit_of_work

__all__ = [
    "Attempt",
    "AttemptOutcome",
    "Cancel",
    "ConfigurationError",
    "Conflict",
    "DeclaredHandler",
    "Discard",
    "DistributedLock",
    "DstOptions",
    "EnqueueJob",
    "EnqueuedJob",
    "Handler",
    "HandlerRegistry",
    "HistoryQuery",
    "InvalidInput",
    "InvalidSchedule",
    "Job",
    "JobContext",
    "JobIdTaken",
    "JobNameTaken",
    "JobNotFound",
    "JobQuery",
    "JobStatus",
    "Jobs",
    "JobsError",
    "LeaseLost",
    "Limits",
    "LockHandle",
    "LockLost",
    "LockNotAcquired",
    "MisfireOptions",
    "OnConflict",
    "PreconditionFailed",
    "Problem",
    "Rate",
    "Retry",
    "RetryOptions",
    "RetryPolicy",
    "Sensitive",
    "Snooze",
    "StoreUnavailable",
    "Unavailable",
    "UnitOfWork",
    "UnitsOfWork",
    "UnknownHandler",
    "UpdateJob",
    "connect",
    "current_unit_of_work",
    "declare",
    "handler",
    "middleware",
    "provider",
]
