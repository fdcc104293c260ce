"""Change the database from within the network: build the image, and run it as a job of the platform.

    python infra/operations.py migrate --resource-group jobs --name caj-jobs --registry crjobs1a2b3c.azurecr.io
    python infra/operations.py apply …       # the recurring jobs of schedules.yaml
    python infra/operations.py image …       # builds it and no more; both take it by --image

It asks Azure alone, by `az`, and needs no way to the database and no Docker. azd and the workflow call it too; azd's
environment says what is left out. It needs no package: any Python 3.11 or newer runs it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RUNNING = {"Running", "Processing", "Unknown"}
# Some commands are of an extension, which the CLI would ask about and nobody may be there to answer.
EXTENSIONS = {
    "AZURE_EXTENSION_USE_DYNAMIC_INSTALL": "yes_without_prompt",
    "AZURE_EXTENSION_DYNAMIC_INSTALL_ALLOW_PREVIEW": "true",
}
POLL_SECONDS = float(os.environ.get("OPERATIONS_POLL_SECONDS", "5"))


class Failed(Exception):
    """What stopped the operation, said to a person."""


def az(*arguments: str) -> Any:
    """Run the Azure CLI; gives what it answers. What it logs goes to where this program's errors go."""
    program = shutil.which("az")
    if program is None:
        raise Failed("the Azure CLI, `az`, is not on PATH: https://aka.ms/azure-cli")
    subscription = os.environ.get("AZURE_SUBSCRIPTION_ID")  # azd's need not be the one that the CLI is set to
    options = ["--subscription", subscription] if subscription else []
    command = [program, *arguments, *options, "--output", "json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=EXTENSIONS | os.environ)
    if done.returncode:
        raise Failed(f"az {' '.join(arguments[:3])} failed; what it said is above")
    return json.loads(done.stdout) if done.stdout.strip() else None


def git(*arguments: str) -> list[str]:
    """Run git in the repository; gives the lines that it answers."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        why = getattr(error, "stderr", None) or error
        raise Failed(f"what is deployed is what git knows of in {ROOT}, and git says: {why}") from None
    return done.stdout.splitlines()


def built(registry: str) -> str:
    """Build the image in the registry; gives its name, by digest. What is deployed is sent there, and nothing else."""
    tag, name = git("rev-parse", "--short=12", "HEAD")[0], registry.partition(".")[0]
    left_behind = set(git("ls-files", "--cached", "--ignored", "--exclude-from", ".funcignore"))
    with tempfile.TemporaryDirectory() as context:
        for file in git("ls-files"):
            if file not in left_behind and (ROOT / file).exists():
                (Path(context) / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / file, Path(context) / file)
        shutil.copy(ROOT / "infra/docker/Dockerfile", Path(context) / "Dockerfile")
        az("acr", "build", "--registry", name, "--image", f"jobs:{tag}", context)
    digest = az("acr", "repository", "show", "--name", name, "--image", f"jobs:{tag}")["digest"]
    return f"{registry}/jobs@{digest}"


def run(group: str, job: str, image: str, minutes: float) -> None:
    """Run a job on an image until it has ended; raises ``Failed`` where it did not succeed."""
    where = ("--resource-group", group, "--name", job)
    az("containerapp", "job", "update", *where, "--image", image)
    execution = az("containerapp", "job", "start", *where)["name"]
    print(f"{job}: {execution} on {image}", flush=True)
    deadline = time.monotonic() + minutes * 60
    status = "Running"
    while status in RUNNING:
        if time.monotonic() > deadline:
            raise Failed(f"{execution} still runs after {minutes:g} minutes; {_look(group, job, execution)}")
        time.sleep(POLL_SECONDS)
        shown = az("containerapp", "job", "execution", "show", *where, "--job-execution-name", execution)
        status = shown["properties"]["status"]
    if status != "Succeeded":
        raise Failed(f"{execution} ended as {status}; {_look(group, job, execution)}")
    print(f"{execution}: done")


def _look(group: str, job: str, execution: str) -> str:
    where = f"--resource-group {group} --name {job} --execution {execution} --container jobs"
    return f"see its log by: az containerapp job logs show {where}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("operation", choices=["migrate", "apply", "image"])
    for option, variable, told in (
        ("--resource-group", "AZURE_RESOURCE_GROUP", "the resource group"),
        ("--name", "operationsName", "the output operationsName"),
        ("--registry", "registryServer", "the output registryServer"),
    ):
        default = os.environ.get(variable)
        parser.add_argument(option, default=default, required=not default, help=told)
    parser.add_argument("--image", help="an image that is there already; left out, one is built in the registry")
    parser.add_argument("--minutes", type=float, default=20, help="how long to wait")
    given = parser.parse_args()
    try:
        image = given.image or built(given.registry)
        if given.operation == "image":
            print(image)
        else:
            run(given.resource_group, f"{given.name}-{given.operation}", image, given.minutes)
    except Failed as failed:
        print(f"error: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
