"""The list of jobs: searched, paged, with actions on some or on all that a search finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from jobs.core.errors import InvalidInput, JobNotFound
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import JobFilter, JobQuery
from jobs.core.strict_json import exact_json
from jobs.entrypoints.http.dashboard.search import id_in, qualified, search_of, suggestions, terms_of
from jobs.entrypoints.http.dashboard.visit import View, Visit
from jobs.entrypoints.http.problems import with_own_messages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobs.core.lifecycle.job import Job

_PER_PAGE = 50
_MOST_KEYS = 30


def jobs(visit: Visit) -> View:
    """Return a page of the jobs that a search finds, newest first."""
    text, cursor = visit.wants("q"), visit.wants("cursor")
    fault, query, found, following = None, JobQuery(limit=1), [], None
    try:
        query = search_of(text, **({"cursor": cursor} if cursor else {}), limit=str(_PER_PAGE))
        if (wanted := id_in(text)) is not None:
            found = _only(visit, wanted)
        else:
            page = visit.runtime.service.find(query)
            found, following = page.jobs, page.cursor
    except InvalidInput as error:
        fault = "; ".join(each.detail for each in with_own_messages(error).problems)
    shown = visit.runtime.views.show(found)
    handlers = [spec.name for spec in visit.runtime.registry.all()]
    return View(
        "jobs.html",
        "Jobs",
        "jobs",
        {
            "q": text,
            "fault": fault,
            "jobs": shown,
            "tabs": _tabs(text),
            "suggestions": suggestions(handlers, _metadata_keys(shown)),
            "filter": filter_json(query) if fault is None and id_in(text) is None else None,
            "next": None if following is None else f"jobs?{urlencode({'q': text, 'cursor': following})}",
            "first": f"jobs?{urlencode({'q': text})}" if cursor else None,
        },
    )


def _only(visit: Visit, wanted: Any) -> list[Job]:
    try:
        return [visit.runtime.service.get(wanted)]
    except JobNotFound:
        return []


def _tabs(text: str) -> list[tuple[str, str, bool]]:
    """Return the searches by status: label, the rest of the URL, whether it is the present one."""
    chosen = {term.value for term in terms_of(text) if term.key == "status"}
    tabs = [("All", qualified(text, "status", None), not chosen)]
    tabs += [(status.value, qualified(text, "status", status.value), chosen == {status.value}) for status in JobStatus]
    return [(label, f"jobs?{urlencode({'q': query})}" if query else "jobs", here) for label, query, here in tabs]


def _metadata_keys(found: Sequence[Job]) -> list[str]:
    return sorted({key for job in found for key in job.metadata})[:_MOST_KEYS]


def filter_json(query: JobFilter) -> str:
    """Return the filter of a search as the API takes it for an operation on many jobs."""
    given = {name: getattr(query, name) for name in JobFilter.model_fields}
    plain = JobFilter.model_construct(**given | {"metadata": {}}).model_dump(mode="json")
    kept = {name: value for name, value in plain.items() if value not in (None, [], {}, ())}
    if query.metadata:
        kept["metadata"] = {key: [*values] for key, values in query.metadata.items()}
    return exact_json(kept)
