"""What a newcomer writes first, and wrongly, is refused when it is loaded, with what to write instead."""

from __future__ import annotations

import functools
import types
from collections.abc import Awaitable, Iterator
from datetime import timedelta
from typing import Any, NoReturn

import pytest
from pydantic import BaseModel

from jobs import HandlerRegistry, RetryPolicy, handler, provider
from jobs.core.errors import HandlerRegistrationError, ProviderFault
from jobs.core.lifecycle.status import AttemptOutcome
from jobs.testing import JobsHarness


class Args(BaseModel):
    pass


class Mailer:
    pass


def plain(args: Args) -> None: ...


def test_a_handler_with_empty_brackets_is_told_to_give_its_name_as_one_without_brackets_is():
    with pytest.raises(
        HandlerRegistrationError,
        match=r'test_suggestions_at_load\.py:\d+: @handler stands without a name; write @handler\("',
    ):
        handler()


@pytest.mark.parametrize(
    ("options", "mend"),
    [
        ({"retries": 3}, r"write retry=RetryPolicy\(max_retries=3\)"),
        ({"max_retries": 5}, r"write retry=RetryPolicy\(max_retries=5\)"),
        ({"max_attempts": 3}, r"write retry=RetryPolicy\(max_retries=2\)"),
        ({"retries": "many"}, r"write retry=RetryPolicy\(max_retries=\.\.\.\)"),
        ({"time_out": 3}, r"write timeout=\.\.\."),
        ({"queue": "slow"}, "it has retry, timeout, version, upcasters, limits"),
    ],
)
def test_an_option_that_there_is_not_says_which_one_is_meant_and_where_it_stands(options, mend):
    with pytest.raises(
        HandlerRegistrationError, match=rf"test_suggestions_at_load\.py:\d+: handler has no option \w+; {mend}"
    ):
        handler("X", **options)
    with pytest.raises(
        HandlerRegistrationError, match=rf"test_suggestions_at_load\.py:\d+: add_handler has no option \w+; {mend}"
    ):
        HandlerRegistry().add_handler("X", plain, **options)


@pytest.mark.parametrize(
    ("timeout", "mend"),
    [(30, "30"), (1.5, r"1\.5"), ("30s", "30"), (0, "30"), (timedelta(), "30"), (float("nan"), "30")],
)
def test_a_timeout_that_is_no_timedelta_says_which_one_to_write(timeout, mend):
    with pytest.raises(HandlerRegistrationError, match=rf"write timeout=timedelta\(seconds={mend}\)"):
        HandlerRegistry().add_handler("X", plain, timeout=timeout)


def says_dict(args: Args) -> dict: ...
def says_json(args: Args) -> dict[str, Any]: ...
def says_either(args: Args) -> int | str: ...
async def says_text(args: Args) -> str: ...
def says_awaitable(args: Args) -> Awaitable[None]: ...


class SaysSo:
    def handle(self, args: Args) -> bool: ...


@pytest.mark.parametrize(
    ("target", "mend"),
    [
        (says_dict, r"says that it returns dict, .*keep data with ctx\.result = \.\.\., and annotate it -> None"),
        (says_json, r"dict\[str, typing\.Any\]"),
        (says_either, r"int \| str"),
        (says_text, "returns str"),
        (SaysSo, "returns bool"),
        (says_awaitable, "nobody awaits; declare the handler with async def"),
    ],
)
def test_a_handler_that_says_it_returns_something_is_refused_when_it_is_registered(target, mend):
    with pytest.raises(HandlerRegistrationError, match=mend):
        HandlerRegistry().add_handler("X", target)


def silent(args: Args): ...
def anything(args: Args) -> Any: ...
def never(args: Args) -> NoReturn: ...
def perhaps(args: Args) -> int | None: ...


def swallowing(function):
    @functools.wraps(function)
    def call(*args, **kwargs):
        function(*args, **kwargs)

    return call


@pytest.mark.parametrize("target", [plain, silent, anything, never, perhaps, swallowing(says_dict)])
def test_a_handler_that_may_return_nothing_is_fine(target):
    HandlerRegistry().add_handler("X", target)


def test_what_is_given_as_it_should_be_is_kept():
    retry = RetryPolicy(max_retries=3)
    spec = HandlerRegistry().add_handler("X", plain, retry=retry, timeout=timedelta(seconds=30))
    assert (spec.retry, spec.timeout) == (retry, timedelta(seconds=30))


# --- providers


def returning() -> Mailer:
    return None


def yielding() -> Iterator[Mailer]:
    yield


async def asynchronous() -> Mailer:
    return None


def copy_of(function):
    """Give a function that bears no mark of another test."""
    copy = types.FunctionType(function.__code__, function.__globals__, function.__name__)
    copy.__annotations__ = function.__annotations__
    return copy


@pytest.mark.parametrize("scope", ["attempt", "app"])
@pytest.mark.parametrize("function", [returning, yielding, asynchronous])
def test_a_provider_that_gives_none_fails_the_attempt_and_is_named(function, scope):
    called = []

    def work(args: Args, mailer: Mailer) -> None:
        called.append(mailer)

    registry = HandlerRegistry()
    registry.add_handler("Work", work)
    registry.add_marked(provider(scope=scope)(copy_of(function)))
    with JobsHarness(registry) as jobs:
        ran = jobs.run_handler("Work", {})
    assert (ran.outcome, called) == (AttemptOutcome.FAILED, [])
    with pytest.raises(ProviderFault, match=rf"{__name__}\.{function.__name__} gave None in place of Mailer; have it "):
        ran.check()
