"""Responses for requests that no other route matches: 404, 405 with ``Allow``, and OPTIONS.

The Functions host answers an unknown path and an unsupported method alike: 404 without a body. It tries its routes in
the order of the functions' names, whatever their templates, and uses the first that matches. So a function that matches
every path serves only the remaining requests if its name sorts after all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import azure.functions as func

from jobs.entrypoints.http.exchange import Call, add_function
from jobs.entrypoints.http.problems import METHOD_NOT_ALLOWED, NO_ROUTE, NOT_FOUND, Refusal
from jobs.entrypoints.http.routes import ANY_METHOD
from jobs.entrypoints.http.routing.templates import Template, parse_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from azure.functions.decorators.function_app import DecoratorApi

    from jobs.entrypoints.http.access import Access

NAME = "zz_unmatched"
_ID = ":guid"
_NO_CALL = (
    "no call of this API has that path; jobs are at /api/jobs and /api/jobs/{id}, and GET /api/handlers lists what "
    "can run"
)


class Served(NamedTuple):
    """A route's template, the same without the constraint on ids, and its methods."""

    template: Template
    any_id: Template
    methods: frozenset[str]


def unmatched_blueprint(access: Access, others: Iterable[DecoratorApi]) -> func.Blueprint:
    """Return the blueprint of the function for requests that no function of ``others`` matches.

    It requires a function key like the others: without one the host answers 401 for every path, which reveals nothing.
    """
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    served = tuple(_served(others))
    add_function(blueprint, access, NAME, lambda call: _answer(served, call))
    return blueprint


def _served(blueprints: Iterable[DecoratorApi]) -> Iterable[Served]:
    """Yield the routes of blueprints, read from a temporary app: an app returns its functions only once."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for blueprint in blueprints:
        app.register_functions(blueprint)
    for function in app.get_functions():
        trigger = function.get_trigger()
        described = trigger.get_dict_repr() if trigger is not None else {}
        if described.get("type") == "httpTrigger":
            route = str(described["route"])
            methods = frozenset(str(getattr(method, "value", method)) for method in described["methods"])
            yield Served(parse_template(route), parse_template(route.replace(_ID, "")), methods)


def _answer(served: Sequence[Served], call: Call) -> func.HttpResponse:
    path = "/" + call.request.route_params.get("path", "")
    allowed = {method for each in served if each.template.match(path) is not None for method in each.methods}
    if allowed:
        allow = ", ".join(method for method in ANY_METHOD if method in allowed | {"OPTIONS"})
        if call.request.method == "OPTIONS":
            return func.HttpResponse(status_code=204, headers={"Allow": allow})
        raise Refusal(METHOD_NOT_ALLOWED, f"{call.request.method} does nothing here; there are {allow}", Allow=allow)
    for each in served:
        values = each.any_id.match(path)
        if values is not None and _ID in each.template.text:
            raise Refusal(NOT_FOUND, f"{values['id']!r} is no job id; write it as the answer to the enqueue had it")
    raise Refusal(NO_ROUTE, _NO_CALL)
