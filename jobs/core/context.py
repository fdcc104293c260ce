"""What a handler is told about the run that it is executing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.core.signals import Cancel, ShutdownRequested

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from datetime import datetime
    from uuid import UUID

_logger = logging.getLogger("jobs.handler")


class _BoundLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the job's identity to every record, so that one search finds all that a run logged."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs


@dataclass(slots=True)
class JobContext:
    """One attempt, from inside: lives as long as the attempt.

    ``run`` counts the job's due occurrences from 1, ``attempt`` the executions of this run from 1. The same run may
    be executed more than once, so ``f"{job_id}/{run}"`` is the key to make an effect elsewhere idempotent with.
    ``deadline`` is when the attempt times out, None without a timeout.
    """

    job_id: UUID
    job_name: str
    handler_name: str
    run: int
    attempt: int
    scheduled_for: datetime
    metadata: Mapping[str, Any]
    deadline: datetime | None = None
    trace_parent: str | None = None
    _cancelled: bool = field(default=False, init=False, repr=False)
    _shutdown: bool = field(default=False, init=False, repr=False)
    _fenced: bool = field(default=False, init=False, repr=False)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this run, different for every other run."""
        return f"{self.job_id}/{self.run}"

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that adds the job's id, name, handler, run and attempt to every record."""
        return _BoundLogger(
            _logger,
            {
                "job_id": str(self.job_id),
                "job_name": self.job_name,
                "handler_name": self.handler_name,
                "run": self.run,
                "attempt": self.attempt,
            },
        )

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked to cancel this job; known at the latest one heartbeat after the request."""
        return self._cancelled

    @property
    def shutting_down(self) -> bool:
        """Whether the host is going down; what is not done soon is taken up again elsewhere."""
        return self._shutdown

    @property
    def lease_lost(self) -> bool:
        """Whether this attempt no longer counts: it timed out, or another worker took the run over."""
        return self._fenced

    def raise_if_cancelled(self) -> None:
        """Stop here if the result is not wanted any more: cancelled, timed out, or the host is going down.

        A long handler calls this between its steps. Let what it raises pass through.
        """
        if self.lease_lost:
            raise ShutdownRequested("this attempt's lease is gone; whatever it does no longer counts")
        if self.cancelled:
            raise Cancel("cancelled on request")
        if self.shutting_down:
            raise ShutdownRequested("the host is going down")

    def signal_cancelled(self) -> None:
        """Note that somebody asked to cancel the job (called by the framework)."""
        self._cancelled = True

    def signal_shutdown(self) -> None:
        """Note that the host is going down (called by the framework)."""
        self._shutdown = True

    def signal_lease_lost(self) -> None:
        """Note that this attempt no longer counts (called by the framework)."""
        self._fenced = True
