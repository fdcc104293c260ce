"""The container image: what goes into it is what is deployed without one, pinned, and it runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.infra.deployed import let_through, tracked
from tests.infra.linters import lint

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "infra/docker/Dockerfile"
TEXT = DOCKERFILE.read_text()


def instructions(text: str) -> list[tuple[str, str]]:
    """Give each instruction with its arguments, lines joined and comments left out."""
    bare = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    lines = bare.replace("\\\n", " ").splitlines()
    return [(word.upper(), rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word]


LINES = instructions(TEXT)


def copied() -> set[str]:
    """The files that are in the image."""
    sent = let_through((DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(), tracked())
    inside: set[str] = set()
    for word, rest in LINES:
        if word == "COPY":
            *sources, _ = rest.split()
            for source in sources:
                found = {file for file in sent if source in {".", file} or file.startswith(f"{source.rstrip('/')}/")}
                assert found, f"COPY {source} finds nothing"
                inside |= found
    return inside


def test_the_base_is_named_by_a_version_of_python_that_the_app_runs_on():
    bases = [rest.split(" AS ") for word, rest in LINES if word == "FROM"]
    assert bases == [["mcr.microsoft.com/azure-functions/python:4-python3.13", "app"], ["app", "nonroot"], ["app"]]
    assert re.search(r"imagetools inspect mcr\.microsoft\.com/azure-functions/python:4-python3\.13", TEXT)


def test_what_is_installed_is_pinned_by_hash_and_nothing_else_is_fetched():
    [install] = [rest for word, rest in LINES if word == "RUN" and "pip install" in rest]
    assert "--require-hashes" in install
    assert install.endswith("--requirement requirements.txt")
    assert not any(re.search(r"\b(curl|wget|apt-get|ADD)\b", f"{word} {rest}") for word, rest in LINES)


def test_nothing_secret_is_in_its_environment():
    for word, rest in LINES:
        if word in {"ENV", "ARG"}:
            assert not re.search(r"(?i)(password|secret|token|connection_?string|database_url|=\S*@)", rest)


def test_it_is_asked_for_its_health_where_it_listens_and_root_has_a_reason():
    stages = re.split(r"^FROM .*$", TEXT, flags=re.MULTILINE)[1:]
    for stage, port in zip(stages[:2], ("80", "8080"), strict=True):
        words = dict(instructions(stage))
        assert words["EXPOSE"] == port
        assert f"http://127.0.0.1:{port}/api/health/live" in words["HEALTHCHECK"]
    assert "USER" not in dict(instructions(stages[0]))
    assert "The user is root, as the base has it:" in stages[0]
    assert dict(instructions(stages[1]))["USER"] == "10001"
    assert "ASPNETCORE_URLS=http://+:8080" in stages[1]


def test_it_starts_what_the_base_starts_by_an_entry_of_its_own_that_is_in_the_image():
    [command] = [json.loads(rest) for word, rest in LINES if word == "CMD"]
    assert command == ["python", "-I", "jobs/entrypoints/container.py", "/opt/startup/start_nonappservice.sh"]
    assert command[2] in copied()


def test_packages_are_put_where_the_worker_looks_and_the_command_line_too():
    environment = dict(
        item.split("=", 1) for word, rest in LINES if word == "ENV" for item in rest.split() if "=" in item
    )
    workdir = next(rest for word, rest in LINES if word == "WORKDIR")
    assert workdir == environment["AzureWebJobsScriptRoot"] == "/home/site/wwwroot"
    [target] = re.findall(r"--target (\.\S+)", TEXT)
    assert environment["PYTHONPATH"] == f"{workdir}/{target}"


def test_the_app_is_found_in_what_is_copied(tmp_path):
    for file in copied():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / file, tmp_path / file)
    names = "[function.get_function_name() for function in function_app.app.get_functions()]"
    count = f"import function_app, json; print(json.dumps({names}))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBS_")}
    environment |= {"JOBS_SCHEDULER": "dapr", "JOBS_CALLBACK_TOKENS": "x", "PYTHONPATH": str(tmp_path)}
    found = subprocess.run(
        [sys.executable, "-c", count], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stderr
    assert {"enqueue_job", "health_live", "health_ready", "reconcile"} <= set(json.loads(found.stdout.splitlines()[-1]))
    help_of = [sys.executable, "-m", "jobs", "db", "upgrade", "--help"]
    done = subprocess.run(help_of, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_hadolint_finds_nothing_in_it_and_finds_a_seeded_mistake(tmp_path):
    done = lint("hadolint", str(DOCKERFILE))
    assert done.returncode == 0, done.stdout
    seeded = tmp_path / "Dockerfile"
    seeded.write_text(TEXT.replace(":4-python3.13 AS", ":latest AS"))
    assert "DL3007" in lint("hadolint", str(seeded)).stdout
