"""The deployment workflow: what it calls is there, and it does things in an order that an outage survives."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobs.entrypoints.cli.main import _parser
from jobs.entrypoints.cli.yaml_lines import read_yaml
from tests.infra.linters import lint

ROOT = Path(__file__).parents[2]
FILE = ROOT / "infra/github/deploy.yml"
WORKFLOWS = sorted(FILE.parent.glob("*.yml"))
TEXT = FILE.read_text()


def parsed(text: str) -> dict[str, Any]:
    document, problems = read_yaml(text)
    assert problems == []
    return document.value


README = (ROOT / "infra/README.md").read_text()
WORKFLOW = parsed(TEXT)
JOBS = WORKFLOW["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]
SCRIPTS = [step["run"] for step in STEPS if "run" in step]


def place_of(job: str, matches: Callable[[dict[str, Any]], bool]) -> int:
    """Where the only step that matches stands in a job."""
    [place] = [place for place, step in enumerate(JOBS[job]["steps"]) if matches(step)]
    return place


def running(command: str) -> Callable[[dict[str, Any]], bool]:
    return lambda step: command in step.get("run", "")


def using(action: str) -> Callable[[dict[str, Any]], bool]:
    return lambda step: step.get("uses", "").startswith(f"{action}@")


# --- what it may do


def test_it_is_a_template_that_github_does_not_run_from_where_it_lies():
    assert not (ROOT / ".github/workflows/deploy.yml").exists()
    assert WORKFLOW["on"]["push"]["branches"] == ["main"]


def test_a_job_has_the_rights_that_it_needs_and_no_secret_is_kept():
    assert WORKFLOW["permissions"] == {}
    assert {name: job["permissions"] for name, job in JOBS.items()} == {
        "test": {"contents": "read"},
        "plan": {"contents": "read", "id-token": "write"},
        "deploy": {"contents": "read", "id-token": "write"},
    }
    assert "secrets." not in TEXT
    for step in filter(using("azure/login"), STEPS):
        assert set(step["with"]) == {"client-id", "tenant-id", "subscription-id"}
    for step in filter(using("actions/checkout"), STEPS):
        assert step["with"]["persist-credentials"] is False


def test_a_deployment_waits_for_the_tests_the_plan_and_its_approval_and_is_never_left_half_way():
    deploy = JOBS["deploy"]
    assert set(deploy["needs"]) == {"test", "plan"}
    assert deploy["environment"] == "production"
    assert deploy["concurrency"]["cancel-in-progress"] is False
    assert JOBS["plan"]["environment"] == "plan"  # or it would wait for the approval that it is there for
    assert all(job["timeout-minutes"] <= 60 for job in JOBS.values())


def test_actions_are_pinned_by_commit_with_their_version_beside_it():
    used = re.findall(r"uses: (\S+)(.*)", "".join(file.read_text() for file in WORKFLOWS))
    assert len(used) > sum("uses" in step for step in STEPS)
    for action, comment in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), action
    commits: dict[str, set[str]] = {}
    for action, _ in used:
        name, _, commit = action.partition("@")
        commits.setdefault(name.lower(), set()).add(commit)
    assert all(len(each) == 1 for each in commits.values())


def test_no_script_has_an_expression_pasted_into_it():
    assert [script for script in SCRIPTS if "${{" in script] == []


# --- what it does, in which order


@pytest.mark.parametrize("code", ["Azure/functions-action", "containerImage="])
def test_the_database_is_migrated_before_the_code_and_jobs_are_applied_once_the_app_is_ready(code):
    deploys = using(code) if "/" in code else running(code)
    order = [
        place_of("deploy", running("operations.py migrate")),
        place_of("deploy", deploys),
        place_of("deploy", running("/api/health/ready")),
        place_of("deploy", running("smoke.py")),
        place_of("deploy", running("operations.py apply")),
    ]
    assert order == sorted(order)
    assert place_of("deploy", using("azure/login")) < order[0]


def test_what_is_deployed_is_a_package_that_was_built_before_and_is_kept():
    """An action that packs the folder by itself deletes what it leaves out, tools of later steps included."""
    deploy = JOBS["deploy"]["steps"][place_of("deploy", using("Azure/functions-action"))]
    kept = JOBS["deploy"]["steps"][place_of("deploy", using("actions/upload-artifact"))]
    assert deploy["with"]["package"] == kept["with"]["path"] == "app.zip"
    assert "respect-funcignore" not in deploy["with"]
    assert place_of("deploy", running("zip -q app.zip")) < place_of("deploy", using("actions/upload-artifact"))
    script = JOBS["deploy"]["steps"][place_of("deploy", running("zip -q app.zip"))]["run"].strip()
    assert script in README, "whoever deploys by hand packs the same"


def test_nothing_after_the_tests_needs_a_way_to_the_database():
    after = "\n".join(step.get("run", "") for job in ("plan", "deploy") for step in JOBS[job]["steps"])
    assert "python -m jobs" not in after
    assert "JOBS_DATABASE_URL" not in str(JOBS["deploy"])


def test_the_app_is_checked_before_the_deployment_and_its_functions_are_counted_after_it():
    assert place_of("test", running("-m jobs check")) < place_of("test", running("apply schedules.yaml"))
    count = JOBS["deploy"]["steps"][place_of("deploy", running("functionapp function list"))]["run"]
    assert '[ "$found" -gt 0 ]' in count


def test_the_image_that_was_built_is_the_one_that_migrates_and_the_one_that_is_deployed():
    steps = JOBS["deploy"]["steps"]
    build = steps[place_of("deploy", running("operations.py image"))]
    for command in ("operations.py migrate", "operations.py apply", "containerImage="):
        assert steps[place_of("deploy", running(command))]["env"]["IMAGE"] == (
            f"${{{{ steps.{build['id']}.outputs.image }}}}"
        )
    assert steps[place_of("deploy", running("containerImage="))]["if"] == "env.SHAPE == 'dapr'"
    assert steps[place_of("deploy", using("Azure/functions-action"))]["if"] == "env.SHAPE == 'flex'"


# --- what it calls is there


def commands_of(script: str) -> list[list[str]]:
    joined = script.replace("\\\n", " ")
    return [shlex.split(line) for line in joined.splitlines() if re.match(r"\s*\S*python -m jobs ", line)]


COMMANDS = [command[3:] for script in SCRIPTS for command in commands_of(script)]


def test_each_command_of_the_app_is_one_that_its_command_line_takes():
    assert [command[:2] for command in COMMANDS] == [
        ["check"],
        ["apply", "schedules.yaml"],
    ]
    for command in COMMANDS:
        assert _parser().parse_args(command).run


def test_each_make_target_and_each_file_is_there():
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"\bmake ([\w-]+)", "\n".join(SCRIPTS)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert (ROOT / "requirements.txt").exists()
    assert (ROOT / "infra/docker/Dockerfile").exists()


def test_the_outputs_and_parameters_that_it_reads_are_those_of_the_infrastructure():
    main = ROOT / "infra/bicep/main.bicep"
    if not main.exists():
        pytest.skip("infra/bicep is not here")
    bicep = main.read_text()
    outputs = set(re.findall(r"^output (\w+)", bicep, re.MULTILINE))
    [names] = re.findall(r"for name in ([\w ]+); do", TEXT)
    read = {*names.split(), *re.findall(r"properties\.outputs\.(\w+)", TEXT), *re.findall(r"\.(\w+)\.value", TEXT)}
    assert read <= outputs
    assert "param containerImage " in bicep
    shapes = re.search(r"@allowed\(\[('flex'), ('dapr')\]\)", bicep)
    assert shapes
    assert all((ROOT / f"infra/bicep/{shape}.bicepparam").exists() for shape in ("flex", "dapr"))


def test_each_step_reads_only_outputs_that_a_step_before_it_writes():
    for job in JOBS.values():
        written: dict[str, str] = {}
        for step in job["steps"]:
            for step_id, output in re.findall(r"steps\.(\w+)\.outputs\.(\w+)", str(step)):
                names = re.search(r"for name in ([\w ]+); do", written[step_id])
                assert f"{output}=" in written[step_id] or (names and output in names[1].split()), output
            if "id" in step:
                written[step["id"]] = step["run"]


# --- linters, where they are


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_it_has_the_shape_that_github_gives_workflows(file):
    done = lint("check-jsonschema", "--builtin-schema", "vendor.github-workflows", str(file))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_zizmor_finds_nothing_unsafe_in_it(file):
    done = lint("zizmor", "--offline", "--no-progress", str(file))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.stem)
def test_actionlint_finds_nothing_in_it(file):
    done = lint("actionlint", str(file))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong", "tool", "arguments"),
    [
        ("runs-on:", "run-on:", "check-jsonschema", ("--builtin-schema", "vendor.github-workflows")),
        ("run: |\n          image=", "run: |\n          echo ${{ github.event.head_commit.message }}\n          image=",
         "zizmor", ("--offline", "--no-progress")),
        ("needs: [test, plan]", "needs: [tests, plan]", "actionlint", ()),
    ],
)  # fmt: skip
def test_each_linter_finds_a_seeded_mistake(tmp_path, right, wrong, tool, arguments):
    assert right in TEXT
    seeded = tmp_path / "deploy.yml"
    seeded.write_text(TEXT.replace(right, wrong, 1))
    assert lint(tool, *arguments, str(seeded)).returncode != 0
