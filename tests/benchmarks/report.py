"""The table, in Markdown, so that it can be pasted where it is wanted."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from statistics import median

from tests.benchmarks.rounds import Contender, Result


def heading(contenders: Sequence[Contender], postgres: str, rounds: int) -> list[str]:
    order = f"rounds of each figure: {rounds}{', alternating' if len(contenders) > 1 else ''}"
    machine = f"Python {platform.python_version()}; {os.cpu_count()} cores; {order}"
    return [
        f"PostgreSQL {postgres}, embedded, default settings; {machine}",
        *(f"{contender.name}: {contender.versions}; {contender.configuration}" for contender in contenders),
    ]


def table(results: Sequence[Result], contenders: Sequence[Contender]) -> list[str]:
    names = [contender.name for contender in contenders]
    head = ["", "jobs"]
    for name in names:
        head += [f"{name}, jobs/s", "min-max", "s"]
    if len(names) > 1:
        head += [f"{names[0]} / {names[1]}", "by pairs"]
    return aligned([head, *(_line(result, names) for result in results)])


def _line(result: Result, names: Sequence[str]) -> list[str]:
    cells = [result.discipline.name, f"{result.jobs:,}"]
    for name in names:
        rates = result.rates(name)
        cells += [
            f"{median(rates):,.0f}",
            f"{min(rates):,.0f}-{max(rates):,.0f}",
            f"{median(result.seconds[name]):.2f}",
        ]
    if len(names) > 1:
        cells += [f"{result.ratio_of_medians(*names):.2f}", f"{result.median_of_ratios(*names):.2f}"]
    return cells


def aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    """Lay cells out as a Markdown table: the first column to the left, numbers to the right."""
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(*lines, strict=True)]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    written = [_row(lines[0], widths), _row(rule, widths)]
    return written + [_row(line, widths) for line in lines[1:]]


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
    return f"| {' | '.join(padded)} |"
