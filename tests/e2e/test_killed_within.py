"""A handler that writes a row and completes its job in one unit of work, killed at each boundary between statements."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.core.lifecycle.status import JobStatus
from tests.e2e.killed_within import registry as registry_of_the_killed
from tests.sizes import sized
from tests.support import job, until

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("killed_within.py")
ROOT = SCRIPT.parents[2]
TIMES = sized(80, 1_000)  # at least as often as there are boundaries
OTHERS_AT_WORK = """
select 1 from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and application_name = 'jobs' and state <> 'idle'
"""


@pytest.mark.soak
def test_kills_at_all_boundaries_of_a_unit_of_work_leave_exactly_one_row_per_job(
    make_runtime, database_url, sql, notes, capsys
):
    runtime = make_runtime(registry_of_the_killed(), lease_seconds=1)
    notes()
    names = [f"{n}" for n in range(TIMES + 1)]
    enqueued = runtime.service.enqueue_many([job(name, "Work") for name in names])
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), database_url],
        input="\n".join(str(one.id) for one in enqueued),
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=3_000,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["killed"], found["survived"]) == (TIMES, 0), "every boundary was deadly"
    assert found["boundaries"] <= TIMES

    def stands(status: str) -> set[str]:
        return {name for (name,) in sql("select job_name from jobs.jobs where status = :status", status=status)}

    until(lambda: not sql(OTHERS_AT_WORK))  # what was sent by the dead may still be under way
    committed = stands("Completed")
    assert set(notes()) == committed, "a row was written exactly where the job was completed with it"
    lost = stands("Running")
    assert len(lost) > TIMES / 4
    assert len(committed) > 1
    until(lambda: (runtime.reconciler.run(), runtime.worker.drain(60), stands("Completed") == set(names))[-1])
    assert sorted(notes()) == sorted(names), "one row per job, after every run that was lost was run again"
    for one in enqueued:
        assert runtime.service.get(one.id).status is JobStatus.COMPLETED
    histories = dict(
        sql(
            "select j.job_name, string_agg(a.outcome, ' ' order by a.started_at, a.finished_at) from jobs.jobs j"
            " join jobs.job_attempts a on a.job_id = j.id group by 1"
        )
    )
    assert histories == dict.fromkeys(names, "Succeeded") | dict.fromkeys(lost, "Lost Succeeded")
    with capsys.disabled():
        print(
            f"\n{TIMES} kills over {found['boundaries']} boundaries: {TIMES + 1 - len(lost) - len(committed)} before "
            f"the claim, {len(lost)} amid the run, {len(committed) - 1} after the commit; {len(names)} jobs, "
            f"{len(notes())} rows; {time.monotonic() - began:.1f} s"
        )
