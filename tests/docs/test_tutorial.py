"""The tutorial's parts are steps of one story, done here from the first to the last."""

from __future__ import annotations

import pytest

from tests.docs.blocks import ROOT, blocks_of, pages
from tests.docs.project import Project

SAMPLES = ("SendEmail", "GenerateReport", "ProcessPayment", "CleanupData")


@pytest.mark.slow
def test_the_tutorial_leads_from_its_first_step_to_its_last_in_a_clone_with_the_readmes_handler(
    project: Project,
) -> None:
    for step in blocks_of("README.md"):
        if step.step == "file":
            project.do(step)
    for page in pages():
        if page.startswith("docs/tutorial/"):
            for step in blocks_of(page):
                if step.step is not None:
                    project.do(step)


@pytest.mark.parametrize("page", [page for page in pages() if page.startswith("docs/how-to/")])
def test_a_guide_whose_steps_need_the_samples_says_how_to_have_them_beside_handlers_of_ones_own(page: str) -> None:
    steps = "".join(each.text for each in blocks_of(page) if each.step is not None)
    if any(sample in steps for sample in SAMPLES):
        assert "JOBS_HANDLERS=handlers,examples" in (ROOT / page).read_text(encoding="utf-8"), page
