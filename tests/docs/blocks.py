"""The code blocks of README.md and docs/, each with the marks that say how it is tested.

A mark is an HTML comment on a line of its own right above the block; GitHub and the site do not show it:

    <!-- file: PATH -->     the block is the whole content of this file of the reader's project
    <!-- starts -->         the command stays up: the app that the page's later commands call
    <!-- runs -->           the command runs to its end, in the page's project, and succeeds
    <!-- uses: … -->        beside ``runs``: with the environment that the app prints for other terminals
    <!-- fails -->          the same, and its exit status is not zero
    <!-- prints -->         what the last command has printed, among it, in this order; … stands for anything
    <!-- logs -->           lines that the app prints in the end, in any order, because of the step before
    <!-- answers -->        JSON that is within the last command's answer, which is asked for again until it is so
    <!-- tested: TEST -->   a test of tests/docs uses the block, and says what must hold
    <!-- not run: WHY -->   nothing runs it, for this reason

The steps of a page are run in the page's order, by ``test_pages.py``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STEPS = ("file", "starts", "runs", "fails", "prints", "logs", "answers")
_MARK = re.compile(r"<!-- ([a-z]+(?: [a-z]+)?)(?:: (.*?))? -->")
_FENCE = re.compile(r"(`{3,})(\w*)$")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block; ``marks`` maps each mark above it to what stands after its colon."""

    page: str
    line: int
    language: str
    text: str
    marks: dict[str, str]

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def step(self) -> str | None:
        """What a test of the whole page does with it; None where it is no step."""
        return next((mark for mark in self.marks if mark in STEPS), None)


def pages() -> list[str]:
    """The README and every page of docs/, relative to the repository's root."""
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def blocks_of(page: str) -> list[Block]:
    """The blocks of one page, in its order."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    number = 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence is None:
            number += 1
            continue
        end = lines.index(fence[1], number + 1)
        text = "".join(f"{line}\n" for line in lines[number + 1 : end])
        found.append(Block(page, number + 1, fence[2], text, _marks_above(lines, number)))
        number = end + 1
    return found


def _marks_above(lines: list[str], number: int) -> dict[str, str]:
    marks: dict[str, str] = {}
    while number and (mark := _MARK.fullmatch(lines[number - 1])):
        marks[mark[1]] = mark[2] or ""
        number -= 1
    return marks


def block(page: str, containing: str) -> str:
    """The text of the only block of a page that contains this."""
    [found] = [each.text for each in blocks_of(page) if containing in each.text]
    return found
