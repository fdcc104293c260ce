"""HTTP functions that enqueue, list and read jobs."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import TYPE_CHECKING, Any

import azure.functions as func

from jobs.core.commands import EnqueueJob, JobQuery
from jobs.core.errors import InvalidInput, JobsError, Problem
from jobs.core.strict_json import MalformedJson, parse_json, refuse_unstorable_text
from jobs.entrypoints.access import Access, role_for
from jobs.entrypoints.exchange import (
    HOST_PARAMETERS,
    MAX_BODY,
    Call,
    answering,
    etag_of,
    job_answer,
    json_answer,
    next_url,
    read,
    sibling_url,
)
from jobs.entrypoints.problems import TOO_LARGE, Refusal, fields_of, in_plain_words, problem_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.enqueued import Enqueued
    from jobs.app.runtime import Runtime

MAX_BATCH = 1_000
MAX_BATCH_BODY = 16 * MAX_BODY
MAX_KEY = 200
MAX_METADATA_FILTERS = 8
_KEY = "idempotency-key"
_LOST_PLUS = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:\d\d)$")  # a query string reads + as a space


def api_blueprint(runtime: Callable[[], Runtime], access: Access) -> func.Blueprint:
    """Make the functions under ``api/jobs`` that enqueue and read."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

    def get(name: str, route: str, answer: Callable[[Call], func.HttpResponse]) -> None:
        function = blueprint.route(route, methods=["GET"])(answering(access, role_for(name), answer))
        blueprint.function_name(name)(function)

    def post(name: str, route: str, answer: Callable[[Call], func.HttpResponse]) -> None:
        function = blueprint.route(route, methods=["POST"])(answering(access, role_for(name), answer))
        blueprint.function_name(name)(function)

    post("enqueue_job", "api/jobs", lambda call: enqueue(runtime(), call))
    post("enqueue_jobs", "api/jobs/batch", lambda call: enqueue_batch(runtime(), call))
    get("list_jobs", "api/jobs", lambda call: find(runtime(), call))
    get("get_job", "api/jobs/{id:guid}", lambda call: job_answer(runtime().service.get(call.job_id)))
    get("get_attempts", "api/jobs/{id:guid}/attempts", lambda call: attempts(runtime(), call))
    return blueprint


