"""``azd up``: what azure.yaml and main.parameters.json name is there, and its hook migrates as the pipeline does."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pathspec
import pytest

from jobs.entrypoints.cli.yaml_lines import read_yaml
from tests.infra.bicep_compiler import BICEP, parameters, required
from tests.infra.linters import ROOT, lint
from tests.infra.snapshots import kept
from tests.infra.terraform_files import FACTS
from tests.infra.test_image import tracked

FILE = ROOT / "azure.yaml"
PARAMETERS = json.loads((BICEP / "main.parameters.json").read_text())["parameters"]
SCHEMA = FACTS / "azd.json"
README = (ROOT / "infra/README.md").read_text()
DEVELOPMENT = {
    ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "azure.yaml", "conftest.py",
    "local.settings.sample.json", "mkdocs.yml", "pyproject.toml",
}  # fmt: skip


def project() -> dict[str, Any]:
    document, problems = read_yaml(FILE.read_text())
    assert problems == []
    return document.value


[SERVICE] = project()["services"].values()
HOOKS = project()["hooks"]["predeploy"]
PUT_OUT = set(kept("flex_by_default").outputs)


# --- the project


def test_it_has_the_shape_that_azd_gives_projects_and_no_word_that_azd_would_pass_over():
    schema = json.loads(SCHEMA.read_text())
    done = lint("check-jsonschema", "--schemafile", str(SCHEMA), str(FILE))
    assert done.returncode == 0, done.stdout
    assert set(project()) <= set(schema["properties"])
    assert set(SERVICE) <= set(schema["properties"]["services"]["additionalProperties"]["properties"])
    assert set(project()["infra"]) <= set(schema["properties"]["infra"]["properties"])


def test_azds_schema_finds_each_seeded_mistake(tmp_path):
    text = FILE.read_text()
    for number, (right, wrong) in enumerate(
        [
            ("    host: function\n", ""),
            ("shell: sh", "shell: bash"),
            ("  predeploy:", "  beforedeploy:"),
            ("remoteBuild: true", "remoteBuild: sometimes"),
        ]
    ):
        assert right in text
        (tmp_path / f"{number}.yaml").write_text(text.replace(right, wrong, 1))
    seeded = sorted(tmp_path.iterdir())
    done = lint("check-jsonschema", "--schemafile", str(SCHEMA), "--output-format", "json", *map(str, seeded))
    assert {error["filename"] for error in json.loads(done.stdout)["errors"]} == set(map(str, seeded))


def test_the_infrastructure_that_it_names_is_the_one_beside_its_parameters():
    infra = project()["infra"]
    folder = ROOT / infra["path"]
    assert folder == BICEP
    assert (folder / f"{infra['module']}.bicep").is_file()
    assert not (folder / f"{infra['module']}.bicepparam").exists(), "azd would take it in place of main.parameters.json"


def test_the_app_that_it_deploys_to_is_the_one_that_the_infrastructure_puts_out():
    assert re.fullmatch(r"\$\{(\w+)\}", SERVICE["resourceName"])[1] in PUT_OUT
    assert (ROOT / SERVICE["project"] / "host.json").is_file()


def test_what_azd_needs_is_not_deployed():
    """A file of your own beside function_app.py is."""
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    deployed = tracked() - set(ignored.match_files(tracked()))
    assert {"function_app.py", "host.json", "requirements.txt"} <= deployed
    pins = {path.name for path in ROOT.glob("requirements*")} - {"requirements.txt", "requirements-app.txt"}
    assert not deployed & (DEVELOPMENT | pins)
    for left_by_tools in (".azure/jobs/.env", ".mypy_cache/x", ".ruff_cache/x", ".import_linter_cache/x", ".coverage"):
        assert ignored.match_file(left_by_tools), left_by_tools


# --- its parameters


def substituted(environment: dict[str, str]) -> dict[str, Any]:
    """Fill the parameters as azd does: one that nothing is set for is left to its default, or asked for."""
    given = {}
    for name, parameter in PARAMETERS.items():
        text = json.dumps(parameter["value"])
        if set(re.findall(r"\$\{(\w+)\}", text)) <= set(environment):
            value = json.loads(re.sub(r"\$\{(\w+)\}", lambda found: json.dumps(environment[found[1]])[1:-1], text))
            typed = parameters()[name].get("type") in {"array", "bool"}
            given[name] = json.loads(value) if typed else value
    return given


ASKED_FOR = {"ALERT_EMAIL": "oncall@example.com", "DATABASE_ADMIN_NAME": "jobs-admins",
             "DATABASE_ADMIN_OBJECT_ID": "33333333-3333-3333-3333-333333333333"}  # fmt: skip


def test_what_azd_deploys_is_the_shape_flex_tagged_with_azds_environment(deployed):
    made = deployed(**substituted({"AZURE_ENV_NAME": "trial"} | ASKED_FOR | {"DATABASE_ADMIN_TYPE": "Group"}))
    assert "Microsoft.Web/sites" in {one.kind for one in made}
    assert {one.body["tags"]["azd-env-name"] for one in made if "tags" in one.body} == {"trial"}


def test_lists_and_switches_are_taken_from_azds_environment(deployed):
    made = deployed(**substituted(ASKED_FOR | {"OPERATOR_IP_ADDRESSES": '["192.0.2.7"]', "PRIVATE_NETWORK": "false"}))
    opened = {one.body["properties"]["startIpAddress"] for one in made if one.kind.endswith("/firewallRules")}
    assert opened == {"0.0.0.0", "192.0.2.7"}
    assert "Microsoft.Network/virtualNetworks" not in {one.kind for one in made}


def test_what_has_no_default_is_asked_for_or_set_beforehand():
    assert required() <= set(PARAMETERS) <= set(parameters())
    assert required() <= set(substituted(ASKED_FOR))
    assert not required() & set(substituted({"AZURE_ENV_NAME": "trial"}))


def test_the_readme_tells_of_each_variable_that_is_read():
    read = set(re.findall(r"\$\{(\w+)\}", json.dumps(PARAMETERS))) - {"AZURE_ENV_NAME"}  # which azd sets
    section = README[README.index("## All of it by azd") :].split("\n## ")[0]
    assert set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", section)) == read


# --- its pipeline

PIPELINE = (ROOT / "infra/github/azure-dev.yml").read_text()


def test_the_pipeline_is_handed_every_variable_that_is_read_and_leaves_out_those_that_are_not_set():
    read = set(re.findall(r"\$\{(\w+)\}", json.dumps(PARAMETERS))) - {"AZURE_ENV_NAME"}  # which azd hands over itself
    assert set(project()["pipeline"]["variables"]) == read
    [script] = re.findall(r"run: \|\n( +for name in .*? done\n)", PIPELINE, re.DOTALL)
    variables = dict.fromkeys(read, "") | ASKED_FOR | {"OPERATOR_IP_ADDRESSES": '["192.0.2.7"]', "OTHER": "x"}
    with NamedTemporaryFile() as written:
        environment = {"PATH": os.environ["PATH"], "VARIABLES": json.dumps(variables), "GITHUB_ENV": written.name}
        subprocess.run(["bash", "-eo", "pipefail", "-c", script], env=environment, check=True)
        handed = dict(line.split("=", 1) for line in Path(written.name).read_text().splitlines())
    assert handed == ASKED_FOR | {"OPERATOR_IP_ADDRESSES": '["192.0.2.7"]'}


def test_the_pipeline_logs_in_to_az_too_which_the_hooks_call_and_provisions_before_it_deploys():
    order = ["azure/login@", "azd auth login", "azd provision --no-prompt", "azd deploy --no-prompt"]
    assert sorted(order, key=PIPELINE.index) == order
    assert "environment:" not in PIPELINE, "azd makes no credential for one"
    assert "secrets." not in PIPELINE
    assert "id-token: write" in PIPELINE


# --- its hook


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_it_checks_before_it_provisions_and_stops_where_that_fails(system: str):
    script = project()["hooks"]["preprovision"][system]["run"]
    assert " infra/check.py" in script
    assert system == "posix" or script.endswith("; exit $LASTEXITCODE")


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_a_job_completes_after_the_code_is_deployed_or_the_release_fails(system: str):
    script = project()["hooks"]["postdeploy"][system]["run"]
    assert " infra/smoke.py" in script
    assert system == "posix" or script.endswith("; exit $LASTEXITCODE")


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_it_migrates_as_the_pipeline_does_and_stops_where_that_fails(system: str):
    script = HOOKS[system]["run"]
    assert " infra/operations.py migrate" in script
    assert system == "posix" or script.endswith("; exit $LASTEXITCODE")  # which pwsh would pass over


def test_nothing_is_deployed_where_the_migration_fails(tmp_path):
    (tmp_path / "python3").write_text('#!/bin/sh\necho "$@"; exit 3\n')
    (tmp_path / "python3").chmod(0o755)
    done = subprocess.run(["sh", "-c", HOOKS["posix"]["run"]], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"},
                          capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "infra/operations.py migrate\n")
