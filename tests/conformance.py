"""Holds answers of the HTTP API to its OpenAPI document: each status, type and body must be in it."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, FormatChecker

from jobs.entrypoints.http.openapi.document import document

if TYPE_CHECKING:
    import httpx

    from jobs.core.handlers.registry import HandlerRegistry

_PLACEHOLDER = re.compile(r"\{\w+\}")


class Conformance:
    """Checks answers against the document of an app. A field that the document lacks is a fault too."""

    def __init__(self, registry: HandlerRegistry) -> None:
        self.document = document(registry)
        self._components = deepcopy(self.document["components"])
        for schema in self._components["schemas"].values():
            if "properties" in schema:
                schema.setdefault("additionalProperties", False)
        # The longest first, so that a literal is tried before a parameter that would match it too.
        paths = sorted(self.document["paths"], key=lambda path: (path.count("{"), -len(path)))
        self._paths = {path: re.compile(_PLACEHOLDER.sub("[^/]+", path) + "/?") for path in paths}

    def check(self, answer: httpx.Response) -> None:
        """Raise ``AssertionError`` for an answer that the document does not have."""
        method, path = answer.request.method.lower(), answer.request.url.path
        found = next((each for each, pattern in self._paths.items() if pattern.fullmatch(path)), None)
        operation = self.document["paths"].get(found, {}).get("get" if method == "head" else method)
        if operation is None or path.startswith("/job/") or (answer.status_code == 404 and _is_no_id(path)):
            return
        answer.read()
        told = f"{method.upper()} {path} was answered {answer.status_code}: {answer.text[:2000]}"
        assert str(answer.status_code) in operation["responses"], f"not in the document: {told}"
        response = operation["responses"][str(answer.status_code)]
        for name, header in response.get("headers", {}).items():
            assert name in answer.headers or not header["required"], f"there is no {name}; {told}"
        if method == "head" or "content" not in response:
            assert not answer.content, told
            return
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in response["content"], f"{kind} is not in the document: {told}"
        if kind.endswith("json"):
            self._check_body(response["content"][kind]["schema"], json.loads(answer.text), told)

    def _check_body(self, schema: dict[str, Any], body: Any, told: str) -> None:
        validator = Draft202012Validator(schema | {"components": self._components}, format_checker=FormatChecker())
        faults = [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(body)]
        assert not faults, f"{faults[:5]}; {told}"


def _is_no_id(path: str) -> bool:
    return not re.search("[0-9a-fA-F-]{32,}", path)
