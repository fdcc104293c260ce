"""Writes the tables of `docs/reference/http-api.md` from the OpenAPI document.

`python -m tests.docs.http_page` puts them into the page.
"""

from __future__ import annotations

import json
import re
from typing import Any

from jobs.core.handlers.registry import HandlerRegistry
from jobs.entrypoints.http.openapi.document import document
from tests.docs.pages import REFERENCE

PAGE = REFERENCE / "http-api.md"
MARKED = re.compile(r"(<!-- openapi: (\S+) -->\n).*?(<!-- /openapi -->)", re.DOTALL)
_REF = "#/components/schemas/"


def written() -> str:
    """Return the page with each marked table as the document has it."""
    made = document(HandlerRegistry())
    return MARKED.sub(lambda found: found[1] + _table(made, found[2]) + found[3], PAGE.read_text())


def _table(made: dict[str, Any], name: str) -> str:
    schemas = made["components"]["schemas"]
    if name == "calls":
        return _rows(["call", "role", "function", "answers"], _calls(made))
    if name == "problems":
        rows = [[f"`{each['type'].rpartition(':')[2]}`", each["status"], each["title"]] for each in _kinds(made)]
        return _rows(["type", "status", "title"], rows)
    if name.startswith("query:"):
        return _rows(["parameter", "type", "meaning"], _parameters(made, name.partition(":")[2]))
    schema = next(each for each in (schemas[name], *schemas[name].get("anyOf", [])) if "properties" in each)
    sent = any(name == each.rpartition("/")[2] for each in _sent(made))
    head = ["field", "type", "default", "meaning"] if sent else ["field", "type", "meaning"]
    rows = []
    for field, each in schema["properties"].items():
        default = [_default(field, each, schema)] if sent else []
        unit = f" In {each['x-unit']}." if each.get("x-unit") in {"seconds", "attempts per second"} else ""
        rows.append([f"`{field}`", _type(each, schemas), *default, f"{each['description']}{unit}"])
    return _rows(head, rows)


def _kinds(made: dict[str, Any]) -> list[dict[str, Any]]:
    return list(made["x-problem-types"])


def _sent(made: dict[str, Any]) -> set[str]:
    """Return the schemas that callers send, and those within them."""
    found: set[str] = set()
    waiting = [json.dumps(call.get("requestBody")) for path in made["paths"].values() for call in path.values()]
    while waiting:
        for name in re.findall(rf'"{_REF}([^"]+)"', waiting.pop()):
            if name not in found:
                found.add(name)
                waiting.append(json.dumps(made["components"]["schemas"][name]))
    return {_REF + name for name in found}


def _calls(made: dict[str, Any]) -> list[list[str]]:
    rows = []
    for path, operations in made["paths"].items():
        for method, call in operations.items():
            good = [
                f"{status}: {answer['description']}" for status, answer in call["responses"].items() if status < "4"
            ]
            bad = [status for status in call["responses"] if "4" < status < "5" and status not in {"401", "403"}]
            role = (
                f"`{call['x-role']}`" if call["x-role"] else "a callback token" if path.startswith("/job/") else "open"
            )
            answers = "; ".join(good) + (f"; {', '.join(bad)}" if bad else "")
            rows.append([f"`{method.upper()} {path}`", role, f"`{call['operationId']}`", answers])
    return rows


def _parameters(made: dict[str, Any], name: str) -> list[list[str]]:
    calls = [call for path in made["paths"].values() for call in path.values()]
    [call] = [each for each in calls if each["operationId"] == name]
    found = [each for each in call["parameters"] if each["in"] == "query"]
    return [
        [
            f"`{'metadata.KEY' if each['name'] == 'metadata' else each['name']}`",
            _type(each["schema"], made["components"]["schemas"]),
            each["description"],
        ]
        for each in found
    ]


def _default(field: str, schema: dict[str, Any], of: dict[str, Any]) -> str:
    if field in of.get("required", []):
        return "required"
    default = schema.get("default")
    return "" if default is None else f"`{json.dumps(default) if not isinstance(default, str) else default}`"


def _type(schema: dict[str, Any], schemas: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        referred = schemas[name]
        return _type(referred, schemas) if "enum" in referred else _object_name(name)
    if "anyOf" in schema:
        return " or ".join(_type(each, schemas) for each in schema["anyOf"])
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    kind = schema.get("format") or schema.get("type", "JSON")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}), schemas)}"
    words = {"date-time": "instant", "string": "text", "uuid": "UUID"}
    return words.get(kind, kind) + _bounds(schema)


def _object_name(name: str) -> str:
    return f"object `{name}`"


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum", schema.get("minLength")), schema.get("maximum", schema.get("maxLength"))
    unit = " characters" if "maxLength" in schema else ""
    return f", {low:,} to {high:,}{unit}" if low is not None and high is not None else ""


def _rows(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(written())
