"""What reading takes with a million jobs: ``python -m tests.benchmarks.reads``. Medians, in milliseconds.

Each call goes through the app as a host serves it, over a loopback connection; a bare probe of the same kind says how
much of it is the connection's.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple

import httpx
from pydantic import BaseModel, ConfigDict

warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")

from jobs.adapters.postgres.schema.migrate import upgrade  # noqa: E402  the filter must come first
from jobs.bootstrap import build_runtime  # noqa: E402
from jobs.core.handlers.registry import HandlerRegistry  # noqa: E402
from jobs.core.lifecycle.failures import fingerprint_of  # noqa: E402
from jobs.core.lifecycle.status import AttemptOutcome  # noqa: E402
from jobs.entrypoints.devhost.host.host import DevHost  # noqa: E402
from jobs.entrypoints.functions import build_app  # noqa: E402
from jobs.settings import Settings  # noqa: E402
from tests.benchmarks.report import aligned  # noqa: E402
from tests.benchmarks.server import Maintenance, embedded_server  # noqa: E402

_NEVER = "0 0 0 29 2 1"
_CALLS, _WARM_UP = 31, 5
_PART = 100_000
_HANDLERS = 12

# Of a thousand jobs: 971 completed, 10 failed, 3 cancelled and 16 waiting, of which one is late, some are paused and
# every fourth recurs; one in ten thousand runs. The newest are of this minute, the oldest of 30 days ago.
_JOBS = """
insert into jobs.jobs (id, handler_name, job_name, schedule, timezone, recurring, payload, metadata, status, paused,
  next_run_at, scheduled_for, anchor, max_retries, attempt, lease_token, lease_expires_at, started_at, worker,
  handled_at, last_run_at, last_error, failure, created_at, updated_at, armed_at, run_count)
select cast(lpad(to_hex(n), 8, '0') || '-0000-7000-8000-' || lpad(to_hex(n), 12, '0') as uuid),
  'Handler' || n % {handlers}, 'order-' || n,
  case when recurs then '*/5 * * * *' else '@once' end, 'UTC', recurs,
  jsonb_build_object('to', 'customer-' || n || '@example.com', 'body', repeat('Your order is on its way. ', 8)),
  jsonb_build_object('OrderId', n, 'Domain', 'd' || n % 20), status, status = 'Scheduled' and n % 70 = 0,
  case when status = 'Running' then now() when status = 'Scheduled' then
    case when late then now() - interval '2 minutes' else now() + n % 1000 * interval '1 minute' end end,
  at, at, 3, 1,
  case when status = 'Running' then gen_random_uuid() end,
  case when status = 'Running' then now() + interval '1 day' end,
  case when status = 'Scheduled' then null else at end, case when status = 'Scheduled' then null else 'bench/1' end,
  case when status in ('Completed', 'Failed', 'Cancelled') then at + interval '1 second' end,
  at, case when status = 'Failed' then (cast(array[{errors}] as text[]))[1 + n % 3] end,
  case when status = 'Failed' then (cast(array[{failures}] as text[]))[1 + n % 3] end, at, at, at, 1
from (
  select n, now() - ({jobs} - n) * (interval '30 days' / {jobs}) as at, n % 1000 as place,
    case when n % 10000 = 5 then 'Running' when n % 1000 < 970 then 'Completed' when n % 1000 < 980 then 'Failed'
      when n % 1000 < 983 then 'Cancelled' when n % 1000 = 999 then 'Completed' else 'Scheduled' end as status,
    n % 1000 >= 983 and n % 4 = 0 as recurs, n % 1000 = 983 as late
  from generate_series({first}, {last}) as n
) as made
"""

_ATTEMPTS = """
insert into jobs.job_attempts (job_id, token, run, attempt, scheduled_for, started_at, finished_at, outcome, error,
  worker, traceback, failure, handler_name)
select id, gen_random_uuid(), 1, 1, scheduled_for, last_run_at, last_run_at + interval '1 second',
  case status when 'Completed' then 'Succeeded' else status end, last_error, worker,
  case when status = 'Failed' then repeat('  File "mail.py", line 7, in send' || chr(10), 12) end,
  failure, case when failure is not null then handler_name end
from jobs.jobs where status in ('Completed', 'Failed', 'Cancelled') order by created_at
"""

# Each job that is Failed has failed once more within the last day.
_FAILED_AGAIN = """
insert into jobs.job_attempts (job_id, token, run, attempt, scheduled_for, started_at, finished_at, outcome, error,
  worker, failure, handler_name)
select id, gen_random_uuid(), 1, 2, scheduled_for, at, at, 'Failed', last_error, worker, failure, handler_name
from (
  select *, now() - interval '23 hours' * (1 - row_number() over (order by created_at) / {failed}.0) as at
  from jobs.jobs where status = 'Failed') as failed
