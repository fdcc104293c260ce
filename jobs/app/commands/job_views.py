"""Jobs as callers see them: with the reason why they wait, and with the effective retry policy and timeout."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jobs.core.handlers.arguments.sensitive import masked
from jobs.core.lifecycle.retry import RetryOptions, RetryPolicy
from jobs.core.lifecycle.status import JobStatus
from jobs.core.lifecycle.suspects import SUSPECT_AFTER
from jobs.core.lifecycle.waiting import NO_USAGE, LimitUsage, Waiting, WaitingFor
from jobs.core.schedules.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.handlers.specs import HandlerSpec
    from jobs.core.lifecycle.audit import AuditEntry
    from jobs.core.lifecycle.job import Job
    from jobs.core.lifecycle.limits import Limits
    from jobs.core.ports.clock import Clock
    from jobs.core.ports.runs import RunStore
    from jobs.core.ports.scheduler import Scheduler

_DEFAULT_POLICY = RetryPolicy()
_ARMED_WITHIN = timedelta(seconds=5)
"""A job's alarm is set right after the job is written; one that is missing for longer is late."""


class JobViews:
    """Completes jobs for callers. Lives as long as the process."""

    def __init__(
        self,
        runs: RunStore,
        registry: HandlerRegistry,
        scheduler: Scheduler,
        clock: Clock,
        default_timeout: timedelta | None,
        polled_within: timedelta,
    ) -> None:
        """``polled_within`` is how long a job may be due before nothing that polls is expected to start it any more."""
        self._runs = runs
        self._registry = registry
        self._scheduler = scheduler
        self._clock = clock
        self._default_timeout = default_timeout
        self._polled_within = polled_within

    def show(self, jobs: Sequence[Job], *, read_usage: bool = True) -> list[Job]:
        """Return ``jobs`` with ``waiting_for``, ``retry`` and ``timeout`` filled in, and sensitive values masked.

        The usage of limits is read in one query, for handlers with limits that have due jobs among these. Pass
        ``read_usage=False`` for jobs that were just enqueued.
        """
        now = self._clock.now() if jobs else None
        usage = self._usage(job for job in jobs if now is not None and _is_due(job, now)) if read_usage else NO_USAGE
        return [self._shown(job, now, usage) for job in jobs if now is not None]

    def show_one(self, job: Job, *, read_usage: bool = True) -> Job:
        """Return one job, completed like those of ``show``."""
        return self.show([job], read_usage=read_usage)[0]

    def mask(self, entry: AuditEntry) -> AuditEntry:
        """Return a change without the sensitive values of the payload that it replaced."""
        spec = self._registry.get(entry.handler_name)
        if spec is None or entry.before is None or "payload" not in entry.before:
            return entry
        before = entry.before | {"payload": masked(spec.arguments, entry.before["payload"])}
        return entry.model_copy(update={"before": before})

    def timeout_of(self, spec: HandlerSpec) -> timedelta | None:
        """Return the timeout of attempts of jobs without a timeout of their own; None is unlimited."""
        return spec.timeout or self._default_timeout

    def _shown(self, job: Job, now: datetime, usage: LimitUsage) -> Job:
        spec = self._registry.get(job.handler_name)
        waiting = self._waiting(job, spec, now, usage)
        changes = {
            "waiting_for": waiting and waiting.what,
            "waiting_for_detail": waiting and waiting.detail,
            "timeout": job.timeout or self._default_timeout,
            "payload": job.payload if spec is None else masked(spec.arguments, job.payload),
            "retry": _effective(job.retry, spec.retry if spec is not None else _DEFAULT_POLICY),
        }
        return job.model_copy(update=changes)

    def _usage(self, due: Iterable[Job]) -> LimitUsage:
        periods: dict[str, timedelta] = {}
        for job in due:
            spec = self._registry.get(job.handler_name)
            if spec is not None and spec.limits is not None:
                rate = spec.limits.rate
                periods[spec.name] = rate.per if rate is not None else timedelta()
        return self._runs.limit_usage(periods) if periods else NO_USAGE

    def _waiting(self, job: Job, spec: HandlerSpec | None, now: datetime, usage: LimitUsage) -> Waiting | None:
        if job.status is not JobStatus.SCHEDULED or job.next_run_at is None:
            return None
        if job.paused:
            return Waiting(WaitingFor.PAUSED, "it is paused; resume it to let it run")
        if spec is None or job.payload_version > spec.version:
            return Waiting(WaitingFor.HANDLER_MISSING, _missing(job, spec))
        if job.next_run_at > now:
            return Waiting(WaitingFor.DUE, _due(job))
        if spec.limits is not None and (used_up := _used_up(job, spec.limits, usage)) is not None:
            return used_up
        return self._startable(job, now)

    def _startable(self, job: Job, now: datetime) -> Waiting:
        if self._is_being_armed(job, now):
            return Waiting(WaitingFor.DUE, f"it is due since {_text(job.next_run_at)}, and starts in a moment")
        what = WaitingFor.DUE if self._is_being_polled(job, now) else WaitingFor.SCHEDULER
        return Waiting(what, self._since(job))

    def _is_being_polled(self, job: Job, now: datetime) -> bool:
        """Whether the job has been due for so short that the next poll is not late yet."""
        polled = not self._scheduler.holds_alarms and job.lost_count < SUSPECT_AFTER
        return polled and job.next_run_at is not None and now - job.next_run_at < self._polled_within

    def _is_being_armed(self, job: Job, now: datetime) -> bool:
        """Whether the job was written so recently that its missing alarm is not late yet."""
        waits_for_alarm = self._scheduler.holds_alarms and self._scheduler.available and job.armed_at is None
        return waits_for_alarm and job.lost_count < SUSPECT_AFTER and now - job.updated_at < _ARMED_WITHIN

    def _since(self, job: Job) -> str:
        """Return what will start a job that is due and not throttled, as a sentence."""
        since = f"it is due since {_text(job.next_run_at)}"
        if job.lost_count >= SUSPECT_AFTER:
            return f"{since} and lost its worker {job.lost_count} times in a row, so it starts once it can run alone"
        if not self._scheduler.holds_alarms:
            return f"{since}; the next poll by an instance with a free slot takes it up"
        if not self._scheduler.available:
            return f"{since}, and {self._scheduler.name} is away; the reconcile timer runs it meanwhile"
        if job.armed_at is None:
            return f"{since}, and its alarm is still to be set, within a minute by the reconcile timer"
        return f"{since}; its alarm is set at {self._scheduler.name}, or has rung and waits for a free slot"


