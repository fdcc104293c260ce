"""The calls of operators, of probes and of the scheduler, by their function in the table of routes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.commands import PreviewSchedule
from jobs.entrypoints.http.answers import AlarmAnswer, AuditPage, HandlersAnswer, PreviewAnswer
from jobs.entrypoints.http.failure_answers import FailuresAnswer
from jobs.entrypoints.http.openapi.described import NOT_MODIFIED, TAGGED, CallText, Described
from jobs.entrypoints.http.openapi.parameters import (
    ALARM,
    AUDIT_FILTERS,
    CALLBACK_TOKEN,
    FAILURE_FILTERS,
    HANDLER_FIGURES,
    IF_NONE_MATCH,
    JOB_ID,
    SERIES_FILTERS,
)
from jobs.entrypoints.http.problems import BAD_TOKEN, INVALID, NOT_FOUND
from jobs.entrypoints.http.state_answers import LiveAnswer, ReadyAnswer, SeriesAnswer, StatsAnswer
from jobs.entrypoints.http.worker_answers import WorkersAnswer

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOCUMENT = {"type": "object", "description": "The document.", "additionalProperties": True}

OPERATOR_CALLS: Mapping[str, CallText] = {
    "get_job_audit": CallText(
        "Operations",
        "Read the changes of a job",
        "Who changed it, when, why, and what it was before. Sensitive values of a payload are masked.",
        {200: Described("A page of changes.", AuditPage, headers=TAGGED), 304: NOT_MODIFIED},
        (JOB_ID, *AUDIT_FILTERS, IF_NONE_MATCH),
        kinds=(NOT_FOUND, INVALID),
    ),
    "list_audit": CallText(
        "Operations",
        "Read the changes of all jobs",
        "Newest first. A change is kept for as long as its job, at most for the time that history is kept.",
        {200: Described("A page of changes.", AuditPage, headers=TAGGED), 304: NOT_MODIFIED},
        (*AUDIT_FILTERS, IF_NONE_MATCH),
        kinds=(INVALID,),
    ),
    "preview_schedule": CallText(
        "Schedules",
        "Preview a schedule",
        "Says what an expression means and when it fires. Touches no job.",
        {200: Described("What it means, and its next fire times.", PreviewAnswer)},
        body=PreviewSchedule,
    ),
    "list_handlers": CallText(
        "Operations",
        "List handlers",
        "Returns the handlers of the release that answers, with the JSON Schema of their arguments; with "
        "`include=figures` also how they fared within a day, how much of their limits is in use, and the versions that "
        "workers ran.",
        {200: Described("The handlers.", HandlersAnswer, headers=TAGGED), 304: NOT_MODIFIED},
        (HANDLER_FIGURES, IF_NONE_MATCH),
        kinds=(INVALID,),
    ),
    "list_failures": CallText(
        "Operations",
        "List failures by cause",
        "Groups the attempts that failed within a window by their cause: the kind of error, the shape of its message, "
        "and the place in the handler's code. `failure` of a group is a filter of lists, searches and bulk operations, "
        "such as a retry of what is still Failed. It takes as long however often each cause was met.",
        {200: Described("The groups.", FailuresAnswer, headers=TAGGED), 304: NOT_MODIFIED},
        (*FAILURE_FILTERS, IF_NONE_MATCH),
        kinds=(INVALID,),
    ),
    "list_workers": CallText(
        "Operations",
        "List workers",
        "Returns the processes that run jobs, with the leases that they hold, those that were lost within the last "
        "hour, and the versions of the app that they run or ran.",
        {200: Described("The workers.", WorkersAnswer, headers=TAGGED), 304: NOT_MODIFIED},
        parameters=(IF_NONE_MATCH,),
    ),
    "get_stats": CallText(
        "Operations",
        "Read statistics",
        "Returns what is wrong now, counts of the whole database, exact up to 10,000, and of the last five minutes. It "
        "takes as long however many jobs there are.",
        {200: Described("The statistics.", StatsAnswer, headers=TAGGED), 304: NOT_MODIFIED},
        parameters=(IF_NONE_MATCH,),
    ),
    "get_series": CallText(
        "Operations",
        "Read time series",
        "How many attempts began, succeeded, failed and began late: by minute for three hours, by hour for seven days. "
        "With the share that succeeded, percentiles of their durations, and the deployments since.",
        {200: Described("The series.", SeriesAnswer, headers=TAGGED), 304: NOT_MODIFIED},
        (*SERIES_FILTERS, IF_NONE_MATCH),
        kinds=(INVALID,),
    ),
    "get_openapi": CallText(
        "Document",
        "Read this document",
        "OpenAPI 3.1, made from the models that the functions use and from the handlers of this release.",
        {200: Described("The document.", schema=_DOCUMENT, headers=TAGGED), 304: NOT_MODIFIED},
        parameters=(IF_NONE_MATCH,),
        touches_database=False,
    ),
    "get_openapi_3_0": CallText(
        "Document",
        "Read this document in OpenAPI 3.0",
        "The same for generators that read no 3.1.",
        {200: Described("The document.", schema=_DOCUMENT, headers=TAGGED), 304: NOT_MODIFIED},
        parameters=(IF_NONE_MATCH,),
        touches_database=False,
    ),
    "get_docs": CallText(
        "Document",
        "Read this document as a page",
        "Needs no script, and loads nothing from elsewhere.",
        {
            200: Described("The page.", media_type="text/html", schema={"type": "string"}, headers=TAGGED),
            304: NOT_MODIFIED,
        },
        parameters=(IF_NONE_MATCH,),
        touches_database=False,
    ),
    "health_live": CallText(
        "Health",
        "Ask whether the process answers",
        "Touches nothing else.",
        {200: Described("It does.", LiveAnswer)},
        touches_database=False,
    ),
    "health_ready": CallText(
        "Health",
        "Ask whether the app can work",
        "Asks for settings, handlers, the database and the app's services.",
        {200: Described("It can.", ReadyAnswer), 503: Described("It cannot.", ReadyAnswer)},
        touches_database=False,
    ),
    "ring_alarm": CallText(
        "Scheduler",
        "Ring an alarm",
        "Called by Dapr. The body is not read. What is understood is answered 200, so that Dapr does not call again.",
        {200: Described("What became of it.", AlarmAnswer)},
        (ALARM, CALLBACK_TOKEN),
        kinds=(BAD_TOKEN,),
    ),
}
