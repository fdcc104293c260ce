"""A test of a user's that fails shows the user's lines, and not what the framework did in between."""

from __future__ import annotations

import textwrap

import pytest

from tests.e2e.clones import Folder
from tests.support import ROOT

TESTS = """
    import pytest
    from pydantic import BaseModel

    from jobs import handler


    class Args(BaseModel):
        to: str


    @handler("Letter")
    def send(args: Args) -> None:
        post(args.to)


    def post(to):
        raise ValueError("no such street")  # in the handler


    @pytest.fixture
    def jobs_handlers():
        return [send]


    def test_a_handler_raises(jobs_harness):
        jobs_harness.run_handler("Letter", {"to": "x"}).check()


    def test_a_payload_does_not_fit(jobs_harness):
        jobs_harness.enqueue("Letter", {})


    def test_an_assertion_fails(jobs_harness):
        jobs_harness.assert_enqueued("Letter")


    def test_the_framework_is_at_fault(jobs_harness, monkeypatch):
        monkeypatch.setattr("jobs.app.commands.insertion.NewJobs.new_row", None)
        jobs_harness.enqueue("Letter", {"to": "x"})


    def test_no_harness_is_involved():
        from jobs.core.handlers.registry import HandlerRegistry

        HandlerRegistry().add_handler("Letter", len)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = Folder(tmp_path_factory.mktemp("users"), PYTHONPATH=str(ROOT))
    folder.write({"test_letter.py": textwrap.dedent(TESTS), "pytest.ini": "[pytest]\n"})
    return folder


def shown(folder: Folder, test: str, *options: str) -> str:
    plugin = ("-p", "jobs.testing.plugin")
    return folder.python("-m", "pytest", "-p", "no:cacheprovider", *plugin, *options, "-k", test, fails=True)


@pytest.mark.parametrize(
    ("test", "last", "error"),
    [
        ("a_handler_raises", "raise ValueError", "ValueError: no such street"),
        ("a_payload_does_not_fit", 'jobs_harness.enqueue("Letter", {})', "jobs.core.errors.InvalidInput: "),
        ("an_assertion_fails", 'jobs_harness.assert_enqueued("Letter")', "AssertionError: no job was enqueued with"),
    ],
)
def test_a_failure_shows_the_lines_of_the_test_and_of_its_handler_alone(folder, test, last, error):
    said = shown(folder, test)
    assert last in said
    assert error in said
    assert "jobs/testing/" not in said
    assert "jobs/app/" not in said
    assert "jobs/core/" not in said


def test_all_lines_are_shown_on_demand_and_where_the_framework_is_at_fault_or_no_harness_is_involved(folder):
    assert "jobs/testing/ran.py" in shown(folder, "a_handler_raises", "--full-trace")
    assert "jobs/app/commands/insertion.py" in shown(folder, "the_framework_is_at_fault")
    assert "jobs/core/handlers/registry.py" in shown(folder, "no_harness_is_involved")
