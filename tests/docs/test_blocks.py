"""No code block of the README or of docs/ goes untested but for a reason that is written beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks_of, pages

GUIDES = [
    page
    for page in [*pages(), "CONTRIBUTING.md"]
    if not page.startswith(("docs/reference/", "docs/explanation/", "docs/troubleshooting/", "docs/decisions/"))
]
"""``test_examples.py`` and ``test_sql.py`` are about the blocks of the other pages."""
BLOCKS = [block for page in GUIDES for block in blocks_of(page)]
NOT_RUN = 18
"""How many blocks of the guides nothing runs. A new one wants a reason, and this number changed."""


def test_every_block_is_a_step_of_its_page_or_tested_by_name_or_says_why_not() -> None:
    untested = [block.place for block in BLOCKS if not block.step and not block.marks.keys() & {"tested", "not run"}]
    assert untested == [], "mark each with one of the marks of tests/docs/blocks.py"


def test_every_mark_is_one_that_is_known_and_says_what_it_must() -> None:
    known = {"file", "starts", "runs", "uses", "fails", "prints", "logs", "answers", "tested", "not run"}
    for block in BLOCKS:
        assert block.marks.keys() <= known, block.place
        for mark in block.marks.keys() & {"file", "tested", "not run"}:
            assert block.marks[mark], f"{block.place}: what stands after {mark}: ?"


def test_the_tests_that_blocks_name_are_there() -> None:
    for block in BLOCKS:
        if named := block.marks.get("tested"):
            file, _, test = named.partition("::")
            assert f"def {test}(" in (Path(__file__).parent / file).read_text(), f"{block.place} names {named}"


def test_the_blocks_that_nothing_runs_are_no_more_than_these() -> None:
    assert len([block.place for block in BLOCKS if "not run" in block.marks]) == NOT_RUN


@pytest.mark.parametrize("block", [each for page in pages() for each in blocks_of(page)], ids=lambda each: each.place)
def test_every_block_is_sound_in_its_language(block: Block) -> None:
    if block.language == "python":
        compile(block.text, block.place, "exec")
    elif block.language == "json" and "…" not in block.text and block.text.startswith(("{", "[")):
        json.loads(block.text)
