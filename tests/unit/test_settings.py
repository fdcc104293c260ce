from __future__ import annotations

import logging
import os
from datetime import timedelta

import pytest
from pydantic import SecretStr

from jobs.adapters.postgres.connection.database import Database
from jobs.bootstrap import build_runtime
from jobs.bootstrap.database import database_options
from jobs.core.errors import ConfigurationError, InvalidSettings
from jobs.core.handlers.registry import HandlerRegistry
from jobs.settings import Settings

URL = "postgresql://app:hunter2@db.example.com:5432/app"


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Begin without a setting, whatever the machine has."""
    for name in list(os.environ):
        if name.startswith("JOBS_") or name in ("APP_API_TOKEN", "AZURE_FUNCTIONS_ENVIRONMENT", "WEBSITE_AUTH_ENABLED"):
            monkeypatch.delenv(name)
    return monkeypatch


def read(monkeypatch, **settings: str) -> Settings:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return Settings.read()


def tokens(settings: Settings) -> list[str]:
    return [token.get_secret_value() for token in settings.callback_tokens]


def test_without_any_setting_the_defaults_hold(environment):
    settings = Settings.read()
    assert (settings.database_url, settings.database_schema, settings.scheduler) == (None, "jobs", "dapr")
    assert (settings.database_tls, settings.database_pgbouncer, settings.easy_auth) == (True, False, False)
    assert settings.retention == timedelta(days=30)
    assert not settings.local
    assert settings.callback_tokens == ()


def test_a_setting_is_named_jobs_and_the_field(environment):
    settings = read(
        environment,
        JOBS_DATABASE_URL=URL,
        JOBS_DATABASE_POOL_SIZE="20",
        JOBS_DATABASE_TLS="false",
        JOBS_LEASE_SECONDS="1.5",
        JOBS_HANDLERS="app.handlers",
        JOBS_RETENTION_DAYS="0.5",
    )
    assert settings.database_url == SecretStr(URL)
    assert (settings.database_pool_size, settings.database_tls, settings.lease_seconds) == (20, False, 1.5)
    assert settings.handlers == ("app.handlers",)
    assert settings.retention == timedelta(hours=12)


def test_zero_days_keep_jobs_for_ever(environment):
    assert read(environment, JOBS_RETENTION_DAYS="0").retention is None


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("JOBS_DATABASE_POOL_SIZE", "3", "greater than or equal to 4"),
        ("JOBS_DATABASE_POOL_SIZE", "many", "valid integer"),
        ("JOBS_DATABASE_AUTH", "ldap", "'password' or 'entra'"),
        ("JOBS_DATABASE_TLS", "perhaps", "valid boolean"),
        ("JOBS_DATABASE_STATEMENT_TIMEOUT_SECONDS", "0", "greater than 0"),
        ("JOBS_DATABASE_SOCKET_TIMEOUT_SECONDS", "-1", "greater than 0"),
        ("JOBS_SCHEDULER", "cron", "'timer', 'dapr' or 'queue'"),
        ("JOBS_QUEUE_CONNECTION", "AccountName=a;AccountKey=c2VjcmV0", "the name of a setting, such as AzureWebJobs"),
        ("JOBS_QUEUE_CONNECTION", "https://a.queue.core.windows.net", "the name of a setting, such as AzureWebJobs"),
        ("JOBS_CONCURRENCY", "1001", "less than or equal to 1000"),
        ("JOBS_BATCH_SIZE", "", "valid integer"),
        ("JOBS_LEASE_SECONDS", "0.5", "greater than or equal to 1"),
        ("JOBS_SHUTDOWN_GRACE_SECONDS", "-1", "greater than or equal to 0"),
        ("JOBS_MAX_LOST_RUNS", "0", "greater than or equal to 1"),
        ("WEBSITE_AUTH_ENABLED", "perhaps", "valid boolean"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named_with_the_reason(environment, name, value, reason):
    with pytest.raises(ConfigurationError, match=r"^the app cannot start with these settings: ") as caught:
        read(environment, **{name: value})
    assert f"{name}: " in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "asked"),
    [
        ("JOBS_SCHEDULER", "timr", "; is 'timer' meant?"),
        ("JOBS_SCHEDULER", "Queue", "; is 'queue' meant?"),
        ("JOBS_DATABASE_AUTH", "entraid", "; is 'entra' meant?"),
        ("JOBS_KEY_ROLE", "enque", "; is 'enqueue' meant?"),
        ("JOBS_SCHEDULER", "cron", "'timer', 'dapr' or 'queue'"),
    ],
)
def test_a_value_that_is_nearly_one_of_a_settings_choices_asks_whether_that_is_meant(environment, name, value, asked):
    with pytest.raises(ConfigurationError) as caught:
        read(environment, **{name: value})
    assert str(caught.value).endswith(asked)


def test_every_wrong_setting_is_named_at_once(environment):
    with pytest.raises(ConfigurationError, match=r"JOBS_CONCURRENCY: .*; JOBS_LEASE_SECONDS: "):
        read(environment, JOBS_CONCURRENCY="x", JOBS_LEASE_SECONDS="y")


def test_the_wrong_value_is_not_repeated(environment):
    with pytest.raises(ConfigurationError) as caught:
        read(environment, JOBS_CONCURRENCY="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", ["inf", "nan", "1e300"])
@pytest.mark.parametrize("name", ["JOBS_LEASE_SECONDS", "JOBS_RETENTION_DAYS", "JOBS_POLL_BUDGET_SECONDS"])
def test_a_time_that_no_clock_can_count_is_refused(environment, name, value):
    with pytest.raises(ConfigurationError, match=name):
        read(environment, **{name: value})


@pytest.mark.parametrize("name", ["JOBS_POLL_SCHEDULE", "JOBS_RECONCILE_SCHEDULE"])
@pytest.mark.parametrize("schedule", ["every second", "* * * *", "0 0 0 ? * *", "0 0 30 2 *", "@hourly", "", "%NONE%"])
def test_a_timers_schedule_that_the_host_cannot_read_is_refused(environment, name, schedule):
    with pytest.raises(ConfigurationError, match=rf"{name}: .*(schedule|neither|never)"):
        read(environment, **{name: schedule})


@pytest.mark.parametrize("schedule", ["*/5 * * * * *", "*/5 * * * *", "0 0 9 * Feb Mon-Fri", "00:00:01", "%WHEN%"])
def test_a_timers_schedule_is_ncrontab_or_a_time_span_or_another_setting(environment, schedule):
    environment.setenv("WHEN", "0 * * * * *")
    assert read(environment, JOBS_POLL_SCHEDULE=schedule).poll_schedule == schedule


@pytest.mark.parametrize(
    ("url", "named"),
    [
        (
            "mysql://app:hunter2@db/app",
            "it names 'mysql', and only Postgres will do; write postgresql://user:password@",
        ),
        ("https://app:hunter2@db/app", "it names 'https'"),
        ("Server=db;Password=hunter2", "it is no address of a Postgres; write postgresql://"),
        ("app:hunter2@db:5432/app", "it is no address of a Postgres"),
    ],
)
def test_an_address_that_is_not_of_a_postgres_is_refused_without_its_password(environment, url, named):
    with pytest.raises(ConfigurationError, match="JOBS_DATABASE_URL: ") as caught:
        read(environment, JOBS_DATABASE_URL=url)
    assert named in str(caught.value)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "POSTGRES", "postgresql+psycopg2"])
def test_the_address_of_a_postgres_may_begin_as_other_programs_write_it(environment, scheme):
    settings = read(environment, JOBS_DATABASE_URL=f"{scheme}://app@db/app", JOBS_DATABASE_TLS="false")
    assert settings.database_url.get_secret_value() == "postgresql://app@db/app"
    Database(database_options(settings)).close()


def test_an_empty_address_is_none(environment):
    assert read(environment, JOBS_DATABASE_URL=" ").database_url is None


def test_what_cannot_be_used_is_replaced_by_its_default_where_functions_must_be_registered(environment):
    environment.setenv("JOBS_LEASE_SECONDS", "abc")
    environment.setenv("JOBS_POLL_SCHEDULE", "sometimes")
    environment.setenv("WEBSITE_AUTH_ENABLED", "perhaps")
    environment.setenv("JOBS_CONCURRENCY", "3")
    settings, fault = Settings.read_or_default()
    default = Settings.model_fields
    assert settings.lease_seconds == default["lease_seconds"].default
    assert settings.poll_schedule == "* * * * * *"
    assert (settings.easy_auth, settings.concurrency) == (False, 3)
    assert set(fault.names) == {"JOBS_LEASE_SECONDS", "JOBS_POLL_SCHEDULE", "WEBSITE_AUTH_ENABLED"}


def test_other_settings_of_the_app_are_none_of_ours(environment):
    read(environment, JOBS_COLOUR="red", FUNCTIONS_WORKER_RUNTIME="python")


def test_settings_do_not_change_after_they_were_read(environment):
    with pytest.raises(ValueError, match="frozen"):
        Settings.read().concurrency = 3


# --- callback tokens


def test_one_callback_token_or_two_during_a_rotation_are_read(environment):
    assert tokens(read(environment, JOBS_CALLBACK_TOKENS="new")) == ["new"]
    assert tokens(read(environment, JOBS_CALLBACK_TOKENS="new,old")) == ["new", "old"]
    assert tokens(read(environment, JOBS_CALLBACK_TOKENS=" new, ,old,")) == ["new", "old"]


def test_an_empty_setting_is_no_token(environment):
    assert tokens(read(environment, JOBS_CALLBACK_TOKENS="")) == []


def test_daprs_own_name_for_the_token_is_understood(environment):
    """``APP_API_TOKEN`` is what Dapr's sidecar and Container Apps hand to an app."""
    assert tokens(read(environment, APP_API_TOKEN="from-dapr")) == ["from-dapr"]


