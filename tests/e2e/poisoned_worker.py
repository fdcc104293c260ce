"""A worker that polls until it is killed, or dies of a poison job: ``poisoned_worker.py DATABASE_URL LEASE_SECONDS``.

A poison job ends its process a moment after it has begun, as a fault in a C library or the want of memory does.
"""

import os
import sys
import time

from pydantic import BaseModel

from jobs.bootstrap import build_runtime
from jobs.core.handlers.registry import HandlerRegistry
from jobs.settings import Settings

CONCURRENCY = 8
DEATH = 86


class Work(BaseModel):
    seconds: float = 0.0


def registry() -> HandlerRegistry:
    def innocent(args: Work) -> None:
        time.sleep(args.seconds)

    def poison(args: Work) -> None:
        time.sleep(args.seconds)
        os._exit(DEATH)

    registry = HandlerRegistry()
    registry.add_handler("Innocent", innocent)
    registry.add_handler("Poison", poison)
    return registry


def main(database_url: str, lease_seconds: float) -> None:
    settings = Settings(
        database_url=database_url, lease_seconds=lease_seconds, concurrency=CONCURRENCY, environment="Development"
    )
    runtime = build_runtime(settings, registry())
    print("ready", flush=True)
    while True:
        runtime.worker.drain(50, 1740)
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
