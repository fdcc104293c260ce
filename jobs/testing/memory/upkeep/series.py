"""Time series of attempts in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.durations import TIMED, added_up, bucket_of
from jobs.core.lifecycle.figures import Step
from jobs.core.lifecycle.status import FAULTS, AttemptOutcome, JobStatus
from jobs.core.ports.series import ALL_HANDLERS, KEPT_MINUTES, Bucket, Counted, Totals
from jobs.testing.memory.rows import SeriesRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from jobs.testing.memory.database import MemoryDatabase, MemoryTransaction
    from jobs.testing.memory.rows import AttemptRow

_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
_AT_ONCE = timedelta(minutes=5)
_FAILED = FAULTS | {AttemptOutcome.LOST}
_STARTED, _SUCCEEDED, _FAILED_PLACE, _LATE = range(4)


def _begin_of(step: Step, moment: datetime) -> datetime:
    return moment - (moment - _ORIGIN) % step.length


class MemorySeries:
    """The ``SeriesStore`` port in memory."""

    def __init__(self, database: MemoryDatabase) -> None:
        self._database = database

    def count(self, late_after: timedelta) -> Counted:
        """Count a few minutes more, and add up their hours."""
        table = self._database.series
        with self._database.statement() as transaction:
            now = transaction.now
            known = [at for step, name, at in table.rows if (step, name) == (Step.MINUTE, ALL_HANDLERS)]
            low = _begin_of(Step.MINUTE, now) - Step.MINUTE.span
            low = max([low, *([max(known) - Step.MINUTE.length] if known else [])])
            high = min(low + _AT_ONCE, now)
            counts: dict[tuple[str, datetime], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
            spreads: dict[tuple[str, datetime], Counter[int]] = defaultdict(Counter)
            minute = low
            while minute < high:
                counts[ALL_HANDLERS, minute] = [0, 0, 0, 0]
                minute += Step.MINUTE.length
            for handler_name, moment, place in self._events(transaction, low, high, late_after):
                for name in (handler_name, ALL_HANDLERS):
                    counts[name, _begin_of(Step.MINUTE, moment)][place] += 1
            for handler_name, line in self._timed(transaction, low, high):
                for name in (handler_name, ALL_HANDLERS):
                    took = (line.finished_at - line.started_at).total_seconds()
                    spreads[name, _begin_of(Step.MINUTE, line.finished_at)][bucket_of(took)] += 1
            for (name, at), values in counts.items():
                transaction.put(table, (Step.MINUTE, name, at), SeriesRow._make((*values, spreads[name, at])))
        self._add_up(low)
        return Counted(high, high < now)

    def _events(
        self, transaction: MemoryTransaction, low: datetime, high: datetime, late_after: timedelta
    ) -> Iterator[tuple[str, datetime, int]]:
        """Yield handler, instant and what happened, for attempts that began or ended from ``low`` until ``high``."""
        database = self._database
        began: list[tuple[Any, str]] = [
            (job, job.handler_name) for job in transaction.all(database.jobs) if job.status is JobStatus.RUNNING
        ]
        for line in transaction.all(database.attempts):
            job = transaction.job(line.job_id)
            if job is None or line.finished_at < low:
                continue
            if line.outcome != AttemptOutcome.SKIPPED:
                began.append((line, job.handler_name))
            if line.finished_at < high and line.outcome == AttemptOutcome.SUCCEEDED:
                yield job.handler_name, line.finished_at, _SUCCEEDED
            if line.finished_at < high and line.outcome in _FAILED:
                yield job.handler_name, line.finished_at, _FAILED_PLACE
        for each, handler_name in began:
            if each.started_at is not None and low <= each.started_at < high:
                yield handler_name, each.started_at, _STARTED
                if each.attempt == 1 and each.scheduled_for and each.started_at - each.scheduled_for > late_after:
                    yield handler_name, each.started_at, _LATE

    def _timed(self, transaction: MemoryTransaction, low: datetime, high: datetime) -> Iterator[tuple[str, AttemptRow]]:
        for line in transaction.all(self._database.attempts):
            job = transaction.job(line.job_id)
            if job is not None and low <= line.finished_at < high and line.outcome in TIMED:
                yield job.handler_name, line

    def _add_up(self, low: datetime) -> None:
        table = self._database.series
        with self._database.statement() as transaction:
            hours: dict[tuple[str, datetime], list[SeriesRow]] = defaultdict(list)
            for (step, name, at), row in list(table.rows.items()):
                if step == Step.MINUTE and at >= _begin_of(Step.HOUR, low):
                    hours[name, _begin_of(Step.HOUR, at)].append(row)
            for (name, at), rows in hours.items():
                now, before = _sum(rows), transaction.get(table, (Step.HOUR, name, at)) or _sum([])
                fewer = now.succeeded + now.failed < before.succeeded + before.failed
                after = SeriesRow(
                    started=max(before.started, now.started),
                    succeeded=max(before.succeeded, now.succeeded),
                    failed=max(before.failed, now.failed),
                    late=max(before.late, now.late),
                    durations=before.durations if fewer else now.durations,
                )
                transaction.put(table, (Step.HOUR, name, at), after)
            kept = {Step.MINUTE: KEPT_MINUTES, Step.HOUR: Step.HOUR.span + Step.HOUR.length}
            for key in [key for key in table.rows if key[2] < transaction.now - kept[Step(key[0])]]:
                transaction.put(table, key, None)

    def last_counted(self) -> datetime | None:
        """Return when the latest minute that was counted began."""
        with self._database.statement():
            table = self._database.series
            known = [at for step, name, at in table.rows if (step, name) == (Step.MINUTE, ALL_HANDLERS)]
        return max(known, default=None)

    def find(self, step: Step, handler_names: Collection[str]) -> list[Bucket]:
        """Return the buckets of these handlers."""
        with self._database.statement() as transaction:
            since = transaction.now - step.span
            found = [
                Bucket(at, name, *row)
                for (kind, name, at), row in self._database.series.rows.items()
                if kind == step and name in handler_names and at > since
            ]
        return sorted(found)

    def totals(self, handler_names: Collection[str], window: timedelta) -> list[Totals]:
        """Return the sums of the hours of these handlers that began within ``window``."""
        with self._database.statement() as transaction:
            found: dict[str, list[SeriesRow]] = defaultdict(list)
            for (kind, name, at), row in self._database.series.rows.items():
                if kind == Step.HOUR and name in handler_names and at > transaction.now - window:
                    found[name].append(row)
        return [Totals(name, *_sum(found[name])) for name in sorted(found)]


def _sum(rows: Sequence[SeriesRow]) -> SeriesRow:
    return SeriesRow(
        started=sum(row.started for row in rows),
        succeeded=sum(row.succeeded for row in rows),
        failed=sum(row.failed for row in rows),
        late=sum(row.late for row in rows),
        durations={**added_up(row.durations for row in rows)},
    )
