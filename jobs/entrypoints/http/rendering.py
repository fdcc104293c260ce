"""Jobs and their history as JSON, every number in them as it was sent.

What callers and handlers put into a job is spliced in as text: pydantic would write a ``Decimal`` as a string.
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
    """Write a job, if wanted ``without`` some of its fields.

    ``follow_ups`` is where those are listed that its handler has enqueued. ``warnings`` are of the call that is
    answered, not kept with the job; where there are none, there is no such field.
    """
    text = f'{_text(job, _OF_A_JOB, without)[:-1]},"follow_ups":"/api/jobs?parent_id={job.id}"'
    return f'{text},"warnings":{exact_json([*warnings])}}}' if warnings else f"{text}}}"


def attempt_text(attempt: Attempt) -> str:
    """Write one line of a job's history."""
    return _text(attempt, _OF_AN_ATTEMPT, ())


def _text(model: BaseModel, spliced: tuple[str, ...], without: Collection[str]) -> str:
    plain = model.model_dump_json(exclude={*spliced, *without})
    values = [f',"{name}":{exact_json(getattr(model, name))}' for name in spliced if name not in without]
    return f"{plain[:-1]}{''.join(values)}}}"
