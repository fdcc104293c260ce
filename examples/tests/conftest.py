"""What every handler's tests need: the context of an attempt, made by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from jobs import JobContext


@pytest.fixture
def jobs_handlers() -> str:
    """The package whose handlers ``jobs_harness`` has, here where the app may have others."""
    return "examples"


@pytest.fixture
def ctx() -> JobContext:
    """The first attempt of a job's first run, due at six in the morning."""
    return JobContext(
        job_id=UUID("0193a5b0-0000-7000-8000-000000000001"),
        job_name="test",
        handler_name="Test",
        run=1,
        attempt=1,
        scheduled_for=datetime(2026, 12, 1, 6, tzinfo=UTC),
        metadata={},
    )
