"""The breaker opens after failures in a row, lets nobody wait while it is open, and closes when a probe succeeds."""

import threading

import pytest

from jobs.adapters.schedulers.circuit_breaker import CircuitBreaker
from tests.support import until


class Service:
    """Fails each probe until it is told to be back."""

    def __init__(self):
        self.back, self.probed = threading.Event(), 0

    def probe(self):
        self.probed += 1
        if not self.back.is_set():
            raise ConnectionError(f"probe {self.probed} failed")


@pytest.fixture
def service():
    return Service()


@pytest.fixture
def breaker(service):
    breaker = CircuitBreaker("the service", service.probe, pause_seconds=0.01, longest_pause_seconds=0.02)
    yield breaker
    breaker.close()


def test_it_opens_at_the_third_failure_in_a_row_and_says_why(breaker):
    breaker.failed("one")
    breaker.failed("two")
    assert breaker.why_open is None
    breaker.failed("three")
    assert breaker.why_open


def test_a_success_in_between_begins_the_count_anew(breaker, service):
    for _ in range(5):
        breaker.failed("no")
        breaker.failed("no")
        breaker.succeeded()
    assert breaker.why_open is None
    assert service.probed == 0, "nobody asks while it is closed"


def test_what_is_hopeless_opens_it_at_once(breaker):
    breaker.failed("it has no such call", open_now=True)
    assert breaker.why_open


def test_it_tells_what_the_last_probe_found_and_closes_when_one_succeeds(breaker, service):
    breaker.failed("gone", open_now=True)
    until(lambda: "probe 3" in (breaker.why_open or ""))
    service.back.set()
    until(lambda: breaker.why_open is None)
    probed = service.probed
    breaker.failed("again")
    assert breaker.why_open is None, "the count begins anew"
    assert service.probed == probed


def test_it_opens_and_closes_again_and_again(breaker, service):
    service.back.set()
    for _ in range(5):
        breaker.failed("gone", open_now=True)
        until(lambda: breaker.why_open is None)
    assert service.probed == 5


def test_it_probes_at_once_and_tells_when_callers_are_let_through_again(service):
    told = []
    breaker = CircuitBreaker(
        "the service", service.probe, pause_seconds=600, on_close=lambda: told.append(breaker.why_open)
    )
    service.back.set()
    breaker.failed("gone", open_now=True)
    until(lambda: told)
    assert told == [None]
    assert service.probed == 1
    breaker.close()


class Pauses(threading.Event):
    """Notes how long a prober waits before each probe."""

    def __init__(self):
        super().__init__()
        self.noted = []

    def wait(self, timeout=None):
        self.noted.append(timeout)
        return super().wait(timeout)


def test_a_service_that_answers_probes_and_refuses_calls_is_not_probed_over_and_over(service):
    breaker = CircuitBreaker(
        "the service", service.probe, pause_seconds=5.0, on_close=lambda: breaker.failed("refused", open_now=True)
    )
    breaker._closing = pauses = Pauses()
    service.back.set()
    breaker.failed("refused", open_now=True)
    until(lambda: len(pauses.noted) > 1)
    breaker.close()
    assert pauses.noted[:2] == [0.0, 5.0]


def test_after_a_call_that_succeeded_it_probes_at_once_again(service):
    breaker = CircuitBreaker("the service", service.probe, pause_seconds=600)
    service.back.set()
    for _ in range(3):
        breaker.failed("gone", open_now=True)
        until(lambda: breaker.why_open is None)
        breaker.succeeded()
    breaker.close()


def test_what_goes_wrong_as_it_tells_does_not_keep_it_open(service):
    def fail() -> None:
        raise ZeroDivisionError

    breaker = CircuitBreaker("the service", service.probe, on_close=fail)
    service.back.set()
    breaker.failed("gone", open_now=True)
    until(lambda: breaker.why_open is None)
    breaker.failed("gone", open_now=True)
    until(lambda: service.probed == 2 and breaker.why_open is None)
    breaker.close()


def test_once_closed_down_it_probes_no_more(breaker, service):
    breaker.failed("gone", open_now=True)
    until(lambda: service.probed)
    breaker.close()
    probed = service.probed
    breaker.failed("gone", open_now=True)
    assert not [thread for thread in threading.enumerate() if thread.name == "jobs-circuit-breaker"]
    assert service.probed == probed
