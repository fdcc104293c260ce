"""What an app says when it starts: its handlers, what looks like a mistake, and what keeps it from working."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import MagicMock

import pytest

from jobs import HandlerRegistry
from jobs.bootstrap import build_offline_runtime, create_app, create_closable_app
from jobs.bootstrap.lazy_runtime import LazyRuntime
from jobs.core.errors import ConfigurationError
from jobs.entrypoints.cli.check import add_check, check_a_local_start
from jobs.settings_checks import function_timeout
from jobs.startup import log_startup, print_startup, read_startup
from tests.support import ROOT
from tests.warm import warm_run

HANDLER = """
    from datetime import timedelta
    from pydantic import BaseModel
    from jobs import handler

    class Args(BaseModel): ...

    @handler("Greet"{options})
    def greet(args: Args) -> None: ...
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith("JOBS_") or name in {"APP_API_TOKEN", "AZURE_FUNCTIONS_ENVIRONMENT", "WEBSITE_AUTH_ENABLED"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("JOBS_SCHEDULER", "timer")
    monkeypatch.setenv("JOBS_HANDLERS", "tests.framework_handlers")
    monkeypatch.setenv("JOBS_KEY_ROLE", "manage")
    return monkeypatch


def started(environment, **settings):
    for name, value in settings.items():
        environment.setenv(name, value)
    return read_startup()


# --- faults


@pytest.mark.parametrize(
    ("settings", "name", "why"),
    [
        (
            {"JOBS_DATABASE_SOCKET_TIMEOUT_SECONDS": "15"},
            "JOBS_DATABASE_SOCKET_TIMEOUT_SECONDS",
            "15 is not above JOBS_DATABASE_STATEMENT_TIMEOUT_SECONDS, 15",
        ),
        (
            {"JOBS_DATABASE_AUTH": "entra", "JOBS_DATABASE_TLS": "false"},
            "JOBS_DATABASE_TLS",
            "false would send the Entra token in clear text",
        ),
        ({"JOBS_DATABASE_CA_FILE": "/no/such.pem"}, "JOBS_DATABASE_CA_FILE", "/no/such.pem is not there"),
        ({"JOBS_DATABASE_SCHEMA": "Jobs"}, "JOBS_DATABASE_SCHEMA", "is 'Jobs'; use lower-case letters"),
        (
            {"JOBS_DEFAULT_TIMEOUT_SECONDS": "1800"},
            "JOBS_DEFAULT_TIMEOUT_SECONDS",
            "1800 is not below functionTimeout, 0:30:00, at which the host ends the worker",
        ),
        (
            {"JOBS_POLL_BUDGET_SECONDS": "3600"},
            "JOBS_POLL_BUDGET_SECONDS",
            "lower it, or raise functionTimeout in host.json",
        ),
        ({"JOBS_SCHEDULER": "dapr"}, "JOBS_CALLBACK_TOKENS", "there is no token for its callback"),
        ({"AzureFunctionsJobHost__functionTimeout": "long"}, "host.json", "write a time span such as"),
    ],
)
def test_settings_that_contradict_each_other_or_the_host_are_named_with_the_mend(environment, settings, name, why):
    fault = started(environment, **settings).fault
    assert name in fault.names
    assert why in str(fault)
    with pytest.raises(ConfigurationError, match=name):
        create_closable_app()


def test_everything_that_is_wrong_is_told_at_once(environment, write):
    package = write(one="import no_such_module\n")
    fault = started(environment, JOBS_HANDLERS=package, JOBS_LEASE_SECONDS="abc", JOBS_POLL_BUDGET_SECONDS="3600").fault
    assert set(fault.names) == {"JOBS_LEASE_SECONDS", "JOBS_POLL_BUDGET_SECONDS", "JOBS_HANDLERS"}
    assert "no_such_module" in str(fault)


@pytest.mark.parametrize("timeout", ["minutes=30", "hours=2"])
def test_a_handler_with_more_time_than_the_host_gives_is_refused_with_its_place(environment, write, timeout):
    package = write(one=HANDLER.format(options=f", timeout=timedelta({timeout})"))
    fault = started(environment, JOBS_HANDLERS=package).fault
    assert f"{package}/one.py:8 (greet): the timeout of Greet, " in str(fault)
    assert "is not below functionTimeout, 0:30:00" in str(fault)
    environment.setenv("AzureFunctionsJobHost__functionTimeout", "-1")
    assert read_startup().fault is None


def test_handlers_that_fail_in_a_way_nobody_thought_of_are_a_fault_like_any_other(environment, monkeypatch):
    def breaks(_):
        raise RuntimeError("odd")

    monkeypatch.setattr("jobs.startup.load_handlers", breaks)
    assert "the handlers of tests.framework_handlers cannot be loaded: RuntimeError: odd" in str(read_startup().fault)


@pytest.mark.parametrize(
    ("content", "sku", "limit"),
    [
        ('{"functionTimeout": "00:10:00"}', None, timedelta(minutes=10)),
        ('{"functionTimeout": "1.00:00:00"}', None, timedelta(days=1)),
        ('{"functionTimeout": "-1"}', None, None),
        ("{}", None, timedelta(minutes=30)),
        ("{}", "Dynamic", timedelta(minutes=5)),
    ],
)
def test_the_hosts_limit_is_read_from_its_file(tmp_path, content, sku, limit):
    (tmp_path / "host.json").write_text(content)
    environment = {"AzureWebJobsScriptRoot": str(tmp_path)} | ({"WEBSITE_SKU": sku} if sku else {})
    assert function_timeout(environment) == limit
    overruled = environment | {"AzureFunctionsJobHost__functionTimeout": "00:07:00"}
    assert function_timeout(overruled) == timedelta(minutes=7)


@pytest.mark.parametrize("limit", ["00:30:00", "-1"])
def test_a_limit_that_a_consumption_plan_does_not_allow_is_refused_since_no_host_starts_with_it(tmp_path, limit):
    (tmp_path / "host.json").write_text(f'{{"functionTimeout": "{limit}"}}')
    environment = {"AzureWebJobsScriptRoot": str(tmp_path), "WEBSITE_SKU": "Dynamic"}
    with pytest.raises(ConfigurationError, match="a Consumption plan allows 10 minutes at most"):
        function_timeout(environment)
    assert function_timeout(environment | {"AzureFunctionsJobHost__functionTimeout": "00:10:00"}) is not None


def test_the_hosts_limit_is_what_the_timeout_of_a_job_is_held_to(environment, monkeypatch):
    held_to = []
    monkeypatch.setattr(
        "jobs.bootstrap.build_runtime", lambda *_, longest_run, **__: held_to.append(longest_run) or MagicMock()
    )
    made = []
    monkeypatch.setattr("jobs.bootstrap.LazyRuntime", lambda *given: made.append(LazyRuntime(*given)) or made[0])
    environment.setenv("AzureFunctionsJobHost__functionTimeout", "00:50:00")
    app = create_closable_app()
    made[0]()
    app.close()
    build_offline_runtime(HandlerRegistry())
    assert held_to == [timedelta(minutes=50)] * 2


# --- warnings, and the list of handlers


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("JOBS_CONCURENCY", "JOBS_CONCURRENCY"),
        ("JOBS_LEASE_SECOND", "JOBS_LEASE_SECONDS"),
        ("JOB_CONCURRENCY", "JOBS_CONCURRENCY"),
        ("JOBS_DATABASEURL", "JOBS_DATABASE_URL"),
        ("JOBS_RETENTION_DAY", "JOBS_RETENTION_DAYS"),
    ],
)
def test_a_setting_that_is_nearly_one_of_ours_is_a_warning_with_the_one_that_is_meant(environment, name, meant):
    startup = started(environment, **{name: "hunter2"})
    assert startup.warnings == [f"{name} is no setting of this app, and is not read; is {meant} meant?"]
    assert startup.fault is None


