"""Packages beside ``jobs/`` reach the image and the zip without a line for them; what only developers need does not."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.infra.deployed import ROOT, let_through, packed_as_git_would, packed_by_core_tools, tracked

FUNCIGNORE = (ROOT / ".funcignore").read_text()
DOCKERIGNORE = (ROOT / "infra/docker/Dockerfile.dockerignore").read_text()

DEPLOYED = {
    "function_app.py",
    "host.json",
    "requirements.txt",
    "requirements-app.txt",
    "schedules.yaml",
    "handlers/__init__.py",
    "handlers/send_invoice.py",
    "shop/__init__.py",
    "shop/jobs/sync.py",
    "shop/docs/terms.md",
    "shop/templates/mail.html",
    "shop/infra/client.py",
    "shop/testing/fakes.py",
    "settings.toml",
}
LEFT_BEHIND = {
    ".env",
    ".env.production",
    ".git/config",
    ".github/workflows/deploy.yml",
    ".venv/pyvenv.cfg",
    ".venv-docs/pyvenv.cfg",
    ".local/postgres/PG_VERSION",
    ".azure/jobs/.env",
    ".mypy_cache/x",
    ".coverage",
    ".npmrc",
    ".pytest_cache/x",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "Makefile",
    "azure.yaml",
    "dist/aether_jobs-0.9.0-py3-none-any.whl",
    "docs/index.md",
    "docs/hooks.py",
    "mkdocs.yml",
    "pyproject.toml",
    "requirements.in",
    "requirements-app.in",
    "requirements-dev.txt",
    "requirements-run.txt",
    "local.settings.json",
    "local.settings.sample.json",
    "infra/bicep/main.bicep",
    "conftest.py",
    "shop/conftest.py",
    "tests/conftest.py",
    "tests/handlers/test_send_invoice.py",
    "examples/tests/test_send_email.py",
    "shop/tests/test_sync.py",
    "jobs/ruff.toml",
    "jobs/testing/harness.py",
    "jobs/entrypoints/devhost/run.py",
    "jobs/__pycache__/settings.cpython-313.pyc",
    "handlers/__pycache__/send_invoice.cpython-313.pyc",
}
Packer = Callable[[set[str]], set[str]]
PACKERS: dict[str, Packer] = {
    "image": lambda files: let_through(DOCKERIGNORE, files),
    "azd and GitHub": lambda files: packed_as_git_would(FUNCIGNORE, files),
    "Core Tools": lambda files: packed_by_core_tools(FUNCIGNORE, files),
}


@pytest.mark.parametrize("packer", PACKERS.values(), ids=PACKERS)
def test_your_packages_are_deployed_and_nothing_that_only_developers_need_or_that_could_be_secret(packer: Packer):
    assert packer(DEPLOYED | LEFT_BEHIND) == DEPLOYED


@pytest.mark.parametrize("packer", PACKERS.values(), ids=PACKERS)
def test_each_packer_takes_the_same_files_of_this_repository(packer: Packer):
    packed = packer(tracked())
    assert packed == packed_as_git_would(FUNCIGNORE, tracked())
    assert {
        "function_app.py",
        "host.json",
        "requirements.txt",
        "jobs/bootstrap/__init__.py",
        "jobs/version.py",
    } <= packed


def test_packages_that_were_built_on_this_machine_go_along_where_they_are_to():
    built = {".python_packages/lib/site-packages/pydantic/__init__.py"}
    assert packed_by_core_tools(FUNCIGNORE, built) == packed_as_git_would(FUNCIGNORE, built) == built
    assert let_through(DOCKERIGNORE, built) == set(), "the image installs its own"


def test_the_zip_of_the_infrastructures_readme_holds_what_core_tools_would_pack(tmp_path: Path):
    if shutil.which("zip") is None:
        pytest.skip("zip is not installed")
    for file in DEPLOYED | LEFT_BEHIND - {".git/config"}:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / ".funcignore").write_text(FUNCIGNORE)
    readme = "\n".join(line.strip() for line in (ROOT / "infra/README.md").read_text().splitlines())
    [script] = set(re.findall(r"^rm -f app\.zip\n.*app\.zip -@$", readme, re.MULTILINE))  # each path has it
    committed = "git init -q . && git add --all --force && "
    subprocess.run(["sh", "-c", committed + script], cwd=tmp_path, check=True, capture_output=True)
    assert set(ZipFile(tmp_path / "app.zip").namelist()) == DEPLOYED


def test_docker_ignores_by_the_rules_that_its_documentation_gives():
    files = {"a", "b/a", "b/c.py", "b/d/c.py", "b/d/__pycache__/c", "e"}
    assert let_through("*\n!b\n**/__pycache__\nb/c*.py\n", files) == {"b/a", "b/d/c.py"}
    assert let_through("a\n", files) == files - {"a"}
    assert let_through("**/a\n", files) == files - {"a", "b/a"}


def test_core_tools_ignore_as_their_source_does():
    files = {"a/b.py", "ab", "x/a/b", "c1", "c", "d.txt", "d.txtx", "e/f"}
    assert packed_by_core_tools("a/\nc*\n/d.txt\ne/\n!e/f\n", files) == {"ab", "x/a/b", "c", "d.txtx", "e/f"}
