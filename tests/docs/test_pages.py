"""Each page does what it says: its steps run in a copy of the repository, in order, as a reader would run them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.docs.blocks import ROOT, Block, blocks_of, pages
from tests.docs.project import Project

pytestmark = pytest.mark.slow

STEPS = {page: [each for each in blocks_of(page) if each.step is not None] for page in pages()}
TUTORIAL = [page for page in STEPS if page.startswith("docs/tutorial/")]
ON_THEIR_OWN = [page for page, steps in STEPS.items() if steps and page not in TUTORIAL]


def skip_without_samples() -> None:
    if not (ROOT / "examples").is_dir():
        pytest.skip("the pages begin with the samples, which are deleted here")


def starts(steps: list[Block]) -> bool:
    return any(step.step == "starts" for step in steps)


def calls_the_app(steps: list[Block]) -> bool:
    return any("http://127.0.0.1:7071" in step.text for step in steps if step.step in {"runs", "fails"})


@pytest.fixture
def project() -> Iterator[Project]:
    """A clone of the reader's. A folder with a short path, since it holds a Postgres with its socket."""
    skip_without_samples()
    with TemporaryDirectory(prefix="jobs-", ignore_cleanup_errors=True) as folder:
        project = Project(Path(folder))
        yield project
        project.close()


@pytest.fixture(scope="module")
def sample_app() -> Iterator[Project]:
    """The app of `make run`, for the pages that take it for granted."""
    skip_without_samples()
    with TemporaryDirectory(prefix="jobs-", ignore_cleanup_errors=True) as folder:
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
            "JOBS_SCHEDULER": "timer",
        }
        if calls_the_app(steps):
            project.url = request.getfixturevalue("sample_app").url
    for step in steps:
        project.do(step)


def test_the_tutorial_leads_from_its_first_step_to_its_last(project: Project) -> None:
    for page in TUTORIAL:
        for step in STEPS[page]:
            project.do(step)
