"""An example of each body, whole, from which the examples of its fields are taken.

Longer than other files because it is data: the bodies have fields in common, which are written once.
"""

from __future__ import annotations

from typing import Any

_ID = "01980000-0000-7000-8000-000000000000"
EXAMPLE_HANDLER = "SendEmail"
"""The handler of the examples, one of the samples."""
_LETTER = {"to": "customer@example.com", "subject": "Order Confirmation", "body": "Your order has been placed."}
_MISFIRE = {"policy": "catch_up", "max": 10, "grace": "PT1M"}
_RETRY = {"base": "PT5S", "factor": 2, "cap": "PT1H", "jitter": True}
_DST = {"gap": "shift", "overlap": "once"}
_TIMING = {
    "schedule": "0 9 * * 1-5",
    "timezone": "Europe/Berlin",
    "dst": _DST,
    "day_match": "any",
    "misfire": _MISFIRE,
    "start_at": "2026-12-01T08:00:00Z",
    "end_at": "2027-12-01T08:00:00Z",
    "max_runs": 250,
    "jitter": "PT30S",
}
_CHANGE = {
    **_TIMING,
    "payload": _LETTER,
    "metadata": {"Domain": "Orders", "OrderId": 1},
    "max_retries": 3,
    "retry": _RETRY,
    "timeout": "PT5M",
}
_ENQUEUE = {"handler_name": EXAMPLE_HANDLER, "job_name": "order-1-mail", **_CHANGE, "id": _ID, "on_conflict": "reject"}
_JOB = {
    "id": _ID,
    "job_name": "order-1-mail",
    "handler_name": EXAMPLE_HANDLER,
    "status": "Scheduled",
    "paused": False,
    **_CHANGE,
    "recurring": True,
    "next_run_at": "2026-12-01T08:00:00Z",
    "scheduled_for": "2026-12-01T08:00:00Z",
    "anchor": "2026-11-30T12:00:00Z",
    "generation": 4,
    "armed_at": "2026-11-30T12:00:01Z",
    "attempt": 0,
    "waiting_for": "due",
    "waiting_for_detail": "it is due at 2026-12-01T08:00:00Z",
    "payload_version": 1,
    "limited": False,
    "concurrency_key": None,
    "progress": 0.4,
    "progress_message": "40 of 100 letters",
    "result": {"sent": 1},
    "run_count": 3,
    "consecutive_failures": 0,
    "lost_count": 0,
    "last_run_at": "2026-11-30T08:00:00Z",
    "last_error": None,
    "failure": None,
    "handled_at": None,
    "cancel_requested_at": None,
    "started_at": "2026-11-30T08:00:00Z",
    "lease_expires_at": None,
    "worker": "instance-1/4711",
    "revision": 7,
    "created_by": "ann@example.com",
    "parent_id": None,
    "trace_parent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "created_at": "2026-11-27T12:00:00Z",
    "updated_at": "2026-11-30T12:00:01Z",
    "follow_ups": f"/api/jobs?parent_id={_ID}",
    "warnings": ["day of month and weekday are both restricted; either is enough for a run"],
}
_ATTEMPT = {
    "run": 3,
    "attempt": 1,
    "scheduled_for": "2026-11-30T08:00:00Z",
    "started_at": "2026-11-30T08:00:00.012Z",
    "finished_at": "2026-11-30T08:00:01.5Z",
    "outcome": "Succeeded",
    "error": None,
    "worker": "instance-1/4711",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
    "result": {"sent": 1},
    "traceback": None,
    "retried": 0,
}
_ENTRY = {
    "job_id": _ID,
    "job_name": "order-1-mail",
    "handler_name": EXAMPLE_HANDLER,
    "at": "2026-11-30T12:00:01Z",
    "actor": "ann@example.com",
    "action": "update",
    "reason": "the customer has moved",
    "revision": 7,
    "operation": None,
    "before": {"payload": _LETTER | {"to": "old@example.com"}},
}
_FAULT = {"pointer": "/job_name", "detail": "the field 'job_name' is missing; it is required"}
_PROBLEM = {
    "type": "urn:jobs:problem:invalid-request",
    "title": "The request is well formed but wrong",
    "status": 422,
    "detail": f"{_FAULT['pointer']}: {_FAULT['detail']}",
    "errors": [_FAULT],
    "holder": _ID,
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
}
_RATE = {"count": 100, "per": "PT1M"}
_LIMITS = {"concurrency": 5, "per_key": 1, "rate": _RATE}
_HANDLER = {
    "name": "SendEmail",
    "description": "Send one email.",
    "version": 1,
    "max_retries": 3,
    "timeout": "PT25M",
    "limits": _LIMITS,
    "arguments": {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]},
}
_FIRE = {"at": "2027-03-28T01:00:00Z", "local": "2027-03-28T03:00:00+02:00", "note": "gap"}
_BATCH_COUNTS = {"created": 1, "existing": 0, "refused": 1}
_RESULT = {"status": 201, "job": _JOB, "problem": _PROBLEM}
_MESSAGES = {"waiting": 3, "poisoned": 0, "oldest": "2026-12-01T08:59:58Z"}
_ALARMS = {"available": True, "why_not": None, "callbacks_refused": 0, "messages": None}
_DUE = {"count": 12, "unarmed": 0, "throttled": 10, "latest_by_seconds": 4.2, "late_by_seconds": 0.3}
_OUTCOME = {"count": 600, "per_second": 2.0, "mean_duration_seconds": 0.25, "mean_wait_seconds": 0.1}
_RECENT = {"window": "PT5M", "attempts": {"Succeeded": _OUTCOME}}

