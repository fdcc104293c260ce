"""The app under Core Tools, for which a program stands in that does what they do as far as a start depends on it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from jobs.entrypoints.devhost.core_tools import environment_of_core_tools
from tests.support import ROOT, until

# It puts the file's Values where the environment has none, has the first python3 on PATH index the app, and then serves
# until Ctrl-C. With a python3 that lacks the app's packages it would stay up as well, without a function.
FUNC = """#!{python}
import json, os, shutil, signal, subprocess, sys, threading
assert sys.argv[1:] == ["start", "--port", "7071"], sys.argv
for name, value in json.load(open("local.settings.json"))["Values"].items():
    os.environ.setdefault(name, value)
if status := int(os.environ.get("STANDS_IN_STATUS", "0")):
    print("the stand-in ends", flush=True)
    sys.exit(status)
python = os.environ.get("languageWorkers__python__defaultExecutablePath") if {by_setting} else shutil.which("python3")
index = "import function_app; print('functions:', len(function_app.app.get_functions()), flush=True)"
subprocess.run([python, "-c", index])
print("worker:", python, "in", os.environ.get("VIRTUAL_ENV"), flush=True)
print("from the file:", os.environ["OF_THE_FILE"], "scheduler:", os.environ["JOBS_SCHEDULER"], flush=True)
interrupted = threading.Event()
signal.signal(signal.SIGINT, lambda *_: interrupted.set())
print("serving", flush=True)
interrupted.wait()
print("interrupted", flush=True)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An app with a local.settings.json, and a PATH with Core Tools and a python3 that has no package of the app's."""
    (tmp_path / "local.settings.json").write_text(json.dumps({"Values": {"OF_THE_FILE": "yes"}}))
    for file in ("host.json", "function_app.py"):
        shutil.copy(ROOT / file, tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "python3").write_text("#!/bin/sh\necho 'the wrong python3'\nexit 1\n")
    (programs / "python3").chmod(0o755)
    return tmp_path


def start(folder: Path, database_url: str, *, by_setting: bool = False, **settings: str) -> subprocess.Popen[str]:
    func = folder / "programs" / "func"
    func.write_text(FUNC.format(python=sys.executable, by_setting=by_setting))
    func.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("JOBS_") and name != "VIRTUAL_ENV"}
    environment = {
        "PATH": f"{folder / 'programs'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "JOBS_HANDLERS": "tests.framework_handlers",
        "JOBS_DATABASE_URL": database_url,
        "AzureWebJobsStorage": "DefaultEndpointsProtocol=https;AccountName=of-a-real-one",
    }
    with (folder / "out").open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", "jobs", "dev", "--host", "func"],
            cwd=folder, env=kept | environment | settings, stdout=out, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip


def said(folder: Path) -> str:
    return (folder / "out").read_text()


@pytest.mark.direct
@pytest.mark.parametrize("by_setting", [False, True], ids=["first on PATH", "by the setting"])
def test_the_worker_is_the_environments_python_and_finds_the_functions(folder, database_url, by_setting):
    with start(folder, database_url, by_setting=by_setting) as process:
        until(lambda: "serving" in said(folder) or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, said(folder)
    told = said(folder)
    assert "functions: 0" not in told
    assert "functions: " in told
    assert "the wrong python3" not in told
    environment = sys.prefix if sys.prefix != sys.base_prefix else None
    worker = sys.executable if by_setting else f"{Path(sys.executable).parent}/python3"
    assert f"worker: {worker} in {environment}" in told
    assert "from the file: yes scheduler: timer" in told
    assert "\ninterrupted" in told


@pytest.mark.direct
def test_core_tools_that_end_by_themselves_end_the_start_with_their_status_said_once(folder, database_url):
    with start(folder, database_url, STANDS_IN_STATUS="3") as process:
        assert process.wait(60) == 1
    told = said(folder)
    assert told.count("the stand-in ends") == 1
    assert "error: Core Tools ended by themselves, with exit status 3; their last lines above say why" in told
    assert "Traceback" not in told


@pytest.mark.direct
def test_a_fault_of_the_app_is_said_once_and_core_tools_are_not_started(folder, database_url):
    with start(folder, database_url, JOBS_LEASE_SECONDS="abc") as process:
        assert process.wait(60) == 1
    assert said(folder).count("JOBS_LEASE_SECONDS: ") == 1
    assert "serving" not in said(folder)


def test_without_a_storage_emulator_the_start_says_how_to_bring_one_up(folder):
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent("""
            from jobs.entrypoints.devhost import core_tools
            core_tools._STORAGE_EMULATOR = ("127.0.0.1", 1)
            core_tools.find_core_tools()
        """)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": f"{folder / 'programs'}", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert "Azure Functions Core Tools are not on PATH; npm i -g azure-functions-core-tools@4" in done.stderr
    (folder / "programs" / "func").write_text("#!/bin/sh\n")
    (folder / "programs" / "func").chmod(0o755)
    again = subprocess.run(done.args, cwd=folder, capture_output=True, text=True, check=False, timeout=60,
                           env={"PATH": f"{folder / 'programs'}", "PYTHONPATH": str(ROOT)})  # fmt: skip
    assert "no storage emulator listens on 127.0.0.1:10000" in again.stderr
    assert "npx azurite" in again.stderr


def test_the_environments_programs_come_first_and_what_is_set_stays():
    made = environment_of_core_tools({"PATH": "/usr/bin", "AzureWebJobsStorage": "mine", "OTHER": "x"})
    assert made["PATH"] == f"{Path(sys.executable).parent}{os.pathsep}/usr/bin"
    assert (made["AzureWebJobsStorage"], made["OTHER"]) == ("mine", "x")
    assert made["languageWorkers__python__defaultExecutablePath"] == sys.executable
