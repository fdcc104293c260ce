"""The OpenAPI document: valid, whole, and true of the functions and handlers of the app."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from pydantic import BaseModel, Field

from jobs.core.handlers.registry import HandlerRegistry
from jobs.entrypoints.functions import build_app
from jobs.entrypoints.http.openapi.calls import CALLS
from jobs.entrypoints.http.openapi.document import document, path_of
from jobs.entrypoints.http.openapi.downgrade import downgraded
from jobs.entrypoints.http.openapi.examples import EXAMPLES
from jobs.entrypoints.http.openapi.page import page_of
from jobs.entrypoints.http.problems import KINDS, TYPES
from jobs.entrypoints.http.routes import ROUTES, Role
from jobs.settings import Settings
from tests.conformance import Conformance


class Address(BaseModel):
    street: str
    number: int | None = None


class Parcel(BaseModel):
    to: Address
    weight: float = Field(gt=0, description="In kilograms.")
    kind: Literal["letter"] | None = None
    pair: tuple[int, str] = (1, "one")


class Nothing(BaseModel):
    pass


class Odd(BaseModel, arbitrary_types_allowed=True):
    callback: timedelta | object


def registry_of(**handlers: type[BaseModel]) -> HandlerRegistry:
    registry = HandlerRegistry()
    for name, model in handlers.items():

        def handle(args: Any) -> None:
            """Send it.

            This line is for readers of the code.
            """

        handle.__annotations__["args"] = model
        registry.add_handler(name.replace("__", " & "), handle)
    return registry


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    return document(registry_of(Send=Parcel, Wait=Nothing, Odd__strange=Parcel))


def properties(made: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, schema in made["components"]["schemas"].items():
        if name.startswith("Enqueue_"):
            continue
        for each in (schema, *schema.get("anyOf", [])):
            for field, described in each.get("properties", {}).items():
                yield name, field, described


def test_the_document_is_valid_openapi_3_1(made):
    OpenAPIV31SpecValidator(made).validate()


def test_its_copy_is_valid_openapi_3_0(made):
    OpenAPIV30SpecValidator(downgraded(made)).validate()


def schemas_of(made):
    """The document without its calls, which are the same whatever the handlers are, and take seconds to validate."""
    return made | {"paths": {}}


def test_an_app_without_handlers_has_a_valid_document_too():
    made = document(HandlerRegistry())
    OpenAPIV31SpecValidator(schemas_of(made)).validate()
    OpenAPIV30SpecValidator(downgraded(made)).validate()


def test_the_copy_has_no_keyword_that_3_0_does_not_know(made):
    text = json.dumps(downgraded(made))
    for keyword in ("const", "propertyNames", "prefixItems", "$defs"):
        assert f'"{keyword}":' not in text, keyword
    assert '"type": "null"' not in text


def test_every_http_function_is_described_and_no_other(made):
    assert {*CALLS} == {*ROUTES} - {"zz_unmatched", "dashboard_page", "dashboard_fragment"}
    described = {call["operationId"] for path in made["paths"].values() for call in path.values()}
    assert described == {*CALLS}


@pytest.mark.parametrize("name", CALLS)
def test_each_call_is_at_the_route_that_is_served_and_names_its_role(made, name):
    route = ROUTES[name]
    operation = made["paths"][path_of(route)][route.method.lower()]
    assert (operation["operationId"], operation["x-role"]) == (name, route.role)
    if route.role is not None:
        assert f"`{route.role}`" in operation["description"]
        assert operation["security"][-1]["signIn"] == [route.role]
    in_path = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
    assert in_path == set(re.findall(r"\{(\w+)\}", path_of(route)))


def test_every_field_has_a_description_and_an_example(made):
    lacking = [
        f"{name}.{field}"
        for name, field, described in properties(made)
        if not described.get("description") or not described.get("examples")
    ]
    assert not lacking


def test_every_number_has_a_unit(made):
    lacking = [
        f"{name}.{field}"
        for name, field, described in properties(made)
        if re.search('"type": "(integer|number)"', json.dumps(described)) and "x-unit" not in described
    ]
    assert not lacking


def test_every_parameter_and_header_has_a_description_and_an_example(made):
    for path in made["paths"].values():
        for call in path.values():
            headers = [each for answer in call["responses"].values() for each in answer.get("headers", {}).values()]
            for each in [*call["parameters"], *headers]:
                assert each["description"], each
                assert each["example"] not in {None, ""} if isinstance(each["example"], str) else True


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_what_its_schema_takes(name):
    made = document(HandlerRegistry())
    schemas = made["components"]["schemas"]
    assert name in schemas
    faults = Draft202012Validator(schemas[name] | {"components": made["components"]}).iter_errors(EXAMPLES[name])
    assert not [f"{fault.json_path}: {fault.message}" for fault in faults]


def test_every_problem_type_is_listed_and_can_be_what_some_call_answers(made):
    every = {TYPES + kind.word for kind in KINDS}
    assert set(made["components"]["schemas"]["ProblemDetails"]["properties"]["type"]["enum"]) == every
    assert {each["type"] for each in made["x-problem-types"]} == every
    answered = {
        example["value"]["type"]
        for path in made["paths"].values()
        for call in path.values()
        for answer in call["responses"].values()
        for example in answer.get("content", {}).get("application/problem+json", {}).get("examples", {}).values()
    }
    of_no_call = {"not-found", "method-not-allowed"}  # of addresses and methods that no call has
    assert every - answered == {TYPES + word for word in of_no_call}


# --- handlers


def faults_of(made: dict[str, Any], body: dict[str, Any]) -> list[str]:
    schema = {"$ref": "#/components/schemas/Enqueue", "components": made["components"]}
    return [fault.message for fault in Draft202012Validator(schema).iter_errors(body)]


def test_a_body_is_one_of_the_handlers_with_its_own_payload(made):
    parcel = {"to": {"street": "Main"}, "weight": 1.5}
    assert not faults_of(made, {"handler_name": "Send", "job_name": "a", "payload": parcel})
    assert not faults_of(made, {"handler_name": "Odd & strange", "job_name": "a", "payload": parcel})
    assert not faults_of(made, {"handler_name": "Wait", "job_name": "a"})
    assert faults_of(made, {"handler_name": "Send", "job_name": "a", "payload": parcel | {"weight": 0}})
    assert faults_of(made, {"handler_name": "Send", "job_name": "a"})
    assert faults_of(made, {"handler_name": "Wait", "job_name": "a", "misspelt": 1})
    assert faults_of(made, {"handler_name": "Unknown", "job_name": "a"})


def test_the_handlers_of_an_app_are_told_apart_by_their_name(made):
    mapping = made["components"]["schemas"]["Enqueue"]["discriminator"]["mapping"]
    assert {*mapping} == {"Send", "Wait", "Odd & strange"}
    for name, reference in mapping.items():
        schema = made["components"]["schemas"][reference.rpartition("/")[2]]
        assert schema["allOf"][1]["properties"]["handler_name"]["const"] == name
        assert schema["description"] == "Send it."


def test_names_that_differ_only_in_what_no_schema_can_be_called_do_not_collide():
    registry = HandlerRegistry()
    for name in ("a b", "a/b", "a_b"):

        def handle(args: Nothing) -> None:
            pass

        registry.add_handler(name, handle)
    made = document(registry)
    OpenAPIV31SpecValidator(schemas_of(made)).validate()
    assert len(set(made["components"]["schemas"]["Enqueue"]["discriminator"]["mapping"].values())) == 3


def test_a_model_of_which_no_schema_can_be_made_does_not_hide_the_rest():
    made = document(registry_of(Odd=Odd, Send=Parcel))
    OpenAPIV31SpecValidator(schemas_of(made)).validate()
    assert "Enqueue_Send" in made["components"]["schemas"]


# --- the page


def test_the_page_has_every_call_and_loads_nothing(made):
    page = page_of(made)
    for name in CALLS:
        assert f'id="{name}"' in page
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=[\"\'](?!#|openapi)", page)
    assert "http:" not in page
    assert "https:" not in page


def test_names_of_a_user_are_text_on_the_page_and_no_markup():
    registry = HandlerRegistry()

    def handle(args: Nothing) -> None:
        """<script>alert(1)</script>"""

    registry.add_handler("<img src=x onerror=alert(1)>", handle)
    page = page_of(document(registry))
    assert "<script" not in page
    assert "<img" not in page


# --- the check that all tests of the API use


def answered(status: int, body: Any, kind: str = "application/json", **headers: str) -> httpx.Response:
    request = httpx.Request("GET", "http://app/api/handlers")
    known = {"content-type": kind, "etag": '"1"'}
    return httpx.Response(status, json=body, headers=known | headers, request=request)


def test_an_answer_that_the_document_has_is_passed():
    Conformance(HandlerRegistry()).check(answered(200, {"handlers": []}))


@pytest.mark.parametrize(
    "answer",
    [
        answered(200, {"handlers": [], "more": 1}),
        answered(200, {}),
        answered(200, {"handlers": {}}),
        answered(418, {"handlers": []}),
        answered(200, {"handlers": []}, "text/plain"),
    ],
)
def test_any_other_answer_is_not(answer):
    with pytest.raises(AssertionError):
        Conformance(HandlerRegistry()).check(answer)


def test_the_roles_of_the_document_are_those_of_the_app():
    app = build_app(lambda: pytest.fail("nothing is called"), Settings(scheduler="timer"))
    served = {function.get_function_name() for function in app.get_functions()}
    assert {*CALLS} <= served
    assert {route.role for route in ROUTES.values()} == {None, *Role}
