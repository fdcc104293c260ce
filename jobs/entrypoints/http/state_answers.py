"""The bodies of answers about the app's state: statistics and health."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobs.app.upkeep.condition import TroubleKind
from jobs.core.lifecycle.figures import Step
from jobs.core.lifecycle.status import AttemptOutcome, JobStatus
from jobs.core.schedules.timing import Duration, Instant
from jobs.entrypoints.http.answers import ABSENT, Answer, DurationsAnswer


class QueueMessages(Answer):
    """The messages of the queue, the same for every instance."""

    waiting: int = Field(description="How many messages there are, hidden ones too.")
    poisoned: int = Field(description="How many the host has given up.")
    oldest: Instant | None = Field(description="Since when the next visible one is there; null if there is none.")


class AlarmsState(Answer):
    """The scheduler as the answering instance finds it."""

    available: bool = Field(description="Whether it takes alarms.")
    why_not: str | None = Field(description="What it last failed with.")
    callbacks_refused: int = Field(description="Callbacks with a wrong token that were refused since the start.")
    messages: QueueMessages | None = Field(
        description="Of the storage queue, as of the last ten seconds; null under another scheduler, and while it does "
        "not answer."
    )


class DueJobs(Answer):
    """Jobs that are due and do not run yet."""

    count: int = Field(description="How many there are.")
    unarmed: int = Field(description="Of these, how many have no alarm yet.")
    throttled: int = Field(description="Of these, how many wait for a slot of their handler's limits.")
    latest_by_seconds: float = Field(description="How late the latest of them is.")
    late_by_seconds: float = Field(
        description="The same of those whose handler has no limits, which nothing throttles."
    )


class RecentOutcome(Answer):
    """Attempts of late that ended in one way."""

    count: int = Field(description="How many there were.")
    per_second: float = Field(description="How many there were in a second, on average.")
    mean_duration_seconds: float = Field(description="How long one took, on average.")
    mean_wait_seconds: float = Field(description="How long after its scheduled instant one began, on average.")


class RecentAttempts(Answer):
    """Attempts of late."""

    window: Duration = Field(description="How far back it goes.")
    attempts: dict[AttemptOutcome, RecentOutcome] = Field(description="By outcome.")


class TroubleAnswer(Answer):
    """Something that is wrong now."""

    kind: TroubleKind = Field(description="What it is. Rely on this, not on `detail`.")
    detail: str = Field(description="The same in a sentence.")
    count: int | None = Field(description="How many jobs, attempts, workers or the like; null where it is no number.")


class WorkerCounts(Answer):
    """The workers of the whole app, up to 500."""

    live: int = Field(description="Those that report, the draining ones included.")
    draining: int = Field(description="Of these, those that start nothing more.")
    lost: int = Field(description="Those that went silent within the last hour.")
    abandoned_threads: int = Field(description="Threads of the live ones that handlers keep past their timeout.")


class StatsAnswer(Answer):
    """Counts of the whole database, and of the last five minutes, which cost the same however many jobs there are."""

    wrong: list[TroubleAnswer] = Field(description="What is wrong now, the most urgent first.")
    scheduler: str = Field(description="`dapr`, `timer` or `queue`.")
    alarms: AlarmsState = Field(description="The scheduler as the answering instance finds it.")
    abandoned_threads: int = Field(
        description="Threads of the answering instance that handlers keep past their timeout."
    )
    workers: WorkerCounts = Field(description="The workers of the whole app.")
    reconciled_at: Instant | None = Field(
        description="The minute of the last reconciliation by any worker; null before the first."
    )
    jobs: dict[JobStatus, int] | None = Field(description="Jobs by status.")
    paused: int | None = Field(description="Jobs that are paused.")
    handlers: dict[str, dict[JobStatus, int]] | None = Field(description="Jobs by handler and status.")
    due: DueJobs | None = Field(description="Jobs that are due and do not run yet.")
    recent: RecentAttempts | None = Field(description="What ended within the last minutes.")
    count_to: int = Field(description="Up to how many is counted. A figure that is more is this, and in `at_least`.")
    at_least: list[str] = Field(
        description="JSON Pointers to the figures of this answer that are lower bounds: show them as 10,000+."
    )
    incomplete: list[str] = Field(
        description="The members that could not be had within the time limit of 2 s, and are null."
    )
    missing_handlers: dict[str, int] | None = Field(
        description="Active jobs by handler, of handlers that the answering instance lacks, such as one that was "
        "renamed. They do not run, and are not in `due`: they are looked at every 30 s."
    )


class SeriesFigures(Answer):
    """Figures by step, each in the place of its instant in `at`."""

    started: list[int] = Field(description="Attempts that began.")
    succeeded: list[int] = Field(description="Attempts that succeeded.")
    failed: list[int] = Field(description="Attempts that failed, those that are retried or lost their worker included.")
    late: list[int] = Field(
        description="Runs whose first attempt began later than `JOBS_OVERDUE_GRACE_SECONDS` after they were due."
    )
    totals: SeriesTotals = Field(description="The whole of it together.")


class SeriesTotals(Answer):
    """The whole of a series together."""

    success_rate: float | None = Field(
        description="What share of the attempts that succeeded or failed succeeded; null where there is none."
    )
    durations: DurationsAnswer | None = Field(description="How long they took; null where none was timed.")


class DeploymentAnswer(Answer):
    """A deployment, by the version of the app that came with it."""

    at: Instant = Field(description="When a worker first ran it.")
    app_version: str = Field(description="The version.")


class SeriesAnswer(Answer):
    """Time series of attempts. They are counted once a minute, and the last step is not over yet."""

    step: Step = Field(description="The length of a step.")
    at: list[Instant] = Field(description="When each step begins, without gaps.")
    all: SeriesFigures = Field(description="Of all handlers together.")
    handlers: dict[str, SeriesFigures] = Field(description="Of those that were asked for.")
    deployments: list[DeploymentAnswer] = Field(
        description="The versions of the app that were first run since the first step, the earliest first."
    )


class LiveAnswer(Answer):
    """The process answers."""

    status: Literal["live"] = Field(description="Always `live`.")


class ReadyAnswer(Answer):
    """Whether the app can work."""

    status: Literal["ready", "degraded", "unavailable"] = Field(
        description="`degraded` works, and jobs may run late; `unavailable` takes no work."
    )
    scheduler: str | None = Field(default=None, description="`dapr`, `queue` or `timer`.", json_schema_extra=ABSENT)
    reasons: list[str] = Field(default=[], description="Why it is degraded.", json_schema_extra=ABSENT)
    reason: str | None = Field(default=None, description="Why it is unavailable.", json_schema_extra=ABSENT)
    services: list[str] = Field(
        default=[], description="Of the app's services, those that do not answer.", json_schema_extra=ABSENT
    )
