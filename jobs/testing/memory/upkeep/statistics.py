"""Counts and rates, over rows in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.testing.memory.rows import AttemptRow, JobRow

_RATE_WINDOW = timedelta(minutes=5)


def statistics_of(jobs: Sequence[JobRow], attempts: Sequence[AttemptRow], now: datetime) -> dict[str, Any]:
    """Return counts of jobs by handler and status, of due jobs, and of the attempts of the last five minutes."""
    handlers: dict[str, dict[str, int]] = defaultdict(dict)
    counts = Counter((job.handler_name, str(job.status)) for job in jobs)
    for (handler_name, status), count in sorted(counts.items()):
        handlers[handler_name][status] = count
    due = [job for job in jobs if job.waiting and job.due_at <= now]
    late = max((now - job.due_at for job in due), default=timedelta())
    return {
        "jobs": dict(Counter(str(job.status) for job in jobs)),
        "paused": sum(job.kept_paused for job in jobs),
        "handlers": dict(handlers),
        "due": {
            "count": len(due),
            "unarmed": sum(job.armed_at is None for job in due),
            "throttled": sum(job.limited for job in due),
            "latest_by_seconds": round(late.total_seconds(), 3),
        },
        "recent": {"window": "PT5M", "attempts": _rates(attempts, now)},
    }


def _rates(attempts: Sequence[AttemptRow], now: datetime) -> dict[str, Any]:
    recent: dict[str, list[AttemptRow]] = defaultdict(list)
    for attempt in attempts:
        if attempt.finished_at > now - _RATE_WINDOW:
            recent[str(attempt.outcome)].append(attempt)
    return {
        outcome: {
            "count": len(lines),
            "per_second": round(len(lines) / _RATE_WINDOW.total_seconds(), 3),
            "mean_duration_seconds": _mean_seconds([line.finished_at - line.started_at for line in lines]),
            "mean_wait_seconds": _mean_seconds([_waited(line) for line in lines]),
        }
        for outcome, lines in sorted(recent.items())
    }


def _waited(line: AttemptRow) -> timedelta:
    return max(line.started_at - (line.scheduled_for or line.started_at), timedelta())


def _mean_seconds(times: Sequence[timedelta]) -> float:
    microseconds = sum(times, timedelta()) // timedelta(microseconds=1)
    return round(microseconds / (len(times) * 1_000_000), 6)
