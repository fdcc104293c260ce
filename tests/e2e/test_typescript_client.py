"""A client that a generator makes of the OpenAPI document compiles, knows the arguments of handlers, and works."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.integration.entrypoints.http.test_http_api import serving_a_new_database
from tests.support import ROOT

PACKAGES = ROOT / ".local" / "typescript" / "node_modules"
PROGRAM = (ROOT / "tests/typescript/client.ts").read_text()
GENERATE = ("--default-non-nullable", "false")  # otherwise a caller would have to write each default out
COMPILE = (
    "--strict", "--exactOptionalPropertyTypes", "--noUncheckedIndexedAccess", "--target", "es2022",
    "--module", "esnext", "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable",
)  # fmt: skip

pytestmark = pytest.mark.slow


def run(folder: Path, *command: str, expected: int = 0) -> str:
    """Run a command there; returns what it prints, and raises ``AssertionError`` unless it ends as expected."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == expected, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def api(server):
    if not PACKAGES.is_dir() or shutil.which("node") is None:
        pytest.skip("the generator of TypeScript clients is not installed; run `make typescript`, which needs Node.js")
    with serving_a_new_database(server, callback_tokens="t") as api:
        yield api


@pytest.fixture(scope="module")
def project(api, tmp_path_factory) -> Path:
    """A folder with the types of the API, made of the document as the app serves it."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "node_modules").symlink_to(PACKAGES)
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "openapi.json").write_bytes(api.call("GET", "/api/openapi.json").content)
    run(folder, "node_modules/.bin/openapi-typescript", "openapi.json", "-o", "schema.d.ts", *GENERATE)
    return folder


def test_it_compiles_enqueues_and_reads_and_its_errors_have_types_too(api, project):
    (project / "client.ts").write_text(PROGRAM)
    run(project, "node_modules/.bin/tsc", *COMPILE, "client.ts")
    assert json.loads(run(project, "node", "client.js", str(api.client.base_url))) == {
        "enqueued": 201,
        "status": "Scheduled",
        "paused": True,
        "names": ["from TypeScript"],
        "refused": ["/job_name"],
    }


MISTAKES = (
    ('payload: { to: "Ann" }, schedule', "payload: { to: 7 }, schedule"),
    ('payload: { to: "Ann" }, schedule', "payload: {}, schedule"),
    ('handler_name: "Send", job_name: "from', 'handler_name: "Nobody", job_name: "from'),
    ("/api/jobs/{id}/pause", "/api/jobs/{id}/stop"),
    ("read.data?.status", "read.data?.state"),
    ("limit: 10", 'limit: "ten"'),
)


def test_what_the_api_would_refuse_does_not_compile(project):
    for number, (right, wrong) in enumerate(MISTAKES):
        assert right in PROGRAM
        (project / f"wrong{number}.ts").write_text(PROGRAM.replace(right, wrong, 1))
    names = [f"wrong{number}.ts" for number in range(len(MISTAKES))]
    told = run(project, "node_modules/.bin/tsc", *COMPILE, "--noEmit", *names, expected=2)
    assert [name for name in names if f"{name}(" in told] == names