_TROUBLE = {"kind": "failing", "detail": "2 of 602 attempts failed within the last five minutes", "count": 2}
_WORKER_COUNTS = {"live": 2, "draining": 0, "lost": 0, "abandoned_threads": 0}
_SAMPLE = {
    "job_id": _ID,
    "handler_name": EXAMPLE_HANDLER,
    "outcome": "Failed",
    "error": "ValueError: order 7 is unknown (in send, mail.py:7)",
    "finished_at": "2026-12-01T08:00:01.5Z",
}
_FAILURE = {
    "failure": "1203f8e55ed776db",
    "kind": "ValueError",
    "message": "order * is unknown",
    "place": "send, mail.py",
    "count": 240,
    "first_at": "2026-12-01T02:00:01Z",
    "last_at": "2026-12-01T08:00:01.5Z",
    "handlers": [EXAMPLE_HANDLER],
    "jobs_failed": 12,
    "sample": _SAMPLE,
}
_WORKER = {
    "name": "instance-1/4711",
    "status": "live",
    "app_version": "2026.12.1",
    "started_at": "2026-12-01T07:00:00Z",
    "seen_at": "2026-12-01T08:00:00Z",
    "concurrency": 16,
    "running": 2,
    "leases": 3,
    "handlers": {EXAMPLE_HANDLER: 3},
    "oldest_run_at": "2026-12-01T07:59:58Z",
    "abandoned_threads": 0,
    "scheduler": "dapr",
    "scheduler_fault": None,
}
_VERSION = {
    "app_version": "2026.12.1",
    "first_seen_at": "2026-12-01T07:00:00Z",
    "workers": 2,
    "handlers": {EXAMPLE_HANDLER: 1},
}

_DURATIONS = {"p50_seconds": 0.21, "p95_seconds": 1.4, "p99_seconds": 4.1}
_TOTALS = {"success_rate": 0.9905, "durations": _DURATIONS}
_DEPLOYMENT = {"at": "2026-12-01T08:00:30Z", "app_version": "2026.12.1"}
_HANDLER_VERSION = {"version": 1, "first_seen_at": "2026-12-01T08:00:30Z", "workers": 2}
_USE = {"running": 2, "most_of_one_key": 1, "started": 14}
_HANDLER_FIGURES = {
    "window": "P1D",
    "started": 1204,
    "succeeded": 1190,
    "failed": 12,
    "late": 1,
    "success_rate": 0.99,
    "durations": _DURATIONS,
    "use": _USE,
    "versions": [_HANDLER_VERSION],
}
_FIGURES = {"totals": _TOTALS, "started": [120, 90], "succeeded": [118, 90], "failed": [2, 0], "late": [0, 1]}

_COUNTS = {"changed": 120, "unchanged": 3, "refused": 0}
_FILTER = {
    "status": ["Scheduled", "Failed"],
    "handler_name": ["SendEmail"],
    "job_name": ["order-1-mail"],
    "job_name_prefix": ["order-"],
    "parent_id": [_ID],
    "metadata": {"OrderId": [1, 2], "Customer": [{"country": "DE"}]},
    "failure": ["1203f8e55ed776db"],
    "paused": False,
    "recurring": True,
    "overdue": False,
    "created_after": "2026-11-01T00:00:00Z",
    "created_before": "2026-12-01T00:00:00Z",
    "ended_after": "2026-11-01T00:00:00Z",
    "ended_before": "2026-12-01T00:00:00Z",
    "due_after": "2026-11-01T00:00:00Z",
    "due_before": "2026-12-01T00:00:00Z",
}

