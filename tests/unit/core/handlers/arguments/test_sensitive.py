"""Sensitive fields: wherever a model has them, their values are masked, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated

import pytest
from pydantic import AliasChoices, AliasPath, BaseModel, Field, RootModel, StringConstraints
from pydantic.errors import PydanticUserError

from jobs import InvalidInput, Sensitive
from jobs.core.handlers.arguments.sensitive import MASK, masked, refuse_mask, unmasked

Secret = Annotated[str, Sensitive()]


class Card(BaseModel):
    number: Secret
    holder: str = ""


class Node(BaseModel):
    pin: Secret | None = None
    children: list[Node] = []


class Payment(BaseModel):
    amount: Decimal = Decimal(1)
    card: Card | None = None
    cards: list[Card] = []
    by_name: dict[str, Card] = {}
    pair: tuple[int, Secret] = (1, "")
    either: Card | int | str = 0
    token: Secret = Field(default="", alias="accessToken")
    whole: Annotated[Card | None, Sensitive()] = None


class ByAnyName(BaseModel, populate_by_name=True):
    pin: Secret = Field(default="", validation_alias=AliasChoices("PIN", "code"))
    first: Secret = Field(default="", validation_alias=AliasPath("wallet", "pins", 0, "first"))
    card: Card | None = Field(default=None, validation_alias=AliasPath("wallet", "card"))
    by_place: dict[Annotated[str, StringConstraints(pattern="^[a-z][0-9]$")], Secret] = {}


class Plain(BaseModel):
    number: str = ""


class Odd(BaseModel, arbitrary_types_allowed=True):
    pin: Secret = ""
    odd: Callable[[], int] = len  # type: ignore[assignment]
    card: Card | None = None


class Undescribed(BaseModel):
    """No JSON Schema can be made of it."""

    pin: Secret = ""
    note: str = ""

    @classmethod
    def __get_pydantic_json_schema__(cls, *_):
        raise PydanticUserError("not this one", code=None)


class Pins(RootModel[list[Secret]]):
    pass


CARD = {"number": "4111", "holder": "Ann"}
HIDDEN = {"number": MASK, "holder": "Ann"}


@pytest.mark.parametrize(
    ("model", "value", "shown"),
    [
        (Card, CARD, HIDDEN),
        (Payment, {"card": CARD}, {"card": HIDDEN}),
        (Payment, {"card": None}, {"card": None}),
        (Payment, {"cards": [CARD, CARD]}, {"cards": [HIDDEN, HIDDEN]}),
        (Payment, {"by_name": {"number": CARD}}, {"by_name": {"number": HIDDEN}}),
        (Payment, {"pair": [4, "pin"]}, {"pair": [4, MASK]}),
        (Payment, {"either": CARD}, {"either": HIDDEN}),
        (Payment, {"either": "text"}, {"either": "text"}),
        (Payment, {"accessToken": "t"}, {"accessToken": MASK}),
        (ByAnyName, {"pin": "1"}, {"pin": MASK}),
        (ByAnyName, {"PIN": "1", "code": "2"}, {"PIN": MASK, "code": MASK}),
        (
            ByAnyName,
            {"wallet": {"pins": [{"first": "1", "last": "2"}]}},
            {"wallet": {"pins": [{"first": MASK, "last": "2"}]}},
        ),
        (ByAnyName, {"wallet": {"card": CARD}}, {"wallet": {"card": HIDDEN}}),
        (ByAnyName, {"by_place": {"a1": "1"}}, {"by_place": {"a1": MASK}}),
        (Payment, {"whole": CARD}, {"whole": MASK}),
        (Payment, {"amount": Decimal("1.50"), "unknown": CARD}, {"amount": Decimal("1.50"), "unknown": CARD}),
        (
            Node,
            {"pin": "a", "children": [{"pin": "b", "children": [{"pin": "c"}]}, {"pin": None}]},
            {"pin": MASK, "children": [{"pin": MASK, "children": [{"pin": MASK}]}, {"pin": None}]},
        ),
        (Plain, {"number": "4111"}, {"number": "4111"}),
        (Pins, ["1", "2"], [MASK, MASK]),
        (Payment, "no object at all", "no object at all"),
        (Payment, {"card": [CARD], "cards": CARD}, {"card": [CARD], "cards": CARD}),
        (Payment, None, None),
    ],
)
def test_a_value_is_masked_where_its_field_is_sensitive_and_nowhere_else(model, value, shown):
    assert masked(model, value) == shown


def test_the_value_itself_stays_as_it_is():
    value = {"card": dict(CARD)}
    masked(Payment, value)
    assert value == {"card": CARD}


def test_a_field_of_which_no_schema_can_be_made_hides_and_reveals_no_other():
    assert masked(Odd, {"pin": "1", "odd": 1, "card": CARD}) == {"pin": MASK, "odd": 1, "card": HIDDEN}


def test_of_a_model_that_cannot_be_described_nothing_is_shown():
    assert masked(Undescribed, {"pin": "1", "note": "2"}) == MASK


def test_a_mask_that_is_sent_back_stands_for_what_is_stored():
    stored = {"card": CARD, "cards": [CARD], "accessToken": "t"}
    shown = masked(Payment, stored)
    assert unmasked(Payment, shown, stored) == stored
    changed = shown | {"card": {"number": "5500", "holder": "Bob"}}
    assert unmasked(Payment, changed, stored)["card"] == {"number": "5500", "holder": "Bob"}


@pytest.mark.parametrize(
    ("sent", "stored", "places"),
    [
        ({"card": HIDDEN}, {}, ["/payload/card/number"]),
        ({"cards": [HIDDEN]}, {"cards": [CARD, CARD]}, ["/payload/cards/0/number"]),
        (
            {"by_name": {"a/b": HIDDEN}, "accessToken": MASK},
            None,
            ["/payload/by_name/a~1b/number", "/payload/accessToken"],
        ),
    ],
)
def test_a_mask_with_nothing_behind_it_is_refused(sent, stored, places):
    with pytest.raises(InvalidInput) as refused:
        unmasked(Payment, sent, stored)
    assert [each.pointer for each in refused.value.problems] == places


def test_a_new_payload_cannot_have_a_mask_for_a_sensitive_value():
    refuse_mask(Payment, {"card": CARD, "either": MASK})
    with pytest.raises(InvalidInput, match="/payload/card/number"):
        refuse_mask(Payment, {"card": HIDDEN})


def test_a_schema_says_which_fields_are_sensitive():
    properties = Card.model_json_schema()["properties"]
    assert (properties["number"]["x-sensitive"], properties["number"]["writeOnly"]) == (True, True)
    assert "x-sensitive" not in properties["holder"]


def test_a_handler_is_given_the_value():
    assert Card.model_validate(CARD).number == "4111"
