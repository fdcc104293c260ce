"""Read JSON text into a pydantic model without rounding numbers that the model keeps exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from jobs.core.errors import InvalidInput
from jobs.core.numbers import may_be_inexact
from jobs.core.strict_json import read_json

if TYPE_CHECKING:
    from pydantic import BaseModel


def read_model(model: type[BaseModel], text: str) -> BaseModel:
    """Validate JSON text; raises as ``model_validate_json`` does, and ``InvalidInput`` for a number it would round.

    pydantic's own parser makes a float of every fraction, even for a ``Decimal`` field. So text with a number of more
    digits than a float keeps, which is rare, is parsed here and validated as Python objects. A strict model may refuse
    those (a date as a string, for example) but accept the same JSON text; then no decimal in it may have been a float.
    """
    value = read_json(text) if may_be_inexact(text) else None
    if value is None or not (exact := set(_decimals(value))):
        return model.model_validate_json(text)
    try:
        return model.model_validate(value)
    except ValidationError:
        read = model.model_validate_json(text)
    rounded = {Decimal(repr(float(number))) for number in exact}
    if not rounded.isdisjoint(_decimals(read.model_dump())):
        raise InvalidInput.at(
            "/payload",
            "a number in it has more digits than a float keeps, and a strict model takes it by way of one; send it as "
            "a text",
        )
    return read


def _decimals(value: Any) -> list[Decimal]:
    found, waiting = [], [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, Decimal):
            found.append(item)
        elif isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, list | tuple | set | frozenset):
            waiting += item
    return found
