"""A worker that is killed amid an operation on many jobs: ``bulk_and_die.py DATABASE_URL OPERATION CHANGES WHEN``.

It takes the operation up, changes so many jobs, and kills itself with SIGKILL: ``before`` the next change is sent, or
``after`` it was committed and before anything is noted of it.
"""

import os
import signal
import sys
import uuid
from typing import Any

from jobs.app.bulk.run import BulkWork
from jobs.bootstrap import build_runtime
from jobs.core.bulk import BulkAction
from jobs.core.handlers.registry import HandlerRegistry
from jobs.core.lifecycle.ids import AlarmName
from jobs.settings import Settings
from tests.support import handle_alarm


def main(url: str, operation: str, changes: int, when: str) -> None:
    settings = Settings(database_url=url, scheduler="timer", environment="Development", lease_seconds=1)
    runtime = build_runtime(settings, HandlerRegistry())
    work: Any = runtime.injector._built_in[BulkWork]
    work._page = 10
    retry, made = work._actions[BulkAction.RETRY], 0

    def retry_and_die(job_id: uuid.UUID, **options: Any) -> Any:
        nonlocal made
        if made == changes and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        changed = retry(job_id, **options)
        if made == changes:
            os.kill(os.getpid(), signal.SIGKILL)
        made += 1
        return changed

    work._actions[BulkAction.RETRY] = retry_and_die
    job = runtime.service.get(uuid.UUID(operation))
    handle_alarm(runtime, AlarmName(job.id, job.generation))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
