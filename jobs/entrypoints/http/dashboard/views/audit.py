"""The audit: who changed what, when and why."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from jobs.core.errors import InvalidInput
from jobs.core.queries import AuditQuery
from jobs.core.strict_json import refuse_unstorable_text
from jobs.entrypoints.http.dashboard.visit import View, Visit
from jobs.entrypoints.http.exchange import read
from jobs.entrypoints.http.problems import with_own_messages

ACTIONS = ("update", "cancel", "request-cancel", "pause", "resume", "run-now", "retry", "replace")
_PER_PAGE = 50


def audit(visit: Visit) -> View:
    """Return a page of changes, newest first."""
    given = {name: visit.wants(name).strip() for name in ("job", "actor", "action")}
    cursor = visit.wants("cursor")
    entries, following, fault = [], None, None
    wanted: dict[str, Any] = {
        "job_id": given["job"],
        "actor": given["actor"],
        "action": given["action"],
        "cursor": cursor,
    }
    try:
        refuse_unstorable_text(given["actor"] + given["action"], "/actor")
        query = read(AuditQuery, {name: value for name, value in wanted.items() if value} | {"limit": _PER_PAGE})
        page = visit.runtime.audit.find(query)
        entries, following = [visit.runtime.views.mask(entry) for entry in page.entries], page.cursor
    except InvalidInput as error:
        fault = "; ".join(each.detail for each in with_own_messages(error).problems)
    kept = {name: value for name, value in given.items() if value}
    return View(
        "audit.html",
        "Audit",
        "audit",
        {
            "given": given,
            "actions": ACTIONS,
            "entries": entries,
            "fault": fault,
            "next": None if following is None else f"audit?{urlencode({**kept, 'cursor': following})}",
            "first": f"audit?{urlencode(kept)}" if cursor else None,
        },
    )
