"""The HTTP function that reads time series."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.durations import added_up, percentiles_of
from jobs.core.lifecycle.figures import Step
from jobs.core.ports.series import ALL_HANDLERS, Bucket
from jobs.core.queries import SeriesQuery
from jobs.entrypoints.http.answers import DurationsAnswer
from jobs.entrypoints.http.exchange import Call, json_response, read
from jobs.entrypoints.http.filters import alternatives_of
from jobs.entrypoints.http.state_answers import (
    DeploymentAnswer,
    SeriesAnswer,
    SeriesFigures,
    SeriesTotals,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    import azure.functions as func

    from jobs.app.runtime import Runtime

_EVERY_HANDLER = "*"


def series(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Return the series of all handlers together, and of those that are asked for."""
    query = _query_of(call.parameters())
    names = {spec.name for spec in runtime.registry.all()} if _EVERY_HANDLER in query.handler_name else set()
    names |= {*query.handler_name} - {_EVERY_HANDLER}
    buckets = runtime.series.find(query.step, [ALL_HANDLERS, *names])
    at = _steps(query.step, [bucket.at for bucket in buckets])
    by_name: dict[str, dict[datetime, Bucket]] = {name: {} for name in (ALL_HANDLERS, *sorted(names))}
    for bucket in buckets:
        by_name[bucket.handler_name][bucket.at] = bucket
    answer = SeriesAnswer(
        step=query.step,
        at=at,
        all=_figures(at, by_name.pop(ALL_HANDLERS)),
        handlers={name: _figures(at, found) for name, found in by_name.items()},
        deployments=[
            DeploymentAnswer(at=each.first_seen_at, app_version=each.version)
            for each in reversed(runtime.workers.versions())
            if at and each.first_seen_at >= at[0]
        ],
    )
    return json_response(answer.model_dump_json())


def _query_of(parameters: dict[str, str]) -> SeriesQuery:
    given: dict[str, Any] = dict(parameters)
    if "handler_name" in given:
        given["handler_name"] = alternatives_of("handler_name", given["handler_name"])
    return read(SeriesQuery, given)


def _steps(step: Step, found: Sequence[datetime]) -> list[datetime]:
    """Return every step from the first to the last of ``found``."""
    if not found:
        return []
    first, last = min(found), max(found)
    return [first + number * step.length for number in range((last - first) // step.length + 1)]


def _figures(at: Sequence[datetime], found: dict[datetime, Bucket]) -> SeriesFigures:
    columns = ("started", "succeeded", "failed", "late")
    return SeriesFigures(
        **{name: [getattr(found[moment], name) if moment in found else 0 for moment in at] for name in columns},
        totals=SeriesTotals(
            success_rate=success_rate(
                sum(each.succeeded for each in found.values()), sum(each.failed for each in found.values())
            ),
            durations=durations(added_up(each.durations for each in found.values())),
        ),
    )


def success_rate(succeeded: int, failed: int) -> float | None:
    """Return the share of successes; None where nothing ended."""
    return round(succeeded / (succeeded + failed), 4) if succeeded + failed else None


def durations(counts: Mapping[int, int]) -> DurationsAnswer | None:
    """Return the percentiles of durations that are counted by bucket; None of none."""
    found = percentiles_of(counts)
    if found is None:
        return None
    return DurationsAnswer(p50_seconds=found.p50, p95_seconds=found.p95, p99_seconds=found.p99)
