"""The start of an app: its settings and handlers, and their faults.

On the Functions host an app that raises while it is imported has no functions at all, and so cannot report why. So the
app starts with defaults in place of invalid settings, and reports the fault instead of working.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from jobs.adapters.postgres.connection.address import DatabaseOptions, check_address
from jobs.adapters.postgres.statements.jobs import quoted
from jobs.adapters.storage_queue.account import StorageAccount
from jobs.core.errors import ConfigurationError, HandlerRegistrationError, InvalidSettings
from jobs.core.handlers.loading.package import check_found, load_handlers
from jobs.core.handlers.loading.which_packages import (
    ADDED_HANDLERS,
    NO_HANDLERS,
    SAMPLES,
    app_folder,
    checked,
    packages_in,
    packages_of,
    which_packages,
)
from jobs.core.handlers.registry import HandlerRegistry
from jobs.queue_checks import queue_warnings
from jobs.settings import Settings
from jobs.settings_checks import check_settings, check_timeouts, function_timeout, warnings_for

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

_logger = logging.getLogger("jobs")


@dataclass(slots=True)
class Startup:
    """The settings and handlers of an app. With a ``fault`` the app must not run jobs: some settings are defaults."""

    settings: Settings
    registry: HandlerRegistry
    fault: ConfigurationError | None
    warnings: list[str]
    function_timeout: timedelta | None = None
    packages: tuple[str, ...] = ()

    def names(self) -> list[str]:
        """Return the names of the app's own handlers, without those that ``python -m jobs dev`` adds."""
        added = packages_of(os.environ, ADDED_HANDLERS)
        return [spec.name for spec in self.registry.all() if getattr(spec.target, "__module__", "") not in added]

    def handlers(self) -> str:
        """Return a line that lists the handlers, and marks samples as such."""
        names = self.names()
        line = f"{len(names)} handler{'s' * (len(names) != 1)} in {', '.join(self.packages)}: {', '.join(names)}"
        if self.packages == (SAMPLES,):
            line += "; these are samples, `python -m jobs new handler SendInvoice` begins your own"
        return line


def read_startup(handlers: str | Iterable[str] = ()) -> Startup:
    """Read the settings and load the handlers. Faults are returned and not raised.

    ``handlers`` names the packages if JOBS_HANDLERS does not.
    """
    settings, unusable, faults, warnings, limit = _read_settings()
    unread = _Loaded((), HandlerRegistry(), None)
    packages, registry, fault = unread if "JOBS_HANDLERS" in unusable else _load(settings, handlers, limit)
    warnings += registry.warnings
    if faults:
        fault = InvalidSettings([*faults, *([("JOBS_HANDLERS", str(fault))] if fault else [])])
    if fault is not None:  # the timers report it, so they must run at least once a minute
        settings = settings.model_copy(update=_default_schedules())
    startup = Startup(settings, registry, fault, warnings, limit, packages)
    if fault is None and not startup.names():
        no_handler = (
            f"{', '.join(packages)} has no handler, so no job can be run; mark a function in it with @handler, or "
            "point JOBS_HANDLERS at another package"
        )
        warnings.append(no_handler if packages else NO_HANDLERS)
    return startup


def check_before_start() -> None:
    """Check the settings, and whether the handlers' packages are there, without loading handlers.

    For a start that takes a while before it loads them. Raises ``ConfigurationError`` after logging the warnings, which
    are about misspelt names too.
    """
    settings, unusable, faults, warnings, _ = _read_settings()
    if "JOBS_HANDLERS" not in unusable:
        try:
            check_found(packages_of_app(settings))
        except ConfigurationError as error:
            faults.append(("JOBS_HANDLERS", str(error)))
    if faults:
        log_warnings(warnings)
        raise InvalidSettings(faults)


class _SettingsRead(NamedTuple):
    settings: Settings
    unusable: tuple[str, ...]
    faults: list[tuple[str, str]]
    warnings: list[str]
    limit: timedelta | None


def _read_settings() -> _SettingsRead:
    settings, invalid = Settings.read_or_default()
    unusable = invalid.names if invalid is not None else ()
    faults = list(invalid.faults) if invalid is not None else []
    limit = None
    try:
        limit = function_timeout()
    except ConfigurationError as error:
        faults.append(("host.json", str(error)))
    faults += check_settings(settings, limit, unusable) + _schema_faults(settings) + _address_faults(settings)
    faults += _queue_faults(settings)
    warnings = warnings_for(settings, os.environ, unusable)
    if not faults:
        warnings += queue_warnings(settings)
    return _SettingsRead(settings, unusable, faults, warnings, limit)


