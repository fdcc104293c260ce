"""Programs beside the app: none outlives it, however it ends; one that did all the same is ended at the next start."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from jobs.core.errors import ConfigurationError
from jobs.entrypoints.devhost.dapr import LocalDapr
from jobs.entrypoints.devhost.local_database import local_database
from jobs.entrypoints.devhost.processes import Folder, Program, command_of
from jobs.local_settings import take_over_local_settings
from jobs.settings import Settings
from jobs.testing.postgres.folder import server_parent
from tests.support import ROOT, until
from tests.warm import warm_run

SAMPLE = "local.settings.sample.json"

PARENT = textwrap.dedent("""
    import os, sys, time
    from pathlib import Path
    from jobs.entrypoints.devhost.processes import Folder, Program
    folder = Folder(Path(sys.argv[1]))
    folder.take()
    with (folder.path / "log").open("ab") as log:
        program = Program(sys.argv[2:], os.environ, log)
    print(program.process.pid, flush=True)
    time.sleep(600)
""")
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def runs(process_id: int) -> bool:
    return bool(command_of(process_id))


@pytest.fixture
def parent(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own with a program beside it that does not heed SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), sys.executable, "-c", STUBBORN],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    yield process
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def program_of(parent: subprocess.Popen[str], folder: Path) -> int:
    assert parent.stdout is not None
    program = int(parent.stdout.readline())
    until(lambda: "up" in (folder / "log").read_text())
    return program


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM], ids=lambda number: number.name)
def test_no_program_outlives_its_parent_however_that_ends(parent, tmp_path, number):
    program = program_of(parent, tmp_path)
    assert runs(program)
    parent.send_signal(number)
    parent.wait(60)
    until(lambda: not runs(program))


def test_a_folder_is_one_processs_at_a_time_and_free_again_when_that_is_killed(parent, tmp_path):
    program_of(parent, tmp_path)
    folder = Folder(tmp_path)
    with pytest.raises(ConfigurationError, match=rf"process \(id {parent.pid}\) works in .*--data"):
        folder.take()
    parent.kill()
    parent.wait()
    folder.take()
    folder.leave()
    again = Folder(tmp_path)
    again.take()
    again.leave()


def sleeper(mark: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", STUBBORN, mark], stdout=subprocess.DEVNULL)


def test_a_program_that_was_left_behind_is_ended(tmp_path):
    folder = Folder(tmp_path)
    with sleeper("--its-mark") as stale:
        until(lambda: "--its-mark" in command_of(stale.pid))
        folder.note("scheduler", stale.pid, "--its-mark")
        assert folder.end_stale("scheduler") == stale.pid
        assert stale.wait(60) != 0
    assert folder.end_stale("scheduler") is None


def test_another_program_that_has_its_process_id_by_now_is_left_alone(tmp_path):
    folder = Folder(tmp_path)
    with sleeper("--another") as other:
        until(lambda: "--another" in command_of(other.pid))
        folder.note("scheduler", other.pid, "--its-mark")
        assert folder.end_stale("scheduler") is None
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("noted", ["", "{}", "[]", '{"pid": "x", "mark": ""}', '{"pid": 4194304000, "mark": "m"}'])
def test_a_note_that_cannot_be_read_is_no_hindrance(tmp_path, noted):
    (tmp_path / "scheduler.pid").write_text(noted)
    assert Folder(tmp_path).end_stale("scheduler") is None


def test_a_program_is_told_to_end_and_killed_if_it_does_not(tmp_path, monkeypatch):
    monkeypatch.setattr("jobs.entrypoints.devhost.processes._END_SECONDS", 0.2)
    with (tmp_path / "log").open("wb") as log:
        program = Program([sys.executable, "-c", STUBBORN], os.environ, log)
    until(lambda: "up" in (tmp_path / "log").read_text())
    program.end()
    assert program.process.returncode == -signal.SIGKILL


def test_a_second_dapr_on_the_same_data_is_refused_by_name(tmp_path, monkeypatch):
    for name in ("scheduler", "daprd"):
        (tmp_path / name).write_text("#!/bin/sh\nexit 3\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    first = Folder(tmp_path / "dapr")
    first.take()
    with pytest.raises(ConfigurationError, match=f"id {os.getpid()}"), LocalDapr(tmp_path / "dapr", 1):
        pass
    first.leave()


@pytest.fixture
def data() -> Iterator[Path]:
    """A folder for Postgres: pytest's own are shut to its user whenever another run of pytest begins."""
    with TemporaryDirectory(prefix="jobs-", dir=server_parent(), ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def test_postgres_is_stopped_in_the_end_though_an_earlier_start_that_used_it_was_killed(data, monkeypatch):
    monkeypatch.delenv("JOBS_DATABASE_URL", raising=False)
    with sleeper("--of-an-earlier-start") as killed:
        killed.kill()
    folder = data / "postgres"
    folder.mkdir()
    with local_database(data):
        handles = folder / ".handle_pids.json"
        handles.write_text(json.dumps([killed.pid, *json.loads(handles.read_text())]))
        postmaster = int((folder / "postmaster.pid").read_text().split()[0])
        assert runs(postmaster)
    until(lambda: not runs(postmaster))


def test_a_second_start_on_the_same_data_says_that_both_share_the_jobs(data, monkeypatch, caplog):
    monkeypatch.delenv("JOBS_DATABASE_URL", raising=False)
    with local_database(data):
        assert "share all jobs" not in caplog.text
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as first:
        try:
            (data / "postgres" / ".handle_pids.json").write_text(json.dumps([first.pid]))
            with local_database(data):
                assert f"process {first.pid} uses this Postgres too: the two share all jobs" in caplog.text
                first.kill()
                first.wait()
        finally:
            first.kill()


def command_line(folder: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JOBS_")}
    environment |= {"JOBS_HANDLERS": "tests.framework_handlers"}
    environment |= {"PYTHONPATH": str(ROOT)} | settings
    return warm_run(["-m", "jobs", *arguments], cwd=folder, env=environment, timeout=300)


@pytest.mark.parametrize("place", ["the environment", "local.settings.json"])
def test_a_start_says_which_database_it_uses_and_which_setting_named_it(tmp_path, place):
    settings = {"JOBS_DATABASE_URL": "postgresql://me:secret@127.0.0.1:1/shop", "JOBS_DATABASE_TLS": "false"}
    if place == "local.settings.json":
        (tmp_path / place).write_text(json.dumps({"Values": settings}))
        settings = {}
    done = command_line(tmp_path, "dev", "--host", "builtin", "--port", "0", **settings)
    assert done.returncode == 1
    named = f"the database at 127.0.0.1:1/shop, which JOBS_DATABASE_URL of {place} names"
    assert f"using {named}" in done.stderr.splitlines()[0]
    assert f"This uses {named}; start that one" in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_other_commands_work_on_the_own_postgres_with_the_line_that_a_start_shows(data, monkeypatch):
    monkeypatch.delenv("JOBS_DATABASE_URL", raising=False)
    with local_database(data) as database:
        [line] = [line for line in database.shared.splitlines() if "export " in line]
        settings = dict(each.split("=", 1) for each in shlex.split(line)[1:])
        done = command_line(data, "db", "upgrade", **settings)
    assert done.returncode == 0, done.stderr
    assert "migrated from nothing" in done.stdout


@pytest.mark.parametrize("long_path", [False, True], ids=["by its socket", "where the path is too long for a socket"])
def test_a_start_in_a_terminal_with_that_line_starts_its_own_postgres_again(data, long_path, monkeypatch, caplog):
    caplog.set_level("INFO", "jobs.dev")
    if long_path:
        data = data / ("a" * 100)
    monkeypatch.delenv("JOBS_DATABASE_URL", raising=False)
    with local_database(data):
        address = os.environ["JOBS_DATABASE_URL"]
    if not long_path:
        (data / "postgres-address").unlink()
    monkeypatch.setenv("JOBS_DATABASE_URL", address)
    with local_database(data) as database:
        assert runs(int((data / "postgres" / "postmaster.pid").read_text().split()[0]))
    assert database.shared
    assert "using a Postgres of this app's own, which JOBS_DATABASE_URL of the environment names" in caplog.text


def test_the_address_of_another_folders_postgres_is_no_reason_to_start_ones_own(data, monkeypatch):
    url = f"postgresql://postgres:@/postgres?host={data.resolve()}/elsewhere/postgres"
    monkeypatch.setenv("JOBS_DATABASE_URL", url)
    with local_database(data) as database:
        assert not database.shared
    assert not (data / "postgres").exists()


def test_a_start_with_the_sample_settings_has_a_postgres_of_its_own(data, monkeypatch):
    for name in list(os.environ):
        if name.startswith("JOBS_"):
            monkeypatch.delenv(name)
    names = {*json.loads((ROOT / SAMPLE).read_text())["Values"], "AZURE_FUNCTIONS_ENVIRONMENT"}
    for name in names:  # so that each is put back
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    shutil.copy(ROOT / SAMPLE, data / "local.settings.json")
    assert take_over_local_settings(data / "local.settings.json") <= names
    assert Settings.read().database_url is None
    with local_database(data) as database:
        assert database.shared
        assert Settings.read().database_url is not None


def test_the_sample_settings_are_what_core_tools_take_and_show_where_the_database_goes():
    sample = json.loads((ROOT / SAMPLE).read_text())
    assert sample["IsEncrypted"] is False
    assert all(isinstance(value, str) for value in sample["Values"].values())
    assert {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage", "JOBS_DATABASE_URL"} <= sample["Values"].keys()


def test_a_start_shows_the_psql_command_that_looks_into_its_database(data, monkeypatch):
    monkeypatch.delenv("JOBS_DATABASE_URL", raising=False)
    with local_database(data) as database:
        [line] = [line for line in database.shared.splitlines() if "psql " in line]
        done = subprocess.run(
            [*shlex.split(line), "-Atc", "select 40 + 2"], capture_output=True, text=True, check=False, timeout=60
        )
    assert done.stdout == "42\n", done.stderr


def test_what_a_program_has_started_ends_with_it_also_when_the_parent_is_killed(parent_of_two, tmp_path):
    parent, child = parent_of_two
    parent.kill()
    until(lambda: not runs(child))


@pytest.fixture
def parent_of_two(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process with a program beside it that has started one of its own, as the `func` of npm does."""
    starts_another = (
        f"import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]);"
        "print('child', child.pid, flush=True); time.sleep(600)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), sys.executable, "-c", starts_another],
        stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    until(lambda: (tmp_path / "log").exists() and "up" in (tmp_path / "log").read_text())
    [child] = [int(line.split()[1]) for line in (tmp_path / "log").read_text().splitlines() if "child" in line]
    yield process, child
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
