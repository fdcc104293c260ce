"""The development container: what it calls is there, and it has what the README's paths are walked with."""

from __future__ import annotations

import json
import re

from tests.infra.deployed import let_through, packed_as_git_would
from tests.infra.linters import ROOT

FILE = ".devcontainer/devcontainer.json"
CONTAINER = json.loads((ROOT / FILE).read_text())
MAKEFILE = (ROOT / "Makefile").read_text()


def test_it_sets_up_by_targets_that_there_are_on_the_python_that_is_deployed() -> None:
    command, *targets = CONTAINER["postCreateCommand"].split()
    assert command == "make"
    for target in targets:
        assert re.search(rf"^{re.escape(target.replace('.venv', '$(VENV)'))}:", MAKEFILE, re.MULTILINE), target
    [version] = re.findall(r"python:4-python([\d.]+)", (ROOT / "infra/docker/Dockerfile").read_text())[:1]
    assert CONTAINER["image"] == f"mcr.microsoft.com/devcontainers/python:{version}"
    assert f"PORT ?= {CONTAINER['forwardPorts'][0]}\n" in MAKEFILE


def test_it_has_each_tool_that_the_paths_to_azure_are_walked_with() -> None:
    features = {name.rsplit("/", 1)[-1].partition(":")[0] for name in CONTAINER["features"]}
    readme = (ROOT / "infra/README.md").read_text()
    for tool, feature in {"az ": "azure-cli", "azd ": "azd", "terraform ": "terraform", "gh ": "github-cli"}.items():
        assert re.search(rf"^ *{tool}", readme, re.MULTILINE), tool
        assert feature in features


def test_it_is_not_deployed() -> None:
    assert packed_as_git_would((ROOT / ".funcignore").read_text(), {FILE}) == set()
    assert let_through((ROOT / "infra/docker/Dockerfile.dockerignore").read_text(), {FILE}) == set()
