"""Poison jobs among innocent ones, on workers of which some are killed: only the poison is failed.

With --soak it goes on for ten minutes, with 200 jobs and 30 kills, on leases as they are by default.
"""

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.app.runtime import Runtime
from jobs.core.lifecycle.job import Job
from jobs.core.lifecycle.status import JobStatus
from jobs.settings import Settings
from tests.e2e.poisoned_worker import CONCURRENCY, DEATH, registry
from tests.sizes import sized
from tests.support import MakeRuntime, job
from tests.warm import WarmProcess

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("poisoned_worker.py")
MAX_LOST = Settings().max_lost_runs
PATIENCE_SECONDS = 480
LEASE_SECONDS = 3  # so long that a living worker on a busy machine rarely loses it


def until(condition: Callable[[], Any], state: Callable[[], object] = lambda: "") -> Any:
    """Wait for what takes several leases, and return it; ``state`` says how things stand if it does not come to be."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < give_up_at, f"this did not come to pass within {PATIENCE_SECONDS} s: {state()}"
        time.sleep(0.1)
    return found


class Workers:
    """Worker processes, each replaced when it ends, as a host replaces them."""

    def __init__(self, database_url: str, lease_seconds: float, count: int, output: Path) -> None:
        self._command = [str(SCRIPT), database_url, str(lease_seconds)]
        self._output = output
        self._processes = [self._start() for _ in range(count)]
        self.killed = 0
        self.died = 0

    def _start(self) -> WarmProcess:
        return WarmProcess(self._command, output=self._output)

    def replace(self) -> None:
        """Start another for each that has ended."""
        for place, process in enumerate(self._processes):
            if process.poll() is not None:
                self.died += process.returncode == DEATH
                self._processes[place] = self._start()

    def kill_one(self, draw: random.Random, but: Collection[int] = ()) -> None:
        process = draw.choice(self._processes)
        if process.poll() is None and process.pid not in but:
            process.kill()
            process.wait()
            self.killed += 1
        self.replace()

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


@pytest.fixture
def work(database_url, tmp_path) -> Iterator[Callable[[float, int], Workers]]:
    started: list[Workers] = []

    def work(lease_seconds: float, count: int) -> Workers:
        started.append(Workers(database_url, lease_seconds, count, tmp_path))
        return started[-1]

    yield work
    for workers in started:
        workers.stop()


@pytest.fixture
def runtime(make_runtime: MakeRuntime) -> Runtime:
    """What enqueues and looks on; it runs nothing itself."""
    return make_runtime(registry())


def innocents(runtime: Runtime, names: list[str], draw: random.Random) -> None:
    runtime.service.enqueue_many(
        job(name, "Innocent", payload={"seconds": draw.choice([0, 0.05, 0.3, 1])}, max_retries=0) for name in names
    )


def of_handler(sql, handler: str) -> dict[str, int]:
    return dict(
        tuple(row)
        for row in sql("select status, count(*) from jobs.jobs where handler_name = :h group by 1", h=handler)
    )


def losses(sql, handler: str) -> list[int]:
    """How many workers each run of a handler has lost, the most first."""
    text = """
    select count(*) from jobs.job_attempts a join jobs.jobs j on j.id = a.job_id
    where j.handler_name = :h and a.outcome = 'Lost' group by a.job_id, a.run order by 1 desc
    """
    return [count for (count,) in sql(text, h=handler)]


def test_a_poison_job_under_steady_load_is_failed_at_its_third_loss_and_takes_nobody_along(runtime, work, sql):
    """The workers die three times, no more: each death counts, since a host gives up after three in half an hour."""
    draw = random.Random(7)
    innocents(runtime, [f"before {n}" for n in range(40)], draw)
    poison = runtime.service.enqueue(job("poison", "Poison", payload={"seconds": 0.2}, max_retries=0)).id
    workers, number = work(LEASE_SECONDS, 1), 0

    def convicted() -> bool:
        nonlocal number
        workers.replace()
        innocents(runtime, [f"beside {number}.{n}" for n in range(CONCURRENCY)], draw)
        number += 1
        time.sleep(1)
        return runtime.service.get(poison).status is JobStatus.FAILED

    until(convicted)
    until(lambda: workers.replace() or of_handler(sql, "Innocent").keys() == {"Completed"})
    after = runtime.service.get(poison)
    assert (after.status, after.run_count, after.consecutive_failures) == (JobStatus.FAILED, 1, 1)
    assert "3 times in a row, at last while nothing else started beside it" in after.last_error
    assert losses(sql, "Poison") == [MAX_LOST]
    assert workers.died == MAX_LOST


def test_a_recurring_poison_job_costs_one_worker_an_occurrence_once_it_is_found(runtime, work, sql):
    poison = runtime.service.enqueue(job("poison", "Poison", schedule="@every 20s", max_retries=0)).id
    sql("update jobs.jobs set next_run_at = now(), scheduled_for = now()")
    innocents(runtime, [f"innocent {n}" for n in range(40)], random.Random(7))
    workers = work(LEASE_SECONDS, 1)

    def scheduled_after_two_runs() -> Job | None:
        workers.replace()
        found = runtime.service.get(poison)
        return found if found.run_count >= 2 and found.status is JobStatus.SCHEDULED else None

    after = until(scheduled_after_two_runs)
    assert after.consecutive_failures == after.run_count
    assert losses(sql, "Poison")[:2] == [MAX_LOST, 1]
    until(lambda: workers.replace() or of_handler(sql, "Innocent").keys() == {"Completed"})


@pytest.mark.soak
@pytest.mark.parametrize(
    ("seconds", "jobs", "kills", "lease"), [sized((30, 40, 5, LEASE_SECONDS), (600, 200, 30, Settings().lease_seconds))]
)
def test_only_poison_is_failed_however_many_workers_are_killed(runtime, work, sql, seconds, jobs, kills, lease):
    draw = random.Random(11)
    innocents(runtime, [f"first {n}" for n in range(jobs // 4)], draw)
    once = runtime.service.enqueue(job("once", "Poison", max_retries=0)).id
    again = runtime.service.enqueue(job("again", "Poison", schedule="@every 1m", max_retries=0)).id
    sql("update jobs.jobs set next_run_at = now() + make_interval(secs => :s) where id = :id", id=again, s=seconds / 3)
    # A suspect whose worker is killed while it is alone is taken for the cause, and rightly so: nothing tells the two
    # apart. Within minutes that is rare; within seconds it would happen, so such a worker is spared then.
    alone = lambda: [int(w.rpartition("/")[2]) for (w,) in sql("select worker from jobs.jobs where alone")]  # noqa: E731
    workers, rest, began = work(lease, 3), jobs - jobs // 4, time.monotonic()
    for round_ in range(kills):
        innocents(
            runtime, [f"round {round_}.{n}" for n in range(rest * round_ // kills, rest * (round_ + 1) // kills)], draw
        )
        while time.monotonic() < began + seconds * (round_ + 1) / kills:
            workers.replace()
            time.sleep(0.1)
        workers.kill_one(draw, sized(alone(), []))
    innocent = (
        "select status, lost_count, last_error, next_run_at - now() from jobs.jobs where handler_name = 'Innocent'"
    )
    until(
        lambda: workers.replace() or of_handler(sql, "Innocent").keys() == {"Completed"},
        lambda: sql(f"{innocent} and status <> 'Completed'"),
    )
    until(lambda: workers.replace() or runtime.service.get(once).status is JobStatus.FAILED)
    until(lambda: workers.replace() or runtime.service.get(again).run_count)
    waits = sql(
        "select extract(epoch from min(n.started_at) - min(a.started_at))::float8 from jobs.job_attempts a "
        "join jobs.job_attempts n on n.job_id = a.job_id and n.started_at > a.started_at "
        "join jobs.jobs j on j.id = a.job_id where a.outcome = 'Lost' and not j.recurring "
        "group by a.job_id, a.started_at order by 1"
    )
    print(
        f"\n{workers.killed} killed, {workers.died} died of poison in {time.monotonic() - began:.0f} s; "
        f"innocent {of_handler(sql, 'Innocent')}, losses {Counter(losses(sql, 'Innocent'))}; "
        f"poison losses {losses(sql, 'Poison')}; from start to start again, in seconds: "
        f"{[round(wait) for (wait,) in waits]}"
    )
    assert of_handler(sql, "Innocent") == {"Completed": jobs}
    assert workers.killed > kills // 2
    assert max(losses(sql, "Poison")) <= MAX_LOST
    after = runtime.service.get(again)
    assert after.status.active
    assert after.consecutive_failures == after.run_count
