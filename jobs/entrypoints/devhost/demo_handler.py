"""The handler that the demo's jobs run: of the demo's own, so that the samples may be deleted."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from jobs.core.handlers.context import JobContext
from jobs.core.handlers.marking.decorators import handler

DEMO_HANDLER = "DemoGreeting"


class DemoGreetingArgs(BaseModel):
    """Whom to greet."""

    model_config = ConfigDict(extra="forbid")

    name: str = "you"


@handler(DEMO_HANDLER)
def demo_greeting(args: DemoGreetingArgs, ctx: JobContext) -> None:
    """Log a greeting."""
    ctx.logger.info("hello, %s", args.name)
