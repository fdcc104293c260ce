"""A drained host: what runs goes on, nothing more begins, and the API is answered as ever."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from jobs.entrypoints.triggers.draining import when_drained
from tests.integration.entrypoints.http.test_http_api import problem, serving
from tests.integration.entrypoints.triggers.test_callback import TOKEN, TOKENS, alarm_of
from tests.support import until


@pytest.fixture
def api(database_url):
    with serving(database_url, callback_tokens=TOKENS) as api:
        yield api


def drained(api, folder: Path) -> None:
    """Drain the host of this app, as the container's first process does; returns once the app knows."""
    file = folder / "drained"
    assert when_drained(api.runtime.pool.start_nothing_more, {"HOST_DRAINED_FILE": str(file)})
    file.touch()
    until(api.runtime.pool.stopping.is_set)


def test_a_poll_that_is_under_way_claims_no_more_and_what_it_runs_goes_on(api, tmp_path):
    running = api.enqueue(handler_name="Wait")
    poll = threading.Thread(target=api.runtime.worker.drain, args=(600, 600))
    poll.start()
    until(api.gate.entered.is_set)
    drained(api, tmp_path)
    late = api.enqueue()
    api.gate.opened.set()
    poll.join(60)
    assert not poll.is_alive()
    until(lambda: api.get(running)["status"] == "Completed")  # the poll may end before what it runs
    assert api.get(late)["status"] == "Scheduled"


def test_an_alarm_is_answered_503_so_that_it_rings_elsewhere_and_a_call_of_the_api_as_ever(api, tmp_path):
    drained(api, tmp_path)
    job = api.enqueue()
    answer = api.call("POST", f"/job/{alarm_of(job)}", headers=TOKEN)
    problem(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert api.get(job)["status"] == "Scheduled"


def test_where_nobody_would_say_so_no_thread_waits_for_it():
    before = threading.active_count()
    assert not when_drained(lambda: None, {})
    assert threading.active_count() == before
