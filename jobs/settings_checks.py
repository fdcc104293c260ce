"""Checks across settings that are valid one by one: contradictions, misspelt names, the host's limits."""

from __future__ import annotations

import logging
import os
from datetime import timedelta
from difflib import get_close_matches
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.core.errors import ConfigurationError, HandlerRegistrationError
from jobs.core.handlers.loading.which_packages import ADDED_HANDLERS
from jobs.core.schedules.dialects.ncrontab import read_time_span, read_timer_schedule
from jobs.core.schedules.timing import MAX_DURATION
from jobs.host_json import host_setting
from jobs.settings import Settings, setting_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from jobs.core.handlers.registry import HandlerRegistry

_logger = logging.getLogger("jobs")
_DEFAULT_TIMEOUT = timedelta(minutes=30)
_CONSUMPTION_TIMEOUT = timedelta(minutes=5)
_CONSUMPTION_MOST = timedelta(minutes=10)
_TIMEOUT_SETTING = "AzureFunctionsJobHost__functionTimeout"
_LIKENESS = 0.84
_TICKS = 100
_HOSTS_GRACE_SECONDS = 10
_KEEP_IT = "keep it in requirements.txt"
_KEEP = {"dapr": f"{_KEEP_IT}, or name the wheel's extra there: aether-jobs[dapr]"}
_NEEDS = {
    "scheduler": {"dapr": "dapr"},
    "database_auth": {"entra": "azure.identity"},
    "opentelemetry": {"True": "opentelemetry"},
}
"""The packages that only a setting requires, and that are imported on first use."""


def read_settings() -> Settings:
    """Read the environment; raises ``InvalidSettings``, after logging the warnings about misspelt names."""
    settings, invalid = Settings.read_or_default()
    if invalid is not None:
        for warning in warnings_for(settings, os.environ, invalid.names):
            _logger.warning("%s", warning)
        raise invalid
    return settings


def check_settings(
    settings: Settings, limit: timedelta | None, unusable: Collection[str] = ()
) -> list[tuple[str, str]]:
    """Return each setting that contradicts another one or ``limit``, the host's functionTimeout, with the fix.

    ``unusable`` settings have defaults instead; contradictions with those are left out, since they follow from a fault
    that is already reported.
    """

    def usable(*fields: str) -> bool:
        return not any(setting_name(field) in unusable for field in fields)

    faults = []
    statement, socket = settings.database_statement_timeout_seconds, settings.database_socket_timeout_seconds
    if socket <= statement and usable("database_statement_timeout_seconds", "database_socket_timeout_seconds"):
        why = (
            f"{socket:g} is not above JOBS_DATABASE_STATEMENT_TIMEOUT_SECONDS, {statement:g}, so a statement that may "
            "still take its time would break its connection; raise the one or lower the other"
        )
        faults.append(("JOBS_DATABASE_SOCKET_TIMEOUT_SECONDS", why))
    if settings.database_auth == "entra" and not settings.database_tls and usable("database_auth", "database_tls"):
        why = "false would send the Entra token in clear text; remove it, or JOBS_DATABASE_AUTH"
        faults.append(("JOBS_DATABASE_TLS", why))
    if settings.database_ca_file is not None and not Path(settings.database_ca_file).is_file():
        why = f"{settings.database_ca_file} is not there; name a file of certificates in PEM form"
        faults.append(("JOBS_DATABASE_CA_FILE", why))
    open_to_all = settings.scheduler == "dapr" and not settings.callback_tokens and not settings.local
    if open_to_all and usable("scheduler", "callback_tokens"):
        why = (
            "JOBS_SCHEDULER is dapr and there is no token for its callback, which anybody could then call; set "
            "JOBS_CALLBACK_TOKENS to the sidecar's APP_API_TOKEN, or JOBS_SCHEDULER to timer"
        )
        faults.append(("JOBS_CALLBACK_TOKENS", why))
    for name, needed in _NEEDS.items():
        value = str(getattr(settings, name))
        if value in needed and usable(name) and not _installed(needed[value]):
            why = f"{value} needs the package {needed[value]}, which is not installed; {_KEEP.get(value, _KEEP_IT)}"
            faults.append((setting_name(name), why))
    for name in ("default_timeout_seconds", "poll_budget_seconds"):
        seconds = getattr(settings, name)
        if limit is not None and seconds >= limit.total_seconds() and usable(name):
            faults.append((setting_name(name), f"{seconds:g} is {_beyond(limit)}"))
    return faults


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # its parent package is missing
        return False


def _beyond(limit: timedelta) -> str:
    return (
        f"not below functionTimeout, {limit}, at which the host ends the worker with all that it runs; lower it, or "
        "raise functionTimeout in host.json"
    )


