"""Background jobs for Azure Functions: what the author of a handler imports, and nothing else.

from jobs import JobContext, handler

@handler("SendEmail")
def send_email(args: SendEmailArgs, ctx: JobContext, sender: EmailSender) -> None: ...
"""

from jobs.core.commands import EnqueueJob, OnConflict
from jobs.core.context import JobContext
from jobs.core.registry import handler, provider
from jobs.core.retry import RetryPolicy
from jobs.core.signals import Cancel, Discard, Retry, Snooze

__all__ = [
    "Cancel",
    "Discard",
    "EnqueueJob",
    "JobContext",
    "OnConflict",
    "Retry",
    "RetryPolicy",
    "Snooze",
    "handler",
    "provider",
]
