"""Background jobs for Azure Functions: what the author of a handler imports, and nothing else.

from jobs import JobContext, handler

@handler("SendEmail")
def send_email(args: SendEmailArgs, ctx: JobContext, sender: EmailSender) -> None: ...
"""

from jobs.packages import is_run_as_a_module, packages_needed

with packages_needed(at_the_command_line=is_run_as_a_module()):
    from jobs.core.commands import EnqueueJob, OnConflict
    from jobs.core.errors import LeaseLost, LockLost, LockNotAcquired
    from jobs.core.handlers.context import JobContext
    from jobs.core.handlers.decorators import handler, middleware, provider
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.lifecycle.handler_outcomes import Cancel, Discard, Retry, Snooze
    from jobs.core.lifecycle.limits import Limits, Rate
    from jobs.core.lifecycle.retry import RetryOptions, RetryPolicy
    from jobs.core.transactions.lock import DistributedLock, LockHandle
    from jobs.core.transactions.unit_of_work import UnitOfWork, UnitsOfWork, current_unit_of_work

__all__ = [
    "Cancel",
    "Discard",
    "DistributedLock",
    "EnqueueJob",
    "HandlerRegistry",
    "JobContext",
    "LeaseLost",
    "Limits",
    "LockHandle",
    "LockLost",
    "LockNotAcquired",
    "OnConflict",
    "Rate",
    "Retry",
    "RetryOptions",
    "RetryPolicy",
    "Snooze",
    "UnitOfWork",
    "UnitsOfWork",
    "current_unit_of_work",
    "handler",
    "middleware",
    "provider",
]