EXAMPLES: dict[str, dict[str, Any]] = {
    "DstOptions": _DST,
    "MisfireOptions": _MISFIRE,
    "MisfireOptionsOfJob": _MISFIRE,
    "RetryOptions": _RETRY,
    "DstOptionsOfJob": _DST,
    "RetryOptionsOfJob": _RETRY,
    "EnqueueRequest": _ENQUEUE,
    "UpdateRequest": {**_CHANGE, "reason": "the customer has moved"},
    "ChangeRequest": {"reason": "the mail server is away"},
    "RetryRequest": {"reason": "the address is corrected", "payload": _LETTER},
    "AuditEntry": _ENTRY,
    "AuditPage": {"audit": [_ENTRY], "next": None},
    "JobAnswer": _JOB,
    "JobPage": {"jobs": [_JOB], "next": "/api/jobs?status=Scheduled&cursor=MjAyNg"},
    "JobFilter": _FILTER,
    "JobFilterOfJob": _FILTER,
    "BulkRequest": {
        "action": "retry",
        "filter": _FILTER,
        "all": False,
        "reason": "the mail server is back",
        "preview": False,
        "id": _ID,
    },
    "PreviewOfBulk": {"matched": 240, "more": False, "sample": [_JOB]},
    "OperationCounts": _COUNTS,
    "OperationAnswer": {
        "id": _ID,
        "status": "Running",
        "action": "retry",
        "filter": _FILTER,
        "reason": "the mail server is back",
        "created_by": "ann@example.com",
        "created_at": "2026-12-01T08:00:00Z",
        "ended_at": None,
        "matched": 240,
        "more": False,
        "counts": _COUNTS,
        "cancelling": False,
        "last_error": None,
    },
    "JobSearch": {
        **_FILTER,
        "payloads": False,
        "limit": 50,
        "cursor": "MjAyNg",
    },
    "SearchPage": {"jobs": [_JOB], "cursor": "MjAyNg"},
    "Attempt": _ATTEMPT,
    "AttemptPage": {"attempts": [_ATTEMPT], "next": None},
    "Fault": _FAULT,
    "ProblemDetails": _PROBLEM,
    "BatchRequest": {"jobs": [_ENQUEUE]},
    "BatchCounts": _BATCH_COUNTS,
    "BatchResult": _RESULT,
    "BatchAnswer": {"counts": _BATCH_COUNTS, "results": [_RESULT]},
    "RateAnswer": _RATE,
    "LimitsAnswer": _LIMITS,
    "HandlerVersion": _HANDLER_VERSION,
    "HandlerUse": _USE,
    "HandlerFigures": _HANDLER_FIGURES,
    "HandlerAnswer": _HANDLER | {"figures": _HANDLER_FIGURES},
    "HandlersAnswer": {"handlers": [_HANDLER]},
    "PreviewSchedule": {
        **{name: value for name, value in _TIMING.items() if name not in {"misfire", "jitter"}},
        "after": "2027-03-27T12:00:00Z",
        "count": 5,
    },
    "FireTime": _FIRE,
    "PreviewAnswer": {
        "kind": "recurring",
        "description": "At 02:30, every day, in Europe/Berlin",
        "warnings": [],
        "runs": [_FIRE],
    },
    "AlarmAnswer": {"outcome": "ran"},
    "AlarmsState": _ALARMS,
    "QueueMessages": _MESSAGES,
    "DueJobs": _DUE,
    "RecentOutcome": _OUTCOME,
    "RecentAttempts": _RECENT,
    "TroubleAnswer": _TROUBLE,
    "WorkerCounts": _WORKER_COUNTS,
    "FailureSampleAnswer": _SAMPLE,
    "FailureAnswer": _FAILURE,
    "FailuresAnswer": {"window": "P1D", "failures": [_FAILURE], "more": False, "count_to": 10_000, "at_least": []},
    "WorkerAnswer": _WORKER,
    "VersionAnswer": _VERSION,
    "WorkersAnswer": {"workers": [_WORKER], "more": False, "versions": [_VERSION]},
    "StatsAnswer": {
        "wrong": [_TROUBLE],
        "scheduler": "dapr",
        "alarms": _ALARMS,
        "abandoned_threads": 0,
        "workers": _WORKER_COUNTS,
        "reconciled_at": "2026-12-01T08:00:00Z",
        "jobs": {"Scheduled": 12, "Completed": 1200},
        "paused": 1,
        "handlers": {"SendEmail": {"Scheduled": 12, "Completed": 1200}},
        "due": _DUE,
        "recent": _RECENT,
        "count_to": 10_000,
        "at_least": ["/jobs/Completed"],
        "incomplete": [],
        "missing_handlers": {"SendMail": 2},
    },
    "DurationsAnswer": _DURATIONS,
    "SeriesTotals": _TOTALS,
    "DeploymentAnswer": _DEPLOYMENT,
    "SeriesFigures": _FIGURES,
    "SeriesAnswer": {
        "step": "minute",
        "at": ["2026-12-01T08:00:00Z", "2026-12-01T08:01:00Z"],
        "all": _FIGURES,
        "handlers": {EXAMPLE_HANDLER: _FIGURES},
        "deployments": [_DEPLOYMENT],
    },
    "LiveAnswer": {"status": "live"},
    "ReadyAnswer": {
        "status": "degraded",
        "scheduler": "dapr",
        "reasons": ["the scheduler takes no alarms"],
        "reason": "the database cannot be reached",
        "services": ["Mailer"],
    },
}
