"""The document as a page of HTML: no script, no address but its own."""

from __future__ import annotations

import json
from functools import lru_cache
from html import escape
from importlib.resources import files
from typing import Any

from jobs.entrypoints.http.openapi.schemas import REF

POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The page's Content-Security-Policy: it has a style of its own, and can load and run nothing."""


@lru_cache(maxsize=1)
def _style() -> str:
    return (files(__package__) / "page.css").read_text()


def page_of(document: dict[str, Any]) -> str:
    """Return the page of an OpenAPI 3.1 document."""
    info = document["info"]
    tags = [tag["name"] for tag in document["tags"]]
    links = "".join(f'<a href="#{escape(name)}">{escape(name)}</a>' for name in (*tags, "Schemas"))
    calls = "".join(_tag(document, tag) for tag in document["tags"])
    schemas = "".join(_schema(name, each) for name, each in document["components"]["schemas"].items())
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_style()}</style>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{_prose(info['description'])}</p>"
        '<p>As a document: <a href="openapi.json">OpenAPI 3.1</a>, <a href="openapi-3.0.json">3.0</a>.</p>'
        f'<nav>{links}</nav>{calls}<h2 id="Schemas">Schemas</h2>{schemas}</html>'
    )


def _tag(document: dict[str, Any], tag: dict[str, str]) -> str:
    found = [
        _operation(method, path, operation)
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if tag["name"] in operation["tags"]
    ]
    name = escape(tag["name"])
    return f'<h2 id="{name}">{name}</h2><p>{_prose(tag["description"])}</p>{"".join(found)}'


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    rows = [
        (
            f"<code>{escape(each['name'])}</code>",
            f"{each['in']}<br>{_type(each['schema'])}",
            _prose(each["description"]),
        )
        for each in operation["parameters"]
    ]
    answers = [
        (status, _body(answer), _prose(answer["description"])) for status, answer in operation["responses"].items()
    ]
    body = operation.get("requestBody")
    sent = f"<h4>Body</h4>{_content(body['content'])}" if body else ""
    return (
        f'<details id="{escape(operation["operationId"])}"><summary><span class="method">{method.upper()}</span>'
        f"<code>{escape(path)}</code> {escape(operation['summary'])}"
        f'<span class="role">{escape(operation["x-role"] or "open")}</span></summary><div>'
        f"<p>{_prose(operation['description'])}</p>{_table('Parameters', rows)}{sent}{_table('Answers', answers)}"
        "</div></details>"
    )


def _content(content: dict[str, Any]) -> str:
    [(media_type, body)] = content.items()
    example = escape(json.dumps(body["example"], indent=2, ensure_ascii=False)) if "example" in body else ""
    return f"<p>{escape(media_type)}: {_type(body['schema'])}</p>{example and f'<pre>{example}</pre>'}"


def _body(answer: dict[str, Any]) -> str:
    return "<br>".join(_type(body["schema"]) or escape(kind) for kind, body in answer.get("content", {}).items())


def _schema(name: str, schema: dict[str, Any]) -> str:
    variants = [each["properties"] for each in (schema, *schema.get("anyOf", [])) if "properties" in each]
    properties: dict[str, Any] = variants[0] if variants else {}
    rows = [(f"<code>{escape(field)}</code>", _type(each), _meaning(each)) for field, each in properties.items()]
    rest = "" if rows else f"<pre>{escape(json.dumps(schema, indent=2, ensure_ascii=False))}</pre>"
    text = _prose(schema.get("description", ""))
    return (
        f'<details id="schema-{escape(name)}"><summary><code>{escape(name)}</code></summary><div><p>{text}</p>'
        f"{_table('Fields', rows)}{rest}</div></details>"
    )


def _meaning(schema: dict[str, Any]) -> str:
    unit = f" In {escape(schema['x-unit'])}." if "x-unit" in schema else ""
    examples = [escape(json.dumps(each, ensure_ascii=False)) for each in schema.get("examples", [])[:1]]
    example = "".join(f"<br>Such as <code>{each}</code>" for each in examples)
    return f"{_prose(schema.get('description', ''))}{unit}{example}"


def _type(schema: Any) -> str:
    """Return a schema's type in a few words, as HTML."""
    if not isinstance(schema, dict):
        return "JSON"
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(REF))
        return f'<a href="#schema-{name}">{name}</a>'
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " or ".join(_type(each) for each in schema[word])
    if "enum" in schema:
        return ", ".join(f"<code>{escape(json.dumps(each))}</code>" for each in schema["enum"])
    kind = schema.get("type", "JSON")
    if kind == "array":
        return f"list of {_type(schema.get('items'))}"
    return escape(str(schema.get("format", kind)))


def _prose(text: str) -> str:
    """Return text with its code spans marked."""
    pieces = escape(text).split("`")
    return "".join(f"<code>{piece}</code>" if place % 2 else piece for place, piece in enumerate(pieces))


def _table(title: str, rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<h4>{title}</h4><table>{body}</table>"
