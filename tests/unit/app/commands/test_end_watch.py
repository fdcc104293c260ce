"""The watch for the end of jobs that callers wait for."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest

from jobs.app.commands.end_watch import EndWatch
from jobs.core.errors import StoreUnavailable
from jobs.core.lifecycle.ids import new_id
from tests.support import until


class Store:
    """Only what the watch asks of a store."""

    def __init__(self) -> None:
        self.active: set[UUID] = set()
        self.asked = 0
        self.failure: Exception | None = None
        self.asking, self.may_answer = threading.Event(), threading.Event()
        self.may_answer.set()

    def active_among(self, job_ids):
        self.asked += 1
        self.asking.set()
        assert self.may_answer.wait(60)
        if self.failure is not None:
            raise self.failure
        return self.active & set(job_ids)


@pytest.fixture
def store():
    return Store()


@pytest.fixture
def watch(store):
    watch = EndWatch(store, every_seconds=0.01)
    yield watch
    watch.close()


def test_a_job_that_has_ended_already_is_told_at_the_next_look(watch):
    assert watch.watch(new_id()).result(60)


def test_each_of_several_who_wait_for_one_job_is_told(store, watch):
    job = new_id()
    store.active = {job}
    futures = [watch.watch(job) for _ in range(3)]
    until(lambda: store.asked > 1)
    assert not any(future.done() for future in futures)
    store.active = set()
    assert [future.result(60) for future in futures] == [True] * 3
    until(lambda: len(watch) == 0)


def test_one_query_is_for_all_who_wait(store, watch):
    jobs = [new_id() for _ in range(50)]
    store.active = {*jobs}
    for job in jobs:
        watch.watch(job)
    before = store.asked
    until(lambda: store.asked > before + 2)
    assert len(watch) == 50


def test_nothing_is_asked_while_nobody_waits(store, watch):
    job = new_id()
    store.active = {job}
    future = watch.watch(job)
    watch.forget(future)
    until(lambda: watch._thread is None)
    asked = store.asked
    assert watch.watch(job) is not None  # and it begins again
    until(lambda: store.asked > asked)


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), ZeroDivisionError("a fault of the store's")])
def test_a_look_that_fails_ends_no_wait(store, watch, failure):
    job = new_id()
    store.failure = failure
    future = watch.watch(job)
    until(lambda: store.asked > 2)
    assert not future.done()
    store.failure = None
    assert future.result(60)


def test_no_more_wait_than_the_bound_allows(store):
    watch = EndWatch(store, most=1, every_seconds=0.01)
    store.active = {job := new_id()}
    assert watch.watch(job) is not None
    assert watch.watch(job) is None
    watch.close()


def test_at_the_end_of_the_process_all_who_wait_go_on(store, watch):
    store.active = {job := new_id()}
    future = watch.watch(job)
    watch.close()
    assert future.result(60) is False
    assert watch.watch(job) is None


def test_an_end_that_is_found_while_the_process_ends_is_no_error(store, watch, monkeypatch):
    errors = []
    monkeypatch.setattr(threading, "excepthook", errors.append)
    store.may_answer.clear()
    future = watch.watch(new_id())
    assert store.asking.wait(60)
    closing = threading.Thread(target=watch.close)
    closing.start()
    assert future.result(60) is False
    store.may_answer.set()
    closing.join(60)
    assert not errors