def enqueue(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Enqueue one job: 201 with where it is; 200 where ``on_conflict`` gave an existing one."""
    command = call.command(EnqueueJob)
    key = call.request.headers.get(_KEY)
    try:
        if key is None:
            answer = _render(runtime.service.enqueue(command, caller=call.caller))
        else:
            answer = _enqueue_once(runtime, call, command, key)
    except InvalidInput as error:
        raise in_plain_words(error, _payload_fields(runtime, command)) from None
    return _enqueued_answer(json.loads(answer), call)


def _enqueue_once(runtime: Runtime, call: Call, command: EnqueueJob, key: str) -> str:
    if not 0 < len(key) <= MAX_KEY or not (key.isascii() and key.isprintable()):
        raise InvalidInput.at("", f"Idempotency-Key has 1 to {MAX_KEY} printable ASCII characters")
    return runtime.service.enqueue_once(
        command,
        key=f"{call.caller.actor or ''}\n{key}",  # no header has a line break: one caller's key is never another's
        fingerprint=hashlib.sha256(call.request.get_body()).hexdigest(),
        render=_render,
        caller=call.caller,
    )


def _payload_fields(runtime: Runtime, command: EnqueueJob) -> dict[str, tuple[str, ...]]:
    spec = runtime.registry.get(command.handler_name)
    return fields_of(spec.arguments, "/payload") if spec else {}


def _render(enqueued: Enqueued) -> str:
    """Write the answer as it is kept for a repeat of the request."""
    job = enqueued.job
    status = 201 if enqueued.created else 200
    return json.dumps({"status": status, "id": str(job.id), "etag": etag_of(job), "body": job.model_dump_json()})


def _enqueued_answer(rendered: dict[str, Any], call: Call) -> func.HttpResponse:
    location = sibling_url(call.request.url, f"/api/jobs/{rendered['id']}")
    return json_answer(rendered["body"], rendered["status"], ETag=rendered["etag"], Location=location)


def enqueue_batch(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Enqueue many jobs in one statement; each has its own result, in the order given."""
    if _KEY in call.request.headers:
        raise InvalidInput.at("", "a batch takes no Idempotency-Key; give each job an id, which is never used twice")
    items = _batch_items(call.json(MAX_BATCH_BODY))
    asked = [_read_item(item, measure=len(call.request.get_body()) > MAX_BODY) for item in items]
    commands = [command for command in asked if isinstance(command, EnqueueJob)]
    made = iter(runtime.service.enqueue_many(commands, caller=call.caller))
    results: list[Enqueued | JobsError] = []
    for each in asked:
        result = next(made) if isinstance(each, EnqueueJob) else each
        if isinstance(each, EnqueueJob) and isinstance(result, InvalidInput):
            result = in_plain_words(result, _payload_fields(runtime, each))
        results.append(result)
    return json_answer({"results": [_item_result(place, result) for place, result in enumerate(results)]})


def _read_item(item: Any, *, measure: bool) -> EnqueueJob | JobsError:
    if measure and (size := len(json.dumps(item, ensure_ascii=False).encode())) > MAX_BODY:
        return Refusal(TOO_LARGE, f"this job has {size} bytes; {MAX_BODY} are the most")
    try:
        return read(EnqueueJob, item)
    except InvalidInput as error:
        return error


def _batch_items(body: Any) -> list[Any]:
    items = body.get("jobs") if isinstance(body, dict) and set(body) == {"jobs"} else None
    if not isinstance(items, list) or not items:
        raise InvalidInput.at("/jobs", 'a batch is {"jobs": […]}, with at least one job and nothing beside it')
    if len(items) > MAX_BATCH:
        raise Refusal(TOO_LARGE, f"a batch holds up to {MAX_BATCH} jobs, this one {len(items)}; send it in parts")
    return items


def _item_result(place: int, result: Enqueued | JobsError) -> dict[str, Any]:
    if isinstance(result, JobsError):
        if isinstance(result, InvalidInput):
            result = InvalidInput([Problem(f"/jobs/{place}{p.pointer}", p.detail) for p in result.problems])
        problem = problem_of(result, None)
        return {"status": problem["status"], "problem": problem}
    return {"status": 201 if result.created else 200, "job": result.job.model_dump(mode="json")}


def find(runtime: Runtime, call: Call) -> func.HttpResponse:
    """List jobs, newest first, with the address of the next page."""
    query = read(JobQuery, _query_of(call.request.params))
    page = runtime.service.find(query)
    following = "null" if page.cursor is None else json.dumps(next_url(call.request.url, page.cursor))
    jobs = ",".join(job.model_dump_json() for job in page.jobs)
    return json_answer(f'{{"jobs":[{jobs}],"next":{following}}}')


def _query_of(params: Any) -> dict[str, Any]:
    """Read the query string; a metadata value is looked for as the text it is and as the JSON value it may be."""
    query: dict[str, Any] = {"metadata": {}}
    for name, value in params.items():
        if name.lower() in HOST_PARAMETERS:
            continue
        refuse_unstorable_text(name + value, f"/{name}")
        if name.startswith("metadata."):
            query["metadata"][name.removeprefix("metadata.")] = _readings(value)
        elif name == "status":
            query["status"] = [word.strip() for word in value.split(",")]
        elif name == "due_before":
            query["due_before"] = _LOST_PLUS.sub(r"\1+\2", value)
        elif name in JobQuery.model_fields and name != "metadata":
            query[name] = value
        else:
            known = "status, handler_name, job_name, metadata.KEY, due_before, limit, cursor"
            raise InvalidInput.at(f"/{name}", f"no such filter; there are {known}")
    if len(query["metadata"]) > MAX_METADATA_FILTERS:
        raise InvalidInput.at("/metadata", f"up to {MAX_METADATA_FILTERS} filters on metadata can be combined")
    return query


def _readings(value: str) -> list[Any]:
    """Read ``7`` as the text and as the number; what is no JSON value that can be kept, as the text alone."""
    try:
        parsed = parse_json(value)
    except (MalformedJson, InvalidInput):
        return [value]
    infinite = isinstance(parsed, float) and not math.isfinite(parsed)
    return [value] if infinite or isinstance(parsed, dict | list) else [value, parsed]


def attempts(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Give a job's history, newest first."""
    history = runtime.service.attempts(call.job_id)
    return json_answer({"attempts": [attempt.model_dump(mode="json") for attempt in history]})
