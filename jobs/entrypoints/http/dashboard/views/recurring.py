"""Recurring jobs: what their schedules mean, when they run next, how the last runs went, who paused them and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlencode

from jobs.core.as_code.file import OWNER_KEY
from jobs.core.errors import InvalidInput
from jobs.core.lifecycle.status import FAULTS, AttemptOutcome, JobStatus
from jobs.core.queries import AuditQuery, HistoryQuery
from jobs.entrypoints.http.dashboard.search import search_of
from jobs.entrypoints.http.dashboard.views.job import actions_of, schedule_in_words
from jobs.entrypoints.http.dashboard.visit import View, Visit
from jobs.entrypoints.http.problems import with_own_messages

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from jobs.core.lifecycle.audit import AuditEntry
    from jobs.core.lifecycle.job import Attempt, Job

_PER_PAGE = 20
_RUNS = 20
_ATTEMPTS = 40
_APPLIED_BY = "jobs apply"


class Run(NamedTuple):
    """A run as the strip shows it: how its last attempt ended."""

    number: int
    outcome: AttemptOutcome
    at: datetime
    kind: str


class Recurring(NamedTuple):
    """A recurring job, with what its row in the list tells beside it.

    ``paused`` is who paused it; ``changed`` who changed it since `jobs apply` last did, of a job that a file has.
    """

    job: Job
    words: str
    runs: list[Run]
    actions: dict[str, bool]
    owner: str | None
    paused: AuditEntry | None
    changed: AuditEntry | None


def recurring(visit: Visit) -> View:
    """Return a page of the recurring jobs that are active."""
    text, cursor = visit.wants("q"), visit.wants("cursor")
    fault, found, following = None, [], None
    try:
        wanted = search_of(text, limit=str(_PER_PAGE), **({"cursor": cursor} if cursor else {}))
        active = wanted.status or (JobStatus.SCHEDULED, JobStatus.RUNNING)
        page = visit.runtime.service.find(wanted.model_copy(update={"recurring": True, "status": active}))
        found, following = page.jobs, page.cursor
    except InvalidInput as error:
        fault = "; ".join(each.detail for each in with_own_messages(error).problems)
    return View(
        "recurring.html",
        "Recurring",
        "recurring",
        {
            "q": text,
            "fault": fault,
            "rows": [_row(visit, job) for job in visit.runtime.views.show(found)],
            "next": None if following is None else f"recurring?{urlencode({'q': text, 'cursor': following})}",
            "first": f"recurring?{urlencode({'q': text})}" if cursor else None,
        },
    )


def _row(visit: Visit, job: Job) -> Recurring:
    owner = job.metadata.get(OWNER_KEY)
    return Recurring(
        job,
        schedule_in_words(job),
        runs_of(visit, job),
        actions_of(job),
        owner if isinstance(owner, str) else None,
        _last_change(visit, job, "pause") if job.paused else None,
        None if owner is None else _change_since_applied(visit, job),
    )


def runs_of(visit: Visit, job: Job) -> list[Run]:
    """Return a job's last runs, the earliest first."""
    page = visit.runtime.service.find_attempts(job.id, HistoryQuery(limit=_ATTEMPTS)) if job.last_run_at else None
    return last_runs(page.attempts if page is not None else [])


def last_runs(attempts: Iterable[Attempt]) -> list[Run]:
    """Return the runs that attempts, the newest first, belong to, the earliest first; each by its last attempt."""
    runs: dict[tuple[int, int], Run] = {}
    for attempt in attempts:
        run = Run(attempt.run, attempt.outcome, attempt.started_at, _kind_of(attempt.outcome))
        runs.setdefault((attempt.retried, attempt.run), run)
    return [*runs.values()][:_RUNS][::-1]


def _kind_of(outcome: AttemptOutcome) -> str:
    if outcome is AttemptOutcome.SUCCEEDED:
        return "good"
    return "bad" if outcome in FAULTS or outcome is AttemptOutcome.LOST else "held"


def _last_change(visit: Visit, job: Job, action: str) -> AuditEntry | None:
    entries = visit.runtime.audit.find(AuditQuery(job_id=job.id, action=(action,), limit=1)).entries
    return entries[0] if entries else None


def _change_since_applied(visit: Visit, job: Job) -> AuditEntry | None:
    """Return the last update of a job of a file if it was not made by applying the file: then the two differ."""
    last = _last_change(visit, job, "update")
    return None if last is None or (last.actor or "").startswith(_APPLIED_BY) else last
