"""An operation on many jobs whose worker is killed with SIGKILL: another goes on, and each job is changed once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.app.commands.callers import NOBODY
from jobs.core.bulk import BulkAction, BulkRequest
from jobs.core.lifecycle.status import JobStatus
from jobs.core.queries import JobFilter
from tests.support import ROOT, job, until

SCRIPT = Path(__file__).with_name("bulk_and_die.py")
JOBS = 45


@pytest.mark.slow
@pytest.mark.parametrize("kills", [[(13, "before")], [(13, "after")], [(0, "after"), (21, "before")]])
def test_each_job_is_changed_once_however_often_the_worker_is_killed(make_runtime, database_url, sql, kills):
    runtime = make_runtime(lease_seconds=1)
    made = [runtime.service.enqueue(job(f"job {number}", schedule="P1D")) for number in range(JOBS)]
    for one in made:
        runtime.service.cancel(one.id)
    wanted = BulkRequest(action=BulkAction.RETRY, filter=JobFilter(handler_name=("Noop",)), reason="again")
    operation = runtime.bulk.start(wanted, NOBODY).job
    for changes, when in kills:
        done = subprocess.run(
            [sys.executable, str(SCRIPT), database_url, str(operation.id), str(changes), when],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            timeout=300,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL
        until(lambda: (runtime.reaper.reap(0.0), runtime.service.get(operation.id).status is JobStatus.SCHEDULED)[-1])

    def ended() -> bool:
        runtime.reconciler.run()
        runtime.worker.drain(5)
        return runtime.service.get(operation.id).status.ended

    until(ended)
    found = runtime.bulk.get(operation.id)
    assert found.job.status is JobStatus.COMPLETED
    assert (found.progress.changed, found.progress.refused) == (JOBS, 0)
    assert found.job.result == {"changed": JOBS, "unchanged": 0, "refused": 0}
    changes = sql("select job_id, count(*) from jobs.job_audit where action = 'retry' group by 1")
    assert sorted(count for _, count in changes) == [1] * JOBS