def test_our_own_name_for_the_tokens_goes_first(environment):
    assert tokens(read(environment, APP_API_TOKEN="from-dapr", JOBS_CALLBACK_TOKENS="ours")) == ["ours"]


# --- secrets


def test_neither_password_nor_token_is_shown(environment):
    settings = read(environment, JOBS_DATABASE_URL=URL, JOBS_CALLBACK_TOKENS="secret-1,secret-2")
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hunter2" not in shown
        assert "secret-" not in shown


# --- what the host sets


@pytest.mark.parametrize(("value", "local"), [("Development", True), ("development", True), ("Staging", False)])
def test_core_tools_tell_that_this_is_a_developers_machine(environment, value, local):
    assert read(environment, AZURE_FUNCTIONS_ENVIRONMENT=value).local is local


def test_app_service_tells_that_easy_auth_is_on(environment):
    assert read(environment, WEBSITE_AUTH_ENABLED="True").easy_auth


def test_an_infrastructure_whose_platform_does_not_tell_says_that_callers_have_roles(environment):
    assert read(environment, JOBS_ROLES="true").roles
    assert not read(environment, JOBS_ROLES="false").roles


def test_other_programs_words_for_the_same_are_not_ours(environment):
    """Many a deployment has an ENVIRONMENT, and here a development machine's callback is open."""
    settings = read(environment, ENVIRONMENT="Development", EASY_AUTH="true", CALLBACK_TOKENS="x")
    assert (settings.local, settings.easy_auth, settings.callback_tokens) == (False, False, ())