def test_an_api_that_nobody_may_call_is_a_warning(environment):
    environment.delenv("JOBS_KEY_ROLE")
    [warning] = started(environment).warnings
    assert "the API is closed" in warning
    assert "JOBS_KEY_ROLE" in warning
    assert started(environment, JOBS_ROLES="true").warnings == []
    environment.delenv("JOBS_ROLES")
    assert started(environment, AZURE_FUNCTIONS_ENVIRONMENT="Development").warnings == []


@pytest.mark.parametrize(
    "name", ["JOBS_COLOUR", "JOBS_PORT", "JOBS_SERVICE_HOST", "JOBS_PORT_80_TCP_ADDR", "JOBS_OWNER"]
)
def test_other_settings_whose_names_begin_alike_are_the_users_own(environment, name):
    assert started(environment, **{name: "x"}).warnings == []


def test_a_lease_that_one_slow_statement_can_cost_is_a_warning(environment):
    [warning] = started(environment, JOBS_LEASE_SECONDS="10").warnings
    assert warning.startswith("JOBS_LEASE_SECONDS, 10, is below JOBS_DATABASE_STATEMENT_TIMEOUT_SECONDS, 15")


def test_a_grace_that_the_host_does_not_give_is_a_warning(environment):
    [warning] = started(environment, JOBS_SHUTDOWN_GRACE_SECONDS="30").warnings
    assert "the Functions host ends the worker 10 s after SIGTERM" in warning


