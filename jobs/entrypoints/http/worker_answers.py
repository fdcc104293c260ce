"""The bodies of answers about workers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from jobs.core.schedules.timing import Instant
from jobs.entrypoints.http.answers import Answer


class WorkerAnswer(Answer):
    """A process that runs jobs, by its last report, and the leases that it holds now."""

    name: str = Field(description="Instance and process, as in a job's `worker`.")
    status: Literal["live", "draining", "lost"] = Field(
        description="`draining` starts nothing more; `lost` has not reported for two leases and did not end in order. "
        "It is shown for an hour."
    )
    app_version: str = Field(description="The version of the app that it runs.")
    started_at: Instant = Field(description="When it first reported.")
    seen_at: Instant = Field(description="When it last reported, which it does once in `JOBS_LEASE_SECONDS`.")
    concurrency: int = Field(description="How many handlers it runs at once at most.")
    running: int = Field(description="How many it ran when it last reported.")
    leases: int = Field(description="How many runs it holds now, those that wait for a thread included.")
    handlers: dict[str, int] = Field(description="These runs by handler.")
    oldest_run_at: Instant | None = Field(description="When it claimed the oldest of them; null without any.")
    abandoned_threads: int = Field(description="Threads that handlers keep past their timeout.")
    scheduler: str = Field(description="`dapr`, `timer` or `queue`.")
    scheduler_fault: str | None = Field(description="Why its scheduler takes no alarms; null while it does.")


class VersionAnswer(Answer):
    """A version of the app."""

    app_version: str = Field(description="`JOBS_APP_VERSION`, or what changes with the code of the handlers.")
    first_seen_at: Instant = Field(description="When a worker first reported it.")
    workers: int = Field(description="How many run it now.")
    handlers: dict[str, int] = Field(description="Its handlers, with the version of their arguments.")


class WorkersAnswer(Answer):
    """The workers, and the versions of the app that they run or ran."""

    workers: list[WorkerAnswer] = Field(description="Those that live, by name, then those that were lost.")
    more: bool = Field(description="Whether there are others.")
    versions: list[VersionAnswer] = Field(description="The newest first, up to some hundred.")
