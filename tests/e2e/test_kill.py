"""Workers as processes of their own, killed and stopped amid their handlers: nothing is lost, nothing counts twice."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from jobs.app.runtime import Runtime
from jobs.core.lifecycle.status import JobStatus
from tests.e2e.worker_process import CONCURRENCY, LEASE_SECONDS, Work
from tests.support import PATIENCE_SECONDS, job, until
from tests.warm import WarmProcess

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("worker_process.py")


class WorkerProcess:
    """One worker process, and what it has written."""

    def __init__(self, database_url: str, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._process = WarmProcess([str(SCRIPT), database_url, str(folder)], output=folder)

    @property
    def began(self) -> set[str]:
        return {path.stem for path in self._folder.glob("*.began")}

    @property
    def ended(self) -> set[str]:
        return {path.stem for path in self._folder.glob("*.ended")}

    @property
    def log(self) -> str:
        return (self._folder / "stderr").read_text()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it as the kernel would for want of memory: it gets to do nothing more."""
        self._process.kill()
        self.wait()

    def wait(self) -> int:
        return self._process.wait(PATIENCE_SECONDS)


@pytest.fixture
def start(database_url, tmp_path):
    """Start worker processes; what is left of them after the test is killed."""
    started: list[WorkerProcess] = []

    def start() -> WorkerProcess:
        started.append(WorkerProcess(database_url, tmp_path / f"{len(started)}"))
        return started[-1]

    yield start
    for process in started:
        process.kill()


@pytest.fixture
def runtime(make_runtime, registry) -> Runtime:
    """A healthy worker in this process, whose handler takes no time."""

    def handle(args: Work) -> None:
        pass

    registry.add_handler("Work", handle)
    return make_runtime(lease_seconds=LEASE_SECONDS, concurrency=CONCURRENCY)


@pytest.fixture
def history(database) -> Callable[[], dict[str, str]]:
    """Each job's outcomes, oldest first."""
    text = """
    select cast(job_id as text), string_agg(outcome, ' ' order by started_at, finished_at)
    from jobs.job_attempts group by 1
    """

    def history() -> dict[str, str]:
        with database.engine.connect() as connection:
            return dict(tuple(row) for row in connection.execute(sa.text(text)))

    return history


def enqueue(runtime: Runtime, times: int, *, seconds: float, **fields) -> set[str]:
    commands = [job(f"{n} of {times}", "Work", payload={"seconds": seconds}, **fields) for n in range(times)]
    return {str(enqueued.id) for enqueued in runtime.service.enqueue_many(commands)}


def reconcile_until_reaped(runtime: Runtime, sql) -> None:
    """Reconcile until no run is in anybody's hands, and have what was taken back due at once, not one by one."""
    until(lambda: runtime.reconciler.run() and not runtime.housekeeping.stats()["jobs"].get("Running"))
    sql("update jobs.jobs set next_run_at = now() where status = 'Scheduled'")


def test_every_run_of_a_worker_that_is_killed_is_taken_up_again_once(runtime, start, history, sql):
    ids = enqueue(runtime, CONCURRENCY, seconds=30, max_retries=0)
    process = start()
    until(lambda: process.began == ids)
    process.kill()
    expiries = dict(sql("select cast(id as text), lease_expires_at from jobs.jobs"))
    reconcile_until_reaped(runtime, sql)
    taken_back = dict(sql("select cast(job_id as text), finished_at from jobs.job_attempts"))
    assert taken_back.keys() == expiries.keys()
    assert all(at >= expiries[job_id] for job_id, at in taken_back.items()), "not before its lease had run out"
    assert runtime.worker.drain(60).executed == CONCURRENCY
    assert history() == dict.fromkeys(ids, "Lost Succeeded")
    assert process.ended == set()
    for job_id in ids:
        after = runtime.service.get(job_id)
        assert (after.status, after.attempt) == (JobStatus.COMPLETED, 1)


def test_what_a_killed_worker_leaves_is_run_by_the_process_after_it(runtime, start, history, sql):
    quick, long = enqueue(runtime, CONCURRENCY, seconds=0), enqueue(runtime, 2 * CONCURRENCY, seconds=600)
    first = start()
    until(lambda: history().keys() == quick and len(first.began - quick) == CONCURRENCY)
    first.kill()
    recorded, in_its_hands = history(), first.began - quick
    assert recorded == dict.fromkeys(quick, "Succeeded")
    reconcile_until_reaped(runtime, sql)
    sql("""update jobs.jobs set payload = '{"seconds": 0}'""")
    second = start()
    assert second.wait() == 0
    ends = history()
    again = {job_id for job_id, outcomes in ends.items() if outcomes == "Lost Succeeded"}
    assert in_its_hands <= again <= long, "what it had begun, and what it had claimed to begin next"
    once = dict.fromkeys(quick | long, "Succeeded")
    assert ends == once | dict.fromkeys(again, "Lost Succeeded"), "what was recorded before stands"
    assert second.began == second.ended == long


def test_a_worker_that_wakes_after_its_lease_was_taken_over_changes_nothing(runtime, start, history, sql):
    ids = enqueue(runtime, 3, seconds=1.5)
    process = start()
    until(lambda: process.began == ids)
    process.send(signal.SIGSTOP)
    reconcile_until_reaped(runtime, sql)
    assert runtime.worker.drain(60).executed == 3
    done = {job_id: runtime.service.get(job_id) for job_id in ids}
    assert {stood.status for stood in done.values()} == {JobStatus.COMPLETED}
    process.send(signal.SIGCONT)
    assert process.wait() == 0, "it goes on, and ends well"
    assert process.ended == ids, "the zombie's handlers did run to their end"
    assert {job_id: runtime.service.get(job_id) for job_id in ids} == done
    assert history() == dict.fromkeys(ids, "Lost Succeeded")
    assert process.log.count("lease-lost") == 3


def test_a_worker_that_wakes_before_its_lease_runs_out_goes_on_as_if_nothing_had_been(runtime, start, history):
    ids = enqueue(runtime, 2, seconds=1)
    process = start()
    until(lambda: process.began == ids)
    process.send(signal.SIGSTOP)
    time.sleep(0.3)
    process.send(signal.SIGCONT)
    assert process.wait() == 0
    assert runtime.reconciler.run().reaped == 0
    assert history() == dict.fromkeys(ids, "Succeeded")