order by at
"""

_ERRORS = (
    "ValueError: order 7 is unknown (in send, mail.py:7)",
    "ConnectionError: 10.0.0.1 refused the connection (in call, client.py:20)",
    "TimeoutError: no answer within 30 s (in call, client.py:31)",
)


class _Anything(BaseModel):
    model_config = ConfigDict(extra="allow")


def _noop(args: _Anything) -> None:
    """Do nothing."""


class Read(NamedTuple):
    """One call that is timed."""

    name: str
    method: str
    path: str
    body: Mapping[str, Any] | None = None


def fill(maintenance: Maintenance, jobs: int, tell: Callable[[str], None]) -> None:
    """Put ``jobs`` jobs with their history into the migrated database, and analyse it."""
    for first in range(1, jobs + 1, _PART):
        last = min(first + _PART - 1, jobs)
        maintenance.run(
            _JOBS.format(
                handlers=_HANDLERS,
                jobs=jobs,
                first=first,
                last=last,
                errors=", ".join(f"'{error}'" for error in _ERRORS),
                failures=", ".join(f"'{fingerprint_of(AttemptOutcome.FAILED, error)}'" for error in _ERRORS),
            )
        )
        tell(f"{last:,} jobs")
    maintenance.run(_ATTEMPTS, _FAILED_AGAIN.format(failed=jobs // 100))
    maintenance.analyze("jobs.jobs", "jobs.job_attempts")
    tell("analysed")


def reads(jobs: int) -> Iterator[Read]:
    """Yield the calls that a page of the dashboard makes, and what they are about."""
    job = f"{jobs // 2:08x}-0000-7000-8000-{jobs // 2:012x}"
    yield Read("probe, no database", "GET", "/api/health/live")
    yield Read("overview: stats", "GET", "/api/stats")
    yield Read("overview: series", "GET", "/api/series?handler_name=*")
    yield Read("overview: failures", "GET", "/api/failures")
    yield Read("overview: workers", "GET", "/api/workers")
    yield Read("handlers with figures", "GET", "/api/handlers?include=figures")
    yield Read("list: all", "GET", "/api/jobs?limit=50")
    yield Read("list: failed", "GET", "/api/jobs?status=Failed&limit=50")
    yield Read("list: of a cause", "GET", f"/api/jobs?failure={fingerprint_of(AttemptOutcome.FAILED, _ERRORS[1])}")
    yield Read("list: waiting of a handler", "GET", "/api/jobs?status=Scheduled&handler_name=Handler3&limit=50")
    yield Read("list: overdue", "GET", "/api/jobs?overdue=true&limit=50")
    yield Read("recurring", "GET", "/api/jobs?recurring=true&status=Scheduled,Running&limit=50")
    yield Read("search: metadata", "GET", f"/api/jobs?metadata.OrderId={jobs // 3}")
    yield Read("search: a name", "GET", f"/api/jobs?job_name=order-{jobs // 3}")
    yield Read("search: failed by prefix", "GET", "/api/jobs?status=Failed&job_name=order-9*")
    yield Read("search: body", "POST", "/api/jobs/search", {"status": ["Failed"], "metadata": {"Domain": "d19"}})
    yield Read("job", "GET", f"/api/jobs/{job}")
    yield Read("attempts of a job", "GET", f"/api/jobs/{job}/attempts")
    yield Read("audit", "GET", "/api/audit")


@contextmanager
def serving(url: str) -> Iterator[httpx.Client]:
    """Serve the app, whose timers never tick, on the database at ``url``."""
    registry = HandlerRegistry()
    for number in range(_HANDLERS):
        registry.add_handler(f"Handler{number}", _noop)
    settings = Settings(
        database_url=url, scheduler="timer", poll_schedule=_NEVER, reconcile_schedule=_NEVER, key_role="manage"
    )
    runtime = build_runtime(settings, registry)
    try:
        app = build_app(lambda: runtime, settings)
        with (
            DevHost(app, port=0, route_prefix="") as host,
            httpx.Client(verify=False, base_url=host.url, timeout=120) as client,
        ):
            for _ in range(5):
                runtime.reconciler.run()
            runtime.presence.report()
            yield client
    finally:
        runtime.close()


def milliseconds(client: httpx.Client, read: Read) -> list[float]:
    """Return how long each of some calls took, after those that warm up."""
    taken = []
    for number in range(_WARM_UP + _CALLS):
        began = time.perf_counter()
        answer = client.request(read.method, read.path, json=read.body)
        seconds = time.perf_counter() - began
        if answer.status_code != httpx.codes.OK:
            raise SystemExit(f"{read.name}: {answer.status_code} {answer.text}")
        if number >= _WARM_UP:
            taken.append(seconds * 1000)
    return sorted(taken)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.reads", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    options = parser.parse_args()
    logging.getLogger("jobs").setLevel(logging.ERROR)
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", file=sys.stderr, flush=True)

    with embedded_server() as server:
        url = server.create("reads")
        maintenance = Maintenance(url)
        upgrade(maintenance.engine, "jobs")
        fill(maintenance, options.jobs, tell)
        server.checkpoint()
        lines = [["", "median, ms", "fastest", "slowest"]]
        with serving(url) as client:
            for read in reads(options.jobs):
                taken = milliseconds(client, read)
                lines.append([read.name, *(f"{each:.1f}" for each in (median(taken), taken[0], taken[-1]))])
                tell(" ".join(lines[-1]))
        maintenance.close()
        print(
            f"PostgreSQL {server.version}, embedded, default settings; {options.jobs:,} jobs, {_CALLS} calls of each;"
        )
        print(f"load average at the end {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores\n")
        print("\n".join(aligned(lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
