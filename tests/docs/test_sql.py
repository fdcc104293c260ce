"""Every query that the documentation gives to operators runs on the tables as they are."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from tests.docs.pages import ROOT

QUERIES = [
    (path.relative_to(ROOT).as_posix(), re.sub(r"^ +", "", text, flags=re.MULTILINE))
    for path in sorted((ROOT / "docs").glob("*/*.md"))
    for unmarked in [re.sub(r"<!-- not run: [^\n]* -->\n```.*?\n```", "", path.read_text(), flags=re.DOTALL)]
    for text in re.findall(r"^ *```sql\n(.*?)^ *```", unmarked, re.DOTALL | re.MULTILINE)
]


@pytest.fixture
def ask(sql: Callable[..., list]) -> Callable[[str], list]:
    return lambda query: sql(query.replace(":", r"\:"))


def test_every_query_of_the_documentation_runs(ask: Callable[[str], list]) -> None:
    assert QUERIES
    for page, query in QUERIES:
        try:
            ask(query)
        except Exception as error:
            raise AssertionError(f"{page}: {error}") from error
