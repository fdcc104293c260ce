"""Active jobs of handlers that this release lacks, as after a handler was renamed: they do not run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from jobs.core.diagnostics.error_text import printable
from jobs.core.errors import Unavailable
from jobs.core.lifecycle.status import ENDED
from jobs.core.near_names import near_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.core.ports.housekeeping import Housekeeping

_logger = logging.getLogger("jobs")
_MOST_NAMED = 10


def missing_handlers(counts: Mapping[str, Any], registry: HandlerRegistry) -> dict[str, int] | None:
    """Return the number of active jobs of each handler that ``registry`` lacks; None where ``counts`` has none.

    ``counts`` are those of ``Housekeeping.stats``.
    """
    handlers: Mapping[str, Mapping[str, int]] | None = counts["handlers"]
    if handlers is None:
        return None
    active = {
        name: sum(count for status, count in by_status.items() if status not in ENDED)
        for name, by_status in handlers.items()
        if registry.get(name) is None
    }
    return {name: count for name, count in active.items() if count}


def log_missing_handlers(housekeeping: Housekeeping, registry: HandlerRegistry) -> None:
    """Log a warning that names the handlers which jobs wait for in vain, if there are any. Counting may take seconds.

    Logs nothing where the database is away, which others report.
    """
    try:
        missing = missing_handlers(housekeeping.stats(), registry)
    except Unavailable:
        return
    if not missing:
        return
    known = [spec.name for spec in registry.all()]
    named = sorted(missing.items(), key=lambda each: (-each[1], each[0]))
    shown = "; ".join(_shown(name, count, known) for name, count in named[:_MOST_NAMED])
    more = f"; and those of {len(named) - _MOST_NAMED} more handlers" if len(named) > _MOST_NAMED else ""
    _logger.warning(
        "jobs in the database have no handler here, and wait until there is one: %s%s. Give a renamed handler its old "
        'name back, @handler("..."), or cancel the jobs that are not wanted any more: POST /api/bulk with the filter '
        "handler_name",
        shown,
        more,
    )  # fmt: skip


def _shown(name: str, count: int, known: list[str]) -> str:
    near = near_name(name, known)
    meant = f" (is it {near} now?)" if near is not None else ""
    return f"{count} of {printable(name)}{meant}"
