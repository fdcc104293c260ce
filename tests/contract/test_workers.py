"""Workers, as they report themselves, with the leases that they hold; and the versions of the app that they run."""

from __future__ import annotations

from datetime import timedelta

from jobs.core.ports.workers import KEPT_VERSIONS, WorkerState
from tests.contract.stores import LEASE, MINUTE, NOON, SECOND, Stores

HOUR = timedelta(hours=1)


def state(name: str = "worker", **fields) -> WorkerState:
    known = {
        "name": name, "app_version": "1", "lease": LEASE, "concurrency": 16, "running": 0, "abandoned": 0,
        "draining": False, "scheduler": "timer", "scheduler_fault": None,
    }  # fmt: skip
    return WorkerState(**known | fields)


def versions(stores: Stores):
    return [(each.version, each.workers) for each in stores.workers.versions()]


def test_before_any_worker_reports_there_is_none(stores):
    assert (stores.workers.find(), stores.workers.versions()) == ([], [])


def test_a_worker_is_known_by_its_last_report_and_since_its_first(stores):
    stores.workers.report(state(), {"Mail": 1})
    stores.pass_time(SECOND)
    latest = state(running=3, abandoned=1, draining=True, scheduler="queue", scheduler_fault="it is away")
    stores.workers.report(latest)
    [found] = stores.workers.find()
    assert found == (latest, NOON, NOON + SECOND, False, 0, None, {})


def test_the_leases_that_it_holds_are_counted_by_handler(stores):
    stores.workers.report(state("a"))
    stores.workers.report(state("b"))
    for name, handler in (("one", "Mail"), ("two", "Mail"), ("three", "Bill")):
        stores.claim(stores.add(name, handler_name=handler), worker="a")
        stores.pass_time(SECOND)
    stores.claim(stores.add("of nobody that is known"), worker="c")
    busy, idle = stores.workers.find()
    assert (busy.leases, busy.oldest_run_at, busy.handlers) == (3, NOON, {"Mail": 2, "Bill": 1})
    assert (idle.leases, idle.oldest_run_at, idle.handlers) == (0, None, {})


def test_one_that_is_silent_for_two_leases_is_lost_and_comes_after_the_others(stores):
    stores.workers.report(state("a"))
    stores.pass_time(2 * LEASE)
    stores.workers.report(state("b"))
    assert [each.lost for each in stores.workers.find()] == [False, False]
    stores.pass_time(SECOND)
    assert [(each.state.name, each.lost) for each in stores.workers.find()] == [("b", False), ("a", True)]
    assert [each.state.name for each in stores.workers.find(1)] == ["b"]
    stores.workers.report(state("a"))
    assert [each.lost for each in stores.workers.find()] == [False, False]


def test_one_that_ends_in_order_is_forgotten_at_once_and_a_lost_one_after_a_while(stores):
    stores.workers.report(state("ends"))
    stores.workers.report(state("dies"))
    stores.workers.leave("ends")
    assert [each.state.name for each in stores.workers.find()] == ["dies"]
    stores.pass_time(HOUR)
    assert stores.workers.prune(HOUR) == 0
    stores.pass_time(SECOND)
    assert stores.workers.prune(HOUR) == 1
    assert stores.workers.find() == []


def test_a_version_is_known_since_its_first_worker_with_its_handlers(stores):
    stores.workers.report(state("a"), {"Mail": 1})
    stores.pass_time(MINUTE)
    stores.workers.report(state("b", app_version="2"), {"Mail": 2, "Bill": 1})
    stores.pass_time(MINUTE)
    stores.workers.report(state("a"), {"Mail": 1})
    assert stores.workers.versions() == [
        ("2", NOON + MINUTE, {"Mail": 2, "Bill": 1}, 1),
        ("1", NOON, {"Mail": 1}, 1),
    ]
    stores.workers.report(state("a"), {"Mail": 3})
    assert stores.workers.versions()[1] == ("1", NOON, {"Mail": 3}, 1)
    stores.pass_time(2 * LEASE)
    assert versions(stores) == [("2", 0), ("1", 1)]


def test_the_newest_versions_are_kept_and_those_that_a_worker_runs(stores):
    for number in range(KEPT_VERSIONS + 2):
        stores.workers.report(state("old" if number == 0 else "new", app_version=f"{number}"), {})
        stores.pass_time(SECOND)
    stores.workers.report(state("old", app_version="0"))
    assert len(versions(stores)) == KEPT_VERSIONS + 2
    stores.workers.prune(HOUR)
    assert versions(stores)[-2:] == [("2", 0), ("0", 1)]
    assert len(versions(stores)) == KEPT_VERSIONS + 1
