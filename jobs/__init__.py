"""Background jobs for Azure Functions: what the author of a handler imports, and nothing else.

from jobs import JobContext, handler

@handler("SendEmail")
def send_email(args: SendEmailArgs, ctx: JobContext, sender: EmailSender) -> None: ...
"""

from jobs.core.commands import EnqueueJob, OnConflict
from jobs.core.context import JobContext
from jobs.core.decorators import handler, middleware, provider
from jobs.core.registry import HandlerRegistry
from jobs.core.retry import RetryOptions, RetryPolicy
from jobs.core.signals import Cancel, Discard, Retry, Snooze

__all__ = [
    "Cancel",
    "Discard",
    "EnqueueJob",
    "HandlerRegistry",
    "JobContext",
    "OnConflict",
    "Retry",
    "RetryOptions",
    "RetryPolicy",
    "Snooze",
    "handler",
    "middleware",
    "provider",
]