def _default_schedules() -> dict[str, str]:
    return {name: Settings.model_fields[name].default for name in ("poll_schedule", "reconcile_schedule")}


class _Loaded(NamedTuple):
    packages: tuple[str, ...]
    registry: HandlerRegistry
    fault: ConfigurationError | None


def _load(settings: Settings, handlers: str | Iterable[str], limit: timedelta | None) -> _Loaded:
    packages: tuple[str, ...] = ()
    registry = HandlerRegistry()
    try:
        packages = packages_of_app(settings, handlers)
        registry = load_handlers((*packages, *packages_of(os.environ, ADDED_HANDLERS)))
        check_timeouts(registry, limit)
    except ConfigurationError as error:
        return _Loaded(packages, registry, error)
    except Exception as error:  # noqa: BLE001  any error must be reported by an app that has functions
        why = f"the handlers of {', '.join(packages)} cannot be loaded: {type(error).__name__}: {error}"
        return _Loaded(packages, registry, HandlerRegistrationError(why))
    return _Loaded(packages, registry, None)


def packages_of_app(settings: Settings, handlers: str | Iterable[str] = ()) -> tuple[str, ...]:
    """Return the packages that the settings name, else ``handlers``, else those of the app's folder.

    Raises ``ConfigurationError`` for an invalid package name.
    """
    try:
        given = packages_in(handlers) if isinstance(handlers, str) else checked(handlers)
    except ValueError as error:
        raise ConfigurationError(f"create_app(handlers=...): {error}") from None
    return which_packages(settings.handlers or given, app_folder())


def _schema_faults(settings: Settings) -> list[tuple[str, str]]:
    try:
        quoted(settings.database_schema)
    except ConfigurationError as error:
        return [("JOBS_DATABASE_SCHEMA", str(error).removeprefix("JOBS_DATABASE_SCHEMA "))]
    return []


def _address_faults(settings: Settings) -> list[tuple[str, str]]:
    if settings.database_url is None:
        return []
    tls = settings.database_tls if "database_tls" in settings.model_fields_set else None
    token = str if settings.database_auth == "entra" else None
    try:
        check_address(DatabaseOptions(settings.database_url.get_secret_value(), tls=tls, password=token))
    except ConfigurationError as error:
        return [("JOBS_DATABASE_URL", str(error).removeprefix("JOBS_DATABASE_URL "))]
    return []


def _queue_faults(settings: Settings) -> list[tuple[str, str]]:
    try:
        if settings.uses_queue:
            StorageAccount.of(os.environ, settings.queue_connection)
    except ConfigurationError as error:
        name, value = ("JOBS_SCALE_OUT", "true") if settings.asks_for_help else ("JOBS_SCHEDULER", "queue")
        return [(name, f"{value} needs a storage account: {error}")]
    return []


def log_startup(startup: Startup) -> None:
    """Log the handlers, and warnings about likely mistakes."""
    log_warnings(startup.warnings)
    if startup.names():
        _logger.info("%s", startup.handlers())


def log_warnings(warnings: Iterable[str]) -> None:
    """Log each warning."""
    for warning in warnings:
        _logger.warning("%s", warning)


def print_startup(startup: Startup) -> None:
    """Print the handlers, the warnings and the fault, for the Functions host.

    The host drops log records outside an invocation, but forwards printed lines. For the standard error it derives the
    level from the words "error" and "warning" in the line.
    """
    for warning in startup.warnings:
        _print_line(f"warning: {warning}", to_stderr=True)
    if startup.fault is not None:
        _print_line(f"error: the app cannot work as it is set up: {startup.fault}", to_stderr=True)
    elif startup.names():
        _print_line(startup.handlers(), to_stderr=False)


def _print_line(text: str, *, to_stderr: bool) -> None:
    stream = sys.stderr if to_stderr else sys.stdout
    encoding = getattr(stream, "encoding", None) or "utf-8"
    line = " ".join(text.split()).encode(encoding, "backslashreplace").decode(encoding)
    stream.write(f"{line}\n")
    stream.flush()
