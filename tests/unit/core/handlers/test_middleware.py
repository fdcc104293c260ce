"""What is called around every attempt: in which order, and what it sees."""

import pytest

from jobs import JobContext, middleware
from jobs.core.errors import HandlerRegistrationError
from jobs.core.handlers.registry import HandlerRegistry


def outer(ctx: JobContext, call_next) -> None: ...
def middle(ctx: JobContext, call_next) -> None: ...
def inner(ctx: JobContext, call_next) -> None: ...


async def asynchronous(ctx, call_next) -> None: ...
def of_one(ctx) -> None: ...


def test_the_lowest_order_is_outermost_and_names_decide_between_equals():
    registry = HandlerRegistry()
    registry.add_middleware(outer, order=5)
    registry.add_middleware(middle, order=5)
    registry.add_middleware(inner, order=-1)
    assert registry.middleware == [inner, middle, outer]


def test_registering_one_twice_calls_it_once():
    registry = HandlerRegistry()
    registry.add_middleware(outer)
    registry.add_middleware(outer)
    assert registry.middleware == [outer]


def test_a_mark_says_the_order():
    registry = HandlerRegistry()
    for order, function in ((2, outer), (1, middle)):
        registry.add_marked(middleware(order=order)(function))
    assert registry.middleware == [middle, outer]


@pytest.mark.parametrize(
    ("function", "why"), [(asynchronous, "without async"), (of_one, r"function\(ctx, call_next\)")]
)
def test_one_that_cannot_be_called_so_is_refused_with_the_place(function, why):
    with pytest.raises(HandlerRegistrationError, match=why) as refused:
        HandlerRegistry().add_middleware(function)
    assert __file__ in str(refused.value)