def test_a_fault_is_said_every_minute_whatever_the_timers_schedules_are(environment):
    rare = {"JOBS_RECONCILE_SCHEDULE": "0 0 3 * * *", "JOBS_POLL_SCHEDULE": "0 0 * * * *"}
    settings = started(environment, JOBS_LEASE_SECONDS="abc", **rare).settings
    assert (settings.reconcile_schedule, settings.poll_schedule) == ("0 * * * * *", "* * * * * *")
    environment.delenv("JOBS_LEASE_SECONDS")
    assert read_startup().settings.reconcile_schedule == "0 0 3 * * *"


def test_a_package_that_cannot_be_imported_once_it_is_needed_is_a_fault_of_the_setup(environment, monkeypatch):
    def broken():
        raise ImportError("cannot import name 'runtime_version' from 'google.protobuf'")

    runtime = LazyRuntime(broken)
    with pytest.raises(
        ConfigurationError, match=r"cannot be imported: .*google\.protobuf.*; install what requirements"
    ):
        runtime()


def test_a_package_that_a_setting_needs_and_that_is_missing_is_named(environment, monkeypatch):
    monkeypatch.setattr("jobs.settings_checks.find_spec", lambda _: None)
    fault = started(environment, JOBS_SCHEDULER="dapr", JOBS_CALLBACK_TOKENS="x", JOBS_DATABASE_AUTH="entra").fault
    assert "JOBS_SCHEDULER: dapr needs the package dapr, which is not installed" in str(fault)
    assert "or name the wheel's extra there: aether-jobs[dapr]" in str(fault)
    assert "JOBS_DATABASE_AUTH: entra needs the package azure.identity" in str(fault)


def test_the_log_of_the_start_lists_the_handlers_in_one_line(environment, caplog):
    caplog.set_level("INFO", "jobs")
    create_closable_app()[1]()
    [line] = [record.getMessage() for record in caplog.records]
    assert line == "2 handlers in tests.framework_handlers: CleanupData, SendEmail"


def test_an_app_without_a_handler_is_warned_of(environment, write, caplog):
    package = write(helpers="LIMIT = 3")
    log_startup(started(environment, JOBS_HANDLERS=package))
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith(f"{package} has no handler, so no job can be run; mark a function")


@pytest.mark.parametrize(
    "settings",
    [
        {"JOBS_SCHEDULER": "timr"},
        {"JOBS_DATABASE_STATEMENT_TIMEOUT_SECONDS": "abc", "JOBS_DATABASE_SOCKET_TIMEOUT_SECONDS": "12"},
        {
            "JOBS_DATABASE_SOCKET_TIMEOUT_SECONDS": "abc",
            "JOBS_DATABASE_STATEMENT_TIMEOUT_SECONDS": "40",
            "JOBS_LEASE_SECONDS": "60",
        },
        {"JOBS_DATABASE_AUTH": "entr", "JOBS_DATABASE_TLS": "false"},
        {"JOBS_DEFAULT_TIMEOUT_SECONDS": "abc", "AzureFunctionsJobHost__functionTimeout": "00:20:00"},
        {"JOBS_HANDLERS": "my-handlers"},
        {"JOBS_DATABASE_STATEMENT_TIMEOUT_SECONDS": "abc", "JOBS_LEASE_SECONDS": "5"},
    ],
)
def test_a_fault_that_follows_from_another_fault_is_not_told(environment, settings):
    startup = started(environment, **settings)
    assert [name for name, _ in startup.fault.faults] == [next(iter(settings))]
    assert startup.warnings == []


