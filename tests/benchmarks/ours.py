"""This engine, with the settings that a fresh installation has."""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from pydantic import BaseModel

from jobs.adapters.postgres.schema.migrate import upgrade
from jobs.bootstrap import build_runtime
from jobs.core.commands import EnqueueJob
from jobs.core.handlers.registry import HandlerRegistry
from jobs.settings import Settings
from tests.benchmarks.rounds import BATCH, Miscount, spans
from tests.benchmarks.server import Maintenance

_TABLES = ("jobs.jobs", "jobs.job_attempts", "jobs.job_audit")
_DRAIN_BUDGET_SECONDS = 300


class Arguments(BaseModel):
    n: int


def _noop(args: Arguments) -> None:
    pass


class Ours:
    name = "ours"

    def __init__(self, url: str) -> None:
        logging.getLogger("jobs").setLevel(logging.WARNING)
        settings = Settings(database_url=url, scheduler="timer")
        registry = HandlerRegistry()
        registry.add_handler("Noop", _noop)
        self._maintenance = Maintenance(url)
        upgrade(self._maintenance.engine, settings.database_schema)
        self._runtime = build_runtime(settings, registry)
        self.versions = f"revision {_revision()} on pg8000 {version('pg8000')}, SQLAlchemy {version('SQLAlchemy')}"
        self.configuration = (
            f"concurrency {settings.concurrency}, batch_size {settings.batch_size}, pool of "
            f"{settings.database_pool_size}, attempts history on (it always is)"
        )

    def tune(self, jobs: int, drain_once: Callable[[], float]) -> list[str]:
        """Nothing is searched for: it runs as it is installed."""
        return []

    def empty(self) -> None:
        self._maintenance.empty(*_TABLES)

    def fill(self, jobs: int) -> None:
        self.bulk(jobs)
        self._maintenance.analyze(*_TABLES)

    def drain(self, jobs: int) -> float:
        began = time.perf_counter()
        self._runtime.worker.drain(_DRAIN_BUDGET_SECONDS)
        return time.perf_counter() - began

    def single(self, jobs: int) -> float:
        enqueue = self._runtime.service.enqueue
        began = time.perf_counter()
        for n in range(jobs):
            enqueue(_command(n))
        return time.perf_counter() - began

    def bulk(self, jobs: int) -> float:
        enqueue_many = self._runtime.service.enqueue_many
        began = time.perf_counter()
        for numbers in spans(jobs, BATCH):
            enqueue_many(_command(n) for n in numbers)
        return time.perf_counter() - began

    def bulk_built(self, jobs: int) -> float:
        enqueue_many = self._runtime.service.enqueue_many
        batches = [[_command(n) for n in numbers] for numbers in spans(jobs, BATCH)]
        began = time.perf_counter()
        for batch in batches:
            enqueue_many(batch)
        return time.perf_counter() - began

    def check_enqueued(self, jobs: int) -> None:
        self._expect({"Scheduled": jobs}, {})

    def check_drained(self, jobs: int) -> None:
        self._expect({"Completed": jobs}, {"Succeeded": jobs})

    def _expect(self, in_jobs: dict[str, int], in_attempts: dict[str, int]) -> None:
        found = self._maintenance.counts("select status, count(*) from jobs.jobs group by 1")
        history = self._maintenance.counts("select outcome, count(*) from jobs.job_attempts group by 1")
        if (found, history) != (in_jobs, in_attempts):
            raise Miscount(f"ours: expected {in_jobs} and attempts {in_attempts}, found {found} and {history}")

    def close(self) -> None:
        self._runtime.close()
        self._maintenance.close()


def _command(n: int) -> EnqueueJob:
    return EnqueueJob(handler_name="Noop", job_name=f"job-{n}", payload={"n": n})


def _revision() -> str:
    """This checkout's commit, marked when files have changed since."""
    command = ("git", "--no-optional-locks", "describe", "--always", "--dirty", "--exclude=*")
    try:
        found = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
