"""Each page does what it says: its steps run in a copy of the repository, in order, as a reader would run them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jobs.testing.postgres.folder import server_parent
from tests.docs.blocks import Block, blocks_of, pages
from tests.docs.project import Project, skip_without_samples

pytestmark = pytest.mark.slow

STEPS = {page: [each for each in blocks_of(page) if each.step is not None] for page in pages()}
ON_THEIR_OWN = [
    page
    for page, steps in STEPS.items()
    if any(step.step != "file" for step in steps) and not page.startswith("docs/tutorial/")
]


def starts(steps: list[Block]) -> bool:
    return any(step.step == "starts" for step in steps)


def calls_the_app(steps: list[Block]) -> bool:
    return any("http://127.0.0.1:7071" in step.text for step in steps if step.step in {"runs", "fails"})


@pytest.fixture(scope="module")
def sample_app() -> Iterator[Project]:
    """The app of `make run`, for the pages that take it for granted."""
    skip_without_samples()
    with TemporaryDirectory(prefix="jobs-", dir=server_parent(), ignore_cleanup_errors=True) as folder:
        project = Project(Path(folder))
        project.start("make run")
        yield project
        project.close()


@pytest.mark.parametrize("page", ON_THEIR_OWN)
def test_every_step_of_a_page_does_what_the_page_says(
    page: str, project: Project, database_url: str, request: pytest.FixtureRequest
) -> None:
    steps = STEPS[page]
    if not starts(steps):
        project.environment |= {
            "JOBS_DATABASE_URL": database_url,
            "JOBS_DATABASE_TLS": "false",
        }
        if calls_the_app(steps):
            project.url = request.getfixturevalue("sample_app").url
    for step in steps:
        project.do(step)