# --- on the console of the Functions host, and at the command line


def run(*arguments, **settings):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBS_")}
    environment |= {
        "JOBS_SCHEDULER": "timer",
        "JOBS_HANDLERS": "tests.framework_handlers",
        "JOBS_KEY_ROLE": "manage",
        "PYTHONPATH": str(ROOT),
    } | settings
    environment = {name: value for name, value in environment.items() if value is not None}
    with TemporaryDirectory() as folder:  # whose developer's settings are nobody's
        return warm_run(arguments, cwd=Path(folder), env=environment)


def test_a_pipeline_may_ask_whether_the_app_would_start():
    done = run("-m", "jobs", "check")
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"the app starts, with \d\d functions\n", done.stdout)
    assert "2 handlers in tests.framework_handlers: CleanupData, " in done.stderr


def test_a_check_where_there_is_no_app_says_so(monkeypatch):
    monkeypatch.setattr("jobs.entrypoints.cli.check.app_folder", lambda: None)
    commands = argparse.ArgumentParser()
    add_check(commands.add_subparsers())
    chosen = commands.parse_args(["check"])
    with pytest.raises(ConfigurationError, match=r"no host\.json here.*run this in the app's folder"):
        chosen.run(chosen, None)


def test_a_check_without_a_scheduler_checks_the_timer_as_a_fresh_clone_runs_and_says_what_a_deployment_adds():
    done = run("-m", "jobs", "check", JOBS_SCHEDULER=None)
    assert done.returncode == 0, done.stderr
    assert "JOBS_SCHEDULER is not set here, so the timer is checked" in done.stderr


def test_a_check_says_that_the_api_is_closed_of_a_deployment_and_not_of_a_developers_machine():
    assert "the API is closed" not in run("-m", "jobs", "check", JOBS_SCHEDULER=None, JOBS_KEY_ROLE=None).stderr
    assert "the API is closed" in run("-m", "jobs", "check", JOBS_SCHEDULER="timer", JOBS_KEY_ROLE=None).stderr


@pytest.mark.parametrize(
    "deployment",
    [
        {"JOBS_SCHEDULER": "dapr"},
        {"WEBSITE_SITE_NAME": "jobs"},
        {"CONTAINER_APP_NAME": "jobs"},
        {"AZURE_FUNCTIONS_ENVIRONMENT": "Production"},
    ],
    ids=lambda deployment: next(iter(deployment)),
)
def test_a_check_for_a_deployment_finds_that_the_callback_has_no_token(deployment):
    done = run("-m", "jobs", "check", **{"JOBS_SCHEDULER": None} | deployment)
    assert done.returncode == 1, done.stderr
    assert "JOBS_CALLBACK_TOKENS: JOBS_SCHEDULER is dapr and there is no token for its callback" in done.stderr


def test_a_token_alone_says_that_dapr_is_meant():
    environment = {"APP_API_TOKEN": "token"}
    assert not check_a_local_start(environment)
    assert environment == {"APP_API_TOKEN": "token"}


STARTS = (
    "import function_app, json; print(json.dumps([f.get_function_name() for f in function_app.app.get_functions()]))"
)


def test_the_functions_host_is_told_on_the_console_whose_lines_it_passes_on():
    done = run("-c", STARTS, JOBS_LEASE_SECONDS="abc", JOBS_CONCURENCY="4")
    assert done.returncode == 0, done.stderr
    warning, error = done.stderr.splitlines()
    assert warning.startswith("warning: JOBS_CONCURENCY is no setting of this app")
    # The host takes a line with "warn" in it for a warning, and else one with "error" for an error.
    assert error.startswith("error: the app cannot work as it is set up: ")
    assert "JOBS_LEASE_SECONDS: Input should be a valid number" in error
    assert "warn" not in error
    assert {"run_due", "reconcile", "enqueue_job", "health_ready"} <= set(json.loads(done.stdout))


