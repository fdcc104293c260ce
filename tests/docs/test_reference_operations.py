"""The reference for operators lists what is there: settings, commands, schedules, statistics, metrics, tables."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from unittest.mock import patch

import pytest
import sqlalchemy as sa

from jobs.adapters.telemetry import Telemetry
from jobs.app.as_code.plan import Action
from jobs.app.upkeep.limits import ReconcileLimits
from jobs.core.as_code.file import RecurringJob
from jobs.core.errors import InvalidInput
from jobs.core.ports.jobs import RETRY
from jobs.core.schedules import expression
from jobs.core.schedules.timing import Timing
from jobs.entrypoints import functions
from jobs.entrypoints.cli import apply as cli_apply
from jobs.entrypoints.cli import main as cli
from jobs.entrypoints.http import operations
from jobs.entrypoints.http.callback_tokens import CallbackTokens
from jobs.settings import Settings
from jobs.tables import add_background_jobs
from jobs.testing import JobsHarness
from tests.docs.pages import ROOT, assert_same, code, first_column, page, table
from tests.docs.settings_page import MARKED, settings_reference

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def test_every_setting_is_listed_with_its_default_its_range_and_its_meaning() -> None:
    [found] = MARKED.finditer(page("settings.md"))
    told = found[0].removeprefix(found[1]).removesuffix(found[2])
    assert told == settings_reference(), "run python -m tests.docs.settings_page"


def test_every_setting_that_any_page_names_is_there() -> None:
    rows = table("settings.md", "Settings")
    known = {code(row[0]) for row in rows} | set(re.findall(r"`(JOBS_[A-Z_]+)` is read where it is not set", str(rows)))
    for path in sorted((ROOT / "docs").glob("*/*.md")):
        named = set(re.findall(r"\bJOBS_[A-Z_]+[A-Z]\b", path.read_text()))
        assert named <= known, path.name


def parsers(
    parser: argparse.ArgumentParser, name: str = "python -m jobs"
) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield each command with its parser."""
    below = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not below:
        yield name, parser
    for action in below:
        for word, each in action.choices.items():
            yield from parsers(each, f"{name} {word}")


COMMANDS = dict(parsers(cli._parser()))


