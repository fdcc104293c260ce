"""A worker as a process of its own, for tests that kill it: ``worker_process.py DATABASE_URL FOLDER``.

It drains what is due with a lease of ``LEASE_SECONDS``, and writes a file per attempt into ``FOLDER`` as it begins and
another as it ends. An attempt lasts as many seconds as its job's payload says.
"""

import logging
import sys
import time
from pathlib import Path

from pydantic import BaseModel

from jobs.bootstrap import build_runtime
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.settings import Settings

CONCURRENCY = 8
LEASE_SECONDS = 5  # so long that a living worker on a busy machine never loses it


class Work(BaseModel):
    seconds: float


def main(database_url: str, folder: Path) -> None:
    def handle(args: Work, ctx: JobContext) -> None:
        (folder / f"{ctx.job_id}.began").touch()
        time.sleep(args.seconds)
        (folder / f"{ctx.job_id}.ended").touch()

    registry = HandlerRegistry()
    registry.add_handler("Work", handle)
    runtime = build_runtime(
        Settings(
            database_url=database_url, lease_seconds=LEASE_SECONDS, concurrency=CONCURRENCY, environment="Development"
        ),
        registry,
    )
    runtime.worker.drain(60)
    runtime.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    main(sys.argv[1], Path(sys.argv[2]))
