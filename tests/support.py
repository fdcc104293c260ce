"""What many tests share beside fixtures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from jobs.app.runtime import Runtime
from jobs.core.commands import EnqueueJob

MakeRuntime = Callable[..., Runtime]


class Anything(BaseModel):
    """Arguments that take whatever they are given."""

    model_config = ConfigDict(extra="allow")


def job(name: str = "job", handler_name: str = "Noop", **fields: Any) -> EnqueueJob:
    """A command with what a test does not care about filled in."""
    return EnqueueJob(handler_name=handler_name, job_name=name, **fields)
