"""Run the app on a developer's machine: a Postgres of its own, migrated, and the functions hosted until Ctrl-C."""

from __future__ import annotations

import logging
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.errors import ConfigurationError, StoreUnavailable
from jobs.core.handlers.loading.which_packages import ADDED_HANDLERS
from jobs.entrypoints.devhost import demo_handler
from jobs.entrypoints.devhost.core_tools import core_tools, find_core_tools
from jobs.entrypoints.devhost.demo import Demo
from jobs.entrypoints.devhost.job_names import name_job
from jobs.entrypoints.devhost.local_database import local_database
from jobs.entrypoints.devhost.local_scheduler import local_scheduler, name_own_queues
from jobs.entrypoints.devhost.port import noted_port, take_port
from jobs.entrypoints.devhost.reload.reloader import AppNotLoaded, reloading_host
from jobs.entrypoints.devhost.signals import wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from jobs.entrypoints.devhost.local_database import LocalDatabase
    from jobs.entrypoints.devhost.options import DevOptions
    from jobs.entrypoints.triggers.termination import CreateApp

_logger = logging.getLogger("jobs.dev")


def run_dev(
    options: DevOptions,
    *,
    check_before_start: Callable[[], None],
    create_app: CreateApp,
    upgrade_database: Callable[[], tuple[str | None, str | None]],
) -> int:
    """Serve until Ctrl-C or SIGTERM; then release what runs and leave no process behind. Returns the exit status.

    Raises ``ConfigurationError`` for a setting that cannot be used, before Postgres is started; when the port is taken;
    or when a package for local runs is missing.
    """
    stop = threading.Event()
    closed_terminal = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # not on Windows
    for number in (signal.SIGINT, signal.SIGTERM, *closed_terminal):
        signal.signal(number, lambda *_: stop.set())
    take_port(options.port).close()  # before Postgres is started, so that a taken port is refused at once
    os.environ.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    os.environ["JOBS_SCHEDULER"] = options.scheduler or os.environ.get("JOBS_SCHEDULER", "timer")
    name_own_queues()
    check_before_start()
    os.environ[ADDED_HANDLERS] = (
        demo_handler.__name__
    )  # always, for the curl that is shown and for what a demo has left
    try:
        with local_database(Path(options.data), options.database_from) as database:
            _migrate(upgrade_database, database)
            data = Path(options.data)
            with local_scheduler(options) as woken, _host(options, create_app, stop) as url, noted_port(data, url):
                demo = Demo(url)
                (demo.start if options.demo else demo.cancel_recurring)(stop)
                print(_addresses(url) + database.shared + woken, flush=True)
                wait_for(stop)
                with suppress(OSError):  # of a terminal that is closed
                    print("\nstopping ...", flush=True)
    except AppNotLoaded:  # its process has said why, unless it was ended by Ctrl-C
        return 0 if stop.is_set() else 1
    return 0


def _migrate(upgrade_database: Callable[[], tuple[str | None, str | None]], database: LocalDatabase) -> None:
    try:
        before, after = upgrade_database()
    except StoreUnavailable as error:
        raise ConfigurationError(f"{error}\n  This uses {database.described}; {database.mend}") from error
    _logger.info("database ready, schema %s", after if before == after else f"migrated to {after}")


def _addresses(url: str) -> str:
    return (
        f"\n  Jobs are served at {url}\n"
        f"    enqueue    curl {url}/api/jobs -H 'content-type: application/json' \\\n"
        f'                 -d \'{{"handler_name":"{demo_handler.DEMO_HANDLER}","job_name":"hello"}}\'\n'
        f"    list       curl {url}/api/jobs\n"
        f"    handlers   curl {url}/api/handlers\n"
        f"    statistics curl {url}/api/stats\n"
        "  Ctrl-C stops it.\n"
    )


def _host(options: DevOptions, create_app: CreateApp, stop: threading.Event) -> AbstractContextManager[str]:
    """Return the host that is wanted. Under Core Tools the app is made here once, so that a fault stops the start."""
    if options.host == "func":
        func = find_core_tools()
        app = create_app()
        app.log_advice()
        app.close()
        return core_tools(func, options.port, stop)
    if options.reload and _can_reload(options):
        return reloading_host(options.port, stop)
    from jobs.entrypoints.devhost.built_in import built_in_host  # noqa: PLC0415  half a second that Core Tools do without

    return built_in_host(create_app(name_job), options.port)


def _can_reload(options: DevOptions) -> bool:
    """Whether the app can have a process of its own here, on a port that is known before it starts."""
    return os.name == "posix" and options.port != 0
