"""Terraform with the providers' schemas served to it, and what both languages come to in each scenario."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.infra.schema_provider import served_providers
from tests.infra.terraform_files import FOLDER, MISSING, find_terraform, terraform


@pytest.fixture(scope="session")
def run_terraform() -> Iterator[Callable[..., CompletedProcess[str]]]:
    """Run the real Terraform; nothing is downloaded, since its providers are played here."""
    if find_terraform() is None:
        pytest.skip(MISSING)
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
