"""host.json, and the lines that it lets through: on the Functions host, and so on a developer's machine too."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading

import azure.functions as func
import httpx
import pytest

from jobs.entrypoints.devhost.host.host import DevHost, DevHostError
from jobs.entrypoints.devhost.host.logs import InvocationFilter, LogLevels, read_log_levels
from jobs.entrypoints.triggers.invocation import invocation_scope
from tests.support import ROOT

HOST_JSON = json.loads((ROOT / "host.json").read_text())
TRIGGERS = """
import json
import function_app
bindings = {f.get_function_name(): f.get_bindings()[0].get_dict_repr() for f in function_app.app.get_functions()}
print(json.dumps({name: [each["type"], str(each.get("route"))] for name, each in bindings.items()}))
"""


@pytest.fixture(scope="module")
def triggers():
    """The trigger and the route of each function that the app has under any scheduler."""
    found = {}
    for scheduler in ("timer", "dapr", "queue"):
        settings = {
            "JOBS_SCHEDULER": scheduler,
            "JOBS_CALLBACK_TOKENS": "token",
            "AzureWebJobsStorage": "UseDevelopmentStorage=true",
            "JOBS_HANDLERS": "tests.framework_handlers",
        }
        environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBS_")} | settings
        done = subprocess.run(
            [sys.executable, "-c", TRIGGERS], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        found |= json.loads(done.stdout.splitlines()[-1])
    return found


def test_what_handlers_log_is_passed_on_and_the_hosts_word_on_every_tick_and_ring_is_not(triggers):
    """A rule for a function covers what its code logs as well, unless that has one of its own."""
    levels = read_log_levels(ROOT / "host.json")
    run_handlers = [
        name for name, (kind, route) in triggers.items() if kind != "httpTrigger" or route.startswith("job/")
    ]
    assert {"run_due", "reconcile", "ring_alarm", "wake"} <= set(run_handlers)
    for name in run_handlers:
        assert levels.of(f"Function.{name}.User") == logging.INFO, name
        assert levels.of(f"Function.{name}") == logging.WARNING, name


def test_every_rule_is_for_a_function_that_there_is(triggers):
    named = {rule.split(".")[1] for rule in HOST_JSON["logging"]["logLevel"] if rule.startswith("Function.")}
    assert named <= triggers.keys()


def test_nothing_stands_in_host_json_that_opentelemetry_mode_does_not_read():
    assert HOST_JSON["telemetryMode"] == "OpenTelemetry"
    assert HOST_JSON["logging"].keys() == {"logLevel"}


# --- the dev host passes on what the Functions host would


@pytest.mark.parametrize(
    ("category", "level"),
    [
        ("Function.tick", logging.WARNING),
        ("Function.tick.User", logging.INFO),
        ("Function.ticking.User", logging.WARNING),  # the host compares texts, not their parts
        ("function.TICK.user", logging.INFO),
        ("Function.quiet.User", logging.CRITICAL + 1),
        ("Host.Results", logging.ERROR),
        ("Other", logging.DEBUG),
    ],
)
def test_the_longest_rule_that_a_category_begins_with_decides(category, level):
    levels = LogLevels(
        {
            "default": "Debug",
            "Function.tick": "Warning",
            "Function.tick.User": "Information",
            "Function.quiet": "none",
            "Host": "Error",
        }
    )
    assert levels.of(category) == level


def test_what_no_rule_speaks_of_is_passed_on_from_information_on():
    assert LogLevels({"Function.tick": "Error"}).of("Function.other.User") == logging.INFO


@pytest.mark.parametrize("text", ["{", "[]", '{"logging": {"logLevel": {"default": "Loud"}}}'])
def test_a_host_json_that_cannot_be_used_is_named(tmp_path, text):
    path = tmp_path / "host.json"
    assert read_log_levels(path).of("Function.x.User") == logging.INFO
    path.write_text(text)
    with pytest.raises(DevHostError, match=r"host\.json is not a usable host\.json"):
        read_log_levels(path)


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.messages = []

    def emit(self, record):
        self.messages.append(record.getMessage())


def test_the_lines_of_requests_that_host_json_mutes_are_not_shown_by_the_development_host_either():
    log, kept = logging.getLogger("test.host_json.requests"), Kept()
    log.setLevel(logging.INFO)
    kept.addFilter(InvocationFilter(read_log_levels(ROOT / "host.json")))
    log.addHandler(kept)
    app = func.FunctionApp()

    def answering(name: str, route: str) -> None:
        @app.function_name(name)
        @app.route(route=route)
        def function(req: func.HttpRequest) -> func.HttpResponse:
            return func.HttpResponse("well")

    for name, route in (("health_live", "live"), ("ring_alarm", "job/{alarm}"), ("list_jobs", "jobs")):
        answering(name, route)
    with DevHost(app, port=0, route_prefix="", log=log) as host:
        for path in ("live", "job/a-1", "jobs", "nowhere"):
            httpx.get(f"{host.url}/{path}")
    told = [message.split()[1] for message in kept.messages if message.startswith("GET ")]
    assert told == ["/jobs", "/nowhere"]


@pytest.mark.parametrize(
    ("rules", "shown"),
    [
        ({"Function.tick": "Warning"}, ["warned", "outside"]),
        (
            {"Function.tick": "Warning", "Function.tick.User": "Information"},
            ["said", "from a thread", "warned", "outside"],
        ),
    ],
)
def test_lines_that_the_functions_host_would_drop_are_missing_on_a_developers_machine_too(rules, shown):
    logger, kept = logging.getLogger("test.host_json"), Kept()
    logger.setLevel(logging.DEBUG)
    kept.addFilter(InvocationFilter(LogLevels(rules)))
    logger.addHandler(kept)
    app = func.FunctionApp()

    @app.function_name("tick")
    @app.timer_trigger(arg_name="timer", schedule="0 0 0 29 2 1")
    def tick(timer: func.TimerRequest, context: func.Context) -> None:
        logger.info("said")
        thread = threading.Thread(target=invocation_scope(context), args=[lambda: logger.info("from a thread")])
        thread.start()
        thread.join()
        logger.warning("warned")

    try:
        [function] = DevHost(app, port=0).functions
        function.invoke(func.TimerRequest(), None)
        logger.info("outside")
    finally:
        logger.removeHandler(kept)
    assert kept.messages == shown


def test_an_instance_that_ends_holds_the_timers_for_fifteen_seconds_at_most():
    """The least that the host takes; with its default, nothing is polled for a minute after each hand-over."""
    periods = HOST_JSON["singleton"]
    assert periods == {"listenerLockPeriod": "00:00:15", "listenerLockRecoveryPollingInterval": "00:00:15"}