@pytest.mark.parametrize("name", ["shop/jobs", "shop.jobs.py:x", ".handlers", "a b", "shop, my-jobs"])
def test_what_is_no_packages_name_is_refused_with_how_to_write_one(environment, name):
    with pytest.raises(ConfigurationError, match=r"JOBS_HANDLERS: .* is not the name of a package; write it with dots"):
        read(environment, JOBS_HANDLERS=name)


# --- what the settings are made into


def test_an_app_without_a_database_is_told_what_to_set(environment):
    with pytest.raises(
        ConfigurationError, match=r"JOBS_DATABASE_URL is not set; set it to postgresql://.*python -m jobs dev"
    ):
        database_options(Settings.read())


def test_the_database_settings_reach_the_engine(environment):
    options = database_options(
        read(
            environment,
            JOBS_DATABASE_URL=URL,
            JOBS_DATABASE_POOL_SIZE="7",
            JOBS_DATABASE_STATEMENT_TIMEOUT_SECONDS="3",
            JOBS_DATABASE_SOCKET_TIMEOUT_SECONDS="9",
            JOBS_DATABASE_PGBOUNCER="1",
            JOBS_DATABASE_CA_FILE="/ca.pem",
        )
    )
    assert options.url == URL
    assert (options.pool_size, options.statement_timeout_seconds, options.socket_timeout_seconds) == (7, 3, 9)
    assert (options.tls, options.pgbouncer, options.ca_file, options.password) == (None, True, "/ca.pem", None)


@pytest.mark.parametrize("schema", ["Jobs", "jobs; drop table x", "jobs-2", "", "1jobs", "ü", "j" * 64])
def test_a_schema_name_that_would_need_care_is_refused_by_its_setting(environment, schema):
    settings = read(environment, JOBS_DATABASE_URL=URL, JOBS_DATABASE_TLS="false", JOBS_DATABASE_SCHEMA=schema)
    with pytest.raises(
        ConfigurationError, match=r"JOBS_DATABASE_SCHEMA is .*; use lower-case letters, digits and underscores"
    ):
        build_runtime(settings, HandlerRegistry())


def test_fetching_tokens_does_not_fill_the_log_with_the_headers_of_its_requests(environment):
    settings = read(environment, JOBS_DATABASE_URL="postgresql://app@db.example.com/app", JOBS_DATABASE_AUTH="entra")
    assert database_options(settings).password is not None
    assert not logging.getLogger("azure.core.pipeline.policies.http_logging_policy").isEnabledFor(logging.INFO)


@pytest.mark.parametrize("name", ["JOBS_POLL_SCHEDULE", "JOBS_RECONCILE_SCHEDULE"])
def test_a_schedule_of_a_timer_that_cannot_be_read_names_the_setting_and_the_six_fields(environment, name):
    with pytest.raises(InvalidSettings) as told:
        read(environment, **{name: "every minute"})
    assert told.value.names == (name,)
    assert "six fields, {second} {minute} {hour} {day} {month} {day of week}, as in 0 */5 * * * *" in str(told.value)


def test_every_setting_is_described():
    assert all(field.description for field in Settings.model_fields.values())
