"""Charts as SVG: computed here, drawn by a template, without a script and without an inline style."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from jobs.core.ports.workers import AppVersion

WIDTH, HEIGHT = 720, 150
_LABELS = 5
_STEPS = (1, 2, 5)


class Bar(NamedTuple):
    """A layer of a column, in the chart's units."""

    name: str
    y: float
    height: float


class Column(NamedTuple):
    """What happened within a step: where it stands, the figures by name, and a bar for each that is not zero."""

    at: datetime
    x: float
    figures: Mapping[str, int]
    bars: Sequence[Bar]


class Mark(NamedTuple):
    """A deployment: where it stands, the version of the app, and since when a worker runs it."""

    x: float
    version: str
    at: datetime


class Chart(NamedTuple):
    """A chart of columns; ``top`` is the figure at the upper line. ``labels`` are instants at even distances."""

    columns: Sequence[Column]
    width: float
    top: int
    total: Mapping[str, int]
    labels: Sequence[datetime]


def chart_of(at: Sequence[datetime], figures: Mapping[str, Sequence[int]]) -> Chart:
    """Return the chart of figures by name, one on top of the other, each in the place of its instant in ``at``."""
    step = WIDTH / max(len(at), 1)
    top = nice_top(max((sum(each) for each in zip(*figures.values(), strict=True)), default=0))
    columns = []
    for place, moment in enumerate(at):
        here = {name: values[place] for name, values in figures.items()}
        columns.append(Column(moment, round(place * step, 2), here, _bars(here, top)))
    labels = [at[place * (len(at) - 1) // (_LABELS - 1)] for place in range(_LABELS)] if at else []
    total = {name: sum(values) for name, values in figures.items()}
    return Chart(columns, round(max(step - min(step / 5, 2), 0.5), 2), top, total, labels)


def _bars(figures: Mapping[str, int], top: int) -> list[Bar]:
    bars: list[Bar] = []
    base = float(HEIGHT)
    for name, value in figures.items():
        if value:
            height = max(HEIGHT * value / top, 1.5)  # one failure among thousands is seen all the same
            base -= height
            bars.append(Bar(name, round(base, 2), round(height, 2)))
    return bars


def marks_of(at: Sequence[datetime], step: timedelta, versions: Sequence[AppVersion]) -> list[Mark]:
    """Return where deployments stand on a chart of these steps; one that is later than they are is at its end."""
    length = step * max(len(at), 1)
    found = [(each, (each.first_seen_at - at[0]) / length) for each in versions if at]
    return [
        Mark(round(min(place, 1.0) * WIDTH, 1), each.version, each.first_seen_at) for each, place in found if place >= 0
    ]


def nice_top(highest: int) -> int:
    """Return the least of 1, 2, 5, 10, 20, 50 … that is not below ``highest``."""
    power = 1
    while True:
        for step in _STEPS:
            if step * power >= highest:
                return step * power
        power *= 10
