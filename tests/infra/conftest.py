"""Terraform with the providers' schemas served to it, and what both languages come to in each scenario."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from uuid import uuid4

import pytest

from tests.infra.bicep_compiler import BICEP, snapshot
from tests.infra.linters import missing, with_tools
from tests.infra.schema_provider import served_providers
from tests.infra.snapshots import Made, read
from tests.infra.terraform_files import FOLDER, MISSING, find_terraform, terraform

_WITH_TOOLS = {"deployed", "run_terraform"}


def pytest_configure(config: pytest.Config) -> None:
    """Use the tools where these tests are asked for by name, and not among all others."""
    here = Path(__file__).parent
    if any(Path(one.partition("::")[0]).resolve().is_relative_to(here) for one in config.args):
        os.environ.setdefault("JOBS_INFRA_CHECK", "found")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs tools, some hundred tests, where they are not to be used."""
    if os.environ.get("JOBS_INFRA_CHECK"):
        return
    left_out = [item for item in items if _WITH_TOOLS & set(getattr(item, "fixturenames", ()))]
    items[:] = [item for item in items if item not in set(left_out)]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def run_terraform() -> Iterator[Callable[..., CompletedProcess[str]]]:
    """Run the real Terraform; nothing is downloaded, since its providers are played here."""
    with_tools()
    if find_terraform() is None:
        missing(MISSING)
    with served_providers() as environment:

        def run(*arguments: str, folder: Path = FOLDER) -> CompletedProcess[str]:
            return terraform(list(arguments), environment, folder)

        yield run


@pytest.fixture(scope="session")
def plans(run_terraform) -> dict[str, dict[str, Any]]:
    """What Terraform plans in each run of the tests that are shipped: a plan as JSON, by the run's name."""
    answer = run_terraform("test", "-json", "-verbose")
    messages = [json.loads(line) for line in answer.stdout.splitlines()]
    failed = [message["@message"] for message in messages if message["@level"] == "error"]
    assert answer.returncode == 0, failed or answer.stderr
    return {message["@testrun"]: message["test_plan"] for message in messages if message["type"] == "test_plan"}


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Path]:
    """Copy the infrastructure and put a mistake into it; gives the copy."""

    def change(file: str, old: str, new: str) -> Path:
        copy = tmp_path / "infra"
        shutil.copytree(FOLDER.parent, copy, ignore=shutil.ignore_patterns(".terraform*"))
        text = (copy / file).read_text()
        assert text.count(old) == 1, f"{old!r} is to be there once, to be changed"
        (copy / file).write_text(text.replace(old, new))
        return copy

    return change


@pytest.fixture
def deployed(tmp_path: Path) -> Callable[..., list[Made]]:
    """Give what Bicep makes of these parameters beside those without a default; raises ``Refused``."""

    def deploy(folder: Path = BICEP, **given: Any) -> list[Made]:
        asked_for = {
            "alertEmail": "oncall@example.com",
            "databaseAdminName": "jobs admins@example.com",
            "databaseAdminObjectId": "33333333-3333-3333-3333-333333333333",
        }
        lines = [f"param {name} = json('{json.dumps(value)}')" for name, value in (asked_for | given).items()]
        file = tmp_path / f"{uuid4()}.bicepparam"
        file.write_text("\n".join([f"using '{os.path.relpath(folder, tmp_path)}/main.bicep'", *lines]))
        return read(snapshot(file)).resources

    return deploy
