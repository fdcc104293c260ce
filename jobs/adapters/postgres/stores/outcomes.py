"""Outcomes as JSON for the statement that records them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jobs.core.strict_json import MAX_TRACEBACK, storable

if TYPE_CHECKING:
    from datetime import datetime

    from jobs.core.lifecycle.job import RecordedOutcome


_ENCODER = json.JSONEncoder(ensure_ascii=False)


_BOOLEAN = {True: "true", False: "false"}


def outcome_text(outcome: RecordedOutcome) -> str:
    """Return one outcome as JSON, without null keys: most outcomes are a plain success."""
    run, result = outcome.run, outcome.result
    text = (
        f'{{"id":"{run.job_id.hex}","token":"{run.token}","generation":{run.generation},"status":"{outcome.status}"'
        f',"next_attempt":{outcome.attempt},"tally":"{outcome.tally.value}","run_ended":{_BOOLEAN[outcome.run_ended]}'
        f',"attempt":{run.attempt},"started_at":"{outcome.started_at}","finished_at":"{outcome.finished_at}"'
        f',"outcome":"{result.outcome}"'
    )
    if run.recurring or outcome.due_at is not None:
        times = {
            "due_at": _iso(outcome.due_at),
            "next_for": _iso(outcome.scheduled_for),
            "scheduled_for": _iso(run.scheduled_for),
        }
        text += "," + _ENCODER.encode(times)[1:-1]
    if result.error is not None or outcome.last_error is not None or result.trace_id is not None:
        texts = {
            "error": storable(result.error),
            "last_error": storable(outcome.last_error),
            "trace_id": result.trace_id,
            "traceback": storable(result.traceback, MAX_TRACEBACK),
            "failure": outcome.failure,
        }
        text += "," + _ENCODER.encode(texts)[1:-1]
    if outcome.lost_count:
        text += f',"lost_count":{outcome.lost_count}'
    if result.result is not None:
        text += f',"result":{result.result}'
    return text + "}"


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
