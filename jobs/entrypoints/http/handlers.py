"""The HTTP function that lists handlers: as this release has them, and on request with how they fare."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.waiting import NO_USAGE
from jobs.core.ports.series import Totals
from jobs.core.queries import HandlerQuery
from jobs.core.schedules.durations import format_duration
from jobs.entrypoints.http.answers import HandlerFigures, HandlerUse, HandlerVersion
from jobs.entrypoints.http.exchange import Call, json_response, read
from jobs.entrypoints.http.openapi.handler_bodies import arguments_schema
from jobs.entrypoints.http.series import durations, success_rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    import azure.functions as func

    from jobs.app.runtime import Runtime
    from jobs.core.handlers.specs import HandlerSpec
    from jobs.core.lifecycle.waiting import LimitUsage
    from jobs.core.ports.workers import AppVersion

WINDOW = timedelta(days=1)


def handlers(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Return the handlers of this version of the app, with the JSON Schema of their arguments.

    The database is asked only for ``include=figures``.
    """
    query = read(HandlerQuery, call.parameters())
    return json_response({"handlers": listed(runtime, figures=query.include == "figures")})


def listed(runtime: Runtime, *, figures: bool = False) -> list[dict[str, Any]]:
    """Return the handlers as the answer has them, by name."""
    specs = runtime.registry.all()
    described = [_described(spec, runtime.views.timeout_of(spec)) for spec in specs]
    if not figures:
        return described
    found = figures_of(runtime, specs)
    return [each | {"figures": found[each["name"]].model_dump(mode="json")} for each in described]


def figures_of(runtime: Runtime, specs: Sequence[HandlerSpec]) -> dict[str, HandlerFigures]:
    """Return how handlers fared within a day, how much of their limits is in use, and their versions, by name.

    Three bounded statements, whatever the number of handlers.
    """
    totals = {each.handler_name: each for each in runtime.series.totals([spec.name for spec in specs], WINDOW)}
    limited = [spec for spec in specs if spec.limits is not None]
    periods = {spec.name: _period(spec) for spec in limited}
    usage = runtime.runs.limit_usage(periods) if periods else NO_USAGE
    versions = runtime.workers.versions()
    return {spec.name: _figures(spec, totals.get(spec.name), usage, versions) for spec in specs}


def _period(spec: HandlerSpec) -> timedelta:
    rate = spec.limits.rate if spec.limits is not None else None
    return rate.per if rate is not None else timedelta()


def _figures(
    spec: HandlerSpec, totals: Totals | None, usage: LimitUsage, versions: Sequence[AppVersion]
) -> HandlerFigures:
    found = totals or Totals(spec.name, 0, 0, 0, 0, {})
    return HandlerFigures(
        window=WINDOW,
        started=found.started,
        succeeded=found.succeeded,
        failed=found.failed,
        late=found.late,
        success_rate=success_rate(found.succeeded, found.failed),
        durations=durations(found.durations),
        use=None if spec.limits is None else _use(spec, usage),
        versions=_versions(spec.name, versions),
    )


def _use(spec: HandlerSpec, usage: LimitUsage) -> HandlerUse:
    of_keys = [count for (name, _), count in usage.running_by_key.items() if name == spec.name]
    rate = spec.limits.rate if spec.limits is not None else None
    return HandlerUse(
        running=usage.running.get(spec.name, 0),
        most_of_one_key=max(of_keys, default=0),
        started=usage.started.get(spec.name, 0) if rate is not None else None,
    )


def _versions(name: str, known: Sequence[AppVersion]) -> list[HandlerVersion]:
    """Return the versions of a handler's arguments that workers ran, the newest first."""
    found: dict[int, HandlerVersion] = {}
    for each in known:  # the newest first, so the last one of a version is its first
        if (version := each.handlers.get(name)) is not None:
            workers = each.workers + (found[version].workers if version in found else 0)
            found[version] = HandlerVersion(version=version, first_seen_at=each.first_seen_at, workers=workers)
    return sorted(found.values(), key=lambda each: -each.version)


def _described(spec: HandlerSpec, timeout: timedelta | None) -> dict[str, Any]:
    return {
        "name": spec.name,
        "description": (spec.target.__doc__ or "").strip().partition("\n")[0] or None,
        "version": spec.version,
        "max_retries": spec.retry.max_retries,
        "timeout": format_duration(timeout) if timeout is not None else None,
        "limits": _limits(spec),
        "arguments": arguments_schema(spec),
    }


def _limits(spec: HandlerSpec) -> dict[str, Any] | None:
    limits = spec.limits
    if limits is None:
        return None
    return {
        "concurrency": limits.concurrency,
        "per_key": limits.per_key if limits.concurrency_key is not None else None,
        "rate": limits.rate and {"count": limits.rate.count, "per": format_duration(limits.rate.per)},
    }
