"""The form that a handler's arguments become."""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field, RootModel

from jobs.core.handlers.arguments.sensitive import Sensitive
from jobs.entrypoints.http.dashboard.schema_fields import form_fields

HUGE = 1234567890123456789012345678901234567890


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Card(BaseModel):
    number: Annotated[str, Sensitive()]
    holder: str | None = None


class Args(BaseModel):
    name: str = Field(description="Who.")
    count: int = 3
    share: float | None = None
    on: bool = False
    day: date | None = None
    colour: Colour
    card: Card
    tags: list[str] = []
    either: int | str = 1
    essay: str = Field(default="", max_length=5000)


def fields(model: type[BaseModel] = Args, *payload: Any, **options: Any) -> dict[str, Any]:
    return {each.name: each for each in form_fields(model.model_json_schema(), *payload, **options) or []}


def test_each_argument_has_a_control_of_its_kind():
    kinds = {name: each.kind for name, each in fields().items()}
    assert kinds == {
        "name": "text",
        "count": "integer",
        "share": "number",
        "on": "boolean",
        "day": "text",
        "colour": "choice",
        "card": "object",
        "tags": "json",
        "either": "json",
        "essay": "long",
    }
    found = fields()
    assert found["day"].input_type == "date"
    assert found["colour"].choices == (('"red"', "red"), ('"blue"', "blue"))
    assert [each.kind for each in found["card"].children] == ["secret", "text"]
    assert [each.pointer for each in found["card"].children] == ["/card/number", "/card/holder"]


def test_what_must_be_given_is_marked_and_what_need_not_says_its_default():
    found = fields()
    assert {name for name, each in found.items() if each.required} == {"name", "colour", "card"}
    assert (found["count"].default, found["on"].default, found["share"].default) == ("3", "false", "")
    assert found["name"].description == "Who."


def test_values_stand_in_the_form_exactly_and_secrets_do_not():
    payload = {
        "name": "a\nb",
        "count": HUGE,
        "card": {"number": "4111", "holder": "Ann"},
        "tags": ["x", 1.0],
        "on": True,
    }
    found = fields(Args, payload)
    assert (found["name"].kind, found["name"].value) == ("long", "a\nb")
    assert found["count"].value == str(HUGE)
    assert found["on"].value == "true"
    assert found["tags"].value == '[\n  "x",\n  1.0\n]'
    number, holder = found["card"].children
    assert (number.value, holder.value) == ("", "Ann")


def test_a_secret_that_is_there_may_be_kept_where_a_job_is_edited():
    number = fields(Args, {"card": {"number": "4111"}}, keeps_secrets=True)["card"].children[0]
    assert (number.default, number.required) == ("unchanged", False)


def test_a_value_of_another_type_than_the_schema_has_is_shown_as_json():
    found = fields(Args, {"name": 7, "count": "many", "card": [1]})
    assert {name: found[name].kind for name in ("name", "count", "card")} == {
        "name": "json",
        "count": "json",
        "card": "json",
    }


def test_names_with_slashes_have_pointers_that_lead_to_them():
    class Odd(BaseModel):
        odd: str = Field(alias="a/b~c")

    assert [each.pointer for each in fields(Odd).values()] == ["/a~1b~0c"]


def test_arguments_that_are_no_object_or_any_object_have_json_text_only():
    class Many(RootModel[list[int]]):
        pass

    class Anything(BaseModel, extra="allow"):
        pass

    assert form_fields(Many.model_json_schema()) is None
    assert form_fields(Anything.model_json_schema()) is None
    assert form_fields({"description": "no JSON Schema can be made of it"}) is None


def test_members_that_the_schema_does_not_name_are_not_lost_to_a_form():
    assert form_fields(Args.model_json_schema(), {"name": "a", "more": 1}) is None
    assert fields(Args, {"card": {"number": "1", "more": 1}})["card"].kind == "json"


def test_a_model_that_contains_itself_ends_in_json():
    class Node(BaseModel):
        child: Node | None = None

    Node.model_rebuild(_types_namespace={"Node": Node})
    [at] = fields(Node).values()
    depth = 0
    while at.kind == "object":
        [at] = at.children
        depth += 1
    assert at.kind == "json"
    assert depth > 1
