"""Forms that make a job: a new one of a handler, a copy of one, or an edited payload for the one that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.core.lifecycle.reserved_metadata import reserved_of
from jobs.entrypoints.http.dashboard.schema_fields import form_fields
from jobs.entrypoints.http.dashboard.views.job import id_of
from jobs.entrypoints.http.dashboard.visit import View, Visit
from jobs.entrypoints.http.openapi.handler_bodies import arguments_schema
from jobs.entrypoints.http.problems import FORBIDDEN, Refusal
from jobs.entrypoints.http.routes import Role

if TYPE_CHECKING:
    from jobs.core.handlers.specs import HandlerSpec
    from jobs.core.lifecycle.job import Job


def enqueue(visit: Visit) -> View:
    """Return the form for a new job of ``handler``, or for a copy of the job ``from``."""
    _require(visit, Role.ENQUEUE, allowed=visit.may_enqueue)
    runtime = visit.runtime
    copied = runtime.views.show_one(runtime.service.get(id_of(visit.wants("from")))) if visit.wants("from") else None
    name = visit.wants("handler") or (copied.handler_name if copied is not None else "")
    spec = runtime.registry.get(name)
    reserved = reserved_of(copied.metadata) if copied is not None else {}
    return View(
        "enqueue.html",
        "Enqueue a job",
        "jobs",
        {
            "handlers": [each.name for each in runtime.registry.all()],
            "handler": name,
            "spec": spec,
            "copied": copied,
            "fields": _fields(spec, copied, keeps_secrets=False),
            "payload": copied.payload if copied is not None else {},
            "metadata": {key: each for key, each in copied.metadata.items() if key not in reserved} if copied else {},
        },
    )


def edit(visit: Visit) -> View:
    """Return the form with the payload of the job whose id ends the path: to retry it, or to change what it will do."""
    _require(visit, Role.MANAGE, allowed=visit.may_manage)
    job = visit.runtime.views.show_one(visit.runtime.service.get(id_of(visit.path[-1])))
    spec = visit.runtime.registry.get(job.handler_name)
    return View(
        "edit.html",
        f"Edit {job.job_name}",
        "recurring" if job.recurring else "jobs",
        {"job": job, "fields": _fields(spec, job, keeps_secrets=True), "payload": job.payload},
    )


def _fields(spec: HandlerSpec | None, job: Job | None, *, keeps_secrets: bool) -> Any:
    if spec is None:
        return None
    schema = arguments_schema(spec)
    return (
        form_fields(schema, keeps_secrets=keeps_secrets)
        if job is None
        else form_fields(schema, job.payload, keeps_secrets=keeps_secrets)
    )


def _require(visit: Visit, role: Role, *, allowed: bool) -> None:
    if not allowed:
        why = "this dashboard is for reading" if visit.options.read_only else f"this needs the role {role}"
        raise Refusal(FORBIDDEN, why)
