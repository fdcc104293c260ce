"""Reads the tables and links of the documentation's pages, so that tests can hold them to the code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
_HEADING = re.compile(r"(#+) (.*)")
_CELL = re.compile(r"(?<!\\)\|")


def page(name: str) -> str:
    """Return the text of a page of the reference."""
    return (REFERENCE / name).read_text()


def without_fences(text: str) -> str:
    """Return Markdown with its code blocks left out, each line of them empty."""
    lines, fenced = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
            lines.append("")
        else:
            lines.append("" if fenced else line)
    return "\n".join(lines)


def tables(name: str, heading: str) -> list[list[list[str]]]:
    """Return the tables below a heading of a reference page, up to the next heading: rows of cells, no header."""
    found: list[list[list[str]]] = []
    here = within = False
    for line in without_fences(page(name)).splitlines():
        if match := _HEADING.fullmatch(line):
            here = match[2] == heading
        if not here or not line.startswith("|"):
            within = False
            continue
        cells = [cell.strip().replace("\\|", "|") for cell in _CELL.split(line.strip().strip("|"))]
        if not within:
            found.append([])
            within = True
        found[-1].append(cells)
    assert found, f"{name} has no table below the heading {heading!r}"
    return [table[2:] for table in found]


def table(name: str, heading: str, place: int = 0) -> list[list[str]]:
    """Return one table below a heading."""
    return tables(name, heading)[place]


def code(cell: str) -> str:
    """Return the first code span of a cell, or the cell where it has none."""
    found = re.search(r"`([^`]+)`", cell)
    return found[1] if found else cell


def first_column(name: str, heading: str, place: int = 0) -> list[str]:
    """Return the first code span of each row."""
    return [code(row[0]) for row in table(name, heading, place)]


def names_in(name: str, heading: str, place: int = 0) -> list[str]:
    """Return what the first column names, without the arguments of calls."""
    return [re.match(r"[\w.]+", each)[0] for each in first_column(name, heading, place)]  # type: ignore[index]


def differences(documented: object, actual: object) -> Iterator[str]:
    """Say what one has and the other has not."""
    told, real = list(documented), list(actual)  # type: ignore[call-overload]
    yield from (f"not in the page: {each}" for each in real if each not in told)
    yield from (f"not in the code: {each}" for each in told if each not in real)
    yield from (f"twice in the page: {each}" for each in sorted({each for each in told if told.count(each) > 1}))


def assert_same(documented: object, actual: object) -> None:
    """Fail with what is missing on either side."""
    found = [*differences(documented, actual)]
    assert not found, "\n".join(found)
