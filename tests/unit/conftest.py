from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator

import pytest

Write = Callable[..., str]


@pytest.fixture
def write(tmp_path, monkeypatch) -> Iterator[Write]:
    """Write a package of handlers from its modules' texts, and give its name."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    names = iter(f"handlers_{number}_{tmp_path.name}" for number in range(9))

    def make(**modules: str) -> str:
        name = next(names)
        for path, text in {"__init__": "", **modules}.items():
            file = tmp_path / name / f"{path.replace('__in__', '/')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text))
        return name

    yield make
    for name in set(sys.modules) - before:
        del sys.modules[name]
