"""The options that a handler is marked or declared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from pydantic import BaseModel

    from jobs.core.handlers.arguments.versions import Upcaster
    from jobs.core.lifecycle.limits import Limits


@dataclass(frozen=True, slots=True)
class HandlerOptions:
    """The options of ``@handler``."""

    name: str
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: timedelta | None = None
    version: int = 1
    upcasters: Mapping[int, Upcaster] = field(default_factory=dict)
    limits: Limits[Any] | None = None


def handler_options(
    name: str,
    retry: RetryPolicy | None = None,
    timeout: timedelta | None = None,
    version: int = 1,
    upcasters: Mapping[int, Upcaster] | None = None,
    limits: Limits[BaseModel] | None = None,
) -> HandlerOptions:
    """Return the options, with defaults for missing ones. Their values are checked when the handler is registered."""
    return HandlerOptions(
        name,
        RetryPolicy() if retry is None else retry,
        timeout,
        version,
        {} if upcasters is None else upcasters,
        limits,
    )
