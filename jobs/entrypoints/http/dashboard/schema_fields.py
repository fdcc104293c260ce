"""A form made of a handler's JSON Schema: one field for each argument that a form can show, JSON text for the rest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobs.core.strict_json import exact_json
from jobs.entrypoints.http.dashboard.html import pretty_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Schema = dict[str, Any]
_MISSING = object()
_DEEPEST = 4
_LONG = 100
_FORMATS = {"date": "date", "email": "email", "uri": "url"}


@dataclass(frozen=True, slots=True)
class FormField:
    """A field of the form. ``kind`` is text, long, secret, integer, number, boolean, choice, json or object.

    ``value`` is the text that the control has at first. ``choices`` are pairs of JSON text and label.
    """

    pointer: str
    name: str
    kind: str
    required: bool
    label: str
    description: str = ""
    value: str = ""
    input_type: str = "text"
    default: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    children: tuple[FormField, ...] = field(default=())


def form_fields(schema: Schema, payload: Any = _MISSING, *, keeps_secrets: bool = False) -> list[FormField] | None:
    """Return the fields of a payload's schema; None where only JSON text will do: for what is no object, or any object.

    ``payload`` are the values at first. Secret values are never among them; with ``keeps_secrets`` a secret that is
    left empty stays as it is.
    """
    reader = _Reader(schema.get("$defs", {}), keeps_secrets=keeps_secrets)
    root = reader.resolved(schema)
    given = payload if isinstance(payload, dict) else {}
    open_ended = not root.get("properties") and root.get("additionalProperties")
    if root.get("type") != "object" or open_ended or _has_more(root, given):
        return None
    return list(reader.members(root, "", given, 0))


def _has_more(schema: Schema, value: Mapping[str, Any]) -> bool:
    """Whether an object has members that its schema does not name: a form without them would lose them."""
    return not value.keys() <= schema.get("properties", {}).keys()


class _Reader:
    def __init__(self, definitions: Mapping[str, Schema], *, keeps_secrets: bool) -> None:
        self._definitions = definitions
        self._keeps_secrets = keeps_secrets

    def resolved(self, schema: Schema) -> Schema:
        """Return a schema with its reference followed, and of a value or null the schema of the value."""
        for _ in range(10):
            others = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
            if "$ref" in schema:
                target = self._definitions.get(schema["$ref"].rpartition("/")[2], {})
                schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
            elif "anyOf" in schema and len(others) == 1:
                schema = {**others[0], **{name: value for name, value in schema.items() if name != "anyOf"}}
            else:
                break
        return schema

    def members(self, schema: Schema, pointer: str, values: Mapping[str, Any], depth: int) -> Iterator[FormField]:
        """Yield the fields of an object."""
        required = schema.get("required", ())
        for name, each in schema.get("properties", {}).items():
            step = name.replace("~", "~0").replace("/", "~1")
            yield self._field(each, name, f"{pointer}/{step}", name in required, values.get(name, _MISSING), depth)

    def _field(self, raw: Schema, name: str, pointer: str, required: bool, value: Any, depth: int) -> FormField:  # noqa: FBT001
        schema = self.resolved(raw)
        nullable = schema is not raw and any(each.get("type") == "null" for each in raw.get("anyOf", ()))
        kind = self._kind(schema, value, depth)
        default = schema.get("default", _MISSING)
        common: dict[str, Any] = {
            "pointer": pointer,
            "name": name,
            "required": required and not nullable,
            "label": name,
            "description": schema.get("description", ""),
            "default": "" if default in (_MISSING, None) else exact_json(default),
        }
        if kind == "object":
            inner = value if isinstance(value, dict) else {}
            children = tuple(self.members(schema, pointer, inner, depth + 1))
            return FormField(kind=kind, children=children, **common)
        if kind == "secret" and self._keeps_secrets and value is not _MISSING:
            common |= {"default": "unchanged", "required": False}
        return FormField(
            kind=kind,
            value=_shown(kind, value),
            input_type=_FORMATS.get(schema.get("format", ""), "text"),
            choices=_choices(schema),
            **common,
        )

    def _kind(self, schema: Schema, value: Any, depth: int) -> str:
        if schema.get("x-sensitive"):
            return "secret"
        if "enum" in schema or "const" in schema:
            return "choice"
        match schema.get("type"):
            case "string" if value is _MISSING or isinstance(value, str):
                lines = isinstance(value, str) and ("\n" in value or len(value) > _LONG)
                return "long" if lines or schema.get("maxLength", 0) > 4 * _LONG else "text"
            case "integer" | "number" | "boolean" as plain if not isinstance(value, dict | list | str):
                return str(plain)
            case "object" if depth < _DEEPEST and schema.get("properties") and _fits(schema, value):
                return "object"
            case _:
                return "json"


def _fits(schema: Schema, value: Any) -> bool:
    return value is _MISSING or (isinstance(value, dict) and not _has_more(schema, value))


def _shown(kind: str, value: Any) -> str:
    if kind == "secret" or value is _MISSING:
        return ""
    if kind in {"text", "long"}:
        return str(value)
    if value is None and kind != "json":
        return ""
    return pretty_json(value) if kind == "json" else exact_json(value)


def _choices(schema: Schema) -> tuple[tuple[str, str], ...]:
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    return tuple((exact_json(each), each if isinstance(each, str) else exact_json(each)) for each in values)
