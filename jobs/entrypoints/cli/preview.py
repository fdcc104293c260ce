"""``python -m jobs preview``: when a schedule would fire, for people at a terminal; needs neither app nor database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from jobs.core.commands import PreviewSchedule, read_command
from jobs.core.errors import InvalidInput
from jobs.core.schedules.zones.database import zone_release
from jobs.entrypoints.http.preview import preview
from jobs.entrypoints.http.problems import with_own_messages

if TYPE_CHECKING:
    import argparse

_NOTES = {
    "gap": "gap: clocks skip the time asked for, so it runs right after",
    "overlap": "overlap: clocks show this time twice",
}


def add_preview(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser(
        "preview",
        help="show when a schedule would run",
        description="Say in words what a schedule means, and when it would run next, in local time and in UTC.",
    )
    parser.add_argument("schedule", nargs="+", help='as in a job: "30 2 * * 1-5", "@every 1h30m", PT30S; in quotes')
    parser.add_argument("--timezone", default="UTC", help="an IANA name such as Europe/Berlin (default UTC)")
    parser.add_argument("--count", type=int, default=5, help="how many runs, up to 100 (default 5)")
    parser.add_argument("--after", help="an instant such as 2026-03-28T12:00:00Z (default now)")
    parser.add_argument("--start-at", help="an instant, as start_at of a job: no run before, @every counts from it")
    parser.add_argument("--end-at", help="an instant, as end_at of a job: no run after")
    parser.add_argument("--max-runs", type=int, help="after how many runs it ends")
    parser.add_argument(
        "--day-match", default="any", help="any or all: how day of month and weekday combine (default any)"
    )
    parser.add_argument("--gap", default="shift", help="shift or skip a local time that clocks skip (default shift)")
    parser.add_argument("--overlap", default="once", help="run once or twice what comes twice (default once)")
    parser.add_argument("--json", action="store_true", help="answer as POST /api/schedules/preview does")
    parser.set_defaults(run=_preview, refuse=parser.error)


def _preview(chosen: argparse.Namespace, _parts: object) -> int:
    if len(chosen.schedule) > 1:
        chosen.refuse(
            "put the schedule in quotes, as in: preview '0 9 * * 1'. Without them a shell splits it, and may read * "
            "as the names of files"
        )
    [chosen.schedule] = chosen.schedule
    names = ("schedule", "timezone", "after", "count", "start_at", "end_at", "max_runs", "day_match")
    asked = {name: getattr(chosen, name) for name in names}
    asked["dst"] = {"gap": chosen.gap, "overlap": chosen.overlap}
    try:
        answer = preview(read_command(PreviewSchedule, asked), lambda: datetime.now(UTC).replace(microsecond=0))
    except InvalidInput as error:
        raise with_own_messages(error) from None
    print(json.dumps(answer, indent=2) if chosen.json else _as_text(answer))
    return 0


def _as_text(answer: dict[str, Any]) -> str:
    lines = [f"{answer['description']} ({answer['kind']}, time zones of {zone_release()})"]
    for run in answer["runs"]:
        local = datetime.fromisoformat(run["local"])
        lines.append(f"  {local:%a} {run['local']}  {run['at']}  {_NOTES.get(run['note'], '')}".rstrip())
    if not answer["runs"]:
        lines.append("  no run after that")
    return "\n".join([*lines, *(f"warning: {warning}" for warning in answer["warnings"])])
