"""As much of the Kusto query language as alerts and the workbook are written in; anything else raises."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
# A line that was logged, and a call that was answered, as Application Insights keeps them in a workspace.
TABLES = {
    "AppTraces": {"Message": "", "SeverityLevel": 1, "TimeGenerated": "t"},
    "AppRequests": {"ResultCode": "", "Url": "", "TimeGenerated": "t"},
}
_NUMBERS = {">=": operator.ge, ">": operator.gt}


def ask(query: str, messages: list[str]) -> Row:
    """Run a query over ``AppTraces`` that holds these messages; gives the one row that it ends in."""
    [row] = table(query, [{"Message": message} for message in messages])
    return row


def table(query: str, rows: list[Row]) -> list[Row]:
    """Run a query over its table that holds these rows; gives the rows that it ends in."""
    name, *steps = query.split(" | ")
    rows = [TABLES[name] | row for row in rows]
    kinds: dict[str, Callable[[str, list[Row]], list[Row]]] = {
        "where": _where, "parse": _parse, "extend": _extend, "summarize": _summarize,
    }  # fmt: skip
    for step in steps:
        kind, _, rest = step.partition(" ")
        assert kind in kinds, step
        rows = kinds[kind](rest, rows)
    return rows


def _where(condition: str, rows: list[Row]) -> list[Row]:
    for part in condition.split(" and "):
        rows = [row for row in rows if _holds(part, row)]
    return rows


def _holds(part: str, row: Row) -> bool:
    if compared := re.fullmatch(r"(toint\()?(\w+)\)? (>=|>) (\d+)", part):
        to_int, name, sign, number = compared.groups()
        value = row[name]
        if to_int:  # null of a text that is no number, and a comparison with null is false
            return value.isdecimal() and _NUMBERS[sign](int(value), int(number))
        return bool(_NUMBERS[sign](value, int(number)))
    if filled := re.fullmatch(r"isnotempty\((\w+)\)", part):
        return row[filled[1]] != ""
    written = re.fullmatch(r"(\w+) (startswith|contains|!endswith|matches regex) '([^']*)'", part)
    assert written, part
    name, kind, wanted = written.groups()
    if kind == "matches regex":  # which minds the case, where the others do not
        return re.search(wanted, row[name]) is not None
    tests = {"startswith": str.startswith, "contains": str.__contains__, "!endswith": lambda *of: not str.endswith(*of)}
    return bool(tests[kind](row[name].lower(), wanted.lower()))


def _parse(pattern: str, rows: list[Row]) -> list[Row]:
    """A row that does not fit gets nulls, as Kusto's default kind of parse gives."""
    parts = re.findall(r"'([^']*)'|(\w+):long", pattern.removeprefix("Message with "))
    expression = "".join(re.escape(literal) if literal else rf"(?P<{name}>-?\d+)" for literal, name in parts)
    names = [name for _, name in parts if name]
    parsed = []
    for row in rows:
        found = re.match(expression, row["Message"])
        parsed.append(row | {name: int(found[name]) if found else None for name in names})
    return parsed


def _extend(written: str, rows: list[Row]) -> list[Row]:
    """What does not match is an empty text."""
    columns = re.findall(r"(\w+) = extract\('([^']*)', (\d), (\w+)\)", written)
    assert ", ".join(f"{n} = extract('{e}', {g}, {c})" for n, e, g, c in columns) == written, written
    for name, expression, group, column in columns:
        for row in rows:
            found = re.search(expression, row[column])
            row[name] = found[int(group)] if found else ""
    return rows


def _summarize(written: str, rows: list[Row]) -> list[Row]:
    """Without ``by`` there is one row, of no rows too; with it there is one for each combination that there is."""
    columns, _, keys = written.partition(" by ")
    found = re.findall(r"(\w+) = (count|max)\((\w*)\)", columns)
    assert ", ".join(f"{name} = {function}({of})" for name, function, of in found) == columns, columns
    by = re.findall(r"bin\((\w+), \d+m\)|(\w+)", keys)
    names = [binned or plain for binned, plain in by]
    groups: dict[tuple[Any, ...], list[Row]] = {} if names else {(): []}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in names), []).append(row)

    def value(function: str, of: str, group: list[Row]) -> Any:
        if function == "count":
            return len(group)
        return max((row[of] for row in group if row[of] is not None), default=None)

    return [
        dict(zip(names, key, strict=True)) | {name: value(function, of, group) for name, function, of in found}
        for key, group in groups.items()
    ]
