"""HTTP functions that enqueue, list and read jobs."""

from __future__ import annotations

import hashlib
import json
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import azure.functions as func

from jobs.app.commands.callers import IdempotentResponse
from jobs.core.commands import EnqueueJob
from jobs.core.errors import InvalidInput, Unavailable
from jobs.core.queries import HistoryQuery, JobSearch
from jobs.entrypoints.http.batch import enqueue_batch
from jobs.entrypoints.http.enqueue_requests import payload_fields, read_enqueue
from jobs.entrypoints.http.exchange import (
    KEY_HEADER,
    Call,
    add_function,
    etag_of,
    job_response,
    json_response,
    next_link,
    read,
)
from jobs.entrypoints.http.filters import query_of
from jobs.entrypoints.http.problems import with_own_messages
from jobs.entrypoints.http.rendering import attempt_text, job_text
from jobs.entrypoints.http.waiting import Begun, WaitingFunctions

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.commands.callers import Enqueued
    from jobs.app.runtime import Runtime
    from jobs.core.ports.jobs import Page
    from jobs.entrypoints.http.access import Access
    from jobs.entrypoints.http.waiting import InInvocation

MAX_KEY = 200
_KEPT = ("Location", "Idempotency-Replayed")


def api_blueprint(runtime: Callable[[], Runtime], access: Access, in_invocation: InInvocation) -> func.Blueprint:
    """Return the blueprint of the functions under ``api/jobs`` that enqueue and read.

    ``in_invocation`` runs work on other threads as part of an invocation.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    waiting = WaitingFunctions(runtime, access, in_invocation)

    def add(name: str, answer: Callable[[Runtime, Call], func.HttpResponse]) -> None:
        add_function(blueprint, access, name, lambda call: answer(runtime(), call))

    waiting.add(blueprint, "enqueue_job", enqueue, enqueued_after)
    add("enqueue_jobs", enqueue_batch)
    add("list_jobs", find)
    add("search_jobs", search)
    waiting.add(blueprint, "get_job", get_job, get_job_after)
    add("get_attempts", attempts)
    return blueprint


def get_job(runtime: Runtime, call: Call) -> Begun:
    """Read one job; wait for its end if the caller prefers that."""
    job = runtime.service.get(call.job_id)
    waits = call.wait_seconds() is not None and job.status.active
    return Begun(job_response(runtime.views.show_one(job)), job.id if waits else None)


def get_job_after(runtime: Runtime, begun: Begun, *, ended: bool) -> func.HttpResponse:  # noqa: ARG001  it is read anew
    """Return the job after the wait."""
    return _job_after(runtime, begun, 200)


def enqueued_after(runtime: Runtime, begun: Begun, *, ended: bool) -> func.HttpResponse:
    """Return the enqueued job after the wait: 202 if it has not ended."""
    kept = {name: begun.response.headers[name] for name in _KEPT if name in begun.response.headers}
    try:
        response = _job_after(runtime, begun, begun.response.status_code if ended else 202)
    except Unavailable:  # the job was enqueued all the same
        return json_response(begun.response.get_body().decode(), 202, ETag=begun.response.headers["ETag"], **kept)
    response.headers.update(kept)
    return response


def _job_after(runtime: Runtime, begun: Begun, status: int) -> func.HttpResponse:
    assert begun.job_id is not None  # noqa: S101  without it there is no wait
    return job_response(runtime.views.show_one(runtime.service.get(begun.job_id)), status)


def enqueue(runtime: Runtime, call: Call) -> Begun:
    """Enqueue one job: 201 with its location; 200 if ``on_conflict`` returned an existing one."""
    command = read_enqueue(runtime, call.json())
    key = call.request.headers.get(KEY_HEADER)
    try:
        if key is None:
            enqueued = runtime.service.enqueue(command, caller=call.caller)
            response = IdempotentResponse(_render(runtime, enqueued), replayed=False)
        else:
            response = _enqueue_once(runtime, call, command, key)
    except InvalidInput as error:
        raise with_own_messages(error, payload_fields(runtime, command.handler_name)) from None
    rendered: dict[str, Any] = json.loads(response.text)
    waits = call.wait_seconds() is not None
    return Begun(_enqueued_response(rendered, replayed=response.replayed), UUID(rendered["id"]) if waits else None)


def _enqueue_once(runtime: Runtime, call: Call, command: EnqueueJob, key: str) -> IdempotentResponse:
    if not 0 < len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        raise InvalidInput.at("", f"Idempotency-Key has 1 to {MAX_KEY} printable ASCII characters")
    return runtime.service.enqueue_once(
        command,
        key=f"{call.caller.actor or ''}\n{key}",  # headers have no line breaks, so callers' keys never collide
        fingerprint=hashlib.sha256(call.request.get_body()).hexdigest(),
        render=partial(_render, runtime),
        caller=call.caller,
    )


def _render(runtime: Runtime, enqueued: Enqueued) -> str:
    """Return the response as the text that is stored for repeated requests."""
    job = runtime.views.show_one(enqueued.job, read_usage=False)
    status = 201 if enqueued.created else 200
    body = job_text(job, enqueued.warnings)
    return json.dumps({"status": status, "id": str(job.id), "etag": etag_of(job, body), "body": body})


def _enqueued_response(rendered: dict[str, Any], *, replayed: bool) -> func.HttpResponse:
    """Return the HTTP response. ``Location`` is relative: behind a proxy the app does not know its absolute URL."""
    repeated = {"Idempotency_Replayed": "true"} if replayed else {}
    location = f"/api/jobs/{rendered['id']}"
    return json_response(rendered["body"], rendered["status"], ETag=rendered["etag"], Location=location, **repeated)


def find(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Return a page of jobs, newest first, and the URL of the next page; with payloads only if requested."""
    query = query_of(call.request.params)
    page = runtime.service.find(query)
    following = next_link("/api/jobs", call, page.cursor)
    jobs = _listed(runtime, page, payloads=query.payloads)
    return json_response(f'{{"jobs":[{jobs}],"next":{following}}}')


def search(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Return a page of the jobs that a body describes, newest first, and the cursor of the next page."""
    query = call.command(JobSearch)
    page = runtime.service.find(query)
    jobs = _listed(runtime, page, payloads=query.payloads)
    return json_response(f'{{"jobs":[{jobs}],"cursor":{json.dumps(page.cursor)}}}')


def _listed(runtime: Runtime, page: Page, *, payloads: bool) -> str:
    excluded = () if payloads else ("payload",)
    return ",".join(job_text(job, without=excluded) for job in runtime.views.show(page.jobs))


def attempts(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Return a page of a job's attempts, newest first, and the URL of the next page."""
    page = runtime.service.find_attempts(call.job_id, read(HistoryQuery, call.parameters()))
    following = next_link(f"/api/jobs/{call.job_id}/attempts", call, page.cursor)
    return json_response(f'{{"attempts":[{",".join(map(attempt_text, page.attempts))}],"next":{following}}}')
