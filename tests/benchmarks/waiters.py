"""What callers who wait cost those who enqueue: ``python -m tests.benchmarks.waiters``.

Rounds of enqueues, one after another over HTTP, with nobody waiting and with 50 calls that hold ``Prefer: wait=20``, in
turn in one run. What counts is the ratio: the app, the host, the client and the waiters share the processors.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import median

import httpx

warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")

from jobs.adapters.postgres.schema.migrate import upgrade  # noqa: E402  the filter must come first
from tests.benchmarks.reads import serving  # noqa: E402
from tests.benchmarks.server import Maintenance, embedded_server  # noqa: E402

_numbers = itertools.count(1)


def enqueue(client: httpx.Client, **fields: object) -> str:
    """Enqueue a job, and return its id."""
    body = {"handler_name": "Handler0", "job_name": f"job {next(_numbers)}", "payload": {}} | fields
    answer = client.post("/api/jobs", json=body)
    answer.raise_for_status()
    return str(answer.json()["id"])


def per_second(client: httpx.Client, jobs: int) -> float:
    """Return how many jobs are enqueued in a second."""
    began = time.perf_counter()
    for _ in range(jobs):
        enqueue(client)
    return jobs / (time.perf_counter() - began)


@contextmanager
def waiting(client: httpx.Client, waiters: int) -> Iterator[None]:
    """Have so many calls wait for the end of jobs that do not end, each anew as soon as it is answered."""
    over, held = threading.Event(), threading.Barrier(waiters + 1)
    ids = [enqueue(client, schedule="P1D") for _ in range(waiters)]

    def wait_for(job_id: str) -> None:
        with httpx.Client(verify=False, base_url=client.base_url, timeout=120) as own:
            own.get(f"/api/jobs/{job_id}")
            held.wait()
            while not over.is_set():
                applied = own.get(f"/api/jobs/{job_id}", headers={"Prefer": "wait=20"}).headers
                if "Preference-Applied" not in applied:
                    raise SystemExit("a call did not wait")

    with ExitStack() as stack:
        for job_id in ids:
            thread = threading.Thread(target=wait_for, args=[job_id])
            thread.start()
            stack.callback(thread.join)
        held.wait()
        time.sleep(1)  # until the calls are under way: it is no part of what is timed
        try:
            yield
        finally:
            over.set()
            for job_id in ids:
                client.delete(f"/api/jobs/{job_id}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.waiters", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=500, help="enqueues of each round")
    parser.add_argument("--waiters", type=int, default=50)
    options = parser.parse_args()
    logging.getLogger("jobs").setLevel(logging.ERROR)
    with embedded_server() as server:
        url = server.create("waiters")
        maintenance = Maintenance(url)
        upgrade(maintenance.engine, "jobs")
        alone, beside = [], []
        with serving(url) as client:
            per_second(client, options.jobs)
            for _ in range(options.rounds):
                alone.append(per_second(client, options.jobs))
                with waiting(client, options.waiters):
                    beside.append(per_second(client, options.jobs))
        maintenance.close()
    ratios = [after / before for before, after in zip(alone, beside, strict=True)]
    print(
        f"enqueues a second: {median(alone):,.0f} alone, {median(beside):,.0f} beside {options.waiters} who wait; ",
        end="",
    )
    print(f"ratio by pairs {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"load average at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    return 0


if __name__ == "__main__":
    sys.exit(main())
