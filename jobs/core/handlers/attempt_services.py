"""The services and the logger of one attempt."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from jobs.core.transactions.completion import Completion
    from jobs.core.transactions.lock import DistributedLock
    from jobs.core.transactions.unit_of_work import UnitsOfWork


class AttemptServices(NamedTuple):
    """The framework's services for the handler of one attempt. They live as long as the attempt."""

    units: UnitsOfWork
    lock: DistributedLock
    completion: Completion


class BoundLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds the job's identity to every record, so that one search finds all records of a run."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Return the message, and the record's ``extra`` with the job's identity."""
        kwargs["extra"] = {**(self.extra or {}), **(kwargs.get("extra") or {})}
        return msg, kwargs
