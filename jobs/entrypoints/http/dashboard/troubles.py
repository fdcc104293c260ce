"""What is wrong now: the first thing that the overview shows."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from jobs.core.lifecycle.status import FAULTS, AttemptOutcome
from jobs.entrypoints.http.dashboard.html import in_words, number
from jobs.entrypoints.http.dashboard.search import quoted

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.entrypoints.http.dashboard.visit import Visit

_COUNTED_WITHIN = timedelta(minutes=3)
"""Series are counted by the reconciliation, a minute at a time: so long after one has begun its figures are there."""
_COUNTED_FAR_BACK = timedelta(hours=2)
"""The series go back for three hours: of a timer that is slower than this they cannot say whether it ticks."""
_BEGAN = time.monotonic()


class Trouble(NamedTuple):
    """Something that somebody should look at. ``link`` is a page of the dashboard; ``severe`` comes first."""

    title: str
    detail: str
    link: str | None = None
    severe: bool = False


def troubles(visit: Visit, stats: dict[str, Any], counted_until: datetime | None) -> list[Trouble]:
    """Return what is wrong, the worst first. ``counted_until`` is the last minute that the series have."""
    found = [
        *_of_the_engine(visit, stats, counted_until),
        *_of_jobs(visit, stats),
        *_of_attempts(stats),
    ]
    return sorted(found, key=lambda trouble: not trouble.severe)


def _of_the_engine(visit: Visit, stats: dict[str, Any], counted_until: datetime | None) -> list[Trouble]:
    found = []
    alarms = stats["alarms"]
    if not alarms["available"]:
        found.append(
            Trouble(
                f"The scheduler {stats['scheduler']} takes no alarms",
                f"{alarms['why_not']}. What is due runs at the next reconciliation, up to a minute late.",
                severe=True,
            )
        )
    if visit.tokens.trouble is not None:
        found.append(Trouble("The scheduler's callbacks are refused", visit.tokens.trouble, severe=True))
    messages = alarms["messages"]
    if messages is not None and messages["poisoned"]:
        found.append(
            Trouble(
                f"{_many(messages['poisoned'], 'poison message')}",
                "The host gave up on messages of the wake-up queue. Their jobs are started by the reconciliation.",
            )
        )
    if stats["abandoned_threads"]:
        found.append(
            Trouble(
                f"{_many(stats['abandoned_threads'], 'thread')} abandoned in this instance",
                "Handlers went on past their timeout and keep their threads. Have them heed it; a restart frees them.",
            )
        )
    if (silent := _silence(visit, counted_until)) is not None:
        found.append(silent)
    if stats["incomplete"]:
        found.append(
            Trouble("The database is slow", f"These figures could not be had in time: {', '.join(stats['incomplete'])}")
        )
    return found


def _silence(visit: Visit, counted_until: datetime | None) -> Trouble | None:
    """Return that no reconciliation has ended for a while; None if one has, or if the app has only begun."""
    patience = _COUNTED_WITHIN + visit.options.reconcile_every
    mend = "Lost runs are not taken up and lost alarms not set. See whether the timer function `reconcile` is enabled."
    if patience > _COUNTED_FAR_BACK:
        return None
    if counted_until is None:
        began_lately = time.monotonic() - _BEGAN < patience.total_seconds()
        return None if began_lately else Trouble("The reconciliation has not run yet", mend, severe=True)
    silent = visit.runtime.clock.now() - counted_until
    if silent <= patience:
        return None
    # In whole minutes, so that the page stays the same between two of them.
    return Trouble(f"No reconciliation for {in_words(silent.total_seconds() // 60 * 60)}", mend, severe=True)


def _of_jobs(visit: Visit, stats: dict[str, Any]) -> list[Trouble]:
    found = []
    due = stats["due"]
    grace = visit.options.overdue_grace.total_seconds()
    if due is not None and due["count"] > due["throttled"] and due["latest_by_seconds"] > grace:
        late = in_words(due["latest_by_seconds"])
        waiting = number(due["count"] - due["throttled"], more="/due/count" in stats["at_least"])
        found.append(
            Trouble(
                f"Jobs are late, by up to {late}",
                f"{waiting} are due and do not run yet; {number(due['unarmed'])} of these have no alarm.",
                "jobs?q=overdue:true",
                severe=True,
            )
        )
    for name, count in (stats["missing_handlers"] or {}).items():
        found.append(
            Trouble(
                f"No handler {name}",
                f"{_many(count, 'job')} of it cannot run with this release; deploy one that has the handler.",
                f"jobs?q=handler:{_in_url(name)}",
                severe=True,
            )
        )
    return found


def _of_attempts(stats: dict[str, Any]) -> list[Trouble]:
    attempts = (stats["recent"] or {"attempts": {}})["attempts"]
    failed = sum(attempts[outcome]["count"] for outcome in FAULTS if outcome in attempts)
    ended = sum(attempt["count"] for attempt in attempts.values())
    lost = attempts.get(AttemptOutcome.LOST, {}).get("count", 0)
    found = []
    if failed:
        share = round(100 * failed / ended)
        found.append(
            Trouble(
                f"{_many(failed, 'failed attempt')} in the last 5 minutes",
                f"That is {share} % of those that ended. Attempts with retries left are tried again.",
                "jobs?q=status:Failed",
                severe=share >= _MOST_OF_THEM,
            )
        )
    if lost:
        found.append(
            Trouble(
                f"{_many(lost, 'lost worker')} in the last 5 minutes",
                "A process ended without giving back its runs: out of memory, or killed. The runs are taken up again.",
                None,
                severe=True,
            )
        )
    return found


_MOST_OF_THEM = 50


def _many(count: int, what: str) -> str:
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


def _in_url(text: str) -> str:
    return quote(quoted(text))