def test_every_command_is_listed() -> None:
    assert_same(first_column("command-line.md", "Commands"), COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_a_command_is_listed(name: str) -> None:
    actions = [
        action
        for action in COMMANDS[name]._actions
        if not isinstance(action, argparse._HelpAction) and action.help != argparse.SUPPRESS
    ]
    if not actions:
        assert f"## `{name}`\n\nNo options.\n" in page("command-line.md")
        return
    named = [action.option_strings[-1] if action.option_strings else action.dest.upper() for action in actions]
    assert_same([each.split()[0] for each in first_column("command-line.md", f"`{name}`")], named)


def test_every_target_of_make_is_listed() -> None:
    [phony] = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert_same([each.removeprefix("make ") for each in first_column("command-line.md", "Make")], phony.split())


def test_the_site_is_built_strictly_and_not_so_quietly_that_nothing_counts() -> None:
    [build] = re.findall(r"\bmkdocs build (.*)", (ROOT / "Makefile").read_text())
    options = build.partition("#")[0].split()
    assert "--strict" in options
    assert not {"-q", "--quiet"} & set(options), "a warning that is not shown is not counted either"


def test_every_form_of_a_schedule_is_accepted_and_is_of_the_kind_that_the_page_says() -> None:
    for row in table("schedules.md", "Forms"):
        recurring = expression.parse_schedule(code(row[0])).recurring
        assert row[1] == ("recurring" if recurring else "one-time"), row[0]


def test_every_word_for_a_schedule_is_listed_with_what_it_stands_for() -> None:
    told = {code(row[0]): code(row[2]) for row in table("schedules.md", "Forms")}
    assert {word: told.get(word) for word in expression._NICKNAMES} == expression._NICKNAMES


def test_what_the_page_says_is_refused_is_refused_with_what_it_says_to_write() -> None:
    for row in table("schedules.md", "Refused, with what to write instead"):
        with pytest.raises(InvalidInput) as caught:
            expression.parse_schedule(code(row[0]))
        for wanted in re.findall(r"`([^`]+)`", row[2]):
            plain = wanted.removesuffix("(…)")
            assert plain in str(caught.value), f"{row[0]}: {caught.value}"


def test_a_time_zone_that_the_page_says_is_refused_is_refused_with_the_name_to_write() -> None:
    for row in table("schedules.md", "Refused, with what to write instead", 1):
        with pytest.raises(InvalidInput) as caught:
            expression.parse_schedule("@daily", code(row[0]))
        assert code(row[1]) in str(caught.value), f"{row[0]}: {caught.value}"


def test_what_the_page_says_is_warned_about_is_accepted_with_a_warning() -> None:
    for row in table("schedules.md", "Accepted, with a warning"):
        assert len(Timing(schedule=code(row[0])).warnings_at(NOW)) == 1, row[0]


def test_every_field_of_an_entry_of_a_file_is_listed() -> None:
    assert_same(first_column("jobs-as-code.md", "Fields of an entry"), RecurringJob.model_fields)


def test_every_action_of_apply_is_listed_with_its_sign() -> None:
    rows = [(code(row[0]), code(row[1])) for row in table("jobs-as-code.md", "What `apply` does")]
    assert_same(rows, [(str(action), cli_apply._SIGNS[action]) for action in Action])


def paths(value: object, above: str = "") -> Iterator[str]:
    """Yield the dotted names of the leaves of nested objects; what is under names of the user's own is one leaf."""
    if not isinstance(value, dict) or above in {"jobs", "handlers", "missing_handlers", "recent.attempts"}:
        yield above
        return
    for name, each in value.items():
        yield from paths(each, f"{above}.{name}" if above else name)


def test_every_number_of_the_statistics_is_listed() -> None:
    with JobsHarness([]) as harness:
        stats = operations.stats(harness.runtime, CallbackTokens([], open_without_token=True))
    assert_same(first_column("observability.md", "`/api/stats`"), paths(stats))


def test_every_instrument_is_listed_with_its_kind_and_unit() -> None:
    made = []

    class Meter:
        def create_counter(self, name: str, unit: str, _: str) -> None:
            made.append((name, "counter", unit))

        def create_histogram(self, name: str, unit: str, _: str) -> None:
            made.append((name, "histogram", unit))

        def create_observable_gauge(self, name: str, unit: str, **_: object) -> None:
            made.append((name, "gauge", unit))

    with patch("opentelemetry.metrics.get_meter", return_value=Meter()):
        Telemetry().observe_abandoned_threads(lambda: 0)
    assert_same([(code(row[0]), row[1], code(row[2])) for row in table("observability.md", "Metrics")], made)


def test_every_action_of_the_audit_is_listed() -> None:
    source = "\n".join(
        path.read_text() for path in sorted((ROOT / "jobs").rglob("*.py")) if "testing" not in path.parts
    )
    actions = set(re.findall(r"\bChange\(\s*\"([a-z-]+)\"", source)) | {"replace", RETRY}
    assert {"update", "pause"} < actions
    assert_same(first_column("observability.md", "Audit"), sorted(actions))


def test_every_table_of_the_database_is_listed() -> None:
    metadata = sa.MetaData()
    add_background_jobs(metadata)
    assert_same(first_column("retention.md", "Tables"), [each.name for each in metadata.tables.values()])


def test_what_is_kept_is_kept_for_as_long_as_the_page_says() -> None:
    told = {row[0]: row[1] for row in table("retention.md", "Retention")}
    limits, settings = ReconcileLimits(), Settings()
    assert told["jobs that have ended, with their attempts and audit"].startswith(f"{settings.retention_days:g} days")
    assert f"the newest {settings.keep_attempts}" in told["attempts of living jobs"]
    assert told["idempotency keys"] == f"{limits.key_retention.days} day"
    assert told["locks that nobody holds"].startswith(f"{limits.lock_retention.total_seconds() / 3600:g} hour")


def test_the_timers_are_listed_with_the_settings_of_their_schedules() -> None:
    app = functions.build_app(lambda: None, Settings(scheduler="timer"))  # type: ignore[arg-type,return-value]
    timers = [
        function.get_function_name()
        for function in app.get_functions()
        if function.get_trigger().get_dict_repr()["type"] == "timerTrigger"  # type: ignore[union-attr]
    ]
    assert_same(first_column("schedulers.md", "Timer functions"), timers)