def test_an_app_that_works_lists_its_handlers_there():
    done = run("-c", STARTS)
    assert done.stdout.splitlines()[0].startswith("2 handlers in tests.framework_handlers: CleanupData, ")
    assert done.stderr == ""


@pytest.mark.parametrize(
    "command",
    [["check"], ["db", "upgrade"], ["dev", "--host", "builtin", "--port", "0"], ["apply", "--check", "none.yaml"]],
)
def test_the_command_line_stops_with_the_message_and_no_traceback(tmp_path, command):
    if command[0] == "dev":
        command += ["--data", str(tmp_path)]
    done = run("-m", "jobs", *command, JOBS_LEASE_SECONDS="abc", JOBS_DATABASE_URL="postgresql://x@127.0.0.1:1/x")
    assert done.returncode == 1, done.stdout
    assert "error: the app cannot start with these settings: JOBS_LEASE_SECONDS: " in done.stderr
    assert "Traceback" not in done.stderr


# --- whose handlers these are


def test_the_package_that_create_app_is_given_is_loaded_unless_a_setting_names_another(environment, write, capsys):
    given, named = write(one=HANDLER.format(options="")), write()
    environment.delenv("JOBS_HANDLERS")
    create_app(handlers=given)
    assert f"1 handler in {given}: Greet" in capsys.readouterr().out
    environment.setenv("JOBS_HANDLERS", named)
    create_app(handlers=given)
    assert f"warning: {named} has no handler" in capsys.readouterr().err


def test_a_name_that_create_app_cannot_use_is_a_fault_with_the_mend(environment, capsys):
    environment.delenv("JOBS_HANDLERS")
    create_app(handlers="shop/jobs")
    assert "create_app(handlers=...): 'shop/jobs' is not the name of a package; write it" in capsys.readouterr().err


@pytest.fixture
def folder(environment, tmp_path):
    """An app's folder of the test's own, in which nothing is yet."""
    environment.delenv("JOBS_HANDLERS")
    (tmp_path / "host.json").write_text("{}")
    environment.setenv("AzureWebJobsScriptRoot", str(tmp_path))
    environment.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] in {"examples", "handlers"}]:
        environment.delitem(sys.modules, name)


def test_an_app_without_any_package_starts_and_says_how_to_write_the_first_handler(folder):
    startup = read_startup()
    assert startup.fault is None
    [warning] = startup.warnings
    assert "the app has no handlers, so no job can be run: `python -m jobs new handler SendInvoice`" in warning


def test_the_samples_are_named_as_such_with_how_to_begin_ones_own(folder, caplog):
    (folder / "examples").mkdir()
    (folder / "examples" / "__init__.py").write_text("")
    (folder / "examples" / "greet.py").write_text(textwrap.dedent(HANDLER.format(options="")))
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in sys.modules if name.partition(".")[0] == "examples"]:
            patch.delitem(sys.modules, name)
        caplog.set_level("INFO", "jobs")
        log_startup(read_startup())
    [line] = [record.getMessage() for record in caplog.records]
    assert line == (
        "1 handler in examples: Greet; these are samples, `python -m jobs new handler SendInvoice` begins your own"
    )


def test_handlers_that_a_local_start_adds_are_loaded_and_are_not_counted_as_the_apps(folder, environment):
    environment.setenv("JOBS_ADDED_HANDLERS", "jobs.entrypoints.devhost.demo_handler")
    startup = read_startup()
    assert [spec.name for spec in startup.registry.all()] == ["DemoGreeting"]
    assert startup.names() == []
    assert "new handler SendInvoice" in startup.warnings[0]


def test_what_a_terminal_of_windows_cannot_show_is_escaped_and_keeps_no_app_from_starting(environment, monkeypatch):
    written = io.BytesIO()
    monkeypatch.setattr("sys.stderr", io.TextIOWrapper(written, encoding="cp1252"))
    startup = started(environment, JOBS_LEASE_SECONDS="abc")
    startup.warnings.append("Zeitplan \u2192 Ü")
    print_startup(startup)
    assert b"warning: Zeitplan \\u2192 \xdc\n" in written.getvalue()
    assert b"JOBS_LEASE_SECONDS" in written.getvalue()


# --- the host's queues


