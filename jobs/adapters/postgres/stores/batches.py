"""Convert many new rows to one statement's parameters, and its result to the outcome of each row."""

from __future__ import annotations

import json
from itertools import islice
from typing import TYPE_CHECKING, Any
from uuid import UUID

from jobs.core.ports.jobs import OWN_FIELDS, Inserted, NewJob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

_SEPARATOR = "\x1f"


def batched(jobs: Iterable[NewJob], size: int) -> Iterator[list[NewJob]]:
    """Yield ``jobs`` in lists of up to ``size``, lazily."""
    rest = iter(jobs)
    while batch := list(islice(rest, size)):
        yield batch


def batch_values(jobs: Sequence[NewJob]) -> dict[str, Any]:
    """Return the parameters of ``insert_many`` for these rows."""
    shapes: dict[tuple[Any, ...], int] = {}
    shape_of = [str(shapes.setdefault(job[OWN_FIELDS:], len(shapes))) for job in jobs]
    return {
        "ids": _SEPARATOR.join([job.id.hex for job in jobs]),
        "job_names": [job.job_name for job in jobs],
        "payloads": _SEPARATOR.join([job.payload for job in jobs]),
        "metadatas": _SEPARATOR.join([job.metadata for job in jobs]),
        "shape_of": _SEPARATOR.join(shape_of),
        "shapes": json.dumps([_shape_row(shape, number) for shape, number in shapes.items()], ensure_ascii=False),
        "expected": len(jobs),
    }


_SHAPE = NewJob._fields[OWN_FIELDS:]


def _shape_row(shape: tuple[Any, ...], number: int) -> dict[str, Any]:
    row: dict[str, Any] = dict(zip(_SHAPE, shape, strict=True))
    for name in ("due_at", "scheduled_for", "anchor"):
        row[name] = row[name] and row[name].isoformat()
    for name in ("options", "retry"):
        row[name] = row[name] and json.loads(row[name])
    row["parent_id"] = row["parent_id"] and row["parent_id"].hex
    return row | {"shape": number}


def read_batches(jobs: Sequence[NewJob], rows: Sequence[tuple[Any, ...]], size: int) -> list[Inserted | None]:
    """Return for each job whether it was inserted. A batch's row lists ids only if some of its jobs were not."""
    results: list[Inserted | None] = []
    for number, (moment, count, ids) in enumerate(rows):
        batch = jobs[number * size : (number + 1) * size]
        if count == len(batch):
            results += [inserted_at(job, moment) for job in batch]
        else:
            found = {UUID(text) for text in ids.split(",")} if ids else set()
            results += [inserted_at(job, moment) if job.id in found else None for job in batch]
    return results


def inserted_at(job: NewJob, moment: datetime) -> Inserted:
    """Return the stored values of a job that was inserted at ``moment``, which is the default of its times."""
    return Inserted(job.id, moment, job.due_at or moment, job.scheduled_for or moment)
