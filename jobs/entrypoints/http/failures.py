"""The HTTP function that groups failures by their cause."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.failures import failure_of
from jobs.core.lifecycle.figures import COUNT_TO
from jobs.core.queries import FailureQuery
from jobs.core.strict_json import refuse_unstorable_text
from jobs.entrypoints.http.exchange import Call, json_response, read
from jobs.entrypoints.http.failure_answers import FailureAnswer, FailureSampleAnswer, FailuresAnswer
from jobs.entrypoints.http.filters import alternatives_of

if TYPE_CHECKING:
    import azure.functions as func

    from jobs.app.runtime import Runtime
    from jobs.core.ports.failures import FailureGroup


def failures(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Return the groups of failures of a window, those that failed last first."""
    query = _query_of(call.parameters())
    found = runtime.failures.find(query)
    counts = [(each.count, each.still_failed) for each in found.groups]
    answer = FailuresAnswer(
        window=query.window,
        failures=[_answer(each) for each in found.groups],
        more=found.more,
        count_to=COUNT_TO,
        at_least=[
            f"/failures/{place}/{name}"
            for place, both in enumerate(counts)
            for name, count in zip(("count", "jobs_failed"), both, strict=True)
            if count > COUNT_TO
        ],
    )
    return json_response(answer.model_dump_json())


def _query_of(parameters: dict[str, str]) -> FailureQuery:
    given: dict[str, Any] = dict(parameters)
    if "handler_name" in given:
        refuse_unstorable_text(given["handler_name"], "/handler_name")
        given["handler_name"] = alternatives_of("handler_name", given["handler_name"])
    return read(FailureQuery, given)


def _answer(group: FailureGroup) -> FailureAnswer:
    sample = group.sample
    cause = failure_of(sample.outcome, sample.error)
    return FailureAnswer(
        failure=group.failure,
        kind=cause.kind if cause else sample.outcome,
        message=cause.message if cause else "",
        place=(cause.place if cause else "") or None,
        count=min(group.count, COUNT_TO),
        first_at=group.first_at,
        last_at=group.last_at,
        handlers=list(group.handlers),
        jobs_failed=min(group.still_failed, COUNT_TO),
        sample=FailureSampleAnswer(
            job_id=sample.job_id,
            handler_name=sample.handler_name,
            outcome=sample.outcome,
            error=sample.error,
            finished_at=sample.finished_at,
        ),
    )
