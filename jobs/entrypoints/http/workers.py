"""The HTTP function that lists workers and the versions of the app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.ports.workers import MOST_WORKERS
from jobs.entrypoints.http.exchange import json_response
from jobs.entrypoints.http.worker_answers import VersionAnswer, WorkerAnswer, WorkersAnswer

if TYPE_CHECKING:
    import azure.functions as func

    from jobs.app.runtime import Runtime
    from jobs.core.ports.workers import KnownWorker


def workers(runtime: Runtime) -> func.HttpResponse:
    """Return the workers that live, those that were lost of late, and the versions of the app."""
    found = runtime.workers.find(MOST_WORKERS + 1)
    answer = WorkersAnswer(
        workers=[_answer(each) for each in found[:MOST_WORKERS]],
        more=len(found) > MOST_WORKERS,
        versions=[
            VersionAnswer(
                app_version=each.version,
                first_seen_at=each.first_seen_at,
                workers=each.workers,
                handlers=each.handlers,
            )
            for each in runtime.workers.versions()
        ],
    )
    return json_response(answer.model_dump_json())


def _answer(worker: KnownWorker) -> WorkerAnswer:
    state = worker.state
    return WorkerAnswer(
        name=state.name,
        status="lost" if worker.lost else "draining" if state.draining else "live",
        app_version=state.app_version,
        started_at=worker.started_at,
        seen_at=worker.seen_at,
        concurrency=state.concurrency,
        running=state.running,
        leases=worker.leases,
        handlers=worker.handlers,
        oldest_run_at=worker.oldest_run_at,
        abandoned_threads=state.abandoned,
        scheduler=state.scheduler,
        scheduler_fault=state.scheduler_fault,
    )
