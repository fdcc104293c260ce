"""HTTP functions that change a job: update, delete, run, pause, resume, retry."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import azure.functions as func

from jobs.core.commands import UpdateJob
from jobs.core.errors import InvalidInput
from jobs.core.lifecycle.status import JobStatus
from jobs.entrypoints.http.change_requests import ChangeRequest, RetryRequest, UpdateRequest
from jobs.entrypoints.http.enqueue_requests import payload_fields
from jobs.entrypoints.http.exchange import Call, add_function, job_response, read
from jobs.entrypoints.http.problems import with_own_messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID

    from jobs.app.runtime import Runtime
    from jobs.entrypoints.http.access import Access


Request = TypeVar("Request", bound=ChangeRequest)


def commands_blueprint(runtime: Callable[[], Runtime], access: Access) -> func.Blueprint:
    """Return the blueprint of the functions under ``api/jobs/{id}`` that change a job."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

    def add(name: str, answer: Callable[[Runtime, Call], func.HttpResponse]) -> None:
        add_function(blueprint, access, name, lambda call: answer(runtime(), call))

    def command(name: str, method_of: Callable[[Runtime], Callable[..., Any]]) -> None:
        def answer(runtime: Runtime, call: Call) -> func.HttpResponse:
            reason = _body_of(call, ChangeRequest).reason
            changed = method_of(runtime)(call.job_id, revision=call.revision(), caller=call.caller_for(reason))
            return job_response(runtime.views.show_one(changed))

        add(name, answer)

    add("update_job", update)
    add("delete_job", delete)
    command("run_job", lambda runtime: runtime.service.run_now)
    command("pause_job", lambda runtime: runtime.service.pause)
    command("resume_job", lambda runtime: runtime.service.resume)
    add("retry_job", retry)
    return blueprint


def _body_of(call: Call, model: type[Request]) -> Request:
    """Return the body of a change, which may be left out."""
    return call.command(model) if call.request.get_body() else model()


def update(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Change schedule, payload, metadata or retry settings."""
    request = call.command(UpdateRequest)
    given = request.model_fields_set - {"reason"}
    fields = {name: getattr(request, name) for name in UpdateJob.model_fields}
    command = UpdateJob.model_construct(_fields_set=given, **fields)
    caller = call.caller_for(request.reason)
    with _own_words(runtime, call.job_id):
        job = runtime.service.update(call.job_id, command, revision=call.revision(), caller=caller)
    warned = given & {"schedule", "day_match"}
    return job_response(runtime.views.show_one(job), warnings=job.warnings_at(runtime.clock.now()) if warned else ())


def retry(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Start an ended job again, with another payload if the body has one."""
    request = _body_of(call, RetryRequest)
    edit = UpdateJob(payload=request.payload) if "payload" in request.model_fields_set else None
    caller = call.caller_for(request.reason)
    with _own_words(runtime, call.job_id):
        job = runtime.service.retry(call.job_id, edit, revision=call.revision(), caller=caller)
    return job_response(runtime.views.show_one(job))


def delete(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Cancel a job: 200 if it has ended, 202 if its handler was signalled and is still running."""
    reason = read(ChangeRequest, call.parameters()).reason
    job = runtime.service.cancel(call.job_id, revision=call.revision(), caller=call.caller_for(reason))
    return job_response(runtime.views.show_one(job), 202 if job.status is JobStatus.RUNNING else 200)


@contextmanager
def _own_words(runtime: Runtime, job_id: UUID) -> Iterator[None]:
    """Raise an ``InvalidInput`` about a payload with the names of the fields that its handler knows."""
    try:
        yield
    except InvalidInput as error:
        job = runtime.service.get(job_id)
        raise with_own_messages(error, payload_fields(runtime, job.handler_name)) from None
