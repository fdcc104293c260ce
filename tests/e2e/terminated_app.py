"""The function app's process as the host has it, for tests that end it: ``terminated_app.py DATABASE_URL FOLDER WAY``.

Its main thread runs a loop, as Microsoft's worker does, and never ends by itself. It drains on another thread; an
attempt goes on until the process ends. ``WAY`` says what stood at SIGTERM before: ``default``, ``exits`` or ``notes``.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path

from pydantic import BaseModel

from jobs.bootstrap import build_runtime, close_at_the_end
from jobs.bootstrap.lazy_runtime import LazyRuntime
from jobs.core.handlers.context import JobContext
from jobs.core.handlers.registry import HandlerRegistry
from jobs.settings import Settings


class Nothing(BaseModel):
    pass


def main(folder: Path, way: str) -> None:
    def handle(args: Nothing, ctx: JobContext) -> None:
        (folder / f"{ctx.job_id}.began").touch()
        time.sleep(600)

    def stood_before(number: int, _: object) -> None:
        (folder / "called").write_text(str(number))
        if way == "exits":
            sys.exit(3)

    registry = HandlerRegistry()
    registry.add_handler("Work", handle)
    if way != "default":
        signal.signal(signal.SIGTERM, stood_before)
    settings = Settings.read()
    runtime = LazyRuntime(lambda: build_runtime(settings, registry))
    close_at_the_end(runtime.close)
    threading.Thread(target=lambda: runtime().worker.drain(600), daemon=True).start()
    asyncio.run(asyncio.sleep(600))


if __name__ == "__main__":
    os.environ |= {"JOBS_DATABASE_URL": sys.argv[1], "JOBS_SCHEDULER": "timer", "JOBS_SHUTDOWN_GRACE_SECONDS": "0.2"}
    os.environ |= {"AZURE_FUNCTIONS_ENVIRONMENT": "Development"}
    main(Path(sys.argv[2]), sys.argv[3])
