"""HTTP functions that change a job: update, delete, run, pause, resume, retry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import azure.functions as func

from jobs.core.commands import UpdateJob
from jobs.core.lifecycle.status import JobStatus
from jobs.entrypoints.http.exchange import Call, add_function, job_response

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.runtime import Runtime
    from jobs.entrypoints.http.access import Access


def commands_blueprint(runtime: Callable[[], Runtime], access: Access) -> func.Blueprint:
    """Return the blueprint of the functions under ``api/jobs/{id}`` that change a job."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

    def command(name: str, method_of: Callable[[Runtime], Callable[..., Any]]) -> None:
        def answer(call: Call) -> func.HttpResponse:
            changed = method_of(runtime())(call.job_id, revision=call.revision(), caller=call.caller)
            return job_response(runtime().views.show_one(changed))

        add_function(blueprint, access, name, answer)

    add_function(blueprint, access, "update_job", lambda call: update(runtime(), call))
    add_function(blueprint, access, "delete_job", lambda call: delete(runtime(), call))
    command("run_job", lambda runtime: runtime.service.run_now)
    command("pause_job", lambda runtime: runtime.service.pause)
    command("resume_job", lambda runtime: runtime.service.resume)
    command("retry_job", lambda runtime: runtime.service.retry)
    return blueprint


def update(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Change schedule, payload, metadata or retry settings."""
    command = call.command(UpdateJob)
    job = runtime.service.update(call.job_id, command, revision=call.revision(), caller=call.caller)
    warned = command.model_fields_set & {"schedule", "day_match"}
    return job_response(runtime.views.show_one(job), warnings=job.warnings_at(runtime.clock.now()) if warned else ())


def delete(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Cancel a job: 200 if it has ended, 202 if its handler was signalled and is still running."""
    job = runtime.service.cancel(call.job_id, revision=call.revision(), caller=call.caller)
    return job_response(runtime.views.show_one(job), 202 if job.status is JobStatus.RUNNING else 200)
