"""Jobs and their history as JSON, with every number exactly as it was sent.

Values of callers and handlers are inserted as JSON text, because pydantic writes a ``Decimal`` as a string.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobs.core.strict_json import exact_json

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pydantic import BaseModel

    from jobs.core.lifecycle.job import Attempt, Job

_OF_A_JOB = ("metadata", "result", "payload")
_OF_AN_ATTEMPT = ("result",)


def job_text(job: Job, warnings: Sequence[str] = (), *, without: Collection[str] = ()) -> str:
    """Return a job as JSON text, optionally ``without`` some fields.

    ``follow_ups`` is the URL that lists the jobs enqueued by its handler. ``warnings`` belong to the current call and
    are not stored; without any, the field is missing.
    """
    text = f'{_text(job, _OF_A_JOB, without)[:-1]},"follow_ups":"/api/jobs?parent_id={job.id}"'
    return f'{text},"warnings":{exact_json([*warnings])}}}' if warnings else f"{text}}}"


def attempt_text(attempt: Attempt) -> str:
    """Return one attempt of a job's history as JSON text."""
    return _text(attempt, _OF_AN_ATTEMPT, ())


def _text(model: BaseModel, spliced: tuple[str, ...], without: Collection[str]) -> str:
    plain = model.model_dump_json(exclude={*spliced, *without})
    values = [f',"{name}":{exact_json(getattr(model, name))}' for name in spliced if name not in without]
    return f"{plain[:-1]}{''.join(values)}}}"
