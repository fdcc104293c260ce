"""A reader's clone for the tests of the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jobs.testing.postgres.folder import server_parent
from tests.docs.project import Project, skip_without_samples


@pytest.fixture
def project() -> Iterator[Project]:
    """A clone of the reader's. A folder with a short path, since it holds a Postgres with its socket."""
    skip_without_samples()
    with TemporaryDirectory(prefix="jobs-", dir=server_parent(), ignore_cleanup_errors=True) as folder:
        project = Project(Path(folder))
        yield project
        project.close()
