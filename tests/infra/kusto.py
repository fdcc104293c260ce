"""As much of the Kusto query language as the alerts are written in; anything else raises."""

from __future__ import annotations

import re
from typing import Any


def ask(query: str, messages: list[str]) -> dict[str, Any]:
    """Run a query over ``AppTraces`` that holds these messages; gives the one row that it ends in."""
    table, *steps = query.split(" | ")
    assert table == "AppTraces"
    rows: list[dict[str, Any]] = [{"Message": message} for message in messages]
    for step in steps[:-1]:
        kind, _, rest = step.partition(" ")
        rows = {"where": _where, "parse": _parse}[kind](rest, rows)
    summary = re.fullmatch(r"summarize (\w+) = (count|max)\((\w*)\)", steps[-1])
    assert summary, steps[-1]
    name, function, column = summary.groups()
    values = [row[column] for row in rows] if column else []
    return {name: len(rows) if function == "count" else max(values, default=None)}


def _where(condition: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for part in condition.split(" and "):
        written = re.fullmatch(r"Message (startswith|contains|matches regex) '([^']*)'", part)
        assert written, part
        kind, wanted = written.groups()
        if kind == "matches regex":  # which minds the case, where the others do not
            rows = [row for row in rows if re.search(wanted, row["Message"])]
            continue
        tests = {"startswith": str.startswith, "contains": str.__contains__}
        rows = [row for row in rows if tests[kind](row["Message"].lower(), wanted.lower())]
    return rows


def _parse(pattern: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A row that does not fit gets nulls, as Kusto's default kind of parse gives."""
    parts = re.findall(r"'([^']*)'|(\w+):long", pattern.removeprefix("Message with "))
    expression = "".join(re.escape(literal) if literal else rf"(?P<{name}>-?\d+)" for literal, name in parts)
    names = [name for _, name in parts if name]
    parsed = []
    for row in rows:
        found = re.match(expression, row["Message"])
        parsed.append(row | {name: int(found[name]) if found else None for name in names})
    return parsed
