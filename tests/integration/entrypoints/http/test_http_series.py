"""Figures that cost the same however many jobs there are, and time series."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from jobs.adapters.postgres.statements.jobs import prepare
from jobs.adapters.postgres.stores.upkeep import statistics as postgres_statistics
from tests.integration.entrypoints.http.test_http_api import problem, serving_a_new_database
from tests.support import instant


@pytest.fixture(scope="module")
def api(server):
    with serving_a_new_database(server) as api:
        yield api


def series(api, **params):
    answer = api.call("GET", "/api/series", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


class TestSeries:
    def test_before_anything_is_counted_there_is_nothing(self, server):
        with serving_a_new_database(server) as api:
            assert series(api) == {
                "step": "minute", "at": [], "handlers": {}, "deployments": [],
                "all": {
                    "started": [], "succeeded": [], "failed": [], "late": [],
                    "totals": {"success_rate": None, "durations": None},
                },
            }  # fmt: skip

    def test_a_reconciliation_counts_and_a_read_shows_it_without_gaps(self, api):
        for handler in ("Noop", "Send", "Fail"):
            api.run(api.enqueue(handler_name=handler, payload={"to": "Ann"}))
        api.runtime.reconciler.run()
        found = series(api, handler_name="Send,Fail,None")
        moments = [instant(each) for each in found["at"]]
        assert len({later - earlier for earlier, later in itertools.pairwise(moments)}) == 1
        assert {len(figures) for name, figures in found["all"].items() if name != "totals"} == {len(moments)}
        assert found["all"]["totals"]["success_rate"] == 0.6667
        assert 0 <= found["all"]["totals"]["durations"]["p50_seconds"] < 60
        assert found["handlers"]["None"]["totals"] == {"success_rate": None, "durations": None}
        assert (sum(found["all"]["started"]), sum(found["all"]["failed"])) == (3, 1)
        assert {name: sum(each["succeeded"]) for name, each in found["handlers"].items()} == {
            "Fail": 0, "None": 0, "Send": 1,
        }  # fmt: skip
        assert set(series(api, handler_name="*")["handlers"]) == {"Fail", "Noop", "Send", "Wait"}
        assert sum(series(api, step="hour")["all"]["started"]) == 3

    def test_a_version_of_the_app_that_is_first_run_marks_a_deployment(self, api):
        api.runtime.reconciler.run()
        before = series(api)
        assert before["deployments"] == []
        api.runtime.presence.report()
        [deployment] = series(api)["deployments"]
        assert instant(deployment["at"]) >= instant(before["at"][-1])
        assert deployment["app_version"] == api.call("GET", "/api/workers").json()["versions"][0]["app_version"]

    @pytest.mark.parametrize(
        ("params", "pointer"),
        [({"step": "day"}, "/step"), ({"by": "x"}, "/by"), ({"handler_name": "a,,b"}, "/handler_name")],
    )
    def test_what_is_no_series_is_refused(self, api, params, pointer):
        problem(api.call("GET", "/api/series", params=params), 422, "invalid-request", pointer)


class TestBoundedFigures:
    def test_what_cannot_be_had_in_time_is_left_out_and_said_to_be(self, api, monkeypatch):
        housekeeping = api.runtime.housekeeping
        sleeps = prepare("select 'Scheduled', 'Noop', 1, 0 from pg_sleep(60)", "jobs")
        monkeypatch.setattr(postgres_statistics, "TIME_LIMIT_SECONDS", 0.05)
        monkeypatch.setattr(housekeeping, "_figures", replace(housekeeping._figures, counts=sleeps))
        found = api.call("GET", "/api/stats").json()
        assert found["incomplete"] == ["handlers", "jobs", "paused"]
        assert (found["jobs"], found["paused"], found["handlers"], found["missing_handlers"]) == (None,) * 4
        assert found["due"] is not None

    def test_beyond_the_bound_a_figure_is_the_bound_and_said_to_be_at_least_that(self, api, monkeypatch):
        stats = api.runtime.housekeeping.stats
        monkeypatch.setattr(api.runtime.housekeeping, "stats", lambda: stats(1))
        for _ in range(2):
            api.later(handler_name="Wait")
        found = api.call("GET", "/api/stats").json()
        assert found["handlers"]["Wait"]["Scheduled"] == found["count_to"] == 1
        assert {"/jobs/Scheduled", "/handlers/Wait/Scheduled"} <= {*found["at_least"]}