def warnings_for(settings: Settings, environment: Iterable[str], unusable: Collection[str] = ()) -> list[str]:
    """Return warnings for likely mistakes; defaults of unusable settings are not checked."""
    warnings = []
    compared = {"JOBS_LEASE_SECONDS", "JOBS_DATABASE_STATEMENT_TIMEOUT_SECONDS"}
    if settings.lease_seconds < settings.database_statement_timeout_seconds and compared.isdisjoint(unusable):
        warnings.append(
            f"JOBS_LEASE_SECONDS, {settings.lease_seconds:g}, is below JOBS_DATABASE_STATEMENT_TIMEOUT_SECONDS, "
            f"{settings.database_statement_timeout_seconds:g}: one slow statement can cost a worker its runs"
        )
    if settings.database_ca_file is not None and not settings.database_tls and "JOBS_DATABASE_TLS" not in unusable:
        warnings.append("JOBS_DATABASE_CA_FILE is not used, since JOBS_DATABASE_TLS is false; remove one of them")
    if settings.shutdown_grace_seconds > _HOSTS_GRACE_SECONDS:
        warnings.append(
            f"JOBS_SHUTDOWN_GRACE_SECONDS is {settings.shutdown_grace_seconds:g}, and the Functions host ends the "
            f"worker {_HOSTS_GRACE_SECONDS} s after SIGTERM: a run that is not given back by then waits for its lease "
            "to expire"
        )
    if not (settings.local or settings.easy_auth or settings.roles) and settings.key_role == "none":
        warnings.append(
            "the API is closed, since no setting says who may call it: set JOBS_KEY_ROLE to what a function key is "
            "good for, or put sign-in before the app and set JOBS_ROLES"
        )
    ours = {setting_name(field): field for field in Settings.model_fields}
    known = {*ours, "JOBS_ENVIRONMENT", "JOBS_EASY_AUTH", ADDED_HANDLERS}
    for name in sorted(environment):
        upper = name.upper()
        if not upper.startswith("JOB") or upper in known:
            continue
        if close := get_close_matches(upper, ours, n=1, cutoff=_LIKENESS):
            warnings.append(f"{name} is no setting of this app, and is not read; is {close[0]} meant?")
    return warnings


def check_timeouts(registry: HandlerRegistry, limit: timedelta | None) -> None:
    """Raise ``HandlerRegistrationError`` for handlers whose own timeout is not below ``limit``."""
    if limit is None:
        return
    late = [spec for spec in registry.all() if spec.timeout is not None and spec.timeout >= limit]
    if late:
        faults = (f"{spec.origin}: the timeout of {spec.name}, {spec.timeout}, is {_beyond(limit)}" for spec in late)
        raise HandlerRegistrationError("; ".join(faults))


def function_timeout(environment: Mapping[str, str] = os.environ) -> timedelta | None:
    """Return the Functions host's limit on the duration of a function; None means no limit.

    Raises ``ConfigurationError`` for an invalid host.json, or an invalid setting that overrides it; also for a limit
    that a Consumption plan, which Azure names in WEBSITE_SKU, does not allow: no host starts with it there.
    """
    value, place = host_setting("functionTimeout", environment=environment)
    consumption = environment.get("WEBSITE_SKU") == "Dynamic"
    if value is None:
        return _CONSUMPTION_TIMEOUT if consumption else _DEFAULT_TIMEOUT
    try:
        limit = None if value in {"-1", -1} else read_time_span(str(value))
    except ValueError:
        raise ConfigurationError(f'{place} is {value!r}; write a time span such as "00:30:00", or -1') from None
    if consumption and (limit is None or limit > _CONSUMPTION_MOST):
        raise ConfigurationError(
            f"{place} is {value}, and a Consumption plan allows 10 minutes at most: the host would not start there; "
            f'set {_TIMEOUT_SETTING} to "00:10:00", or take Flex Consumption'
        )
    return limit


def reconcile_gap(settings: Settings) -> timedelta:
    """Return how far apart the ticks of the reconciliation are at most."""
    if settings.reconcile_schedule == Settings.model_fields["reconcile_schedule"].default:
        return timedelta(minutes=1)
    schedule = read_timer_schedule(settings.reconcile_schedule, os.environ)
    if isinstance(schedule, timedelta):
        return schedule
    from croniter import CroniterBadDateError, croniter  # noqa: PLC0415  few apps need it to start

    ticks = croniter(schedule, second_at_beginning=True, day_or=False)
    try:
        instants = [ticks.get_next(float) for _ in range(_TICKS)]
    except CroniterBadDateError:  # years pass between two ticks
        return MAX_DURATION
    return timedelta(seconds=max(later - earlier for earlier, later in pairwise(instants)))
