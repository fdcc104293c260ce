"""The container image: what goes into it is what is deployed without one, pinned, and it runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pathspec

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


def tracked() -> set[str]:
    """The files of the repository, as a clone has them."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return {file for file in listed.stdout.splitlines() if (ROOT / file).exists()}


def let_through(ignore_file: str, files: set[str]) -> set[str]:
    """The files that Docker sends to the builder: patterns hold from the root, for all below, and the last one wins."""
    kept = set(files)
    for line in ignore_file.splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        body = "".join(
            {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}.get(part, re.escape(part))
            for part in re.split(r"(\*\*/|\*\*|\*)", pattern.removeprefix("!").rstrip("/"))
        )
        matching = {file for file in files if re.fullmatch(f"{body}(?:/.*)?", file)}
        kept = kept | matching if pattern.startswith("!") else kept - matching
    return kept


def copied() -> set[str]:
    """The files that are in the image."""
    sent = let_through((DOCKERFILE.parent / "Dockerfile.dockerignore").read_text(), tracked())
    inside: set[str] = set()
    for word, rest in LINES:
        if word == "COPY":
            *sources, _ = rest.split()
            for source in sources:
                found = {file for file in sent if file == source or file.startswith(f"{source.rstrip('/')}/")}
                assert found, f"COPY {source} finds nothing"
                inside |= found
    return inside


def test_what_is_copied_is_exactly_what_is_deployed_without_an_image():
    ignored = pathspec.GitIgnoreSpec.from_lines((ROOT / ".funcignore").read_text().splitlines())
    deployed = {file for file in tracked() if not ignored.match_file(file)}
    assert copied() == deployed - {".funcignore", "schedules.yaml"}


def test_nothing_is_copied_that_only_developers_need_or_that_could_be_secret():
    inside = copied()
    assert {"function_app.py", "host.json", "requirements.txt", "jobs/handlers/dependencies.py"} <= inside
    for file in inside:
        assert not re.match(r"tests/|infra/|jobs/testing|jobs/entrypoints/dev|requirements-dev|local\.settings", file)


def test_docker_ignores_by_the_rules_that_its_documentation_gives():
    files = {"a", "b/a", "b/c.py", "b/d/c.py", "b/d/__pycache__/c", "e"}
    assert let_through("*\n!b\n**/__pycache__\nb/c*.py\n", files) == {"b/a", "b/d/c.py"}
    assert let_through("a\n", files) == files - {"a"}
    assert let_through("**/a\n", files) == files - {"a", "b/a"}


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
