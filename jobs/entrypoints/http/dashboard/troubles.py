"""What is wrong now, as people read it: the first thing that the overview shows. What it is, `Inspection` finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from jobs.app.upkeep.condition import TroubleKind
from jobs.core.lifecycle.status import FAULTS, AttemptOutcome

if TYPE_CHECKING:
    from collections.abc import Mapping


class Shown(NamedTuple):
    """A trouble: ``link`` is the page of the dashboard to look at; the ``severe`` come first."""

    title: str
    detail: str
    link: str | None = None
    severe: bool = False


class _Words(NamedTuple):
    title: str
    link: str | None
    severe: bool


_WORDS: Mapping[TroubleKind, _Words] = {
    TroubleKind.RECONCILE_SILENT: _Words("The reconciliation does not tick", None, severe=True),
    TroubleKind.SCHEDULER_AWAY: _Words("The scheduler takes no alarms", "workers", severe=True),
    TroubleKind.LATE: _Words("Jobs are late", "jobs?q=overdue:true", severe=True),
    TroubleKind.LOST_WORKERS: _Words("Workers are lost", "workers", severe=True),
    TroubleKind.ABANDONED_THREADS: _Words("Threads are abandoned", "workers", severe=False),
    TroubleKind.POISON_MESSAGES: _Words("There are poison messages", None, severe=False),
    TroubleKind.HANDLER_MISSING: _Words("A handler is missing", "handlers", severe=True),
    TroubleKind.CALLBACKS_REFUSED: _Words("Callbacks are refused", None, severe=True),
    TroubleKind.FAILING: _Words("Attempts fail", "failures", severe=False),
}
_MOST_OF_THEM = 0.5


def troubles(stats: dict[str, Any]) -> list[Shown]:
    """Return what is wrong by the statistics, the severe first."""
    found = [_shown(each, stats) for each in stats["wrong"]]
    if stats["incomplete"]:
        names = ", ".join(stats["incomplete"])
        found.append(Shown("The database is slow", f"these figures could not be had in time: {names}"))
    return sorted(found, key=lambda trouble: not trouble.severe)


def _shown(trouble: dict[str, Any], stats: dict[str, Any]) -> Shown:
    words = _WORDS[trouble["kind"]]
    severe = words.severe or (trouble["kind"] == TroubleKind.FAILING and _mostly_failing(stats))
    return Shown(words.title, trouble["detail"], words.link, severe)


def _mostly_failing(stats: dict[str, Any]) -> bool:
    attempts = (stats["recent"] or {"attempts": {}})["attempts"]
    failed = sum(each["count"] for outcome, each in attempts.items() if outcome in FAULTS | {AttemptOutcome.LOST})
    ended: int = sum(each["count"] for each in attempts.values())
    return bool(failed >= _MOST_OF_THEM * ended)
