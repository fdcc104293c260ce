"""Check how the Functions host serves queues: whether that fits the scheduler, and what messages are for."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from jobs.host_json import HostSetting, host_setting
from jobs.settings_checks import reconcile_gap

if TYPE_CHECKING:
    from jobs.settings import Settings

_HORIZON = timedelta(minutes=10)
_QUEUES = "AzureFunctionsJobHost__extensions__queues__"
_DO_HARM: dict[str, tuple[set[str | None], str | int, str]] = {
    "messageEncoding": (
        {"none"},
        "base64",
        "messages are put in base64, and the host would hand them over undecoded, as alarms that wake does not know",
    ),
    "maxPollingInterval": (
        {None, "00:01:00"},
        "00:00:02",
        "it is a minute by default, by which a job of an idle app starts late",
    ),
    "visibilityTimeout": (
        {None, "00:00:00"},
        "00:00:30",
        "by default the host tries a message that fails again at once, and soon gives it up",
    ),
    "maxDequeueCount": (
        {None, "5"},
        2880,
        "after 5 tries, the default, the host gives a message up, within one outage",
    ),
}
"""Which values do harm under every scheduler that uses a queue, in small letters, None if it is not set; what does not;
and why."""


def _late_alarms(settings: Settings) -> list[str]:
    """Return a warning if the reconciliation, which sets the alarms of a queue, ticks too seldom for that."""
    if settings.scheduler != "queue":
        return []
    gap = reconcile_gap(settings)
    if gap < _HORIZON:
        return []
    late = (
        f"JOBS_RECONCILE_SCHEDULE ticks up to {gap} apart, and under JOBS_SCHEDULER=queue it sets the alarms of "
        f"jobs that are due later than in {_HORIZON}: they would start late; have it tick each minute"
    )
    return [late]


def queue_warnings(settings: Settings) -> list[str]:
    """Return a warning for each setting of the host's queues that is at odds with what messages are for.

    Raises ``ConfigurationError`` for a host.json that cannot be read.
    """
    if settings.scheduler == "queue":
        why = "JOBS_SCHEDULER=queue takes a message for each of the JOBS_CONCURRENCY slots of an instance"
        wanted = {"batchSize": 1, "newBatchThreshold": settings.concurrency - 1}
    elif settings.asks_for_help:
        why = "JOBS_SCALE_OUT takes one message for all slots of an instance, and the next is for another instance"
        wanted = {"batchSize": 1, "newBatchThreshold": 0}
    else:
        return []
    found = {name: host_setting("extensions", "queues", name) for name in (*wanted, *_DO_HARM)}
    if all(setting.value is None for setting in found.values()):
        fitting = json.dumps(wanted | {name: better for name, (_, better, _) in _DO_HARM.items()})
        place = found["batchSize"].place.replace(".batchSize", "")
        return [*_late_alarms(settings), f"{place} is not set, and should be {fitting}: {why}"]
    return (
        _late_alarms(settings)
        + [
            f"{_told(found[name])}, and should be {value}: {why}; set {_QUEUES}{name} to {value}"
            for name, value in wanted.items()
            if str(found[name].value) != str(value)
        ]
        + [
            f"{_told(found[name])}, and should be {better}: {why}; set {_QUEUES}{name} to {better}"
            for name, (bad, better, why) in _DO_HARM.items()
            if _small(found[name].value) in bad
        ]
    )


def _small(value: object) -> str | None:
    return None if value is None else str(value).casefold()


def _told(setting: HostSetting) -> str:
    return f"{setting.place} is {'not set' if setting.value is None else setting.value}"
