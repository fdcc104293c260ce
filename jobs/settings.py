"""The app's settings, read once by ``bootstrap`` from the environment, which has the Functions app settings.

Longer than other files because it is one class: whoever looks for a setting finds all of them in it.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, AliasChoices, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from jobs.core.errors import InvalidSettings
from jobs.core.handlers.loading.which_packages import packages_in
from jobs.core.near_names import asks_for_near
from jobs.core.schedules.dialects.ncrontab import read_timer_schedule

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

_YEAR_SECONDS = 366 * 86_400
Seconds = Annotated[float, Field(gt=0, le=_YEAR_SECONDS)]
_ADDRESS = re.compile(r"postgres(?:ql)?(?:\+\w+)?://", re.IGNORECASE)
_QUOTED = re.compile(r"'([^']+)'")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=://)", re.IGNORECASE)


def _check_timer_schedule(text: str) -> str:
    read_timer_schedule(text, os.environ)
    return text


TimerSchedule = Annotated[str, AfterValidator(_check_timer_schedule)]


class Settings(BaseSettings):
    """The settings, named ``JOBS_<FIELD>``. The reference's table has the same descriptions; a test compares them."""

    model_config = SettingsConfigDict(env_prefix="JOBS_", extra="ignore", frozen=True, populate_by_name=True)

    database_url: SecretStr | None = Field(
        default=None, description="Where Postgres is: `postgresql://user:password@host:5432/database`."
    )
    database_auth: Literal["password", "entra"] = Field(
        default="password", description="`entra` connects with a Microsoft Entra token in place of a password."
    )
    database_schema: str = Field(default="jobs", description="The schema that holds the tables.")
    database_pool_size: Annotated[int, Field(ge=4, le=100)] = Field(
        default=8,
        description="Connections an instance may open: one for heartbeats, one for outcomes, half of the rest for "
        "units of work, the other half for all else; instances x this must stay below max_connections.",
    )
    database_tls: bool = Field(
        default=True,
        description="Encrypt and verify the connection; `sslmode` in the URL is honoured too. Only for a database on "
        "this machine: `false`.",
    )
    database_ca_file: str | None = Field(
        default=None, description="A CA bundle to verify with, other than the system's."
    )
    database_pgbouncer: bool = Field(
        default=False, description="Set when the URL leads to PgBouncer in transaction mode: sends no session settings."
    )
    database_statement_timeout_seconds: Seconds = Field(
        default=15, description="The longest that a statement may take."
    )
    database_socket_timeout_seconds: Seconds = Field(
        default=30, description="The longest to wait for the database's answer; longer than the statement timeout."
    )
    scheduler: Literal["timer", "dapr", "queue"] = Field(
        default="dapr",
        description="What wakes jobs up: `dapr` (Dapr Jobs, which needs a sidecar), `queue` (a storage queue), or "
        "`timer`, which polls the table.",
    )
    queue: Annotated[str, Field(min_length=3, max_length=56, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")] = Field(
        default="jobs-wake", description="The storage queue of the queue scheduler; it is created if need be."
    )
    queue_connection: Annotated[str, Field(pattern=r"^\w+$")] = Field(
        default="AzureWebJobsStorage",
        description="The setting that says where the queue is: a connection string, or, with `__queueServiceUri` after "
        "its name, the address for an identity.",
    )
    scale_out: bool = Field(
        default=False,
        description="Under `timer`: have messages in the storage queue wake other instances while more is due than one "
        "instance runs.",
    )
    scale_out_instances: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=10, description="The most instances that `JOBS_SCALE_OUT` asks for."
    )
    app_version: Annotated[str, Field(max_length=100)] | None = Field(
        default=None,
        description="The version of your app, such as a commit, that `/api/workers` shows and that marks deployments "
        "in `/api/series`; left out, what changes with the code of the handlers' packages.",
    )
    opentelemetry: bool = Field(
        default=False,
        description="Make an OpenTelemetry span and metrics of every attempt; exporters are yours or the host's.",
    )
    handlers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="The packages that your handlers live in, separated by commas; left out, those of "
        "`create_app(handlers=...)`, else `handlers`, else the samples in `examples`.",
    )
    concurrency: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=16, description="Handlers that one instance runs at once."
    )
    max_abandoned_threads: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Threads that handlers may keep past their timeout, each replaced, before an instance is not "
        "ready; left out, as many as `JOBS_CONCURRENCY`.",
    )
    batch_size: Annotated[int, Field(ge=1, le=5000)] = Field(
        default=500, description="Rows per claim and per outcome statement."
    )
    lease_seconds: Annotated[float, Field(ge=1, le=_YEAR_SECONDS)] = Field(
        default=15,
        description="How long a run stays with a silent worker; heartbeats come three times as often.",
    )
    default_timeout_seconds: Seconds = Field(
        default=1500,
        description="The longest attempt where handler and job say nothing; below functionTimeout in host.json.",
    )
    shutdown_grace_seconds: Annotated[float, Field(ge=0, le=_YEAR_SECONDS)] = Field(
        default=8,
        description="How long running handlers get to end when the host stops; then their runs are given back.",
    )
    poll_schedule: TimerSchedule = Field(
        default="* * * * * *", description="NCRONTAB of `run_due`, the timer backend's poll."
    )
    poll_budget_seconds: Seconds = Field(
        default=50, description="How long one poll goes on while there is work; then on, while a handler runs."
    )
    reconcile_schedule: TimerSchedule = Field(default="0 * * * * *", description="NCRONTAB of `reconcile`.")
    overdue_grace_seconds: Seconds = Field(
        default=60, description="How late a job may be before its alarm counts as lost."
    )
    retention_days: Annotated[float, Field(ge=0, le=36_600)] = Field(
        default=30, description="How long ended jobs, and any job's history, are kept; 0 keeps them for ever."
    )
    keep_attempts: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=20, description="How many of a job's attempts are kept however old they are: its newest."
    )
    max_lost_runs: Annotated[int, Field(ge=1)] = Field(
        default=3,
        description="How often in a row a run may lose its worker before it is failed as the cause; 3 or more.",
    )
    callback_tokens: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        default=(),
        validation_alias=AliasChoices("JOBS_CALLBACK_TOKENS", "APP_API_TOKEN"),
        description="Tokens that the scheduler's callback must bring, separated by commas; two during a rotation.",
    )
    environment: str = Field(
        default="Production",
        validation_alias=AliasChoices("AZURE_FUNCTIONS_ENVIRONMENT"),
        description="`Development` where the app runs on a developer's machine; Core Tools set it by themselves. "
        "`JOBS_ENVIRONMENT` is read where it is not set.",
    )
    easy_auth: bool = Field(
        default=False,
        validation_alias=AliasChoices("WEBSITE_AUTH_ENABLED"),
        description="Set by App Service with Easy Auth: callers need `Jobs.Read`, `Jobs.Enqueue` or `Jobs.Manage`. "
        "`JOBS_EASY_AUTH` is read where it is not set.",
    )
    roles: bool = Field(
        default=False,
        description="The same where the platform does not say so; only with sign-in before the app.",
    )
    key_role: Literal["none", "read", "enqueue", "manage"] = Field(
        default="none",
        description="What a function key is good for where there is no sign-in before the app. With `none` the API is "
        "closed, but for a developer's own machine.",
    )
    dashboard: Literal["on", "read-only", "off"] = Field(
        default="on", description="The web page at `/dashboard`. `read-only` offers nothing that changes a job."
    )
    dashboard_environment: str = Field(
        default="", description="The environment's name on the dashboard; left out, `AZURE_FUNCTIONS_ENVIRONMENT`."
    )
    dashboard_colour: Literal["blue", "green", "amber", "red", "violet", "grey"] = Field(
        default="blue", description="The environment's colour there, so that nobody takes one for another."
    )
    dashboard_trace_url: Annotated[str, Field(pattern=r"^https://.*\{trace_id\}")] | None = Field(
        default=None, description="Where a trace is shown, such as `https://traces.example/{trace_id}`."
    )

    @field_validator("database_url", mode="after")
    @classmethod
    def _address(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value().strip() if value is not None else ""
        if not text:
            return None
        if not _ADDRESS.match(text):
            scheme = _SCHEME.match(text)
            named = f"it names {scheme[0]!r}, and only Postgres will do" if scheme else "it is no address of a Postgres"
            raise ValueError(f"{named}; write postgresql://user:password@host:5432/database")
        return SecretStr(_ADDRESS.sub("postgresql://", text, count=1))

    @field_validator("queue_connection", mode="before")
    @classmethod
    def _name(cls, value: object) -> object:
        if isinstance(value, str) and ("=" in value or "://" in value):
            raise ValueError(
                "it is the name of a setting, such as AzureWebJobsStorage, and not what stands in that; put the "
                "connection string or the address there"
            )
        return value

    @field_validator("callback_tokens", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("handlers", mode="before")
    @classmethod
    def _packages(cls, value: object) -> object:
        return packages_in(value) if isinstance(value, str) else value

    @classmethod
    def read(cls) -> Settings:
        """Read the environment; raises ``InvalidSettings`` naming every invalid setting."""
        try:
            return cls()
        except ValidationError as error:
            raise InvalidSettings([(_setting_of(fault["loc"]), _why(fault)) for fault in error.errors()]) from None

    @classmethod
    def read_or_default(cls) -> tuple[Settings, InvalidSettings | None]:
        """Read the environment, with defaults for invalid settings; returns their errors as well."""
        try:
            return cls.read(), None
        except InvalidSettings as error:
            fields = {setting_name(name): (name, field) for name, field in cls.model_fields.items()}
            defaults = {}
            for name in error.names:
                field_name, field = fields[name]
                defaults[name if field.validation_alias else field_name] = field.get_default(call_default_factory=True)
            return cls(**defaults), error

    @property
    def asks_for_help(self) -> bool:
        """Whether the timer scheduler puts messages for other instances."""
        return self.scheduler == "timer" and self.scale_out

    @property
    def uses_queue(self) -> bool:
        """Whether messages of a storage queue call the app."""
        return self.scheduler == "queue" or self.asks_for_help

    @property
    def local(self) -> bool:
        """Whether the app runs on a developer's machine."""
        return self.environment.lower() == "development"

    @property
    def retention(self) -> timedelta | None:
        """How long ended jobs are kept; None means forever."""
        return timedelta(days=self.retention_days) if self.retention_days else None


def _why(fault: ErrorDetails) -> str:
    """Return what is wrong with a setting, without its value, which may be a secret."""
    why = fault["msg"].removeprefix("Value error, ")
    if fault["type"] != "literal_error":
        return why
    choices = _QUOTED.findall(fault["ctx"]["expected"])
    return why + asks_for_near(str(fault["input"]), choices)


def _setting_of(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "?"
    return name if name.isupper() else f"JOBS_{name.upper()}"


def setting_name(field_name: str) -> str:
    """Return the environment variable that a field of ``Settings`` is read from."""
    alias = Settings.model_fields[field_name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"JOBS_{field_name.upper()}"
