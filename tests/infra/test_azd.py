"""``azd up``: what azure.yaml and main.parameters.json name is there, and its hook migrates as the pipeline does."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pathspec
import pytest

from jobs.entrypoints.cli.main import _parser
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


def project() -> dict[str, Any]:
    document, problems = read_yaml(FILE.read_text())
    assert problems == []
    return document.value


[SERVICE] = project()["services"].values()
HOOKS = project()["hooks"]["predeploy"]
PUT_OUT = set(kept("flex_by_default").outputs)
OUTPUTS = {name: f"the {name}" for name in PUT_OUT}


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
        assert text.count(right) == 1
        (tmp_path / f"{number}.yaml").write_text(text.replace(right, wrong))
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
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    deployed = set(tracked()) - set(ignored.match_files(tracked()))
    assert {"function_app.py", "host.json", "requirements.txt"} <= deployed
    assert {file for file in deployed if "/" not in file} <= {
        "function_app.py", "host.json", "requirements.txt", "requirements-app.txt", "schedules.yaml",
    }  # fmt: skip
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


# --- its hook


def commands_of(script: str) -> list[list[str]]:
    lines = [line.split(";")[0] for line in script.splitlines() if " -m jobs " in line]
    return [shlex.split(line) for line in lines]


@pytest.mark.parametrize("system", ["posix", "windows"])
def test_its_commands_are_ones_that_the_command_line_takes_in_the_pipelines_order(system):
    commands = [command[command.index("jobs") + 1 :] for command in commands_of(HOOKS[system]["run"])]
    assert [command[:2] for command in commands] == [["db", "upgrade"], ["db", "grant"]]
    for command in commands:
        assert _parser().parse_args(command).run
    read = set(re.findall(r"\$(?:env:)?([a-z]\w+)", HOOKS[system]["run"])) - {"env"}
    assert read == {"migrationUrl", "runtimeRole", "runtimeObjectId"}
    assert read <= PUT_OUT


def run_hook(tmp_path: Path, python: str, **environment: str) -> tuple[int, list[str]]:
    """Run the script as azd does, with a Python that writes down how it was called; gives its status and the calls."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    (folder / "python").write_text(f"#!/bin/sh\n{python}\n")
    (folder / "python").chmod(0o755)
    script = tmp_path / "predeploy.sh"
    script.write_text(f"#!/bin/sh\nset -e\n{HOOKS['posix']['run']}\n")
    done = subprocess.run(["sh", str(script)], cwd=tmp_path, env={"PATH": os.environ["PATH"], **environment},
                          capture_output=True, text=True, check=False, timeout=60)  # fmt: skip
    return done.returncode, done.stdout.splitlines()


def test_it_migrates_and_grants_as_who_is_logged_in_to_azd(tmp_path):
    tell = 'echo "$JOBS_DATABASE_URL, $JOBS_DATABASE_AUTH, $AZURE_TOKEN_CREDENTIALS: $*"'
    status, calls = run_hook(tmp_path, tell, **OUTPUTS)
    before = "the migrationUrl, entra, AzureDeveloperCliCredential: -m"
    assert (status, calls) == (
        0,
        [
            f"{before} pip install --quiet --require-hashes --requirement requirements.txt",
            f"{before} jobs db upgrade",
            f"{before} jobs db grant --runtime the runtimeRole=the runtimeObjectId --entra",
        ],
    )


def test_nothing_is_deployed_where_the_migration_fails(tmp_path):
    status, calls = run_hook(tmp_path, 'echo "$*"; [ "$4" != upgrade ]', **OUTPUTS)
    assert status != 0
    assert calls[-1] == "-m jobs db upgrade"


def test_nothing_is_migrated_where_nothing_was_provisioned(tmp_path):
    assert run_hook(tmp_path, 'echo "$*"') == (2, [])


def test_the_credential_that_it_chooses_is_one_that_there_is(monkeypatch):
    from azure.identity import DefaultAzureCredential

    [named] = set(re.findall(r"AZURE_TOKEN_CREDENTIALS\W+(\w+)", HOOKS["posix"]["run"] + HOOKS["windows"]["run"]))
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", named)
    assert [type(one).__name__ for one in DefaultAzureCredential().credentials] == [named]
