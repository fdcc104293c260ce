"""Build what a program needs that enqueues jobs and runs none."""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING, Literal, NamedTuple

from jobs.adapters.postgres.connection.address import DatabaseOptions
from jobs.adapters.postgres.connection.clock import DatabaseClock
from jobs.adapters.postgres.connection.database import Database
from jobs.adapters.postgres.stores.jobs import PostgresJobStore
from jobs.adapters.schedulers.timer import TimerScheduler
from jobs.adapters.storage_queue.names import QUEUE_NAME
from jobs.app.alarms.arming import Alarms
from jobs.app.commands.service import JobService
from jobs.bootstrap.schedulers import open_queues
from jobs.core.errors import ConfigurationError
from jobs.core.handlers.declared import KnownHandlers
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.handlers.registry import HandlerRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobs.core.ports.clock import Clock
    from jobs.core.ports.scheduler import Scheduler


class Address(NamedTuple):
    """Where a program other than the app finds the database, and how it connects."""

    url: str
    pool_size: int
    tls: bool | None
    ca_file: str | None
    pgbouncer: bool
    password: Callable[[], str] | None
    schema: str


class Queue(NamedTuple):
    """The storage queue in which the app's alarms are, and how to reach it."""

    name: str
    connection: str | None


_BY_NAME = ("dapr", "queue")
_ARGUMENTS = {
    "set JOBS_DATABASE_PGBOUNCER to true": "pass pgbouncer=True",
    "set JOBS_DATABASE_TLS=false": "pass tls=False",
    "JOBS_DATABASE_TLS=false": "tls=False",
    "JOBS_DATABASE_TLS is true": "tls is True",
    "JOBS_DATABASE_TLS is false": "tls is False",
    "JOBS_DATABASE_TLS": "tls",
    "JOBS_DATABASE_AUTH=entra": "tokens of Entra from password=",
    "JOBS_DATABASE_AUTH": "password",
    "JOBS_DATABASE_PGBOUNCER": "pgbouncer",
    "JOBS_DATABASE_CA_FILE": "ca_file",
    "JOBS_DATABASE_SCHEMA": "schema",
    "JOBS_DATABASE_URL": "database_url",
    "JOBS_HANDLERS": "handlers=",
    "set queue_connection__queueServiceUri in its place": "pass https://ACCOUNT.queue.core.windows.net",
    "queue_connection__queueServiceUri": "queue_connection",
}
"""What ``connect`` takes in place of settings. Longer texts come before those that they contain."""


def in_arguments(text: str) -> str:
    """Return an error's message with the arguments of ``connect`` in place of the settings of the app."""
    for setting, argument in _ARGUMENTS.items():
        text = text.replace(setting, argument)
    return text


def check_actor(actor: object) -> None:
    """Raise ``ConfigurationError`` unless it is a text or None, since it is stored with each job."""
    if actor is not None and not isinstance(actor, str):
        raise ConfigurationError(f"actor is a text, such as str(user.id), and not a {type(actor).__name__}")


def _check_types(address: Address, scheduler: object, handlers: object, queue: Queue) -> None:
    """Raise ``ConfigurationError`` for what would fail later only, as an outage does, or be ignored.

    No value is shown: it may hold a password.
    """
    size = address.pool_size
    checks = {
        "database_url is a text; that of a SQLAlchemy URL is url.render_as_string(hide_password=False)": isinstance(
            address.url, str
        ),
        "pool_size is a whole number of at least 1": type(size) is int and size >= 1,
        "tls is True, False or None": address.tls is None or type(address.tls) is bool,
        "pgbouncer is True or False": type(address.pgbouncer) is bool,
        "password is a function that returns one, called for each connection; a fixed one goes into database_url": (
            address.password is None or callable(address.password)
        ),
        'scheduler is "dapr", "queue" or a scheduler; left out, the app finds the jobs as they fall due': (
            scheduler is None or scheduler in _BY_NAME or callable(getattr(scheduler, "arm_many", None))
        ),
        "queue_connection is the connection string of the app's storage account, or "
        'https://ACCOUNT.queue.core.windows.net, and goes with scheduler="queue"': (
            queue.connection is None
            if scheduler != "queue"
            else isinstance(queue.connection, str) and queue.connection != ""
        ),
        "queue is the name of the app's storage queue: lowercase letters, digits and single hyphens, as in jobs-wake": (
            isinstance(queue.name, str) and re.fullmatch(QUEUE_NAME, queue.name) is not None
        ),
        "handlers is the name of a package or a HandlerRegistry": (
            handlers is None or isinstance(handlers, str | HandlerRegistry)
        ),
    }
    for wanted, fits in checks.items():
        if not fits:
            raise ConfigurationError(f"connect(): {wanted}")


def connect_service(
    address: Address,
    scheduler: Scheduler | Literal["dapr", "queue"] | None,
    handlers: str | HandlerRegistry | None,
    queue: Queue,
) -> tuple[JobService, Callable[[], None]]:
    """Build the service that enqueues and changes jobs, for a program that runs none. Returns it and what closes it.

    Reads no settings. Raises ``ConfigurationError`` for an argument that cannot be used.
    """
    _check_types(address, scheduler, handlers, queue)
    url, pool_size, tls, ca_file, pgbouncer, password, schema = address
    try:
        options = DatabaseOptions(
            url, pool_size, tls=tls, ca_file=ca_file, pgbouncer=pgbouncer, password=password, reword=in_arguments
        )
        registry = load_handlers(handlers) if isinstance(handlers, str) else handlers or KnownHandlers()
        database = Database(options)
        store = PostgresJobStore(database, schema)
        clock = DatabaseClock(database)
        alarms = Alarms(_scheduler_of(scheduler, queue, clock), store)
    except ConfigurationError as error:
        raise type(error)(in_arguments(str(error))) from error.__cause__

    def close() -> None:
        alarms.close()
        database.close()

    random = Random()  # noqa: S311  jitter, not secrets
    return JobService(store, alarms, registry, clock, random), close


def _scheduler_of(scheduler: Scheduler | Literal["dapr", "queue"] | None, queue: Queue, clock: Clock) -> Scheduler:
    if scheduler == "dapr":
        try:
            from jobs.adapters.schedulers.dapr import DaprScheduler  # noqa: PLC0415  half a second, only when chosen
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                f"connect(): the scheduler dapr needs the package dapr ({error}), an extra of the framework's "
                "wheel: pip install 'aether-jobs[dapr]'"
            ) from error
        return DaprScheduler()
    if scheduler == "queue":
        from jobs.adapters.schedulers.queue import QueueScheduler  # noqa: PLC0415  a tenth of a second, for urllib3

        text = queue.connection or ""
        setting = "queue_connection__queueServiceUri" if "://" in text and ";" not in text else "queue_connection"
        return QueueScheduler(*open_queues("queue_connection", queue.name, {setting: text}), clock.now)
    return scheduler or TimerScheduler()
