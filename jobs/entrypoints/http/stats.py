"""The statistics: figures of the whole database, and what is wrong now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobs.app.upkeep.condition import Trouble, TroubleKind

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.app.runtime import Runtime
    from jobs.app.upkeep.condition import Condition
    from jobs.core.ports.scheduler import Backlog
    from jobs.entrypoints.http.callback_tokens import CallbackTokens


def stats(runtime: Runtime, tokens: CallbackTokens) -> dict[str, Any]:
    """Return what is wrong now, counts of jobs by state and handler, of due jobs, of workers and of recent attempts.

    ``alarms`` is about this instance only: whether its scheduler accepts alarms, and how many callbacks it refused. Its
    ``messages`` are those of the queue, the same for every instance, as of the last ten seconds; null under another
    scheduler. ``missing_handlers`` has the active jobs by handler for which this instance has none, so that they do not
    run.
    """
    condition = runtime.inspection.read()
    unavailable_reason = runtime.alarms.unavailable_reason
    alarms = {
        "available": unavailable_reason is None,
        "why_not": unavailable_reason,
        "callbacks_refused": tokens.refused,
        "messages": _messages(condition.backlog),
    }
    return {
        "wrong": [_trouble(each) for each in troubles(condition, tokens)],
        "scheduler": runtime.scheduler.name,
        "alarms": alarms,
        "abandoned_threads": len(runtime.pool.abandoned),  # of this instance
        "workers": _workers(condition),
        "reconciled_at": _text(condition.reconciled_at),
        **condition.figures,
        "missing_handlers": condition.missing_handlers,
    }


def troubles(condition: Condition, tokens: CallbackTokens) -> list[Trouble]:
    """Return what is wrong now, that of the callbacks of this instance included."""
    if tokens.trouble is None:
        return condition.troubles
    return [*condition.troubles, Trouble(TroubleKind.CALLBACKS_REFUSED, tokens.trouble, tokens.refused)]


def _trouble(trouble: Trouble) -> dict[str, Any]:
    return {"kind": trouble.kind, "detail": trouble.detail, "count": trouble.count}


def _workers(condition: Condition) -> dict[str, int]:
    live = condition.live
    return {
        "live": len(live),
        "draining": sum(each.state.draining for each in live),
        "lost": len(condition.workers) - len(live),
        "abandoned_threads": sum(each.state.abandoned for each in live),
    }


def _messages(backlog: Backlog | None) -> dict[str, Any] | None:
    return None if backlog is None else backlog._asdict() | {"oldest": _text(backlog.oldest)}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
