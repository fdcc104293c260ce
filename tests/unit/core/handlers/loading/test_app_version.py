"""The version of an app that does not say which it is: it changes with the code of the handlers' packages."""

from __future__ import annotations

import sys

import pytest

from jobs.core.handlers.loading import app_version
from jobs.core.handlers.loading.app_version import version_of_code
from jobs.core.handlers.loading.package import load_handlers

HANDLER = """
from jobs import handler
from pydantic import BaseModel

class Nothing(BaseModel):
    pass

@handler("Send")
def send(args: Nothing) -> None:
    pass
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "versioned"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "send.py").write_text(HANDLER)
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    for name in [name for name in sys.modules if name.partition(".")[0] == "versioned"]:
        del sys.modules[name]


def test_the_same_code_has_the_same_version_and_other_code_another(package, monkeypatch):
    registry = load_handlers("versioned")
    before = version_of_code(registry)
    assert version_of_code(registry) == before
    (package / "send.py").write_text(HANDLER + "# a comment\n")
    changed = version_of_code(registry)
    (package / "helper.py").write_text("")
    with_another_file = version_of_code(registry)
    (package / "notes.txt").write_text("not code")
    assert version_of_code(registry) == with_another_file
    monkeypatch.setattr(app_version, "__version__", "9.9")
    assert len({before, changed, with_another_file, version_of_code(registry)}) == 4
