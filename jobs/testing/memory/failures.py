"""Failures grouped by their cause, in memory."""

from __future__ import annotations

from collections import defaultdict
from operator import attrgetter
from typing import TYPE_CHECKING
from uuid import UUID

from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.ports.failures import MOST_CAUSES, FailureGroup, FailureGroups, FailureSample

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.core.queries import FailureQuery
    from jobs.testing.memory.database import MemoryDatabase, MemoryTransaction
    from jobs.testing.memory.rows import AttemptRow


class MemoryFailureLog:
    """The ``FailureLog`` port in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def find(self, query: FailureQuery, count_to: int = COUNT_TO) -> FailureGroups:
        """Return the groups of the query's window."""
        with self._database.statement() as transaction:
            lines = [line for line in transaction.all(self._database.attempts) if line.failure and line.handler_name]
            causes = sorted({(str(line.failure), str(line.handler_name)) for line in lines})[:MOST_CAUSES]
            met: dict[str, list[AttemptRow]] = defaultdict(list)
            for line in lines:
                wanted = not query.handler_name or line.handler_name in query.handler_name
                if wanted and line.finished_at > transaction.now - query.window:
                    met[str(line.failure)].append(line)
            groups = [self._group(transaction, met[each], query, count_to + 1) for each in sorted(met)]
        groups.sort(key=attrgetter("last_at"), reverse=True)
        return FailureGroups(groups[: query.limit], len(groups) > query.limit or len(causes) >= MOST_CAUSES)

    def _group(
        self, transaction: MemoryTransaction, lines: Sequence[AttemptRow], query: FailureQuery, bound: int
    ) -> FailureGroup:
        failure, last_at = str(lines[0].failure), max(line.finished_at for line in lines)
        newest = [line for line in lines if line.finished_at == last_at]
        last_handler = min(str(line.handler_name) for line in newest)
        sample = max(
            (line for line in newest if line.handler_name == last_handler),
            key=lambda line: (line.job_id, UUID(line.token)),
        )
        failed = sum(
            job.failure == failure
            and job.status is JobStatus.FAILED
            and (not query.handler_name or job.handler_name in query.handler_name)
            for job in transaction.all(self._database.jobs)
        )
        return FailureGroup(
            failure=failure,
            count=min(len(lines), bound),
            first_at=min(line.finished_at for line in lines),
            last_at=last_at,
            handlers=tuple(sorted({str(line.handler_name) for line in lines})),
            still_failed=min(failed, bound),
            sample=FailureSample(sample.job_id, last_handler, AttemptOutcome(sample.outcome), sample.error, last_at),
        )
