"""local.settings.json is read by every command, for what the environment does not set."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from jobs.core.errors import ConfigurationError
from jobs.local_settings import take_over_local_settings, where_set
from tests.support import ROOT
from tests.warm import warm_run

AWAY = "postgresql://somebody@127.0.0.1:1/nowhere"


@pytest.fixture
def command(tmp_path):
    """Run ``python -m jobs`` in a folder with that local.settings.json, in an environment without our settings."""

    def run(text: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "local.settings.json").write_text(text)
        ours = ("JOBS_", "AZURE_FUNCTIONS_", "APP_API_TOKEN")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        return warm_run(
            ["-m", "jobs", *arguments],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(ROOT), "JOBS_HANDLERS": "tests.framework_handlers"} | settings,
        )

    return run


def values(**settings: object) -> str:
    return json.dumps({"IsEncrypted": False, "Values": settings}, indent=2)


def test_the_command_line_reads_what_is_set_in_the_file(command):
    done = command(values(JOBS_DATABASE_URL=AWAY, JOBS_DATABASE_TLS="false"), "db", "upgrade")
    assert done.returncode == 1
    assert "is not set" not in done.stderr
    assert "127.0.0.1" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_environment_goes_before_the_file(command):
    done = command(values(JOBS_LEASE_SECONDS="abc"), "check", JOBS_LEASE_SECONDS="20", JOBS_SCHEDULER="timer")
    assert done.returncode == 0, done.stderr
    done = command(values(JOBS_LEASE_SECONDS="abc"), "check", JOBS_SCHEDULER="timer")
    assert "JOBS_LEASE_SECONDS: Input should be a valid number" in done.stderr


def test_a_setting_that_cannot_be_used_is_shown_with_its_value_and_its_place(command):
    text = values(JOBS_SCHEDULER="timer", JOBS_LEASE_SECONDS="abc", JOBS_CONCURRENCY="of the file")
    done = command(text, "check", JOBS_CONCURRENCY="x" * 500)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert "  JOBS_LEASE_SECONDS is 'abc' in local.settings.json:5" in lines
    assert f"  JOBS_CONCURRENCY is '{'x' * 40}…' in the environment" in lines


@pytest.mark.parametrize("name", ["JOBS_DATABASE_URL", "JOBS_CALLBACK_TOKENS", "JOBS_QUEUE_CONNECTION"])
def test_a_setting_that_may_hold_a_password_is_shown_with_its_place_only(name, tmp_path):
    file = tmp_path / "local.settings.json"
    file.write_text(values(**{name: "hunter2"}))
    assert where_set([name, "JOBS_UNSET"], file, {name: "hunter2"}) == [f"{name} is set in {file}:4"]
    assert where_set([name], None, {name: "hunter2"}) == [f"{name} is set in the environment"]


@pytest.mark.parametrize("arguments", [("check",), ("db", "upgrade"), ("apply", "--check", "none.yaml"), ("dev",)])
def test_a_misspelt_name_is_mentioned_though_another_setting_cannot_be_used(command, arguments):
    done = command(values(), *arguments, JOBS_LEASE_SECONDS="abc", JOBS_SCHEDULLER="timer")
    assert done.returncode == 1
    assert done.stderr.count("JOBS_SCHEDULLER is no setting of this app") == 1
    assert "JOBS_LEASE_SECONDS: Input should be" in done.stderr


@pytest.mark.parametrize(
    "fault", [{"JOBS_HANDLERS": "nope"}, {"JOBS_HANDLERS": "nope.jobs"}, {"JOBS_LEASE_SECONDS": "abc"}]
)
def test_a_local_start_refuses_a_wrong_setting_before_it_starts_postgres(command, tmp_path, fault):
    done = command(values(), "dev", "--port", "0", **fault)
    assert done.returncode == 1
    [(name, value)] = fault.items()
    assert f"{name}: " in done.stderr
    assert f"  {name} is '{value}' in the environment" in done.stderr.splitlines()
    assert not (tmp_path / ".local").exists()


def test_a_machine_with_such_a_file_is_a_developers(command):
    done = command(values(JOBS_SCHEDULER="dapr"), "check")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [("check",), ("db", "upgrade"), ("preview", "@daily"), ("apply", "--check", "none.yaml"), ("dev", "--port", "0")],
)
def test_a_broken_file_is_told_with_its_line_by_every_command(command, arguments):
    done = command('{\n  "Values": {\n    "A": "b"\n    "C": "d"\n  }\n}', *arguments)
    assert done.returncode == 1
    assert "error: local.settings.json:4: Expecting ',' delimiter" in done.stderr
    assert "local.settings.sample.json" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r":1: Expecting value"),
        ("[" * 100_000, r":1: "),
        ("[]", r':1: there is no object "Values"'),
        ('{\n"Values": []}', r':2: there is no object "Values"'),
        ('{\n"Values": {\n"A": null}}', r":3: 'A' cannot be a setting"),
        ('{\n"Values": {\n"A": {"b": 1}}}', r":3: 'A' cannot be a setting"),
        (r'{"Values": {"A": "\u0000"}}', r":1: 'A' cannot be a setting"),
        (r'{"Values": {"A": "\ud800"}}', r":1: 'A' cannot be a setting"),
        (r'{"Values": {"\udfff": "A"}}', r":1: .* cannot be a setting"),
        ('{"Values": {"A": ' + "9" * 5000 + "}}", r":1: Exceeds the limit"),
        ('// {"Values": {}}', r":1: Expecting value"),
        ('/* never closed {"Values": {}}', r":1: Expecting value"),
        ('/*\n*/ {"Values": {\n// "A": "b"\n"B" "c"}}', r":4: Expecting ':' delimiter \(column 5\)"),
        ('{"Values": {"A": "b",,}}', r":1: (Expecting property name|Illegal trailing comma)"),
        ('{"Values": {},\n"IsEncrypted": true}', r":2: its values are encrypted"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_and_nothing_of_it_taken(tmp_path, text, told):
    file = tmp_path / "local.settings.json"
    file.write_text(text)
    environment: dict[str, str] = {}
    with pytest.raises(ConfigurationError, match=told):
        take_over_local_settings(file, environment)
    assert environment == {}


def test_numbers_and_truth_values_are_taken_as_text_and_the_names_are_given(tmp_path):
    file = tmp_path / "local.settings.json"
    file.write_text("\ufeff" + values(A=1, B=True, C="c"), encoding="utf-8")
    environment = {"C": "mine"}
    assert take_over_local_settings(file, environment) == {"A", "B"}
    assert environment == {"A": "1", "B": "true", "C": "mine", "AZURE_FUNCTIONS_ENVIRONMENT": "Development"}
    assert take_over_local_settings(tmp_path / "none.json", environment) == frozenset()


def test_comments_and_last_commas_are_skipped_as_core_tools_skip_them(tmp_path):
    file = tmp_path / "local.settings.json"
    file.write_text(
        """// of this machine
        {
          "IsEncrypted": false, /* as
          everywhere */
          "Values": {
            // "A": "commented out",
            "B": "http://example.com/*/,}", // a comment
            "C": "a \\"quote\\" // and ,}",
          },
        }
        """
    )
    environment: dict[str, str] = {}
    assert take_over_local_settings(file, environment) == {"B", "C"}
    assert environment["B"] == "http://example.com/*/,}"
    assert environment["C"] == 'a "quote" // and ,}'
    assert where_set(["B"], file, environment) == [f"B is 'http://example.com/*/,}}' in {file}:7"]
