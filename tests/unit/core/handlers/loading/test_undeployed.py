"""An import that only the tools of development bring is a warning, since a deployment would lack it."""

from __future__ import annotations

import importlib
import sys

import pytest

from jobs.core.handlers.loading.undeployed import undeployed_imports


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """A clone whose handlers are the given code, with a package that development alone brings: httpx."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "requirements-dev.txt").write_text("Httpx==0.28.1 \\\n    --hash=sha256:00\npydantic==2.14\n")
    (tmp_path / "requirements.txt").write_text("pydantic==2.14\n")

    def load(code: str, app: str = "") -> list[str]:
        (tmp_path / "requirements-app.txt").write_text(app)
        (tmp_path / "shop_of_httpx.py").write_text(code)
        monkeypatch.delitem(sys.modules, "shop_of_httpx", raising=False)
        importlib.invalidate_caches()
        importlib.import_module("shop_of_httpx")
        return undeployed_imports(["shop_of_httpx"], tmp_path)

    return load


@pytest.mark.parametrize("code", ["import httpx", "from httpx import Client", "def late():\n    import httpx.auth\n"])
def test_an_import_that_only_the_requirements_of_development_bring_is_a_warning(clone, code):
    [warning] = clone(code)
    assert warning.startswith("shop_of_httpx imports httpx, and only requirements-dev.txt brings httpx")
    assert "write httpx into requirements-app.in and run `make lock-app`" in warning


@pytest.mark.parametrize(
    ("code", "app"),
    [
        ("import httpx", "httpx==0.28.1\n"),
        ("import json, pydantic", ""),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import httpx\n", ""),
    ],
    ids=["an app's own", "deployed", "for type checkers"],
)
def test_what_a_deployment_has_or_does_not_import_is_none(clone, code, app):
    assert clone(code, app) == []


def test_an_app_without_a_clone_has_no_such_list(tmp_path):
    assert undeployed_imports(["handlers"], tmp_path) == []
