"""HTTP functions that read the audit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import azure.functions as func

from jobs.core.errors import InvalidInput
from jobs.core.queries import AuditQuery
from jobs.core.strict_json import exact_json
from jobs.entrypoints.http.exchange import Call, add_function, json_response, next_link, read
from jobs.entrypoints.http.filters import alternatives_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.runtime import Runtime
    from jobs.core.lifecycle.audit import AuditEntry
    from jobs.entrypoints.http.access import Access

_MANY = ("actor", "action")


def audit_blueprint(runtime: Callable[[], Runtime], access: Access) -> func.Blueprint:
    """Return the blueprint of ``api/audit`` and ``api/jobs/{id}/audit``."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    add_function(blueprint, access, "list_audit", lambda call: whole_audit(runtime(), call))
    add_function(blueprint, access, "get_job_audit", lambda call: job_audit(runtime(), call))
    return blueprint


def whole_audit(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Return a page of the changes of all jobs, newest first."""
    return _answer(runtime, call, "/api/audit", {})


def job_audit(runtime: Runtime, call: Call) -> func.HttpResponse:
    """Return a page of the changes of one job, newest first."""
    runtime.service.get(call.job_id)
    return _answer(runtime, call, f"/api/jobs/{call.job_id}/audit", {"job_id": call.job_id})


def _answer(runtime: Runtime, call: Call, path: str, fixed: dict[str, Any]) -> func.HttpResponse:
    given: dict[str, Any] = {}
    for name, value in call.parameters().items():
        if name == "job_id":
            raise InvalidInput.at("/job_id", "the changes of one job are at /api/jobs/{id}/audit")
        given[name] = alternatives_of(name, value) if name in _MANY else value
    page = runtime.audit.find(read(AuditQuery, given | fixed))
    entries = ",".join(_text(runtime.views.mask(entry)) for entry in page.entries)
    return json_response(f'{{"audit":[{entries}],"next":{next_link(path, call, page.cursor)}}}')


def _text(entry: AuditEntry) -> str:
    """Return an entry as JSON text, with every number of the old payload exactly as it was."""
    plain = entry.model_dump_json(exclude={"before"})
    before = "null" if entry.before is None else exact_json(entry.before)
    return f'{plain[:-1]},"before":{before}}}'
