"""Many new rows as one statement's parameters, and its answer as the outcome of each."""

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
    """Cut ``jobs`` into lists of up to ``size``, each made when it is asked for."""
    rest = iter(jobs)
    while batch := list(islice(rest, size)):
        yield batch


def batch_values(jobs: Sequence[NewJob]) -> dict[str, Any]:
    """Lay the rows out for ``insert_many``."""
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


def read_batches(jobs: Sequence[NewJob], answers: Sequence[tuple[Any, ...]], size: int) -> list[Inserted | None]:
    """Say of each row whether it was inserted. An answer names the ids only where some of its rows were not."""
    results: list[Inserted | None] = []
    for number, (moment, count, ids) in enumerate(answers):
        batch = jobs[number * size : (number + 1) * size]
        if count == len(batch):
            results += [inserted_at(job, moment) for job in batch]
        else:
            found = {UUID(text) for text in ids.split(",")} if ids else set()
            results += [inserted_at(job, moment) if job.id in found else None for job in batch]
    return results


def inserted_at(job: NewJob, moment: datetime) -> Inserted:
    """Return what the database made of a row that it inserted at ``moment``: what was left open is now."""
    return Inserted(job.id, moment, job.due_at or moment, job.scheduled_for or moment)
