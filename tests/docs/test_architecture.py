"""The page on the architecture has every room of the house, and no other."""

from __future__ import annotations

import ast
import re

from tests.docs.pages import ROOT, assert_same

PAGE = (ROOT / "docs/explanation/architecture.md").read_text()
MOST_LINES = 250
FOLDERS = ("reference", "explanation", "troubleshooting", "decisions")


def test_every_room_is_listed() -> None:
    floors = [path for path in (ROOT / "jobs").iterdir() if path.is_dir()]
    rooms = [room for floor in floors for room in floor.iterdir() if (room / "__init__.py").is_file()]
    listed = re.findall(r"^\| `([\w/]+)` \|", PAGE, re.MULTILINE)
    assert_same(listed, sorted(room.relative_to(ROOT).as_posix() for room in rooms))


def test_a_long_file_says_why_it_is_not_split() -> None:
    for file in sorted((ROOT / "jobs").rglob("*.py")):
        text = file.read_text()
        if text.count("\n") > MOST_LINES:
            assert "Longer than other files because" in (ast.get_docstring(ast.parse(text)) or ""), file


def test_every_path_in_the_code_that_a_page_names_is_there() -> None:
    for page in (path for folder in FOLDERS for path in sorted((ROOT / "docs" / folder).glob("*.md"))):
        for named in re.findall(r"`((?:jobs|infra|tests|docs)/[\w./-]*)`", page.read_text()):
            if not named.startswith("tests/handlers/"):  # those are yours
                assert (ROOT / named).exists(), f"{page.name} names {named}"
