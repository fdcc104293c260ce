"""Counts and rates, over rows in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.figures import RATE_WINDOW, Figures
from jobs.core.lifecycle.status import JobStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.testing.memory.rows import AttemptRow, JobRow


def statistics_of(
    jobs: Sequence[JobRow], attempts: Sequence[AttemptRow], now: datetime, count_to: int
) -> dict[str, Any]:
    """Return bounded counts of jobs, of due jobs, and of the attempts of the last five minutes."""
    figures, limit = Figures(count_to), count_to + 1
    newest = sorted(jobs, key=attrgetter("created_at", "id"), reverse=True)[: 2 * limit]
    counted: Counter[tuple[str, str]] = Counter()
    paused: Counter[tuple[str, str]] = Counter()
    for status in JobStatus:
        of_status = [job for job in (newest if status is JobStatus.COMPLETED else jobs) if job.status is status]
        for job in _in_order(of_status, status)[:limit]:
            counted[status.value, job.handler_name] += 1
            paused[status.value, job.handler_name] += job.kept_paused
    rows = [(*key, count, paused[key]) for key, count in counted.items()]
    figures.jobs(rows, {"Completed": len(newest) == 2 * limit})
    due = [job for job in jobs if job.waiting and job.due_at <= now]
    found = sorted((job for job in due if not job.limited), key=attrgetter("due_at", "id"))[:limit]
    found += sorted((job for job in due if job.limited), key=attrgetter("handler_name", "due_at", "id"))[:limit]
    latest = max((now - job.due_at for job in found), default=timedelta())
    late = max((now - job.due_at for job in found if not job.limited), default=timedelta())
    unarmed = sum(job.armed_at is None for job in found)
    figures.due(len(found), unarmed, sum(job.limited for job in found), latest.total_seconds(), late.total_seconds())
    figures.recent(_rates([line for line in attempts if line.finished_at > now - RATE_WINDOW][:limit]))
    return figures.answer()


def _in_order(jobs: list[JobRow], status: JobStatus) -> list[JobRow]:
    """Return jobs in the order of the index by which PostgreSQL counts them."""
    match status:
        case JobStatus.SCHEDULED:
            return sorted(jobs, key=attrgetter("job_name"))
        case JobStatus.RUNNING:
            return sorted(jobs, key=attrgetter("id"))
        case _:
            return sorted(jobs, key=attrgetter("created_at", "id"), reverse=True)


def _rates(attempts: Sequence[AttemptRow]) -> list[tuple[str, int, float, float | None]]:
    recent: dict[str, list[AttemptRow]] = defaultdict(list)
    for attempt in attempts:
        recent[str(attempt.outcome)].append(attempt)
    return [
        (
            outcome,
            len(lines),
            _mean_seconds([line.finished_at - line.started_at for line in lines]),
            _mean_seconds([_waited(line) for line in lines]),
        )
        for outcome, lines in sorted(recent.items())
    ]


def _waited(line: AttemptRow) -> timedelta:
    return max(line.started_at - (line.scheduled_for or line.started_at), timedelta())


def _mean_seconds(times: Sequence[timedelta]) -> float:
    microseconds = sum(times, timedelta()) // timedelta(microseconds=1)
    return round(microseconds / (len(times) * 1_000_000), 6)
