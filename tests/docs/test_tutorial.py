"""The tutorial's parts are steps of one story, done here from the first to the last."""

from __future__ import annotations

import pytest

from tests.docs.blocks import blocks_of, pages
from tests.docs.project import Project


@pytest.mark.slow
def test_the_tutorial_leads_from_its_first_step_to_its_last(project: Project) -> None:
    for page in pages():
        if page.startswith("docs/tutorial/"):
            for step in blocks_of(page):
                if step.step is not None:
                    project.do(step)
