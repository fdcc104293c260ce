"""What each call does, takes and answers, by its function in the table of routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.bulk import BulkRequest
from jobs.core.commands import EnqueueRequest
from jobs.core.queries import JobSearch
from jobs.entrypoints.http.answers import (
    AttemptPage,
    BatchAnswer,
    BatchRequest,
    JobAnswer,
    JobPage,
    SearchPage,
)
from jobs.entrypoints.http.bulk_answers import OperationAnswer, PreviewOfBulk
from jobs.entrypoints.http.change_requests import ChangeRequest, RetryRequest, UpdateRequest
from jobs.entrypoints.http.openapi.described import NOT_MODIFIED, TAGGED, CallText, Described
from jobs.entrypoints.http.openapi.operator_calls import OPERATOR_CALLS
from jobs.entrypoints.http.openapi.parameters import (
    APPLIED,
    ETAG,
    FILTERS,
    IDEMPOTENCY_KEY,
    IF_MATCH,
    IF_NONE_MATCH,
    JOB_ID,
    LOCATION,
    PAGING,
    PREFER,
    REASON,
    REPLAYED,
    TRY_AGAIN,
)
from jobs.entrypoints.http.problems import (
    CONFLICT,
    ID_TAKEN,
    INVALID,
    KEY_REUSED,
    NAME_TAKEN,
    NOT_FOUND,
    PRECONDITION,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

_WAITED = {"Preference-Applied": APPLIED, "Retry-After": TRY_AGAIN}
_ENQUEUED = {"ETag": ETAG, "Location": LOCATION, "Idempotency-Replayed": REPLAYED, **_WAITED}
_THE_JOB = Described("The job.", JobAnswer, {"ETag": ETAG})


def _change(summary: str, description: str, answer: str, body: type[BaseModel] = ChangeRequest) -> CallText:
    return CallText(
        "Changes",
        summary,
        description,
        {200: Described(answer, JobAnswer, {"ETag": ETAG})},
        (JOB_ID, IF_MATCH),
        body,
        body_required=False,
        kinds=(NOT_FOUND, CONFLICT, PRECONDITION),
    )


_JOB_CALLS: Mapping[str, CallText] = {
    "enqueue_job": CallText(
        "Jobs",
        "Enqueue a job",
        "Inserts one job. Nothing is written when an error is answered. With `on_conflict: replace` of a job that "
        "somebody else enqueued this needs the role Jobs.Manage.",
        {
            201: Described("The job that was enqueued.", JobAnswer, _ENQUEUED),
            200: Described("The active job of that name, by `return_existing`.", JobAnswer, _ENQUEUED),
            202: Described("With `Prefer: wait`, the job that has not ended yet.", JobAnswer, _ENQUEUED),
        },
        (IDEMPOTENCY_KEY, PREFER),
        EnqueueRequest,
        kinds=(NAME_TAKEN, ID_TAKEN, CONFLICT, KEY_REUSED),
    ),
    "enqueue_jobs": CallText(
        "Jobs",
        "Enqueue up to 1,000 jobs",
        "Not all or nothing: what is valid is enqueued by one statement, and each job has its own result in its own "
        "place. The body has up to 4 MiB, each job up to 256 KiB. Takes no Idempotency-Key: give each job an `id`.",
        {200: Described("A result for each job.", BatchAnswer)},
        body=BatchRequest,
    ),
    "list_jobs": CallText(
        "Jobs",
        "List jobs",
        "Newest first. All filters given must hold; of several values of one, any may match.",
        {
            200: Described("A page of jobs, without payloads unless asked for.", JobPage, headers=TAGGED),
            304: NOT_MODIFIED,
        },
        (*FILTERS, IF_NONE_MATCH),
        kinds=(INVALID,),
    ),
    "search_jobs": CallText(
        "Jobs",
        "Search jobs",
        "The list with its filters in a body, for what a query string cannot say: values by their exact type, parts of "
        "objects, and any number of alternatives.",
        {200: Described("A page of jobs, without payloads unless asked for.", SearchPage)},
        body=JobSearch,
    ),
    "get_job": CallText(
        "Jobs",
        "Read a job",
        "Returns one job, with the reason why it waits.",
        {200: Described("The job.", JobAnswer, {"ETag": ETAG, **_WAITED}), 304: NOT_MODIFIED},
        (JOB_ID, PREFER, IF_NONE_MATCH),
        kinds=(NOT_FOUND,),
    ),
    "get_attempts": CallText(
        "Jobs",
        "Read the history of a job",
        "Returns its attempts, newest first.",
        {200: Described("A page of attempts.", AttemptPage, headers=TAGGED), 304: NOT_MODIFIED},
        (JOB_ID, *PAGING, IF_NONE_MATCH),
        kinds=(NOT_FOUND, INVALID),
    ),
    "update_job": CallText(
        "Changes",
        "Change a job",
        "Changes the fields that are given and no others. Only another meaning of `schedule`, `timezone`, `dst`, "
        "`day_match` or `start_at` computes a new next run. A recurring job that is Running changes from its next run "
        "on.",
        {200: _THE_JOB},
        (JOB_ID, IF_MATCH),
        UpdateRequest,
        kinds=(NOT_FOUND, CONFLICT, PRECONDITION),
    ),
    "delete_job": CallText(
        "Changes",
        "Cancel a job",
        "Cancels a waiting job at once, a running one by asking its handler to stop. One that has ended stays so.",
        {
            200: Described("The job has ended.", JobAnswer, {"ETag": ETAG}),
            202: Described("Its handler was asked to stop and still runs.", JobAnswer, {"ETag": ETAG}),
        },
        (JOB_ID, IF_MATCH, REASON),
        kinds=(NOT_FOUND, CONFLICT, PRECONDITION, INVALID),
    ),
    "run_job": _change(
        "Run a job now",
        "Makes a waiting job due now. The schedule does not move: the next run is the schedule's next.",
        "The job, due now.",
    ),
    "pause_job": _change(
        "Pause a job", "Keeps a job from being claimed until it is resumed. A run under way goes on.", "The paused job."
    ),
    "resume_job": _change(
        "Resume a job",
        "Lets a paused job run again. What fell due meanwhile is settled by its misfire policy.",
        "The job.",
    ),
    "retry_job": _change(
        "Start an ended job again",
        "With all its retries: a one-time job now, a recurring one at its next occurrence. With another payload it is "
        "a new run, with an idempotency key of its own.",
        "The job, Scheduled again.",
        RetryRequest,
    ),
    "start_bulk": CallText(
        "Bulk",
        "Change many jobs",
        "One action on every job that a filter selects, as a durable operation: a job of the framework's own runs it, "
        "each job is changed once whatever dies meanwhile, and each change is audited. With `preview` nothing is "
        "changed. A filter without a condition needs `all: true`. Jobs that are created later are not part of it.",
        {
            200: Described("With `preview`: how many jobs it would be about, and some of them.", PreviewOfBulk),
            202: Described("The operation that was started.", OperationAnswer, {"Location": LOCATION}),
        },
        body=BulkRequest,
        kinds=(ID_TAKEN,),
    ),
    "get_bulk": CallText(
        "Bulk",
        "Read an operation",
        "Returns how far it has come.",
        {200: Described("The operation.", OperationAnswer, headers=TAGGED), 304: NOT_MODIFIED},
        (JOB_ID, IF_NONE_MATCH),
        kinds=(NOT_FOUND,),
    ),
    "cancel_bulk": CallText(
        "Bulk",
        "Stop an operation",
        "What it has done stays done.",
        {
            200: Described("The operation has ended.", OperationAnswer),
            202: Described("It ends with the job that it is at.", OperationAnswer),
        },
        (JOB_ID, REASON),
        kinds=(NOT_FOUND, CONFLICT, INVALID),
    ),
}

CALLS: Mapping[str, CallText] = {**_JOB_CALLS, **OPERATOR_CALLS}
"""Every call but the answer to what matches no other."""