QUEUE = {"JOBS_SCHEDULER": "queue", "AzureWebJobsStorage": "UseDevelopmentStorage=true"}
SCALE_OUT = QUEUE | {"JOBS_SCHEDULER": "timer", "JOBS_SCALE_OUT": "true"}
THRESHOLD = "AzureFunctionsJobHost__extensions__queues__newBatchThreshold"
BATCH = "AzureFunctionsJobHost__extensions__queues__batchSize"
QUEUES = "AzureFunctionsJobHost__extensions__queues__"


@pytest.mark.parametrize(
    "settings",
    [
        QUEUE,
        QUEUE | {"JOBS_CONCURRENCY": "32", THRESHOLD: "31"},
        SCALE_OUT | {THRESHOLD: "0"},
        SCALE_OUT | {THRESHOLD.upper(): "0"},
        {"JOBS_SCHEDULER": "timer", BATCH: "32"},
    ],
)
def test_settings_of_the_hosts_queues_that_fit_are_not_mentioned(environment, settings):
    startup = started(environment, **settings)
    assert (startup.fault, startup.warnings) == (None, [])


@pytest.mark.parametrize(
    ("settings", "warning"),
    [
        (QUEUE | {"JOBS_CONCURRENCY": "32"}, r"newBatchThreshold in .*host\.json is 15, and should be 31: .*slots"),
        (QUEUE | {BATCH: "16"}, f"{BATCH} is 16, and should be 1"),
        (
            QUEUE | {"JOBS_RECONCILE_SCHEDULE": "0 0 * * * *"},
            "ticks up to 1:00:00 apart, .* late; have it tick each minute",
        ),
        (QUEUE | {"JOBS_RECONCILE_SCHEDULE": "00:15:00"}, "ticks up to 0:15:00 apart"),
        (SCALE_OUT, f"is 15, and should be 0: JOBS_SCALE_OUT .*; set {THRESHOLD} to 0"),
        (QUEUE | {f"{QUEUES}messageEncoding": "None"}, "messageEncoding is None, and should be base64: .*undecoded"),
        (QUEUE | {f"{QUEUES}maxPollingInterval": "00:01:00"}, "is 00:01:00, and should be 00:00:02: .*late"),
        (QUEUE | {f"{QUEUES}visibilityTimeout": "00:00:00"}, "is 00:00:00, and should be 00:00:30: .*at once"),
        (QUEUE | {f"{QUEUES}maxDequeueCount": "5"}, "is 5, and should be 2880: .*outage"),
    ],
)
def test_settings_of_the_hosts_queues_that_do_not_fit_the_mode_are_told_of_with_the_mend(
    environment, settings, warning
):
    [said] = started(environment, **settings).warnings
    assert re.search(warning, said), said


@pytest.mark.parametrize(
    ("queues", "warning"),
    [
        (
            {},
            r'extensions\.queues in .*host\.json is not set, and should be {"batchSize": 1, "newBatchThreshold": 15, ',
        ),
        (
            {
                "batchSize": 1,
                "newBatchThreshold": 15,
                "maxPollingInterval": "00:00:02",
                "visibilityTimeout": "00:00:30",
            },
            r"extensions\.queues\.maxDequeueCount in .*host\.json is not set, and should be 2880",
        ),
    ],
)
def test_a_host_json_without_settings_of_queues_is_told_of_in_one_line(
    environment, tmp_path, monkeypatch, queues, warning
):
    (tmp_path / "host.json").write_text(json.dumps({"version": "2.0", "extensions": {"queues": queues}}))
    monkeypatch.setattr("jobs.host_json.app_folder", lambda *_: tmp_path)
    [said] = started(environment, **QUEUE).warnings
    assert re.search(warning, said), said


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"JOBS_SCHEDULER": "queue"}, "JOBS_SCHEDULER: queue needs"),
        ({"JOBS_SCALE_OUT": "true"}, "JOBS_SCALE_OUT: true needs"),
    ],
)
def test_without_a_storage_account_what_needs_a_queue_cannot_work(environment, settings, named):
    environment.delenv("AzureWebJobsStorage", raising=False)
    fault = started(environment, **settings).fault
    assert f"{named} a storage account: neither AzureWebJobsStorage nor" in str(fault)
