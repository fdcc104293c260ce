"""Enqueue many jobs with one request, each with a result of its own."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from jobs.core.commands import EnqueueJob
from jobs.core.errors import InvalidInput, JobsError, Problem
from jobs.entrypoints.http.enqueue_requests import payload_fields, read_enqueue
from jobs.entrypoints.http.exchange import KEY_HEADER, MAX_BODY, Call, json_response
from jobs.entrypoints.http.problems import TOO_LARGE, Refusal, problem_of, with_own_messages
from jobs.entrypoints.http.rendering import job_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    import azure.functions as func

    from jobs.app.commands.callers import Enqueued
    from jobs.app.runtime import Runtime

MAX_BATCH = 1_000
MAX_BATCH_BODY = 16 * MAX_BODY
_BETWEEN = re.compile(r"[\s,]*")


def enqueue_batch(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Enqueue many jobs in one statement; return counts, and a result for each job in the given order."""
    if KEY_HEADER in call.request.headers:
        raise InvalidInput.at("", "a batch takes no Idempotency-Key; give each job an id, which is never used twice")
    items = _items(call.json(MAX_BATCH_BODY))
    requests = [_read_item(runtime, item, size) for item, size in zip(items, _sizes(call, len(items)), strict=True)]
    commands = [command for command in requests if isinstance(command, EnqueueJob)]
    enqueued = iter(runtime.service.enqueue_many(commands, caller=call.caller))
    results: list[Enqueued | JobsError] = []
    for each in requests:
        result = next(enqueued) if isinstance(each, EnqueueJob) else each
        if isinstance(each, EnqueueJob) and isinstance(result, InvalidInput):
            result = with_own_messages(result, payload_fields(runtime, each.handler_name))
        results.append(result)
    texts = [_result_text(runtime, place, result, call.trace_id) for place, result in enumerate(results)]
    return json_response(f'{{"counts":{json.dumps(_counts(results))},"results":[{",".join(texts)}]}}')


def _items(body: Any) -> list[Any]:
    items = body.get("jobs") if isinstance(body, dict) and set(body) == {"jobs"} else None
    if not isinstance(items, list) or not items:
        raise InvalidInput.at("/jobs", 'a batch is {"jobs": […]}, with at least one job and nothing beside it')
    if len(items) > MAX_BATCH:
        raise Refusal(TOO_LARGE, f"a batch holds up to {MAX_BATCH} jobs, this one {len(items)}; send it in parts")
    return items


def _sizes(call: Call, count: int) -> list[int]:
    """Return the size of each job as sent, in bytes, to apply the limit of a single request; zeros if all fit."""
    body = call.request.get_body()
    return list(_measured(body.decode())) if len(body) > MAX_BODY else [0] * count


def _measured(text: str) -> Iterator[int]:
    """Yield the sizes of the members of the only array in an object, by parsing each again at its position."""
    decoder = json.JSONDecoder()
    at = text.index("[") + 1
    while text[at := _after(text, at)] != "]":
        _, end = decoder.raw_decode(text, at)
        yield len(text[at:end].encode())
        at = end


def _after(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return at if found is None else found.end()


def _read_item(runtime: Runtime, item: Any, size: int) -> EnqueueJob | JobsError:
    if size > MAX_BODY:
        return Refusal(TOO_LARGE, f"this job has {size} bytes; {MAX_BODY} are the most")
    try:
        return read_enqueue(runtime, item)
    except InvalidInput as error:
        return error


def _counts(results: list[Enqueued | JobsError]) -> dict[str, int]:
    made = [result.created for result in results if not isinstance(result, JobsError)]
    return {"created": sum(made), "existing": len(made) - sum(made), "refused": len(results) - len(made)}


def _result_text(runtime: Runtime, place: int, result: Enqueued | JobsError, trace_id: str) -> str:
    if isinstance(result, JobsError):
        if isinstance(result, InvalidInput):
            result = InvalidInput([Problem(f"/jobs/{place}{p.pointer}", p.detail) for p in result.problems])
        problem = problem_of(result, trace_id)
        return json.dumps({"status": problem["status"], "problem": problem}, ensure_ascii=False)
    job = runtime.views.show_one(result.job, read_usage=False)
    return f'{{"status":{201 if result.created else 200},"job":{job_text(job, result.warnings)}}}'
