"""Many instances, some of which die, and handlers with limits: these hold, by the database's own record."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.app.runtime import Runtime
from tests.e2e.limited_instances import CONCURRENCY, PER_KEY, RATE, registry_on
from tests.sizes import sized
from tests.support import MakeRuntime, job, most_at_once

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("limited_instances.py")
ROOT = SCRIPT.parents[2]
INSTANCES, DEATHS = sized((8, 3), (20, 4))
JOBS = sized(150, 1_000)
KEYS = 10


@pytest.fixture
def runtime(make_runtime: MakeRuntime) -> Runtime:
    return make_runtime(registry_on(None))


def enqueue(runtime: Runtime, handler_name: str, times: int) -> None:
    runtime.service.enqueue_many(
        job(f"{handler_name} {n}", handler_name, payload={"key": f"key {n % KEYS}"}) for n in range(times)
    )


@pytest.mark.soak
def test_limits_hold_over_many_instances_of_which_some_die(runtime, database_url, sql, capsys):
    sql(
        "create table work (id serial primary key, job uuid, handler text, key text, "
        "began timestamptz, ended timestamptz)"
    )
    enqueue(runtime, "AtOnce", JOBS)
    enqueue(runtime, "ByKey", JOBS)
    enqueue(runtime, "ByRate", JOBS)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), database_url, str(INSTANCES), str(DEATHS)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sql("select status, count(*) from jobs.jobs group by 1") == [("Completed", 3 * JOBS)]
    [(instances,)] = sql("select count(distinct worker) from jobs.job_attempts")
    assert instances > DEATHS
    assert sql("select handler, count(distinct job) from work group by 1 order by 1") == [
        ("AtOnce", JOBS),
        ("ByKey", JOBS),
        ("ByRate", JOBS),
    ]

    at_once = most_at_once(sql("select began, ended from work where handler = 'AtOnce'"))
    by_key = [
        most_at_once(sql("select began, ended from work where handler = 'ByKey' and key = :key", key=f"key {number}"))
        for number in range(KEYS)
    ]
    starts = [at for (at,) in sql("select started_at from jobs.jobs where handler_name = 'ByRate' order by 1")]
    tightest = min(late - early for early, late in zip(starts, starts[RATE.count :], strict=False))
    assert 1 <= at_once <= CONCURRENCY  # on a busy machine no two instances may be at work at one moment
    assert 1 <= max(by_key) <= PER_KEY
    assert tightest >= RATE.per
    with capsys.disabled():
        print(
            f"\n{instances} instances at work, {DEATHS} killed; {JOBS} jobs each: at most {at_once} at once, "
            f"{max(by_key)} of a key, {RATE.count} started within {RATE.per.total_seconds()} s "
            f"(the next after {tightest.total_seconds():.3f} s)"
        )
