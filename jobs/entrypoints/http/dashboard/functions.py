"""The dashboard's two HTTP functions: its frame, for everyone, and its views, for those who may read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import azure.functions as func

from jobs.entrypoints.http.dashboard.frame import HEADERS, frame_response
from jobs.entrypoints.http.dashboard.visit import DashboardOptions, Visit
from jobs.entrypoints.http.exchange import Call, add_function
from jobs.entrypoints.http.problems import Refusal, problem_response
from jobs.entrypoints.http.routes import ROUTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.app.runtime import Runtime
    from jobs.entrypoints.http.access import Access
    from jobs.entrypoints.http.callback_tokens import CallbackTokens


def dashboard_blueprint(
    runtime: Callable[[], Runtime], access: Access, tokens: CallbackTokens, options: DashboardOptions
) -> func.Blueprint:
    """Return the blueprint of ``dashboard/…``."""
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    add_function(
        blueprint, access, "dashboard_fragment", lambda call: fragment_response(runtime(), call, tokens, options)
    )
    page = ROUTES["dashboard_page"]

    @blueprint.function_name("dashboard_page")
    @blueprint.route(page.path, methods=page.methods, auth_level=func.AuthLevel.ANONYMOUS)
    def dashboard_page(req: func.HttpRequest) -> func.HttpResponse:
        try:
            return frame_response(req.url, req.route_params.get("path", ""), req.headers.get("if-none-match", ""))
        except Refusal as refusal:
            return problem_response(refusal, None)

    return blueprint


def fragment_response(
    runtime: Runtime, call: Call, tokens: CallbackTokens, options: DashboardOptions
) -> func.HttpResponse:
    """Return a view as HTML, without the frame around it. It is kept by nobody; its ETag says whether it changed."""
    # Imported for the first view: the template engine is nothing that a start, or any other call, should pay for.
    from jobs.entrypoints.http.dashboard.html import render  # noqa: PLC0415
    from jobs.entrypoints.http.dashboard.views.all import view_of  # noqa: PLC0415

    path = tuple(segment for segment in call.request.route_params.get("path", "").split("/") if segment)
    visit = Visit(runtime, call, tokens, options, path, call.parameters())
    text = render(view_of(visit), visit)
    headers = {**HEADERS, "Cache-Control": "no-store", "Vary": "x-functions-key, authorization, cookie"}
    return func.HttpResponse(text, headers=headers, mimetype="text/html", charset="utf-8")
