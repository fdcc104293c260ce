"""What limits may be, and the key that a job is counted by."""

from datetime import timedelta

import pytest
from pydantic import BaseModel

from jobs.core.errors import HandlerRegistrationError, InvalidInput
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.handlers.specs import HandlerSpec
from jobs.core.lifecycle.limits import Limits, Rate

SECOND = timedelta(seconds=1)


class Args(BaseModel):
    shop: str | int | None = None


def handle(args: Args) -> None:
    pass


def register(limits: Limits) -> HandlerSpec:
    return HandlerRegistry().add_handler("Import", handle, limits=limits)


def test_a_handler_has_no_limits_unless_it_says_so():
    registry = HandlerRegistry()
    spec = registry.add_handler("Import", handle)
    assert spec.limits is None
    assert spec.key_of(Args(shop="a")) is None
    assert not registry.limited


def test_the_registry_tells_the_handlers_with_limits():
    registry = HandlerRegistry()
    registry.add_handler("Import", handle, limits=Limits(concurrency=3))
    registry.add_handler("Export", handle)
    assert dict(registry.limited) == {"Import": Limits(concurrency=3)}


@pytest.mark.parametrize(
    ("limits", "mend"),
    [
        (Limits(), "limits nothing; give it concurrency, concurrency_key or rate"),
        (Limits(concurrency=0), "concurrency is a whole number from 1, not 0"),
        (Limits(concurrency=True), "concurrency is a whole number from 1, not True"),
        (Limits(concurrency=1.5), "concurrency is a whole number from 1, not 1.5"),
        (Limits(per_key=2, concurrency=3), "per_key counts by concurrency_key; give that as well"),
        (Limits(concurrency_key=str, per_key=0), "per_key is a whole number from 1, not 0"),
        (Limits(concurrency_key="shop"), "concurrency_key is a plain function"),
        (Limits(rate=Rate(0, SECOND)), "rate's count is a whole number from 1, not 0"),
        (Limits(rate=Rate(1, timedelta())), "a rate's period is a timedelta above zero"),
        (Limits(rate=Rate(1, 60)), "a rate's period is a timedelta above zero"),
        (Limits(rate=(1, SECOND)), "rate is a Rate(count, per)"),
        ({"concurrency": 3}, "limits is a Limits(...)"),
    ],
)
def test_limits_that_make_no_sense_stop_the_app_at_its_start_with_the_place_and_the_mend(limits, mend):
    with pytest.raises(HandlerRegistrationError) as refused:
        register(limits)
    assert mend in str(refused.value)
    assert "test_limits.py" in str(refused.value)


def test_an_async_concurrency_key_is_refused():
    async def key(args: Args) -> str:
        return "a"

    with pytest.raises(HandlerRegistrationError, match="concurrency_key is a plain function"):
        register(Limits(concurrency_key=key))


@pytest.mark.parametrize(("shop", "key"), [("a", "a"), (7, "7"), (None, None), ("", "")])
def test_a_key_is_a_text_or_none(shop, key):
    assert register(Limits(concurrency_key=lambda args: args.shop)).key_of(Args(shop=shop)) == key


def test_a_key_that_cannot_be_worked_out_is_a_fault_of_the_payload():
    spec = register(Limits(concurrency_key=lambda args: args.shop.lower()))
    with pytest.raises(
        InvalidInput, match="the concurrency_key of Import failed for it with AttributeError"
    ) as refused:
        spec.key_of(Args(shop=None))
    assert refused.value.problems[0].pointer == "/payload"


@pytest.mark.parametrize("shop", ["x" * 201, "a\x00b", "\ud800"])
def test_a_key_that_cannot_be_kept_is_a_fault_of_the_payload(shop):
    with pytest.raises(InvalidInput):
        register(Limits(concurrency_key=lambda args: shop)).key_of(Args())
