"""Callbacks with a wrong token are refused, counted and told of, though not each of them."""

import logging

import pytest

from jobs.entrypoints.http.callback_tokens import CallbackTokens


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def made(clock: Clock, *tokens: bytes, open_without_token: bool = False) -> CallbackTokens:
    return CallbackTokens(tokens, open_without_token=open_without_token, monotonic=clock)


def test_each_of_the_tokens_is_accepted_and_nothing_else(clock):
    tokens = made(clock, b"new", b"old", open_without_token=True)
    assert [tokens.accept(given) for given in ("new", "old", "", "ne", "newold", "n\ud800")] == [True] * 2 + [False] * 4


def test_without_tokens_a_developers_app_accepts_anything_and_another_nothing(clock):
    assert made(clock, open_without_token=True).accept("")
    assert not made(clock).accept("")


def test_refused_callbacks_are_told_of_once_a_minute_with_their_number_and_the_mend(clock, caplog):
    tokens = made(clock, b"right")
    for _ in range(100):
        tokens.refusal("wrong")
    clock.now += 61
    tokens.refusal("")
    first, second = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert first.getMessage().startswith("1 callbacks refused: they bring a wrong dapr-api-token; set the sidecar's")
    assert second.getMessage().startswith("100 callbacks refused: they bring no dapr-api-token; set the sidecar's")
    assert tokens.refused == 101
    assert "right" not in caplog.text
    assert "JOBS_CALLBACK_TOKENS" in first.getMessage()


def test_trouble_is_over_ten_minutes_after_the_last_refusal(clock):
    tokens = made(clock, b"right")
    assert tokens.trouble is None
    tokens.refusal("wrong")
    clock.now += 599
    assert "APP_API_TOKEN" in (tokens.trouble or "")
    clock.now += 2
    assert tokens.trouble is None
