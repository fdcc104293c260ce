"""HTTP functions for operations on many jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import azure.functions as func

from jobs.core.bulk import BulkRequest
from jobs.core.lifecycle.status import JobStatus
from jobs.entrypoints.http.bulk_answers import OperationAnswer, OperationCounts
from jobs.entrypoints.http.change_requests import ChangeRequest
from jobs.entrypoints.http.exchange import Call, add_function, json_response, read
from jobs.entrypoints.http.rendering import job_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.bulk.operations import Operation, Preview
    from jobs.app.runtime import Runtime
    from jobs.entrypoints.http.access import Access


def bulk_blueprint(runtime: Callable[[], Runtime], access: Access) -> func.Blueprint:
    """Return the blueprint of the functions under ``api/bulk``."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    add_function(blueprint, access, "start_bulk", lambda call: start(runtime(), call))
    add_function(blueprint, access, "get_bulk", lambda call: get(runtime(), call))
    add_function(blueprint, access, "cancel_bulk", lambda call: cancel(runtime(), call))
    return blueprint


def start(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Start an operation: 202 with its location; or only say which jobs it would be about."""
    request = call.command(BulkRequest)
    if request.preview:
        return _preview(runtime, runtime.bulk.preview(request))
    operation = runtime.bulk.start(request, call.caller)
    return _answer(operation, 202, Location=f"/api/bulk/{operation.job.id}")


def get(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Return how far an operation has come."""
    return _answer(runtime.bulk.get(call.job_id), 200)


def cancel(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Stop an operation: 200 if it has ended, 202 if it ends with the job that it is at."""
    reason = read(ChangeRequest, call.parameters()).reason
    operation = runtime.bulk.cancel(call.job_id, call.caller_for(reason))
    return _answer(operation, 202 if operation.job.status.active else 200)


def _preview(runtime: Runtime, preview: Preview) -> func.HttpResponse:
    sample = ",".join(job_text(job, without=("payload",)) for job in runtime.views.show(preview.sample))
    more = "true" if preview.more else "false"
    return json_response(f'{{"matched":{preview.matched},"more":{more},"sample":[{sample}]}}')


def _answer(operation: Operation, status: int, **headers: str) -> func.HttpResponse:
    job, arguments, progress = operation.job, operation.arguments, operation.progress
    answer = OperationAnswer(
        id=job.id,
        status=job.status,
        action=arguments.action,
        filter=arguments.filter,
        reason=arguments.reason,
        created_by=job.created_by,
        created_at=job.created_at,
        ended_at=job.handled_at,
        matched=arguments.matched,
        more=arguments.more,
        counts=OperationCounts(changed=progress.changed, unchanged=progress.unchanged, refused=progress.refused),
        cancelling=job.status is JobStatus.RUNNING and job.cancel_requested_at is not None,
        last_error=job.last_error if job.status is not JobStatus.COMPLETED else None,
    )
    return json_response(answer.model_dump_json(), status, **headers)
