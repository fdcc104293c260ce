"""Assemble the OpenAPI 3.1 document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jobs.core.commands import EnqueueRequest
from jobs.entrypoints.http import problems
from jobs.entrypoints.http.answers import BatchRequest, ProblemDetails
from jobs.entrypoints.http.openapi.calls import CALLS
from jobs.entrypoints.http.openapi.examples import EXAMPLE_HANDLER, EXAMPLES
from jobs.entrypoints.http.openapi.handler_bodies import handler_bodies
from jobs.entrypoints.http.openapi.parameters import AUTHENTICATE, RETRY_AFTER
from jobs.entrypoints.http.openapi.schemas import REF, Schema, schemas_of
from jobs.entrypoints.http.problems import KINDS, TYPES, Kind
from jobs.entrypoints.http.routes import ROUTES, Role, Route
from jobs.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobs.core.handlers.registry import HandlerRegistry
    from jobs.entrypoints.http.openapi.described import CallText, Described, Header, Parameter

_CONSTRAINT = re.compile(r":\w+(?=\})")
_ENQUEUE = EnqueueRequest.__name__
_ABOUT = (
    "Background jobs, kept in Postgres. Instants are RFC 3339, in answers in UTC with `Z`; durations are ISO 8601. "
    "Numbers are exact in and out, or refused. Each error is an `application/problem+json`; rely on its `type`."
)
_TAGS = {
    "Jobs": "Enqueue and read jobs.",
    "Changes": "Change, stop and repeat jobs.",
    "Bulk": "One action on many jobs.",
    "Schedules": "What a schedule means.",
    "Operations": "The state of the app.",
    "Health": "Probes, open to everyone.",
    "Scheduler": "Called by Dapr.",
    "Document": "This document.",
}


def document(registry: HandlerRegistry) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of the app with these handlers."""
    answers = [answer.model for call in CALLS.values() for answer in call.answers.values() if answer.model is not None]
    bodies = [call.body for call in CALLS.values() if call.body is not None]
    schemas = schemas_of(dict.fromkeys(bodies), dict.fromkeys([*answers, ProblemDetails]))
    schemas["ProblemDetails"]["properties"]["type"]["enum"] = [TYPES + kind.word for kind in KINDS]
    enqueue, of_handlers = handler_bodies(registry, _ENQUEUE)
    schemas["Enqueue"] = enqueue | {"description": "A job to enqueue, by handler."}
    schemas[BatchRequest.__name__]["properties"]["jobs"]["items"] = {"$ref": REF + "Enqueue"}
    of_a_handler = (EnqueueRequest, BatchRequest)  # whose example fits no other handler
    paths: dict[str, dict[str, Any]] = {}
    for name, call in CALLS.items():
        route = ROUTES[name]
        operation = _operation(name, route, call)
        fits = call.body not in of_a_handler or registry.get(EXAMPLE_HANDLER) is not None or not of_handlers
        if call.body is not None and fits:
            operation["requestBody"]["content"]["application/json"]["example"] = EXAMPLES[call.body.__name__]
        paths.setdefault(path_of(route), {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "aether-jobs", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/", "description": "The app itself."}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": paths,
        "components": {"schemas": schemas | of_handlers, "securitySchemes": _SECURITY},
        "x-problem-types": [{"type": TYPES + kind.word, "status": kind.status, "title": kind.title} for kind in KINDS],
    }


_SECURITY = {
    "functionKey": {
        "type": "apiKey",
        "in": "header",
        "name": "x-functions-key",
        "description": "On Azure: a function key. Not needed on a developer's machine.",
    },
    "signIn": {
        "type": "http",
        "scheme": "bearer",
        "description": "With sign-in in front of the app: a token of Microsoft Entra ID with the app role of the call. "
        f"{Role.MANAGE} includes {Role.ENQUEUE}, which includes {Role.READ}.",
    },
}


def path_of(route: Route) -> str:
    """Return the path of a route as OpenAPI writes it, without constraints."""
    return "/" + _CONSTRAINT.sub("", route.path)


def _operation(name: str, route: Route, call: CallText) -> dict[str, Any]:
    role = "" if route.role is None else f"\n\nNeeds the role `{route.role}`."
    found: dict[str, Any] = {
        "operationId": name,
        "tags": [call.tag],
        "summary": call.summary,
        "description": call.description + role,
        "x-role": route.role,
        "security": [{}] if route.role is None else [{"functionKey": []}, {"functionKey": [], "signIn": [route.role]}],
        "parameters": [_parameter(each) for each in call.parameters],
        "responses": _responses(call, restricted=route.role is not None),
    }
    if call.body is not None:
        name = "Enqueue" if call.body is EnqueueRequest else call.body.__name__
        found["requestBody"] = {
            "required": call.body_required,
            "content": {"application/json": {"schema": {"$ref": REF + name}}},
        }
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "description": parameter.description,
        "required": parameter.required,
        **parameter.style,
        "schema": dict(parameter.schema),
        "example": parameter.example,
    }


def _responses(call: CallText, *, restricted: bool) -> dict[str, Any]:
    found = {str(status): _answer(answer) for status, answer in sorted(call.answers.items())}
    by_status: dict[int, list[Kind]] = {}
    for kind in call.problems(restricted=restricted):
        by_status.setdefault(kind.status, []).append(kind)
    for status, kinds in sorted(by_status.items()):
        response = _problem(kinds)
        if str(status) in found:  # a probe that answers 503 in its own words
            found[str(status)]["content"] |= response["content"]
        else:
            found[str(status)] = response
    return found


def _answer(answer: Described) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.description}
    if answer.headers:
        found["headers"] = _headers(answer.headers)
    schema: Schema = {"$ref": REF + answer.model.__name__} if answer.model else dict(answer.schema or {})
    if answer.media_type is not None:
        found["content"] = {answer.media_type: {"schema": schema}}
    return found


def _problem(kinds: list[Kind]) -> dict[str, Any]:
    examples = {
        kind.word: {
            "summary": kind.title,
            "value": {"type": TYPES + kind.word, "title": kind.title, "status": kind.status, "detail": kind.title},
        }
        for kind in kinds
    }
    headers: dict[str, Header] = {}
    if problems.UNAVAILABLE in kinds or problems.NOT_CONFIGURED in kinds:
        headers["Retry-After"] = RETRY_AFTER
    if problems.UNAUTHENTICATED in kinds:
        headers["WWW-Authenticate"] = AUTHENTICATE
    return {
        "description": "; ".join(f"`{kind.word}`: {kind.title}" for kind in kinds),
        **({"headers": _headers(headers)} if headers else {}),
        "content": {
            "application/problem+json": {"schema": {"$ref": REF + "ProblemDetails"}, "examples": examples},
        },
    }


def _headers(headers: Mapping[str, Header]) -> dict[str, Any]:
    return {
        name: {
            "description": header.description,
            "required": header.always,
            "schema": {"type": "string"},
            "example": header.example,
        }
        for name, header in headers.items()
    }
