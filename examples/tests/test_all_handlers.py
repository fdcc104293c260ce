"""What holds for every handler: it is found, its services exist, and it imports the framework's front door only."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest

import examples
import jobs
from jobs.core.handlers.loading.package import load_handlers
from jobs.core.lifecycle.status import JobStatus
from jobs.testing import JobsHarness

FILES = sorted(Path(str(examples.__file__)).parent.glob("*.py"))


def test_the_app_has_these_handlers() -> None:
    """A name is stored with every job: one that goes missing here is missed by the jobs in the database as well."""
    assert [spec.name for spec in load_handlers("examples").all()] == [
        "CleanupData",
        "GenerateReport",
        "ProcessPayment",
        "SendEmail",
    ]


def imports_of(source: str) -> set[str]:
    """Names as an absolute import would have them; relative imports, from the package, begin with its dots."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            # `from jobs import core` imports a module; `from jobs import handler` is the front door.
            found |= {module if alias.name in jobs.__all__ else f"{module}.{alias.name}" for alias in node.names}
    return found


def is_inside_the_framework(name: str) -> bool:
    return name.startswith(("..", "jobs."))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_handler_imports_nothing_of_the_framework_but_its_front_door(file: Path) -> None:
    assert [name for name in imports_of(file.read_text(encoding="utf-8")) if is_inside_the_framework(name)] == []


@pytest.mark.parametrize(
    "source",
    [
        "import jobs.core",
        "from jobs.core.handlers.registry import handler",
        "from jobs import core",
        "from .. import app",
    ],
)
def test_an_import_past_the_front_door_would_be_seen(source: str) -> None:
    assert any(is_inside_the_framework(name) for name in imports_of(source))


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sample services write to a folder of the test's own."""
    monkeypatch.setenv("SAMPLE_OUTBOX", str(tmp_path / "outbox.jsonl"))
    monkeypatch.setenv("SAMPLE_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setenv("SAMPLE_PAYMENTS", str(tmp_path / "payments.sqlite3"))


@pytest.mark.parametrize(
    ("handler_name", "payload", "status", "error"),
    [
        ("CleanupData", {}, JobStatus.COMPLETED, None),
        ("GenerateReport", {"day": "2026-11-02"}, JobStatus.COMPLETED, None),
        ("SendEmail", {"to": "a@example.com", "subject": "Hello", "body": ""}, JobStatus.COMPLETED, None),
        ("ProcessPayment", {"card_token": "tok_visa", "amount": 1, "currency": "EUR"}, JobStatus.COMPLETED, None),
        (
            "ProcessPayment",
            {"card_token": "tok_declined", "amount": 1, "currency": "EUR"},
            JobStatus.FAILED,
            "declined",
        ),
        ("ProcessPayment", {"card_token": "tok_busy", "amount": 1, "currency": "EUR"}, JobStatus.SCHEDULED, "busy"),
    ],
)
@pytest.mark.usefixtures("samples")
def test_a_job_ends_as_its_handler_says(
    jobs_harness: JobsHarness, handler_name: str, payload: dict[str, Any], status: JobStatus, error: str | None
) -> None:
    job = jobs_harness.run_handler(handler_name, payload).job
    assert job.status is status
    assert (error or "") in (job.last_error or "")
