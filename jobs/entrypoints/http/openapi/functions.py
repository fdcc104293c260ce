"""HTTP functions that answer with the document: OpenAPI 3.1 and 3.0, and a page to read."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING

import azure.functions as func

from jobs.entrypoints.http.exchange import add_function
from jobs.entrypoints.http.openapi.document import document
from jobs.entrypoints.http.openapi.downgrade import downgraded
from jobs.entrypoints.http.openapi.page import POLICY, page_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.runtime import Runtime
    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.entrypoints.http.access import Access


def openapi_blueprint(runtime: Callable[[], Runtime], access: Access) -> func.Blueprint:
    """Return the blueprint of ``api/openapi.json``, ``api/openapi-3.0.json`` and ``api/docs``."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]

    def add(name: str, text_of: Callable[[HandlerRegistry], str], media_type: str, **headers: str) -> None:
        made = lru_cache(maxsize=1)(text_of)
        add_function(blueprint, access, name, lambda _: _answer(made(runtime().registry), media_type, headers))

    add("get_openapi", openapi_text, "application/json")
    add("get_openapi_3_0", openapi_3_0_text, "application/json")
    add("get_docs", lambda registry: page_of(document(registry)), "text/html", Content_Security_Policy=POLICY)
    return blueprint


def openapi_text(registry: HandlerRegistry) -> str:
    """Return the document in OpenAPI 3.1."""
    return json.dumps(document(registry), ensure_ascii=False)


def openapi_3_0_text(registry: HandlerRegistry) -> str:
    """Return the document in OpenAPI 3.0.3."""
    return json.dumps(downgraded(document(registry)), ensure_ascii=False)


def _answer(text: str, media_type: str, headers: dict[str, str]) -> func.HttpResponse:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpResponse(text, headers=named, mimetype=media_type, charset="utf-8")