@lru_cache(maxsize=1024)
def _effective(retry: RetryOptions | None, policy: RetryPolicy) -> RetryOptions:
    effective = policy if retry is None else retry.over(policy)
    return RetryOptions.model_construct(
        base=effective.base, factor=effective.factor, cap=effective.cap, jitter=effective.jitter
    )


def _is_due(job: Job, now: datetime) -> bool:
    waits = job.status is JobStatus.SCHEDULED and not job.paused
    return waits and job.next_run_at is not None and job.next_run_at <= now


def _missing(job: Job, spec: HandlerSpec | None) -> str:
    if spec is None:
        return f"this release has no handler {job.handler_name!r}; deploy one that has it, or delete the job"
    versions = f"its payload is of version {job.payload_version}, and {spec.name} of version {spec.version}"
    return f"{versions} in this release; deploy the newer one"


def _due(job: Job) -> str:
    at = f"it is due at {_text(job.next_run_at)}"
    if _is_snoozed(job):
        return f"it was snoozed by its handler until {_text(job.next_run_at)}"
    return at if not job.attempt else f"{at}, for attempt {job.attempt + 1} of this run"


def _is_snoozed(job: Job) -> bool:
    """Return whether the run was attempted and waits without an error, which only a snooze leaves behind.

    With jitter this cannot be known from the row: the next run may be due later than it is meant.
    """
    began = job.last_run_at is not None and job.scheduled_for is not None and job.last_run_at >= job.scheduled_for
    return began and job.last_error is None and job.jitter is None


def _used_up(job: Job, limits: Limits[Any], usage: LimitUsage) -> Waiting | None:
    """Return which of its handler's limits throttles a job; None if none does."""
    name, key = job.handler_name, job.concurrency_key
    running = usage.running.get(name, 0)
    if limits.concurrency is not None and running >= limits.concurrency:
        return Waiting(
            WaitingFor.LIMIT, f"{running} of {name} are running, and its concurrency is {limits.concurrency}"
        )
    of_key = usage.running_by_key.get((name, key or ""), 0)
    if key is not None and limits.concurrency_key is not None and of_key >= (limits.per_key or 1):
        return Waiting(
            WaitingFor.LIMIT,
            f"{of_key} of {name} with the key {key!r} are running, and its per_key is {limits.per_key}",
        )
    started = usage.started.get(name, 0)
    if limits.rate is not None and started >= limits.rate.count:
        per = format_duration(limits.rate.per)
        return Waiting(
            WaitingFor.RATE, f"{started} of {name} were started in the last {per}, and its rate is {limits.rate.count}"
        )
    return None


def _text(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat().replace("+00:00", "Z")
