"""The database is changed by a job of the platform: what is asked of Azure for it, and what becomes of each outcome."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.infra.deployed import packed_as_git_would, tracked
from tests.infra.linters import ROOT
from tests.infra.snapshots import kept

# An Azure CLI that writes down each call, and answers as the file beside it says: a line for each look at a job.
AZ = """#!{python}
import json, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    print(json.dumps(sys.argv[1:]), file=calls)
words = [word for word in sys.argv[1:] if not word.startswith("-")]
if (here / "refused").exists() and words[:2] == ["acr", "build"]:
    sys.exit("no such registry")
if words[:2] == ["acr", "build"]:
    context = pathlib.Path(words[-2])  # before the word of --output
    sent = [str(file.relative_to(context)) for file in context.rglob("*") if file.is_file()]
    (here / "sent").write_text(json.dumps(sent))
if words[:2] == ["acr", "repository"]:
    print(json.dumps({{"digest": "sha256:abc"}}))
if words[2:3] == ["start"]:
    print(json.dumps({{"name": "caj-jobs-migrate-x1"}}))
if words[2:4] == ["execution", "show"]:
    first, *later = (here / "statuses").read_text().split()
    (here / "statuses").write_text(" ".join(later or [first]))
    print(json.dumps({{"properties": {{"status": first}}}}))
"""


@pytest.fixture
def azure(tmp_path: Path) -> Path:
    program = tmp_path / "az"
    program.write_text(AZ.format(python=sys.executable))
    program.chmod(0o755)
    (tmp_path / "statuses").write_text("Running Running Succeeded")
    return tmp_path


def operate(azure: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{azure}:{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "infra/operations.py", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={"PATH": path, "OPERATIONS_POLL_SECONDS": "0.01", **environment}, check=False,
    )  # fmt: skip


def calls(azure: Path) -> list[list[str]]:
    return [json.loads(line) for line in (azure / "calls").read_text().splitlines()]


WHERE = ["--resource-group", "jobs", "--name", "caj-jobs", "--registry", "crjobs.azurecr.io"]


def test_the_image_is_built_in_the_registry_and_the_job_waited_for(azure: Path) -> None:
    done = operate(azure, "migrate", *WHERE)
    assert done.returncode == 0, done.stderr
    build, _, update, start, *looks = calls(azure)
    assert build[:4] == ["acr", "build", "--registry", "crjobs"]
    image = "crjobs.azurecr.io/jobs@sha256:abc"
    assert update[:3] == ["containerapp", "job", "update"]
    assert update[update.index("--image") + 1] == image
    assert start[:3] == ["containerapp", "job", "start"]
    assert start[start.index("--name") + 1] == "caj-jobs-migrate"
    assert len(looks) == 3
    assert image in done.stdout


def test_an_image_that_is_there_is_not_built_again(azure: Path) -> None:
    assert operate(azure, "apply", *WHERE, "--image", "crjobs.azurecr.io/jobs:1").returncode == 0
    assert [call[:3] for call in calls(azure)][:2] == [
        ["containerapp", "job", "update"],
        ["containerapp", "job", "start"],
    ]


def test_what_is_deployed_is_sent_to_the_builder_and_nothing_that_is_left_behind(azure: Path) -> None:
    done = operate(azure, "image", *WHERE)
    assert done.stdout == "crjobs.azurecr.io/jobs@sha256:abc\n"
    sent = set(json.loads((azure / "sent").read_text()))
    assert sent - {"Dockerfile"} == packed_as_git_would((ROOT / ".funcignore").read_text(), tracked())
    assert "function_app.py" in sent


def test_azds_environment_says_where(azure: Path) -> None:
    environment = {"AZURE_RESOURCE_GROUP": "rg", "operationsName": "caj-x", "registryServer": "crx.azurecr.io",
                   "AZURE_SUBSCRIPTION_ID": "s"}  # fmt: skip
    assert operate(azure, "migrate", **environment).returncode == 0
    assert {"operationsName", "registryServer"} <= set(kept("flex_by_default").outputs)
    update = calls(azure)[2]
    assert update[update.index("--name") + 1] == "caj-x-migrate"
    assert update[update.index("--subscription") + 1] == "s"


@pytest.mark.parametrize("status", ["Failed", "Stopped", "Degraded"])
def test_a_job_that_did_not_succeed_fails_and_says_where_its_log_is(azure: Path, status: str) -> None:
    (azure / "statuses").write_text(f"Running {status}")
    done = operate(azure, "migrate", *WHERE)
    assert done.returncode == 1
    assert status in done.stderr
    assert "az containerapp job logs show --resource-group jobs --name caj-jobs-migrate --execution" in done.stderr


def test_a_job_that_does_not_end_fails(azure: Path) -> None:
    (azure / "statuses").write_text("Running")
    done = operate(azure, "migrate", *WHERE, "--minutes", "0.001")
    assert done.returncode == 1
    assert "still runs" in done.stderr


def test_nothing_is_migrated_where_no_image_could_be_built(azure: Path) -> None:
    (azure / "refused").touch()
    done = operate(azure, "migrate", *WHERE)
    assert done.returncode == 1
    assert "az acr build" in done.stderr
    assert len(calls(azure)) == 1


def test_an_extension_of_the_cli_is_installed_where_nobody_is_there_to_be_asked(azure: Path) -> None:
    program = azure / "az"
    program.write_text(
        program.read_text() + 'import os; (here / "environment").write_text(json.dumps(dict(os.environ)))\n'
    )
    assert operate(azure, "migrate", *WHERE, "--image", "x").returncode == 0
    environment = json.loads((azure / "environment").read_text())
    assert environment["AZURE_EXTENSION_USE_DYNAMIC_INSTALL"] == "yes_without_prompt"


def test_a_folder_that_git_does_not_know_is_told_of(azure: Path) -> None:
    done = operate(azure, "image", *WHERE, GIT_DIR=str(azure / "nothing"))
    assert done.returncode == 1
    assert "what is deployed is what git knows of" in done.stderr
    assert "Traceback" not in done.stderr


def test_where_there_is_no_azure_cli_it_says_how_to_get_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "infra/operations.py", "migrate", *WHERE, "--image", "x"], cwd=ROOT,
                          capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=False)  # fmt: skip
    assert done.returncode == 1
    assert "aka.ms/azure-cli" in done.stderr


def test_the_jobs_run_commands_that_the_command_line_takes_as_an_identity_that_the_app_is_not() -> None:
    made = kept("flex_by_default").resources
    jobs = {one.name: one.body for one in made if one.kind == "Microsoft.App/jobs"}
    assert set(jobs) == {"caj-jobs-migrate", "caj-jobs-apply"}
    [app] = [one.body for one in made if one.kind == "Microsoft.Web/sites"]
    for job in jobs.values():
        [container] = job["properties"]["template"]["containers"]
        environment = {one["name"]: one["value"] for one in container["env"]}
        assert environment["JOBS_DATABASE_URL"].startswith("postgresql://id-jobs-migrator@")
        assert environment["RUNTIME"] == "id-jobs=22222222-2222-2222-2222-222222222222"
        assert set(job["identity"]["userAssignedIdentities"]).isdisjoint(app["identity"]["userAssignedIdentities"])
    administrators = [one.body["properties"]["principalName"] for one in made if one.kind.endswith("/administrators")]
    assert administrators == ["jobs admins@example.com", "id-jobs-migrator"]
