"""Every relative link of the README and the documentation leads to a file, and its anchor to a heading there."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, without_fences

PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "infra/README.md")
    for path in ROOT.glob(pattern)
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
_LINK = re.compile(r"(?<!\\)\[(?:[^\[\]]|\[[^\]]*\])*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_SPAN = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"#{1,6} +(.*?)(?: +#+)?")


def links_of(path: Path) -> list[str]:
    """Return the addresses that a page links to, but those within code."""
    return _LINK.findall(_SPAN.sub("", without_fences(path.read_text())))


def slug(heading: str) -> str:
    """Return the anchor that GitHub makes of a heading."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").replace("*", "")
    text = unicodedata.normalize("NFC", text).strip().lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors_of(path: Path) -> set[str]:
    """Return the anchors of a page; one that comes again has a number."""
    found: set[str] = set()
    for line in without_fences(path.read_text()).splitlines():
        if match := _HEADING.fullmatch(line):
            anchor, number = slug(match[1]), 0
            while f"{anchor}-{number}" in found if number else anchor in found:
                number += 1
            found.add(f"{anchor}-{number}" if number else anchor)
        found.update(re.findall(r"<a (?:id|name)=\"([^\"]+)\"", line))
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_relative_link_leads_somewhere(path: Path) -> None:
    faults = []
    for link in links_of(path):
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        address, _, anchor = link.partition("#")
        target = (path.parent / address).resolve() if address else path
        if not target.exists():
            faults.append(f"{link}: there is no {address}")
        elif anchor and target.suffix == ".md" and anchor not in anchors_of(target):
            faults.append(f"{link}: {target.relative_to(ROOT)} has the anchors {', '.join(sorted(anchors_of(target)))}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_link_is_absolute_within_the_repository(path: Path) -> None:
    assert not [link for link in links_of(path) if link.startswith("/")]


@pytest.mark.parametrize("folder", sorted({path.parent for path in PAGES if path.parent.parent == ROOT / "docs"}))
def test_every_page_of_a_folder_is_listed_in_its_index(folder: Path) -> None:
    index = folder / "index.md"
    if not index.exists():
        pytest.skip("the folder has no index")
    linked = {(folder / link.partition("#")[0]).resolve() for link in links_of(index) if ":" not in link}
    assert {page.name for page in {*folder.glob("*.md")} - linked} == {"index.md"}
